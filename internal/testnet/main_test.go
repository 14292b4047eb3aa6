package testnet_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type network interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
}

var (
	_ network = (*testnet.Internet)(nil)
	_ network = (*testnet.World)(nil)
)

// exchange sends one query to a server's first address over a fresh connection and waits for at most 2 s.
func exchange(n network, transport testnet.Transport, s *testnet.Server, q *dns.Msg) (*dns.Msg, error) {
	conn, err := n.DialContext(context.Background(), string(transport), s.Addresses()[0].String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	c := &dns.Conn{Conn: conn, UDPSize: dns.MaxMsgSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	return c.ReadMsg()
}

// ask is exchange for a name, and fails the test when there is no answer.
func ask(t *testing.T, n network, s *testnet.Server, q *dns.Msg) *dns.Msg {
	t.Helper()
	r, err := exchange(n, testnet.UDP, s, q)
	if err != nil {
		t.Fatalf("%v: %v", q.Question, err)
	}
	return r
}

// query is a question of a resolver: RD clear, with EDNS.
func query(name string, qtype uint16) *dns.Msg {
	q := plainQuery(name, qtype)
	q.SetEdns0(testnet.UDPSize, false)
	return q
}

func plainQuery(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.RecursionDesired = false
	return q
}

// bubble runs a test in which time is exact.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
