package zone

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"time"

	"tacit/internal/wire"
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

// Limits of a transfer. The root zone takes about 1.3 MB.
const (
	maxTransfer = 8 << 20 // octets
	idleTime    = 10 * time.Second
)

// A transferError is why nothing was transferred, in constant words, which the log may show.
type transferError string

func (e transferError) Error() string { return string(e) }

// ConstantText marks the type for the log.
func (transferError) ConstantText() {}

// Why a transfer fails.
const (
	errNetwork transferError = "connection fails or ends early"
	errTooLong transferError = "transfer is longer than any root zone"
	errBegin   transferError = "transfer does not begin with the SOA record of the root"
	errEnd     transferError = "transfer does not end with the SOA record that it began with"
)

func newSession(conn net.Conn) *session {
	return &session{
		conn: conn, in: bufio.NewReaderSize(conn, 64<<10), left: maxTransfer,
		idle: time.AfterFunc(idleTime, func() { _ = conn.Close() }), // whoever reads sees it
		buf:  make([]byte, 0, 1024),
	}
}

func (s *session) close() {
	s.idle.Stop()
	_ = s.conn.Close() // nothing is lost with it
}

// ask sends a question about the root: nothing but the type differs, and the ID, which nobody can foresee.
func (s *session) ask(t wire.Type) (id uint16, err error) {
	var random [2]byte
	rand.Read(random[:])
	query := []byte{0, 17, random[0], random[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(t >> 8), byte(t), 0, byte(wire.ClassIN)}
	if _, err := s.conn.Write(query); err != nil {
		return 0, errNetwork
	}
	return binary.BigEndian.Uint16(random[:]), nil
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

// serial asks for the serial that the server has.
func (s *session) serial() (uint32, error) {
	id, err := s.ask(wire.TypeSOA)
	if err != nil {
		return 0, err
	}
	msg, err := s.receive()
	if err != nil {
		return 0, err
	}
	r, err := newReader(msg, id, s.buf)
	if err != nil {
		return 0, err
	}
	for r.left > 0 {
		rec, err := r.next()
		if err != nil {
			return 0, err
		}
		if !isRootSOA(&rec) {
			continue
		}
		t, ok := readTimers(&wire.RRset{Data: wire.Rdatas{}.Add(rec.rdata)})
		if !ok {
			return 0, errNoSOA
		}
		return t.serial, nil
	}
	return 0, errNoSOA
}

func isRootSOA(r *record) bool { return r.name.IsRoot() && r.kind == wire.TypeSOA }

// transfer fetches the whole zone. It begins with the SOA record and ends where that comes again (RFC 5936 section 2.2); if
// the zone changes meanwhile, the two differ.
func (s *session) transfer() (*Copy, error) {
	id, err := s.ask(wire.TypeAXFR)
	if err != nil {
		return nil, err
	}
	var zone assembly
	var soa []byte
	for {
		msg, err := s.receive()
		if err != nil {
			return nil, err
		}
		r, err := newReader(msg, id, s.buf)
		if err != nil {
			return nil, err
		}
		done, err := zone.take(r, &soa)
		if err != nil {
			return nil, err
		}
		if done {
			return zone.finish()
		}
	}
}

// take adds the records of a message and reports whether it is the last one.
func (a *assembly) take(r *reader, soa *[]byte) (done bool, err error) {
	for r.left > 0 && err == nil {
		var rec record
		if rec, err = r.next(); err != nil {
			return false, err
		}
		switch begun := *soa != nil; {
		case begun && !isRootSOA(&rec):
			err = a.add(&rec)
		case begun && (r.left > 0 || !bytes.Equal(rec.rdata, *soa)):
			err = errEnd
		case begun:
			return true, nil
		case isRootSOA(&rec):
			*soa = bytes.Clone(rec.rdata)
			err = a.add(&rec)
		default:
			err = errBegin
		}
	}
	return false, err
}
