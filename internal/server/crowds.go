package server

import (
	"time"

	"tacit/admin"
	"tacit/internal/crowds"
	"tacit/internal/wire"
)

// failingFrom is how many client networks must have met the same failure in a domain within an hour before the operator is told
// which domain that is.
const failingFrom = 20

// describeFailing tells which zones fail for many.
func describeFailing(t *crowds.Table, now time.Time) admin.Failing {
	list, others := t.Crowded(now)
	f := admin.Failing{From: t.AtLeast(), Others: others, Zones: []admin.FailingZone{}}
	for _, e := range list {
		f.Zones = append(f.Zones, admin.FailingZone{
			Zone: e.Domain, Cause: wire.EDE(e.Label).Label(), Answers: e.Count, Networks: e.Networks,
		})
	}
	return f
}

// describePopular tells what was released of the last hour; nil: nothing is counted.
func describePopular(p *crowds.Popularity, now time.Time) *admin.Popular {
	r, on := p.Released()
	if !on {
		return nil
	}
	shown := &admin.Popular{From: crowds.PopularFrom, At: r.At, Exhausted: r.Exhausted, Budget: p.Budget(now), Zones: []admin.PopularZone{}}
	for _, d := range r.Domains {
		shown.Zones = append(shown.Zones, admin.PopularZone{Zone: d.Domain, Networks: d.Networks})
	}
	return shown
}

// turnCrowds forgets what was counted in an hour that is over, and releases what is to be told of it.
func (s *Server) turnCrowds(now time.Time) {
	s.failing.Turn(now)
	s.popular.Turn(now)
}

// forgetCrowds forgets what is counted of names.
func (s *Server) forgetCrowds() {
	s.failing.Forget()
	s.popular.Forget()
}
