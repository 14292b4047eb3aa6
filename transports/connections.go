package transports

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A connection is a client's connection as the limits see it, whatever it is made of.
type connection struct {
	transport Transport
	mu        sync.Mutex
	addr      netip.Addr   // held as long as the connection; changes under mu and the table's lock: either is enough to read
	active    atomic.Int64 // when a message or an answer was last complete, in nanoseconds
	pending   atomic.Int32 // queries in progress
	greeting  bool         // its handshake is in progress; under the table's lock
	many      bool         // it is a proxy's, who speaks for many clients
	bodies    atomic.Int64 // octets of queries that are not complete, by HTTP/1.1, HTTP/3 and DoQ

	ctx  context.Context // ends with the connection
	stop context.CancelFunc
	cut  func() // ends it at once; its own goroutine sees that and cleans up
	halt func() // makes it read nothing more
}

func newConnection(f *front, t Transport, addr netip.Addr) *connection {
	c := &connection{transport: t, addr: addr}
	c.touch()
	c.ctx, c.stop = context.WithCancel(f.ctx)
	return c
}

// client is where the client is; not valid once the connection is closed.
func (c *connection) client() netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

func (c *connection) setClient(addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addr = addr
}

// network is what counts as one client: an IPv4 address, or an IPv6 /64, which is what a customer of a provider has at least
// (RFC 6177 section 2).
func network(addr netip.Addr) netip.Prefix {
	prefix, _ := addr.WithZone("").Prefix(min(addr.BitLen(), 64)) // as many bits as the address has, or less
	return prefix
}

// touch says that the connection is of use just now.
func (c *connection) touch() { c.active.Store(time.Now().UnixNano()) }

func (c *connection) idlerThan(other *connection) bool {
	if busy, otherBusy := c.pending.Load() > 0, other.pending.Load() > 0; busy != otherBusy {
		return otherBusy
	}
	return c.active.Load() < other.active.Load()
}

// Connections are those that are open. A new one is always let in: when there are too many, in all or from one
// address, the idlest goes, so that who holds connections without using them shuts nobody out. The same holds for those
// whose handshake is in progress.
type connections struct {
	front *front

	mu        sync.Mutex
	open      map[*connection]bool
	greetings int
	// perAddress counts under a keyed hash: a map that grows leaves its old keys behind in memory.
	perAddress map[uint64]held
	seed       maphash.Seed
}

// held is what one address holds.
type held struct{ open, greetings int }

func newConnections(f *front) *connections {
	return &connections{front: f, open: map[*connection]bool{}, perAddress: map[uint64]held{}, seed: maphash.MakeSeed()}
}

// add lets a connection in.
func (t *connections) add(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoom(c)
	t.open[c] = true
	t.count(c, 1)
	t.front.counters[c.transport].Connections.Add(1)
	if t.front.isStopping() { // accepted while the server stopped reading
		c.halt()
	}
}

// makeRoom cuts off one connection for each limit that c would pass.
func (t *connections) makeRoom(c *connection) {
	of := t.perAddress[t.holder(c)]
	limits := &t.front.limits
	same := func(other *connection) bool { return network(other.addr) == network(c.addr) }
	limited := c.addr.IsValid() && !c.many
	greets := func(other *connection) bool { return other.greeting }
	switch {
	case c.greeting && limited && of.greetings >= limits.HandshakesPerAddress:
		t.evict(t.idlest(func(other *connection) bool { return greets(other) && same(other) }))
	case limited && of.open >= limits.ConnectionsPerAddress:
		t.evict(t.idlest(same))
	}
	switch {
	case c.greeting && t.greetings >= limits.Handshakes:
		t.evict(t.idlest(greets))
	case len(t.open) >= limits.Connections:
		t.evict(t.idlest(nil))
	}
}

// identify says whose connection it is, once a proxy has told.
func (t *connections) identify(c *connection, addr netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.open[c] {
		return
	}
	t.count(c, -1)
	c.setClient(addr)
	t.makeRoom(c)
	t.count(c, 1)
}

// entrust leaves it to the owner of a connection to end it in good order when the server stops reading.
func (t *connections) entrust(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.halt = func() {}
}

// greeted says that the handshake is over.
func (t *connections) greeted(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[c] && c.greeting {
		t.count(c, -1)
		c.greeting = false
		t.count(c, 1)
	}
}

func (t *connections) holder(c *connection) uint64 {
	return maphash.Comparable(t.seed, network(c.addr))
}

// count adds n connections such as c.
func (t *connections) count(c *connection, n int) {
	holder := t.holder(c)
	of := t.perAddress[holder]
	of.open += n
	if c.greeting {
		of.greetings += n
		t.greetings += n
	}
	if t.perAddress[holder] = of; of.open == 0 {
		delete(t.perAddress, holder)
	}
}

// remove forgets a connection that is closed, and where it came from.
func (t *connections) remove(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(c)
	c.setClient(netip.Addr{})
}

// shed closes the idlest connection: descriptors have run out.
func (t *connections) shed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evict(t.idlest(nil))
}

// evict cuts off a connection.
func (t *connections) evict(c *connection) {
	if c == nil {
		return
	}
	t.forget(c)
	t.front.counters[c.transport].Shed.Add(1)
	c.stop()
	c.cut()
}

func (t *connections) forget(c *connection) {
	if !t.open[c] {
		return
	}
	delete(t.open, c)
	t.count(c, -1)
	t.front.counters[c.transport].Connections.Add(-1)
}

// idlest finds the connection to go, among those that qualify: one with nothing in progress before any other, and then
// the one whose last message is the oldest.
func (t *connections) idlest(qualifies func(*connection) bool) *connection {
	var found *connection
	for c := range t.open {
		if qualifies != nil && !qualifies(c) {
			continue
		}
		if found == nil || c.idlerThan(found) {
			found = c
		}
	}
	return found
}

// How long a connection may be idle, and how long when three quarters of the places are taken. Browsers ask in bursts, and a new
// handshake for each of them is felt: they have no tickets to shorten it.
const (
	idleWithin      = 10 * time.Second
	idleWithinHTTP  = 30 * time.Second
	idleWithinTight = 2 * time.Second
)

func (t *connections) idle(of Transport) time.Duration {
	if 4*t.front.counters[of].Connections.Load() > 3*int64(t.front.limits.Connections) {
		return idleWithinTight
	}
	if of == HTTPS || of == HTTP3 {
		return idleWithinHTTP
	}
	return idleWithin
}

// quiet waits until nothing is in progress on the connections of a transport, or ctx is done.
func (t *connections) quiet(ctx context.Context, of Transport) {
	tick := time.NewTicker(quietCheck)
	defer tick.Stop()
	for calm := 0; calm < 2; { // twice in a row: what was answered has left, too
		if calm++; t.busy(of) {
			calm = 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

const quietCheck = 10 * time.Millisecond

func (t *connections) busy(of Transport) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		if c.transport == of && c.pending.Load() > 0 {
			return true
		}
	}
	return false
}

// reap cuts off connections of a transport whose library knows no such time-out: those that have been idle for too long.
func (t *connections) reap(of Transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := time.Now().Add(-t.idle(of)).UnixNano()
	for c := range t.open {
		if c.transport == of && c.pending.Load() == 0 && c.active.Load() < before {
			c.stop()
			c.cut()
		}
	}
}

func (t *connections) stopReading() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		c.halt()
	}
}

func (t *connections) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		c.stop()
		c.cut()
	}
}
