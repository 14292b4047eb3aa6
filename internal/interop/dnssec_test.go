//go:build interop

package interop

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/miekg/dns"
)

const (
	secureQuestionCount  = 5000
	secureControlCount   = 300
	secureSHA1Count      = 300
	secureDelvCount      = 100
	secureAggressionSize = 1500
)

// TestDNSSECAgreesWithUnbound asks both resolvers about signed zones. They have to agree with the zones on RCODE and
// records, and on AD with what the chain of trust is worth under the policy of each.
func TestDNSSECAgreesWithUnbound(t *testing.T) {
	dir := t.TempDir()
	w := generateSecure(*seed, makeKeys(t, allAlgorithms))
	w.serve(t, dir)
	writeFile(t, filepath.Join(dir, "root.hints"), w.hints())
	questions := w.chooseSecure(*seed, secureQuestionCount)
	if len(questions) != secureQuestionCount {
		t.Fatalf("the world offers %d questions, want %d", len(questions), secureQuestionCount)
	}
	oracle := w.opine(t, dir, w.validatingUnbound("unbound"), unboundPolicy, questions)
	oracle.check(t)
	for _, r := range bothWays(w.validatingTacit("insecure", true)) {
		subject := w.opine(t, dir, r, tacitPolicy, questions)
		t.Logf("%d zones, %d of them signed, in %d ways\n%s", len(w.order), w.signed(), len(combinations()), statusTable(subject, oracle))
		subject.check(t)
		w.checkAgreement(t, subject, oracle)
	}

	few := questions[:secureAggressionSize]
	w.opine(t, dir, w.validatingTacit("insecure", false), tacitPolicy, few).check(t)
	if weak := w.about(questions, secureSHA1Count, usesSHA1); len(weak) < secureSHA1Count/2 {
		t.Errorf("%d questions about SHA-1", len(weak))
	} else {
		w.opine(t, dir, w.validatingTacit("verify", true), tacitSHA1Policy, weak).check(t)
	}
	w.checkWithDelv(t, dir, w.validatingTacit("insecure", true), questions[:secureDelvCount])
	t.Run("control", func(t *testing.T) { w.control(t, dir, questions[:secureControlCount]) })
}

// control shows that a resolver that does not validate, or trusts too little, is found out.
func (w *world) control(t *testing.T, dir string, questions []question) {
	t.Helper()
	blind := w.opine(t, dir, unbound("blind", `module-config: "iterator"`), unboundPolicy, questions)
	half := w.opine(t, dir, w.validatingUnbound("half", "domain-insecure: xn."), unboundPolicy, questions)
	for i, q := range questions {
		if wanted := blind.authentic[i] && q.flags != 0; wanted != (blind.faults[i] != "") {
			t.Errorf("AD wanted: %t, but: %q", wanted, blind.faults[i])
		}
		if half.faults[i] != "" && !w.passes(q, mustName("xn.")) {
			t.Errorf("%s has nothing to do with what is not trusted: %s", q.text, half.faults[i])
		}
	}
	if caught := half.wrong(); caught < len(questions)/10 {
		t.Errorf("%d wrong answers found of a resolver that does not trust a TLD", caught)
	}
}

// validatingTacit is tacit with the world's trust anchor.
func (w *world) validatingTacit(sha1 string, aggressive bool) *resolver {
	return tacit(os.Getenv(binaryVariable), "validate = true", fmt.Sprintf("trust_anchors = [%q]", w.anchor()),
		fmt.Sprintf("sha1 = %q", sha1), fmt.Sprintf("aggressive_nsec = %t", aggressive))
}

func (w *world) validatingUnbound(label string, lines ...string) *resolver {
	return unbound(label, append([]string{`module-config: "validator iterator"`, fmt.Sprintf("trust-anchor: %q", w.anchor()), "ede: yes"}, lines...)...)
}

func (w *world) signed() int {
	count := 0
	for _, z := range w.order {
		count += one(z.signing != nil)
	}
	return count
}

// An opinion is what one resolver said, and what is wrong with it.
type opinion struct {
	resolver  *resolver
	policy    policy
	questions []question
	replies   []reply  // when it was asked for the first time
	authentic []bool   // what AD has to be for those who want to know
	faults    []string // of any time; empty where all is well
}

// opine asks a resolver all questions and compares its answers with the truth under its policy.
func (w *world) opine(t *testing.T, dir string, r *resolver, p policy, questions []question) *opinion {
	t.Helper()
	rounds := r.askRounds(t, dir, questions)
	o := &opinion{resolver: r, policy: p, questions: questions, replies: rounds[0]}
	for i, q := range questions {
		truth, authentic, fault := w.truth(q.name, q.qtype), w.authentic(q.name, q.qtype, p), ""
		for _, replies := range rounds {
			fault = cmp.Or(fault, r.excuse(w, q, replies[i], replies[i].misjudges(q, truth, authentic)))
		}
		o.authentic, o.faults = append(o.authentic, authentic), append(o.faults, fault)
	}
	return o
}

// excuse is the one exception for Unbound (1.17): for type CNAME below a DNAME it looks for a DS at the name of the
// CNAME, takes the DNAME that it gets for an error, and says SERVFAIL. What tacit says is held against the truth.
func (r *resolver) excuse(w *world, q question, reply reply, fault string) string {
	_, dname := w.zoneOf(q.name).redirection(q.name)
	if r.program == "unbound" && q.qtype == dns.TypeCNAME && dname != nil && reply.rcode == dns.RcodeServerFailure {
		return ""
	}
	return fault
}

// misjudges says what is wrong with a reply.
func (r reply) misjudges(q question, truth outcome, authentic bool) string {
	if difference := r.compare(truth); difference != "" {
		return fmt.Sprintf("%s, errors %v", difference, r.errors)
	}
	if want := authentic && q.flags&(wantSignatures|wantStatus) != 0; r.authentic != want {
		return fmt.Sprintf("AD is %t, errors %v", r.authentic, r.errors)
	}
	if q.flags&wantSignatures == 0 && r.signatures > 0 {
		return "signatures that nobody asked for"
	}
	if q.flags&wantSignatures != 0 && authentic && len(truth.answers) > 0 && r.signatures == 0 {
		return "a secure answer without signatures"
	}
	return r.disorder(q.name, q.qtype)
}

func (o *opinion) wrong() int {
	count := 0
	for _, f := range o.faults {
		count += one(f != "")
	}
	return count
}

// check lists every fault in full.
func (o *opinion) check(t *testing.T) {
	t.Helper()
	for i, f := range o.faults {
		if q := o.questions[i]; f != "" {
			t.Errorf("%s: [%s] %s %s: %s", o.resolver.name, q.class, q.text, dns.Type(q.qtype), f)
		}
	}
}

// checkAgreement compares the two resolvers with each other wherever their policies say the same. It repeats what the
// truth says, without the truth.
func (w *world) checkAgreement(t *testing.T, a, b *opinion) {
	t.Helper()
	explained := 0
	for i, q := range a.questions {
		one, other := a.replies[i], b.replies[i]
		if b.resolver.excuse(w, q, other, "excused") == "" {
			continue
		}
		if a.authentic[i] != b.authentic[i] {
			explained++
			one.authentic, other.authentic = false, false
		}
		if d := one.compare(other.outcome); d != "" || one.authentic != other.authentic {
			t.Errorf("the resolvers differ: [%s] %s %s: %s; AD %t against %t", q.class, q.text, dns.Type(q.qtype), d, one.authentic, other.authentic)
		}
	}
	t.Logf("%d of %d questions have another status by policy: SHA-1, Ed448, more than %d iterations",
		explained, len(a.questions), a.policy.iterations)
}

// about picks questions whose answer comes from a zone that is signed in a certain way.
func (w *world) about(questions []question, most int, how func(*zone) bool) []question {
	var out []question
	for _, q := range questions {
		if z := w.zoneFor(q.name, q.qtype); how(z) && len(out) < most {
			out = append(out, q)
		}
	}
	return out
}

func usesSHA1(z *zone) bool {
	return z.signing != nil && (slices.Contains(z.signing.algorithms, dns.RSASHA1) ||
		slices.Contains(z.signing.algorithms, dns.RSASHA1NSEC3SHA1) || slices.Equal(z.signing.digests, []uint8{dns.SHA1}))
}

// passes reports whether the way to the answer leads through the domain.
func (w *world) passes(q question, domain name) bool {
	for qname := q.name; qname != ""; {
		if qname.isAtOrBelow(domain) {
			return true
		}
		_, qname = w.zoneFor(qname, q.qtype).find(qname, q.qtype)
	}
	return false
}

// statusTable counts by class.
func statusTable(subject, oracle *opinion) string {
	type row struct{ questions, secure, subject, oracle, policy int }
	var order []class
	rows := map[class]*row{"all": {}}
	for i, q := range subject.questions {
		if rows[q.class] == nil {
			rows[q.class] = &row{}
			order = append(order, q.class)
		}
		for _, r := range []*row{rows[q.class], rows["all"]} {
			r.questions++
			r.secure += one(subject.authentic[i])
			r.subject += one(subject.faults[i] != "")
			r.oracle += one(oracle.faults[i] != "")
			r.policy += one(subject.authentic[i] != oracle.authentic[i])
		}
	}
	slices.Sort(order)
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "questions\tsecure\tof another status by policy\t%s is wrong\t%s is wrong\t  class\n", subject.resolver.name, oracle.resolver.name)
	for _, c := range append(order, "all") {
		r := rows[c]
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t  %s\n", r.questions, r.secure, r.policy, r.subject, r.oracle, c)
	}
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}
