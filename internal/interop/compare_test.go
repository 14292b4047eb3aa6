//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"
)

// A run is what one resolver answered to all questions and what left it for that.
type run struct {
	resolver *resolver
	replies  []reply   // as the questions are
	again    [][]reply // when they were asked again
	seen     []sighting
	odd      []string
}

// A reply is the answer to one question; fault is set when there was none or when its form was wrong. Signatures are
// counted and left out of the answers.
type reply struct {
	outcome
	fault      string
	overTCP    bool
	attempts   int // over UDP, until an answer came
	authentic  bool
	signatures int
	errors     []uint16 // extended errors (RFC 8914)
}

const (
	// workers is how many questions a resolver works on at once.
	workers = 8
	// replyTimeout is a little more than the 5 s within which tacit answers anything. Unbound may need another attempt
	// when it has found a dead server first.
	replyTimeout = 6 * time.Second
	maxAttempts  = 4
	// udpSize is what clients say that they can take (RFC 9715).
	udpSize = 1232
)

// ask asks the resolver everything, and notes what left it for that.
func (l *lab) ask(t *testing.T, r *resolver, questions []question) *run {
	t.Helper()
	l.capture.take(t)
	replies := r.askRounds(t, l.dir, questions)
	out := &run{resolver: r, replies: replies[0], again: replies[1:]}
	out.seen, out.odd = l.capture.take(t)
	return out
}

// askRounds asks everything as often as there are ways in which r answers, and makes sure that the last is to be seen.
func (r *resolver) askRounds(t *testing.T, dir string, questions []question) [][]reply {
	t.Helper()
	replies, recalled := r.interview(t, dir, slices.Repeat([][]question{questions}, r.rounds)...)
	if r.rounds == tacitRounds {
		r.checkRecalled(t, "udp", recalled, len(questions)*9/10)
	}
	return replies
}

// interview starts the resolver, asks it one round of questions after the other, and stops it, so that its upstream
// queries are its own. It counts the finished answers.
func (r *resolver) interview(t *testing.T, dir string, rounds ...[]question) (replies [][]reply, recalled int) {
	t.Helper()
	p := r.start(t, dir)
	replies = make([][]reply, len(rounds))
	for n, questions := range rounds {
		replies[n] = make([]reply, len(questions))
		eachOf(workers, len(questions), func(i int) { replies[n][i] = r.ask(t.Context(), questions[i]) })
	}
	if r.rounds == tacitRounds {
		recalled = count(t, dir)["udp"].Recalled
	}
	p.end(t)
	return replies, recalled
}

// eachOf calls f for 0 to count-1, from several goroutines, and waits for all of them.
func eachOf(workers, count int, f func(i int)) {
	work := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range work {
				f(i)
			}
		})
	}
	for i := range count {
		work <- i
	}
	close(work)
	group.Wait()
}

// end stops a server that should still run.
func (p *process) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Errorf("%s ended during the run: %v\n%s", p.name, p.err, p.tail())
	default:
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// ask puts one question over UDP, again when nothing comes back, and over TCP when the answer was cut off.
func (r *resolver) ask(ctx context.Context, q question) reply {
	var out reply
	var m *dns.Msg
	var err error
	for out.attempts = 1; out.attempts <= maxAttempts; out.attempts++ {
		m, err = r.exchange(ctx, "udp", q)
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			break
		}
	}
	if err == nil && m.Truncated {
		out.overTCP = true
		m, err = r.exchange(ctx, "tcp", q)
	}
	if err != nil {
		out.fault = err.Error()
		return out
	}
	out.rcode, out.authentic = m.Rcode, m.AuthenticatedData
	out.answers, out.signatures = splitSignatures(m.Answer)
	out.errors = extendedErrors(m)
	out.fault = malformation(q, m)
	return out
}

func splitSignatures(rrs []dns.RR) (others []dns.RR, signatures int) {
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			signatures++
			continue
		}
		others = append(others, rr)
	}
	return others, signatures
}

func extendedErrors(m *dns.Msg) []uint16 {
	opt := m.IsEdns0()
	if opt == nil {
		return nil
	}
	var out []uint16
	for _, o := range opt.Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			out = append(out, e.InfoCode)
		}
	}
	return out
}

func (r *resolver) exchange(ctx context.Context, network string, q question) (*dns.Msg, error) {
	m := new(dns.Msg).SetEdns0(udpSize, q.flags&wantSignatures != 0)
	m.Id, m.RecursionDesired = dns.Id(), true
	m.AuthenticatedData, m.CheckingDisabled = q.flags&wantStatus != 0, q.flags&unchecked != 0
	m.Question = []dns.Question{{Name: q.text, Qtype: q.qtype, Qclass: dns.ClassINET}}
	client := &dns.Client{Net: network, Timeout: replyTimeout, UDPSize: udpSize}
	reply, _, err := client.ExchangeContext(ctx, m, r.addr.String())
	return reply, err
}

// malformation says what is wrong with the form of a reply: its header, and its question, which has to come back as it
// was sent, letter case included.
func malformation(q question, m *dns.Msg) string {
	switch {
	case !m.Response || !m.RecursionAvailable || m.Authoritative || m.Truncated || m.Opcode != dns.OpcodeQuery:
		return "wrong header flags"
	case len(m.Question) != 1 || m.Question[0].Qtype != q.qtype || m.Question[0].Qclass != dns.ClassINET:
		return "wrong question"
	case m.Question[0].Name != unpacked(q.text):
		return "question in another letter case"
	}
	return ""
}

// unpacked is the presentation form that the DNS library gives the name written as text.
func unpacked(text string) string {
	var buf [256]byte
	size, err := dns.PackDomainName(text, buf[:], 0, nil, false)
	if err != nil {
		return text
	}
	out, _, err := dns.UnpackDomainName(buf[:size], 0)
	if err != nil {
		return text
	}
	return out
}

// A verdict compares the two resolvers and the truth about one question; empty strings are agreement.
type verdict struct {
	question
	truth                       outcome
	subject, oracle, difference string
	disorder                    string // of the subject's answer section
}

// judge compares a subject with an oracle, question by question.
func (w *world) judge(questions []question, subject []reply, oracle *run) []verdict {
	out := make([]verdict, len(questions))
	for i, q := range questions {
		s, o := subject[i], oracle.replies[i]
		v := verdict{question: q, truth: w.truth(q.name, q.qtype)}
		v.subject, v.oracle = s.compare(v.truth), o.compare(v.truth)
		v.difference = s.compare(o.outcome)
		if o.fault != "" {
			v.difference = o.fault
		}
		v.disorder = s.disorder(q.name, q.qtype)
		out[i] = v
	}
	return out
}

func (r reply) compare(other outcome) string {
	if r.fault != "" {
		return r.fault
	}
	return r.difference(other)
}

// wrong reports whether the three do not all agree, or the subject's answer section is in disorder.
func (v *verdict) wrong() bool {
	return v.subject != "" || v.oracle != "" || v.difference != "" || v.disorder != ""
}

// describe lists everything that is known about a difference.
func (v *verdict) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s %s\n  truth: %s\n", v.class, v.text, dns.Type(v.qtype), v.truth.brief())
	for _, line := range []struct{ label, text string }{
		{"subject against truth", v.subject},
		{"oracle against truth", v.oracle},
		{"subject against oracle", v.difference},
		{"order of the answer section", v.disorder},
	} {
		if line.text != "" {
			fmt.Fprintf(&b, "  %s: %s\n", line.label, line.text)
		}
	}
	return b.String()
}

// A tally counts the verdicts of one class.
type tally struct{ questions, noError, noData, noName, subject, oracle, difference int }

func (c *tally) add(v *verdict) {
	c.questions++
	switch {
	case v.truth.rcode == dns.RcodeNameError:
		c.noName++
	case len(v.truth.answers) == 0:
		c.noData++
	default:
		c.noError++
	}
	c.subject += one(v.subject != "" || v.disorder != "")
	c.oracle += one(v.oracle != "")
	c.difference += one(v.difference != "")
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// verdictTable counts by class, in the order of first occurrence.
func verdictTable(verdicts []verdict, subject, oracle *run) string {
	var total tally
	var order []class
	byClass := make(map[class]*tally)
	for i := range verdicts {
		v := &verdicts[i]
		if byClass[v.class] == nil {
			byClass[v.class] = new(tally)
			order = append(order, v.class)
		}
		byClass[v.class].add(v)
		total.add(v)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	s, o := subject.resolver.name, oracle.resolver.name
	fmt.Fprintf(table, "questions\tanswer\tno data\tno name\t%s is wrong\t%s is wrong\tthey differ\t  class\n", s, o)
	for _, c := range order {
		byClass[c].print(table, string(c))
	}
	total.print(table, "all")
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}

func (c *tally) print(table *tabwriter.Writer, label string) {
	fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n",
		c.questions, c.noError, c.noData, c.noName, c.subject, c.oracle, c.difference, label)
}

// costTable shows what the questions cost upstream.
func costTable(runs ...*run) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "cost\tquestions\tqueries sent\tof these over TCP\tqueries per question\tasked again\tanswered over TCP")
	for _, r := range runs {
		var again, clientTCP, serverTCP int
		for _, reply := range r.replies {
			again += one(reply.attempts > 1)
			clientTCP += one(reply.overTCP)
		}
		for _, s := range r.seen {
			serverTCP += one(s.tcp)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.2f\t%d\t%d\n", r.resolver.name, len(r.replies), len(r.seen), serverTCP,
			float64(len(r.seen))/float64(len(r.replies)), again, clientTCP)
	}
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}
