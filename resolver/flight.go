package resolver

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"

	"tacit/internal/wire"
)

// Flights are resolutions in progress, one for each name and type however many ask (RFC 5452 section 5 asks for no
// less). A flight belongs to nobody who waits for it: it goes on when they leave, and its end is remembered for the
// next.
type flights struct {
	mu      sync.Mutex
	open    map[flightKey]*flight
	byAge   list.List // of *flight, oldest first
	max     int
	pending sync.WaitGroup
	closed  bool
	now     func() time.Time

	panicked func()
}

// A key is what makes two questions the same work: who asks, and with which flags, does not matter.
type key struct {
	name wire.Name
	kind wire.Type
}

// A flightKey keeps those who ask after a flush from what was learned before it, and those who want answers checked
// from those who do not: what goes to servers they share, see exchanges.
type flightKey struct {
	key
	unchecked  bool // CD
	anew       bool
	generation uint64
}

type flight struct {
	key     flightKey
	done    chan struct{} // closed when result is there
	result  *result
	started time.Time
	cancel  context.CancelFunc
	age     *list.Element
}

const (
	// resolutionTime bounds one resolution. Clients have their answer, or a failure, earlier.
	resolutionTime = 8 * time.Second
	// jostleAge is the age from which a resolution gives way when there is no room (Unbound's jostle timer).
	jostleAge = 200 * time.Millisecond
)

// join returns the flight for k, started with run when there is none. When there is no room, the oldest flight that had
// its chance is ended; when all are young, nil is returned.
func (f *flights) join(k flightKey, run func(context.Context) *result) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if open, ok := f.open[k]; ok {
		return open
	}
	if f.closed || !f.makeRoom() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolutionTime)
	started := &flight{key: k, done: make(chan struct{}), started: f.now(), cancel: cancel}
	if f.open == nil {
		f.open = map[flightKey]*flight{}
	}
	f.open[k] = started
	started.age = f.byAge.PushBack(started)
	f.pending.Add(1)
	go f.fly(ctx, started, run)
	return started
}

// beside runs work for a flight on a goroutine of its own, until the flight's context ends. It is called by a flight.
func (f *flights) beside(run func()) {
	f.pending.Go(func() {
		growStack(false)
		defer growStack(true)
		defer func() {
			if recover() != nil { // the flight has to do without
				f.panicked()
			}
		}()
		run()
	})
}

func (f *flights) fly(ctx context.Context, started *flight, run func(context.Context) *result) {
	defer f.pending.Done()
	growStack(false)
	defer growStack(true)
	defer started.cancel()
	defer f.land(started)
	started.result = run(ctx)
}

// growStack makes room on the stack while it is shallow. A resolution needs it, and growing step by step further down,
// where each step copies all frames so far, was a fourteenth of its time. To be called is enough. It makes 16 KiB of the
// stack, which is what most need and the largest that the runtime keeps for the next goroutine: thousands of 64 KiB were a
// sixth of the work when a thousand questions are on their way. At the end it wipes the room, because what calls have left
// there of the names would go to whoever has the stack next, and may never need so much of it.
//
//go:noinline
func growStack(wipe bool) {
	if wipe {
		var room [12 << 10]byte
		runtime.KeepAlive(&room)
	}
}

// land makes the result known. A flight whose run panicked lands, too, so that nobody waits for it.
func (f *flights) land(landed *flight) {
	if recover() != nil {
		f.panicked()
		landed.result = nil
	}
	if landed.result == nil {
		landed.result = failed(&Error{Step: stepAnswer, EDE: wire.EDEOther, Err: errPanicked})
	}
	f.mu.Lock()
	f.remove(landed)
	f.mu.Unlock()
	close(landed.done)
}

// makeRoom reports whether one more flight may start.
func (f *flights) makeRoom() bool {
	if len(f.open) < f.max {
		return true
	}
	oldest := f.byAge.Front().Value.(*flight)
	if f.now().Sub(oldest.started) < jostleAge {
		return false
	}
	oldest.cancel()
	f.remove(oldest)
	return true
}

func (f *flights) remove(gone *flight) {
	if f.open[gone.key] == gone {
		delete(f.open, gone.key)
		f.byAge.Remove(gone.age)
	}
}

// close ends all flights and waits for them.
func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	for _, open := range f.open {
		open.cancel()
	}
	f.mu.Unlock()
	f.pending.Wait()
}
