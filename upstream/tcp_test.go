package upstream

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// askAtOnce sends so many questions together and returns the number of answers.
func (s *stage) askAtOnce(count int) int {
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		answered int
	)
	for range count {
		group.Go(func() {
			r, err := s.ask()
			mu.Lock()
			defer mu.Unlock()
			if err == nil && len(r.Msg.Answer) == 1 {
				answered++
			}
		})
	}
	group.Wait()
	return answered
}

// RFC 7766 section 6.2.1.1: queries share a connection without waiting for each other.
func TestQueriesShareAConnection(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		begin := time.Now()
		if got := s.askAtOnce(50); got != 50 {
			s.Errorf("%d answers", got)
		}
		if took := time.Since(begin); took != 3*latency { // UDP, connect, query
			s.Errorf("took %v", took)
		}
		if n := s.budget.Spent(work.Connect); n != 1 {
			s.Errorf("%d connections", n)
		}
		ids := map[uint16]bool{}
		for _, p := range s.server.Seen().Over(testnet.TCP) {
			ids[p.ID] = true
		}
		if len(ids) != 50 {
			s.Errorf("%d IDs", len(ids))
		}
	}, testnet.Truncating())
}

// RFC 7766 section 7: replies come in any order.
func TestRepliesOutOfOrder(t *testing.T) {
	slow := testnet.First(1, testnet.Slow(time.Second))
	onStage(t, Options{}, func(s *stage) {
		var slowest, others time.Duration
		var group sync.WaitGroup
		begin := time.Now()
		group.Go(func() {
			s.askMany(1)
			slowest = time.Since(begin)
		})
		time.Sleep(2*latency + latency/2) // UDP, connect: the slow one is on its way
		group.Go(func() {
			s.askMany(3)
			others = time.Since(begin)
		})
		group.Wait()
		if slowest < time.Second || others > time.Second/2 {
			s.Errorf("slow after %v, others after %v", slowest, others)
		}
	}, testnet.Truncating(), testnet.OverTCP(slow))
}

func TestConnectionsEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		behave   testnet.Behaviour
		pause    time.Duration
		connects int32
	}{
		{"kept while used", testnet.Behaviour{}, idleFor / 2, 1},
		{"closed when idle", testnet.ClosesIdle(time.Hour), idleFor, 4},
		{"closed by the server when idle", testnet.ClosesIdle(time.Second), 2 * time.Second, 4},
		{"closed by the server after each answer", testnet.ClosesAfter(1), time.Second, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				for range 4 {
					s.askMany(1)
					time.Sleep(c.pause + time.Millisecond)
				}
				if n := s.budget.Spent(work.Connect); n != c.connects {
					s.Errorf("%d connections, want %d", n, c.connects)
				}
			}, testnet.Truncating(), c.behave)
		})
	}
}

// RFC 7766 section 6.2.4: queries whose connection is closed under them are repeated, once, on a fresh one.
func TestQueriesSurviveTheirConnection(t *testing.T) {
	for _, c := range []struct {
		name              string
		atOnce, perAnswer int
		answers           int
		connects          int32
	}{
		{"two of two, one answer a connection", 2, 1, 2, 2},
		{"three of four, two answers a connection", 4, 2, 4, 2},
		{"no more than one repetition", 4, 1, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				if got := s.askAtOnce(c.atOnce); got != c.answers {
					s.Errorf("%d answers, want %d", got, c.answers)
				}
				if n := s.budget.Spent(work.Connect); n != c.connects {
					s.Errorf("%d connections, want %d", n, c.connects)
				}
			}, testnet.Truncating(), testnet.ClosesAfter(c.perAnswer))
		})
	}
}

func TestRefusedConnection(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		_, err := s.ask()
		s.checkOutcome(err, Refused)
	}, testnet.Truncating(), testnet.TCPRefused())
}

func TestTimeoutOverTCP(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		begin := time.Now()
		_, err := s.ask()
		s.checkOutcome(err, Timeout)
		if took := time.Since(begin); took != latency+streamTimeout {
			s.Errorf("took %v", took)
		}
		s.server.Behave(testnet.Truncating())
		s.askMany(1)
		if n := s.budget.Spent(work.Connect); n != 2 {
			s.Errorf("%d connections: the silent one was kept", n)
		}
	}, testnet.Truncating(), testnet.OverTCP(testnet.Silent()))
}

// Over TCP a message with another ID or question belongs to nobody, and a server that sends nothing else is left.
func TestStrangersOverTCP(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  testnet.Behaviour
	}{
		{"wrong ID", testnet.WrongID()},
		{"wrong question", testnet.WrongQuestion()},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				_, err := s.ask()
				s.checkOutcome(err, Timeout)
			}, testnet.Truncating(), testnet.OverTCP(c.bad))
		})
	}
}

// One dial serves all who wait for it, and one who gives up does not take the others along.
func TestDialIsShared(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		ctx, cancel := context.WithTimeout(s.Context(), latency+latency/2)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() {
			_, err := s.client.Exchange(ctx, server, question, s.budget, nil)
			s.checkOutcome(err, Cancelled)
		})
		synctest.Wait()
		time.Sleep(time.Millisecond)
		group.Go(func() {
			if got := s.askAtOnce(5); got != 5 {
				s.Errorf("%d answers", got)
			}
		})
		group.Wait()
		if n := s.budget.Spent(work.Connect); n != 2 {
			s.Errorf("%d connections, want that of who gave up and one more", n)
		}
	}, testnet.Truncating())
}

// With all places taken the idlest connection makes room, or who needs one waits for it.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		internet := testnet.NewInternet(1, latency)
		var open, most int
		var mu sync.Mutex
		counted := dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := internet.DialContext(ctx, network, address)
			if err != nil || network == "udp" {
				return conn, err
			}
			mu.Lock()
			defer mu.Unlock()
			open++
			most = max(most, open)
			return &countedConn{Conn: conn, closed: func() { mu.Lock(); open--; mu.Unlock() }}, nil
		})
		client := New(Options{Network: counted, Connections: 2})
		defer client.Close()
		var group sync.WaitGroup
		for i := range 6 {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}), 53)
			s := testnet.NewServer("ns.example.", testnet.Truncating())
			s.Host(testnet.MustZone(zoneName, zoneText))
			internet.Connect(s, at)
			group.Go(func() {
				if _, err := client.Exchange(t.Context(), Server{Addr: at}, question, work.New(work.DefaultLimits), nil); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if most != 2 {
			t.Errorf("%d connections at once, want 2", most)
		}
	})
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

func TestClose(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		s.askMany(1)
		if err := s.client.Close(); err != nil {
			s.Fatal(err)
		}
		_, err := s.ask()
		s.checkOutcome(err, Cancelled)
		s.server.Behave()
		s.askMany(1) // over UDP nothing is kept, so there is nothing that would be missing
	}, testnet.Truncating())
}

// A server that floods a connection with what nobody asked for loses it, and costs no memory.
func TestFloodedConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		client := New(Options{Network: dialer(func(_ context.Context, network, _ string) (net.Conn, error) {
			return here, nil
		})})
		defer client.Close()
		conn, err := client.pool.connect(t.Context(), server, work.New(work.DefaultLimits))
		if err != nil {
			t.Fatal(err)
		}
		stranger := new(dns.Msg).SetQuestion("www.shop.example.", dns.TypeA)
		stranger.Response = true
		packed, err := stranger.Pack()
		if err != nil {
			t.Fatal(err)
		}
		written := 0
		for ; written < 10*maxStrangers; written++ {
			if _, err := there.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
				break
			}
		}
		if written != maxStrangers || !conn.isDead() {
			t.Errorf("%d messages were read", written)
		}
	})
}

// More queries than fit on a connection wait for their turn.
func TestPipelineIsBounded(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		if got := s.askAtOnce(maxPipelined + 10); got != maxPipelined+10 {
			s.Errorf("%d answers", got)
		}
		if n := s.budget.Spent(work.Connect); n != 1 {
			s.Errorf("%d connections", n)
		}
	}, testnet.Truncating())
}

func TestNamesGoInLowerCaseOverTCP(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		q := question
		q.Name = wire.MustName("WWW.shop.example.")
		if _, err := s.client.Exchange(s.Context(), server, q, s.budget, nil); err != nil {
			s.Fatal(err)
		}
		if p := s.server.Seen().Over(testnet.TCP)[0]; p.Name != "www.shop.example." {
			s.Errorf("sent %q", p.Name)
		}
	}, testnet.Truncating())
}
