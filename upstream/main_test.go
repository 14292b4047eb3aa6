package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The one zone of these tests, and its one server.
const (
	zoneName = "shop.example."
	zoneText = `
		www A   203.0.113.80
		big TXT "0123456789"
	`
)

var (
	address  = netip.MustParseAddrPort("192.0.2.53:53")
	server   = Server{Addr: address}
	question = wire.Question{Name: wire.MustName("www.shop.example."), Type: wire.TypeA, Class: wire.ClassIN}
)

const latency = 20 * time.Millisecond

// A stage is a server on an internet in memory, and a client that asks it.
type stage struct {
	*testing.T
	net    *testnet.Internet
	server *testnet.Server
	client *Client
	memory *Memory
	budget *work.Budget
}

// onStage runs a test in a bubble, in which time is exact and whatever is left running is found.
func onStage(t *testing.T, o Options, script func(s *stage), b ...testnet.Behaviour) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{
			T: t, net: testnet.NewInternet(1, latency), server: testnet.NewServer("ns1."+zoneName, b...),
			memory: NewMemory(MemoryOptions{}), budget: work.New(work.DefaultLimits),
		}
		s.server.Host(testnet.MustZone(zoneName, zoneText))
		s.net.Connect(s.server, address)
		o.Network, o.Memory = s.net, s.memory
		s.client = New(o)
		defer s.client.Close()
		script(s)
	})
}

func (s *stage) ask() (Reply, error) {
	s.Helper()
	return s.client.Exchange(s.Context(), server, question, s.budget, nil)
}

// askMany asks and fails the test when there is no answer.
func (s *stage) askMany(count int) {
	s.Helper()
	for range count {
		r, err := s.ask()
		if err != nil {
			s.Fatal(err)
		}
		s.checkAnswer(r)
	}
}

func (s *stage) checkAnswer(r Reply) {
	s.Helper()
	if len(r.Msg.Answer) != 1 {
		s.Fatalf("got %d answers:\n%v", len(r.Msg.Answer), r.Msg)
	}
	a, ok := r.Msg.Answer[0].(*dns.A)
	if !ok || !a.A.Equal(net.IPv4(203, 0, 113, 80)) {
		s.Fatalf("got %v", r.Msg.Answer[0])
	}
}

func (s *stage) checkOutcome(err error, want Outcome) {
	s.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Outcome != want {
		s.Fatalf("got error %v, want outcome %v", err, want)
	}
}

// checkSent compares how many packets the server has seen over UDP and over TCP since the last call.
func (s *stage) checkSent(udp, tcp int) {
	s.Helper()
	seen := s.server.Seen()
	s.server.Reset()
	if u, t := len(seen.Over(testnet.UDP)), len(seen.Over(testnet.TCP)); u != udp || t != tcp {
		s.Errorf("server saw %d queries over UDP and %d over TCP, want %d and %d", u, t, udp, tcp)
	}
}

// dialer is a network made of a function, for what the internet in memory does not do.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}
