package crowds

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"tacit/internal/siphash"
)

// A Table counts from how many client networks each of many things has come within an hour. A thing is a registrable domain with a
// label. It keeps no name of one below Options.AtLeast; the name is taken from the question that makes it so many.
//
// A row has some bits, of which each network sets the one that its hash says. However they fall, no more bits are set than there were
// networks: what goes wrong, goes wrong to the side of silence. A HyperLogLog, which estimates, errs to both sides, and at 20 it would
// tell of 17; and it keeps more of each hash than which of a few bits it is, which 65,000 networks share.
type Table struct {
	o Options

	mu       sync.Mutex
	window   uint32 // the number of the present one; 0: none yet
	until    time.Time
	things   siphash.Key // both are drawn with the window
	networks siphash.Key
	rows     []row
	bits     []uint64          // of all rows, one after the other
	noted    uint64            // in this window
	text     [1 + maxText]byte // of a name, while it is noted
	suffixes [1024]suffix      // of names that came last
}

// Options say what a Table counts. AtLeast is needed.
type Options struct {
	AtLeast int // networks from which on a thing is told
	Bits    int // of a row, a power of two from 64 to 65,536. 0: 256
	Rows    int // things at a time, a multiple of 8. 0: 1,024
	// Ended is told what is told of a window that is over, before it is forgotten; not of one that ends with Forget. It must not call
	// the Table. Nil: nobody is.
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

// A suffix is how much of a name is public suffix.
type suffix struct {
	tag    uint64
	length uint8
}

// An Entry is a thing that so many networks have come with.
type Entry struct {
	Domain   string // without the last dot
	Label    uint8
	Networks int    // at least
	Count    uint64 // times
}

// A Network is a bit that stands for the network of a client in one window.
type Network struct {
	window uint32
	bit    uint16
}

const (
	lifetime = time.Hour
	ways     = 8 // rows in which a thing may be
)

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
func (t *Table) AtLeast() int { return t.o.AtLeast }

// Network is what is kept of a client until it is known what became of its question. A nil Table has none.
func (t *Table) Network(addr netip.Addr, now time.Time) Network {
	if t == nil {
		return Network{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.network(addr, now)
}

// Note counts that a network has come with a name, in wire form and lower case. One of a window that is over does not count.
func (t *Table) Note(n Network, name []byte, label uint8) {
	if t == nil || n.window == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(n, name, label)
}

// Crowded lists what so many networks have come with in this window, that of most networks first, and how often something else was.
func (t *Table) Crowded(now time.Time) (list []Entry, others uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	list, others = t.crowded(), t.noted
	for i := range list {
		others -= list[i].Count
	}
	return list, others
}

// Turn forgets a window that is over. Whoever notes does it as well; this is for when nobody comes.
func (t *Table) Turn(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window > 0 {
		t.turn(now)
	}
}

// Forget forgets everything.
func (t *Table) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wipe()
	t.until = time.Time{}
}

// turn begins a window if there is none at that time. A clock that was set back ends it, too, and then nobody is told.
func (t *Table) turn(now time.Time) {
	begun := t.until.Add(-lifetime)
	if now.Before(t.until) && !now.Before(begun) {
		return
	}
	if t.o.Ended != nil && !t.until.IsZero() && !now.Before(t.until) {
		t.o.Ended(now, t.crowded())
	}
	t.wipe()
	t.window++
	t.until = now.Add(lifetime)
	t.things, t.networks = siphash.NewKey(), siphash.NewKey()
}

func (t *Table) wipe() {
	for i := range t.rows {
		clear(t.rows[i].name)
	}
	clear(t.rows)
	clear(t.bits)
	clear(t.suffixes[:])
	t.things, t.networks, t.noted = siphash.Key{}, siphash.Key{}, 0
}

// Prefix lengths of a network, those of privacy.Clients.
const (
	bitsIPv4 = 24
	bitsIPv6 = 56
)

func (t *Table) network(addr netip.Addr, now time.Time) Network {
	t.turn(now)
	addr = addr.Unmap()
	var input [1 + 16]byte
	bits := bitsIPv6
	if addr.Is4() {
		input[0], bits = 4, bitsIPv4
	}
	if prefix, err := addr.Prefix(bits); err == nil { // the zero Addr has none: all of them are one network
		octets := prefix.Addr().As16()
		copy(input[1:], octets[:])
	}
	return Network{t.window, uint16(t.networks.Sum(input[:]) % uint64(t.o.Bits))}
}

// see notes who asks for a name at once.
func (t *Table) see(addr netip.Addr, now time.Time, name []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note(t.network(addr, now), name, 0)
}

func (t *Table) note(n Network, name []byte, label uint8) {
	if n.window != t.window || t.until.IsZero() {
		return
	}
	t.noted++
	defer clear(t.text[:])
	domain := t.domainOf(name)
	if domain == nil {
		return
	}
	before := len(t.text) - len(domain) - 1 // the domain is at the end
	t.text[before] = label
	i := t.find(max(1, t.things.Sum(t.text[before:])))
	if i < 0 {
		return
	}
	t.set(i, n.bit)
	r := &t.rows[i]
	r.label = label
	r.count++
	if r.name == nil && r.set >= t.o.AtLeast {
		r.name = slices.Clone(domain)
	}
}

// domainOf returns the registrable domain of a name, at the end of text; nil: it has none.
func (t *Table) domainOf(name []byte) []byte {
	text := textOf((*[maxText]byte)(t.text[1:]), name)
	if text == nil {
		return nil
	}
	tag := t.things.Sum(text)
	known := &t.suffixes[tag%uint64(len(t.suffixes))]
	if known.tag != tag {
		known.tag, known.length = tag, suffixLength(text)
	}
	return registrable(text, known.length)
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
			list = append(list, Entry{string(r.name), r.label, r.set, r.count})
		}
	}
	slices.SortFunc(list, compare)
	return list
}
