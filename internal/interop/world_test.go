//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A world is a whole name space: the zones, the name servers that have them, and the questions worth asking about them.
type world struct {
	zones     map[name]*zone
	order     []*zone // as made, for output that is the same every time
	instances []*instance
	roots     []*host
	silent    []netip.Addr // addresses at which nobody answers
	middle    []netip.Addr // addresses at which the test answers in place of a server
	unproven  []name       // domains of which a server gives only half a proof
	questions []question
}

// A zone is one zone's contents, as text for the servers and as RRs for the truth.
type zone struct {
	apex  name
	kind  class // how it is delegated: the class of the plain questions about it
	lines []string
	nodes map[name]map[uint16][]dns.RR // authoritative data
	cuts  map[name]bool                // owners of the delegations to children
	known map[name]bool                // names that exist: data, cuts, and what lies between (RFC 4592 section 2.2.2)

	signing *signing // nil when the zone is not signed
}

// An instance is one name server process with its addresses and zones.
type instance struct {
	name     string
	software software
	v4, v6   []netip.Addr
	zones    []*zone
	handed   int // addresses given to hosts so far
}

type software uint8

const (
	nsd software = iota
	knot
)

// A host is the name of a name server and its addresses at an instance; instance is nil when nobody listens there.
type host struct {
	name     string
	v4, v6   []netip.Addr
	instance *instance
}

// family says which addresses a host has.
type family uint8

const (
	bothFamilies family = iota
	onlyIPv4
	onlyIPv6
)

// addHost gives the next addresses of the instance to a name.
func (s *instance) addHost(text string, f family) *host {
	i := s.handed % len(s.v4)
	s.handed++
	h := &host{name: text, instance: s}
	if f != onlyIPv6 {
		h.v4 = s.v4[i : i+1]
	}
	if f != onlyIPv4 {
		h.v6 = s.v6[i : i+1]
	}
	return h
}

// lines are the address records of h in presentation form.
func (h *host) lines() []string {
	var out []string
	for _, a := range h.v4 {
		out = append(out, fmt.Sprintf("%s 86400 IN A %s", h.name, a))
	}
	for _, a := range h.v6 {
		out = append(out, fmt.Sprintf("%s 86400 IN AAAA %s", h.name, a))
	}
	return out
}

// addInstance makes a server with count addresses of each family: 198.18.0.0/15 is for benchmarks (RFC 2544).
func (w *world) addInstance(label string, s software, count int) *instance {
	i := &instance{name: label, software: s}
	number := len(w.instances) + 1
	for n := 1; n <= count; n++ {
		i.v4 = append(i.v4, netip.AddrFrom4([4]byte{198, 18, byte(number), byte(n)}))
		i.v6 = append(i.v6, netip.MustParseAddr(fmt.Sprintf("2001:db8:18:%x::%x", number, n)))
	}
	w.instances = append(w.instances, i)
	return i
}

// addSilent makes a host whose addresses are reachable and answer nothing.
func (w *world) addSilent(text string) *host {
	n := len(w.silent)/2 + 1
	v4 := netip.AddrFrom4([4]byte{198, 19, 0, byte(n)})
	v6 := netip.MustParseAddr(fmt.Sprintf("2001:db8:19::%x", n))
	w.silent = append(w.silent, v4, v6)
	return &host{name: text, v4: []netip.Addr{v4}, v6: []netip.Addr{v6}}
}

// addZone makes the zone at apex, lists all hosts as its name servers, loads it at the instances of the hosts in
// serving, and delegates to it from the closest zone above, which therefore has to exist already. Addresses in the
// domain of the new zone become its glue (RFC 9471).
func (w *world) addZone(apex string, kind class, serving, broken []*host) *zone {
	z := &zone{
		apex: mustName(apex), kind: kind,
		nodes: make(map[name]map[uint16][]dns.RR), cuts: make(map[name]bool), known: make(map[name]bool),
	}
	all := append(append([]*host(nil), serving...), broken...)
	z.add("%s 3600 IN SOA %s hostmaster.%s 1 7200 3600 1209600 600", apex, all[0].name, strings.TrimPrefix(apex, "."))
	for _, h := range all {
		z.add("%s 86400 IN NS %s", apex, h.name)
	}
	if z.apex != rootName {
		w.zoneOf(z.apex.parent()).delegate(z.apex, all)
	}
	w.zones[z.apex] = z
	w.order = append(w.order, z)
	for _, h := range all {
		w.addAddresses(h)
	}
	for _, h := range serving {
		h.instance.load(z)
	}
	return z
}

// addAddresses writes the addresses of h into the zone that its name belongs to, once.
func (w *world) addAddresses(h *host) {
	z, owner := w.zoneOf(mustName(h.name)), mustName(h.name)
	if z.nodes[owner] != nil {
		return
	}
	for _, line := range h.lines() {
		z.add("%s", line)
	}
}

// zoneOf is the zone that n belongs to.
func (w *world) zoneOf(n name) *zone {
	for w.zones[n] == nil {
		if n == rootName {
			panic("no root zone")
		}
		n = n.parent()
	}
	return w.zones[n]
}

func (s *instance) load(z *zone) {
	if !slices.Contains(s.zones, z) {
		s.zones = append(s.zones, z)
	}
}

// closestZone is the deepest zone of s at or above n, or nil when s has none.
func (s *instance) closestZone(n name) *zone {
	var best *zone
	for _, z := range s.zones {
		if n.isAtOrBelow(z.apex) && (best == nil || z.apex.isBelow(best.apex)) {
			best = z
		}
	}
	return best
}

// delegate writes a zone cut: the NS RRset of the child, and glue for hosts in the child's domain.
func (z *zone) delegate(child name, hosts []*host) {
	z.cuts[child] = true
	z.markKnown(child)
	for _, h := range hosts {
		z.lines = append(z.lines, fmt.Sprintf("%s 86400 IN NS %s", child, h.name))
		if mustName(h.name).isAtOrBelow(child) {
			z.lines = append(z.lines, h.lines()...)
		}
	}
}

// add writes one record, given in presentation form with an absolute owner.
func (z *zone) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	rr, err := dns.NewRR(line)
	if err != nil || rr == nil {
		panic(fmt.Sprintf("record %q: %v", line, err))
	}
	owner, t := mustName(rr.Header().Name), rr.Header().Rrtype
	if z.nodes[owner] == nil {
		z.nodes[owner] = make(map[uint16][]dns.RR)
	}
	z.nodes[owner][t] = append(z.nodes[owner][t], rr)
	z.lines = append(z.lines, line)
	z.markKnown(owner)
}

// markKnown notes that owner exists, and with it every name between it and the apex.
func (z *zone) markKnown(owner name) {
	for !z.known[owner] {
		z.known[owner] = true
		if owner == z.apex {
			return
		}
		owner = owner.parent()
	}
}

// text is the zone file.
func (z *zone) text() string { return strings.Join(z.lines, "\n") + "\n" }
