package wire

import (
	"errors"
	"hash/maphash"
	"math"
)

// A Builder writes a response section by section: start it with Begin, add RRsets in the order of the sections, take
// the message with Message. It compresses owner names and the names in the RDATA of the types of RFC 1035 (RFC 3597
// section 4 allows no others). The zero Builder is ready, and a Builder is meant to be reused.
type Builder struct {
	msg     []byte
	targets [maxTargets]target
	count   int
	lives   []Life
}

// maxTargets bounds the names that later names may point to, and so the work per name: a message of many names
// costs linear, not quadratic time (CVE-2024-8508 and its relatives).
const maxTargets = 120

type target struct {
	hash   uint32
	offset uint16
}

// A Section is a section of a message behind the question.
type Section int

// Sections; the values are the offsets of their counts in the header.
const (
	AnswerSection     Section = 6
	AuthoritySection  Section = 8
	AdditionalSection Section = 10
)

// ErrMessageTooLong is returned when a message would pass 65,535 octets.
var ErrMessageTooLong = errors.New("message longer than 65535 octets")

// Flags are the flags of a response's header that its contents decide.
type Flags uint16

// Flags of a response.
const (
	Authoritative Flags = flagAA
	Authenticated Flags = flagAD
)

// Begin starts a response to q in buf[:0].
func (b *Builder) Begin(buf []byte, q Question, rcode Rcode, flags Flags) {
	b.count, b.lives = 0, nil
	head := uint16(flagQR|flagRA) | uint16(flags) | uint16(rcode&0xf)
	b.msg = append(buf[:0], 0, 0, byte(head>>8), byte(head), 0, 1, 0, 0, 0, 0, 0, 0)
	b.name(q.Name.wire())
	b.msg = append(b.msg, byte(q.Type>>8), byte(q.Type), byte(q.Class>>8), byte(q.Class))
}

// Add writes the records of set into section, and their signatures when sigs is true. Sections must come in order.
func (b *Builder) Add(section Section, set *RRset, ttl uint32, sigs bool) error {
	if err := b.records(section, set.Name, set.Type, ttl, set.Data); err != nil || !sigs {
		return err
	}
	return b.records(section, set.Name, TypeRRSIG, ttl, set.Sigs)
}

// AddOf is Add for records that have a life.
func (b *Builder) AddOf(life Life, section Section, set *RRset, ttl uint32, sigs bool) error {
	b.livesUntilHere(Life{})
	err := b.Add(section, set, ttl, sigs)
	b.livesUntilHere(life)
	return err
}

// Lives returns the lives of the records in the message, nil when none has one.
func (b *Builder) Lives() []Life {
	if len(b.lives) > 0 {
		b.livesUntilHere(Life{})
	}
	return b.lives
}

func (b *Builder) livesUntilHere(life Life) {
	for records := b.recordCount(); len(b.lives) < records; {
		b.lives = append(b.lives, life)
	}
}

func (b *Builder) recordCount() int {
	return int(be16(b.msg[AnswerSection:])) + int(be16(b.msg[AuthoritySection:])) + int(be16(b.msg[AdditionalSection:]))
}

// Message returns the message. It shares its memory with the buffer given to Begin.
func (b *Builder) Message() []byte { return b.msg }

func (b *Builder) records(section Section, name Name, kind Type, ttl uint32, data Rdatas) error {
	for rdata := range data.All() {
		b.name(name.wire())
		b.msg = append(b.msg, byte(kind>>8), byte(kind), 0, byte(ClassIN),
			byte(ttl>>24), byte(ttl>>16), byte(ttl>>8), byte(ttl), 0, 0)
		start := len(b.msg)
		b.rdata(kind, rdata)
		if len(b.msg) > math.MaxUint16 {
			return ErrMessageTooLong
		}
		put16(b.msg[start-2:], uint16(len(b.msg)-start))
		put16(b.msg[section:], be16(b.msg[section:])+1)
	}
	return nil
}

// rdata copies RDATA and compresses the names that may be.
func (b *Builder) rdata(kind Type, rdata []byte) {
	names, fixed := 0, 0 // fixed octets, then so many names
	switch kind {
	case TypeNS, TypeCNAME, TypePTR:
		names = 1
	case TypeMX:
		names, fixed = 1, 2
	case TypeSOA:
		names = 2
	default:
	}
	if len(rdata) < fixed {
		names, fixed = 0, 0
	}
	b.msg = append(b.msg, rdata[:fixed]...)
	rest := rdata[fixed:]
	for range names {
		end, ok := skipPlainName(rest)
		if !ok {
			break // not a name: keep the octets as they are
		}
		b.name(string(rest[:end]))
		rest = rest[end:]
	}
	b.msg = append(b.msg, rest...)
}

// skipPlainName is skipName for a name that must not be compressed: a pointer in RDATA points into the message that
// it came from, not into this one.
func skipPlainName(b []byte) (end int, ok bool) {
	for end < len(b) && b[end] <= MaxLabelLength {
		size := int(b[end])
		end += 1 + size
		if size == 0 {
			return end, true
		}
	}
	return 0, false
}

var compressionSeed = maphash.MakeSeed()

// name writes a name in wire form, as a pointer from the first suffix on that was written before.
func (b *Builder) name(w string) {
	for w[0] != 0 {
		hash := uint32(maphash.String(compressionSeed, w))
		if offset, ok := b.find(hash, w); ok {
			b.msg = append(b.msg, 0xc0|byte(offset>>8), byte(offset))
			return
		}
		if len(b.msg) < 0x4000 && b.count < maxTargets {
			b.targets[b.count] = target{hash, uint16(len(b.msg))}
			b.count++
		}
		label := 1 + int(w[0])
		b.msg = append(b.msg, w[:label]...)
		w = w[label:]
	}
	b.msg = append(b.msg, 0)
}

func (b *Builder) find(hash uint32, w string) (offset uint16, ok bool) {
	for _, t := range b.targets[:b.count] {
		if t.hash == hash && b.nameAt(int(t.offset), w) {
			return t.offset, true
		}
	}
	return 0, false
}

// nameAt reports whether the name written at off is w. Every pointer in b.msg is our own, so the walk ends.
func (b *Builder) nameAt(off int, w string) bool {
	for {
		if b.msg[off] >= 0xc0 {
			off = int(be16(b.msg[off:]) & 0x3fff)
			continue
		}
		label := 1 + int(b.msg[off])
		if len(w) < label || string(b.msg[off:off+label]) != w[:label] {
			return false
		}
		if label == 1 {
			return true
		}
		off, w = off+label, w[label:]
	}
}
