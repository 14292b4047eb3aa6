package upstream

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// System is the operating system's network. It takes literal addresses only, so that it never asks the system's own
// resolver for a name.
type System struct{}

var _ Network = System{}

const (
	// firstPort is the lowest port that queries leave from: 64,512 remain (RFC 5452 section 4.5; RFC 6056 section 3.2
	// has the whole range above the well-known ports).
	firstPort = 1024
	// maxBinds is how many ports are tried before giving up on a machine that has hardly any left.
	maxBinds = 16
)

// DialContext connects to an address. A UDP socket has a local port that is drawn anew each time, and it gives only
// what its peer has sent.
func (System) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	remote, err := literal(network, address)
	if err != nil {
		return nil, err
	}
	if network == "udp" {
		return dialUDP(remote)
	}
	d := net.Dialer{KeepAlive: -1} // an idle connection is closed before a probe would be due
	d.SetMultipathTCP(false)       // sandboxes that know TCP do not see MPTCP sockets
	return d.DialContext(ctx, network, remote.String())
}

func literal(network, address string) (netip.AddrPort, error) {
	if network != "udp" && network != "tcp" {
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return a, &net.AddrError{Err: "not an IP address and port"}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

func dialUDP(remote netip.AddrPort) (net.Conn, error) {
	family, to := "udp4", net.UDPAddrFromAddrPort(remote)
	if remote.Addr().Is6() {
		family = "udp6"
	}
	var err error
	for range maxBinds {
		var conn *net.UDPConn
		if conn, err = net.DialUDP(family, &net.UDPAddr{Port: randomPort()}, to); err == nil {
			return prepared(conn, family, remote)
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, err
}

func prepared(conn *net.UDPConn, family string, remote netip.AddrPort) (net.Conn, error) {
	raw, err := conn.SyscallConn()
	if err == nil {
		err = keepWhole(family, "", raw)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &peerConn{conn, remote}, nil
}

// randomPort draws from all ports that are not well-known, each as likely as any other.
func randomPort() int {
	for {
		var b [2]byte
		rand.Read(b[:])
		if port := binary.BigEndian.Uint16(b[:]); port >= firstPort {
			return int(port)
		}
	}
}

// A peerConn is a connected socket without the datagrams that strangers got in between bind and connect, which
// the kernel does not take out again.
type peerConn struct {
	*net.UDPConn
	peer netip.AddrPort
}

// Read returns the next datagram that the peer sent.
func (c *peerConn) Read(b []byte) (int, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil || netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) == c.peer {
			return n, err
		}
	}
}
