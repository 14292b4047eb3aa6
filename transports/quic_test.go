package transports

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"tacit/internal/wire"
)

// eventually waits for what another goroutine is about to bring about, for 5 s at most.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(5 * time.Second); !holds(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal("not ", what)
		}
	}
}

// endOf waits for the end of a connection, and returns the code with which the server has ended it.
func endOf(t *testing.T, conn *quic.Conn) quic.ApplicationErrorCode {
	t.Helper()
	eventually(t, "ended", func() bool { return conn.Context().Err() != nil })
	e, ok := errors.AsType[*quic.ApplicationError](context.Cause(conn.Context()))
	if !ok || !e.Remote {
		t.Fatal(context.Cause(conn.Context()))
	}
	return e.ErrorCode
}

// A gate holds resolutions back until it is opened, or until their contexts end. What begins with "known" is recalled.
type gate struct {
	begun chan context.Context // one for each resolution
	open  chan struct{}
}

func newGate() gate { return gate{make(chan context.Context, 2*maxQUICStreams), make(chan struct{})} }

func (g gate) script() script {
	return script{recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
		return wire.Answer{Packet: append(dst, address(q.Question())...)}, bytes.HasPrefix(q.RawQuestion(), []byte("\x05known"))
	}, resolve: func(ctx context.Context, q wire.Question) wire.Answer {
		g.begun <- ctx
		select {
		case <-g.open:
		case <-ctx.Done():
		}
		return wire.Answer{Packet: address(q)}
	}}
}

// A stranger is told so once, and does not hold the connection.
func TestDoQStranger(t *testing.T) {
	d := openDoorFor(t, Options{}, known, nobody{})
	conn := d.dialQUIC(t, QUIC, alpnDoQ)
	answer, err := askStream(t.Context(), conn, framed(ask(0, "a.example.")))
	if err != nil {
		t.Fatal(err)
	}
	if m := read(t, answer[frameLength:]); m.Rcode != dns.RcodeRefused {
		t.Error(m)
	}
	if code := endOf(t, conn); code != doqNoError {
		t.Error(code)
	}
}

// An idReader is a client's socket that notes how long the server's connection ID is (RFC 9000 section 17.2).
type idReader struct {
	net.PacketConn
	length atomic.Int64
}

func (r *idReader) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := r.PacketConn.ReadFrom(b)
	const version = 4
	if own := 1 + version; err == nil && n > own && b[0]&0x80 != 0 {
		if theirs := own + 1 + int(b[own]); n > theirs {
			r.length.Store(int64(b[theirs]))
		}
	}
	return n, addr, err
}

// A connection that drew the ID of another one would never hear of its answers: with IDs of 4 octets that has happened,
// to one of some 100,000.
func TestQUICConnectionIDsAreLong(t *testing.T) {
	d := openDoor(t, Options{}, known)
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &idReader{PacketConn: socket}
	transport := &quic.Transport{Conn: r}
	t.Cleanup(func() {
		_ = transport.Close()
		_ = socket.Close()
	})
	conn, err := transport.Dial(t.Context(), net.UDPAddrFromAddrPort(d.Addrs(QUIC)[0]), d.tls(alpnDoQ), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(doqNoError, "") }()
	if n := r.length.Load(); n < 8 {
		t.Errorf("connection IDs have %d octets", n)
	}
}

// Who finds no slot is told so, and the connection goes on.
func TestDoQWithoutASlot(t *testing.T) {
	g := newGate()
	conn := openDoor(t, Options{Limits: Limits{Waiting: 1}}, g.script()).dialQUIC(t, QUIC, alpnDoQ)
	first := make(chan int)
	ask := func() int {
		answer, err := askStream(t.Context(), conn, framed(ask(0, "a.example.")))
		if err != nil {
			t.Error(err)
			return -1
		}
		return read(t, answer[frameLength:]).Rcode
	}
	go func() { first <- ask() }()
	<-g.begun
	if rcode := ask(); rcode != dns.RcodeServerFailure {
		t.Error("the second: RCODE ", rcode)
	}
	close(g.open)
	if rcode := <-first; rcode != dns.RcodeSuccess {
		t.Error("the first: RCODE ", rcode)
	}
}

// RFC 9250 section 4.3.1: who cancels a query gains no place for another one before its resolution is over.
func TestDoQCancelledQueriesHoldTheirPlaces(t *testing.T) {
	g := newGate()
	defer close(g.open)
	conn := openDoor(t, Options{}, g.script()).dialQUIC(t, QUIC, alpnDoQ)
	for i := range maxQUICStreams {
		cancelQuery(t, conn)
		if err := (<-g.begun).Err(); err != nil {
			t.Fatal(i, " has ended: ", err)
		}
	}
	_, err := conn.OpenStream()
	if _, ok := errors.AsType[*quic.StreamLimitReachedError](err); !ok {
		t.Error("one more: ", err)
	}
}

// cancelQuery asks a question and says, even before that, that the answer is not wanted.
func cancelQuery(t *testing.T, conn *quic.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream.CancelRead(doqNoError)
	mustWriteStream(t, stream, framed(ask(0, "a.example.")))
	_ = stream.Close()
}

// The same over HTTP/3 (RFC 9114 section 4.1.1).
func TestHTTP3CancelledRequestsHoldTheirPlaces(t *testing.T) {
	g := newGate()
	defer close(g.open)
	d := openDoor(t, Options{}, g.script())
	client := d.browser(t, alpnHTTP3)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = d.get(ctx, client, "a.example.") })
	resolution := <-g.begun
	cancel()
	asking.Wait()
	if status, err := d.get(t.Context(), client, "known.example."); err != nil || status != http.StatusOK {
		t.Fatal("behind the cancelled one: ", status, err)
	}
	if err := resolution.Err(); err != nil {
		t.Error("it has ended: ", err)
	}
	if !d.conns.busy(HTTP3) {
		t.Error("its place is free")
	}
}

// get asks by GET over HTTP/3.
func (d *door) get(ctx context.Context, client *http.Client, name string) (status int, err error) {
	url := d.url(alpnHTTP3) + "?dns=" + base64.RawURLEncoding.EncodeToString(ask(0, name))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// With 100 queries in progress, one more is refused: over DoQ with DOQ_EXCESSIVE_LOAD (RFC 9250 section 4.3), over HTTP/3 with
// 429 (RFC 6585 section 4). The library's own limit on streams mostly comes before that.
func TestPlacesOnAQUICConnection(t *testing.T) {
	d := openDoor(t, Options{}, known)
	conn, client := d.dialQUIC(t, QUIC, alpnDoQ), d.browser(t, alpnHTTP3)
	for _, c := range []struct {
		name    string
		inUse   int32
		refused bool
	}{{"one is free", maxQUICStreams - 1, false}, {"none is free", maxQUICStreams, true}, {"all are free again", 0, false}} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := d.get(t.Context(), client, "a.example."); err != nil { // which opens the connection
				t.Fatal(err)
			}
			eventually(t, "open", func() bool { return d.Counters(QUIC).Connections.Load() == 1 })
			eventually(t, "answered", func() bool { return !d.conns.busy(QUIC) && !d.conns.busy(HTTP3) })
			use(d, c.inUse)
			defer use(d, -c.inUse)
			_, err := askStream(t.Context(), conn, framed(ask(0, "a.example.")))
			e, ok := errors.AsType[*quic.StreamError](err)
			if refused := ok && e.Remote && e.ErrorCode == doqExcessiveLoad; refused != c.refused || !refused && err != nil {
				t.Error("DoQ: ", err)
			}
			status, err := d.get(t.Context(), client, "a.example.")
			if refused := status == http.StatusTooManyRequests; refused != c.refused || err != nil {
				t.Error("HTTP/3: ", status, err)
			}
		})
	}
}

// use has so many more queries in progress on all connections.
func use(d *door, places int32) {
	d.conns.mu.Lock()
	defer d.conns.mu.Unlock()
	for c := range d.conns.open {
		c.pending.Add(places)
	}
}

// 200 queries in a row may be cancelled; the next one ends the connection.
func TestDoQCancelledInARow(t *testing.T) {
	d := openDoor(t, Options{}, known)
	conn := d.dialQUIC(t, QUIC, alpnDoQ)
	lost := func() uint64 { return d.Counters(QUIC).Drops(SendFailed) }
	for i := range uint64(maxCancelled) {
		cancelQuery(t, conn)
		eventually(t, "counted", func() bool { return lost() == i+1 })
	}
	if _, err := askStream(t.Context(), conn, framed(ask(0, "a.example."))); err != nil {
		t.Error("after 200: ", err)
	}
	cancelQuery(t, conn)
	if code := endOf(t, conn); code != doqExcessiveLoad {
		t.Error(code)
	}
}

// Handshakes of QUIC are done on goroutines that are not ours.
func TestPanicInAHandshakeOfQUIC(t *testing.T) {
	d := openDoor(t, Options{Certificates: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("secret.example") }}, known)
	for i, to := range []Transport{QUIC, HTTP3} {
		if _, err := quic.DialAddr(t.Context(), d.at(to), d.tls([]string{alpnDoQ, alpnHTTP3}[i]), &quic.Config{}); err == nil {
			t.Errorf("%v: a handshake without a certificate", to)
		}
		if got := d.Counters(to).Panics.Load(); got != 1 {
			t.Errorf("%v: %d panics", to, got)
		}
	}
}

// Incomplete queries hold 256 KiB of a connection at most: one that would hold more is refused, and no other.
func TestIncompleteQueriesAreBounded(t *testing.T) {
	long := ask(0, "a.example.", edns(1232, &dns.EDNS0_PADDING{Padding: make([]byte, 60000)}))
	for _, c := range []struct {
		name string
		way  func(t *testing.T, d *door) slowAsker
		held int64 // of one query without its last octet
	}{
		{"DoQ", func(t *testing.T, d *door) slowAsker { return slowlyByQUIC(d.dialQUIC(t, QUIC, alpnDoQ)) }, int64(frameLength + len(long) - 1)},
		{"HTTP/3", func(t *testing.T, d *door) slowAsker { return slowlyByHTTP3(d.browser(t, alpnHTTP3), d.url(alpnHTTP3)) }, int64(len(long) - 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDoor(t, Options{}, known)
			ask, rest, answered := c.way(t, d), make(chan struct{}), make(chan error)
			for i := range maxBodies / c.held {
				go func() { answered <- ask(t.Context(), long, rest) }()
				eventually(t, "held", func() bool { return bodiesOf(d) == (i+1)*c.held })
			}
			if err := ask(t.Context(), long, rest); !errors.Is(err, errRefusedHere) {
				t.Error("one that is too much: ", err)
			}
			close(rest)
			for range maxBodies / c.held {
				if err := <-answered; err != nil {
					t.Error("another: ", err)
				}
			}
			eventually(t, "given back", func() bool { return bodiesOf(d) == 0 })
		})
	}
}

// bodiesOf is what the connections of a door hold of incomplete queries, in octets.
func bodiesOf(d *door) (octets int64) {
	d.conns.mu.Lock()
	defer d.conns.mu.Unlock()
	for c := range d.conns.open {
		octets += c.bodies.Load()
	}
	return octets
}

// A slowAsker sends a query but for its last octet, which follows when rest is closed. The error is errRefusedHere where the server
// does not wait for that.
type slowAsker func(ctx context.Context, query []byte, rest <-chan struct{}) error

var errRefusedHere = errors.New("refused")

func slowlyByQUIC(conn *quic.Conn) slowAsker {
	return func(ctx context.Context, query []byte, rest <-chan struct{}) error {
		stream, err := conn.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		_ = stream.SetDeadline(time.Now().Add(5 * time.Second))
		octets := framed(query)
		last := len(octets) - 1
		go func() {
			_, _ = stream.Write(octets[:last])
			<-rest
			_, _ = stream.Write(octets[last:])
			_ = stream.Close()
		}()
		_, err = io.ReadAll(stream)
		if e, ok := errors.AsType[*quic.StreamError](err); ok && e.Remote && e.ErrorCode == doqExcessiveLoad {
			return errRefusedHere
		}
		return err
	}
}

func slowlyByHTTP3(client *http.Client, url string) slowAsker {
	return func(ctx context.Context, query []byte, rest <-chan struct{}) error {
		body, writer := io.Pipe()
		defer body.Close()
		last := len(query) - 1
		go func() {
			_, _ = writer.Write(query[:last])
			<-rest
			_, _ = writer.Write(query[last:])
			_ = writer.Close()
		}()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", messageType)
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		switch response.StatusCode {
		case http.StatusOK:
			return response.Body.Close()
		case http.StatusTooManyRequests:
			return errors.Join(errRefusedHere, response.Body.Close())
		}
		return errors.Join(errors.New(response.Status), response.Body.Close())
	}
}

// A QUIC connection that asks nothing for 10 s, or of HTTP/3 for 30 s, ends, whatever its library pings; one that waits for an answer does not.
func TestIdleQUICConnectionsEnd(t *testing.T) {
	for _, c := range []struct {
		over     Transport
		protocol string
		code     quic.ApplicationErrorCode
	}{{QUIC, alpnDoQ, doqExcessiveLoad}, {HTTP3, alpnHTTP3, 0x107}} { // RFC 9114 section 8.1: H3_EXCESSIVE_LOAD
		t.Run(c.over.String(), func(t *testing.T) {
			g := newGate()
			d := openDoor(t, Options{}, g.script())
			waits := d.waiting(t, c.over)
			<-g.begun
			idle := d.dialQUIC(t, c.over, c.protocol)
			eventually(t, "open", func() bool { return d.Counters(c.over).Connections.Load() == 2 })
			d.conns.mu.Lock()
			for connection := range d.conns.open {
				connection.active.Store(time.Now().Add(-d.conns.idle(c.over)).UnixNano())
			}
			d.conns.mu.Unlock()
			if code := endOf(t, idle); code != c.code {
				t.Error(code)
			}
			close(g.open)
			if err := <-waits; err != nil {
				t.Error("the one that waits: ", err)
			}
		})
	}
}

// waiting asks on a connection of its own; what has come of it follows.
func (d *door) waiting(t *testing.T, over Transport) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	if over == QUIC {
		conn := d.dialQUIC(t, QUIC, alpnDoQ)
		go func() {
			_, err := askStream(t.Context(), conn, framed(ask(0, "a.example.")))
			result <- err
		}()
		return result
	}
	rest := make(chan struct{})
	close(rest)
	asker := slowlyByHTTP3(d.browser(t, alpnHTTP3), d.url(alpnHTTP3))
	go func() { result <- asker(t.Context(), ask(0, "a.example."), rest) }()
	return result
}
