package testnet

import (
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// UDPSize is what servers advertise, and the largest answer that they send over UDP (RFC 9715 section 3.1).
const UDPSize = 1232

// Answer answers one question from the zone alone, whoever asks: with authority, with a referral, or with REFUSED for a
// name outside. The reply has an OPT record when the query has one. Whether it fits is the transport's affair.
func (z *Zone) Answer(q *dns.Msg) *dns.Msg {
	r := newReply(q)
	if len(q.Question) != 1 {
		r.Rcode = dns.RcodeFormatError
		return r
	}
	question := q.Question[0]
	if question.Qclass != dns.ClassINET || !dns.IsSubDomain(z.origin, question.Name) {
		r.Rcode = dns.RcodeRefused
		return r
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	s := search{zone: z, qtype: question.Qtype, reply: r, seen: make(map[string]bool)}
	if opt := q.IsEdns0(); opt != nil && z.signer != nil {
		s.signed, s.compact = opt.Do(), opt.Co()
	}
	s.run(question.Name)
	return r
}

// newReply is an empty reply with the header, question and EDNS that every reply has.
func newReply(q *dns.Msg) *dns.Msg {
	r := new(dns.Msg).SetReply(q)
	r.Compress = true
	if opt := q.IsEdns0(); opt != nil {
		r.SetEdns0(UDPSize, opt.Do())
	}
	return r
}

// A search is the work on one question.
type search struct {
	zone  *Zone
	qtype uint16
	reply *dns.Msg
	seen  map[string]bool // names that aliases have led through

	signed  bool // the zone is, and the client wants to know
	compact bool // the client knows NXNAME (RFC 9824 section 5.1)
}

// run follows aliases as long as they stay in the zone and do not come back (RFC 1034 section 3.6.2).
func (s *search) run(name string) {
	s.reply.Authoritative = true
	for name != "" && dns.IsSubDomain(s.zone.origin, name) && !s.seen[dns.CanonicalName(name)] {
		s.seen[dns.CanonicalName(name)] = true
		name = s.step(name)
	}
}

// step deals with one name and returns the target of its alias, if it has one.
func (s *search) step(name string) string {
	switch owner, t := s.zone.obstacle(name, s.qtype); t {
	case dns.TypeNS:
		s.refer(owner)
		return ""
	case dns.TypeDNAME:
		return s.substitute(name, owner)
	}
	owner, found := s.zone.match(name)
	if found != nil && s.zone.signer.has(replayedWildcard, name, s.qtype) {
		owner, found = s.zone.replay(owner, found, s.qtype)
	}
	if found == nil {
		s.denyName(name)
		return ""
	}
	return s.take(name, owner, found)
}

// obstacle returns the highest name on the way from the apex to name that ends the zone there (NS) or redirects all
// below it (DNAME). The DS RRset of a zone cut is the parent's (RFC 4035 section 3.1.4.1).
func (z *Zone) obstacle(name string, qtype uint16) (owner string, t uint16) {
	lower := dns.CanonicalName(name)
	for _, at := range z.path(lower) {
		n := z.nodes[at]
		switch {
		case n[dns.TypeNS] != nil && at != z.origin && (at != lower || qtype != dns.TypeDS):
			return at, dns.TypeNS
		case n[dns.TypeDNAME] != nil && at != lower:
			return at, dns.TypeDNAME
		}
	}
	return "", 0
}

// path is the names from the apex down to a name.
func (z *Zone) path(lower string) []string {
	path := []string{lower}
	for lower != z.origin {
		lower = parent(lower)
		path = append(path, lower)
	}
	slices.Reverse(path)
	return path
}

// match finds a name's node or, when there is none, the wildcard's at the closest encloser (RFC 4592 section 3.3.1), and
// says whose it is.
func (z *Zone) match(name string) (owner string, found node) {
	at := dns.CanonicalName(name)
	if n := z.nodes[at]; n != nil {
		return at, n
	}
	for at != z.origin && z.nodes[at] == nil {
		at = parent(at)
	}
	at = below("*", at)
	return at, z.nodes[at]
}

// take puts what a name holds into the answer.
func (s *search) take(name, owner string, found node) string {
	if alias := found[dns.TypeCNAME]; alias != nil && s.qtype != dns.TypeCNAME && !isMeta(s.qtype) {
		s.answer(name, owner, alias)
		return alias[0].(*dns.CNAME).Target
	}
	before := len(s.reply.Answer)
	for _, t := range slices.Sorted(maps.Keys(found)) {
		if t == s.qtype || s.qtype == dns.TypeANY {
			s.answer(name, owner, found[t])
		}
	}
	s.answerVirtual(name, owner, found)
	if len(s.reply.Answer) == before {
		s.denyType(name, owner)
	}
	if s.qtype == dns.TypeNS {
		s.glue(found[dns.TypeNS])
	}
	return ""
}

// isMeta reports whether a type can stand beside CNAME (RFC 4035 section 2.5), or asks for all of them.
func isMeta(t uint16) bool { return t == dns.TypeANY || t == dns.TypeRRSIG || t == dns.TypeNSEC }

// answer adds an RRset under the name that was asked for: that of a wildcard takes it over, and for others it keeps
// the letter case of the query, which is what compression makes of it on real servers.
func (s *search) answer(name, owner string, set []dns.RR) {
	expanded := owner != dns.CanonicalName(name)
	if g := s.zone.signer; expanded && g != nil && g.Denial == Compact {
		set = renamed(copies(set), dns.CanonicalName(name))
	}
	s.reply.Answer = append(s.reply.Answer, s.withSignatures(name, set)...)
	if expanded && s.signed && s.zone.nodes[dns.CanonicalName(name)] == nil { // not replayed
		s.prove(name, s.zone.signer.noCloserMatch(name, owner))
	}
}

// substitute is RFC 6672 section 3.1 and 5.3.1: the DNAME, and a CNAME made from it.
func (s *search) substitute(name, owner string) string {
	set := s.zone.nodes[owner][dns.TypeDNAME]
	s.reply.Answer = append(s.reply.Answer, s.withSignatures(owner, set)...)
	alias := &dns.CNAME{
		Hdr:    dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: set[0].Header().Ttl},
		Target: graft(name[:len(name)-len(owner)], owner, set[0].(*dns.DNAME).Target),
	}
	if _, ok := dns.IsDomainName(alias.Target); !ok {
		s.reply.Rcode = dns.RcodeYXDomain
		return ""
	}
	s.reply.Answer = append(s.reply.Answer, alias)
	if s.qtype == dns.TypeCNAME || s.qtype == dns.TypeANY {
		return ""
	}
	return alias.Target
}

// graft puts the labels that stood below owner under target.
func graft(labels, owner, target string) string {
	if owner == "." {
		labels += "."
	}
	if target == "." {
		return labels
	}
	return labels + target
}

// denyName says that a name does not exist. After an alias, the RCODE is that of the last name (RFC 6604 section 3). With
// compact denial it exists for those who look at signatures only (RFC 9824 section 5).
func (s *search) denyName(name string) {
	s.negative()
	if !s.signed || s.zone.signer.Denial != Compact || s.compact {
		s.reply.Rcode = dns.RcodeNameError
	}
	if s.signed {
		s.prove(name, s.zone.signer.noName(name))
	}
}

// denyType says that a name has no such type.
func (s *search) denyType(name, owner string) {
	s.negative()
	if s.signed {
		s.prove(name, s.zone.signer.noData(name, owner))
	}
}

// negative adds the SOA with the negative TTL (RFC 2308 section 3).
func (s *search) negative() {
	soa := s.zone.nodes[s.zone.origin][dns.TypeSOA]
	for _, rr := range s.withSignatures(s.zone.origin, soa) {
		rr.Header().Ttl = min(rr.Header().Ttl, soa[0].(*dns.SOA).Minttl)
		s.reply.Ns = append(s.reply.Ns, rr)
	}
}

// refer is a referral. AA speaks of the first owner name of the answer (RFC 1035 section 4.1.1), so that it stays when
// an alias led here.
func (s *search) refer(cut string) {
	s.reply.Authoritative = len(s.reply.Answer) > 0
	set := s.zone.nodes[cut][dns.TypeNS]
	s.reply.Ns = append(s.reply.Ns, copies(set)...)
	s.referSecurely(cut)
	s.glue(set)
}

// glue adds the addresses that the zone holds for name servers (RFC 9471).
func (s *search) glue(servers []dns.RR) {
	for _, rr := range servers {
		n := s.zone.nodes[dns.CanonicalName(rr.(*dns.NS).Ns)]
		s.extra(n[dns.TypeA])
		s.extra(n[dns.TypeAAAA])
	}
}

// extra adds to the additional section, in front of the OPT record.
func (s *search) extra(set []dns.RR) {
	at := len(s.reply.Extra)
	if s.reply.IsEdns0() != nil {
		at--
	}
	s.reply.Extra = slices.Insert(s.reply.Extra, at, copies(set)...)
}
