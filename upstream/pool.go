package upstream

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tacit/internal/work"
)

// A pool keeps one TCP connection per server, shared by all queries to it (RFC 7766 section 6.2), and bounds how
// many there are. When all places are taken the idlest connection makes room; when none is idle, one waits.
type pool struct {
	network Network
	now     func() time.Time
	places  chan struct{} // one token for each open connection
	wanted  atomic.Int32  // who wait for a place
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	clock   uint64 // counts uses
	kept    map[netip.AddrPort]*connection
	dialing map[netip.AddrPort]*dialing
}

// A dialing is a connection being set up, for all who wait for it. The fields below done are there once it is closed.
type dialing struct {
	done   chan struct{}
	conn   *connection
	err    error
	gaveUp bool // for want of the dialer's own time or budget: others try for themselves
}

var errClosed = &Error{Outcome: Cancelled, Err: errors.New("client is closed")}

func newPool(n Network, limit int, now func() time.Time) *pool {
	return &pool{
		network: n, now: now, places: make(chan struct{}, limit),
		kept: make(map[netip.AddrPort]*connection), dialing: make(map[netip.AddrPort]*dialing),
	}
}

// connect returns the connection to a server, set up now if there is none. Who sets it up pays for it.
func (p *pool) connect(ctx context.Context, server netip.AddrPort, w *work.Budget) (*connection, error) {
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
func (p *pool) join(server netip.AddrPort) (conn *connection, d *dialing, mine bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, false, errClosed
	}
	if conn := p.kept[server]; conn != nil && !conn.isDead() {
		p.clock++
		conn.used = p.clock
		return conn, nil, false, nil
	}
	if d := p.dialing[server]; d != nil {
		return nil, d, false, nil
	}
	d = &dialing{done: make(chan struct{})}
	p.dialing[server] = d
	return nil, d, true, nil
}

// dial does what d stands for and tells those who wait.
func (p *pool) dial(ctx context.Context, server netip.AddrPort, w *work.Budget, d *dialing) {
	d.conn, d.err = p.open(ctx, server, w)
	var exceeded *work.Exceeded
	d.gaveUp = d.err != nil && (ctx.Err() != nil || errors.As(d.err, &exceeded))
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.dialing, server)
	if d.conn != nil && p.closed {
		d.conn.die()
		d.conn, d.err = nil, errClosed
	}
	if d.conn != nil {
		p.clock++
		d.conn.used = p.clock
		p.kept[server] = d.conn
	}
	close(d.done)
}

func (p *pool) open(ctx context.Context, server netip.AddrPort, w *work.Budget) (*connection, error) {
	if err := p.takePlace(ctx); err != nil {
		return nil, err
	}
	if err := w.Spend(work.Connect, 1); err != nil {
		<-p.places
		return nil, err
	}
	conn, err := p.network.DialContext(ctx, "tcp", server.String())
	if err != nil {
		<-p.places
		return nil, err
	}
	c := newConnection(p, server, conn)
	p.running.Go(c.read)
	return c, nil
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
		return ctx.Err()
	}
}

// evict closes the connection that has been idle for longest, if any is.
func (p *pool) evict() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var idlest *connection
	for _, c := range p.kept {
		if (idlest == nil || c.used < idlest.used) && c.isIdle() {
			idlest = c
		}
	}
	if idlest != nil {
		idlest.die()
	}
}

// drop forgets c. It is called once for each connection, when its reader ends.
func (p *pool) drop(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept[c.server] == c {
		delete(p.kept, c.server)
	}
	<-p.places
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.kept {
		c.die()
	}
	p.mu.Unlock()
	p.running.Wait()
}
