package resolver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tacit/cache"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// bench is a resolver in front of an internet in memory whose packets take no time to speak of. It waits for them on
// the real clock.
func bench(b *testing.B, packetsOff bool) (*testnet.World, *Resolver) {
	b.Helper()
	w := testnet.New(testnet.Options{Seed: 1, Latency: time.Microsecond})
	memory := upstream.NewMemory(upstream.MemoryOptions{})
	client := upstream.New(upstream.Options{Network: w, Memory: memory})
	hints, err := ParseHints(strings.NewReader(w.Hints()))
	if err != nil {
		b.Fatal(err)
	}
	r := New(Options{Exchanger: client, Memory: memory, Hints: hints, Cache: cache.New(cache.Options{Size: 64 << 20, PacketsOff: packetsOff})})
	b.Cleanup(func() {
		r.Close()
		if err := client.Close(); err != nil {
			b.Error(err)
		}
	})
	return w, r
}

func mustResolve(b *testing.B, r *Resolver, q wire.Question) {
	b.Helper()
	a, _ := r.Resolve(context.Background(), q)
	if a.Rcode() != wire.NoError {
		b.Fatalf("%v %v", a.Rcode(), a.Errors)
	}
}

// What a question costs that is known, but not as a finished answer.
func BenchmarkRemember(b *testing.B) {
	w, r := bench(b, true)
	w.Zone("shop.example.", "alias CNAME www\n"+wwwRecord)
	for _, name := range []string{"www.shop.example.", "alias.shop.example."} {
		b.Run(map[bool]string{true: "alias", false: "address"}[strings.HasPrefix(name, "alias")], func(b *testing.B) {
			q := question(name, "A")
			mustResolve(b, r, q)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := r.remember(q, r.now()); !ok {
					b.Fatal("forgotten")
				}
			}
		})
	}
}

func BenchmarkRecall(b *testing.B) {
	w, r := bench(b, false)
	w.Zone("shop.example.", wwwRecord)
	q := question("www.shop.example.", "A")
	mustResolve(b, r, q)
	mustResolve(b, r, q)
	asked, buf, now := query(b, q), make([]byte, 0, 4096), r.now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Recall(buf, asked, now); !ok {
			b.Fatal("forgotten")
		}
	}
}

// A cold resolution: the servers of the zone are known, or nothing is.
func BenchmarkResolve(b *testing.B) {
	w, r := bench(b, false)
	w.Zone("shop.example.", "* A 203.0.113.80")
	b.Run("new name", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			mustResolve(b, r, question(fmt.Sprintf("w%d.shop.example.", i), "A"))
		}
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.cache.FlushAll()
			mustResolve(b, r, question("www.shop.example.", "A"))
		}
	})
}

// The first name of a zone whose servers nobody has asked yet, below a TLD that is known: two questions, and the keys of a
// signed zone. Time and allocations are those of the servers, too.
func BenchmarkResolveZone(b *testing.B) {
	for _, signed := range []bool{false, true} {
		b.Run(map[bool]string{false: "unsigned", true: "signed"}[signed], func(b *testing.B) {
			w, r := bench(b, false)
			names := manyZones(w, signed)
			trustOf(b, w, r)
			walk := func(i int) {
				q := question(names[i], "A")
				q.DO = true
				if a, _ := r.Resolve(b.Context(), q); a.Rcode() != wire.NoError || signed != (a.Packet[3]&0x20 != 0) {
					b.Fatalf("%v %v", a.Rcode(), a.Errors)
				}
			}
			for i := range names { // the servers sign what they are asked for
				walk(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 1) % len(names) {
				if i == 0 {
					b.StopTimer()
					r.cache.FlushAll()
					r.validator.Forget(func(wire.Name) bool { return true })
					mustResolve(b, r, question("www.known.example.", "A"))
					b.StartTimer()
				}
				walk(i)
			}
		})
	}
}

// manyZones makes zones below one TLD, and returns a name in each.
func manyZones(w *testnet.World, signed bool) (names []string) {
	zones := make([]string, 0, 500)
	for i := range cap(zones) {
		zone := fmt.Sprintf("z%d.example.", i)
		w.Zone(zone, wwwRecord)
		zones, names = append(zones, zone), append(names, "www."+zone)
	}
	w.Zone("known.example.", wwwRecord)
	w.Sign(testnet.Signing{}, ".", "example.")
	if signed {
		w.Sign(testnet.Signing{}, zones...)
	}
	return names
}

// What is kept of a reply, and what it is.
func BenchmarkClassify(b *testing.B) {
	zone, name := wire.MustName("shop.example."), wire.MustName("www.shop.example.")
	for _, c := range []struct {
		text string
		want outcome
	}{
		{"AA|www.shop.example. A 203.0.113.1", answer},
		{"||www.shop.example. NS ns.www.shop.example.|ns.www.shop.example. A 192.0.2.1", referral},
	} {
		b.Run(c.want.String(), func(b *testing.B) {
			m := message(b, c.text)
			b.ReportAllocs()
			for b.Loop() {
				r, _ := scrub(m, wire.Question{Name: name, Type: wire.TypeA}, zone)
				if j := classify(&r, name, wire.TypeA, zone); j.outcome != c.want {
					b.Fatal(j.outcome)
				}
			}
		})
	}
}

// One RRset of a zone whose keys are known: one signature of P-256 is checked.
func BenchmarkValidate(b *testing.B) {
	w, r := bench(b, false)
	w.Zone("shop.example.", wwwRecord)
	w.Sign(testnet.Signing{}, ".", "example.", "shop.example.")
	trustOf(b, w, r)
	q := question("www.shop.example.", "A")
	mustResolve(b, r, q)
	e, _ := r.cache.RRsets.Get(cache.Key{Name: q.Name, Type: q.Type}, cache.Answer, r.now())
	s := r.newResolution(q, nil)
	b.ReportAllocs()
	for b.Loop() {
		v, err := r.validator.RRset(b.Context(), r.now(), work.New(work.DefaultLimits), &e.Set, nil, s)
		if err != nil || v.Status != wire.Secure {
			b.Fatal(v.Status, err)
		}
	}
}

func BenchmarkPack(b *testing.B) {
	now := time.Now()
	name := wire.MustName("www.shop.example.")
	set := wire.RRset{Name: name, Type: wire.TypeA}
	for i := range 4 {
		set.Data = set.Data.Add([]byte{203, 0, 113, byte(i)})
	}
	res := &result{answer: []timed{{set: set, stored: now, expires: now.Add(time.Hour)}}}
	q := wire.Question{Name: name, Type: wire.TypeA, Class: wire.ClassIN}
	b.ReportAllocs()
	for b.Loop() {
		if a := res.pack(q, now); len(a.Packet) == 0 {
			b.Fatal("nothing was packed")
		}
	}
}
