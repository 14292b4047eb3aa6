package transports

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"tacit/internal/wire"
)

// Path is where DNS over HTTPS is served (RFC 8484 section 4.1 lets the server choose; this is everybody's choice).
const Path = "/dns-query"

const messageType = "application/dns-message" // RFC 8484 section 6

// A doh answers requests, whatever version of HTTP they came by.
type doh struct {
	front     *front
	altSvc    string    // tells of HTTP/3 (RFC 7838), empty: nothing
	oblivious Oblivious // nil: no role of Oblivious DoH is played

	plain   bool           // in clear, for reverse proxies, who say who the client is
	proxies []netip.Prefix // where they are; who comes by a Unix socket has no address
	pages   Pages
}

// ServeHTTP answers one request. What the client says of itself in headers is not read, and the answer has no more headers than
// a cache needs (RFC 8484 section 8).
func (d *doh) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	growStack() // as in job.run
	defer wipeStack()
	d.serveRequest(w, r)
}

//go:noinline
func (d *doh) serveRequest(w http.ResponseWriter, r *http.Request) { // below the caller's frame, so that it is wiped
	c := connectionOf(r.Context())
	busy := c.pending.Add(1)
	defer func() {
		c.touch()
		c.pending.Add(-1)
		if recover() != nil { // the libraries would recover, too, and tell nobody
			d.front.panicked(c.transport)
			panic(http.ErrAbortHandler)
		}
	}()
	w.Header()["Date"] = nil
	addr, ok := d.client(r, c)
	if mediaType, body, found := d.pages.find(r.URL.EscapedPath(), r.Method); ok && found {
		show(w, mediaType, body)
		return
	}
	if d.altSvc != "" {
		w.Header()["Alt-Svc"] = []string{d.altSvc}
	}
	if !ok {
		fail(w, http.StatusForbidden)
		return
	}
	ctx := r.Context()
	if c.transport == HTTP3 { // who cancels a request gets nothing for it: its place is taken until the resolution is over
		ctx = c.ctx
	}
	if busy > maxQUICStreams {
		fail(w, http.StatusTooManyRequests)
		return
	}
	body := buffers.Get().(*[]byte)
	defer releaseBuffer(body)
	if s := d.judgeSealed(r.URL.EscapedPath(), r.URL.RawQuery, r.Method, r.Header.Get("Content-Type"), r.ContentLength); s != nil {
		d.serveSealed(ctx, w, r, &sealedVisit{s, c, addr, body})
		return
	}
	q, status := readRequest(w, r, c, body)
	if status != http.StatusOK {
		fail(w, status)
		return
	}
	defer clear(q.message)
	answer := func(msg []byte) { write(w, q.form, msg) }
	if d.front.exchange(ctx, q.message, addr, link{transport: c.transport}, answer) == dropped {
		fail(w, http.StatusBadRequest)
	}
}

// client says where the client is. A proxy appends the address of its own client to what others may have written before.
func (d *doh) client(r *http.Request, c *connection) (netip.Addr, bool) {
	if !d.plain {
		addr := c.client()
		return addr, addr.IsValid()
	}
	if proxy := c.client(); proxy.IsValid() && !contains(d.proxies, proxy) {
		return netip.Addr{}, false
	}
	values := r.Header.Values("X-Forwarded-For")
	if len(values) == 0 {
		return netip.Addr{}, false
	}
	all := values[len(values)-1]
	addr, err := netip.ParseAddr(strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:]))
	return addr.Unmap(), err == nil
}

const allowed = "GET, POST"

func fail(w http.ResponseWriter, status int) {
	if status == http.StatusMethodNotAllowed {
		w.Header()["Allow"] = []string{allowed}
	}
	w.Header()["Content-Length"] = []string{"0"}
	w.WriteHeader(status)
}

// A form is what an answer looks like.
type form interface {
	// render returns the body for an answer and its media type; ok is false when the answer cannot take this form.
	render(answer []byte) (body []byte, mediaType string, ok bool)
}

// A request is a DNS message and the form in which its answer is wanted.
type request struct {
	message []byte
	form    form
}

// Bounds of a request.
const (
	maxGETValue = 2048 // of the parameter dns, before it is decoded
	maxMessage  = 65535
	bodyWithin  = 2 * time.Second
)

// readRequest reads the message of a request, a body into the buffer; status is not 200 when there is none to be answered.
func readRequest(w http.ResponseWriter, r *http.Request, c *connection, body *[]byte) (q request, status int) {
	status = judgeRequest(r.URL.EscapedPath(), r.Method, r.Header.Get("Content-Type"), r.ContentLength)
	switch {
	case status != http.StatusOK:
		return request{}, status
	case r.Method == http.MethodGet:
		return readGET(r.URL.RawQuery)
	}
	if status = readBody(w, r, c, body); status != http.StatusOK {
		return request{}, status
	}
	return readPOST(*body)
}

func readBody(w http.ResponseWriter, r *http.Request, c *connection, body *[]byte) (status int) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
	message, err := readUpTo(r.Body, *body, maxMessage, c)
	*body = message
	if err != nil {
		return statusOf(err)
	}
	return http.StatusOK
}

// statusOf says with which status a body is refused that could not be read.
func statusOf(err error) int {
	switch {
	case errors.Is(err, errTooLong):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errTooMuch):
		return http.StatusTooManyRequests
	}
	return http.StatusBadRequest
}

// maxBodies bounds what has come of the incomplete queries of one connection, in octets.
const maxBodies = 256 << 10

var (
	errTooLong = errors.New("longer than a message can be")
	errTooMuch = errors.New("too much on one connection")
)

// readUpTo appends to dst until the end of r. While it waits, what has come counts for the connection, what came before too.
func readUpTo(r io.Reader, dst []byte, most int, c *connection) ([]byte, error) {
	c.bodies.Add(int64(len(dst)))
	defer func() { c.bodies.Add(-int64(len(dst))) }()
	for {
		dst = withRoom(dst, 1)
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch held := c.bodies.Add(int64(n)); {
		case len(dst) > most:
			return dst, errTooLong
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		case held > maxBodies:
			return dst, errTooMuch
		}
	}
}

// withRoom makes room for n more octets, and leaves no copy behind of those that are there.
func withRoom(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	larger := append(make([]byte, 0, max(len(b)+n, 2*cap(b))), b...)
	clear(b)
	return larger
}

// judgeRequest judges what stands above the body of a request; length is negative when it is not known.
func judgeRequest(path, method, mediaType string, length int64) (status int) {
	switch {
	case path != Path:
		return http.StatusNotFound
	case method == http.MethodGet:
		return http.StatusOK
	case method != http.MethodPost:
		return http.StatusMethodNotAllowed
	case !strings.EqualFold(mediaType, messageType):
		return http.StatusUnsupportedMediaType
	case length > maxMessage:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusOK
}

func readPOST(message []byte) (request, int) {
	if len(message) < wire.HeaderLength {
		return request{}, http.StatusBadRequest
	}
	return request{message, messageForm{}}, http.StatusOK
}

func readGET(query string) (request, int) {
	if value, ok := strings.CutPrefix(query, "dns="); ok && !strings.ContainsAny(value, "&%+;") {
		return readMessage(value)
	}
	values, err := url.ParseQuery(query)
	switch encoded := values["dns"]; {
	case err != nil || len(encoded) > 1:
		return request{}, http.StatusBadRequest
	case len(encoded) == 1:
		return readMessage(encoded[0])
	case !values.Has("name"):
		return request{}, http.StatusBadRequest
	}
	message, err := readJSON(values)
	if err != nil {
		return request{}, http.StatusBadRequest
	}
	return request{message, jsonForm{}}, http.StatusOK
}

func readMessage(encoded string) (request, int) {
	message, err := decodeGET(encoded)
	if err != nil {
		return request{}, http.StatusBadRequest
	}
	return request{message, messageForm{}}, http.StatusOK
}

var errGETValue = errors.New("dns is no message in base64url")

// decodeGET decodes the parameter dns: base64url without padding (RFC 8484 section 6); padding is forgiven.
func decodeGET(value string) ([]byte, error) {
	if len(value) > maxGETValue {
		return nil, errGETValue
	}
	message, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil || len(message) < wire.HeaderLength {
		return nil, errGETValue
	}
	return message, nil
}

// A messageForm is an answer as a DNS message.
type messageForm struct{}

func (messageForm) render(answer []byte) ([]byte, string, bool) { return answer, messageType, true }

// write writes an answer and how long a cache may keep it (RFC 8484 section 5.1). An error is the client's loss: it is gone.
func write(w http.ResponseWriter, f form, answer []byte) {
	body, mediaType, ok := f.render(answer)
	if !ok {
		fail(w, http.StatusInternalServerError)
		return
	}
	writeBody(w, body, mediaType, freshness(f, answer))
}

func writeBody(w http.ResponseWriter, body []byte, mediaType, cache string) {
	h, values := w.Header(), [3]string{mediaType, strconv.Itoa(len(body)), cache} // one allocation
	h["Content-Type"], h["Content-Length"], h["Cache-Control"] = values[0:1:1], values[1:2:2], values[2:3:3]
	_, _ = w.Write(body) //nolint:gosec,nolintlint // of a media type that no browser shows; whether gosec sees it depends on the tests
}

// freshness is what caches are told of an answer in its form.
func freshness(f form, answer []byte) string {
	if _, sealed := f.(*sealedForm); sealed {
		return noStore
	}
	return cacheControl(answer)
}

const maxAge = "max-age="

func cacheControl(answer []byte) string {
	return maxAge + strconv.FormatUint(uint64(wire.Freshness(answer)), 10)
}

// Limits of HTTP. Time-outs are those of a connection where it has one.
const (
	maxHeader       = 8 << 10
	headerWithin    = 3 * time.Second
	responseWithin  = answerWithin + writeWithin + bodyWithin
	httpDrainWithin = time.Second
)

// An httpService speaks HTTP over connections that are greeted: HTTP/2 itself, and HTTP/1.1 by net/http.
type httpService struct {
	doh    *doh // nil: no DNS, and no HTTP/2
	server *http.Server
	queue  *greeted
}

func newHTTPService(handler http.Handler) *httpService {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	d, _ := handler.(*doh)
	return &httpService{
		doh:   d,
		queue: &greeted{waiting: make(chan net.Conn), closed: make(chan struct{})},
		server: &http.Server{
			Handler:           handler,
			Protocols:         protocols,
			ReadHeaderTimeout: headerWithin,
			WriteTimeout:      responseWithin,
			IdleTimeout:       idleWithinHTTP,
			MaxHeaderBytes:    maxHeader,
			ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
				return withConnection(ctx, socketOf(conn).connection)
			},
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // its lines have requests in them
		},
	}
}

// run speaks HTTP until the service is shut down.
func (h *httpService) run() { _ = h.server.Serve(h.queue) } // its end is no news: shutdown wants it

func (h *httpService) serve(s *socket, conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		switch protocol(t) {
		case alpnHTTP2:
			newHTTP2Conn(h.doh, s.listener.conns, s.connection, conn).serve()
			closeTLS(s, conn)
			return
		case "", alpnHTTP1: // a client that names nothing speaks HTTP/1.1
		default:
			_ = s.Close() // an ACME authority has seen in the handshake what it wanted to see
			return
		}
	}
	s.listener.conns.entrust(s.connection)
	select {
	case h.queue.waiting <- conn:
	case <-h.queue.closed:
		_ = s.Close()
	}
}

// protocol is what the client has chosen by ALPN. It is no part of its caller, whose stack the large state would lie on for
// as long as the connection is open.
//
//go:noinline
func protocol(conn *tls.Conn) string { return conn.ConnectionState().NegotiatedProtocol }

// shutdown lets requests in progress have their answers for a moment, and closes all connections.
func (h *httpService) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, httpDrainWithin)
	defer cancel()
	_ = h.server.Shutdown(ctx)
	_ = h.server.Close()
}

// greeted is the listener from which net/http takes connections whose handshake is over.
type greeted struct {
	waiting chan net.Conn
	closed  chan struct{}
	closing sync.Once
}

func (g *greeted) Accept() (net.Conn, error) {
	select {
	case conn := <-g.waiting:
		return conn, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

func (g *greeted) Close() error {
	g.closing.Do(func() { close(g.closed) })
	return nil
}

func (g *greeted) Addr() net.Addr { return nowhere{} }

// socketOf finds the socket below TLS.
func socketOf(conn net.Conn) *socket {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return conn.(*socket)
}

type connectionKey struct{}

func withConnection(ctx context.Context, c *connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

func connectionOf(ctx context.Context) *connection {
	return ctx.Value(connectionKey{}).(*connection)
}

var _ service = (*httpService)(nil)

// altSvc says where HTTP/3 is, for a day (RFC 7838 section 3).
func altSvc(port uint16) string {
	if port == 0 {
		return ""
	}
	return `h3=":` + strconv.Itoa(int(port)) + `"; ma=86400`
}
