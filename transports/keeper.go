package transports

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"tacit/internal/wire"
)

// A Keeper hears what is for whoever keeps zones: NOTIFY, UPDATE, questions for transfers, and questions for SOA records that are
// signed. Who may say such a thing it tells by the signature: it is shown the octets, and not where they come from. Of a NOTIFY that
// nobody has signed it can find out whether it is from an address that it knows already.
type Keeper interface {
	// Keeps reports whether anybody is there to hear. If not, such messages are refused at once.
	Keeps() bool
	// Hear treats a message, which becomes the Keeper's own, and gives each message of the reply to send. When that fails, nobody
	// listens any more. Over UDP, the reply is one message.
	Hear(ctx context.Context, msg []byte, over Transport, from func(netip.Addr) bool, send func(reply []byte) error)
}

// hearWithin is how long a message may take the Keeper, and its client: a transfer of a large zone over a slow line.
const hearWithin = 10 * time.Minute

// isKept reports whether a query that came over a link is for the Keeper: the transports that a zone is transferred over are TCP
// (RFC 5936 section 4) and TLS (RFC 9103), and NOTIFY and UPDATE come over UDP, too.
func (f *front) isKept(q *wire.Query, l link) bool {
	return q.IsOfZones() && f.keeper != nil && l.transport <= TLS && f.keeper.Keeps()
}

// An errand is a message that the Keeper has to hear. It holds a slot of its own kind: those who wait for a transfer keep nobody
// from an answer.
type errand struct {
	front   *front
	message []byte
	link    link
	holder  holder
	from    func(netip.Addr) bool // whether an address is the sender's
}

// newErrand takes a slot and makes an errand of a message; nil when there is no slot.
func (f *front) newErrand(v *visit, msg []byte, addr netip.Addr, l link) *errand {
	h := holder{f.quota.clients.Of(addr, v.now), l.transport, addr.IsLoopback()}
	if !f.quota.errands.take(h, f.limits.Errands, f.limits.Errands) {
		return nil
	}
	l.tally = nil // it ends elsewhere
	return &errand{f, slices.Clone(msg), l, h, func(known netip.Addr) bool { return known.Unmap() == addr.Unmap() }}
}

// start has the Keeper hear the message on a goroutine of its own. done is called at the end.
func (e *errand) start(ctx context.Context, send func(reply []byte) error, done func()) {
	e.front.resolutions.Add(1)
	go e.run(ctx, send, done)
}

func (e *errand) run(ctx context.Context, send func(reply []byte) error, done func()) {
	growStack() // as in job.run
	defer wipeStack()
	f := e.front
	defer f.resolutions.Done()
	defer done()
	defer f.quota.errands.release(e.holder)
	defer clear(e.message)
	defer func() {
		if cause := recover(); cause != nil {
			f.panicked(e.link.transport)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	counted := false
	f.keeper.Hear(ctx, e.message, e.link.transport, e.from, func(reply []byte) error {
		if !counted && len(reply) >= wire.HeaderLength {
			f.countAnswer(wire.Rcode(reply[3]&0xf), e.link)
			counted = true
		}
		return send(reply)
	})
}
