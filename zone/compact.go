package zone

import (
	"slices"

	"tacit/internal/wire"
)

// Signed reports whether the zone is signed.
func (z *Zone) Signed() bool { return z.signer != nil }

// Signer returns what signs the RRsets of the zone, nil where it is not signed.
func (z *Zone) Signer() *Signer { return z.signer }

// Deny returns the NSEC RRset that says that a name, which the zone itself answers for, has nothing of a type: the compact denial of
// RFC 9824 section 3. It reaches from the name to its first possible successor, and so speaks of no other. A name that does not
// exist has the type NXNAME.
func (z *Zone) Deny(name wire.Name, kind wire.Type) wire.RRset {
	types := append(z.typesAt(name, kind), wire.TypeRRSIG, wire.TypeNSEC)
	rdata := appendBitmap(z.after(name).Append(nil), types)
	return wire.RRset{Name: name, Type: wire.TypeNSEC, TTL: z.soa.TTL, Data: wire.Rdatas(nil).Add(rdata)} // RFC 9077 section 3
}

// typesAt returns the types at a name, as its own records or those of a wildcard are.
func (z *Zone) typesAt(name wire.Name, kind wire.Type) []wire.Type {
	var buf [maxKey + 2]byte
	k := appendKey(buf[:0], name, z.origin)
	i, found := z.search(k)
	if !found && !z.within(i, k) {
		var wildcard [maxKey + 2]byte
		k = z.encloser(k).wildcard(wildcard[:0])
		i, found = z.search(k)
	}
	switch {
	case found:
		return z.typesOf(i, len(k) == 0, kind)
	case z.within(i, k): // an empty non-terminal
		return nil
	default:
		return []wire.Type{wire.TypeNXNAME}
	}
}

// encloser returns the key of the closest encloser of a name that does not exist.
func (z *Zone) encloser(k key) key {
	for k = k.parent(); len(k) > 0; k = k.parent() {
		if i, _ := z.search(k); z.within(i, k) {
			break
		}
	}
	return k
}

// typesOf returns the types of a node. What stands for a CNAME that is flattened is found out when it is asked for: both families are
// said to be there, but for the one that was not, so that nobody concludes from one denial that there is nothing of the other.
func (z *Zone) typesOf(i int, apex bool, kind wire.Type) []wire.Type {
	var types []wire.Type
	cut := !apex && z.set(i, wire.TypeNS) != nil // what else is there is not the parent's (RFC 4035 section 2.3)
	for s := range z.all(i) {
		switch {
		case cut && s.kind() != wire.TypeNS && s.kind() != wire.TypeDS:
		case s.is(markFlattened):
			types = append(types, wire.TypeA, wire.TypeAAAA)
			types = slices.DeleteFunc(types, func(t wire.Type) bool { return t == kind })
		default:
			types = append(types, s.kind())
		}
	}
	return types
}

// after returns the first name that can follow another in canonical order (RFC 4471 section 3.1.2): with a label of one zero octet in
// front, or where that is too long, with a longer or higher first label.
func (z *Zone) after(name wire.Name) wire.Name {
	if next, err := name.Prepend("\x00"); err == nil {
		return next
	}
	for ; name != z.origin; name = name.Parent() {
		label, parent := name.FirstLabel(), name.Parent()
		if next, err := parent.Prepend(label + "\x00"); err == nil {
			return next
		}
		for len(label) > 0 {
			last := label[len(label)-1]
			label = label[:len(label)-1]
			if last == 0xff {
				continue
			}
			if last++; 'A' <= last && last <= 'Z' { // no name has them
				last = 'Z' + 1
			}
			next, err := parent.Prepend(label + string([]byte{last}))
			if err == nil {
				return next
			}
		}
	}
	return z.origin
}

// appendBitmap appends the type bit maps field of an NSEC record (RFC 4034 section 4.1.2).
func appendBitmap(dst []byte, types []wire.Type) []byte {
	slices.Sort(types)
	for len(types) > 0 {
		window := byte(types[0] >> 8)
		var bits [32]byte
		octets := 0
		for len(types) > 0 && byte(types[0]>>8) == window {
			low := byte(types[0])
			bits[low>>3] |= 0x80 >> (low & 7)
			octets = int(low>>3) + 1
			types = types[1:]
		}
		dst = append(append(dst, window, byte(octets)), bits[:octets]...)
	}
	return dst
}

// findSigned adds to find what a signed zone has of its own: the NSEC record of a name that exists, even beside a CNAME
// (RFC 4035 section 2.5).
func (z *Zone) findSigned(name wire.Name, f Finding) Finding {
	atAlias := f.Outcome == Alias && f.Sets[0].Type == wire.TypeCNAME
	if f.Outcome != NoData && !atAlias {
		return f
	}
	return Finding{Outcome: Answered, Sets: []wire.RRset{z.Deny(name, wire.TypeNSEC)}}
}
