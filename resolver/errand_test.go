package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

const roundTrip = 100 * time.Millisecond

// distant plays a script in which the servers of two zones below a known TLD are a round trip away, and one of the zones is
// signed.
func distant(t *testing.T, run func(s *script), behaviours ...testnet.Behaviour) {
	t.Helper()
	play(t, func(s *script) {
		s.Zone("known.example.", "www A 203.0.113.80")
		s.Zone("shop.example.", "www A 203.0.113.80", append(behaviours, testnet.Latency(roundTrip))...)
		s.Zone("plain.example.", "www A 203.0.113.80", testnet.Latency(roundTrip))
		s.secure("example.", "shop.example.")
		s.At("example.").Behave(testnet.Latency(roundTrip))
		s.wantStatus("www.known.example.", "A", "NOERROR insecure")
		s.Reset()
		run(s)
	})
}

// A signed zone costs as many round trips as an unsigned one, and one packet more.
func TestKeysAreFetchedBesideTheAnswer(t *testing.T) {
	distant(t, func(s *script) {
		for _, c := range []struct {
			name, status string
			packets      int
		}{{"www.plain.example.", "NOERROR insecure", 2}, {"www.shop.example.", "NOERROR secure", 3}} {
			s.Reset()
			started := time.Now()
			s.wantStatus(c.name, "A", c.status)
			if took := time.Since(started); took >= 3*roundTrip || took < 2*roundTrip {
				t.Errorf("%s took %v, want two round trips of %v", c.name, took, roundTrip)
			}
			if got := len(s.Seen()); got != c.packets {
				t.Errorf("%s: %d packets, want %d", c.name, got, c.packets)
			}
		}
	})
}

// Who wants nothing checked has no use for keys.
func TestNoKeysForThoseWhoDoNotCheck(t *testing.T) {
	distant(t, func(s *script) {
		q := question("www.shop.example.", "A")
		q.CD = true
		if m := s.unpack(s.ask(q)); m.Rcode != dns.RcodeSuccess {
			t.Error(m)
		}
		s.saw("shop.example.", "www.shop.example. A")
	})
}

// Keys that cannot be had are asked for as often as if nobody had gone ahead for them.
func TestKeysThatCannotBeHad(t *testing.T) {
	distant(t, func(s *script) {
		s.wantStatus("www.shop.example.", "A", "SERVFAIL 22")
		const often = 2 * (1 + maxRefetchesOf) // at each address, and anew with each answer that is fetched again
		if got := len(s.SeenAt("shop.example.").Asking("shop.example.", dns.TypeDNSKEY)); got != often {
			t.Errorf("asked %d times for keys, want %d", got, often)
		}
	}, testnet.For("shop.example.", dns.TypeDNSKEY, testnet.Failing(dns.RcodeServerFailure)))
}
