package transports

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An http2Stream is a request and its answer (RFC 9113 section 8.1).
type http2Stream struct {
	began    time.Time
	taken    int64 // octets of flow control that its body holds
	window   int64 // octets of DATA that the client takes
	post     bool  // its body is to come
	length   int64 // of the body, as told; negative: not told
	received int64 // of it
	body     []byte
	status   int     // of an answer for which the body does not matter, 0 otherwise
	waits    bool    // a job looks for the answer
	query    request // as far as it is known: of a GET from its headers on
	blocked  []byte  // what is left of an answer that has been sent in part

	sealed *sealedRequest // nil: it is no request of Oblivious DoH
}

// An http2Request is what is read of a request's headers.
type http2Request struct {
	stream    uint32
	ended     bool // END_STREAM
	trailers  bool
	size      int // octets of header block
	list      int // and of the list that it stands for (RFC 9113 section 6.5.2)
	malformed bool
	regular   bool // a header that is no pseudo-header has come
	seen      uint8

	method, path, mediaType string
	length                  int64
}

// Pseudo-headers of a request (RFC 9113 section 8.3.1).
const (
	seenMethod = 1 << iota
	seenScheme
	seenPath
	seenAuthority
)

// beginHeaders opens a stream, or takes the trailers of one.
func (h *http2Conn) beginHeaders(f *http2.HeadersFrame) error {
	h.mu.Lock()
	s := h.streams[f.StreamID]
	fresh := f.StreamID > h.last
	trailers := s != nil && s.post || s == nil && h.gone.has(f.StreamID)
	switch {
	case f.StreamID%2 == 0: // RFC 9113 section 5.1.1
	case fresh:
		h.last = f.StreamID
	}
	h.mu.Unlock()
	switch {
	case f.StreamID%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case !fresh && !trailers:
		return http2.ConnectionError(http2.ErrCodeStreamClosed) // section 5.1
	}
	h.request = http2Request{stream: f.StreamID, ended: f.StreamEnded(), trailers: !fresh, length: -1}
	if f.HasPriority() && f.Priority.StreamDep == f.StreamID {
		h.request.malformed = true
	}
	return h.continueHeaders(f.HeaderBlockFragment(), f.HeadersEnded())
}

// continueHeaders reads a part of a header block. A block that is too long ends the connection: without reading it, no later
// one could be understood.
func (h *http2Conn) continueHeaders(fragment []byte, last bool) error {
	defer clear(fragment) // it lies in the framer's buffer, which waits for the next frame
	r := &h.request
	if r.size += len(fragment); r.size > maxHeader {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if !last || len(h.block) > 0 { // in a buffer of our own: the decoder would keep what it holds
		if h.block == nil {
			h.block = make([]byte, 0, maxHeader) // a buffer that grows leaves a copy behind
		}
		h.block = append(h.block, fragment...)
		fragment = h.block
	}
	if !last {
		return nil
	}
	defer func() {
		clear(h.block)
		h.block = h.block[:0]
	}()
	if _, err := h.headers.Write(fragment); err != nil || h.headers.Close() != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if r.list > 2*maxHeader {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return h.locked(func() error { return h.endHeaders(r) })
}

// take reads one header; what a client says of itself in others than these is not looked at.
func (r *http2Request) take(f hpack.HeaderField) {
	r.list += int(f.Size())
	if strings.HasPrefix(f.Name, ":") {
		r.takePseudo(f)
		return
	}
	r.regular = true
	r.malformed = r.malformed || !isFieldValue(f.Value)
	switch f.Name {
	case "content-type":
		r.mediaType = f.Value
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		r.malformed = r.malformed || err != nil || r.length >= 0 && r.length != int64(n)
		r.length = int64(n)
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade": // section 8.2.2
		r.malformed = true
	case "te":
		r.malformed = r.malformed || f.Value != "trailers"
	default:
		r.malformed = r.malformed || !isFieldName(f.Name)
	}
}

func (r *http2Request) takePseudo(f hpack.HeaderField) {
	var seen uint8
	switch f.Name {
	case ":method":
		seen, r.method = seenMethod, f.Value
	case ":scheme":
		seen = seenScheme
		r.malformed = r.malformed || f.Value != "https" && f.Value != "http"
	case ":path":
		seen, r.path = seenPath, f.Value
	case ":authority":
		seen = seenAuthority
	}
	if seen == 0 || r.seen&seen != 0 || r.regular || r.trailers {
		r.malformed = true
	}
	r.seen |= seen
}

// isFieldName reports whether a name is one that HTTP/2 allows: no upper case (RFC 9113 section 8.2.1).
func isFieldName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return name != ""
}

// isFieldValue reports whether a value is one that any version of HTTP can carry (RFC 9113 section 8.2.1).
func isFieldValue(value string) bool {
	return httpguts.ValidHeaderFieldValue(value) && strings.Trim(value, " \t") == value
}

const required = seenMethod | seenScheme | seenPath

// endHeaders begins the request whose headers are complete.
func (h *http2Conn) endHeaders(r *http2Request) error {
	defer func() { *r = http2Request{} }()
	s := h.streams[r.stream]
	if r.trailers {
		if s == nil {
			return nil // of a stream that is gone
		}
		if !r.ended || r.malformed { // section 8.1
			return h.reset(r.stream, http2.ErrCodeProtocol)
		}
		return h.endBody(r.stream, s)
	}
	switch {
	case r.malformed || r.seen&required != required || r.path == "" || r.ended && r.length > 0:
		return h.reset(r.stream, http2.ErrCodeProtocol)
	case len(h.streams) >= http2Streams || h.pending.Load() >= http2Streams: // also of those that were cancelled
		return h.reset(r.stream, http2.ErrCodeRefusedStream)
	}
	h.requests++
	h.idleFrames.sinks(paidFor)
	s = h.openStream(r)
	path, query, _ := strings.Cut(r.path, "?")
	if mediaType, body, found := h.doh.pages.find(path, r.method); found && r.ended {
		return h.show(r.stream, s, mediaType, body)
	}
	var q request
	var status int
	if s.sealed = h.doh.judgeSealed(path, query, r.method, r.mediaType, r.length); s.sealed != nil {
		status = s.sealed.status()
	} else if status = judgeRequest(path, r.method, r.mediaType, r.length); status == http.StatusOK && r.method == http.MethodGet {
		q, status = readGET(query)
	}
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return h.refuse(r.stream, s, status)
	case status != http.StatusOK:
		s.status = status
	case r.method == http.MethodGet:
		s.query = q
	}
	if r.ended {
		return h.endBody(r.stream, s)
	}
	return nil
}

func (h *http2Conn) openStream(r *http2Request) *http2Stream {
	s := &http2Stream{began: time.Now(), window: h.initial, length: r.length, post: !r.ended}
	h.streams[r.stream] = s
	if s.post {
		h.incomplete++
	}
	return s
}

// bodyDone says that a body is there, or is not waited for any more.
func (h *http2Conn) bodyDone(s *http2Stream) {
	if s.post {
		s.post = false
		h.incomplete--
	}
}

// receiveData takes a part of a body. The client gets the room that it has used of the connection's window back when the body is
// done with: that window bounds all bodies together.
func (h *http2Conn) receiveData(f *http2.DataFrame) error {
	defer clear(f.Data()) // as in continueHeaders
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[f.StreamID]
	switch {
	case s == nil && f.StreamID > h.last:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case len(f.Data()) == 0 && !f.StreamEnded():
		if err := h.idled(); err != nil {
			return err
		}
	}
	if h.room -= int64(f.Length); h.room < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if s == nil || !s.post {
		h.unreturned += int64(f.Length)
		if s == nil && h.gone.has(f.StreamID) {
			return h.giveBack()
		}
		return h.reset(f.StreamID, http2.ErrCodeStreamClosed)
	}
	h.touch()
	if s.taken += int64(f.Length); s.taken > http2StreamWindow {
		return h.reset(f.StreamID, http2.ErrCodeFlowControl)
	}
	s.received += int64(len(f.Data()))
	if s.query.form == nil && s.status == 0 { // otherwise the body says nothing
		s.body = append(withRoom(s.body, len(f.Data())), f.Data()...)
	}
	if f.StreamEnded() {
		return h.endBody(f.StreamID, s)
	}
	return nil
}

// giveBack widens the connection's window again when an eighth of it is free. A stream's own is wide enough for a whole message.
func (h *http2Conn) giveBack() error {
	if h.unreturned < http2ConnWindow/8 {
		return nil
	}
	octets := h.unreturned
	h.room, h.unreturned = h.room+octets, 0
	return h.framer.WriteWindowUpdate(0, uint32(octets))
}

// endBody asks what a complete body asks.
func (h *http2Conn) endBody(id uint32, s *http2Stream) error {
	h.bodyDone(s)
	switch {
	case s.length >= 0 && s.length != s.received: // RFC 9113 section 8.1.1
		return h.reset(id, http2.ErrCodeProtocol)
	case s.status != 0:
		return h.refuse(id, s, s.status)
	case s.sealed != nil:
		return h.askSealed(id, s)
	case s.query.form == nil:
		var status int
		if s.query, status = readPOST(s.body); status != http.StatusOK {
			return h.refuse(id, s, status)
		}
	}
	return h.ask(id, s)
}

// ask answers at once what is known, and leaves the rest to a job.
func (h *http2Conn) ask(id uint32, s *http2Stream) error {
	q := s.query
	defer clear(q.message)
	defer h.visit.end()
	f, l := h.doh.front, link{transport: h.transport, conn: h.conn}
	answer, o := f.receive(h.visit, q.message, h.client(), l)
	switch o {
	case dropped:
		return h.refuse(id, s, http.StatusBadRequest)
	case turnedAway: // strangers shall not crowd out those who are served
		if err := h.answer(id, s, answer); err != nil {
			return err
		}
		return errNotServed
	case answered:
		h.touch()
		return h.answer(id, s, answer)
	case missed, entrusted:
	}
	j := f.newJob(h.visit, q.message, h.client(), l)
	if j == nil {
		return h.answer(id, s, f.turnAway(h.visit, l))
	}
	s.waits = true
	j.stream = id
	h.pending.Add(1)
	h.jobs.Add(1)
	j.start(h.ctx, h)
	return nil
}

// deliver writes the answer of a job, if its stream is still there.
func (h *http2Conn) deliver(j *job, answer []byte) {
	defer h.jobs.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.touch()
	h.pending.Add(-1)
	s := h.streams[j.stream]
	if s == nil || !s.waits {
		return
	}
	s.waits = false
	_ = h.answer(j.stream, s, answer)
	_ = h.flush() // the reader sees the end, too
}

// answer writes an answer in the form in which it is wanted.
func (h *http2Conn) answer(id uint32, s *http2Stream, answer []byte) error {
	body, mediaType, ok := s.query.form.render(answer)
	if !ok {
		return h.refuse(id, s, http.StatusInternalServerError)
	}
	return h.answerWith(id, s, body, mediaType, freshness(s.query.form, answer))
}

func (h *http2Conn) answerWith(id uint32, s *http2Stream, body []byte, mediaType, cache string) error {
	h.writeHeaders(id, false, func(block []byte) []byte {
		block = appendHeader(append(block, status200), fieldContentType, mediaType)
		block = appendHeader(block, fieldContentLength, strconv.Itoa(len(body)))
		block = appendHeader(block, fieldCacheControl, cache)
		if h.doh.altSvc != "" {
			block = appendNamed(block, "alt-svc", h.doh.altSvc)
		}
		return block
	})
	return h.send(id, s, body)
}

// refuse answers with a status and nothing else.
func (h *http2Conn) refuse(id uint32, s *http2Stream, status int) error {
	h.writeHeaders(id, true, func(block []byte) []byte {
		block = appendHeader(block, fieldStatus, strconv.Itoa(status))
		if status == http.StatusMethodNotAllowed {
			block = appendHeader(block, fieldAllow, allowed)
		}
		if s.sealed != nil && s.sealed.fault.Status != 0 {
			block = appendNamed(block, "proxy-status", s.sealed.fault.proxyStatus())
		}
		return appendHeader(block, fieldContentLength, "0")
	})
	return h.finish(id, s)
}

// send writes as much of a body as the client takes now. The rest waits for its windows, unless too much does already.
func (h *http2Conn) send(id uint32, s *http2Stream, body []byte) error {
	sent, err := h.write(id, s, body)
	rest := len(body) - sent
	switch {
	case err != nil:
		return err
	case rest == 0:
		return h.finish(id, s)
	case h.blocked+rest > http2MaxBlocked:
		return h.dismiss(id, http2.ErrCodeEnhanceYourCalm)
	}
	s.blocked = slices.Clone(body[sent:])
	h.blocked += rest
	return nil
}

// write writes DATA as far as the client's windows go.
func (h *http2Conn) write(id uint32, s *http2Stream, body []byte) (sent int, err error) {
	for sent < len(body) {
		size := int(min(int64(len(body)-sent), s.window, h.window, http2FrameSize))
		if size <= 0 {
			break
		}
		s.window -= int64(size)
		h.window -= int64(size)
		h.writeData(id, sent+size == len(body), body[sent:sent+size])
		if sent += size; len(h.out) > flushAbove {
			err = h.flush()
		}
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// pump goes on with an answer that waits for room.
func (h *http2Conn) pump(id uint32, s *http2Stream) error {
	if len(s.blocked) == 0 {
		return nil
	}
	sent, err := h.write(id, s, s.blocked)
	if err != nil {
		return err
	}
	clear(s.blocked[:sent])
	s.blocked = s.blocked[sent:]
	if h.blocked -= sent; sent > 0 {
		h.touch()
	}
	if len(s.blocked) == 0 {
		return h.finish(id, s)
	}
	return nil
}

// finish ends a stream that is answered. A body that is still to come is not wanted (RFC 9113 section 8.1).
func (h *http2Conn) finish(id uint32, s *http2Stream) error {
	if s.post {
		return h.dismiss(id, http2.ErrCodeNo)
	}
	h.end(id, s)
	return h.giveBack()
}

// end forgets a stream. That a job still looks for its answer counts until that is done.
func (h *http2Conn) end(id uint32, s *http2Stream) {
	h.bodyDone(s)
	h.blocked -= len(s.blocked)
	h.unreturned += s.taken
	clear(s.blocked)
	clear(s.body)
	clear(s.query.message)
	delete(h.streams, id)
}

// writeHeaders writes a HEADERS frame. Its block is appended to what is sent, behind the frame's header, without a detour.
func (h *http2Conn) writeHeaders(id uint32, last bool, fill func(block []byte) []byte) {
	flags := http2.FlagHeadersEndHeaders
	if last {
		flags |= http2.FlagHeadersEndStream
	}
	start := len(h.out)
	h.out = appendFrameHeader(h.out, 0, http2.FrameHeaders, flags, id)
	if h.shrunk {
		h.out, h.shrunk = append(h.out, tableOfNothing), false
	}
	h.out = fill(h.out)
	size := len(h.out) - start - frameHeaderLength
	h.out[start], h.out[start+1], h.out[start+2] = byte(size>>16), byte(size>>8), byte(size)
}

// writeData writes a DATA frame, in the same way: the framer would keep a copy.
func (h *http2Conn) writeData(id uint32, last bool, data []byte) {
	var flags http2.Flags
	if last {
		flags = http2.FlagDataEndStream
	}
	h.out = append(appendFrameHeader(h.out, len(data), http2.FrameData, flags, id), data...)
}

const frameHeaderLength = 9

// appendFrameHeader appends the header of a frame (RFC 9113 section 4.1).
func appendFrameHeader(dst []byte, size int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(dst, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// Entries of the static table (RFC 7541 appendix A): a whole header, and names.
const (
	tableOfNothing     = 0x20 // a size update (section 6.3)
	status200          = 0x80 | 8
	fieldStatus        = 8
	fieldAllow         = 22
	fieldCacheControl  = 24
	fieldContentLength = 28
	fieldContentType   = 31
)

// appendHeader appends a header whose name is in the static table, as a literal that nobody remembers (RFC 7541 section
// 6.2.2).
func appendHeader(block []byte, field byte, value string) []byte {
	const prefix = 15
	if field < prefix {
		block = append(block, field)
	} else {
		block = append(block, prefix, field-prefix)
	}
	return appendLiteral(block, value)
}

func appendNamed(block []byte, name, value string) []byte {
	return appendLiteral(appendLiteral(append(block, 0), name), value)
}

// appendLiteral appends a string of fewer than 127 octets as it is.
func appendLiteral(block []byte, s string) []byte {
	return append(append(block, byte(len(s))), s...)
}

var _ sender = (*http2Conn)(nil)
