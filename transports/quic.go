package transports

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A quicListener accepts QUIC connections on a UDP socket and serves DoQ, HTTP/3 or both, as the client has chosen by ALPN.
type quicListener struct {
	front     *front
	conns     *connections
	loops     *sync.WaitGroup
	socket    net.PacketConn
	transport *quic.Transport
	listener  *quic.Listener
	http      *http3.Server // nil: DoQ only
	doq       bool

	half   atomic.Int64  // handshakes in progress
	came   chan struct{} // a connection has, since reap last looked
	proven proven        // of them those from addresses that are known to be true
	ctx    context.Context
	cancel context.CancelFunc
}

// Limits of QUIC.
const (
	quicIdleWithin   = idleWithinHTTP   // a connection of DoQ ends before, see reap
	maxTokenAge      = 10 * time.Minute // how long a client can be known again by its token (RFC 9000 section 8.1.4)
	maxQUICStreams   = 100
	retryAbove       = 100  // handshakes in progress: beyond that, addresses have to be shown to be true first
	maxHalf          = 1000 // and beyond that nobody is let in
	quicStreamWindow = 64 << 10
	quicConnWindow   = 256 << 10
	quicReadWithin   = 2 * time.Second
	quicGlance       = 100 * time.Microsecond // see take
	doqLinger        = 50 * time.Millisecond
	reapEvery        = time.Second
	quicPacket       = 1200 // what the smallest packet has room for (RFC 9000 section 14.1)
	maxCancelled     = 200  // queries within floodWithin whose clients do not wait for the answer
	http3UniStreams  = 3    // control, and two of QPACK (RFC 9114 section 6.2)
	connectionID     = 8    // octets, drawn by lot: of the library's 4, two connections in some thousands would get the same
)

// quicListener serves DoQ and HTTP/3, or one of the two, on an open socket.
func (s *Server) quicListener(socket net.PacketConn, o *Options, transports ...Transport) (*quicListener, error) {
	l := &quicListener{front: s.front, conns: s.conns, loops: &s.loops, socket: socket, came: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	var protocols []string
	config := &quic.Config{
		HandshakeIdleTimeout:           handshakeWithin / 2, // the whole may take twice that
		MaxIdleTimeout:                 quicIdleWithin,
		InitialStreamReceiveWindow:     quicStreamWindow,
		MaxStreamReceiveWindow:         quicStreamWindow,
		InitialConnectionReceiveWindow: quicConnWindow,
		MaxConnectionReceiveWindow:     quicConnWindow,
		MaxIncomingStreams:             maxQUICStreams,
		MaxIncomingUniStreams:          -1,
		Allow0RTT:                      false, // what is sent early can be sent again by others (RFC 9250 section 4.5)
	}
	for _, t := range transports {
		if t == QUIC {
			protocols, l.doq = append(protocols, alpnDoQ), true
			continue
		}
		protocols, config.MaxIncomingUniStreams = append(protocols, alpnHTTP3), http3UniStreams
		l.http = newHTTP3(&doh{front: s.front, pages: o.Pages, oblivious: o.Oblivious})
	}
	l.transport = &quic.Transport{
		Conn: socket, ConnectionIDLength: connectionID, MaxTokenAge: maxTokenAge, ConnContext: l.meet,
		VerifySourceAddress: func(net.Addr) bool { return l.half.Load() > retryAbove },
	}
	tls := o.tlsConfig(protocols...)
	tls.GetCertificate = l.front.guarded(tls.GetCertificate, transports[0])
	var err error
	l.listener, err = l.transport.Listen(tls, config)
	return l, err
}

func newHTTP3(d *doh) *http3.Server {
	return &http3.Server{
		Handler: d, MaxHeaderBytes: maxHeader, IdleTimeout: idleWithinHTTP,
		ConnContext: func(ctx context.Context, conn *quic.Conn) context.Context {
			return withConnection(ctx, handshakeOf(conn).connection)
		},
	}
}

// A handshake is what is known of a QUIC connection from its first packet on.
type handshake struct {
	connection *connection // set when the handshake is over and the address known to be true
	holder     uint64      // among the proven, 0: not one of them
	over       sync.Once
}

type handshakeKey struct{}

func handshakeOf(conn *quic.Conn) *handshake {
	return conn.Context().Value(handshakeKey{}).(*handshake)
}

var errTooManyHandshakes = errors.New("too many handshakes in progress")

// meet counts a handshake, or refuses it. ctx ends with the connection, and with a handshake that fails.
func (l *quicListener) meet(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	h := &handshake{}
	if client.AddrVerified { // what is not proven is nobody's limit: others would use it up for him
		var ok bool
		if h.holder, ok = l.proven.add(hostOf(client.RemoteAddr), l.front.limits.HandshakesPerAddress); !ok {
			return nil, errTooManyHandshakes
		}
	}
	if l.half.Add(1) > maxHalf {
		l.parted(h)
		return nil, errTooManyHandshakes
	}
	context.AfterFunc(ctx, func() { l.parted(h) })
	return context.WithValue(ctx, handshakeKey{}, h), nil
}

func (l *quicListener) parted(h *handshake) {
	h.over.Do(func() {
		l.half.Add(-1)
		l.proven.remove(h.holder)
	})
}

// Proven counts handshakes in progress by address, under a keyed hash as in connections: without it, one client that proves its
// address and goes no further would take the places of all.
type proven struct {
	mu   sync.Mutex
	seed maphash.Seed
	held map[uint64]int
}

// add counts one more handshake, if there are less than most.
func (p *proven) add(addr netip.Addr, most int) (holder uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.seed, p.held = maphash.MakeSeed(), map[uint64]int{}
	}
	holder = maphash.Comparable(p.seed, network(addr)) | 1 // never 0
	if p.held[holder] >= most {
		return 0, false
	}
	p.held[holder]++
	return holder, true
}

func (p *proven) remove(holder uint64) {
	if holder == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[holder]--; p.held[holder] <= 0 {
		delete(p.held, holder)
	}
}

func (l *quicListener) accept() {
	for {
		conn, err := l.listener.Accept(l.ctx)
		if err != nil {
			return // closed: the library has no other error here
		}
		l.loops.Go(func() { l.welcome(conn) })
	}
}

// welcome serves a connection whose handshake is over.
func (l *quicListener) welcome(conn *quic.Conn) {
	growStack() // as in job.run
	defer wipeStack()
	h := handshakeOf(conn)
	l.parted(h)
	t := QUIC
	if quicProtocol(conn) == alpnHTTP3 {
		t = HTTP3
	}
	defer func() {
		if cause := recover(); cause != nil {
			l.front.panicked(t)
			_ = conn.CloseWithError(doqInternalError, "")
		}
	}()
	c := newConnection(l.front, t, hostOf(conn.RemoteAddr()))
	h.connection = c
	load := quic.ApplicationErrorCode(doqExcessiveLoad)
	if t == HTTP3 {
		load = quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad)
	}
	c.cut = func() { go func() { _ = conn.CloseWithError(load, "") }() } // it waits for the connection's end
	c.halt = func() {}
	l.conns.add(c)
	defer l.conns.remove(c)
	select {
	case l.came <- struct{}{}:
	default:
	}
	defer c.stop()
	defer context.AfterFunc(conn.Context(), c.stop)()
	if t == HTTP3 {
		_ = l.http.ServeQUICConn(conn) // how it ends is the client's business
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		return
	}
	(&doq{front: l.front, connection: c, conn: conn, shared: l.http != nil}).serve(l.ctx)
}

// quicProtocol is as protocol.
//
//go:noinline
func quicProtocol(conn *quic.Conn) string { return conn.ConnectionState().TLS.NegotiatedProtocol }

// stopReading lets no new connection in; on DoQ connections, no new stream either.
func (l *quicListener) stopReading() {
	_ = l.listener.Close()
	l.cancel()
}

// reap ends connections that ask nothing any more, until no more are let in: a client that pings keeps the library from it.
// While there are none, it does not look.
func (l *quicListener) reap() {
	for {
		select {
		case <-l.came:
			l.reapAll()
		case <-l.ctx.Done():
			return
		}
	}
}

// reapAll looks once in a while, until no connection is left.
func (l *quicListener) reapAll() {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for l.front.counters[QUIC].Connections.Load()+l.front.counters[HTTP3].Connections.Load() > 0 {
		select {
		case <-tick.C:
			l.conns.reap(QUIC)
			l.conns.reap(HTTP3)
		case <-l.ctx.Done():
			return
		}
	}
}

// drain lets HTTP/3 requests in progress have their answers until ctx is done, and ends their connections.
func (l *quicListener) drain(ctx context.Context) {
	if l.http == nil {
		return
	}
	told, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { _ = l.http.Shutdown(told) }() // tells clients, takes no more requests, and waits for them: no longer than we do
	l.conns.quiet(ctx, HTTP3)
	_ = l.http.Close()
}

func (l *quicListener) close() {
	l.cancel()
	if l.http != nil {
		_ = l.http.Close()
	}
	_ = l.listener.Close()
	_ = l.transport.Close()
	_ = l.socket.Close()
}

// Error codes of DoQ (RFC 9250 section 4.3).
const (
	doqNoError       = 0
	doqInternalError = 1
	doqProtocolError = 2
	doqExcessiveLoad = 4
)

// A doq is a DoQ connection. The goroutine that accepts its streams answers what it can; the others have one of their own.
type doq struct {
	*connection
	front   *front
	conn    *quic.Conn
	shared  bool           // with HTTP/3: the transport lets clients open streams in one direction
	answers sync.WaitGroup // of streams that are open
	watch   sync.WaitGroup // refuseUnidirectional

	leave     context.CancelFunc // takes no more streams
	mu        sync.Mutex
	cancelled flood
}

// serve answers until the client goes or ctx is done; then the streams that are open still get their answers.
func (d *doq) serve(ctx context.Context) {
	ctx, d.leave = context.WithCancel(ctx)
	defer d.leave()
	if d.shared {
		d.watch.Go(d.refuseUnidirectional)
	}
	for {
		stream, err := d.conn.AcceptStream(ctx)
		if err != nil {
			break
		}
		if d.pending.Add(1) > maxQUICStreams { // those that were cancelled count until their resolutions are over
			d.pending.Add(-1)
			d.refuse(stream, errTooMuch)
			continue
		}
		d.answers.Add(1)
		d.take(stream)
	}
	d.answers.Wait()
	select {
	case <-d.conn.Context().Done():
	case <-time.After(doqLinger): // closing overtakes what is still to be sent
	}
	_ = d.conn.CloseWithError(doqNoError, "")
	d.watch.Wait()
}

// refuseUnidirectional ends the connection of a client that opens a stream in one direction (RFC 9250 section 4.3.3):
// where only DoQ is served, the transport does.
func (d *doq) refuseUnidirectional() {
	if _, err := d.conn.AcceptUniStream(d.conn.Context()); err == nil {
		_ = d.conn.CloseWithError(doqProtocolError, "")
	}
}

// take answers the one query of a stream (RFC 9250 section 4.2). When a stream is accepted, nearly always all of it is here
// already, and its answer known: a goroutine for that, whose stack has to grow first, would cost more than both.
func (d *doq) take(stream *quic.Stream) {
	growStack() // what the collector has taken away
	defer wipeStack()
	defer d.rescue(stream)
	frames := buffers.Get().(*[]byte)
	msg, err := d.readQuery(stream, frames, quicGlance)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		go d.await(stream, frames)
		return
	}
	defer releaseBuffer(frames)
	d.answer(stream, msg, err)
}

// await answers the query of a stream that is still to come, or its rest.
func (d *doq) await(stream *quic.Stream, frames *[]byte) {
	growStack() // as in job.run
	defer wipeStack()
	defer d.rescue(stream)
	defer releaseBuffer(frames)
	msg, err := d.readQuery(stream, frames, quicReadWithin)
	d.answer(stream, msg, err)
}

// rescue ends a stream after a panic.
func (d *doq) rescue(stream *quic.Stream) {
	if cause := recover(); cause != nil {
		d.front.panicked(QUIC)
		stream.CancelWrite(doqInternalError)
		d.over()
	}
}

// over says that a stream is at its end.
func (d *doq) over() {
	d.touch()
	d.pending.Add(-1)
	d.answers.Done()
}

// answer answers a query at once, or leaves it to a job; err is why there is none.
func (d *doq) answer(stream *quic.Stream, msg []byte, err error) {
	if err != nil {
		d.refuse(stream, err)
		d.over()
		return
	}
	v := visits.Get().(*visit)
	defer visits.Put(v)
	defer v.end()
	d.touch()
	l := link{transport: QUIC}
	answer, o := d.front.receive(v, msg, d.client(), l)
	if o == missed {
		if j := d.front.newJob(v, msg, d.client(), l); j != nil {
			j.quic = stream
			j.start(d.ctx, d)
			return
		}
		answer = d.front.turnAway(v, l)
	}
	switch o {
	case dropped:
		d.refuse(stream, errDoQ)
		d.over()
		return
	case turnedAway: // strangers shall not crowd out those who are served
		d.leave()
	case answered, missed, entrusted:
	}
	d.send(stream, answer)
}

var errDoQ = errors.New("not one query in a stream")

// readQuery reads the one message of a stream, or the rest of it, up to the FIN that a client must send.
func (d *doq) readQuery(stream *quic.Stream, buffer *[]byte, within time.Duration) (msg []byte, err error) {
	_ = stream.SetReadDeadline(time.Now().Add(within))
	octets, err := readUpTo(stream, *buffer, frameLength+maxMessage, d.connection)
	*buffer = octets
	switch {
	case errors.Is(err, errTooLong):
		return nil, errDoQ
	case err != nil:
		return nil, err
	}
	msg, ok := unframe(octets)
	if !ok || !mayComeByQUIC(msg) {
		return nil, errDoQ
	}
	return msg, nil
}

// unframe takes the length off the only message of a stream.
func unframe(octets []byte) (msg []byte, ok bool) {
	if len(octets) < frameLength || len(octets) != frameLength+int(octets[0])<<8+int(octets[1]) {
		return nil, false
	}
	return octets[frameLength:], true
}

// mayComeByQUIC reports whether a message keeps to what RFC 9250 asks of it: an ID of zero (section 4.2.1).
func mayComeByQUIC(msg []byte) bool { return len(msg) >= 2 && msg[0] == 0 && msg[1] == 0 }

// refuse ends a stream whose query did not come, and the connection of a client that breaks the protocol (section 4.3.3).
func (d *doq) refuse(stream *quic.Stream, err error) {
	if errors.Is(err, errDoQ) {
		_ = d.conn.CloseWithError(doqProtocolError, "")
		return
	}
	stream.CancelRead(doqExcessiveLoad)
	stream.CancelWrite(doqExcessiveLoad)
}

func (d *doq) deliver(j *job, answer []byte) {
	defer d.over()
	j.frame = appendFrame(j.frame[:0], answer)
	d.write(j.quic, j.frame)
}

// send sends the answer to a query that was just read. The library copies what fits into a packet. What does not has to wait
// for the client, and other streams shall not wait with it.
func (d *doq) send(stream *quic.Stream, answer []byte) {
	frame := buffers.Get().(*[]byte)
	*frame = appendFrame((*frame)[:0], answer)
	if len(*frame) > quicPacket {
		go d.finish(stream, frame)
		return
	}
	defer releaseBuffer(frame)
	d.write(stream, *frame)
	d.over()
}

func (d *doq) finish(stream *quic.Stream, frame *[]byte) {
	defer d.rescue(stream)
	defer releaseBuffer(frame)
	d.write(stream, *frame)
	d.over()
}

// write writes a frame and ends the stream, in one go where the client takes it.
func (d *doq) write(stream *quic.Stream, frame []byte) {
	_ = stream.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, err := stream.Write(frame); err != nil {
		d.front.drop(QUIC, SendFailed)
		stream.CancelWrite(doqExcessiveLoad)
		d.countCancelled()
		return
	}
	_ = stream.Close()
}

// countCancelled ends the connection of a client that asks and does not want to know, over and over.
func (d *doq) countCancelled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancelled.rises(time.Now(), maxCancelled) {
		d.cut()
	}
}

// buffers are for one message each; they are cleared when they are given back.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 1<<10)
	return &b
}}

func releaseBuffer(b *[]byte) {
	if cap(*b) > maxKept {
		clear((*b)[:cap(*b)])
		return
	}
	clear((*b)[:cap(*b)])
	*b = (*b)[:0]
	buffers.Put(b)
}

var _ sender = (*doq)(nil)
