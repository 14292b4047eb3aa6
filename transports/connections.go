package transports

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Connections are the open streams. A new one is always let in: when there are too many, in all or from one address,
// the idlest goes, so that who holds connections without using them shuts nobody out.
type connections struct {
	front *front

	mu   sync.Mutex
	open map[*stream]bool
	// perAddress counts under a keyed hash: a map that grows leaves its old keys behind in memory.
	perAddress map[uint64]int
	seed       maphash.Seed
}

func newConnections(f *front) *connections {
	return &connections{front: f, open: map[*stream]bool{}, perAddress: map[uint64]int{}, seed: maphash.MakeSeed()}
}

func (c *connections) add(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	holder := maphash.Comparable(c.seed, s.addr)
	switch {
	case c.perAddress[holder] >= c.front.limits.ConnectionsPerAddress:
		c.evict(c.idlest(s.addr))
	case len(c.open) >= c.front.limits.Connections:
		c.evict(c.idlest(netip.Addr{}))
	}
	c.open[s] = true
	c.perAddress[holder]++
	c.front.counters[TCP].Connections.Add(1)
	if c.front.isStopping() { // accepted while the server stopped reading
		_ = s.conn.SetReadDeadline(longAgo)
	}
}

func (c *connections) remove(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(s)
}

// shed closes the idlest connection: descriptors have run out.
func (c *connections) shed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(c.idlest(netip.Addr{}))
}

// evict closes a stream, whose goroutine sees it and ends.
func (c *connections) evict(s *stream) {
	if s == nil {
		return
	}
	c.forget(s)
	c.front.counters[TCP].Shed.Add(1)
	s.stop()
	_ = s.conn.Close()
}

func (c *connections) forget(s *stream) {
	if !c.open[s] {
		return
	}
	delete(c.open, s)
	holder := maphash.Comparable(c.seed, s.addr)
	if c.perAddress[holder]--; c.perAddress[holder] == 0 {
		delete(c.perAddress, holder)
	}
	c.front.counters[TCP].Connections.Add(-1)
}

// idlest finds the stream to go, among those of addr if it is valid: one with nothing in progress before any other,
// and then the one whose last message is the oldest.
func (c *connections) idlest(addr netip.Addr) *stream {
	var found *stream
	for s := range c.open {
		if addr.IsValid() && s.addr != addr {
			continue
		}
		if found == nil || s.idlerThan(found) {
			found = s
		}
	}
	return found
}

func (s *stream) idlerThan(other *stream) bool {
	if busy, otherBusy := len(s.turns) > 0, len(other.turns) > 0; busy != otherBusy {
		return otherBusy
	}
	return s.active.Load() < other.active.Load()
}

// How long a connection may be idle, and how long when three quarters of the places are taken.
const (
	idleWithin      = 10 * time.Second
	idleWithinTight = 2 * time.Second
)

func (c *connections) idle() time.Duration {
	if 4*c.front.counters[TCP].Connections.Load() > 3*int64(c.front.limits.Connections) {
		return idleWithinTight
	}
	return idleWithin
}

func (c *connections) stopReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.open {
		_ = s.conn.SetReadDeadline(longAgo)
	}
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.open {
		s.stop()
		_ = s.conn.Close()
	}
}
