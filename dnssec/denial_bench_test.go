package dnssec

import (
	"testing"

	"tacit/internal/wire"
	"tacit/internal/work"
)

func BenchmarkNSECNoName(b *testing.B) {
	zone, name := wire.MustName("example"), wire.MustName("ml.example")
	sets := nsecOf(b, "example.", "b.example.")
	b.ReportAllocs()
	for b.Loop() {
		if NewDenial(zone, sets, nil).NoName(name) != Proven {
			b.Fatal("not proven")
		}
	}
}

func BenchmarkNSEC3NoName(b *testing.B) {
	zone, name := wire.MustName("example"), wire.MustName("a.c.x.w.example")
	sets := withoutOptOut(nsec3Of(b, "example", "x.w", "a"))
	b.ReportAllocs()
	for b.Loop() {
		if NewDenial(zone, sets, work.New(work.DefaultLimits)).NoName(name) != Proven {
			b.Fatal("not proven")
		}
	}
}

func BenchmarkNSEC3NoDS(b *testing.B) {
	zone, name := wire.MustName("example"), wire.MustName("c.example")
	sets := nsec3Of(b, "example", "a")
	b.ReportAllocs()
	for b.Loop() {
		if NewDenial(zone, sets, work.New(work.DefaultLimits)).NoDS(name) != OptOutSpan {
			b.Fatal("not proven")
		}
	}
}

// The dearest denial there is: CVE-2023-50868 at the limit of iterations, salt and names.
func BenchmarkNSEC3Encloser(b *testing.B) {
	zone := wire.MustName("example")
	name := zone
	for range 110 {
		name, _ = name.Prepend("x")
	}
	salt := make([]byte, 2*maxSalt)
	for i := range salt {
		salt[i] = 'a'
	}
	sets := []wire.RRset{loneNSEC3(b, MaxIterations, 0, string(salt))}
	var blocks int32
	b.ReportAllocs()
	for b.Loop() {
		budget := work.New(work.DefaultLimits)
		if NewDenial(zone, sets, budget).NoName(name) != OverBudget {
			b.Fatal("proven")
		}
		blocks = budget.Spent(work.NSEC3Hash)
	}
	b.ReportMetric(float64(blocks), "blocks/op")
}

func BenchmarkNSEC3Hash(b *testing.B) {
	params, name := NSEC3Params{Iterations: 0}, wire.MustName("www.example.test")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := params.Hash(work.New(work.DefaultLimits), name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNSECCovers(b *testing.B) {
	n := NSEC{Owner: wire.MustName("a.example"), Next: wire.MustName("c.example")}
	name := wire.MustName("x.b.example")
	b.ReportAllocs()
	for b.Loop() {
		if !n.Denies(name) {
			b.Fatal("not denied")
		}
	}
}
