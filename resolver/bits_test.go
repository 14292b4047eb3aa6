package resolver

import (
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/dnssec"
	"tacit/internal/testnet"
	"tacit/internal/wire"
)

// What the bits of a question make of the answer. RFC 4035 section 3.2.1: signatures and proofs for those with DO;
// section 3.2.2: nothing is checked for those with CD, and what is bogus is a failure for the others; section 3.2.3 and
// RFC 6840 section 5.8: AD only when all of the answer is secure. (Who asked with neither AD nor DO does not see AD:
// that is the transports' part.)
func TestBits(t *testing.T) {
	type answer struct {
		rcode int
		ad    bool
		sigs  bool
		proof bool
	}
	const ok, nx, fail = dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure
	for _, c := range []struct {
		name   string
		do, cd bool
		want   answer
	}{
		{"www.shop.example.", false, false, answer{rcode: ok, ad: true}},
		{"www.shop.example.", true, false, answer{rcode: ok, ad: true, sigs: true}},
		{"www.shop.example.", false, true, answer{rcode: ok}},
		{"www.shop.example.", true, true, answer{rcode: ok, sigs: true}},
		{"no.shop.example.", false, false, answer{rcode: nx, ad: true}},
		{"no.shop.example.", true, false, answer{rcode: nx, ad: true, sigs: true, proof: true}},
		{"no.shop.example.", true, true, answer{rcode: nx, sigs: true, proof: true}},
		{"x.wild.shop.example.", false, false, answer{rcode: ok, ad: true}},
		{"x.wild.shop.example.", true, false, answer{rcode: ok, ad: true, sigs: true, proof: true}},
		{"x.wild.shop.example.", true, true, answer{rcode: ok, sigs: true, proof: true}},
		{"bad.shop.example.", false, false, answer{rcode: fail}},
		{"bad.shop.example.", true, false, answer{rcode: fail}},
		{"bad.shop.example.", false, true, answer{rcode: ok}},
		{"bad.shop.example.", true, true, answer{rcode: ok, sigs: true}},
		{"half.shop.example.", true, false, answer{rcode: ok, sigs: true}}, // an alias that leads to what is insecure
		{"back.plain.example.", true, false, answer{rcode: ok, sigs: true}},
		{"www.plain.example.", false, false, answer{rcode: ok}},
		{"www.plain.example.", true, false, answer{rcode: ok}},
		{"tobad.shop.example.", true, false, answer{rcode: fail}},
		{"tobad.shop.example.", true, true, answer{rcode: ok, sigs: true}},
	} {
		name := c.name + map[bool]string{true: " DO"}[c.do] + map[bool]string{true: " CD"}[c.cd]
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "www A 203.0.113.80\n*.wild A 203.0.113.81\nbad A 203.0.113.82\nhalf CNAME www.plain.example.\ntobad CNAME bad")
				s.Zone("plain.example.", "www A 203.0.113.83\nback CNAME www.shop.example.")
				s.secure("example.", "shop.example.")
				s.Spoil("shop.example.", testnet.BadSignature().At("bad.shop.example.", dns.TypeA))
				q := question(c.name, "A")
				q.DO, q.CD = c.do, c.cd
				for range everyWay {
					m := s.unpack(s.ask(q))
					got := answer{rcode: m.Rcode, ad: m.AuthenticatedData}
					for _, rr := range append(m.Answer, m.Ns...) {
						got.sigs = got.sigs || rr.Header().Rrtype == dns.TypeRRSIG
						got.proof = got.proof || rr.Header().Rrtype == dns.TypeNSEC
					}
					if got != c.want {
						t.Errorf("got %+v, want %+v\n%v", got, c.want, m)
					}
				}
			})
		})
	}
}

// RFC 6840 section 5.9: what was fetched for one client with CD is checked before another gets it, in whatever order
// they ask.
func TestBitsInAnyOrder(t *testing.T) {
	for _, first := range []bool{true, false} {
		play(t, func(s *script) {
			s.Zone("shop.example.", "www A 203.0.113.80\nbad A 203.0.113.82")
			s.secure("example.", "shop.example.")
			s.Spoil("shop.example.", testnet.BadSignature().At("bad.shop.example.", dns.TypeA))
			for _, cd := range slices.Repeat([]bool{first, !first}, everyWay) {
				q := question("bad.shop.example.", "A")
				q.CD = cd
				m := s.unpack(s.ask(q))
				if (m.Rcode == dns.RcodeSuccess) != cd || m.AuthenticatedData {
					s.Errorf("CD %t: %s, AD %t", cd, brief(m), m.AuthenticatedData)
				}
				q.Name = wire.MustName("www.shop.example.")
				m = s.unpack(s.ask(q))
				if m.Rcode != dns.RcodeSuccess || !cd && !m.AuthenticatedData {
					s.Errorf("CD %t: %s, AD %t", cd, brief(m), m.AuthenticatedData)
				}
			}
		})
	}
}

// With Options.SignatureTime signatures are judged by that time, to the second, and TTLs by the clock.
func TestFixedSignatureTime(t *testing.T) {
	for name, c := range map[string]struct {
		shift time.Duration // of the validator's time against that of signing
		want  string
	}{
		"when they were made":     {0, "NOERROR secure"},
		"the last second":         {14 * 24 * time.Hour, "NOERROR secure"},
		"a second too late":       {14*24*time.Hour + time.Second, "SERVFAIL 7"},
		"the first second":        {-time.Hour, "NOERROR secure"},
		"a second too early":      {-time.Hour - time.Second, "SERVFAIL 8"},
		"an hour before the last": {14*24*time.Hour - time.Hour, "NOERROR secure"},
		"long after, by 32 bits":  {1 << 32 * time.Second, "NOERROR secure"},
		"half of all times away":  {1 << 31 * time.Second, "SERVFAIL 8"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", wwwRecord)
				s.Sign(testnet.Signing{Once: true}, ".", "example.", "shop.example.")
				signed := time.Now()
				anchor, err := dnssec.ParseTrustAnchor(s.Anchor())
				if err != nil {
					t.Fatal(err)
				}
				anchors := dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})
				s.r.validator = dnssec.New(dnssec.Options{Anchors: anchors, SignatureTime: signed.Add(c.shift)})
				time.Sleep(90 * 24 * time.Hour) // the clock itself is far past their end
				s.wantStatus("www.shop.example.", "A", c.want)
				time.Sleep(2 * time.Hour)
				s.wantStatus("www.shop.example.", "A", c.want)
			})
		})
	}
}
