package resolver

import (
	"time"

	"tacit/cache"
	"tacit/internal/wire"
	"tacit/zone"
)

// A found is what is known of one name and type.
type found struct {
	outcome outcome // answer, alias, noData, noName or tooLong
	sets    []timed // aliases in order, then the answer
	target  wire.Name
	soa     *timed    // of noData and noName; nil when there is none
	stops   time.Time // when a denial expires, with SOA or without
	due     bool      // the cache would like it refreshed

	cut    wire.Name // the zone whose servers said so
	lease  time.Time // of that zone
	rank   cache.Rank
	proof  []wire.RRset // NSEC and NSEC3 RRsets that a denial or a wildcard rests on
	forged bool         // it came with what only a forger says
	status wire.Status  // the least of all parts
	reason wire.ExtendedError

	local  bool        // a zone served here says so
	flat   *flattening // with alias: it is not shown
	signer *zone.Zone  // with local: that zone, if it is signed
}

// A timed is an RRset with the time at which it expires.
type timed struct {
	set             wire.RRset
	stored, expires time.Time
	status          wire.Status
	synthesised     bool       // from a DNAME: no signature covers it
	local           bool       // a zone served here says it
	signer          *zone.Zone // signs it for who wants that; nil: it has the signatures that it came with
}

func (t *timed) ttl(now time.Time) uint32 {
	return uint32((max(0, t.expires.Sub(now)) + time.Second - 1) / time.Second)
}

// aliases counts the steps from name to name.
func (f *found) aliases() int32 {
	var count int32
	for i := range f.sets {
		if f.sets[i].set.Type == wire.TypeCNAME {
			count++
		}
	}
	if f.flat != nil {
		count++
	}
	if f.outcome == answer && f.sets[len(f.sets)-1].set.Type == wire.TypeCNAME {
		count-- // asked for as such
	}
	return count
}

// redirects reports whether f holds a DNAME above name: it stands for everything below it. A CNAME says nothing of the
// names below.
func (f *found) redirects(name wire.Name) bool {
	return len(f.sets) > 0 && f.sets[0].set.Type == wire.TypeDNAME && name.Below(f.sets[0].set.Name)
}

// redirect applies the DNAME in f to name.
func (f *found) redirect(name wire.Name, kind wire.Type) *found {
	dname := &f.sets[0]
	sets, target, outcome := substitute(&dname.set, name, kind)
	g := *f
	g.outcome, g.target, g.soa, g.sets = outcome, target, nil, nil
	g.proof = expansionProof(&dname.set, f.proof)
	for _, set := range sets {
		g.sets = append(g.sets, timed{
			set: set, stored: dname.stored, expires: dname.expires, status: dname.status, synthesised: set.Type == wire.TypeCNAME,
		})
	}
	return &g
}

// denies reports whether f says that name does not exist; the end of an alias at name is another matter.
func (f *found) denies(name wire.Name) bool { return f.outcome == noName && f.target == name }

// stored returns when the cache learned what was found.
func (f *found) stored() time.Time {
	if len(f.sets) > 0 {
		return f.sets[0].stored
	}
	if f.soa == nil {
		return f.stops
	}
	return f.soa.stored
}

// nearEnd reports whether what was found is in the last tenth of its life.
func (f *found) nearEnd(now time.Time) bool {
	late := func(t *timed) bool { return t.expires.Sub(now) <= t.expires.Sub(t.stored)/10 }
	for i := range f.sets {
		if late(&f.sets[i]) {
			return true
		}
	}
	return f.soa != nil && late(f.soa)
}

// known returns what the cache knows of a name and type: the answer, an alias, or that there is none. What is fresh
// goes before what has expired, and of that the newest.
func (r *Resolver) known(name wire.Name, kind wire.Type, now time.Time) (*found, cache.State) {
	k := cache.Key{Name: name, Type: kind, Partition: r.partition(name, kind)}
	var expired *found
	worst := cache.Missing
	for _, source := range sources {
		f, state := source(r, k, now)
		if state == cache.Fresh {
			return f, state
		}
		if state == cache.Stale && (worst == cache.Missing || f.stored().After(expired.stored())) {
			expired, worst = f, state
		}
	}
	return expired, worst
}

// Sources are where the cache may know something of a question, in the order in which they count.
var sources = []func(r *Resolver, k cache.Key, now time.Time) (*found, cache.State){
	(*Resolver).knownAnswer, (*Resolver).knownCNAME, (*Resolver).knownDNAME, (*Resolver).knownNoName, (*Resolver).staleNoName,
}

func (r *Resolver) knownAnswer(k cache.Key, now time.Time) (*found, cache.State) {
	e, state := r.cache.RRsets.Get(k, cache.Answer, now)
	if state == cache.Missing {
		return nil, cache.Missing
	}
	return fromEntry(&e, answer), state
}

func (r *Resolver) knownCNAME(k cache.Key, now time.Time) (*found, cache.State) {
	if k.Type == wire.TypeCNAME {
		return nil, cache.Missing
	}
	k.Type = wire.TypeCNAME
	e, state := r.cache.RRsets.Get(k, cache.Answer, now)
	if state == cache.Missing || e.Kind != cache.Positive {
		return nil, cache.Missing
	}
	return fromEntry(&e, alias), state
}

func (r *Resolver) knownNoName(k cache.Key, now time.Time) (*found, cache.State) {
	e, ok := r.cache.RRsets.NoNameAbove(k.Name, k.Partition, now)
	if !ok {
		return nil, cache.Missing
	}
	return fromEntry(&e, noName), cache.Fresh
}

func (r *Resolver) knownDNAME(k cache.Key, now time.Time) (*found, cache.State) {
	e, state := r.cache.RRsets.DNAMEAbove(k.Name, k.Partition, now)
	if state == cache.Missing {
		return nil, cache.Missing
	}
	f := fromEntry(&e, alias)
	return f.redirect(k.Name, k.Type), state
}

func (r *Resolver) staleNoName(k cache.Key, now time.Time) (*found, cache.State) {
	k.Type = 0
	e, state := r.cache.RRsets.Get(k, cache.Answer, now)
	if state == cache.Missing {
		return nil, cache.Missing
	}
	return fromEntry(&e, noName), state
}

// fromEntry makes a found of an entry; positive is what a positive one is.
func fromEntry(e *cache.Entry, positive outcome) *found {
	f := &found{
		outcome: positive, due: e.Due, cut: e.Cut, lease: e.Lease, rank: e.Rank, proof: e.Proof, status: e.Status,
	}
	switch e.Kind {
	case cache.NoData:
		f.outcome = noData
	case cache.NoName:
		f.outcome = noName
	case cache.Positive:
		f.sets = []timed{{set: e.Set, stored: e.Stored, expires: e.Expires, status: e.Status}}
		if positive == alias {
			f.target, _ = targetOf(&e.Set)
		}
		return f
	}
	f.stops = e.Expires
	if e.SOA.Type == wire.TypeSOA {
		f.soa = &timed{set: e.SOA, stored: e.Stored, expires: e.Expires, status: e.Status}
	}
	return f
}

// knownToExist reports whether a shortened name need not be asked for, because something is known at it. A denial of
// the whole name would have been found before.
func (s *resolution) knownToExist(name wire.Name, c *cut) bool {
	k := cache.Key{Name: name, Partition: s.partitionFor(c, name, wire.TypeA)}
	for _, kind := range []wire.Type{wire.TypeA, wire.TypeCNAME} {
		k.Type = kind
		e, state := s.cache.RRsets.Get(k, cache.Answer, s.now())
		within := e.Cut == c.zone // what servers further down said tells of a zone cut in between
		if state == cache.Fresh && within && (kind == wire.TypeA || e.Kind == cache.Positive) {
			return true
		}
	}
	return false
}

// store remembers what a reply says and returns it with the time that the cache grants it. A CNAME synthesised from a
// DNAME is made anew from it each time.
func (s *resolution) store(c *cut, j *judgement, kind wire.Type) *found {
	f := &found{outcome: j.outcome, target: j.target, cut: c.zone, lease: c.lease, rank: j.rank, proof: j.proof, forged: j.forged}
	now := s.now()
	for i := range j.records {
		set := &j.records[i]
		if i > 0 && j.records[i-1].Type == wire.TypeDNAME && set.Type == wire.TypeCNAME {
			f.sets = append(f.sets, timed{set: *set, stored: now, expires: f.sets[i-1].expires, synthesised: true})
			continue
		}
		e := cache.Entry{Kind: cache.Positive, Set: *set, Rank: j.rank, Cut: c.zone, Lease: c.lease, Proof: expansionProof(set, j.proof)}
		f.sets = append(f.sets, timed{set: *set, stored: now, expires: s.put(c, set.Name, set.Type, &e, now)})
	}
	if j.outcome == noData || j.outcome == noName {
		if j.soa != nil {
			f.soa = s.storeDenial(c, j, kind, now)
		}
	} else if !f.expanded() {
		f.proof = nil // nothing that it would be needed for
	}
	return f
}

// expanded reports whether a wildcard stands behind one of the sets.
func (f *found) expanded() bool {
	for i := range f.sets {
		if isExpansion(&f.sets[i].set) {
			return true
		}
	}
	return false
}

// isExpansion reports whether the signature of a set was made for a wildcard: it counts fewer labels than the owner has
// (RFC 4034 section 3.1.3).
func isExpansion(set *wire.RRset) bool {
	sig, _ := set.Sigs.Next()
	return len(sig) > 3 && int(sig[3]) < set.Name.Labels()
}

func expansionProof(set *wire.RRset, proof []wire.RRset) []wire.RRset {
	if !isExpansion(set) {
		return nil
	}
	return proof
}

func (s *resolution) storeDenial(c *cut, j *judgement, kind wire.Type, now time.Time) *timed {
	e := cache.Entry{Kind: cache.NoData, SOA: *j.soa, Rank: j.rank, Cut: c.zone, Lease: c.lease, Proof: j.proof}
	if j.outcome == noName {
		e.Kind = cache.NoName
	}
	return &timed{set: *j.soa, stored: now, expires: s.put(c, j.target, kind, &e, now)}
}

func (s *resolution) put(c *cut, name wire.Name, kind wire.Type, e *cache.Entry, now time.Time) (expires time.Time) {
	k := cache.Key{Name: name, Type: kind, Partition: s.partitionFor(c, name, kind)}
	s.cache.RRsets.Put(k, *e, now, s.generation)
	return s.cache.RRsets.Granted(e, now)
}

// partitionFor returns the part of the cache that takes what the servers of c say: their own, unless they answer in a
// forwarder's place.
func (s *resolution) partitionFor(c *cut, name wire.Name, kind wire.Type) uint16 {
	if s.pastForwarders {
		return s.partition(name, kind)
	}
	return c.partition
}
