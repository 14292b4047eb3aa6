package resolver

import (
	"context"
	"time"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
	"tacit/zone"
)

// A Resolver answers questions. It is safe for concurrent use.
type Resolver struct {
	exchanger Exchanger
	memory    *upstream.Memory
	cache     *cache.Cache
	validator *dnssec.Validator
	rules     Answerer
	zones     func() *zone.Zones
	root      RootCopy
	hints     []Hint
	routes    routes
	limits    work.Limits
	now       func() time.Time

	port           uint16
	noIPv4, noIPv6 bool
	minimise       Minimisation
	allowSpecial   bool
	encryption     encryption
	noStale        bool
	noPrefetch     bool
	noAggressive   bool

	flights   flights
	exchanges exchanges
	overlaps  overlaps
}

const (
	defaultPort    = 53
	defaultFlights = 2000
)

// New returns a Resolver.
func New(o Options) *Resolver {
	r := &Resolver{
		exchanger: o.Exchanger, memory: o.Memory, cache: o.Cache, validator: o.Validator, rules: o.Rules, zones: o.Zones, root: o.Root,
		hints: o.Hints, routes: newRoutes(&o), limits: o.Limits, now: o.Now,
		port: o.Port, noIPv4: o.NoIPv4, noIPv6: o.NoIPv6, minimise: o.Minimise,
		allowSpecial: o.AllowSpecialAddresses, noStale: o.NoStale, noPrefetch: o.NoPrefetch, noAggressive: o.NoAggressive,
		encryption: encryption{o.Encrypt, o.EncryptedZones, o.EncryptedServers},
		flights:    flights{max: o.Flights, now: o.Now, panicked: o.Panicked},
	}
	r.setDefaults()
	return r
}

func (r *Resolver) setDefaults() {
	if r.now == nil {
		r.now = time.Now //nolint:forbidigo // the default; the server gives its own clock
	}
	if r.rules == nil {
		r.rules = noRules{}
	}
	if r.zones == nil {
		r.zones = func() *zone.Zones { return nil }
	}
	if len(r.hints) == 0 {
		r.hints = BuiltinHints()
	}
	if r.limits == (work.Limits{}) {
		r.limits = work.DefaultLimits
	}
	if r.port == 0 {
		r.port = defaultPort
	}
	if r.flights.max == 0 {
		r.flights.max = defaultFlights
	}
	r.flights.now = r.now
	if r.flights.panicked == nil {
		r.flights.panicked = func() {}
	}
}

type noRules struct{}

func (noRules) Answer(wire.Question, time.Time) (wire.Answer, bool) { return wire.Answer{}, false }

// Close ends the resolutions in progress and waits for them.
func (r *Resolver) Close() { r.flights.close() }

// Recall returns the finished answer to q from memory, written to dst. It neither blocks nor allocates, and for any
// query it gives what Resolve would give, or nothing.
func (r *Resolver) Recall(dst []byte, q *wire.Query, now time.Time) (wire.Answer, bool) {
	return r.cache.Packets.Get(dst, q, now)
}

// Resolve answers q. The lines are the order in which the sources are asked. It returns when there is an answer, a
// failure, or the end of ctx; a resolution that it started goes on for those who ask next.
func (r *Resolver) Resolve(ctx context.Context, q wire.Question) (a wire.Answer, failed Failure) {
	p := r.resolve(ctx, q)
	return r.blurred(p.Answer), p.failed
}

func (r *Resolver) resolve(ctx context.Context, q wire.Question) packed {
	now := r.now()
	if a, ok := r.rules.Answer(q, now); ok {
		return packed{Answer: a}
	}
	if q.NoRecursion {
		return r.ownAnswer(q, now)
	}
	if q.Anew {
		defer r.cache.Packets.Forget(q) // what was made of it before would tell its age
		return r.await(ctx, q)
	}
	if a, ok := r.remember(q, now); ok {
		return a
	}
	return r.await(ctx, q)
}

// refusal answers whoever does not want recursion, and asks for what is not served here.
var refusal = &result{
	rcode: wire.Refused,
	errs:  []wire.ExtendedError{{Code: wire.EDENotAuthoritative, Text: "recursion was not asked for"}},
}

// await starts the resolution of q, or joins it, and waits: for the result; for so long that a stale answer is better
// than none; or until the client has to have an answer.
func (r *Resolver) await(ctx context.Context, q wire.Question) packed {
	f := r.start(q, false)
	if f == nil {
		return r.makeDo(q, failed(&Error{Step: stepAdmit, EDE: wire.EDENetworkError, Err: errBusy}))
	}
	patience := time.NewTimer(staleAfter)
	defer patience.Stop()
	for {
		select {
		case <-f.done:
			return r.finish(q, f.result)
		case <-patience.C:
			if stale := r.stale(q, r.now()); stale != nil {
				return stale.pack(q, r.now())
			}
		case <-ctx.Done():
			return r.makeDo(q, failed(&Error{Step: stepAsk, EDE: wire.EDENoReachableAuthority, Err: errTime}))
		}
	}
}

// start joins the flight for q, which it starts when there is none.
func (r *Resolver) start(q wire.Question, refresh bool) *flight {
	return r.flights.join(flightKey{key{q.Name, q.Type}, q.CD, q.Anew, r.cache.Generation()}, func(ctx context.Context) *result {
		s := r.newResolution(q, nil)
		s.refresh, s.anew = refresh, q.Anew
		return s.follow(ctx, q.Name, q.Type)
	})
}

// finish packs a result for one of those who waited for it. Only who asks again leaves a finished answer: most names are asked
// for once, and then the RRsets are enough.
func (r *Resolver) finish(q wire.Question, res *result) packed {
	if res.err != nil {
		return r.makeDo(q, res)
	}
	return res.pack(q, r.now())
}

// makeDo answers with what has expired where there is nothing better (RFC 8767), else with the failure.
func (r *Resolver) makeDo(q wire.Question, failure *result) packed {
	now := r.now()
	if stale := r.stale(q, now); stale != nil {
		stale.errs = append(stale.errs, failure.errs...)
		return stale.pack(q, now)
	}
	return failure.pack(q, now)
}

func (r *Resolver) trace(ctx context.Context, q wire.Question, report tracer) wire.Answer {
	now := r.now()
	if a, ok := r.rules.Answer(q, now); ok {
		return a
	}
	s := r.newResolution(q, report)
	ctx, cancel := context.WithTimeout(ctx, resolutionTime)
	defer cancel()
	res := s.follow(ctx, q.Name, q.Type)
	s.traceFinished(res)
	return res.pack(q, r.now()).Answer
}
