package testnet

import (
	"encoding/base64"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Flaw is one way in which a signed zone is broken. Signing.Flaws and World.Spoil take any number of them. Which
// RRsets it is about, its comment says; At says otherwise.
type Flaw struct {
	where func(id rrsetID) bool

	data    func(g *signer, set []dns.RR)                      // what is signed is wrong
	header  func(g *signer, sig *dns.RRSIG, epoch time.Time)   // the signature covers a wrong header
	key     func(g *signer, k *Key) *Key                       // another key signs
	instead func(g *signer, set, signatures []dns.RR) []dns.RR // other signatures are sent
	altered func(g *signer, set []dns.RR)                      // what is sent is not what was signed
	keys    func(g *signer, set []dns.RR) []dns.RR             // the DNSKEY RRset
	ds      func(g *signer, set []dns.RR) []dns.RR             // the DS RRset in the zone above
	answer  answerFlaw
}

// An answerFlaw is wrong in the composition of answers rather than in records.
type answerFlaw uint8

const (
	wholeAnswer answerFlaw = iota
	withoutDenial
	withoutDS
	replayedWildcard
	revokedKeys
)

// At limits a flaw to one RRset, as it stands in the zone (a wildcard under its own name); type 0 stands for all types.
// MissingNSEC, StrippedDSProof and WildcardReplayed go by the question instead, or by the zone cut. What concerns the
// keys and DS records of the zone as a whole has no place.
func (f Flaw) At(name string, t uint16) Flaw {
	name = dns.CanonicalName(name)
	f.where = func(id rrsetID) bool { return id.owner == name && (t == 0 || id.t == t) }
	return f
}

// Expired signs with signatures that ended two weeks ago.
func Expired() Flaw {
	return Flaw{header: func(_ *signer, sig *dns.RRSIG, epoch time.Time) { shift(sig, epoch, -4, -2) }}
}

// NotYetValid signs with signatures that begin in two weeks, from the time of signing.
func NotYetValid() Flaw {
	return Flaw{header: func(_ *signer, sig *dns.RRSIG, epoch time.Time) { shift(sig, epoch, 2, 4) }}
}

func shift(sig *dns.RRSIG, epoch time.Time, inception, expiration int) {
	const week = 7
	sig.Inception = uint32(epoch.AddDate(0, 0, inception*week).Unix())
	sig.Expiration = uint32(epoch.AddDate(0, 0, expiration*week).Unix())
}

// WrongKey signs all but the DNSKEY RRset with a key that is not in it.
func WrongKey() Flaw {
	const number = 1000 // no zone has so many
	return Flaw{where: exceptDNSKEY, key: func(g *signer, k *Key) *Key {
		return newKey(g, k.role, k.record.Algorithm, number)
	}}
}

// BadSignature changes one bit of the signatures of all but the DNSKEY RRset.
func BadSignature() Flaw {
	return Flaw{where: exceptDNSKEY, instead: func(_ *signer, _, signatures []dns.RR) []dns.RR {
		for _, rr := range signatures {
			sig := rr.(*dns.RRSIG)
			b, _ := base64.StdEncoding.DecodeString(sig.Signature) // was encoded by the signer
			b[len(b)/2] ^= 1
			sig.Signature = base64.StdEncoding.EncodeToString(b)
		}
		return signatures
	}}
}

// WrongSigner says that another zone signed all but the DNSKEY RRset.
func WrongSigner(zone string) Flaw {
	return Flaw{where: exceptDNSKEY, header: func(_ *signer, sig *dns.RRSIG, _ time.Time) { sig.SignerName = dns.CanonicalName(zone) }}
}

// LabelsTooSmall signs all but the DNSKEY RRset as if it were from a wildcard above the zone: RRSIG Labels is less than
// the number of labels of the signer. For the root that is not possible.
func LabelsTooSmall() Flaw {
	return Flaw{where: exceptDNSKEY, header: func(g *signer, sig *dns.RRSIG, _ time.Time) {
		sig.Labels = uint8(max(dns.CountLabel(g.origin)-1, 0))
	}}
}

// MissingRRSIG leaves out all signatures.
func MissingRRSIG() Flaw {
	return Flaw{instead: func(*signer, []dns.RR, []dns.RR) []dns.RR { return nil }}
}

// UnsignedDNSKEY leaves out the signatures of the DNSKEY RRset.
func UnsignedDNSKEY() Flaw {
	f := MissingRRSIG()
	f.where = func(id rrsetID) bool { return id.t == dns.TypeDNSKEY }
	return f
}

// MissingNSEC leaves out all NSEC and NSEC3 records with their signatures.
func MissingNSEC() Flaw { return Flaw{answer: withoutDenial} }

// StrippedDSProof leaves DS, and the proof that there is none, out of referrals.
func StrippedDSProof() Flaw { return Flaw{answer: withoutDS} }

// WildcardReplayed answers from a wildcard for names that exist, without the proof that there is no closer match.
func WildcardReplayed() Flaw { return Flaw{answer: replayedWildcard} }

// NextNameOutside lets NSEC records end behind the zone, properly signed. NSEC3 knows no such names.
func NextNameOutside() Flaw {
	return Flaw{data: func(g *signer, set []dns.RR) {
		for _, rr := range set {
			if n, ok := rr.(*dns.NSEC); ok {
				label, above, _ := strings.Cut(g.origin, ".")
				n.NextDomain = label + "z." + above
			}
		}
	}}
}

// AlteredRDATA changes A, AAAA, TXT, MX, CNAME, NS, DS and SOA records after they were signed. An address becomes
// ForgedIPv4, which must never come out of a resolver.
func AlteredRDATA() Flaw {
	return Flaw{altered: func(_ *signer, set []dns.RR) {
		for _, rr := range set {
			alter(rr)
		}
	}}
}

func alter(rr dns.RR) {
	switch x := rr.(type) {
	case *dns.A:
		x.A = net.IP(ForgedIPv4.AsSlice())
	case *dns.AAAA:
		x.AAAA = append(net.IP(nil), x.AAAA...)
		x.AAAA[len(x.AAAA)-1] ^= 1
	case *dns.TXT:
		x.Txt = []string{"altered"}
	case *dns.MX:
		x.Preference++
	case *dns.CNAME:
		x.Target = below("altered", x.Target)
	case *dns.NS:
		x.Ns = below("altered", x.Ns)
	case *dns.DS:
		x.KeyTag++
	case *dns.SOA:
		x.Serial++
	}
}

// DSMismatch gives the DS records in the zone above wrong digests, properly signed.
func DSMismatch() Flaw {
	return Flaw{ds: func(_ *signer, set []dns.RR) []dns.RR {
		for _, rr := range set {
			ds := rr.(*dns.DS)
			ds.Digest = strings.Map(func(r rune) rune { return rune("123456789abcdef0"[strings.IndexRune("0123456789abcdef", r)]) }, ds.Digest)
		}
		return set
	}}
}

// RevokedKSK sets the REVOKE bit of all keys that have the SEP bit; they sign the DNSKEY RRset, and DS records match
// them as they are now. Such a key must not be used (RFC 5011 section 2.1).
func RevokedKSK() Flaw { return Flaw{answer: revokedKeys} }

func exceptDNSKEY(id rrsetID) bool { return id.t != dns.TypeDNSKEY }

// flawsOf are the flaws of an RRset.
func (g *signer) flawsOf(id rrsetID) []Flaw {
	var found []Flaw
	for _, f := range g.flaws {
		if f.where == nil || f.where(id) {
			found = append(found, f)
		}
	}
	return found
}

// has reports whether an answer has a flaw in its composition. A nil signer has none.
func (g *signer) has(a answerFlaw, name string, t uint16) bool {
	if g == nil {
		return false
	}
	for _, f := range g.flawsOf(rrsetID{dns.CanonicalName(name), t}) {
		if f.answer == a {
			return true
		}
	}
	return false
}
