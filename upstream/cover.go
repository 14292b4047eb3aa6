package upstream

import (
	"net/netip"
	"slices"
	"time"
)

// An Encryption says what may be done about a server that is asked in clear as far as anybody has told.
type Encryption uint8

// Encryptions.
const (
	Clear         Encryption = iota // it is asked in clear
	Opportunistic                   // ... until it is known to be there over an encrypted transport, too (RFC 9539)
	Strict                          // it is asked encrypted, by whatever proves nothing about itself, or not at all
)

// Settings of RFC 9539 section 4.3, at the values that it suggests.
const (
	coverPersists = 3 * 24 * time.Hour // after its last reply, an encrypted transport is taken to work for so long
	coverDamped   = 24 * time.Hour     // one that failed is not tried again for so long
	coverTimeout  = 4 * time.Second    // of an attempt
)

const (
	// coverUnsure is how long a transport is left alone over which the server said what it cannot be meant to say, as one that
	// is not authoritative does. It may be so for that one zone alone. For so long, too, a slow one is no reason to prefer a server.
	coverUnsure = 10 * time.Minute
	// coverPress is how long a transport that failed is left alone where there is to be no other.
	coverPress = 10 * time.Second
)

// ways are the encrypted transports that servers are tried over, the better first: over QUIC no reply waits for another.
var ways = [...]Transport{QUIC, TLS}

// A cover is what is known of the encrypted transports at one address (RFC 9539 section 4.2), in the order of ways.
type cover [len(ways)]way

// A way is an encrypted transport to an address at which somebody is who may or may not be the server.
type way struct {
	works     bool
	lastReply time.Time
	setUp     time.Duration // that the last session took
	doubted   time.Time     // when a question over it took too long

	probing bool
	ended   time.Time // the last attempt that failed
	until   time.Time // no other before
}

// best is the way over which questions go, -1 if none is known to work.
func (c *cover) best(now time.Time) int {
	return slices.IndexFunc(c[:], func(w way) bool { return w.usable(now) })
}

func (w *way) usable(now time.Time) bool {
	return w.works && now.Before(w.lastReply.Add(coverPersists))
}

func (w *way) due(now time.Time) bool { return !w.usable(now) && !w.probing && !now.Before(w.until) }

func wayOf(t Transport) int {
	if t == QUIC {
		return 0
	}
	return 1
}

// wayAt gives the way to an address over t, made if need be. m.mu is held.
func (m *Memory) wayAt(a netip.Addr, t Transport) *way {
	c, ok := m.covers.Get(a)
	if !ok {
		c = new(cover)
		m.covers.Add(a, c)
	}
	return &c[wayOf(t)]
}

// covered returns the best encrypted transport that is known to work at an address, and how long it takes to be there.
func (m *Memory) covered(a netip.Addr, now time.Time) (t Transport, setUp time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.covers.Get(a)
	if !ok {
		return UDP, 0, false
	}
	i := c.best(now)
	if i < 0 {
		return UDP, 0, false
	}
	return ways[i], c[i].setUp, true
}

func (m *Memory) isCovered(s Server, now time.Time) bool {
	if s.Encryption == Clear {
		return false
	}
	c, ok := m.covers.Peek(s.Addr.Addr())
	if !ok {
		return false
	}
	i := c.best(now)
	return i >= 0 && !now.Before(c[i].doubted.Add(coverUnsure))
}

// beginProbes returns the transports over which an address is to be tried now, and takes them for the caller, who says what
// came of it by endProbe: those that are better than the one that is known to work.
func (m *Memory) beginProbes(a netip.Addr, now time.Time) []Transport {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Transport
	for _, t := range ways {
		w := m.wayAt(a, t)
		if w.usable(now) {
			break
		}
		if w.due(now) {
			w.probing = true
			list = append(list, t)
		}
	}
	return list
}

func (m *Memory) endProbe(a netip.Addr, t Transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wayAt(a, t).probing = false
}

// pressed reports whether an address may be tried over t where that must not be asked in clear.
func (m *Memory) pressed(a netip.Addr, t Transport, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.wayAt(a, t)
	return w.ended.IsZero() || !now.Before(w.ended.Add(coverPress))
}

// foundCover is called with each reply over t that may be the server's.
func (m *Memory) foundCover(a netip.Addr, t Transport, setUp time.Duration, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.wayAt(a, t)
	w.works, w.lastReply, w.until = true, now, time.Time{}
	if setUp > 0 {
		w.setUp = setUp
	}
}

// lostCover is called when nothing is to be had over t, for the time given.
func (m *Memory) lostCover(a netip.Addr, t Transport, d time.Duration, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.wayAt(a, t)
	w.works, w.ended, w.until = false, now, now.Add(d)
}

// doubtCover is called when a question over t took too long. Whether it works is to be seen again, at once; for some time its server
// is not preferred for it.
func (m *Memory) doubtCover(a netip.Addr, t Transport, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.wayAt(a, t)
	w.works, w.doubted = false, now
}

// setUpOf is what a question may have to wait for before it is sent, over an encrypted transport. m.mu is held.
func (m *Memory) setUpOf(s Server) time.Duration {
	if s.Encryption == Clear {
		return 0
	}
	if c, ok := m.covers.Peek(s.Addr.Addr()); ok {
		for i := range c {
			if c[i].works {
				return c[i].setUp + c[i].setUp/2
			}
		}
	}
	return 0
}
