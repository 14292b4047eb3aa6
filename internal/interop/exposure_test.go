//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/miekg/dns"
)

// An exposure is what the servers of one level learned in a run.
type exposure struct {
	queries   int
	excess    int // labels more than the server needed to hear
	ownType   int // queries with a type that RFC 9156 section 2.1 would hide behind A
	instances []string
}

// A place is a row of the table of exposures.
type place struct {
	level  level
	exists bool // whether the name that the server had to hear exists there
}

// level says what kind of zone a server answered from.
type level string

const (
	atRoot   level = "root"
	atTLD    level = "TLD"
	below    level = "below"
	lame     level = "lame server"
	silent   level = "silent server"
	unplaced level = "address outside the plan"
)

// exposures sorts what was seen by the place that heard it.
func (w *world) exposures(seen []sighting) map[place]*exposure {
	servers := w.servers()
	out := make(map[place]*exposure)
	for _, s := range seen {
		p, needed := w.locate(servers, s)
		if out[p] == nil {
			out[p] = &exposure{}
		}
		out[p].add(s, needed)
	}
	return out
}

// servers maps each address of an instance to it.
func (w *world) servers() map[netip.Addr]*instance {
	out := make(map[netip.Addr]*instance)
	for _, s := range w.instances {
		for _, addr := range s.addresses() {
			out[addr] = s
		}
	}
	return out
}

// locate finds the zone that the server answers from, and how many labels it needed to hear for its answer.
func (w *world) locate(servers map[netip.Addr]*instance, s sighting) (p place, needed int) {
	server := servers[s.server]
	if server == nil {
		if slices.Contains(w.silent, s.server) {
			return place{silent, true}, s.name.labels()
		}
		return place{unplaced, true}, s.name.labels()
	}
	z := server.closestZone(s.name)
	if z == nil {
		return place{lame, true}, s.name.labels()
	}
	needed, exists := z.needed(s.name)
	return place{z.level(), exists}, needed
}

func (z *zone) level() level {
	switch z.apex.labels() {
	case 0:
		return atRoot
	case 1:
		return atTLD
	}
	return below
}

// needed is how many labels of n a server of z has to hear: one more than the zone has, and more only as long as what
// it heard is a name of the zone that is no cut, an empty non-terminal for example (RFC 9156 section 2.3).
func (z *zone) needed(n name) (labels int, exists bool) {
	for labels = z.apex.labels() + 1; labels <= n.labels(); labels++ {
		node := n.suffix(labels)
		if !z.known[node] {
			return labels, false
		}
		if z.cuts[node] {
			return labels, true
		}
	}
	return n.labels(), true
}

func (e *exposure) add(s sighting, needed int) {
	e.queries++
	if extra := s.name.labels() - needed; extra > 0 {
		e.excess += extra
		e.instances = append(e.instances, fmt.Sprintf("%s %s to %s: %d labels more than needed",
			s.name, dns.TypeToString[s.qtype], s.server, extra))
	}
	if s.qtype != dns.TypeA && s.qtype != dns.TypeNS {
		e.ownType++
	}
}

// excessAtTop is the number that has to be zero, for names that exist at the server or for those that do not.
func excessAtTop(exposures map[place]*exposure, exists bool) (labels int, instances []string) {
	for _, l := range []level{atRoot, atTLD} {
		if e := exposures[place{l, exists}]; e != nil {
			labels += e.excess
			instances = append(instances, e.instances...)
		}
	}
	return labels, instances
}

// exposureTable shows what each level heard from each resolver.
func (w *world) exposureTable(runs ...*run) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what the servers heard\tname there\tresolver\tqueries\texcess labels\ttypes other than A, NS")
	for _, l := range []level{atRoot, atTLD, below, lame, silent, unplaced} {
		for _, exists := range []bool{true, false} {
			for _, r := range runs {
				if e := w.exposures(r.seen)[place{l, exists}]; e != nil {
					fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\n", l, existence(exists), r.resolver.name, e.queries, e.excess, e.ownType)
				}
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}

func existence(exists bool) string {
	if exists {
		return "exists"
	}
	return "does not exist"
}
