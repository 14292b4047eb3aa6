package cache

import (
	"encoding/binary"
	"hash/maphash"
	"time"
	"unsafe"

	"tacit/internal/wire"
)

// Packets remembers finished answers for the fast path. What differs from client to client is not in them.
type Packets struct {
	entries    *store[packetKey, packet] // nil: turned off
	seed       maphash.Seed
	prefetch   bool
	generation *generation
}

// A packetKey finds an answer without its name being interned. The hash stands for the name: whether it is the
// right one, the question section of the packet says.
type packetKey struct {
	name uint64
	kind wire.Type
	bits uint8
	view wire.View
}

const (
	bitDO = 1 << iota
	bitCD
)

type packet struct {
	bytes      []byte // the message, and behind it the offsets of its TTLs, two octets each
	errors     []wire.ExtendedError
	stored     instant
	expires    instant
	generation uint64
	length     uint16 // of the message
	fixed      bool
	hit        bool
	refresh    refresh
}

// A refresh is how far the refreshing of an answer near its end has come.
type refresh uint8

const (
	notDue   refresh = iota
	refused          // Get has said no for the sake of it
	underWay         // Due has told the whole path
)

func newPackets(size int64, o Options, g *generation) *Packets {
	p := &Packets{seed: maphash.MakeSeed(), prefetch: !o.NoPrefetch, generation: g}
	if size > 0 {
		p.entries = newStore[packetKey](size, func(e *packet) { clear(e.bytes) })
	}
	return p
}

// Get returns the answer to q, its packet copied into dst[:0] and counted down. It says no when there is none, and
// once near the end of the life of an answer that was asked for before: the whole path can refresh it then. It
// neither blocks nor, when dst has room, allocates. Answer.Errors is shared.
func (p *Packets) Get(dst []byte, q *wire.Query, now time.Time) (wire.Answer, bool) {
	if p.entries == nil || q.Class != wire.ClassIN {
		return wire.Answer{}, false
	}
	name := q.FoldedName()
	key := p.key(name, q.Type, q.DO, q.CD, q.View)
	shard, hash := p.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	e := shard.get(hash, key)
	ok := e != nil && e.asked(name) && (q.RD || e.fixed) && p.good(e, instantOf(now))
	shard.tally(ok)
	if !ok {
		return wire.Answer{}, false
	}
	return e.answer(dst, instantOf(now)), true
}

// good reports whether e may be given at now.
func (p *Packets) good(e *packet, now instant) bool {
	if now >= e.expires || !p.generation.is(e.generation) {
		return false
	}
	if p.prefetch && e.hit && e.refresh == notDue && lateInLife(e.stored, e.expires, now) {
		e.refresh = refused
		return false
	}
	e.hit = true
	return true
}

// asked reports whether name is the name of the packet's question.
func (e *packet) asked(name []byte) bool {
	end := wire.HeaderLength + len(name)
	return int(e.length) >= end && string(e.bytes[wire.HeaderLength:end]) == string(name)
}

func (e *packet) answer(dst []byte, now instant) wire.Answer {
	dst = append(dst[:0], e.bytes[:e.length]...)
	if elapsed := e.stored.elapsed(now); elapsed > 0 && !e.fixed {
		e.countDown(dst, elapsed)
	}
	return wire.Answer{Packet: dst, Expires: e.expires.time(), Errors: e.errors, Fixed: e.fixed}
}

func (e *packet) countDown(msg []byte, elapsed uint32) {
	var some [16]uint16
	for packed := e.bytes[e.length:]; len(packed) > 0; {
		n := min(len(some), len(packed)/2)
		for i := range n {
			some[i] = binary.BigEndian.Uint16(packed[2*i:])
		}
		wire.CountDown(msg, some[:n], elapsed)
		packed = packed[2*n:]
	}
}

// Due reports, once, that Get said no to q only to have the answer refreshed. RRsets cannot tell: while Packets
// answers, nobody asks for them.
func (p *Packets) Due(q wire.Question, now time.Time) bool {
	if p.entries == nil || q.Class != wire.ClassIN {
		return false
	}
	var buf [wire.MaxNameLength]byte
	name := q.Name.Append(buf[:0])
	key := p.key(name, q.Type, q.DO, q.CD, q.View)
	shard, hash := p.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	e := shard.get(hash, key)
	if e == nil || !e.asked(name) || e.refresh != refused || instantOf(now) >= e.expires || !p.generation.is(e.generation) {
		return false
	}
	e.refresh = underWay
	return true
}

// Put remembers the answer to q, found by a resolution that started in generation. It copies a.Packet. It refuses
// failures, what has expired, and what only local data may answer.
func (p *Packets) Put(q wire.Question, a wire.Answer, now time.Time, generation uint64) bool {
	if p.entries == nil || q.Class != wire.ClassIN || (q.NoRecursion && !a.Fixed) {
		return false
	}
	var buf [wire.MaxNameLength]byte
	name := q.Name.Append(buf[:0])
	e, ok := newPacket(a, instantOf(now), generation)
	if !ok || !e.asked(name) {
		return false
	}
	key := p.key(name, q.Type, q.DO, q.CD, q.View)
	shard, hash := p.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	return p.generation.is(generation) && shard.put(hash, key, e, e.weight(), e.negative())
}

func newPacket(a wire.Answer, now instant, generation uint64) (packet, bool) {
	expires := instantOf(a.Expires)
	if len(a.Packet) < wire.HeaderLength || a.Rcode() == wire.ServFail || expires <= now {
		return packet{}, false
	}
	var buf [64]uint16
	offsets, ok := wire.TTLOffsets(buf[:0], a.Packet)
	if !ok {
		return packet{}, false
	}
	bytes := make([]byte, len(a.Packet), len(a.Packet)+2*len(offsets))
	copy(bytes, a.Packet)
	for _, off := range offsets {
		bytes = binary.BigEndian.AppendUint16(bytes, off)
	}
	return packet{
		bytes: bytes, length: uint16(len(a.Packet)), errors: a.Errors, stored: now, expires: expires,
		generation: generation, fixed: a.Fixed,
	}, true
}

// weight returns the bytes outside of the entry. The text of errors is constants.
func (e *packet) weight() int {
	return len(e.bytes) + len(e.errors)*int(unsafe.Sizeof(wire.ExtendedError{}))
}

// negative reports whether the answer denies: it holds an error or no answer at all.
func (e *packet) negative() bool {
	return wire.Rcode(e.bytes[3]&0xf) != wire.NoError || binary.BigEndian.Uint16(e.bytes[wire.AnswerSection:]) == 0
}

func (p *Packets) key(name []byte, kind wire.Type, do, cd bool, view wire.View) packetKey {
	k := packetKey{name: maphash.Bytes(p.seed, name), kind: kind, view: view}
	if do {
		k.bits |= bitDO
	}
	if cd {
		k.bits |= bitCD
	}
	return k
}

func (p *Packets) flush() {
	if p.entries != nil {
		p.entries.removeIf(func(*packetKey, *packet) bool { return true })
	}
}

func (p *Packets) stats() Count {
	if p.entries == nil {
		return Count{}
	}
	return p.entries.stats()
}
