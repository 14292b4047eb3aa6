package wire

import (
	"math"
	"slices"
)

// An OPT is what goes into the OPT record of a response (RFC 6891 section 6).
type OPT struct {
	UDPSize uint16
	DO, CO  bool
	Rcode   Rcode // its upper eight bits
	Errors  []ExtendedError
	Cookie  []byte // client and server cookie
	// Keepalive is the idle time-out in units of 100 ms (RFC 7828 section 3.1); negative: no option.
	Keepalive int
	// Padding makes the length of the whole message a multiple of it (RFC 7830); 0: no option.
	Padding int
}

// AppendOPT appends an OPT record to a message and counts it. Errors that do not fit in room octets are left out,
// text first, so that a report never costs the answer its place; padding takes what room is left.
func AppendOPT(msg []byte, opt *OPT, room int) []byte {
	var flags byte
	if opt.DO {
		flags |= 0x80
	}
	if opt.CO { // RFC 9824 section 5.1
		flags |= 0x40
	}
	start := len(msg)
	msg = append(msg, 0, 0, byte(TypeOPT), byte(opt.UDPSize>>8), byte(opt.UDPSize), byte(opt.Rcode>>4), 0, flags, 0, 0, 0)
	if len(opt.Cookie) > 0 {
		msg = appendOption(msg, OptionCookie, opt.Cookie)
	}
	if opt.Keepalive >= 0 {
		msg = append(msg, 0, OptionKeepalive, 0, 2, byte(opt.Keepalive>>8), byte(opt.Keepalive))
	}
	for _, e := range opt.Errors {
		msg = appendError(msg, e, room-(len(msg)-start))
	}
	if opt.Padding > 0 {
		msg = appendPadding(msg, opt.Padding, start+room)
	}
	put16(msg[start+9:], uint16(len(msg)-start-11))
	put16(msg[10:], be16(msg[10:])+1)
	return msg
}

// OPTLength is the length of an OPT record without options.
const OPTLength = 11

func appendOption(msg []byte, code uint16, value []byte) []byte {
	msg = append(msg, byte(code>>8), byte(code), byte(len(value)>>8), byte(len(value)))
	return append(msg, value...)
}

// appendPadding appends zeros (RFC 7830 section 3) up to the next multiple of block, or to most where that is less.
func appendPadding(msg []byte, block, most int) []byte {
	const header = 4
	size := len(msg) + header
	size = min((size+block-1)/block*block, most) - size
	if size < 0 {
		return msg
	}
	msg = append(msg, 0, OptionPadding, byte(size>>8), byte(size))
	msg = slices.Grow(msg, size)
	padding := msg[len(msg) : len(msg)+size]
	clear(padding)
	return msg[:len(msg)+size]
}

func appendError(msg []byte, e ExtendedError, room int) []byte {
	text := e.Text
	if 6+len(text) > room {
		text = ""
	}
	if 6 > room {
		return msg
	}
	size := 2 + len(text)
	msg = append(msg, 0, OptionEDE, byte(size>>8), byte(size), byte(e.Code>>8), byte(e.Code))
	return append(msg, text...)
}

// Reply patches a finished answer, which must be the caller's own copy, for the client that asked q: its ID, its RD
// and CD bits, its letter case. AD stays only for those who can use it (RFC 6840 section 5.7).
func Reply(msg []byte, q *Query) {
	put16(msg, q.ID)
	flags := be16(msg[2:])
	if q.RD {
		flags |= flagRD
	}
	if q.CD {
		flags |= flagCD
	}
	if !q.AD && !q.DO {
		flags &^= flagAD
	}
	put16(msg[2:], flags)
	copy(msg[HeaderLength:], q.RawQuestion())
}

// AppendRejection appends the answer to a query that is not resolved: the header with rcode and the question, as
// far as it could be read.
func AppendRejection(dst []byte, q *Query, rcode Rcode) []byte {
	flags := uint16(flagQR) | uint16(q.opcode)<<11 | uint16(rcode&0xf)
	if q.RD {
		flags |= flagRD
	}
	if q.CD {
		flags |= flagCD
	}
	if q.opcode == OpcodeQuery {
		flags |= flagRA
	}
	question := q.RawQuestion()
	var count byte
	if question != nil {
		count = 1
	}
	dst = append(dst, byte(q.ID>>8), byte(q.ID), byte(flags>>8), byte(flags), 0, count, 0, 0, 0, 0, 0, 0)
	return append(dst, question...)
}

// Truncate cuts a response down to header and question and sets TC (RFC 2181 section 9): a client that needs the
// answer asks again over TCP, and no partial RRset can be taken for a whole one.
func Truncate(msg []byte) []byte {
	end, ok := skipName(msg, HeaderLength)
	if !ok || be16(msg[4:]) != 1 || end+4 > len(msg) {
		end = HeaderLength - 4
		put16(msg[4:], 0)
	}
	put16(msg[2:], be16(msg[2:])|flagTC)
	clear(msg[6:HeaderLength])
	return msg[:end+4]
}

// TTLOffsets appends the offsets of the TTLs of a packed answer to dst. ok is false when the message is malformed.
func TTLOffsets(dst []uint16, msg []byte) (offsets []uint16, ok bool) {
	if len(msg) < HeaderLength || len(msg) > math.MaxUint16 {
		return dst, false
	}
	off := HeaderLength
	for range be16(msg[4:]) {
		if off, ok = skipName(msg, off); !ok {
			return dst, false
		}
		off += 4
	}
	for range int(be16(msg[6:])) + int(be16(msg[8:])) + int(be16(msg[10:])) {
		r, end, ok := parseRecord(msg, off)
		if !ok {
			return dst, false
		}
		if r.kind != TypeOPT {
			dst = append(dst, uint16(end-len(r.data)-6))
		}
		off = end
	}
	return dst, off == len(msg)
}

// CountDown takes seconds off the TTLs at offsets, down to zero.
func CountDown(msg []byte, offsets []uint16, seconds uint32) {
	for _, off := range offsets {
		ttl := be32(msg[off:])
		put32(msg[off:], ttl-min(ttl, seconds))
	}
}

// Turn gives the addresses in the answer section of a packed answer another order: of n in one RRset, the one at place by
// modulo n comes first. It allocates nothing. A malformed message is left as it is.
func Turn(msg []byte, by uint32) {
	off, ok := skipName(msg, HeaderLength)
	if !ok || be16(msg[4:]) != 1 {
		return
	}
	off += 4
	first, length := off, 0 // of the records that are alike but for the address
	for range be16(msg[6:]) {
		r, end, ok := parseRecord(msg, off)
		if !ok {
			return
		}
		head := end - off - len(r.data)
		if end-off != length || string(msg[off:off+head]) != string(msg[first:first+head]) {
			turn(msg[first:off], length, by)
			first, length = off, 0
			if r.kind == TypeA || r.kind == TypeAAAA {
				length = end - off
			}
		}
		off = end
	}
	turn(msg[first:off], length, by)
}

// turn rotates pieces of a length to the left.
func turn(pieces []byte, length int, by uint32) {
	if length == 0 || len(pieces) <= length {
		return
	}
	at := int(by%uint32(len(pieces)/length)) * length
	slices.Reverse(pieces[:at])
	slices.Reverse(pieces[at:])
	slices.Reverse(pieces)
}

// Freshness returns for how many seconds an answer may be kept by a cache that looks at nothing else of it: the smallest
// TTL in the answer section, or of a negative answer the one that its SOA record gives (RFC 8484 section 5.1, RFC 2308
// section 5). Zero when there is neither.
func Freshness(msg []byte) uint32 {
	if len(msg) < HeaderLength {
		return 0
	}
	off, ok := HeaderLength, true
	for range be16(msg[4:]) {
		if off, ok = skipName(msg, off); !ok {
			return 0
		}
		off += 4
	}
	if answers := be16(msg[6:]); answers > 0 {
		return smallestTTL(msg, off, answers)
	}
	return negativeTTL(msg, off, be16(msg[8:]))
}

func smallestTTL(msg []byte, off int, count uint16) uint32 {
	smallest := uint32(math.MaxInt32)
	for range count {
		r, end, ok := parseRecord(msg, off)
		if !ok {
			return 0
		}
		smallest, off = min(smallest, r.ttl), end
	}
	return smallest
}

func negativeTTL(msg []byte, off int, count uint16) uint32 {
	for range count {
		r, end, ok := parseRecord(msg, off)
		if !ok {
			return 0
		}
		if r.kind == TypeSOA && len(r.data) >= 4 {
			return min(r.ttl, be32(r.data[len(r.data)-4:]))
		}
		off = end
	}
	return 0
}
