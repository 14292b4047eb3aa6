package zone

import (
	"cmp"
	"encoding/binary"
	"errors"

	"tacit/internal/wire"
)

// A record is one resource record of class IN. Its RDATA has no compression and is good until the next record is read.
type record struct {
	name  wire.Name
	kind  wire.Type
	ttl   uint32
	rdata []byte
}

// A reader reads the answer section of a message. It knows only as much of the types as compression makes it know: a
// type that is new is octets like any other (RFC 3597 section 3), so that the zone goes on when the registry does.
type reader struct {
	msg  []byte
	off  int
	left int // records that are still to come
	buf  []byte
}

// Why a message does not carry a zone.
var (
	errMessage = errors.New("message is malformed")
	errReply   = errors.New("message is not a reply to the question")
	errRefused = errors.New("server refuses")
)

const (
	flagQR    = 1 << 15
	flagTC    = 1 << 9
	maskOp    = 0xf << 11
	maskRcode = 0xf
)

// newReader checks the header of a reply and skips its question, which later messages may leave out (RFC 5936 section 2.2).
func newReader(msg []byte, id uint16, buf []byte) (*reader, error) {
	if len(msg) < wire.HeaderLength {
		return nil, errMessage
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	switch {
	case binary.BigEndian.Uint16(msg) != id, flags&flagQR == 0, flags&(maskOp|flagTC) != 0:
		return nil, errReply
	case flags&maskRcode != 0:
		return nil, errRefused
	}
	r := &reader{msg: msg, off: wire.HeaderLength, left: int(binary.BigEndian.Uint16(msg[6:])), buf: buf}
	for range binary.BigEndian.Uint16(msg[4:]) {
		_, end, ok := expand(r.buf[:0], msg, r.off)
		if !ok || end+4 > len(msg) {
			return nil, errMessage
		}
		r.off = end + 4
	}
	return r, nil
}

// next reads a record.
func (r *reader) next() (record, error) {
	name, end, ok := expand(r.buf[:0], r.msg, r.off)
	if !ok || end+10 > len(r.msg) {
		return record{}, errMessage
	}
	owner, err := wire.NameFromWire(name)
	if err != nil {
		return record{}, errMessage
	}
	fixed := r.msg[end:]
	rec := record{name: owner, kind: wire.Type(binary.BigEndian.Uint16(fixed)), ttl: binary.BigEndian.Uint32(fixed[4:])}
	start := end + 10
	end = start + int(binary.BigEndian.Uint16(fixed[8:]))
	if end > len(r.msg) || wire.Class(binary.BigEndian.Uint16(fixed[2:])) != wire.ClassIN {
		return record{}, errMessage
	}
	if rec.rdata, ok = r.rdata(rec.kind, start, end); !ok {
		return record{}, errMessage
	}
	r.off = end
	r.left--
	return rec, nil
}

// rdata returns RDATA without compression, which only the types of RFC 1035 can have (RFC 3597 section 4).
func (r *reader) rdata(kind wire.Type, start, end int) ([]byte, bool) {
	octets, names := 0, 0 // in front of the names, and how many
	switch kind {
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR:
		names = 1
	case wire.TypeMX:
		octets, names = 2, 1
	case wire.TypeSOA:
		names = 2
	default:
		return r.msg[start:end], true
	}
	if start+octets > end {
		return nil, false
	}
	b := append(r.buf[:0], r.msg[start:start+octets]...)
	off, ok := start+octets, true
	for range names {
		if b, off, ok = expand(b, r.msg[:end], off); !ok {
			return nil, false
		}
	}
	r.buf = append(b, r.msg[off:end]...)
	return r.buf, true
}

// expand appends the name at off, without compression, and returns where it ends in msg. Each pointer leads further
// back than the one before and a name has at most 255 octets, so it ends.
func expand(dst, msg []byte, off int) (name []byte, end int, ok bool) {
	start, limit := len(dst), off
	for off < len(msg) {
		size := int(msg[off])
		switch {
		case size > wire.MaxLabelLength:
			to, ok := pointer(msg, off)
			if !ok || to >= limit {
				return nil, 0, false
			}
			end = cmp.Or(end, off+2)
			off, limit = to, to
			continue
		case off+1+size > len(msg), len(dst)-start+1+size > wire.MaxNameLength:
			return nil, 0, false
		}
		dst = append(dst, msg[off:off+1+size]...)
		off += 1 + size
		if size == 0 {
			return dst, cmp.Or(end, off), true
		}
	}
	return nil, 0, false
}

// pointer reads a compression pointer (RFC 1035 section 4.1.4).
func pointer(msg []byte, off int) (to int, ok bool) {
	if msg[off] < 0xc0 || off+2 > len(msg) {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(msg[off:]) & 0x3fff), true
}
