//go:build abuse && linux

package transports

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An abuseClient asks one question on a new connection, from its own address on the loopback interface, and closes it.
type abuseClient struct {
	server *abuseServer
	from   netip.Addr
	curves []tls.CurveID
	sockets
}

// sockets is the client's end of QUIC, opened when it is needed.
type sockets struct {
	once      sync.Once
	transport *quic.Transport
	err       error
}

// client makes a client at an address of 127.0.0.0/8.
func (a *abuseServer) client(t *testing.T, from string) *abuseClient {
	c := &abuseClient{server: a, from: netip.MustParseAddr(from)}
	t.Cleanup(c.close)
	return c
}

func (c *abuseClient) close() {
	if c.transport != nil {
		_ = c.transport.Close()
		_ = c.transport.Conn.Close()
	}
}

// An abuseWay is a transport, and the version of HTTP where there are two.
type abuseWay struct {
	transport Transport
	http1     bool
}

func (w abuseWay) String() string {
	switch {
	case w.transport == HTTPS && w.http1:
		return "https (HTTP/1.1)"
	case w.transport == HTTPS:
		return "https (HTTP/2)"
	}
	return w.transport.String()
}

var abuseWays = []abuseWay{{transport: TCP}, {transport: TLS}, {HTTPS, true}, {transport: HTTPS}, {transport: HTTP3}, {transport: QUIC}}

// quickCurves are for handshakes that are many: it is not their cryptography that is on trial.
var quickCurves = []tls.CurveID{tls.X25519}

const (
	abuseAnswerWithin = 2 * time.Second
	abuseGiveUp       = 6 * time.Second
)

// ask connects, asks, and closes; it says how long that took.
func (c *abuseClient) ask(w abuseWay) (time.Duration, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), abuseGiveUp)
	defer cancel()
	packet, err := c.exchange(ctx, w)
	took := time.Since(begin)
	if err != nil {
		return took, fmt.Errorf("%v after %v: %w", w, took.Round(time.Millisecond), err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil || len(m.Answer) != 1 {
		return took, fmt.Errorf("%v: no answer in %v: %w", w, m, err)
	}
	return took, nil
}

func (c *abuseClient) exchange(ctx context.Context, w abuseWay) ([]byte, error) {
	query := ask(0, "a.example.")
	switch w.transport {
	case QUIC:
		return c.byQUIC(ctx, c.server.Addrs[QUIC], query)
	case HTTP3:
		return c.byHTTP3(ctx, query)
	default:
	}
	conn, err := c.dial(ctx, w)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	switch {
	case w.transport != HTTPS:
		if _, err := conn.Write(framed(query)); err != nil {
			return nil, err
		}
		return receiveFrame(conn)
	case w.http1:
		return abuseHTTP1(conn, query)
	default:
		h, err := newAbuseHTTP2(conn)
		if err != nil {
			return nil, err
		}
		return h.exchange(query)
	}
}

// dial connects, and greets with TLS where that is spoken.
func (c *abuseClient) dial(ctx context.Context, w abuseWay) (net.Conn, error) {
	conn, err := c.dialTCP(ctx, w.transport)
	if err != nil || w.transport == TCP {
		return conn, err
	}
	protocol := alpnDoT
	switch {
	case w.http1:
		protocol = alpnHTTP1
	case w.transport == HTTPS:
		protocol = alpnHTTP2
	}
	encrypted := tls.Client(conn, c.tls(protocol))
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return encrypted, nil
}

func (c *abuseClient) dialTCP(ctx context.Context, t Transport) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0)), KeepAlive: -1}
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, "tcp4", c.server.Addrs[t].String())
}

func (c *abuseClient) tls(protocol string) *tls.Config {
	config := abuseTLS(c.server.trusted, protocol)
	config.CurvePreferences = c.curves
	return config
}

func abuseHTTP1(conn net.Conn, query []byte) ([]byte, error) {
	r, err := http.NewRequest(http.MethodPost, "https://"+abuseName+Path, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", messageType)
	r.Close = true
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(conn)
	_, body, found := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !found {
		return nil, errors.Join(errors.New("no answer"), err)
	}
	return body, nil
}

// dialQUIC connects with one protocol, from the client's one socket.
func (c *abuseClient) dialQUIC(ctx context.Context, to netip.AddrPort, protocol string) (*quic.Conn, error) {
	c.once.Do(func() {
		socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0)))
		if err != nil {
			c.err = err
			return
		}
		c.transport = &quic.Transport{Conn: socket, ConnectionIDLength: connectionID}
	})
	if c.err != nil {
		return nil, c.err
	}
	return c.transport.Dial(ctx, net.UDPAddrFromAddrPort(to), c.tls(protocol), &quic.Config{MaxIncomingUniStreams: http3UniStreams})
}

func (c *abuseClient) byQUIC(ctx context.Context, to netip.AddrPort, query []byte) ([]byte, error) {
	conn, err := c.dialQUIC(ctx, to, alpnDoQ)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseWithError(doqNoError, "") }()
	return abuseStream(ctx, conn, query)
}

// abuseStream asks on a stream of its own.
func abuseStream(ctx context.Context, conn *quic.Conn, query []byte) ([]byte, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = stream.SetDeadline(deadline)
	if _, err := stream.Write(framed(query)); err != nil {
		return nil, err
	}
	_ = stream.Close()
	octets, err := io.ReadAll(stream)
	if err != nil {
		return nil, err
	}
	msg, ok := unframe(octets)
	if !ok {
		return nil, errors.New("not one answer in the stream")
	}
	return msg, nil
}

func (c *abuseClient) byHTTP3(ctx context.Context, query []byte) ([]byte, error) {
	conn, err := c.dialQUIC(ctx, c.server.Addrs[HTTP3], alpnHTTP3)
	if err != nil {
		return nil, err
	}
	transport := &http3.Transport{}
	defer func() { _ = transport.Close() }()
	h := transport.NewClientConn(conn)
	defer func() { _ = h.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") }()
	target := "https://" + abuseName + Path + "?dns=" + base64.RawURLEncoding.EncodeToString(query)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	answer, err := h.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	return io.ReadAll(answer.Body)
}

// An abuseHTTP2 speaks HTTP/2 frame by frame.
type abuseHTTP2 struct {
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// newAbuseHTTP2 sends the preface on a connection that is greeted (RFC 9113 section 3.4).
func newAbuseHTTP2(conn net.Conn) (*abuseHTTP2, error) {
	h := &abuseHTTP2{Conn: conn, Framer: http2.NewFramer(conn, conn)}
	h.encoder = hpack.NewEncoder(&h.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	return h, h.WriteSettings()
}

// headers is the header block of a GET, with more fields behind.
func (h *abuseHTTP2) headers(query []byte, more ...hpack.HeaderField) []byte {
	h.block.Reset()
	path := Path + "?dns=" + base64.RawURLEncoding.EncodeToString(query)
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: abuseName}, {Name: ":path", Value: path},
	}
	for _, f := range append(fields, more...) {
		_ = h.encoder.WriteField(f) // into memory
	}
	return h.block.Bytes()
}

// get asks on a stream, and leaves it to others to read the answer.
func (h *abuseHTTP2) get(stream uint32, query []byte) error {
	return h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.headers(query), EndStream: true, EndHeaders: true})
}

// exchange asks on the first stream and reads its answer.
func (h *abuseHTTP2) exchange(query []byte) ([]byte, error) {
	if err := h.get(1, query); err != nil {
		return nil, err
	}
	var body []byte
	for {
		frame, err := h.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			if body = append(body, f.Data()...); f.StreamEnded() {
				return body, nil
			}
		case *http2.GoAwayFrame:
			return nil, fmt.Errorf("sent away: %v", f.ErrCode)
		case *http2.RSTStreamFrame:
			return nil, fmt.Errorf("reset: %v", f.ErrCode)
		}
	}
}

// An abuseWatch asks by each way in turn, on new connections, for as long as others are abusive.
type abuseWatch struct {
	stop   chan struct{}
	done   sync.WaitGroup
	asked  int
	worst  time.Duration
	by     abuseWay
	failed []error
}

// watch begins to ask. The result says by what it was slowest.
func (a *abuseServer) watch(t *testing.T, ways ...abuseWay) *abuseWatch {
	w := &abuseWatch{stop: make(chan struct{})}
	c := a.client(t, "127.0.0.2")
	w.done.Go(func() {
		for i := 0; ; i++ {
			by := ways[i%len(ways)]
			took, err := c.ask(by)
			if w.asked++; err != nil {
				w.failed = append(w.failed, err)
			}
			if took > w.worst {
				w.worst, w.by = took, by
			}
			select {
			case <-w.stop:
				if i+1 >= len(ways) { // each of them once
					return
				}
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return w
}

// end stops asking and complains of what was slow.
func (w *abuseWatch) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	w.done.Wait()
	t.Logf("new clients meanwhile: %d answered, %d not, the slowest in %v by %v", w.asked-len(w.failed), len(w.failed), w.worst.Round(time.Millisecond), w.by)
	for _, err := range w.failed[:min(3, len(w.failed))] {
		t.Error("a new client: ", err)
	}
	if w.worst > abuseAnswerWithin {
		t.Errorf("a new client waited for %v", w.worst)
	}
}
