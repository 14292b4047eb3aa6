package upstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"tacit/internal/wire"
)

const (
	// maxProbes is how many servers are tried at once. Most of them have nobody at that port, and say so by silence.
	maxProbes = 64
	// probesPerSecond bounds how many are begun, as many at once as in a quarter of a minute. What it leaves out is tried with the
	// next question to the server.
	probesPerSecond = 20
	probesSaved     = 15 * probesPerSecond
)

// A pace lets things happen so often and no oftener.
type pace struct {
	mu    sync.Mutex
	saved float64
	last  time.Time
}

func (p *pace) take(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.IsZero() {
		p.saved = probesSaved
	} else if d := now.Sub(p.last); d > 0 {
		p.saved = min(p.saved+d.Seconds()*probesPerSecond, probesSaved)
	}
	p.last = now
	if p.saved < 1 {
		return false
	}
	p.saved--
	return true
}

// seek begins to try the encrypted transports of s that are due, with a question that it has just answered, so that it learns nothing
// else by it; and whoever does not answer at all is not bothered further. Nobody waits for this (RFC 9539 section 4.6).
func (c *Client) seek(s Server, q wire.Question) {
	addr := s.Addr.Addr()
	for _, t := range c.memory.beginProbes(addr, c.now()) {
		if !c.pace.take(c.now()) || !c.probe(s, t, q, nil) {
			c.memory.endProbe(addr, t)
		}
	}
}

// probe asks over t in the background, if there is a place for it, and remembers what comes of it. The reply goes to told, a
// zero one if there is none. The set-up of the session goes on if the caller does not, for others to find it.
func (c *Client) probe(s Server, t Transport, q wire.Question, told func(Reply)) bool {
	select {
	case c.probes <- struct{}{}:
	default:
		return false
	}
	if c.closing.Err() != nil {
		<-c.probes
		return false
	}
	c.memory.probed.Add(1)
	go func() {
		defer func() { <-c.probes }()
		var r Reply
		defer func() {
			c.memory.endProbe(s.Addr.Addr(), t)
			if told != nil {
				told(r)
			}
		}()
		defer c.unproven.survive()
		r = c.try(s, t, q)
	}()
	return true
}

func (c *Client) try(s Server, t Transport, q wire.Question) Reply {
	ctx, cancel := context.WithTimeout(c.closing, coverTimeout)
	defer cancel()
	addr := s.Addr.Addr()
	r, err := c.askCovertly(ctx, s, t, q)
	now := c.now()
	switch {
	case err == nil && (credible(r.Msg) || s.Encryption == Strict):
		c.memory.foundCover(addr, t, r.setUp, now)
		c.memory.found.Add(1)
	case err == nil, errors.Is(err, errCut):
		c.memory.lostCover(addr, t, coverUnsure, now)
	case c.closing.Err() != nil || verdictOn(err) == unknown:
	default:
		c.memory.lostCover(addr, t, coverDamped, now)
	}
	return r.Reply
}
