package testnet

import (
	"time"

	"github.com/miekg/dns"
)

// An exchange is one query and what becomes of it on its way through a server's behaviours.
type exchange struct {
	arrival Arrival
	query   *dns.Msg
	server  *Server

	reply  *dns.Msg // nil: silence
	raw    []byte   // instead of reply
	delay  time.Duration
	forged []Reply // sent before it, without delay
}

// A handler deals with an exchange: it leaves a reply in it, or none.
type handler func(x *exchange)

// question is the zero value when there is none or more than one.
func (x *exchange) question() dns.Question {
	if len(x.query.Question) != 1 {
		return dns.Question{}
	}
	return x.query.Question[0]
}

func (x *exchange) fail(rcode int) {
	x.reply = newReply(x.query)
	x.reply.Rcode = rcode
}

func (x *exchange) replies() []Reply {
	packet := x.raw
	if packet == nil && x.reply != nil {
		packet = x.pack()
	}
	if packet == nil {
		return x.forged
	}
	return append(x.forged, Reply{Packet: packet, Delay: x.delay})
}

// pack makes the reply fit: additional records are left out first, then all, with TC (RFC 2181 section 9).
func (x *exchange) pack() []byte {
	packet, err := x.reply.Pack()
	if err != nil {
		x.fail(dns.RcodeServerFailure)
		packet, _ = x.reply.Pack() // an empty reply can be packed
	}
	if len(packet) <= x.limit() {
		return packet
	}
	strip(x.reply)
	if packet, err = x.reply.Pack(); err == nil && len(packet) <= x.limit() && len(x.reply.Answer) > 0 {
		return packet
	}
	truncate(x.reply)
	packet, _ = x.reply.Pack() // was packed above
	return packet
}

// limit is the largest reply that the client takes and the server sends (RFC 6891 section 6.2.5).
func (x *exchange) limit() int {
	if x.arrival.Transport != UDP {
		return dns.MaxMsgSize
	}
	opt := x.query.IsEdns0()
	if opt == nil {
		return dns.MinMsgSize
	}
	return min(max(int(opt.UDPSize()), dns.MinMsgSize), UDPSize)
}

// strip removes the additional records. A referral without its glue is not whole: it gets TC (RFC 9471 section 3.1).
func strip(r *dns.Msg) {
	opt := r.IsEdns0()
	r.Extra = nil
	if opt != nil {
		r.Extra = []dns.RR{opt}
	}
}

func truncate(r *dns.Msg) {
	r.Truncated = true
	r.Answer, r.Ns = nil, nil
	strip(r)
}
