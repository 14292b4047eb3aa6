package cache

import (
	"hash/maphash"
	"sync"
	"unsafe"
)

// A store is a map bounded in bytes. It is cut into shards with a lock each. What goes first when room is wanted is
// decided by SIEVE (Zhang et al., NSDI 2024) over three queues:
//
//   - probation: what is new. Most names are asked for once; they pass through here and leave.
//   - protected: what was asked for at least twice while on probation. A flood of names that are asked for once moves nothing
//     in here, so it cannot push out what is in use.
//   - negative: what denies, because anybody can ask for any number of names that do not exist.
//
// A hit sets bits and moves nothing.
type store[K comparable, V any] struct {
	seed   maphash.Seed
	shards []shard[K, V]
}

// Shares of a shard's bytes, in percent. What the two leave is probation's at least.
const (
	negativeShare  = 25
	protectedShare = 60
)

const (
	maxShards    = 64
	minShardSize = 320 << 10 // a quarter of it has room for the largest entry
	maxEntrySize = 64 << 10
)

// newStore returns a store of size bytes. wipe clears what a value points to when it leaves.
func newStore[K comparable, V any](size int64, wipe func(*V)) *store[K, V] {
	count := int64(maxShards)
	for count > 1 && size/count < minShardSize {
		count /= 2
	}
	s := &store[K, V]{seed: maphash.MakeSeed(), shards: make([]shard[K, V], count)}
	for i := range s.shards {
		s.shards[i].wipe, s.shards[i].capacity = wipe, size/count
		s.shards[i].reset()
	}
	return s
}

// locate returns the shard that k belongs to, for the caller to lock, and k's hash.
func (s *store[K, V]) locate(k K) (*shard[K, V], uint64) {
	hash := maphash.Comparable(s.seed, k)
	return &s.shards[hash%uint64(len(s.shards))], hash
}

// removeIf removes and wipes the entries that match.
func (s *store[K, V]) removeIf(match func(*K, *V) bool) {
	for i := range s.shards {
		s.shards[i].removeIf(match)
	}
}

func (s *store[K, V]) stats() Count {
	var c Count
	for i := range s.shards {
		s.shards[i].addTo(&c)
	}
	return c
}

// A shard holds its entries in one array, linked by their places in it, and finds them by a map without pointers,
// so that the garbage collector has little to follow. Place 0 is nobody's.
type shard[K comparable, V any] struct {
	sync.Mutex
	places   map[uint64]uint32
	slots    []slot[K, V]
	free     uint32 // first of the unused slots, linked by older
	queues   [queues]queue
	bytes    int64
	capacity int64
	wipe     func(*V)

	hits, misses, evictions uint64
}

type slot[K comparable, V any] struct {
	hash         uint64
	key          K
	value        V
	size         uint32
	newer, older uint32
	queue        queueName
	visited      bool  // since the hand last passed
	uses         uint8 // in all, up to enough
}

// enough is how often an entry must be asked for to be protected.
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

// overhead is what an entry costs in the map of places, in unused slots, and by the allocator's rounding up. It was
// measured (BenchmarkHeap) and is on the high side.
const overhead = 56

// get returns the value of k and notes that it was asked for; nil when there is none. The pointer is good until the
// shard is unlocked or changed.
func (sh *shard[K, V]) get(hash uint64, k K) *V {
	i := sh.find(hash, k)
	if i == 0 {
		return nil
	}
	e := &sh.slots[i]
	e.visited = true
	if e.uses < enough {
		e.uses++
	}
	return &e.value
}

// peek is get for those who do not ask for the value's own sake.
func (sh *shard[K, V]) peek(hash uint64, k K) *V {
	if i := sh.find(hash, k); i != 0 {
		return &sh.slots[i].value
	}
	return nil
}

// find returns the place of k. Of two keys with the same hash of 64 bits only the last one is held.
func (sh *shard[K, V]) find(hash uint64, k K) uint32 {
	if i := sh.places[hash]; i != 0 && sh.slots[i].key == k {
		return i
	}
	return 0
}

// put sets the value of k, which takes weight bytes outside of itself, unless that is too much. A value put again keeps
// the standing of the one it replaces.
func (sh *shard[K, V]) put(hash uint64, k K, v V, weight int, denies bool) bool {
	e := slot[K, V]{hash: hash, key: k, value: v, queue: probation}
	e.size = uint32(min(weight, maxEntrySize)) + uint32(unsafe.Sizeof(e)) + overhead
	if denies {
		e.queue = negative
	}
	if weight > maxEntrySize || int64(e.size) > sh.room(e.queue) {
		return false
	}
	if i := sh.places[hash]; i != 0 {
		old := &sh.slots[i]
		if old.key == k {
			e.visited, e.uses = old.visited, old.uses
		}
		if old.key == k && old.queue == protected && !denies {
			e.queue = protected
		}
		sh.remove(i)
	}
	sh.makeRoom(e.queue, int64(e.size))
	sh.insert(e)
	return true
}

// room returns the bytes that a queue may have.
func (sh *shard[K, V]) room(q queueName) int64 {
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
func (sh *shard[K, V]) makeRoom(q queueName, size int64) {
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
// removes the first entry that was not. On probation it sends on what has proved itself.
func (sh *shard[K, V]) evict(q queueName) {
	for i := sh.handOf(q); i != 0; i = sh.handOf(q) {
		e := &sh.slots[i]
		switch {
		case q == probation && e.uses >= enough && int64(e.size) <= sh.room(protected):
			sh.promote(i)
		case e.visited:
			e.visited = false
			sh.queues[q].hand = e.newer
		default:
			sh.remove(i)
			sh.evictions++
			return
		}
	}
}

func (sh *shard[K, V]) handOf(q queueName) uint32 {
	if i := sh.queues[q].hand; i != 0 {
		return i
	}
	return sh.queues[q].oldest
}

func (sh *shard[K, V]) promote(i uint32) {
	e := &sh.slots[i]
	sh.unlink(i)
	for sh.queues[protected].bytes+int64(e.size) > sh.room(protected) {
		sh.evict(protected)
	}
	e.queue, e.visited = protected, false
	sh.link(i)
}

func (sh *shard[K, V]) insert(e slot[K, V]) {
	i := sh.free
	if i != 0 {
		sh.free = sh.slots[i].older
		sh.slots[i] = e
	} else {
		i = uint32(len(sh.slots))
		sh.slots = append(sh.slots, e)
	}
	sh.places[e.hash] = i
	sh.link(i)
}

func (sh *shard[K, V]) remove(i uint32) {
	e := &sh.slots[i]
	sh.unlink(i)
	sh.wipe(&e.value)
	delete(sh.places, e.hash)
	*e = slot[K, V]{older: sh.free, queue: queues}
	sh.free = i
}

// link makes slot i the newest of its queue.
func (sh *shard[K, V]) link(i uint32) {
	e := &sh.slots[i]
	q := &sh.queues[e.queue]
	e.older, e.newer = q.newest, 0
	if q.newest != 0 {
		sh.slots[q.newest].newer = i
	} else {
		q.oldest = i
	}
	q.newest = i
	q.bytes += int64(e.size)
	sh.bytes += int64(e.size)
}

func (sh *shard[K, V]) unlink(i uint32) {
	e := &sh.slots[i]
	q := &sh.queues[e.queue]
	if q.hand == i {
		q.hand = e.newer
	}
	if e.newer != 0 {
		sh.slots[e.newer].older = e.older
	} else {
		q.newest = e.older
	}
	if e.older != 0 {
		sh.slots[e.older].newer = e.newer
	} else {
		q.oldest = e.newer
	}
	q.bytes -= int64(e.size)
	sh.bytes -= int64(e.size)
}

func (sh *shard[K, V]) removeIf(match func(*K, *V) bool) {
	sh.Lock()
	defer sh.Unlock()
	for i := range sh.slots {
		e := &sh.slots[i]
		if i > 0 && e.queue != queues && match(&e.key, &e.value) {
			sh.remove(uint32(i))
		}
	}
	if len(sh.places) == 0 {
		sh.reset()
	}
}

// reset gives the memory of an empty shard back.
func (sh *shard[K, V]) reset() {
	sh.places = map[uint64]uint32{}
	sh.slots = make([]slot[K, V], 1)
	sh.free = 0
	sh.queues = [queues]queue{}
}

func (sh *shard[K, V]) tally(hit bool) {
	if hit {
		sh.hits++
	} else {
		sh.misses++
	}
}

func (sh *shard[K, V]) addTo(c *Count) {
	sh.Lock()
	defer sh.Unlock()
	c.Entries += len(sh.places)
	c.Bytes += sh.bytes
	c.Capacity += sh.capacity
	c.Hits, c.Misses, c.Evictions = c.Hits+sh.hits, c.Misses+sh.misses, c.Evictions+sh.evictions
}
