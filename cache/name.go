package cache

import (
	"slices"

	"tacit/internal/wire"
)

// Names are held as octets, in wire form and lower case: a wire.Name in the cache would keep its text in the runtime's memory.

// elsewhere says that a name is no end of the key's, and stands for itself.
const elsewhere = 255

// skipTo returns how many octets of whole come before the end of it that name is.
func skipTo(name, whole wire.Name) uint8 {
	if !whole.Within(name) {
		return elsewhere
	}
	return uint8(whole.Len() - name.Len()) // 254 at most: no name is shorter than one octet or longer than 255
}

// nameAt returns the name that is the end of key's behind skip octets, or else at the start of octets, and what of
// octets is left.
func nameAt(skip uint8, key, octets []byte) (wire.Name, []byte) {
	from := octets
	if skip != elsewhere {
		from = key[skip:]
	}
	name, err := wire.NameFromWire(from)
	if err == nil && skip == elsewhere {
		octets = octets[name.Len():]
	}
	return name, octets
}

// name appends the name that the next octets are.
func (r *reader) name(dst []byte) []byte {
	for size := *r.octet(); ; size = *r.octet() {
		dst = append(dst, size)
		if size == 0 {
			return dst
		}
		label := len(dst)
		dst = slices.Grow(dst, int(size))[:label+int(size)]
		r.read(dst[label:])
	}
}

// within reports whether name is zone or lies below it.
func within(name, zone []byte) bool {
	for len(name) > len(zone) {
		name = name[1+name[0]:]
	}
	return string(name) == string(zone)
}

// A scope is what is to be forgotten: a name, or a name and all below it.
type scope struct {
	name    []byte
	subtree bool
}

func (s scope) has(name []byte) bool {
	if s.subtree {
		return within(name, s.name)
	}
	return string(name) == string(s.name)
}

func (s scope) covers(name wire.Name) bool {
	var buf [wire.MaxNameLength]byte
	return s.has(name.Append(buf[:0]))
}
