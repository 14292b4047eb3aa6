package crowds

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
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
		if len(r.Domains) != 1 || string(r.Domains[0].Domain) != "busy.example" {
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
	if r, on := p.Released(); !on || len(r.Domains) != 1 || string(r.Domains[0].Domain) != "popular.example" || r.At != noon.Add(time.Hour) {
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

// Privacy.md section 5.3: a total budget of 1 per day. By a clock that goes on it lasts, whatever is asked: hours are as many as releases.
func TestBudgetLasts(t *testing.T) {
	p, ask := popular()
	p.uniform = func() float64 { return 0.5 } // none
	ask(noon, "www.popular.example", 300)
	for i := range 3 * releases {
		now := noon.Add(time.Duration(i+1) * time.Hour)
		p.Turn(now)
		if r, _ := p.Released(); r.Exhausted || len(r.Domains) != 1-i%2 {
			t.Errorf("hour %d: %+v", i, r)
		}
		if left, want := p.Budget(now), float64(releases-1-i%releases)/releases; math.Abs(left-want) > 1e-9 {
			t.Errorf("hour %d: left %f, want %f, whether somebody was popular or not", i, left, want)
		}
		if i%2 == 1 {
			ask(now, "www.popular.example", 300)
		}
	}
}

// Where a clock is set back and forth, there are more hours in a day than releases.
func TestBudgetGuards(t *testing.T) {
	p, ask := popular()
	expect := func(now time.Time, left float64, exhausted bool) {
		t.Helper()
		if r, _ := p.Released(); math.Abs(p.Budget(now)-left) > 1e-9 || r.Exhausted != exhausted || exhausted && len(r.Domains) > 0 {
			t.Errorf("left %f, want %f; %+v", p.Budget(now), left, r)
		}
	}
	end := noon.Add(time.Hour)
	for i := range releases {
		ask(noon, "www.popular.example", 300) // set back, but for the first time
		p.Turn(end)
		expect(end, float64(releases-1-i)/releases, false)
	}
	ask(noon, "www.popular.example", 300)
	p.Turn(end)
	expect(end, 0, true)
	next := end.Add(24 * time.Hour)
	p.Turn(next)
	expect(next, float64(releases-1)/releases, false)
	p.budget.since = next.Add(time.Hour)
	if p.Budget(next) == 1 {
		t.Error("a clock that is set back gives another budget")
	}
}

// What is cut off at the end of a list, and what another one takes the place of, is written over.
func TestReleasesAreWiped(t *testing.T) {
	p, ask := popular()
	p.uniform = func() float64 { return 0.5 }
	var list []Entry
	end := p.table.Load().o.Ended
	p.table.Load().o.Ended = func(now time.Time, entries []Entry) {
		list = entries
		end(now, entries)
	}
	for i := range maxTold + 5 {
		ask(noon, string(rune('a'+i))+".example", 100+5*i)
	}
	p.Turn(noon.Add(time.Hour))
	released := p.released.Domains
	if len(list) != maxTold+5 || len(released) != maxTold || cap(released) != maxTold {
		t.Fatalf("%d of %d are released, with room for %d", len(released), len(list), cap(released))
	}
	for _, e := range list {
		if strings.Contains(string(e.Domain), "example") {
			t.Errorf("%s is in memory", e.Domain)
		}
	}
	shown, _ := p.Released()
	if !p.Turn(noon.Add(2 * time.Hour)) {
		t.Error("nobody is told that names are gone")
	}
	for i, d := range released {
		if strings.Contains(string(d.Domain), "example") || !strings.Contains(string(shown.Domains[i].Domain), "example") {
			t.Errorf("%s is in memory, or %s is not the caller's own", d.Domain, shown.Domains[i].Domain)
		}
	}
	if p.Turn(noon.Add(3 * time.Hour)) {
		t.Error("names are gone of which there were none")
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
	for i := range maxTold + 5 {
		ask(noon, string(rune('a'+i))+".example", 100+5*i)
	}
	p.Turn(noon.Add(time.Hour))
	r, _ := p.Released()
	if len(r.Domains) != maxTold || !slices.IsSortedFunc(r.Domains, func(a, b Popular) int { return b.Networks - a.Networks }) || string(r.Domains[0].Domain) != "y.example" {
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
