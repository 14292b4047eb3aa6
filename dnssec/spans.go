package dnssec

import (
	"encoding/binary"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Spans are validated NSEC or NSEC3 RRsets of one zone that earlier denials have left behind (RFC 8198).
type Spans interface {
	// Params returns how the zone hashes its names; hashed is false when it has NSEC records.
	Params() (params NSEC3Params, hashed bool)
	// Nearest returns the NSEC RRset whose owner is name, or the last one before it that is known.
	Nearest(name wire.Name) (wire.RRset, bool)
	// NearestHash returns the NSEC3 RRset whose hash is hash, or the last one before it that is known.
	NearestHash(hash NSEC3Hash) (wire.RRset, bool)
}

// GatherDenial takes from spans of zone the records that say whether name exists. To deny it altogether those of its
// wildcard are wanted, too: see Wildcard and GatherWildcard. What is proven is proven as from a response, but opt-out
// spans and those of minimal size are not to be among the spans: see Reaches.
func GatherDenial(zone, name wire.Name, spans Spans, w *work.Budget) *Denial {
	d := &Denial{zone: zone, budget: w}
	if params, hashed := spans.Params(); hashed {
		d.gatherHashed(&params, name, spans)
	} else if set, ok := spans.Nearest(name); ok {
		d.add(&set)
	}
	return d
}

// gatherHashed goes down from the apex to the first name that does not exist: what lies beyond needs no hash.
func (d *Denial) gatherHashed(params *NSEC3Params, name wire.Name, spans Spans) {
	var encloser wire.RRset // that of the name one label up, if it is known
	for labels := d.zone.Labels(); labels <= name.Labels() && !d.refused; labels++ {
		at := name.Suffix(labels)
		set, matches := d.nearestHashed(params, at, spans)
		if set.Type == 0 || matches && at != name {
			encloser = set
			continue
		}
		if encloser.Type != 0 && !matches {
			d.add(&encloser)
		}
		d.add(&set)
		return
	}
}

// nearestHashed returns the record of a name, or the one that covers its hash; else one of type 0.
func (d *Denial) nearestHashed(params *NSEC3Params, name wire.Name, spans Spans) (set wire.RRset, matches bool) {
	hash, ok := d.hashWith(params, name)
	if !ok {
		return wire.RRset{}, false
	}
	if set, ok = spans.NearestHash(hash); !ok {
		return wire.RRset{}, false
	}
	n, ok := ParseNSEC3(&set)
	if !ok || !n.Equal(params) || !n.Matches(hash) && !n.Covers(hash) {
		return wire.RRset{}, false
	}
	return set, n.Matches(hash)
}

// Wildcard returns the wildcard that would stand for a name, when the records show that nothing closer exists. Whether
// the name that it stands below exists is still open.
func (d *Denial) Wildcard(name wire.Name) (wildcard wire.Name, ok bool) {
	if !name.Below(d.zone) || d.matching(name) != nil {
		return wire.Root, false
	}
	if n := d.denying(name); n != nil {
		return wildcardOf(n.closestEncloser(name)), true
	}
	for labels := d.zone.Labels() + 1; labels <= name.Labels() && len(d.nsec3) > 0; labels++ {
		if nextCloser := name.Suffix(labels); d.covering3(nextCloser) != nil {
			return wildcardOf(nextCloser.Parent()), true
		}
	}
	return wire.Root, false
}

// Expands proves that name's records are those of set, which belong to a wildcard of the same zone and are validated
// (RFC 8198 section 5.3).
func (d *Denial) Expands(name wire.Name, set *wire.RRset) Proof {
	if !signedFor(set, d.zone) { // what the parent does not know may still exist in the child
		return NotProven
	}
	return d.NoCloserMatch(name, set.Name)
}

// GatherWildcard adds the records that say whether a wildcard exists.
func (d *Denial) GatherWildcard(wildcard wire.Name, spans Spans) {
	params, hashed := spans.Params()
	set, ok := wire.RRset{}, false
	if hashed {
		set, _ = d.nearestHashed(&params, wildcard, spans)
		ok = set.Type != 0
	} else {
		set, ok = spans.Nearest(wildcard)
	}
	for i := range d.sets {
		ok = ok && d.sets[i].Name != set.Name
	}
	if ok {
		d.add(&set)
	}
}

// A Reach is which names a record can speak of.
type Reach struct {
	Hash   NSEC3Hash // of an NSEC3 record
	Params NSEC3Params
}

// Reaches reports whether set is worth keeping for names that have not been asked for: an NSEC or NSEC3 record that
// covers more than the name that it was made for (RFC 9824 section 3.1, RFC 4470, RFC 7129 appendix B), and that does
// not opt out (RFC 8198 section 5.2 takes nothing from opt-out spans).
func Reaches(set *wire.RRset) (Reach, bool) {
	if set.Type == wire.TypeNSEC {
		n, ok := ParseNSEC(set)
		return Reach{}, ok && !n.isMinimal()
	}
	n, ok := ParseNSEC3(set)
	return Reach{Hash: n.Hash, Params: n.NSEC3Params}, ok && !n.OptOut && !n.isMinimal()
}

// isMinimal reports whether nothing lies between the owner and the next name.
func (n *NSEC) isMinimal() bool {
	return n.Next.Parent() == n.Owner && n.Next.FirstLabel() == "\x00"
}

// isMinimal reports whether the span was made for one hash: it covers one or none.
func (n *NSEC3) isMinimal() bool {
	const head = len(n.Hash) - 8
	low := binary.BigEndian.Uint64(n.Next[head:]) - binary.BigEndian.Uint64(n.Hash[head:])
	return string(n.Hash[:head]) == string(n.Next[:head]) && low > 0 && low <= 2
}

// Excepts reports whether name is at or below a negative trust anchor.
func (v *Validator) Excepts(name wire.Name, now time.Time) bool { return v.excepted(name, now) }

// SignedTTL returns the TTL of set, which nothing protects, within the original TTL that its signatures do (RFC 4035
// section 5.3.3).
func SignedTTL(set *wire.RRset) uint32 {
	ttl := set.TTL
	for sig := range signatures(set) {
		ttl = min(ttl, sig.OriginalTTL)
	}
	return ttl
}
