package testnet

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// backlog is how many datagrams a socket keeps for its reader; more are dropped, as the kernel drops them.
const backlog = 256

// A datagramConn is a UDP socket in memory, connected or not. Like the operating system's, a connected one receives
// from its peer alone.
type datagramConn struct {
	internet *Internet
	network  string
	local    []netip.AddrPort // one for each address at which it receives
	bound    netip.AddrPort   // as LocalAddr tells it
	remote   netip.AddrPort   // the zero value: not connected

	inbox   chan datagram
	closed  chan struct{}
	closing sync.Once
	deadlines
}

var (
	_ net.Conn       = (*datagramConn)(nil)
	_ net.PacketConn = (*datagramConn)(nil)
)

type datagram struct {
	from    netip.AddrPort
	payload []byte
	err     error
}

func (n *Internet) newDatagramConn(network string) *datagramConn {
	return &datagramConn{
		internet: n, network: network,
		inbox: make(chan datagram, backlog), closed: make(chan struct{}),
		deadlines: newDeadlines(),
	}
}

func (n *Internet) dialDatagram(network string, remote netip.AddrPort) (net.Conn, error) {
	c := n.newDatagramConn(network)
	c.remote = remote
	n.mu.Lock()
	defer n.mu.Unlock()
	c.bound = netip.AddrPortFrom(clientAddress(remote.Addr()), n.port())
	return c, n.bind(c, c.bound)
}

func (n *Internet) listenDatagram(network string, local netip.AddrPort) (net.PacketConn, error) {
	c := n.newDatagramConn(network)
	n.mu.Lock()
	defer n.mu.Unlock()
	if local.Port() == 0 {
		local = netip.AddrPortFrom(local.Addr(), n.port())
	}
	c.bound = local
	addresses := []netip.Addr{local.Addr()}
	if local.Addr().IsUnspecified() {
		addresses = clientAddresses(network)
	}
	for _, a := range addresses {
		if err := n.bind(c, netip.AddrPortFrom(a, local.Port())); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// bind lets a socket receive at an address. n.mu is held.
func (n *Internet) bind(c *datagramConn, at netip.AddrPort) error {
	if n.sockets[at] != nil || n.servers[at] != nil {
		return os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	n.sockets[at] = c
	c.local = append(c.local, at)
	return nil
}

func (n *Internet) release(c *datagramConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range c.local {
		delete(n.sockets, a)
	}
}

func clientAddresses(network string) []netip.Addr {
	switch network {
	case "udp4":
		return []netip.Addr{ClientIPv4}
	case "udp6":
		return []netip.Addr{ClientIPv6}
	}
	return []netip.Addr{ClientIPv4, ClientIPv6}
}

func (c *datagramConn) Read(b []byte) (int, error) {
	count, _, err := c.receive(b)
	return count, err
}

func (c *datagramConn) ReadFrom(b []byte) (int, net.Addr, error) {
	count, from, err := c.receive(b)
	if err != nil {
		return 0, nil, err
	}
	return count, net.UDPAddrFromAddrPort(from), nil
}

// receive waits for a datagram; what does not fit into b is lost.
func (c *datagramConn) receive(b []byte) (int, netip.AddrPort, error) {
	if err := ready(c.closed, c.read.wait()); err != nil {
		return 0, netip.AddrPort{}, c.fail("read", err)
	}
	select {
	case d := <-c.inbox:
		if d.err != nil {
			return 0, d.from, c.fail("read", d.err)
		}
		return copy(b, d.payload), d.from, nil
	case <-c.closed:
		return 0, netip.AddrPort{}, c.fail("read", net.ErrClosed)
	case <-c.read.wait():
		return 0, netip.AddrPort{}, c.fail("read", os.ErrDeadlineExceeded)
	}
}

func (c *datagramConn) Write(b []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.fail("write", os.NewSyscallError("write", syscall.EDESTADDRREQ))
	}
	return c.send(b, c.remote)
}

func (c *datagramConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.remote.IsValid() {
		return 0, c.fail("write", net.ErrWriteToConnected)
	}
	remote, err := parseAddress("udp", to.String())
	if err != nil {
		return 0, c.fail("write", err)
	}
	return c.send(b, remote)
}

func (c *datagramConn) send(b []byte, to netip.AddrPort) (int, error) {
	if err := ready(c.closed, c.write.wait()); err != nil {
		return 0, c.fail("write", err)
	}
	from, ok := c.source(to.Addr())
	if !ok {
		return 0, c.fail("write", os.NewSyscallError("sendto", syscall.ENETUNREACH))
	}
	if err := c.internet.send(c, from, to, bytes.Clone(b)); err != nil {
		return 0, c.fail("write", err)
	}
	return len(b), nil
}

// source is the address of the same family as the receiver's.
func (c *datagramConn) source(to netip.Addr) (netip.AddrPort, bool) {
	for _, a := range c.local {
		if a.Addr().Is4() == to.Is4() {
			return a, true
		}
	}
	return netip.AddrPort{}, false
}

// send takes a datagram on its way.
func (n *Internet) send(c *datagramConn, from, to netip.AddrPort, payload []byte) error {
	f := n.faultAt(to.Addr())
	switch {
	case f.immediate():
		return os.NewSyscallError("sendto", f.errno)
	case f.refuses():
		n.agenda.after(n.latency, func() { c.take(datagram{from: to, err: refused("recvfrom")}) })
	case f.kind == noFault:
		n.agenda.after(n.oneWay(to), func() { n.arrive(from, to, payload) })
	}
	return nil
}

// arrive hands a datagram to the server or socket at its destination, if there is one.
func (n *Internet) arrive(from, to netip.AddrPort, payload []byte) {
	s := n.server(to)
	if s == nil {
		n.deliver(to, datagram{from: from, payload: payload})
		return
	}
	for _, r := range s.Handle(Arrival{Time: time.Now(), Transport: UDP, From: from, To: to, Packet: payload}) {
		source := to
		if r.Source.IsValid() {
			source = r.Source
		}
		n.agenda.after(n.oneWay(to)+r.Delay, func() { n.deliver(from, datagram{from: source, payload: r.Packet}) })
	}
}

func (n *Internet) deliver(to netip.AddrPort, d datagram) {
	if c := n.socket(to); c != nil {
		c.take(d)
	}
}

func (c *datagramConn) take(d datagram) {
	if c.remote.IsValid() && d.from != c.remote {
		return
	}
	select {
	case c.inbox <- d:
	default:
	}
}

func (c *datagramConn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		c.internet.release(c)
		close(c.closed)
		err = c.SetDeadline(time.Time{}) // stops the timers
	})
	if err != nil {
		return c.fail("close", err)
	}
	return nil
}

func (c *datagramConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.bound) }

func (c *datagramConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote)
}

func (c *datagramConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// ready says why a call on a connection must not even begin.
func ready(closed, passed <-chan struct{}) error {
	switch {
	case isClosed(closed):
		return net.ErrClosed
	case isClosed(passed):
		return os.ErrDeadlineExceeded
	}
	return nil
}
