package testnet

import (
	"sync"
	"time"
)

// deadlines are the half of a net.Conn and a net.PacketConn that sets them.
type deadlines struct{ read, write *deadline }

func newDeadlines() deadlines { return deadlines{read: newDeadline(), write: newDeadline()} }

func (d deadlines) SetDeadline(t time.Time) error {
	d.read.set(t)
	d.write.set(t)
	return nil
}

func (d deadlines) SetReadDeadline(t time.Time) error {
	d.read.set(t)
	return nil
}

func (d deadlines) SetWriteDeadline(t time.Time) error {
	d.write.set(t)
	return nil
}

// A deadline is the read or the write deadline of a connection: a channel that closes when the time has come.
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}
}

func newDeadline() *deadline { return &deadline{passed: make(chan struct{})} }

// set moves the deadline; the zero time takes it away. It counts for calls that are already waiting, too.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fired := d.timer != nil && !d.timer.Stop()
	d.timer = nil
	if fired || isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.passed)
	default:
		passed := d.passed
		d.timer = time.AfterFunc(left, func() { close(passed) })
	}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
