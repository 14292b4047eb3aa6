package resolver

import (
	"context"
	"runtime"
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

func (s *resolution) attempt(ctx context.Context, server upstream.Server, q wire.Question) attempt {
	reply, err := s.exchanger.Exchange(ctx, server, q, s.budget)
	return attempt{server, reply, err}
}

// inTurn asks first, and second beside it when the reply of first is overdue: it is probably lost then, but may be on its
// way. The first reply counts. silent is the other server that was asked, zero when there was none.
func (s *resolution) inTurn(ctx context.Context, first, second upstream.Server, q wire.Question) (best attempt, silent upstream.Server) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beside := make(chan *attempt, 1)
	patience := s.memory.Overdue(first)
	due := s.now().Add(patience)
	overdue := time.AfterFunc(patience, func() {
		growStack(false)
		defer growStack(true)
		var b *attempt
		defer func() {
			if recover() != nil { // first goes on without
				s.flights.panicked()
			}
			beside <- b
		}()
		runtime.Gosched() // behind all that can run, among them whoever has a reply to read
		if s.now().Sub(due) > maxLag || ctx.Err() != nil || !s.overlaps.take() {
			return
		}
		enough := time.AfterFunc(otherWait, func() { cancel(context.DeadlineExceeded) })
		defer enough.Stop()
		other := s.attempt(ctx, second, q)
		if b = &other; b.err == nil {
			cancel(upstream.ErrOvertaken)
		}
	})
	defer overdue.Stop()
	a := s.attempt(ctx, first, q)
	if overdue.Stop() {
		s.overlaps.earn()
		return a, silent
	}
	if a.err == nil {
		cancel(upstream.ErrOvertaken)
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
