package testnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// DefaultLatency is the round trip to a server that does not declare another.
const DefaultLatency = 10 * time.Millisecond

// The resolver's own addresses in this internet.
var (
	ClientIPv4 = netip.MustParseAddr("192.0.2.1")
	ClientIPv6 = netip.MustParseAddr("2001:db8::1")
)

// An Internet connects clients with servers. It is what a resolver under test takes for the network of its machine:
// datagrams to an address where nobody listens vanish, and connections to it are refused.
type Internet struct {
	seed    uint64
	latency time.Duration
	agenda  agenda

	mu      sync.Mutex
	random  *rand.Rand
	sockets map[netip.AddrPort]*datagramConn
	servers map[netip.AddrPort]*Server
	listed  []*Server
	faults  []fault
}

// NewInternet makes an internet without servers. The seed decides ports and losses; latency is the round trip to
// servers that do not declare their own, 0 means DefaultLatency.
func NewInternet(seed uint64, latency time.Duration) *Internet {
	if latency == 0 {
		latency = DefaultLatency
	}
	return &Internet{
		seed: seed, latency: latency,
		random:  rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // two runs of a test must agree
		sockets: make(map[netip.AddrPort]*datagramConn),
		servers: make(map[netip.AddrPort]*Server),
	}
}

// Connect gives a server its addresses.
func (n *Internet) Connect(s *Server, addresses ...netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addresses {
		if n.servers[a] != nil {
			panic(fmt.Sprintf("testnet: %v is taken", a))
		}
		n.servers[a] = s
	}
	if s.join(n.seed, addresses) {
		n.listed = append(n.listed, s)
	}
}

// Servers returns the connected servers in the order in which they were connected.
func (n *Internet) Servers() []*Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Server(nil), n.listed...)
}

// DialContext connects to an address, which must be numeric.
func (n *Internet) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	remote, err := parseAddress(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := n.dial(ctx, network, remote)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: netAddr(network, remote), Err: err}
	}
	return conn, nil
}

func (n *Internet) dial(ctx context.Context, network string, remote netip.AddrPort) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := n.faultAt(remote.Addr())
	if f.immediate() {
		return nil, os.NewSyscallError("connect", f.errno)
	}
	if isStream(network) {
		return n.dialStream(ctx, network, remote, f)
	}
	return n.dialDatagram(network, remote)
}

// ListenPacket opens an unconnected UDP socket. An empty or unspecified host stands for the client's own addresses,
// port 0 for a fresh port.
func (n *Internet) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	if isStream(network) {
		return nil, net.UnknownNetworkError(network)
	}
	if strings.HasPrefix(address, ":") {
		address = unspecified(network) + address
	}
	local, err := parseAddress(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := n.listenDatagram(network, local)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: netAddr(network, local), Err: err}
	}
	return conn, nil
}

func (n *Internet) server(a netip.AddrPort) *Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.servers[a]
}

func (n *Internet) socket(a netip.AddrPort) *datagramConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sockets[a]
}

// oneWay is half the round trip to an address.
func (n *Internet) oneWay(a netip.AddrPort) time.Duration {
	if s := n.server(a); s != nil {
		return s.roundTrip(n.latency) / 2
	}
	return n.latency / 2
}

// port picks a port that no socket has, as the kernel would: any of the unprivileged ones. n.mu is held.
func (n *Internet) port() uint16 {
	for {
		p := uint16(1024 + n.random.IntN(1<<16-1024))
		v4, v6 := netip.AddrPortFrom(ClientIPv4, p), netip.AddrPortFrom(ClientIPv6, p)
		if n.sockets[v4] == nil && n.sockets[v6] == nil {
			return p
		}
	}
}

func parseAddress(network, address string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return a, &net.AddrError{Err: "not an IP address and port", Addr: address}
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	switch network {
	case "udp", "tcp":
		return a, nil
	case "udp4", "tcp4", "udp6", "tcp6":
		if a.Addr().Is4() != strings.HasSuffix(network, "4") {
			return a, &net.AddrError{Err: "no suitable address", Addr: address}
		}
		return a, nil
	}
	return a, net.UnknownNetworkError(network)
}

func unspecified(network string) string {
	if network == "udp4" {
		return "0.0.0.0"
	}
	return "[::]"
}

func isStream(network string) bool { return strings.HasPrefix(network, "tcp") }

func clientAddress(peer netip.Addr) netip.Addr {
	if peer.Is4() {
		return ClientIPv4
	}
	return ClientIPv6
}

func netAddr(network string, a netip.AddrPort) net.Addr {
	if isStream(network) {
		return net.TCPAddrFromAddrPort(a)
	}
	return net.UDPAddrFromAddrPort(a)
}

// refused is what the kernel says of a closed port.
func refused(call string) error { return os.NewSyscallError(call, syscall.ECONNREFUSED) }
