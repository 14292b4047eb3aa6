package server

import (
	"log/slog"
	"sync/atomic"

	"tacit/internal/privacy"
)

// Panics are those that ended no query but something that tacit does by itself: resolutions, connections to servers, what it
// fetches. Transports count their own.
type panics struct {
	count atomic.Uint64
	log   *slog.Logger
}

// maxLoggedPanics keeps what somebody can repeat from filling the log.
const maxLoggedPanics = 100

// report is called by who has just recovered.
func (p *panics) report() {
	if p.count.Add(1) <= maxLoggedPanics {
		p.log.Error("something ended in a panic: a mistake in tacit", "positions", privacy.Positions())
	}
}
