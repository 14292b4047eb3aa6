package resolver

import (
	"context"
	"errors"
	"sync"

	"tacit/internal/wire"
	"tacit/upstream"
)

// Exchanges are the questions on their way to servers: one for each zone, name and type, on whosever behalf. It goes to one
// server, and to a second one when the first is overdue (see inTurn). More would multiply a forger's chances (RFC 5452 section
// 5) and tell servers how many want to know. An exchange waits for no other, so waiting for one cannot end in a circle.
type exchanges struct {
	mu   sync.Mutex
	open map[exchangeKey]*exchange
}

type exchangeKey struct {
	zone      wire.Name
	recursive bool // a forwarder's word is not that of the zone's own servers
	key
}

// An exchange is shared by all who wait for it, so nothing in it is written to once done is closed.
type exchange struct {
	done     chan struct{}
	server   upstream.Server // that was asked: the praise and the blame are its alone
	silent   upstream.Server // that was asked, too, and was not heard in time; zero: none
	reply    upstream.Reply
	response response // what is left of the reply
	sound    bool     // ... if it can be used at all
	err      error
}

// exchange asks server, and when its reply is overdue other, unless that is the zero Server; or it waits for the reply to
// the same question that is on its way already.
func (s *resolution) exchange(ctx context.Context, zone wire.Name, server, other upstream.Server, q wire.Question) *exchange {
	k := exchangeKey{zone, server.Recursive, key{q.Name, q.Type}}
	for {
		e, mine := s.exchanges.join(k)
		if mine {
			s.carry(ctx, k, e, server, other, q)
			return e
		}
		select {
		case <-e.done:
			if !personal(e.err) {
				return e
			}
		case <-ctx.Done():
			return &exchange{server: server, err: ctx.Err()}
		}
	}
}

// carry asks on behalf of all who wait for e. They are let go even if it panics.
func (s *resolution) carry(ctx context.Context, k exchangeKey, e *exchange, server, other upstream.Server, q wire.Question) {
	defer s.exchanges.leave(k, e)
	e.server, e.err = server, &upstream.Error{Outcome: upstream.Cancelled}
	var a attempt
	if other == (upstream.Server{}) {
		a = s.attempt(ctx, server, q, nil)
	} else {
		a, e.silent = s.inTurn(ctx, server, other, q)
	}
	if a.err == nil {
		e.response, e.sound = scrub(a.reply.Msg, q, k.zone)
	}
	e.server, e.reply, e.err = a.server, a.reply, a.err
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
