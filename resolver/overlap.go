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
	v, after := s.newVigil(first, second)
	overdue := time.AfterFunc(after, func() {
		growStack(false)
		defer growStack(true)
		var b *attempt
		defer func() {
			if recover() != nil { // first goes on without
				s.flights.panicked()
			}
			beside <- b
		}()
		if !v.wait(s.now) || ctx.Err() != nil || !s.overlaps.take() {
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
	v.end()
	if a.err == nil {
		cancel(upstream.ErrOvertaken)
	}
	switch b := <-beside; {
	case v.inTime:
		s.overlaps.earn()
		return a, silent
	case b == nil:
		return a, silent
	case a.err != nil && b.err == nil:
		return *b, first
	default:
		return a, second
	}
}

// A vigil is the wait for a reply until it is overdue. As long as no round trip to first is known, it is overdue when one of second would
// be: what else is asked of the two meanwhile, as the keys of their zone are, tells how far they are.
type vigil struct {
	memory        *upstream.Memory
	first, second upstream.Server
	asked, due    time.Time
	over          chan struct{} // nil: first is known
	inTime        bool          // the reply was there before it was overdue, and after the first look; once the wait is over
}

// firstLook is when it is first seen whether a round trip is known by now; each further look is after as long again as
// it has been waited for.
const firstLook = 30 * time.Millisecond

// newVigil returns when to wait.
func (s *resolution) newVigil(first, second upstream.Server) (v *vigil, after time.Duration) {
	now := s.now()
	after, known := s.memory.Overdue(first)
	v = &vigil{memory: s.memory, first: first, second: second, asked: now}
	if !known {
		v.over = make(chan struct{})
		after = min(after, firstLook)
	}
	v.due = now.Add(after)
	return v, after
}

// wait reports whether the reply is overdue, as soon as that is known.
func (v *vigil) wait(now func() time.Time) bool {
	for {
		runtime.Gosched() // behind all that can run, among them whoever has a reply to read
		waited := v.due.Sub(v.asked)
		rest := v.patience() - waited
		if v.over == nil || rest <= 0 {
			return now().Sub(v.due) <= maxLag
		}
		more := min(rest, waited)
		v.due = v.due.Add(more)
		timer := time.NewTimer(more)
		select {
		case <-timer.C:
		case <-v.over:
			timer.Stop()
			v.inTime = true
			return false
		}
	}
}

func (v *vigil) patience() time.Duration {
	patience, known := v.memory.Overdue(v.first)
	if !known {
		if other, known := v.memory.Overdue(v.second); known {
			patience = min(patience, other)
		}
	}
	return patience
}

func (v *vigil) end() {
	if v.over != nil {
		close(v.over)
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
