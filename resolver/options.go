package resolver

import (
	"context"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
	"tacit/zone"
)

// Options say how a Resolver works. The zero value of each field but the first three is its default.
type Options struct {
	Exchanger Exchanger
	Memory    *upstream.Memory
	Cache     *cache.Cache

	// Validator judges what is found. Nil: nothing is validated, and AD is never set.
	Validator *dnssec.Validator

	// Rules answer before anything is asked: special-use names, block lists. Nil: none.
	Rules Answerer

	// Zones are served with authority, and go before everything but the Rules. What it returns is what is served at the moment.
	// Nil: there are none.
	Zones func() *zone.Zones

	// Root answers in the place of the root servers, as they would; nil messages, or a nil Root: they are asked (RFC 8806).
	Root RootCopy

	// Hints are where priming starts (RFC 9609). Empty: the root servers of the IANA root hints.
	Hints []Hint
	// Port is asked at authoritative servers found by iteration. 0: 53.
	Port uint16
	// NoIPv4 and NoIPv6 leave a family out.
	NoIPv4, NoIPv6 bool
	// Minimise says how much of a name servers on the way are shown.
	Minimise Minimisation
	// AllowSpecialAddresses lets loopback, private and zero addresses be used as name servers: test networks.
	AllowSpecialAddresses bool

	// Encrypt has authoritative servers asked over encrypted transports where they can be (RFC 9539). Those of EncryptedZones and of
	// zones below, and those at EncryptedServers, are never asked in clear, whatever Encrypt says.
	Encrypt          bool
	EncryptedZones   []wire.Name
	EncryptedServers []netip.Addr

	// Forwards and Stubs take names away from iteration; the longest zone wins over both.
	Forwards []Forward
	Stubs    []Stub

	// NoStale never gives expired answers (RFC 8767). NoPrefetch never refreshes an answer before it expires.
	NoStale, NoPrefetch bool
	// NoAggressive answers nothing from validated denials of neighbouring names (RFC 8198).
	NoAggressive bool

	// Limits of one client question. Zero: work.DefaultLimits.
	Limits work.Limits
	// Flights is how many resolutions may run at once. 0: 2,000.
	Flights int

	// Now tells the time for TTLs. Nil: time.Now.
	Now func() time.Time
	// Panicked is told of each resolution that has panicked, while its stack is still there. Nil: nobody is.
	Panicked func()
}

// An Exchanger carries one question to one server and brings back its reply; upstream.Client is one.
type Exchanger interface {
	Exchange(ctx context.Context, s upstream.Server, q wire.Question, w *work.Budget, o upstream.Overdue) (upstream.Reply, error)
}

// A RootCopy is a copy of the root zone. What it says is judged as any reply is.
type RootCopy interface {
	Answer(now time.Time, name wire.Name, t wire.Type) *dns.Msg
}

// An Answerer answers from what it holds, without asking anybody.
type Answerer interface {
	Answer(q wire.Question, now time.Time) (a wire.Answer, ok bool)
}

// A Hint is the name of a root server and its addresses.
type Hint struct {
	Name      wire.Name
	Addresses []netip.Addr
}

// Minimisation is how QNAME minimisation (RFC 9156) deals with servers that answer it wrongly.
type Minimisation uint8

// Modes of minimisation.
const (
	Strict  Minimisation = iota // shows one label more at a time, within the step limit
	Relaxed                     // shows the whole name to a server that fails on a shortened one
	Off                         // shows the whole name to everybody
)

// A Forward sends all questions at and below Zone to recursive Servers.
type Forward struct {
	Zone    wire.Name
	Servers []upstream.Server
	First   bool // recursion is tried when the servers fail
}

// A Stub says that Servers are authoritative for Zone, whatever its parent says.
type Stub struct {
	Zone    wire.Name
	Servers []upstream.Server
}
