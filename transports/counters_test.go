package transports

import (
	"testing"

	"tacit/internal/wire"
)

// What is answered with SERVFAIL is counted by the first of its extended errors, and what is not, is not. Codes that nobody knows are
// one cause, however many there are.
func TestFailuresAreCountedByCause(t *testing.T) {
	f := newFront(Options{})
	q := &wire.Query{}
	q.Parse(ask(1, "www.example.", edns(1232)))
	for _, c := range []struct {
		rcode wire.Rcode
		code  wire.EDE
	}{{wire.ServFail, wire.EDEBogus}, {wire.ServFail, wire.EDEBogus}, {wire.ServFail, 48000}, {wire.NoError, wire.EDEStaleAnswer}} {
		f.reject(nil, q, c.rcode, wire.ExtendedError{Code: c.code}, link{transport: QUIC})
	}
	count := &f.counters[QUIC]
	if count.Failures(wire.EDEBogus) != 2 || count.Failures(wire.EDEOther) != 1 || count.Failures(wire.EDEStaleAnswer) != 0 || f.counters[UDP].Failures(wire.EDEBogus) != 0 {
		t.Error(count)
	}
	labels := map[string]bool{}
	for e := range wire.EDE(100) {
		labels[e.Label()] = true
	}
	if len(labels) != 27 || labels[""] {
		t.Errorf("%d labels", len(labels))
	}
}
