package cache

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tacit/internal/wire"
)

// The store beside golang-lru's 2Q, with equal keys and values. docs/adr/0005-cache-store.md quotes the results.

const (
	benchEntries = 1 << 16
	benchPayload = 120 // bytes of an answer
)

type contender struct {
	name    string
	entries int // that take the memory of benchEntries in 2Q, by BenchmarkHeap
	make    func(entries int) bounded
}

type bounded struct {
	get    func(uint64) bool
	put    func(uint64)
	mapped func() int64 // what is not on the heap
}

var contenders = []contender{
	{"store", benchEntries * 260 / 223, func(entries int) bounded {
		s := newStore(int64(entries)*cost(testStart+benchPayload), testFixed)
		return bounded{
			get: func(k uint64) bool { return lookUp(s, k) },
			put: func(k uint64) {
				var record [testStart + benchPayload]byte
				key := record[testFixed:testStart]
				binary.BigEndian.PutUint64(key, k)
				shard, hash := s.locate(key)
				shard.Lock()
				defer shard.Unlock()
				shard.put(hash, key, record[:], false)
			},
			mapped: s.mapped,
		}
	}},
	{"2Q", benchEntries, func(entries int) bounded {
		c, err := lru.New2Q[uint64, []byte](entries)
		if err != nil {
			panic(err)
		}
		return bounded{
			get:    func(k uint64) bool { _, ok := c.Get(k); return ok },
			put:    func(k uint64) { c.Add(k, make([]byte, benchPayload)) },
			mapped: func() int64 { return 0 },
		}
	}},
}

func BenchmarkGet(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			cache := c.make(benchEntries * 5 / 4)
			for k := range uint64(benchEntries) {
				cache.put(k)
			}
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.05, 1, benchEntries-1)
			names := make([]uint64, 1<<20)
			for i := range names {
				names[i] = zipf.Uint64()
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(names)); pb.Next(); i++ {
					cache.get(names[i%len(names)])
				}
			})
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			put := c.make(benchEntries).put
			k := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				put(k)
				k++
			}
		})
	}
}

// BenchmarkHeap reports the bytes that an entry takes in a full cache, of which benchPayload are the answer: of heap, and of
// what the store has from the system.
func BenchmarkHeap(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				cache := c.make(benchEntries)
				for k := range uint64(benchEntries) {
					cache.put(k)
				}
				b.ReportMetric(float64(heap()-before+cache.mapped())/benchEntries, "B/entry")
				runtime.KeepAlive(cache)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resident returns the memory of the process as the system counts it, 0 where it does not say.
func resident() int64 {
	var size, pages int64
	text, _ := os.ReadFile("/proc/self/statm")
	_, _ = fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}

// million fills the RRsets of a cache with 1,000,000 names of 54 octets, one A record each.
func million() *Cache {
	c := New(Options{Size: 1 << 30})
	lease, address := epoch.Add(24*time.Hour), wire.Rdatas{}.Add([]byte{192, 0, 2, 1})
	for i := range 1_000_000 {
		name := wire.MustName(fmt.Sprintf("host-%07d.with-a-name-of-fifty-four.octets.zone.test", i))
		k := Key{Name: name, Type: wire.TypeA}
		set := wire.RRset{Name: name, Type: wire.TypeA, TTL: 3600, Data: address}
		if !c.RRsets.Put(k, Entry{Rank: AnswerAA, Cut: name.Suffix(2), Lease: lease, Set: set}, epoch, c.Generation()) {
			panic("refused")
		}
	}
	return c
}

// BenchmarkGC takes the time of a full collection beside 1,000,000 names, and reports what each of them takes.
func BenchmarkGC(b *testing.B) {
	before := resident()
	c := million()
	debug.FreeOSMemory()
	size := float64(resident()-before) / 1e6
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric(size, "residentB/name")
	b.ReportMetric(float64(c.RRsets.entries.mapped())/1e6, "mappedB/name")
	if n := c.Stats().RRsets.Entries; n != 1_000_000 {
		b.Fatalf("%d names", n)
	}
}

// BenchmarkMillion asks for 1,000,000 names in no order: the processor's caches are of no use.
func BenchmarkMillion(b *testing.B) {
	c := New(Options{Size: 1 << 30})
	q := question("host-0000000.with-a-name-of-fifty-four.octets.zone.test", wire.TypeA)
	for i := range 1_000_000 {
		q.Name = wire.MustName(fmt.Sprintf("host-%07d.with-a-name-of-fifty-four.octets.zone.test", i))
		c.Packets.Put(q, answer(b, q, wire.NoError, 300), epoch, c.Generation())
	}
	asked := query(b, q)
	text := asked.FoldedName()[len("xhost-"):][:7]
	dst := make([]byte, 0, 512)
	random := rand.New(rand.NewPCG(3, 3))
	for b.Loop() {
		for i, n := 6, random.IntN(1_000_000); i >= 0; i, n = i-1, n/10 {
			text[i] = byte('0' + n%10)
		}
		if _, ok := c.Packets.Get(dst, asked, epoch); !ok {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkHitRate asks for names by Zipf's law; with names asked for once mixed in; with bursts of such names. Both
// have the same memory.
func BenchmarkHitRate(b *testing.B) {
	for _, pattern := range []struct {
		name  string
		fresh func(i int) bool // whether the i-th name is one never asked for before
	}{
		{"zipf", func(int) bool { return false }},
		{"unique", func(i int) bool { return i%5 == 4 }},
		{"scan", func(i int) bool { return i%500_000 > 350_000 }},
	} {
		for _, c := range contenders {
			b.Run(pattern.name+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					b.ReportMetric(hitRate(c.make(c.entries), pattern.fresh), "hits/name")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// hitRate returns the share of hits among the names of Zipf's law, after a start.
func hitRate(c bounded, fresh func(int) bool) float64 {
	const asked, start = 2_000_000, 500_000
	names := rand.NewZipf(rand.New(rand.NewPCG(7, 7)), 1.02, 1, 32*benchEntries)
	var hits, counted float64
	for i := range asked {
		once := fresh(i)
		k := uint64(1)<<40 + uint64(i)
		if !once {
			k = names.Uint64()
		}
		hit := c.get(k)
		if !hit {
			c.put(k)
		}
		if i >= start && !once {
			counted++
			if hit {
				hits++
			}
		}
	}
	return hits / counted
}
