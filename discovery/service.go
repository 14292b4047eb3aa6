package discovery

import (
	"net/netip"
	"slices"
	"strings"

	"tacit/internal/wire"
)

// A Service is what clients can reach: made from the listeners and the certificate.
type Service struct {
	Name wire.Name // authentication domain name (RFC 9499 section 7); the root: none, there are only addresses

	// Where the transports listen, wildcards replaced by the addresses that they stand for. Empty: not served.
	UDP, TCP, TLS, HTTPS, HTTP3, QUIC []netip.AddrPort

	Path string // of DNS over HTTPS; empty: /dns-query

	Proof Proof
	Info  Info
}

// Info is what RESINFO says of a resolver (RFC 9606 section 5).
type Info struct {
	Minimises bool       // asks with QNAME minimisation (RFC 9156)
	Validates bool       // DNSSEC; for stamps, RESINFO has no key for it
	Errors    []wire.EDE // that answers may carry
	URL       string     // for people; https
}

// A Proof is what clients know the service by.
type Proof struct {
	Trust     Trust
	Names     []string     // of the certificate, perhaps with a wildcard
	Addresses []netip.Addr // of the certificate
	Pins      []string     // SHA-256 of the public key in base64 (RFC 7858 section 4.2)
	CAFile    string       // the authority's certificate, where it is known and not public
}

// Trust says who stands behind a certificate.
type Trust uint8

// Grades of trust.
const (
	Unknown    Trust = iota // nobody has looked
	SelfSigned              // nobody does
	Authority               // a public or local authority
)

const defaultPath = "/dns-query"

// Default ports: a client that is told no other takes these (RFC 9461 section 4.2).
const (
	portDNS   = 53
	portTLS   = 853 // of DNS over QUIC, too (RFC 9250 section 4.1.1)
	portHTTPS = 443
)

func (s *Service) path() string {
	if s.Path == "" {
		return defaultPath
	}
	return s.Path
}

// host is the name without its final dot, empty where there is none.
func (s *Service) host() string {
	if s.Name.IsRoot() {
		return ""
	}
	return strings.TrimSuffix(s.Name.Reveal(), ".")
}

// provesName reports whether a client that knows the name will accept the certificate.
func (s *Service) provesName() bool {
	if s.Name.IsRoot() || s.Proof.Trust != Authority {
		return false
	}
	host := s.host()
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(s.Proof.Names, func(n string) bool {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		return n == host || n == "*."+parent && parent != "" // RFC 9525 section 6.3
	})
}

// provesAddress reports whether the certificate holds an address of the unencrypted resolver: by that alone a client that
// knows no name can tell that the two are one (RFC 9462 section 4.2).
func (s *Service) provesAddress() bool {
	return slices.ContainsFunc(s.plain(), func(e netip.AddrPort) bool { return slices.Contains(s.Proof.Addresses, e.Addr()) })
}

// plain lists where DNS without encryption is answered.
func (s *Service) plain() []netip.AddrPort {
	list := slices.Clone(s.UDP)
	for _, e := range s.TCP {
		if !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// offered are those that clients are told. Where other machines can reach the service, a loopback address would send them
// to themselves.
func offered(list []netip.AddrPort) []netip.AddrPort {
	if far := distant(list); len(far) > 0 {
		return far
	}
	return list
}

// distant are those that other machines can reach.
func distant(list []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(list), func(e netip.AddrPort) bool { return e.Addr().IsLoopback() })
}

// addresses are those of endpoints, each once, IPv4 and IPv6 as they come.
func addresses(lists ...[]netip.AddrPort) []netip.Addr {
	var all []netip.Addr
	for _, e := range slices.Concat(lists...) {
		if !slices.Contains(all, e.Addr()) {
			all = append(all, e.Addr())
		}
	}
	return all
}

func ofFamily(list []netip.Addr, f family) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return a.Is4() != (f == ipv4) })
}

// A family of addresses.
type family uint8

const (
	ipv4 family = iota
	ipv6
)

// octets are addresses one after the other.
func octets(list []netip.Addr) []byte {
	var b []byte
	for _, a := range list {
		b = append(b, a.AsSlice()...)
	}
	return b
}
