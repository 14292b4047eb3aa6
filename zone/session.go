package zone

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// A session is one connection to a server, over which the serial is asked for and the zone transferred (RFC 5936
// section 4.1).
type session struct {
	conn net.Conn
	in   *bufio.Reader
	idle *time.Timer // closes the connection
	left int         // octets that may still come
	msg  []byte
	buf  []byte
}

// idleTime is how long a server may let one wait for a message.
const idleTime = 10 * time.Second

// A transferError is why nothing was transferred, in constant words, which the log may show.
type transferError string

func (e transferError) Error() string { return string(e) }

// ConstantText marks the type for the log.
func (transferError) ConstantText() {}

// Why a session fails.
const (
	errNetwork transferError = "connection fails or ends early"
	errTooLong transferError = "transfer has more octets than are taken"
)

// newSession speaks over a connection, of which it reads no more octets than limit.
func newSession(conn net.Conn, limit int) *session {
	return &session{
		conn: conn, in: bufio.NewReaderSize(conn, 64<<10), left: limit,
		idle: time.AfterFunc(idleTime, func() { _ = conn.Close() }), // whoever reads sees it
		buf:  make([]byte, 0, 1024),
	}
}

func (s *session) close() {
	s.idle.Stop()
	_ = s.conn.Close() // nothing is lost with it
}

// send sends a message, which is short.
func (s *session) send(msg []byte) error {
	s.idle.Reset(idleTime)
	framed := append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg))), msg...)
	if _, err := s.conn.Write(framed); err != nil {
		return errNetwork
	}
	return nil
}

// receive reads one message, which is good until the next.
func (s *session) receive() ([]byte, error) {
	s.idle.Reset(idleTime)
	var length [2]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, errNetwork
	}
	size := int(binary.BigEndian.Uint16(length[:]))
	if s.left -= len(length) + size; s.left < 0 {
		return nil, errTooLong
	}
	if cap(s.msg) < size {
		s.msg = make([]byte, 1<<16)
	}
	if _, err := io.ReadFull(s.in, s.msg[:size]); err != nil {
		return nil, errNetwork
	}
	return s.msg[:size], nil
}
