package dnssec

import "tacit/internal/wire"

// nsecNoName: one NSEC denies the name, and one, often the same, the wildcard at its closest encloser (RFC 4035
// section 5.4).
func (d *Denial) nsecNoName(name wire.Name) bool {
	if n := d.matching(name); n != nil {
		return n.Types.Has(wire.TypeNXNAME)
	}
	n := d.denying(name)
	return n != nil && d.denying(wildcardOf(n.closestEncloser(name))) != nil
}

// nsecNoData: the name's own NSEC, an empty non-terminal, or a wildcard in the name's place (RFC 4035 section 5.4).
func (d *Denial) nsecNoData(name wire.Name, t wire.Type) bool {
	if n := d.matching(name); n != nil {
		return n.lacksAt(name, t)
	}
	if d.isEmpty(name) {
		return true
	}
	n := d.denying(name)
	if n == nil {
		return false
	}
	wildcard := wildcardOf(n.closestEncloser(name))
	if w := d.matching(wildcard); w != nil {
		return !w.Types.Has(wire.TypeNXNAME) && w.lacksAt(wildcard, t)
	}
	return d.isEmpty(wildcard)
}

// nsecNoDS: a name that is not in the chain is no zone cut, whatever a wildcard may say: NS at a wildcard has no
// defined meaning (RFC 4592 section 4.2).
func (d *Denial) nsecNoDS(name wire.Name) DSProof {
	if n := d.matching(name); n != nil {
		return cutOf(n.Types)
	}
	switch {
	case d.isEmpty(name):
		return NotACut
	case d.denying(name) == nil:
		return NoProof
	case d.nsecNoName(name):
		return NoSuchName
	default:
		return NotACut
	}
}

func (d *Denial) matching(name wire.Name) *NSEC {
	for i := range d.nsec {
		if d.nsec[i].Matches(name) {
			return &d.nsec[i]
		}
	}
	return nil
}

func (d *Denial) denying(name wire.Name) *NSEC {
	for i := range d.nsec {
		if d.nsec[i].Denies(name) {
			return &d.nsec[i]
		}
	}
	return nil
}

func (d *Denial) isEmpty(name wire.Name) bool {
	for i := range d.nsec {
		if d.nsec[i].ProvesEmpty(name) {
			return true
		}
	}
	return false
}

// lacksAt is lacksAt of the bitmap, but for the two types that stand wherever n does, even when a signer left them
// out of the bitmap.
func (n *NSEC) lacksAt(name wire.Name, t wire.Type) bool {
	return t != wire.TypeNSEC && t != wire.TypeRRSIG && lacksAt(name, n.Types, t)
}
