package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"time"
)

// maxStrangers is how many messages may come over a connection that nobody waits for before it is closed.
const maxStrangers = 64

// A connection carries many queries at a time, whose replies come in any order (RFC 7766 section 7). Over TLS it is the
// same (RFC 7858 section 3.3).
type connection struct {
	life
	conn    net.Conn
	local   netip.Addr
	writing chan struct{} // one token for who writes; a channel, so that waiting for it can be given up
	waiting map[uint16]*waiter
}

var _ session = (*connection)(nil)

// A waiter is a query on a connection.
type waiter struct {
	query query
	reply chan []byte // holds one
}

func (p *pool) dialTCP(ctx context.Context, server Server) (session, error) {
	conn, err := p.network.DialContext(ctx, "tcp", server.Addr.String())
	if err != nil {
		return nil, err
	}
	return newConnection(p, server, conn), nil
}

func newConnection(p *pool, server Server, conn net.Conn) *connection {
	c := &connection{
		conn: conn, local: localAddr(conn), writing: make(chan struct{}, 1), waiting: make(map[uint16]*waiter),
	}
	// Closing would wait for the peer where TLS has to say goodbye. A time that has passed ends reads and writes at once.
	c.begin(p, server, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return c
}

func (c *connection) localAddr() netip.Addr { return c.local }

func (c *connection) ask(ctx context.Context, build func() query) (query, []byte, time.Duration, error) {
	before, err := c.enter(ctx)
	if err != nil {
		return query{}, nil, 0, err
	}
	defer c.leave()
	w, err := c.register(build)
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

// register builds a query with an ID that no other query on the connection has.
func (c *connection) register(build func() query) (*waiter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, errDied
	}
	w := &waiter{query: build(), reply: make(chan []byte, 1)}
	for c.waiting[w.query.id()] != nil {
		w.query = build() // at most 64 of 65,536 are taken
	}
	c.waiting[w.query.id()] = w
	return w, nil
}

func (c *connection) forget(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, w.query.id())
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
	if _, err := c.conn.Write(framed(msg)); err != nil {
		c.die()
		return errDied
	}
	return nil
}

// framed puts the length in front of a message (RFC 1035 section 4.2.2).
func framed(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg))), msg...)
}

// run hands messages to those who wait for them until the connection ends.
func (c *connection) run() {
	defer c.pool.drop(c.server, c)
	defer func() { _ = c.conn.Close() }() // there is nobody to tell of an error
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

// deliver reports whether somebody waited for message. ID and question must match.
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
	if !w.query.fits(message) {
		return false
	}
	select {
	case w.reply <- message:
		return true
	default: // a second reply to the same query
		return false
	}
}
