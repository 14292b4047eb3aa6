package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tacit/internal/testnet"
)

// ErrNoAliases says that this machine has only 127.0.0.1 where Linux has all of 127.0.0.0/8.
var ErrNoAliases = errors.New("this machine has no further loopback addresses")

// Listen lets the name servers answer on real sockets, so that anybody on this machine can ask them. When it fails,
// the internet in memory still works.
func (l *Lab) Listen(ctx context.Context) error {
	before := len(l.closers)
	for _, s := range l.world.Servers() {
		for _, address := range s.Addresses() {
			if err := l.listen(ctx, s, address); err != nil {
				return errors.Join(err, l.closeFrom(before))
			}
		}
	}
	return nil
}

// Aliases are the addresses that the name servers need.
func (l *Lab) Aliases() []netip.Addr {
	var aliases []netip.Addr
	for _, s := range l.world.Servers() {
		for _, address := range s.Addresses() {
			aliases = append(aliases, address.Addr())
		}
	}
	return aliases
}

// Root is where the lab's root server answers.
func (l *Lab) Root() netip.AddrPort { return l.world.At(".").Addresses()[0] }

func (l *Lab) closeFrom(first int) error {
	var errs []error
	for _, c := range l.closers[first:] {
		errs = append(errs, c())
	}
	l.closers = l.closers[:first]
	l.running.Wait()
	return errors.Join(errs...)
}

func (l *Lab) listen(ctx context.Context, s *testnet.Server, address netip.AddrPort) error {
	var lc net.ListenConfig
	packets, err := lc.ListenPacket(ctx, "udp4", address.String())
	if err != nil {
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return ErrNoAliases
		}
		return err
	}
	l.closers = append(l.closers, packets.Close)
	streams, err := lc.Listen(ctx, "tcp4", address.String())
	if err != nil {
		return err
	}
	h := &host{server: s, at: address, now: l.now, open: map[net.Conn]bool{}}
	l.closers = append(l.closers, streams.Close, h.close)
	l.running.Go(func() { h.servePackets(packets.(*net.UDPConn)) })
	l.running.Go(func() { h.serveStreams(streams) })
	return nil
}

// A host is one name server at one of its addresses.
type host struct {
	server  *testnet.Server
	at      netip.AddrPort
	now     func() time.Time
	running sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool

	handled atomic.Uint32
}

// close ends what is under way, once the listeners are closed.
func (h *host) close() error {
	h.mu.Lock()
	h.closed = true
	for c := range h.open {
		_ = c.Close() // its reader sees it
	}
	h.mu.Unlock()
	h.running.Wait()
	return nil
}

func (h *host) servePackets(conn *net.UDPConn) {
	buf := make([]byte, 1<<16-1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier reply
		}
		packet := append([]byte(nil), buf[:n]...)
		h.answer(testnet.UDP, from, packet, func(reply []byte) {
			_, _ = conn.WriteToUDPAddrPort(reply, from) // lost like any other datagram
		})
	}
}

// remembered is after how many packets a server forgets what it saw, so that a lab may run for days.
const remembered = 1000

// answer sends each reply when it is due; a slow server does not hold up the next query.
func (h *host) answer(t testnet.Transport, from netip.AddrPort, packet []byte, send func(reply []byte)) {
	if h.handled.Add(1)%remembered == 0 {
		h.server.Reset()
	}
	replies := h.server.Handle(testnet.Arrival{Time: h.now(), Transport: t, From: from, To: h.at, Packet: packet})
	for _, r := range replies {
		if r.Delay == 0 {
			send(r.Packet)
			continue
		}
		time.AfterFunc(r.Delay, func() { send(r.Packet) })
	}
}

func (h *host) serveStreams(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !h.enter(conn) {
			continue
		}
		h.running.Go(func() {
			defer h.leave(conn)
			h.serveStream(conn)
		})
	}
}

func (h *host) enter(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = conn.Close() // too late
		return false
	}
	h.open[conn] = true
	return true
}

func (h *host) leave(conn net.Conn) {
	_ = conn.Close() // perhaps for the second time
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, conn)
}

const idleTime = 10 * time.Second // RFC 7766 section 6.2.3: of the order of seconds

// serveStream answers queries in their order (RFC 1035 section 4.2.2).
func (h *host) serveStream(conn net.Conn) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	var mu sync.Mutex // replies that are delayed come from elsewhere
	for {
		_ = conn.SetReadDeadline(h.now().Add(idleTime)) // fails only on a closed connection
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		h.answer(testnet.TCP, from, packet, func(reply []byte) {
			mu.Lock()
			defer mu.Unlock()
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)) // the reader sees it
		})
	}
}
