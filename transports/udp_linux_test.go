package transports

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// RFC 2181 section 4.1: the answer comes from the address that was asked, to a hit and to a miss. Only a wildcard address can
// show it; the client is on loopback.
func TestAnswerLeavesFromTheAddressAsked(t *testing.T) {
	for _, c := range []struct{ name, listen, asked, client string }{
		{"IPv4", "0.0.0.0", "127.0.0.2", "127.0.0.3"},
		{"IPv6", "::", "::1", "::1"},
	} {
		for name, reader := range readers {
			t.Run(c.name+" read "+name, func(t *testing.T) {
				s := loopback(t, c.listen, reader)
				asked := netip.AddrPortFrom(netip.MustParseAddr(c.asked), s.Addrs(UDP)[0].Port())
				answerFrom(t, asked, netip.AddrPortFrom(netip.MustParseAddr(c.client), 0), ask(1, "www.example."))
				answerFrom(t, asked, netip.AddrPortFrom(netip.MustParseAddr(c.client), 0), ask(1, "www.example.", qtype(dns.TypeANY)))
			})
		}
	}
}

func answerFrom(t *testing.T, asked, client netip.AddrPort, query []byte) {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(client))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.WriteToUDPAddrPort(query, asked); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1232)
	n, from, err := conn.ReadFromUDPAddrPort(packet)
	if err != nil || from != asked {
		t.Fatal("answer from ", from, err)
	}
	if m := read(t, packet[:n]); m.Id != 1 || len(m.Answer) != 1 {
		t.Error(m)
	}
}

func option(t *testing.T, conn *net.UDPConn, level, name int) (value int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err == nil {
		err = control(raw, func(fd int) (err error) {
			value, err = unix.GetsockoptInt(fd, level, name)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// RFC 9715 section 3.1, R1 and R2: no fragments; and the sockets of one address share its port.
func TestUDPSocketOptions(t *testing.T) {
	conns, err := openUDP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(conns) != 3 {
		t.Error("sockets: ", len(conns))
	}
	for _, conn := range conns {
		if conn.LocalAddr().String() != conns[0].LocalAddr().String() {
			t.Error("not the same port")
		}
		if got := option(t, conn, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); got != unix.IP_PMTUDISC_PROBE {
			t.Error("path MTU discovery: ", got)
		}
		if got := option(t, conn, unix.SOL_SOCKET, unix.SO_REUSEPORT); got != 1 {
			t.Error("SO_REUSEPORT: ", got)
		}
	}
	// A second instance binds its first socket like the first one did.
	if _, err := openUDP(t.Context(), endpoint(conns[0].LocalAddr()), 3); !listenError(UDP, netip.AddrPort{}, err).InUse() {
		t.Error("a second instance can join: ", err)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// Each socket has a share of the clients.
func TestUDPSocketsShareClients(t *testing.T) {
	conns, err := openUDP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), 2)
	if err != nil || len(conns) != 2 {
		t.Fatal(err, len(conns))
	}
	for range 64 {
		client, err := net.Dial("udp", conns[0].LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.Write([]byte{1})
		_ = client.Close()
	}
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Errorf("socket %d of 2 gets nothing: %v", i, err)
		}
		_ = conn.Close()
	}
}

func message(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	b[0] = byte(unix.CmsgLen(len(data)))
	b[8], b[12] = byte(level), byte(kind)
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func TestReplyControl(t *testing.T) {
	packetInfo6 := func(addr string, index byte) []byte {
		a := netip.MustParseAddr(addr).As16()
		return append(a[:], index, 0, 0, 0)
	}
	v4 := []byte{7, 0, 0, 0, 127, 0, 0, 2, 127, 0, 0, 2}
	for _, c := range []struct {
		name     string
		received []byte
		want     []byte
	}{
		{"none", nil, nil},
		{"IPv4: any interface", message(unix.IPPROTO_IP, unix.IP_PKTINFO, v4), message(unix.IPPROTO_IP, unix.IP_PKTINFO, append([]byte{0}, v4[1:]...))},
		{"IPv6: any interface", message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, packetInfo6("2001:db8::1", 7)), message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, packetInfo6("2001:db8::1", 0))},
		{"IPv6 link-local: the same interface", message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, packetInfo6("fe80::1", 7)), message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, packetInfo6("fe80::1", 7))},
		{"another message", message(unix.IPPROTO_IP, unix.IP_TTL, v4), nil},
		{"too short", message(unix.IPPROTO_IP, unix.IP_PKTINFO, v4[:8]), nil},
		{"cut off", message(unix.IPPROTO_IP, unix.IP_PKTINFO, v4)[:9], nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := replyControl(c.received); string(got) != string(c.want) {
				t.Errorf("%x, want %x", got, c.want)
			}
		})
	}
}

// RFC 8684's multipath sockets are not what was configured.
func TestTCPIsNotMultipath(t *testing.T) {
	l, err := openTCP(context.Background(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = control(raw, func(fd int) error {
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || got != unix.IPPROTO_TCP {
			t.Error("protocol: ", got, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
