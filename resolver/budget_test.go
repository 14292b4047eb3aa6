package resolver

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// NXNSAttack (CVE-2020-8616 and others): a referral that names many servers in the victim's zone must not make the resolver
// ask the victim for all of them.
func TestNXNSCostsTheVictimLittle(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("victim.example.", "")
		var ns strings.Builder
		for i := range 100 {
			fmt.Fprintf(&ns, "sub NS s%d.victim.example.\n", i)
		}
		s.Zone("attacker.example.", ns.String())
		s.want("victim.example.", "A", "NOERROR")
		s.Reset()
		s.want("www.sub.attacker.example.", "A", "SERVFAIL")
		if got := s.Count("victim.example."); got > 6 {
			t.Errorf("the victim saw %d packets, want at most 6\n%s", got, strings.Join(s.Seen().Script(), "\n"))
		}
		s.Reset()
		s.want("www.sub.attacker.example.", "A", "SERVFAIL")
		if got := s.Seen(); len(got) > 0 {
			t.Errorf("a failure that is remembered cost %d packets", len(got))
		}
	})
}

// "Domain software should ... detect CNAME loops" (RFC 1034 section 3.6.2); a chain is given up after 11 steps.
func TestLongAliasChainStops(t *testing.T) {
	play(t, func(s *script) {
		for i := range 100 { // each link in a zone of its own, so that each costs a question
			s.Zone(fmt.Sprintf("z%d.example.", i), fmt.Sprintf("www CNAME www.z%d.example.", i+1))
		}
		m := s.want("www.z0.example.", "A", "SERVFAIL")
		if got := ede(m); !strings.Contains(got, "limit of aliases") {
			t.Errorf("EDE %q does not name the limit", got)
		}
		if s.Count("z11.example.") == 0 || s.Count("z12.example.") > 0 {
			t.Errorf("the chain stopped after %d and before %d", s.Count("z11.example."), s.Count("z12.example."))
		}
	})
}

func TestPackedAliasChainStops(t *testing.T) {
	play(t, func(s *script) {
		var chain strings.Builder
		for i := range 100 {
			fmt.Fprintf(&chain, "c%d CNAME c%d\n", i, i+1)
		}
		s.Zone("shop.example.", chain.String())
		s.want("c0.shop.example.", "A", "SERVFAIL")
		if got := s.Count("shop.example."); got > 2 {
			t.Errorf("the servers saw %d packets", got)
		}
	})
}

func TestAliasLoop(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("a.example.", "www CNAME www.b.example.")
		s.Zone("b.example.", "www CNAME www.a.example.")
		const round = "SERVFAIL www.a.example. CNAME www.b.example.; www.b.example. CNAME www.a.example."
		s.want("www.a.example.", "A", round)
		s.Reset()
		s.want("www.a.example.", "A", round)
		if got := s.Seen(); len(got) > 0 {
			t.Errorf("the loop cost %d packets again", len(got))
		}
	})
}

// TsuNAME: two zones whose servers lie in each other.
func TestCyclicDelegation(t *testing.T) {
	play(t, func(s *script) {
		s.add("example.", "x NS ns.y.example.\ny NS ns.x.example.")
		s.want("nothing.example.", "A", "NXDOMAIN") // the way to example. is known
		s.Reset()
		s.want("www.x.example.", "A", "SERVFAIL")
		if got := len(s.Seen()); got > 5 {
			t.Errorf("a cyclic delegation cost %d packets, want at most 5:\n%s", got, strings.Join(s.Seen().Script(), "\n"))
		}
		s.Reset()
		s.want("www.x.example.", "A", "SERVFAIL")
		s.want("www2.x.example.", "A", "SERVFAIL")
		s.want("www.y.example.", "A", "SERVFAIL")
		if got := len(s.Seen()); got > 0 {
			t.Errorf("within the failure's lifetime it cost %d packets", got)
		}
	})
}

// RFC 5452 section 5: equal questions at once must not multiply what is outstanding upstream.
func TestEqualQuestionsShareOneUpstreamQuery(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www A 203.0.113.80")
		s.want("shop.example.", "A", "NOERROR")
		s.Reset()
		var group sync.WaitGroup
		for range 30 {
			group.Go(func() { s.want("www.shop.example.", "A", "NOERROR www.shop.example. A 203.0.113.80") })
		}
		group.Wait()
		if got := len(s.Seen()); got != 1 {
			t.Errorf("30 equal questions at once cost %d upstream queries, want 1", got)
		}
	})
}

// Different questions share the way to their zone.
func TestQuestionsShareTheWay(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "* A 203.0.113.80")
		var group sync.WaitGroup
		for i := range 30 {
			group.Go(func() { s.resolve(fmt.Sprintf("w%d.shop.example.", i), "A") })
		}
		group.Wait()
		s.saw(".", ". NS", "example. A")
		s.saw("example.", "shop.example. A")
	})
}

// RFC 9520 section 3.2: failures are cached, for longer while they last.
func TestFailuresAreRemembered(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("shop.example.", "www A 203.0.113.80", testnetRefusing)
		s.want("www.shop.example.", "A", "SERVFAIL")
		s.Reset()
		m := s.want("www.shop.example.", "A", "SERVFAIL")
		if got := ede(m); !strings.Contains(got, "failed a moment ago") || len(s.Seen()) > 0 {
			t.Errorf("EDE %q, %d packets", got, len(s.Seen()))
		}
		server.Behave()
		time.Sleep(6 * time.Second)
		s.want("www.shop.example.", "A", "NOERROR www.shop.example. A 203.0.113.80")
	})
}
