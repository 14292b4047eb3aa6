package crowds

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"tacit/internal/privacy"
	"tacit/internal/siphash"
)

// A window is an hour in which a Table counts. It is read without a lock; whoever reads while it ends gets sums of keys that are partly
// gone, and finds by the number that they do not count any more.
type window struct {
	number   uint32
	bits     uint16 // of a row, less one
	from     time.Time
	until    time.Time
	things   key
	networks key
	suffixes []atomic.Uint64 // of names that came last: of their tags all but an octet, which is the length; empty: they are not kept
}

const (
	lifetime = time.Hour
	// slack is how long before a window somebody may have come who counts in it: a question that waited while another began it.
	slack = 10 * time.Second
	// keptSuffixes is how many.
	keptSuffixes = 1024
)

func newWindow(number uint32, now time.Time, o *Options) *window {
	w := &window{number: number, bits: uint16(o.Bits - 1), from: now.Add(-slack), until: now.Add(lifetime)}
	if o.Suffixes {
		w.suffixes = make([]atomic.Uint64, keptSuffixes)
	}
	w.things.draw()
	w.networks.draw()
	return w
}

// holds reports whether the window is the one of that time. It is not when the clock was set back.
func (w *window) holds(now time.Time) bool {
	return w != nil && now.Before(w.until) && !now.Before(w.from)
}

// wipe throws the keys away.
func (w *window) wipe() {
	w.things.wipe()
	w.networks.wipe()
	for i := range w.suffixes {
		w.suffixes[i].Store(0)
	}
}

func (w *window) network(addr netip.Addr) Network {
	octets := privacy.NetworkOf(addr)
	defer clear(octets[:])
	return Network{w.number, uint16(w.networks.sum(octets[:])) & w.bits}
}

// suffix returns how much of a name is public suffix.
func (w *window) suffix(text []byte) uint8 {
	if len(w.suffixes) == 0 {
		return suffixLength(text)
	}
	tag := w.things.sum(text)
	known := &w.suffixes[tag%keptSuffixes]
	if have := known.Load(); have>>8 == tag>>8 && have != 0 {
		return uint8(have)
	}
	length := suffixLength(text)
	known.Store(tag&^0xff | uint64(length))
	if w.things.isWiped() { // maybe before that sum was made, and maybe the sums are wiped already
		known.Store(0)
	}
	return length
}

// A key is a siphash.Key that can be wiped while others read it.
type key [2]atomic.Uint64

func (k *key) draw() {
	drawn := siphash.NewKey()
	k[0].Store(binary.LittleEndian.Uint64(drawn[:]))
	k[1].Store(binary.LittleEndian.Uint64(drawn[8:]))
	clear(drawn[:])
}

func (k *key) wipe() {
	k[0].Store(0)
	k[1].Store(0)
}

func (k *key) isWiped() bool { return k[0].Load() == 0 && k[1].Load() == 0 }

func (k *key) sum(data []byte) uint64 {
	var whole siphash.Key
	binary.LittleEndian.PutUint64(whole[:], k[0].Load())
	binary.LittleEndian.PutUint64(whole[8:], k[1].Load())
	defer clear(whole[:])
	return whole.Sum(data)
}
