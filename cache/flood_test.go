package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tacit/internal/wire"
)

// A flood of names that are never asked for again, of which half exist and half do not, leaves those in use where they are, and
// the memory within its bounds.
func TestFloodOfNamesNeverAskedAgain(t *testing.T) {
	const popular = 1000
	flood := 1_000_000
	if testing.Short() || underRace {
		flood = 100_000
	}
	c := New(Options{Size: 16 << 20})
	for i := range popular {
		askPopular(c, i)
	}
	asked, hits := 0, 0
	for i := range flood {
		k := Key{Name: wire.MustName(fmt.Sprintf("%x.example", rand.Uint64())), Type: wire.TypeA}
		e := positive(k, 60, 1)
		if i%2 == 1 {
			e = denial(NoName, 60, 60)
		}
		c.RRsets.Get(k, Answer, epoch)
		c.RRsets.Put(k, e, epoch, c.Generation())
		if i%10 == 0 {
			asked++
			if askPopular(c, rand.IntN(popular)) {
				hits++
			}
		}
	}
	if rate := float64(hits) / float64(asked); rate < 0.95 {
		t.Errorf("%.1f %% of the questions for popular names were answered", 100*rate)
	}
	s, held := c.RRsets.entries, c.Stats().RRsets
	if held.Evictions == 0 || s.mapped() > held.Capacity+s.slack() {
		t.Errorf("%d octets of memory, %+v", s.mapped(), held)
	}
	t.Logf("%d of %d questions answered, %d octets of memory for %d", hits, asked, s.mapped(), held.Capacity)
}

// askPopular reports whether the i-th of the popular names is known, and has it known then.
func askPopular(c *Cache, i int) bool {
	k := Key{Name: wire.MustName(fmt.Sprintf("www.n%d.example", i)), Type: wire.TypeA}
	if _, state := c.RRsets.Get(k, Answer, epoch); state == Fresh {
		return true
	}
	c.RRsets.Put(k, positive(k, 60, 1), epoch, c.Generation())
	return false
}
