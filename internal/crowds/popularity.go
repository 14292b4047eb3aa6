package crowds

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Popularity tells once in an hour which registrable domains many client networks have asked for in the hour before, and with noise how
// many. It is off until Enable. The zero Popularity is ready.
//
// The noise is that of Laplace, for which a network more or less that asks for a domain in an hour is hidden up to a factor of
// e^(1/24), and over a day, in which it may ask in each hour, up to e: a budget of 1.
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
	// Exhausted says that there was no budget for a release.
	Exhausted bool
}

// Popular is a domain that many have asked for.
type Popular struct {
	Domain   string
	Networks int // about
}

// What is told of an hour.
const (
	// PopularFrom is how many networks must have asked for a domain.
	PopularFrom = 50

	popularBits = 2048
	popularRows = 1024
	told        = 20 // domains
)

// Enable begins to count, or ends it and forgets everything but what was spent.
func (p *Popularity) Enable(on bool) {
	before := p.table.Load()
	switch {
	case on && before == nil:
		p.table.Store(NewTable(Options{AtLeast: PopularFrom, Bits: popularBits, Rows: popularRows, Ended: p.release}))
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

// Turn releases an hour that is over, if nobody has come since.
func (p *Popularity) Turn(now time.Time) {
	if t := p.table.Load(); t != nil {
		t.Turn(now)
	}
}

// Forget forgets the present hour and what was released.
func (p *Popularity) Forget() {
	if t := p.table.Load(); t != nil {
		p.forget(t)
	}
}

func (p *Popularity) forget(t *Table) {
	t.Forget()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = Release{}
}

// Released is what was told of the last hour; on says whether anything is counted at all.
func (p *Popularity) Released() (r Release, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released, p.IsOn()
}

// Budget is what is left of the day's.
func (p *Popularity) Budget(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget.renew(now)
	return float64(releases-p.budget.spent) / releases
}

// release tells of an hour. Where nobody is popular there is nothing to be told, and nothing is spent.
func (p *Popularity) release(now time.Time, list []Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = Release{At: now}
	if len(list) == 0 {
		return
	}
	if !p.budget.spend(now) {
		p.released.Exhausted = true
		return
	}
	uniform := p.uniform
	if uniform == nil {
		uniform = drawUniform
	}
	for i := range list {
		noisy := math.Round(float64(list[i].Networks) + laplace(releases, uniform()))
		if noisy >= PopularFrom {
			p.released.Domains = append(p.released.Domains, Popular{list[i].Domain, networksOf(noisy)})
		}
	}
	slices.SortFunc(p.released.Domains, func(a, b Popular) int {
		return cmp.Or(cmp.Compare(b.Networks, a.Networks), strings.Compare(a.Domain, b.Domain))
	})
	p.released.Domains = p.released.Domains[:min(told, len(p.released.Domains))]
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

// A budget is what may still be told of a day, which begins with the first release.
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
