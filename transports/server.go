package transports

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"tacit/internal/crowds"
	"tacit/internal/privacy"
	"tacit/internal/wire"
)

// A Responder answers questions. For any query, Recall gives the answer that Resolve would give, or none.
type Responder interface {
	// Recall gives a finished answer from memory, its packet written into dst[:0]. It neither blocks nor allocates.
	Recall(dst []byte, q *wire.Query, now time.Time) (a wire.Answer, ok bool)
	// Resolve finds the answer, however long it takes, and gives a failure as an answer too, and says where it
	// arose. It returns soon after ctx is done. The packet is shared with others.
	Resolve(ctx context.Context, q wire.Question) (a wire.Answer, failed Failure)
}

// An Admitter decides which clients are served, and as whom. It is the one thing beyond transports shown an address, but for
// what makes keyed hashes of networks.
type Admitter interface {
	Admit(addr netip.Addr, now time.Time) (view wire.View, ok bool)
}

// Options say where a Server listens and what it allows. The zero value listens nowhere, with the default limits.
type Options struct {
	// The addresses to listen on. With port 0 the system chooses one, see Server.Addrs. An IPv6 address, the wildcard too,
	// serves IPv6 only. HTTPS is DoH over HTTP/1.1 and HTTP/2, on TCP. HTTP3 and QUIC are on UDP; an address that both
	// have is one socket, where clients choose by ALPN.
	UDP, TCP, TLS, HTTPS, HTTP3, QUIC []netip.AddrPort

	// Certificates are shown to clients of the encrypted transports, which need them.
	Certificates Certificates
	// MinTLS is the oldest version of TLS over TCP, as crypto/tls numbers them: 1.2 or 1.3. 0: 1.3.
	MinTLS uint16
	// Validates reports whether answers are validated, for whoami.tacit. Nil: it is not said.
	Validates func() bool
	// Watch lets an operator see for a time what becomes of one name. Nil: nobody can.
	Watch *Watch
	// Failing counts the zones whose questions fail, and for how many client networks. Nil: nobody does.
	Failing *crowds.Table
	// Popular counts which domains are asked for, and from how many client networks. Nil: nobody does.
	Popular *crowds.Popularity
	// AltSvc is the port of HTTP/3 that clients of HTTPS are told of (RFC 7838). 0: none.
	AltSvc uint16

	// Plain is where DoH is served in clear, to a reverse proxy that says in X-Forwarded-For who its client is: addresses, or
	// absolute paths of Unix sockets. Over TCP, only PlainProxies are served.
	Plain        []string
	PlainProxies []netip.Prefix
	// Challenges answers the questions of an ACME authority: over HTTP at ChallengeAddrs (HTTP-01, RFC 8555 section 8.3), and at the
	// addresses of HTTPS in handshakes of ChallengeProtocols (TLS-ALPN-01, RFC 8737), which Certificates answers.
	Challenges         http.Handler
	ChallengeAddrs     []netip.AddrPort
	ChallengeProtocols []string

	// Proxies begin each connection over TCP, TLS and HTTPS and each datagram over UDP with a PROXY header of version 2.
	Proxies []netip.Prefix

	// Pages are shown at other paths than that of DNS over HTTPS. Nil: none.
	Pages Pages

	// Keeper hears what is for whoever keeps zones. Nil: that is refused.
	Keeper Keeper
	// Oblivious says which roles of Oblivious DoH are played over HTTPS. Nil: none.
	Oblivious Oblivious

	// NoCookies gives clients no DNS cookies (RFC 7873).
	NoCookies bool
	// SharedAfter is from how many client networks, within an hour, a question has to come before those after them are given what
	// was found for others. 0 and 1: at once.
	SharedAfter int

	Limits Limits
	// Quota is shared by Servers whose clients count together, such as one Server for each address. Nil: its own.
	Quota *Quota

	// Now tells the time that answers are judged by. Nil: time.Now. Socket deadlines follow the machine's clock.
	Now func() time.Time
	// Log gets what the operator should know. Nil: nothing is logged.
	Log *slog.Logger
}

// Limits bound what clients can hold at one time. Zero means the default of the field.
type Limits struct {
	Waiting              int // clients waiting for a resolution, in all: 10,000
	WaitingPerNetwork    int // of them from one /24 or /56 over UDP: 100
	WaitingPerNetworkTCP int // and over other transports, where the address is known to be true: 1,000

	Connections           int // connections of a Server: 1,000
	ConnectionsPerAddress int // of them from one address: 64
	Handshakes            int // connections whose TLS handshake is in progress: 256
	HandshakesPerAddress  int // of them from one address: 32
	Pipelined             int // queries in progress on one connection: 64
	Errands               int // messages that the Keeper is treating, transfers among them: 10
}

func (l Limits) withDefaults() Limits {
	orDefault := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	orDefault(&l.Waiting, 10000)
	orDefault(&l.WaitingPerNetwork, 100)
	orDefault(&l.WaitingPerNetworkTCP, 1000)
	orDefault(&l.Connections, 1000)
	orDefault(&l.ConnectionsPerAddress, 64)
	orDefault(&l.Handshakes, 256)
	orDefault(&l.HandshakesPerAddress, 32)
	orDefault(&l.Pipelined, 64)
	orDefault(&l.Errands, 10)
	return l
}

// A Transport is a way in which queries arrive.
type Transport uint8

// Transports.
const (
	UDP   Transport = iota
	TCP             // RFC 7766
	TLS             // DoT, RFC 7858
	HTTPS           // DoH over HTTP/1.1 and HTTP/2, RFC 8484
	HTTP3           // DoH over HTTP/3
	QUIC            // DoQ, RFC 9250
	transportCount
)

var transportNames = [transportCount]string{"udp", "tcp", "tls", "https", "http3", "quic"}

func (t Transport) String() string { return transportNames[t] }

// Transports lists all transports.
func Transports() []Transport { return []Transport{UDP, TCP, TLS, HTTPS, HTTP3, QUIC} }

// Network is what carries the transport: udp or tcp.
func (t Transport) Network() string {
	switch t {
	case UDP, HTTP3, QUIC:
		return "udp"
	default:
		return "tcp"
	}
}

func (t Transport) isEncrypted() bool { return t >= TLS }

// IsEncrypted reports whether what is said over a transport cannot be read on the way.
func (t Transport) IsEncrypted() bool { return t.isEncrypted() }

// A Server receives queries on its listen addresses and answers them.
type Server struct {
	front *front
	udp   []*udpSocket
	tcp   []*tcpListener
	quic  []*quicListener
	http  []*httpService
	conns *connections
	addrs [transportCount][]netip.AddrPort

	mu      sync.Mutex // Serve starts its loops before or after Shutdown, never while
	stopped bool
	loops   sync.WaitGroup
	closed  chan struct{}
}

// Listen opens all sockets and serves nothing yet, so that an address that is taken is an early, plain error: a
// *ListenError. When one cannot be opened, none stays open.
func Listen(ctx context.Context, o Options) (*Server, error) {
	s := newServer(o)
	if err := s.listen(ctx, &o); err != nil {
		s.closeAll()
		return nil, err
	}
	return s, nil
}

func newServer(o Options) *Server {
	f := newFront(o)
	return &Server{front: f, conns: newConnections(f), closed: make(chan struct{})}
}

func (s *Server) listen(ctx context.Context, o *Options) error {
	for _, addr := range o.UDP {
		if err := s.listenUDP(ctx, o, addr); err != nil {
			return err
		}
	}
	for _, over := range []struct {
		transport Transport
		addrs     []netip.AddrPort
	}{{TCP, o.TCP}, {TLS, o.TLS}, {HTTPS, o.HTTPS}} {
		for _, addr := range over.addrs {
			if err := s.listenTCP(ctx, o, over.transport, addr); err != nil {
				return err
			}
		}
	}
	for _, addr := range o.Plain {
		if err := s.listenPlain(ctx, o, addr); err != nil {
			return err
		}
	}
	for _, addr := range o.ChallengeAddrs {
		if err := s.listenChallenges(ctx, o, addr); err != nil {
			return err
		}
	}
	return s.listenQUIC(ctx, o)
}

// maxSockets bounds the sockets of one UDP address: more readers than that do not help a resolver.
const maxSockets = 8

func (s *Server) listenUDP(ctx context.Context, o *Options, addr netip.AddrPort) error {
	conns, err := openUDP(ctx, addr, min(runtime.GOMAXPROCS(0), maxSockets))
	if err != nil {
		return listenError(UDP, addr, err)
	}
	for _, conn := range conns {
		s.udp = append(s.udp, &udpSocket{front: s.front, conn: newPacketConn(conn), proxies: o.Proxies})
	}
	s.addrs[UDP] = append(s.addrs[UDP], endpoint(conns[0].LocalAddr()))
	return nil
}

func (s *Server) listenTCP(ctx context.Context, o *Options, t Transport, addr netip.AddrPort) error {
	listener, err := openTCP(ctx, addr)
	if err != nil {
		return listenError(t, addr, err)
	}
	l := s.tcpListener(listener, t)
	l.proxies = o.Proxies
	switch t {
	case TLS:
		l.tls = o.tlsConfig(alpnDoT)
	case HTTPS:
		l.tls = o.tlsConfig(append([]string{alpnHTTP2, alpnHTTP1}, o.ChallengeProtocols...)...)
		l.service = s.httpService(&doh{front: s.front, altSvc: altSvc(o.AltSvc), pages: o.Pages, oblivious: o.Oblivious})
	default:
	}
	s.addrs[t] = append(s.addrs[t], endpoint(listener.Addr()))
	return nil
}

// tcpListener serves DNS on a listener, unless it is given another service.
func (s *Server) tcpListener(listener net.Listener, t Transport) *tcpListener {
	l := &tcpListener{
		front: s.front, conns: s.conns, listener: listener, loops: &s.loops, transport: t,
		service: streams{},
	}
	s.tcp = append(s.tcp, l)
	return l
}

func (s *Server) httpService(handler http.Handler) *httpService {
	h := newHTTPService(handler)
	s.http = append(s.http, h)
	return h
}

func (s *Server) listenPlain(ctx context.Context, o *Options, addr string) error {
	listener, err := openPlain(ctx, addr)
	if err != nil {
		return listenError(HTTPS, netip.AddrPort{}, err)
	}
	l := s.tcpListener(listener, HTTPS)
	l.plain, l.service = true, s.httpService(&doh{front: s.front, plain: true, proxies: o.PlainProxies, pages: o.Pages, oblivious: o.Oblivious})
	return nil
}

func (s *Server) listenChallenges(ctx context.Context, o *Options, addr netip.AddrPort) error {
	listener, err := openTCP(ctx, addr)
	if err != nil {
		return listenError(HTTPS, addr, err)
	}
	s.tcpListener(listener, HTTPS).service = s.httpService(o.Challenges)
	return nil
}

// listenQUIC opens one socket for each address, for DoQ, HTTP/3 or both.
func (s *Server) listenQUIC(ctx context.Context, o *Options) error {
	for _, addr := range o.HTTP3 {
		both := addr.Port() != 0 && slices.Contains(o.QUIC, addr)
		transports := []Transport{HTTP3}
		if both {
			transports = append(transports, QUIC)
		}
		if err := s.openQUIC(ctx, o, addr, transports...); err != nil {
			return err
		}
	}
	for _, addr := range o.QUIC {
		if addr.Port() != 0 && slices.Contains(o.HTTP3, addr) {
			continue
		}
		if err := s.openQUIC(ctx, o, addr, QUIC); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openQUIC(ctx context.Context, o *Options, addr netip.AddrPort, transports ...Transport) error {
	socket, err := openSocket(ctx, addr)
	if err != nil {
		return listenError(transports[0], addr, err)
	}
	l, err := s.quicListener(socket, o, transports...)
	if err != nil {
		_ = socket.Close()
		return listenError(transports[0], addr, err)
	}
	s.quic = append(s.quic, l)
	for _, t := range transports {
		s.addrs[t] = append(s.addrs[t], endpoint(socket.LocalAddr()))
	}
	return nil
}

// endpoint is the address in a net.Addr of TCP or UDP, as the options have addresses; not valid when there is none.
func endpoint(addr net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := addr.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func hostOf(addr net.Addr) netip.Addr { return endpoint(addr).Addr() }

// family is the network, tcp or udp, in the one version of IP that an address has.
func family(network string, addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return network + "4"
	}
	return network + "6"
}

// Addrs returns the addresses on which the Server listens, in the order of the options.
func (s *Server) Addrs(t Transport) []netip.AddrPort { return s.addrs[t] }

// Counters returns what was counted on a transport since Listen.
func (s *Server) Counters(t Transport) *Counters { return &s.front.counters[t] }

// Serve answers queries until Shutdown is complete. It is called once.
func (s *Server) Serve(r Responder, a Admitter) {
	s.mu.Lock()
	if !s.stopped {
		s.front.responder, s.front.admitter = r, a
		s.start()
	}
	s.mu.Unlock()
	<-s.closed
	s.loops.Wait()
	s.front.resolutions.Wait()
}

func (s *Server) start() {
	for _, u := range s.udp {
		s.loops.Go(u.read)
	}
	for _, l := range s.tcp {
		s.loops.Go(l.accept)
	}
	for _, l := range s.quic {
		s.loops.Go(l.accept)
		s.loops.Go(l.reap)
	}
	for _, h := range s.http {
		go h.run() // ends with its shutdown
	}
}

// drainWithin is how long clients that wait at Shutdown may still get their answers.
const drainWithin = 5 * time.Second

// Shutdown stops reading, lets the clients that wait get their answers for at most 5 s or until ctx is done, and closes
// all sockets. The error is ErrNotDrained when some clients were left without an answer. A second call waits for the first.
func (s *Server) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	if !s.stopReading() {
		<-s.closed
		return nil
	}
	drained := make(chan struct{})
	go func() {
		s.drain(ctx)
		close(drained)
	}()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = ErrNotDrained
	}
	s.front.cancel()
	s.closeAll()
	close(s.closed)
	return err
}

// drain waits for the answers that are on their way. HTTP comes last: its connections are used until they are closed.
func (s *Server) drain(ctx context.Context) {
	for _, l := range s.quic {
		l.drain(ctx)
	}
	s.loops.Wait()
	s.front.resolutions.Wait()
	for _, h := range s.http {
		h.shutdown(ctx)
	}
}

func (s *Server) stopReading() (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.stopped = true
	close(s.front.stopping) // first: who sees its read fail looks here for the reason
	for _, u := range s.udp {
		_ = u.conn.SetReadDeadline(longAgo) // answers still leave through it
	}
	for _, l := range s.tcp {
		_ = l.listener.Close()
	}
	for _, l := range s.quic {
		l.stopReading()
	}
	s.conns.stopReading()
	return true
}

// longAgo is a deadline that has passed on any clock.
var longAgo = time.Unix(1, 0)

func (s *Server) closeAll() {
	for _, u := range s.udp {
		_ = u.conn.Close()
	}
	for _, l := range s.tcp {
		_ = l.listener.Close()
	}
	for _, l := range s.quic {
		l.close()
	}
	for _, h := range s.http {
		_ = h.server.Close()
	}
	s.conns.closeAll()
}

// ErrNotDrained says that a Server was shut down before all clients had their answers.
var ErrNotDrained = errors.New("clients were still waiting")

// A ListenError says which listen address could not be opened, and why. Its text does not name the address.
type ListenError struct {
	Transport Transport
	Addr      netip.AddrPort
	Err       error // a syscall.Errno where the system gave one
}

// listenError keeps of err only what holds no address: net.OpError's text does.
func listenError(t Transport, addr netip.AddrPort, err error) *ListenError {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return &ListenError{t, addr, errno}
	}
	return &ListenError{t, addr, errListen}
}

var errListen = errors.New("no socket for this address")

// systemError is the text that the system has for an error of the network, without the addresses of net.OpError.
func systemError(err error) privacy.Public {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return privacy.Public(errno.Error())
	}
	return "unknown"
}

func (e *ListenError) Error() string {
	return "listen on " + e.Transport.String() + ": " + e.Err.Error()
}

func (e *ListenError) Unwrap() error { return e.Err }

// InUse reports whether somebody else holds the address.
func (e *ListenError) InUse() bool { return errors.Is(e.Err, syscall.EADDRINUSE) }
