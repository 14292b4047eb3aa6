package transports

import (
	"sync/atomic"

	"tacit/internal/wire"
)

// Counters count what happened on one transport since the start. They hold numbers only: no name, no address.
type Counters struct {
	Connections atomic.Int64        // open now
	Shed        atomic.Uint64       // connections closed to make room for new ones
	_           [2 * cacheLine]byte // those are read for each message, the others written

	Queries   atomic.Uint64 // messages received
	Recalled  atomic.Uint64 // of them answered from memory at once
	Truncated atomic.Uint64 // answers sent with TC and without records
	Panics    atomic.Uint64

	answers [maxCountedRcode + 1]atomic.Uint64
	types   [len(countedTypes) + 1]atomic.Uint64 // of answers; the last is all other types
	drops   [causeCount]atomic.Uint64

	failures [wire.CodesOfEDE][stageCount]atomic.Uint64 // by the first extended error of what was answered with SERVFAIL
	_        [2 * cacheLine]byte                        // the next transport's
}

// cacheLine is what processors fetch at a time; they fetch the one beside it, too.
const cacheLine = 64

const maxCountedRcode = wire.BadCookie

// Answers returns the number of answers sent with an RCODE.
func (c *Counters) Answers(r wire.Rcode) uint64 { return c.answers[min(r, maxCountedRcode)].Load() }

// Types returns the number of answers to questions for a type, by its position in CountedTypes; behind the last are all others.
func (c *Counters) Types(position int) uint64 { return c.types[position].Load() }

// countedTypes are those that many ask for: a type that few do would tell of them.
var countedTypes = [...]wire.Type{1, 28, 65, 64, 12, 16, 15, 2, 6, 33, 5, 43, 48, wire.TypeANY}

// CountedTypes are the types that answers are counted by.
func CountedTypes() []wire.Type { return countedTypes[:] }

// positions are those of the types that fit an octet; 0 is no position.
var positions = func() (list [256]uint8) {
	for i, t := range countedTypes {
		list[t] = uint8(i + 1)
	}
	return list
}()

func positionOf(t wire.Type) int {
	if int(t) < len(positions) && positions[t] > 0 {
		return int(positions[t]) - 1
	}
	return len(countedTypes)
}

// A Stage is where in the way of a question its failure arose.
type Stage uint8

// Stages, in the order in which a question comes by.
const (
	Front     Stage = iota // here: no place to wait, an answer that fits into no message, a panic
	Admission              // too much is going on
	Local                  // zones served here
	Priming
	Asking
	Servers // being looked up
	Aliases
	Validating
	Packing
	stageCount
)

// Stages lists all stages.
func Stages() []Stage {
	return []Stage{Front, Admission, Local, Priming, Asking, Servers, Aliases, Validating, Packing}
}

var stageNames = [stageCount]string{"front", "admission", "local", "priming", "asking", "servers", "aliases", "validating", "packing"}

func (s Stage) String() string { return stageNames[s] }

// A Failure is what a Responder tells of one besides its answer.
type Failure struct {
	Stage   Stage
	Accuses bool // the zones that were asked about: it is not this resolver's own
}

// isOfZone reports whether what fails there does so for a zone that was asked about.
func (s Stage) isOfZone() bool { return s >= Asking && s <= Validating }

// Failures returns the number of questions answered with SERVFAIL for a cause (RFC 8914), at a stage.
func (c *Counters) Failures(e wire.EDE, s Stage) uint64 {
	return c.failures[min(e, wire.CodesOfEDE-1)][s].Load()
}

// causeOf is why an answer is SERVFAIL, one of a closed set.
func causeOf(errors []wire.ExtendedError) wire.EDE {
	if len(errors) > 0 && errors[0].Code < wire.CodesOfEDE {
		return errors[0].Code
	}
	return wire.EDEOther
}

// rootCauseOf is the one that a failure had when it was met first, if it is told again.
func rootCauseOf(errors []wire.ExtendedError) wire.EDE {
	if cause := causeOf(errors); cause != wire.EDECachedError || len(errors) == 1 {
		return cause
	}
	return causeOf(errors[1:])
}

// countFailure counts why an answer is SERVFAIL, if a client waits for it. It is not told what was asked.
func (f *front) countFailure(errors []wire.ExtendedError, l link) {
	if l.gone {
		return
	}
	f.counters[l.transport].failures[causeOf(errors)][l.failed].Add(1)
}

// Drops returns the number of queries left without an answer for a cause.
func (c *Counters) Drops(cause Cause) uint64 { return c.drops[cause].Load() }

// A tally is what one reader has counted since it last told the Counters. Those are everybody's, and a processor that writes
// what another one has just written waits for it.
type tally struct {
	queries, recalled uint64
	answers           [maxCountedRcode + 1]uint64
	types             [len(countedTypes) + 1]uint64
}

// tell adds the tally to the counters, and starts anew.
func (t *tally) tell(c *Counters) {
	if t.queries == 0 {
		return
	}
	c.Queries.Add(t.queries)
	c.Recalled.Add(t.recalled)
	for rcode, count := range t.answers {
		if count > 0 {
			c.answers[rcode].Add(count)
		}
	}
	for position, count := range t.types {
		if count > 0 {
			c.types[position].Add(count)
		}
	}
	*t = tally{}
}

func (f *front) countQuery(l link) {
	if l.tally != nil {
		l.tally.queries++
		return
	}
	f.counters[l.transport].Queries.Add(1)
}

func (f *front) countRecalled(l link) {
	if l.tally != nil {
		l.tally.recalled++
		return
	}
	f.counters[l.transport].Recalled.Add(1)
}

func (f *front) countAnswer(rcode wire.Rcode, l link) {
	rcode = min(rcode, maxCountedRcode)
	if l.tally != nil {
		l.tally.answers[rcode]++
		return
	}
	f.counters[l.transport].answers[rcode].Add(1)
}

func (f *front) countType(t wire.Type, l link) {
	if l.tally != nil {
		l.tally.types[positionOf(t)]++
		return
	}
	f.counters[l.transport].types[positionOf(t)].Add(1)
}

// A Cause is a reason for leaving a query without an answer.
type Cause uint8

// Causes.
const (
	NotAQuery   Cause = iota // shorter than a header, or a response
	RateLimited              // a client that is not served, and has been told often enough
	NoSlot                   // too many clients wait (UDP)
	Late                     // the answer came too late and would add to a pulse (UDP)
	SendFailed               // the system did not take the answer
	causeCount
)

// Causes lists all causes.
func Causes() []Cause { return []Cause{NotAQuery, RateLimited, NoSlot, Late, SendFailed} }

var causeNames = [causeCount]string{"not_a_query", "rate_limited", "no_slot", "late", "send_failed"}

func (c Cause) String() string { return causeNames[c] }
