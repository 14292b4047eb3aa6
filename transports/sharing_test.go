package transports

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tacit/internal/wire"
)

// Row D8: what fewer than k networks have asked is nobody else's; who has asked may have it again; the hour ends it.
func TestSharing(t *testing.T) {
	noon := time.Unix(1_800_000_000, 0)
	type step struct {
		from, name string
		after      time.Duration
		shared     bool
	}
	const name = "www.example."
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"the third network is the last to find out", []step{
			{"192.0.2.1", name, 0, false}, {"198.51.100.1", name, 0, false}, {"203.0.113.1", name, 0, false}, {"2001:db8::1", name, 0, true},
		}},
		{"a network asks again", []step{{"192.0.2.1", name, 0, false}, {"192.0.2.1", name, 0, true}, {"192.0.2.9", name, 0, true}}},
		{"and counts once", []step{
			{"192.0.2.1", name, 0, false}, {"192.0.2.2", name, 0, true}, {"192.0.2.3", name, 0, true}, {"198.51.100.1", name, 0, false},
		}},
		{"letter case is nothing", []step{{"192.0.2.1", name, 0, false}, {"192.0.2.1", "WWW.example.", 0, true}}},
		{"a /56 is a network", []step{{"2001:db8::1", name, 0, false}, {"2001:db8:0:ff::1", name, 0, true}, {"2001:db8:0:100::1", name, 0, false}}},
		{"another name", []step{{"192.0.2.1", name, 0, false}, {"192.0.2.1", "ww2.example.", 0, false}}},
		{"an hour later", []step{{"192.0.2.1", name, 0, false}, {"192.0.2.1", name, sharingLife, false}}},
		{"the clock was set back", []step{{"192.0.2.1", name, 0, false}, {"192.0.2.1", name, -time.Second, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s sharing
			for i, x := range c.steps {
				q := parsed(t, ask(1, x.name))
				if got := s.mayShare(q, netip.MustParseAddr(x.from), noon.Add(x.after), 3); got != x.shared {
					t.Errorf("step %d: %v", i, got)
				}
			}
		})
	}
}

// Another type is another question: a network that has asked for the one learns nothing of the other.
func TestSharingTellsTypesApart(t *testing.T) {
	var s sharing
	now := time.Unix(1_800_000_000, 0)
	s.mayShare(parsed(t, ask(1, "www.example.")), client1.Addr(), now, 3)
	if s.mayShare(parsed(t, ask(1, "www.example.", qtype(28))), client1.Addr(), now, 3) {
		t.Error("shared")
	}
}

func TestSharingIsBounded(t *testing.T) {
	var s sharing
	now := time.Unix(1_800_000_000, 0)
	q := parsed(t, ask(1, "www.example."))
	s.mayShare(q, client1.Addr(), now, 3)
	key := s.key
	for i := range maxAsked {
		s.asked[asking{question: uint64(i)}] = struct{}{}
	}
	if s.mayShare(q, client1.Addr(), now, 3) || len(s.asked) != 1 || len(s.counts) != 1 || s.key == key {
		t.Errorf("%d are remembered", len(s.asked))
	}
}

// Row D8: a question that is private is not looked up among finished answers, and the Responder is told to find out once more.
func TestPrivateQuestionsAreAskedAnew(t *testing.T) {
	recalled, anew := 0, 0
	r := script{recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
		recalled++
		return wire.Answer{Packet: append(dst, address(q.Question())...)}, true
	}, resolve: func(_ context.Context, q wire.Question) wire.Answer {
		if q.Anew {
			anew++
		}
		return wire.Answer{Packet: address(q)}
	}}
	for after, want := range map[int][2]int{0: {9, 0}, 1: {9, 0}, 2: {7, 2}, 3: {6, 3}} {
		recalled, anew = 0, 0
		f := newFront(Options{SharedAfter: after})
		f.admitter, f.responder = everybody{}, r
		for i := range 9 { // three networks, thrice
			addr := netip.MustParseAddr(fmt.Sprintf("192.0.%d.1", i%3))
			f.exchange(context.Background(), ask(1, "www.example."), addr, link{transport: UDP}, func([]byte) {})
		}
		if got := [2]int{recalled, anew}; got != want {
			t.Errorf("after %d: recalled and asked anew %v, want %v", after, got, want)
		}
	}
}
