package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/cache"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// serverAt is a candidate's server.
func serverAt(address string) upstream.Server {
	return upstream.Server{Addr: netip.AddrPortFrom(netip.MustParseAddr(address), 53)}
}

// newTestResolution returns a resolution of a resolver without a network.
func newTestResolution(o Options) *resolution {
	o.Memory = upstream.NewMemory(upstream.MemoryOptions{})
	o.Cache = cache.New(cache.Options{Size: 1 << 20})
	return New(o).newResolution(wire.Question{}, nil)
}

func TestSelectionLimits(t *testing.T) {
	r := newTestResolution(Options{NoIPv6: true})
	c := cut{zone: wire.MustName("shop.example.")}
	for i := range 20 {
		c.servers = append(c.servers, cache.NameServer{
			Name: wire.MustName(fmt.Sprintf("ns%d.shop.example.", i)),
			Addresses: []netip.Addr{
				netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1"),
			},
		})
	}
	s := r.newSelection(&c)
	if got := len(s.names); got != maxNames {
		t.Errorf("%d server names are considered, want %d", got, maxNames)
	}
	if got := len(s.candidates); got != maxNames+1 { // 198.51.100.1 once, and nothing of IPv6
		t.Errorf("%d addresses are considered, want %d", got, maxNames+1)
	}
}

// kill makes a server dead in the memory: nobody listens at a closed port.
func kill(t *testing.T, r *resolution, server upstream.Server, w *testnet.World) {
	t.Helper()
	client := upstream.New(upstream.Options{Network: w, Memory: r.memory})
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 8 {
		_, err := client.Exchange(context.Background(), server, wire.Question{Name: wire.Root, Type: wire.TypeNS}, work.New(work.DefaultLimits), nil)
		if err == nil {
			t.Fatal("a server that is not there answered")
		}
	}
}

// "Known-dead servers are probed by 5 % of the questions": also when their penalty is over.
func TestPreference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		r := newTestResolution(Options{})
		zone := wire.MustName("shop.example.")
		good, lame, dead := serverAt("192.0.2.200"), serverAt("192.0.2.201"), serverAt("192.0.2.202")
		r.memory.MarkLame(lame, zone, r.now())
		kill(t, r, dead, w)
		s := &selection{zone: zone}
		share := func(c candidate, p preference) int {
			count := 0
			for range 1000 {
				if r.preference(s, &c, r.now()) == p {
					count++
				}
			}
			return count
		}
		exactly := func(name string, c candidate, p preference) {
			t.Helper()
			if got := share(c, p); got != 1000 {
				t.Errorf("%s: preference %d in %d of 1000 cases", name, p, got)
			}
		}
		exactly("unknown", candidate{server: good}, willing)
		exactly("has not answered", candidate{server: good, tries: 1}, retry)
		exactly("three tries", candidate{server: good, tries: maxTries}, never)
		exactly("useless reply", candidate{server: good, spent: true}, never)
		exactly("lame", candidate{server: lame}, lastHope)
		exactly("dead", candidate{server: dead}, reluctant)
		note(&r.unanswered, good, maxUnanswered)
		exactly("silent in this resolution", candidate{server: good}, never)
		time.Sleep(time.Hour)
		if got := share(candidate{server: dead}, willing); got < 20 || got > 100 {
			t.Errorf("a dead server whose penalty is over is asked by %d of 1000 questions, want about 50", got)
		}
	})
}

func TestPickLeavesNothingUntried(t *testing.T) {
	r := newTestResolution(Options{})
	s := &selection{candidates: []candidate{{server: serverAt("192.0.2.200")}, {server: serverAt("192.0.2.201")}}}
	asked := map[upstream.Server]int{}
	for {
		c, class := s.pick(r, r.now())
		if c == nil {
			break
		}
		if (class == willing) != (c.tries == 0) {
			t.Errorf("preference %d after %d tries", class, c.tries)
		}
		c.tries++
		asked[c.server]++
	}
	if asked[serverAt("192.0.2.200")] != maxTries || asked[serverAt("192.0.2.201")] != maxTries {
		t.Errorf("tries %v, want %d each", asked, maxTries)
	}
}

// Questions that are shared must not share the blame: a good server does not become lame because the reply that a
// resolution waited for came from the lame one beside it.
func TestBlameStaysWithTheServerThatWasAsked(t *testing.T) {
	for seed := range 10 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			playOnce(t, func(s *script) {
				s.NameServer("example.", testnet.Failing(dns.RcodeRefused))
				s.Zone("shop.example.", "* A 203.0.113.80")
				s.resolve("nothing.test.", "A")
				var group sync.WaitGroup
				for i := range 30 {
					group.Go(func() {
						name := fmt.Sprintf("w%d.shop.example.", i)
						s.want(name, "A", "NOERROR "+name+" A 203.0.113.80")
					})
				}
				group.Wait()
				for _, a := range s.At("example.").Addresses() {
					if s.r.memory.Prospect(upstream.Server{Addr: a}, wire.MustName("example."), s.r.now()).Lame {
						t.Error("the good server is taken for lame")
					}
				}
			}, packetsOn)
		})
	}
}

// A forwarder's reply must not be taken for that of the servers of the same zone, which are asked when it fails.
func TestForwarderAndServersAreDifferentExchanges(t *testing.T) {
	play(t, func(s *script) {
		forwarder := s.Server("recursive.example.", testnet.Slow(300*time.Millisecond), testnet.Scripted(func(q *dns.Msg) *dns.Msg {
			return forged(q)
		}))
		s.Zone("shop.example.", wwwRecord)
		s.want("www.shop.example.", "A", wwwAnswer)
		to := upstream.Server{Addr: forwarder.Addresses()[0], Recursive: true}
		q := wire.Question{Name: wire.MustName("new.shop.example."), Type: wire.TypeA}
		var group sync.WaitGroup
		group.Go(func() {
			s.r.newResolution(wire.Question{}, nil).exchange(context.Background(), wire.MustName("shop.example."), to, upstream.Server{}, q)
		})
		time.Sleep(10 * time.Millisecond)
		started := time.Now()
		s.want("new.shop.example.", "A", "NXDOMAIN")
		if waited := time.Since(started); waited > 100*time.Millisecond {
			t.Errorf("the zone's servers were not asked for %v", waited)
		}
		group.Wait()
	})
}

// forged says that a name has the address that must never come out of a resolver.
func forged(q *dns.Msg) *dns.Msg {
	r := new(dns.Msg).SetReply(q)
	r.RecursionAvailable = true
	r.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600}, A: testnet.ForgedIPv4.AsSlice(),
	}}
	return r
}

// One family is enough.
func TestOneFamily(t *testing.T) {
	for name, c := range map[string]struct {
		option func(*Options)
		only   testnet.Behaviour
		v6     bool
	}{
		"IPv4 only": {func(o *Options) { o.NoIPv6 = true }, testnet.IPv4Only(), false},
		"IPv6 only": {func(o *Options) { o.NoIPv4 = true }, testnet.IPv6Only(), true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", wwwRecord)
				server := s.Zone("hosting.test.", "", c.only)
				s.ZoneAt("glueless.example.", wwwRecord, server)
				s.want("www.shop.example.", "A", wwwAnswer)
				s.want("www.glueless.example.", "A", "NOERROR www.glueless.example. A 203.0.113.80")
				for _, p := range s.Seen() {
					if p.To.Addr().Is6() != c.v6 {
						t.Errorf("%s went to %v", p, p.To)
					}
				}
			}, c.option)
		})
	}
}

// Dual stack: a server that has one family only is found by either.
func TestServersOfOneFamily(t *testing.T) {
	for name, only := range map[string]testnet.Behaviour{"IPv4": testnet.IPv4Only(), "IPv6": testnet.IPv6Only()} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", wwwRecord, only)
				s.ZoneAt("glueless.example.", wwwRecord, s.Zone("hosting.test.", "", only))
				s.want("www.shop.example.", "A", wwwAnswer)
				s.want("www.glueless.example.", "A", "NOERROR www.glueless.example. A 203.0.113.80")
			})
		})
	}
}

// The bar for loss: 99.5 % of fresh names at 10 %, 97 % at 30 %, in each direction, within the client's patience.
func TestLoss(t *testing.T) {
	for _, c := range []struct {
		loss   float64
		failed int // of 1000
	}{{0.1, 5}, {0.3, 30}} {
		t.Run(fmt.Sprint(c.loss), func(t *testing.T) {
			playOnce(t, func(s *script) {
				s.Zone("shop.example.", "* A 203.0.113.80", testnet.Loss(c.loss))
				s.NameServer("shop.example.", testnet.Loss(c.loss))
				s.At(".").Behave(testnet.Loss(c.loss))
				s.At("example.").Behave(testnet.Loss(c.loss))
				failed := 0
				for i := range 1000 {
					started := time.Now()
					if m := s.resolve(fmt.Sprintf("w%d.shop.example.", i), "A"); m.Rcode != dns.RcodeSuccess {
						failed++
					}
					if d := time.Since(started); d > clientPatience {
						t.Errorf("an answer took %v", d)
					}
				}
				if failed > c.failed {
					t.Errorf("%d of 1000 names failed, want at most %d", failed, c.failed)
				}
				t.Logf("%d of 1000 names failed; %d packets arrived", failed, len(s.SeenAt("shop.example.")))
			}, packetsOn)
		})
	}
}

// Forged replies change nothing and blame nobody (RFC 5452 section 9.1).
func TestForgedRepliesDoNotPoison(t *testing.T) {
	for name, forgery := range map[string]testnet.Forgery{
		"ID": testnet.ForgedID, "question": testnet.ForgedQuestion, "type": testnet.ForgedType, "no question": testnet.NoQuestion,
		"case": testnet.ForgedCase, "source": testnet.ForgedSource, "query": testnet.ForgedQuery, "garbage": testnet.Garbage, "runt": testnet.Runt,
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", wwwRecord, testnet.Forging(forgery))
				s.want("www.shop.example.", "A", wwwAnswer)
				s.free("www.shop.example.", "A", wwwAnswer)
				s.want("no.shop.example.", "A", "NXDOMAIN")
			})
		})
	}
}
