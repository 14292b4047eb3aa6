package management

import (
	"sync"
	"time"
)

// Limits bound what one token may ask for. Of each, 0 is no limit.
type Limits struct {
	Requests  int // in five minutes
	Exchanges int // imports and exports in a minute
	Batch     int // edits in one batch
}

const (
	requestsSpan  = 5 * time.Minute
	exchangesSpan = time.Minute
)

// A usage is what a token has asked for. It is forgotten when the tokens are read again.
type usage struct {
	mu                  sync.Mutex
	requests, exchanges span
}

// A span is a time in which requests are counted, from the first of them on.
type span struct {
	began time.Time
	count int
}

// take counts one more, or says how long to wait until there may be one.
func (s *span) take(now time.Time, length time.Duration, most int) (wait time.Duration) {
	if most == 0 {
		return 0
	}
	if since := now.Sub(s.began); since >= length || since < 0 {
		*s = span{began: now}
	}
	if s.count == most {
		return s.began.Add(length).Sub(now)
	}
	s.count++
	return 0
}

// takeRequest is called for each request of a token.
func (u *usage) takeRequest(now time.Time, l *Limits) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return tooMany(u.requests.take(now, requestsSpan, l.Requests))
}

// takeExchange is called for those that give or take a whole zone.
func (u *usage) takeExchange(now time.Time, l *Limits) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return tooMany(u.exchanges.take(now, exchangesSpan, l.Exchanges))
}
