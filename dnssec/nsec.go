package dnssec

import "tacit/internal/wire"

// An NSEC says that between its owner and its next name, in canonical order, the zone has no names, and which types
// its owner has (RFC 4034 section 4).
type NSEC struct {
	Owner, Next wire.Name
	Types       Bitmap // aliases the set
}

// ParseNSEC reads a set of one NSEC record. A name has one place in the chain, so a set of two is refused, and so is
// a next name that runs backwards to anything but a name above the owner, where only the apex can be.
func ParseNSEC(set *wire.RRset) (NSEC, bool) {
	rdata, rest := set.Data.Next()
	if set.Type != wire.TypeNSEC || len(rest) > 0 {
		return NSEC{}, false
	}
	next, err := wire.NameFromWire(rdata)
	if err != nil {
		return NSEC{}, false
	}
	n := NSEC{Owner: set.Name, Next: next, Types: Bitmap(rdata[next.Len():])}
	if !n.Types.valid() || n.isLast() && !n.Owner.Within(n.Next) {
		return NSEC{}, false
	}
	return n, true
}

// Matches reports whether n is the record of name.
func (n *NSEC) Matches(name wire.Name) bool { return n.Owner == name }

// Covers reports whether the span from n's owner to its next name contains name, in canonical order (RFC 4034
// section 6.1). The last NSEC of a zone wraps around to the apex (section 4.1.1). That name is covered does not
// mean that n may deny it: see Denies.
func (n *NSEC) Covers(name wire.Name) bool {
	if n.Owner.Compare(name) >= 0 {
		return false
	}
	if n.isLast() {
		return name.Within(n.Next)
	}
	return name.Compare(n.Next) < 0
}

// Denies reports whether n proves that name does not exist in the zone that n was taken from, wildcards left aside:
// name is covered, does not lie beyond a zone cut or DNAME at the owner (RFC 6840 section 4.1), and is no empty
// non-terminal (RFC 4592 section 2.2.2).
func (n *NSEC) Denies(name wire.Name) bool {
	return n.Covers(name) && n.reaches(name) && !n.Next.Below(name)
}

// ProvesEmpty reports whether n proves that name exists without any record: nothing is there, but the next name lies
// below it.
func (n *NSEC) ProvesEmpty(name wire.Name) bool {
	return n.Covers(name) && n.reaches(name) && n.Next.Below(name)
}

// InZone reports whether n can be a record of zone's own chain. It says nothing about who signed it.
func (n *NSEC) InZone(zone wire.Name) bool {
	switch {
	case !n.Owner.Within(zone) || !n.Next.Within(zone):
		return false
	case n.isLast() && n.Next != zone:
		return false
	case n.Owner == zone: // the parent's record for the delegation to zone has the same owner
		return !n.Types.isDelegation() && !n.Types.Has(wire.TypeNXNAME)
	default: // the apex of a zone below
		return !n.Types.Has(wire.TypeSOA)
	}
}

// closestEncloser returns the closest encloser of a name that n denies: of its ancestors, the longest that is one of
// n's two names or an ancestor of them. Between the two nothing else exists.
func (n *NSEC) closestEncloser(name wire.Name) wire.Name {
	ancestor := name.Parent()
	for !n.Owner.Within(ancestor) && !n.Next.Within(ancestor) {
		ancestor = ancestor.Parent()
	}
	return ancestor
}

func (n *NSEC) isLast() bool { return n.Next.Compare(n.Owner) <= 0 }

func (n *NSEC) reaches(name wire.Name) bool { return !n.Types.redirects() || !name.Below(n.Owner) }
