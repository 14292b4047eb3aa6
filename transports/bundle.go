package transports

import (
	"runtime"
	"sync"
)

// Bundles are the answers of jobs that end at about the same time. They leave together, because each time that something is sent to who
// waits for it wakes another processor, which costs as much as all else of sending. The first of them lets run what else can, which is
// no time where nothing can.
type bundles struct {
	mu      sync.Mutex
	open    *bundle // for the next answer; nil: none
	awaited bool    // by who sends it

	leaving sync.Mutex // where one waits for room in the socket's buffer, the next bundle stays open
}

// A bundle has a copy of each of its answers: the jobs that they are from are over.
type bundle struct {
	answers []datagram
	used    int               // of room
	room    [16<<10 - 64]byte // all of it in 16 KiB
}

var bundlePool = sync.Pool{New: func() any { return &bundle{answers: make([]datagram, 0, batchSize)} }}

// send has send called with the answer, now or by another job.
func (b *bundles) send(answer *datagram, send func([]datagram)) {
	full, first := b.add(answer)
	if full != nil {
		full.leave(send)
	}
	if first {
		runtime.Gosched()
		b.leaving.Lock()
		defer b.leaving.Unlock()
		b.take().leave(send)
	}
}

// add returns the bundle that has no room for the answer, if that is so, and whether the caller is to send the one that has.
func (b *bundles) add(answer *datagram) (full *bundle, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open != nil && !b.open.fits(answer) {
		full, b.open = b.open, nil
	}
	if b.open == nil {
		b.open = bundlePool.Get().(*bundle)
	}
	b.open.add(answer)
	first, b.awaited = !b.awaited, true
	return full, first
}

func (b *bundles) take() *bundle {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := b.open
	b.open, b.awaited = nil, false
	return open
}

func (b *bundle) fits(answer *datagram) bool {
	return len(b.answers) < batchSize && len(answer.octets)+len(answer.control) <= len(b.room)-b.used
}

// add takes an answer that fits; into an empty bundle each one does that UDP can carry (udpSize).
func (b *bundle) add(answer *datagram) {
	d := *answer
	d.octets, d.control = b.keep(d.octets), b.keep(d.control)
	b.answers = append(b.answers, d)
}

func (b *bundle) keep(octets []byte) []byte {
	kept := b.room[b.used:][:len(octets):len(octets)]
	b.used += copy(kept, octets)
	return kept
}

// leave sends what is in the bundle, and leaves nothing of the clients in it.
func (b *bundle) leave(send func([]datagram)) {
	defer func() {
		clear(b.answers)
		clear(b.room[:b.used])
		b.answers, b.used = b.answers[:0], 0
		bundlePool.Put(b)
	}()
	send(b.answers)
}
