package server

import (
	"net/netip"
	"slices"

	"tacit/certificate"
	"tacit/config"
	"tacit/discovery"
	"tacit/internal/wire"
	"tacit/policy"
	"tacit/transports"
)

// Describe says what clients can reach on this machine with a configuration and the certificates that are shown with it.
func Describe(c *config.Config, shown []certificate.Status) discovery.Service {
	return describeService(c, proofOf(c, shown), interfaceAddresses)
}

// proofOf is what clients can know tacit by: the certificate for the name that it is announced with, or else the one that is
// shown to whoever asks for none.
func proofOf(c *config.Config, shown []certificate.Status) discovery.Proof {
	usable := slices.DeleteFunc(slices.Clone(shown), func(s certificate.Status) bool {
		return s.State == certificate.Awaited || s.State == certificate.Expired || s.State == certificate.Early
	})
	if len(usable) == 0 {
		return discovery.Proof{}
	}
	best := usable[0]
	if name := hostNames(c, "")[0]; !c.Listen.Name.IsRoot() {
		if i := slices.IndexFunc(usable, func(s certificate.Status) bool { return slices.Contains(s.Names, name) }); i >= 0 {
			best = usable[i]
		}
	}
	trust := discovery.Authority
	if best.SelfSigned {
		trust = discovery.SelfSigned
	}
	return prove(trust, best.Names, best.Pin)
}

// describeService makes a service of the listeners. Interfaces are asked for where one listens on all addresses.
func describeService(c *config.Config, p discovery.Proof, interfaces func() []netip.Addr) discovery.Service {
	l := &c.Listen
	expand := func(list []netip.AddrPort) []netip.AddrPort { return reachable(list, interfaces) }
	return discovery.Service{
		Name: l.Name, UDP: expand(l.UDP), TCP: expand(l.TCP), TLS: expand(l.TLS), QUIC: expand(l.QUIC),
		HTTPS: expand(l.HTTPS), HTTP3: expand(l.HTTPS), Path: transports.Path, Proof: p,
		Info: discovery.Info{Minimises: minimises(c), Validates: c.DNSSEC.Validate, Errors: explained(c), URL: l.InfoURL},
	}
}

// reachable lists the endpoints that can be told to somebody: not a port that is chosen at the start, and not a link-local
// address, which says nothing without an interface.
func reachable(list []netip.AddrPort, interfaces func() []netip.Addr) []netip.AddrPort {
	var all []netip.AddrPort
	add := func(a netip.Addr, port uint16) {
		if e := netip.AddrPortFrom(a.Unmap(), port); !a.IsLinkLocalUnicast() && port != 0 && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	for _, e := range list {
		if !e.Addr().IsUnspecified() {
			add(e.Addr(), e.Port())
			continue
		}
		for _, a := range interfaces() {
			if a.Is4() == e.Addr().Is4() {
				add(a, e.Port())
			}
		}
	}
	return all
}

// prove makes a proof of the names of a certificate, among which addresses are.
func prove(trust discovery.Trust, names []string, pins ...string) discovery.Proof {
	p := discovery.Proof{Trust: trust, Pins: pins}
	for _, n := range names {
		if a, err := netip.ParseAddr(n); err == nil {
			p.Addresses = append(p.Addresses, a.Unmap())
		} else {
			p.Names = append(p.Names, n)
		}
	}
	return p
}

// minimises reports whether names are minimised on their way: who forwards everything shows them whole.
func minimises(c *config.Config) bool {
	return c.Recursion.Minimisation != config.Off && !slices.ContainsFunc(c.Forwards, func(f config.Forward) bool {
		return f.Zone.IsRoot() && !f.First
	})
}

// explained are the extended errors that answers may carry (RFC 9606 section 5: exterr).
func explained(c *config.Config) []wire.EDE {
	list := []wire.EDE{
		wire.EDEOther, wire.EDECachedError, wire.EDEProhibited, wire.EDENotAuthoritative, wire.EDENoReachableAuthority,
		wire.EDENetworkError, wire.EDEInvalidData,
	}
	if c.Cache.ServeStale {
		list = append(list, wire.EDEStaleAnswer, wire.EDEStaleNXDomain)
	}
	if !c.DNSSEC.Validate {
		return list
	}
	list = append(list,
		wire.EDEUnsupportedDNSKEY, wire.EDEUnsupportedDSDigest, wire.EDEIndeterminate, wire.EDEBogus, wire.EDESignatureExpired,
		wire.EDESignatureNotYetValid, wire.EDEDNSKEYMissing, wire.EDERRSIGsMissing, wire.EDENSECMissing,
		wire.EDEUnsupportedNSEC3Iteration)
	if c.DNSSEC.Aggressive {
		list = append(list, wire.EDESynthesized)
	}
	return list
}

// ownAnswers are what the resolver says of itself.
func ownAnswers(s discovery.Service) []policy.Own {
	var own []policy.Own
	for _, a := range s.Answers() {
		own = append(own, policy.Own{Set: a.Set, Additional: a.Additional})
	}
	return own
}
