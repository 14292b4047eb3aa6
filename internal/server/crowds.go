package server

import (
	"slices"
	"time"

	"tacit/admin"
	"tacit/internal/crowds"
	"tacit/internal/wire"
)

// failingFrom is how many client networks must have met the same failure in a domain within an hour before the operator is told
// which domain that is.
const failingFrom = 20

// widespreadFrom is how many domains must fail for one cause, each for many, for the cause to be told in the place of them. What is wrong
// here makes whatever is asked for fail, and a list of that would be one of what clients ask for.
const widespreadFrom = 11

// describeFailing tells which zones fail for many.
func describeFailing(t *crowds.Table, now time.Time) admin.Failing {
	list, others := t.Crowded(now)
	f := admin.Failing{From: t.AtLeast(), Others: others, Zones: []admin.FailingZone{}, Widespread: widespread(list)}
	for _, e := range list {
		cause := wire.EDE(e.Label).Label()
		if slices.ContainsFunc(f.Widespread, func(w admin.WidespreadCause) bool { return w.Cause == cause }) {
			continue
		}
		f.Zones = append(f.Zones, admin.FailingZone{Zone: string(e.Domain), Cause: cause, Answers: e.Count, Networks: e.Networks})
	}
	return f
}

func widespread(list []crowds.Entry) []admin.WidespreadCause {
	sums := make([]admin.WidespreadCause, wire.CodesOfEDE)
	for _, e := range list {
		w := &sums[e.Label]
		w.Cause, w.Domains, w.Answers = wire.EDE(e.Label).Label(), w.Domains+1, w.Answers+e.Count
	}
	return slices.DeleteFunc(sums, func(w admin.WidespreadCause) bool { return w.Domains < widespreadFrom })
}

// describePopular tells what was released of the last hour; nil: nothing is counted.
func describePopular(p *crowds.Popularity, now time.Time) *admin.Popular {
	r, on := p.Released()
	if !on {
		return nil
	}
	shown := &admin.Popular{From: crowds.PopularFrom, At: r.At, Exhausted: r.Exhausted, Budget: p.Budget(now), Zones: []admin.PopularZone{}}
	for _, d := range r.Domains {
		shown.Zones = append(shown.Zones, admin.PopularZone{Zone: string(d.Domain), Networks: d.Networks})
	}
	return shown
}

// turnCrowds forgets what was counted in an hour that is over, and releases what is to be told of it. Where names were told, what of them
// has been left behind by whoever told them is wiped, even if no client comes any more.
func (s *Server) turnCrowds(now time.Time) {
	failing, popular := s.failing.Turn(now), s.popular.Turn(now)
	if failing || popular {
		wipeMemory()
	}
}

// forgetCrowds forgets what is counted of names.
func (s *Server) forgetCrowds() {
	s.failing.Forget()
	s.popular.Forget()
}
