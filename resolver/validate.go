package resolver

import (
	"context"
	"errors"
	"time"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// Limits of turning to other servers because what was given cannot be believed: in one resolution, and for one question.
const (
	maxRefetches   = 4
	maxRefetchesOf = 2
)

// bogusTTL bounds how long data are kept that were found to be bogus, for those who do not want them checked.
const bogusTTL = 60 * time.Second

// judged makes sure that f, found of a name, can be believed by whoever wants answers checked. The addresses of name
// servers are used without: a lie there costs the answer, which is judged itself.
func (s *resolution) judged(ctx context.Context, name wire.Name, kind wire.Type, f *found) error {
	if !s.checking || s.depth > 0 {
		return nil
	}
	switch f.status {
	case wire.Secure:
		return nil
	case wire.Insecure: // from memory, where the reasons are not
		f.reason = s.validator.Why(name, s.now(), f.proof)
		return nil
	default:
	}
	if len(f.sets) == 0 && f.target.IsRoot() {
		f.target = name // the cache does not say of which name a denial is, but it is true of this one, too
	}
	err := s.weigh(ctx, name, kind, f)
	k := cache.Key{Name: name, Type: kind, Partition: s.partition(name, kind)}
	switch {
	case errors.Is(err, errBogus):
		s.cache.Failures.PutBogus(k, []wire.ExtendedError{explain(err)}, s.now(), s.generation)
	case err != nil && s.ofName(err): // the chain could not be followed, which may be over in a moment
		s.keepFailure(k, err)
	}
	return err
}

// weigh judges f, twice where other servers may have something better, and remembers the verdict.
func (s *resolution) weigh(ctx context.Context, name wire.Name, kind wire.Type, f *found) error {
	before := wire.ExtendedError{Code: wire.EDEBogus, Text: "more signatures that do not verify than are worth checking"}
	for {
		err := s.judgeParts(ctx, kind, f)
		doubted := err == nil && f.status == wire.Bogus || err != nil && !final(err)
		if doubted && s.Refetch(name, kind) {
			if again, failed := s.iterate(ctx, name, kind); failed == nil {
				before, *f = f.reason, *again
				continue
			}
		}
		if err != nil {
			return s.noVerdict(err, before)
		}
		break
	}
	s.keepVerdict(kind, f)
	s.traceVerdict(name, kind, f)
	if f.status == wire.Bogus {
		return &Error{Step: stepValidate, EDE: f.reason.Code, Err: errBogus, told: f.reason.Text}
	}
	return nil
}

// noVerdict is the error of a judgement that did not come to an end. That time was up, or the resolution had to give
// way, says nothing of the name; that too many signatures did not verify is a verdict, for the reason known before.
func (s *resolution) noVerdict(err error, before wire.ExtendedError) error {
	exceeded, ok := errors.AsType[*work.Exceeded](err)
	switch {
	case ok && exceeded.Kind == work.FailedSignature:
		return &Error{Step: stepValidate, EDE: before.Code, Err: errBogus, told: before.Text}
	case errors.Is(err, context.DeadlineExceeded):
		err = errTime
	case errors.Is(err, context.Canceled):
		err = errJostled
	}
	return fail(stepValidate, wire.EDEIndeterminate, err)
}

// judgeParts gives f the least status of its parts.
func (s *resolution) judgeParts(ctx context.Context, kind wire.Type, f *found) error {
	f.status = wire.Secure
	for i := range f.sets {
		t := &f.sets[i]
		if t.synthesised {
			continue
		}
		v, err := s.validator.RRset(ctx, s.now(), s.budget, &t.set, f.proof, s)
		if err != nil {
			return err
		}
		t.judge(&v)
		f.take(&v)
		s.keepExpansion(f, t, &v)
	}
	if f.forged && f.status == wire.Secure {
		f.status = wire.Bogus
		f.reason = wire.ExtendedError{Code: wire.EDEBogus, Text: "a CNAME that contradicts the signed DNAME above it"}
		return nil
	}
	if f.outcome != noData && f.outcome != noName {
		return nil
	}
	aliases := *f
	err := s.judgeDenial(ctx, kind, f)
	if err == nil && f.status == wire.Bogus && aliases.status > wire.Bogus && len(f.sets) > 0 {
		// Servers that follow aliases themselves send half a proof at times (NSD 4.6 behind a DNAME). The target is
		// asked for by itself then.
		aliases.outcome, aliases.soa = alias, nil
		if !aliases.expanded() {
			aliases.proof = nil
		}
		*f = aliases
	}
	return err
}

func (s *resolution) judgeDenial(ctx context.Context, kind wire.Type, f *found) error {
	d := dnssec.Denied{Name: f.target, Type: kind, NoName: f.outcome == noName, Proof: f.proof}
	if f.soa != nil {
		d.SOA = &f.soa.set
	}
	v, err := s.validator.Denial(ctx, s.now(), s.budget, d, s)
	if err != nil {
		return err
	}
	if f.soa != nil {
		f.soa.judge(&v)
	}
	f.take(&v)
	s.keepDenial(kind, f, &v)
	return nil
}

// judge notes a verdict. Nothing is kept for longer than its signature is valid (RFC 4035 section 5.3.3).
func (t *timed) judge(v *dnssec.Verdict) {
	t.status = v.Status
	if !v.Until.IsZero() && v.Until.Before(t.expires) {
		t.expires = v.Until
	}
}

// take lowers the status to that of a part, and keeps the first reason that there is for it.
func (f *found) take(v *dnssec.Verdict) {
	if v.Status < f.status || v.Status == f.status && f.reason.Text == "" {
		f.status, f.reason = v.Status, v.Reason
	}
}

// keepVerdict puts what was judged back into the cache, with its status and for no longer than before.
func (s *resolution) keepVerdict(kind wire.Type, f *found) {
	now := s.now()
	for i := range f.sets {
		t := &f.sets[i]
		if t.synthesised {
			continue
		}
		e := cache.Entry{Kind: cache.Positive, Set: t.set, Proof: expansionProof(&t.set, f.proof)}
		e.Set.TTL = t.lifetime(now)
		s.keep(f, t.set.Name, t.set.Type, t.status, &e, now)
	}
	if f.soa == nil {
		return
	}
	e := cache.Entry{Kind: cache.NoData, SOA: f.soa.set, Proof: f.proof}
	if f.outcome == noName {
		e.Kind = cache.NoName
	}
	e.SOA.TTL = f.soa.lifetime(now)
	s.keep(f, f.target, kind, f.soa.status, &e, now)
}

func (s *resolution) keep(f *found, name wire.Name, kind wire.Type, status wire.Status, e *cache.Entry, now time.Time) {
	e.Status, e.Rank, e.Cut, e.Lease = status, f.rank, f.cut, f.lease
	k := cache.Key{Name: name, Type: kind, Partition: s.partition(name, kind)}
	s.cache.RRsets.Put(k, *e, now, s.generation)
}

// lifetime returns the seconds that a judged set may be kept.
func (t *timed) lifetime(now time.Time) uint32 {
	left := max(0, t.expires.Sub(now))
	if t.status == wire.Bogus {
		left = min(left, bogusTTL)
	}
	return uint32(left / time.Second)
}

// Reconsider forgets what was concluded at and below zone, because a trust anchor or a negative one has come or gone
// there: what is secure, insecure or bogus, what failed, and the zone cuts. Resolutions in progress leave nothing
// behind.
func (r *Resolver) Reconsider(zone wire.Name) {
	if r.validator != nil {
		r.validator.Forget(func(name wire.Name) bool { return name.Within(zone) })
	}
	r.cache.FlushSubtree(zone)
}

// AskKeys asks the servers of zone for its DNSKEY RRset, past what is remembered: whoever follows trust anchors must
// not miss a change (RFC 5011 section 2.3).
func (r *Resolver) AskKeys(ctx context.Context, zone wire.Name) (wire.RRset, bool) {
	ctx, cancel := context.WithTimeout(ctx, resolutionTime)
	defer cancel()
	s := r.newResolution(wire.Question{}, nil)
	f, err := s.iterate(ctx, zone, wire.TypeDNSKEY)
	if err != nil || f.outcome != answer {
		return wire.RRset{}, false
	}
	return f.sets[len(f.sets)-1].set, true
}

// Fetch implements dnssec.Fetcher: what is known, judged or not, or else what the zone's servers say. What one
// resolution has fetched it does not fetch again, whatever its TTL.
func (s *resolution) Fetch(ctx context.Context, _ *work.Budget, name wire.Name, t wire.Type) (dnssec.Reply, error) {
	k := key{name: name, kind: t}
	if r, ok := s.fetched.get(k); ok {
		return r, nil
	}
	r, ok := dnssec.Reply{}, false
	if s.errands[k] == nil && s.refetched[k] == 0 {
		r, ok = s.fetchKnown(name, t)
	}
	if !ok {
		f, err := s.collect(ctx, k)
		if err != nil {
			return dnssec.Reply{}, err
		}
		r = f.reply(s.now())
	}
	s.fetched.put(k, r)
	return r, nil
}

// fetchKnown finds in the cache what a referral or an earlier question brought.
func (s *resolution) fetchKnown(name wire.Name, t wire.Type) (dnssec.Reply, bool) {
	now := s.now()
	k := cache.Key{Name: name, Type: t, Partition: s.partition(name, t)}
	e, state := s.cache.RRsets.Get(k, cache.Authority, now)
	if state != cache.Fresh || e.Status == wire.Bogus {
		return dnssec.Reply{}, false
	}
	f := fromEntry(&e, answer)
	return f.reply(now), true
}

// reply makes of what was found what a validator wants to see.
func (f *found) reply(now time.Time) dnssec.Reply {
	r := dnssec.Reply{NoName: f.outcome == noName, Proof: f.proof}
	switch {
	case len(f.sets) > 0:
		r.Set, r.TTL = &f.sets[0].set, f.sets[0].expires.Sub(now)
	case f.soa != nil:
		r.SOA, r.TTL = &f.soa.set, f.soa.expires.Sub(now)
	default:
		r.TTL = f.stops.Sub(now)
	}
	return r
}

// Refetch implements dnssec.Fetcher: the server that gave what cannot be believed is the last to be asked again in this
// resolution.
func (s *resolution) Refetch(name wire.Name, t wire.Type) bool {
	k := key{name: name, kind: t}
	if s.refetches == maxRefetches || s.refetched[k] == maxRefetchesOf {
		return false
	}
	s.refetches++
	note(&s.refetched, k, s.refetched[k]+1)
	s.fetched.drop(k)
	if server, ok := s.sources.get(k); ok {
		note(&s.distrusted, server, true)
	}
	dropped := cache.Key{Name: name, Type: t, Partition: s.partition(name, t)}
	if e, state := s.cache.RRsets.Get(dropped, cache.Glue, s.now()); state != cache.Missing && e.Status != wire.Secure { // what is secure may be all that is left (RFC 8767)
		s.cache.RRsets.Drop(dropped)
	}
	return true
}

// source returns the question that a reply is remembered to have answered: of a referral, the DS that it carried.
func source(j *judgement, q wire.Question) key {
	if j.outcome == referral {
		return key{j.cut, wire.TypeDS}
	}
	return key{q.Name, q.Type}
}
