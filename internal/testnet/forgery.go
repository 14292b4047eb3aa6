package testnet

import (
	"net"
	"net/netip"
	"strings"
	"unicode"

	"github.com/miekg/dns"
)

// ForgedIPv4 is the address in every forged answer: it must never come out of a resolver.
var ForgedIPv4 = netip.MustParseAddr("203.0.113.66")

// A Forgery is a reply that an attacker gets in before the true one, wrong in one thing. It is made from the query,
// which has one question.
type Forgery func(a Arrival, query *dns.Msg) Reply

// Forging sends forged replies over UDP, in this order, each time before the true one. They say that the name has
// the address ForgedIPv4.
func Forging(forgeries ...Forgery) Behaviour {
	return OverUDP(around(func(x *exchange, next handler) {
		next(x)
		if x.question().Name == "" {
			return
		}
		for _, forge := range forgeries {
			x.forged = append(x.forged, forge(x.arrival, x.query))
		}
	}))
}

// ForgedID guesses the message ID wrong.
func ForgedID(_ Arrival, q *dns.Msg) Reply {
	return forge(q, func(r *dns.Msg) { r.Id++ })
}

// ForgedQuestion answers another question.
func ForgedQuestion(_ Arrival, q *dns.Msg) Reply {
	return forge(q, func(r *dns.Msg) { r.Question[0].Name = "wrong.invalid." })
}

// ForgedType answers a question for another type.
func ForgedType(_ Arrival, q *dns.Msg) Reply {
	return forge(q, func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeTXT })
}

// NoQuestion has an empty question section.
func NoQuestion(_ Arrival, q *dns.Msg) Reply {
	return forge(q, func(r *dns.Msg) { r.Question = nil })
}

// ForgedCase has every letter of the name in the wrong case.
func ForgedCase(_ Arrival, q *dns.Msg) Reply {
	return forge(q, func(r *dns.Msg) { r.Question[0].Name = strings.Map(swapCase, r.Question[0].Name) })
}

// ForgedSource is right in everything but the port that it comes from.
func ForgedSource(a Arrival, q *dns.Msg) Reply {
	r := forge(q, func(*dns.Msg) {})
	r.Source = netip.AddrPortFrom(a.To.Addr(), a.To.Port()+1)
	return r
}

// ForgedQuery has everything right but is no response: QR is clear.
func ForgedQuery(_ Arrival, q *dns.Msg) Reply {
	return forge(q, func(r *dns.Msg) { r.Response = false })
}

// Garbage has the right ID and then nonsense.
func Garbage(a Arrival, _ *dns.Msg) Reply {
	return Reply{Packet: append(a.Packet[:2:2], "\x84\x00\x00\x01\xff\xff nonsense"...)}
}

// Runt is too short for a header.
func Runt(a Arrival, _ *dns.Msg) Reply { return Reply{Packet: a.Packet[:2:2]} }

func forge(q *dns.Msg, spoil func(*dns.Msg)) Reply {
	r := newReply(q)
	r.Authoritative = true
	name := q.Question[0].Name
	r.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: defaultTTL},
		A:   net.IP(ForgedIPv4.AsSlice()),
	}}
	spoil(r)
	packet, err := r.Pack()
	if err != nil {
		panic(err) // made from what was parsed
	}
	return Reply{Packet: packet}
}

func swapCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}
