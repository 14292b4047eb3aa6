package transports

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An http2Conn is a connection of HTTP/2 that serves DoH and nothing else (RFC 9113): requests known at once are answered on the
// goroutine that reads, together, before it waits for the client. What a client can make it hold is bounded: streams,
// octets of headers, of bodies and of answers that it does not take, and frames that ask for nothing.
type http2Conn struct {
	*connection
	doh   *doh
	conns *connections
	conn  net.Conn

	framer  *http2.Framer
	in      []byte // what is read; nil: the reader rests
	unread  []byte // of it, what the framer has not taken yet
	headers *hpack.Decoder
	request http2Request // whose headers are being read
	block   []byte       // and what has come of them, where more than one frame carries them
	visit   *visit       // nil: the reader rests

	// Guarded by mu: jobs deliver their answers while the connection reads on.
	mu         sync.Mutex
	streams    map[uint32]*http2Stream
	gone       goneStreams
	last       uint32 // the highest stream that the client has opened
	out        []byte
	window     int64 // octets of DATA that the client takes, in all
	initial    int64 // and on a new stream
	blocked    int   // octets of answers that wait for the client's windows
	room       int64 // octets of DATA that the client may send, in all
	unreturned int64 // of them, those that were taken and whose room it has not been given back
	shrunk     bool  // the client has taken its table of headers back: the next block says so
	jobs       sync.WaitGroup

	resets, idleFrames flood
	began              time.Time
	requests           int
	incomplete         int // streams whose body is to come
}

// GoneStreams are the last streams that the server has ended before the client had: what is on its way on them is nobody's
// fault (RFC 9113 section 5.1, closed).
type goneStreams struct {
	ids  []uint32 // of few connections there are any
	next int
}

func (g *goneStreams) add(id uint32) {
	if g.ids == nil {
		g.ids = make([]uint32, 2*http2Streams)
	}
	g.ids[g.next] = id
	g.next = (g.next + 1) % len(g.ids)
}

// remove takes a stream out that the client has ended, too: from there on nothing is on its way.
func (g *goneStreams) remove(id uint32) {
	if i := slices.Index(g.ids, id); i >= 0 {
		g.ids[i] = 0
	}
}

func (g *goneStreams) has(id uint32) bool { return slices.Contains(g.ids, id) }

// Limits of HTTP/2.
const (
	http2Streams      = 100
	http2FrameSize    = 16 << 10 // the least that RFC 9113 section 4.2 allows
	http2StreamWindow = maxMessage
	http2ConnWindow   = 256 << 10
	http2MaxBlocked   = 256 << 10
	http2MaxWindow    = 1<<31 - 1
	defaultTableSize  = 4096 // RFC 9113 section 6.5.2

	// How many frames of a kind a client may send within floodWithin.
	floodWithin   = 10 * time.Second
	maxResets     = 200  // CVE-2023-44487
	maxIdleFrames = 1000 // SETTINGS, PING, PRIORITY, GOAWAY, CONTINUATION, empty DATA, small WINDOW_UPDATE and what is unknown
	paidFor       = 4    // of which a request pays for so many
	smallUpdate   = 1 << 10
	maxSettings   = 32 // in one frame: each may touch all streams
)

// A flood counts what comes too often.
type flood struct {
	since time.Time
	count int
}

// rises counts one more and reports whether that is too many.
func (f *flood) rises(now time.Time, most int) bool {
	if now.Sub(f.since) > floodWithin {
		f.since, f.count = now, 0
	}
	f.count++
	return f.count > most
}

// sinks takes some off.
func (f *flood) sinks(by int) { f.count = max(f.count-by, 0) }

func newHTTP2Conn(d *doh, conns *connections, c *connection, conn net.Conn) *http2Conn {
	h := &http2Conn{
		connection: c, doh: d, conns: conns, conn: conn, began: time.Now(),
		streams: map[uint32]*http2Stream{}, window: 65535, initial: 65535, room: http2ConnWindow, // RFC 9113 section 6.9.2
	}
	h.framer = http2.NewFramer(h, http2Source{h})
	h.framer.SetMaxReadFrameSize(http2FrameSize)
	h.framer.SetReuseFrames()
	h.headers = hpack.NewDecoder(defaultTableSize, h.request.take)
	h.headers.SetMaxStringLength(maxHeader)
	return h
}

// serve answers requests until the connection is at its end. The caller closes it.
func (h *http2Conn) serve() {
	defer h.forget()
	err := h.converse()
	code, tell := goAwayCode(err)
	if tell {
		_ = h.locked(func() error {
			_ = h.framer.WriteGoAway(h.last, code, nil)
			return h.flush()
		})
	}
	if !tell || code != http2.ErrCodeNo {
		h.stop() // who is gone, or does not behave, has no answers to wait for
	}
	h.jobs.Wait()
}

// forget clears what was sent and received.
func (h *http2Conn) forget() {
	clear(h.out)
	clear(h.block)
	h.out, h.block = nil, nil
	h.rest()
}

// rest gives back what only requests need.
func (h *http2Conn) rest() {
	if h.in != nil {
		releaseReadBuffer(h.in)
		h.in, h.unread = nil, nil
	}
	if h.visit != nil {
		h.visit.end()
		visits.Put(h.visit)
		h.visit = nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.out) == 0 {
		h.out = nil
	}
	if len(h.block) == 0 {
		h.block = nil
	}
}

func (h *http2Conn) read() (int, error) {
	if h.in == nil {
		h.in = takeReadBuffer()
	}
	if h.visit == nil {
		h.visit = visits.Get().(*visit)
	}
	return h.conn.Read(h.in)
}

// goAwayCode is what the client is told at the end; nothing when it is gone.
func goAwayCode(err error) (code http2.ErrCode, tell bool) {
	if e, ok := errors.AsType[http2.ConnectionError](err); ok {
		return http2.ErrCode(e), true
	}
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge), errors.Is(err, io.ErrUnexpectedEOF): // or shorter than its fields
		return http2.ErrCodeFrameSize, true
	case errors.Is(err, errStopping), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, errNotServed):
		return http2.ErrCodeNo, true
	}
	return http2.ErrCodeNo, false
}

func (h *http2Conn) converse() error {
	if err := h.greet(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if len(h.unread) == 0 { // this is where the stack is least deep
			if err := h.fill(); err != nil {
				return err
			}
		}
		if err := h.takeFrame(first); err != nil {
			return err
		}
	}
}

// takeFrame reads and treats one frame.
func (h *http2Conn) takeFrame(first bool) error {
	frame, err := h.framer.ReadFrame()
	if e, ok := errors.AsType[http2.StreamError](err); ok {
		return h.locked(func() error { return h.reset(e.StreamID, e.Code) })
	}
	if err != nil {
		return err
	}
	if _, ok := frame.(*http2.SettingsFrame); first && !ok { // RFC 9113 section 3.4
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return h.receive(frame)
}

// greet reads the client's preface and says what is allowed. What the client has remembered of its headers for its next request
// (RFC 7541 section 2.3.2) is remembered as long as the connection; browsers do not ask it for paths, and so for names.
func (h *http2Conn) greet() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(http2Source{h}, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return h.locked(func() error {
		if err := h.framer.WriteSettings(
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: http2Streams},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: http2StreamWindow},
			http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeader},
		); err != nil {
			return err
		}
		return h.framer.WriteWindowUpdate(0, http2ConnWindow-65535)
	})
}

func (h *http2Conn) locked(do func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return do()
}

// receive treats one frame.
func (h *http2Conn) receive(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		return h.beginHeaders(f)
	case *http2.ContinuationFrame:
		if err := h.idled(); err != nil { // CVE-2024-27316
			return err
		}
		return h.continueHeaders(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return h.receiveData(f)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch f := frame.(type) {
	case *http2.WindowUpdateFrame:
		return h.widen(f)
	case *http2.RSTStreamFrame:
		return h.cancel(f)
	case *http2.SettingsFrame:
		return h.configure(f)
	case *http2.PushPromiseFrame: // RFC 9113 section 8.4: clients do not push
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID { // RFC 7540 section 5.3.1
			return h.reset(f.StreamID, http2.ErrCodeProtocol)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			if err := h.framer.WritePing(true, f.Data); err != nil {
				return err
			}
		}
	case *http2.GoAwayFrame: // the client opens no more streams, and waits for those that are open
	}
	return h.idled()
}

// idled counts a frame that asks for nothing.
func (h *http2Conn) idled() error {
	if h.idleFrames.rises(time.Now(), maxIdleFrames) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// configure takes the client's settings (RFC 9113 section 6.5.2) and confirms them. Frames are as short as anybody must take
// them; the client's table of headers is not used, but a smaller one has to be confirmed in the next block (RFC 7541 section 4.2).
func (h *http2Conn) configure(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return h.idled()
	}
	if f.NumSettings() > maxSettings {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			h.shrunk = h.shrunk || s.Val < defaultTableSize
		case http2.SettingInitialWindowSize:
			return h.shiftWindows(int64(s.Val) - h.initial)
		default:
		}
		return nil
	}); err != nil {
		return err
	}
	if err := h.framer.WriteSettingsAck(); err != nil {
		return err
	}
	if err := h.pumpAll(); err != nil {
		return err
	}
	return h.idled()
}

// shiftWindows changes the windows of all streams, which may become negative (RFC 9113 section 6.9.2).
func (h *http2Conn) shiftWindows(by int64) error {
	h.initial += by
	for _, s := range h.streams {
		if s.window += by; s.window > http2MaxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	}
	return nil
}

// widen opens a window of the client's further (RFC 9113 section 6.9).
func (h *http2Conn) widen(f *http2.WindowUpdateFrame) error {
	if f.Increment < smallUpdate {
		if err := h.idled(); err != nil {
			return err
		}
	}
	if f.StreamID == 0 {
		if h.window += int64(f.Increment); h.window > http2MaxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		return h.pumpAll()
	}
	s := h.streams[f.StreamID]
	switch {
	case s == nil && f.StreamID > h.last:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case s == nil: // it has ended
		return nil
	}
	if s.window += int64(f.Increment); s.window > http2MaxWindow {
		return h.reset(f.StreamID, http2.ErrCodeFlowControl)
	}
	return h.pump(f.StreamID, s)
}

// pumpAll goes on with all answers that wait.
func (h *http2Conn) pumpAll() error {
	for id, s := range h.streams {
		if h.window <= 0 {
			break
		}
		if err := h.pump(id, s); err != nil {
			return err
		}
	}
	return nil
}

// cancel ends a stream that the client does not want any more. Its resolution goes on for others; its turn is given back
// when that is done, so that asking and cancelling gains nobody anything.
func (h *http2Conn) cancel(f *http2.RSTStreamFrame) error {
	if f.StreamID > h.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if h.resets.rises(time.Now(), maxResets) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if s := h.streams[f.StreamID]; s != nil {
		h.end(f.StreamID, s)
	}
	h.gone.remove(f.StreamID)
	return h.giveBack()
}

// reset ends a stream because of an error.
func (h *http2Conn) reset(id uint32, code http2.ErrCode) error {
	if id > h.last { // RFC 9113 section 5.1: what concerns one stream cannot be said of one that is idle
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if h.resets.rises(time.Now(), maxResets) { // those that the client makes us send count like its own
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return h.dismiss(id, code)
}

// dismiss ends a stream before its time, and forgives what is on its way on it.
func (h *http2Conn) dismiss(id uint32, code http2.ErrCode) error {
	if s := h.streams[id]; s != nil {
		h.end(id, s)
	}
	h.gone.add(id)
	if err := h.framer.WriteRSTStream(id, code); err != nil {
		return err
	}
	return h.giveBack()
}

// Write appends frames to what is written before the connection waits; it is the framer's writer.
func (h *http2Conn) Write(frames []byte) (int, error) {
	h.out = append(h.out, frames...)
	if len(h.out) > flushAbove {
		return len(frames), h.flush()
	}
	return len(frames), nil
}

// flush writes what is to be sent, and cuts off a client that does not take it.
func (h *http2Conn) flush() error {
	if len(h.out) == 0 {
		return nil
	}
	_ = h.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := h.conn.Write(h.out)
	clear(h.out)
	if h.out = h.out[:0]; cap(h.out) > 2*flushAbove {
		h.out = nil
	}
	if err != nil {
		h.doh.front.drop(h.transport, SendFailed)
		h.stop()
		h.cut()
	}
	return err
}

// An http2Source is what the framer reads from.
type http2Source struct{ *http2Conn }

// Read leaves nothing behind of what it hands on.
func (s http2Source) Read(b []byte) (int, error) {
	if len(s.unread) == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.unread)
	clear(s.unread[:n])
	s.unread = s.unread[n:]
	return n, nil
}

// fill reads more octets, at least one. It is a wait for the client, before which everything is sent that is known.
func (h *http2Conn) fill() error {
	if err := h.locked(h.flush); err != nil {
		return err
	}
	for {
		now := time.Now()
		limit := h.deadline(now)
		if !limit.After(now) {
			return os.ErrDeadlineExceeded
		}
		n, err := h.doh.front.wait(h, h.conn, now, limit)
		switch {
		case n > 0:
			h.unread = h.in[:n]
			return nil
		case h.doh.front.isStopping():
			return errStopping
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
	}
}

// deadline says until when the next octets must come: soon while a request is incomplete, and not at all soon while the client
// waits for an answer.
func (h *http2Conn) deadline(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := time.Unix(0, h.active.Load()).Add(h.conns.idle(h.transport))
	switch {
	case h.requests == 0:
		limit = h.began.Add(firstMessageWithin)
	case h.pending.Load() > 0:
		limit = now.Add(h.conns.idle(h.transport))
	case h.blocked > 0: // the client gives no room
		limit = time.Unix(0, h.active.Load()).Add(writeWithin)
	}
	if h.incomplete == 0 {
		return limit
	}
	for _, s := range h.streams {
		if by := s.began.Add(bodyWithin); s.post && by.Before(limit) {
			limit = by
		}
	}
	return limit
}

var _ reader = (*http2Conn)(nil)
