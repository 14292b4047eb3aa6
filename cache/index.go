package cache

import "unsafe"

// An index finds the places of records by the tags of their keys. It is a table with linear probing, in memory of the system's
// like the records. Different keys may have the same tag: whoever looks compares keys. A tag's home is its part of the
// table, so that a table grows by an eighth as well as by half, and no name pays for room that is as large as what is used.
type index struct {
	slots  []slot
	count  int
	memory *memory
}

// A slot is empty when its place is 0.
type slot struct{ tag, place uint32 }

const (
	slotSize  = 8
	indexPage = 4096 / slotSize // a table is a whole number of pages
)

// home returns where the search for a tag starts.
func (x *index) home(tag uint32) int { return int(uint64(tag) * uint64(len(x.slots)) >> 32) }

// after returns the slot behind the i-th, round the end.
func (x *index) after(i int) int {
	if i++; i < len(x.slots) {
		return i
	}
	return 0
}

// add enters a place. At most three quarters of the table are used.
func (x *index) add(tag, place uint32) {
	if 4*(x.count+1) > 3*len(x.slots) {
		x.grow()
	}
	x.set(slot{tag, place})
	x.count++
}

func (x *index) set(s slot) {
	i := x.home(s.tag)
	for x.slots[i].place != 0 {
		i = x.after(i)
	}
	x.slots[i] = s
}

// drop takes a place out, and moves up what was pushed past its home by it.
func (x *index) drop(tag, place uint32) {
	gap := x.home(tag)
	for x.slots[gap].place != place {
		gap = x.after(gap)
	}
	for i := x.after(gap); x.slots[i].place != 0; i = x.after(i) {
		if x.distance(x.home(x.slots[i].tag), i) >= x.distance(gap, i) {
			x.slots[gap], gap = x.slots[i], i
		}
	}
	x.slots[gap] = slot{}
	x.count--
}

// distance returns the number of steps from one slot to another.
func (x *index) distance(from, to int) int {
	if from <= to {
		return to - from
	}
	return to - from + len(x.slots)
}

func (x *index) grow() {
	old := *x
	size := (len(old.slots)*9/8/indexPage + 1) * indexPage
	x.memory = newMemory(size * slotSize)
	x.slots = unsafe.Slice((*slot)(unsafe.Pointer(&x.memory.octets[0])), size)
	for _, s := range old.slots {
		if s.place != 0 {
			x.set(s)
		}
	}
	old.reset()
}

// reset gives the memory back.
func (x *index) reset() {
	if x.memory != nil {
		x.memory.release()
	}
	*x = index{}
}

// mapped returns the octets that the index takes.
func (x *index) mapped() int64 { return int64(len(x.slots)) * slotSize }
