package zone

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// updateTime is how long an update waits for others that write into the directory of its zone file.
const updateTime = 3 * time.Second

// update changes a zone by what a message says (RFC 2136 section 3), and answers when the change is served.
func (d *dialogue) update(ctx context.Context, zone wire.Name) {
	ctx, cancel := context.WithTimeout(ctx, updateTime)
	defer cancel()
	d.refuse(d.keeper.update(ctx, d.request, d.key, zone))
}

// update returns the RCODE. It looks at the rights of a key first: the others learn nothing of what there is.
func (k *Keeper) update(ctx context.Context, m *dns.Msg, key *SharedKey, zone wire.Name) int {
	grants := slices.DeleteFunc(slices.Clone(k.options.Grants), func(g Grant) bool { return g.Key != key.name || !lies(zone, g.Zones) })
	z := k.zones().exactly(zone)
	switch {
	case m.Question[0].Qtype != dns.TypeSOA: // section 3.1.1
		return dns.RcodeFormatError
	case len(grants) == 0:
		return dns.RcodeRefused
	case z == nil:
		return dns.RcodeNotAuth
	case z.withheld:
		return dns.RcodeServerFailure
	}
	store := k.options.Zones
	at, ok := store.fileOf(zone)
	if !ok {
		return dns.RcodeRefused
	}
	err := Edit(ctx, at, store.options.Now(), &store.options.Options, func(file *MasterFile) error {
		store.Look() // nobody else is writing now: what is served is what is in the file
		z := k.zones().exactly(zone)
		if z == nil || z.withheld {
			return updateError(dns.RcodeServerFailure)
		}
		if err := newPresent(z).meets(m.Answer); err != nil {
			return err
		}
		if err := scanChanges(m.Ns, zone, grants); err != nil {
			return err
		}
		if uncovers(file, m.Ns) {
			return updateError(dns.RcodeRefused)
		}
		return revise(file, newPresent(z).unveil(m.Ns), grants)
	})
	store.Look()
	return rcodeOf(err)
}

// fileOf returns the file of a zone that has the names that are served.
func (s *Store) fileOf(origin wire.Name) (File, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if f.Origin == origin && f.zone != nil && f.zone.origin == origin {
			return f.File, true
		}
	}
	return File{}, false
}

// An updateError is an RCODE that says why there is no update.
type updateError int

func (updateError) Error() string { return "update is refused" }

// rcodeOf makes an RCODE of what has become of an update. That a record cannot stand in the file is a matter of policy, as far as
// the RFC has a code for it.
func rcodeOf(err error) int {
	if err == nil {
		return dns.RcodeSuccess
	}
	if rcode, ok := errors.AsType[updateError](err); ok {
		return int(rcode)
	}
	if _, ok := errors.AsType[*Refusal](err); ok {
		return dns.RcodeRefused
	}
	return dns.RcodeServerFailure
}

// A present is a zone as those who update it see it, which is as everybody does: where a record is proxied, it has the addresses of
// the edge, so that no prerequisite can find out another.
type present struct{ *outgoing }

func newPresent(z *Zone) present { return present{newOutgoing(z)} }

// at returns the RRsets of a name; none where it is not in use, empty non-terminals included (RFC 2136 section 2.4.4).
func (p present) at(name wire.Name) []wire.RRset {
	i, found := p.search(appendKey(nil, name, p.origin))
	if !found {
		return nil
	}
	sets := p.given(i)
	if name == p.origin {
		sets = append(sets, p.soaSet())
	}
	return sets
}

func (p present) set(name wire.Name, kind wire.Type) *wire.RRset {
	sets := p.at(name)
	i := slices.IndexFunc(sets, func(s wire.RRset) bool { return s.Type == kind })
	if i < 0 {
		return nil
	}
	return &sets[i]
}

// meets finds the first prerequisite that is not met (RFC 2136 section 3.2).
func (p present) meets(prerequisites []dns.RR) error {
	var values [][]dns.RR // by name and type
	for _, rr := range prerequisites {
		h := rr.Header()
		name, err := nameWithin(h.Name, p.origin)
		switch {
		case h.Ttl != 0:
			return updateError(dns.RcodeFormatError)
		case err != nil:
			return err
		case h.Class == dns.ClassINET:
			values = appendTo(values, rr)
			continue
		case h.Rdlength != 0 || h.Class != dns.ClassANY && h.Class != dns.ClassNONE:
			return updateError(dns.RcodeFormatError)
		}
		if err := p.meetsOne(name, h); err != nil {
			return err
		}
	}
	for _, want := range values {
		if !p.has(want) {
			return updateError(dns.RcodeNXRrset)
		}
	}
	return nil
}

// meetsOne judges a prerequisite that does not depend on a value (sections 2.4.1 and 2.4.3 to 2.4.5).
func (p present) meetsOne(name wire.Name, h *dns.RR_Header) error {
	shall, missing, there := h.Class == dns.ClassANY, dns.RcodeNXRrset, dns.RcodeYXRrset
	is := false
	if h.Rrtype == dns.TypeANY {
		missing, there = dns.RcodeNameError, dns.RcodeYXDomain
		is = len(p.at(name)) > 0
	} else {
		is = p.set(name, wire.Type(h.Rrtype)) != nil
	}
	switch {
	case shall && !is:
		return updateError(missing)
	case !shall && is:
		return updateError(there)
	default:
		return nil
	}
}

// appendTo puts a record to those of its name and type.
func appendTo(sets [][]dns.RR, rr dns.RR) [][]dns.RR {
	h := rr.Header()
	for i, set := range sets {
		if other := set[0].Header(); other.Rrtype == h.Rrtype && dns.CanonicalName(other.Name) == dns.CanonicalName(h.Name) {
			sets[i] = append(set, rr)
			return sets
		}
	}
	return append(sets, []dns.RR{rr})
}

// has reports whether an RRset has these records, and no others (section 2.4.2).
func (p present) has(want []dns.RR) bool {
	h := want[0].Header()
	name, err := wire.ParseName(h.Name)
	set := p.set(name, wire.Type(h.Rrtype))
	if err != nil || set == nil {
		return false
	}
	have := appendSet(nil, set)
	in := func(list []dns.RR) func(rr dns.RR) bool {
		return func(rr dns.RR) bool {
			return !slices.ContainsFunc(list, func(o dns.RR) bool { return dns.IsDuplicate(o, rr) })
		}
	}
	return !slices.ContainsFunc(want, in(have)) && !slices.ContainsFunc(have, in(want))
}

// unveil has a deletion of all the addresses that a name shows of a type delete all that it has: where it is proxied, they are those of
// the edge, and whoever reads the zone by transfer, and deletes what it made, knows no others.
func (p present) unveil(changes []dns.RR) []dns.RR {
	var deleted [][]dns.RR // by name and type
	for _, rr := range changes {
		if h := rr.Header(); h.Class == dns.ClassNONE && (h.Rrtype == dns.TypeA || h.Rrtype == dns.TypeAAAA) {
			value := dns.Copy(rr)
			value.Header().Class = dns.ClassINET
			deleted = appendTo(deleted, value)
		}
	}
	changes = slices.Clone(changes)
	for _, set := range deleted {
		if !p.has(set) {
			continue
		}
		h := set[0].Header()
		isOne := func(rr dns.RR) bool {
			o := rr.Header()
			return o.Class == dns.ClassNONE && o.Rrtype == h.Rrtype && dns.CanonicalName(o.Name) == dns.CanonicalName(h.Name)
		}
		changes[slices.IndexFunc(changes, isOne)] = &dns.ANY{Hdr: dns.RR_Header{Name: h.Name, Rrtype: h.Rrtype, Class: dns.ClassANY}}
		changes = slices.DeleteFunc(changes, isOne)
	}
	return changes
}

// uncovers reports whether a delegation is to be made at or above a record that is proxied: there, it would be glue, and its origin told.
// That is for who writes the file to say.
func uncovers(file *MasterFile, changes []dns.RR) bool {
	var cuts []wire.Name
	for _, rr := range changes {
		h := rr.Header()
		if name, err := wire.ParseName(h.Name); err == nil && h.Class == dns.ClassINET && h.Rrtype == dns.TypeNS && name != file.Origin() {
			cuts = append(cuts, name)
		}
	}
	return len(cuts) > 0 && slices.ContainsFunc(file.Records(), func(r Record) bool {
		return r.Proxied && slices.ContainsFunc(cuts, r.Name.Within)
	})
}

// nameWithin reads the name of a record of an update.
func nameWithin(text string, zone wire.Name) (wire.Name, error) {
	name, err := wire.ParseName(text)
	switch {
	case err != nil:
		return name, updateError(dns.RcodeFormatError)
	case !name.Within(zone):
		return name, updateError(dns.RcodeNotZone)
	default:
		return name, nil
	}
}

// scanChanges looks at all changes before the first is made: at their form (RFC 2136 section 3.4.1), and whether they are allowed.
func scanChanges(changes []dns.RR, zone wire.Name, grants []Grant) error {
	for _, rr := range changes {
		h := rr.Header()
		kind := wire.Type(h.Rrtype)
		name, err := nameWithin(h.Name, zone)
		if err != nil {
			return err
		}
		malformed := false
		switch h.Class {
		case dns.ClassINET:
			malformed = kind.IsMeta() || h.Rdlength == 0 && kind != typeNULL
		case dns.ClassANY:
			malformed = h.Ttl != 0 || h.Rdlength != 0 || kind.IsMeta() && kind != wire.TypeANY
		case dns.ClassNONE:
			malformed = h.Ttl != 0 || kind.IsMeta()
		default:
			malformed = true
		}
		if malformed {
			return updateError(dns.RcodeFormatError)
		}
		if !slices.ContainsFunc(grants, func(g Grant) bool { return g.mayChange(name, zone, kind) }) {
			return updateError(dns.RcodeRefused)
		}
	}
	return nil
}
