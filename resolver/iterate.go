package resolver

import (
	"context"

	"tacit/internal/wire"
)

// maxCuts bounds the zone cuts on the way to one name: a name has at most 127 labels, and real ones need five.
const maxCuts = 32

// iterate finds one name and type from the deepest known cut down (RFC 1034 section 5.3.3), and remembers what it
// learns on the way.
func (s *resolution) iterate(ctx context.Context, name wire.Name, kind wire.Type) (*found, error) {
	c, err := s.startingCut(ctx, name, kind)
	if err != nil {
		return nil, err
	}
	m := minimiser{mode: s.minimisation(&c), name: name, kind: kind}
	for cuts := 0; cuts < maxCuts; {
		shown, shownKind, whole := m.next(c.zone)
		if !whole && s.knownToExist(shown, &c) {
			m.known = shown.Labels()
			continue
		}
		j, err := s.ask(ctx, &c, shown, shownKind)
		if err != nil && !whole && m.mode == Relaxed && !final(err) {
			m.relax()
			continue
		}
		if err != nil && c.forward {
			return nil, forwarded(err)
		}
		if err != nil {
			return nil, err
		}
		if j.outcome == referral {
			c = s.descend(ctx, &c, j)
			s.traceCut(&c)
			m.enter()
			cuts++
			continue
		}
		if m.mode == Relaxed && !whole && j.outcome == noName && j.target == shown {
			m.giveUp() // the server may only be wrong about names in between, so this is not to be remembered
			continue
		}
		f := s.store(&c, j, shownKind)
		switch {
		case whole:
			return f, nil
		case f.redirects(name):
			return f.redirect(name, kind), nil
		case !f.denies(shown):
			m.exists(shown)
		default:
			return f, nil // nothing exists below a name that does not (RFC 8020)
		}
	}
	return nil, &Error{Step: stepAsk, EDE: wire.EDEOther, Err: errTooDeep}
}

// minimisation is off towards forwarders, who have to be told the whole name.
func (s *resolution) minimisation(c *cut) Minimisation {
	if c.forward {
		return Off
	}
	return s.minimise
}
