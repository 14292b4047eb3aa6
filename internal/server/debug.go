package server

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tacit/admin"
	"tacit/internal/wire"
	"tacit/statement"
	"tacit/transports"
)

// Limits of a debug session.
const (
	maxDebug       = 30 * time.Minute
	maxDebugReason = 200
	sessionsShown  = 30 * 24 * time.Hour
	sessionsKept   = 1000
)

// Why a session is refused.
var (
	errDebugName   = errors.New("one name can be watched that has two labels at least, and is not made of an address")
	errDebugTime   = errors.New("a session lasts a second at least, and 30 minutes at most")
	errDebugReason = errors.New("a session needs a reason, of at most 200 octets: it is shown to everybody")
	errDebugOther  = errors.New("there is a session already")
)

// debugSessions are those of the last 30 days, in memory only.
type debugSessions struct {
	total atomic.Uint64
	mu    sync.Mutex
	list  []*statement.DebugSession
}

// shown lists the sessions of the last 30 days, for the privacy statement: everybody may know of them, but not which name was watched.
func (d *debugSessions) shown(now time.Time) []statement.DebugSession {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []statement.DebugSession
	for _, x := range d.list {
		if now.Sub(x.Until) < sessionsShown {
			list = append(list, *x)
		}
	}
	return list
}

func (d *debugSessions) begin(now, until time.Time, reason string) *statement.DebugSession {
	d.total.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	begun := &statement.DebugSession{Since: now.UTC().Truncate(time.Second), Until: until.UTC().Truncate(time.Second), Reason: reason}
	if d.list = append(d.list, begun); len(d.list) > sessionsKept {
		d.list = d.list[1:]
	}
	return begun
}

// change changes what is known of a session.
func (d *debugSessions) change(how func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how()
}

// Debug shows what becomes of a name. It can be begun by the control socket only, and ends with who reads it.
func (o operator) Debug(ctx context.Context, name wire.Name, lifetime time.Duration, reason string, tell func(admin.DebugEvent) error) error {
	if err := checkDebug(name, lifetime, reason); err != nil {
		return admin.Misuse(err)
	}
	s := o.server
	events, end, ok := s.watch.Start(name)
	if !ok {
		return errDebugOther
	}
	defer end()
	begun := s.env.Now()
	d := s.sessions.begin(begun, begun.Add(lifetime), reason)
	s.restate()
	defer s.restate()
	defer s.sessions.change(func() { d.Until = s.env.Now().UTC().Truncate(time.Second) })
	s.env.Log.Warn("a debug session has begun: an operator watches one name for a time", "lifetime", lifetime)
	defer s.env.Log.Warn("the debug session has ended")
	ctx, cancel := context.WithTimeout(ctx, lifetime) // by the monotonic clock
	defer cancel()
	start := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.stopping:
			return nil
		case e := <-events:
			if e.Client > 0 {
				s.sessions.change(func() { d.Matched++ })
			}
			if tell(describeEvent(e, time.Since(start))) != nil {
				return nil // nobody reads it any more
			}
		}
	}
}

var reverseZones = []wire.Name{wire.MustName("in-addr.arpa."), wire.MustName("ip6.arpa.")}

func checkDebug(name wire.Name, lifetime time.Duration, reason string) error {
	switch {
	case name.Labels() < 2, slices.ContainsFunc(reverseZones, name.Within):
		return errDebugName
	case lifetime < time.Second || lifetime > maxDebug:
		return errDebugTime
	case reason == "" || len(reason) > maxDebugReason:
		return errDebugReason
	}
	return nil
}

func describeEvent(e transports.Event, after time.Duration) admin.DebugEvent {
	shown := admin.DebugEvent{After: after, Transport: e.Transport.String(), Type: typeText(e.Type), DO: e.DO, CD: e.CD}
	if e.Client > 0 {
		shown.Client = "c" + strconv.Itoa(e.Client)
		return shown
	}
	shown.Rcode = e.Rcode.String()
	for _, x := range e.Errors {
		shown.Errors = append(shown.Errors, x.Code.Label()+": "+x.Text)
	}
	return shown
}
