package transports

import (
	"net/netip"
	"sync"
	"time"

	"tacit/internal/privacy"
	"tacit/internal/siphash"
	"tacit/internal/wire"
)

// Sharing counts from how many client networks a question has come. Until there are enough of them, each is answered as if nobody
// had asked before, so that the time an answer takes does not tell whether somebody has. What is kept is hashes of questions and
// of networks, under keys that die with the hour, and the tables with them.
//
// This hides the question itself. That somebody has asked for something else in its zone is still seen by how soon its servers are
// found, and who has k networks can ask from all of them. The zero sharing is ready.
type sharing struct {
	mu      sync.Mutex
	key     siphash.Key
	clients *privacy.Clients
	until   time.Time
	counts  map[uint64]int
	asked   map[asking]struct{} // may be answered from memory
}

// An asking is a question from a network.
type asking struct {
	question uint64
	client   privacy.Client
}

const (
	sharingLife = time.Hour
	maxAsked    = 1 << 18 // beyond that all is forgotten, and answered anew
)

// isPrivate reports whether a question must not be answered with what was found for others.
func (f *front) isPrivate(q *wire.Query, addr netip.Addr, now time.Time) bool {
	return f.sharedAfter > 1 && q.RD && !f.quota.sharing.mayShare(q, addr, now, f.sharedAfter)
}

// mayShare counts a question, and reports whether the network of addr may have what is remembered: because it has asked before, or
// enough others have.
func (s *sharing) mayShare(q *wire.Query, addr netip.Addr, now time.Time, after int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.until) || now.Before(s.until.Add(-sharingLife)) || len(s.asked) >= maxAsked {
		s.key, s.clients, s.until = siphash.NewKey(), &privacy.Clients{}, now.Add(sharingLife)
		s.counts, s.asked = map[uint64]int{}, map[asking]struct{}{}
	}
	question := s.hash(q)
	if s.counts[question] >= after {
		return true
	}
	by := asking{question, s.clients.Of(addr, now)}
	if _, has := s.asked[by]; has {
		return true
	}
	s.counts[question]++
	s.asked[by] = struct{}{}
	return false
}

// hash is of name and type.
func (s *sharing) hash(q *wire.Query) uint64 {
	var of [wire.MaxNameLength + 2]byte
	end := copy(of[:], q.FoldedName())
	end += copy(of[end:], []byte{byte(q.Type >> 8), byte(q.Type)})
	return s.key.Sum(of[:end])
}
