package testnet

import (
	"container/heap"
	"sync"
	"time"
)

// An agenda calls functions when they are due, one at a time, in order of time and, at equal times, in the order in
// which they were booked. Timers alone would start equal ones in any order, and two runs of a script would differ.
// It has no goroutine of its own, so that nothing is left over at the end of a bubble.
type agenda struct {
	mu      sync.Mutex
	events  events
	booked  uint64
	running bool
}

// after books do. It must not block: everything later waits for it.
func (a *agenda) after(d time.Duration, do func()) {
	a.mu.Lock()
	a.booked++
	heap.Push(&a.events, event{due: time.Now().Add(d), number: a.booked, do: do})
	a.mu.Unlock()
	time.AfterFunc(d, a.run)
}

// run calls what is due. Whoever finds it running already leaves its event to that one.
func (a *agenda) run() {
	if !a.begin() {
		return
	}
	for do := a.next(); do != nil; do = a.next() {
		do()
	}
}

func (a *agenda) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return false
	}
	a.running = true
	return true
}

func (a *agenda) next() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.events) == 0 || a.events[0].due.After(time.Now()) {
		a.running = false
		return nil
	}
	return heap.Pop(&a.events).(event).do
}

type event struct {
	due    time.Time
	number uint64
	do     func()
}

// events is a heap, the next one first.
type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }

func (e events) Less(i, j int) bool {
	if e[i].due.Equal(e[j].due) {
		return e[i].number < e[j].number
	}
	return e[i].due.Before(e[j].due)
}

func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{}
	*e = (*e)[:len(*e)-1]
	return last
}
