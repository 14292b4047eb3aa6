package zone

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"sort"

	"tacit/internal/wire"
)

// Contents are the RRsets of a zone in canonical order. They are octets, so that a million names cost the garbage collector
// nothing, and do not change.
type contents struct {
	keys  []byte
	sets  []byte
	nodes []node // and one behind the last, for its ends
}

// A node says where the key and the RRsets of a name begin; the next node says where they end.
type node struct{ key, sets uint32 }

// A set is an RRset as it lies in contents: type, marks, TTL, length, and its RDATA.
type set []byte

const setHeader = 2 + 1 + 4 + 4

// Marks of a set.
const markFlattened = 1 // a CNAME that is given as the addresses of its target

func (s set) kind() wire.Type   { return wire.Type(binary.BigEndian.Uint16(s)) }
func (s set) is(mark byte) bool { return s[2]&mark != 0 }
func (s set) ttl() uint32       { return binary.BigEndian.Uint32(s[3:]) }
func (s set) length() int       { return int(binary.BigEndian.Uint32(s[7:])) }
func (s set) data() wire.Rdatas { return wire.Rdatas(s[setHeader:]) }

// rrset returns the set as that of an owner.
func (s set) rrset(owner wire.Name) wire.RRset {
	return wire.RRset{Name: owner, Type: s.kind(), TTL: s.ttl(), Data: s.data()}
}

func (c *contents) len() int { return len(c.nodes) - 1 }

func (c *contents) key(i int) key { return c.keys[c.nodes[i].key:c.nodes[i+1].key] }

// search returns the node at k, or where it would be.
func (c *contents) search(k key) (i int, found bool) {
	i = sort.Search(c.len(), func(i int) bool { return bytes.Compare(c.key(i), k) >= 0 })
	return i, i < c.len() && bytes.Equal(c.key(i), k)
}

// within reports whether the name of node i lies at or below k.
func (c *contents) within(i int, k key) bool { return i < c.len() && bytes.HasPrefix(c.key(i), k) }

// all yields the sets of a node.
func (c *contents) all(i int) iter.Seq[set] {
	return func(yield func(set) bool) {
		for rest := c.sets[c.nodes[i].sets:c.nodes[i+1].sets]; len(rest) > 0; {
			end := setHeader + set(rest).length()
			if !yield(set(rest[:end:end])) {
				return
			}
			rest = rest[end:]
		}
	}
}

// set returns the set of a type, nil when the node has none.
func (c *contents) set(i int, kind wire.Type) set {
	for s := range c.all(i) {
		if s.kind() == kind {
			return s
		}
	}
	return nil
}

// reserve makes room, so that little is left over at the end.
func (c *contents) reserve(nodes, keys, sets int) {
	c.nodes, c.keys, c.sets = make([]node, 0, nodes), make([]byte, 0, keys), make([]byte, 0, sets)
}

// begin begins a node, to which sets are added; end is called once, behind the last.
func (c *contents) begin(k key) {
	c.nodes = append(c.nodes, node{uint32(len(c.keys)), uint32(len(c.sets))})
	c.keys = append(c.keys, k...)
}

// add adds a set to the node that was begun last.
func (c *contents) add(m *made) {
	c.sets = append(binary.BigEndian.AppendUint16(c.sets, uint16(m.kind)), m.mark)
	c.sets = binary.BigEndian.AppendUint32(c.sets, m.ttl)
	c.sets = binary.BigEndian.AppendUint32(c.sets, uint32(len(m.data)))
	c.sets = append(c.sets, m.data...)
}

// end is called once, behind the last node.
func (c *contents) end() {
	c.nodes = append(c.nodes, node{uint32(len(c.keys)), uint32(len(c.sets))})
	c.keys, c.sets, c.nodes = snug(c.keys), snug(c.sets), snug(c.nodes)
}

// snug copies what has taken much more room than it needs.
func snug[E any](s []E) []E {
	if cap(s)-len(s) > len(s)/16 {
		return slices.Clip(slices.Clone(s))
	}
	return s
}

// size returns how many octets the contents take.
func (c *contents) size() int { return len(c.keys) + len(c.sets) + 8*len(c.nodes) }

// equal reports whether two zones would answer alike.
func (c *contents) equal(o *contents) bool {
	return slices.Equal(c.nodes, o.nodes) && bytes.Equal(c.keys, o.keys) && bytes.Equal(c.sets, o.sets)
}
