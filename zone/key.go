package zone

import (
	"bytes"

	"tacit/internal/wire"
)

// A key is a name of a zone in the form in which its names are sorted: the labels from the apex down, without those of the apex
// itself, each closed by an octet of 0; the octets 0 and 1 inside a label are written as 1 1 and 1 2. As octets, keys are in the
// canonical order of names (RFC 4034 section 6.1), and what begins with the key of a name lies at or below it.
type key []byte

// maxKey is the length of the longest: a name of 255 octets, all of which are written as two.
const maxKey = 2 * wire.MaxNameLength

const (
	keyEnd    = 0
	keyEscape = 1
)

// appendKey appends the key of a name that lies within the zone of origin.
func appendKey(dst []byte, name, origin wire.Name) key {
	var buf [wire.MaxNameLength]byte
	octets := name.Append(buf[:0])
	return appendKeyOf(dst, octets[:len(octets)-origin.Len()])
}

// appendKeyOf appends the key of labels in wire form, the lowest first, in lower case.
func appendKeyOf(dst, labels []byte) key {
	var at [wire.MaxNameLength / 2]uint8
	count := 0
	for off := 0; off < len(labels); off += 1 + int(labels[off]) {
		at[count] = uint8(off)
		count++
	}
	for count--; count >= 0; count-- {
		off := int(at[count])
		dst = appendLabel(dst, labels[off+1:][:labels[off]])
	}
	return dst
}

func appendLabel(dst, label []byte) key {
	for _, c := range label {
		if c <= keyEscape {
			dst = append(dst, keyEscape)
			c++
		}
		dst = append(dst, c)
	}
	return append(dst, keyEnd)
}

// next returns the key with one label more than its first octets before have.
func (k key) next(before int) key { return k[:before+bytes.IndexByte(k[before:], keyEnd)+1] }

// parent returns the key without its last label. The apex, whose key is empty, has none.
func (k key) parent() key { return k[:bytes.LastIndexByte(k[:len(k)-1], keyEnd)+1] }

// wildcard appends the label of wildcards (RFC 4592 section 2.1.1).
func (k key) wildcard(dst []byte) key { return append(append(dst, k...), '*', keyEnd) }

// isWildcard reports whether the last label is that of wildcards.
func (k key) isWildcard() bool {
	return len(k) > 1 && bytes.Equal(k[len(k.parent()):], []byte{'*', keyEnd})
}

// name returns the name of a key in the zone of origin.
func (k key) name(origin wire.Name) (wire.Name, error) {
	labels := make([]byte, 0, wire.MaxNameLength)
	for rest := k; len(rest) > 0; rest = rest.parent() {
		start := len(labels)
		labels = append(labels, 0)
		for last := rest[len(rest.parent()) : len(rest)-1]; len(last) > 0; last = last[1:] {
			c := last[0]
			if c == keyEscape {
				last = last[1:]
				c = last[0] - 1
			}
			labels = append(labels, c)
		}
		labels[start] = byte(len(labels) - start - 1)
	}
	return wire.NameFromWire(origin.Append(labels))
}
