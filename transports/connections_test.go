package transports

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// What is idle for 10 s goes, of the transport that is looked at only, and nothing that waits for an answer.
func TestReap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newConnections(newFront(Options{}))
		for _, c := range []struct {
			name    string
			over    Transport
			idle    time.Duration
			pending int32
			cut     bool
		}{
			{"idle", QUIC, idleWithin + 1, 0, true},
			{"not idle for long", QUIC, idleWithin, 0, false},
			{"waits for an answer", QUIC, time.Minute, 1, false},
			{"of another transport", HTTP3, time.Minute, 0, false},
		} {
			cut := false
			connection := newConnection(table.front, c.over, netip.MustParseAddr("192.0.2.1"))
			connection.cut = func() { cut = true }
			connection.active.Store(time.Now().Add(-c.idle).UnixNano())
			connection.pending.Store(c.pending)
			table.add(connection)
			table.reap(QUIC)
			if ended := connection.ctx.Err() != nil; cut != c.cut || ended != c.cut {
				t.Errorf("%s: cut off: %v, ended: %v", c.name, cut, ended)
			}
			table.remove(connection)
			connection.stop()
		}
	})
}

// An IPv6 client has a /64 at least: all of it counts as one address, in a table as long as the connections are open.
func TestConnectionsPerNetwork(t *testing.T) {
	for _, c := range []struct {
		name string
		from []string
		shed int64
	}{
		{"one IPv4 address", []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, 1},
		{"three IPv4 addresses", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, 0},
		{"one /64", []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"}, 1},
		{"two /64", []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::3"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, l := start(t, Options{Limits: Limits{ConnectionsPerAddress: 2}}, known, everybody{})
				for _, from := range c.from {
					l.dial(from)
					synctest.Wait()
				}
				if shed := int64(s.Counters(TCP).Shed.Load()); shed != c.shed {
					t.Error("shed: ", shed)
				}
			})
		})
	}
}

// A reverse proxy speaks for many clients: its connections are not counted as those of one.
func TestReverseProxyHasNoLimit(t *testing.T) {
	s, err := Listen(t.Context(), Options{Plain: []string{"127.0.0.1:0"}, Limits: Limits{ConnectionsPerAddress: 2}})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, known, everybody{})
	for i := range int64(5) {
		conn, err := net.Dial("tcp", s.tcp[0].listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		eventually(t, "let in beside the others", func() bool { return s.Counters(HTTPS).Connections.Load() == i+1 })
	}
}
