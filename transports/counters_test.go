package transports

import (
	"testing"

	"tacit/internal/wire"
)

// What is answered with SERVFAIL is counted by the first of its extended errors, and what is not, is not. Codes that nobody knows are
// one cause, however many there are.
func TestFailuresAreCountedByCauseAndStage(t *testing.T) {
	f := newFront(Options{})
	q := &wire.Query{}
	q.Parse(ask(1, "www.example.", edns(1232)))
	for _, c := range []struct {
		rcode wire.Rcode
		code  wire.EDE
		at    Stage
	}{
		{wire.ServFail, wire.EDEBogus, Validating},
		{wire.ServFail, wire.EDEBogus, Validating},
		{wire.ServFail, wire.EDEBogus, Servers},
		{wire.ServFail, 48000, Front},
		{wire.NoError, wire.EDEStaleAnswer, Asking},
	} {
		f.reject(nil, q, c.rcode, wire.ExtendedError{Code: c.code}, link{transport: QUIC, failed: c.at})
	}
	count := &f.counters[QUIC]
	for e := range wire.EDE(wire.CodesOfEDE) {
		for _, s := range Stages() {
			want := map[wire.EDE]map[Stage]uint64{wire.EDEBogus: {Validating: 2, Servers: 1}, wire.EDEOther: {Front: 1}}[e][s]
			if got := count.Failures(e, s); got != want || f.counters[UDP].Failures(e, s) != 0 {
				t.Errorf("%s at %s: %d, want %d", e.Label(), s, got, want)
			}
		}
	}
	labels := map[string]bool{}
	for e := range wire.EDE(100) {
		labels[e.Label()] = true
	}
	if len(labels) != 27 || labels[""] {
		t.Errorf("%d labels", len(labels))
	}
}

// What the front makes a failure arose there, whatever it was made of.
func TestFailuresOfTheFront(t *testing.T) {
	f := newFront(Options{})
	q := &wire.Query{}
	q.Parse(ask(1, "www.example."))
	answer := append(records(q.Question(), 1), make([]byte, 1<<16)...)
	f.finish(answer, q, &wire.Answer{}, link{transport: TCP, failed: Asking})
	f.finish(nil, q, &wire.Answer{}, link{transport: TCP, failed: Asking})
	if got := f.counters[TCP].Failures(wire.EDEOther, Front); got != 2 {
		t.Errorf("%d, want 2", got)
	}
}
