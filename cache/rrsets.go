package cache

import (
	"encoding/binary"
	"math"
	"time"

	"tacit/internal/wire"
)

// RRsets remembers RRsets and what does not exist.
//
// A record is what an rrset has; a name, a type and a partition, which are the key; the names of cut and SOA, unless they are
// ends of the key's; and the octets of the RDATA of the set or the SOA, of the signatures, and of the proof.
type RRsets struct {
	entries    *store
	options    Options
	generation *generation
}

// A Key says what an Entry is about. Partitions keep apart what was learned from whom: 0 is what iteration learned,
// and each forward zone has its own, so that a forwarder's word never becomes a resolver's belief about another
// zone (MaginotDNS).
type Key struct {
	Name      wire.Name
	Type      wire.Type
	Partition uint16
}

// An Entry is what is known about a Key. It shares no memory with the cache.
type Entry struct {
	Kind Kind
	Set  wire.RRset // Positive: its name and type are the Key's; the TTL is that at the time of Put, within bounds
	SOA  wire.RRset // NoData and NoName: the TTL is that of the denial (RFC 2308 section 5)
	Rank Rank
	Cut  wire.Name // the zone whose servers said so

	// Status is what validation made of it, and Proof the NSEC or NSEC3 RRsets that a denial or the expansion of a
	// wildcard rests on. A denial that came with a referral has a Proof and no SOA.
	Status wire.Status
	Proof  []wire.RRset

	// Lease is when the delegation ends through which this was learned; zero: never. Put sets the other two.
	Stored, Expires, Lease time.Time

	// Due is set by Get, once: the entry is near its end and has been asked for before, so it pays to refresh it.
	Due bool
}

// A Kind is what an Entry says.
type Kind uint8

// Kinds of entries.
const (
	Positive Kind = iota // there is an RRset
	NoData               // the name has no RRset of that type (RFC 2308 section 2.2)
	NoName               // neither the name nor anything below it exists (RFC 2308 section 2.1, RFC 8020)
)

// A Rank says how far data can be trusted by where in which message it was (RFC 2181 section 5.4.1). The RFC puts
// the two lowest on one level; here glue is below, because it must never be given as an answer. A denial is the answer
// of the message that it came in, and ranks as that: AnswerAA, or Answer without AA.
type Rank uint8

// Ranks, the least first. AA means that the message was an authoritative answer.
const (
	Glue        Rank = iota // additional section, or addresses that came with a referral
	Authority               // authority section without AA
	Answer                  // answer section without AA
	AuthorityAA             // authority section with AA
	AnswerAA                // answer section with AA
)

// A State says what may be done with an entry.
type State uint8

// States.
const (
	Missing State = iota
	Fresh
	Stale // expired; may be given when no server answers (RFC 8767)
)

// maxRecords bounds an RRset (security limit; the largest honest ones have some dozens).
const maxRecords = 256

func newRRsets(size int64, o Options, g *generation) *RRsets {
	return &RRsets{entries: newStore(size, rrsetLength), options: o, generation: g}
}

// TTL returns the seconds that the entry has left at now, counted down by whole seconds.
func (e *Entry) TTL(now time.Time) uint32 { return instantOf(e.Expires).secondsAfter(instantOf(now)) }

// Get returns what is known about k from sources of at least rank least. An NXDOMAIN is kept under type 0.
func (r *RRsets) Get(k Key, least Rank, now time.Time) (Entry, State) {
	var buf [maxKey]byte
	return r.get(k.append(buf[:0]), k, least, instantOf(now))
}

func (r *RRsets) get(key []byte, k Key, least Rank, now instant) (Entry, State) {
	shard, hash := r.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	var held reader
	state := Missing
	if shard.get(hash, key, &held) && rrsetOf(&held).rank() >= least {
		state = rrsetOf(&held).state(now, r.options.MaxStale)
	}
	if k.Type != 0 || state == Fresh { // that no NXDOMAIN is known is no miss
		shard.tally(state == Fresh)
	}
	if state == Missing {
		return Entry{}, Missing
	}
	e := rrsetOf(&held)
	found := e.entry(k, key, &held)
	found.Due = state == Fresh && !r.options.NoPrefetch && e.due(now)
	return found, state
}

// Drop forgets one entry.
func (r *RRsets) Drop(k Key) {
	var buf [maxKey]byte
	key := k.append(buf[:0])
	shard, hash := r.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	var held reader
	if shard.find(hash, key, &held) {
		shard.remove(held.place)
	}
}

// NoNameAbove returns the NXDOMAIN that is known for name or an ancestor of it below the root: nothing exists below a name
// that does not (RFC 8020 section 2).
func (r *RRsets) NoNameAbove(name wire.Name, partition uint16, now time.Time) (Entry, bool) {
	var buf [maxKey]byte
	for key := (Key{Name: name, Partition: partition}).append(buf[:0]); key[0] != 0; key = key[1+key[0]:] {
		if e, state := r.get(key, Key{}, Glue, instantOf(now)); state == Fresh {
			return e, true
		}
	}
	return Entry{}, false
}

// DNAMEAbove returns the nearest DNAME RRset above name that is known from an answer (RFC 6672 section 2.3).
func (r *RRsets) DNAMEAbove(name wire.Name, partition uint16, now time.Time) (Entry, State) {
	var buf [maxKey]byte
	k := Key{Name: name, Type: wire.TypeDNAME, Partition: partition}
	for key := k.append(buf[:0]); key[0] != 0; {
		key = key[1+key[0]:]
		if e, state := r.get(key, Key{Type: k.Type}, Answer, instantOf(now)); state != Missing && e.Kind == Positive {
			e.Set.Name, _ = wire.NameFromWire(key)
			return e, state
		}
	}
	return Entry{}, Missing
}

// Put remembers e, found by a resolution that started in generation. It refuses what has no time left, denials
// without SOA (RFC 2308 section 5), what is too large, and what ranks lower than what is known already and has not
// expired. What exists ends an NXDOMAIN of its name that ranks no higher.
func (r *RRsets) Put(k Key, e Entry, now time.Time, generation uint64) bool {
	if e.Kind == NoName {
		k.Type = 0 // whatever the type asked for
	}
	held, set, ok := r.hold(k, &e, instantOf(now))
	if !ok || !r.put(k, &held, &e, set, generation) {
		return false
	}
	if e.Kind != NoName {
		r.endDenial(Key{Name: k.Name, Partition: k.Partition}, e.Rank)
	}
	return true
}

func (r *RRsets) put(k Key, held *rrset, e *Entry, set *wire.RRset, generation uint64) bool {
	var keyBuf [maxKey]byte
	var buf [1024]byte
	key := k.append(keyBuf[:0])
	record := held.append(buf[:0], key, e, set)
	shard, hash := r.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	var found reader
	if shard.find(hash, key, &found) && rrsetOf(&found).staysFor(held, r.options.MaxStale) {
		return false
	}
	return r.generation.is(generation) && shard.put(hash, key, record, e.Kind != Positive)
}

// staysFor reports whether what is known stays, and not what is offered for it. What has been shown to be true gives
// way only to what has, too, so that neither a forger nor a client that asks without checking can take it away; even
// when it has expired it outlasts what is bogus or not judged, because it may be all that there is when a zone breaks
// (RFC 8767).
func (e *rrset) staysFor(offered *rrset, maxStale time.Duration) bool {
	state := e.state(offered.stored(), maxStale)
	switch {
	case state == Missing:
		return false
	case e.status() == wire.Secure:
		least := wire.Secure
		if state == Stale {
			least = wire.Insecure
		}
		return offered.status() < least
	default:
		return state == Fresh && offered.status() != wire.Secure && e.rank() > offered.rank()
	}
}

// Granted returns when e expires if it is put at now: its TTL within the operator's bounds and the lease.
func (r *RRsets) Granted(e *Entry, now time.Time) time.Time {
	seconds := e.Set.TTL
	if e.Kind != Positive {
		seconds = e.negativeTTL()
	}
	return earliest(instantOf(now).add(r.bound(e.Kind, seconds)), instantOf(e.Lease)).time()
}

func (r *RRsets) endDenial(k Key, rank Rank) {
	var buf [maxKey]byte
	key := k.append(buf[:0])
	shard, hash := r.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	var held reader
	if shard.find(hash, key, &held) && rrsetOf(&held).rank() <= rank {
		shard.remove(held.place)
	}
}

// maxKey is the length of the longest key.
const maxKey = wire.MaxNameLength + 4

func (k Key) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(k.Name.Append(dst), uint16(k.Type))
	return binary.BigEndian.AppendUint16(dst, k.Partition)
}

// An rrset is what is known of an Entry beside names and octets: the fixed octets of a record. Times are those of the wall
// clock, so that they survive a machine's sleep.
type rrset [headOctets]byte

const rrsetLength = 36

func rrsetOf(r *reader) *rrset { return (*rrset)(&r.head.octets) }

func (e *rrset) kind() Kind          { return Kind(e[1] >> 6) }
func (e *rrset) rank() Rank          { return Rank(e[1] >> 3 & 7) }
func (e *rrset) status() wire.Status { return wire.Status(e[1] & 7) }
func (e *rrset) cut() uint8          { return e[2] }                                   // how much of the key's name comes before it, or elsewhere
func (e *rrset) soa() uint8          { return e[3] }                                   // as cut
func (e *rrset) sigs() int           { return int(binary.LittleEndian.Uint16(e[4:])) } // where they start, from the set on
func (e *rrset) proof() int          { return int(binary.LittleEndian.Uint16(e[6:])) } // as sigs
func (e *rrset) ttl() uint32         { return binary.LittleEndian.Uint32(e[8:]) }
func (e *rrset) stored() instant     { return instant(binary.LittleEndian.Uint64(e[12:])) }
func (e *rrset) expires() instant    { return instant(binary.LittleEndian.Uint64(e[20:])) }
func (e *rrset) lease() instant      { return instant(binary.LittleEndian.Uint64(e[28:])) }

// Marks of an rrset.
const (
	markHit  = 1 << iota // asked for before
	markTold             // Due was set before
)

// hold makes what is held of e, and says which RRset's octets belong to it.
func (r *RRsets) hold(k Key, e *Entry, now instant) (held rrset, set *wire.RRset, ok bool) {
	set, ttl, ok := e.ttl(k)
	if !ok || len(set.Data)+len(set.Sigs) > maxRecord {
		return rrset{}, nil, false
	}
	life := r.bound(e.Kind, ttl)
	expires := earliest(now.add(life), instantOf(e.Lease))
	if expires <= now {
		return rrset{}, nil, false
	}
	held[1] = byte(e.Kind)<<6 | byte(e.Rank)<<3 | byte(e.Status)
	held[2], held[3] = skipTo(e.Cut, k.Name), skipTo(e.SOA.Name, k.Name)
	binary.LittleEndian.PutUint16(held[4:], uint16(len(set.Data)))
	binary.LittleEndian.PutUint16(held[6:], uint16(len(set.Data)+len(set.Sigs)))
	binary.LittleEndian.PutUint32(held[8:], min(uint32(life/time.Second), expires.secondsAfter(now)))
	binary.LittleEndian.PutUint64(held[12:], uint64(now))
	binary.LittleEndian.PutUint64(held[20:], uint64(expires))
	binary.LittleEndian.PutUint64(held[28:], uint64(instantOf(e.Lease)))
	return held, set, true
}

// append appends the record of an entry.
func (e *rrset) append(dst, key []byte, from *Entry, set *wire.RRset) []byte {
	dst = append(append(dst, e[:rrsetLength]...), key...)
	if e.cut() == elsewhere {
		dst = from.Cut.Append(dst)
	}
	if e.soa() == elsewhere {
		dst = from.SOA.Name.Append(dst)
	}
	dst = append(append(dst, set.Data...), set.Sigs...)
	return appendProof(dst, from.Proof)
}

// ttl returns the RRset that e brings and how long its source lets it be kept. ok is false when e is not whole.
func (e *Entry) ttl(k Key) (set *wire.RRset, seconds uint32, ok bool) {
	if e.Kind == Positive {
		count := e.Set.Data.Count()
		return &e.Set, e.Set.TTL, e.Set.Name == k.Name && e.Set.Type == k.Type && 0 < count && count <= maxRecords
	}
	if e.SOA.Type == 0 {
		return &e.SOA, e.negativeTTL(), len(e.Proof) > 0
	}
	return &e.SOA, e.negativeTTL(), e.SOA.Type == wire.TypeSOA && e.SOA.Data.Count() == 1
}

// negativeTTL is that of the SOA (RFC 2308 section 5), or of the proof that came without one.
func (e *Entry) negativeTTL() uint32 {
	if e.SOA.Type == wire.TypeSOA {
		return negativeTTL(&e.SOA)
	}
	var seconds uint32
	for i := range e.Proof {
		if i == 0 || e.Proof[i].TTL < seconds {
			seconds = e.Proof[i].TTL
		}
	}
	return seconds
}

// negativeTTL is the lesser of the SOA's TTL and its MINIMUM field (RFC 2308 section 5), 0 when it has none.
func negativeTTL(soa *wire.RRset) uint32 {
	rdata, _ := soa.Data.Next()
	if len(rdata) < minSOALength {
		return 0
	}
	return min(soa.TTL, binary.BigEndian.Uint32(rdata[len(rdata)-4:]))
}

// minSOALength is the length of a SOA's RDATA whose two names are the root: five numbers follow.
const minSOALength = 2 + 5*4

// bound applies the operator's bounds to a TTL. One with its highest bit set is zero (RFC 2181 section 8).
func (r *RRsets) bound(kind Kind, seconds uint32) time.Duration {
	if seconds > math.MaxInt32 {
		seconds = 0
	}
	ttl := min(max(time.Duration(seconds)*time.Second, r.options.MinTTL), r.options.MaxTTL)
	if kind != Positive {
		ttl = min(ttl, r.options.MaxNegativeTTL)
	}
	return ttl
}

func (e *rrset) state(now instant, maxStale time.Duration) State {
	switch {
	case now < e.expires():
		return Fresh
	case now >= e.expires().add(maxStale), e.lease() != 0 && now >= e.lease():
		return Missing
	default:
		return Stale
	}
}

func (e *rrset) due(now instant) bool {
	at := refreshAt(e.stored(), e.expires())
	due := e[0] == markHit && at != 0 && now >= at
	e[0] |= markHit
	if due {
		e[0] |= markTold
	}
	return due
}

// entry reads an entry, whose octets are one piece of memory; held stands behind the key.
func (e *rrset) entry(k Key, key []byte, held *reader) Entry {
	octets := make([]byte, held.left)
	held.read(octets)
	found := Entry{
		Kind: e.kind(), Rank: e.rank(), Status: e.status(),
		Stored: e.stored().time(), Expires: e.expires().time(), Lease: e.lease().time(),
	}
	var soa wire.Name
	found.Cut, octets = nameAt(e.cut(), key, octets)
	soa, octets = nameAt(e.soa(), key, octets)
	set := wire.RRset{TTL: e.ttl(), Data: octets[:e.sigs():e.sigs()], Sigs: octets[e.sigs():e.proof():e.proof()]}
	found.Proof = readProof(octets[e.proof():])
	if e.kind() == Positive {
		set.Name, set.Type = k.Name, k.Type
		found.Set = set
	} else if len(set.Data) > 0 {
		set.Name, set.Type = soa, wire.TypeSOA
		found.SOA = set
	}
	return found
}

// flush forgets the entries of the names in s, and denials at or above its name.
func (r *RRsets) flush(s scope) {
	r.entries.removeIf(func(held *reader) bool {
		var buf [wire.MaxNameLength]byte
		name := held.name(buf[:0])
		return s.has(name) || rrsetOf(held).kind() == NoName && within(s.name, name)
	})
}

func (r *RRsets) stats() Count { return r.entries.stats() }
