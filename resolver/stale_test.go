package resolver

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// expired makes a zone whose records have expired and whose delegation has not, and takes its server away.
func expired(s *script, then testnet.Behaviour) *testnet.Server {
	server := s.Zone("shop.example.", "@ 60 SOA ns1 hostmaster 1 1 1 1 60\nwww 60 A 203.0.113.80\nalias 60 CNAME www")
	s.want("www.shop.example.", "A", wwwAnswer)
	s.want("alias.shop.example.", "A", "NOERROR alias.shop.example. CNAME www.shop.example.; www.shop.example. A 203.0.113.80")
	s.want("no.shop.example.", "A", "NXDOMAIN")
	s.want("www.shop.example.", "TXT", "NOERROR")
	time.Sleep(61 * time.Second)
	server.Behave(then)
	s.Reset()
	return server
}

// RFC 8767 section 5: the client response timer is 1.8 s; section 4: the TTL of stale data is 30 s; RFC 8914 sections
// 4.4 and 4.20: EDE 3 and 19.
func TestServeStale(t *testing.T) {
	for _, c := range []struct{ name, kind, answer, code string }{
		{"www.shop.example.", "A", wwwAnswer, "3 "},
		{"alias.shop.example.", "A", "NOERROR alias.shop.example. CNAME www.shop.example.; www.shop.example. A 203.0.113.80", "3 "},
		{"no.shop.example.", "A", "NXDOMAIN", "19 "},
		{"www.shop.example.", "TXT", "NOERROR", "3 "},
	} {
		t.Run(c.name+" "+c.kind, func(t *testing.T) {
			play(t, func(s *script) {
				expired(s, testnet.Silent())
				started := time.Now()
				m := s.want(c.name, c.kind, c.answer)
				if waited := time.Since(started); waited != staleAfter {
					t.Errorf("the client waited for %v", waited)
				}
				checkStale(s, m, c.code)
				time.Sleep(10 * time.Second) // the resolution has failed by now
				checkStale(s, s.want(c.name, c.kind, c.answer), c.code)
			})
		})
	}
}

func checkStale(s *script, m *dns.Msg, code string) {
	s.Helper()
	if got := ede(m); !strings.HasPrefix(got, code) {
		s.Errorf("EDE %q, want code %s", got, code)
	}
	for _, rr := range append(m.Answer, m.Ns...) {
		if ttl := rr.Header().Ttl; ttl != staleTTL {
			s.Errorf("a TTL of %d, want %d", ttl, staleTTL)
		}
	}
}

// What fails at once is answered at once, and what failed a moment ago without a packet.
func TestStaleAfterFailure(t *testing.T) {
	play(t, func(s *script) {
		expired(s, testnet.Failing(dns.RcodeServerFailure))
		started := time.Now()
		checkStale(s, s.want("www.shop.example.", "A", wwwAnswer), "3 ")
		if waited := time.Since(started); waited > time.Second {
			t.Errorf("the client waited for %v", waited)
		}
		checkStale(s, s.free("www.shop.example.", "A", wwwAnswer), "3 ")
	})
}

func TestNoStaleWhenSwitchedOff(t *testing.T) {
	play(t, func(s *script) {
		expired(s, testnet.Failing(dns.RcodeServerFailure))
		s.want("www.shop.example.", "A", "SERVFAIL")
		s.want("no.shop.example.", "A", "SERVFAIL")
	}, func(o *Options) { o.NoStale = true })
}

// RFC 8767 section 4: stale data is for when refreshing fails; a fresh answer, and be it that there is nothing, goes
// before, and costs nothing the second time.
func TestNothingStaleOverFreshAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(z *testnet.Zone)
		answer string
	}{
		{"NXDOMAIN", func(z *testnet.Zone) { z.Remove("www.shop.example.") }, "NXDOMAIN"},
		{"NODATA", func(z *testnet.Zone) {
			z.Remove("www.shop.example.", dns.TypeA)
			_ = z.Add("www TXT x")
		}, "NOERROR"},
		{"alias", func(z *testnet.Zone) {
			z.Remove("www.shop.example.")
			_ = z.Add("www CNAME w2\nw2 A 203.0.113.90")
		}, "NOERROR www.shop.example. CNAME w2.shop.example.; w2.shop.example. A 203.0.113.90"},
		{"DNAME", func(z *testnet.Zone) {
			z.Remove("www.shop.example.")
			_ = z.Add("@ DNAME example.\nwww2.example A 203.0.113.90")
		}, "NXDOMAIN shop.example. DNAME example.; www.shop.example. CNAME www.example."},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(s *script) {
				server := expired(s, testnet.Latency(testnet.DefaultLatency))
				c.change(s.Data("shop.example."))
				s.want("www.shop.example.", "A", c.answer)
				s.free("www.shop.example.", "A", c.answer)
				server.Behave(testnet.Silent())
				if m := s.free("www.shop.example.", "A", c.answer); ede(m) != "" {
					t.Errorf("EDE %q", ede(m))
				}
			})
		})
	}
}

// Of two things that have both expired, the newer counts.
func TestTheNewestStaleAnswer(t *testing.T) {
	play(t, func(s *script) {
		server := expired(s, testnet.Latency(testnet.DefaultLatency))
		s.Data("shop.example.").Remove("www.shop.example.")
		s.want("www.shop.example.", "A", "NXDOMAIN")
		time.Sleep(61 * time.Second)
		server.Behave(testnet.Failing(dns.RcodeServerFailure))
		checkStale(s, s.want("www.shop.example.", "A", "NXDOMAIN"), "19 ")
	})
}

// Stale data ends with the lease: a parent that has taken a zone back has taken the stale data back as well.
func TestStaleEndsWithTheLease(t *testing.T) {
	play(t, func(s *script) {
		expired(s, testnet.Failing(dns.RcodeServerFailure))
		checkStale(s, s.want("www.shop.example.", "A", wwwAnswer), "3 ")
		s.At("example.").Behave(testnet.Silent())
		time.Sleep(3500 * time.Second)
		checkStale(s, s.want("www.shop.example.", "A", wwwAnswer), "3 ")
		time.Sleep(100 * time.Second) // the lease is 3600 s
		s.want("www.shop.example.", "A", "SERVFAIL")
	})
}

// A resolution that comes late still brings the fresh answer for the next client.
func TestLateAnswerIsKept(t *testing.T) {
	play(t, func(s *script) {
		server := expired(s, testnet.Silent())
		checkStale(s, s.want("www.shop.example.", "A", wwwAnswer), "3 ")
		server.Behave()
		time.Sleep(8 * time.Second)
		if m := s.free("www.shop.example.", "A", wwwAnswer); ede(m) != "" {
			t.Errorf("still %s", ede(m))
		}
	})
}

func TestStaleIsNeverPacked(t *testing.T) {
	play(t, func(s *script) {
		expired(s, testnet.Failing(dns.RcodeServerFailure))
		for range everyWay {
			s.want("www.shop.example.", "A", wwwAnswer)
		}
		if a, ok := s.r.Recall(nil, query(t, question("www.shop.example.", "A")), s.r.now()); ok {
			t.Errorf("a stale answer was kept as a finished one, %d octets", len(a.Packet))
		}
	})
}
