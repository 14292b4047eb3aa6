package resolver

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

func answerTTL(m *dns.Msg) uint32 { return m.Answer[0].Header().Ttl }

// Prefetch: what is asked for near its end, and was asked for before, is refreshed meanwhile, once.
func TestPrefetch(t *testing.T) {
	for _, ttl := range []uint32{20, 60, 300} {
		t.Run(fmt.Sprint(ttl), func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", fmt.Sprintf("www %d A 203.0.113.80", ttl))
				life := time.Duration(ttl) * time.Second
				s.want("www.shop.example.", "A", wwwAnswer)
				time.Sleep(life / 2)
				s.free("www.shop.example.", "A", wwwAnswer)
				time.Sleep(life/2 - life/10) // exactly where the last tenth begins
				s.Reset()
				m := s.want("www.shop.example.", "A", wwwAnswer)
				if got := answerTTL(m); got != ttl/10 {
					t.Errorf("answered with a TTL of %d, want what is left, %d", got, ttl/10)
				}
				s.want("www.shop.example.", "A", wwwAnswer)
				time.Sleep(time.Second)
				s.want("www.shop.example.", "A", wwwAnswer)
				s.saw("shop.example.", "www.shop.example. A")
				time.Sleep(life / 10)
				if got := answerTTL(s.free("www.shop.example.", "A", wwwAnswer)); got < ttl-ttl/10-2 {
					t.Errorf("after the refresh the TTL is %d", got)
				}
			})
		})
	}
}

func TestNoPrefetch(t *testing.T) {
	nearEnd := func(s *script, asked int) {
		s.Zone("shop.example.", "www 300 A 203.0.113.80")
		for range asked {
			s.want("www.shop.example.", "A", wwwAnswer)
		}
		time.Sleep(290 * time.Second)
		s.Reset()
		s.want("www.shop.example.", "A", wwwAnswer)
		time.Sleep(time.Second)
	}
	t.Run("asked for once", func(t *testing.T) {
		play(t, func(s *script) { nearEnd(s, 1); s.saw("shop.example.") })
	})
	t.Run("switched off", func(t *testing.T) {
		play(t, func(s *script) { nearEnd(s, 5); s.saw("shop.example.") }, func(o *Options) { o.NoPrefetch = true })
	})
}

// A refresh that fails takes nothing away.
func TestFailedPrefetch(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("shop.example.", "www 300 A 203.0.113.80")
		s.want("www.shop.example.", "A", wwwAnswer)
		s.want("www.shop.example.", "A", wwwAnswer)
		server.Behave(testnet.Failing(dns.RcodeServerFailure))
		time.Sleep(275 * time.Second)
		for range 20 {
			s.want("www.shop.example.", "A", wwwAnswer)
			time.Sleep(time.Second)
		}
		if got := len(s.SeenAt("shop.example.")); got > 5 {
			t.Errorf("a failing refresh cost %d packets", got)
		}
	})
}

// All of an alias is refreshed that is near its end, and nothing else.
func TestPrefetchOfAliases(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "alias 3000 CNAME www\nwww 100 A 203.0.113.80")
		const answer = "NOERROR alias.shop.example. CNAME www.shop.example.; www.shop.example. A 203.0.113.80"
		for range everyWay {
			s.want("alias.shop.example.", "A", answer)
		}
		time.Sleep(95 * time.Second)
		s.free("alias.shop.example.", "A", answer)
		time.Sleep(10 * time.Second)
		s.saw("shop.example.", "www.shop.example. A")
		s.free("alias.shop.example.", "A", answer)
	})
}
