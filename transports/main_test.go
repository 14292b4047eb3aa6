package transports

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everybody admits all clients, and nobody none.
type (
	everybody struct{}
	nobody    struct{}
)

func (everybody) Admit(netip.Addr, time.Time) (wire.View, bool) { return 3, true }
func (nobody) Admit(netip.Addr, time.Time) (wire.View, bool)    { return 0, false }

// A script is a Responder that does what a test says. Nil functions: nothing is recalled, and all is resolved at once.
type script struct {
	recall  func(dst []byte, q *wire.Query) (wire.Answer, bool)
	resolve func(ctx context.Context, q wire.Question) wire.Answer
	failed  Stage // of what is resolved
}

func (s script) Recall(dst []byte, q *wire.Query, _ time.Time) (wire.Answer, bool) {
	if s.recall == nil {
		return wire.Answer{}, false
	}
	return s.recall(dst, q)
}

func (s script) Resolve(ctx context.Context, q wire.Question) (wire.Answer, Failure) {
	if s.resolve == nil {
		return wire.Answer{Packet: address(q)}, Failure{s.failed, true}
	}
	return s.resolve(ctx, q), Failure{s.failed, true}
}

// address is a finished answer: one A record.
func address(q wire.Question) []byte { return records(q, 1) }

// records is a finished answer of n TXT records of 100 octets, or of one A record.
func records(q wire.Question, n int) []byte {
	var b wire.Builder
	b.Begin(nil, q, wire.NoError, wire.Authenticated)
	set := &wire.RRset{Name: q.Name, Type: wire.TypeA, Data: wire.Rdatas(nil).Add([]byte{192, 0, 2, 1})}
	if n > 1 {
		set.Type, set.Data = wire.TypeTXT, nil
		for i := range n {
			set.Data = set.Data.Add(append([]byte{99, byte(i >> 8), byte(i)}, make([]byte, 97)...))
		}
	}
	if err := b.Add(wire.AnswerSection, set, 300, false); err != nil {
		panic(err)
	}
	return b.Message()
}

// ask is a query as a client sends it.
func ask(id uint16, name string, change ...func(*dns.Msg)) []byte {
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	m.Id = id
	for _, c := range change {
		c(m)
	}
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

func qtype(t uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qtype = t } }

func edns(size uint16, options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(size, false)
		m.IsEdns0().Option = options
	}
}

func read(t *testing.T, packet []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("answer does not parse: %v", err)
	}
	return m
}

// ede returns the code and text of the first extended error, or -1.
func ede(m *dns.Msg) (code int, text string) {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				return int(e.InfoCode), e.ExtraText
			}
		}
	}
	return -1, ""
}

// An opener makes a packetConn of a memoryUDP.
type opener func(*memoryUDP) packetConn

// overMemory runs a test with every reader that this system has, the portable one among them.
func overMemory(t *testing.T, test func(*testing.T, opener)) {
	t.Helper()
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, open) })
		})
	}
}

func openSingle(m *memoryUDP) packetConn { return &singleConn{messageConn: m} }

// A memoryUDP is a socket without a network.
type memoryUDP struct {
	in   chan delivery
	out  chan delivery
	stop chan struct{}
	once sync.Once
	fail func(packet []byte) error // of writes

	until time.Time // the deadline of writes, where they wait
}

type delivery struct {
	packet  []byte
	control []byte
	peer    netip.AddrPort
}

func newMemoryUDP() *memoryUDP {
	return &memoryUDP{in: make(chan delivery), out: make(chan delivery, 256), stop: make(chan struct{})}
}

func (m *memoryUDP) ReadMsgUDPAddrPort(b, control []byte) (n, controlled, flags int, peer netip.AddrPort, err error) {
	select {
	case d := <-m.in:
		return copy(b, d.packet), copy(control, d.control), 0, d.peer, nil
	case <-m.stop:
		return 0, 0, 0, peer, os.ErrDeadlineExceeded
	}
}

func (m *memoryUDP) WriteMsgUDPAddrPort(b, control []byte, peer netip.AddrPort) (n, controlled int, err error) {
	if m.fail != nil {
		if err := m.fail(b); err != nil {
			return 0, 0, err
		}
	}
	m.out <- delivery{append([]byte(nil), b...), append([]byte(nil), control...), peer}
	return len(b), len(control), nil
}

func (m *memoryUDP) SetReadDeadline(time.Time) error { return m.Close() }

func (m *memoryUDP) SetWriteDeadline(t time.Time) error {
	m.until = t
	return nil
}

func (m *memoryUDP) Close() error {
	m.once.Do(func() { close(m.stop) })
	return nil
}

// A memoryListener is a net.Listener of pipes.
type memoryListener struct {
	conns chan net.Conn
	stop  chan struct{}
	once  sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), stop: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		if c == nil {
			return nil, errors.New("no descriptor left")
		}
		return c, nil
	case <-l.stop:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.stop) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{} }

// A pipe is the server's end of a connection from a client at an address.
type pipe struct {
	net.Conn
	from netip.Addr
}

func (p pipe) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.from, 40000))
}

func (l *memoryListener) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- pipe{server, netip.MustParseAddr(from)}
	return client
}

// start serves r on a socket and a listener in memory, and stops after the test.
func start(t *testing.T, o Options, r Responder, a Admitter) (*Server, *memoryUDP, *memoryListener) {
	t.Helper()
	return startOn(t, openSingle, o, r, a)
}

func startOn(t *testing.T, open opener, o Options, r Responder, a Admitter) (*Server, *memoryUDP, *memoryListener) {
	t.Helper()
	s, u, l := newServer(o), newMemoryUDP(), newMemoryListener()
	s.udp = append(s.udp, &udpSocket{front: s.front, conn: open(u)})
	s.tcpListener(l, TCP)
	serve(t, s, r, a)
	return s, u, l
}

// serve serves r, and stops after the test.
func serve(t testing.TB, s *Server, r Responder, a Admitter) {
	t.Helper()
	served := make(chan struct{})
	go func() {
		s.Serve(r, a)
		close(served)
	}()
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && !errors.Is(err, ErrNotDrained) {
			t.Error(err)
		}
		<-served
	})
}

func framed(messages ...[]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = appendFrame(out, m)
	}
	return out
}

// receiveFrame reads one message; err is of the connection.
func receiveFrame(c net.Conn) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(c, packet)
	return packet, err
}

func mustReceive(t *testing.T, c net.Conn) *dns.Msg {
	t.Helper()
	packet, err := receiveFrame(c)
	if err != nil {
		t.Fatal("no answer: ", err)
	}
	return read(t, packet)
}

func mustWrite(t *testing.T, c net.Conn, octets []byte) {
	t.Helper()
	if _, err := c.Write(octets); err != nil {
		t.Fatal("write: ", err)
	}
}

var client1 = netip.MustParseAddrPort("192.0.2.1:5300")

// inUse is the number of slots taken; a slot that is free but leaves a trace of its holder counts, too.
func inUse(s *Server) int {
	s.front.quota.slots.mu.Lock()
	defer s.front.quota.slots.mu.Unlock()
	return max(s.front.quota.slots.taken, len(s.front.quota.slots.held))
}
