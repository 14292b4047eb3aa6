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
	a := r.Resolve(context.Background(), q)
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
