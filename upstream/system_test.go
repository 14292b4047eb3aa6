package upstream

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/work"
)

// A loopback is a name server on real sockets, which remembers where queries came from.
type loopback struct {
	server Server
	mu     sync.Mutex
	ports  []int
	ids    []int

	authoritative atomic.Bool
}

func newLoopback(t *testing.T, truncating bool) *loopback {
	t.Helper()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	at := udp.LocalAddr().(*net.UDPAddr).AddrPort()
	tcp, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Skip("the port is taken for TCP")
	}
	l := &loopback{server: Server{Addr: at}}
	var group sync.WaitGroup
	t.Cleanup(group.Wait) // runs last
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { l.answer(w, q, truncating) })
		group.Go(func() { _ = s.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return l
}

func (l *loopback) answer(w dns.ResponseWriter, q *dns.Msg, truncating bool) {
	r := new(dns.Msg).SetReply(q)
	r.SetEdns0(payloadSize, true)
	r.Authoritative = l.authoritative.Load()
	if from, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		r.Truncated = truncating
		l.mu.Lock()
		l.ports, l.ids = append(l.ports, from.Port), append(l.ids, int(q.Id))
		l.mu.Unlock()
	}
	_ = w.WriteMsg(r)
}

// asked is how many questions have come over UDP.
func (l *loopback) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

func distinct(values []int) int {
	sorted := slices.Sorted(slices.Values(values))
	return len(slices.Compact(sorted))
}

// RFC 5452 section 9.2: ports and IDs from as much of their range as there is, unpredictably. Of 300 ports from 64,512
// less than one is drawn twice; four bands of the range each get a quarter.
func TestPortsAndIDsAreRandom(t *testing.T) {
	l := newLoopback(t, false)
	client := New(Options{})
	defer client.Close()
	const queries = 300
	for range queries {
		if _, err := client.Exchange(t.Context(), l.server, question, work.New(work.DefaultLimits), nil); err != nil {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, values := range map[string][]int{"ports": l.ports, "IDs": l.ids} {
		if n := distinct(values); len(values) != queries || n < queries*9/10 {
			t.Errorf("%d different %s of %d", n, name, len(values))
		}
		bands, steps := [4]int{}, 0
		for i, v := range values {
			bands[v>>14]++
			if i > 0 && v-values[i-1] >= 0 && v-values[i-1] <= 4 {
				steps++
			}
		}
		for _, n := range bands { // 5 standard deviations
			if n < queries/4-38 || n > queries/4+38 {
				t.Errorf("%s lie in quarters of the range like %v", name, bands)
				break
			}
		}
		if steps > 3 {
			t.Errorf("%d %s follow their predecessors in small steps", steps, name)
		}
	}
}

func TestPortsSpareTheWellKnown(t *testing.T) {
	lowest, highest := 1<<16, 0
	for range 100_000 {
		p := randomPort()
		lowest, highest = min(lowest, p), max(highest, p)
	}
	if lowest < 1024 || lowest > 1200 || highest < 65300 {
		t.Errorf("ports from %d to %d", lowest, highest)
	}
}

func TestSystemOverTCP(t *testing.T) {
	l := newLoopback(t, true)
	client := New(Options{})
	defer client.Close()
	for range 3 {
		r, err := client.Exchange(t.Context(), l.server, question, work.New(work.DefaultLimits), nil)
		if err != nil || r.Transport != TCP {
			t.Fatalf("got %v, %v", r.Transport, err)
		}
	}
}

// The port of a server that has gone says so, over UDP by ICMP.
func TestSystemRefused(t *testing.T) {
	gone, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	at := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	client := New(Options{})
	defer client.Close()
	_, err = client.Exchange(t.Context(), Server{Addr: at}, question, work.New(work.DefaultLimits), nil)
	var e *Error
	if !errors.As(err, &e) || e.Outcome != Refused || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
}

// A name would be looked up by the system's resolver, which tells others what is asked here.
func TestSystemTakesNoNames(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		for _, name := range []string{"localhost:53", "ns.example:53", ":53", ""} {
			if _, err := (System{}).DialContext(t.Context(), network, name); err == nil {
				t.Errorf("%s to %q was dialed", network, name)
			}
		}
	}
	var unknown net.UnknownNetworkError
	if _, err := (System{}).DialContext(t.Context(), "unix", "127.0.0.1:53"); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
}

// The kernel leaves in a socket's queue what came from anybody between bind and connect.
func TestConnectedSocketsIgnoreStrangers(t *testing.T) {
	listen := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	socket, peer, stranger := listen(), listen(), listen()
	at := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, c := range []*net.UDPConn{stranger, peer} {
		if _, err := c.WriteToUDPAddrPort([]byte(c.LocalAddr().String()), at); err != nil {
			t.Fatal(err)
		}
	}
	conn := &peerConn{socket, peer.LocalAddr().(*net.UDPAddr).AddrPort()}
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != peer.LocalAddr().String() {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(buf); err == nil {
		t.Errorf("read %q", buf[:n])
	}
}
