package upstream

import (
	"net/netip"
	"slices"
	"time"
)

// A family is what is known of the ways out over IPv4 or over IPv6.
type family struct {
	downUntil time.Time
	lastReply time.Time
	silent    []netip.Addr // different servers that have failed since, at most doubtAfter
	since     time.Time    // when the first of them was asked
	asked     int          // how often a doubtful family was considered
}

const (
	// familyDownFor is how long "no route" is believed: networks change.
	familyDownFor = 10 * time.Second
	// doubtAfter is how many different servers must fail, with none of the family answering, before the path is
	// suspected in place of the servers.
	doubtAfter = 3
	// exploreEvery says how often a doubtful family is tried: 1 in 32, about three percent.
	exploreEvery = 32
)

// familyDown reports whether servers of an address family are to be passed over while there are others: there
// is no route, or packets vanish. A family whose packets vanish is let through now and then, to see whether they still
// do. When no server of the other family is at hand, ask all the same. It is never true of both families.
func (m *Memory) familyDown(v6 bool, now time.Time) bool {
	this, other := &m.families[0], &m.families[1]
	if v6 {
		this, other = other, this
	}
	switch {
	case now.Before(other.downUntil):
		return false
	case now.Before(this.downUntil):
		return true
	case !this.doubtful(other):
		return false
	default:
		this.asked++
		return this.asked%exploreEvery != 0
	}
}

// noRoute is called when the system has no way to s. It speaks against the family, not against the server, unless
// the family has just been seen to work: some networks have routes to a part of the world only.
func (m *Memory) noRoute(s Server, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &m.families[familyOf(s)]
	if f.lastReply.IsZero() || now.Sub(f.lastReply) >= familyDownFor {
		f.downUntil = now.Add(familyDownFor)
	}
}

func (f *family) replied(now time.Time) {
	f.downUntil, f.lastReply, f.silent = time.Time{}, now, f.silent[:0]
}

func (f *family) failed(server netip.Addr, sent time.Time) {
	if sent.Before(f.lastReply) || len(f.silent) == doubtAfter || slices.Contains(f.silent, server) {
		return
	}
	if len(f.silent) == 0 {
		f.since = sent
	}
	f.silent = append(f.silent, server)
}

// doubtful compares the families: the silence of one says something only while the other works.
func (f *family) doubtful(other *family) bool {
	return len(f.silent) == doubtAfter && len(other.silent) < doubtAfter && other.lastReply.After(f.since)
}

func familyOf(s Server) int {
	if s.Addr.Addr().Unmap().Is4() {
		return 0
	}
	return 1
}
