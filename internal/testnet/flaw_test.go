package testnet_test

import (
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// broken has one of each kind of answer.
const broken = `
	www    A   203.0.113.80
	text   TXT t
	*      A   203.0.113.81
	*.wild A   203.0.113.82
	cut    NS  ns.elsewhere.test.
	safe   NS  ns.elsewhere.test.
	safe   DS  12345 13 2 AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34
`

// What is wrong with which answer, in the words of judge. Answers that are not named must be right.
func TestFlaws(t *testing.T) {
	type judgements map[string]string // by question
	questions := map[string]uint16{
		"shop.example. DNSKEY": dns.TypeDNSKEY, "www.shop.example. A": dns.TypeA, "text.shop.example. TXT": dns.TypeTXT,
		"none.wild.shop.example. A": dns.TypeA, "www.shop.example. TXT": dns.TypeTXT, "x.www.shop.example. A": dns.TypeA,
		"x.cut.shop.example. A": dns.TypeA, "x.safe.shop.example. A": dns.TypeA,
	}
	all := func(what string, except ...string) judgements {
		j := make(judgements)
		for q := range questions {
			if !slices.Contains(except, q) {
				j[q] = what
			}
		}
		return j
	}
	for _, c := range []struct {
		name string
		flaw testnet.Flaw
		want judgements
	}{
		{"Expired", testnet.Expired(), all("expired")},
		{"NotYetValid", testnet.NotYetValid(), all("not yet valid")},
		{"Expired at one RRset", testnet.Expired().At("WWW.shop.example.", dns.TypeA), judgements{"www.shop.example. A": "expired"}},
		{"WrongKey", testnet.WrongKey(), all("no such key", "shop.example. DNSKEY")},
		{"BadSignature", testnet.BadSignature(), all("bad signature", "shop.example. DNSKEY")},
		{"WrongSigner", testnet.WrongSigner("Other.test."), all("signer other.test.", "shop.example. DNSKEY")},
		{"LabelsTooSmall", testnet.LabelsTooSmall(), all("labels", "shop.example. DNSKEY")},
		{"MissingRRSIG", testnet.MissingRRSIG(), all("unsigned")},
		{
			"MissingRRSIG of one type", testnet.MissingRRSIG().At("shop.example.", dns.TypeSOA),
			judgements{"www.shop.example. TXT": "unsigned", "x.www.shop.example. A": "unsigned"},
		},
		{"UnsignedDNSKEY", testnet.UnsignedDNSKEY(), judgements{"shop.example. DNSKEY": "unsigned"}},
		{"MissingNSEC", testnet.MissingNSEC(), judgements{
			"none.wild.shop.example. A": "no proof", "www.shop.example. TXT": "no proof", "x.www.shop.example. A": "no proof",
			"x.cut.shop.example. A": "no proof",
		}},
		{"StrippedDSProof", testnet.StrippedDSProof(), judgements{"x.cut.shop.example. A": "no proof", "x.safe.shop.example. A": "no proof"}},
		{"WildcardReplayed", testnet.WildcardReplayed(), judgements{"www.shop.example. A": "no proof"}},
		{"AlteredRDATA", testnet.AlteredRDATA(), judgements{
			"www.shop.example. A": "bad signature", "none.wild.shop.example. A": "bad signature",
			"text.shop.example. TXT": "bad signature",
			"www.shop.example. TXT":  "bad signature", "x.www.shop.example. A": "bad signature", // SOA
			"x.safe.shop.example. A": "bad signature",
		}},
		{"NextNameOutside", testnet.NextNameOutside(), judgements{
			"none.wild.shop.example. A": "outside", "www.shop.example. TXT": "outside", "x.www.shop.example. A": "outside",
			"x.cut.shop.example. A": "outside",
		}},
		{"none", testnet.Expired().At("nothing.shop.example.", 0), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				z := testnet.MustZone("shop.example.", broken)
				z.Sign(testnet.Signing{Flaws: []testnet.Flaw{c.flaw}})
				for q, qtype := range questions {
					name, _, _ := strings.Cut(q, " ")
					if got := judge(z, z.Answer(signedQuery(name, qtype))); got != c.want[q] {
						t.Errorf("%s: %q, want %q", q, got, c.want[q])
					}
				}
			})
		})
	}
}

// judge says the first thing that is wrong with a reply, as a validator would find it.
func judge(z *testnet.Zone, r *dns.Msg) string {
	expanded, proven := false, false
	for _, set := range rrsets(r) {
		h := set[0].Header()
		switch x := set[0].(type) {
		case *dns.NS:
			if h.Name != z.Origin() {
				continue
			}
		case *dns.NSEC:
			proven = true
			if !dns.IsSubDomain(z.Origin(), x.NextDomain) {
				return "outside"
			}
		case *dns.DS:
			proven = true
		}
		signatures := signaturesOf(r, set)
		if len(signatures) == 0 {
			return "unsigned"
		}
		sig := signatures[0]
		if verdict := judgeSignature(z, set, sig); verdict != "" {
			return verdict
		}
		expanded = expanded || int(sig.Labels) < dns.CountLabel(h.Name)
	}
	if needed := expanded || len(r.Answer) == 0; needed && !proven {
		return "no proof"
	}
	return ""
}

func judgeSignature(z *testnet.Zone, set []dns.RR, sig *dns.RRSIG) string {
	now, keys := uint32(time.Now().Unix()), keysOf(z, sig)
	switch {
	case sig.Expiration < now:
		return "expired"
	case sig.Inception > now:
		return "not yet valid"
	case sig.SignerName != z.Origin():
		return "signer " + sig.SignerName
	case len(keys) == 0:
		return "no such key"
	case sig.Verify(keys[0], set) != nil:
		return "bad signature"
	case int(sig.Labels) < dns.CountLabel(z.Origin()):
		return "labels" // and the signature is good
	}
	return ""
}

// The RRset and the signature of the wildcard itself come back for a name that exists.
func TestWildcardReplayed(t *testing.T) {
	z := testnet.MustZone("shop.example.", broken)
	z.Sign(testnet.Signing{Flaws: []testnet.Flaw{testnet.WildcardReplayed().At("www.shop.example.", dns.TypeA)}})
	r := z.Answer(signedQuery("www.shop.example.", dns.TypeA))
	verify(t, z, r)
	if a := r.Answer[0].(*dns.A); a.A.String() != "203.0.113.81" || r.Answer[1].(*dns.RRSIG).Labels != 2 || len(r.Ns) != 0 {
		t.Errorf("%v", r)
	}
	// Where there is no wildcard above with the type, there is nothing to replay.
	compare(t, "answer", z.Answer(query("text.shop.example.", dns.TypeTXT)).Answer, []string{`text.shop.example. 3600 TXT "t"`})
}

// The ways in which DS and DNSKEY fail to meet; Spoil works at any time, and mends.
func TestFlawsOfDS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		w.Zone("shop.example.", broken)
		w.Sign(testnet.Signing{}, ".", "example.", "shop.example.")
		delegation := func() string {
			parent, z := w.Data("example."), w.Data("shop.example.")
			r := parent.Answer(signedQuery("shop.example.", dns.TypeDS))
			verify(t, parent, r)
			var words []string
			for _, rr := range r.Answer {
				if ds, ok := rr.(*dns.DS); ok {
					words = append(words, meets(z, ds))
				}
			}
			return strings.Join(words, " ")
		}
		for _, c := range []struct {
			name string
			do   func()
			want string
		}{
			{"signed", func() {}, "ok"},
			{"DSMismatch", func() { w.Spoil("shop.example.", testnet.DSMismatch()) }, "digest"},
			{"mended", func() { w.Spoil("shop.example.") }, "ok"},
			{"RevokedKSK", func() { w.Spoil("shop.example.", testnet.RevokedKSK()) }, "revoked"},
			{"DSTrap", func() { w.Spoil("shop.example.", testnet.DSTrap(3)) }, "digest digest digest ok"},
			{"mended again", func() { w.Spoil("shop.example.") }, "ok"},
			{"two digests", func() { w.PublishDS("shop.example.", dns.SHA1, dns.SHA384) }, "ok ok"},
			{"a digest that nobody knows", func() { w.PublishDS("shop.example.", 200) }, "unknown"},
			{"a new key, not published above", func() { w.Data("shop.example.").AddKey(testnet.KSK, 0) }, "unknown"},
			{"published", func() { w.PublishDS("shop.example.") }, "ok ok"},
			{"the first one goes", func() { w.Data("shop.example.").Keys()[0].Remove() }, "no key ok"},
			{"an island", func() { w.Sign(testnet.Signing{Island: true, Seed: 1}, "shop.example.") }, "no key no key"},
			{"an insecure delegation", func() { w.Data("example.").Remove("shop.example.", dns.TypeDS) }, ""},
			{"an island stays one", func() { w.Spoil("shop.example.", testnet.Expired()) }, ""},
		} {
			c.do()
			if got := delegation(); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		w.Spoil("shop.example.", testnet.RevokedKSK())
		if got := judge(w.Data("shop.example."), w.Data("shop.example.").Answer(signedQuery("shop.example.", dns.TypeDNSKEY))); got != "" {
			t.Errorf("the revoked key does not sign: %s", got)
		}
	})
}

func meets(z *testnet.Zone, ds *dns.DS) string {
	for _, rr := range z.Records(z.Origin(), dns.TypeDNSKEY) {
		k := rr.(*dns.DNSKEY)
		same := k.ToDS(ds.DigestType)
		switch {
		case k.KeyTag() != ds.KeyTag:
		case same == nil:
			return "unknown"
		case same.Digest != ds.Digest:
			return "digest"
		case k.Flags&dns.REVOKE != 0:
			return "revoked"
		default:
			return "ok"
		}
	}
	return "no key"
}

// An algorithm without an assignment, and iterations that nobody should compute.
func TestOddSignings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		z := testnet.MustZone("shop.example.", broken)
		z.Sign(testnet.Signing{Algorithm: testnet.UnknownAlgorithm})
		sig := z.Answer(signedQuery("www.shop.example.", dns.TypeA)).Answer[1].(*dns.RRSIG)
		if keys := keysOf(z, sig); len(keys) != 1 || keys[0].Algorithm != testnet.UnknownAlgorithm || sig.Signature == "" {
			t.Errorf("%v by %v", sig, keys)
		}
		z.Sign(testnet.Signing{Denial: testnet.NSEC3, Iterations: 2500})
		r := z.Answer(signedQuery("x.www.shop.example.", dns.TypeA))
		verify(t, z, r)
		if n, ok := r.Ns[2].(*dns.NSEC3); !ok || n.Iterations != 2500 {
			t.Errorf("%v", r.Ns)
		}
		z.Sign(testnet.Signing{})
		for _, t16 := range []uint16{dns.TypeNSEC3PARAM, dns.TypeNSEC3} {
			if r := z.Answer(signedQuery("shop.example.", t16)); len(r.Answer) != 0 {
				t.Errorf("left over: %v", r.Answer)
			}
		}
	})
}

// CVE-2023-50387: all keys have the tag and the algorithm of all signatures, and none of them is right.
func TestKeyTrap(t *testing.T) {
	for _, c := range []struct {
		algorithm        uint8
		keys, signatures int
	}{
		{dns.RSASHA256, 250, 200},
		{dns.ECDSAP256SHA256, 250, 200},
		{dns.ECDSAP384SHA384, 100, 100},
		{dns.ED25519, 100, 100},
	} {
		t.Run(dns.AlgorithmToString[c.algorithm], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				z := testnet.MustZone("shop.example.", broken)
				z.Sign(testnet.Signing{
					Algorithm: c.algorithm, Split: true,
					Flaws: []testnet.Flaw{testnet.KeyTrap(c.keys, c.signatures)},
				})
				r := z.Answer(signedQuery("www.shop.example.", dns.TypeA))
				keys := z.Answer(signedQuery("shop.example.", dns.TypeDNSKEY))
				verify(t, z, keys)
				for _, m := range []*dns.Msg{r, keys} {
					if packed, err := m.Pack(); err != nil || len(packed) > dns.MaxMsgSize-1 {
						t.Fatalf("%d octets: %v", len(packed), err)
					}
				}
				signatures := signaturesOf(r, r.Answer[:1])
				colliding := 0
				for _, rr := range keys.Answer {
					if k, ok := rr.(*dns.DNSKEY); ok && k.KeyTag() == signatures[0].KeyTag {
						colliding++
						checkTrapKey(t, k)
					}
				}
				if colliding != c.keys+1 || len(signatures) != c.signatures {
					t.Errorf("%d keys, %d signatures", colliding, len(signatures))
				}
				if err := signatures[0].Verify(z.Keys()[1].DNSKEY(), r.Answer[:1]); err == nil {
					t.Error("a signature is right")
				}
			})
		})
	}
}

func checkTrapKey(t *testing.T, k *dns.DNSKEY) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil || k.Flags&dns.ZONE == 0 || k.Flags&dns.REVOKE != 0 || k.Protocol != 3 {
		t.Errorf("%v: %v", k, err)
	}
	if k.Algorithm == dns.RSASHA256 && new(big.Int).SetBytes(b[1+b[0]:]).BitLen() != 1024 {
		t.Errorf("modulus of %v", k)
	}
}

// At the DNSKEY RRset the right signature is the last one.
func TestKeyTrapAtDNSKEY(t *testing.T) {
	z := testnet.MustZone("shop.example.", broken)
	z.Sign(testnet.Signing{Flaws: []testnet.Flaw{testnet.KeyTrap(10, 20).At("shop.example.", dns.TypeDNSKEY)}})
	r := z.Answer(signedQuery("shop.example.", dns.TypeDNSKEY))
	signatures, set := signaturesOf(r, r.Answer[:1]), rrsets(r)["shop.example. DNSKEY"]
	if len(signatures) != 21 || len(set) != 11 || signatures[20].Verify(z.Keys()[0].DNSKEY(), set) != nil {
		t.Errorf("%d signatures, %d keys", len(signatures), len(set))
	}
	verify(t, z, z.Answer(signedQuery("www.shop.example.", dns.TypeA)))
}

func TestSigningPanics(t *testing.T) {
	for name, f := range map[string]func(w *testnet.World){
		"keys of an unsigned zone":       func(w *testnet.World) { w.Data("example.").Keys() },
		"spoiling an unsigned zone":      func(w *testnet.World) { w.Spoil("example.") },
		"no such zone":                   func(w *testnet.World) { w.Sign(testnet.Signing{}, "nowhere.test.") },
		"the anchor of an unsigned root": func(w *testnet.World) { w.Anchor() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(testnet.New(testnet.Options{}))
		}()
	}
}
