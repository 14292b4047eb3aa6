package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// streamTimeout bounds a query over TCP with the connection that it may need.
	streamTimeout = 3 * time.Second
	// idleFor is how long a connection is kept that nobody uses (RFC 7766 section 6.2.3 leaves it to the client).
	idleFor = 10 * time.Second
	// maxPipelined is how many queries share a connection at once; others wait their turn.
	maxPipelined = 64
	// maxStrangers is how many messages may come over a connection that nobody waits for before it is closed.
	maxStrangers = 64
)

// overTCP asks over the server's connection. When that dies under the query, the query is repeated once on a fresh one: a
// server may close at any time what it thinks idle (RFC 7766 section 6.2.4).
func (x *exchange) overTCP(ctx context.Context) (Reply, verdict, error) {
	timeout := streamTimeout
	if x.trial {
		timeout = x.timeout // it is probably dead
	}
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

func (x *exchange) overConnection(attempt context.Context) (Reply, verdict, error) {
	conn, err := x.pool.connect(attempt, x.server.Addr, x.budget)
	if err != nil {
		return Reply{}, 0, err
	}
	if err := x.spendQuery(); err != nil {
		return Reply{}, 0, err
	}
	f := x.form(conn.local)
	q, message, rtt, err := conn.ask(attempt, func() query { return newQuery(x.question, f) })
	if err != nil {
		return Reply{}, 0, err
	}
	msg, ok := q.unpack(message)
	if !ok {
		return Reply{}, unreadable, nil
	}
	return x.accept(&q, msg, rtt)
}

// A connection carries many queries at a time, whose replies come in any order (RFC 7766 section 7).
type connection struct {
	pool    *pool
	server  netip.AddrPort
	conn    net.Conn
	local   netip.Addr
	died    chan struct{}
	slots   chan struct{} // one token for each query under way
	writing chan struct{} // one token for who writes; a channel, so that waiting for it can be given up
	used    uint64        // pool.clock at its last use; pool.mu guards it

	mu       sync.Mutex
	dead     bool
	received uint64 // messages
	waiting  map[uint16]*waiter
	idle     *time.Timer
}

// A waiter is a query on a connection.
type waiter struct {
	query query
	reply chan []byte // holds one
}

// errDied is how a query ends whose connection does.
var errDied = &Error{Outcome: Refused, Err: errors.New("connection closed")}

func newConnection(p *pool, server netip.AddrPort, conn net.Conn) *connection {
	c := &connection{
		pool: p, server: server, conn: conn, local: localAddr(conn),
		died: make(chan struct{}), slots: make(chan struct{}, maxPipelined), writing: make(chan struct{}, 1),
		waiting: make(map[uint16]*waiter),
	}
	c.idle = time.AfterFunc(idleFor, c.retire)
	return c
}

// ask sends the query that build makes and waits for its reply.
func (c *connection) ask(ctx context.Context, build func() query) (query, []byte, time.Duration, error) {
	if err := c.enter(ctx); err != nil {
		return query{}, nil, 0, err
	}
	defer func() { <-c.slots }()
	w, before, err := c.register(build)
	if err != nil {
		return query{}, nil, 0, err
	}
	defer c.forget(w)
	sent := c.pool.now()
	if err := c.write(ctx, w.query.msg); err != nil {
		return query{}, nil, 0, err
	}
	select {
	case message := <-w.reply:
		return w.query, message, c.pool.now().Sub(sent), nil
	case <-c.died:
		return query{}, nil, 0, errDied
	case <-ctx.Done():
		c.suspect(ctx, before)
		return query{}, nil, 0, ctx.Err()
	}
}

func (c *connection) enter(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.died:
		return errDied
	case <-ctx.Done():
		return ctx.Err()
	}
}

// register builds a query with an ID that no other query on the connection has.
func (c *connection) register(build func() query) (w *waiter, received uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, 0, errDied
	}
	w = &waiter{query: build(), reply: make(chan []byte, 1)}
	for c.waiting[w.query.id()] != nil {
		w.query = build() // at most 64 of 65,536 are taken
	}
	c.waiting[w.query.id()] = w
	c.idle.Stop()
	return w, c.received, nil
}

// forget takes a query off the list. The last one starts the idle time, or makes room for who waits for a place.
func (c *connection) forget(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, w.query.id())
	if len(c.waiting) > 0 || c.dead {
		return
	}
	if c.pool.wanted.Load() > 0 {
		c.dieLocked()
		return
	}
	c.idle.Reset(idleFor)
}

// write sends a message in one segment with its length (RFC 7766 section 8). One that is given up halfway takes the
// connection with it: what follows could not be told from it.
func (c *connection) write(ctx context.Context, msg []byte) error {
	select {
	case c.writing <- struct{}{}:
	case <-c.died:
		return errDied
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.writing }()
	defer context.AfterFunc(ctx, c.die)()
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg)))
	if _, err := c.conn.Write(append(framed, msg...)); err != nil {
		c.die()
		return errDied
	}
	return nil
}

// suspect ends a connection over which nothing has come since a query that timed out was sent.
func (c *connection) suspect(ctx context.Context, before uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received == before && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.dieLocked()
	}
}

// read hands messages to those who wait for them until the connection ends.
func (c *connection) read() {
	defer c.pool.drop(c)
	defer c.die()
	strangers := 0
	r := bufio.NewReader(c.conn)
	for strangers < maxStrangers {
		message, err := readMessage(r)
		if err != nil {
			return
		}
		if !c.deliver(message) {
			strangers++
		}
	}
}

func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// deliver reports whether somebody waited for message. ID and question must match; an error may come without its
// question, for nobody but the server can have sent it.
func (c *connection) deliver(message []byte) bool {
	if len(message) < 2 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received++
	w := c.waiting[binary.BigEndian.Uint16(message)]
	if w == nil {
		return false
	}
	if f := w.query.inspect(message); f != matching && f != bare {
		return false
	}
	select {
	case w.reply <- message:
		return true
	default: // a second reply to the same query
		return false
	}
}

func (c *connection) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) == 0
}

func (c *connection) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// retire closes the connection if it is idle.
func (c *connection) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.dieLocked()
	}
}

// die closes the connection. Its reader then takes it out of the pool.
func (c *connection) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dieLocked()
}

func (c *connection) dieLocked() {
	if c.dead {
		return
	}
	c.dead = true
	c.idle.Stop()
	close(c.died)
	_ = c.conn.Close() // wakes the reader; there is nobody to tell of an error
}
