package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"tacit/certificate"
	"tacit/config"
	"tacit/transports"
)

// An endpoint is where clients are listened to.
type endpoint struct {
	transport transports.Transport
	addr      netip.AddrPort
	quic      bool   // of HTTP3: the socket serves DoQ, too
	plain     string // of HTTPS: in clear, here
	challenge bool   // of HTTPS: only for an ACME authority
}

// endpoints are those that a configuration wants.
func endpoints(c *config.Config) []endpoint {
	var list []endpoint
	add := func(t transports.Transport, addrs []netip.AddrPort) {
		for _, a := range addrs {
			list = append(list, endpoint{transport: t, addr: a})
		}
	}
	add(transports.UDP, c.Listen.UDP)
	add(transports.TCP, c.Listen.TCP)
	add(transports.TLS, c.Listen.TLS)
	add(transports.HTTPS, c.Listen.HTTPS)
	for _, path := range c.Listen.HTTP {
		list = append(list, endpoint{transport: transports.HTTPS, plain: path})
	}
	for _, a := range c.TLS.ACME.HTTP {
		list = append(list, endpoint{transport: transports.HTTPS, addr: a, challenge: true})
	}
	for _, a := range c.Listen.HTTPS {
		list = append(list, endpoint{transport: transports.HTTP3, addr: a, quic: isShared(a, c.Listen.QUIC)})
	}
	for _, a := range c.Listen.QUIC {
		if !isShared(a, c.Listen.HTTPS) {
			list = append(list, endpoint{transport: transports.QUIC, addr: a})
		}
	}
	return list
}

func isShared(a netip.AddrPort, others []netip.AddrPort) bool {
	return a.Port() != 0 && slices.Contains(others, a)
}

// options are what the endpoint is opened with.
func (e endpoint) options(s *Server, c *config.Config) transports.Options {
	o := transports.Options{
		Now: s.env.Now, Log: s.env.Log, Quota: &s.quota, Keeper: s, Pages: s.page, Oblivious: oblivious{s}, Proxies: c.Listen.Proxies, PlainProxies: c.Listen.HTTPProxies,
		Certificates: s.certificate, MinTLS: c.TLS.MinVersion, NoCookies: !c.Listen.Cookies, SharedAfter: c.Cache.SharedAfter,
		Watch:   &s.watch,
		Failing: s.failing, Popular: &s.popular,
		Validates:  func() bool { return s.current.Load().validation != nil },
		Challenges: http.HandlerFunc(s.answerChallenge), ChallengeProtocols: challengeProtocols(c),
	}
	at := []netip.AddrPort{e.addr}
	switch e.transport {
	case transports.UDP:
		o.UDP = at
	case transports.TCP:
		o.TCP = at
	case transports.TLS:
		o.TLS = at
	case transports.HTTPS:
		e.addHTTPS(&o, c)
	case transports.HTTP3:
		if o.HTTP3 = at; e.quic {
			o.QUIC = at
		}
	case transports.QUIC:
		o.QUIC = at
	}
	return o
}

func (e endpoint) addHTTPS(o *transports.Options, c *config.Config) {
	switch {
	case e.plain != "":
		o.Plain = []string{e.plain}
	case e.challenge:
		o.ChallengeAddrs = []netip.AddrPort{e.addr}
	default:
		o.HTTPS = []netip.AddrPort{e.addr}
		if c.Listen.AltSvc {
			o.AltSvc = e.addr.Port()
		}
	}
}

// open opens the listeners of c that are not open yet. When one fails, none of them stays open.
func (s *Server) open(ctx context.Context, c *config.Config) (map[endpoint]*transports.Server, error) {
	opened := map[endpoint]*transports.Server{}
	for _, e := range endpoints(c) {
		if s.listeners[e] != nil {
			continue
		}
		l, err := transports.Listen(ctx, e.options(s, c))
		if isWithoutIPv6(e.addr, err) {
			s.env.Log.Warn("no IPv6 here: listening on all IPv4 addresses only")
			continue
		}
		if err != nil {
			for _, l := range opened {
				_ = l.Shutdown(ctx) // has no clients yet
			}
			return nil, err
		}
		opened[e] = l
	}
	return opened, nil
}

// listensTheSame reports whether listeners that are open do what a new configuration wants of them.
func listensTheSame(a, b *config.Config) bool {
	return slices.Equal(a.Listen.Proxies, b.Listen.Proxies) && slices.Equal(a.Listen.HTTPProxies, b.Listen.HTTPProxies) &&
		a.TLS.MinVersion == b.TLS.MinVersion && a.Listen.Cookies == b.Listen.Cookies && a.Listen.AltSvc == b.Listen.AltSvc && a.Cache.SharedAfter == b.Cache.SharedAfter &&
		slices.Equal(challengeProtocols(a), challengeProtocols(b)) && !sharesAnew(a, b)
}

// sharesAnew reports whether a UDP port of QUIC is to serve something else than it does: while it is open it cannot be opened.
func sharesAnew(a, b *config.Config) bool {
	before := endpoints(a)
	for _, e := range endpoints(b) {
		if e.transport != transports.HTTP3 && e.transport != transports.QUIC {
			continue
		}
		if slices.ContainsFunc(before, func(other endpoint) bool {
			isQUIC := other.transport == transports.HTTP3 || other.transport == transports.QUIC
			return isQUIC && other != e && other.addr == e.addr && e.addr.Port() != 0
		}) {
			return true
		}
	}
	return false
}

// challengeProtocols are those by which an ACME authority may ask.
func challengeProtocols(c *config.Config) []string {
	if len(c.TLS.ACME.Names) == 0 {
		return nil
	}
	return []string{certificate.ChallengeProtocol}
}

// Credentials are the certificates that are shown, followed for as long as they are.
type credentials struct {
	*certificate.Store
	stop context.CancelFunc
}

var errNothingToShow = errors.New("no encrypted transport is configured")

// certificate picks from the certificates that are shown now.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	shown := s.shown.Load()
	if shown == nil {
		return nil, errNothingToShow
	}
	return shown.Certificate(hello)
}

func (s *Server) answerChallenge(w http.ResponseWriter, r *http.Request) {
	if shown := s.shown.Load(); shown != nil {
		shown.ChallengeHandler().ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// obtain makes the certificates of c, or keeps those that are shown where they are the same, and with them the pin of a
// self-signed one. It returns nil where none is needed.
func (s *Server) obtain(c *config.Config) (*credentials, error) {
	if len(c.Listen.TLS)+len(c.Listen.HTTPS)+len(c.Listen.QUIC)+len(c.TLS.ACME.HTTP) == 0 {
		return nil, nil
	}
	if shown := s.shown.Load(); shown != nil && showTheSame(s.current.Load().config, c) {
		return shown, nil
	}
	store, err := newCertificates(c, s.env)
	if err != nil {
		return nil, err
	}
	return &credentials{store, func() {}}, nil
}

// show shows what was obtained, in place of what was shown.
func (s *Server) show(next *credentials) {
	before := s.shown.Swap(next)
	if before == next {
		return
	}
	if next != nil {
		ctx, cancel := context.WithCancel(context.Background())
		next.stop = cancel
		s.retired.Go(func() { next.Follow(ctx) })
	}
	if before != nil {
		before.stop()
	}
}

// Certificates says how those are that are shown; none without encrypted transports.
func (s *Server) Certificates() []certificate.Status { return s.shown.Load().list(s.env.Now()) }

func (c *credentials) list(now time.Time) []certificate.Status {
	if c == nil {
		return nil
	}
	return c.Status(now)
}

// An Endpoint is an address on which clients are listened to.
type Endpoint struct {
	Transport string // udp, tcp, tls, https, http3, quic
	Addr      netip.AddrPort
}

// Endpoints returns all of them, by transport in that order and then by address.
func (s *Server) Endpoints() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Endpoint
	for _, t := range transports.Transports() {
		first := len(list)
		for _, l := range s.listeners {
			for _, a := range l.Addrs(t) {
				list = append(list, Endpoint{t.String(), a})
			}
		}
		slices.SortFunc(list[first:], func(a, b Endpoint) int { return a.Addr.Compare(b.Addr) })
	}
	return list
}

// Addrs returns the addresses on which clients are listened to over UDP and TCP.
func (s *Server) Addrs() (udp, tcp []netip.AddrPort) {
	for _, e := range s.Endpoints() {
		switch e.Transport {
		case transports.UDP.String():
			udp = append(udp, e.Addr)
		case transports.TCP.String():
			tcp = append(tcp, e.Addr)
		}
	}
	return udp, tcp
}
