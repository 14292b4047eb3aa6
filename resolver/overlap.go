package resolver

import (
	"context"
	"sync/atomic"
	"time"

	"tacit/internal/wire"
	"tacit/upstream"
)

// An attempt is one server asked once.
type attempt struct {
	server upstream.Server
	reply  upstream.Reply
	err    error
}

func (s *resolution) attempt(ctx context.Context, server upstream.Server, q wire.Question, o upstream.Overdue) attempt {
	reply, err := s.exchanger.Exchange(ctx, server, q, s.budget, o)
	return attempt{server, reply, err}
}

// inTurn asks first, and second beside it when the reply of first is overdue: it is probably lost then, but may be on its
// way. The first reply counts. silent is the other server that was asked, zero when there was none.
func (s *resolution) inTurn(ctx context.Context, first, second upstream.Server, q wire.Question) (best attempt, silent upstream.Server) {
	var end context.CancelCauseFunc
	defer func() {
		if end != nil {
			end(nil)
		}
	}()
	var beside <-chan *attempt
	a := s.attempt(ctx, first, q, func(ctx context.Context, cancel context.CancelCauseFunc, late time.Duration) {
		end = cancel
		if late <= maxLag && s.overlaps.take() {
			beside = s.askBeside(ctx, cancel, second, q)
		}
	})
	if end == nil {
		s.overlaps.earn()
	}
	if beside == nil {
		return a, silent
	}
	if a.err == nil {
		end(upstream.ErrOvertaken)
	}
	switch b := <-beside; {
	case b == nil:
		return a, silent
	case a.err != nil && b.err == nil:
		return *b, first
	default:
		return a, second
	}
}

// askBeside asks a second server on a goroutine of its own, and ends the wait for both when there is a reply.
func (s *resolution) askBeside(ctx context.Context, cancel context.CancelCauseFunc, second upstream.Server, q wire.Question) <-chan *attempt {
	came := make(chan *attempt, 1)
	go func() {
		growStack(false)
		defer growStack(true)
		var b *attempt
		defer func() {
			if recover() != nil { // first goes on without
				s.flights.panicked()
			}
			came <- b
		}()
		enough := time.AfterFunc(otherWait, func() { cancel(context.DeadlineExceeded) })
		defer enough.Stop()
		other := s.attempt(ctx, second, q, nil)
		if b = &other; b.err == nil {
			cancel(upstream.ErrOvertaken)
		}
	}()
	return came
}

// maxLag is how late this machine may be itself: if it is, the reply probably waits here.
const maxLag = 25 * time.Millisecond

// Overlaps bound how often a second server is asked while the first is waited for: one in ten exchanges. Where more are
// overdue, it is this machine or its line that is slow, and asking more would make it worse.
type overlaps struct{ saved atomic.Int32 }

const (
	overlapPrice = 10  // exchanges in time pay for one that is overdue
	overlapDebt  = 200 // so many overdue ones may come before that
	maxSaved     = 1000
)

func (o *overlaps) earn() {
	if o.saved.Load() < maxSaved {
		o.saved.Add(1)
	}
}

func (o *overlaps) take() bool {
	if o.saved.Add(-overlapPrice) < -overlapDebt*overlapPrice {
		o.saved.Add(overlapPrice)
		return false
	}
	return true
}
