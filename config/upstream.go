package config

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"tacit/internal/wire"
	"tacit/upstream"
)

// An Upstream is one of forward.upstreams: a recursive resolver, the way to it, and how it proves who it is.
type Upstream struct {
	Transport upstream.Transport // UDP: plain DNS
	Addr      netip.AddrPort
	Name      string         // that its certificate must have; empty: none is asked for
	Pins      []upstream.Pin // of which its key must be one
	Path      string         // of https
}

// NeedsRoots reports whether a certificate has to be vouched for: where a pin stands alone, none is looked at.
func (u *Upstream) NeedsRoots() bool {
	return u.Transport.Encrypted() && (u.Name != "" || len(u.Pins) == 0)
}

var (
	errScheme   = errors.New("is of no transport that there is: write an address for plain DNS, or tls://, https://, quic:// or odoh:// in front of it")
	errHostName = errors.New("names a host, whose address would have to be asked for in clear first: write the address, and the name behind it, as in tls://192.0.2.53#dns.example")
	errUpstream = errors.New("is not an upstream such as tls://192.0.2.53, https://192.0.2.53/dns-query or quic://[2001:db8::53]:853#dns.example")
	errBrackets = errors.New("has an IPv6 address without brackets: write [2001:db8::53]")
	errNoPath   = errors.New("has no path: write what the server's operator says, most often /dns-query")
	errPath     = errors.New("has a path that no server can have: it is /dns-query or the like, without ? and spaces")
	errVainPath = errors.New("has a path: only https:// and odoh:// have one")
	errIdentity = errors.New("says behind # neither a host name, such as dns.example, nor a pin, sha256/ and 44 characters of base64")
	errTwoNames = errors.New("has two names behind #: a certificate is checked for one")
)

// transportsOf are the schemes of upstreams and their ports (RFC 7858 section 3.1, RFC 8484, RFC 9250 section 4.1.1).
var transportsOf = map[string]struct {
	transport upstream.Transport
	port      uint16
}{"tls": {upstream.TLS, 853}, "https": {upstream.HTTPS, 443}, "quic": {upstream.QUIC, 853}, "odoh": {upstream.Oblivious, 443}}

// parseUpstream reads an address for plain DNS, or scheme://address:port/path#identity. It is no URL, if it looks like one: its
// host is an address, and behind # stands a list of what the server must prove, separated by commas.
func parseUpstream(s string) (Upstream, error) {
	scheme, rest, schemed := strings.Cut(s, "://")
	if !schemed {
		a, err := parseServer(s)
		return Upstream{Addr: a}, err
	}
	kind, ok := transportsOf[strings.ToLower(scheme)]
	if !ok {
		return Upstream{}, errScheme
	}
	rest, identity, identified := strings.Cut(rest, "#")
	host, path, _ := strings.Cut(rest, "/")
	u := Upstream{Transport: kind.transport}
	var err error
	if u.Addr, err = parseAuthority(host, kind.port); err != nil {
		return Upstream{}, err
	}
	if u.Path, err = parsePath(kind.transport, rest[len(host):], path); err != nil {
		return Upstream{}, err
	}
	if identified {
		err = u.identify(identity)
	}
	if err != nil {
		return Upstream{}, err
	}
	return u, nil
}

var errPrimary = errors.New("is of no transport for zones: write an address for TCP, or tls:// in front of it")

// parsePrimary reads where a zone is transferred from: as an upstream is written, over TCP or TLS.
func parsePrimary(s string) (Upstream, error) {
	u, err := parseUpstream(s)
	if err == nil && u.Transport != upstream.UDP && u.Transport != upstream.TLS {
		err = errPrimary
	}
	return u, err
}

// parseAuthority reads an address with or without a port.
func parseAuthority(s string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(s); err == nil && a.Port() != 0 {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
	}
	bare, inBrackets := strings.CutPrefix(s, "[")
	if inBrackets {
		bare, inBrackets = strings.CutSuffix(bare, "]")
	}
	a, err := netip.ParseAddr(bare)
	switch {
	case err == nil && a.Is4() && bare == s, err == nil && a.Is6() && inBrackets:
		return netip.AddrPortFrom(a.Unmap(), port), nil
	case err == nil && a.Is6() && bare == s:
		return netip.AddrPort{}, errBrackets
	case wire.IsHostName(strings.TrimRight(s, ":0123456789")):
		return netip.AddrPort{}, errHostName
	}
	return netip.AddrPort{}, errUpstream
}

// parsePath checks what stands behind the address: with is it with the slash, path without.
func parsePath(t upstream.Transport, with, path string) (string, error) {
	switch {
	case !isHTTP(t) && with != "":
		return "", errVainPath
	case !isHTTP(t):
		return "", nil
	case path == "":
		return "", errNoPath
	}
	u, err := url.ParseRequestURI(with)
	if err != nil || u.EscapedPath() != with || u.Path != with || strings.HasPrefix(path, "/") {
		return "", errPath // what is escaped would be escaped again
	}
	return with, nil
}

func isHTTP(t upstream.Transport) bool { return t == upstream.HTTPS || t == upstream.Oblivious }

// identify reads the names and pins that stand behind #.
func (u *Upstream) identify(list string) error {
	for part := range strings.SplitSeq(list, ",") {
		if text, ok := strings.CutPrefix(part, "sha256/"); ok {
			pin, err := base64.StdEncoding.Strict().DecodeString(text)
			if err != nil || len(pin) != sha256.Size || len(text) != base64.StdEncoding.EncodedLen(sha256.Size) {
				return errIdentity
			}
			u.Pins = append(u.Pins, upstream.Pin(pin))
			continue
		}
		switch {
		case !wire.IsHostName(part):
			return errIdentity
		case u.Name != "":
			return errTwoNames
		}
		u.Name = strings.ToLower(strings.TrimSuffix(part, "."))
	}
	return nil
}
