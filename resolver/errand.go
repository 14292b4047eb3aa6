package resolver

import (
	"context"

	"tacit/internal/wire"
)

// An errand is a question that a resolution will need the answer to, asked by a resolution of its own meanwhile. The two
// share the budget, and the exchanges and the cache with all. An errand sends no others.
type errand struct {
	resolution
	done  chan struct{} // closed when found and err are there
	found *found
	err   error
}

// sendForKeys asks for the DNSKEY RRset of a zone that is entered by a referral with a DS at the same moment as for what
// the question is about, so that a signed zone costs no round trip more than an unsigned one.
func (s *resolution) sendForKeys(ctx context.Context, zone wire.Name) {
	k := key{zone, wire.TypeDNSKEY}
	if !s.checking || s.depth > 0 || s.report != nil || s.errands[k] != nil {
		return
	}
	if _, known := s.fetchKnown(k.name, k.kind); known {
		return
	}
	e := &errand{done: make(chan struct{}), err: &Error{Step: stepValidate, EDE: wire.EDEOther, Err: errPanicked}}
	e.resolution = resolution{Resolver: s.Resolver, budget: s.budget, generation: s.generation, started: s.started}
	note(&s.errands, k, e)
	s.flights.beside(func() {
		defer close(e.done)
		e.found, e.err = e.iterate(ctx, k.name, k.kind)
	})
}

// collect finds what k asks for: by the errand that is under way for it, or now.
func (s *resolution) collect(ctx context.Context, k key) (*found, error) {
	e := s.errands[k]
	if e == nil {
		return s.iterate(ctx, k.name, k.kind)
	}
	delete(s.errands, k)
	select {
	case <-e.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if server, ok := e.sources.get(k); ok {
		s.sources.put(k, server)
	}
	return e.found, e.err
}
