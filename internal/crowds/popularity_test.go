package crowds

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// popular is a Popularity that is on, with noise from a seed, and a way to have so many networks ask for a name.
func popular() (p *Popularity, ask func(now time.Time, name string, networks int)) {
	p = &Popularity{uniform: rand.New(rand.NewPCG(1, 2)).Float64}
	p.Enable(true)
	return p, func(now time.Time, name string, networks int) {
		for i := range networks {
			p.Note(network(i, 1), now, wired(name))
		}
	}
}

// The noise has the distribution of Laplace with the scale of a budget of 1/24: mean 0, mean distance from it the scale, variance two
// times its square, and half of it within the scale times ln 2.
func TestNoiseHasItsScale(t *testing.T) {
	const count, scale = 200_000, 24.0
	uniform := rand.New(rand.NewPCG(1, 2)).Float64
	var sum, distance, square, within float64
	for range count {
		x := laplace(releases, uniform())
		sum += x
		distance += math.Abs(x)
		square += x * x
		if math.Abs(x) <= scale*math.Ln2 {
			within++
		}
	}
	for _, c := range []struct {
		name            string
		got, want, slip float64
	}{
		{"mean", sum / count, 0, 0.4},
		{"mean distance", distance / count, scale, 0.3},
		{"variance", square / count, 2 * scale * scale, 30},
		{"half of it", within / count, 0.5, 0.006},
	} {
		if math.Abs(c.got-c.want) > c.slip {
			t.Errorf("%s: %f, want %f", c.name, c.got, c.want)
		}
	}
	for range 1000 {
		if u := drawUniform(); u <= 0 || u >= 1 || math.IsInf(laplace(releases, u), 0) {
			t.Fatalf("%f is drawn", u)
		}
	}
}

// What is released is the count with noise, and no domain of fewer than 50 networks.
func TestReleasesHaveNoise(t *testing.T) {
	var sum, different float64
	const runs = 400
	p, ask := popular()
	for i := range runs {
		at := noon.AddDate(0, 0, i)
		p.Enable(false)
		p.Enable(true)
		ask(at, "www.busy.example", 400)
		ask(at, "www.rare.example", 49)
		before := p.table.Load().crowded()[0].Networks
		p.Turn(at.Add(time.Hour))
		r, _ := p.Released()
		if len(r.Domains) != 1 || r.Domains[0].Domain != "busy.example" {
			t.Fatalf("released %+v", r)
		}
		off := float64(r.Domains[0].Networks - networksOf(float64(before)))
		sum += math.Abs(off)
		if off != 0 {
			different++
		}
	}
	// Bits stand for a network or a few: 2048/(2048-364) = 1.2 here.
	if mean := sum / runs; mean < 24 || mean > 36 || different < 0.9*runs {
		t.Errorf("off by %f on average, and %f of %d times at all", mean, different, runs)
	}
}

// 50 networks may be released, 49 are not, whatever the noise.
func TestFewAreNotReleased(t *testing.T) {
	p, ask := popular()
	p.uniform = func() float64 { return 1 - 1e-9 } // the most that can be
	networks := apart(p.table.Load(), 50)
	for _, i := range networks[:49] {
		for host := range 256 {
			p.Note(network(i, host), noon, wired("rare.example"))
		}
	}
	for _, i := range networks {
		p.Note(network(i, 1), noon, wired("popular.example"))
	}
	if remains(p.table.Load(), "rare") {
		t.Error("a name of 49 networks is in memory")
	}
	if r, _ := p.Released(); !r.At.IsZero() {
		t.Errorf("before the hour is over: %+v", r)
	}
	p.Turn(noon.Add(time.Hour))
	if r, on := p.Released(); !on || len(r.Domains) != 1 || r.Domains[0].Domain != "popular.example" || r.At != noon.Add(time.Hour) {
		t.Errorf("%+v", r)
	}
	p.uniform = func() float64 { return 1e-9 } // the least
	ask(noon.Add(time.Hour), "popular.example", 100)
	p.Turn(noon.Add(2 * time.Hour))
	if r, _ := p.Released(); len(r.Domains) != 0 || r.At != noon.Add(2*time.Hour) {
		t.Errorf("a number below 50 is released, or the hour before: %+v", r)
	}
	p.Turn(noon.Add(3*time.Hour - 1))
	if r, _ := p.Released(); r.At != noon.Add(2*time.Hour) {
		t.Error("released twice in an hour")
	}
}

// Privacy.md section 5.3: a total budget of 1 per day, and at 0 nothing is released any more.
func TestBudgetRunsOut(t *testing.T) {
	p, ask := popular()
	p.uniform = func() float64 { return 0.5 } // none
	expect := func(now time.Time, left float64, domains int, exhausted bool) {
		t.Helper()
		r, _ := p.Released()
		if math.Abs(p.Budget(now)-left) > 1e-9 || len(r.Domains) != domains || r.Exhausted != exhausted {
			t.Errorf("%v: left %f, want %f; %+v", now.Sub(noon), p.Budget(now), left, r)
		}
	}
	// Hours pass faster than the day of the budget: as they would with a clock that is set.
	table := p.table.Load()
	for i := range releases {
		now := noon.Add(time.Duration(i) * time.Minute)
		ask(now, "www.popular.example", 300)
		table.until = now
		p.Turn(now)
		expect(now, float64(releases-1-i)/releases, 1, false)
	}
	end := noon.Add(23 * time.Hour)
	table.until = end.Add(time.Minute)
	ask(end, "www.popular.example", 300)
	table.until = end
	p.Turn(end)
	expect(end, 0, 0, true)
	next := noon.Add(24 * time.Hour)
	ask(next, "www.popular.example", 300)
	table.until = next
	p.Turn(next)
	expect(next, float64(releases-1)/releases, 1, false)
	p.budget.since = next.Add(time.Hour)
	if p.Budget(next) == 1 {
		t.Error("a clock that is set back gives another budget")
	}
}

// An hour without crowds is released without cost, and says nothing.
func TestNothingIsFree(t *testing.T) {
	p, ask := popular()
	ask(noon, "www.rare.example", 40)
	p.Turn(noon.Add(time.Hour))
	if r, _ := p.Released(); p.Budget(noon) != 1 || len(r.Domains) != 0 || r.Exhausted || r.At.IsZero() {
		t.Errorf("%f, %+v", p.Budget(noon), r)
	}
}

func TestPopularityForgets(t *testing.T) {
	for name, end := range map[string]func(*Popularity){
		"flush": (*Popularity).Forget,
		"off":   func(p *Popularity) { p.Enable(false) },
	} {
		p, ask := popular()
		ask(noon, "www.popular.example", 400)
		now := noon.Add(time.Hour)
		p.Turn(now)
		ask(now, "www.other.example", 400)
		table := p.table.Load()
		if r, _ := p.Released(); len(r.Domains) != 1 || !remains(table, "other") {
			t.Errorf("before: %+v", r)
		}
		end(p)
		if r, on := p.Released(); len(r.Domains) != 0 || !r.At.IsZero() || remains(table, "other") || on != (name == "flush") {
			t.Errorf("%s: %+v", name, r)
		}
		if p.Budget(now) == 1 {
			t.Errorf("%s: what was spent is forgotten", name)
		}
	}
}

func TestPopularityIsOffUntilEnabled(t *testing.T) {
	var off *Popularity
	var p Popularity
	if off.IsOn() || p.IsOn() {
		t.Error("is on")
	}
	for i := range 100 {
		p.Note(network(i, 1), noon, wired("zone.example"))
	}
	p.Turn(noon.Add(time.Hour))
	if r, on := p.Released(); on || !r.At.IsZero() || p.table.Load() != nil {
		t.Errorf("%+v", r)
	}
}

func TestReleasesAreShort(t *testing.T) {
	p, ask := popular()
	p.uniform = func() float64 { return 0.5 }
	for i := range told + 5 {
		ask(noon, string(rune('a'+i))+".example", 100+5*i)
	}
	p.Turn(noon.Add(time.Hour))
	r, _ := p.Released()
	if len(r.Domains) != told || !slices.IsSortedFunc(r.Domains, func(a, b Popular) int { return b.Networks - a.Networks }) || r.Domains[0].Domain != "y.example" {
		t.Errorf("%+v", r.Domains)
	}
}

func TestBitsAreMadeNetworks(t *testing.T) {
	for bits, want := range map[float64]int{50: 51, 1024: 1420, 2047: 15615, 5000: 15615} {
		if got := networksOf(bits); got != want {
			t.Errorf("%.0f bits: %d networks, want %d", bits, got, want)
		}
	}
}
