package testnet

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// A Behaviour is one thing in which a server differs from a good one. NewServer, Server.Behave and the World's methods
// take any number of them.
type Behaviour struct {
	link   func(*link)
	around func(handler) handler
}

// around makes a behaviour of a function that does as it likes before, after or instead of next.
func around(do func(x *exchange, next handler)) Behaviour {
	return Behaviour{around: func(next handler) handler {
		return func(x *exchange) { do(x, next) }
	}}
}

// Silent never answers.
func Silent() Behaviour { return around(func(*exchange, handler) {}) }

// SilentUDP answers over TCP only.
func SilentUDP() Behaviour { return OverUDP(Silent()) }

// Failing answers everything with this RCODE. REFUSED and SERVFAIL are how most lame servers answer.
func Failing(rcode int) Behaviour {
	return around(func(x *exchange, _ handler) { x.fail(rcode) })
}

// UpwardReferral answers everything with a referral to the root, another way to be lame.
func UpwardReferral() Behaviour {
	return around(func(x *exchange, _ handler) {
		x.fail(dns.RcodeSuccess)
		x.reply.Ns = mustParse(".", ". NS "+rootServer)
	})
}

// NotAuthoritative answers rightly but without AA, like a resolver that was put among the name servers.
func NotAuthoritative() Behaviour {
	return Editing(func(_, r *dns.Msg) { r.Authoritative = false })
}

// Slow takes this long to think.
func Slow(d time.Duration) Behaviour {
	return around(func(x *exchange, next handler) {
		next(x)
		x.delay += d
	})
}

// Truncating sets TC on everything it sends over UDP.
func Truncating() Behaviour {
	return OverUDP(Editing(func(_, r *dns.Msg) { truncate(r) }))
}

// WrongCase writes the name in lower case, whatever the letter case of the query.
func WrongCase() Behaviour {
	return Editing(func(_, r *dns.Msg) {
		for i := range r.Question {
			r.Question[i].Name = strings.ToLower(r.Question[i].Name)
		}
		for _, rr := range r.Answer {
			rr.Header().Name = strings.ToLower(rr.Header().Name)
		}
	})
}

// WrongID answers with another message ID.
func WrongID() Behaviour { return Editing(func(_, r *dns.Msg) { r.Id ^= 0x5555 }) }

// WrongQuestion answers another question.
func WrongQuestion() Behaviour {
	return Editing(func(_, r *dns.Msg) {
		for i := range r.Question {
			r.Question[i].Name = "wrong.invalid."
		}
	})
}

// NXDOMAINOnEmptyNonTerminal says NXDOMAIN of a name that exists because of names below it (RFC 8020 section 2 says
// why that is wrong).
func NXDOMAINOnEmptyNonTerminal() Behaviour {
	return around(func(x *exchange, next handler) {
		next(x)
		if x.reply != nil && x.server.zoneFor(x.question()).isEmptyNonTerminal(x.question().Name) {
			x.reply.Rcode = dns.RcodeNameError
		}
	})
}

// A Section is a section of a message.
type Section uint8

// The sections that hold records (RFC 1035 section 4.1).
const (
	AnswerSection Section = iota
	AuthoritySection
	AdditionalSection
)

// Unsolicited adds records that nobody asked for to each reply. Names without a dot at the end are relative to the root.
func Unsolicited(in Section, records string) Behaviour {
	set := mustParse(".", records)
	return Editing(func(_, r *dns.Msg) {
		switch in {
		case AnswerSection:
			r.Answer = append(r.Answer, copies(set)...)
		case AuthoritySection:
			r.Ns = append(r.Ns, copies(set)...)
		case AdditionalSection:
			r.Extra = append(copies(set), r.Extra...)
		}
	})
}

// Editing changes the reply that the server would send.
func Editing(edit func(query, reply *dns.Msg)) Behaviour {
	return around(func(x *exchange, next handler) {
		next(x)
		if x.reply != nil {
			edit(x.query, x.reply)
		}
	})
}

// Scripted answers with what the function returns, a new message each time; nil is silence. It must not block.
func Scripted(answer func(query *dns.Msg) *dns.Msg) Behaviour {
	return around(func(x *exchange, _ handler) { x.reply = answer(x.query) })
}

// Raw answers with bytes made from the query's. It must not block.
func Raw(answer func(query []byte) []byte) Behaviour {
	return around(func(x *exchange, _ handler) { x.raw = answer(x.arrival.Packet) })
}

// OverUDP limits behaviours to UDP. For all wrappers: those of the link (Latency, Loss, TCPRefused, ...) have no effect
// inside of them.
func OverUDP(b ...Behaviour) Behaviour {
	return when(func(x *exchange) bool { return x.arrival.Transport == UDP }, b)
}

// OverTCP limits behaviours to TCP.
func OverTCP(b ...Behaviour) Behaviour {
	return when(func(x *exchange) bool { return x.arrival.Transport == TCP }, b)
}

// WithEDNS limits behaviours to queries that have an OPT record.
func WithEDNS(b ...Behaviour) Behaviour {
	return when(func(x *exchange) bool { return x.query.IsEdns0() != nil }, b)
}

// For limits behaviours to questions for a name. Type 0 stands for all types.
func For(name string, qtype uint16, b ...Behaviour) Behaviour {
	name = dns.CanonicalName(name)
	return when(func(x *exchange) bool {
		q := x.question()
		return dns.CanonicalName(q.Name) == name && (qtype == 0 || q.Qtype == qtype)
	}, b)
}

// First limits behaviours to the first so many queries.
func First(count int, b ...Behaviour) Behaviour {
	var seen atomic.Int64
	return when(func(*exchange) bool { return seen.Add(1) <= int64(count) }, b)
}

func when(applies func(x *exchange) bool, b []Behaviour) Behaviour {
	return Behaviour{around: func(next handler) handler {
		inner := next
		for _, one := range slices.Backward(b) {
			if one.around != nil {
				inner = one.around(inner)
			}
		}
		return func(x *exchange) {
			if applies(x) {
				inner(x)
				return
			}
			next(x)
		}
	}}
}
