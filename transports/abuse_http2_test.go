//go:build abuse && linux

package transports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An abuseFlood is what an abuser does on a connection of HTTP/2: send is called so often, or until the connection is closed.
type abuseFlood struct {
	name  string
	times int
	send  func(h *abuseHTTP2, i int) error
	mute  bool          // reads nothing before all is sent
	ends  http2.ErrCode // the code of GOAWAY with which the server ends the connection, at once
}

func abuseFloods() []abuseFlood {
	const calm = http2.ErrCodeEnhanceYourCalm
	quick, slow := ask(0, "a.example."), ask(0, "slow.example.")
	reset := func(query []byte) func(h *abuseHTTP2, i int) error {
		return func(h *abuseHTTP2, i int) error {
			stream := uint32(2*i + 1)
			return errors.Join(h.get(stream, query), h.WriteRSTStream(stream, http2.ErrCodeCancel))
		}
	}
	// endless is a header block that does not end: HEADERS first, and then CONTINUATION of so many octets.
	endless := func(octets int) func(h *abuseHTTP2, i int) error {
		field := append([]byte{0, 1, 'x', 0x7f, byte(octets - 127), 0}, make([]byte, max(octets-6, 0))...)
		return func(h *abuseHTTP2, i int) error {
			if i == 0 {
				return h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.headers(quick), EndStream: true})
			}
			return h.WriteContinuation(1, false, field[:octets])
		}
	}
	ping := func(h *abuseHTTP2, i int) error { return h.WritePing(false, [8]byte{byte(i)}) }
	settings := func(h *abuseHTTP2, i int) error {
		return h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1 + i%9)})
	}
	return []abuseFlood{
		{name: "rapid reset of known names", times: 50000, send: reset(quick), ends: calm},
		{name: "rapid reset of unknown names", times: 50000, send: reset(slow), ends: calm},
		{name: "CONTINUATION without end", times: 50000, send: endless(140), ends: calm},
		{name: "empty CONTINUATION without end", times: 50000, send: endless(0), ends: calm},
		{name: "SETTINGS", times: 50000, send: settings, ends: calm},
		{name: "SETTINGS, nothing read", times: 200000, send: settings, mute: true, ends: calm},
		{name: "PING", times: 50000, send: ping, ends: calm},
		{name: "PING, nothing read", times: 400000, send: ping, mute: true, ends: calm},
		{name: "header block of 1 MiB", times: 1, send: func(h *abuseHTTP2, _ int) error { return h.longHeaders(quick, 1<<20) }, ends: calm},
		{name: "one field of 3 KiB, 1,000 times", times: 50, send: hpackBomb(quick), ends: calm},
		{name: "WINDOW_UPDATE of 0", times: 1, send: func(h *abuseHTTP2, _ int) error { return h.WriteWindowUpdate(0, 0) }, ends: http2.ErrCodeProtocol},
		{name: "WINDOW_UPDATE beyond all", times: 2, send: func(h *abuseHTTP2, _ int) error { return h.WriteWindowUpdate(0, 1<<31-1) }, ends: http2.ErrCodeFlowControl},
		{name: "PRIORITY", times: 50000, send: func(h *abuseHTTP2, i int) error {
			return h.WritePriority(uint32(2*i+1), http2.PriorityParam{StreamDep: 1 << 20, Weight: byte(i)})
		}, ends: calm},
		{name: "empty DATA", times: 50000, send: emptyData(quick), ends: calm},
		{name: "no window for answers", times: 101, send: noWindow(quick), ends: http2.ErrCodeNo},
		{name: "unknown frames of 16 KiB", times: 5000, send: func(h *abuseHTTP2, i int) error {
			return h.WriteRawFrame(0xfa, 0, 0, make([]byte, 16<<10))
		}, ends: calm},
	}
}

// longHeaders sends one header block, in as many frames as it takes.
func (h *abuseHTTP2) longHeaders(query []byte, octets int) error {
	h.AllowIllegalWrites = true
	block := h.headers(query, hpack.HeaderField{Name: "x-long", Value: strings.Repeat("x", octets)})
	first := true
	for len(block) > 0 {
		piece := block[:min(len(block), 16<<10)]
		block = block[len(piece):]
		var err error
		if first {
			err = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: piece, EndStream: true, EndHeaders: len(block) == 0})
		} else {
			err = h.WriteContinuation(1, len(block) == 0, piece)
		}
		if first = false; err != nil {
			return err
		}
	}
	return nil
}

// hpackBomb has one long field put into the table, and then names it over and over: an octet each (RFC 7541 section 7.3).
func hpackBomb(query []byte) func(h *abuseHTTP2, i int) error {
	return func(h *abuseHTTP2, i int) error {
		long := hpack.HeaderField{Name: "x-long", Value: strings.Repeat("x", 3<<10)}
		block := bytes.Clone(h.headers(query, long))
		block = append(block, bytes.Repeat([]byte{0x80 | 62}, 1000)...) // the newest entry
		return h.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
	}
}

// emptyData begins a body and goes on with nothing (CVE-2019-9518).
func emptyData(query []byte) func(h *abuseHTTP2, i int) error {
	return func(h *abuseHTTP2, i int) error {
		if i > 0 {
			return h.WriteData(1, false, nil)
		}
		h.block.Reset()
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: abuseName},
			{Name: ":path", Value: Path},
			{Name: "content-type", Value: messageType},
		} {
			_ = h.encoder.WriteField(f) // into memory
		}
		return h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block.Bytes(), EndHeaders: true})
	}
}

// noWindow asks 100 times and lets no answer be sent (CVE-2019-9517).
func noWindow(query []byte) func(h *abuseHTTP2, i int) error {
	return func(h *abuseHTTP2, i int) error {
		if i == 0 {
			return h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		}
		return h.get(uint32(2*i-1), query)
	}
}

// An abuserEnd is how it ended for an abuser.
type abuserEnd struct {
	sent     int
	flooding time.Duration // until all was sent, or nothing more could be
	closed   time.Duration // until the server had closed the connection
	away     bool
	code     http2.ErrCode
}

// A flood on one connection is nobody else's trouble: new clients are answered in less than 2 s, memory is bounded, and the
// connection ends at once.
func TestAbuseHTTP2Floods(t *testing.T) {
	t.Parallel()
	a := startAbused(t)
	abuseWarmUp(t, a, 60, abuseWays...)
	for _, f := range abuseFloods() { // once for what the server makes once and keeps
		f.times = min(f.times, 5000)
		h := abuserOf(t, a)
		_ = f.run(h, nil)
		_ = h.Close()
	}
	var table abuseTable
	a.rounds(t, &table, "HTTP/2 floods", len(abuseFloods()), func() { floodAll(t, a) })
	t.Log(table.String())
}

// floodAll floods on one connection after the other, while new clients ask, and waits until the server has closed them all.
func floodAll(t *testing.T, a *abuseServer) {
	t.Helper()
	before := a.figures(t, "peek").Resident
	w := a.watch(t, abuseWays...)
	ends := make([]abuserEnd, len(abuseFloods()))
	var closing sync.WaitGroup
	for i, f := range abuseFloods() {
		h := abuserOf(t, a)
		closed := make(chan struct{})
		var reading sync.WaitGroup
		read := func() {
			reading.Go(func() {
				ends[i].readOn(h)
				close(closed)
			})
		}
		if !f.mute {
			read()
		}
		ends[i].flooding, ends[i].sent = f.timed(h, closed)
		if f.mute {
			read()
		}
		since := time.Now()
		closing.Go(func() {
			defer func() { _ = h.Close() }()
			_ = h.SetReadDeadline(time.Now().Add(30 * time.Second))
			reading.Wait()
			ends[i].closed = time.Since(since)
		})
	}
	closing.Wait()
	w.end(t)
	if peak := a.figures(t, "peek").Peak; peak > before+64<<10 {
		t.Errorf("the floods took %d KiB", peak-before)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-33s %8s %9s %14s  %s\n", "flood", "frames", "in", "closed after", "with")
	for i, f := range abuseFloods() {
		b.WriteString(ends[i].judge(t, f))
	}
	t.Log(b.String())
}

func abuserOf(t *testing.T, a *abuseServer) *abuseHTTP2 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), abuseGiveUp)
	defer cancel()
	conn, err := a.client(t, "127.0.0.9").dial(ctx, abuseWay{transport: HTTPS})
	if err != nil {
		t.Fatal(err)
	}
	h, err := newAbuseHTTP2(conn)
	if err != nil {
		t.Fatal(err)
	}
	h.AllowIllegalWrites = true
	return h
}

// floodAtMostFrames is how many frames can be sent before the end of the connection is known to the sender, with what is still
// in the buffers between the two: the limits are far below.
const floodAtMostFrames = 20000

// floodAtMost is how long an abuser goes on.
const floodAtMost = 15 * time.Second

func (f abuseFlood) timed(h *abuseHTTP2, closed <-chan struct{}) (time.Duration, int) {
	begin := time.Now()
	sent := f.run(h, closed)
	return time.Since(begin), sent
}

// run sends until the connection fails; closed tells of it where somebody reads.
func (f abuseFlood) run(h *abuseHTTP2, closed <-chan struct{}) (sent int) {
	_ = h.SetWriteDeadline(time.Now().Add(floodAtMost))
	for i := range f.times {
		if err := f.send(h, i); err != nil {
			return i
		}
		select {
		case <-closed:
			return i
		default:
		}
	}
	return f.times
}

// readOn reads frames to the end of the connection.
func (e *abuserEnd) readOn(h *abuseHTTP2) {
	for {
		frame, err := h.ReadFrame()
		if g, ok := frame.(*http2.GoAwayFrame); ok {
			e.away, e.code = true, g.ErrCode
		}
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout():
			e.sent = -1
			return
		case errors.Is(err, http2.ErrFrameTooLarge), errors.As(err, new(http2.StreamError)):
		default:
			_, _ = io.Copy(io.Discard, h)
			return
		}
	}
}

// closedAtOnce is how long a connection may live when the flood is over: 2 s of it where answers are not taken.
const closedAtOnce = 3 * time.Second

// judge says in a line how it ended, and complains where that is not as it should.
func (e abuserEnd) judge(t *testing.T, f abuseFlood) string {
	t.Helper()
	with := "no GOAWAY" // it does not arrive where the connection is reset behind it
	if e.away {
		with = e.code.String()
	}
	line := fmt.Sprintf("%-33s %8d %8.2fs %13.2fs  %s\n", f.name, e.sent, e.flooding.Seconds(), e.closed.Seconds(), with)
	switch {
	case e.sent < 0:
		t.Errorf("%s: the connection was never closed", f.name)
	case e.away && e.code != f.ends:
		t.Errorf("%s: ended with %v, want %v", f.name, e.code, f.ends)
	case e.closed > closedAtOnce || e.sent > floodAtMostFrames:
		t.Errorf("%s: closed only after %v and %d frames", f.name, e.closed, e.sent)
	}
	return line
}
