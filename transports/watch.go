package transports

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"

	"tacit/internal/wire"
)

// A Watch shows one operator for a time what becomes of questions for one name. Nobody else learns of it, it keeps nothing, and it
// knows clients by a number each, which another session gives to another one. The zero Watch shows nothing and costs a load.
type Watch struct{ session atomic.Pointer[session] }

// An Event is a question for the name that is watched, or an answer to one.
type Event struct {
	Client    int // 1 and up, in the order in which they came; 0 for an answer
	Transport Transport
	Type      wire.Type
	DO, CD    bool

	Rcode  wire.Rcode           // of an answer
	Errors []wire.ExtendedError // of an answer
}

// Limits of a session.
const (
	watchedClients = 1000 // those who come later are all the same one
	watchedEvents  = 256  // that wait for the operator; the others are lost
)

type session struct {
	name   string // in wire form
	events chan Event

	mu      sync.Mutex
	key     [32]byte
	clients map[[8]byte]int
}

// Start begins a session, unless there is one.
func (w *Watch) Start(name wire.Name) (events <-chan Event, end func(), ok bool) {
	s := &session{name: string(name.Append(nil)), events: make(chan Event, watchedEvents), clients: map[[8]byte]int{}}
	_, _ = rand.Read(s.key[:]) // never fails (crypto/rand)
	if !w.session.CompareAndSwap(nil, s) {
		return nil, nil, false
	}
	return s.events, func() { w.session.CompareAndSwap(s, nil) }, true
}

// of returns the session that a question is for; nil: none.
func (w *Watch) of(q *wire.Query) *session {
	if w == nil {
		return nil
	}
	if s := w.session.Load(); s != nil && string(q.FoldedName()) == s.name {
		return s
	}
	return nil
}

// asked tells of a question, and that is all that becomes of the address.
func (w *Watch) asked(q *wire.Query, addr netip.Addr, l link) {
	if s := w.of(q); s != nil {
		s.tell(Event{Client: s.number(addr), Transport: l.transport, Type: q.Type, DO: q.DO, CD: q.CD})
	}
}

func (w *Watch) answered(q *wire.Query, rcode wire.Rcode, errors []wire.ExtendedError, l link) {
	if s := w.of(q); s != nil {
		s.tell(Event{Transport: l.transport, Type: q.Type, DO: q.DO, CD: q.CD, Rcode: rcode, Errors: errors})
	}
}

func (s *session) tell(e Event) {
	select {
	case s.events <- e:
	default: // nobody waits for a terminal
	}
}

// number gives each client its own, by a hash whose key goes with the session.
func (s *session) number(addr netip.Addr) int {
	octets := addr.Unmap().As16()
	sum := sha256.Sum256(append(s.key[:], octets[:]...))
	k := [8]byte(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.clients[k]
	if !ok {
		n = min(len(s.clients), watchedClients) + 1
		if n <= watchedClients {
			s.clients[k] = n
		}
	}
	return n
}
