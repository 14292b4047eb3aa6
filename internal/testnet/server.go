package testnet

import (
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Server is a name server: zones, addresses, manners, and a record of what it saw. By itself it has no network:
// Internet.Connect gives it one, and the lab calls Handle for what its sockets receive.
type Server struct {
	name string

	mu        sync.Mutex
	addresses []netip.AddrPort
	zones     map[string]*Zone
	link      link
	handler   handler
	random    *rand.Rand
	seen      Log
}

// NewServer makes a well-behaved server, or one with the behaviours given.
func NewServer(name string, b ...Behaviour) *Server {
	s := &Server{name: dns.CanonicalName(name), zones: make(map[string]*Zone)}
	s.seed(0)
	s.Behave(b...)
	return s
}

// Name is the server's host name, in lower case.
func (s *Server) Name() string { return s.name }

// Addresses are those that Internet.Connect gave it.
func (s *Server) Addresses() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addresses)
}

// Host adds zones to those that the server answers for.
func (s *Server) Host(zones ...*Zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, z := range zones {
		s.zones[z.origin] = z
	}
}

// Drop takes a zone away again, which makes the server lame for it.
func (s *Server) Drop(origin string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zones, dns.CanonicalName(origin))
}

// Behave replaces all behaviours; without arguments the server behaves well again. What is listed first acts last
// on a reply: it stands nearest to the network.
func (s *Server) Behave(b ...Behaviour) {
	l, h := link{idle: defaultIdle}, handler(s.respond)
	for _, one := range slices.Backward(b) {
		if one.link != nil {
			one.link(&l)
		}
		if one.around != nil {
			h = one.around(h)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link, s.handler = l, h
}

// An Arrival is a packet as it reached a server.
type Arrival struct {
	Time      time.Time
	Transport Transport
	From, To  netip.AddrPort
	Packet    []byte // without the length prefix of TCP; the record keeps it, so give each its own
}

// A Reply is a packet that a server sends back.
type Reply struct {
	Packet []byte
	Delay  time.Duration  // on top of the network's
	Source netip.AddrPort // where it claims to come from; the zero value: where the query went to
}

// Handle records a packet and returns what the server sends in return, in order.
func (s *Server) Handle(a Arrival) []Reply {
	if s.loses(a.Transport) {
		return nil
	}
	q := new(dns.Msg)
	err := q.Unpack(a.Packet)
	handle := s.record(a, q, err)
	if err != nil {
		return formatError(a.Packet)
	}
	x := &exchange{arrival: a, query: q, server: s}
	handle(x)
	if s.loses(a.Transport) {
		return nil
	}
	return x.replies()
}

// respond is the good behaviour that all others are built around.
func (s *Server) respond(x *exchange) {
	switch opt := x.query.IsEdns0(); {
	case x.query.Response:
	case x.query.Opcode != dns.OpcodeQuery:
		x.fail(dns.RcodeNotImplemented)
	case len(x.query.Question) != 1:
		x.fail(dns.RcodeFormatError)
	case opt != nil && opt.Version() != 0: // RFC 6891 section 6.1.3
		x.fail(dns.RcodeBadVers)
	default:
		s.answer(x)
	}
}

// answer answers from the zone nearest to the name, or with REFUSED.
func (s *Server) answer(x *exchange) {
	if z := s.zoneFor(x.question()); z != nil {
		x.reply = z.Answer(x.query)
		return
	}
	x.fail(dns.RcodeRefused)
}

// zoneFor finds the closest zone; for DS at an apex, the one above it (RFC 4035 section 3.1.4.1) if it is here as well.
func (s *Server) zoneFor(q dns.Question) *Zone {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := dns.CanonicalName(q.Name)
	z := s.closest(name)
	if q.Qtype == dns.TypeDS && z != nil && z.origin == name && name != "." {
		if above := s.closest(parent(name)); above != nil {
			return above
		}
	}
	return z
}

func (s *Server) closest(name string) *Zone {
	for ; ; name = parent(name) {
		if z := s.zones[name]; z != nil || name == "." {
			return z
		}
	}
}

// formatError is the answer to what does not parse (RFC 1035 section 4.1.1), if at least a header can be made out.
func formatError(packet []byte) []Reply {
	const header = 12
	if len(packet) < header || packet[2]&0x80 != 0 {
		return nil
	}
	reply := make([]byte, header)
	copy(reply, packet[:2])
	reply[2] = packet[2]&0x79 | 0x80
	reply[3] = dns.RcodeFormatError
	return []Reply{{Packet: reply}}
}

// join connects the server; it reports whether it had no network before.
func (s *Server) join(seed uint64, addresses []netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := len(s.addresses) == 0
	s.addresses = append(s.addresses, addresses...)
	s.seed(seed)
	return first
}

// seed gives each server its own sequence, so that what one loses does not depend on what others are asked.
func (s *Server) seed(seed uint64) {
	h := fnv.New64a()
	h.Write([]byte(s.name))                           // never fails
	s.random = rand.New(rand.NewPCG(seed, h.Sum64())) //nolint:gosec // two runs of a test must agree
}
