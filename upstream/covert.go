package upstream

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// encryptedPort is where servers are that can be asked encrypted, over TLS and over QUIC (RFC 9539 section 4.6).
const encryptedPort = 853

// maxCovertWait bounds what a question waits for an encrypted transport that was known to work, before it goes out in clear.
const maxCovertWait = time.Second

// errNoCover is how a question ends that must not be asked in clear.
var errNoCover = &Error{Outcome: Unencrypted}

// errCut is a truncated reply where there is no other transport to have the rest over. In clear there is, for this question.
var errCut = &Error{Outcome: Malformed, Err: errors.New("truncated")}

// A covertReply is one that came encrypted, from whoever was there.
type covertReply struct {
	Reply
	setUp time.Duration // 0: the session was there
}

// anyoneAt is who is at the address of s, over an encrypted transport. It is nobody's Peer, so that no session with one who has
// to prove something, and nothing that is known of such a one, is ever taken for it, or the other way round.
func (c *Client) anyoneAt(s Server, t Transport) Server {
	return Server{Addr: netip.AddrPortFrom(s.Addr.Addr(), c.encryptedPort), Transport: t, Peer: anyone}
}

// askCovertly asks over t, whatever comes of it.
func (c *Client) askCovertly(ctx context.Context, s Server, t Transport, q wire.Question) (covertReply, error) {
	r, err := c.askAnyone(ctx, s, t, q)
	if errors.Is(err, errDied) {
		r, err = c.askAnyone(ctx, s, t, q) // RFC 7766 section 6.2.4, as for all sessions
	}
	return r, err
}

func (c *Client) askAnyone(ctx context.Context, s Server, t Transport, q wire.Question) (r covertReply, err error) {
	at := c.anyoneAt(s, t)
	begun, there := c.now(), c.unproven.has(at)
	conn, err := c.unproven.connect(ctx, at, work.New(work.Limits{work.Connect: 1}))
	if err != nil {
		return r, err
	}
	if !there {
		r.setUp = c.now().Sub(begun)
	}
	f := form{recurse: s.Recursive, padded: true, zeroID: t == QUIC}
	sent, message, rtt, err := conn.ask(ctx, func() query { return newQuery(q, f) })
	if err != nil {
		return r, err
	}
	msg, ok := sent.unpack(message)
	switch {
	case truncated(message):
		return r, errCut
	case !ok:
		return r, &Error{Outcome: Malformed}
	}
	msg.Question = []dns.Question{{Name: q.Name.Reveal(), Qtype: uint16(q.Type), Qclass: dns.ClassINET}}
	r.Reply = Reply{Msg: msg, RTT: rtt, Transport: t}
	return r, nil
}

// A cloak is what an attempt at an encrypted transport leads to.
type cloak struct {
	reply   Reply
	settled bool // reply is the answer
	err     error

	transport  Transport
	incredible bool // there was a reply that an authoritative server would not have given
}

// covertly asks over an encrypted transport if one is known to work at the server.
func (x *exchange) covertly(ctx context.Context) cloak {
	if x.server.Encryption == Strict {
		return x.strictly(ctx)
	}
	t, setUp, ok := x.memory.covered(x.server.Addr.Addr(), x.now())
	if !ok {
		return cloak{}
	}
	c := x.attemptCover(ctx, t, x.covertWait(t, setUp))
	if ctx.Err() != nil && !c.settled {
		return cloak{settled: true, err: failure(ctx, ctx.Err())}
	}
	return c
}

// covertWait is how long a reply of this server is worth waiting for, over a session that may have to be set up.
func (x *exchange) covertWait(t Transport, setUp time.Duration) time.Duration {
	d := x.timeout
	if !x.unproven.has(x.anyoneAt(x.server, t)) {
		d += max(2*setUp, minTimeout)
	}
	return min(d, maxCovertWait)
}

// attemptCover asks over t for so long as it is worth, and draws the lesson.
func (x *exchange) attemptCover(ctx context.Context, t Transport, wait time.Duration) cloak {
	if err := x.spendQuery(t); err != nil {
		return cloak{settled: true, err: failure(ctx, err)}
	}
	attempt, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	sent := x.now()
	r, err := x.askCovertly(attempt, x.server, t, x.question)
	now, addr := x.now(), x.server.Addr.Addr()
	switch {
	case err == nil && (credible(r.Msg) || x.server.Encryption == Strict):
		x.memory.foundCover(addr, t, r.setUp, now)
		x.memory.replied(x.server, x.record, receipt{rtt: r.RTT}, now)
		return cloak{reply: r.Reply, settled: true, transport: t}
	case err == nil:
		return cloak{transport: t, incredible: true}
	}
	switch verdictOn(err) {
	case fails:
		if ctx.Err() == nil {
			x.memory.lostCover(addr, t, coverDamped, now)
		}
	case slow:
		if x.shouldHaveBeenThere(ctx, sent) {
			x.memory.doubtCover(addr, t, now)
		}
	case unknown:
	}
	return cloak{transport: t, err: err}
}

// shouldHaveBeenThere reports whether the time of an attempt was up, or that of a caller who had waited for long enough.
func (x *exchange) shouldHaveBeenThere(ctx context.Context, sent time.Time) bool {
	return ctx.Err() == nil || errors.Is(context.Cause(ctx), ErrOvertaken) || x.now().Sub(sent) >= x.timeout
}

// compare asks in clear what was not answered encrypted. If the server can do better so, who answers encrypted is not that server.
func (x *exchange) compare(c cloak, inClear func() (Reply, error)) cloak {
	reply, err := inClear()
	if c.incredible && err == nil && credible(reply.Msg) {
		x.memory.lostCover(x.server.Addr.Addr(), c.transport, coverDamped, x.now())
	}
	return cloak{reply: reply, settled: true, err: err}
}

// credible reports whether a reply is one of a server that is authoritative, or of one that refers to others: what else may be
// at the port for encrypted questions is a resolver, which either refuses or answers out of its cache.
func credible(m *dns.Msg) bool {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return false
	}
	if m.Authoritative {
		return true
	}
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeNS {
			return !m.RecursionAvailable
		}
	}
	return false
}

// A covertVerdict is what the end of an attempt says of the transport.
type covertVerdict uint8

const (
	fails   covertVerdict = iota
	slow                  // or dead
	unknown               // it was this machine, or the question
)

func verdictOn(err error) covertVerdict {
	var (
		number syscall.Errno
		timed  interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, errNoPlace), errors.Is(err, errClosed), errors.Is(err, errCut):
		return unknown
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &timed) && timed.Timeout():
		return slow
	case errors.As(err, &number) && (familyTrouble(number) || outcomeOf(number) == Local):
		return unknown
	default:
		return fails
	}
}

// strictly asks over the transport that is known to work, else over all at once, and never in clear.
func (x *exchange) strictly(ctx context.Context) cloak {
	sent, addr := x.now(), x.server.Addr.Addr()
	if t, setUp, ok := x.memory.covered(addr, sent); ok {
		if c := x.attemptCover(ctx, t, x.covertWait(t, setUp)); c.settled {
			return c
		}
	}
	if err := ctx.Err(); err != nil {
		return cloak{settled: true, err: failure(ctx, err)}
	}
	if r, ok := x.press(ctx); ok {
		x.memory.replied(x.server, x.record, receipt{rtt: r.RTT}, x.now())
		return cloak{reply: r, settled: true}
	}
	if ctx.Err() == nil {
		x.memory.failed(x.server, sent, x.now())
	}
	return cloak{settled: true, err: errNoCover}
}

// press tries all encrypted transports but those that have just failed.
func (x *exchange) press(ctx context.Context) (Reply, bool) {
	came := make(chan Reply, len(ways))
	begun := 0
	for _, t := range ways {
		if !x.memory.pressed(x.server.Addr.Addr(), t, x.now()) || x.spendQuery(t) != nil {
			continue
		}
		if x.probe(x.server, t, x.question, func(r Reply) { came <- r }) {
			begun++
		}
	}
	for range begun {
		select {
		case r := <-came:
			if r.Msg != nil {
				return r, true
			}
		case <-ctx.Done():
			return Reply{}, false
		}
	}
	return Reply{}, false
}
