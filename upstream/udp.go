package upstream

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// overUDP sends one query from a socket that exists for it alone, and listens for the server's time-out.
func (x *exchange) overUDP(ctx context.Context) (Reply, verdict, error) {
	sent := x.now()
	conn, err := x.network.DialContext(ctx, "udp", x.server.Addr.String())
	if err != nil {
		x.blameRoute(ctx, err, sent)
		return Reply{}, 0, err
	}
	q := newQuery(x.question, x.form(localAddr(conn)))
	if err := x.spendQuery(UDP); err != nil {
		_ = conn.Close()
		return Reply{}, 0, err
	}
	sent = x.now()
	if _, err := conn.Write(q.msg); err != nil {
		_ = conn.Close()
		x.blame(ctx, err, sent)
		return Reply{}, 0, err
	}
	reply, v, err := x.listen(ctx, conn, &q, sent)
	if errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(context.Cause(ctx), ErrOvertaken) && x.stay(conn, &q, sent) {
		return reply, v, err
	}
	_ = conn.Close()
	return reply, v, err
}

// ErrOvertaken is the cause with which a caller ends the wait for a server because another one has answered. Nobody waits
// for its reply any more, but it is still listened for: its time is a measurement, and silence a failure. Else a slow
// server and a dead one would look the same.
var ErrOvertaken = errors.New("another server has answered")

// stay listens in the background until the server's time is up. It takes conn over, unless many are listened for already.
func (x *exchange) stay(conn net.Conn, q *query, sent time.Time) bool {
	if !x.listenLonger() {
		return false
	}
	x.timeout -= x.now().Sub(sent)
	go func() {
		defer x.listened()
		defer func() { _ = conn.Close() }()
		defer x.pool.survive()
		_, _, _ = x.listen(x.closing, conn, q, sent)
	}()
	return true
}

// maxOvertaken bounds the servers that are listened for in the background.
const maxOvertaken = 500

// listenLonger takes a place for a server that has been overtaken, if there is one; listened gives it back.
func (c *Client) listenLonger() bool {
	select {
	case c.overtaken <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *Client) listened() { <-c.overtaken }

// listen reads until a reply decides the step or the time is up. Anything that is not a reply to q neither ends the wait
// nor speaks against the server: it need not come from there (RFC 5452 section 9.1; TuDoor, CVE-2023-26437). What came
// with the right ID and still could not be used decides only when nothing better has come in time.
func (x *exchange) listen(ctx context.Context, conn net.Conn, q *query, sent time.Time) (Reply, verdict, error) {
	end := time.Now().Add(x.timeout) //nolint:forbidigo // the system's clock, by which it wakes
	next, patient := end, x.leash.waits() && x.leash.due.Before(end)
	if patient {
		next = x.leash.due
	}
	defer wakeAt(ctx, conn, next)()
	hint := answered // none
	room := receivedPool.Get().(*received)
	defer room.end()
	buf := room[:q.limit+1]
	for {
		n, err := conn.Read(buf)
		if patient && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			patient = false
			x.leash.say()
			defer wakeAt(ctx, conn, end)()
			continue
		}
		if err != nil {
			if hint != answered && failure(ctx, err).Outcome == Timeout {
				return Reply{}, hint, nil
			}
			x.blame(ctx, err, sent)
			return Reply{}, 0, err
		}
		switch q.inspect(buf[:n]) {
		case foreign:
		case wrongID:
			return Reply{}, suspect, nil
		case wrongCase:
			x.memory.lostCase(x.server, x.now())
			return Reply{}, suspect, nil
		case bare:
			hint = q.readBare(buf[:n])
		case matching:
			if reply, v, ok := x.read(q, buf[:n], sent); ok {
				return reply, v, nil
			}
			hint = unreadable
		}
	}
}

// wakeAt ends reads from conn at a time, or with ctx, unless it is stopped. Of a leash it takes what it holds now: from what it holds
// later, nothing could be taken back.
func wakeAt(ctx context.Context, conn net.Conn, end time.Time) (stop func() bool) {
	_ = conn.SetReadDeadline(end)
	if l, ok := ctx.(*leash); ok {
		ctx = l.Context
	}
	return context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
}

// A received has room for a reply, and for one octet more than any that was asked for.
type received [payloadSize + 1]byte

var receivedPool = sync.Pool{New: func() any { return new(received) }}

// end leaves nothing of what was asked behind.
func (r *received) end() {
	clear(r[:])
	receivedPool.Put(r)
}

// blameRoute is for sockets that could not be connected. That sends no packet, so it is this machine's word alone:
// over TCP a router far away could have said it.
func (x *exchange) blameRoute(ctx context.Context, err error, sent time.Time) {
	var number syscall.Errno
	if ctx.Err() == nil && errors.As(err, &number) && familyTrouble(number) {
		x.memory.noRoute(x.server, x.now())
		return
	}
	x.blame(ctx, err, sent)
}

// readBare says what an error without a question calls for: some servers answer so what they cannot parse.
func (q *query) readBare(datagram []byte) verdict {
	if !q.form.plain && refusesEDNS(int(datagram[3]&0xf)) {
		return ednsRefused
	}
	return unreadable
}

// read takes a datagram whose ID and question are right.
func (x *exchange) read(q *query, datagram []byte, sent time.Time) (r Reply, v verdict, ok bool) {
	if len(datagram) > q.limit {
		return r, v, false // longer than was asked for: this server would not send it
	}
	rtt := x.now().Sub(sent)
	if truncated(datagram) {
		x.memory.replied(x.server, x.record, receipt{rtt: rtt, keptCase: q.form.mixed}, x.now())
		return r, incomplete, true
	}
	msg, ok := q.unpack(datagram)
	if !ok {
		return r, v, false
	}
	r, v, _ = x.accept(q, msg, rtt)
	return r, v, true
}
