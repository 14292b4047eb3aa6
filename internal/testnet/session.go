package testnet

import (
	"encoding/binary"
	"time"
)

// A session is the server's end of a TCP connection. It lives on the agenda alone: no goroutine, no lock, and nothing
// to close when the client is done.
type session struct {
	internet *Internet
	server   *Server
	conn     *streamConn
	pending  []byte
	answered int
	active   time.Time
	ended    bool
}

// send carries bytes from the client to the session.
func (s *session) send(b []byte) {
	s.later(0, func() { s.receive(b) })
}

// receive answers each message that is complete (RFC 1035 section 4.2.2; pipelining: RFC 7766 section 6.2.1.1).
func (s *session) receive(b []byte) {
	if s.ended {
		return
	}
	s.pending = append(s.pending, b...)
	for {
		message, rest, ok := cutMessage(s.pending)
		if !ok {
			break
		}
		s.pending = rest
		s.answer(message)
	}
	s.touch()
}

func (s *session) answer(message []byte) {
	arrival := Arrival{Time: time.Now(), Transport: TCP, From: s.conn.local, To: s.conn.remote, Packet: message}
	for _, r := range s.server.Handle(arrival) {
		s.later(r.Delay, func() { s.deliver(r.Packet) })
	}
}

func (s *session) deliver(packet []byte) {
	if s.ended {
		return
	}
	s.conn.inbox.put(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
	s.answered++
	if s.answered == s.server.answersPerConnection() {
		s.end()
		return
	}
	s.touch()
}

// touch starts the idle time anew (RFC 7766 section 6.2.3: servers close idle connections).
func (s *session) touch() {
	idle := s.server.idleTime()
	s.active = time.Now()
	s.internet.agenda.after(idle, func() {
		if time.Since(s.active) >= idle {
			s.end()
		}
	})
}

func (s *session) end() {
	s.ended = true
	s.conn.inbox.end()
}

// later calls do after d and the way between the ends.
func (s *session) later(d time.Duration, do func()) {
	s.internet.agenda.after(d+s.internet.oneWay(s.conn.remote), do)
}

func cutMessage(b []byte) (message, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	end := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < end {
		return nil, b, false
	}
	return b[2:end:end], b[end:], true
}
