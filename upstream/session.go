package upstream

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"tacit/internal/work"
)

const (
	// streamTimeout bounds a query over a connection, with the set-up that it may need.
	streamTimeout = 3 * time.Second
	// handshakeTimeout is the least time for the set-up of a connection that is encrypted. It is so short because another
	// upstream may be at hand: a server that fails is given the double (Memory.Timeout).
	handshakeTimeout = 500 * time.Millisecond
	// idleFor is how long a connection is kept that nobody uses (RFC 7766 section 6.2.3 leaves it to the client).
	idleFor = 10 * time.Second
	// maxPipelined is how many queries share a connection at once; others wait their turn.
	maxPipelined = 64
	// maxReply is the longest message there is (RFC 1035 section 4.2.2).
	maxReply = 65535
)

// A session is a connection to one server, over any transport, on which many queries can be under way at once.
type session interface {
	// ask sends the query that build makes and waits for its reply.
	ask(ctx context.Context, build func() query) (q query, reply []byte, rtt time.Duration, err error)
	// run is over when the session is, with nothing of it left.
	run()
	die()
	isIdle() bool
	isDead() bool
	localAddr() netip.Addr
}

// errDied is how a query ends whose connection does.
var errDied = &Error{Outcome: Refused, Err: errors.New("connection closed")}

// overSession asks over the server's connection. When that dies under the query, the query is repeated once on a fresh
// one: a server may close at any time what it thinks idle (RFC 7766 section 6.2.4).
func (x *exchange) overSession(ctx context.Context) (Reply, verdict, error) {
	timeout := streamTimeout
	if x.trial {
		timeout = x.timeout // it is probably dead
	}
	if x.transport == TCP && x.streamed {
		return x.outlast(ctx, timeout)
	}
	return x.inSession(ctx, timeout)
}

func (x *exchange) inSession(ctx context.Context, timeout time.Duration) (Reply, verdict, error) {
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sent := x.now()
	reply, v, err := x.overConnection(attempt)
	if errors.Is(err, errDied) {
		reply, v, err = x.overConnection(attempt)
	}
	if err != nil {
		x.blame(ctx, err, sent)
	}
	return reply, v, err
}

// An ending is what a step came to.
type ending struct {
	reply   Reply
	verdict verdict
	err     error
}

// outlast goes on in the background when the caller has been overtaken (ErrOvertaken), as stay does over UDP: else a server that
// is asked over TCP alone could fall silent and never be blamed.
func (x *exchange) outlast(ctx context.Context, timeout time.Duration) (Reply, verdict, error) {
	own, cancel := context.WithCancelCause(x.closing)
	ended := make(chan ending, 1)
	go func() {
		e := ending{err: errDied} // after a panic
		defer func() { ended <- e }()
		defer x.pool.survive()
		e.reply, e.verdict, e.err = x.inSession(own, timeout)
	}()
	select {
	case e := <-ended:
		cancel(nil)
		return e.reply, e.verdict, e.err
	case <-ctx.Done():
	}
	if errors.Is(context.Cause(ctx), ErrOvertaken) && x.listenLonger() {
		go func() {
			defer x.listened()
			<-ended
			cancel(nil)
		}()
		return Reply{}, 0, ctx.Err()
	}
	cancel(context.Cause(ctx))
	e := <-ended
	return e.reply, e.verdict, e.err
}

func (x *exchange) overConnection(attempt context.Context) (Reply, verdict, error) {
	s, err := x.connect(attempt)
	if err != nil {
		return Reply{}, 0, err
	}
	if err := x.spendQuery(x.transport); err != nil {
		return Reply{}, 0, err
	}
	f := x.form(s.localAddr())
	q, message, rtt, err := s.ask(attempt, func() query { return newQuery(x.question, f) })
	if err != nil {
		return Reply{}, 0, err
	}
	if x.transport.Encrypted() && truncated(message) {
		return Reply{}, incomplete, nil // there is no other way on which the rest could be had
	}
	msg, ok := q.unpack(message)
	if !ok {
		return Reply{}, unreadable, nil
	}
	return x.accept(&q, msg, rtt)
}

// connect returns the connection to the server. That of a dead one must not eat the time in which another could have
// answered.
func (x *exchange) connect(ctx context.Context) (session, error) {
	if x.transport.Encrypted() {
		patience := max(x.timeout, handshakeTimeout)
		if x.transport == Oblivious { // two connections, one after the other
			patience *= 2
		}
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = bounded
	}
	return x.pool.connect(ctx, x.server.endpoint(), x.budget)
}

// spentPatience reports whether the caller gave up on an encrypted transport after as long as a reply of this server is
// worth waiting for: then it need not be asked a second time to know that it does not answer.
func (x *exchange) spentPatience(ctx context.Context, sent time.Time) bool {
	return x.transport.Encrypted() && errors.Is(ctx.Err(), context.DeadlineExceeded) && x.now().Sub(sent) >= x.timeout
}

// A life is that of a session: from its set-up until it has been idle for long enough, or dies.
type life struct {
	pool   *pool
	server Server
	died   chan struct{}
	slots  chan struct{} // one token for each query under way
	wake   func()        // tells run; must not block. nil: run waits for died

	mu       sync.Mutex
	dead     bool
	busy     int    // queries under way
	received uint64 // messages
	idle     *time.Timer
}

func (l *life) begin(p *pool, server Server, wake func()) {
	l.pool, l.server, l.wake = p, server, wake
	l.died, l.slots = make(chan struct{}), make(chan struct{}, maxPipelined)
	l.idle = time.AfterFunc(idleFor, l.retire)
}

// enter waits for one of the places that a session has for queries. Who has one leaves it again.
func (l *life) enter(ctx context.Context) (received uint64, err error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.died:
		return 0, errDied
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		<-l.slots
		return 0, errDied
	}
	l.busy++
	l.idle.Stop()
	return l.received, nil
}

// askBy asks where each query has a stream of its own: carry takes a query there and brings back what fits it.
func (l *life) askBy(ctx context.Context, build func() query, carry func(context.Context, *query) ([]byte, error)) (query, []byte, time.Duration, error) {
	before, err := l.enter(ctx)
	if err != nil {
		return query{}, nil, 0, err
	}
	defer l.leave()
	q, sent := build(), l.pool.now()
	reply, err := carry(ctx, &q)
	switch {
	case err == nil:
		return q, reply, l.pool.now().Sub(sent), nil
	case ctx.Err() != nil:
		l.suspect(ctx, before)
		err = ctx.Err()
	}
	return query{}, nil, 0, err
}

// leave gives a place back. The last one starts the idle time, or makes room for who waits for a connection.
func (l *life) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	<-l.slots
	if l.busy--; l.busy > 0 || l.dead {
		return
	}
	if l.pool.wanted.Load() > 0 {
		l.dieLocked()
		return
	}
	l.idle.Reset(idleFor)
}

// heard counts a message.
func (l *life) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received++
}

// suspect ends a session over which nothing has come since a query that timed out was sent.
func (l *life) suspect(ctx context.Context, before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.received == before && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		l.dieLocked()
	}
}

func (l *life) isIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy == 0
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// retire ends the session if it is idle.
func (l *life) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy == 0 {
		l.dieLocked()
	}
}

// die ends the session. Its run then closes what it had open and takes it out of the pool.
func (l *life) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dieLocked()
}

func (l *life) dieLocked() {
	if l.dead {
		return
	}
	l.dead = true
	l.idle.Stop()
	close(l.died)
	if l.wake != nil {
		l.wake()
	}
}

// setUp pays for a connection and sets it up, over the server's transport.
func (p *pool) setUp(ctx context.Context, server Server, w *work.Budget) (session, error) {
	if err := w.Spend(work.Connect, 1); err != nil {
		return nil, err
	}
	switch server.Transport {
	case TLS:
		return p.dialTLS(ctx, server)
	case HTTPS:
		return p.dialHTTPS(ctx, server)
	case QUIC:
		return p.dialQUIC(ctx, server)
	case Oblivious:
		return p.dialOblivious(ctx, server, w)
	default:
		return p.dialTCP(ctx, server)
	}
}
