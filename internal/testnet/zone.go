package testnet

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// defaultTTL is for records that state none, and the TTL of the SOA record that NewZone adds.
const defaultTTL = 3600

// A Zone is the authoritative data of one zone. It answers as RFC 1034 section 4.3.2 says, with RFC 4592 for wildcards
// and RFC 6672 for DNAME.
type Zone struct {
	origin string

	mu     sync.RWMutex
	nodes  map[string]node // by owner name in lower case, empty non-terminals included
	signer *signer         // nil: not signed
}

// A node is the RRsets of one name, by type.
type node map[uint16][]dns.RR

// NewZone reads a zone from master-file text. Names without a dot at the end are relative to origin, records without a
// TTL have 3600 s, indentation common to all lines is ignored. A zone without SOA gets one with a negative TTL of 300 s.
func NewZone(origin, text string) (*Zone, error) {
	z := &Zone{origin: dns.CanonicalName(origin), nodes: make(map[string]node)}
	if err := z.Add(text); err != nil {
		return nil, err
	}
	if z.nodes[z.origin][dns.TypeSOA] == nil {
		z.insert(defaultSOA(z.origin))
	}
	return z, nil
}

// MustZone is NewZone for text that is known to be good.
func MustZone(origin, text string) *Zone {
	z, err := NewZone(origin, text)
	if err != nil {
		panic(err)
	}
	return z
}

// Origin is the name of the apex, in lower case.
func (z *Zone) Origin() string { return z.origin }

// Add adds records.
func (z *Zone) Add(text string) error {
	records, err := parse(z.origin, text)
	if err != nil {
		return err
	}
	for _, rr := range records {
		if !dns.IsSubDomain(z.origin, rr.Header().Name) {
			return fmt.Errorf("testnet: %s is not in %s", rr.Header().Name, z.origin)
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, rr := range records {
		z.insert(rr)
	}
	z.changed()
	return nil
}

// Remove takes the RRsets of these types away from a name, or, without types, all of them.
func (z *Zone) Remove(name string, types ...uint16) {
	z.mu.Lock()
	defer z.mu.Unlock()
	owner := dns.CanonicalName(name)
	for t := range z.nodes[owner] {
		if len(types) == 0 || slices.Contains(types, t) {
			delete(z.nodes[owner], t)
		}
	}
	// Names that now hold nothing and lead to nothing must not stay behind as empty non-terminals.
	kept := z.nodes
	z.nodes = make(map[string]node, len(kept))
	for _, n := range kept {
		for _, set := range n {
			for _, rr := range set {
				z.insert(rr)
			}
		}
	}
	z.changed()
}

// Records returns copies of an RRset's records.
func (z *Zone) Records(name string, t uint16) []dns.RR {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return copies(z.nodes[dns.CanonicalName(name)][t])
}

// insert adds one record and the empty non-terminals above it. z.mu is held, or z is not shared yet.
func (z *Zone) insert(rr dns.RR) {
	owner, t := dns.CanonicalName(rr.Header().Name), rr.Header().Rrtype
	if set := z.node(owner)[t]; !holds(set, rr) {
		z.nodes[owner][t] = append(set, rr)
	}
	for name := owner; name != z.origin; {
		name = parent(name)
		z.node(name)
	}
}

func (z *Zone) node(owner string) node {
	n := z.nodes[owner]
	if n == nil {
		n = make(node)
		z.nodes[owner] = n
	}
	return n
}

// isEmptyNonTerminal reports whether a name exists only because of names below it (RFC 8499 section 7).
func (z *Zone) isEmptyNonTerminal(name string) bool {
	if z == nil {
		return false
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	n, ok := z.nodes[dns.CanonicalName(name)]
	return ok && len(n) == 0
}

func defaultSOA(origin string) dns.RR {
	return &dns.SOA{
		Hdr:  dns.RR_Header{Name: origin, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: defaultTTL},
		Ns:   below("ns1", origin),
		Mbox: below("hostmaster", origin), Serial: 1, Refresh: 7200, Retry: 900, Expire: 1209600, Minttl: 300,
	}
}

// parse reads master-file text.
func parse(origin, text string) ([]dns.RR, error) {
	p := dns.NewZoneParser(strings.NewReader(dedent(text)), origin, "")
	p.SetDefaultTTL(defaultTTL)
	var records []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		records = append(records, rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("testnet: zone %s: %w", origin, err)
	}
	return records, nil
}

func mustParse(origin, text string) []dns.RR {
	records, err := parse(origin, text)
	if err != nil {
		panic(err)
	}
	return records
}

// dedent removes the white space with which all lines begin. In a master file it would mean "same owner as above".
func dedent(text string) string {
	lines := strings.Split(text, "\n")
	common, first := "", true
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		for !first && !strings.HasPrefix(indent, common) {
			common = common[:len(common)-1]
		}
		if first {
			common, first = indent, false
		}
	}
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], common)
	}
	return strings.Join(lines, "\n")
}

// below puts a label under a name.
func below(label, name string) string {
	if name == "." {
		return label + "."
	}
	return label + "." + name
}

// parent takes the first label off a name; that of the root is the root.
func parent(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}

// holds reports whether a set has a record already; a set has no duplicates (RFC 2181 section 5).
func holds(set []dns.RR, rr dns.RR) bool {
	return slices.ContainsFunc(set, func(other dns.RR) bool { return dns.IsDuplicate(other, rr) })
}

func copies(set []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range set {
		out = append(out, dns.Copy(rr))
	}
	return out
}
