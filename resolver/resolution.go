package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// A resolution is the work on one question: its ledger, and what it has been through. It runs on one goroutine.
type resolution struct {
	*Resolver
	budget     *work.Budget
	generation uint64
	report     tracer
	started    time.Time
	refresh    bool // what is near its end counts as unknown
	anew       bool // and so does all that was found for others

	depth          int                      // of name server look-ups on behalf of others
	looking        map[wire.Name]bool       // servers whose addresses are being looked up
	unanswered     map[upstream.Server]int8 // questions without a reply
	pastForwarders bool                     // a forward zone that may be iterated has failed

	checking   bool                    // what is found is validated
	fetched    notes[dnssec.Reply]     // for the validator
	errands    map[key]*errand         // on their way
	sources    notes[netip.AddrPort]   // who answered what
	distrusted map[netip.AddrPort]bool // whose word turned out to be bogus
	refetches  int
	refetched  map[key]int
}

func (r *Resolver) newResolution(q wire.Question, report tracer) *resolution {
	return &resolution{
		checking: r.validator != nil && !q.CD, Resolver: r, budget: work.New(r.limits), generation: r.cache.Generation(),
		report: report, started: r.now(),
	}
}

// Notes say something of few questions: most resolutions have one to three, for which a map is large.
type notes[V any] []struct {
	of    key
	value V
}

func (n notes[V]) get(k key) (value V, ok bool) {
	for i := range n {
		if n[i].of == k {
			return n[i].value, true
		}
	}
	return value, false
}

func (n *notes[V]) put(k key, value V) {
	n.drop(k)
	*n = append(*n, struct {
		of    key
		value V
	}{k, value})
}

func (n *notes[V]) drop(k key) {
	for i := range *n {
		if (*n)[i].of == k {
			*n = slices.Delete(*n, i, i+1)
			return
		}
	}
}

// note sets an entry of a map that most resolutions never need.
func note[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// follow resolves name and kind, from alias to alias (RFC 1034 section 5.2.2). Each name is asked in its own zone,
// whoever named it.
func (s *resolution) follow(ctx context.Context, name wire.Name, kind wire.Type) *result {
	res := s.chase(ctx, name, kind)
	if ofQuestion(res.err) {
		k := cache.Key{Name: name, Type: kind, Partition: s.partition(name, kind)}
		s.cache.Failures.PutOwn(k, res.errs, s.now(), s.generation)
	}
	return res
}

// chase goes from alias to alias.
func (s *resolution) chase(ctx context.Context, name wire.Name, kind wire.Type) *result {
	res := &result{}
	seen := map[wire.Name]bool{}
	for {
		if seen[name] {
			return res.loop()
		}
		seen[name] = true
		f, err := s.lookUp(ctx, name, kind)
		if err != nil {
			return res.fail(err)
		}
		if err := s.budget.Spend(work.Alias, f.aliases()); err != nil {
			return res.fail(fail(stepAlias, wire.EDEOther, err))
		}
		if err := res.append(f); err != nil {
			return res.fail(err)
		}
		if f.outcome != alias {
			return res
		}
		s.traceAlias(f)
		s.checking = s.checking || s.validator != nil && f.mustBeChecked()
		for i := range f.sets {
			if f.sets[i].set.Type == wire.TypeCNAME {
				seen[f.sets[i].set.Name] = true
			}
		}
		name = f.target
	}
}

// lookUp finds one name and type: known, or by iteration. A failure is remembered (RFC 9520).
func (s *resolution) lookUp(ctx context.Context, name wire.Name, kind wire.Type) (*found, error) {
	now := s.now()
	if f, _, ok, err := s.localFirst(name, kind, now); ok || err != nil {
		s.traceLocal(name, kind, f)
		return f, err
	}
	if f, state := s.known(name, kind, now); state == cache.Fresh && !s.isAnew() && (!s.refresh || !f.nearEnd(now)) {
		s.traceKnown(name, kind, f)
		err := s.judged(ctx, name, kind, f) // which changes f
		return f, err
	}
	if s.checking && !s.refresh && !s.isAnew() {
		if f, ok := s.synthesise(name, kind, now); ok {
			s.traceKnown(name, kind, f)
			return f, nil
		}
	}
	k := cache.Key{Name: name, Type: kind, Partition: s.partition(name, kind)}
	if failure, ok := s.cache.Failures.Get(k, now); ok && !s.isAnew() && (s.checking || !failure.Bogus) {
		return nil, &Error{Step: stepAsk, EDE: firstCode(failure.Errors), Err: errOldFailure, ours: failure.Own}
	}
	f, err := s.iterate(ctx, name, kind)
	if err != nil && !final(err) && s.mayIterateInstead(name) {
		s.pastForwarders = true
		f, err = s.iterate(ctx, name, kind)
		s.pastForwarders = false
	}
	if err != nil {
		if s.ofName(err) {
			s.keepFailure(k, err)
		}
		return nil, err
	}
	if err := s.judged(ctx, name, kind, f); err != nil {
		return nil, err
	}
	if s.checking || s.validator == nil {
		s.cache.Failures.Forget(k)
	}
	return f, nil
}

// isAnew reports whether what is known does not count: of what was asked for, with its aliases, and not of the servers on the way.
func (s *resolution) isAnew() bool { return s.anew && s.depth == 0 }

// keepFailure remembers why a name could not be resolved.
func (s *resolution) keepFailure(k cache.Key, err error) {
	put := s.cache.Failures.Put
	switch {
	case errors.Is(err, errNoNetwork):
		put = s.cache.Failures.PutBriefly
	case !accuses(err):
		put = s.cache.Failures.PutOwn
	}
	put(k, []wire.ExtendedError{explain(err)}, s.now(), s.generation)
}

func (s *resolution) mayIterateInstead(name wire.Name) bool {
	c, ok := s.routes.deepest(name)
	return ok && c.forward && c.first && !s.pastForwarders
}

// maxDepth bounds how deep look-ups of name servers may lead to look-ups of name servers.
const maxDepth = 7

// lookUpServer finds the addresses of a name server, on behalf of a question about another name. Aliases are not
// followed: a server's name must not be one (RFC 2181 section 10.3).
func (s *resolution) lookUpServer(ctx context.Context, name wire.Name) ([]netip.Addr, error) {
	switch {
	case s.looking[name]:
		return nil, &Error{Step: stepServers, EDE: wire.EDENoReachableAuthority, Err: errCyclic}
	case s.depth >= maxDepth:
		return nil, &Error{Step: stepServers, EDE: wire.EDENoReachableAuthority, Err: errDepth}
	}
	if err := s.budget.Spend(work.ServerLookup, 1); err != nil {
		return nil, fail(stepServers, wire.EDENoReachableAuthority, err)
	}
	note(&s.looking, name, true)
	s.depth++
	defer func() {
		delete(s.looking, name)
		s.depth--
	}()
	var cause error
	for _, kind := range s.addressTypes() {
		f, err := s.lookUp(ctx, name, kind)
		if addresses := s.usableAddresses(f); err == nil && len(addresses) > 0 {
			return addresses, nil
		}
		if final(err) {
			return nil, err
		}
		if cause = err; cause == nil {
			cause = &Error{Step: stepServers, EDE: wire.EDENoReachableAuthority, Err: errNoServer}
		}
		if err := s.budget.Spend(work.FailedLookup, 1); err != nil {
			return nil, fail(stepServers, wire.EDENoReachableAuthority, err)
		}
		if f != nil && f.outcome == noName {
			break
		}
	}
	return nil, cause
}

// addressTypes returns the types of address to look up, the second only when the first has none.
func (r *Resolver) addressTypes() []wire.Type {
	switch {
	case r.noIPv6:
		return []wire.Type{wire.TypeA}
	case r.noIPv4:
		return []wire.Type{wire.TypeAAAA}
	default:
		return []wire.Type{wire.TypeA, wire.TypeAAAA}
	}
}

// addressesKnown joins the glue of a server with the addresses that are known from its own zone.
func (s *resolution) addressesKnown(name wire.Name, glue []netip.Addr) []netip.Addr {
	known := glue
	partition := s.partition(name, wire.TypeA)
	for _, kind := range s.addressTypes() {
		e, state := s.cache.RRsets.Get(cache.Key{Name: name, Type: kind, Partition: partition}, cache.Answer, s.now())
		if state == cache.Fresh && e.Kind == cache.Positive {
			known = append(slices.Clip(known), s.addressesIn(&e.Set)...)
		}
	}
	return known
}

func (s *resolution) usableAddresses(f *found) []netip.Addr {
	if f == nil || f.outcome != answer {
		return nil
	}
	if f.local {
		return addressesOf(&f.sets[0].set)
	}
	return s.addressesIn(&f.sets[len(f.sets)-1].set)
}

func (s *resolution) addressesIn(set *wire.RRset) []netip.Addr {
	var addresses []netip.Addr
	for rdata := range set.Data.All() {
		if a, ok := netip.AddrFromSlice(rdata); ok && len(addresses) < maxGlue && (s.allowSpecial || isPublic(a)) {
			addresses = append(addresses, a)
		}
	}
	return addresses
}

// inUse reports whether the configuration lets servers be asked at a.
func (r *Resolver) inUse(a netip.Addr) bool {
	if a.Is4() {
		return !r.noIPv4
	}
	return !r.noIPv6
}
