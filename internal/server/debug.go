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

// A DebugSession is what everybody may know of one: not which name was watched.
type DebugSession struct {
	Since, Until time.Time // Until is zero as long as it lasts
	Reason       string
	Matched      uint64 // questions
}

// debugSessions are those of the last 30 days, in memory only.
type debugSessions struct {
	total atomic.Uint64
	mu    sync.Mutex
	list  []*DebugSession
}

// DebugSessions lists the sessions of the last 30 days, for the privacy statement.
func (s *Server) DebugSessions() []DebugSession {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	now := s.env.Now()
	var list []DebugSession
	for _, d := range s.sessions.list {
		if d.Until.IsZero() || now.Sub(d.Until) < sessionsShown {
			list = append(list, *d)
		}
	}
	return list
}

func (d *debugSessions) begin(now time.Time, reason string) *DebugSession {
	d.total.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	begun := &DebugSession{Since: now, Reason: reason}
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
	d := s.sessions.begin(s.env.Now(), reason)
	defer s.sessions.change(func() { d.Until = s.env.Now() })
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
