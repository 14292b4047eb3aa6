package crowds

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Popularity tells once in an hour which registrable domains many client networks have asked for in the hour before, and with noise how
// many. It is off until Enable. The zero Popularity is ready.
//
// The noise is that of Laplace, with a scale of 24. It hides the number of a domain that is told: of two numbers that differ by one
// network, none makes what is told more likely than the other by more than a factor of e^(1/24), and over the 24 hours of a day by e. Which
// domains may be told is decided by the number without noise, so that where 49 networks have asked for one, the 50th shows; and a domain
// for which many ask may be told or not for the sake of another one, which has taken its place in the table.
type Popularity struct {
	table atomic.Pointer[Table] // nil: off

	mu       sync.Mutex
	released Release
	budget   budget
	uniform  func() float64 // between 0 and 1, both excluded; nil: from crypto/rand
}

// A Release is what is told of an hour.
type Release struct {
	At      time.Time // zero: nothing has been released
	Domains []Popular // those of most networks first
	// Exhausted says that there was no budget for a release, which no clock that only goes on brings about.
	Exhausted bool
}

// Popular is a domain that many have asked for.
type Popular struct {
	Domain   []byte // the caller's own
	Networks int    // about
}

// What is told of an hour.
const (
	// PopularFrom is how many networks must have asked for a domain.
	PopularFrom = 50

	popularBits = 2048
	popularRows = 1024
	maxTold     = 20 // domains
)

// Enable begins to count, or ends it and forgets everything but what was spent.
func (p *Popularity) Enable(on bool) {
	before := p.table.Load()
	switch {
	case on && before == nil:
		p.table.Store(NewTable(Options{AtLeast: PopularFrom, Bits: popularBits, Rows: popularRows, Suffixes: true, Ended: p.release}))
	case !on && before != nil:
		p.table.Store(nil)
		p.forget(before)
	}
}

// IsOn reports whether anything is counted. That is all that a question costs where nothing is; a nil Popularity is off.
func (p *Popularity) IsOn() bool { return p != nil && p.table.Load() != nil }

// Note counts that a client asks for a name, in wire form and lower case. It does not allocate, but for a name that was not met
// lately, for a domain that gets to be told and for a release.
func (p *Popularity) Note(addr netip.Addr, now time.Time, name []byte) {
	if t := p.table.Load(); t != nil {
		t.see(addr, now, name)
	}
}

// Turn releases an hour that is over, if nobody has come since, and reports whether names are wiped by that.
func (p *Popularity) Turn(now time.Time) (named bool) {
	at, named := p.told()
	ended := p.table.Load().Turn(now)
	after, _ := p.told()
	return ended || named && after != at
}

// told is when something was released, and whether there were names in it.
func (p *Popularity) told() (at time.Time, named bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released.At, len(p.released.Domains) > 0
}

// Forget forgets the present hour and what was released.
func (p *Popularity) Forget() { p.forget(p.table.Load()) }

func (p *Popularity) forget(t *Table) {
	t.Forget()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replace(Release{})
}

// replace wipes what was released before.
func (p *Popularity) replace(r Release) {
	for _, d := range p.released.Domains {
		clear(d.Domain)
	}
	p.released = r
}

// Released is what was told of the last hour; on says whether anything is counted at all.
func (p *Popularity) Released() (r Release, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = p.released
	r.Domains = slices.Clone(r.Domains)
	for i := range r.Domains {
		r.Domains[i].Domain = bytes.Clone(r.Domains[i].Domain)
	}
	return r, p.IsOn()
}

// Budget is what is left of the day's.
func (p *Popularity) Budget(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget.renew(now)
	return float64(releases-p.budget.spent) / releases
}

// release tells of an hour. An hour in which nobody is popular costs what each other does: else the budget would tell of it.
func (p *Popularity) release(now time.Time, list []Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.budget.spend(now) {
		p.replace(Release{At: now, Exhausted: true})
		return
	}
	p.replace(Release{At: now, Domains: p.blur(list)})
}

// blur chooses what is told, and adds the noise.
func (p *Popularity) blur(list []Entry) (domains []Popular) {
	uniform := p.uniform
	if uniform == nil {
		uniform = drawUniform
	}
	for _, e := range list {
		if noisy := math.Round(float64(e.Networks) + laplace(releases, uniform())); noisy >= PopularFrom {
			domains = append(domains, Popular{e.Domain, networksOf(noisy)})
		}
	}
	slices.SortFunc(domains, func(a, b Popular) int {
		return cmp.Or(cmp.Compare(b.Networks, a.Networks), bytes.Compare(a.Domain, b.Domain))
	})
	shown := make([]Popular, min(maxTold, len(domains))) // of its own: those behind stay with the list, which is wiped
	for i := range shown {
		shown[i] = Popular{bytes.Clone(domains[i].Domain), domains[i].Networks}
	}
	return shown
}

// networksOf is how many networks most likely set so many bits. It is made of what has been released already, and so tells nothing
// more.
func networksOf(bits float64) int {
	free := max(1, popularBits-bits)
	return int(math.Round(popularBits * math.Log(popularBits/free)))
}

// laplace makes noise of a scale from a number between 0 and 1, both excluded. A network more or less changes a count of bits by one at
// most, so that the scale is one divided by what a release may spend. The sum is rounded: the octets of a fraction would
// tell more than the number (Mironov, 2012).
func laplace(scale, uniform float64) float64 {
	centred := uniform - 0.5
	return -math.Copysign(scale, centred) * math.Log1p(-2*math.Abs(centred))
}

func drawUniform() float64 {
	var octets [8]byte
	_, _ = rand.Read(octets[:]) // never fails (crypto/rand)
	return (float64(binary.BigEndian.Uint64(octets[:])>>11) + 0.5) / (1 << 53)
}

// releases is how many have the budget of a day, so that each may spend 1/24.
const releases = 24

// A budget is what may still be told of a day, which begins with the first release. Hours are as many as releases: it guards against a
// clock that is set back and forth, and does not run out by one that goes on.
type budget struct {
	spent int
	since time.Time
}

func (b *budget) spend(now time.Time) bool {
	b.renew(now)
	if b.spent == releases {
		return false
	}
	if b.spent == 0 {
		b.since = now
	}
	b.spent++
	return true
}

// renew begins another day. A clock that is set back does not.
func (b *budget) renew(now time.Time) {
	if b.spent > 0 && now.Sub(b.since) >= 24*time.Hour {
		b.spent = 0
	}
}
