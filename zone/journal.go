package zone

import (
	"bytes"
	"slices"
	"sync"

	"tacit/internal/wire"
)

// A journal remembers what has changed in zones, for incremental transfers (RFC 1995), as long as there is room: the oldest goes
// first, and whoever needs it gets the whole zone.
type journal struct {
	mu   sync.Mutex
	list []*difference // oldest first
	size int
}

// A difference is what has changed from one version of a zone to the next.
type difference struct {
	origin         wire.Name
	from, to       uint32
	before, after  wire.RRset // SOA
	removed, added []wire.RRset
	size           int
}

const (
	maxJournal    = 16 << 20 // octets, of all zones
	maxDifference = 1 << 20  // of one difference: who has missed more takes the zone
	setOverhead   = 64       // octets that an RRset takes beside its RDATA
)

// note remembers what has changed from one version of a zone to the next.
func (j *journal) note(before, after *Zone) {
	d := compare(newOutgoing(before), newOutgoing(after))
	j.mu.Lock()
	defer j.mu.Unlock()
	if d == nil || !isLater(after.serial, before.serial) {
		j.forget(before.origin)
		return
	}
	j.list = append(j.list, d)
	for j.size += d.size; j.size > maxJournal; {
		j.size -= j.list[0].size
		j.list = slices.Delete(j.list, 0, 1)
	}
}

// forget forgets all of a zone.
func (j *journal) forget(origin wire.Name) {
	j.list = slices.DeleteFunc(j.list, func(d *difference) bool {
		if d.origin == origin {
			j.size -= d.size
		}
		return d.origin == origin
	})
}

// since returns what has changed in a zone from one serial to another, nil where that is not known.
func (j *journal) since(origin wire.Name, from, to uint32) []*difference {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []*difference
	for _, d := range j.list {
		if d.origin == origin && d.from == from {
			list = append(list, d)
			from = d.to
		}
	}
	if from != to {
		return nil
	}
	return list
}

// compare makes the difference between two versions of a zone; nil where it is too large.
func compare(before, after *outgoing) *difference {
	d := &difference{origin: after.origin, from: before.serial, to: after.serial}
	d.before, d.after = d.keep(before.soaSet()), d.keep(after.soaSet())
	for i, j := 0, 0; (i < before.len() || j < after.len()) && d.size <= maxDifference; {
		switch c := compareAt(&before.contents, i, &after.contents, j); {
		case c < 0:
			d.remove(before.given(i)...)
			i++
		case c > 0:
			d.add(after.given(j)...)
			j++
		default:
			if !before.isPlain(i) || !after.isPlain(j) || !bytes.Equal(before.octets(i), after.octets(j)) {
				d.node(before.given(i), after.given(j))
			}
			i++
			j++
		}
	}
	if d.size > maxDifference {
		return nil
	}
	return d
}

// node compares the RRsets of one name.
func (d *difference) node(before, after []wire.RRset) {
	for _, set := range before {
		if k := slices.IndexFunc(after, func(o wire.RRset) bool { return o.Type == set.Type }); k < 0 {
			d.remove(set)
		} else {
			d.set(&set, &after[k])
		}
	}
	for _, set := range after {
		if !slices.ContainsFunc(before, func(o wire.RRset) bool { return o.Type == set.Type }) {
			d.add(set)
		}
	}
}

// set compares two RRsets of one name and type. A new TTL is that of all records (RFC 2181 section 5.2).
func (d *difference) set(before, after *wire.RRset) {
	if bytes.Equal(before.Data, after.Data) && before.TTL == after.TTL {
		return
	}
	if before.TTL != after.TTL {
		d.remove(*before)
		d.add(*after)
		return
	}
	gone, come := *before, *after
	gone.Data, come.Data = without(before.Data, after.Data), without(after.Data, before.Data)
	d.remove(gone)
	d.add(come)
}

// without returns the records of one set that the other does not have.
func without(data, other wire.Rdatas) wire.Rdatas {
	has := map[string]bool{}
	for rdata := range other.All() {
		has[string(rdata)] = true
	}
	var rest wire.Rdatas
	for rdata := range data.All() {
		if !has[string(rdata)] {
			rest = rest.Add(rdata)
		}
	}
	return rest
}

func (d *difference) remove(sets ...wire.RRset) { d.removed = d.append(d.removed, sets) }

func (d *difference) add(sets ...wire.RRset) { d.added = d.append(d.added, sets) }

func (d *difference) append(list, sets []wire.RRset) []wire.RRset {
	for _, set := range sets {
		if len(set.Data) > 0 {
			list = append(list, d.keep(set))
		}
	}
	return list
}

// keep copies a set out of its zone, which shall not be held by it.
func (d *difference) keep(set wire.RRset) wire.RRset {
	set.Data = slices.Clone(set.Data)
	d.size += len(set.Data) + setOverhead
	return set
}
