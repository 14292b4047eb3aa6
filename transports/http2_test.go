package transports

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"tacit/internal/wire"
)

// An http2Client speaks HTTP/2 frame by frame, over a pipe.
type http2Client struct {
	*http2.Framer
	conn   net.Conn
	server *Server
	served *http2Conn // the other end; not to be touched while it is busy
	ended  chan struct{}
}

// dialHTTP2 serves r to a client in memory. The preface is exchanged already.
func dialHTTP2(t *testing.T, r Responder, settings ...http2.Setting) *http2Client {
	t.Helper()
	s := newServer(Options{})
	s.front.responder, s.front.admitter = r, everybody{}
	here, there := net.Pipe()
	c := newConnection(s.front, HTTPS, netip.MustParseAddr("192.0.2.1"))
	c.cut, c.halt = func() { _ = there.Close() }, func() { _ = there.SetReadDeadline(longAgo) }
	s.conns.add(c)
	here = newEager(here)
	served := newHTTP2Conn(&doh{front: s.front}, s.conns, c, there)
	client := &http2Client{http2.NewFramer(here, here), here, s, served, make(chan struct{})}
	client.SetReuseFrames()
	go func() {
		served.serve()
		_ = there.Close()
		s.conns.remove(c)
		close(client.ended)
	}()
	t.Cleanup(func() {
		_ = here.Close()
		<-client.ended
		s.front.cancel()
		s.front.resolutions.Wait()
	})
	_, _ = io.WriteString(here, http2.ClientPreface)
	_ = client.WriteSettings(settings...)
	client.skipTo(t, "SETTINGS")
	client.skipTo(t, "WINDOW_UPDATE")
	client.skipTo(t, "SETTINGS") // the acknowledgement
	return client
}

// An eager connection has room for what is written, as a socket has: a pipe has none.
type eager struct {
	net.Conn
	queue chan []byte
	gone  chan struct{}
	once  sync.Once
}

const eagerRoom = 512

func newEager(conn net.Conn) *eager {
	e := &eager{Conn: conn, queue: make(chan []byte, eagerRoom), gone: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-e.queue:
				if _, err := conn.Write(b); err != nil {
					e.end()
				}
			case <-e.gone:
				return
			}
		}
	}()
	return e
}

func (e *eager) end() { e.once.Do(func() { close(e.gone) }) }

func (e *eager) Close() error {
	e.end()
	return e.Conn.Close()
}

func (e *eager) Write(b []byte) (int, error) {
	select {
	case e.queue <- slices.Clone(b):
		return len(b), nil
	case <-e.gone:
		return 0, io.ErrClosedPipe
	}
}

// skipTo reads frames up to one of a type, and returns it.
func (c *http2Client) skipTo(t *testing.T, kind string) http2.Frame {
	t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal("no ", kind, ": ", err)
		}
		if f.Header().Type.String() == kind {
			return f
		}
	}
}

// get is a request for an address record, as a header block.
func get(name string) []byte {
	value := base64.RawURLEncoding.EncodeToString(ask(0, name, edns(1232)))
	return headers(":method", "GET", ":scheme", "https", ":path", Path+"?dns="+value)
}

func headers(pairs ...string) []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: true})
	}
	return block.Bytes()
}

// open sends the headers of a request without a body.
func (c *http2Client) open(t *testing.T, id uint32, block []byte) {
	t.Helper()
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
}

// goAway reads up to the GOAWAY and returns its code.
func (c *http2Client) goAway(t *testing.T) http2.ErrCode {
	t.Helper()
	return c.skipTo(t, "GOAWAY").(*http2.GoAwayFrame).ErrCode
}

// What is read together is answered together, in one write.
func TestHTTP2AnswersKnownQuestionsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, known)
		var both bytes.Buffer
		f := http2.NewFramer(&both, nil)
		for _, id := range []uint32{1, 3} {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: get("a.example."), EndHeaders: true, EndStream: true})
		}
		mustWrite(t, c.conn, both.Bytes())
		all := make([]byte, 4096)
		n, err := c.conn.Read(all) // a pipe gives no more than one write
		if err != nil || n < 2*paddedTo {
			t.Error(n, err)
		}
	})
}

// RFC 9113 section 6.9: no more DATA than the client takes, on the stream and in all; what is left follows when it takes more.
func TestHTTP2KeepsToTheWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, known, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		c.open(t, 1, get("a.example."))
		data := c.skipTo(t, "DATA").(*http2.DataFrame)
		if len(data.Data()) != 100 || data.StreamEnded() {
			t.Fatal(data)
		}
		if err := c.WriteWindowUpdate(1, 68); err != nil {
			t.Fatal(err)
		}
		if data = c.skipTo(t, "DATA").(*http2.DataFrame); len(data.Data()) != 68 || data.StreamEnded() {
			t.Fatal(data)
		}
		if err := c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}); err != nil { // section 6.9.2
			t.Fatal(err)
		}
		if data = c.skipTo(t, "DATA").(*http2.DataFrame); len(data.Data()) != 300 || !data.StreamEnded() {
			t.Fatal(data)
		}
	})
}

// The connection's window is shared: 65,535 octets hold 140 answers of 468.
func TestHTTP2SharesTheConnectionsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, known)
		for i := range 150 {
			c.open(t, uint32(1+2*i), get("a.example."))
		}
		octets := 0
		for octets < 65535 {
			octets += len(c.skipTo(t, "DATA").(*http2.DataFrame).Data())
		}
		if octets != 65535 {
			t.Fatal(octets)
		}
		if err := c.WriteWindowUpdate(0, 1<<20); err != nil {
			t.Fatal(err)
		}
		for octets < 150*paddedTo {
			octets += len(c.skipTo(t, "DATA").(*http2.DataFrame).Data())
		}
	})
}

// Who asks and takes nothing holds 256 KiB of answers and no more: the next ones are lost, and nothing else.
func TestHTTP2BoundsWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, script{recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
			return wire.Answer{Packet: append(dst, records(q.Question(), 100)...)}, true
		}}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for i := range 100 {
			c.open(t, uint32(1+2*i), get("a.example."))
		}
		answered := 0
		for {
			f, err := c.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if r, ok := f.(*http2.RSTStreamFrame); ok {
				if r.ErrCode != http2.ErrCodeEnhanceYourCalm {
					t.Error(r)
				}
				break
			}
			if _, ok := f.(*http2.HeadersFrame); ok {
				answered++
			}
		}
		if octets := answered * len(records(wire.Question{Name: wire.MustName("a.example."), Type: wire.TypeA, Class: wire.ClassIN}, 100)); octets < http2MaxBlocked/2 {
			t.Errorf("only %d octets are held", octets)
		}
	})
}

// RFC 9113 section 5.1.2: more than 100 at once are refused; one that was cancelled counts until its resolution is over.
func TestHTTP2CountsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		c := dialHTTP2(t, script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
			<-free
			return wire.Answer{Packet: address(q)}
		}})
		for i := range 100 {
			c.open(t, uint32(1+2*i), get("a.example."))
		}
		if err := c.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
			t.Fatal(err)
		}
		c.open(t, 201, get("a.example."))
		if f := c.skipTo(t, "RST_STREAM").(*http2.RSTStreamFrame); f.StreamID != 201 || f.ErrCode != http2.ErrCodeRefusedStream {
			t.Fatal(f)
		}
		close(free)
		for seen := []uint32{}; len(seen) < 99; {
			id := c.skipTo(t, "DATA").Header().StreamID
			if id == 1 || slices.Contains(seen, id) {
				t.Fatal("an answer on stream ", id)
			}
			seen = append(seen, id)
		}
		c.open(t, 203, get("a.example."))
		c.skipTo(t, "DATA")
	})
}

// CVE-2023-44487, CVE-2019-9512, -9515, -9518, CVE-2024-27316: frames that cost the server more than the client.
func TestHTTP2Floods(t *testing.T) {
	long := headers(slices.Concat(
		[]string{":method", "GET", ":scheme", "https", ":path", Path}, slices.Repeat([]string{"x", strings.Repeat("~", 100)}, 90))...)
	for _, c := range []struct {
		name  string
		flood func(c *http2Client, i int) error
	}{
		{"rapid reset", func(c *http2Client, i int) error {
			id := uint32(1 + 2*i)
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: get("a.example."), EndHeaders: true, EndStream: true}); err != nil {
				return err
			}
			return c.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		{"resets that the server is made to send", func(c *http2Client, i int) error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(1 + 2*i), BlockFragment: headers("x", "y"), EndHeaders: true, EndStream: true})
		}},
		{"PING", func(c *http2Client, _ int) error { return c.WritePing(false, [8]byte{}) }},
		{"SETTINGS", func(c *http2Client, _ int) error { return c.WriteSettings() }},
		{"many settings", func(c *http2Client, _ int) error {
			return c.WriteSettings(slices.Repeat([]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1}}, 100)...)
		}},
		{"PRIORITY", func(c *http2Client, _ int) error { return c.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }},
		{"WINDOW_UPDATE of one octet", func(c *http2Client, _ int) error { return c.WriteWindowUpdate(0, 1) }},
		{"WINDOW_UPDATE of one octet, on a stream", func(c *http2Client, i int) error {
			if i == 0 {
				return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get("a.example."), EndHeaders: true, EndStream: true})
			}
			return c.WriteWindowUpdate(1, 1)
		}},
		{"empty DATA", func(c *http2Client, i int) error {
			if i == 0 {
				block := headers(":method", "POST", ":scheme", "https", ":path", Path, "content-type", messageType)
				return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
			}
			return c.WriteData(1, false, nil)
		}},
		{"CONTINUATION", func(c *http2Client, i int) error {
			if i == 0 {
				return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers("x", "y")})
			}
			return c.WriteContinuation(1, false, headers("x", "y"))
		}},
		{"empty CONTINUATION", func(c *http2Client, i int) error {
			if i == 0 {
				return c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: long[:1000]})
			}
			return c.WriteContinuation(1, false, nil)
		}},
		{"a long header", func(c *http2Client, _ int) error {
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: long[:8000]}); err != nil {
				return err
			}
			return c.WriteContinuation(1, true, long[8000:])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known)
				frames := make(chan int)
				go func() {
					i := 0
					for c.flood(client, i) == nil && i < 1<<20 {
						i++
					}
					frames <- i
				}()
				if code := client.goAway(t); code != http2.ErrCodeEnhanceYourCalm {
					t.Error(code)
				}
				<-client.ended
				if n := <-frames; n > maxIdleFrames+2*eagerRoom {
					t.Errorf("%d were taken", n)
				}
			})
		})
	}
}

// How long a client may take, as over TCP.
func TestHTTP2Timeouts(t *testing.T) {
	post := headers(":method", "POST", ":scheme", "https", ":path", Path, "content-type", messageType)
	for _, c := range []struct {
		name   string
		r      script
		client func(t *testing.T, c *http2Client)
		closed time.Duration
	}{
		{"nothing is asked: 3 s", known, func(*testing.T, *http2Client) {}, 3 * time.Second},
		{"a body that does not come: 2 s later", known, func(t *testing.T, c *http2Client) {
			time.Sleep(time.Second)
			c.open(t, 1, get("a.example."))
			c.skipTo(t, "DATA")
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: post, EndHeaders: true}); err != nil {
				t.Fatal(err)
			}
		}, 3 * time.Second},
		{"a body that drips: 2 s after its headers", known, func(t *testing.T, c *http2Client) {
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: post, EndHeaders: true}); err != nil {
				t.Fatal(err)
			}
			var drip sync.WaitGroup
			drip.Go(func() {
				for c.WriteData(1, false, []byte{0}) == nil {
					time.Sleep(300 * time.Millisecond)
				}
			})
			t.Cleanup(drip.Wait)
		}, 2 * time.Second},
		{"idle after an answer: 30 s", known, func(t *testing.T, c *http2Client) {
			time.Sleep(time.Second)
			c.open(t, 1, get("a.example."))
			c.skipTo(t, "DATA")
		}, 31 * time.Second},
		{"not idle while an answer is awaited", slowly(4 * time.Second), func(t *testing.T, c *http2Client) {
			c.open(t, 1, get("a.example."))
			c.skipTo(t, "DATA")
		}, 34 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				client := dialHTTP2(t, c.r)
				c.client(t, client)
				go func() { _, _ = io.Copy(io.Discard, client.conn) }()
				<-client.ended
				if took := time.Since(begin); took != c.closed {
					t.Error("closed after ", took)
				}
			})
		})
	}
}

// RFC 9113 section 6.8: a server that stops says so, and answers what it has begun.
func TestHTTP2Drains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, slowly(2*time.Second))
		c.open(t, 1, get("a.example."))
		synctest.Wait()
		close(c.server.front.stopping)
		c.server.conns.stopReading()
		if code := c.goAway(t); code != http2.ErrCodeNo {
			t.Error(code)
		}
		if f := c.skipTo(t, "DATA").(*http2.DataFrame); f.StreamID != 1 || !f.StreamEnded() {
			t.Error(f)
		}
		<-c.ended
	})
}
