package zone

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"tacit/internal/wire"
)

// A Copy is the root zone as it was transferred. It does not change; it is safe for concurrent use.
type Copy struct {
	sets    []wire.RRset // ordered by name (RFC 4034 section 6.1), then type
	denials []int32      // which of them are NSEC
	records int
	size    int
	timers  timers
	until   time.Time // when the first signature ends, less the margin
}

// Timers are what the SOA record says of copies (RFC 1035 section 3.3.13).
type timers struct {
	serial                 uint32
	refresh, retry, expire time.Duration
}

// Serial returns the zone's serial.
func (c *Copy) Serial() uint32 { return c.timers.serial }

// Size returns how many bytes the copy takes, the names, which are shared with the rest of the program, counted once.
func (c *Copy) Size() int { return c.size }

// Why a transferred zone is not copied.
var (
	errNoSOA     = errors.New("transferred zone has no well-formed SOA record")
	errOrphan    = errors.New("transferred zone has a signature over nothing")
	errUncopied  = errors.New("transferred zone has wildcards or aliases")
	errNoDenials = errors.New("transferred zone has no NSEC record at its apex")
	errTooMany   = errors.New("transferred zone has too many records")
)

// maxRecords bounds the records of a transfer; the root zone has about 25,000.
const maxRecords = 100_000

// An assembly is a zone on its way in, record by record and in any order.
type assembly struct {
	index   map[setKey]int
	sets    []wire.RRset
	records int
}

type setKey struct {
	name wire.Name
	kind wire.Type
}

// add takes one record. Signatures are hung on what they cover, which may come later.
func (a *assembly) add(r *record) error {
	if a.records == maxRecords {
		return errTooMany
	}
	a.records++
	if r.kind != wire.TypeRRSIG {
		set := a.set(setKey{r.name, r.kind})
		if len(set.Data) == 0 {
			set.TTL = r.ttl
		}
		set.Data = set.Data.Add(r.rdata)
		return nil
	}
	if len(r.rdata) < 2 {
		return errOrphan
	}
	set := a.set(setKey{r.name, wire.Type(binary.BigEndian.Uint16(r.rdata))})
	set.Sigs = set.Sigs.Add(r.rdata)
	return nil
}

func (a *assembly) set(k setKey) *wire.RRset {
	i, ok := a.index[k]
	if !ok {
		if a.index == nil {
			a.index = map[setKey]int{}
		}
		i = len(a.sets)
		a.index[k] = i
		a.sets = append(a.sets, wire.RRset{Name: k.name, Type: k.kind})
	}
	return &a.sets[i]
}

// finish makes a Copy of what has come.
func (a *assembly) finish() (*Copy, error) {
	c := &Copy{sets: slices.Clip(a.sets), records: a.records}
	slices.SortFunc(c.sets, func(a, b wire.RRset) int {
		return cmp.Or(a.Name.Compare(b.Name), cmp.Compare(a.Type, b.Type))
	})
	for i := range c.sets {
		switch set := &c.sets[i]; {
		case len(set.Data) == 0:
			return nil, errOrphan
		case set.Type == wire.TypeCNAME, set.Type == wire.TypeDNAME, set.Name.FirstLabel() == "*":
			return nil, errUncopied // what they stand for is not answered here, and the root has none
		case set.Type == wire.TypeNSEC:
			c.denials = append(c.denials, int32(i))
		}
	}
	if len(c.denials) == 0 || !c.sets[c.denials[0]].Name.IsRoot() {
		return nil, errNoDenials
	}
	var ok bool
	if c.timers, ok = readTimers(c.set(wire.Root, wire.TypeSOA)); !ok {
		return nil, errNoSOA
	}
	c.compact()
	return c, nil
}

// compact moves all RDATA into one block without slack, and counts.
func (c *Copy) compact() {
	total := 0
	for i := range c.sets {
		total += len(c.sets[i].Data) + len(c.sets[i].Sigs)
	}
	block := make([]byte, 0, total)
	move := func(data wire.Rdatas) wire.Rdatas {
		start := len(block)
		block = append(block, data...)
		return wire.Rdatas(block[start:len(block):len(block)])
	}
	const setSize, denialSize = 64, 4
	c.size = total + setSize*len(c.sets) + denialSize*len(c.denials)
	for i := range c.sets {
		set := &c.sets[i]
		set.Data, set.Sigs = move(set.Data), move(set.Sigs)
		if i == 0 || c.sets[i-1].Name != set.Name {
			c.size += set.Name.Len()
		}
	}
}

func readTimers(soa *wire.RRset) (timers, bool) {
	if soa == nil || soa.Data.Count() != 1 {
		return timers{}, false
	}
	rdata, _ := soa.Data.Next()
	for range 2 { // MNAME and RNAME
		name, err := wire.NameFromWire(rdata)
		if err != nil {
			return timers{}, false
		}
		rdata = rdata[name.Len():]
	}
	if len(rdata) != 20 {
		return timers{}, false
	}
	seconds := func(at int) time.Duration { return time.Duration(binary.BigEndian.Uint32(rdata[at:])) * time.Second }
	return timers{
		serial:  binary.BigEndian.Uint32(rdata),
		refresh: seconds(4), retry: seconds(8), expire: seconds(12),
	}, true
}

// find returns where name stands, or where it would.
func (c *Copy) find(name wire.Name) int {
	i, _ := slices.BinarySearchFunc(c.sets, name, func(set wire.RRset, name wire.Name) int { return set.Name.Compare(name) })
	return i
}

// at returns the RRsets of name.
func (c *Copy) at(name wire.Name) []wire.RRset {
	start := c.find(name)
	end := start
	for end < len(c.sets) && c.sets[end].Name == name {
		end++
	}
	return c.sets[start:end]
}

func (c *Copy) set(name wire.Name, t wire.Type) *wire.RRset {
	sets := c.at(name)
	for i := range sets {
		if sets[i].Type == t {
			return &sets[i]
		}
	}
	return nil
}

// exists reports whether name has records or lies above a name that has (RFC 4592 section 2.2.2): what lies below it
// stands right behind it.
func (c *Copy) exists(name wire.Name) bool {
	i := c.find(name)
	return i < len(c.sets) && c.sets[i].Name.Within(name)
}

// denial returns the NSEC RRset at name, or the one whose span name lies in.
func (c *Copy) denial(name wire.Name) *wire.RRset {
	i, found := slices.BinarySearchFunc(c.denials, name, func(i int32, name wire.Name) int {
		return c.sets[i].Name.Compare(name)
	})
	if !found {
		i-- // never below the apex, which is before all names
	}
	return &c.sets[c.denials[i]]
}
