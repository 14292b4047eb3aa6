package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go/http3"

	"tacit/admin"
	"tacit/config"
	"tacit/internal/wire"
	"tacit/statement"
)

// changes lists the members of two JSON objects that differ, by their paths.
func changes(t *testing.T, a, b *statement.Statement) []string {
	t.Helper()
	var list []string
	var walk func(path string, x, y any)
	walk = func(path string, x, y any) {
		m, ok := x.(map[string]any)
		n, also := y.(map[string]any)
		if !ok || !also {
			if fmt.Sprint(x) != fmt.Sprint(y) {
				list = append(list, path)
			}
			return
		}
		for key := range m {
			walk(strings.TrimPrefix(path+"."+key, "."), m[key], n[key])
		}
	}
	var x, y any
	if err := json.Unmarshal(a.JSON(), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.JSON(), &y); err != nil {
		t.Fatal(err)
	}
	walk("", x, y)
	slices.Sort(list)
	return slices.DeleteFunc(list, func(path string) bool {
		return path == "serial" || path == "digest" || path == "accountability.configuration_sha256"
	})
}

// Row R10: the statement changes when the configuration does, and says what has.
func TestStatementFollowsTheConfiguration(t *testing.T) {
	const (
		deviations, places, transports = "practice.deviations", "practice.places", "practice.clients.transports"
		upstream, operator             = "practice.upstream.", "policy.operator."
	)
	load := func(text string) *config.Config {
		t.Helper()
		f, err := config.Read("/etc/tacit/test.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Check()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ option, before, after, want string }{
		{"listen.tcp", "", "[listen]\ntcp = []", transports + " " + places},
		{"listen.tls", "", "[listen]\ntls = ['127.0.0.1:853']", transports},
		{"listen.https", "", "[listen]\nhttps = ['127.0.0.1:443']", transports},
		{"listen.alt_svc", "[listen]\nhttps = ['127.0.0.1:443']", "[listen]\nhttps = ['127.0.0.1:443']\nalt_svc = true", "practice.clients.http_headers_of_answers " + deviations},
		{"listen.cookies", "", "[listen]\ncookies = false", "practice.clients.cookies"},
		{"cache.ttl_blur", "", "[cache]\nttl_blur = false", "practice.clients.cache_snooping " + deviations},
		{"cache.shared_after", "", "[cache]\nshared_after = 3", "practice.clients.cache_snooping"},
		{"listen.http", "", "[listen]\nhttp = ['/run/tacit.sock']", places},
		{"listen.proxies", "", "[listen]\nproxies = ['192.0.2.1']", places},
		{"tls.min_version", "[listen]\ntls = [':853']", "accept_privacy_loss = ['tls.min_version']\n[listen]\ntls = [':853']\n[tls]\nmin_version = '1.2'", transports + " " + deviations},
		{"tls.acme_names", "", "[tls]\nacme_names = ['dns.example']\nacme_cache = 'x'\n[listen]\nhttps = [':443']", transports + " " + places},
		{"recursion.qname_minimisation", "", "[recursion]\nqname_minimisation = 'off'", deviations + " " + upstream + "qname_minimisation"},
		{"recursion.local_root", "", "[recursion]\nlocal_root = false", deviations + " " + upstream + "local_root"},
		{"recursion.root_hints", "", "[recursion]\nroot_hints = 'mine'", upstream + "local_root"},
		{"recursion.case_randomisation", "", "[recursion]\ncase_randomisation = false", deviations + " " + upstream + "letter_case"},
		{"dnssec.validate", "", "[dnssec]\nvalidate = false", deviations + " practice.dnssec.validated " + upstream + "local_root policy.result_filtering"},
		{"dnssec.aggressive_nsec", "", "[dnssec]\naggressive_nsec = false", deviations + " " + upstream + "aggressive_denials"},
		{"dnssec.negative_trust_anchors", "", "[dnssec]\nnegative_trust_anchors = ['example.com']", "practice.dnssec.trust_anchors"},
		{"forward.upstreams", "", "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.53']", deviations + " " + places + " " + upstream + "forwards " + upstream + "local_root"},
		{"forward.upstreams, encrypted", "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.53']", "[[forward]]\nzone = '.'\nupstreams = ['tls://192.0.2.53']", deviations + " " + upstream + "forwards"},
		{"forward.proxy", "[[forward]]\nzone = '.'\nupstreams = ['https://192.0.2.53/dns-query#dns.example']", "[[forward]]\nzone = '.'\nupstreams = ['odoh://192.0.2.53/dns-query#dns.example']\nproxy = 'https://192.0.2.54/dns-query#proxy.example'", upstream + "forwards"},
		{"odoh.target", "[listen]\nhttps = [':443']", "[listen]\nhttps = [':443']\n[odoh]\ntarget = true", "practice.clients.oblivious_roles"},
		{"odoh.proxy", "[listen]\nhttps = [':443']", "[listen]\nhttps = [':443']\n[odoh]\nproxy = true\nproxy_targets = ['https://192.0.2.53/dns-query#dns.example']", "practice.clients.oblivious_roles " + places},
		{"stats.top", "", "accept_privacy_loss = ['stats.top']\n[stats]\ntop = true", deviations + " " + places + " policy.exceptions"},
		{"stub.zone", "", "[[stub]]\nzone = 'corp.test'\nservers = ['192.0.2.1']", places},
		{"admin.listen", "", "[admin]\nlisten = '127.0.0.1:9153'", places},
		{"admin.control", "", "[admin]\ncontrol = '/run/c'", places},
		{"management.listen", "", "[management]\nlisten = '127.0.0.1:8080'", places},
		{"secondary.key", "", "[[key]]\nname = 'k.test'\nsecret_file = 'k'\n[[secondary]]\nkey = 'k.test'", places},
		{"accept_privacy_loss", "[recursion]\nlocal_root = false", "accept_privacy_loss = ['recursion.local_root']\n[recursion]\nlocal_root = false", deviations},
		{"operator.name", "", "[operator]\nname = 'Example Org'", operator + "name"},
		{"operator.jurisdiction", "", "[operator]\njurisdiction = 'EU'", operator + "jurisdiction"},
		{"operator.contact", "", "[operator]\ncontact = 'mail@example.com'", operator + "contact"},
		{"operator.partners", "", "[operator]\npartners = ['none']", operator + "partners"},
		{"operator.packet_capture", "", "[operator]\npacket_capture = 'none'", operator + "packet_capture"},
		{"operator.fronted_by", "", "[operator]\nfronted_by = 'none'", operator + "fronted_by"},
		{"cache.size, which is no matter of privacy", "", "[cache]\nsize = '64MiB'", ""},
	} {
		t.Run(c.option, func(t *testing.T) {
			before, after := DescribePrivacy(load(c.before), now), DescribePrivacy(load(c.after), now)
			want := strings.Fields(c.want)
			slices.Sort(want)
			if got := changes(t, before, after); !slices.Equal(got, want) {
				t.Errorf("changed are %q, want %q", got, want)
			}
			if before.Digest == after.Digest {
				t.Error("the digest is the same")
			}
		})
	}
}

func TestUndeclaredIsSaidToBe(t *testing.T) {
	o := DescribePrivacy(config.Default(), time.Time{}).Policy.Operator
	for _, text := range append([]string{o.Name, o.Jurisdiction, o.Contact, o.PacketCapture, o.FrontedBy}, o.Partners...) {
		if text != statement.NotDeclared {
			t.Errorf("%q", text)
		}
	}
}

const overHTTPS = common + "[listen]\nudp = ['127.0.0.1:0']\ntcp = ['127.0.0.1:0']\nhttps = ['127.0.0.1:0']\n"

// browse gets a page over a version of HTTP. The certificate is self-signed.
func browse(t *testing.T, s *Server, version int, path string) (http.Header, []byte) {
	t.Helper()
	transport := map[int]string{1: "https", 2: "https", 3: "http3"}[version]
	list := s.Endpoints()
	at := list[slices.IndexFunc(list, func(e Endpoint) bool { return e.Transport == transport })].Addr
	trusting := &tls.Config{InsecureSkipVerify: true}
	var way http.RoundTripper
	switch version {
	case 3:
		h := &http3.Transport{TLSClientConfig: trusting}
		defer h.Close()
		way = h
	default:
		h := &http.Transport{TLSClientConfig: trusting, ForceAttemptHTTP2: version == 2, DisableKeepAlives: version == 1}
		defer h.CloseIdleConnections()
		way = h
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+at.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := way.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || answer.ProtoMajor != version {
		t.Fatalf("%s: %s over %s, %v", path, answer.Status, answer.Proto, err)
	}
	return answer.Header, body
}

// announced asks for the TXT record of the statement.
func announced(t *testing.T, at netip.AddrPort) []string {
	t.Helper()
	c := dns.Client{Timeout: 5 * time.Second}
	r, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("_privacy.resolver.arpa.", dns.TypeTXT), at.String())
	if err != nil || len(r.Answer) != 1 {
		t.Fatalf("%v %v", r, err)
	}
	return r.Answer[0].(*dns.TXT).Txt
}

// Row R10: the statement is served, over each version of HTTP the same, and its hash over DNS is that of what is served.
func TestStatementIsServed(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, overHTTPS)
	udp, _ := s.Addrs()
	expect := func() {
		t.Helper()
		for version := 1; version <= 3; version++ {
			_, page := browse(t, s, version, "/privacy")
			header, text := browse(t, s, version, "/privacy.json")
			_, known := browse(t, s, version, "/.well-known/dns-privacy-statement")
			sum := sha256.Sum256(text)
			hash := "sha256=" + hex.EncodeToString(sum[:])
			if string(known) != string(text) || !strings.Contains(string(page), "</html>") || header.Get("Content-Type") != "application/json" {
				t.Errorf("HTTP/%d: page of %d octets, JSON of %d and %d, %v", version, len(page), len(text), len(known), header)
			}
			if txt := announced(t, udp[0]); !slices.Contains(txt, hash) || !slices.ContainsFunc(txt, func(s string) bool { return strings.HasPrefix(s, "url=https://127.0.0.1:") }) {
				t.Errorf("HTTP/%d: announced %q, want %s", version, txt, hash)
			}
		}
	}
	expect()
	before := s.stater.current.Load()
	x.write(t, overHTTPS+"[operator]\nname = 'Example Org'\n")
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	expect()
	if after := s.stater.current.Load(); after.Serial <= before.Serial || after.Policy.Operator.Name != "Example Org" {
		t.Errorf("behind a reload: serial %d, was %d", after.Serial, before.Serial)
	}
}

// What the statement says of headers is what DNS over HTTPS sends.
func TestStatedHeadersAreThoseSent(t *testing.T) {
	s, _ := newSetting(t).start(t, overHTTPS)
	header, _ := browse(t, s, 2, "/dns-query?name=www.zone.example&type=A")
	var sent []string
	for name := range header {
		sent = append(sent, strings.ToLower(name))
	}
	stated := slices.Clone(s.stater.current.Load().Practice.Clients.HTTPHeaders)
	slices.Sort(sent)
	if slices.Sort(stated); !slices.Equal(sent, stated) {
		t.Errorf("sent %q, stated %q", sent, stated)
	}
}

// Privacy.md section 6: nothing of it comes from a client.
func TestStatementHoldsNoClientData(t *testing.T) {
	s, _ := newSetting(t).start(t, monitored+"control = ''\n")
	udp, _ := s.Addrs()
	for range 3 {
		ask(t, "udp", udp[0], "www.zone.example.")
	}
	s.restate()
	for _, path := range []string{pathStatement, pathStatementJSON} {
		status, text := fetch(t, "http://"+s.Monitoring().String()+path)
		if status != http.StatusOK {
			t.Fatal(path, status)
		}
		for _, secret := range []string{"zone.example", "www.", "127.0.0", "203.0.113"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
	}
	a, ok := s.current.Load().zones.Answer(wire.Question{Name: wire.MustName("_privacy.resolver.arpa."), Type: wire.TypeA, Class: wire.ClassIN}, time.Now())
	if !ok || wire.Rcode(a.Packet[3]&0xf) != wire.NoError {
		t.Error("another type at the name is not answered with no data")
	}
}

// An unchanged statement keeps its serial; a debug session changes it.
func TestStatementIsRestated(t *testing.T) {
	s, _ := newSetting(t).start(t, common+listenAnywhere)
	first := s.stater.current.Load()
	s.restate()
	if again := s.stater.current.Load(); again != first {
		t.Error("published anew within the hour, although nothing was changed")
	}
	s.sessions.begin(time.Now(), time.Now().Add(time.Minute), "ticket 7")
	s.restate()
	second := s.stater.current.Load()
	if second.Serial <= first.Serial || second.Practice.DebugSessions[0].Reason != "ticket 7" ||
		first.Practice.Places[statement.DebugSessions].On || !second.Practice.Places[statement.DebugSessions].On {
		t.Errorf("serial %d behind %d, %+v", second.Serial, first.Serial, second.Practice.DebugSessions)
	}
}

func TestOperatorGetsTheStatement(t *testing.T) {
	text, path := controlled(t)
	s, _ := newSetting(t).start(t, text)
	got, err := admin.NewClient(path).Statement(t.Context())
	if err != nil || string(got) != string(s.stater.current.Load().json) {
		t.Errorf("%v, %d octets", err, len(got))
	}
}

// Row R4: nothing that an operator can ask the running tacit for lists what was asked, or who asked.
func TestCommandsShowNoQuestion(t *testing.T) {
	text, path := controlled(t)
	s, _ := newSetting(t).start(t, text)
	udp, _ := s.Addrs()
	for range 3 {
		ask(t, "udp", udp[0], "www.zone.example.")
	}
	c := admin.NewClient(path)
	status, err := c.Status(t.Context())
	if err != nil || status.Transports[0].Queries != 3 {
		t.Fatalf("%+v, %v", status, err)
	}
	exceptions, err := c.Exceptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	privacy, err := c.Statement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%+v %+v %s", status, exceptions, privacy)
	for _, secret := range []string{"zone.example", "www", "127.0.0.1", "203.0.113"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%q is shown: %s", secret, shown)
		}
	}
}
