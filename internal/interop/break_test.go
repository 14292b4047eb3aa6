//go:build interop

package interop

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A way is one way for a signed zone to be broken, and what a validator has to make of it.
type way struct {
	label  string
	asked  string // below the apex; of type A
	rcode  int
	codes  []uint16 // extended errors, one of which has to be there (RFC 8914 section 4); none: AD has to be set
	how    func(*signing)
	spoil  func(s *signedZone, ring *keyRing) error
	edit   edit
	weak   []uint8  // algorithms in place of the usual ones
	only   []denial // empty: all
	doubts bool     // insecure, not bogus
}

// The codes of RFC 8914 and of the IANA registry.
const (
	unsupportedAlgorithm  = dns.ExtendedErrorCodeUnsupportedDNSKEYAlgorithm
	unsupportedDigest     = dns.ExtendedErrorCodeUnsupportedDSDigestType
	bogus                 = dns.ExtendedErrorCodeDNSBogus
	expired               = dns.ExtendedErrorCodeSignatureExpired
	notYetValid           = dns.ExtendedErrorCodeSignatureNotYetValid
	missingKey            = dns.ExtendedErrorCodeDNSKEYMissing
	missingSignatures     = dns.ExtendedErrorCodeRRSIGsMissing
	missingDenial         = dns.ExtendedErrorCodeNSECMissing
	unsupportedIterations = 27
)

// ways are the twelve of them, before them zones in which nothing is wrong (nor is it the tools that break things), and
// after them what cannot be checked.
func ways() []way {
	const fails = dns.RcodeServerFailure
	hashed := []denial{nsec3, nsec3OptOut}
	return []way{
		{label: "intact", asked: "www."},
		{label: "signed again", asked: "www.", spoil: signAgain},
		{label: "relayed", asked: "www.lower.", edit: func(*middle, *zone, *dns.Msg) error { return nil }},
		{label: "expired", asked: "www.", rcode: fails, codes: []uint16{expired}, how: func(s *signing) {
			s.dates = []string{"-s", "20250101000000", "-e", "20250201000000"}
		}},
		{label: "not yet valid", asked: "www.", rcode: fails, codes: []uint16{notYetValid}, how: func(s *signing) {
			s.dates = []string{"-s", "+2592000", "-e", "+2592000"}
		}},
		{label: "wrong key", asked: "www.", rcode: fails, codes: []uint16{bogus, missingKey}, spoil: signWithUnknownKey},
		{label: "missing RRSIG", asked: "www.", rcode: fails, codes: []uint16{missingSignatures}, spoil: dropSignature},
		{label: "missing NSEC", asked: "nobody.", rcode: fails, codes: []uint16{missingDenial}, spoil: dropDenials},
		{label: "altered rdata", asked: "www.", rcode: fails, codes: []uint16{bogus}, spoil: alterAddress},
		{label: "DS mismatch", asked: "www.", rcode: fails, codes: []uint16{bogus, missingKey}, how: func(s *signing) { s.forgedDS = true }},
		{label: "Labels too small", asked: "www.", rcode: fails, codes: []uint16{bogus}, spoil: signAboveZone},
		{label: "next name outside", asked: "nobody.", rcode: fails, codes: []uint16{bogus, missingDenial}, only: []denial{nsec}, spoil: pointOutside},
		{label: "hash outside", asked: "nobody.", rcode: fails, codes: []uint16{bogus, missingDenial}, only: hashed, edit: moveHashes},
		{label: "wildcard replayed", asked: "host.wild.", rcode: fails, codes: []uint16{bogus, missingDenial}, edit: replayWildcard},
		{label: "stripped DS proof", asked: "www.lower.", rcode: fails, codes: []uint16{bogus, missingSignatures, missingDenial}, edit: stripProof},
		{label: "iterations 2500", asked: "nobody.", rcode: dns.RcodeNameError, codes: []uint16{unsupportedIterations}, only: hashed, doubts: true, how: func(s *signing) {
			s.iterations, s.signer, s.single = 2500, knotSigner, false
		}},
		{label: "Ed448", asked: "www.", codes: []uint16{unsupportedAlgorithm}, weak: []uint8{dns.ED448}, doubts: true},
		{label: "SHA-1", asked: "www.", codes: []uint16{unsupportedAlgorithm}, weak: []uint8{dns.RSASHA1NSEC3SHA1}, doubts: true},
		{label: "digest 250", asked: "www.", codes: []uint16{unsupportedDigest}, doubts: true, how: func(s *signing) { s.digests = []uint8{250} }},
	}
}

// rrset finds records of the signed zone.
func (s *signedZone) rrset(owner name, t uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range s.rrs {
		if rr.Header().Rrtype == t && mustName(rr.Header().Name) == owner {
			out = append(out, rr)
		}
	}
	return out
}

// dropSignatures removes the signatures over the types given, at one owner or at all.
func (s *signedZone) dropSignatures(owner name, types ...uint16) {
	s.rrs = slices.DeleteFunc(s.rrs, func(rr dns.RR) bool {
		sig, ok := rr.(*dns.RRSIG)
		return ok && slices.Contains(types, sig.TypeCovered) && (owner == "" || mustName(sig.Hdr.Name) == owner)
	})
}

// contentsKey is the key that signs the zone's contents.
func (z *zone) contentsKey() *key { return z.signing.keys[len(z.signing.keys)-1] }

// resign puts a new signature in place of the old ones.
func (s *signedZone) resign(owner name, t uint16, k *key) error {
	s.dropSignatures(owner, t)
	sig, err := k.signWith(s.apex, s.rrset(owner, t))
	s.rrs = append(s.rrs, sig)
	return err
}

func signAgain(s *signedZone, _ *keyRing) error {
	return s.resign(s.sub("www"), dns.TypeA, s.contentsKey())
}

func signWithUnknownKey(s *signedZone, ring *keyRing) error {
	return s.resign(s.sub("www"), dns.TypeA, ring.spare)
}

func dropSignature(s *signedZone, _ *keyRing) error {
	s.dropSignatures(s.sub("www"), dns.TypeA)
	return nil
}

func dropDenials(s *signedZone, _ *keyRing) error {
	types := []uint16{dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM}
	s.dropSignatures("", types...)
	s.rrs = slices.DeleteFunc(s.rrs, func(rr dns.RR) bool { return slices.Contains(types, rr.Header().Rrtype) })
	return nil
}

func alterAddress(s *signedZone, _ *keyRing) error {
	for _, rr := range s.rrset(s.sub("www"), dns.TypeA) {
		rr.(*dns.A).A = net.IPv4(192, 0, 2, 66)
	}
	return nil
}

// signAboveZone signs the RRset as if it came from a wildcard right below the parent's apex: the signature is good, but
// its Labels are fewer than the zone has, and no zone may sign for what lies above it (RFC 4035 section 5.3.1).
func signAboveZone(s *signedZone, _ *keyRing) error {
	owner := s.sub("www")
	var above []dns.RR
	for _, rr := range s.rrset(owner, dns.TypeA) {
		rr = dns.Copy(rr)
		rr.Header().Name = s.apex.parent().wildcard().String()
		above = append(above, rr)
	}
	s.dropSignatures(owner, dns.TypeA)
	sig, err := s.contentsKey().signWith(s.apex, above)
	sig.Hdr.Name = owner.String()
	s.rrs = append(s.rrs, sig)
	return err
}

// pointOutside lets the first NSEC RR reach beyond the zone, over everything in it.
func pointOutside(s *signedZone, _ *keyRing) error {
	for _, rr := range s.rrset(s.apex, dns.TypeNSEC) {
		rr.(*dns.NSEC).NextDomain = "zz."
	}
	return s.resign(s.apex, dns.TypeNSEC, s.contentsKey())
}

// moveHashes is the same for NSEC3, whose next hash cannot point anywhere else: the hashed owners get one label more.
func moveHashes(_ *middle, z *zone, reply *dns.Msg) error {
	var out []dns.RR
	for _, rr := range reply.Ns {
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == dns.TypeNSEC3 {
			continue
		}
		out = append(out, rr)
		if rr.Header().Rrtype == dns.TypeNSEC3 {
			hash, _, _ := strings.Cut(rr.Header().Name, ".")
			rr.Header().Name = hash + ".moved." + z.apex.String()
			sig, err := z.contentsKey().signWith(z.apex, []dns.RR{rr})
			if err != nil {
				return err
			}
			out = append(out, sig)
		}
	}
	reply.Ns = out
	return nil
}

// replayWildcard answers for a name that exists with what the wildcard beside it gives to names that do not.
func replayWildcard(m *middle, z *zone, reply *dns.Msg) error {
	qname := reply.Question[0].Name
	if mustName(qname) != z.sub("host.wild") || reply.Question[0].Qtype != dns.TypeA {
		return nil
	}
	query := new(dns.Msg).SetQuestion(z.sub("nobody.wild").String(), dns.TypeA)
	other, err := m.ask(query.SetEdns0(dns.MaxMsgSize-1, true))
	if err != nil {
		return err
	}
	for _, rr := range other.Answer {
		rr.Header().Name = qname
	}
	reply.Answer, reply.Ns = other.Answer, other.Ns
	return nil
}

// stripProof makes a secure delegation look like one to an unsigned zone: no DS, no proof that there is none, and no
// signatures below.
func stripProof(_ *middle, z *zone, reply *dns.Msg) error {
	child := z.sub("lower")
	if !mustName(reply.Question[0].Name).isAtOrBelow(child) {
		return nil
	}
	unsigned := func(rr dns.RR) bool {
		switch rr.Header().Rrtype {
		case dns.TypeDS, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeDNSKEY:
			return true
		}
		return false
	}
	reply.Answer, reply.Ns = slices.DeleteFunc(reply.Answer, unsigned), slices.DeleteFunc(reply.Ns, unsigned)
	return nil
}

// zoneLabel is the first label of the zone that is broken in this way.
func (w *way) zoneLabel(algorithm uint8, d denial) string {
	return fmt.Sprintf("%s-%s%d", strings.ReplaceAll(strings.ToLower(w.label), " ", "-"), []string{"n", "h", "o"}[d], algorithm)
}
