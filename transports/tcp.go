package transports

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// A tcpListener accepts connections of one transport and has each of them greeted and served on a goroutine of its own.
type tcpListener struct {
	front     *front
	conns     *connections
	listener  net.Listener
	loops     *sync.WaitGroup
	transport Transport
	tls       *tls.Config    // nil: in clear
	proxies   []netip.Prefix // who say in a PROXY header whom they speak for
	plain     bool           // whoever comes is a reverse proxy
	service   service
}

// A service speaks with a client over a connection that is greeted. The connection is its own to close.
type service interface {
	serve(s *socket, conn net.Conn)
}

func openTCP(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1} // idle connections are closed long before
	config.SetMultipathTCP(false)             // a sandbox's rule on TCP ports does not cover it
	return config.Listen(ctx, family("tcp", addr), addr.String())
}

func (l *tcpListener) accept() {
	var kept ballast
	defer runtime.KeepAlive(&kept)
	var wait backoff
	for {
		conn, err := l.listener.Accept()
		switch {
		case err == nil:
			wait.reset()
			l.loops.Go(l.admit(conn).welcome)
			wipeStack()
		case l.front.isStopping() || errors.Is(err, net.ErrClosed):
			return
		default: // most likely no descriptor is left
			if wait.pause == 0 {
				l.front.log.Warn("cannot accept connections for now", "error", systemError(err))
			}
			l.conns.shed()
			wait.wait(l.front.stopping)
		}
	}
}

// admit gives a connection its place.
//
//go:noinline
func (l *tcpListener) admit(conn net.Conn) *socket {
	addr := remoteAddr(conn)
	s := &socket{Conn: conn, listener: l, proxied: contains(l.proxies, addr)}
	if s.proxied {
		addr = netip.Addr{} // the proxy's: nobody's limit is counted against it
	}
	s.connection = newConnection(l.front, l.transport, addr)
	s.greeting, s.many = l.tls != nil, l.plain
	s.cut = func() { _ = conn.Close() }
	s.halt = func() { _ = conn.SetReadDeadline(longAgo) }
	l.conns.add(s.connection)
	return s
}

func remoteAddr(conn net.Conn) netip.Addr { return hostOf(conn.RemoteAddr()) }

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr.WithZone("")) {
			return true
		}
	}
	return false
}

// A socket is a client's TCP connection as TLS and HTTP see it: they are not shown where the client is.
type socket struct {
	net.Conn
	*connection
	listener *tcpListener
	proxied  bool
	early    []byte // came in one segment with the PROXY header
	quota    int    // octets that may still come before the handshake is over
	closing  sync.Once
}

// welcome greets and serves the client.
func (s *socket) welcome() {
	growStack() // as in job.run
	defer wipeStack()
	defer func() {
		if cause := recover(); cause != nil {
			s.listener.front.panicked(s.transport)
			_ = s.Close()
		}
	}()
	conn, err := s.greet()
	if err != nil {
		_ = s.Close()
		return
	}
	s.touch()
	s.listener.service.serve(s, conn)
}

// greet reads what comes before the first message: whom a proxy speaks for, and the handshake of TLS.
func (s *socket) greet() (net.Conn, error) {
	if s.proxied {
		if err := s.readProxyHeader(); err != nil {
			return nil, err
		}
	}
	if s.listener.tls == nil {
		return s, nil
	}
	return s.shakeHands()
}

// Read reads what is left of the first segment, and then from the connection.
func (s *socket) Read(b []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(b, s.early)
		clear(s.early[:n])
		s.early = s.early[n:]
		return n, nil
	}
	if s.quota > 0 {
		return s.readMetered(b)
	}
	return s.Conn.Read(b)
}

// RemoteAddr is no address: whoever asks for one might write it down.
func (s *socket) RemoteAddr() net.Addr { return nowhere{} }

type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "[client]" }

// Close ends the connection and what is in progress for it, and forgets where the client is.
func (s *socket) Close() (err error) {
	s.closing.Do(func() {
		s.stop()
		err = s.Conn.Close()
		s.listener.conns.remove(s.connection)
		if a, ok := s.Conn.RemoteAddr().(*net.TCPAddr); ok {
			clear(a.IP) // the system call's own copy, too: net.TCPAddr refers to it
		}
	})
	return err
}

// Streams is the service of DNS over TCP and TLS.
type streams struct{}

func (streams) serve(s *socket, conn net.Conn) {
	newStream(s.listener.front, s.listener.conns, s.connection, conn).serve()
	closeTLS(s, conn)
}

// closeTLS closes a connection, with the alert of TLS where there is TLS.
func closeTLS(s *socket, conn net.Conn) {
	cut := time.AfterFunc(closeAlertWithin, s.cut) // crypto/tls would wait for 5 s until the alert is taken
	defer cut.Stop()
	_ = conn.Close()
	_ = s.Close()
}

var _ service = streams{}
