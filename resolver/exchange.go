package resolver

import (
	"context"
	"errors"
	"sync"

	"tacit/internal/wire"
	"tacit/upstream"
)

// Exchanges are the questions on their way to servers: one for each zone, name and type, whichever server it went to and on whose behalf. More would
// multiply a forger's chances (RFC 5452 section 5) and tell servers how many want to know. An exchange waits for no other,
// so waiting for one cannot end in a circle.
type exchanges struct {
	mu   sync.Mutex
	open map[exchangeKey]*exchange
}

type exchangeKey struct {
	zone wire.Name
	key
}

type exchange struct {
	done  chan struct{} // closed when reply and err are there
	reply upstream.Reply
	err   error
}

// exchange asks server, or waits for the reply to the same question that is on its way already.
func (s *resolution) exchange(ctx context.Context, zone wire.Name, server upstream.Server, q wire.Question) (upstream.Reply, error) {
	k := exchangeKey{zone, key{q.Name, q.Type}}
	for {
		e, mine := s.exchanges.join(k)
		if mine {
			e.reply, e.err = s.exchanger.Exchange(ctx, server, q, s.budget)
			s.exchanges.leave(k, e)
			return e.reply, e.err
		}
		select {
		case <-e.done:
			if !personal(e.err) {
				return e.reply, e.err
			}
		case <-ctx.Done():
			return upstream.Reply{}, ctx.Err()
		}
	}
}

// personal reports whether an error concerns only the resolution that it came to: its time or its budget.
func personal(err error) bool {
	var e *upstream.Error
	return errors.As(err, &e) && (e.Outcome == upstream.Cancelled || e.Outcome == upstream.Budget)
}

func (x *exchanges) join(k exchangeKey) (e *exchange, mine bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, ok := x.open[k]; ok {
		return e, false
	}
	if x.open == nil {
		x.open = map[exchangeKey]*exchange{}
	}
	e = &exchange{done: make(chan struct{})}
	x.open[k] = e
	return e, true
}

func (x *exchanges) leave(k exchangeKey, e *exchange) {
	x.mu.Lock()
	delete(x.open, k)
	x.mu.Unlock()
	close(e.done)
}
