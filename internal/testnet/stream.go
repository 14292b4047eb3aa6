package testnet

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// A streamConn is the client's end of a TCP connection in memory. The other end is a session.
type streamConn struct {
	network       string
	local, remote netip.AddrPort
	session       *session
	inbox         stream
	closed        chan struct{}
	closing       sync.Once
	deadlines
}

var _ net.Conn = (*streamConn)(nil)

// connectTimeout is how long the operating system tries to connect when nothing comes back (Linux's default).
const connectTimeout = 127 * time.Second

func (n *Internet) dialStream(ctx context.Context, network string, remote netip.AddrPort, f fault) (net.Conn, error) {
	if f.kind == blackHole {
		if err := wait(ctx, connectTimeout); err != nil {
			return nil, err
		}
		return nil, os.NewSyscallError("connect", syscall.ETIMEDOUT)
	}
	if err := wait(ctx, 2*n.oneWay(remote)); err != nil {
		return nil, err
	}
	s := n.server(remote)
	if f.refuses() || s == nil || s.refusesConnections() {
		return nil, refused("connect")
	}
	return n.newStreamConn(network, remote, s), nil
}

func (n *Internet) newStreamConn(network string, remote netip.AddrPort, s *Server) *streamConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &streamConn{
		network: network, remote: remote,
		local:  netip.AddrPortFrom(clientAddress(remote.Addr()), n.port()),
		inbox:  stream{arrived: make(chan struct{}, 1)},
		closed: make(chan struct{}), deadlines: newDeadlines(),
	}
	c.session = &session{internet: n, server: s, conn: c}
	return c
}

// wait returns early, with an error, when ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *streamConn) Read(b []byte) (int, error) {
	for {
		if err := ready(c.closed, c.read.wait()); err != nil {
			return 0, c.fail("read", err)
		}
		if n, err := c.inbox.take(b); n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		select {
		case <-c.inbox.arrived:
		case <-c.closed:
		case <-c.read.wait():
		}
	}
}

func (c *streamConn) Write(b []byte) (int, error) {
	if err := ready(c.closed, c.write.wait()); err != nil {
		return 0, c.fail("write", err)
	}
	if c.inbox.isEnded() {
		return 0, c.fail("write", os.NewSyscallError("write", syscall.EPIPE))
	}
	c.session.send(bytes.Clone(b))
	return len(b), nil
}

func (c *streamConn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		close(c.closed)
		err = c.SetDeadline(time.Time{}) // stops the timers
	})
	if err != nil {
		return c.fail("close", err)
	}
	return nil
}

func (c *streamConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *streamConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *streamConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// A stream is the bytes that have arrived at one end of a connection.
type stream struct {
	mu      sync.Mutex
	bytes   []byte
	ended   bool
	arrived chan struct{} // holds one token while there may be something to read
}

func (s *stream) put(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(s.bytes, b...)
	s.signal()
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.signal()
}

func (s *stream) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *stream) take(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(b, s.bytes)
	s.bytes = s.bytes[n:]
	if len(s.bytes) > 0 || s.ended {
		s.signal()
	}
	if n == 0 && s.ended && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *stream) signal() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}
