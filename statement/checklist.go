package statement

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// An Item is one row of the checklist of RFC 8932 section 5.
type Item struct {
	Section string `json:"section"`
	Title   string `json:"title"`
	State   State  `json:"state"`
	How     string `json:"how"`
}

// A State says how an item stands.
type State string

// States.
const (
	Met      State = "met"
	Deviates State = "deviates"
	Declared State = "declared" // by the operator; tacit cannot know
	Open     State = "not declared"
	Absent   State = "not offered"
)

// Checklist goes through the mitigations that RFC 8932 asks for.
func (s *Statement) Checklist() []Item {
	c, u, o := &s.Practice.Clients, &s.Practice.Upstream, &s.Policy.Operator
	encrypted := slices.ContainsFunc(c.Transports, func(t Transport) bool { return t.Encrypted })
	overTLS := s.offered("tls", "quic")
	if overTLS == Met {
		overTLS = s.without("tls.min_version")
	}
	proven := len(c.Certificates) > 0 && !slices.ContainsFunc(c.Certificates, func(c Certificate) bool { return c.SelfSigned })
	return []Item{
		{"5.1.1", "encrypted transports are offered", met(encrypted), "DNS over TLS, HTTPS or QUIC"},
		{"5.1.2", "credentials that clients can check", met(proven), "a certificate of an authority; self-signed ones have to be pinned"},
		{"5.1.3.1", "DNS over TLS: current versions, padding, no worse service without resumption", overTLS, "TLS 1.3, blocks of 468 octets, no tickets"},
		{"5.1.3.2", "DNS over HTTPS: no headers beyond what is needed, no cookies", s.offered("https", "http3"), strings.Join(c.HTTPHeaders, ", ")},
		{"5.1.4", "DNSSEC is validated", met(s.Practice.DNSSEC.Validated), "trust anchors: " + s.Practice.DNSSEC.Anchors},
		{"5.1.5", "availability", Met, "limits for clients by keyed hash"},
		{"5.1.6", "the same service on all transports", Met, "one pipeline answers all"},
		{"5.1.7", "monitoring in aggregate", s.without("admin.listen", "stats.top"), "counts under constant labels, every ten seconds"},
		{"5.1.8", "a proxy in front is documented", declared(o.FrontedBy), o.FrontedBy},
		{"5.2.1", "data at rest", Met, "there is no query log, and the cache is in memory"},
		{"5.2.2", "captures are minimised", declared(o.PacketCapture), o.PacketCapture},
		{"5.2.4", "other identifiers are discarded", Met, "headers and options of clients are not kept beyond parsing"},
		{"5.2.5", "cache snooping", s.without("cache.ttl_blur"), c.Snooping},
		{"5.3.1", "what is sent onwards: QNAME minimisation, no client subnet", s.without("recursion.qname_minimisation", "recursion.local_root", "dnssec.aggressive_nsec", "forward.upstreams", "forward.first"), u.Minimisation + ", client subnet: " + u.ClientSubnet},
		{"5.3.1", "encryption to authoritative servers", s.without("recursion.encrypt"), u.Encryption},
		{"5.3.2", "obfuscation", Met, "a cache shared by all clients; no dummy queries"},
		{"5.3.3", "sharing of data", declared(strings.Join(o.Partners, "; ")), strings.Join(o.Partners, "; ")},
		{"6", "a statement is published", Met, "/privacy, /privacy.json, tacit privacy"},
	}
}

func met(ok bool) State {
	if ok {
		return Met
	}
	return Deviates
}

func declared(text string) State {
	if text == NotDeclared {
		return Open
	}
	return Declared
}

// offered reports whether there is one of the transports.
func (s *Statement) offered(names ...string) State {
	if slices.ContainsFunc(s.Practice.Clients.Transports, func(t Transport) bool { return slices.Contains(names, t.Name) }) {
		return Met
	}
	return Absent
}

// without reports whether none of the keys is among the deviations.
func (s *Statement) without(keys ...string) State {
	return met(!slices.ContainsFunc(s.Practice.Deviations, func(d Deviation) bool { return slices.Contains(keys, d.Key) }))
}

// WriteChecklist writes the checklist for a terminal, and what of it is met.
func (s *Statement) WriteChecklist(w io.Writer) error {
	var b strings.Builder
	count := map[State]int{}
	for _, item := range s.Checklist() {
		count[item.State]++
		_, _ = fmt.Fprintf(&b, "%-8s %-12s %s: %s\n", item.Section, item.State, item.Title, item.How)
	}
	_, _ = fmt.Fprintf(&b, "\nRFC 8932 section 5: %d met, %d declared by the operator, %d not declared, %d not offered, %d deviate\n",
		count[Met], count[Declared], count[Open], count[Absent], count[Deviates])
	_, err := io.WriteString(w, b.String())
	return err
}
