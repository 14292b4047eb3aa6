package resolver

import (
	"errors"
	"slices"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A Step is where in a resolution an error arose.
type Step string

// Steps.
const (
	stepAdmit    Step = "admission"
	stepLocal    Step = "looking into the zones served here"
	stepPrime    Step = "priming"
	stepAsk      Step = "asking the servers of a zone"
	stepServers  Step = "finding the servers of a zone"
	stepAlias    Step = "following aliases"
	stepValidate Step = "validating"
	stepAnswer   Step = "building the answer"
)

// Steps lists all of them, in the order in which a question comes by.
func Steps() []Step {
	return []Step{stepAdmit, stepLocal, stepPrime, stepAsk, stepServers, stepAlias, stepValidate, stepAnswer}
}

// A Failure is what is told of an error besides its answer. The zero Failure: there is none.
type Failure struct {
	Step    Step
	Accuses bool // the zones that were asked about, and not this resolver, its network or whom it forwards to
}

func failureOf(err error) Failure {
	if e, ok := errors.AsType[*Error](err); ok {
		return Failure{e.Step, accuses(err)}
	}
	return Failure{}
}

// accuses reports whether an error speaks against a zone.
func accuses(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && !e.ours && !final(err) && !slices.ContainsFunc(ownCauses, func(own error) bool { return errors.Is(err, own) })
}

// ownCauses are those that say of a zone nothing: what is here, and what the operator demands of servers.
var ownCauses = []error{errNoNetwork, errStranger, errUncovered, errBusy, errTooFar, errWithheld, errExpired, errElsewhere, errPanicked}

// forwarded takes an error of whom the operator has named to forward to as one that accuses no zone: what is behind is not seen.
func forwarded(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	own := *e
	own.ours = true
	return &own
}

// An Error says why a question was not resolved. Its text names the step and the limit, never the question or a server.
type Error struct {
	Step Step
	EDE  wire.EDE
	Err  error

	told string // for the asker only: may name the zone that is at fault
	ours bool   // it accuses no zone, whatever Err is
}

func (e *Error) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Causes of failure.
var (
	errNoNetwork  = errors.New("no way to any server from here")
	errNoServer   = errors.New("no reachable authority")
	errStranger   = errors.New("the upstream could not be authenticated")
	errUncovered  = errors.New("no server of the zone can be asked encrypted, as it must be")
	errLame       = errors.New("no server is authoritative for the zone")
	errFailing    = errors.New("the servers of the zone fail or refuse")
	errMalformed  = errors.New("no server sent a usable reply")
	errCyclic     = errors.New("the servers of a zone can only be found by asking them")
	errDepth      = errors.New("limit of nested name server look-ups reached")
	errLoop       = errors.New("aliases form a loop")
	errTooFar     = errors.New("limit of aliases on the way to what is flattened reached")
	errTime       = errors.New("time is up")
	errJostled    = errors.New("given up for newer questions")
	errBusy       = errors.New("too many resolutions in progress")
	errTooDeep    = errors.New("limit of zone cuts on the way reached")
	errOldFailure = errors.New("failed a moment ago")
	errBogus      = errors.New("validation failed")
	errWithheld   = errors.New("the file of the zone cannot be read")
	errExpired    = errors.New("there is no copy of the zone from its primaries, or it has expired")
	errElsewhere  = errors.New("the addresses are not served here, and recursion was not asked for")
	errPanicked   = errors.New("internal error")
)

// fail makes an *Error of a cause, unless it is one already.
func fail(step Step, ede wire.EDE, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if exceeded, ok := errors.AsType[*work.Exceeded](err); ok {
		return &Error{Step: step, EDE: wire.EDEOther, Err: exceeded}
	}
	return &Error{Step: step, EDE: ede, Err: err}
}

// explain turns an error into what the asker is told (RFC 8914).
func explain(err error) wire.ExtendedError {
	if e, ok := errors.AsType[*Error](err); ok {
		if e.told != "" {
			return wire.ExtendedError{Code: e.EDE, Text: e.told}
		}
		return wire.ExtendedError{Code: e.EDE, Text: e.Err.Error()}
	}
	return wire.ExtendedError{Code: wire.EDEOther, Text: "resolution failed"}
}

// final reports whether an error ends the resolution and not only the attempt at one server.
func final(err error) bool { return ofQuestion(err) || errors.Is(err, errJostled) }

// ofQuestion reports whether a failure is that of the client's question and not of the name at which it came to light:
// its budget or its time was used up.
func ofQuestion(err error) bool {
	var exceeded *work.Exceeded
	return errors.As(err, &exceeded) || errors.Is(err, errTime)
}

// ofName reports whether a failure says something about the name itself, whoever asks for it. How deep a look-up may
// lead, and whether it leads in a circle, depends on where it started, if that was not here.
func (s *resolution) ofName(err error) bool {
	switch {
	case final(err):
		return false
	case errors.Is(err, errDepth):
		return s.depth == 0
	case errors.Is(err, errCyclic):
		return s.depth <= 1 // the one server name that is being looked up is the one looked up here
	default:
		return true
	}
}

// firstCode returns the code of the first of several errors.
func firstCode(errs []wire.ExtendedError) wire.EDE {
	if len(errs) == 0 {
		return wire.EDEOther
	}
	return errs[0].Code
}
