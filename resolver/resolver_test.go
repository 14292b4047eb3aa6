package resolver

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/policy"
	"tacit/upstream"
)

// TTLs count down, for each of the two ways to an answer.
func TestTTLsCountDown(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www 300 A 203.0.113.80")
		for _, want := range []uint32{300, 299, 200, 2} {
			if got := answerTTL(s.want("www.shop.example.", "A", wwwAnswer)); got != want {
				t.Errorf("a TTL of %d, want %d", got, want)
			}
			time.Sleep(map[uint32]time.Duration{300: 1, 299: 99, 200: 198}[want] * time.Second)
		}
	}, func(o *Options) { o.NoPrefetch = true })
}

// RFC 1035 section 3.2.1: a TTL of zero is for the transaction in progress.
func TestTTLZero(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www 0 A 203.0.113.80")
		s.resolve("shop.example.", "A")
		s.Reset()
		for range 3 {
			if got := answerTTL(s.want("www.shop.example.", "A", wwwAnswer)); got != 0 {
				t.Errorf("a TTL of %d", got)
			}
		}
		s.saw("shop.example.", "www.shop.example. A", "www.shop.example. A", "www.shop.example. A")
	})
}

// RFC 4035 section 3.2.1: who does not set DO does not get signatures; both kinds of client share one upstream question.
func TestClientsWithAndWithoutDO(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord, signing)
		s.resolve("shop.example.", "A")
		s.Reset()
		q := question("www.shop.example.", "A")
		var group sync.WaitGroup
		for _, do := range []bool{false, true} {
			for _, cd := range []bool{false, true} {
				q := q
				q.DO, q.CD = do, cd
				group.Go(func() {
					want := wwwAnswer
					if do {
						want += "; www.shop.example. RRSIG A 13 3 3600 20261201000000 20261101000000 1 shop.example. AA=="
					}
					for range everyWay {
						if got := brief(s.unpack(s.ask(q))); got != want {
							t.Errorf("DO %v: %s", do, got)
						}
					}
				})
			}
		}
		group.Wait()
		s.saw("shop.example.", "www.shop.example. A")
		for _, p := range s.Seen() {
			if p.CD || p.RD || !p.DO {
				t.Errorf("sent CD %v, RD %v, DO %v", p.CD, p.RD, p.DO)
			}
		}
	})
}

// signing adds a signature to answers of type A: what it is worth does not matter here.
var signing = testnet.Editing(func(_, r *dns.Msg) {
	for _, rr := range r.Answer {
		if rr.Header().Rrtype == dns.TypeA {
			r.Answer = append(r.Answer, signature(rr.Header().Name))
			return
		}
	}
})

func signature(name string) dns.RR {
	rr, err := dns.NewRR(name + " 3600 RRSIG A 13 3 3600 20261201000000 20261101000000 1 shop.example. AA==")
	if err != nil {
		panic(err)
	}
	return rr
}

// RD=0: nothing is looked up, nor is said what others have asked (cache snooping).
func TestNoRecursion(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.want("www.shop.example.", "A", wwwAnswer)
		s.Reset()
		for _, name := range []string{"www.shop.example.", "new.shop.example."} {
			q := question(name, "A")
			q.NoRecursion = true
			m := s.unpack(s.ask(q))
			if m.Rcode != dns.RcodeRefused || len(m.Answer) > 0 || !strings.HasPrefix(ede(m), "20 ") {
				t.Errorf("%s, EDE %s", brief(m), ede(m))
			}
		}
		if got := s.Seen(); len(got) > 0 {
			t.Errorf("it cost %v", got.Script())
		}
	})
}

// Rules answer before anything else, for each view its own.
type viewRules struct{ blocked wire.View }

func (v viewRules) Answer(q wire.Question, now time.Time) (wire.Answer, bool) {
	if q.View != v.blocked {
		return wire.Answer{}, false
	}
	return (&result{rcode: wire.NXDomain}).pack(q, now).Answer, true
}

func TestViews(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		q := question("www.shop.example.", "A")
		for _, c := range []struct {
			view wire.View
			want string
		}{{0, wwwAnswer}, {1, "NXDOMAIN"}, {0, wwwAnswer}, {0, wwwAnswer}, {2, wwwAnswer}, {2, wwwAnswer}, {1, "NXDOMAIN"}} {
			q.View = c.view
			if got := brief(s.unpack(s.ask(q))); got != c.want {
				t.Errorf("view %d: %s, want %s", c.view, got, c.want)
			}
		}
		if got := len(s.SeenAt("shop.example.")); got != 1 {
			t.Errorf("%d questions", got)
		}
	}, func(o *Options) { o.Rules = viewRules{blocked: 1} })
}

// RFC 6761 and its successors: special names do not leave, unless the operator serves them.
func TestSpecialUseNamesDoNotLeave(t *testing.T) {
	served := wire.MustName("corp.internal.")
	play(t, func(s *script) {
		corp := s.Server("inside.example.")
		corp.Host(testnet.MustZone("corp.internal.", "@ NS ns\nwww A 203.0.113.7"))
		s.r.routes = newRoutes(&Options{Stubs: []Stub{{Zone: served, Servers: []upstream.Server{{Addr: corp.Addresses()[0]}}}}})
		for name, want := range map[string]string{
			"a.onion.": "NXDOMAIN", "a.b.local.": "NXDOMAIN", "x.internal.": "NXDOMAIN", "x.home.arpa.": "NXDOMAIN", "a.alt.": "NXDOMAIN",
			"localhost.": "NOERROR localhost. A 127.0.0.1", "www.corp.internal.": "NOERROR www.corp.internal. A 203.0.113.7",
		} {
			for range everyWay {
				s.want(name, "A", want)
			}
		}
		for _, p := range s.Seen() {
			if !strings.HasSuffix(dns.CanonicalName(p.Name), "corp.internal.") {
				t.Errorf("%s left", p.Question())
			}
		}
	}, func(o *Options) { o.Rules = policy.NewSpecialUse([]wire.Name{served}) })
}

// A client that leaves, or must have its answer, gets one; the resolution goes on for the next.
func TestClientLeaves(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("shop.example.", wwwRecord, testnet.Silent())
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		started := time.Now()
		m := s.unpack(s.r.Resolve(ctx, question("www.shop.example.", "A")))
		if m.Rcode != dns.RcodeServerFailure || ede(m) == "" || time.Since(started) != time.Second {
			t.Errorf("%s, EDE %s after %v", brief(m), ede(m), time.Since(started))
		}
		server.Behave()
		time.Sleep(resolutionTime)
		s.free("www.shop.example.", "A", wwwAnswer)
	})
}

// Errors hold neither names nor addresses, however a resolution ends.
func TestErrorsTellNothing(t *testing.T) {
	for name, b := range map[string]testnet.Behaviour{
		"silent": testnet.Silent(), "REFUSED": testnetRefusing, "garbage": testnet.Raw(func([]byte) []byte { return []byte("secret") }),
		"wrong question": testnet.WrongQuestion(), "TC, TCP refused": testnet.Truncating(),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				server := s.Zone("shop.example.", "", b, testnet.TCPRefused())
				for range 2 {
					a := s.ask(question("secret.shop.example.", "A"))
					if len(a.Errors) == 0 {
						t.Error("a failure without reason")
					}
					for _, e := range a.Errors {
						for _, word := range append(addressTexts(server.Addresses()), "secret", "shop", "example", "ns1") {
							if strings.Contains(strings.ToLower(e.Text), word) {
								t.Errorf("%q holds %q", e.Text, word)
							}
						}
					}
				}
			})
		})
	}
}

func addressTexts(addresses []netip.AddrPort) []string {
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.Addr().String())
	}
	return texts
}
