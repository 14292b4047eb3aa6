package dnssec

import "tacit/internal/wire"

// nsec3NoName: a closest encloser proof, and the wildcard at the closest encloser covered (RFC 5155 section 8.4).
// Section 9.2 asks for the opt-out bit over the next closer name only. We ask for the wildcard's, too: in such a span it
// may exist as an empty non-terminal above an unsigned delegation, and the name then has no data, but exists.
func (d *Denial) nsec3NoName(name wire.Name) Proof {
	if n := d.matching3(name); n != nil {
		if n.Types.Has(wire.TypeNXNAME) {
			return Proven
		}
		return NotProven
	}
	encloser, cover := d.encloserProof(name)
	if cover == nil {
		return NotProven
	}
	wildcard := d.covering3(wildcardOf(encloser))
	if wildcard == nil {
		return NotProven
	}
	return max(cover.grade(), wildcard.grade())
}

// nsec3NoData: the name's own record (RFC 5155 section 8.5), an opt-out span over the next closer name, or the
// wildcard's record (section 8.7). Section 8.6 knows the second for QTYPE DS only; but an empty non-terminal that
// leads to nothing but unsigned delegations has no record either (erratum 3441). Like Unbound we take it for every type:
// who can show such a span can as well show an unsigned delegation in it.
func (d *Denial) nsec3NoData(name wire.Name, t wire.Type) Proof {
	if n := d.matching3(name); n != nil {
		if lacksAt(name, n.Types, t) {
			return Proven
		}
		return NotProven
	}
	encloser, cover := d.encloserProof(name)
	if cover == nil {
		return NotProven
	}
	if cover.OptOut {
		return ProvenInsecure
	}
	n := d.matching3(wildcardOf(encloser))
	if n == nil || n.Types.Has(wire.TypeNXNAME) || !n.Types.lacks(t) {
		return NotProven
	}
	return Proven
}

// nsec3NoCloserMatch: the next closer name is covered (RFC 5155 section 8.8). The wildcard's own signature shows that
// its parent exists.
func (d *Denial) nsec3NoCloserMatch(nextCloser wire.Name) Proof {
	if cover := d.covering3(nextCloser); cover != nil {
		return cover.grade()
	}
	return NotProven
}

// nsec3NoDS: the delegation's own record, or a closest encloser proof (RFC 5155 section 8.9).
func (d *Denial) nsec3NoDS(name wire.Name) DSProof {
	if n := d.matching3(name); n != nil {
		return cutOf(n.Types)
	}
	encloser, cover := d.encloserProof(name)
	switch {
	case cover == nil:
		return NoProof
	case cover.OptOut:
		return OptOutSpan
	}
	if wildcard := d.covering3(wildcardOf(encloser)); wildcard != nil && !wildcard.OptOut {
		return NoSuchName
	}
	return NotACut
}

// encloserProof finds the closest encloser of a name that has no record of its own, and the record that covers the
// next closer name, nil without proof (RFC 5155 section 8.3). An encloser beyond which the zone does not speak is
// none: a delegation, a DNAME.
func (d *Denial) encloserProof(name wire.Name) (encloser wire.Name, cover *NSEC3) {
	for nextCloser := name; nextCloser != d.zone; nextCloser = encloser {
		encloser = nextCloser.Parent()
		n := d.matching3(encloser)
		switch {
		case n == nil:
			continue
		case n.Types.redirects(), n.Types.Has(wire.TypeNXNAME):
			return encloser, nil
		default:
			return encloser, d.covering3(nextCloser)
		}
	}
	return encloser, nil
}

func (d *Denial) matching3(name wire.Name) *NSEC3 {
	hash, ok := d.hash(name)
	for i := range d.nsec3 {
		if ok && d.nsec3[i].Matches(hash) {
			return &d.nsec3[i]
		}
	}
	return nil
}

func (d *Denial) covering3(name wire.Name) *NSEC3 {
	hash, ok := d.hash(name)
	for i := range d.nsec3 {
		if ok && d.nsec3[i].Covers(hash) {
			return &d.nsec3[i]
		}
	}
	return nil
}

// grade is what n proves of a name that it covers; the lesser proof is the greater value.
func (n *NSEC3) grade() Proof {
	if n.OptOut {
		return ProvenInsecure
	}
	return Proven
}

// A hashedName is a hash that was paid for once.
type hashedName struct {
	name wire.Name
	hash NSEC3Hash
}

// hash hashes name with the parameters of the records. Once refused it stays refused, so that no proof is built on
// the records of some names only.
func (d *Denial) hash(name wire.Name) (NSEC3Hash, bool) {
	if len(d.nsec3) == 0 {
		return NSEC3Hash{}, false
	}
	return d.hashWith(&d.nsec3[0].NSEC3Params, name)
}

func (d *Denial) hashWith(params *NSEC3Params, name wire.Name) (NSEC3Hash, bool) {
	if d.refused {
		return NSEC3Hash{}, false
	}
	for i := range d.hashes {
		if d.hashes[i].name == name {
			return d.hashes[i].hash, true
		}
	}
	if len(d.hashes) == maxHashedNames {
		d.refused = true
		return NSEC3Hash{}, false
	}
	hash, err := params.Hash(d.budget, name)
	if err != nil {
		d.refused = true
		return NSEC3Hash{}, false
	}
	d.hashes = append(d.hashes, hashedName{name, hash})
	return hash, true
}
