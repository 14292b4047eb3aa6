package crowds

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Table counts from how many client networks each of many things has come within an hour. A thing is a registrable domain with a
// label. It keeps no name of one below Options.AtLeast; the name is taken from the question that makes it so many.
//
// A row has some bits, of which each network sets the one that its hash says. However they fall, no more bits are set than there were
// networks: what goes wrong, goes wrong to the side of silence. A HyperLogLog, which estimates, errs to both sides, and at 20 it would
// tell of 17; and it keeps more of each hash than which of a few bits it is, which 65,000 networks share.
type Table struct {
	o       Options
	current atomic.Pointer[window] // nil: none

	mu    sync.Mutex
	last  uint32 // the number of the window that began last
	rows  []row
	bits  []uint64 // of all rows, one after the other
	noted uint64   // in this window
}

// Options say what a Table counts. AtLeast is needed.
type Options struct {
	AtLeast int // networks from which on a thing is told
	Bits    int // of a row, a power of two from 64 to 65,536. 0: 256
	Rows    int // things at a time, a multiple of 8. 0: 1,024
	// Suffixes keeps with a keyed hash of a whole name how much of it is public suffix, for those names that came last: for a Table to
	// which all questions come.
	Suffixes bool
	// Ended is told what is told of a window that is over, before it is forgotten; not of one that ends with Forget. The names
	// are wiped when it returns. It must not call the Table. Nil: nobody is.
	Ended func(now time.Time, list []Entry)
}

// A row is what is known of one thing.
type row struct {
	tag   uint64 // 0: free
	set   int    // bits
	count uint64
	label uint8
	name  []byte // nil below AtLeast
}

// An Entry is a thing that so many networks have come with.
type Entry struct {
	Domain   []byte // without the last dot; the caller's own
	Label    uint8
	Networks int    // at least
	Count    uint64 // times
}

// A Network is a bit that stands for the network of a client in one window.
type Network struct {
	window uint32
	bit    uint16
}

const ways = 8 // rows in which a thing may be

// NewTable makes a Table.
func NewTable(o Options) *Table {
	if o.Bits == 0 {
		o.Bits = 256
	}
	if o.Rows == 0 {
		o.Rows = 1024
	}
	return &Table{o: o, rows: make([]row, o.Rows), bits: make([]uint64, o.Rows*o.Bits/64)}
}

// AtLeast is from how many networks on a thing is told.
func (t *Table) AtLeast() int {
	if t == nil {
		return 0
	}
	return t.o.AtLeast
}

// Network is what is kept of a client until it is known what became of its question. It takes a lock once in an hour. A nil Table has
// none, and counts nothing.
func (t *Table) Network(addr netip.Addr, now time.Time) Network {
	if t == nil {
		return Network{}
	}
	return t.windowAt(now).network(addr)
}

// Note counts that a network has come with a name, in wire form and lower case. One of a window that is over does not count.
func (t *Table) Note(n Network, name []byte, label uint8) {
	if t == nil {
		return
	}
	if w := t.current.Load(); w != nil && w.number == n.window {
		t.note(w, n, name, label)
	}
}

// Crowded lists what so many networks have come with in this window, that of most networks first, and how often something else was.
func (t *Table) Crowded(now time.Time) (list []Entry, others uint64) {
	if t == nil {
		return nil, 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	list, others = t.crowded(), t.noted
	for i := range list {
		others -= list[i].Count
	}
	return list, others
}

// Turn forgets a window that is over, begins the next, and reports whether names were in it. Whoever notes does it as well; this is
// for when nobody comes.
func (t *Table) Turn(now time.Time) (named bool) {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.turn(now)
}

// Forget forgets everything.
func (t *Table) Forget() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wipe()
}

func (t *Table) windowAt(now time.Time) *window {
	if w := t.current.Load(); w.holds(now) {
		return w
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	return t.current.Load()
}

// turn begins a window if there is none at that time, and reports whether names were in the one before. A clock that was set back ends
// one, too, and then nobody is told.
func (t *Table) turn(now time.Time) (named bool) {
	w := t.current.Load()
	if w.holds(now) {
		return false
	}
	if t.o.Ended != nil && w != nil && !now.Before(w.until) {
		list := t.crowded()
		t.o.Ended(now, list)
		for i := range list {
			clear(list[i].Domain)
		}
	}
	named = t.wipe()
	t.last++
	t.current.Store(newWindow(t.last, now, &t.o))
	return named
}

// wipe ends a window, with what the names in it were written in.
func (t *Table) wipe() (named bool) {
	if w := t.current.Swap(nil); w != nil {
		w.wipe()
	}
	for i := range t.rows {
		named = named || t.rows[i].name != nil
		clear(t.rows[i].name)
	}
	clear(t.rows)
	clear(t.bits)
	t.noted = 0
	return named
}

// see notes who asks for a name at once.
func (t *Table) see(addr netip.Addr, now time.Time, name []byte) {
	w := t.windowAt(now)
	t.note(w, w.network(addr), name, 0)
}

// note makes out which thing it is before it takes the lock.
func (t *Table) note(w *window, n Network, name []byte, label uint8) {
	room := rooms.Get().(*[1 + maxText]byte)
	defer rooms.Put(room)
	defer clear(room[:])
	domain := w.domainOf((*[maxText]byte)(room[1:]), name)
	var tag uint64
	if domain != nil {
		before := len(room) - len(domain) - 1 // the domain is at the end
		room[before] = label
		tag = max(1, w.things.sum(room[before:]))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.Load() == w {
		t.count(tag, n, domain, label)
	}
}

// rooms are where names are written as text, with a label in front. None that is given back holds a name.
var rooms = sync.Pool{New: func() any { return new([1 + maxText]byte) }}

// count counts a thing, or with the tag 0 something that is none.
func (t *Table) count(tag uint64, n Network, domain []byte, label uint8) {
	t.noted++
	if tag == 0 {
		return
	}
	i := t.find(tag)
	if i < 0 {
		return
	}
	t.set(i, n.bit)
	r := &t.rows[i]
	r.label = label
	r.count++
	if r.name == nil && r.set >= t.o.AtLeast {
		r.name = bytes.Clone(domain)
	}
}

// find returns the row of a thing. Where there is no place the one with the fewest networks gives way, if it is not told yet; -1: none does.
func (t *Table) find(tag uint64) int {
	first := int(tag % uint64(len(t.rows)/ways) * ways)
	free := -1
	for i := first; i < first+ways; i++ {
		switch r := &t.rows[i]; {
		case r.tag == tag:
			return i
		case r.name != nil:
		case free < 0 || r.set < t.rows[free].set:
			free = i
		}
	}
	if free >= 0 {
		t.rows[free] = row{tag: tag}
		clear(t.bitsOf(free))
	}
	return free
}

func (t *Table) bitsOf(i int) []uint64 {
	words := t.o.Bits / 64
	return t.bits[i*words : (i+1)*words]
}

func (t *Table) set(i int, bit uint16) {
	word, mask := &t.bitsOf(i)[bit/64], uint64(1)<<(bit%64)
	if *word&mask == 0 {
		*word |= mask
		t.rows[i].set++
	}
}

func (t *Table) crowded() []Entry {
	var list []Entry
	for i := range t.rows {
		if r := &t.rows[i]; r.name != nil {
			list = append(list, Entry{bytes.Clone(r.name), r.label, r.set, r.count})
		}
	}
	slices.SortFunc(list, compare)
	return list
}
