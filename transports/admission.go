package transports

import (
	"net/netip"
	"sync"
	"time"

	"tacit/internal/privacy"
)

// A Quota counts what clients hold and are told, against the Limits of the Servers that share it. The zero Quota is
// ready.
type Quota struct {
	clients  privacy.Clients
	slots    slots
	errands  slots
	bakery   bakery
	sharing  sharing
	refusals refusals
}

// Slots are places for clients that wait for a resolution. No goroutine is started for a client without one.
type slots struct {
	mu    sync.Mutex
	taken int
	held  map[holder]int
}

// A holder is a client network on one transport: senders of forged UDP cannot take the places of those whose address
// a TCP handshake has shown to be true. This machine itself is no network: a forwarder on it asks for many.
type holder struct {
	client    privacy.Client
	transport Transport
	local     bool
}

// take takes a slot for h, of so many in all and so many for h.
func (s *slots) take(h holder, all, each int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= all || s.held[h] >= each {
		return false
	}
	if s.held == nil {
		s.held = map[holder]int{}
	}
	s.taken++
	s.held[h]++
	return true
}

// release gives a slot back. A network that waits for nothing leaves no trace.
func (s *slots) release(h holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.held[h]--; s.held[h] == 0 {
		delete(s.held, h)
	}
}

// count returns how many slots h holds.
func (s *slots) count(h holder) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[h]
}

// Refusals counts how often strangers were told in this second that they are not served: telling them on and on is
// of use to nobody but who forges their addresses.
type refusals struct {
	mu    sync.Mutex
	since time.Time
	total int
	told  map[privacy.Client]int
}

// Refusals per second, over UDP.
const (
	maxRefusals           = 1000
	maxRefusalsPerNetwork = 10
)

// mayRefuse reports whether one more refusal may go to addr. The count of all comes first, so that a flood of forged
// addresses does not fill the table.
func (f *front) mayRefuse(addr netip.Addr, now time.Time) bool {
	r := &f.quota.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.since); age < 0 || age >= time.Second {
		r.since, r.total, r.told = now, 0, map[privacy.Client]int{}
	}
	if r.total >= maxRefusals {
		return false
	}
	client := f.quota.clients.Of(addr, now)
	if r.told[client] >= maxRefusalsPerNetwork {
		return false
	}
	r.total++
	r.told[client]++
	return true
}
