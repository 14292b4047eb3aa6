package cache

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
	"unsafe"

	"tacit/internal/wire"
)

// Packets remembers finished answers for the fast path. What differs from client to client is not in them.
//
// A record is what a packet has; flags and view and the question section, which are the key; the rest of the message; its
// extended errors; and the offsets of its TTLs, two octets each, with a life behind each where TTLs are blurred.
type Packets struct {
	entries    *store // nil: turned off
	prefetch   bool
	generation *generation
	blur       *blur // nil: TTLs are shown as they are
}

// maxPacketKey is the length of the longest key: flags and view, a name, type and class.
const (
	beforeQuestion = 2
	maxPacketKey   = beforeQuestion + wire.MaxNameLength + 4
)

const (
	bitDO = 1 << iota
	bitCD
	bitCO
)

func appendPacketKey(dst, name []byte, t wire.Type, do, co, cd bool, view wire.View) []byte {
	var bits byte
	if do {
		bits |= bitDO
	}
	if cd {
		bits |= bitCD
	}
	if co {
		bits |= bitCO
	}
	dst = append(append(dst, bits, byte(view)), name...)
	return append(dst, byte(t>>8), byte(t), 0, byte(wire.ClassIN))
}

// A packet is what is known of an answer beside its message, and the header of that: the fixed octets of a record.
type packet [headOctets]byte

const packetLength = 31 + wire.HeaderLength

func packetOf(r *reader) *packet { return (*packet)(&r.head.octets) }

func (p *packet) length() int        { return int(binary.LittleEndian.Uint16(p[1:])) } // of the message
func (p *packet) ttls() int          { return int(binary.LittleEndian.Uint16(p[3:])) } // how many
func (p *packet) errors() int        { return int(p[5]) }                              // how many
func (p *packet) stored() instant    { return instant(binary.LittleEndian.Uint64(p[6:])) }
func (p *packet) expires() instant   { return instant(binary.LittleEndian.Uint64(p[14:])) }
func (p *packet) generation() uint64 { return binary.LittleEndian.Uint64(p[22:]) }
func (p *packet) late() byte         { return p[30] } // part of its life
func (p *packet) header() []byte     { return p[31:packetLength] }

func (p *packet) is(mark byte) bool { return p[0]&mark != 0 }
func (p *packet) mark(mark byte)    { p[0] |= mark }

// Marks of a packet.
const (
	markFixed    = 1 << iota
	markRefused  // near its end, and Get has said no for the sake of a refresh
	markUnderWay // Due has told the whole path
	markBlurred  // behind each offset stands a life
)

func newPackets(size int64, o Options, g *generation) *Packets {
	p := &Packets{prefetch: !o.NoPrefetch, generation: g}
	if o.BlurTTLs {
		p.blur = newBlur()
	}
	if size > 0 {
		p.entries = newStore(size, packetLength)
	}
	return p
}

// Get returns the answer to q, its packet copied into dst[:0] and counted down. It says no when there is none, and once near
// the end of its life: the whole path can refresh it then. It neither blocks nor, when dst has room and the answer no extended
// error, allocates.
func (p *Packets) Get(dst []byte, q *wire.Query, now time.Time) (wire.Answer, bool) {
	if p.entries == nil || q.Class != wire.ClassIN {
		return wire.Answer{}, false
	}
	var buf [maxPacketKey]byte
	var r reader
	key, moment := appendPacketKey(buf[:0], q.FoldedName(), q.Type, q.DO, q.CO, q.CD, q.View), instantOf(now)
	shard, hash := p.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	if shard.get(hash, key, &r) {
		if e := packetOf(&r); (q.RD || e.is(markFixed)) && p.good(e, moment) {
			shard.tally(true)
			return e.answer(dst, key[beforeQuestion:], &r, moment, p.blur), true
		}
	}
	shard.tally(false)
	return wire.Answer{}, false
}

// good reports whether e may be given at now.
func (p *Packets) good(e *packet, now instant) bool {
	if now >= e.expires() || !p.generation.is(e.generation()) {
		return false
	}
	if p.prefetch && !e.is(markRefused|markUnderWay) && e.isLate(now) {
		e.mark(markRefused)
		return false
	}
	return true
}

// lateParts is in how many parts a life is divided to say when it is late: so many that fit into an octet, and that a tenth
// of it can be said exactly.
const lateParts = 250

// lateOf returns the last parts of the life of an answer that is put at now in which it is worth a refresh.
func lateOf(a *wire.Answer, now instant) byte {
	if a.Refresh.IsZero() || !a.Refresh.Before(a.Expires) { // what ends first is not worth one
		return 0
	}
	part := max(1, (instantOf(a.Expires)-now)/lateParts)
	return byte(min((instantOf(a.Expires)-instantOf(a.Refresh)+part-1)/part, lateParts))
}

func (p *packet) isLate(now instant) bool {
	part := (p.expires() - p.stored()) / lateParts
	return p.late() > 0 && now >= p.expires()-instant(p.late())*part
}

// answer puts the answer together; r stands behind the question.
func (p *packet) answer(dst, question []byte, r *reader, now instant, blur *blur) wire.Answer {
	msg := slices.Grow(dst[:0], p.length())[:p.length()]
	end := copy(msg, p.header())
	end += copy(msg[end:], question)
	r.read(msg[end:])
	a := wire.Answer{Packet: msg, Expires: p.expires().time(), Errors: readErrors(r, p.errors()), Fixed: p.is(markFixed)}
	switch elapsed := p.stored().elapsed(now); {
	case p.is(markBlurred):
		p.showBlurred(msg, r, elapsed, blur.at(now))
	case elapsed > 0 && !a.Fixed:
		p.countDown(msg, r, elapsed)
	}
	return a
}

func (p *packet) countDown(msg []byte, r *reader, elapsed uint32) {
	var packed [32]byte
	var offsets [len(packed) / 2]uint16
	for left := p.ttls(); left > 0; left -= len(offsets) {
		n := min(left, len(offsets))
		r.read(packed[:2*n])
		for i := range n {
			offsets[i] = binary.BigEndian.Uint16(packed[2*i:])
		}
		wire.CountDown(msg, offsets[:n], elapsed)
	}
}

// Due reports, once, that Get said no to q only to have the answer refreshed. RRsets cannot tell: while Packets
// answers, nobody asks for them.
func (p *Packets) Due(q wire.Question, now time.Time) bool {
	if p.entries == nil || q.Class != wire.ClassIN {
		return false
	}
	var name [wire.MaxNameLength]byte
	var buf [maxPacketKey]byte
	var r reader
	key := appendPacketKey(buf[:0], q.Name.Append(name[:0]), q.Type, q.DO, q.CO, q.CD, q.View)
	shard, hash := p.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	if !shard.get(hash, key, &r) {
		return false
	}
	e := packetOf(&r)
	if !e.is(markRefused) || e.is(markUnderWay) || instantOf(now) >= e.expires() || !p.generation.is(e.generation()) {
		return false
	}
	e.mark(markUnderWay)
	return true
}

// Forget forgets the answers to q, whatever else was asked for with it.
func (p *Packets) Forget(q wire.Question) {
	if p.entries == nil {
		return
	}
	var name [wire.MaxNameLength]byte
	var buf [maxPacketKey]byte
	key := appendPacketKey(buf[:0], q.Name.Append(name[:0]), q.Type, false, false, false, q.View)
	for key[0] = 0; key[0] <= bitDO|bitCD|bitCO; key[0]++ {
		var r reader
		shard, hash := p.entries.locate(key)
		shard.Lock()
		if shard.find(hash, key, &r) {
			shard.remove(r.place)
		}
		shard.Unlock()
	}
}

// Put remembers the answer to q, found by a resolution that started in generation. It copies a. It refuses failures,
// what has expired, and what only local data may answer.
func (p *Packets) Put(q wire.Question, a wire.Answer, now time.Time, generation uint64) bool {
	if p.entries == nil || q.Class != wire.ClassIN || (q.NoRecursion && !a.Fixed) {
		return false
	}
	var name [wire.MaxNameLength]byte
	var keyBuf [maxPacketKey]byte
	var buf [1024]byte
	key := appendPacketKey(keyBuf[:0], q.Name.Append(name[:0]), q.Type, q.DO, q.CO, q.CD, q.View)
	record, ok := appendPacket(buf[:0], key, &a, instantOf(now), generation, p.blur != nil)
	if !ok {
		return false
	}
	shard, hash := p.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	return p.generation.is(generation) && shard.put(hash, key, record, denies(a.Packet))
}

// appendPacket appends the record of an answer, unless it is not to be remembered or is none to the question in key.
func appendPacket(dst, key []byte, a *wire.Answer, now instant, generation uint64, blurs bool) (record []byte, ok bool) {
	question := key[beforeQuestion:]
	end := wire.HeaderLength + len(question)
	expires := instantOf(a.Expires)
	if len(a.Packet) < end || a.Rcode() == wire.ServFail || expires <= now || len(a.Errors) > math.MaxUint8 {
		return nil, false
	}
	var buf [64]uint16
	offsets, ok := wire.TTLOffsets(buf[:0], a.Packet)
	if !ok || string(a.Packet[wire.HeaderLength:end]) != string(question) {
		return nil, false
	}
	var p packet
	if a.Fixed {
		p.mark(markFixed)
	}
	if blurs = blurs && len(a.Lives) > 0; blurs {
		if len(a.Lives) != len(offsets) || len(offsets) > maxBlurred {
			return nil, false
		}
		p.mark(markBlurred)
	}
	binary.LittleEndian.PutUint16(p[1:], uint16(len(a.Packet)))
	binary.LittleEndian.PutUint16(p[3:], uint16(len(offsets)))
	p[5] = byte(len(a.Errors))
	binary.LittleEndian.PutUint64(p[6:], uint64(now))
	binary.LittleEndian.PutUint64(p[14:], uint64(expires))
	binary.LittleEndian.PutUint64(p[22:], generation)
	p[30] = lateOf(a, now)
	copy(p.header(), a.Packet)
	record = append(append(append(dst, p[:packetLength]...), key...), a.Packet[end:]...)
	record = appendErrors(record, a.Errors)
	for i, off := range offsets {
		if record = binary.BigEndian.AppendUint16(record, off); blurs {
			record = appendLife(record, a.Lives[i])
		}
	}
	return record, true
}

// denies reports whether a message holds an error or no answer at all.
func denies(msg []byte) bool {
	return wire.Rcode(msg[3]&0xf) != wire.NoError || binary.BigEndian.Uint16(msg[wire.AnswerSection:]) == 0
}

func appendErrors(dst []byte, errors []wire.ExtendedError) []byte {
	for _, e := range errors {
		dst = binary.BigEndian.AppendUint16(dst, uint16(e.Code))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.Text)))
		dst = append(dst, e.Text...)
	}
	return dst
}

// readErrors reads what appendErrors wrote.
func readErrors(r *reader, count int) []wire.ExtendedError {
	if count == 0 {
		return nil
	}
	errors := make([]wire.ExtendedError, count)
	for i := range errors {
		var b [4]byte
		r.read(b[:])
		text := make([]byte, binary.BigEndian.Uint16(b[2:]))
		r.read(text)
		errors[i] = wire.ExtendedError{Code: wire.EDE(binary.BigEndian.Uint16(b[:])), Text: unsafe.String(unsafe.SliceData(text), len(text))}
	}
	return errors
}

func (p *Packets) flush() {
	if p.entries != nil {
		p.entries.clear()
	}
}

func (p *Packets) stats() Count {
	if p.entries == nil {
		return Count{}
	}
	return p.entries.stats()
}
