package resolver

import (
	"context"
	"errors"

	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// ask puts one question to the servers of c, one after the other, until one gives a usable reply. Doubtful replies are
// taken when there is no better one.
func (s *resolution) ask(ctx context.Context, c *cut, name wire.Name, kind wire.Type) (*judgement, error) {
	if j, ok := s.askCopy(c, name, kind); ok {
		return j, nil
	}
	choice := s.newSelection(c)
	var doubtful *judgement
	var cause error
	for {
		candidate, err := s.choose(ctx, choice)
		if err != nil {
			return s.settle(doubtful, fail(stepServers, wire.EDENoReachableAuthority, err))
		}
		if candidate == nil {
			return s.settle(doubtful, orNoServer(cause))
		}
		j, err := s.askOne(ctx, c, choice, candidate, name, kind)
		switch {
		case final(err):
			return s.settle(doubtful, err)
		case err != nil:
			cause = graver(cause, err)
		case !j.doubtful:
			return j, nil
		case doubtful == nil:
			doubtful = j
		}
	}
}

func orNoServer(cause error) error {
	if cause == nil {
		return &Error{Step: stepAsk, EDE: wire.EDENoReachableAuthority, Err: errNoServer}
	}
	return cause
}

// graver returns which of two causes says more about the zone: that there is no way from here says nothing of it, so it
// counts only when it is all there is. An upstream that is not the one it should be, or that cannot be asked as it must be, is for
// the operator to know, whatever else went wrong.
func graver(before, err error) error {
	if before != nil && (errors.Is(err, errNoNetwork) || errors.Is(before, errStranger) || errors.Is(before, errUncovered)) {
		return before
	}
	return err
}

// askCopy asks the copy of the root zone in the place of its servers (RFC 8806). Data of it that turned out to be bogus
// are fetched again from the servers themselves.
func (s *resolution) askCopy(c *cut, name wire.Name, kind wire.Type) (*judgement, bool) {
	if s.root == nil || !c.zone.IsRoot() || len(c.configured) > 0 || s.refetched[key{name, kind}] > 0 {
		return nil, false
	}
	msg := s.root.Answer(s.now(), name, kind)
	if msg == nil {
		return nil, false
	}
	q := wire.Question{Name: name, Type: kind, Class: wire.ClassIN, DO: true}
	e := &exchange{reply: upstream.Reply{Msg: msg}}
	e.response, e.sound = scrub(msg, q, c.zone)
	j := s.judge(c, e, q)
	if j.usable() {
		s.traceCopy(q, j)
	}
	return j, j.usable()
}

// settle gives what there is at the end of the list of servers.
func (s *resolution) settle(doubtful *judgement, cause error) (*judgement, error) {
	if doubtful != nil {
		return doubtful, nil
	}
	return nil, cause
}

// choose returns whom to ask next. Names of servers are looked up only when no known address is worth asking first.
func (s *resolution) choose(ctx context.Context, choice *selection) (*candidate, error) {
	var cause error
	for choice.sent < maxSent {
		candidate, class := choice.pick(s, s.now())
		if candidate != nil && class == willing {
			return candidate, nil
		}
		name, ok := choice.takeUnresolved()
		if !ok && candidate == nil && choice.fallBack(s) {
			continue
		}
		if !ok {
			return candidate, whenNone(candidate, cause)
		}
		addresses, err := s.lookUpServer(ctx, name)
		if final(err) {
			return nil, err
		}
		if err != nil {
			cause = err
		}
		choice.add(s, name, addresses)
	}
	return nil, cause
}

func whenNone(candidate *candidate, cause error) error {
	if candidate != nil {
		return nil
	}
	return cause
}

// askOne asks one server and judges its reply. The error says why the server was of no use.
func (s *resolution) askOne(ctx context.Context, c *cut, choice *selection, to *candidate, name wire.Name, kind wire.Type) (*judgement, error) {
	choice.sent++
	q := wire.Question{Name: name, Type: kind, Class: wire.ClassIN, DO: true}
	e := s.askInTime(ctx, c, choice, to, q)
	if e.silent != (upstream.Server{}) {
		choice.sent++
		choice.candidateAt(e.silent).tries++
	}
	to = choice.candidateAt(e.server)
	to.tries++
	if e.err != nil {
		err := s.blame(ctx, to, e.err)
		s.traceAsked(c, to, q, e.reply, "no reply", err)
		return nil, err
	}
	j := s.judge(c, e, q)
	s.traceAsked(c, to, q, e.reply, j.outcome.String(), nil)
	if !j.usable() || j.doubtful {
		to.spent = true
	}
	switch {
	case j.usable():
		s.sources.put(source(j, q), to.server.Addr)
		return j, nil
	case j.outcome == lame:
		s.memory.MarkLame(to.server, c.zone, s.now())
		return j, &Error{Step: stepAsk, EDE: wire.EDENoReachableAuthority, Err: errLame}
	case j.outcome == failing:
		return j, &Error{Step: stepAsk, EDE: wire.EDENoReachableAuthority, Err: errFailing}
	default:
		return j, &Error{Step: stepAsk, EDE: wire.EDEInvalidData, Err: errMalformed}
	}
}

// askInTime asks to in such a way that a server that does not answer is not waited for alone while there is another that
// nothing speaks against. A forwarder is given up after a time: two of them need not see each question that takes long.
func (s *resolution) askInTime(ctx context.Context, c *cut, choice *selection, to *candidate, q wire.Question) *exchange {
	other := choice.beside(s, to)
	if other == nil {
		return s.exchange(ctx, c.zone, to.server, upstream.Server{}, q)
	}
	if !to.server.Recursive {
		return s.exchange(ctx, c.zone, to.server, other.server, q)
	}
	ctx, cancel := context.WithTimeout(ctx, otherWait)
	defer cancel()
	return s.exchange(ctx, c.zone, to.server, upstream.Server{}, q)
}

// judge classifies what is left of a reply.
func (s *resolution) judge(c *cut, e *exchange, q wire.Question) *judgement {
	if !e.sound {
		return &judgement{outcome: malformed}
	}
	j := classify(&e.response, q.Name, q.Type, c.zone)
	if c.forward {
		j.acceptForwarded()
	}
	j.stopAt(func(name wire.Name) bool { return s.partition(name, q.Type) != s.partitionFor(c, name, q.Type) })
	return j
}

// blame decides what the lack of a reply says of a server, and of the resolution.
func (s *resolution) blame(ctx context.Context, to *candidate, err error) error {
	if _, ok := errors.AsType[*work.Exceeded](err); ok {
		return fail(stepAsk, wire.EDEOther, err)
	}
	switch ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		return &Error{Step: stepAsk, EDE: wire.EDENoReachableAuthority, Err: errTime}
	default:
		return &Error{Step: stepAsk, EDE: wire.EDENetworkError, Err: errJostled}
	}
	note(&s.unanswered, to.server, s.unanswered[to.server]+1)
	var failure *upstream.Error
	if errors.As(err, &failure) && failure.Outcome != upstream.Timeout && failure.Outcome != upstream.Cancelled {
		to.spent = true
		return &Error{Step: stepAsk, EDE: wire.EDENetworkError, Err: causeOf(failure.Outcome)}
	}
	return &Error{Step: stepAsk, EDE: wire.EDENoReachableAuthority, Err: errNoServer}
}

func causeOf(o upstream.Outcome) error {
	switch o {
	case upstream.Unreachable, upstream.Local:
		return errNoNetwork
	case upstream.Unauthenticated:
		return errStranger
	case upstream.Unencrypted:
		return errUncovered
	default:
		return errNoServer
	}
}
