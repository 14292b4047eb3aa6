package resolver

import (
	"net/netip"
	"slices"
	"time"

	"tacit/internal/wire"
	"tacit/upstream"
)

// A selection is the choice among the servers of one cut while one question is asked.
type selection struct {
	zone       wire.Name
	candidates []candidate
	unresolved []wire.Name // servers whose addresses are not known yet
	names      []wire.Name
	fellBack   bool
	sent       int
}

// A candidate is one address of a server.
type candidate struct {
	name   wire.Name
	server upstream.Server
	tries  int
	spent  bool // its reply was of no use: asking it again would not help

	prospect upstream.Prospect // as of the last pick
}

// Limits of one question to one zone's servers.
const (
	maxSent       = 16 // questions
	maxTries      = 3  // ... to one address
	maxNames      = 13 // server names considered
	maxUnanswered = 3  // questions to one address without a reply, in one resolution
)

// A preference says how willingly a candidate is asked; less is better.
type preference uint8

const (
	willing   preference = iota // nothing speaks against it
	retry                       // did not answer just now
	reluctant                   // known to be dead, or of a family that is down
	lastHope                    // known to be lame
	never                       // has had its tries
)

// exploreOneIn is how often a server is chosen at random instead of by its round-trip time, so that a slow memory does
// not become a verdict.
const exploreOneIn = 20

// unknownRTT bounds the random round-trip time that a server is credited with before it has been asked: new servers get
// their chance beside known ones, in no fixed order.
const unknownRTT = 150 * time.Millisecond

// detour is how much longer a reply may take to come encrypted, from another server than the quickest, where a session with it is
// there. Servers of which it is not known yet whether they can are found out about when they are chosen at random.
const detour = 100 * time.Millisecond

// pick returns the best candidate and its preference, nil when all have had their tries.
func (s *selection) pick(r *resolution, now time.Time) (*candidate, preference) {
	best, class := []*candidate(nil), never
	for i := range s.candidates {
		c := &s.candidates[i]
		switch p := r.preference(s, c, now); {
		case p == never || p > class:
		case p < class:
			best, class = append(best[:0], c), p
		default:
			best = append(best, c)
		}
	}
	if len(best) == 0 {
		return nil, never
	}
	if below(exploreOneIn) == 0 {
		return best[below(len(best))], class
	}
	return r.quickest(best), class
}

// preference judges one candidate by what is known of it now.
func (r *resolution) preference(s *selection, c *candidate, now time.Time) preference {
	if r.exhausted(c) {
		return never
	}
	c.prospect = r.memory.Prospect(c.server, s.zone, now)
	return r.preferred(c)
}

func (r *resolution) exhausted(c *candidate) bool {
	return c.spent || c.tries >= maxTries || r.unanswered[c.server] >= maxUnanswered
}

func (r *resolution) preferred(c *candidate) preference {
	switch p := &c.prospect; {
	case p.Lame, r.distrusted[c.server.Addr]:
		return lastHope
	case p.Probe && below(exploreOneIn) == 0:
		return willing
	case p.Dead, p.Probe, p.FamilyDown:
		return reluctant
	case c.tries > 0, c.server.Recursive && p.Doubtful:
		return retry // another upstream has the same answer, and there are few to choose from
	default:
		return willing
	}
}

func (r *resolution) quickest(candidates []*candidate) *candidate {
	var best *candidate
	var least time.Duration
	for _, c := range candidates {
		estimate := time.Duration(below(int(unknownRTT)))
		if c.prospect.Known {
			estimate = c.prospect.SRTT
		}
		estimate <<= c.tries
		if c.server.Encryption != upstream.Clear && !c.prospect.Covered {
			estimate += detour
		}
		if best == nil || estimate < least {
			best, least = c, estimate
		}
	}
	return best
}

// newSelection lists the addresses known of the servers of c.
func (r *resolution) newSelection(c *cut) *selection {
	s := &selection{zone: c.zone, candidates: make([]candidate, 0, len(c.configured)+min(len(c.servers), maxNames))} // most have one address
	for _, server := range c.configured {
		s.candidates = append(s.candidates, candidate{name: c.zone, server: r.covered(c.zone, server, false)})
	}
	for i, ns := range c.servers {
		if i >= maxNames {
			break
		}
		s.names = append(s.names, ns.Name)
		if addresses := r.addressesKnown(ns.Name, ns.Addresses); len(addresses) > 0 {
			s.add(r, ns.Name, addresses)
		} else {
			s.unresolved = append(s.unresolved, ns.Name)
		}
	}
	return s
}

// add makes candidates of a server's addresses, of families that are in use, each address once.
func (s *selection) add(r *resolution, name wire.Name, addresses []netip.Addr) {
	for _, a := range addresses {
		server := r.covered(s.zone, upstream.Server{Addr: netip.AddrPortFrom(a, r.port)}, true)
		if r.inUse(a) && !s.has(server) {
			s.candidates = append(s.candidates, candidate{name: name, server: server})
		}
	}
}

func (s *selection) has(server upstream.Server) bool {
	return slices.ContainsFunc(s.candidates, func(c candidate) bool { return c.server == server })
}

// candidateAt returns the candidate that was asked. A question that another resolution had on its way may have gone to
// one that is none here.
func (s *selection) candidateAt(server upstream.Server) *candidate {
	for i := range s.candidates {
		if s.candidates[i].server == server {
			return &s.candidates[i]
		}
	}
	return &candidate{name: s.zone, server: server}
}

// otherWait bounds the wait for one server while there is another that nothing speaks against. A server that is asked
// to see whether it is still dead, or slow beyond reason, must not cost the client its answer.
const otherWait = 800 * time.Millisecond

// beside returns another candidate that nothing speaks against, nil when there is none. Of several it is any.
func (s *selection) beside(r *resolution, c *candidate) *candidate {
	start := below(len(s.candidates))
	for i := range s.candidates {
		other := &s.candidates[(start+i)%len(s.candidates)]
		if other != c && other.tries == 0 && !r.exhausted(other) && r.preferred(other) == willing {
			return other
		}
	}
	return nil
}

// fallBack adds, once, the glue that the parents of the servers' own zones hold for them: where the child publishes an
// address that does not answer, the parent's may. It reports whether there is any that was not tried.
func (s *selection) fallBack(r *resolution) bool {
	if s.fellBack {
		return false
	}
	s.fellBack = true
	before := len(s.candidates)
	for _, name := range s.names {
		s.add(r, name, r.parentGlue(name))
	}
	return len(s.candidates) > before
}

// parentGlue returns the addresses that came with the delegation of a zone around name.
func (r *resolution) parentGlue(name wire.Name) []netip.Addr {
	for at := name; !at.IsRoot(); at = at.Parent() {
		d, ok := r.cache.Delegations.Deepest(at, r.now())
		if !ok {
			return nil
		}
		for _, ns := range d.Servers {
			if ns.Name == name && len(ns.Addresses) > 0 {
				return ns.Addresses
			}
		}
		at = d.Zone
	}
	return nil
}

// takeUnresolved removes a random server name from those without addresses.
func (s *selection) takeUnresolved() (wire.Name, bool) {
	if len(s.unresolved) == 0 {
		return wire.Root, false
	}
	i, last := below(len(s.unresolved)), len(s.unresolved)-1
	name := s.unresolved[i]
	s.unresolved[i] = s.unresolved[last]
	s.unresolved = s.unresolved[:last]
	return name, true
}
