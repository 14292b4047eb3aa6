package resolver

import (
	"slices"
	"sync"
	"time"

	"tacit/cache"
	"tacit/internal/wire"
	"tacit/zone"
)

// A result is what a resolution came to. It is the same for all who wait for it; each gets it packed as they asked.
type result struct {
	rcode  wire.Rcode
	answer []timed
	soa    *timed
	errs   []wire.ExtendedError
	proof  []wire.RRset // for those who want DNSSEC records
	secure bool
	stale  bool
	err    error // why there is none

	parts         int  // that it was put together from
	authoritative bool // the first of them comes from a zone served here (RFC 1035 section 4.1.1)
	local         bool // all of them do
	flat          *flattening
	denial        denial
	referral      *zone.Cut // where those zones end, for who does not want recursion
}

// staleTTL is the TTL of records that have expired (RFC 8767 section 4).
const staleTTL = 30

// append adds what was found of the next name. The error is that the way to what is flattened is too long.
func (r *result) append(f *found) error {
	if r.flat != nil {
		r.flat.hops += f.aliases()
	}
	r.secure = f.status == wire.Secure && (r.secure || r.parts == 0)
	r.authoritative = r.authoritative || f.local && r.parts == 0
	r.local = f.local && (r.local || r.parts == 0)
	r.parts++
	for i := range f.sets {
		if t := &f.sets[i]; !r.has(t) { // a DNAME that counts twice is given once
			r.answer = append(r.answer, *t)
		}
	}
	r.proof = append(r.proof, f.proof...)
	r.soa, r.denial = f.soa, denial{f.signer, f.target}
	if f.status >= wire.Insecure && f.reason.Text != "" && !slices.Contains(r.errs, f.reason) { // one for all names of a zone
		r.errs = append(r.errs, f.reason)
	}
	switch f.outcome {
	case noName:
		r.rcode = wire.NXDomain
	case tooLong:
		r.rcode = yxDomain
	default:
		r.rcode = wire.NoError
	}
	switch {
	case f.flat != nil && r.flat == nil:
		flat := *f.flat
		flat.from, flat.hops = len(r.answer), f.aliases()
		r.flat = &flat
	case r.flat != nil && r.flat.hops > zone.MaxAliases:
		return &Error{Step: stepAlias, EDE: wire.EDEOther, Err: errTooFar}
	case r.flat != nil && f.outcome != alias:
		r.flatten(f)
	}
	return nil
}

func (r *result) has(t *timed) bool {
	for i := range r.answer {
		if have := &r.answer[i].set; have.Name == t.set.Name && have.Type == t.set.Type {
			return true
		}
	}
	return false
}

// fail makes r a failure: no part of a chain that could not be followed to its end is given.
func (r *result) fail(err error) *result {
	*r = result{rcode: wire.ServFail, err: err, errs: []wire.ExtendedError{explain(err)}}
	return r
}

// loop makes r a failure that shows the aliases that go round (RFC 1034 section 3.6.2 wants an error).
func (r *result) loop() *result {
	round := r.answer
	if r.flat != nil {
		round = round[:r.flat.from] // the way to what is flattened is not shown
	}
	r.fail(&Error{Step: stepAlias, EDE: wire.EDEOther, Err: errLoop})
	r.answer = round
	return r
}

func failed(err error) *result { return new(result).fail(err) }

var builders = sync.Pool{New: func() any { return new(wire.Builder) }}

// A packed result is a message, and of a failure also where it arose.
type packed struct {
	wire.Answer
	failed Failure
}

// pack makes the message for q.
func (r *result) pack(q wire.Question, now time.Time) packed {
	b := builders.Get().(*wire.Builder)
	defer builders.Put(b)
	b.Begin(nil, q, r.rcodeFor(q), r.flags())
	expires, err := r.write(b, q, now)
	if err != nil {
		return failed(&Error{Step: stepAnswer, EDE: wire.EDEOther, Err: err}).pack(q, now)
	}
	a := packed{
		Answer: wire.Answer{Packet: b.Message(), Expires: expires, Errors: r.errs, Fixed: r.local && r.err == nil},
		failed: failureOf(r.err),
	}
	if !a.Fixed {
		a.Lives = b.Lives()
		a.Refresh = r.refresh()
	}
	return a
}

// refresh returns when the first of the parts is worth a refresh.
func (r *result) refresh() (first time.Time) {
	part := func(t *timed) {
		if at := cache.RefreshAt(t.stored, t.expires); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for i := range r.answer {
		part(&r.answer[i])
	}
	if r.soa != nil {
		part(r.soa)
	}
	return first
}

func (r *result) flags() wire.Flags {
	var flags wire.Flags
	if r.secure {
		flags |= wire.Authenticated
	}
	if r.authoritative {
		flags |= wire.Authoritative
	}
	return flags
}

// write writes the sections of a message.
func (r *result) write(b *wire.Builder, q wire.Question, now time.Time) (expires time.Time, err error) {
	w := writer{Builder: b, question: q, denied: r.end(q), noName: r.rcode == wire.NXDomain, now: now, stale: r.stale}
	for i := range r.answer {
		w.add(wire.AnswerSection, &r.answer[i])
	}
	switch {
	case r.proofAnswers(q):
		w.addProof(wire.AnswerSection, r.proofFor(q.Type))
	case r.soa != nil:
		w.add(wire.AuthoritySection, r.soa)
		if q.DO && r.denial.signer != nil {
			w.addProof(wire.AuthoritySection, r.proofFor(q.Type))
		}
	case !r.lasting(q.Type):
		w.expires = now
	}
	if r.referral != nil && w.err == nil {
		return now, writeReferral(b, q, r.referral, now)
	}
	if w.err == nil && q.DO {
		w.err = r.writeProof(b, w.first, uint32(max(0, w.expires.Sub(now))/time.Second))
	}
	return w.expires, w.err
}

// A writer writes RRsets until something goes wrong.
type writer struct {
	*wire.Builder
	question wire.Question
	denied   wire.Name // what a SOA record would be given for
	noName   bool      // and that it does not exist
	now      time.Time
	stale    bool
	expires  time.Time // when the first of them does
	first    wire.Life // of that one
	last     wire.Life // of the one written last
	err      error
}

func (w *writer) add(section wire.Section, t *timed) {
	if w.err != nil {
		return
	}
	w.last = w.lifeOf(section, t)
	w.lastUntil(t.expires)
	ttl := t.ttl(w.now)
	if w.stale && ttl == 0 {
		ttl = staleTTL
	}
	set := &t.set
	if w.question.DO && t.signer != nil {
		set = w.sign(t)
	}
	if w.err == nil {
		w.err = w.AddOf(w.last, section, set, ttl, w.question.DO)
	}
}

func (w *writer) lastUntil(end time.Time) {
	if w.expires.IsZero() || end.Before(w.expires) {
		w.expires, w.first = end, w.last
	}
}

// writeProof adds what shows a DNSSEC-aware client that the rest is true (RFC 4035 section 3.1.3). Its TTLs tell what that of the part
// that expires first tells, whose life they have.
func (r *result) writeProof(b *wire.Builder, life wire.Life, ttl uint32) error {
	for i := range r.proof {
		set := &r.proof[i]
		if findSet(r.proof[:i], set.Name, set.Type) != nil { // one name's proof may serve for the next alias, too
			continue
		}
		if err := b.AddOf(life, wire.AuthoritySection, set, min(set.TTL, ttl), true); err != nil {
			return err
		}
	}
	return nil
}

// lasting reports whether a result without SOA may be kept: a denial without one may not (RFC 2308 section 5).
func (r *result) lasting(kind wire.Type) bool {
	return r.rcode == wire.NoError && len(r.answer) > 0 && r.answer[len(r.answer)-1].set.Type == kind
}
