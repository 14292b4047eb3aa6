package transports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// known recalls every answer.
var known = script{recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
	return wire.Answer{Packet: append(dst, address(q.Question())...)}, true
}}

// RFC 7766 section 7: answers leave in the order in which they are found.
func TestTCPAnswersOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := script{resolve: func(ctx context.Context, q wire.Question) wire.Answer {
			a, _ := slowly(time.Duration(q.Name.Len())*time.Millisecond).Resolve(ctx, q)
			return a
		}}
		_, _, l := start(t, Options{}, r, everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "longest.example."), ask(2, "long.example."), ask(3, "l.example.")))
		for _, id := range []uint16{3, 2, 1} {
			if m := mustReceive(t, conn); m.Id != id || len(m.Answer) != 1 {
				t.Error(id, m)
			}
		}
	})
}

// All complete messages that were read are answered in one write when the answers are known.
func TestTCPAnswersKnownQuestionsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, l := start(t, Options{}, known, everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, append(framed(ask(1, "a.example."), ask(2, "b.example."), ask(3, "c.example.")), 0))
		all := make([]byte, 4096)
		n, err := conn.Read(all) // a pipe gives no more than one write
		if err != nil {
			t.Fatal(err)
		}
		one := len(address(wire.Question{Name: wire.MustName("a.example"), Type: wire.TypeA, Class: wire.ClassIN}))
		if n != 3*(2+one) {
			t.Errorf("%d octets in the first write, want 3 answers of %d", n, one)
		}
	})
}

// RFC 7766 section 8: a message may come in any number of segments.
func TestTCPMessageInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, l := start(t, Options{}, known, everybody{})
		conn := l.dial("192.0.2.1")
		for _, octet := range framed(ask(1, "a.example.")) {
			mustWrite(t, conn, []byte{octet})
		}
		if m := mustReceive(t, conn); m.Id != 1 {
			t.Error(m)
		}
		long := ask(2, "a.example.", edns(1232, &dns.EDNS0_PADDING{Padding: make([]byte, 60000)}))
		rest := framed(long, ask(3, "b.example."))
		go func() { _, _ = conn.Write(rest) }()
		for _, id := range []uint16{2, 3} {
			if m := mustReceive(t, conn); m.Id != id {
				t.Error(m)
			}
		}
	})
}

// RFC 7766 section 6.2.3, RFC 9210 section 4.2: how long a client may take.
func TestTCPTimeouts(t *testing.T) {
	query := framed(ask(1, "a.example."))
	for _, c := range []struct {
		name   string
		r      script
		client func(t *testing.T, conn net.Conn)
		closed time.Duration // after the start
	}{
		{"nothing is sent: 3 s", known, func(*testing.T, net.Conn) {}, 3 * time.Second},
		{"half a message: 2 s later", known, func(t *testing.T, conn net.Conn) {
			mustWrite(t, conn, query[:9])
		}, 2 * time.Second},
		{"the first message drips: 3 s in all", known, func(t *testing.T, conn net.Conn) {
			for _, octet := range query {
				if _, err := conn.Write([]byte{octet}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
			t.Error("all of it was taken")
		}, 3 * time.Second},
		{"idle after an answer: 10 s", known, func(t *testing.T, conn net.Conn) {
			time.Sleep(time.Second)
			mustWrite(t, conn, query)
			mustReceive(t, conn)
		}, 11 * time.Second},
		{"half a second message: 2 s later", known, func(t *testing.T, conn net.Conn) {
			mustWrite(t, conn, append(slices.Clip(query), query[:5]...))
			mustReceive(t, conn)
		}, 2 * time.Second},
		{"a second message drips: 10 s in all", known, func(t *testing.T, conn net.Conn) {
			mustWrite(t, conn, query)
			mustReceive(t, conn)
			for _, octet := range query {
				if _, err := conn.Write([]byte{octet}); err != nil {
					return
				}
				time.Sleep(1900 * time.Millisecond)
			}
			t.Error("all of it was taken")
		}, 10 * time.Second},
		{"RFC 7766 section 3: not idle while an answer is awaited", slowly(4 * time.Second), func(t *testing.T, conn net.Conn) {
			mustWrite(t, conn, query)
			mustReceive(t, conn)
		}, 14 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, l := start(t, Options{}, c.r, everybody{})
				begin := time.Now()
				conn := l.dial("192.0.2.1")
				ended := make(chan time.Duration)
				go func() {
					for s.Counters(TCP).Connections.Load() == 0 {
						time.Sleep(time.Millisecond)
					}
					for s.Counters(TCP).Connections.Load() > 0 {
						time.Sleep(time.Millisecond)
					}
					ended <- time.Since(begin)
				}()
				var client sync.WaitGroup
				client.Go(func() { c.client(t, conn) })
				if took := <-ended; took.Round(10*time.Millisecond) != c.closed {
					t.Errorf("closed after %v, want %v", took, c.closed)
				}
				_ = conn.Close()
				client.Wait()
			})
		})
	}
}

// Above three quarters of the places a connection may be idle for 2 s, and the keepalive option says so.
func TestTCPIdlesLessInACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, l := start(t, Options{Limits: Limits{Connections: 4}}, known, everybody{})
		query := framed(ask(1, "a.example.", edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})))
		for i, want := range []uint16{100, 100, 100, 20} {
			conn := l.dial(fmt.Sprintf("192.0.2.%d", i+1))
			mustWrite(t, conn, query)
			m := mustReceive(t, conn)
			if got := m.IsEdns0().Option[0].(*dns.EDNS0_TCP_KEEPALIVE).Timeout; got != want {
				t.Errorf("connection %d: keepalive %d, want %d", i, got, want)
			}
		}
	})
}

// A new connection is never refused: the idlest goes, of the same address when that has too many.
func TestTCPClosesTheIdlest(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		from   [4]string
		gone   int
	}{
		{"in all", Limits{Connections: 3}, [4]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, 1},
		{"of an address", Limits{ConnectionsPerAddress: 2}, [4]string{"192.0.2.9", "192.0.2.1", "192.0.2.1", "192.0.2.1"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := script{
					recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
						return wire.Answer{Packet: append(dst, address(q.Question())...)}, q.FoldedName()[1] != 's'
					},
					resolve: slowly(4 * time.Second).resolve,
				}
				s, _, l := start(t, Options{Limits: c.limits}, r, everybody{})
				var conns [3]net.Conn
				for i := range conns {
					conns[i] = l.dial(c.from[i])
					synctest.Wait()
					time.Sleep(time.Millisecond)
				}
				busy := 0 // the oldest, but it waits for an answer
				if c.gone == 2 {
					busy = 1
				}
				mustWrite(t, conns[busy], framed(ask(1, "slow.example.")))
				synctest.Wait()
				last := l.dial(c.from[3])
				synctest.Wait()
				if _, err := receiveFrame(conns[c.gone]); !errors.Is(err, io.EOF) {
					t.Error("the idlest is open: ", err)
				}
				mustWrite(t, last, framed(ask(2, "a.example.")))
				if m := mustReceive(t, last); m.Id != 2 {
					t.Error(m)
				}
				if m := mustReceive(t, conns[busy]); m.Id != 1 || len(m.Answer) != 1 {
					t.Error(m)
				}
				if s.Counters(TCP).Shed.Load() != 1 {
					t.Error("shed: ", s.Counters(TCP).Shed.Load())
				}
			})
		})
	}
}

// When descriptors run out, the idlest connection goes and the loop goes on.
func TestTCPAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l := start(t, Options{}, known, everybody{})
		conn := l.dial("192.0.2.1")
		synctest.Wait()
		begin := time.Now()
		for range 12 {
			l.conns <- nil
		}
		if took := time.Since(begin); took != (5+10+20+40+80+160+320+640+1000+1000+1000)*time.Millisecond {
			t.Error("pauses in all: ", took)
		}
		if _, err := receiveFrame(conn); err == nil || s.Counters(TCP).Shed.Load() != 1 {
			t.Error("nothing was shed")
		}
		conn = l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "a.example.")))
		mustReceive(t, conn)
	})
}

// RFC 9210 section 4.2: at most 64 queries in progress; what follows is read when one of them is answered.
func TestTCPPipeliningHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l := start(t, Options{}, slowly(time.Second), everybody{})
		conn := l.dial("192.0.2.1")
		var queries []byte
		for i := range 100 {
			queries = append(queries, framed(ask(uint16(i), "www.example."))...)
		}
		go func() { _, _ = conn.Write(queries) }()
		synctest.Wait()
		if taken := inUse(s); taken != 64 {
			t.Error("in progress: ", taken)
		}
		seen := map[uint16]bool{}
		for range 100 {
			seen[mustReceive(t, conn).Id] = true
		}
		synctest.Wait()
		if len(seen) != 100 || inUse(s) != 0 {
			t.Error("answers: ", len(seen))
		}
	})
}

// Over TCP a client without a slot is told so.
func TestTCPWithoutASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, l := start(t, Options{Limits: Limits{WaitingPerNetworkTCP: 1}}, slowly(time.Second), everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "a.example.", edns(1232)), ask(2, "b.example.", edns(1232))))
		m := mustReceive(t, conn)
		if code, text := ede(m); m.Id != 2 || m.Rcode != dns.RcodeServerFailure || code != 0 || text == "" {
			t.Error(m)
		}
		if m := mustReceive(t, conn); m.Id != 1 || m.Rcode != dns.RcodeSuccess {
			t.Error(m)
		}
	})
}

// A client that does not read its answers is closed, and what is in progress for it ends.
func TestTCPClientDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l := start(t, Options{}, known, everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "a.example.")))
		time.Sleep(writeWithin + time.Millisecond)
		synctest.Wait()
		if s.Counters(TCP).Connections.Load() != 0 || s.Counters(TCP).Drops(SendFailed) != 1 {
			t.Error("the connection is open")
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the client's end is open")
		}
	})
}

// A client that goes away releases its slots: nobody resolves for it.
func TestTCPClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l := start(t, Options{}, slowly(4*time.Second), everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "a.example."), make([]byte, 12+1<<9)[:12])) // then what is no query: flags zero, no question
		m := mustReceive(t, conn)
		if m.Rcode != dns.RcodeFormatError {
			t.Error(m)
		}
		mustWrite(t, conn, framed([]byte{1, 2, 3}))
		synctest.Wait()
		if inUse(s) != 0 || s.Counters(TCP).Connections.Load() != 0 {
			t.Error("slots: ", inUse(s))
		}
	})
}

// A halfConn is a connection whose client has closed its half (shutdown(SHUT_WR)).
type halfConn struct {
	pipe
	queries []byte
}

func (h *halfConn) Read(b []byte) (int, error) {
	if len(h.queries) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.queries)
	h.queries = h.queries[n:]
	return n, nil
}

// RFC 1035 section 4.2.2: the server closes its end after all outstanding queries are answered.
func TestTCPHalfClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, l := start(t, Options{}, slowly(time.Second), everybody{})
		client, server := net.Pipe()
		l.conns <- &halfConn{pipe{server, client1.Addr()}, framed(ask(1, "a.example."), ask(2, "b.example."))}
		ids := mustReceive(t, client).Id + mustReceive(t, client).Id
		if ids != 3 {
			t.Error("IDs add up to ", ids)
		}
		if _, err := receiveFrame(client); !errors.Is(err, io.EOF) {
			t.Error("not closed: ", err)
		}
	})
}
