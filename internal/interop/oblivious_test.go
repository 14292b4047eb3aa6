//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// obliviousVariable names a directory with stranger, which plays each part of Oblivious DoH with odoh-go.
const obliviousVariable = "TACIT_INTEROP_OBLIVIOUS"

// Those who take part. tacit as a target is the one behind all doors.
const (
	ownProxy        = "127.0.6.2"
	strangeTarget   = "127.0.6.4"
	ownClient       = "127.0.6.5"
	strangeProxy    = "127.0.6.6"
	obliviousSource = "127.0.6.9" // where all that goes to a proxy comes from
	clientSubnet    = "203.0.113.77"
	clientCookie    = "c00c1ec00c1ec00c"
)

// A party is all who take part.
type party struct {
	*front
	visit                           *visit
	target, proxy, client           *process // tacit
	strangeTarget, strangeMessenger *process // which write down what they are shown
}

func (p *party) ownTarget() string { return httpsDoor.named.Addr().String() }

func newParty(t *testing.T) *party {
	t.Helper()
	p := &party{front: newFront(t), visit: &visit{dir: t.TempDir()}}
	for _, proxy := range []string{ownProxy, strangeProxy} { // so that the client has an address of its own
		args := []string{"route", "replace", "local", proxy, "dev", "lo", "src", obliviousSource, "table", "local"}
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip: %v\n%s", err, out)
		}
	}
	p.tacit.config += "\n[odoh]\ntarget = true\n"
	p.target = p.tacit.start(t, p.dir)
	p.strangeTarget = p.stranger(t, "target", strangeTarget, plainDoor.named.String())
	p.strangeMessenger = p.stranger(t, "proxy", strangeProxy, p.own.file)
	p.proxy = p.another(t, ownProxy, fmt.Sprintf("https = [\"%s:443\"]\n%s[odoh]\nproxy = true\nproxy_targets = [\"https://%s/dns-query\", \"https://%s/dns-query\"]\nproxy_ca_file = %q\n",
		ownProxy, p.shown(t, ownProxy), p.ownTarget(), strangeTarget, p.own.file))
	p.client = p.another(t, ownClient, fmt.Sprintf("[[forward]]\nzone = \".\"\nupstreams = [\"odoh://%s/dns-query\"]\nproxy = \"https://%s/dns-query\"\nca_file = %q\n[dnssec]\nvalidate = false\n",
		strangeTarget, ownProxy, p.own.file))
	return p
}

// shown is a table [tls] with a certificate for an address.
func (p *party) shown(t *testing.T, address string) string {
	t.Helper()
	c := p.credential(t, address)
	return fmt.Sprintf("[tls]\ncert_file = %q\nkey_file = %q\n", c.certificate, c.key)
}

func (p *party) credential(t *testing.T, address string) credential {
	t.Helper()
	dir := filepath.Join(p.dir, "credential-"+address)
	makeDirectory(t, dir)
	return p.own.issue(t, dir, address)
}

// another is another tacit.
func (p *party) another(t *testing.T, address, config string) *process {
	t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr(address), 53)
	r := &resolver{
		name: "tacit-" + address, addr: at, program: os.Getenv(binaryVariable), file: "tacit-" + address + ".toml",
		config: fmt.Sprintf("[log]\nlevel = \"debug\"\n[recursion]\nlocal_root = false\n[listen]\nudp = [%q]\ntcp = [%q]\n%s", at, at, config),
	}
	r.args = []string{"serve", "--config", r.file}
	return r.start(t, p.dir)
}

// stranger is a server made of odoh-go.
func (p *party) stranger(t *testing.T, role, address, other string) *process {
	t.Helper()
	c, at := p.credential(t, address), address+":443"
	server := start(t, p.dir, "stranger-"+role, p.program(), role, at, c.certificate, c.key, other)
	for deadline := time.Now().Add(startTimeout); ; {
		conn, err := net.DialTimeout("tcp", at, time.Second)
		if err == nil {
			_ = conn.Close()
			return server
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v\n%s", role, err, server.tail())
		}
		<-time.After(pollInterval)
	}
}

func (p *party) program() string { return filepath.Join(os.Getenv(obliviousVariable), "stranger") }

// asks has odoh-go's client ask a target through a proxy.
func (p *party) asks(t *testing.T, c *client, target, proxy string) {
	t.Helper()
	said := p.visit.run(t, p.program(), "client", target, "https://"+proxy+"/dns-query", c.question(), p.own.file)
	if !strings.Contains(said, c.answer().String()) {
		t.Errorf("no answer from %s through %s:\n%s", target, proxy, said)
	}
}

// A shown request is what a stranger writes down of one.
type shownRequest struct {
	From, Method, URI string
	Header            http.Header
	Body, Query       []byte
}

// messages are those that a stranger was sent.
func messages(t *testing.T, p *process) []shownRequest {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	var list []shownRequest
	for line := range bytes.Lines(text) {
		var r shownRequest
		if json.Unmarshal(line, &r) == nil && r.Method == http.MethodPost {
			list = append(list, r)
		}
	}
	return list
}

// RFC 9230: the round trip with parts that are not ours, each of ours among them; and who was shown what.
func TestObliviousStrangers(t *testing.T) {
	p := newParty(t)
	c := p.clients
	p.asks(t, c[0], p.ownTarget(), ownProxy)     // a client of others, through our proxy, to our target
	p.asks(t, c[1], strangeTarget, ownProxy)     // ... to a target of others
	p.asks(t, c[2], p.ownTarget(), strangeProxy) // ... through a proxy of others, to our target
	p.asksPlainly(t, c[3])                       // our client, through our proxy, to a target of others
	t.Run("target", func(t *testing.T) { p.checkTarget(t, messages(t, p.strangeTarget)) })
	t.Run("proxy", func(t *testing.T) { p.checkProxy(t, messages(t, p.strangeMessenger)) })
	for _, one := range []*process{p.target, p.proxy, p.client} {
		one.end(t)
		for _, told := range []string{strings.TrimSuffix(askedZone, "."), obliviousSource, clientSubnet} {
			if one.wrote(told) {
				t.Errorf("%s has written of %s:\n%s", one.name, told, one.tail())
			}
		}
	}
}

// asksPlainly asks our client over UDP, with all that a client can say of itself.
func (p *party) asksPlainly(t *testing.T, c *client) {
	t.Helper()
	said := p.visit.run(t, "dig", "@"+ownClient, "+tries=1", "+time=4", "+subnet="+clientSubnet, "+cookie="+clientCookie, mixed(c.question()), "A")
	if !strings.Contains(said, c.answer().String()) {
		t.Errorf("no answer from tacit as a client:\n%s\n%s", said, p.client.tail())
	}
}

// mixed is a name in a letter case that is not everybody's.
func mixed(name string) string {
	return strings.NewReplacer("client", "cLiEnT", "ask", "aSk").Replace(name)
}

// checkTarget looks at what a target was shown by our proxy: the message of the client, and nothing else of it.
func (p *party) checkTarget(t *testing.T, shown []shownRequest) {
	if len(shown) != 2 {
		t.Fatalf("%d messages, want 2", len(shown))
	}
	for _, r := range shown {
		text := fmt.Sprint(r.From, r.URI, r.Header)
		if strings.Contains(text, obliviousSource) || r.URI != "/dns-query" {
			t.Errorf("shown %s", text)
		}
		for name := range r.Header {
			if !slices.Contains([]string{"Content-Type", "Content-Length", "Accept"}, name) {
				t.Errorf("shown %s: %s", name, r.Header[name])
			}
		}
	}
	if !bytes.Contains(shown[0].Query, netip.MustParseAddr(clientSubnet).AsSlice()) {
		t.Error("the search is blind: the client of others has sealed its subnet")
	}
	query := shown[1].Query // by our client
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		t.Fatal(err)
	}
	opt := m.IsEdns0()
	if m.Id != 0 || m.Question[0].Name != p.clients[3].question() || opt == nil || len(opt.Option) != 1 || opt.Option[0].Option() != dns.EDNS0PADDING {
		t.Errorf("shown %v", m)
	}
	for _, hidden := range [][]byte{netip.MustParseAddr(clientSubnet).AsSlice(), netip.MustParseAddr(clientSubnet).AsSlice()[:3], {0xc0, 0x0c, 0x1e}, []byte("cLiEnT")} {
		if bytes.Contains(query, hidden) {
			t.Errorf("shown %x", hidden)
		}
	}
	t.Logf("2 messages: client's address 0, headers beside the message's own 0, client's options and letter case 0")
}

// checkProxy looks at what a proxy of others was shown on the way to our target: no name.
func (p *party) checkProxy(t *testing.T, shown []shownRequest) {
	if len(shown) != 1 {
		t.Fatalf("%d messages, want 1", len(shown))
	}
	all := strings.ToLower(fmt.Sprint(shown[0].URI, shown[0].Header, string(shown[0].Body)))
	for label := range strings.SplitSeq(strings.TrimSuffix(p.clients[2].question(), "."), ".") {
		if strings.Contains(all, label) {
			t.Errorf("shown %q in %q", label, all)
		}
	}
	if !strings.Contains(all, p.ownTarget()) || !strings.HasPrefix(shown[0].From, obliviousSource+":") {
		t.Errorf("the search is blind: no target, or no client: %s, %q", shown[0].From, all)
	}
	t.Logf("%d octets: labels of the name 0", len(all))
}
