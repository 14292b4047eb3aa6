package policy

import (
	"strconv"
	"time"

	"tacit/internal/wire"
)

// SpecialUse answers for the names that the global DNS does not hold: the special-use names of RFC 6761 and its
// successors and the locally served zones of RFC 6303. It does not change once made and is safe for concurrent use.
type SpecialUse struct{ root node }

// NewSpecialUse makes the table. Served are the zones that the operator serves in another way, by a stub, a forward
// or a zone: names at and below them are left alone, and so is a special-use zone that lies below one. The root does
// not count, since who forwards everything has not thought of these names (RFC 6303 section 3 has them served unless
// configured otherwise). Own is what the resolver says of itself.
func NewSpecialUse(served []wire.Name, own ...Own) *SpecialUse {
	s := new(SpecialUse)
	for i := range specialNames {
		row := &specialNames[i]
		if row.last == 0 {
			s.addZone(row, row.name)
			continue
		}
		for n := row.first; n <= row.last; n++ {
			s.addZone(row, strconv.Itoa(n)+"."+row.name)
		}
	}
	for _, name := range served {
		if !name.IsRoot() {
			s.root.make(name).served = true
		}
	}
	for _, o := range own {
		s.addOwn(o)
	}
	return s
}

// An Own is a record set that the resolver says of itself: where its encrypted transports are (RFC 9462 section 4) and what
// it does (RFC 9606 section 3). Neither is a matter of recursion, so it is the answer wherever its name lies, in a zone
// that is served in another way, too. Only an address set is left to the zone of its name, unless that is a special-use one
// and nobody else has it.
type Own struct {
	Set        wire.RRset
	Additional []wire.RRset // spares the client a question (RFC 9462 section 4)
}

// Answer gives the local answer to q; ok is false when its name is not special, or served in another way. A name that
// is not special costs no allocation and about one look-up in a small table.
func (s *SpecialUse) Answer(q wire.Question, now time.Time) (a wire.Answer, ok bool) {
	z, n := s.find(q.Name)
	if own := n.find(q.Type, z != nil); own != nil {
		return own.respond(q, now), true
	}
	if z == nil {
		return wire.Answer{}, false
	}
	// RFC 8375 section 4, item 4: the one question for such a zone that has to be answered from the DNS, so that a
	// validator learns that the delegation is insecure.
	if z.parent && q.Type == wire.TypeDS && q.DO && q.Name == z.soa.Name {
		return wire.Answer{}, false
	}
	set, rcode := z.lookUp(n, q.Type)
	return z.respond(q, set, rcode, now), true
}

// specialTTL is the TTL of all records here, and the negative TTL (RFC 6303 section 3 recommends it for both).
const specialTTL = 10800

// answeredLocally goes with each negative answer: it says that the DNS was not asked. No code of RFC 8914 section 4
// means that (Blocked and its like are of policies that somebody chose), so it is Other with a text (section 4.1).
var answeredLocally = []wire.ExtendedError{{Code: wire.EDEOther, Text: "special-use name, answered locally"}}

// A zone is one special-use zone.
type zone struct {
	kind   kind
	parent bool
	soa    wire.RRset
	sets   []wire.RRset // of each name in a loopback zone
}

// lookUp finds what the zone holds of type t at n, which is nil where the table has no such name. ANY gets one set
// (RFC 8482 section 4.1).
func (z *zone) lookUp(n *node, t wire.Type) (set *wire.RRset, rcode wire.Rcode) {
	var sets []wire.RRset
	switch z.kind {
	case loopback:
		sets = z.sets
	case hollow:
	case empty, absent:
		if n == nil || !n.exists() {
			return nil, wire.NXDomain
		}
		sets = n.sets
	}
	for i := range sets {
		if sets[i].Type == t || t == wire.TypeANY {
			return &sets[i], wire.NoError
		}
	}
	return nil, wire.NoError
}

// respond builds the message. TTLs do not count down: the zone is our own.
func (z *zone) respond(q wire.Question, set *wire.RRset, rcode wire.Rcode, now time.Time) wire.Answer {
	var b wire.Builder
	b.Begin(make([]byte, 0, 512), q, rcode, wire.Authoritative)
	a := wire.Answer{Expires: now.Add(specialTTL * time.Second), Fixed: true}
	// Add cannot fail: the longest message here has far less than 65,535 octets.
	if set != nil {
		owned := *set
		owned.Name = q.Name
		_ = b.Add(wire.AnswerSection, &owned, specialTTL, false)
	} else {
		_ = b.Add(wire.AuthoritySection, &z.soa, specialTTL, false) // RFC 2308 section 2
		a.Errors = answeredLocally
	}
	a.Packet = b.Message()
	return a
}

// respond builds the message.
func (o *Own) respond(q wire.Question, now time.Time) wire.Answer {
	var b wire.Builder
	b.Begin(make([]byte, 0, 512), q, wire.NoError, wire.Authoritative)
	// Add cannot fail: no configuration has listeners for 65,535 octets.
	_ = b.Add(wire.AnswerSection, &o.Set, o.Set.TTL, false)
	for i := range o.Additional {
		_ = b.Add(wire.AdditionalSection, &o.Additional[i], o.Additional[i].TTL, false)
	}
	return wire.Answer{Packet: b.Message(), Expires: now.Add(time.Duration(o.Set.TTL) * time.Second), Fixed: true}
}

// A node is a name in the table; the tree is one of labels, from the root down.
type node struct {
	below  map[string]*node
	zone   *zone // whose apex this is
	served bool  // by the operator
	sets   []wire.RRset
	own    []Own
}

// find returns what the resolver says of itself here, nil when nothing. ANY gets one set of it (RFC 8482 section 4.1) where
// the name is special; elsewhere its zone has other sets.
func (n *node) find(t wire.Type, special bool) *Own {
	if n == nil {
		return nil
	}
	for i := range n.own {
		if o := &n.own[i]; o.Set.Type == t || special && t == wire.TypeANY {
			return o
		}
	}
	return nil
}

// exists reports whether the name is in its zone: it has data, or names below it do. That counts the operator's zones,
// too, which lie below but are served elsewhere: NXDOMAIN would deny them with it (RFC 8020 section 2).
func (n *node) exists() bool { return len(n.sets) > 0 || len(n.own) > 0 || len(n.below) > 0 }

// find walks down to name and returns the zone that it is in, nil when none or when it is served in another way, and its
// node, nil when the name is not in the table. It works on octets, because interning each suffix of each name that is asked
// would fill the table of names.
func (s *SpecialUse) find(name wire.Name) (*zone, *node) {
	var buf [wire.MaxNameLength]byte
	var starts [wire.MaxNameLength / 2]uint8
	w, labels := name.Append(buf[:0]), 0
	for off := 0; w[off] != 0; off += 1 + int(w[off]) {
		starts[labels] = uint8(off)
		labels++
	}
	var z *zone
	served := false
	n := &s.root
	for i := labels - 1; i >= 0 && n != nil; i-- {
		label := w[starts[i]:]
		n = n.below[string(label[1:1+label[0]])]
		switch {
		case n == nil:
		case n.served:
			served = true
		case n.zone != nil:
			z = n.zone
		}
	}
	if served {
		z = nil
	}
	return z, n
}

// make returns the node of name and makes it when it is not there.
func (n *node) make(name wire.Name) *node {
	if name.IsRoot() {
		return n
	}
	parent, label := n.make(name.Parent()), name.FirstLabel()
	child := parent.below[label]
	if child == nil {
		if parent.below == nil {
			parent.below = make(map[string]*node)
		}
		child = new(node)
		parent.below[label] = child
	}
	return child
}

func (s *SpecialUse) addOwn(o Own) {
	z, _ := s.find(o.Set.Name)
	if z == nil && (o.Set.Type == wire.TypeA || o.Set.Type == wire.TypeAAAA) {
		return
	}
	n := s.root.make(o.Set.Name)
	n.own = append(n.own, o)
}

func (s *SpecialUse) addZone(row *specialName, text string) {
	name := wire.MustName(text)
	z := &zone{kind: row.kind, parent: row.parent, soa: soa(name)}
	apex := s.root.make(name)
	apex.zone = z
	if z.kind == empty {
		// The NS record is there for clients that look for the zone to send an update to (RFC 6303 section 3).
		apex.sets = []wire.RRset{z.soa, rrset(name, wire.TypeNS, string(name.Append(nil)))}
	}
	for _, d := range row.data {
		owner := wire.MustName(d.owner)
		set := rrset(owner, d.kind, d.rdata...)
		if z.kind == loopback {
			z.sets = append(z.sets, set)
			continue
		}
		n := s.root.make(owner)
		n.sets = append(n.sets, set)
	}
}

// soa is the SOA record of RFC 6303 section 3: the zone is its own primary, which has no address, so that updates end
// there; nobody is to be written to.
func soa(zone wire.Name) wire.RRset {
	rdata := zone.Append(nil)
	rdata = append(rdata, "\x06nobody\x07invalid\x00"...)
	for _, v := range [...]uint32{1, 3600, 1200, 604800, specialTTL} { // serial, refresh, retry, expire, minimum
		rdata = append(rdata, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return rrset(zone, wire.TypeSOA, string(rdata))
}

func rrset(owner wire.Name, t wire.Type, rdata ...string) wire.RRset {
	set := wire.RRset{Name: owner, Type: t, TTL: specialTTL}
	for _, r := range rdata {
		set.Data = set.Data.Add([]byte(r))
	}
	return set
}
