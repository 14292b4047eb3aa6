package zone

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"tacit/internal/wire"
)

// manyRecords is a zone file of records with names of their own.
func manyRecords(count int) []byte {
	var b bytes.Buffer
	b.WriteString("$TTL 300\n@ SOA ns hostmaster 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.53\n")
	for i := range count {
		fmt.Fprintf(&b, "host-%d A 198.51.%d.%d\n", i, 100+i>>8%100, i&255)
	}
	return b.Bytes()
}

// One zone of a million records, as in docs/performance.md, and the same in disorder.
func BenchmarkBuild(b *testing.B) {
	const count = 1_000_000
	text := manyRecords(count)
	b.Run("in order", func(b *testing.B) { benchmarkBuild(b, text, count) })
	lines := bytes.SplitAfter(text, []byte("\n"))
	rand.Shuffle(count, func(i, j int) { lines[4+i], lines[4+j] = lines[4+j], lines[4+i] })
	b.Run("shuffled", func(b *testing.B) { benchmarkBuild(b, bytes.Join(lines, nil), count) })
}

func benchmarkBuild(b *testing.B, text []byte, count int) {
	src := &Source{File: "z", Text: text, Origin: wire.MustName("example."), Changed: someDay}
	memory := held(func() any { made, _, _ := Build(src, someDay, &Options{}); return made }) / float64(count)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if z, _, _ := Build(src, someDay, &Options{}); z.Records() != count+3 {
			b.Fatal(z.Records())
		}
	}
	b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(memory, "held-bytes/record")
}

// held returns how much more is on the heap as long as what f makes is in use.
func held(f func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has left in pools
	runtime.ReadMemStats(&before)
	made := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(made)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

func BenchmarkFind(b *testing.B) {
	const count = 100_000
	z, problems := tryBuild("example.", string(manyRecords(count))+"*.w TXT any\nd DNAME example.net.\ncut NS ns.cut\nns.cut A 192.0.2.1\n", Options{})
	if problems.Grave() {
		b.Fatal(problems)
	}
	some := make([]wire.Name, 4096)
	for i := range some {
		some[i] = wire.MustName(fmt.Sprintf("host-%d.example.", rand.IntN(count)))
	}
	one := func(text string) []wire.Name { return []wire.Name{wire.MustName(text)} }
	for _, test := range []struct {
		what  string
		names []wire.Name
		kind  wire.Type
		want  Outcome
	}{
		{"address", some, wire.TypeA, Answered},
		{"no data", some, wire.TypeAAAA, NoData},
		{"no name", one("none.example."), wire.TypeA, NoName},
		{"wildcard", one("a.b.w.example."), wire.TypeTXT, Answered},
		{"DNAME", one("a.d.example."), wire.TypeA, Alias},
		{"referral", one("a.cut.example."), wire.TypeA, Delegated},
	} {
		b.Run(test.what, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if f := z.Find(test.names[i%len(test.names)], test.kind); f.Outcome != test.want {
					b.Fatal(f.Outcome)
				}
			}
		})
	}
}

// Ten thousand zones of ten records: all of them read, none of them changed, one of them changed.
func BenchmarkStore(b *testing.B) {
	const count = 10_000
	dir := b.TempDir()
	text := manyRecords(7)
	for i := range count {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("zone%d.test.zone", i)), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	o := &StoreOptions{Directory: dir, Now: time.Now}
	s := Open(o, nil)
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if s = Open(o, nil); len(s.Zones().Origins()) != count {
				b.Fatal(s.Problems())
			}
		}
		s = nil
		b.ReportMetric(held(func() any { return Open(o, nil) })/count, "held-bytes/zone")
	})
	s = Open(o, nil)
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Look()
		}
	})
	b.Run("look, one has changed", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			changed := fmt.Appendf(bytes.Clone(text), "new TXT %d\n", i)
			if err := os.WriteFile(filepath.Join(dir, "zone7.test.zone"), changed, 0o600); err != nil {
				b.Fatal(err)
			}
			s.Look()
		}
	})
}
