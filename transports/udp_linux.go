package transports

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// openUDP opens count sockets on addr, among which the kernel spreads the clients (SO_REUSEPORT). The first is bound
// without that option, and gets it afterwards: so a second instance, or another resolver, cannot start silently on
// the same port and take a share of the queries.
func openUDP(ctx context.Context, addr netip.AddrPort, count int) ([]*net.UDPConn, error) {
	first, err := bindUDP(ctx, addr, false)
	if err != nil {
		return nil, err
	}
	conns := []*net.UDPConn{first}
	if count == 1 || shareUDP(first) != nil {
		return conns, nil
	}
	addr = endpoint(first.LocalAddr()) // the port, if it was 0
	for range count - 1 {
		next, err := bindUDP(ctx, addr, true)
		if err != nil {
			break // fewer sockets are slower, not wrong
		}
		conns = append(conns, next)
	}
	return conns, nil
}

func bindUDP(ctx context.Context, addr netip.AddrPort, shared bool) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error { return prepareUDP(fd, addr.Addr(), shared) })
	}}
	conn, err := config.ListenPacket(ctx, family("udp", addr), addr.String())
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	_ = udp.SetReadBuffer(receiveSize) // as much as the system grants
	return udp, nil
}

func shareUDP(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
}

// control runs f with the descriptor of raw.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if failed := raw.Control(func(fd uintptr) { err = f(int(fd)) }); failed != nil {
		return failed
	}
	return err
}

// prepareUDP sets what must be set before the bind. Answers are never fragmented, and forged ICMP messages about the
// path's MTU change nothing (RFC 9715 section 3.1, R1 and R2). Behind a wildcard address the kernel is asked which
// address a query was sent to, since the answer must come from there (RFC 2181 section 4.1).
func prepareUDP(fd int, addr netip.Addr, shared bool) error {
	level, discover, probe, packetInfo := unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE, unix.IPV6_RECVPKTINFO
	if addr.Is4() {
		level, discover, probe, packetInfo = unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE, unix.IP_PKTINFO
	}
	if err := unix.SetsockoptInt(fd, level, discover, probe); err != nil {
		return err
	}
	if addr.IsUnspecified() {
		if err := unix.SetsockoptInt(fd, level, packetInfo, 1); err != nil {
			return err
		}
	}
	if shared {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	return nil
}

// replyControl makes, in place, of the control message that came with a query the one that goes with its answer: the
// same address, but any interface, since the way back need not be the way in. Link-local addresses mean nothing
// without their interface.
func replyControl(received []byte) []byte {
	if len(received) == 0 {
		return nil
	}
	header, data, _, err := unix.ParseOneSocketControlMessage(received)
	switch {
	case err != nil:
		return nil
	case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		binary.NativeEndian.PutUint32(data, 0) // struct in_pktinfo: interface, address to send from, address sent to
	case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		if !netip.AddrFrom16([16]byte(data)).IsLinkLocalUnicast() {
			binary.NativeEndian.PutUint32(data[16:], 0) // struct in6_pktinfo: address, interface
		}
	default:
		return nil
	}
	return received
}
