package zone

import (
	"slices"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// An editor is what an update needs of a zone file.
type editor interface {
	Origin() wire.Name
	LeastTTL() uint32
	At(name wire.Name, kind wire.Type) []Record
	Add(r Record) error
	Replace(old, r Record) error
	Delete(r Record) error
}

var _ editor = (*MasterFile)(nil)

// revise makes the changes of an update in a zone file (RFC 2136 section 3.4.2). They are made in memory first, name by name, so that
// what is deleted and added again stays where it is, and what is replaced keeps its comment and its marks: an update cannot say
// whether a record is proxied, so a name stays what it is, and one without addresses becomes what the grants say.
func revise(file editor, changes []dns.RR, grants []Grant) error {
	revisions := map[wire.Name]*revision{}
	var order []*revision
	for _, rr := range changes {
		name, err := nameWithin(rr.Header().Name, file.Origin())
		if err != nil {
			return err
		}
		r := revisions[name]
		if r == nil {
			r = newRevision(file, name)
			revisions[name] = r
			order = append(order, r)
		}
		r.change(rr)
	}
	for _, r := range order {
		if !isDelegated(file, revisions, r.name) {
			r.hide(file.Origin(), grants)
		}
	}
	for _, r := range order {
		if err := r.save(file); err != nil {
			return err
		}
	}
	return nil
}

// A revision is what becomes of the records of one name.
type revision struct {
	name   wire.Name
	apex   bool
	minTTL uint32
	before []Record
	after  []Record // those that were there have a row
}

func newRevision(file editor, name wire.Name) *revision {
	before := file.At(name, wire.TypeANY)
	return &revision{name: name, apex: name == file.Origin(), minTTL: file.LeastTTL(), before: before, after: slices.Clone(before)}
}

// change applies one record of the update section (RFC 2136 sections 3.4.2.2 to 3.4.2.4).
func (r *revision) change(rr dns.RR) {
	h := rr.Header()
	kind := wire.Type(h.Rrtype)
	switch h.Class {
	case dns.ClassINET:
		r.add(rr, kind)
	case dns.ClassANY:
		r.remove(func(o *Record) bool {
			kept := r.apex && (o.Type == wire.TypeNS || o.Type == wire.TypeSOA)
			return !kept && (kind == wire.TypeANY || o.Type == kind)
		})
	case dns.ClassNONE:
		if kind == wire.TypeSOA || r.apex && kind == wire.TypeNS && r.count(kind) <= 1 {
			return
		}
		r.remove(func(o *Record) bool { return o.Type == kind && sameContent(o.at.rr, rr) })
	}
}

func (r *revision) remove(which func(o *Record) bool) {
	r.after = slices.DeleteFunc(r.after, func(o Record) bool { return which(&o) })
}

func (r *revision) count(kind wire.Type) (n int) {
	for i := range r.after {
		if r.after[i].Type == kind {
			n++
		}
	}
	return n
}

// sameContent compares type and RDATA.
func sameContent(a, b dns.RR) bool {
	other := dns.Copy(b)
	*other.Header() = *a.Header()
	other.Header().Rrtype = b.Header().Rrtype
	return dns.IsDuplicate(a, other)
}

// add adds a record. One that cannot stand beside a CNAME, or a CNAME beside it, is left out, as section 3.4.2.2 has it.
func (r *revision) add(rr dns.RR, kind wire.Type) {
	if slices.ContainsFunc(r.after, func(o Record) bool { return r.excludes(o.Type, kind) }) {
		return
	}
	if kind == wire.TypeCNAME {
		r.remove(func(o *Record) bool { return o.Type == kind && !sameContent(o.at.rr, rr) })
	}
	same := func(o Record) bool { return o.Type == kind && sameContent(o.at.rr, rr) }
	ttl := min(max(rr.Header().Ttl, r.minTTL), maxTTL)
	i := slices.IndexFunc(r.after, same)
	if j := slices.IndexFunc(r.before, same); i < 0 && j >= 0 { // it was deleted by this very update
		i = len(r.after)
		r.after = append(r.after, r.before[j])
	}
	if i >= 0 {
		old := &r.after[i]
		if auto := old.TTL == autoTTL && ttl == automaticTTL; !auto && !old.Proxied {
			old.TTL = ttl
		}
		return
	}
	rr = dns.Copy(rr)
	fresh := Record{Name: r.name, Type: kind, TTL: ttl, Content: contentOf(rr), at: &position{rr: rr}}
	if j := slices.IndexFunc(r.before, func(o Record) bool { return o.Proxied }); j >= 0 && proxiable(kind) {
		fresh.Proxied, fresh.IPv4Only, fresh.IPv6Only = true, r.before[j].IPv4Only, r.before[j].IPv6Only
	}
	r.after = append(r.after, fresh)
}

// excludes reports whether a record of one type keeps one of another from its name. A CNAME at the apex, which is flattened, keeps
// addresses only.
func (r *revision) excludes(there, kind wire.Type) bool {
	if (there == wire.TypeCNAME) == (kind == wire.TypeCNAME) {
		return false
	}
	return !r.apex || proxiable(there) && proxiable(kind)
}

// isDelegated reports whether a name is at or below a zone cut once the revisions are made: its addresses are glue, which nobody hides.
func isDelegated(file editor, revisions map[wire.Name]*revision, name wire.Name) bool {
	for ; name != file.Origin(); name = name.Parent() {
		if r := revisions[name]; r != nil && r.count(wire.TypeNS) > 0 || r == nil && len(file.At(name, wire.TypeNS)) > 0 {
			return true
		}
	}
	return false
}

// hide marks what is added at a name that had no addresses, as far as the grants say so.
func (r *revision) hide(zone wire.Name, grants []Grant) {
	if slices.ContainsFunc(r.before, func(o Record) bool { return proxiable(o.Type) }) {
		return
	}
	for i := range r.after {
		if o := &r.after[i]; hides(grants, r.name, zone, o.Type) {
			o.Proxied = true
		}
	}
}

// keepMark has a name that was proxied stay so, whatever the records that are left say: nobody shall see one of them because another
// has gone.
func (r *revision) keepMark() {
	proxied := func(o Record) bool { return o.Proxied }
	j := slices.IndexFunc(r.before, proxied)
	if j < 0 || slices.ContainsFunc(r.after, proxied) {
		return
	}
	for i := range r.after {
		if o := &r.after[i]; proxiable(o.Type) {
			o.Proxied, o.IPv4Only, o.IPv6Only = true, r.before[j].IPv4Only, r.before[j].IPv6Only
		}
	}
}

// save brings the file to what the revision says: what is new of a type takes the place of what is gone of it.
func (r *revision) save(file editor) error {
	r.keepMark()
	gone := slices.DeleteFunc(slices.Clone(r.before), func(o Record) bool {
		return slices.ContainsFunc(r.after, func(a Record) bool { return a.at == o.at })
	})
	var replaced [][2]Record
	var added []Record
	for _, a := range r.after {
		switch i := slices.IndexFunc(gone, func(o Record) bool { return a.at.row == nil && o.Type == a.Type }); {
		case a.at.row != nil:
			if old := r.old(a); old.TTL != a.TTL || old.Proxied != a.Proxied {
				replaced = append(replaced, [2]Record{old, a})
			}
		case i >= 0:
			replaced = append(replaced, [2]Record{gone[i], gone[i].with(&a)})
			gone = slices.Delete(gone, i, i+1)
		default:
			added = append(added, unread(a))
		}
	}
	for _, o := range gone {
		if err := file.Delete(o); err != nil {
			return err
		}
	}
	for _, pair := range replaced {
		if err := file.Replace(pair[0], unread(pair[1])); err != nil {
			return err
		}
	}
	for _, a := range added {
		if err := file.Add(a); err != nil {
			return err
		}
	}
	return nil
}

// old returns a record that was there as it was.
func (r *revision) old(a Record) Record {
	return r.before[slices.IndexFunc(r.before, func(o Record) bool { return o.at == a.at })]
}

// with returns a record with another's content and TTL.
func (r Record) with(a *Record) Record {
	r.Content = a.Content
	switch {
	case r.Proxied: // and its TTL means nothing
	case a.Proxied:
		r.Proxied, r.IPv4Only, r.IPv6Only = true, a.IPv4Only, a.IPv6Only
	default:
		r.TTL = a.TTL
	}
	return r
}

// unread returns a record as one that was not read from a file.
func unread(r Record) Record {
	r.Line, r.at = 0, nil
	return r
}
