package cache

import (
	"encoding/binary"
	"time"

	"tacit/internal/siphash"
	"tacit/internal/wire"
)

// A blur shows TTLs of which nobody can tell when the record was learned, and so whether somebody else asked for it. What is shown
// lies within the last tenth of what is left, at a place that is the same for one RRset during one minute: asking often does not
// bring the truth nearer. It is drawn for records that are new as well, and none is ever shown for longer than it lives.
//
// Of a record younger than a tenth of its life, what is shown does not go below nine tenths of that life: else half of those
// records would show less than a new one can.
//
// This hides an age of less than a tenth from who looks once. Who comes back minutes later sees another place, and learns more each time.
type blur struct{ key siphash.Key }

func newBlur() *blur { return &blur{key: siphash.NewKey()} }

// A minute is a blur at a time.
type minute struct {
	blur   *blur
	number uint32
	place  uint32 // of the mark, in parts of 2^32
	mark   uint32
	placed bool
}

func (b *blur) at(now instant) minute {
	return minute{blur: b, number: uint32(now / instant(time.Minute))}
}

// ttl returns what is shown of a record that is good for another rest seconds.
func (m *minute) ttl(rest uint32, life wire.Life) uint32 {
	if life.Seconds == 0 {
		return rest
	}
	if !m.placed || m.mark != life.Mark {
		m.draw(life.Mark)
	}
	least := max(nineTenths(rest), min(rest, nineTenths(life.Seconds)))
	return least + uint32(uint64(rest-least+1)*uint64(m.place)>>32)
}

func (m *minute) draw(mark uint32) {
	var of [8]byte
	binary.LittleEndian.PutUint32(of[:], mark)
	binary.LittleEndian.PutUint32(of[4:], m.number)
	m.mark, m.placed, m.place = mark, true, uint32(m.blur.key.Sum(of[:])>>32)
}

// nineTenths rounds up, so that what lives is not shown as expired.
func nineTenths(seconds uint32) uint32 { return seconds - seconds/10 }

// Seconds is how long something is kept that was learned at stored, in seconds, of which the last may be a part.
func Seconds(stored, expires time.Time) uint32 {
	return instantOf(expires).secondsAfter(instantOf(stored))
}

// Blur makes the TTLs of an answer those that are shown, where that is wanted, in place. Get has done so with its own.
func (p *Packets) Blur(a *wire.Answer, now time.Time) {
	if p.blur == nil || len(a.Lives) == 0 {
		return
	}
	var buf [64]uint16
	offsets, ok := wire.TTLOffsets(buf[:0], a.Packet)
	if !ok || len(offsets) != len(a.Lives) {
		return
	}
	m := p.blur.at(instantOf(now))
	for i, off := range offsets {
		m.show(a.Packet[off:], 0, a.Lives[i])
	}
}

// show writes the TTL that is shown over the one at the start of octets, from which so many seconds have passed.
func (m *minute) show(octets []byte, elapsed uint32, life wire.Life) {
	ttl := binary.BigEndian.Uint32(octets)
	binary.BigEndian.PutUint32(octets, m.ttl(ttl-min(ttl, elapsed), life))
}

// maxBlurred is how many TTLs a packet has at most that is remembered with their lives, so that the largest record stays below
// what a shard has room for.
const maxBlurred = 1000

// lifeLength is the length of an offset and of the life behind it.
const lifeLength = 2 + 8

func appendLife(dst []byte, l wire.Life) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, l.Seconds), l.Mark)
}

func (p *packet) showBlurred(msg []byte, r *reader, elapsed uint32, m minute) {
	for range p.ttls() {
		var packed [lifeLength]byte
		r.read(packed[:])
		life := wire.Life{Seconds: binary.BigEndian.Uint32(packed[2:]), Mark: binary.BigEndian.Uint32(packed[6:])}
		m.show(msg[binary.BigEndian.Uint16(packed[:]):], elapsed, life)
	}
}
