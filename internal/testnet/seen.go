package testnet

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Transport is what carried a packet.
type Transport string

// The transports of plain DNS.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
)

// A Packet is one query as a server saw it. Here names and addresses may be kept: it is test data.
type Packet struct {
	Server    string // its host name
	Time      time.Time
	Transport Transport
	From, To  netip.AddrPort
	ID        uint16
	Name      string // as sent, letter case kept
	Type      uint16
	Class     uint16
	RD, CD    bool
	AD, DO    bool
	EDNS      bool        // whether there was an OPT record
	UDPSize   uint16      // as advertised in it
	Options   []dns.EDNS0 // as sent in it
	Bytes     []byte
	Malformed error // what was wrong with it; all fields from ID on are zero then
}

// Question is the name in lower case and the type, such as "www.shop.example. AAAA".
func (p Packet) Question() string {
	return dns.CanonicalName(p.Name) + " " + dns.TypeToString[p.Type]
}

// Labels is how many labels of a name the server learned.
func (p Packet) Labels() int { return dns.CountLabel(p.Name) }

// String is a line of a script, such as "ns1.shop.example. udp www.shop.example. A".
func (p Packet) String() string {
	if p.Malformed != nil {
		return fmt.Sprintf("%s %s malformed", p.Server, p.Transport)
	}
	return fmt.Sprintf("%s %s %s", p.Server, p.Transport, p.Question())
}

// A Log is what one server or several saw, in order of time.
type Log []Packet

// Script is the packets as lines, to be compared with those that a test expects.
func (l Log) Script() []string {
	var lines []string
	for _, p := range l {
		lines = append(lines, p.String())
	}
	return lines
}

// Questions is the questions in lower case, such as "www.shop.example. AAAA".
func (l Log) Questions() []string {
	var questions []string
	for _, p := range l {
		questions = append(questions, p.Question())
	}
	return questions
}

// MaxLabels is the number of labels of the longest name that was learned.
func (l Log) MaxLabels() int {
	longest := 0
	for _, p := range l {
		longest = max(longest, p.Labels())
	}
	return longest
}

// Over keeps the packets that came over one transport.
func (l Log) Over(t Transport) Log {
	return l.Filter(func(p Packet) bool { return p.Transport == t })
}

// Asking keeps the packets that asked for a name, in any letter case. Type 0 stands for all types.
func (l Log) Asking(name string, qtype uint16) Log {
	name = dns.CanonicalName(name)
	return l.Filter(func(p Packet) bool {
		return dns.CanonicalName(p.Name) == name && (qtype == 0 || p.Type == qtype)
	})
}

// Filter keeps the packets for which keep is true.
func (l Log) Filter(keep func(Packet) bool) Log {
	var kept Log
	for _, p := range l {
		if keep(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Seen is what the server saw since it was made or Reset. Datagrams lost on the way to it are not in there.
func (s *Server) Seen() Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Count is how many packets the server saw.
func (s *Server) Count() int { return len(s.Seen()) }

// Reset forgets what the server saw.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// Seen is what all servers saw.
func (n *Internet) Seen() Log { return merge(n.Servers()) }

// Reset forgets what all servers saw.
func (n *Internet) Reset() {
	for _, s := range n.Servers() {
		s.Reset()
	}
}

func merge(servers []*Server) Log {
	var all Log
	for _, s := range servers {
		all = append(all, s.Seen()...)
	}
	slices.SortStableFunc(all, func(a, b Packet) int { return a.Time.Compare(b.Time) })
	return all
}

// record keeps a packet and returns the handler that is to deal with it.
func (s *Server) record(a Arrival, q *dns.Msg, malformed error) handler {
	p := Packet{
		Server: s.name, Time: a.Time, Transport: a.Transport, From: a.From, To: a.To,
		Bytes: a.Packet, Malformed: malformed,
	}
	if malformed == nil {
		p.describe(q)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, p)
	return s.handler
}

func (p *Packet) describe(q *dns.Msg) {
	p.ID, p.RD, p.CD, p.AD = q.Id, q.RecursionDesired, q.CheckingDisabled, q.AuthenticatedData
	if len(q.Question) > 0 {
		p.Name, p.Type, p.Class = q.Question[0].Name, q.Question[0].Qtype, q.Question[0].Qclass
	}
	if opt := q.IsEdns0(); opt != nil {
		p.EDNS, p.DO, p.UDPSize, p.Options = true, opt.Do(), opt.UDPSize(), opt.Option
	}
}
