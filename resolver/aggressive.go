package resolver

import (
	"time"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// synthesise answers from validated NSEC and NSEC3 records that came with other answers (RFC 8198): what they deny is
// not asked for, whoever asks and with or without DO. It is for those only who want answers checked.
func (r *Resolver) synthesise(name wire.Name, kind wire.Type, now time.Time) (*found, bool) {
	if r.noAggressive || r.validator == nil || kind.IsMeta() && kind != wire.TypeANY {
		return nil, false
	}
	side := name // of the zone cut at name, if there is one
	if kind == wire.TypeDS {
		side = name.Parent()
	}
	chain, ok := r.cache.Denials.Chain(side, r.partition(name, kind), now)
	if !ok || !name.Within(chain.Zone) || r.delegatedBelow(chain.Zone, side, now) || r.validator.Excepts(name, now) {
		return nil, false
	}
	return r.deny(name, kind, &spans{denials: r.cache.Denials, chain: chain, now: now})
}

// delegatedBelow reports whether a zone cut between zone and name is known: then it is for the zone below to deny name,
// whatever an older record of the zone above says.
func (r *Resolver) delegatedBelow(zone, name wire.Name, now time.Time) bool {
	d, ok := r.cache.Delegations.Deepest(name, now)
	return ok && d.Zone.Below(zone)
}

// synthesisLimits bound what is hashed for one attempt: a closest encloser and its wildcard, however many iterations a
// zone may have.
var synthesisLimits = work.Limits{work.NSEC3Hash: 256}

// deny proves the absence of name or of its records of a kind, or that a wildcard stands for it.
func (r *Resolver) deny(name wire.Name, kind wire.Type, s *spans) (*found, bool) {
	d := dnssec.GatherDenial(s.chain.Zone, name, s, work.New(synthesisLimits))
	f := &found{
		target: name, cut: s.chain.Zone, rank: cache.AnswerAA, status: wire.Secure,
		reason: wire.ExtendedError{Code: wire.EDESynthesized, Text: "made from what is known of neighbouring names"},
	}
	if wildcard, ok := d.Wildcard(name); ok {
		if r.expand(f, wildcard, kind, d, s) {
			return f, true
		}
		d.GatherWildcard(wildcard, s)
	}
	switch {
	case d.NoName(name) == dnssec.Proven:
		f.outcome = noName
	case d.NoData(name, kind) == dnssec.Proven:
		f.outcome = noData
	default:
		return nil, false
	}
	soa, ok := s.soa()
	f.soa, f.stops, f.proof = &soa, soa.expires, d.Sets()
	return f, ok
}

// expand makes f the records of a wildcard, when they are known (RFC 8198 section 5.3). What NS, DS and DNAME at a
// wildcard mean is not defined (RFC 4592 section 4, RFC 6672 section 3.3).
func (r *Resolver) expand(f *found, wildcard wire.Name, kind wire.Type, d *dnssec.Denial, s *spans) bool {
	if kind == wire.TypeNS || kind == wire.TypeDS || kind == wire.TypeDNAME {
		return false
	}
	e, outcome, ok := r.secureAt(wildcard, kind, s)
	if !ok || d.Expands(f.target, &e.Set) != dnssec.Proven {
		return false
	}
	name := f.target
	if outcome == alias {
		f.target, _ = targetOf(&e.Set)
	}
	e.Set.Name = name
	s.limit(e.Expires)
	f.outcome, f.proof = outcome, d.Sets()
	f.sets = []timed{{set: e.Set, stored: s.now, expires: s.expires, status: wire.Secure}}
	return true
}

// secureAt returns the records of a wildcard that are known to be true: of the kind, or a CNAME.
func (r *Resolver) secureAt(wildcard wire.Name, kind wire.Type, s *spans) (cache.Entry, outcome, bool) {
	for _, t := range []wire.Type{kind, wire.TypeCNAME} {
		e, state := r.cache.RRsets.Get(cache.Key{Name: wildcard, Type: t, Partition: s.chain.Partition}, cache.Answer, s.now)
		if state != cache.Fresh || e.Kind != cache.Positive || e.Status != wire.Secure {
			continue
		}
		if t != kind {
			return e, alias, true
		}
		return e, answer, true
	}
	return cache.Entry{}, malformed, false
}

// Spans are the records of one zone as package dnssec asks for them. They remember when the first that was used expires.
type spans struct {
	denials *cache.Denials
	chain   cache.Chain
	now     time.Time
	expires time.Time
}

var _ dnssec.Spans = (*spans)(nil)

// Params implements dnssec.Spans.
func (s *spans) Params() (params dnssec.NSEC3Params, hashed bool) {
	h := s.chain.Hashing
	return dnssec.NSEC3Params{Iterations: h.Iterations, Salt: []byte(h.Salt)}, s.chain.Hashed
}

// Nearest implements dnssec.Spans.
func (s *spans) Nearest(name wire.Name) (wire.RRset, bool) {
	set, expires, ok := s.denials.Nearest(s.chain, name, s.now)
	s.limit(expires)
	return set, ok
}

// NearestHash implements dnssec.Spans.
func (s *spans) NearestHash(hash dnssec.NSEC3Hash) (wire.RRset, bool) {
	set, expires, ok := s.denials.NearestHash(s.chain, hash, s.now)
	s.limit(expires)
	return set, ok
}

func (s *spans) limit(expires time.Time) {
	if !expires.IsZero() && (s.expires.IsZero() || expires.Before(s.expires)) {
		s.expires = expires
	}
}

// soa returns the zone's SOA, for as long as all that goes with it (RFC 9077 section 4).
func (s *spans) soa() (timed, bool) {
	set, expires, ok := s.denials.SOA(s.chain, s.now)
	s.limit(expires)
	return timed{set: set, stored: s.now, expires: s.expires, status: wire.Secure}, ok
}

// keepDenial remembers what a validated denial says of other names.
func (s *resolution) keepDenial(kind wire.Type, f *found, v *dnssec.Verdict) {
	if s.noAggressive || v.Status != wire.Secure || f.soa == nil || f.soa.set.Name != v.Zone {
		return
	}
	chain, ok := s.keepProof(s.partition(f.target, kind), f.soa, v)
	if ok {
		s.cache.Denials.PutSOA(chain, &f.soa.set, f.soa.expires, s.now(), s.generation)
	}
}

// keepExpansion remembers what the validated expansion of a wildcard says of other names: what does not exist, and the
// wildcard itself.
func (s *resolution) keepExpansion(f *found, t *timed, v *dnssec.Verdict) {
	if s.noAggressive || v.Status != wire.Secure || v.Wildcard.IsRoot() {
		return
	}
	if _, ok := s.keepProof(s.partition(t.set.Name, t.set.Type), t, v); !ok {
		return
	}
	now := s.now()
	e := cache.Entry{Kind: cache.Positive, Set: t.set}
	e.Set.Name, e.Set.TTL = v.Wildcard, t.lifetime(now)
	s.keep(f, v.Wildcard, t.set.Type, t.status, &e, now)
}

// keepProof puts the records of a proof where they are found by the names that they cover, for no longer than what they
// came with. It returns false when none of them covers more than the name asked for.
func (s *resolution) keepProof(partition uint16, with *timed, v *dnssec.Verdict) (chain cache.Chain, ok bool) {
	now := s.now()
	for i := range v.Proof {
		set := &v.Proof[i]
		reach, worth := dnssec.Reaches(set)
		if !worth {
			continue
		}
		expires := with.stored.Add(time.Duration(dnssec.SignedTTL(set)) * time.Second)
		if with.expires.Before(expires) {
			expires = with.expires
		}
		chain, ok = cache.Chain{Zone: v.Zone, Partition: partition}, true
		if set.Type == wire.TypeNSEC {
			s.cache.Denials.Put(chain, set, expires, now, s.generation)
			continue
		}
		chain.Hashed = true
		chain.Hashing = cache.Hashing{Iterations: reach.Params.Iterations, Salt: string(reach.Params.Salt)}
		s.cache.Denials.PutHash(chain, reach.Hash, set, expires, now, s.generation)
	}
	return chain, ok
}
