package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"tacit/config"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/resolver"
	"tacit/upstream"
)

// A Step is one thing that happened in a resolution of the operator's own, in text: it is for the terminal of whoever
// asked for it, and is kept nowhere.
type Step struct {
	Kind         string  `json:"step"` // asked, cut, alias, known, copy, validated, finished
	Milliseconds float64 `json:"at_ms"`
	Depth        int     `json:"depth"` // above 0: on the way to a name server's address

	Zone      string  `json:"zone,omitempty"`
	Server    string  `json:"server,omitempty"`
	Address   string  `json:"address,omitempty"`
	Transport string  `json:"transport,omitempty"`
	RTT       float64 `json:"rtt_ms,omitempty"`

	Name string `json:"name,omitempty"` // that the server was shown, or that is looked for next
	Type string `json:"type,omitempty"`

	Outcome string `json:"outcome,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// A Summary tells what the whole resolution came to.
type Summary struct {
	Rcode        string   `json:"rcode"`
	Errors       []string `json:"errors,omitempty"` // extended DNS errors
	Records      int      `json:"records"`          // in the answer section
	Milliseconds float64  `json:"ms"`
	Queries      int      `json:"queries"`
	Encrypted    int      `json:"encrypted"` // ... of them
	Servers      int      `json:"servers"`
	Levels       []Level  `json:"levels"`
	Chain        []Link   `json:"chain,omitempty"` // of trust, from the root down; empty when nothing was validated
}

// A Link is one zone of the chain of trust.
type Link struct {
	Zone   string   `json:"zone"`
	Status string   `json:"status"`
	Keys   []string `json:"keys,omitempty"` // tag, algorithm, and whether it is a KSK
	Detail string   `json:"detail,omitempty"`
}

// A Level is what the servers of one zone learned.
type Level struct {
	Zone    string `json:"zone"`
	Queries int    `json:"queries"`
	Servers int    `json:"servers"`
	// Labels is the most labels that one of them was shown, and Of how many the longest name had that was looked for
	// in the zone or below: what they would have learned without RFC 9156.
	Labels int `json:"labels"`
	Of     int `json:"of"`
}

// ErrTraceQuestion is returned for a question that cannot be asked.
var ErrTraceQuestion = errors.New("not a domain name and a type such as A, AAAA, MX or TYPE65")

// Trace resolves one question with an empty cache and reports each step.
func Trace(ctx context.Context, c *config.Config, env Env, name, kind string, report func(Step)) (Summary, error) {
	q, err := parseQuestion(name, kind)
	if err != nil {
		return Summary{}, err
	}
	env = env.withDefaults()
	z := newZones(c, env, &zones{keys: ZoneKeys(c), keyPath: keyPath(c)}, nil) // who looks on makes no keys
	v := newValidation(c, env, z, nil)
	if v != nil {
		v.keeper.path = "" // the file belongs to the tacit that serves
	}
	p, err := build(c, env, newCache(c), upstream.NewMemory(upstream.MemoryOptions{}), z, v, nil)
	if err != nil {
		return Summary{}, err
	}
	started := env.Now()
	t := tally{levels: map[wire.Name]*level{}, names: map[wire.Name]bool{}, servers: map[netip.AddrPort]bool{}}
	a := p.resolver.Trace(ctx, q, func(e resolver.Event) {
		t.count(e)
		report(describe(e))
	})
	summary := t.summary()
	summary.Milliseconds = milliseconds(env.Now().Sub(started))
	summary.readAnswer(a)
	if v != nil {
		summary.Chain = describeChain(p.validator.Chain(q.Name, env.Now()))
	}
	return summary, p.close()
}

func parseQuestion(name, kind string) (wire.Question, error) {
	n, err := wire.ParseName(name)
	t, ok := parseType(kind)
	if err != nil || !ok || t.IsMeta() {
		return wire.Question{}, ErrTraceQuestion
	}
	return wire.Question{Name: n, Type: t, Class: wire.ClassIN}, nil
}

func describe(e resolver.Event) Step {
	s := Step{
		Kind: kindNames[e.Kind], Milliseconds: milliseconds(e.Since), Depth: e.Depth,
		Outcome: e.Outcome, Detail: e.Detail,
	}
	switch e.Kind {
	case resolver.EventAsked:
		s.Zone, s.Name, s.Type = e.Cut.Reveal(), e.Asked.Name.Reveal(), typeText(e.Asked.Type)
		s.Server, s.Address = e.ServerName.Reveal(), e.Server.At(e.Transport).String()
		s.Transport, s.RTT = e.Transport.String(), milliseconds(e.RTT)
	case resolver.EventCut:
		s.Zone = e.Cut.Reveal()
	case resolver.EventAlias:
		s.Name = e.Asked.Name.Reveal()
	case resolver.EventCache, resolver.EventCopy, resolver.EventLocal, resolver.EventVerdict:
		s.Name, s.Type = e.Asked.Name.Reveal(), typeText(e.Asked.Type)
	case resolver.EventFinished:
	}
	return s
}

var kindNames = [...]string{
	resolver.EventAsked: "asked", resolver.EventCut: "cut", resolver.EventAlias: "alias",
	resolver.EventCache: "known", resolver.EventCopy: "copy", resolver.EventLocal: "served here", resolver.EventVerdict: "validated", resolver.EventFinished: "finished",
}

func describeChain(links []dnssec.Link) []Link {
	chain := make([]Link, len(links))
	for i, l := range links {
		chain[i] = Link{Zone: l.Zone.Reveal(), Status: l.Status.String(), Detail: l.Reason.Text}
		for _, k := range l.Keys {
			role := "ZSK"
			if k.SEP {
				role = "KSK"
			}
			chain[i].Keys = append(chain[i].Keys, fmt.Sprintf("%s %d (algorithm %d)", role, k.Tag, k.Algorithm))
		}
	}
	return chain
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// A tally counts what servers learned.
type tally struct {
	order   []wire.Name
	levels  map[wire.Name]*level
	names   map[wire.Name]bool // that any server was shown
	servers map[netip.AddrPort]bool
	queries int

	encrypted int // queries
}

type level struct {
	queries, labels int
	servers         map[netip.AddrPort]bool
}

func (t *tally) count(e resolver.Event) {
	if e.Kind != resolver.EventAsked {
		return
	}
	l := t.levels[e.Cut]
	if l == nil {
		l = &level{servers: map[netip.AddrPort]bool{}}
		t.levels[e.Cut] = l
		t.order = append(t.order, e.Cut)
	}
	t.queries++
	if e.Transport.Encrypted() {
		t.encrypted++
	}
	t.names[e.Asked.Name] = true
	t.servers[e.Server.Addr] = true
	l.queries++
	l.servers[e.Server.Addr] = true
	l.labels = max(l.labels, e.Asked.Name.Labels())
}

func (t *tally) summary() Summary {
	s := Summary{Queries: t.queries, Encrypted: t.encrypted, Servers: len(t.servers)}
	for _, zone := range t.order {
		l := t.levels[zone]
		s.Levels = append(s.Levels, Level{
			Zone: zone.Reveal(), Queries: l.queries, Servers: len(l.servers), Labels: l.labels, Of: t.longest(zone),
		})
	}
	return s
}

// longest counts the labels of the longest name below a zone.
func (t *tally) longest(zone wire.Name) int {
	labels := 0
	for name := range t.names {
		if name.Within(zone) {
			labels = max(labels, name.Labels())
		}
	}
	return labels
}

// readAnswer takes RCODE and ANCOUNT from the header (RFC 1035 section 4.1.1).
func (s *Summary) readAnswer(a wire.Answer) {
	if len(a.Packet) >= wire.HeaderLength {
		s.Rcode = wire.Rcode(a.Packet[3] & 0xf).String()
		s.Records = int(a.Packet[6])<<8 | int(a.Packet[7])
	}
	for _, e := range a.Errors {
		text := "EDE " + strconv.Itoa(int(e.Code))
		if e.Text != "" {
			text += " (" + e.Text + ")"
		}
		s.Errors = append(s.Errors, text)
	}
}
