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

// turnCrowds forgets what was counted in an hour that is over.
func (s *Server) turnCrowds(now time.Time) {
	s.failing.Turn(now)
}

// forgetCrowds forgets what is counted of names.
func (s *Server) forgetCrowds() {
	s.failing.Forget()
}
