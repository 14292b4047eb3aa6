//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/miekg/dns"
)

// A brokenWorld has a zone for each way to be broken, for each algorithm and way of denial.
type brokenWorld struct {
	*world
	rings  keyRings
	relay  *middle
	server *instance
	leaves *generator
	cases  []brokenCase
}

// A brokenCase is the question that runs into one broken zone.
type brokenCase struct {
	way      *way
	question question
	server   netip.Addr
}

// TestBrokenZones breaks zones in every way, and checks that tacit says so with the right extended error, and that a
// client that sets CD gets the data all the same, before and after.
func TestBrokenZones(t *testing.T) {
	dir := t.TempDir()
	b := breakWorld(*seed, makeKeys(t, allAlgorithms))
	b.serve(t, dir)
	b.relay.start(t, b.middle[0])
	writeFile(t, filepath.Join(dir, "root.hints"), b.hints())
	oracle := b.run(t, dir, b.validatingUnbound("unbound"))
	blind := b.run(t, dir, unbound("blind", `module-config: "iterator"`))
	for _, r := range bothWays(b.validatingTacit("insecure", true)) {
		subject := b.run(t, dir, r)
		t.Logf("%d broken zones; the answers are RCODE and extended errors\n%s", len(b.cases), b.table(subject, oracle))
		for i := range b.cases {
			for _, fault := range subject[i].faults(&b.cases[i]) {
				t.Errorf("%s: %s %s: %s", r.name, b.cases[i].way.label, b.cases[i].question.text, fault)
			}
		}
	}
	for i := range b.cases {
		c := &b.cases[i]
		if len(blind[i].faults(c)) == 0 {
			t.Errorf("%s %s: a resolver that does not validate passes", c.way.label, c.question.text)
		}
		// Unbound has codes of its own for some of this; it must agree on what can be believed.
		if reply := oracle[i].first; reply.rcode != c.way.rcode && !c.way.doubts {
			t.Errorf("%s %s: unbound says %s", c.way.label, c.question.text, reply.summary())
		}
	}
}

func breakWorld(seed uint64, rings keyRings) *brokenWorld {
	b := &brokenWorld{world: &world{zones: make(map[name]*zone)}, rings: rings}
	b.leaves = &generator{world: b.world, random: rand.New(rand.NewPCG(seed, 7))}
	top := b.addInstance("top", nsd, 2)
	b.server = b.addInstance("leaf", nsd, 2)
	b.middle = []netip.Addr{netip.MustParseAddr("198.19.1.1")}
	b.relay = &middle{server: netip.AddrPortFrom(b.server.v4[0], 53).String(), world: b.world, edits: make(map[name]edit)}
	b.roots = []*host{top.addHost("a.rootns.", bothFamilies)}
	b.sign(b.addZone(".", plainZone, b.roots, nil), rings, &signing{algorithms: []uint8{dns.RSASHA256}})
	xn := b.addZone("xn.", plainZone, []*host{top.addHost("ns1.nic.xn.", bothFamilies)}, nil)
	b.sign(xn, rings, &signing{algorithms: []uint8{dns.ECDSAP256SHA256}, digests: []uint8{dns.SHA256}})
	all := ways()
	for i := range all {
		b.addWay(&all[i])
	}
	return b
}

// addWay makes the zones that are broken in one way.
func (b *brokenWorld) addWay(w *way) {
	algorithms, denials := w.weak, w.only
	if algorithms == nil {
		algorithms = []uint8{dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519}
	}
	if denials == nil {
		denials = []denial{nsec, nsec3, nsec3OptOut}
	}
	for i, a := range algorithms {
		for _, d := range denials {
			b.addBroken(w, &signing{algorithms: []uint8{a}, denial: d, single: (i+int(d))%2 == 1, digests: []uint8{dns.SHA256}})
		}
	}
}

func (b *brokenWorld) addBroken(w *way, s *signing) {
	algorithm := s.algorithms[0]
	apex := w.zoneLabel(algorithm, s.denial) + ".xn."
	at := b.server.addHost("ns1."+apex, onlyIPv4)
	if w.edit != nil {
		at = &host{name: "ns1." + apex, v4: b.middle, instance: b.server}
		b.relay.edits[mustName(apex)] = w.edit
	}
	z := b.addZone(apex, plainZone, []*host{at}, nil)
	z.add("www.%s 3600 IN A %s", apex, b.leaves.addr4())
	z.add("*.wild.%s 3600 IN A %s", apex, b.leaves.addr4())
	z.add("host.wild.%s 3600 IN A %s", apex, b.leaves.addr4())
	if w.how != nil {
		w.how(s)
	}
	if w.spoil != nil {
		s.spoil = func(signed *signedZone) error { return w.spoil(signed, b.rings[algorithm]) }
	}
	b.sign(z, b.rings, s)
	if strings.HasSuffix(w.asked, "lower.") {
		lower := b.addZone("lower."+apex, plainZone, []*host{{name: "ns1.lower." + apex, v4: at.v4, instance: b.server}}, nil)
		lower.add("www.lower.%s 3600 IN A %s", apex, b.leaves.addr4())
		b.sign(lower, b.rings, &signing{algorithms: s.algorithms, denial: s.denial, digests: s.digests})
	}
	text := w.asked + apex
	b.cases = append(b.cases, brokenCase{w, question{class: class(w.label), text: text, name: mustName(text), qtype: dns.TypeA, flags: wantSignatures}, at.v4[0]})
}

// A result is what one resolver said to one case: checked, with CD, and checked twice more.
type result struct {
	first, unchecked, again, finally reply
	served                           outcome // what the server says
}

// run asks about every case. Every other case is asked with CD first, when nothing is known yet.
func (b *brokenWorld) run(t *testing.T, dir string, r *resolver) []result {
	t.Helper()
	rounds, answered := make([][]question, 4), 0
	for i, c := range b.cases {
		loose := c.question
		loose.flags |= unchecked
		pair := []question{c.question, loose}
		rounds[0], rounds[1] = append(rounds[0], pair[i%2]), append(rounds[1], pair[1-i%2])
		rounds[2], rounds[3] = append(rounds[2], c.question), append(rounds[3], c.question)
		answered += one(c.way.rcode != dns.RcodeServerFailure)
	}
	replies, recalled := r.interview(t, dir, rounds...)
	if r.rounds == tacitRounds {
		r.checkRecalled(t, "udp", recalled, answered)
	}
	out := make([]result, len(b.cases))
	for i, c := range b.cases {
		out[i] = result{replies[i%2][i], replies[1-i%2][i], replies[2][i], replies[3][i], c.serve(t)}
	}
	return out
}

// serve asks the server itself.
func (c *brokenCase) serve(t *testing.T) outcome {
	t.Helper()
	query := new(dns.Msg).SetQuestion(c.question.name.String(), dns.TypeA).SetEdns0(dns.MaxMsgSize-1, true)
	client := &dns.Client{Net: "tcp", Timeout: replyTimeout}
	m, _, err := client.ExchangeContext(t.Context(), query, netip.AddrPortFrom(c.server, 53).String())
	if err != nil {
		t.Fatal(err)
	}
	answers, _ := splitSignatures(m.Answer)
	return outcome{m.Rcode, answers}
}

// faults says what is wrong with a result.
func (r *result) faults(c *brokenCase) []string {
	var out []string
	for round, reply := range map[string]reply{"first": r.first, "again": r.again, "once more": r.finally} {
		right := len(c.way.codes) == 0 && reply.authentic ||
			!reply.authentic && slices.ContainsFunc(reply.errors, func(code uint16) bool { return slices.Contains(c.way.codes, code) })
		if reply.fault != "" || reply.rcode != c.way.rcode || !right {
			out = append(out, fmt.Sprintf("%s: %s, want %s", round, reply.summary(), c.way.expectation()))
		}
	}
	if difference := r.unchecked.compare(r.served); difference != "" {
		out = append(out, "with CD: "+difference)
	}
	// RFC 4035 section 3.2.3: what was not checked is not authentic.
	if r.unchecked.authentic && len(c.way.codes) > 0 {
		out = append(out, "with CD: AD is set")
	}
	return out
}

func (r reply) summary() string {
	if r.fault != "" {
		return r.fault
	}
	text := dns.RcodeToString[r.rcode]
	if r.authentic {
		text += " AD"
	}
	for _, code := range r.errors {
		text += fmt.Sprintf(" %d", code)
	}
	return text
}

func (w *way) expectation() string {
	if len(w.codes) == 0 {
		return dns.RcodeToString[w.rcode] + " AD"
	}
	var codes []string
	for _, code := range w.codes {
		codes = append(codes, fmt.Sprint(code))
	}
	return dns.RcodeToString[w.rcode] + " " + strings.Join(codes, " or ")
}

// table has a line for each way: the answers of both resolvers, with how many zones gave each.
func (b *brokenWorld) table(subject, oracle []result) string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "way\tzones\texpected\ttacit\tunbound\ttacit, CD=1")
	for first := 0; first < len(b.cases); {
		last := first
		for last < len(b.cases) && b.cases[last].way == b.cases[first].way {
			last++
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", b.cases[first].way.label, last-first, b.cases[first].way.expectation(),
			countSummaries(subject[first:last], func(r result) reply { return r.first }),
			countSummaries(oracle[first:last], func(r result) reply { return r.first }),
			countSummaries(subject[first:last], func(r result) reply { return r.unchecked }))
		first = last
	}
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	return text.String()
}

func countSummaries(results []result, of func(result) reply) string {
	counts := make(map[string]int)
	for _, r := range results {
		counts[of(r).summary()]++
	}
	var parts []string
	for text, count := range counts {
		if count < len(results) {
			text = fmt.Sprintf("%s (%d)", text, count)
		}
		parts = append(parts, text)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
