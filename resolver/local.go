package resolver

import (
	"math"
	"net/netip"
	"time"

	"tacit/cache"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/zone"
)

// localPartition is the part of the cache for what the servers of delegations say that stand in zones served here.
const localPartition = math.MaxUint16

// ownZone returns the zone served here to which a name belongs; nil when there is none, or when a stub or forward zone lies
// closer to the name.
func (r *Resolver) ownZone(zones *zone.Zones, name wire.Name) *zone.Zone {
	own := zones.Covering(name)
	if own == nil {
		return nil
	}
	if route, ok := r.routes.deepest(name); ok && route.zone.Below(own.Origin()) {
		return nil
	}
	return own
}

// local returns what the zones served here say of a name and type. It says no where that is for others: the name lies in no such
// zone, or is delegated to other servers, which cut then names.
func (r *Resolver) local(name wire.Name, kind wire.Type, now time.Time) (f *found, cut *zone.Cut, ok bool, err error) {
	zones := r.zones()
	if r.ownZone(zones, name) == nil {
		return nil, nil, false, nil
	}
	finding, own := zones.Find(name, kind)
	f = &found{target: name, status: wire.Insecure, local: true}
	switch finding.Outcome {
	case zone.Delegated:
		return nil, finding.Cut, false, nil
	case zone.Withheld:
		return f, nil, false, &Error{Step: stepLocal, EDE: wire.EDEInvalidData, Err: errWithheld}
	case zone.Expired:
		return f, nil, false, &Error{Step: stepLocal, EDE: wire.EDEInvalidData, Err: errExpired}
	case zone.Answered:
		f.outcome = answer
	case zone.Alias:
		f.outcome, f.target = alias, finding.Target
	case zone.TooLong:
		f.outcome = tooLong
	case zone.Flattened:
		f.outcome, f.target = alias, finding.Target
		f.flat = &flattening{owner: name, ttl: finding.TTL, soa: ownWord(finding.SOA, now)}
		f.vouch(own)
		return f, nil, true, nil
	case zone.NoData:
		f.outcome, f.soa = noData, ownWord(finding.SOA, now)
	case zone.NoName:
		f.outcome, f.soa = noName, ownWord(finding.SOA, now)
	}
	for i := range finding.Sets {
		f.sets = append(f.sets, *ownWord(&finding.Sets[i], now))
	}
	f.cut = own.Origin()
	f.vouch(own)
	return f, nil, true, nil
}

// localFirst is local for those who want recursion: what a zone signed here has for a DS RRset is its parent's to say, wherever that is
// served (RFC 4035 section 3.1.4.1).
func (r *Resolver) localFirst(name wire.Name, kind wire.Type, now time.Time) (f *found, cut *zone.Cut, ok bool, err error) {
	f, cut, ok, err = r.local(name, kind, now)
	if ok && kind == wire.TypeDS && f.signer != nil && f.signer.Origin() == name && !name.IsRoot() {
		return nil, nil, false, nil
	}
	return f, cut, ok, err
}

// ownWord gives an RRset of a zone served here its whole TTL: authority does not count down.
func ownWord(set *wire.RRset, now time.Time) *timed {
	return &timed{set: *set, stored: now, expires: now.Add(time.Duration(set.TTL) * time.Second), status: wire.Insecure, local: true}
}

// A flattening is an alias that is not shown: its owner gets the addresses that it leads to.
type flattening struct {
	owner wire.Name
	ttl   uint32
	soa   *timed
	from  int   // where in the answer the way to them begins
	hops  int32 // of that way

	signer *zone.Zone // of the owner's zone; nil: it is not signed
}

// flatten ends a flattening, at the end of the way: the addresses move to its owner. A target that has none, or that does not
// exist, leaves the owner without.
func (r *result) flatten(f *found) {
	flat := r.flat
	r.flat = nil
	way := r.answer[flat.from:]
	r.answer = r.answer[:flat.from]
	if f.outcome != answer {
		r.rcode, r.soa, r.proof, r.denial = wire.NoError, flat.soa, nil, denial{flat.signer, flat.owner}
		return
	}
	addresses := way[len(way)-1]
	addresses.set.Name, addresses.set.Sigs, addresses.signer = flat.owner, nil, flat.signer
	addresses.set.TTL = min(addresses.set.TTL, flat.ttl)
	least := addresses.expires
	for i := range way {
		if way[i].expires.Before(least) {
			least = way[i].expires
		}
	}
	if own := flat.soa.stored.Add(time.Duration(flat.ttl) * time.Second); own.Before(least) {
		least = own
	}
	addresses.expires = least
	r.answer, r.proof = append(r.answer, addresses), nil
}

// ownAnswer answers whoever does not want recursion, from the zones served here: an answer as far as they know, or a referral.
// Everything else is nobody's business, being what others have asked.
func (r *Resolver) ownAnswer(q wire.Question, now time.Time) packed {
	generation := r.cache.Generation()
	res := &result{}
	name := q.Name
	for range work.DefaultLimits[work.Alias] + 1 {
		f, cut, ok, err := r.local(name, q.Type, now)
		switch {
		case err != nil:
			return failed(err).pack(q, now)
		case cut != nil && res.parts == 0:
			return refer(q, cut, now)
		case !ok && res.parts == 0:
			return refusal.pack(q, now)
		case !ok:
			return res.cutShort(cut).pack(q, now)
		}
		if err := res.append(f); err != nil {
			return failed(err).pack(q, now)
		}
		if f.outcome != alias {
			a := res.pack(q, now)
			r.cache.Packets.Put(q, a.Answer, now, generation)
			return a
		}
		name = f.target
	}
	return res.loop().pack(q, now)
}

// cutShort makes r an answer that ends where the zones served here do: with a referral, where they know one (RFC 1034 section
// 4.3.2 step 3b). Addresses that they do not know are none.
func (r *result) cutShort(cut *zone.Cut) *result {
	if r.flat != nil {
		return failed(&Error{Step: stepLocal, EDE: wire.EDENotAuthoritative, Err: errElsewhere})
	}
	r.referral = cut
	return r
}

// refer makes a referral.
func refer(q wire.Question, cut *zone.Cut, now time.Time) packed {
	return (&result{referral: cut}).pack(q, now)
}

// writeReferral writes a zone cut, and the glue of its servers (RFC 9471).
func writeReferral(b *wire.Builder, q wire.Question, cut *zone.Cut, now time.Time) error {
	err := b.Add(wire.AuthoritySection, &cut.NS, cut.NS.TTL, false)
	if q.DO && err == nil {
		err = addParentWord(b, cut, now)
	}
	for i := range cut.Glue {
		if err == nil {
			err = b.Add(wire.AdditionalSection, &cut.Glue[i], cut.Glue[i].TTL, false)
		}
	}
	return err
}

func addParentWord(b *wire.Builder, cut *zone.Cut, now time.Time) error {
	set, err := parentWord(cut, now)
	if err != nil || set == nil {
		return err
	}
	return b.Add(wire.AuthoritySection, set, set.TTL, true)
}

// localCut returns the delegation at or above name that a zone served here makes. Its servers may stand anywhere: the operator
// has said so.
func (r *Resolver) localCut(name wire.Name, now time.Time) (cut, bool) {
	_, delegation, _, _ := r.local(name, wire.TypeNS, now)
	if delegation == nil {
		return cut{}, false
	}
	c := cut{zone: delegation.NS.Name, partition: localPartition}
	for rdata := range delegation.NS.Data.All() {
		name, err := wire.NameFromWire(rdata)
		if err != nil {
			continue
		}
		server := cache.NameServer{Name: name}
		for i := range delegation.Glue {
			if glue := &delegation.Glue[i]; glue.Name == name {
				server.Addresses = append(server.Addresses, addressesOf(glue)...)
			}
		}
		c.servers = append(c.servers, server)
	}
	return c, true
}

func addressesOf(set *wire.RRset) []netip.Addr {
	var list []netip.Addr
	for rdata := range set.Data.All() {
		if a, ok := netip.AddrFromSlice(rdata); ok {
			list = append(list, a)
		}
	}
	return list
}

// partition returns the part of the cache that knows about a question.
func (r *Resolver) partition(name wire.Name, kind wire.Type) uint16 {
	if r.ownZone(r.zones(), name) != nil {
		return localPartition
	}
	return r.routes.partition(name, kind)
}
