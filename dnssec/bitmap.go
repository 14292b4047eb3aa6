package dnssec

import "tacit/internal/wire"

// A Bitmap is the type bit maps field of an NSEC or NSEC3 record as it stands in the RDATA: blocks of a window
// number, a length and up to 32 octets (RFC 4034 section 4.1.2).
type Bitmap []byte

// Has reports whether type t is present at the owner name.
func (b Bitmap) Has(t wire.Type) bool {
	window, octet, bit := byte(t>>8), int(t>>3)&31, byte(0x80)>>(t&7)
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		block := b[2 : 2+int(b[1])]
		if b[0] == window {
			return octet < len(block) && block[octet]&bit != 0
		}
		b = b[2+len(block):]
	}
	return false
}

// valid reports whether the blocks are complete and each window occurs once, in ascending order, so that Has can be
// answered in one way only. Trailing zero octets MUST be omitted (RFC 4034 section 4.1.2), but they cannot be
// misread: like Unbound, and unlike BIND, we let them pass.
func (b Bitmap) valid() bool {
	for last := -1; len(b) > 0; {
		if len(b) < 2 || int(b[0]) <= last || b[1] == 0 || b[1] > 32 || len(b) < 2+int(b[1]) {
			return false
		}
		last, b = int(b[0]), b[2+int(b[1]):]
	}
	return true
}

// isDelegation reports whether the record stands on the parent's side of a zone cut: NS without SOA. Such a record
// is an ancestor delegation to everything at and below its owner name, DS excepted (RFC 6840 section 4.1).
func (b Bitmap) isDelegation() bool { return b.Has(wire.TypeNS) && !b.Has(wire.TypeSOA) }

// redirects reports whether names below the owner are not this record's to deny: they lie beyond a zone cut or are
// rewritten by a DNAME (RFC 6840 section 4.1, RFC 5155 section 8.3).
func (b Bitmap) redirects() bool { return b.isDelegation() || b.Has(wire.TypeDNAME) }

// lacks reports whether the record that matches a name proves that the name has no data of type t.
func (b Bitmap) lacks(t wire.Type) bool {
	switch {
	case t == wire.TypeDS && b.Has(wire.TypeSOA): // the child does not speak of its DS (RFC 6840 section 4.4)
		return false
	case t != wire.TypeDS && b.isDelegation(): // nor the parent of anything else (section 4.1)
		return false
	case t == wire.TypeANY:
		return b.isBare()
	default: // a CNAME would have been the answer (section 4.3)
		return !b.Has(t) && !b.Has(wire.TypeCNAME)
	}
}

// isBare reports whether the owner has no records but those that DNSSEC itself put there, or does not exist at all
// (NXNAME, RFC 9824 section 2). Nothing else denies QTYPE ANY: type 255 is never in a bitmap.
func (b Bitmap) isBare() bool {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		block := b[2 : 2+int(b[1])]
		for i, octet := range block {
			if octet&^bareMask(b[0], i) != 0 {
				return false
			}
		}
		b = b[2+len(block):]
	}
	return true
}

func bareMask(window byte, octet int) byte {
	switch {
	case window == 0 && octet == int(wire.TypeNSEC>>3): // RRSIG is its neighbour
		return 0x80>>(wire.TypeNSEC&7) | 0x80>>(wire.TypeRRSIG&7)
	case window == 0 && octet == int(wire.TypeNXNAME>>3):
		return 0x80 >> (wire.TypeNXNAME & 7)
	default:
		return 0
	}
}
