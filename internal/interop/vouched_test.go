//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// vouchedZone is signed by tacit. Some names in it are in capitals: what is signed is not.
const vouchedZone = `; tacit: signed flatten=apex
$TTL 600
@       MX    10 Mail
@       CNAME Target.other.example.
blog    A     192.0.2.1 ; cf_tags=cf-proxied:true
shop    A     192.0.2.2
shop    A     192.0.2.1
shop    TXT   "Text"
mail    AAAA  2001:db8::25
*.wild  A     192.0.2.3
*.wild  MX    10 MAIL
a.b.ent TXT   "deep"
_s._tcp SRV   1 2 3 Shop
_n      NAPTR 1 2 "U" "E2U+sip" "!^.*$!sip:A@example.com!" .
first   CNAME Second
second  CNAME shop
gone    CNAME nothing
flat    CNAME shop ; cf_tags=cf-flatten-cname
afar    CNAME target.other.example. ; cf_tags=cf-flatten-cname
out     CNAME target.other.example.
moved   DNAME wild
open    NS    ns.open
ns.open A     192.0.2.53
closed  NS    ns.closed
closed  DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000001
ns.closed A   192.0.2.53
`

// vouchedQuestions are what a validator in front of tacit is asked. All are secure, but for those that lead out of the zone.
var vouchedQuestions = []struct {
	question string
	answers  int
	insecure bool
}{
	{question: "example.com. SOA", answers: 1},
	{question: "example.com. NS", answers: 1},
	{question: "example.com. MX", answers: 1},
	{question: "example.com. DNSKEY", answers: 1},
	{question: "example.com. CDS", answers: 1},
	{question: "example.com. CDNSKEY", answers: 1},
	{question: "example.com. A", answers: 1},
	{question: "example.com. AAAA"},
	{question: "example.com. TXT"},
	{question: "example.com. CNAME"},
	{question: "blog.example.com. A", answers: 1},
	{question: "blog.example.com. AAAA", answers: 1},
	{question: "blog.example.com. HTTPS", answers: 1},
	{question: "blog.example.com. TXT"},
	{question: "shop.example.com. A", answers: 2},
	{question: "shop.example.com. TXT", answers: 1},
	{question: "shop.example.com. AAAA"},
	{question: "shop.example.com. DS"},
	{question: "shop.example.com. NSEC", answers: 1},
	{question: "any.wild.example.com. A", answers: 1},
	{question: "a.b.c.wild.example.com. MX", answers: 1},
	{question: "any.wild.example.com. TXT"},
	{question: "*.wild.example.com. A", answers: 1},
	{question: "*.wild.example.com. TXT"},
	{question: "wild.example.com. A"},
	{question: "a.b.ent.example.com. TXT", answers: 1},
	{question: "b.ent.example.com. TXT"},
	{question: "ent.example.com. A"},
	{question: "c.ent.example.com. A"},
	{question: "no.example.com. A"},
	{question: "no.no.example.com. TXT"},
	{question: "below.shop.example.com. A"},
	{question: "_s._tcp.example.com. SRV", answers: 1},
	{question: "_n.example.com. NAPTR", answers: 1},
	{question: "first.example.com. CNAME", answers: 1},
	{question: "first.example.com. A", answers: 4},
	{question: "first.example.com. AAAA", answers: 2},
	{question: "gone.example.com. A", answers: 1},
	{question: "flat.example.com. A", answers: 2},
	{question: "flat.example.com. AAAA"},
	{question: "flat.example.com. CNAME"},
	{question: "flat.example.com. TXT"},
	{question: "afar.example.com. A", answers: 1},
	{question: "afar.example.com. AAAA"},
	{question: "out.example.com. A", answers: 2, insecure: true},
	{question: "x.moved.example.com. A", answers: 3},
	{question: "moved.example.com. DNAME", answers: 1},
	{question: "x.moved.example.com. TXT", answers: 2},
	{question: "open.example.com. DS"},
	{question: "closed.example.com. DS", answers: 1},
	{question: "no.example.com. NSEC", answers: 1},
	{question: "shop.example.com. RRSIG", insecure: true},
}

// Whoever validates behind tacit, as a stub or through it as a forwarder, finds all secure that a signed zone says.
func TestSignedZonesValidate(t *testing.T) {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "example.com.zone"), vouchedZone)
	writeFile(t, filepath.Join(dir, "other.example.zone"), "$TTL 60\ntarget A 192.0.2.9\n")
	writeFile(t, filepath.Join(dir, "root.hints"), ". 3600 NS ns.test.\nns.test. 3600 A 127.0.0.9\n")
	r := tacit(os.Getenv(binaryVariable))
	r.config += "validate = true\n\n[zones]\nkeys = \"keys\"\ndirectory = \".\"\n\n" +
		"[edge]\naddresses = [\"203.0.113.10\", \"2001:db8::10\"]\nalpn = [\"h2\"]\n"
	p := r.start(t, dir)
	out, err := exec.Command(r.program, "zone", "ds", "--config", filepath.Join(dir, r.file), "example.com").Output()
	if err != nil {
		t.Fatal(err)
	}
	ds := strings.TrimSpace(string(out))
	for _, front := range fronts(ds) {
		t.Run(front.name, func(t *testing.T) {
			before := front.start(t, dir)
			for _, q := range vouchedQuestions {
				checkVouched(t, front, q.question, q.answers, !q.insecure)
			}
			if err := before.stop(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Log(before.tail())
			}
		})
	}
	t.Run("delv", func(t *testing.T) { checkVouchedWithDelv(t, dir, r, ds) })
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// fronts are validators that ask tacit: Unbound as one that does without recursion and as one that wants it, and another tacit.
func fronts(ds string) []*resolver {
	var list []*resolver
	for name, clause := range map[string]string{
		"stub":    "stub-zone:\n name: example.com.\n stub-addr: 127.0.0.1@5335\n stub-prime: no\nstub-zone:\n name: other.example.\n stub-addr: 127.0.0.1@5335\n",
		"forward": "forward-zone:\n name: .\n forward-addr: 127.0.0.1@5335\n",
	} {
		u := unbound("unbound."+name, "trust-anchor: \""+ds+"\"", "module-config: \"validator iterator\"", "trust-anchor-signaling: no",
			"val-log-level: 2", "local-zone: \"example.\" nodefault")
		u.config += clause
		list = append(list, u)
	}
	before := tacit(os.Getenv(binaryVariable), "validate = true", "trust_anchors = [\""+ds+"\"]", "[[forward]]", "zone = \".\"",
		"upstreams = [\"127.0.0.1:5335\"]")
	before.name, before.file, before.addr = "tacit in front", "front.toml", netip.MustParseAddrPort("127.0.0.1:5337")
	before.args = []string{"serve", "--config", before.file}
	head, tail, _ := strings.Cut(before.config, tacitConfig)
	before.config = strings.NewReplacer("5335", "5337", controlSocket, "front.sock").Replace(head) + tacitConfig + tail
	return append(list, before)
}

// checkVouchedWithDelv has BIND's validator ask tacit itself.
func checkVouchedWithDelv(t *testing.T, dir string, r *resolver, ds string) {
	t.Helper()
	anchors := filepath.Join(dir, "delv.anchors")
	fields := strings.Fields(ds)
	writeFile(t, anchors, fmt.Sprintf("trust-anchors { %s static-ds %s %s %s %q; };\n", fields[0], fields[3], fields[4], fields[5], fields[6]))
	for _, q := range vouchedQuestions {
		if q.insecure { // of which delv has words of its own
			continue
		}
		args := []string{"-a", anchors, "+root=example.com", "@" + r.addr.Addr().String(), "-p", fmt.Sprint(r.addr.Port())}
		out, _ := exec.CommandContext(t.Context(), "delv", append(args, strings.Fields(q.question)...)...).CombinedOutput()
		if v := parseDelv(string(out)); v.rcode != dns.RcodeSuccess || !v.secure {
			t.Errorf("%s: not secure\n%s", q.question, out)
		}
	}
}

func checkVouched(t *testing.T, r *resolver, question string, answers int, secure bool) {
	t.Helper()
	fields := strings.Fields(question)
	query := new(dns.Msg).SetQuestion(fields[0], dns.StringToType[fields[1]]).SetEdns0(udpSize, true)
	client := &dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	reply, _, err := client.ExchangeContext(t.Context(), query, r.addr.String())
	if err != nil {
		t.Errorf("%s: %v", question, err)
		return
	}
	count := 0
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			count++
		}
	}
	if reply.Rcode != dns.RcodeSuccess || reply.AuthenticatedData != secure || count != answers {
		t.Errorf("%s: want %d answers, secure %t:\n%v", question, answers, secure, reply)
	}
}
