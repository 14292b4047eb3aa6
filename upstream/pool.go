package upstream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tacit/internal/work"
)

// A pool keeps one connection per server, shared by all queries to it (RFC 7766 section 6.2), and bounds how
// many there are. When all places are taken the idlest connection makes room; when none is idle, one waits.
type pool struct {
	network Network
	now     func() time.Time
	places  chan struct{} // one token for each open connection
	wanted  atomic.Int32  // who wait for a place
	running sync.WaitGroup

	panicked func()
	sealing  sealing

	mu      sync.Mutex
	closed  bool
	clock   uint64 // counts uses
	kept    map[Server]*tenant
	dialing map[Server]*dialing
}

// A tenant is a session that is kept.
type tenant struct {
	session
	used uint64 // pool.clock at its last use
}

// A dialing is a connection being set up, for all who wait for it. The fields below done are there once it is closed.
type dialing struct {
	done   chan struct{}
	conn   session
	err    error
	gaveUp bool // for want of the dialer's own time or budget: others try for themselves
}

// errNoPlace goes with the error of a context that ended first.
var errNoPlace = errors.New("no place for a connection")

var errClosed = &Error{Outcome: Cancelled, Err: errors.New("client is closed")}

func newPool(o *Options) *pool {
	return &pool{
		network: o.Network, now: o.Now, panicked: o.Panicked, places: make(chan struct{}, o.Connections),
		kept: make(map[Server]*tenant), dialing: make(map[Server]*dialing),
	}
}

// connect returns the connection to a server, set up now if there is none. Who sets it up pays for it.
func (p *pool) connect(ctx context.Context, server Server, w *work.Budget) (session, error) {
	for {
		conn, d, mine, err := p.join(server)
		if err != nil || conn != nil {
			return conn, err
		}
		if mine {
			p.dial(ctx, server, w, d)
			return d.conn, d.err
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !d.gaveUp {
			return d.conn, d.err
		}
	}
}

// join returns the connection that is kept, or the dialing to wait for, or one that the caller has to do.
func (p *pool) join(server Server) (conn session, d *dialing, mine bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, false, errClosed
	}
	if t := p.kept[server]; t != nil && !t.isDead() {
		p.clock++
		t.used = p.clock
		return t.session, nil, false, nil
	}
	if d := p.dialing[server]; d != nil {
		return nil, d, false, nil
	}
	d = &dialing{done: make(chan struct{})}
	p.dialing[server] = d
	return nil, d, true, nil
}

// has reports whether a session is there that can be used at once.
func (p *pool) has(server Server) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.kept[server]
	return t != nil && !t.isDead()
}

// dial does what d stands for and tells those who wait. They are let go even if it panics.
func (p *pool) dial(ctx context.Context, server Server, w *work.Budget, d *dialing) {
	defer p.dialed(server, d)
	d.err, d.gaveUp = errDied, true
	d.conn, d.err = p.open(ctx, server, w)
	var exceeded *work.Exceeded
	d.gaveUp = d.err != nil && (ctx.Err() != nil || errors.As(d.err, &exceeded))
}

func (p *pool) dialed(server Server, d *dialing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.dialing, server)
	if d.conn != nil && p.closed {
		d.conn.die()
		d.conn, d.err = nil, errClosed
	}
	if d.conn != nil {
		p.clock++
		p.kept[server] = &tenant{session: d.conn, used: p.clock}
	}
	close(d.done)
}

func (p *pool) open(ctx context.Context, server Server, w *work.Budget) (s session, err error) {
	if err := p.takePlace(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if s == nil {
			<-p.places
		}
	}()
	if s, err = p.setUp(ctx, server, w); err != nil {
		return nil, err
	}
	p.running.Go(func() { p.run(s) })
	return s, nil
}

func (p *pool) run(s session) {
	defer p.survive()
	s.run()
}

// survive is deferred by goroutines that read what a server sends, where a panic would end everything.
func (p *pool) survive() {
	if recover() != nil {
		p.panicked()
	}
}

func (p *pool) takePlace(ctx context.Context) error {
	select {
	case p.places <- struct{}{}:
		return nil
	default:
	}
	p.wanted.Add(1)
	defer p.wanted.Add(-1)
	p.evict()
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), errNoPlace)
	}
}

// evict closes the connection that has been idle for longest, if any is.
func (p *pool) evict() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var idlest *tenant
	for _, t := range p.kept {
		if (idlest == nil || t.used < idlest.used) && t.isIdle() {
			idlest = t
		}
	}
	if idlest != nil {
		idlest.die()
	}
}

// drop forgets s. It is called once for each session, when its run ends.
func (p *pool) drop(server Server, s session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.kept[server]; t != nil && t.session == s {
		delete(p.kept, server)
	}
	<-p.places
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, t := range p.kept {
		t.die()
	}
	p.mu.Unlock()
	p.running.Wait()
}
