package resolver

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// A tree is zones below example., of which the model knows what each question comes to and how secure it is.
type tree struct {
	*rand.Rand
	zones []*branch
}

// A branch is one zone of a tree.
type branch struct {
	origin string
	above  *branch
	server *testnet.Server
	secure bool // there is a chain of trust to it
	vague  bool // what it denies is insecure: opt-out, or more iterations than are believed in
	steep  bool // the latter
	brief  bool // compact denial: names that do not exist have no data
	linked bool // there is a DS
	alias  aim
	wild   aim // of *.cwild
	dname  *branch
}

// An aim is what an alias points to.
type aim struct {
	label string // www, no, x.wild
	zone  *branch
}

// An expectation is the end of a question's way.
type expectation struct {
	rcode  int
	secure bool
}

func (e expectation) String() string {
	return dns.RcodeToString[e.rcode] + map[bool]string{true: " secure", false: " insecure"}[e.secure]
}

// Zone cuts come from proofs: whatever servers hold whichever zones, however they are signed, and wherever aliases
// lead, nothing is falsely bogus, and nothing is more or less secure than its chain of trust makes it (RFC 4035 section
// 5).
func TestRandomTrees(t *testing.T) {
	count := uint64(1000)
	if testing.Short() {
		count = 60
	}
	const workers = 4
	for worker := range uint64(workers) {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for seed := worker; seed < count && !t.Failed(); seed += workers {
				playTree(t, seed)
			}
		})
	}
}

func playTree(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	packets := packetsOn
	if random.IntN(2) == 0 {
		packets = packetsOff
	}
	minimise := func(o *Options) { o.Minimise = []Minimisation{Strict, Strict, Off}[random.IntN(3)] }
	playOnce(t, func(s *script) {
		grow := &tree{Rand: random}
		grow.plant(s)
		s.trust()
		for _, q := range grow.questions() {
			grow.check(s, q, seed)
		}
	}, packets, minimise)
}

// plant makes the zones: up to seven, in up to four levels, TLD included.
func (g *tree) plant(s *script) {
	s.Sign(testnet.Signing{Algorithm: g.algorithm()}, ".")
	top := &branch{origin: "example.", server: s.At("example."), secure: true}
	g.zones = []*branch{top}
	for range 2 + g.IntN(5) {
		above := g.zones[g.IntN(len(g.zones))]
		if strings.Count(above.origin, ".") > 3 {
			above = top
		}
		z := &branch{origin: fmt.Sprintf("z%d.%s", len(g.zones), g.between()) + above.origin, above: above}
		z.server = g.host(s, z)
		g.zones = append(g.zones, z)
	}
	for _, z := range g.zones {
		g.fill(s, z)
	}
	for _, z := range g.zones {
		g.sign(s, z)
	}
}

// between puts empty non-terminals between two cuts at times.
func (g *tree) between() string { return []string{"", "", "e.", "e.f."}[g.IntN(4)] }

// host takes a server of a zone above, or a new one, or both.
func (g *tree) host(s *script, z *branch) *testnet.Server {
	switch g.IntN(4) {
	case 0:
		return s.Zone(z.origin, "")
	case 1:
		s.ZoneAt(z.origin, "", z.above.server)
		return z.above.server
	case 2:
		s.ZoneAt(z.origin, "", g.zones[g.IntN(len(g.zones))].server)
		return s.At(z.origin)
	default:
		server := s.Zone(z.origin, "")
		s.NameServer(z.origin)
		return server
	}
}

func (g *tree) algorithm() uint8 {
	return []uint8{dns.ECDSAP256SHA256, dns.ED25519}[g.IntN(2)]
}

func (g *tree) sign(s *script, z *branch) {
	z.secure = z.above == nil || z.above.secure
	kind := g.IntN(8)
	signing := testnet.Signing{Algorithm: g.algorithm(), Split: g.IntN(2) == 0}
	switch kind {
	case 0, 1: // not signed
		z.secure = false
		return
	case 2: // what it signs leads nowhere
		signing.Island, z.secure = true, false
	case 3, 4:
		signing.Denial, signing.OptOut = testnet.NSEC3, true
		z.vague = true
	case 5:
		signing.Denial, signing.Salt = testnet.NSEC3, "ab"
		if g.IntN(4) == 0 {
			signing.Iterations, z.vague, z.steep = 60, true, true
		}
	case 6:
		signing.Denial, z.brief = testnet.Compact, true
	}
	z.linked = !signing.Island
	s.Sign(signing, z.origin)
	if g.IntN(4) == 0 && !z.steep { // RFC 6840 section 5.11: one good signature is enough
		s.Data(z.origin).AddKey(testnet.CSK, dns.ECDSAP256SHA256+dns.ED25519-signing.Algorithm)
	}
}

func (g *tree) fill(s *script, z *branch) {
	z.alias, z.wild, z.dname = g.aim(), g.aim(), g.zones[g.IntN(len(g.zones))]
	s.add(z.origin, fmt.Sprintf(`
www      A     203.0.113.80
deep.a.b A     203.0.113.81
*.wild   A     203.0.113.82
*.cwild  CNAME %s
alias    CNAME %s
d        DNAME %s
`, z.wild.name(), z.alias.name(), z.dname.origin))
}

func (g *tree) aim() aim {
	return aim{[]string{"www", "no", "x.wild", "deep.a.b"}[g.IntN(4)], g.zones[g.IntN(len(g.zones))]}
}

func (a aim) name() string { return a.label + "." + a.zone.origin }

// A probe is a question that the model can answer: labels in front of a zone's origin.
type probe struct {
	zone   *branch
	labels string
	kind   string
}

var probes = []probe{
	{labels: "www", kind: "A"},
	{labels: "www", kind: "TXT"},
	{labels: "no", kind: "A"},
	{labels: "no.no.no", kind: "TXT"},
	{labels: "a.b", kind: "A"},
	{labels: "b", kind: "TXT"},
	{labels: "deep.a.b", kind: "A"},
	{labels: "no.b", kind: "A"},
	{labels: "x.wild", kind: "A"},
	{labels: "x.y.wild", kind: "A"},
	{labels: "x.wild", kind: "TXT"},
	{labels: "wild", kind: "A"},
	{labels: "x.cwild", kind: "A"},
	{labels: "alias", kind: "A"},
	{labels: "alias", kind: "TXT"},
	{labels: "alias", kind: "CNAME"},
	{labels: "www.d", kind: "A"},
	{labels: "deep.a.b.d", kind: "A"},
	{labels: "alias.d", kind: "A"},
	{labels: "no.no.d", kind: "A"},
	{labels: "", kind: "SOA"},
	{labels: "", kind: "TXT"},
	{labels: "", kind: "DNSKEY"},
	{labels: "", kind: "DS"},
	{labels: "", kind: "NS"},
	{labels: "d", kind: "DNAME"},
	{labels: "no", kind: "DS"},
	{labels: "www", kind: "DS"},
}

func (g *tree) questions() []probe {
	var asked []probe
	for _, z := range g.zones {
		for range 6 {
			q := probes[g.IntN(len(probes))]
			q.zone = z
			asked = append(asked, q)
		}
	}
	g.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	return asked
}

func (q *probe) name() string { return strings.TrimPrefix(q.labels+"."+q.zone.origin, ".") }

func (g *tree) check(s *script, p probe, seed uint64) {
	s.Helper()
	q := question(p.name(), p.kind)
	q.DO = g.IntN(3) > 0
	if g.IntN(6) == 0 { // what is fetched unchecked must not change what is said of it later
		unchecked := q
		unchecked.CD = true
		s.ask(unchecked)
	}
	if g.IntN(6) == 0 {
		time.Sleep(time.Duration(g.IntN(4000)) * time.Second)
	}
	want := p.zone.expect(p.labels, p.kind)
	var reasons []string // of each time
	for range everyWay {
		m := s.unpack(s.ask(q))
		got := expectation{m.Rcode, m.AuthenticatedData}
		reasons = append(reasons, ede(m))
		if got != want {
			s.Fatalf("seed %d: %s %s: %v %s, want %v\n%s\nseen\n%s", seed, p.name(), p.kind, got, ede(m), want, g, strings.Join(s.Seen().Script(), "\n"))
		}
	}
	if reasons[0] != reasons[1] || reasons[1] != reasons[2] {
		s.Errorf("seed %d: %s %s: extended errors %q\n%s", seed, p.name(), p.kind, reasons, g)
	}
}

// expect follows the model from a name in z.
func (z *branch) expect(labels, kind string) expectation {
	if rest, below := strings.CutSuffix(labels, ".d"); below {
		e := z.dname.expect(rest, kind)
		return expectation{e.rcode, e.secure && z.secure}
	}
	exact := z.secure
	denied := z.secure && !z.vague
	wild := strings.HasSuffix(labels, ".wild")
	switch {
	case labels == "" && kind == "DS":
		return z.expectDS()
	case labels == "alias" && kind != "CNAME":
		return z.follow(z.alias, kind, exact)
	case strings.HasSuffix(labels, ".cwild"):
		return z.follow(z.wild, kind, denied)
	case z.holds(labels, kind):
		return expectation{dns.RcodeSuccess, exact}
	case wild:
		return expectation{dns.RcodeSuccess, denied}
	case labels == "no", strings.HasPrefix(labels, "no."):
		return expectation{z.noName(), denied}
	default: // by the name's own record, which opt-out leaves in place
		return expectation{dns.RcodeSuccess, z.secure && !z.steep}
	}
}

func (z *branch) follow(a aim, kind string, secure bool) expectation {
	e := a.zone.expect(a.label, kind)
	return expectation{e.rcode, e.secure && secure}
}

// holds reports whether there are such records at a name.
func (z *branch) holds(labels, kind string) bool {
	switch labels {
	case "www", "deep.a.b", "x.wild", "x.y.wild":
		return kind == "A" && !strings.HasSuffix(labels, ".wild")
	case "alias":
		return kind == "CNAME"
	case "d":
		return kind == "DNAME"
	case "":
		return kind == "SOA" || kind == "NS" || kind == "DNSKEY"
	default:
		return false
	}
}

// noName is the RCODE of names that do not exist: with compact denial they have no data (RFC 9824 section 2), unless
// nobody asked for proofs.
func (z *branch) noName() int {
	if z.brief {
		return dns.RcodeSuccess
	}
	return dns.RcodeNameError
}

// expectDS is about the zone above.
func (z *branch) expectDS() expectation {
	switch up := z.above; {
	case up == nil:
		return expectation{dns.RcodeSuccess, true} // the root is signed, and denies with NSEC
	case z.linked:
		return expectation{dns.RcodeSuccess, up.secure}
	default:
		return expectation{dns.RcodeSuccess, up.secure && !up.vague}
	}
}

// String shows the tree.
func (g *tree) String() string {
	var b strings.Builder
	for _, z := range g.zones {
		fmt.Fprintf(&b, "%s at %s: secure %t, vague %t, steep %t, compact %t, DS %t; alias %s, *.cwild %s, d %s\n", z.origin, z.server.Name(),
			z.secure, z.vague, z.steep, z.brief, z.linked, z.alias.name(), z.wild.name(), z.dname.origin)
	}
	return b.String()
}
