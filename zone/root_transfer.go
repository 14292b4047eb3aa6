package zone

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"tacit/internal/wire"
)

// Limits of a transfer. The root zone takes about 1.3 MB.
const maxTransfer = 8 << 20 // octets

// Why a transfer fails.
const (
	errBegin transferError = "transfer does not begin with the SOA record of the root"
	errEnd   transferError = "transfer does not end with the SOA record that it began with"
)

// ask sends a question about the root: nothing but the type differs, and the ID, which nobody can foresee.
func (s *session) ask(t wire.Type) (id uint16, err error) {
	var random [2]byte
	rand.Read(random[:])
	query := []byte{random[0], random[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(t >> 8), byte(t), 0, byte(wire.ClassIN)}
	return binary.BigEndian.Uint16(random[:]), s.send(query)
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
