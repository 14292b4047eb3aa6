package zone

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"tacit/internal/wire"
)

// An outgoing is a zone as it is transferred: as it is answered. Where a record is proxied it has the addresses of the edge, since
// the Zone has nothing else. A CNAME that is flattened goes as the addresses of its target where the zone itself knows them; one
// that leads elsewhere goes as it is, which leads whoever asks a secondary to the same addresses, unless it stands beside other
// records: then it is left out. What lies below a zone cut goes only as far as it is glue.
type outgoing struct {
	*Zone
	glue map[string]bool // keys of name servers, in a zone with cuts
}

func newOutgoing(z *Zone) *outgoing {
	o := &outgoing{Zone: z}
	if !z.cuts {
		return o
	}
	o.glue = map[string]bool{}
	for i := range z.len() {
		ns := z.set(i, wire.TypeNS)
		if ns == nil || len(z.key(i)) == 0 {
			continue
		}
		for rdata := range ns.data().All() {
			if server, err := wire.NameFromWire(rdata); err == nil && server.Within(z.origin) {
				o.glue[string(appendKey(nil, server, z.origin))] = true
			}
		}
	}
	return o
}

// isGiven reports whether copies of a zone can be had: what could not be read is not there to be given, and what is signed would be
// bogus without its signatures.
func (z *Zone) isGiven() bool { return !z.withheld && !z.Signed() }

// isUnread reports whether the file was never good since the start. There may be good copies of what it was.
func (z *Zone) isUnread() bool { return z.withheld && z.records == 0 }

// soaSet returns the SOA RRset, with its own TTL.
func (z *Zone) soaSet() wire.RRset { return z.set(0, wire.TypeSOA).rrset(z.origin) }

// all yields all RRsets but the SOA RRset, by name in canonical order.
func (o *outgoing) all() iter.Seq[wire.RRset] {
	return func(yield func(wire.RRset) bool) {
		for i := range o.len() {
			for _, set := range o.given(i) {
				if !yield(set) {
					return
				}
			}
		}
	}
}

// given returns the RRsets of a node, by type.
func (o *outgoing) given(i int) []wire.RRset {
	k := o.key(i)
	name := o.nameOf(k)
	hidden := o.cuts && o.isShadowed(k)
	glue := hidden && o.glue[string(k)]
	var sets []wire.RRset
	var flattened set
	for s := range o.Zone.all(i) {
		switch {
		case s.kind() == wire.TypeSOA:
		case hidden && !glue, hidden && !isAddress(s.kind()):
		case s.is(markFlattened):
			flattened = s
		default:
			sets = append(sets, s.rrset(name))
		}
	}
	if flattened == nil {
		return sets
	}
	alias := flattened.rrset(name)
	addresses, inside := o.flatten(&alias)
	switch {
	case inside:
		sets = append(sets, addresses...)
		slices.SortFunc(sets, func(a, b wire.RRset) int { return cmp.Compare(a.Type, b.Type) })
	case len(sets) == 0:
		sets = append(sets, alias)
	}
	return sets
}

func isAddress(t wire.Type) bool { return t == wire.TypeA || t == wire.TypeAAAA }

// isShadowed reports whether a name lies below a zone cut.
func (o *outgoing) isShadowed(k key) bool {
	for at := 0; at < len(k); {
		next := k.next(at)
		if at = len(next); at == len(k) {
			break
		}
		if i, found := o.search(next); found && o.set(i, wire.TypeNS) != nil {
			return true
		}
	}
	return false
}

// MaxAliases bounds the way to the addresses of a flattened CNAME, itself included.
const MaxAliases = 8

// flatten returns the addresses to which a CNAME leads; inside is false where others have them.
func (o *outgoing) flatten(alias *wire.RRset) (addresses []wire.RRset, inside bool) {
	for _, kind := range []wire.Type{wire.TypeA, wire.TypeAAAA} {
		at, ttl := targetOf(alias), alias.TTL
		for hops := 0; ; hops++ {
			if hops == MaxAliases || !at.Within(o.origin) {
				return nil, false
			}
			f := o.Find(at, kind)
			switch f.Outcome {
			case Alias:
				ttl, at = min(ttl, f.Sets[len(f.Sets)-1].TTL), f.Target
				continue
			case Flattened:
				ttl, at = min(ttl, f.TTL), f.Target
				continue
			case Answered:
				addresses = append(addresses, wire.RRset{Name: alias.Name, Type: kind, TTL: min(ttl, f.Sets[0].TTL), Data: f.Sets[0].Data})
			case NoData, NoName:
			default:
				return nil, false
			}
			break
		}
	}
	return addresses, true
}

// isPlain reports whether what is given of a node depends on nothing but its own octets.
func (o *outgoing) isPlain(i int) bool {
	if o.cuts {
		return false
	}
	for s := range o.Zone.all(i) {
		if s.is(markFlattened) {
			return false
		}
	}
	return true
}

// octets are the sets of a node as they lie there.
func (c *contents) octets(i int) []byte { return c.sets[c.nodes[i].sets:c.nodes[i+1].sets] }

// compareAt compares the names of two nodes; what is behind the last name comes last.
func compareAt(a *contents, i int, b *contents, j int) int {
	switch {
	case i == a.len():
		return 1
	case j == b.len():
		return -1
	default:
		return bytes.Compare(a.key(i), b.key(j))
	}
}
