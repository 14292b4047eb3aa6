package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tacit/internal/odoh"
	"tacit/internal/wire"
)

// An httpsConnection carries queries as requests of HTTP/2, each on a stream of its own (RFC 8484). net/http multiplexes;
// who is connected to, when, and for how long is decided here.
type httpsConnection struct {
	life
	conn   *http.ClientConn
	target *url.URL
}

var _ session = (*httpsConnection)(nil)

const (
	mediaType = "application/dns-message"
	// maxHeader is how many octets of headers are read of a response.
	maxHeader = 8 << 10
	httpsPort = 443
)

var (
	errStatus   = &Error{Outcome: Refused, Err: errors.New("status of HTTP other than 200")}
	errResponse = &Error{Outcome: Malformed, Err: errors.New("not a DNS message in a response of HTTP")}
)

func (p *pool) dialHTTPS(ctx context.Context, server Server) (session, error) {
	h, err := p.connectHTTPS(ctx, server)
	if err != nil {
		return nil, err
	}
	h.serve(p, server)
	return h, nil
}

// connectHTTPS connects to a server. Nobody is told yet of the connection's end.
func (p *pool) connectHTTPS(ctx context.Context, server Server) (*httpsConnection, error) {
	secured, err := p.handshake(ctx, server, "h2")
	if err != nil {
		return nil, err
	}
	if secured.ConnectionState().NegotiatedProtocol != "h2" {
		_ = secured.Close()
		return nil, errHandshake
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	transport := &http.Transport{ // of this one connection: it can reach nothing else, and no proxy
		DialTLSContext:     func(context.Context, string, string) (net.Conn, error) { return secured, nil },
		Protocols:          &protocols,
		DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: maxReply + 1, MaxReceiveBufferPerConnection: 16 * (maxReply + 1),
			WriteByteTimeout: streamTimeout,
		},
	}
	conn, err := transport.NewClientConn(ctx, "https", server.Addr.String())
	if err != nil {
		_ = secured.Close()
		return nil, handshakeFailure(err)
	}
	return &httpsConnection{conn: conn, target: targetOf(server)}, nil
}

// serve begins the session's life, as one to the server.
func (h *httpsConnection) serve(p *pool, server Server) {
	h.begin(p, server, nil)
	h.conn.SetStateHook(func(c *http.ClientConn) {
		if c.Err() != nil {
			h.die()
		}
	})
}

// targetOf is the URL of a server. Its host says nothing that the configuration does not.
func targetOf(s Server) *url.URL {
	host := hostOf(s)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := s.Addr.Port(); port != httpsPort {
		host += ":" + strconv.Itoa(int(port))
	}
	return &url.URL{Scheme: "https", Host: host, Path: s.Peer.identity().path}
}

func (h *httpsConnection) localAddr() netip.Addr { return netip.Addr{} }

func (h *httpsConnection) ask(ctx context.Context, build func() query) (query, []byte, time.Duration, error) {
	return h.askBy(ctx, build, h.post)
}

// post sends a query, and returns a reply that fits it.
func (h *httpsConnection) post(ctx context.Context, q *query) ([]byte, error) {
	r, err := h.send(ctx, h.target, mediaType, q.msg)
	switch {
	case err != nil:
		return nil, err
	case r.status != http.StatusOK:
		return nil, errStatus
	case len(r.body) > maxReply || !q.fits(r.body):
		return nil, errResponse
	}
	return aged(r.body, r.age), nil
}

// A response is what of one is looked at. It has a body if the status is 200 and the body of the type that was sent.
type response struct {
	status int
	body   []byte
	age    string
}

// maxBody is the longest body there is: a reply, perhaps sealed.
const maxBody = maxReply + odoh.Overhead

// send posts a body with the headers that it cannot go without (RFC 8484 section 4.1): any other would tell installations of tacit
// apart.
func (h *httpsConnection) send(ctx context.Context, to *url.URL, kind string, body []byte) (response, error) {
	request := (&http.Request{
		Method: http.MethodPost, URL: to, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		Header: http.Header{"Content-Type": {kind}, "Accept": {kind}, "User-Agent": {""}},
	}).WithContext(ctx)
	said, err := h.conn.RoundTrip(request)
	if err != nil {
		return response{}, h.broken()
	}
	defer func() { _ = said.Body.Close() }()
	h.heard()
	r := response{status: said.StatusCode, age: said.Header.Get("Age")}
	if r.status != http.StatusOK {
		return r, nil
	}
	if t, _, err := mime.ParseMediaType(said.Header.Get("Content-Type")); err != nil || t != kind {
		return response{}, errResponse
	}
	if r.body, err = io.ReadAll(io.LimitReader(said.Body, maxBody+1)); err != nil {
		return response{}, h.broken()
	}
	if len(r.body) > maxBody {
		return response{}, errResponse
	}
	return r, nil
}

// broken tells a request that was refused from a connection that has ended or takes no more. The errors of net/http do
// not: they are texts.
func (h *httpsConnection) broken() error {
	if h.conn.Err() != nil || h.conn.Available() == 0 {
		h.die()
		return errDied
	}
	return &Error{Outcome: Refused}
}

// aged takes off TTLs what a cache of HTTP on the way says that it has kept the response for (RFC 8484 section 5.1).
func aged(message []byte, age string) []byte {
	seconds, err := strconv.ParseUint(age, 10, 32)
	if err != nil {
		return message
	}
	if offsets, ok := wire.TTLOffsets(nil, message); ok {
		wire.CountDown(message, offsets, uint32(seconds))
	}
	return message
}

func (h *httpsConnection) run() {
	<-h.died
	_ = h.conn.Close()
	h.pool.drop(h.server, h)
}
