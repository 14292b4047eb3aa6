package transports

import (
	"math"
	"net"
	"time"

	"tacit/internal/wire"
)

// A link is what finishing an answer must know of the way back to the client.
type link struct {
	transport Transport
	failed    Stage         // where the failure arose that is taken back
	gone      bool          // nobody waits for it any more
	idle      time.Duration // how long the connection may stay idle: for the keepalive option
	conn      net.Conn      // over TLS and HTTPS; nil where it is not known
	tally     *tally        // where a reader of many messages counts; nil: at once
}

// udpSize is the largest answer over UDP and what the OPT record advertises: it fits into the smallest packet that
// IPv6 lets pass unfragmented (RFC 9715 section 3.1, R3).
const udpSize = 1232

// size is the largest message that the client takes (RFC 6891 section 6.2.5).
func (l link) size(q *wire.Query) int {
	if l.transport == UDP {
		return min(int(q.UDPSize), udpSize)
	}
	return math.MaxUint16
}

// Reasons that are given by the front itself.
var (
	notServed     = wire.ExtendedError{Code: wire.EDEProhibited, Text: "client network is not served"}
	tooManyWait   = wire.ExtendedError{Code: wire.EDEOther, Text: "too many clients wait"}
	internalError = wire.ExtendedError{Code: wire.EDEOther, Text: "internal error"}
	answerTooLong = wire.ExtendedError{Code: wire.EDEOther, Text: "answer does not fit into a message"}
	notAnAnswer   = wire.ExtendedError{Code: wire.EDEOther, Text: "no answer was made"}
)

// finish makes of msg, the caller's own copy of the packet of a, the message for the client that asked q. The addresses of zones
// served here come in another order each time, so that what has several shares its load among them; those of others come as their
// own servers had them.
func (f *front) finish(msg []byte, q *wire.Query, a *wire.Answer, l link) []byte {
	if len(msg) < wire.HeaderLength+len(q.RawQuestion()) {
		l.failed = Front
		return f.fail(msg, q, notAnAnswer, l)
	}
	wire.Reply(msg, q)
	if a.Fixed {
		wire.Turn(msg, f.turns.Add(1))
	}
	if len(msg)+optLength(q, l) > l.size(q) {
		if l.transport != UDP { // TC would send the client to where it is
			l.failed = Front
			return f.fail(msg, q, answerTooLong, l)
		}
		msg = wire.Truncate(msg)
		f.counters[UDP].Truncated.Add(1)
	}
	return f.seal(msg, q, wire.Rcode(msg[3]&0xf), a.Errors, l)
}

// reject makes the answer to a query that is not resolved, in buf[:0].
func (f *front) reject(buf []byte, q *wire.Query, rcode wire.Rcode, reason wire.ExtendedError, l link) []byte {
	return f.seal(wire.AppendRejection(buf[:0], q, rcode), q, rcode, []wire.ExtendedError{reason}, l)
}

func (f *front) fail(buf []byte, q *wire.Query, reason wire.ExtendedError, l link) []byte {
	return f.reject(buf, q, wire.ServFail, reason, l)
}

// minimalAnswer is HINFO "RFC8482" "" for the name of the question, with a TTL of an hour: long, as it does not change
// (RFC 8482 section 4.2).
const minimalAnswer = "\xc0\x0c" + "\x00\x0d" + "\x00\x01" + "\x00\x00\x0e\x10" + "\x00\x09" + "\x07RFC8482" + "\x00"

// minimal answers QTYPE ANY without asking anybody: what a cache happens to hold is no answer, and a full one serves
// nobody but who aims it at others.
func (f *front) minimal(buf []byte, q *wire.Query, l link) []byte {
	msg := wire.AppendRejection(buf[:0], q, wire.NoError)
	msg = append(msg, minimalAnswer...)
	msg[7] = 1 // ANCOUNT
	return f.seal(msg, q, wire.NoError, nil, l)
}

// seal counts the answer and appends the OPT record, which goes to those only who sent one (RFC 6891 section 6.1.1).
func (f *front) seal(msg []byte, q *wire.Query, rcode wire.Rcode, errors []wire.ExtendedError, l link) []byte {
	f.countAnswer(rcode, l)
	f.countType(q.Type, l)
	f.watch.answered(q, rcode, errors, l)
	if rcode == wire.ServFail {
		f.countFailure(errors, l)
	}
	if !q.EDNS {
		return msg
	}
	opt := wire.OPT{UDPSize: udpSize, DO: q.DO, CO: q.CO, Rcode: rcode, Errors: errors, Cookie: q.Cookie, Keepalive: -1, Padding: l.padding()}
	if l.keepsAlive(q) {
		opt.Keepalive = int(l.idle / (100 * time.Millisecond))
	}
	return wire.AppendOPT(msg, &opt, l.size(q)-len(msg))
}

// keepsAlive reports whether the answer says how long the connection may stay idle: over TCP and TLS to those who ask. Over
// UDP the option is ignored (RFC 7828 section 3.3.1), and QUIC and HTTP have time-outs of their own.
func (l link) keepsAlive(q *wire.Query) bool {
	return q.Keepalive && (l.transport == TCP || l.transport == TLS)
}

// PaddedTo is the block, for those who tell of it.
const PaddedTo = paddedTo

// paddedTo is the block that answers are padded to (RFC 8467 section 4.1).
const paddedTo = 468

// padding is for whoever sees nothing but lengths. It goes to all who can take it, not only to those who pad their queries:
// the choice of RFC 7830 section 4 would tell a watcher which client it is.
func (l link) padding() int {
	if l.transport.isEncrypted() {
		return paddedTo
	}
	return 0
}

// optLength is what the OPT record takes at least: extended errors go where there is room.
func optLength(q *wire.Query, l link) int {
	switch {
	case !q.EDNS:
		return 0
	case l.keepsAlive(q):
		return wire.OPTLength + cookieLength(q) + 6
	default:
		return wire.OPTLength + cookieLength(q)
	}
}

// shorten makes an answer that the way back does not take into one with TC (RFC 9715 section 3.1, R4).
func shorten(msg []byte, edns, do bool) []byte {
	msg = wire.Truncate(msg)
	if !edns {
		return msg
	}
	return wire.AppendOPT(msg, &wire.OPT{UDPSize: udpSize, DO: do, Keepalive: -1}, 0)
}
