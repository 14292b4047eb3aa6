package zone

import "tacit/internal/wire"

// A Zone is a zone that is served here, as it is answered: where a record is proxied, it holds the addresses of the edge, and the
// origin's nowhere. It does not change; it is safe for concurrent use.
type Zone struct {
	contents
	origin  wire.Name
	soa     wire.RRset
	serial  uint32
	records int
	cuts    bool // some names are delegated, or redirected by a DNAME

	withheld bool    // the file is bad, or its key is not there, or it has expired: nothing is said
	replica  bool    // it is had from primaries
	signer   *Signer // nil: not signed
}

// Origin returns the name of the apex.
func (z *Zone) Origin() wire.Name { return z.origin }

// Serial returns the serial of the SOA record.
func (z *Zone) Serial() uint32 { return z.serial }

// Records returns how many records there are.
func (z *Zone) Records() int { return z.records }

// Size returns how many octets the zone takes.
func (z *Zone) Size() int { return z.size() }

func (z *Zone) saysTheSame(o *Zone) bool { return z.origin == o.origin && z.equal(&o.contents) }

// An Outcome is what a zone says to a question.
type Outcome uint8

// Outcomes.
const (
	Answered  Outcome = iota + 1 // Sets are the answer
	NoData                       // the name exists, and has nothing of the type
	NoName                       // there is no such name
	Alias                        // Sets lead to Target
	Flattened                    // the answer has the addresses of Target, under the name that was asked for
	Delegated                    // the servers of Cut have the answer
	TooLong                      // Sets have a DNAME, which makes the name too long (RFC 6672 section 2.2)
	Withheld                     // the zone could not be read, and nobody else has its names
	Expired                      // there is no copy of the zone from its primaries, or none that may still be used (RFC 1034 section 4.3.5)
)

// A Finding is what a zone holds for a name and type.
type Finding struct {
	Outcome Outcome
	Sets    []wire.RRset
	Target  wire.Name
	TTL     uint32      // of what is Flattened at most
	SOA     *wire.RRset // for NoData, NoName and Flattened (RFC 2308 section 3)
	Cut     *Cut
}

// A Cut is a delegation: a zone cut, its servers with their glue, and what the parent says of its keys.
type Cut struct {
	NS     wire.RRset
	DS     *wire.RRset // nil: the zone is not signed, as far as its parent knows
	Glue   []wire.RRset
	Parent *Zone
}

// Find answers for a name that lies within the zone (RFC 1034 section 4.3.2, RFC 4592 section 3.3.1). What it finds is not signed
// yet: Sign and Deny of a signed zone do that for those who want it.
func (z *Zone) Find(name wire.Name, kind wire.Type) Finding {
	f := z.find(name, kind)
	if z.signer != nil && kind == wire.TypeNSEC {
		return z.findSigned(name, f)
	}
	return f
}

func (z *Zone) find(name wire.Name, kind wire.Type) Finding {
	if z.withheld {
		if z.replica {
			return Finding{Outcome: Expired}
		}
		return Finding{Outcome: Withheld}
	}
	var buf [maxKey + 2]byte
	k := appendKey(buf[:0], name, z.origin)
	encloser := k[:0]
	for i, found := 0, true; ; {
		switch {
		case len(encloser) == len(k) && found:
			return z.at(i, name, kind)
		case len(encloser) == len(k):
			return z.deny(NoData)
		case found && z.cuts:
			if dname := z.set(i, wire.TypeDNAME); dname != nil {
				return z.redirect(dname, encloser, name, kind)
			}
		}
		next := k.next(len(encloser))
		i, found = z.search(next)
		switch {
		case !found && !z.within(i, next):
			return z.expand(encloser, name, kind)
		case found && z.cuts && (len(next) < len(k) || kind != wire.TypeDS): // RFC 4035 section 3.1.4.1
			if ns := z.set(i, wire.TypeNS); ns != nil {
				return z.delegate(i, next, ns)
			}
		}
		encloser = next
	}
}

// at answers from the sets of a node.
func (z *Zone) at(i int, name wire.Name, kind wire.Type) Finding {
	var alias set
	for s := range z.all(i) {
		if s.kind() == kind && !s.is(markFlattened) {
			return Finding{Outcome: Answered, Sets: []wire.RRset{s.rrset(name)}}
		}
		if s.kind() == wire.TypeCNAME {
			alias = s
		}
	}
	switch {
	case alias == nil || kind == wire.TypeCNAME:
		return z.deny(NoData)
	case !alias.is(markFlattened):
		set := alias.rrset(name)
		return Finding{Outcome: Alias, Sets: []wire.RRset{set}, Target: targetOf(&set)}
	case kind == wire.TypeA || kind == wire.TypeAAAA:
		set := alias.rrset(name)
		f := z.deny(Flattened)
		f.Target, f.TTL = targetOf(&set), set.TTL
		return f
	default:
		return z.deny(NoData)
	}
}

// expand answers for a name that is not there from the wildcard of its closest encloser, if there is one.
func (z *Zone) expand(encloser key, name wire.Name, kind wire.Type) Finding {
	var buf [maxKey + 2]byte
	wildcard := encloser.wildcard(buf[:0])
	switch i, found := z.search(wildcard); {
	case found:
		return z.at(i, name, kind)
	case z.within(i, wildcard): // an empty non-terminal, too, stands for names (RFC 4592 section 2.2.2)
		return z.deny(NoData)
	default:
		return z.deny(NoName)
	}
}

func (z *Zone) deny(o Outcome) Finding { return Finding{Outcome: o, SOA: &z.soa} }

// redirect applies a DNAME at owner to a name below it (RFC 6672 section 3.2).
func (z *Zone) redirect(dname set, owner key, name wire.Name, kind wire.Type) Finding {
	at := z.nameOf(owner)
	set := dname.rrset(at)
	f := Finding{Outcome: TooLong, Sets: []wire.RRset{set}}
	target, err := name.Substitute(at, targetOf(&set))
	if err != nil {
		return f
	}
	f.Outcome, f.Target = Alias, target
	if kind == wire.TypeCNAME {
		f.Outcome = Answered
	}
	f.Sets = append(f.Sets, wire.RRset{Name: name, Type: wire.TypeCNAME, TTL: set.TTL, Data: wire.Rdatas(nil).Add(target.Append(nil))})
	return f
}

// delegate makes the referral of a zone cut.
func (z *Zone) delegate(i int, at key, ns set) Finding {
	name := z.nameOf(at)
	cut := &Cut{NS: ns.rrset(name), Parent: z}
	if ds := z.set(i, wire.TypeDS); ds != nil {
		set := ds.rrset(name)
		cut.DS = &set
	}
	for rdata := range cut.NS.Data.All() {
		if server, err := wire.NameFromWire(rdata); err == nil && server.Within(z.origin) {
			cut.Glue = z.appendAddresses(cut.Glue, server)
		}
	}
	return Finding{Outcome: Delegated, Cut: cut}
}

func (z *Zone) appendAddresses(dst []wire.RRset, name wire.Name) []wire.RRset {
	var buf [maxKey]byte
	i, found := z.search(appendKey(buf[:0], name, z.origin))
	if !found {
		return dst
	}
	for s := range z.all(i) {
		if s.kind() == wire.TypeA || s.kind() == wire.TypeAAAA {
			dst = append(dst, s.rrset(name))
		}
	}
	return dst
}

// nameOf returns the name of a key that was made of a name.
func (z *Zone) nameOf(k key) wire.Name {
	name, err := k.name(z.origin)
	if err != nil {
		panic("zone: key of no name")
	}
	return name
}

// targetOf returns the name in a CNAME or DNAME record. An assembly has made sure that there is one.
func targetOf(set *wire.RRset) wire.Name {
	rdata, _ := set.Data.Next()
	name, err := wire.NameFromWire(rdata)
	if err != nil {
		panic("zone: alias without a target")
	}
	return name
}
