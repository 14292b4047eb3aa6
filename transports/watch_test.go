package transports

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// One session sees one exact name, and clients as numbers that begin anew with the next session.
func TestWatchShowsOneName(t *testing.T) {
	w := &Watch{}
	f := newFront(Options{Watch: w})
	f.admitter, f.responder = everybody{}, known
	var v visit
	hear := func(name, client string) {
		f.receive(&v, ask(7, name, qtype(dns.TypeAAAA)), netip.MustParseAddr(client), link{})
	}
	hear("www.example.", "192.0.2.1")
	for range 2 {
		events, end, ok := w.Start(wire.MustName("www.example."))
		if !ok {
			t.Fatal("there is none, and none can be had")
		}
		if _, _, ok := w.Start(wire.MustName("other.example.")); ok {
			t.Error("there are two sessions")
		}
		for _, client := range []string{"192.0.2.9", "192.0.2.1", "192.0.2.9"} {
			hear("WWW.example.", client)
			hear("a.www.example.", client)
			hear("example.", client)
		}
		var clients []int
		for len(events) > 0 {
			e := <-events
			if e.Client > 0 {
				clients = append(clients, e.Client)
			}
			if e.Type != wire.TypeAAAA || e.Transport != UDP {
				t.Errorf("%+v", e)
			}
		}
		if len(clients) != 3 || clients[0] != 1 || clients[1] != 2 || clients[2] != 1 {
			t.Errorf("the clients are %v", clients)
		}
		end()
	}
	if hear("www.example.", "192.0.2.1"); w.session.Load() != nil {
		t.Error("the session has not ended")
	}
}

// Nobody waits for the operator, and there is a bound to what a session holds.
func TestWatchIsBounded(t *testing.T) {
	w := &Watch{}
	events, end, _ := w.Start(wire.MustName("www.example."))
	defer end()
	q := &wire.Query{}
	q.Parse(ask(1, "www.example."))
	for i := range 3 * watchedClients {
		w.asked(q, netip.AddrFrom4([4]byte{192, 0, byte(2 + i>>8), byte(i)}), link{})
	}
	s := w.session.Load()
	if len(events) != watchedEvents || len(s.clients) != watchedClients {
		t.Errorf("%d events, %d clients", len(events), len(s.clients))
	}
}
