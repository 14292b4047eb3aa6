package testnet_test

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

var algorithms = []uint8{
	dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519,
}

// signedQuery is a question of a validator.
func signedQuery(name string, qtype uint16) *dns.Msg {
	q := plainQuery(name, qtype)
	q.SetEdns0(testnet.UDPSize, true)
	return q
}

// Mixed letter case in names and RDATA, records out of order, and a duplicate that differs in letter case only.
const mixed = `
	@       MX   20 Mail
	@       MX   10 mail.Other.test.
	www     A    203.0.113.81
	WWW     A    203.0.113.80
	_x._tcp SRV  0 0 5 Www
	naptr   NAPTR 100 10 "U" "E2U+sip" "!^.*$!sip:a@shop.example!" .
	text    TXT  "Letter Case" "is kept"
	alias   CNAME WWW
	rp      RP   Root.Example. Text
	*.Wild  TXT  w
`

// RFC 4034 section 3.1.8.1 and section 6: what is signed, in canonical form and order. The oracle is the verifier of
// another library.
func TestSignaturesVerify(t *testing.T) {
	for _, algorithm := range algorithms {
		for _, split := range []bool{false, true} {
			t.Run(fmt.Sprint(dns.AlgorithmToString[algorithm], split), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					z := testnet.MustZone("Shop.example.", mixed)
					z.Sign(testnet.Signing{Algorithm: algorithm, Split: split})
					for _, q := range []struct {
						name  string
						qtype uint16
					}{
						{"shop.example.", dns.TypeDNSKEY},
						{"shop.example.", dns.TypeSOA},
						{"sHop.example.", dns.TypeMX},
						{"www.shop.example.", dns.TypeA},
						{"_x._tcp.shop.example.", dns.TypeSRV},
						{"naptr.shop.example.", dns.TypeNAPTR},
						{"text.shop.example.", dns.TypeTXT},
						{"alias.shop.example.", dns.TypeA},
						{"rp.shop.example.", dns.TypeRP},
						{"a.B.wild.shop.example.", dns.TypeTXT},
						{"none.shop.example.", dns.TypeA},
						{"www.shop.example.", dns.TypeTXT},
					} {
						verify(t, z, z.Answer(signedQuery(q.name, q.qtype)))
					}
				})
			})
		}
	}
}

// verify checks the signatures of all RRsets of a reply, except those that are not signed: NS at a zone cut, and the
// CNAME that a DNAME makes.
func verify(t *testing.T, z *testnet.Zone, r *dns.Msg) {
	t.Helper()
	sets := rrsets(r)
	if len(sets) == 0 {
		t.Errorf("%v: no records", r.Question)
	}
	for id, set := range sets {
		delegation := strings.HasSuffix(id, " NS") && !strings.EqualFold(set[0].Header().Name, z.Origin())
		_, synthesised := sets[ancestorDNAME(sets, set[0].Header().Name)]
		if delegation || strings.HasSuffix(id, " CNAME") && synthesised {
			if signaturesOf(r, set) != nil {
				t.Errorf("%s is signed", id)
			}
			continue
		}
		if err := verifySet(z, set, signaturesOf(r, set)); err != nil {
			t.Errorf("%v: %s: %v", r.Question, id, err)
		}
	}
}

func ancestorDNAME(sets map[string][]dns.RR, name string) string {
	for id := range sets {
		if owner, ok := strings.CutSuffix(id, " DNAME"); ok && dns.IsSubDomain(owner, name) {
			return id
		}
	}
	return ""
}

func rrsets(r *dns.Msg) map[string][]dns.RR {
	sets := make(map[string][]dns.RR)
	for _, rr := range slices.Concat(r.Answer, r.Ns) {
		if t := rr.Header().Rrtype; t != dns.TypeRRSIG {
			id := rr.Header().Name + " " + dns.TypeToString[t]
			sets[id] = append(sets[id], rr)
		}
	}
	return sets
}

func signaturesOf(r *dns.Msg, set []dns.RR) []*dns.RRSIG {
	var found []*dns.RRSIG
	for _, rr := range slices.Concat(r.Answer, r.Ns) {
		h := set[0].Header()
		if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == h.Rrtype && sig.Hdr.Name == h.Name {
			found = append(found, sig)
		}
	}
	return found
}

// verifySet wants each signature to be right, and at least one.
func verifySet(z *testnet.Zone, set []dns.RR, signatures []*dns.RRSIG) error {
	if len(signatures) == 0 {
		return fmt.Errorf("not signed")
	}
	for _, sig := range signatures {
		if !sig.ValidityPeriod(time.Now()) {
			return fmt.Errorf("not valid at %v", time.Now())
		}
		if !slices.ContainsFunc(keysOf(z, sig), func(k *dns.DNSKEY) bool { return sig.Verify(k, set) == nil }) {
			return fmt.Errorf("no key with tag %d verifies it", sig.KeyTag)
		}
	}
	return nil
}

func keysOf(z *testnet.Zone, sig *dns.RRSIG) []*dns.DNSKEY {
	var keys []*dns.DNSKEY
	for _, rr := range z.Records(z.Origin(), dns.TypeDNSKEY) {
		if k := rr.(*dns.DNSKEY); k.KeyTag() == sig.KeyTag && k.Algorithm == sig.Algorithm {
			keys = append(keys, k)
		}
	}
	return keys
}

// RFC 3225 section 3: without DO there are no DNSSEC records, except those asked for.
func TestDOIsHonoured(t *testing.T) {
	z := testnet.MustZone("shop.example.", shop)
	z.Sign(testnet.Signing{})
	for _, name := range []string{"www", "nothing", "x.wild", "www.child"} {
		r := z.Answer(query(name+".shop.example.", dns.TypeA))
		for _, rr := range slices.Concat(r.Answer, r.Ns, r.Extra) {
			switch rr.Header().Rrtype {
			case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeDS:
				t.Errorf("%s: %v", name, rr)
			}
		}
	}
	if r := z.Answer(query("shop.example.", dns.TypeDNSKEY)); len(r.Answer) != 1 {
		t.Errorf("DNSKEY: %v", r)
	}
	if r := z.Answer(query("www.shop.example.", dns.TypeRRSIG)); len(r.Answer) != 2 {
		t.Errorf("RRSIG: %v", r)
	}
	if r := z.Answer(query("www.shop.example.", dns.TypeNSEC)); len(r.Answer) != 1 {
		t.Errorf("NSEC: %v", r)
	}
	z.Unsign()
	if r := z.Answer(signedQuery("shop.example.", dns.TypeDNSKEY)); len(r.Answer) != 0 || len(r.Ns) != 1 {
		t.Errorf("after Unsign: %v", r)
	}
}

// The zone is signed anew at half of the time that the signatures are good for, by the clock of the bubble.
func TestSigningFollowsTheClock(t *testing.T) {
	const day = 24 * time.Hour
	bubble(t, func(t *testing.T) {
		z, once := testnet.MustZone("shop.example.", mixed), testnet.MustZone("shop.example.", mixed)
		z.Sign(testnet.Signing{Expiration: 10 * day})
		once.Sign(testnet.Signing{Expiration: 10 * day, Once: true})
		signature := func(z *testnet.Zone) *dns.RRSIG {
			return signaturesOf(z.Answer(signedQuery("www.shop.example.", dns.TypeA)), z.Records("www.shop.example.", dns.TypeA))[0]
		}
		begin := time.Now()
		for _, c := range []struct{ at, signed time.Duration }{{0, 0}, {4 * day, 0}, {5 * day, 5 * day}, {31 * day, 30 * day}} {
			time.Sleep(time.Until(begin.Add(c.at))) // the bubble's: it takes no time
			if got, want := signature(z).Inception, uint32(begin.Add(c.signed-time.Hour).Unix()); got != want {
				t.Errorf("after %v: signed at %s, want %s", c.at, dns.TimeToString(got), dns.TimeToString(want))
			}
			verify(t, z, z.Answer(signedQuery("www.shop.example.", dns.TypeA)))
		}
		if sig := signature(once); sig.ValidityPeriod(time.Now()) {
			t.Errorf("signed once, and still valid: %v", sig)
		}
	})
}

// Two runs of a script have the same keys and the same signatures; other zones and seeds have others.
func TestKeysAreDeterministic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, algorithm := range append([]uint8{testnet.UnknownAlgorithm}, algorithms...) {
			answer := func(origin string, seed uint64) string {
				z := testnet.MustZone(origin, "@ TXT t")
				z.Sign(testnet.Signing{Algorithm: algorithm, Seed: seed})
				return z.Answer(signedQuery(origin, dns.TypeDNSKEY)).String()
			}
			id := func(text string) string { return text[strings.Index(text, "ANSWER SECTION"):] }
			if a, b := id(answer("shop.example.", 1)), id(answer("shop.example.", 1)); a != b {
				t.Errorf("%d: differ:\n%s\n%s", algorithm, a, b)
			}
		}
		a, b := testnet.MustZone("a.example.", ""), testnet.MustZone("b.example.", "")
		a.Sign(testnet.Signing{})
		b.Sign(testnet.Signing{})
		if a.Keys()[0].DNSKEY().PublicKey == b.Keys()[0].DNSKEY().PublicKey {
			t.Error("two zones have one key")
		}
	})
}

// RFC 3110 section 2: exponents of any length. Those longer than 31 bits have no other verifier here than the formula.
func TestRSAExponents(t *testing.T) {
	for _, exponent := range []uint64{3, 17, 65537, 1<<32 + 15} {
		z := testnet.MustZone("shop.example.", mixed)
		z.Sign(testnet.Signing{Algorithm: dns.RSASHA256, Exponent: exponent, Bits: 1032})
		r := z.Answer(signedQuery("www.shop.example.", dns.TypeA))
		if exponent < 1<<31 {
			verify(t, z, r)
		}
		key, err := base64.StdEncoding.DecodeString(z.Keys()[0].DNSKEY().PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		e, n := new(big.Int).SetBytes(key[1:1+key[0]]), new(big.Int).SetBytes(key[1+key[0]:])
		sig, err := base64.StdEncoding.DecodeString(r.Answer[2].(*dns.RRSIG).Signature)
		if err != nil {
			t.Fatal(err)
		}
		block := new(big.Int).Exp(new(big.Int).SetBytes(sig), e, n).Bytes()
		if e.Uint64() != exponent || n.BitLen() != 1032 || block[0] != 1 || block[1] != 0xFF {
			t.Errorf("exponent %v, %d bits, block %x", e, n.BitLen(), block)
		}
	}
}

// RFC 6781 section 4.1 and RFC 5011: keys come and go at any time.
func TestKeyRollover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		w.Sign(testnet.Signing{Split: true}, ".", "example.")
		root := w.Data(".")
		tags := func() string {
			var published, signed []string
			r := root.Answer(signedQuery(".", dns.TypeDNSKEY))
			for _, rr := range r.Answer {
				switch x := rr.(type) {
				case *dns.DNSKEY:
					published = append(published, name(root, x.KeyTag())+fmt.Sprintf(":%d", x.Flags))
				case *dns.RRSIG:
					signed = append(signed, name(root, x.KeyTag))
				}
			}
			verify(t, root, r)
			return strings.Join(published, " ") + " by " + strings.Join(signed, " ")
		}
		check := func(step, want string) {
			t.Helper()
			if got := tags(); got != want {
				t.Errorf("%s: %s, want %s", step, got, want)
			}
		}
		old := root.Keys()[0]
		check("at first", "0:257 1:256 by 0")
		anchor := w.Anchor()
		next := root.AddKey(testnet.Standby, 0)
		check("the next KSK is published", "0:257 1:256 2:257 by 0")
		next.SetRole(testnet.KSK)
		check("both sign", "0:257 1:256 2:257 by 0 2")
		before := old.Tag()
		old.Revoke()
		check("RFC 5011 section 2.1: the old one is revoked, and signs that", "0:385 1:256 2:257 by 0 2")
		if old.Tag() != before+dns.REVOKE {
			t.Errorf("tag %d after %d", old.Tag(), before)
		}
		old.Remove()
		check("it is gone", "1:256 2:257 by 2")
		if root.Keys()[0].SetRole(testnet.Standby); len(signaturesOf(root.Answer(signedQuery(".", dns.TypeSOA)), root.Records(".", dns.TypeSOA))) != 0 {
			t.Error("signed by a key that does not sign")
		}
		if w.AnchorKey() == "" || anchor == w.Anchor() {
			t.Errorf("anchor %s", w.Anchor())
		}
	})
}

// name numbers the keys as they were made.
func name(z *testnet.Zone, tag uint16) string {
	keys := z.Keys()
	first := 3 - len(keys)
	if len(keys) < 3 && keys[0].DNSKEY().Flags&dns.SEP != 0 {
		first = 0
	}
	for i, k := range keys {
		if k.Tag() == tag {
			return fmt.Sprint(i + first)
		}
	}
	return "?"
}

func TestKeyRolloverOfAlgorithms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		z := testnet.MustZone("shop.example.", mixed)
		z.Sign(testnet.Signing{Algorithm: dns.RSASHA256})
		z.AddKey(testnet.CSK, dns.ED25519)
		r := z.Answer(signedQuery("www.shop.example.", dns.TypeA))
		verify(t, z, r)
		if got := len(signaturesOf(r, r.Answer[:1])); got != 2 {
			t.Errorf("%d signatures, want 2", got)
		}
	})
}

// A change of the zone is signed.
func TestChangesAreSigned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		z := testnet.MustZone("shop.example.", mixed)
		z.Sign(testnet.Signing{})
		verify(t, z, z.Answer(signedQuery("new.shop.example.", dns.TypeA)))
		must(t, z, "new A 203.0.113.1\nwww A 203.0.113.82")
		verify(t, z, z.Answer(signedQuery("new.shop.example.", dns.TypeA)))
		verify(t, z, z.Answer(signedQuery("www.shop.example.", dns.TypeA)))
		z.Remove("new.shop.example.")
		r := z.Answer(signedQuery("new.shop.example.", dns.TypeA))
		verify(t, z, r)
		if r.Rcode != dns.RcodeNameError {
			t.Errorf("removed: %v", r)
		}
	})
}

// RFC 4035 section 5.2: from the trust anchor to a zone, DS by DS.
func TestChainOfTrust(t *testing.T) {
	for _, digest := range []uint8{dns.SHA1, dns.SHA256, dns.SHA384} {
		bubble(t, func(t *testing.T) {
			w := testnet.New(testnet.Options{})
			w.Zone("shop.example.", mixed)
			w.Sign(testnet.Signing{Digests: []uint8{digest}}, "shop.example.", ".")
			w.Sign(testnet.Signing{Digests: []uint8{digest}, Algorithm: dns.ED25519, Denial: testnet.NSEC3, Salt: "AB"}, "example.")
			for _, origin := range []string{"example.", "shop.example."} {
				above := w.Data(dns.Fqdn(strings.SplitN(origin, ".", 2)[1]))
				r := above.Answer(signedQuery("x."+origin, dns.TypeA))
				verify(t, above, r)
				ds, ok := r.Ns[1].(*dns.DS)
				key := w.Data(origin).Keys()[0].DNSKEY()
				if want := key.ToDS(digest); !ok || ds.Digest != want.Digest || ds.KeyTag != want.KeyTag || ds.DigestType != digest {
					t.Errorf("DS %v of %v", r.Ns, key)
				}
			}
			anchor, err := dns.NewRR(w.Anchor())
			if err != nil || anchor.(*dns.DS).Digest != strings.ToUpper(w.Data(".").Keys()[0].DS(dns.SHA256).Digest) {
				t.Errorf("anchor %q: %v", w.Anchor(), err)
			}
			if key, err := dns.NewRR(w.AnchorKey()); err != nil || key.(*dns.DNSKEY).KeyTag() != anchor.(*dns.DS).KeyTag {
				t.Errorf("anchor %q: %v", w.AnchorKey(), err)
			}
		})
	}
}

func BenchmarkAnswers(b *testing.B) {
	for _, c := range []struct {
		name   string
		signed bool
		query  *dns.Msg
	}{
		{"unsigned", false, query("www.shop.example.", dns.TypeA)},
		{"signed, without DO", true, query("www.shop.example.", dns.TypeA)},
		{"signed", true, signedQuery("www.shop.example.", dns.TypeA)},
		{"signed, denied", true, signedQuery("nothing.shop.example.", dns.TypeA)},
	} {
		b.Run(c.name, func(b *testing.B) {
			z := testnet.MustZone("shop.example.", shop)
			if c.signed {
				z.Sign(testnet.Signing{})
			}
			for b.Loop() {
				z.Answer(c.query)
			}
		})
	}
	b.Run("a zone signed", func(b *testing.B) {
		z := testnet.MustZone("shop.example.", shop)
		for b.Loop() {
			z.Sign(testnet.Signing{})
			z.Answer(signedQuery("www.shop.example.", dns.TypeA))
		}
	})
}
