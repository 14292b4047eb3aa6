package resolver

import (
	"context"
	"time"

	"tacit/internal/wire"
	"tacit/upstream"
)

// An Event is one step of a resolution, for the terminal of the operator who asked to see it. Events are never kept.
type Event struct {
	Kind  EventKind
	Since time.Duration // since the question was asked
	Depth int           // 0: the question itself; more: look-ups of name servers' addresses on its behalf
	Cut   wire.Name     // the zone whose servers are concerned
	Asked wire.Question // Name and Type: what the server was shown

	// Of Asked events.
	ServerName wire.Name // the root when unknown
	Server     upstream.Server
	RTT        time.Duration
	Transport  upstream.Transport

	Outcome string // in the field's words: answer, referral, no data, ...
	Detail  string // a sentence, may be empty
}

// An EventKind is what an Event tells.
type EventKind uint8

// Kinds of events.
const (
	EventAsked    EventKind = iota // a server was asked and this came of it
	EventCut                       // a zone cut was learned
	EventAlias                     // a CNAME or DNAME is followed
	EventCache                     // something was known already
	EventCopy                      // the copy of the root zone was asked
	EventLocal                     // a zone served here has it
	EventVerdict                   // what was found has been validated
	EventFinished                  // the end
)

type tracer func(Event)

// Trace resolves q as Resolve does, but past the cache of finished answers, and reports each step to report, one
// at a time and in order.
func (r *Resolver) Trace(ctx context.Context, q wire.Question, report func(Event)) wire.Answer {
	return r.trace(ctx, q, report)
}

func (s *resolution) emit(e Event) {
	e.Since, e.Depth = s.now().Sub(s.started), s.depth
	if s.report != nil {
		s.report(e)
	}
}

func (s *resolution) traceAsked(c *cut, to *candidate, q wire.Question, reply upstream.Reply, what string, err error) {
	if s.report == nil {
		return
	}
	e := Event{
		Kind: EventAsked, Cut: c.zone, Asked: q, ServerName: to.name, Server: to.server,
		RTT: reply.RTT, Transport: reply.Transport, Outcome: what,
	}
	if err != nil {
		e.Detail = err.Error()
	}
	s.emit(e)
}

func (s *resolution) traceCut(c *cut) {
	if s.report != nil {
		s.emit(Event{Kind: EventCut, Cut: c.zone, Outcome: referral.String()})
	}
}

func (s *resolution) traceAlias(f *found) {
	if s.report != nil {
		s.emit(Event{Kind: EventAlias, Asked: wire.Question{Name: f.target, Class: wire.ClassIN}, Outcome: f.outcome.String()})
	}
}

func (s *resolution) traceKnown(name wire.Name, kind wire.Type, f *found) {
	if s.report != nil {
		s.emit(Event{
			Kind: EventCache, Asked: wire.Question{Name: name, Type: kind, Class: wire.ClassIN}, Outcome: f.outcome.String(),
		})
	}
}

func (s *resolution) traceLocal(name wire.Name, kind wire.Type, f *found) {
	if s.report != nil {
		s.emit(Event{
			Kind: EventLocal, Cut: f.cut, Asked: wire.Question{Name: name, Type: kind, Class: wire.ClassIN}, Outcome: f.outcome.String(),
		})
	}
}

func (s *resolution) traceFinished(res *result) {
	e := Event{Kind: EventFinished, Outcome: res.rcode.String()}
	if res.err != nil {
		e.Detail = res.err.Error()
	}
	s.emit(e)
}

func (s *resolution) traceCopy(q wire.Question, j *judgement) {
	if s.report != nil {
		s.emit(Event{Kind: EventCopy, Asked: q, Outcome: j.outcome.String()})
	}
}

func (s *resolution) traceVerdict(name wire.Name, kind wire.Type, f *found) {
	if s.report != nil {
		s.emit(Event{
			Kind: EventVerdict, Cut: f.cut, Asked: wire.Question{Name: name, Type: kind, Class: wire.ClassIN},
			Outcome: f.status.String(), Detail: f.reason.Text,
		})
	}
}
