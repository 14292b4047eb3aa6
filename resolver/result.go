package resolver

import (
	"sync"
	"time"

	"tacit/internal/wire"
)

// A result is what a resolution came to. It is the same for all who wait for it; each gets it packed as they asked.
type result struct {
	rcode  wire.Rcode
	answer []timed
	soa    *timed
	errs   []wire.ExtendedError
	stale  bool
	err    error // why there is none

	generation uint64 // of the cache when the resolution started
}

// staleTTL is the TTL of records that have expired (RFC 8767 section 4).
const staleTTL = 30

// append adds what was found of the next name.
func (r *result) append(f *found) {
	r.answer = append(r.answer, f.sets...)
	r.soa = f.soa
	switch f.outcome {
	case noName:
		r.rcode = wire.NXDomain
	case tooLong:
		r.rcode = yxDomain
	default:
		r.rcode = wire.NoError
	}
}

// fail makes r a failure: no part of a chain that could not be followed to its end is given.
func (r *result) fail(err error) *result {
	*r = result{rcode: wire.ServFail, err: err, errs: []wire.ExtendedError{explain(err)}}
	return r
}

// loop makes r a failure that shows the aliases that go round (RFC 1034 section 3.6.2 wants an error).
func (r *result) loop() *result {
	round := r.answer
	r.fail(&Error{stepAlias, wire.EDEOther, errLoop})
	r.answer = round
	return r
}

func failed(err error) *result { return new(result).fail(err) }

var builders = sync.Pool{New: func() any { return new(wire.Builder) }}

// pack makes the message for q.
func (r *result) pack(q wire.Question, now time.Time) wire.Answer {
	b := builders.Get().(*wire.Builder)
	defer builders.Put(b)
	b.Begin(nil, q, r.rcode, 0)
	expires, err := r.write(b, q, now)
	if err != nil {
		return failed(&Error{stepAnswer, wire.EDEOther, err}).pack(q, now)
	}
	return wire.Answer{Packet: b.Message(), Expires: expires, Errors: r.errs}
}

func (r *result) write(b *wire.Builder, q wire.Question, now time.Time) (expires time.Time, err error) {
	add := func(section wire.Section, t *timed) error {
		if expires.IsZero() || t.expires.Before(expires) {
			expires = t.expires
		}
		ttl := t.ttl(now)
		if r.stale && ttl == 0 {
			ttl = staleTTL
		}
		return b.Add(section, &t.set, ttl, q.DO)
	}
	for i := range r.answer {
		if err := add(wire.AnswerSection, &r.answer[i]); err != nil {
			return expires, err
		}
	}
	if r.soa != nil {
		err := add(wire.AuthoritySection, r.soa) // sets expires
		return expires, err
	}
	if !r.lasting(q.Type) {
		expires = now
	}
	return expires, nil
}

// lasting reports whether a result without SOA may be kept: a denial without one may not (RFC 2308 section 5).
func (r *result) lasting(kind wire.Type) bool {
	return r.rcode == wire.NoError && len(r.answer) > 0 && r.answer[len(r.answer)-1].set.Type == kind
}
