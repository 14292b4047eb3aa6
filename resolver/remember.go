package resolver

import (
	"time"

	"tacit/cache"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// staleAfter is how long a client waits for a fresh answer when there is a stale one (RFC 8767 section 5).
const staleAfter = 1800 * time.Millisecond

// remember answers from what is known, without asking anybody. Near the end of its life, what is asked for again is
// refreshed meanwhile.
func (r *Resolver) remember(q wire.Question, now time.Time) (packed, bool) {
	generation := r.cache.Generation()
	res, due, complete := r.recollect(q, now, cache.Fresh)
	if !complete {
		return packed{}, false
	}
	if res.err != nil {
		return r.makeDo(q, res), true
	}
	if r.cache.Packets.Due(q, now) {
		due = true // while finished answers are given, nobody asks for the RRsets behind them
	}
	a := res.pack(q, now)
	if due && !r.noPrefetch {
		r.start(q, true) // and who asks after that leaves a finished answer
	} else {
		r.cache.Packets.Put(q, a.Answer, now, generation)
	}
	return a, true
}

// recollect puts an answer together from the cache, from alias to alias, of entries that are at least as good as worst.
// It is complete when it reaches an end, which may be a recent failure.
func (r *Resolver) recollect(q wire.Question, now time.Time, worst cache.State) (res *result, due, complete bool) {
	res = &result{}
	name := q.Name
	for range work.DefaultLimits[work.Alias] + 1 {
		f, state := r.knownFor(q, name, now)
		if state == cache.Missing || state > worst {
			return r.recentFailure(q, name, now)
		}
		if r.mustJudge(q) && f.status == wire.Bogus {
			return r.bogus(q, name, now), false, true
		}
		if res.append(f) != nil {
			return nil, false, false // who follows it says so
		}
		res.stale = res.stale || state == cache.Stale
		due = due || f.due
		q.CD = q.CD && !f.mustBeChecked()
		if f.outcome != alias {
			return res, due, true
		}
		name = f.target
	}
	return nil, false, false
}

// knownFor returns what is known of name that may answer q: to whoever wants answers checked, nothing that was not, but
// what follows from validated denials.
func (r *Resolver) knownFor(q wire.Question, name wire.Name, now time.Time) (*found, cache.State) {
	if f, _, ok, err := r.localFirst(name, q.Type, now); ok || err != nil {
		if err != nil {
			return nil, cache.Missing
		}
		return f, cache.Fresh
	}
	f, state := r.known(name, q.Type, now)
	if !r.mustJudge(q) {
		return f, state
	}
	if state != cache.Fresh {
		if denied, ok := r.synthesise(name, q.Type, now); ok {
			return denied, cache.Fresh
		}
	}
	switch {
	case state == cache.Missing:
	case f.status == wire.Indeterminate:
		state = cache.Missing
	case f.status == wire.Insecure:
		f.reason = r.validator.Why(name, now, f.proof)
	}
	return f, state
}

// recentFailure returns the failure that is remembered of a question, or of the name at which its aliases stop (RFC 9520).
func (r *Resolver) recentFailure(q wire.Question, last wire.Name, now time.Time) (res *result, due, complete bool) {
	for _, name := range []wire.Name{q.Name, last} {
		k := cache.Key{Name: name, Type: q.Type, Partition: r.partition(name, q.Type)}
		if failure, ok := r.cache.Failures.Get(k, now); ok && (!failure.Bogus || r.mustJudge(q)) {
			res = failed(&Error{Step: stepAsk, EDE: wire.EDECachedError, Err: errOldFailure, ours: failure.Own})
			res.errs = append(res.errs, failure.Errors...)
			return res, false, true
		}
	}
	return nil, false, false
}

// mustJudge reports whether only validated data may answer q.
func (r *Resolver) mustJudge(q wire.Question) bool { return r.validator != nil && !q.CD }

// bogus returns the failure of a name whose data are known to be bogus, with the reason as long as it is remembered.
func (r *Resolver) bogus(q wire.Question, name wire.Name, now time.Time) *result {
	if res, _, ok := r.recentFailure(q, name, now); ok {
		return res
	}
	return failed(&Error{Step: stepValidate, EDE: wire.EDEBogus, Err: errBogus})
}

// stale returns an answer of which parts may have expired, nil when there is none or none is wanted.
func (r *Resolver) stale(q wire.Question, now time.Time) *result {
	if r.noStale || q.Anew {
		return nil
	}
	res, _, complete := r.recollect(q, now, cache.Stale)
	if !complete || res.err != nil {
		return nil
	}
	if !res.stale { // somebody else was luckier meanwhile
		return res
	}
	code := wire.EDEStaleAnswer
	if res.rcode == wire.NXDomain {
		code = wire.EDEStaleNXDomain
	}
	res.errs = []wire.ExtendedError{{Code: code, Text: "no server answers; this has expired"}}
	return res
}
