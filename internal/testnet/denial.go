package testnet

import (
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A chain is the spans of a zone in canonical order, or in that of their hashes. Each ends where the next one begins.
type chain []span

// A span becomes an NSEC or NSEC3 record.
type span struct {
	owner string   // for NSEC3: the hash
	key   []string // by which spans are ordered
	types []uint16
}

// noName proves that there is neither the name nor a wildcard for it (RFC 4035 section 3.1.3.2, RFC 5155 section 7.2.2).
func (g *signer) noName(name string) []dns.RR {
	if g.Denial == Compact {
		return []dns.RR{g.compact(name, []uint16{dns.TypeNXNAME})}
	}
	if g.Denial == NSEC3 {
		encloser := g.provableEncloser(name)
		return append(g.closestEncloser(name, encloser), g.covering(below("*", encloser)))
	}
	encloser := parent(dns.CanonicalName(name))
	for g.zone.nodes[encloser] == nil {
		encloser = parent(encloser)
	}
	return []dns.RR{g.covering(name), g.covering(below("*", encloser))}
}

// noData proves that a name, or the wildcard that answers for it, does not have a type (RFC 4035 sections 3.1.3.1 and
// 3.1.3.4, RFC 5155 sections 7.2.3 to 7.2.5). For an empty non-terminal there is only an NSEC that covers it.
func (g *signer) noData(name, owner string) []dns.RR {
	expanded := owner != dns.CanonicalName(name)
	switch {
	case g.Denial == Compact:
		return []dns.RR{g.compact(name, g.typesAt(owner))}
	case g.Denial == NSEC && expanded:
		return []dns.RR{g.covering(name), g.covering(owner)}
	case g.Denial == NSEC:
		return []dns.RR{g.covering(name)}
	case expanded:
		return append(g.closestEncloser(name, parent(owner)), g.covering(owner))
	}
	if i, exact := g.find(name); exact {
		return []dns.RR{g.record(i)}
	}
	// Left out for opt-out (RFC 5155 section 7.2.4).
	return g.closestEncloser(name, g.provableEncloser(name))
}

// noCloserMatch proves that a wildcard was the best match (RFC 4035 section 3.1.3.3, RFC 5155 section 7.2.6). With compact
// denial wildcards are expanded before they are signed.
func (g *signer) noCloserMatch(name, wildcard string) []dns.RR {
	switch g.Denial {
	case Compact:
		return nil
	case NSEC3:
		return []dns.RR{g.covering(nextCloser(name, parent(wildcard)))}
	case NSEC:
	}
	return []dns.RR{g.covering(name)}
}

// closestEncloser is the proof of RFC 5155 section 7.2.1.
func (g *signer) closestEncloser(name, encloser string) []dns.RR {
	return []dns.RR{g.covering(encloser), g.covering(nextCloser(name, encloser))}
}

// provableEncloser is the closest ancestor that has an NSEC3 record.
func (g *signer) provableEncloser(name string) string {
	for name = parent(dns.CanonicalName(name)); ; name = parent(name) {
		if _, exact := g.find(name); exact {
			return name
		}
	}
}

// nextCloser is the name one label longer than encloser on the way to name (RFC 5155 section 1.3).
func nextCloser(name, encloser string) string {
	name = dns.CanonicalName(name)
	for parent(name) != encloser {
		name = parent(name)
	}
	return name
}

// compact is an NSEC record that covers nothing but itself (RFC 9824 section 3).
func (g *signer) compact(name string, types []uint16) dns.RR {
	owner := dns.CanonicalName(name)
	next := `\000.` + strings.TrimPrefix(owner, ".")
	if _, ok := dns.IsDomainName(next); !ok {
		next = g.origin // the name is too long to have a successor below it
	}
	return &dns.NSEC{Hdr: g.header(owner, dns.TypeNSEC), NextDomain: next, TypeBitMap: sorted(types, dns.TypeRRSIG, dns.TypeNSEC)}
}

// virtual is an NSEC record that is asked for by itself.
func (g *signer) virtual(name string) []dns.RR {
	if g.Denial == Compact {
		return []dns.RR{g.compact(name, g.typesAt(dns.CanonicalName(name)))}
	}
	if i, exact := g.find(name); exact && g.Denial == NSEC {
		return []dns.RR{g.record(i)}
	}
	return nil
}

// covering is the record that matches a name or, else, covers it.
func (g *signer) covering(name string) dns.RR {
	i, _ := g.find(name)
	return g.record(i)
}

// find returns the last span that does not begin after name; the last one of all wraps around to the first.
func (g *signer) find(name string) (i int, exact bool) {
	spans := g.spans()
	i, exact = slices.BinarySearchFunc(spans, g.key(name), func(s span, key []string) int { return slices.Compare(s.key, key) })
	if !exact {
		i = (i - 1 + len(spans)) % len(spans)
	}
	return i, exact
}

func (g *signer) key(name string) []string {
	if g.Denial == NSEC3 {
		return []string{g.hash(name)}
	}
	return canonicalLabels(name)
}

func (g *signer) hash(name string) string {
	name = dns.CanonicalName(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	h, ok := g.hashes[name]
	if !ok {
		h = strings.ToLower(dns.HashName(name, dns.SHA1, g.Iterations, g.Salt))
		g.hashes[name] = h
	}
	return h
}

func (g *signer) record(i int) dns.RR {
	spans := g.spans()
	s, next := spans[i], spans[(i+1)%len(spans)]
	if g.Denial == NSEC {
		return &dns.NSEC{Hdr: g.header(s.owner, dns.TypeNSEC), NextDomain: next.owner, TypeBitMap: s.types}
	}
	n := &dns.NSEC3{
		Hdr: g.header(below(s.owner, g.origin), dns.TypeNSEC3), Hash: dns.SHA1, Iterations: g.Iterations,
		SaltLength: uint8(len(g.Salt) / 2), Salt: g.Salt,
		HashLength: 20, NextDomain: strings.ToUpper(next.owner), TypeBitMap: s.types,
	}
	if g.OptOut {
		n.Flags = 1
	}
	return n
}

// header has the TTL of RFC 9077 section 3: that of negative answers.
func (g *signer) header(owner string, t uint16) dns.RR_Header {
	h := header(owner, t)
	if soa, ok := first(g.zone.nodes[g.origin][dns.TypeSOA]).(*dns.SOA); ok {
		h.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	}
	return h
}

func first(set []dns.RR) dns.RR {
	if len(set) == 0 {
		return nil
	}
	return set[0]
}

func (g *signer) spans() chain {
	g.mu.Lock()
	c := g.chain
	g.mu.Unlock()
	if c != nil {
		return c
	}
	c = g.build() // takes the mutex for hashes
	g.mu.Lock()
	defer g.mu.Unlock()
	g.chain = c
	return c
}

// build lists the names for which the zone has authority, and the cuts.
func (g *signer) build() chain {
	names := make(map[string]bool)
	for name, n := range g.zone.nodes {
		if _, occluded := g.zone.obstacle(name, dns.TypeDS); occluded != 0 || len(n) == 0 || g.optsOut(name) {
			continue
		}
		names[name] = true
		// Empty non-terminals have an NSEC3 record, but no NSEC.
		for up := name; g.Denial == NSEC3 && up != g.origin; {
			up = parent(up)
			names[up] = true
		}
	}
	var c chain
	for name := range names {
		s := span{owner: name, key: g.key(name), types: g.typesAt(name)}
		if g.Denial == NSEC3 {
			s.owner = s.key[0]
		} else {
			s.types = sorted(s.types, dns.TypeRRSIG, dns.TypeNSEC)
		}
		c = append(c, s)
	}
	slices.SortFunc(c, func(a, b span) int { return slices.Compare(a.key, b.key) })
	return c
}

// optsOut reports whether a name is an insecure delegation that opt-out leaves out (RFC 5155 section 7.1).
func (g *signer) optsOut(name string) bool {
	return g.Denial == NSEC3 && g.OptOut && g.isCut(name) && g.zone.nodes[name][dns.TypeDS] == nil
}

func (g *signer) isCut(name string) bool {
	return name != g.origin && g.zone.nodes[name][dns.TypeNS] != nil
}

// typesAt is what the type bit map of a name says, without NSEC. At a cut only NS and DS are the parent's to speak of
// (RFC 4035 section 2.3), and if there is no DS, nothing there is signed (RFC 5155 section 7.1).
func (g *signer) typesAt(name string) []uint16 {
	n := g.zone.nodes[name]
	types := slices.Collect(maps.Keys(n))
	if g.isCut(name) {
		types = slices.DeleteFunc(types, func(t uint16) bool { return t != dns.TypeNS && t != dns.TypeDS })
		if n[dns.TypeDS] == nil {
			return types
		}
	}
	if len(types) == 0 {
		return nil
	}
	return sorted(types, dns.TypeRRSIG)
}

func sorted(types []uint16, more ...uint16) []uint16 {
	types = append(slices.Clone(types), more...)
	slices.Sort(types)
	return slices.Compact(types)
}
