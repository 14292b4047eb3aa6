//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

const servedAsked = 2000

// servedTacit is where tacit listens; the oracles are at port 53 of addresses of their own.
var servedTacit = netip.MustParseAddrPort("127.0.0.1:5335")

// tacit answers for the zones that it serves what others answer from the same files, but for what RFCs leave to the server.
func TestServedZonesAgreeWithOthers(t *testing.T) {
	dir := t.TempDir()
	zones := servedZones(*seed)
	w := &world{}
	knot, nsd := w.addInstance("knotd", knot, 1), w.addInstance("nsd", nsd, 1)
	w.addAddressesToLoopback(t)
	config := fmt.Sprintf("[listen]\nudp = [%[1]q]\ntcp = [%[1]q]\n\n[admin]\ncontrol = %[2]q\n", servedTacit, controlSocket)
	for _, z := range zones {
		file := &zone{apex: mustName(z.apex)}
		knot.load(file)
		nsd.load(file)
		path := filepath.Join(dir, file.file())
		writeFile(t, path, z.text())
		config += fmt.Sprintf("\n[[zone]]\nname = %q\nfile = %q\n", z.apex, path)
	}
	writeFile(t, filepath.Join(dir, "tacit.toml"), config)
	p := start(t, dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	awaitServed(t, p, servedTacit, zones)
	questions := servedQuestions(*seed, zones, servedAsked)
	for _, other := range []struct {
		*instance
		rules []rule
	}{{knot, knotRules}, {nsd, nsdRules}} {
		t.Run(other.name, func(t *testing.T) {
			at := netip.AddrPortFrom(other.v4[0], 53)
			awaitServed(t, other.start(t, dir), at, zones)
			o := &oracle{
				name: other.name, zones: zones, rules: other.rules, used: map[string]int{},
				ask: func(q servedQuestion) word { return q.ask(t, at) },
			}
			o.compare(t, questions)
		})
	}
	if c := count(t, dir)["udp"]; c.Recalled < len(questions) {
		t.Errorf("of %d answers %d were finished ones", c.Queries, c.Recalled)
	}
}

// awaitServed waits until a server has all zones.
func awaitServed(t *testing.T, p *process, at netip.AddrPort, zones []*servedZone) {
	t.Helper()
	for _, z := range zones {
		p.awaitAnswer(t, at, servedQuestion{name: z.apex, kind: dns.TypeSOA}.message(), func(reply *dns.Msg) bool {
			return reply.Authoritative && len(reply.Answer) == 1
		})
	}
}

// compare asks an oracle once, and tacit so often that the last answer is a finished one. Nothing that differs from that would pass.
func (o *oracle) compare(t *testing.T, questions []servedQuestion) {
	t.Helper()
	alike, unexplained := 0, 0
	for _, q := range questions {
		said := o.ask(q)
		want, needed := o.expect(q, said)
		got := q.ask(t, servedTacit)
		switch {
		case !want.equal(&got):
			unexplained++
			t.Errorf("%s\n%s: %s\ntacit: %s\nrules: %s", q, o.name, &said, &got, needed)
		case said.equal(&got):
			alike++
		}
		for _, rule := range needed {
			o.used[rule]++
		}
		for range 2 {
			if again := q.ask(t, servedTacit); !again.equal(&got) {
				t.Errorf("%s\ntacit: %s\nand then: %s", q, &got, &again)
			}
		}
		for _, lie := range got.lies() {
			if want.equal(&lie) {
				t.Errorf("%s\n%s: %s\nand this would pass: %s", q, o.name, &said, &lie)
			}
		}
	}
	t.Logf("%d questions over %d zones: %d answers alike, %d differences, of which %d unexplained", len(questions), len(o.zones), alike,
		len(questions)-alike, unexplained)
	o.report(t)
}

func (q servedQuestion) message() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.name, q.kind)
	m.RecursionDesired = false
	return m.SetEdns0(4096, q.flags&wantSignatures != 0)
}

// ask asks a server over UDP, and again over TCP where that is not enough.
func (q servedQuestion) ask(t *testing.T, server netip.AddrPort) word {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		client := &dns.Client{Net: network, UDPSize: 4096, Timeout: replyTimeout}
		reply, _, err := client.ExchangeContext(t.Context(), q.message(), server.String())
		if err != nil {
			t.Fatalf("%s at %s: %v", q, server, err)
		}
		if !reply.Truncated {
			return wordOf(reply)
		}
	}
	t.Fatalf("%s at %s is truncated over TCP", q, server)
	return word{}
}
