package dnssec

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tacit/internal/wire"
)

// Cuts remembers what has been established of names, so that a chain is built once and not for each answer.
type cuts struct {
	entries *lru.TwoQueueCache[wire.Name, *cut]
}

func newCuts(size int) *cuts {
	entries, err := lru.New2Q[wire.Name, *cut](size)
	if err != nil { // only for a size below 1
		panic("dnssec: " + err.Error())
	}
	return &cuts{entries: entries}
}

func (c *cuts) get(name wire.Name, now time.Time) (*cut, bool) {
	t, ok := c.entries.Get(name)
	return t, ok && now.Before(t.until)
}

func (c *cuts) put(t *cut) { c.entries.Add(t.zone, t) }

func (c *cuts) forget(covers func(wire.Name) bool) {
	for _, name := range c.entries.Keys() {
		if covers(name) {
			c.entries.Remove(name)
		}
	}
}
