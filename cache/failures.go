package cache

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tacit/internal/wire"
)

// Failures remembers what could not be resolved, so that it is not tried again for each client that asks (RFC 9520).
// A Key is a question, or whatever else of that form a caller wants to have tried less often.
type Failures struct {
	mu         sync.Mutex
	entries    *lru.TwoQueueCache[Key, Failure]
	capacity   int
	count      Count
	generation *generation
}

// A Failure says why something could not be resolved, and until when not to try again.
type Failure struct {
	Until  time.Time
	Errors []wire.ExtendedError // shared
	Bogus  bool                 // it failed only for those who want answers checked
	Own    bool                 // it says nothing of the zone

	wait  time.Duration
	brief bool // the next failure does not last longer for this one
}

// How long a failure is remembered: at least one second and at most five minutes (RFC 9520 section 3.2), growing while it
// lasts.
const (
	firstFailureWait = 5 * time.Second
	maxFailureWait   = 300 * time.Second
	bogusWait        = 60 * time.Second
	leastFailureWait = time.Second
)

func newFailures(capacity int, g *generation) *Failures {
	entries, err := lru.New2Q[Key, Failure](capacity)
	if err != nil { // only for a capacity below 1, which the options exclude
		panic("cache: " + err.Error())
	}
	return &Failures{entries: entries, capacity: capacity, generation: g}
}

// Get returns the failure of k that is remembered at now.
func (f *Failures) Get(k Key, now time.Time) (Failure, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.entries.Get(k)
	if !ok || !now.Before(e.Until) {
		f.count.Misses++
		return Failure{}, false
	}
	f.count.Hits++
	return e, true
}

// Put remembers that k failed, in a resolution that started in generation: for 5 seconds, and twice as long as the
// last time, up to 5 minutes, when it failed before and has not succeeded since. A failure within the time of
// another one changes nothing, as both were tried at once.
func (f *Failures) Put(k Key, errors []wire.ExtendedError, now time.Time, generation uint64) {
	f.put(k, Failure{Errors: errors, wait: firstFailureWait}, now, generation)
}

// PutOwn is Put of what says nothing of the zone: limits that were reached, or a forwarder.
func (f *Failures) PutOwn(k Key, errors []wire.ExtendedError, now time.Time, generation uint64) {
	f.put(k, Failure{Errors: errors, Own: true, wait: firstFailureWait}, now, generation)
}

// PutBogus remembers that what k gave was bogus, or could not be validated: for a minute at least, as a broken zone is
// mended by people.
func (f *Failures) PutBogus(k Key, errors []wire.ExtendedError, now time.Time, generation uint64) {
	f.put(k, Failure{Errors: errors, Bogus: true, wait: bogusWait}, now, generation)
}

// PutBriefly remembers that k failed for reasons of this machine's own: for the second that RFC 9520 section 3.2
// demands, and however often it happens no longer, so that a network that comes back is found at once.
func (f *Failures) PutBriefly(k Key, errors []wire.ExtendedError, now time.Time, generation uint64) {
	f.put(k, Failure{Errors: errors, Own: true, wait: leastFailureWait, brief: true}, now, generation)
}

func (f *Failures) put(k Key, failure Failure, now time.Time, generation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.generation.is(generation) {
		return
	}
	last, ok := f.entries.Get(k)
	if ok && now.Before(last.Until) {
		return
	}
	if ok && !last.brief && !failure.brief && now.Before(last.Until.Add(maxFailureWait)) { // older ones say nothing about today
		failure.wait = min(max(failure.wait, 2*last.wait), maxFailureWait)
	}
	failure.Until = now.Add(failure.wait)
	f.entries.Add(k, failure)
}

// Forget forgets the failures of k: it succeeded.
func (f *Failures) Forget(k Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries.Remove(k)
}

func (f *Failures) flush(covers func(wire.Name) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.entries.Keys() {
		if covers(k.Name) {
			f.entries.Remove(k)
		}
	}
}

func (f *Failures) stats() Count {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.count
	c.Entries, c.Capacity = f.entries.Len(), int64(f.capacity)
	return c
}
