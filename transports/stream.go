package transports

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Time-outs of a connection (RFC 7766 section 6.2.3, RFC 9210 section 4.2).
const (
	firstMessageWithin = 3 * time.Second
	betweenOctets      = 2 * time.Second
	wholeMessageWithin = 10 * time.Second
	writeWithin        = 2 * time.Second
)

const (
	streamBuffer = 4 << 10  // what is read at a time; grows for a longer message
	flushAbove   = 16 << 10 // answers that wait to be written together
	frameLength  = 2        // RFC 1035 section 4.2.2
)

// A stream is a connection of a client, with one goroutine that reads messages from it. Answers known at once are
// written together before it reads on; the others follow in the order in which they are found (RFC 7766 section
// 7).
type stream struct {
	*connection
	front *front
	conns *connections
	conn  net.Conn // with TLS over DoT

	turns chan struct{} // one in it for each query in progress
	began time.Time

	visit     *visit // nil: the reader rests
	tally     tally
	in        []byte // in[start:end] is read but not yet treated; nil: the reader rests
	start     int
	end       int
	out       []byte
	messages  int
	beginning time.Time // when the first octets of an incomplete message came

	writing sync.Mutex
}

func newStream(f *front, conns *connections, c *connection, conn net.Conn) *stream {
	return &stream{
		connection: c, front: f, conns: conns, conn: conn,
		turns: make(chan struct{}, f.limits.Pipelined), began: time.Now(),
	}
}

// serve answers the client until the connection is at its end. The caller closes it.
func (s *stream) serve() {
	defer s.forget()
	err := s.converse()
	if !errors.Is(err, io.EOF) && !errors.Is(err, errStopping) {
		return // the client is gone or does not behave: nobody waits for what is in progress
	}
	for range cap(s.turns) { // who has closed one half only still gets all answers (RFC 1035 section 4.2.2)
		s.turns <- struct{}{}
	}
}

// forget clears what was sent and received.
func (s *stream) forget() {
	s.tally.tell(&s.front.counters[s.transport])
	clear(s.out)
	s.start, s.end = 0, 0
	s.rest()
}

// rest gives back what only messages need. Answers have been sent before the reader waits.
func (s *stream) rest() {
	if s.end == 0 && s.in != nil {
		releaseReadBuffer(s.in)
		s.in = nil
	}
	if s.visit != nil {
		s.visit.end()
		visits.Put(s.visit)
	}
	s.visit, s.out = nil, nil
}

func (s *stream) read() (int, error) {
	if s.in == nil {
		s.in = takeReadBuffer()
	}
	if s.visit == nil {
		s.visit = visits.Get().(*visit)
	}
	return s.conn.Read(s.in[s.end:])
}

// Reasons why a stream ends; they are handled in this file and nowhere shown.
var (
	errStopping  = errors.New("server stops reading")
	errNoQuery   = errors.New("message is not a query")
	errNotServed = errors.New("client is not served")
)

// converse reads and treats messages until it cannot go on.
func (s *stream) converse() error {
	for {
		msg, ok := s.next()
		if !ok {
			if err := s.flush(); err != nil {
				return err
			}
			if err := s.fill(); err != nil {
				return err
			}
			continue
		}
		if err := s.receive(msg); err != nil {
			return err
		}
	}
}

// next takes the next complete message out of the buffer.
func (s *stream) next() (msg []byte, ok bool) {
	rest := s.in[s.start:s.end]
	if len(rest) < frameLength {
		return nil, false
	}
	size := frameLength + int(binary.BigEndian.Uint16(rest))
	if len(rest) < size {
		return nil, false
	}
	s.start += size
	s.messages++
	s.beginning = time.Time{}
	s.touch()
	return rest[frameLength:size], true
}

// fill reads more octets, at least one.
func (s *stream) fill() error {
	s.makeRoom()
	if s.end > 0 && s.beginning.IsZero() {
		s.beginning = time.Now()
	}
	for {
		now := time.Now()
		n, err := s.front.wait(s, s.conn, now, s.deadline(now))
		s.end += n
		switch {
		case n > 0:
			return nil
		case s.front.isStopping():
			return errStopping
		case !errors.Is(err, os.ErrDeadlineExceeded) || !s.mayWaitOn():
			return err
		}
	}
}

// makeRoom moves an incomplete message to the front of the buffer, which grows to hold it, and clears the rest.
func (s *stream) makeRoom() {
	rest := s.in[s.start:s.end]
	size := streamBuffer
	if len(rest) >= frameLength {
		size = max(size, frameLength+int(binary.BigEndian.Uint16(rest)))
	}
	switch {
	case s.in == nil:
		return
	case size > len(s.in) || len(s.in) > maxKept:
		in := make([]byte, size)
		copy(in, rest)
		releaseReadBuffer(s.in)
		s.in = in
	default:
		copy(s.in, rest)
		clear(s.in[len(rest):s.end])
	}
	s.start, s.end = 0, len(rest)
}

// deadline says until when the next octets must come.
func (s *stream) deadline(now time.Time) time.Time {
	limit := s.began.Add(firstMessageWithin)
	switch {
	case s.end == 0 && s.messages == 0:
		return limit
	case s.end == 0:
		return s.idleUntil()
	case s.messages > 0:
		limit = s.beginning.Add(wholeMessageWithin)
	}
	if next := now.Add(betweenOctets); next.Before(limit) {
		return next
	}
	return limit
}

func (s *stream) idleUntil() time.Time {
	since := time.Unix(0, s.active.Load())
	if s.pending.Load() > 0 { // a connection with queries in progress is not idle (RFC 7766 section 3)
		since = time.Now()
	}
	return since.Add(s.conns.idle(s.transport))
}

// mayWaitOn reports, when a read has timed out, whether an answer was sent meanwhile or is still to be sent.
func (s *stream) mayWaitOn() bool {
	return s.end == 0 && s.messages > 0 && s.idleUntil().After(time.Now())
}

// receive answers a message at once, or leaves it to a job.
func (s *stream) receive(msg []byte) error {
	defer s.visit.end()
	l := link{transport: s.transport, idle: s.conns.idle(s.transport), conn: s.conn, tally: &s.tally}
	answer, o := s.front.receive(s.visit, msg, s.client(), l)
	if o == missed {
		l.tally = nil // a job ends elsewhere
		started, err := s.startJob(msg, l)
		if started || err != nil {
			return err
		}
		answer, o = s.front.turnAway(s.visit, l), answered
	}
	if o == entrusted {
		started, err := s.entrust(msg, l)
		if started || err != nil {
			return err
		}
		answer, o = s.front.turnAway(s.visit, l), answered
	}
	if o == dropped {
		return errNoQuery
	}
	s.out = appendFrame(s.out, answer)
	if o == turnedAway { // strangers shall not crowd out those who are served
		return errors.Join(s.flush(), errNotServed)
	}
	if len(s.out) > flushAbove {
		return s.flush()
	}
	return nil
}

// startJob waits for a turn, so that nothing more is read from who has enough queries in progress, and then asks for
// a slot. started is false when there is none.
func (s *stream) startJob(msg []byte, l link) (started bool, err error) {
	if err := s.takeTurn(); err != nil {
		return false, err
	}
	j := s.front.newJob(s.visit, msg, s.client(), l)
	if j == nil {
		<-s.turns
		return false, nil
	}
	s.pending.Add(1)
	j.start(s.ctx, s)
	return true, nil
}

func (s *stream) takeTurn() error {
	select {
	case s.turns <- struct{}{}:
		return nil
	default:
	}
	if err := s.flush(); err != nil {
		return err
	}
	select {
	case s.turns <- struct{}{}:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// endTurn says that a query is no longer in progress.
func (s *stream) endTurn() {
	s.pending.Add(-1)
	<-s.turns
}

// entrust hands a message to the Keeper, as startJob does to a job.
func (s *stream) entrust(msg []byte, l link) (started bool, err error) {
	if err := s.takeTurn(); err != nil {
		return false, err
	}
	e := s.front.newErrand(s.visit, msg, s.client(), l)
	if e == nil {
		<-s.turns
		return false, nil
	}
	s.pending.Add(1)
	e.start(s.ctx, func(reply []byte) error {
		defer s.touch()
		return s.write(appendFrame(make([]byte, 0, frameLength+len(reply)), reply))
	}, s.endTurn)
	return true, nil
}

func (s *stream) deliver(j *job, answer []byte) {
	defer s.endTurn()
	j.frame = appendFrame(j.frame[:0], answer)
	_ = s.write(j.frame) // the reader sees the end, too
	s.touch()
}

// appendFrame appends a message behind its length: one write, one segment (RFC 7766 section 8).
func appendFrame(dst, msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(msg))), msg...)
}

// flush writes the answers that were known at once.
func (s *stream) flush() error {
	s.tally.tell(&s.front.counters[s.transport])
	if len(s.out) == 0 {
		return nil
	}
	err := s.write(s.out)
	clear(s.out)
	if s.out = s.out[:0]; cap(s.out) > 2*flushAbove {
		s.out = nil
	}
	return err
}

// write writes frames and ends a connection that does not take them.
func (s *stream) write(frames []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := s.conn.Write(frames)
	if err != nil {
		s.front.drop(s.transport, SendFailed)
		s.stop()
		s.cut()
	}
	return err
}

var (
	_ sender = (*stream)(nil)
	_ reader = (*stream)(nil)
)
