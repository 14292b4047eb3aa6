package testnet

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// rootServer is the host name of the root's server. It stands below example because the root itself must not hold
// names that a test could take for a TLD.
const rootServer = "a.root-servers.example."

// A World is an internet with a root, some TLDs, and leaf zones that are added in one line each. Its methods put the
// delegation into the zone above, with glue for servers inside of the new zone and none for others. What cannot be
// parsed, or is declared twice, panics.
type World struct {
	*Internet
	options Options
	zones   map[string]*domain
	made    int // servers so far
}

// Options shape a World. The zero value is good for most tests.
type Options struct {
	Seed    uint64        // decides ports and losses
	Latency time.Duration // round trip to servers without their own; 0 is DefaultLatency
	Port    uint16        // of all servers; 0 is 53
	TLDs    []string      // nil is example., test. and invalid.
	// Addresses gives the n-th server its addresses, from 0; an invalid one stands for none. The default is
	// documentation addresses (RFC 5737, RFC 3849).
	Addresses func(n int) (v4, v6 netip.Addr)
}

// A domain is a zone and the servers that its delegation names.
type domain struct {
	zone    *Zone
	servers []*Server
}

// New makes a world with a root and TLDs, one server each: a.root-servers.example., ns1.example., ...
func New(o Options) *World {
	if o.Port == 0 {
		o.Port = 53
	}
	if o.TLDs == nil {
		o.TLDs = []string{"example.", "test.", "invalid."}
	}
	if o.Addresses == nil {
		o.Addresses = documentationAddresses
	}
	w := &World{Internet: NewInternet(o.Seed, o.Latency), options: o, zones: make(map[string]*domain)}
	root := w.newServer(rootServer)
	w.zoneAt(".", "@ SOA "+rootServer+" hostmaster.example. 1 1800 900 604800 300", root)
	for _, tld := range o.TLDs {
		w.Zone(tld, "")
	}
	if top := w.enclosing(rootServer); top.zone.origin != "." {
		top.zone.publish(root)
	}
	return w
}

// Zone adds a zone with one server, ns1 in the zone itself, and returns that server.
func (w *World) Zone(origin, text string, b ...Behaviour) *Server {
	s := w.newServer(below("ns1", dns.CanonicalName(origin)), b...)
	w.zoneAt(origin, text, s)
	return s
}

// ZoneAt adds a zone at servers that exist already.
func (w *World) ZoneAt(origin, text string, servers ...*Server) *Zone {
	return w.zoneAt(origin, text, servers...)
}

// NameServer adds one more server to a zone: ns2, ns3, ...
func (w *World) NameServer(origin string, b ...Behaviour) *Server {
	d := w.domain(origin)
	s := w.newServer(below(fmt.Sprintf("ns%d", len(d.servers)+1), d.zone.origin), b...)
	w.join(d, s)
	return s
}

// Server adds a server without zones. Its addresses are published in the zone that its name is in at that moment.
func (w *World) Server(name string, b ...Behaviour) *Server {
	s := w.newServer(name, b...)
	w.enclosing(s.name).zone.publish(s)
	return s
}

// At returns the first server of a zone.
func (w *World) At(origin string) *Server { return w.domain(origin).servers[0] }

// Data returns a zone, to add records to it or take some away.
func (w *World) Data(origin string) *Zone { return w.domain(origin).zone }

// SeenAt is what the servers of a zone saw, together.
func (w *World) SeenAt(origin string) Log { return merge(w.domain(origin).servers) }

// Count is how many packets the servers of a zone saw, together.
func (w *World) Count(origin string) int { return len(w.SeenAt(origin)) }

// Hints is the root hints as master-file text.
func (w *World) Hints() string {
	var b strings.Builder
	for _, s := range w.domain(".").servers {
		fmt.Fprintf(&b, ". 3600000 IN NS %s\n", s.name)
		for _, rr := range s.addressRecords() {
			b.WriteString(rr.String() + "\n")
		}
	}
	return b.String()
}

// zoneAt hosts a zone and delegates to it. NS records in the text replace those made from the servers' names.
func (w *World) zoneAt(origin, text string, servers ...*Server) *Zone {
	z := MustZone(origin, text)
	if w.zones[z.origin] != nil {
		panic("testnet: zone " + z.origin + " was declared before")
	}
	d := &domain{zone: z}
	named := z.Records(z.origin, dns.TypeNS)
	if z.origin != "." {
		w.enclosing(parent(z.origin)).zone.delegate(z, named)
	}
	w.zones[z.origin] = d
	for _, s := range servers {
		if named == nil {
			w.join(d, s)
			continue
		}
		s.Host(z)
		d.servers = append(d.servers, s)
	}
	return z
}

// join makes a server one of a zone's: it hosts it, and both sides of the zone cut name it.
func (w *World) join(d *domain, s *Server) {
	s.Host(d.zone)
	d.servers = append(d.servers, s)
	ns := &dns.NS{Hdr: header(d.zone.origin, dns.TypeNS), Ns: s.name}
	if dns.IsSubDomain(d.zone.origin, s.name) {
		d.zone.publish(s)
	}
	d.zone.put(ns)
	if d.zone.origin != "." {
		w.enclosing(parent(d.zone.origin)).zone.delegate(d.zone, []dns.RR{ns})
	}
}

func (w *World) newServer(name string, b ...Behaviour) *Server {
	s := NewServer(name, b...)
	v4, v6 := w.options.Addresses(w.made)
	w.made++
	has4, has6 := s.families()
	if has4 && v4.IsValid() {
		w.Connect(s, netip.AddrPortFrom(v4, w.options.Port))
	}
	if has6 && v6.IsValid() {
		w.Connect(s, netip.AddrPortFrom(v6, w.options.Port))
	}
	return s
}

func (w *World) domain(origin string) *domain {
	d := w.zones[dns.CanonicalName(origin)]
	if d == nil {
		panic("testnet: no zone " + origin)
	}
	return d
}

// enclosing finds the zone that a name is in.
func (w *World) enclosing(name string) *domain {
	for ; ; name = parent(name) {
		if d := w.zones[name]; d != nil {
			return d
		}
	}
}

// delegate puts NS records into the zone above the cut, and the glue that the child holds for them.
func (z *Zone) delegate(child *Zone, servers []dns.RR) {
	z.put(servers...)
	for _, rr := range servers {
		name := rr.(*dns.NS).Ns
		z.put(child.Records(name, dns.TypeA)...)
		z.put(child.Records(name, dns.TypeAAAA)...)
	}
}

// publish puts a server's addresses into a zone.
func (z *Zone) publish(s *Server) { z.put(s.addressRecords()...) }

func (z *Zone) put(records ...dns.RR) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, rr := range copies(records) {
		z.insert(rr)
	}
	z.changed()
}

func (s *Server) addressRecords() []dns.RR {
	var records []dns.RR
	for _, a := range s.Addresses() {
		ip := a.Addr().AsSlice()
		if a.Addr().Is4() {
			records = append(records, &dns.A{Hdr: header(s.name, dns.TypeA), A: ip})
		} else {
			records = append(records, &dns.AAAA{Hdr: header(s.name, dns.TypeAAAA), AAAA: ip})
		}
	}
	return records
}

func header(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: defaultTTL}
}

// documentationAddresses are 192.0.2.2 and up, then 198.51.100.0/24 (203.0.113.0/24 is left to what zones hold), and
// 2001:db8::53:0 and up.
func documentationAddresses(n int) (v4, v6 netip.Addr) {
	six := ClientIPv6.As16()
	six[13], six[14], six[15] = 0x53, byte(n>>8), byte(n)
	v6 = netip.AddrFrom16(six)
	switch {
	case n < 253:
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 2)}), v6
	case n < 253+256:
		return netip.AddrFrom4([4]byte{198, 51, 100, byte(n - 253)}), v6
	}
	return netip.Addr{}, v6
}
