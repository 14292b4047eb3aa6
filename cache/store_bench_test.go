package cache

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The store beside golang-lru's 2Q, with equal keys and values. docs/adr/0005-cache-store.md quotes the results.

const (
	benchEntries = 1 << 16
	benchPayload = 120 // bytes of an answer
)

type contender struct {
	name    string
	entries int // that take the memory of benchEntries in 2Q, by BenchmarkHeap
	make    func(entries int) (get func(uint64) bool, put func(uint64))
}

var contenders = []contender{
	{"store", benchEntries * 260 / 222, func(entries int) (func(uint64) bool, func(uint64)) {
		s := newStore(int64(entries)*cost(testStart+benchPayload), testFixed)
		get := func(k uint64) bool { return lookUp(s, k) }
		return get, func(k uint64) {
			var record [testStart + benchPayload]byte
			key := record[testFixed:testStart]
			binary.BigEndian.PutUint64(key, k)
			shard, hash := s.locate(key)
			shard.Lock()
			defer shard.Unlock()
			shard.put(hash, key, record[:], false)
		}
	}},
	{"2Q", benchEntries, func(entries int) (func(uint64) bool, func(uint64)) {
		c, err := lru.New2Q[uint64, []byte](entries)
		if err != nil {
			panic(err)
		}
		get := func(k uint64) bool { _, ok := c.Get(k); return ok }
		return get, func(k uint64) { c.Add(k, make([]byte, benchPayload)) }
	}},
}

func BenchmarkGet(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			get, put := c.make(benchEntries * 5 / 4)
			for k := range uint64(benchEntries) {
				put(k)
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
					get(names[i%len(names)])
				}
			})
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			_, put := c.make(benchEntries)
			k := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				put(k)
				k++
			}
		})
	}
}

// BenchmarkHeap reports the bytes of heap that an entry takes in a full cache, of which benchPayload are the answer.
func BenchmarkHeap(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				get, put := c.make(benchEntries)
				for k := range uint64(benchEntries) {
					put(k)
				}
				b.ReportMetric(float64(heap()-before)/benchEntries, "heapB/entry")
				runtime.KeepAlive(get)
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
					get, put := c.make(c.entries)
					b.ReportMetric(hitRate(get, put, pattern.fresh), "hits/name")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// hitRate returns the share of hits among the names of Zipf's law, after a start.
func hitRate(get func(uint64) bool, put func(uint64), fresh func(int) bool) float64 {
	const asked, start = 2_000_000, 500_000
	names := rand.NewZipf(rand.New(rand.NewPCG(7, 7)), 1.02, 1, 32*benchEntries)
	var hits, counted float64
	for i := range asked {
		once := fresh(i)
		k := uint64(1)<<40 + uint64(i)
		if !once {
			k = names.Uint64()
		}
		hit := get(k)
		if !hit {
			put(k)
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
