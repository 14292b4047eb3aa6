package cache

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
	"unsafe"

	"tacit/internal/wire"
)

// Denials remembers validated NSEC and NSEC3 RRsets by the zone that signed them, in the order of their names or hashes, so
// that they can deny names that nobody has asked for yet (RFC 8198). What they prove others decide. It is bounded in
// bytes: of a zone that has its share the records give way that expire next, and of all zones those that were not asked for
// longest; both by samples, so that neither costs more the more there are.
type Denials struct {
	mu         sync.Mutex
	zones      map[zoneKey]*denialZone
	options    Options
	generation *generation

	bytes, capacity         int64
	entries                 int
	hits, misses, evictions uint64
}

// A Chain is one zone's denials in one partition (Key), and the way in which they are ordered: NSEC by name, or NSEC3
// by the hashes made with Hashing.
type Chain struct {
	Zone      wire.Name
	Partition uint16
	Hashed    bool
	Hashing   Hashing
}

// Hashing are the parameters with which a zone hashes its names (RFC 5155 section 4).
type Hashing struct {
	Iterations uint16
	Salt       string
}

type zoneKey struct {
	zone      wire.Name
	partition uint16
}

// A denialZone keeps to one Hashing, the one that was put last: a zone changes it as a whole.
type denialZone struct {
	chain   Chain
	spans   []span // in order
	soa     span
	bytes   int64
	latest  instant // when the last of the spans expires
	touched instant
}

// A span is an RRset as it is held: one pointer to bytes of its own, which start with the key.
type span struct {
	bytes   []byte
	key     uint16 // the length of the key
	expires instant
}

const (
	denialShare     = 16 // the denials get one part in so many
	denialZoneShare = 4  // and each zone one part in so many of that
	samples         = 8  // looked at for the one to evict
	spanOverhead    = int64(unsafe.Sizeof(span{}))*5/4 + 16
	zoneOverhead    = int64(unsafe.Sizeof(denialZone{})+unsafe.Sizeof(zoneKey{})) + 64
)

func newDenials(size int64, o Options, g *generation) *Denials {
	return &Denials{zones: map[zoneKey]*denialZone{}, options: o, generation: g, capacity: size}
}

// Chain returns the denials of the deepest zone at or above name of which there are any.
func (d *Denials) Chain(name wire.Name, partition uint16, now time.Time) (Chain, bool) {
	moment := instantOf(now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.zones) == 0 {
		return Chain{}, false
	}
	for {
		z := d.zones[zoneKey{name, partition}]
		if z != nil && moment < z.latest {
			z.touched = moment
			return z.chain, true
		}
		if name.IsRoot() {
			return Chain{}, false
		}
		name = name.Parent()
	}
}

// Nearest returns the NSEC RRset whose owner is name or the last one before it that is known, in canonical order (RFC 4034
// section 6.1), and when it expires.
func (d *Denials) Nearest(c Chain, name wire.Name, now time.Time) (set wire.RRset, expires time.Time, ok bool) {
	var buf [2 * wire.MaxNameLength]byte
	return d.nearest(c, appendOrdered(buf[:0], name), now)
}

// NearestHash returns the NSEC3 RRset whose hash is hash or the last one before it that is known; before the first of a
// zone comes the last (RFC 5155 section 7.1).
func (d *Denials) NearestHash(c Chain, hash [20]byte, now time.Time) (set wire.RRset, expires time.Time, ok bool) {
	return d.nearest(c, hash[:], now)
}

// SOA returns the zone's SOA RRset as it came with a denial, and until when it may deny.
func (d *Denials) SOA(c Chain, now time.Time) (set wire.RRset, expires time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	z := d.zones[zoneKey{c.Zone, c.Partition}]
	if z == nil {
		return wire.RRset{}, time.Time{}, false
	}
	return z.soa.reveal(instantOf(now))
}

func (d *Denials) nearest(c Chain, key []byte, now time.Time) (set wire.RRset, expires time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	z := d.zones[zoneKey{c.Zone, c.Partition}]
	if z == nil || z.chain != c || len(z.spans) == 0 {
		return wire.RRset{}, time.Time{}, false
	}
	i, exact := z.find(key)
	if !exact {
		i--
	}
	if i < 0 && c.Hashed {
		i = len(z.spans) - 1
	}
	if i >= 0 {
		set, expires, ok = z.spans[i].reveal(instantOf(now))
	}
	if ok {
		d.hits++
	} else {
		d.misses++
	}
	return set, expires, ok
}

// Put remembers an NSEC RRset, found by a resolution that started in generation.
func (d *Denials) Put(c Chain, set *wire.RRset, expires, now time.Time, generation uint64) bool {
	var buf [2 * wire.MaxNameLength]byte
	return !c.Hashed && d.put(c, appendOrdered(buf[:0], set.Name), set, expires, now, generation)
}

// PutHash remembers the NSEC3 RRset of a hash.
func (d *Denials) PutHash(c Chain, hash [20]byte, set *wire.RRset, expires, now time.Time, generation uint64) bool {
	return c.Hashed && d.put(c, hash[:], set, expires, now, generation)
}

// PutSOA remembers the SOA RRset of a zone of which there are denials.
func (d *Denials) PutSOA(c Chain, set *wire.RRset, expires, now time.Time, generation uint64) bool {
	s, ok := d.hold(nil, set, expires, now)
	if !ok {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	z := d.zones[zoneKey{c.Zone, c.Partition}]
	if z == nil || !d.generation.is(generation) {
		return false
	}
	d.charge(z, -z.soa.size())
	clear(z.soa.bytes)
	z.soa = span{}
	d.makeRoom(z, s.size())
	z.soa = s
	d.charge(z, s.size())
	return true
}

func (d *Denials) put(c Chain, key []byte, set *wire.RRset, expires, now time.Time, generation uint64) bool {
	s, ok := d.hold(key, set, expires, now)
	if !ok {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.generation.is(generation) {
		return false
	}
	z := d.zone(c, instantOf(now))
	i, exact := z.find(key)
	if exact {
		d.remove(z, i)
	}
	d.makeRoom(z, s.size())
	i, _ = z.find(key) // others may have gone
	z.spans = slices.Insert(z.spans, i, s)
	z.latest = max(z.latest, s.expires)
	d.entries++
	d.charge(z, s.size())
	return true
}

// hold makes what is held of a set, unless it is too large or has no time left.
func (d *Denials) hold(key []byte, set *wire.RRset, expires, now time.Time) (span, bool) {
	most := instantOf(now).add(min(d.options.MaxNegativeTTL, d.options.MaxTTL))
	s := span{key: uint16(len(key)), expires: earliest(most, instantOf(expires))}
	if s.expires <= instantOf(now) {
		return span{}, false
	}
	size := len(key) + set.Name.Len() + 14 + len(set.Data) + len(set.Sigs)
	s.bytes = appendProof(append(make([]byte, 0, size), key...), []wire.RRset{*set})
	return s, s.size()+zoneOverhead <= d.capacity/denialZoneShare
}

// zone returns the zone of c, made anew when its records are ordered in another way by now.
func (d *Denials) zone(c Chain, now instant) *denialZone {
	k := zoneKey{c.Zone, c.Partition}
	if z := d.zones[k]; z != nil && z.chain == c {
		return z
	} else if z != nil {
		d.drop(k, z)
	}
	z := &denialZone{chain: c, touched: now}
	d.zones[k] = z
	d.charge(z, zoneOverhead)
	return z
}

func (d *Denials) charge(z *denialZone, size int64) {
	z.bytes += size
	d.bytes += size
}

// makeRoom evicts until size bytes more fit into the zone and into all.
func (d *Denials) makeRoom(z *denialZone, size int64) {
	for z.bytes+size > d.capacity/denialZoneShare && len(z.spans) > 0 {
		d.remove(z, z.soonest())
		d.evictions++
	}
	for d.bytes+size > d.capacity && len(d.zones) > 1 {
		d.evictBeside(z)
	}
}

// soonest returns the place of the span, of some, that expires first.
func (z *denialZone) soonest() int {
	best := rand.IntN(len(z.spans)) //nolint:gosec // nobody gains by guessing which span goes
	for range samples - 1 {
		if i := rand.IntN(len(z.spans)); z.spans[i].expires < z.spans[best].expires { //nolint:gosec // as above
			best = i
		}
	}
	return best
}

// evictBeside drops the zone, of some others than keep, that was not asked for longest. Go walks maps from a random place.
func (d *Denials) evictBeside(keep *denialZone) {
	var oldest *denialZone
	seen := 0
	for _, z := range d.zones {
		if z == keep {
			continue
		}
		if oldest == nil || z.touched < oldest.touched {
			oldest = z
		}
		if seen++; seen == samples {
			break
		}
	}
	d.evictions += uint64(len(oldest.spans))
	d.drop(zoneKey{oldest.chain.Zone, oldest.chain.Partition}, oldest)
}

func (d *Denials) remove(z *denialZone, i int) {
	d.charge(z, -z.spans[i].size())
	clear(z.spans[i].bytes)
	z.spans = slices.Delete(z.spans, i, i+1)
	d.entries--
}

func (d *Denials) drop(k zoneKey, z *denialZone) {
	for i := range z.spans {
		clear(z.spans[i].bytes)
	}
	clear(z.soa.bytes)
	d.entries -= len(z.spans)
	d.bytes -= z.bytes
	delete(d.zones, k)
}

// flush forgets the zones that covers names, and those above name: any of their records may deny it, and which ones do
// only a hash may tell.
func (d *Denials) flush(covers func(wire.Name) bool, name wire.Name) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, z := range d.zones {
		if covers(k.zone) || name.Within(k.zone) {
			d.drop(k, z)
		}
	}
}

func (d *Denials) stats() Count {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Count{
		Entries: d.entries, Bytes: d.bytes, Capacity: d.capacity, Hits: d.hits, Misses: d.misses, Evictions: d.evictions,
	}
}

// find returns the place of key, or the one where it would be.
func (z *denialZone) find(key []byte) (i int, exact bool) {
	return slices.BinarySearchFunc(z.spans, key, func(s span, key []byte) int { return bytes.Compare(s.bytes[:s.key], key) })
}

func (s *span) size() int64 {
	if s.bytes == nil {
		return 0
	}
	return int64(cap(s.bytes)) + spanOverhead
}

// reveal returns a copy of the set, with the TTL that it came with.
func (s *span) reveal(now instant) (set wire.RRset, expires time.Time, ok bool) {
	if now >= s.expires {
		return wire.RRset{}, time.Time{}, false
	}
	sets := readProof(slices.Clone(s.bytes[s.key:]))
	if len(sets) == 0 {
		return wire.RRset{}, time.Time{}, false
	}
	return sets[0], s.expires.time(), true
}

// appendOrdered appends name in a form whose order as octets is the canonical one (RFC 4034 section 6.1): labels from
// the right, each closed by a zero, which no octet of a label is.
func appendOrdered(dst []byte, name wire.Name) []byte {
	var buf [wire.MaxNameLength]byte
	var starts [wire.MaxNameLength / 2]uint8
	w := name.Append(buf[:0])
	count := 0
	for off := 0; w[off] != 0; off += 1 + int(w[off]) {
		starts[count] = uint8(off)
		count++
	}
	for i := count - 1; i >= 0; i-- {
		start := int(starts[i])
		for _, c := range w[start+1:][:w[start]] {
			if c <= 1 {
				dst = append(dst, 1)
				c++
			}
			dst = append(dst, c)
		}
		dst = append(dst, 0)
	}
	return dst
}
