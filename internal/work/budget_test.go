package work_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tacit/internal/work"
)

var kinds = []work.Kind{
	work.UpstreamQuery, work.Alias, work.ServerLookup, work.FailedLookup, work.Connect, work.Signature, work.FailedSignature, work.NSEC3Hash,
}

func TestSpend(t *testing.T) {
	const limit = 10
	for _, c := range []struct {
		name   string
		spends []int32
		spent  int32
		last   bool // the last spend is granted
	}{
		{"nothing", []int32{0}, 0, true},
		{"one", []int32{1}, 1, true},
		{"all at once", []int32{10}, 10, true},
		{"all in steps", []int32{3, 3, 3, 1}, 10, true},
		{"one too many", []int32{10, 1}, 10, false},
		{"too much at once", []int32{11}, 0, false},
		{"a refused spend takes nothing", []int32{8, 3, 2}, 10, true},
		{"refused for good", []int32{10, 1, 1, 1}, 10, false},
		{"nothing when nothing is left", []int32{10, 0}, 10, true},
		{"as much as there are numbers", []int32{5, math.MaxInt32}, 5, false},
		{"as much as there are numbers, again and again", []int32{math.MaxInt32, math.MaxInt32, math.MaxInt32}, 0, false},
		{"less than nothing gives nothing back", []int32{5, -5}, 5, false},
		{"as little as there are numbers", []int32{5, math.MinInt32}, 5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := work.New(work.Limits{work.Alias: limit})
			var err error
			for _, n := range c.spends {
				err = b.Spend(work.Alias, n)
			}
			if (err == nil) != c.last {
				t.Errorf("the last spend: %v", err)
			}
			if got := b.Spent(work.Alias); got != c.spent {
				t.Errorf("spent %d, want %d", got, c.spent)
			}
		})
	}
}

func TestNilBudgetRefuses(t *testing.T) {
	var b *work.Budget
	for _, k := range kinds {
		var exceeded *work.Exceeded
		if err := b.Spend(k, 1); !errors.As(err, &exceeded) || exceeded.Kind != k {
			t.Errorf("%v: got %v", k, err)
		}
	}
	if b.Spend(work.Alias, 0) == nil {
		t.Error("nothing is granted")
	}
}

func TestKindsAreSeparate(t *testing.T) {
	for _, k := range kinds {
		b := work.New(work.DefaultLimits)
		if err := b.Spend(k, work.DefaultLimits[k]); err != nil {
			t.Errorf("%v: %v", k, err)
		}
		for _, other := range kinds {
			if got := b.Spent(other); other != k && got != 0 {
				t.Errorf("spending %v took %d of %v", k, got, other)
			}
		}
		var exceeded *work.Exceeded
		if err := b.Spend(k, 1); !errors.As(err, &exceeded) || exceeded.Kind != k {
			t.Errorf("%v: got %v", k, err)
		}
	}
}

func TestEachKindHasALimitAndAName(t *testing.T) {
	names := map[string]bool{}
	if len(kinds) != len(work.DefaultLimits) {
		t.Fatalf("%d kinds are tested, %d exist", len(kinds), len(work.DefaultLimits))
	}
	for _, k := range kinds {
		if work.DefaultLimits[k] <= 0 {
			t.Errorf("%v has no limit", k)
		}
		if k.String() == "" || names[k.String()] {
			t.Errorf("kind %d is called %q", k, k)
		}
		names[k.String()] = true
		// The text goes to the client as EXTRA-TEXT of an extended error, so it names the limit.
		if err := work.New(work.Limits{}).Spend(k, 1); err == nil || !strings.Contains(err.Error(), k.String()) {
			t.Errorf("%v: got %v", k, err)
		}
	}
}

func TestConcurrentSpendingNeverExceeds(t *testing.T) {
	const limit, workers, each = 1000, 8, 500
	b := work.New(work.Limits{work.UpstreamQuery: limit})
	var granted, highest atomic.Int32
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			n := int32(1 + w%3)
			for range each {
				if b.Spend(work.UpstreamQuery, n) == nil {
					granted.Add(n)
				}
				if s := b.Spent(work.UpstreamQuery); s > limit {
					highest.Store(s)
				}
			}
		})
	}
	group.Wait()
	if h := highest.Load(); h != 0 {
		t.Errorf("%d were seen as spent", h)
	}
	if granted.Load() != limit || b.Spent(work.UpstreamQuery) != limit {
		t.Errorf("granted %d, spent %d, want %d", granted.Load(), b.Spent(work.UpstreamQuery), limit)
	}
}

// What is left is granted, however many ask for more than that at the same time.
func TestRefusedSpendDoesNotDisturbAnother(t *testing.T) {
	const limit = 2000
	b := work.New(work.Limits{work.NSEC3Hash: limit})
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if b.Spend(work.NSEC3Hash, limit+1) == nil {
						t.Error("more than the limit was granted")
						return
					}
				}
			}
		})
	}
	for i := range limit {
		if err := b.Spend(work.NSEC3Hash, 1); err != nil {
			t.Errorf("spend %d of %d: %v", i+1, limit, err)
			break
		}
	}
	close(done)
	group.Wait()
}

func TestGrantedSpendDoesNotAllocate(t *testing.T) {
	b := work.New(work.Limits{work.Signature: math.MaxInt32})
	if n := testing.AllocsPerRun(100, func() { _ = b.Spend(work.Signature, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSpend(bench *testing.B) {
	b := work.New(work.Limits{work.Signature: math.MaxInt32})
	bench.ReportAllocs()
	for bench.Loop() {
		_ = b.Spend(work.Signature, 0)
	}
}
