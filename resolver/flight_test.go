package resolver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// Who asks after a flush gets nothing that was learned before, even if a resolution was under way; and what it learned
// is not put back.
func TestFlushInFlight(t *testing.T) {
	for name, flush := range map[string]func(s *script){
		"name":    func(s *script) { s.r.cache.Flush(wire.MustName("www.shop.example.")) },
		"subtree": func(s *script) { s.r.cache.FlushSubtree(wire.MustName("example.")) },
		"all":     func(s *script) { s.r.cache.FlushAll() },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("other.test.", "www A 203.0.113.80\nnew A 203.0.113.90", testnet.Latency(400*time.Millisecond))
				s.Zone("shop.example.", "www CNAME www.other.test.")
				var group sync.WaitGroup
				group.Go(func() { s.resolve("www.shop.example.", "A") })
				time.Sleep(200 * time.Millisecond) // the alias is known, its target is being asked for
				s.Data("shop.example.").Remove("www.shop.example.")
				s.add("shop.example.", "www CNAME new.other.test.")
				flush(s)
				const fresh = "NOERROR www.shop.example. CNAME new.other.test.; new.other.test. A 203.0.113.90"
				s.want("www.shop.example.", "A", fresh)
				group.Wait()
				for range everyWay {
					s.want("www.shop.example.", "A", fresh)
				}
			})
		})
	}
}

// When all places are taken, the oldest resolution that had its chance gives way; while all are young, the new one
// waits for no place.
func TestJostle(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.want("shop.example.", "A", "NOERROR")
		s.Zone("dead.example.", "", testnet.Silent(), testnet.TCPRefused())
		var group sync.WaitGroup
		answers := make([]*dns.Msg, 3)
		for i := range answers {
			group.Go(func() { answers[i] = s.resolve(fmt.Sprintf("w%d.dead.example.", i), "A") })
			time.Sleep(50 * time.Millisecond)
		}
		if m := s.want("www.shop.example.", "A", "SERVFAIL"); !strings.HasPrefix(ede(m), "23 ") {
			t.Errorf("with all places taken by the young: EDE %s", ede(m))
		}
		time.Sleep(jostleAge)
		s.want("www.shop.example.", "A", wwwAnswer)
		group.Wait()
		if !strings.Contains(ede(answers[0]), errJostled.Error()) {
			t.Errorf("the oldest ended with EDE %s", ede(answers[0]))
		}
		for _, m := range answers[1:] {
			if strings.Contains(ede(m), errJostled.Error()) {
				t.Error("a younger one gave way")
			}
		}
	}, func(o *Options) { o.Flights = 3 })
}

// Close ends what is in progress, and everybody gets an answer.
func TestCloseWhileBusy(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("dead.example.", "", testnet.Silent())
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				if m := s.resolve(fmt.Sprintf("w%d.dead.example.", i%10), "A"); m.Rcode != dns.RcodeServerFailure || ede(m) == "" {
					t.Errorf("%s, EDE %s", brief(m), ede(m))
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		started := time.Now()
		s.r.Close()
		group.Wait()
		if waited := time.Since(started); waited > 0 {
			t.Errorf("it took %v", waited)
		}
		s.want("www.dead.example.", "A", "SERVFAIL")
	})
}

// panicky is an Exchanger that panics when it is asked the first time.
type panicky struct {
	Exchanger
	panicked atomic.Bool
}

func (p *panicky) Exchange(ctx context.Context, s upstream.Server, q wire.Question, w *work.Budget, o upstream.Overdue) (upstream.Reply, error) {
	if !p.panicked.Swap(true) {
		time.Sleep(100 * time.Millisecond)
		panic("a bug")
	}
	return p.Exchanger.Exchange(ctx, s, q, w, o)
}

// A bug costs one answer, and neither the program nor those who wait for the same reply. Somebody is told of it.
func TestPanicInAnExchange(t *testing.T) {
	var panics, runs atomic.Int32
	play(t, func(s *script) {
		runs.Add(1)
		s.Zone("shop.example.", "* A 203.0.113.80")
		var group sync.WaitGroup
		group.Go(func() { s.want("a.shop.example.", "A", "SERVFAIL") })
		time.Sleep(time.Millisecond)
		group.Go(func() { s.want("b.shop.example.", "A", "NOERROR b.shop.example. A 203.0.113.80") })
		group.Wait()
		s.want("a.shop.example.", "A", "NOERROR a.shop.example. A 203.0.113.80")
	}, func(o *Options) {
		o.Exchanger, o.Panicked = &panicky{Exchanger: o.Exchanger}, func() { panics.Add(1) }
	})
	if panics.Load() != runs.Load() {
		t.Errorf("%d panics were told of, of %d", panics.Load(), runs.Load())
	}
}

// What is done beside a flight ends nothing but itself.
func TestPanicBesideAFlight(t *testing.T) {
	panics := 0
	f := &flights{panicked: func() { panics++ }}
	f.beside(func() { panic("a bug") })
	f.pending.Wait()
	if panics != 1 {
		t.Errorf("%d panics were told of", panics)
	}
}

// An answer is shared by all who waited for it: none of them may see what another does with it.
func TestWaitersDoNotShareBytes(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				a := s.ask(question("www.shop.example.", "A"))
				if got := brief(s.unpack(a)); got != wwwAnswer {
					t.Errorf("got %s", got)
				}
				clear(a.Packet)
			})
		}
		group.Wait()
		for range everyWay {
			a := s.ask(question("www.shop.example.", "A"))
			if got := brief(s.unpack(a)); got != wwwAnswer {
				t.Errorf("got %s", got)
			}
			clear(a.Packet)
		}
	})
}

// A failure that comes from where a look-up started, and not from the name, is not remembered of the name: here the
// servers of y are found by way of z, and a detour by x that leads in a circle says nothing about x.
func TestCircleIsNotBlamedOnTheInnocent(t *testing.T) {
	for seed := range 20 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			playOnce(t, func(s *script) {
				z := s.Zone("z.test.", "")
				x := s.Server("ns.x.example.")
				s.ZoneAt("y.example.", "@ NS ns.x.example.\n@ NS "+z.Name()+"\nns A 192.0.2.250\nwww A 203.0.113.81", z)
				s.Data("y.example.").Remove("ns.y.example.")
				for _, a := range x.Addresses() {
					if a.Addr().Is4() {
						s.add("y.example.", "ns A "+a.Addr().String())
					}
				}
				s.Data("example.").Remove("ns.x.example.")
				s.Data("example.").Remove("x.example.")
				s.add("example.", "x NS ns.y.example.")
				x.Host(testnet.MustZone("x.example.", "@ NS ns.y.example.\nns A "+x.Addresses()[0].Addr().String()+"\nwww A 203.0.113.80"))
				s.want("www.x.example.", "A", "NOERROR www.x.example. A 203.0.113.80")
				s.want("ns.x.example.", "A", "NOERROR ns.x.example. A "+x.Addresses()[0].Addr().String())
			}, packetsOn)
		})
	}
}
