package transports

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// readers are the ways to read a UDP socket: this system's own, and the one that every system has.
var readers = map[string]func(*net.UDPConn) packetConn{
	"its own":       newPacketConn,
	"one at a time": func(conn *net.UDPConn) packetConn { return &singleConn{messageConn: conn} },
}

// loopback serves port 0 of an address of the loopback interface, over UDP and TCP.
func loopback(t *testing.T, addr string, reader func(*net.UDPConn) packetConn) *Server {
	t.Helper()
	ap := netip.AddrPortFrom(netip.MustParseAddr(addr), 0)
	s, err := Listen(t.Context(), Options{TCP: []netip.AddrPort{ap}})
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip("this machine has no IPv6: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	conns, err := openUDP(t.Context(), ap, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		s.udp = append(s.udp, &udpSocket{front: s.front, conn: reader(conn)})
	}
	s.addrs[UDP] = append(s.addrs[UDP], endpoint(conns[0].LocalAddr()))
	serve(t, s, script{}, everybody{})
	return s
}

func TestServerOnLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		for name, reader := range readers {
			for _, tr := range []Transport{UDP, TCP} {
				t.Run(addr+" "+tr.String()+" read "+name, func(t *testing.T) { askOnLoopback(t, loopback(t, addr, reader), tr) })
			}
		}
	}
}

func askOnLoopback(t *testing.T, s *Server, tr Transport) {
	t.Helper()
	client := &dns.Client{Net: tr.String(), Timeout: 5 * time.Second}
	for i := range 20 { // more than there are sockets: each from a port of its own
		q := new(dns.Msg)
		q.SetQuestion("www.example.", dns.TypeA)
		q.SetEdns0(1232, true)
		m, _, err := client.Exchange(q, s.Addrs(tr)[0].String())
		if err != nil || len(m.Answer) != 1 || !m.IsEdns0().Do() {
			t.Fatal(i, err, m)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil { // a reader that has handed a question on may still have to count it
		t.Error(err)
	}
	if got := s.Counters(tr).Queries.Load(); got != 20 {
		t.Error("counted: ", got)
	}
}

// An address that somebody else holds is a plain, early error: over UDP too, though the sockets of one server share it.
func TestListenFindsThePortTaken(t *testing.T) {
	first := loopback(t, "127.0.0.1", newPacketConn)
	for _, tr := range []Transport{UDP, TCP} {
		t.Run(tr.String(), func(t *testing.T) {
			taken := first.Addrs(tr)[0]
			o := Options{UDP: []netip.AddrPort{taken}, TCP: nil}
			if tr == TCP {
				o = Options{UDP: nil, TCP: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), taken}}
			}
			_, err := Listen(t.Context(), o)
			var le *ListenError
			if !errors.As(err, &le) || !le.InUse() || le.Transport != tr || le.Addr != taken {
				t.Fatal(err)
			}
			if text := err.Error(); strings.Contains(text, "127.0.0.1") || !strings.Contains(text, "address already in use") {
				t.Error(text)
			}
		})
	}
}

func TestListenErrorOfAnotherKind(t *testing.T) {
	_, err := Listen(t.Context(), Options{UDP: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}})
	var le *ListenError
	if !errors.As(err, &le) || le.InUse() || strings.Contains(err.Error(), "192.0.2.1") {
		t.Error(err)
	}
	if _, err := Listen(t.Context(), Options{UDP: make([]netip.AddrPort, 1)}); err == nil || strings.Contains(err.Error(), "invalid") {
		t.Error("the zero address: ", err)
	}
}

// Serve after Shutdown has nothing to do, and sockets are closed.
func TestShutdownBeforeServe(t *testing.T) {
	s, err := Listen(t.Context(), Options{TCP: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.Serve(script{}, everybody{})
	if conn, err := net.Dial("tcp", s.Addrs(TCP)[0].String()); err == nil {
		_ = conn.Close()
		t.Error("the listener is open")
	}
}
