package cache

import "unsafe"

// An arena holds records, strings of octets, in blocks of 64 octets. The blocks of a record are a chain: the first one starts
// with a head, each further one with its link. A block's place is its number; place 0 is nobody's and always empty. Blocks
// are in chunks, which are mapped when they are first needed, several at once where the arena may become large, and stay
// until the arena is reset.
type arena struct {
	chunks   []*chunk
	memories []*memory // what the chunks are in
	batch    int       // how many chunks are mapped at once
	fresh    uint32    // the first block that was never used
	free     uint32    // the first of those that are not used any more, and are wiped
}

type chunk [1 << chunkShift]block

const (
	blockSize   = 64
	chunkShift  = 10
	chunkSize   = blockSize << chunkShift
	batchShare  = 32 // chunks mapped at once are one part of the arena in so many, unless that is less than one
	headOctets  = 43
	blockOctets = 60
	maxRecord   = 1<<16 - 1
)

// A head is the first block of a record as it is laid out.
type head struct {
	next         uint32
	tag          uint32 // of the index
	newer, older uint32 // in the queue
	length       uint16 // of the record
	queue        queueName
	uses         uint8 // in all, up to enough
	visited      bool  // since the hand last passed
	octets       [headOctets]byte
}

// A block is any further one.
type block struct {
	next   uint32
	octets [blockOctets]byte
}

var _, _ [blockSize]byte = [unsafe.Sizeof(head{})]byte{}, [unsafe.Sizeof(block{})]byte{}

// newArena returns an arena for about so many octets.
func newArena(size int64) arena {
	return arena{batch: int(max(1, size/chunkSize/batchShare)), fresh: 1}
}

// blocksFor returns the number of blocks of a record of length octets.
func blocksFor(length int) int {
	return 1 + (max(0, length-headOctets)+blockOctets-1)/blockOctets
}

func (a *arena) block(place uint32) *block {
	return &a.chunks[place>>chunkShift][place%(1<<chunkShift)]
}

func (a *arena) head(place uint32) *head { return (*head)(unsafe.Pointer(a.block(place))) }

// keep copies a record, and returns its place.
func (a *arena) keep(record []byte) uint32 {
	place := a.take()
	h := a.head(place)
	h.length = uint16(len(record))
	link := &h.next
	for rest := record[copy(h.octets[:], record):]; len(rest) > 0; {
		*link = a.take()
		b := a.block(*link)
		rest = rest[copy(b.octets[:], rest):]
		link = &b.next
	}
	return place
}

// take returns an empty block.
func (a *arena) take() uint32 {
	if place := a.free; place != 0 {
		b := a.block(place)
		a.free, b.next = b.next, 0
		return place
	}
	if int(a.fresh>>chunkShift) == len(a.chunks) {
		a.grow()
	}
	a.fresh++
	return a.fresh - 1
}

func (a *arena) grow() {
	m := newMemory(a.batch * chunkSize)
	a.memories = append(a.memories, m)
	for i := range a.batch {
		a.chunks = append(a.chunks, (*chunk)(unsafe.Pointer(&m.octets[i*chunkSize])))
	}
}

// wipe clears the blocks of a record and makes them free ones, in the order in which they were taken.
func (a *arena) wipe(place uint32) {
	b := a.block(place)
	clear(b.octets[:])
	for b.next != 0 {
		b = a.block(b.next)
		clear(b.octets[:])
	}
	b.next, a.free = a.free, place
}

// reset gives all memory back.
func (a *arena) reset() {
	for _, m := range a.memories {
		m.release()
	}
	*a = arena{batch: a.batch, fresh: 1}
}

// mapped returns the octets that the arena takes.
func (a *arena) mapped() int64 { return int64(len(a.chunks)) * chunkSize }

// open has r read the record at place, from the octet start of it on, which its first block must have.
func (a *arena) open(place uint32, start int, r *reader) {
	h := a.head(place)
	r.arena, r.head, r.place, r.next = a, h, place, h.next
	r.rest, r.left = h.octets[start:], int(h.length)-start
}

// A reader goes through the octets of a record once, from the first to the last. It is good until the shard is unlocked or
// changed.
type reader struct {
	arena *arena
	head  *head
	place uint32
	next  uint32
	rest  []byte // of the block
	left  int    // of the record
}

// read fills dst with the next octets, of which there must be enough.
func (r *reader) read(dst []byte) {
	r.left -= len(dst)
	for n := copy(dst, r.rest); ; n = copy(dst, r.rest) {
		r.rest, dst = r.rest[n:], dst[n:]
		if len(dst) == 0 {
			return
		}
		r.turn()
	}
}

// skip reports whether the next octets are those of s, and goes past them.
func (r *reader) skip(s []byte) bool {
	if r.left < len(s) {
		return false
	}
	r.left -= len(s)
	for {
		n := min(len(s), len(r.rest))
		if string(r.rest[:n]) != string(s[:n]) {
			return false
		}
		r.rest, s = r.rest[n:], s[n:]
		if len(s) == 0 {
			return true
		}
		r.turn()
	}
}

// octet returns the place of the next octet, for those who change it.
func (r *reader) octet() *byte {
	if len(r.rest) == 0 {
		r.turn()
	}
	o := &r.rest[0]
	r.rest, r.left = r.rest[1:], r.left-1
	return o
}

func (r *reader) turn() {
	b := r.arena.block(r.next)
	r.next, r.rest = b.next, b.octets[:]
}
