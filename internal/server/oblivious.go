package server

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tacit/config"
	"tacit/internal/odoh"
	"tacit/internal/work"
	"tacit/transports"
	"tacit/upstream"
)

// Roles are those of Oblivious DoH (RFC 9230) that a configuration wants played.
type roles struct {
	target *odoh.Keys // nil: not that of a target
	proxy  *relay     // nil: not that of a proxy
}

var errOwnTarget = errors.New("odoh.proxy_targets: has an address of this machine on which tacit listens: it would see who asks and what")

// newRoles takes over the keys of the parts before: clients hold on to what is sealed to them.
func newRoles(c *config.Config, env Env, before *parts, client *upstream.Client) (r roles, err error) {
	switch {
	case !c.ODoH.Target:
	case before != nil && before.roles.target != nil:
		r.target = before.roles.target
	default:
		r.target, err = odoh.NewKeys(env.Now())
	}
	if err == nil && c.ODoH.Proxy {
		r.proxy, err = newRelay(c, client)
	}
	return r, err
}

// Oblivious are the roles of the current configuration.
type oblivious struct{ *Server }

var _ transports.Oblivious = oblivious{}

func (o oblivious) Target() *odoh.Keys { return o.current.Load().roles.target }

func (o oblivious) Relay() transports.Relay {
	if r := o.current.Load().roles.proxy; r != nil {
		return r
	}
	return nil
}

// A relay takes sealed messages to the targets that are listed, and to nobody else. It knows their addresses: nothing is looked up.
type relay struct {
	client  *upstream.Client
	targets map[transports.Destination]upstream.Server
}

func newRelay(c *config.Config, client *upstream.Client) (*relay, error) {
	roots, err := targetRoots(c)
	if err != nil {
		return nil, err
	}
	r := &relay{client, map[transports.Destination]upstream.Server{}}
	for _, u := range c.ODoH.Targets {
		r.targets[destination(&u)] = upstreamServer(&u, roots)
	}
	return r, nil
}

// targetRoots vouch for the targets; nil: the system's. A target that is this machine is refused here, where its addresses are known.
func targetRoots(c *config.Config) (*x509.CertPool, error) {
	own := reachable(c.Listen.HTTPS, interfaceAddresses)
	if slices.ContainsFunc(c.ODoH.Targets, func(u config.Upstream) bool {
		return slices.Contains(own, u.Addr) || u.Addr.Addr().IsLoopback() && slices.Contains(c.Listen.HTTPS, everywhere(u.Addr))
	}) {
		return nil, errOwnTarget
	}
	return readRoots("odoh.proxy_ca_file", c.ODoH.CAFile)
}

// everywhere is the listener on all addresses that would answer at one.
func everywhere(at netip.AddrPort) netip.AddrPort {
	all := netip.IPv6Unspecified()
	if at.Addr().Is4() {
		all = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(all, at.Port())
}

const httpsPort = 443

// destination is how clients name a target: as the host of a URL (RFC 9230 section 4.1).
func destination(u *config.Upstream) transports.Destination {
	host := u.Name
	switch {
	case host != "":
	case u.Addr.Addr().Is6():
		host = "[" + u.Addr.Addr().String() + "]"
	default:
		host = u.Addr.Addr().String()
	}
	if port := u.Addr.Port(); port != httpsPort {
		host += ":" + strconv.Itoa(int(port))
	}
	return transports.Destination{Host: host, Path: u.Path}
}

// Pass takes a message to its target, if that is listed.
func (r *relay) Pass(ctx context.Context, to transports.Destination, sealed []byte) ([]byte, transports.Fault) {
	to.Host = strings.TrimSuffix(strings.ToLower(to.Host), ":"+strconv.Itoa(httpsPort))
	server, ok := r.targets[to]
	if !ok {
		return nil, transports.DeniedFault()
	}
	status, response, err := r.client.Relay(ctx, server, sealed, work.New(work.DefaultLimits))
	if err != nil {
		return nil, faultOf(err)
	}
	switch {
	case status == http.StatusOK:
		return response, transports.Fault{}
	case status >= http.StatusBadRequest && status < 600:
		return nil, transports.Fault{Status: status}
	}
	return nil, faultNoHTTP
}

var faultNoHTTP = transports.Fault{Status: http.StatusBadGateway, Error: "http_protocol_error"}

// faultOf says why a target could not be asked (RFC 9209 section 2.3).
func faultOf(err error) transports.Fault {
	var e *upstream.Error
	if !errors.As(err, &e) {
		return transports.Fault{Status: http.StatusInternalServerError, Error: "proxy_internal_error"}
	}
	switch e.Outcome {
	case upstream.Timeout, upstream.Cancelled:
		return transports.Fault{Status: http.StatusGatewayTimeout, Error: "http_response_timeout"}
	case upstream.Refused:
		return transports.Fault{Status: http.StatusBadGateway, Error: "connection_refused"}
	case upstream.Unreachable:
		return transports.Fault{Status: http.StatusServiceUnavailable, Error: "destination_unavailable"}
	case upstream.Unauthenticated:
		return transports.Fault{Status: http.StatusBadGateway, Error: "tls_certificate_error"}
	case upstream.Malformed:
		return faultNoHTTP
	case upstream.BadCookies, upstream.Budget, upstream.Local, upstream.Unencrypted:
	}
	return transports.Fault{Status: http.StatusInternalServerError, Error: "proxy_internal_error"}
}
