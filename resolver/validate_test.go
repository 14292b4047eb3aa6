package resolver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/dnssec"
	"tacit/internal/testnet"
)

// secure signs the root and the zones named, and gives the resolver the root's trust anchor.
func (s *script) secure(zones ...string) {
	s.Helper()
	s.Sign(testnet.Signing{}, append([]string{"."}, zones...)...)
	s.trust()
}

func (s *script) trust() {
	s.Helper()
	anchor, err := dnssec.ParseTrustAnchor(s.Anchor())
	if err != nil {
		s.Fatal(err)
	}
	anchors := dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})
	s.r.validator = dnssec.New(dnssec.Options{Anchors: anchors})
}

// status resolves with DO and says what a client sees of validation: secure (AD), insecure, or the failure with its code.
func (s *script) status(name, kind string) string {
	s.Helper()
	q := question(name, kind)
	q.DO = true
	m := s.unpack(s.ask(q))
	switch {
	case m.Rcode == dns.RcodeServerFailure:
		return "SERVFAIL " + codes(m)
	case m.AuthenticatedData:
		return dns.RcodeToString[m.Rcode] + " secure"
	default:
		return strings.TrimSpace(dns.RcodeToString[m.Rcode] + " insecure " + codes(m))
	}
}

func codes(m *dns.Msg) string {
	var list []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			list = append(list, fmt.Sprint(o.(*dns.EDNS0_EDE).InfoCode))
		}
	}
	return strings.Join(list, ",")
}

func (s *script) wantStatus(name, kind, want string) {
	s.Helper()
	if got := s.status(name, kind); got != want {
		s.Errorf("%s %s: %s, want %s\n%s\nseen\n%s", name, kind, got, want, ede(s.resolve(name, kind)), strings.Join(s.Seen().Script(), "\n"))
	}
}

const signedZone = `
www      A     203.0.113.80
alias    CNAME www
out      CNAME www.plain.example.
deep.a.b A     203.0.113.81
*.wild   A     203.0.113.82
*.cwild  CNAME www
d        DNAME www.other.example.
`

// RFC 4035 section 5: what a client sees of zones that are as they should be, whatever way they are signed.
func TestValidation(t *testing.T) {
	for name, signing := range map[string]testnet.Signing{
		"NSEC":           {},
		"NSEC3":          {Denial: testnet.NSEC3},
		"NSEC3, salted":  {Denial: testnet.NSEC3, Iterations: 5, Salt: "aabb"},
		"compact denial": {Denial: testnet.Compact},
		"split keys":     {Split: true},
		"Ed25519":        {Algorithm: dns.ED25519},
		"P-384":          {Algorithm: dns.ECDSAP384SHA384},
		"RSA":            {Algorithm: dns.RSASHA256},
		"RSA/SHA-512":    {Algorithm: dns.RSASHA512},
	} {
		t.Run(name, func(t *testing.T) {
			playOnce(t, func(s *script) {
				s.Zone("shop.example.", signedZone)
				s.Zone("plain.example.", "www A 203.0.113.90")
				s.Zone("other.example.", "x.www A 203.0.113.91")
				s.Sign(testnet.Signing{}, ".", "example.", "other.example.")
				s.Sign(signing, "shop.example.")
				s.trust()
				s.wantStatus("www.shop.example.", "A", "NOERROR secure")
				s.wantStatus("alias.shop.example.", "A", "NOERROR secure")
				s.wantStatus("out.shop.example.", "A", "NOERROR insecure")
				s.wantStatus("www.plain.example.", "A", "NOERROR insecure")
				s.wantStatus("no.plain.example.", "A", "NXDOMAIN insecure")
				s.wantStatus("www.shop.example.", "TXT", "NOERROR secure")
				s.wantStatus("b.shop.example.", "A", "NOERROR secure")
				s.wantStatus("deep.a.b.shop.example.", "A", "NOERROR secure")
				s.wantStatus("x.wild.shop.example.", "A", "NOERROR secure")
				s.wantStatus("x.wild.shop.example.", "TXT", "NOERROR secure")
				s.wantStatus("y.cwild.shop.example.", "A", "NOERROR secure")
				s.wantStatus("x.d.shop.example.", "A", "NOERROR secure")
				s.wantStatus("shop.example.", "DNSKEY", "NOERROR secure")
				s.wantStatus("shop.example.", "DS", "NOERROR secure")
				s.wantStatus("plain.example.", "DS", "NOERROR secure")
				nx := "NXDOMAIN secure"
				if signing.Denial == testnet.Compact {
					nx = "NOERROR secure"
				}
				s.wantStatus("no.shop.example.", "A", nx)
				s.wantStatus("no.example.", "A", "NXDOMAIN secure")
			}, packetsOn)
		})
	}
}

// What cannot be checked is insecure, never bogus (RFC 4035 section 5.2, RFC 9276 section 3.2, RFC 9905).
func TestInsecureNotBogus(t *testing.T) {
	for name, c := range map[string]struct {
		signing testnet.Signing
		want    string
	}{
		"unknown algorithm":  {testnet.Signing{Algorithm: testnet.UnknownAlgorithm}, "insecure 1"},
		"unknown digest":     {testnet.Signing{Digests: []uint8{200}}, "insecure 2"},
		"RSA/SHA-1":          {testnet.Signing{Algorithm: dns.RSASHA1}, "insecure 1"},
		"island of security": {testnet.Signing{Island: true}, "insecure"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", signedZone)
				s.secure("example.")
				s.Sign(c.signing, "shop.example.")
				for range everyWay {
					s.wantStatus("www.shop.example.", "A", "NOERROR "+c.want)
					s.wantStatus("no.shop.example.", "A", "NXDOMAIN "+c.want)
				}
			})
		})
	}
}

// RFC 9276 section 3.2: what a zone denies with more iterations than are believed in is insecure, and the client is told why
// each time that it asks, from whatever is in memory.
func TestTooManyIterationsAreToldEachTime(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", signedZone)
		s.secure("example.")
		s.Sign(testnet.Signing{Denial: testnet.NSEC3, Iterations: 2500}, "shop.example.")
		for range everyWay {
			s.wantStatus("www.shop.example.", "A", "NOERROR secure")
			s.wantStatus("no.shop.example.", "A", "NXDOMAIN insecure 27")
			s.wantStatus("www.shop.example.", "TXT", "NOERROR insecure 27")
			s.wantStatus("x.wild.shop.example.", "A", "NOERROR insecure 27")
		}
	})
}

// RFC 8914: a broken zone is a failure whose code says what is wrong.
func TestBrokenZones(t *testing.T) {
	for name, c := range map[string]struct {
		flaw testnet.Flaw
		name string
		want string
	}{
		"expired":           {testnet.Expired(), "www", "SERVFAIL 7"},
		"not yet valid":     {testnet.NotYetValid(), "www", "SERVFAIL 8"},
		"wrong key":         {testnet.WrongKey().At("www.shop.example.", dns.TypeA), "www", "SERVFAIL 9"},
		"bad signature":     {testnet.BadSignature().At("www.shop.example.", dns.TypeA), "www", "SERVFAIL 6"},
		"altered RDATA":     {testnet.AlteredRDATA().At("www.shop.example.", dns.TypeA), "www", "SERVFAIL 6"},
		"missing RRSIG":     {testnet.MissingRRSIG().At("www.shop.example.", dns.TypeA), "www", "SERVFAIL 10"},
		"missing NSEC":      {testnet.MissingNSEC(), "no", "SERVFAIL 12"},
		"DS mismatch":       {testnet.DSMismatch(), "www", "SERVFAIL 9"},
		"unsigned DNSKEY":   {testnet.UnsignedDNSKEY(), "www", "SERVFAIL 10"},
		"labels too small":  {testnet.LabelsTooSmall().At("www.shop.example.", dns.TypeA), "www", "SERVFAIL 6"},
		"next name outside": {testnet.NextNameOutside(), "no", "SERVFAIL 12"},
		"wildcard replayed": {testnet.WildcardReplayed(), "www", "SERVFAIL 12"},
		"revoked KSK":       {testnet.RevokedKSK(), "www", "SERVFAIL 9"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "www A 203.0.113.80\n* A 203.0.113.81\nfine A 203.0.113.82")
				s.secure("example.")
				s.Sign(testnet.Signing{Split: true}, "shop.example.")
				s.Spoil("shop.example.", c.flaw)
				s.wantStatus(c.name+".shop.example.", "A", c.want)
				q := question(c.name+".shop.example.", "A")
				q.CD = true
				if m := s.unpack(s.ask(q)); m.Rcode == dns.RcodeServerFailure {
					t.Errorf("with CD: %s %s", brief(m), ede(m))
				}
				if got := s.status(c.name+".shop.example.", "A"); !strings.HasPrefix(got, "SERVFAIL") {
					t.Errorf("after a question with CD: %s", got)
				}
			})
		})
	}
}

// Parent and child on one server: no referral is ever seen, so cuts have to be established by proofs.
func TestSignedParentAndChildOnOneServer(t *testing.T) {
	for name, denial := range map[string]testnet.Signing{"NSEC": {}, "NSEC3": {Denial: testnet.NSEC3}, "opt-out": {Denial: testnet.NSEC3, OptOut: true}} {
		t.Run(name, func(t *testing.T) {
			playOnce(t, func(s *script) {
				server := s.Zone("a.example.", "www A 203.0.113.80")
				s.ZoneAt("b.a.example.", "www A 203.0.113.81", server)
				s.ZoneAt("c.b.a.example.", "www A 203.0.113.82", server)
				s.ZoneAt("plain.a.example.", "www A 203.0.113.83\nx.y A 203.0.113.84", server)
				s.ZoneAt("d.plain.a.example.", "www A 203.0.113.85", server)
				s.Sign(denial, ".", "example.", "a.example.", "b.a.example.", "c.b.a.example.")
				s.trust()
				s.wantStatus("www.c.b.a.example.", "A", "NOERROR secure")
				s.wantStatus("www.plain.a.example.", "A", "NOERROR insecure")
				s.wantStatus("x.y.plain.a.example.", "A", "NOERROR insecure")
				s.wantStatus("no.plain.a.example.", "A", "NXDOMAIN insecure")
				s.wantStatus("www.d.plain.a.example.", "A", "NOERROR insecure")
				s.wantStatus("www.b.a.example.", "A", "NOERROR secure")
				s.wantStatus("www.a.example.", "A", "NOERROR secure")
				s.wantStatus("c.b.a.example.", "DS", "NOERROR secure")
			}, packetsOn)
		})
	}
}

// RFC 4035 section 4.9: what one server spoils another may have right.
func TestBogusServerBesideAGoodOne(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "* A 203.0.113.80", testnet.Editing(func(_, r *dns.Msg) {
			var kept []dns.RR
			for _, rr := range r.Answer {
				if rr.Header().Rrtype != dns.TypeRRSIG {
					kept = append(kept, rr)
				}
			}
			r.Answer = kept
		}))
		s.NameServer("shop.example.")
		s.secure("example.", "shop.example.")
		for i := range 10 {
			s.wantStatus(fmt.Sprintf("w%d.shop.example.", i), "A", "NOERROR secure")
		}
	})
}

// RFC 6840 section 5.9, RFC 4035 section 3.2.2: who does not want checking does not spoil what others get.
func TestCheckingDisabledPoisonsNobody(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.secure("example.", "shop.example.")
		q := question("www.shop.example.", "A")
		q.CD = true
		if m := s.unpack(s.ask(q)); m.Rcode != dns.RcodeSuccess {
			t.Errorf("with CD: %s", brief(m))
		}
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
	})
}

// A signed zone costs one question more than an unsigned one: for its keys. The DS comes with the referral.
func TestValidationCostsOneQuestionPerZone(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord+"\nx A 203.0.113.81")
		s.Zone("plain.example.", wwwRecord)
		s.secure("example.", "shop.example.")
		s.wantStatus("example.", "SOA", "NOERROR secure")
		s.Reset()
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
		if got := len(s.Seen()); got != 3 {
			t.Errorf("a signed zone cost %d questions, want 3: %v", got, s.Seen().Script())
		}
		s.Reset()
		s.wantStatus("x.shop.example.", "A", "NOERROR secure")
		if got := len(s.Seen()); got != 1 {
			t.Errorf("a second name cost %d questions: %v", got, s.Seen().Script())
		}
		s.Reset()
		s.wantStatus("www.plain.example.", "A", "NOERROR insecure")
		if got := len(s.Seen()); got != 2 {
			t.Errorf("an unsigned zone cost %d questions, want 2: %v", got, s.Seen().Script())
		}
	})
}
