package upstream

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What leaves here is never fragmented, and nobody can make the kernel do it by lying about the path.
func TestSocketsKeepDatagramsWhole(t *testing.T) {
	for _, c := range []struct {
		address      string
		level, name  int
		want         int
		ipv6Optional bool
	}{
		{"127.0.0.1:53", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE, false},
		{"[::1]:53", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE, true},
	} {
		conn, err := System{}.DialContext(t.Context(), "udp", c.address)
		if err != nil && c.ipv6Optional {
			t.Logf("no IPv6 here: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		peer, ok := conn.(*peerConn)
		if !ok {
			t.Fatalf("%T lets strangers in", conn)
		}
		if got := option(t, peer.UDPConn, c.level, c.name); got != c.want {
			t.Errorf("%s: MTU discovery %d, want %d", c.address, got, c.want)
		}
		if got := option(t, peer.UDPConn, unix.SOL_SOCKET, unix.SO_REUSEPORT); got != 0 {
			t.Errorf("%s: the port can be shared", c.address)
		}
	}
}

func TestConnectionsAreNotMultipath(t *testing.T) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := System{}.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := option(t, conn.(*net.TCPConn), unix.SOL_SOCKET, unix.SO_PROTOCOL); got != unix.IPPROTO_TCP {
		t.Errorf("protocol %d", got)
	}
}

func option(t *testing.T, conn syscall.Conn, level, name int) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	value := -1
	if err := raw.Control(func(fd uintptr) { value, _ = unix.GetsockoptInt(int(fd), level, name) }); err != nil {
		t.Fatal(err)
	}
	return value
}
