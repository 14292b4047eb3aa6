package testnet

import (
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// withSignatures copies an RRset, under the name that was asked for, and adds its signatures if they are wanted.
func (s *search) withSignatures(name string, set []dns.RR) []dns.RR {
	set = copies(set)
	g := s.zone.signer
	if g == nil || len(set) == 0 {
		return renamed(set, name)
	}
	flaws := g.flawsOf(rrsetID{dns.CanonicalName(set[0].Header().Name), set[0].Header().Rrtype})
	for _, f := range flaws {
		if f.data != nil {
			f.data(g, set)
		}
	}
	var signatures []dns.RR
	if s.signed {
		signatures = copies(g.signatures(set))
	}
	for _, f := range flaws {
		if f.altered != nil {
			f.altered(g, set)
		}
	}
	return renamed(append(set, signatures...), name)
}

func renamed(set []dns.RR, name string) []dns.RR {
	for _, rr := range set {
		rr.Header().Name = name
	}
	return set
}

// prove adds NSEC or NSEC3 records to the authority section, each once. Name is the one that they are about.
func (s *search) prove(name string, denial []dns.RR) {
	if s.zone.signer.has(withoutDenial, name, s.qtype) {
		return
	}
	for _, rr := range denial {
		if !holds(s.reply.Ns, rr) {
			s.reply.Ns = append(s.reply.Ns, s.withSignatures(rr.Header().Name, []dns.RR{rr})...)
		}
	}
}

// referSecurely adds the DS RRset to a referral, or the proof that there is none (RFC 4035 section 3.1.4).
func (s *search) referSecurely(cut string) {
	g := s.zone.signer
	if !s.signed || g.has(withoutDS, cut, s.qtype) {
		return
	}
	if set := s.zone.nodes[cut][dns.TypeDS]; set != nil {
		s.reply.Ns = append(s.reply.Ns, s.withSignatures(cut, set)...)
		return
	}
	s.prove(cut, g.noData(cut, cut))
}

// answerVirtual answers for types that stand in no node: NSEC, and RRSIG.
func (s *search) answerVirtual(name, owner string, found node) {
	g := s.zone.signer
	if g == nil || owner != dns.CanonicalName(name) {
		return
	}
	switch s.qtype {
	case dns.TypeNSEC:
		s.reply.Answer = append(s.reply.Answer, s.withSignatures(name, g.virtual(name))...)
	case dns.TypeRRSIG:
		for _, t := range slices.Sorted(maps.Keys(found)) {
			s.reply.Answer = append(s.reply.Answer, renamed(copies(g.signatures(found[t])), name)...)
		}
	}
}

// replay finds a wildcard that has a type, anywhere above a name, whatever there is in between.
func (z *Zone) replay(owner string, n node, t uint16) (wildcard string, found node) {
	for at := owner; at != z.origin; {
		at = parent(at)
		if other := z.nodes[below("*", at)]; other[t] != nil {
			return below("*", at), other
		}
	}
	return owner, n
}
