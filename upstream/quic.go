package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// A quicConnection carries queries each on a stream of its own (RFC 9250 section 4.2).
type quicConnection struct {
	life
	conn   *quic.Conn
	socket net.Conn
	code   atomic.Uint64 // with which it is closed
}

var _ session = (*quicConnection)(nil)

// Error codes of DNS over QUIC (RFC 9250 section 4.3).
const (
	doqNoError          = 0x0
	doqProtocolError    = 0x2
	doqRequestCancelled = 0x3
)

// quicConfig lets a server begin nothing and sends nothing but queries. Neither tokens nor tickets are kept, so 0-RTT is not
// to be had (RFC 9250 section 5.5.3).
var quicConfig = &quic.Config{
	Versions:             []quic.Version{quic.Version1},
	HandshakeIdleTimeout: streamTimeout, MaxIdleTimeout: 2 * idleFor,
	MaxIncomingStreams: -1, MaxIncomingUniStreams: -1,
	InitialStreamReceiveWindow: 2 + maxReply, MaxStreamReceiveWindow: 2 + maxReply,
	InitialConnectionReceiveWindow: 4 * maxReply, MaxConnectionReceiveWindow: 16 * maxReply,
}

// dialQUIC uses a socket that is connected: a port on which nobody listens shows at once, and strangers are not heard.
func (p *pool) dialQUIC(ctx context.Context, server Server) (session, error) {
	socket, err := p.network.DialContext(ctx, "udp", server.Addr.String())
	if err != nil {
		return nil, err
	}
	conn, err := quic.Dial(ctx, datagrams{socket}, net.UDPAddrFromAddrPort(server.Addr), p.tlsConfig(server, "doq"), quicConfig)
	if err != nil {
		_ = socket.Close()
		return nil, handshakeFailure(err)
	}
	c := &quicConnection{conn: conn, socket: socket}
	c.begin(p, server, nil)
	return c, nil
}

func (c *quicConnection) localAddr() netip.Addr { return netip.Addr{} }

func (c *quicConnection) ask(ctx context.Context, build func() query) (query, []byte, time.Duration, error) {
	return c.askBy(ctx, build, c.converse)
}

// converse sends one query and the end of the stream, and reads one reply and the end.
func (c *quicConnection) converse(ctx context.Context, q *query) ([]byte, error) {
	stream, err := c.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, c.broken(err)
	}
	defer context.AfterFunc(ctx, func() { // RFC 9250 section 4.3.1
		stream.CancelRead(doqRequestCancelled)
		stream.CancelWrite(doqRequestCancelled)
	})()
	if _, err := stream.Write(framed(q.msg)); err != nil {
		return nil, c.broken(err)
	}
	if err := stream.Close(); err != nil {
		return nil, c.broken(err)
	}
	reply, err := readOnly(stream)
	switch {
	case err == nil && q.fits(reply):
		c.heard()
		return reply, nil
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, c.violated()
	default:
		return nil, c.broken(err)
	}
}

// readOnly reads the one message that a stream has. The end anywhere but behind it is unexpected, and so is more.
func readOnly(r io.Reader) ([]byte, error) {
	message, err := readMessage(r)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch _, err := io.ReadFull(r, make([]byte, 1)); {
	case err == nil:
		return nil, io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
		return message, nil
	default:
		return nil, err
	}
}

// violated ends a connection whose server breaks the rules (RFC 9250 section 4.3.3): a stream without a message or with
// two, a message with an ID, or one to a question that was not asked.
func (c *quicConnection) violated() error {
	c.code.Store(doqProtocolError)
	c.die()
	return &Error{Outcome: Malformed}
}

// broken tells a query that was refused, by the end of its stream or of the connection with an error, from a connection
// that has just ended.
func (c *quicConnection) broken(err error) error {
	var (
		reset *quic.StreamError
		told  *quic.ApplicationError
	)
	switch {
	case errors.As(err, &reset):
		return &Error{Outcome: Refused}
	case errors.As(err, &told) && told.ErrorCode != doqNoError:
		c.die()
		return &Error{Outcome: Refused}
	}
	c.die()
	return errDied
}

func (c *quicConnection) run() {
	select {
	case <-c.died:
	case <-c.conn.Context().Done():
		c.die()
	}
	_ = c.conn.CloseWithError(quic.ApplicationErrorCode(c.code.Load()), "")
	_ = c.socket.Close()
	c.pool.drop(c.server, c)
}

// datagrams is a connected socket in the form that QUIC takes.
type datagrams struct{ net.Conn }

// ReadFrom reads what the peer has sent.
func (d datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := d.Read(b)
	return n, d.RemoteAddr(), err
}

// WriteTo writes to the peer.
func (d datagrams) WriteTo(b []byte, _ net.Addr) (int, error) { return d.Write(b) }

// SetReadBuffer leaves the buffer as the system gives it: answers are short, and what asks for megabytes complains in the
// log when it does not get them.
func (datagrams) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does the same.
func (datagrams) SetWriteBuffer(int) error { return nil }
