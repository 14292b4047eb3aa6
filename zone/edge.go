package zone

import (
	"net/netip"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Edge sets are what a proxied name has in the place of its addresses.
type edgeSets struct {
	v4, v6 []netip.Addr
	alpn   []string
}

const typeHTTPS wire.Type = 65

func newEdgeSets(o *Options, s *Settings) edgeSets {
	addresses := o.Edge.Addresses
	if len(s.Edge) > 0 {
		addresses = s.Edge
	}
	e := edgeSets{alpn: o.Edge.ALPN}
	for _, a := range addresses {
		if a = a.Unmap(); a.Is4() {
			e.v4 = append(e.v4, a)
		} else {
			e.v6 = append(e.v6, a)
		}
	}
	return e
}

func (e *edgeSets) isNowhere() bool { return len(e.v4)+len(e.v6) == 0 }

// replace takes the address and CNAME records away from the sets of a name, and puts the edge in their place: both families
// whatever the records had, unless a record asks for one. HTTPS records that the operator wrote stay.
func (e *edgeSets) replace(sets []made, marks recordMark) []made {
	kept := sets[:0]
	explicit := false
	for _, m := range sets {
		if proxiable(m.kind) {
			continue
		}
		explicit = explicit || m.kind == typeHTTPS
		kept = append(kept, m)
	}
	v4, v6 := e.v4, e.v6
	switch {
	case marks&recordIPv4Only != 0:
		v6 = nil
	case marks&recordIPv6Only != 0:
		v4 = nil
	}
	kept = appendAddresses(kept, wire.TypeA, v4)
	kept = appendAddresses(kept, wire.TypeAAAA, v6)
	if rdata := e.https(v4, v6); rdata != nil && !explicit {
		kept = append(kept, made{kind: typeHTTPS, ttl: automaticTTL, data: wire.Rdatas(nil).Add(rdata)})
	}
	return kept
}

func appendAddresses(sets []made, kind wire.Type, addresses []netip.Addr) []made {
	if len(addresses) == 0 {
		return sets
	}
	m := made{kind: kind, ttl: automaticTTL}
	for _, a := range addresses {
		m.data = m.data.Add(a.AsSlice())
	}
	return append(sets, m)
}

// https makes the RDATA of the HTTPS record of a proxied name (RFC 9460 section 9): the edge under the same name, the protocols
// that it speaks, and its addresses. It is nil where the edge has none of either.
func (e *edgeSets) https(v4, v6 []netip.Addr) []byte {
	if len(e.alpn) == 0 || len(v4)+len(v6) == 0 {
		return nil
	}
	rr := &dns.HTTPS{SVCB: dns.SVCB{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeHTTPS, Class: dns.ClassINET}, Priority: 1, Target: ".",
		Value: []dns.SVCBKeyValue{&dns.SVCBAlpn{Alpn: e.alpn}},
	}}
	if len(v4) > 0 {
		hint := new(dns.SVCBIPv4Hint)
		for _, a := range v4 {
			hint.Hint = append(hint.Hint, a.AsSlice())
		}
		rr.Value = append(rr.Value, hint)
	}
	if len(v6) > 0 {
		hint := new(dns.SVCBIPv6Hint)
		for _, a := range v6 {
			hint.Hint = append(hint.Hint, a.AsSlice())
		}
		rr.Value = append(rr.Value, hint)
	}
	buf := make([]byte, 4096)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil // the configuration has checked the protocols
	}
	const header = 1 + 2 + 2 + 4 + 2
	return buf[header:end:end]
}
