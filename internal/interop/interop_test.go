//go:build interop

package interop

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A lab is the world served, and watched.
type lab struct {
	world   *world
	dir     string
	capture *capture
}

const (
	questionCount = 2000
	controlCount  = 400
)

// seed decides on the world and the questions; `go test ... -args -seed 7` tries another.
var seed = flag.Uint64("seed", 1, "what the world is made from")

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{world: generate(*seed), dir: t.TempDir()}
	l.world.serve(t, l.dir)
	writeFile(t, filepath.Join(l.dir, "root.hints"), l.world.hints())
	l.capture = startCapture(t)
	return l
}

// TestTacitAgreesWithUnboundAndTheZones is the run that this package is for.
func TestTacitAgreesWithUnboundAndTheZones(t *testing.T) {
	l := newLab(t)
	questions := l.world.choose(*seed, questionCount)
	if len(questions) != questionCount {
		t.Fatalf("the world offers %d questions, want %d", len(questions), questionCount)
	}
	oracle := l.ask(t, unbound("unbound", "qname-minimisation: yes"), questions)
	checkPlan(t, l.world, oracle)
	for _, r := range bothWays(tacit(os.Getenv(binaryVariable), "validate = false")) {
		t.Run(r.name, func(t *testing.T) { l.compare(t, questions, l.ask(t, r, questions), oracle) })
	}
}

func (l *lab) compare(t *testing.T, questions []question, subject, oracle *run) {
	t.Helper()
	verdicts := l.world.judge(questions, subject.replies, oracle)
	t.Logf("%d zones below the TLDs on %d servers\n%s\n%s\n%s", len(l.world.below()), len(l.world.instances),
		verdictTable(verdicts, subject, oracle), costTable(subject, oracle), l.world.exposureTable(subject, oracle))
	checkVerdicts(t, verdicts)
	for _, replies := range subject.again {
		checkVerdicts(t, l.world.judge(questions, replies, oracle))
	}
	for i, reply := range subject.replies {
		if reply.attempts > 1 {
			t.Errorf("no answer within %s to %s %s", replyTimeout, questions[i].text, dns.Type(questions[i].qtype))
		}
	}
	checkPlan(t, l.world, subject)
	for _, exists := range []bool{true, false} {
		if labels, instances := excessAtTop(l.world.exposures(subject.seen), exists); labels != 0 {
			t.Errorf("name %s: root and TLD servers heard %d labels more than needed:\n%s",
				existence(exists), labels, strings.Join(instances, "\n"))
		}
	}
}

// checkVerdicts lists every difference in full. There are no exceptions: in this world Unbound is always right.
func checkVerdicts(t *testing.T, verdicts []verdict) {
	t.Helper()
	for i := range verdicts {
		if v := &verdicts[i]; v.wrong() {
			t.Error(v.describe())
		}
	}
}

// checkPlan fails when a query went anywhere but to a server of the world.
func checkPlan(t *testing.T, w *world, r *run) {
	t.Helper()
	if len(r.seen) == 0 {
		t.Errorf("%s sent no query: the capture does not work", r.resolver.name)
	}
	for _, what := range r.odd {
		t.Errorf("%s sent %s", r.resolver.name, what)
	}
	for p, e := range w.exposures(r.seen) {
		if p.level == unplaced {
			t.Errorf("%s sent %d queries to addresses outside the plan", r.resolver.name, e.queries)
		}
	}
}

// TestControl shows that the run above can fail: a resolver that tells one lie and does not minimise is caught at both,
// and one that does neither is not.
func TestControl(t *testing.T) {
	l := newLab(t)
	questions := l.world.choose(*seed, controlCount)
	lie := questions[firstAddress(t, l.world, questions)]
	honest := l.ask(t, unbound("honest", "qname-minimisation: yes"), questions)
	liar := l.ask(t, unbound("liar", "qname-minimisation: no",
		`local-zone: "`+lie.name.String()+`" typetransparent`, `local-data: "`+lie.name.String()+` A 192.0.2.66"`), questions)
	t.Logf("\n%s\n%s", costTable(honest, liar), l.world.exposureTable(honest, liar))
	for i, v := range l.world.judge(questions, liar.replies, honest) {
		if told := questions[i].name == lie.name && questions[i].qtype == lie.qtype; told != v.wrong() {
			t.Errorf("a lie was told: %t, found: %t\n%s", told, v.wrong(), v.describe())
		}
	}
	if labels, instances := excessAtTop(l.world.exposures(honest.seen), true); labels != 0 {
		t.Errorf("%d excess labels counted for a resolver that minimises:\n%s", labels, strings.Join(instances, "\n"))
	}
	if labels, _ := excessAtTop(l.world.exposures(liar.seen), true); labels < controlCount/4 {
		t.Errorf("%d excess labels counted for a resolver that does not minimise", labels)
	}
	// Unbound's relaxed way is to ask for the whole name after NXDOMAIN, which is to be seen too.
	if labels, _ := excessAtTop(l.world.exposures(honest.seen), false); labels == 0 {
		t.Error("no excess labels counted for a resolver that is relaxed about names that do not exist")
	}
}

// firstAddress finds a question with an address record for an answer.
func firstAddress(t *testing.T, w *world, questions []question) int {
	t.Helper()
	for i, q := range questions {
		if o := w.truth(q.name, q.qtype); q.qtype == dns.TypeA && len(o.answers) == 1 && o.answers[0].Header().Rrtype == dns.TypeA {
			return i
		}
	}
	t.Fatal("no question to lie about")
	return 0
}
