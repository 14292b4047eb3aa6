package transports

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"tacit/internal/crowds"
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

// A client that has gone ends its question itself: that accuses no zone, and is no failure. One for whom it took too long has one.
func TestNobodyFailsWhoHasGone(t *testing.T) {
	for _, gone := range []bool{false, true} {
		failing := crowds.NewTable(crowds.Options{AtLeast: 1})
		f := newFront(Options{Failing: failing})
		f.responder = script{failed: Asking, resolve: func(_ context.Context, q wire.Question) wire.Answer {
			var b wire.Builder
			b.Begin(nil, q, wire.ServFail, 0)
			return wire.Answer{Packet: b.Message(), Errors: []wire.ExtendedError{{Code: wire.EDENoReachableAuthority}}}
		}}
		v, now := &visit{now: time.Now()}, time.Now()
		msg := ask(1, "www.zone.example.")
		v.query.Parse(msg)
		j := f.newJob(v, msg, netip.MustParseAddr("192.0.2.1"), link{transport: QUIC})
		ctx, cancel := context.WithCancel(t.Context())
		if gone {
			cancel()
		}
		j.ctx = ctx
		j.answer()
		j.end()
		cancel()
		want := uint64(1)
		if gone {
			want = 0
		}
		list, _ := failing.Crowded(now)
		if count := f.counters[QUIC].Failures(wire.EDENoReachableAuthority, Asking); count != want || len(list) != int(want) {
			t.Errorf("gone %v: %d failures, %d zones", gone, count, len(list))
		}
	}
}

// Zones are at fault between the questions for their servers and what these have signed, and nowhere else.
func TestStagesOfZones(t *testing.T) {
	want := map[Stage]bool{
		Front: false, Admission: false, Local: false, Priming: false, Asking: true, Servers: true, Aliases: true, Validating: true, Packing: false,
	}
	for _, s := range Stages() {
		if of, known := want[s]; !known || s.isOfZone() != of {
			t.Errorf("%v: %v, want %v (known: %v)", s, s.isOfZone(), of, known)
		}
	}
}
