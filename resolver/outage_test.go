package resolver

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/dnssec"
	"tacit/internal/testnet"
	"tacit/internal/wire"
)

// doubting gives the resolver the root's trust anchor, and negative ones that can be set at run time.
func (s *script) doubting() *dnssec.NegativeAnchors {
	s.Helper()
	anchor, err := dnssec.ParseTrustAnchor(s.Anchor())
	if err != nil {
		s.Fatal(err)
	}
	anchors := dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})
	negative := dnssec.NewNegativeAnchors(anchors, nil)
	s.r.validator = dnssec.New(dnssec.Options{Anchors: anchors, Excepted: negative.Covers})
	return negative
}

// brokenTLD is a TLD below which names have been asked for, and that then publishes bad signatures.
func brokenTLD(s *script) *dnssec.NegativeAnchors {
	s.Zone("shop.test.", "www 60 A 203.0.113.80\nlasting 3600 A 203.0.113.83")
	s.Zone("plain.test.", "www 60 A 203.0.113.82")
	s.add("test.", "www 60 A 203.0.113.81")
	s.Sign(testnet.Signing{}, ".", "shop.test.")
	s.Sign(testnet.Signing{Denial: testnet.NSEC3, OptOut: true}, "test.")
	negative := s.doubting()
	s.wantStatus("www.test.", "A", "NOERROR secure")
	s.wantStatus("www.shop.test.", "A", "NOERROR secure")
	s.wantStatus("www.plain.test.", "A", "NOERROR insecure")
	time.Sleep(2 * time.Minute)
	s.Zone("new.test.", wwwRecord)
	s.Sign(testnet.Signing{}, "new.test.")
	s.Spoil("test.", testnet.BadSignature())
	return negative
}

// 5 May 2026: a TLD published signatures that do not verify. What had been secure is given although it has expired,
// with EDE 3 and what is wrong; what was never seen fails with EDE 6, not 22, as the servers can be reached.
func TestTLDPublishesBadSignatures(t *testing.T) {
	play(t, func(s *script) {
		brokenTLD(s)
		for range 2 {
			q := question("www.test.", "A")
			q.DO = true
			m := s.unpack(s.ask(q))
			if m.Rcode != dns.RcodeSuccess || !m.AuthenticatedData || !hasCodes(m, "3", "6") {
				t.Errorf("stale: %s, AD %t, EDE %s", brief(m), m.AuthenticatedData, codes(m))
			}
		}
		for _, name := range []string{"no.test.", "www.new.test."} {
			m := s.resolve(name, "A")
			if m.Rcode != dns.RcodeServerFailure || !hasCodes(m, "6") || hasCodes(m, "22") {
				t.Errorf("%s: %s, EDE %s, want SERVFAIL with 6 and without 22", name, brief(m), codes(m))
			}
		}
		s.wantStatus("www.shop.test.", "A", "NOERROR secure") // its keys are remembered
		s.Spoil("test.")
		time.Sleep(2 * time.Minute)
		s.wantStatus("www.test.", "A", "NOERROR secure")
		s.wantStatus("www.new.test.", "A", "NOERROR secure")
	})
}

func hasCodes(m *dns.Msg, wanted ...string) bool {
	have := "," + codes(m) + ","
	for _, code := range wanted {
		if !strings.Contains(have, ","+code+",") {
			return false
		}
	}
	return true
}

// RFC 7646: a negative trust anchor ends the outage at once, for what was found to be bogus a moment ago, too; when it
// is taken away, all is as before.
func TestNegativeAnchorEndsAnOutage(t *testing.T) {
	play(t, func(s *script) {
		negative := brokenTLD(s)
		zone := wire.MustName("test.")
		for _, name := range []string{"no.test.", "www.new.test."} {
			if m := s.resolve(name, "A"); m.Rcode != dns.RcodeServerFailure {
				t.Errorf("before: %s", brief(m))
			}
		}
		if err := negative.Add(s.r.now(), zone, time.Hour, "the TLD has said so"); err != nil {
			t.Fatal(err)
		}
		s.r.Reconsider(zone)
		s.wantStatus("www.test.", "A", "NOERROR insecure 33")
		s.wantStatus("www.new.test.", "A", "NOERROR insecure 33")
		s.wantStatus("www.shop.test.", "A", "NOERROR insecure 33")
		s.wantStatus("no.test.", "A", "NXDOMAIN insecure 33")
		s.wantStatus("www.example.", "A", "NXDOMAIN insecure") // beside it nothing has changed

		s.Spoil("test.")
		negative.Remove(s.r.now(), zone)
		s.r.Reconsider(zone)
		s.wantStatus("www.test.", "A", "NOERROR secure")
		s.wantStatus("www.new.test.", "A", "NOERROR secure")
		s.wantStatus("www.shop.test.", "A", "NOERROR secure")
	})
}

// A negative trust anchor that comes to its end needs nobody to take it away.
func TestNegativeAnchorEnds(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www 60 A 203.0.113.80\nnew 60 A 203.0.113.81")
		s.Sign(testnet.Signing{}, ".", "example.")
		s.Sign(testnet.Signing{Flaws: []testnet.Flaw{testnet.Expired()}}, "shop.example.")
		negative := s.doubting()
		s.wantStatus("www.shop.example.", "A", "SERVFAIL 7")
		if err := negative.Add(s.r.now(), wire.MustName("shop.example."), time.Hour, "expired"); err != nil {
			t.Fatal(err)
		}
		s.r.Reconsider(wire.MustName("shop.example."))
		s.wantStatus("www.shop.example.", "A", "NOERROR insecure 33")
		time.Sleep(time.Hour + time.Minute)
		s.wantStatus("new.shop.example.", "A", "SERVFAIL 7")
	})
}
