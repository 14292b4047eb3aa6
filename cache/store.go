package cache

import (
	"hash/maphash"
	"sync"
)

// A store is a map bounded in bytes, of records: some fixed octets, then the key, then the rest. It is cut into shards with a
// lock each. What goes first when room is wanted is decided by SIEVE (Zhang et al., NSDI 2024) over three queues:
//
//   - probation: what is new. Most names are asked for once; they pass through here and leave.
//   - protected: what was asked for at least twice while on probation. A flood of names that are asked for once moves nothing
//     in here, so it cannot push out what is in use.
//   - negative: what denies, because anybody can ask for any number of names that do not exist.
//
// A hit sets bits and moves nothing.
type store struct {
	seed   maphash.Seed
	shards []*shard
}

// Shares of a shard's bytes, in percent. What the two leave is probation's at least.
const (
	negativeShare  = 25
	protectedShare = 60
)

const (
	maxShards    = 64
	minShardSize = 320 << 10 // a quarter of it has room for the largest record
)

// newStore returns a store of size bytes, for records with so many octets before the key, which a head must have room for.
func newStore(size int64, fixed int) *store {
	count := int64(maxShards)
	for count > 1 && size/count < minShardSize {
		count /= 2
	}
	s := &store{seed: maphash.MakeSeed(), shards: make([]*shard, count)}
	for i := range s.shards {
		s.shards[i] = &shard{arena: newArena(size / count), fixed: fixed, capacity: size / count}
	}
	return s
}

// locate returns the shard that key belongs to, for the caller to lock, and the key's hash.
func (s *store) locate(key []byte) (*shard, uint64) {
	hash := maphash.Bytes(s.seed, key)
	return s.shards[hash&uint64(len(s.shards)-1)], hash // their number is a power of two
}

// removeIf removes and wipes the records that match; the readers stand before the key.
func (s *store) removeIf(match func(*reader) bool) {
	for _, sh := range s.shards {
		sh.removeIf(match)
	}
}

// clear removes and wipes all.
func (s *store) clear() {
	for _, sh := range s.shards {
		sh.Lock()
		sh.reset()
		sh.Unlock()
	}
}

func (s *store) stats() Count {
	var c Count
	for _, sh := range s.shards {
		sh.addTo(&c)
	}
	return c
}

// A shard holds its records in an arena, linked by their places in it, and finds them by an index. Neither has a pointer, so
// that the garbage collector has nothing to follow, however many records there are.
type shard struct {
	sync.Mutex
	arena    arena
	index    index
	fixed    int
	queues   [queues]queue
	bytes    int64
	capacity int64

	hits, misses, evictions uint64
}

// enough is how often a record must be asked for to be protected.
const enough = 2

type queueName uint8

const (
	probation queueName = iota
	protected
	negative
	queues
)

type queue struct {
	newest, oldest, hand uint32
	bytes                int64
}

// cost returns the bytes that a record of length octets takes. In a block's part of the index are 6 octets: a record takes a
// slot of 8, of which two thirds at least are used when the table has grown, and has two blocks at least, or is charged
// for two. So arena and index together stay below what is charged, but for what is left of the last chunk and page.
func cost(length int) int64 { return int64(max(2, blocksFor(length))) * (blockSize + 6) }

// get finds the record of key and notes that it was asked for. r stands behind the key then; the fixed octets are in its head.
func (sh *shard) get(hash uint64, key []byte, r *reader) bool {
	if !sh.find(hash, key, r) {
		return false
	}
	r.head.visited = true
	if r.head.uses < enough {
		r.head.uses++
	}
	return true
}

// find is get for those who do not ask for the record's own sake.
func (sh *shard) find(hash uint64, key []byte, r *reader) bool {
	if sh.index.count == 0 {
		return false
	}
	tag := tagOf(hash)
	for i := sh.index.home(tag); ; i = sh.index.after(i) {
		s := sh.index.slots[i]
		if s.place == 0 {
			return false
		}
		if s.tag != tag {
			continue
		}
		if sh.arena.open(s.place, sh.fixed, r); r.skip(key) {
			return true
		}
	}
}

// tagOf returns the half of a hash that the choice of the shard leaves to chance.
func tagOf(hash uint64) uint32 { return uint32(hash >> 32) }

// put keeps a record, whose key is given, too, unless it is too large. No key may be the start of another. A record put again
// keeps the standing of the one that it replaces.
func (sh *shard) put(hash uint64, key, record []byte, denies bool) bool {
	var standing head
	if denies {
		standing.queue = negative
	}
	size := cost(len(record))
	if len(record) > maxRecord || size > sh.room(standing.queue) {
		return false
	}
	var r reader
	if sh.find(hash, key, &r) {
		standing.visited, standing.uses = r.head.visited, r.head.uses
		if r.head.queue == protected && !denies && size <= sh.room(protected) {
			standing.queue = protected
		}
		sh.remove(r.place)
	}
	sh.makeRoom(standing.queue, size)
	place := sh.arena.keep(record)
	h := sh.arena.head(place)
	h.tag, h.queue, h.visited, h.uses = tagOf(hash), standing.queue, standing.visited, standing.uses
	sh.index.add(h.tag, place)
	sh.link(place)
	return true
}

// room returns the bytes that a queue may have.
func (sh *shard) room(q queueName) int64 {
	switch q {
	case negative:
		return sh.capacity * negativeShare / 100
	case protected:
		return sh.capacity * protectedShare / 100
	default:
		return sh.capacity
	}
}

// makeRoom evicts until size bytes more fit into the queue and the shard.
func (sh *shard) makeRoom(q queueName, size int64) {
	for sh.queues[q].bytes+size > sh.room(q) && sh.queues[q].oldest != 0 {
		sh.evict(q)
	}
	for sh.bytes+size > sh.capacity {
		switch {
		case sh.queues[probation].oldest != 0:
			sh.evict(probation)
		case sh.queues[protected].oldest != 0:
			sh.evict(protected)
		default:
			sh.evict(negative)
		}
	}
}

// evict lets the hand of a queue pass, from the oldest to the newest, over what was asked for since it came by, and
// removes the first record that was not. On probation it sends on what has proved itself.
func (sh *shard) evict(q queueName) {
	for i := sh.handOf(q); i != 0; i = sh.handOf(q) {
		h := sh.arena.head(i)
		switch {
		case q == probation && h.uses >= enough && h.cost() <= sh.room(protected):
			sh.promote(i)
		case h.visited:
			h.visited = false
			sh.queues[q].hand = h.newer
		default:
			sh.remove(i)
			sh.evictions++
			return
		}
	}
}

func (h *head) cost() int64 { return cost(int(h.length)) }

func (sh *shard) handOf(q queueName) uint32 {
	if i := sh.queues[q].hand; i != 0 {
		return i
	}
	return sh.queues[q].oldest
}

func (sh *shard) promote(i uint32) {
	h := sh.arena.head(i)
	sh.unlink(i)
	for sh.queues[protected].bytes+h.cost() > sh.room(protected) {
		sh.evict(protected)
	}
	h.queue, h.visited = protected, false
	sh.link(i)
}

func (sh *shard) remove(i uint32) {
	sh.unlink(i)
	sh.index.drop(sh.arena.head(i).tag, i)
	sh.arena.wipe(i)
}

// link makes the record at place i the newest of its queue.
func (sh *shard) link(i uint32) {
	h := sh.arena.head(i)
	q := &sh.queues[h.queue]
	h.older, h.newer = q.newest, 0
	if q.newest != 0 {
		sh.arena.head(q.newest).newer = i
	} else {
		q.oldest = i
	}
	q.newest = i
	q.bytes += h.cost()
	sh.bytes += h.cost()
}

func (sh *shard) unlink(i uint32) {
	h := sh.arena.head(i)
	q := &sh.queues[h.queue]
	if q.hand == i {
		q.hand = h.newer
	}
	if h.newer != 0 {
		sh.arena.head(h.newer).older = h.older
	} else {
		q.newest = h.older
	}
	if h.older != 0 {
		sh.arena.head(h.older).newer = h.newer
	} else {
		q.oldest = h.newer
	}
	q.bytes -= h.cost()
	sh.bytes -= h.cost()
}

func (sh *shard) removeIf(match func(*reader) bool) {
	sh.Lock()
	defer sh.Unlock()
	var r reader
	for q := range sh.queues {
		for i, older := sh.queues[q].newest, uint32(0); i != 0; i = older {
			older = sh.arena.head(i).older
			if sh.arena.open(i, sh.fixed, &r); match(&r) {
				sh.remove(i)
			}
		}
	}
	if sh.index.count == 0 {
		sh.reset()
	}
}

// reset forgets all and gives the memory back.
func (sh *shard) reset() {
	sh.arena.reset()
	sh.index.reset()
	sh.queues, sh.bytes = [queues]queue{}, 0
}

func (sh *shard) tally(hit bool) {
	if hit {
		sh.hits++
	} else {
		sh.misses++
	}
}

func (sh *shard) addTo(c *Count) {
	sh.Lock()
	defer sh.Unlock()
	c.Entries += sh.index.count
	c.Bytes += sh.bytes
	c.Capacity += sh.capacity
	c.Hits, c.Misses, c.Evictions = c.Hits+sh.hits, c.Misses+sh.misses, c.Evictions+sh.evictions
}
