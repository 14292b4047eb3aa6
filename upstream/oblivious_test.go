package upstream

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/odoh"
	"tacit/internal/work"
)

const (
	targetName = "target.example"
	proxyName  = "proxy.example"
)

// A relayLine is a client, a target, and a proxy between them.
type relayLine struct {
	*line
	target, proxy *resolverStub
	keys          atomic.Pointer[odoh.Keys]
	opened        atomic.Pointer[[]byte] // the last query, as the target reads it
	fetched       atomic.Int32           // how often the target was asked for its key
}

// A twist is what a test has go wrong.
type twist struct {
	configs, target, proxy http.HandlerFunc // in place of what they should do
	shown                  string           // the name in the proxy's certificate
}

func onRelayLine(t *testing.T, w twist) *relayLine {
	t.Helper()
	ca := newAuthority(t)
	issue := func(name string) tls.Certificate {
		return ca.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{name} })
	}
	if w.shown == "" {
		w.shown = proxyName
	}
	x := &relayLine{target: &resolverStub{transport: HTTPS, certificate: issue(targetName)}, proxy: &resolverStub{transport: HTTPS, certificate: issue(w.shown)}}
	x.turn(t)
	x.target.handle = func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			x.fetched.Add(1)
			x.serveConfigs(rw, r, w.configs)
		case w.target != nil:
			w.target(rw, r)
		default:
			x.serveQuery(rw, r)
		}
	}
	x.target.start(t)
	onward := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.roots, ServerName: targetName}, ForceAttemptHTTP2: true}}
	t.Cleanup(onward.CloseIdleConnections)
	x.proxy.handle = func(rw http.ResponseWriter, r *http.Request) {
		x.proxy.witness(func(seen *witness) { seen.requests = append(seen.requests, r.URL.RequestURI()) })
		if w.proxy != nil {
			w.proxy(rw, r)
			return
		}
		response, err := onward.Post("https://"+x.target.addr.String()+r.URL.Query().Get("targetpath"), odoh.MediaType, r.Body)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		rw.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		rw.WriteHeader(response.StatusCode)
		_, _ = io.Copy(rw, response.Body)
	}
	x.proxy.start(t)
	proxy := Server{Addr: x.proxy.addr, Transport: HTTPS, Peer: NewPeer(Identity{Name: proxyName, Roots: ca.roots, Path: "/proxy"})}
	memory := NewMemory(MemoryOptions{})
	x.line = &line{
		T: t, stub: &resolverStub{transport: Oblivious}, client: New(Options{Memory: memory}), memory: memory, budget: work.New(work.DefaultLimits),
		server: Server{
			Addr: x.target.addr, Recursive: true, Transport: Oblivious,
			Peer: NewPeer(Identity{Name: targetName, Roots: ca.roots, Path: "/dns-query", Proxy: proxy}),
		},
	}
	t.Cleanup(func() { _ = x.client.Close() })
	return x
}

// turn gives the target new keys.
func (x *relayLine) turn(t *testing.T) {
	t.Helper()
	keys, err := odoh.NewKeys(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	x.keys.Store(keys)
}

func (x *relayLine) serveConfigs(w http.ResponseWriter, r *http.Request, instead http.HandlerFunc) {
	if instead != nil {
		instead(w, r)
		return
	}
	configs, _, err := x.keys.Load().Configs(time.Now())
	if err == nil && r.URL.Path == odoh.ConfigsPath {
		_, _ = w.Write(configs)
	}
}

func (x *relayLine) serveQuery(w http.ResponseWriter, r *http.Request) {
	sealed, _ := io.ReadAll(r.Body)
	query, a, err := x.keys.Load().Open(time.Now(), sealed)
	if err != nil {
		w.WriteHeader(map[bool]int{true: 401, false: 400}[errors.Is(err, odoh.ErrKey)])
		return
	}
	x.opened.Store(&query)
	response, err := a.Seal(answerTo(query), 468)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", odoh.MediaType)
	_, _ = w.Write(response)
}

// Reference row D11, as a client: the target reads the question and sees the proxy; the proxy sees us and nothing of the question.
func TestObliviousRoundTrip(t *testing.T) {
	x := onRelayLine(t, twist{})
	for range 3 {
		x.mustAsk()
	}
	m := new(dns.Msg)
	query := *x.opened.Load()
	if err := m.Unpack(query); err != nil {
		t.Fatal(err)
	}
	opt := m.IsEdns0()
	if m.Id != 0 || len(query)%paddingBlock != 0 || m.Question[0].Name != "www.shop.example." || opt == nil || len(opt.Option) != 1 ||
		opt.Option[0].Option() != dns.EDNS0PADDING {
		t.Errorf("the target reads %v", m)
	}
	seen := x.proxy.seen()
	for _, text := range append(seen.requests, flatten(seen)) {
		for _, hidden := range []string{"www", "shop"} {
			if strings.Contains(strings.ToLower(text), hidden) {
				t.Errorf("the proxy reads %s in %q", hidden, text)
			}
		}
	}
	want := "/proxy?targethost=" + targetName + "%3A" + x.port() + "&targetpath=%2Fdns-query"
	if !slices.Contains(seen.requests, want) || len(seen.queries) != 3 || len(seen.queries[0]) != len(seen.queries[1]) {
		t.Errorf("the proxy was asked %q", seen.requests)
	}
	for header := range seen.headers[0] {
		if !slices.Contains([]string{"Content-Type", "Accept", "Content-Length"}, header) {
			t.Errorf("sent %s", header)
		}
	}
	if seen.headers[0].Get("Content-Type") != odoh.MediaType || !slices.Equal(seen.names, []string{proxyName}) {
		t.Errorf("headers %v, SNI %v", seen.headers[0], seen.names)
	}
	if n := x.fetched.Load(); n != 1 {
		t.Errorf("the key was asked for %d times", n)
	}
}

func (x *relayLine) port() string {
	_, port, _ := strings.Cut(x.target.addr.String(), ":")
	return port
}

// flatten is all that a witness has seen of bodies and headers.
func flatten(w witness) string {
	var all strings.Builder
	for i, h := range w.headers {
		_ = h.Write(&all)
		_, _ = all.Write(w.queries[i])
	}
	return all.String()
}

// The key is had from the target itself, but seldom: neither a new connection nor a new question is a reason.
func TestTargetKeyIsKept(t *testing.T) {
	x := onRelayLine(t, twist{})
	x.mustAsk()
	x.proxy.hangUp()
	x.mustAsk()
	if n := x.fetched.Load(); n != 1 {
		t.Errorf("the key was asked for %d times", n)
	}
	if n := x.proxy.connections.Load(); n != 2 {
		t.Errorf("%d connections to the proxy", n)
	}
}

// RFC 9230 section 4.3: a target that does not have the key any more says 401, and then has another.
func TestTargetTurnsItsKey(t *testing.T) {
	x := onRelayLine(t, twist{})
	x.mustAsk()
	x.turn(t)
	x.mustAsk()
	if n := x.fetched.Load(); n != 2 {
		t.Errorf("the key was asked for %d times", n)
	}
}

func TestObliviousFailures(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(kind string, octets []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(octets)
		}
	}
	for _, c := range []struct {
		name    string
		twist   twist
		want    Outcome
		reached bool // the proxy was asked
	}{
		{"the target has no configurations", twist{configs: status(404)}, Refused, false},
		{"none that is understood", twist{configs: body("", []byte{0, 4, 0, 9, 0, 0})}, Malformed, false},
		{"the proxy is somebody else", twist{shown: "other.example"}, Unauthenticated, false},
		{"the proxy cannot reach the target", twist{proxy: status(502)}, Refused, true},
		{"the proxy answers in clear", twist{proxy: body(mediaType, make([]byte, 100))}, Malformed, true},
		{"the proxy makes up a response", twist{proxy: body(odoh.MediaType, make([]byte, 600))}, Malformed, true},
		{"the proxy sends too much", twist{proxy: body(odoh.MediaType, make([]byte, maxBody+1))}, Malformed, true},
		{"the target never knows its key", twist{target: status(401)}, Refused, true},
		{"the target finds fault with the query", twist{target: status(400)}, Refused, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := onRelayLine(t, c.twist)
			x.wantOutcome(c.want)
			if got := len(x.proxy.seen().queries) > 0; got != c.reached || x.fetched.Load() > 2 {
				t.Errorf("the proxy was reached: %v; the key asked for %d times", got, x.fetched.Load())
			}
		})
	}
}

// A proxy of ours adds nothing to what it takes on, and brings back the status and the body.
func TestRelay(t *testing.T) {
	sealed, answer := bytes.Repeat([]byte{7}, 300), bytes.Repeat([]byte{9}, 600)
	refuse := atomic.Bool{}
	x := onRelayLine(t, twist{target: func(w http.ResponseWriter, _ *http.Request) {
		if refuse.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", odoh.MediaType)
		_, _ = w.Write(answer)
	}})
	at := x.server
	at.Transport = HTTPS
	relay := func() (int, []byte, error) {
		return x.client.Relay(t.Context(), at, sealed, work.New(work.DefaultLimits))
	}
	for range 2 {
		if status, body, err := relay(); err != nil || status != http.StatusOK || !bytes.Equal(body, answer) {
			t.Errorf("status %d, %d octets, %v", status, len(body), err)
		}
	}
	x.target.hangUp() // a connection that was kept too long is no failure
	refuse.Store(true)
	if status, body, err := relay(); err != nil || status != http.StatusUnauthorized || body != nil {
		t.Errorf("status %d, %d octets, %v", status, len(body), err)
	}
	seen := x.target.seen()
	if len(seen.queries) != 3 || !bytes.Equal(seen.queries[0], sealed) || seen.requests[0] != "POST "+targetName+":"+x.port()+"/dns-query HTTP/2.0" {
		t.Errorf("the target was asked %q", seen.requests)
	}
	for header := range seen.headers[0] {
		if !slices.Contains([]string{"Content-Type", "Accept", "Content-Length"}, header) {
			t.Errorf("sent %s", header)
		}
	}
	at.Peer = NewPeer(Identity{Name: "other.example", Path: "/dns-query"})
	var e *Error
	if _, _, err := relay(); !errors.As(err, &e) || e.Outcome != Unauthenticated {
		t.Errorf("to somebody else: %v", err)
	}
	at.Transport = TLS
	if _, _, err := relay(); err == nil {
		t.Error("relayed over something else")
	}
}
