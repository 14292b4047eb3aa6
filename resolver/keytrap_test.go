package resolver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/dnssec"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// A trap is a zone that is made to cost its validators as much as it can, and a question into it.
type trap struct {
	signing testnet.Signing
	flaws   []testnet.Flaw
	ask     func(i int) string // another name each time
	warm    bool               // the zone's keys are known before
	shuts   bool               // signatures are tried that do not verify
	want    string
}

func wide(i int) string { return fmt.Sprintf("w%d.trap.example.", i) }

// long is a name of 110 labels below the zone.
func long(i int) string { return strings.Repeat("x.", 104) + fmt.Sprintf("w%d.trap.example.", i) }

var (
	everyKey = []testnet.Flaw{testnet.KeyTrap(250, 200)} // so many that the right one is not looked at
	manyKeys = []testnet.Flaw{testnet.KeyTrap(60, 200)}
)

// CVE-2023-50387 (KeyTrap) with a CSK, so that it shuts at the keys, and with a ZSK, so that it shuts at the data;
// CVE-2023-50868 and the like with NSEC3.
var traps = map[string]trap{
	"RSA, at the keys":       {signing: testnet.Signing{Algorithm: dns.RSASHA256}, flaws: everyKey, ask: wide},
	"RSA, at the keys, 60":   {signing: testnet.Signing{Algorithm: dns.RSASHA256}, flaws: manyKeys, ask: wide, shuts: true},
	"P-256, at the keys":     {signing: testnet.Signing{}, flaws: everyKey, ask: wide},
	"P-256, at the keys, 60": {signing: testnet.Signing{}, flaws: manyKeys, ask: wide, shuts: true},
	"P-384, at the keys":     {signing: testnet.Signing{Algorithm: dns.ECDSAP384SHA384}, flaws: everyKey, ask: wide},
	"P-384, at the keys, 60": {signing: testnet.Signing{Algorithm: dns.ECDSAP384SHA384}, flaws: manyKeys, ask: wide, shuts: true},
	"RSA, at the data":       {signing: testnet.Signing{Algorithm: dns.RSASHA256, Split: true}, flaws: everyKey, ask: wide},
	"RSA, at the data, 60":   {signing: testnet.Signing{Algorithm: dns.RSASHA256, Split: true}, flaws: manyKeys, ask: wide, shuts: true},
	"P-256, at the data":     {signing: testnet.Signing{Split: true}, flaws: everyKey, ask: wide},
	"P-256, at the data, 60": {signing: testnet.Signing{Split: true}, flaws: manyKeys, ask: wide, shuts: true},
	"P-384, at the data":     {signing: testnet.Signing{Algorithm: dns.ECDSAP384SHA384, Split: true}, flaws: everyKey, ask: wide},
	"P-384, at the data, 60": {signing: testnet.Signing{Algorithm: dns.ECDSAP384SHA384, Split: true}, flaws: manyKeys, ask: wide, shuts: true},
	"P-256, at the DS":       {flaws: []testnet.Flaw{testnet.KeyTrap(250, 200), testnet.DSTrap(7)}, ask: wide},
	"NSEC3, 2,500":           {signing: testnet.Signing{Denial: testnet.NSEC3, Iterations: 2500}, ask: wide, warm: true, want: "NXDOMAIN"},
	"NSEC3, 50, 110 long":    {signing: testnet.Signing{Denial: testnet.NSEC3, Iterations: 50, Salt: strings.Repeat("ab", 60)}, ask: long, warm: true, want: "NXDOMAIN"},
	"NSEC3, 50, salted":      {signing: testnet.Signing{Denial: testnet.NSEC3, Iterations: 50, Salt: "abcd"}, ask: wide, warm: true, want: "NXDOMAIN"},
}

func (x *trap) set(w *testnet.World) {
	w.Zone("trap.example.", "")
	w.Zone("good.example.", wwwRecord)
	w.Sign(testnet.Signing{}, ".", "example.", "good.example.")
	w.Sign(x.signing, "trap.example.")
	if len(x.flaws) > 0 {
		for i := range trapNames { // a wildcard's answer would need the signatures of its proof, too, and not fit into 64 KiB
			if err := w.Data("trap.example.").Add(fmt.Sprintf("w%d A 203.0.113.80", i)); err != nil {
				panic(err)
			}
		}
		w.Spoil("trap.example.", x.flaws...)
	}
}

// Limits of security.md section 2, for one question whatever it leads to.
const (
	mostChecks   = 32
	mostFailures = 6
	mostBlocks   = 3000
)

// One ledger counts, on every path, and what it allows for one question is little.
func TestTrapsAreCheap(t *testing.T) {
	for name, x := range traps {
		t.Run(name, func(t *testing.T) {
			playOnce(t, func(s *script) {
				x.set(s.World)
				s.trust()
				s.wantStatus("www.good.example.", "A", "NOERROR secure")
				if x.warm {
					s.wantStatus("trap.example.", "SOA", "NOERROR secure")
				}
				var spent work.Limits
				for i := range 3 {
					q := question(x.ask(i), "A")
					r := s.r.newResolution(q, nil)
					ctx, cancel := context.WithTimeout(context.Background(), resolutionTime)
					res := r.follow(ctx, q.Name, q.Type)
					cancel()
					if got := dns.RcodeToString[int(res.rcode)]; got != orServfail(x.want) || res.secure && x.want == "" {
						t.Errorf("%s, secure %t, %v; want %s", got, res.secure, res.errs, orServfail(x.want))
					}
					for k, most := range map[work.Kind]int32{
						work.Signature: mostChecks, work.FailedSignature: mostFailures, work.NSEC3Hash: mostBlocks, work.UpstreamQuery: 32,
					} {
						n := r.budget.Spent(k)
						if spent[k] = max(spent[k], n); n > most {
							t.Errorf("%d %v, want at most %d", n, k, most)
						}
					}
				}
				if x.shuts && spent[work.FailedSignature] == 0 {
					t.Error("the trap did not shut")
				}
				t.Logf("at most %d checks, %d failed, %d blocks, %d packets", spent[work.Signature], spent[work.FailedSignature], spent[work.NSEC3Hash], spent[work.UpstreamQuery])
			}, packetsOn)
		})
	}
}

func orServfail(rcode string) string {
	if rcode == "" {
		return "SERVFAIL"
	}
	return rcode
}

// replayer answers from what servers said before, so that what is measured is the resolver.
type replayer struct {
	*upstream.Client
	said map[key]upstream.Reply
	used bool
}

func (p *replayer) Exchange(ctx context.Context, to upstream.Server, q wire.Question, w *work.Budget, o upstream.Overdue) (upstream.Reply, error) {
	k := key{q.Name, q.Type}
	if reply, ok := p.said[k]; ok && p.used {
		return reply, w.Spend(work.UpstreamQuery, 1)
	}
	reply, err := p.Client.Exchange(ctx, to, q, w, o)
	if err == nil {
		p.said[k] = reply
	}
	return reply, err
}

// What a question into a trap costs in time of one processor, the making of the trap and the transport left out.
func BenchmarkTrap(b *testing.B) {
	for name, x := range traps {
		b.Run(name, func(b *testing.B) {
			w, r := bench(b, false)
			x.set(w)
			p := springTrap(b, w, r, &x)
			var checks, failures, blocks int32
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				q := question(x.ask(i%trapNames), "A")
				b.StopTimer()
				r.cache.Flush(q.Name)
				r.cache.FlushSubtree(wire.MustName("trap.example."))
				r.validator.Forget(func(n wire.Name) bool { return n.Within(wire.MustName("trap.example.")) && !x.warm })
				b.StartTimer()
				s := r.newResolution(q, nil)
				s.follow(context.Background(), q.Name, q.Type)
				checks, failures, blocks = s.budget.Spent(work.Signature), s.budget.Spent(work.FailedSignature), s.budget.Spent(work.NSEC3Hash)
			}
			b.ReportMetric(float64(checks), "checks/op")
			b.ReportMetric(float64(failures), "failures/op")
			b.ReportMetric(float64(blocks), "blocks/op")
			if !p.used {
				b.Error("the network was in the way")
			}
		})
	}
}

// trapNames is how many names are asked for, one after the other.
const trapNames = 8

// springTrap asks each question once, so that the answers are at hand.
func springTrap(b *testing.B, w *testnet.World, r *Resolver, x *trap) *replayer {
	b.Helper()
	trustOf(b, w, r)
	p := &replayer{Client: r.exchanger.(*upstream.Client), said: map[key]upstream.Reply{}}
	r.exchanger = p
	mustResolve(b, r, question("www.good.example.", "A"))
	mustResolve(b, r, wire.Question{Name: wire.MustName("trap.example."), Type: wire.TypeSOA, Class: wire.ClassIN, CD: !x.warm})
	for i := range trapNames {
		q := question(x.ask(i), "A")
		s := r.newResolution(q, nil)
		s.follow(context.Background(), q.Name, q.Type)
	}
	p.used = true
	return p
}

func trustOf(t failer, w *testnet.World, r *Resolver) {
	t.Helper()
	anchor, err := dnssec.ParseTrustAnchor(w.Anchor())
	if err != nil {
		t.Fatal(err)
	}
	anchors := dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})
	r.validator = dnssec.New(dnssec.Options{Anchors: anchors})
}

// Answers that are known never wait for a signature to be checked. Beside: twice as many as there are processors walk
// into the trap all the time.
func BenchmarkRecallDuringTrap(b *testing.B) {
	for _, beside := range []int{0, 4} {
		b.Run(fmt.Sprint(beside, " beside"), func(b *testing.B) {
			x := traps["P-384, at the data"]
			w, r := bench(b, false)
			x.set(w)
			springTrap(b, w, r, &x)
			q := question("www.good.example.", "A")
			mustResolve(b, r, q) // again: then its answer is kept
			asked, buf, now := query(b, q), make([]byte, 0, 4096), r.now()
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			for worker := range beside {
				go func() {
					defer func() { done <- struct{}{} }()
					for i := worker; ctx.Err() == nil; i++ {
						q := question(x.ask(i%trapNames), "A")
						s := r.newResolution(q, nil)
						s.generation-- // nothing of it is kept
						s.follow(ctx, q.Name, q.Type)
					}
				}()
			}
			worst := time.Duration(0)
			for b.Loop() {
				started := time.Now()
				if _, ok := r.Recall(buf, asked, now); !ok {
					b.Fatal("forgotten")
				}
				worst = max(worst, time.Since(started))
			}
			b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
			cancel()
			for range beside {
				<-done
			}
		})
	}
}
