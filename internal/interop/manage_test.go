//go:build interop

package interop

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// managersVariable names a directory with Cloudflare's own clients: a program, and a script for Node.js.
const managersVariable = "TACIT_INTEROP_MANAGERS"

const managedConfig = `
[listen]
udp = ["127.0.1.1:53"]
tcp = ["127.0.1.1:53"]
[recursion]
local_root = false
[zones]
directory = "zones"
[edge]
addresses = ["203.0.113.10"]
[management]
listen = "127.0.0.1:5380"
token_file = "tokens"
`

// TestCloudflaresClientsManageZones has the clients that Cloudflare makes for Go and for JavaScript do all that the API offers for
// records, each with a zone of its own, and looks at what is answered afterwards.
func TestCloudflaresClientsManageZones(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	dir := t.TempDir()
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Mkdir(filepath.Join(dir, "zones"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"tokens": token + "\n", "tacit.toml": managedConfig,
		"zones/go.test.zone": "www A 192.0.2.1 ; cf_tags=cf-proxied:true\n", "zones/js.test.zone": "www A 192.0.2.1\nftp A 192.0.2.2\nmail A 192.0.2.3\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	p := start(t, dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", filepath.Join(dir, "tacit.toml"))
	at := netip.MustParseAddrPort("127.0.1.1:53")
	ask := func(name string) *dns.Msg { return new(dns.Msg).SetQuestion(name, dns.TypeA) }
	p.awaitAnswer(t, at, ask("www.go.test."), func(m *dns.Msg) bool { return m.Authoritative })
	managers := os.Getenv(managersVariable)
	for _, c := range []struct {
		zone    string
		program []string
		steps   int
		want    map[string]string
	}{
		{"go.test", []string{filepath.Join(managers, "cloudflare")}, 7, map[string]string{
			"one": "", "gone": "", "stays": "203.0.113.10", "put": "192.0.2.24", "post": "192.0.2.25", "in": "203.0.113.10", "out": "192.0.2.31",
		}},
		{"js.test", []string{"node", filepath.Join(managers, "manage.mjs")}, 6, map[string]string{
			"one": "", "js-gone": "", "js": "203.0.113.10", "js-post": "192.0.2.43", "js-in": "203.0.113.10",
		}},
	} {
		t.Run(c.zone, func(t *testing.T) {
			said, err := exec.Command(c.program[0], append(c.program[1:], "http://127.0.0.1:5380/client/v4", token, c.zone)...).CombinedOutput()
			if err != nil || strings.Count(string(said), "ok ") != c.steps {
				t.Fatalf("%v: %s", err, said)
			}
			t.Logf("%s", said)
			for host, want := range c.want {
				m, err := dns.Exchange(ask(host+"."+c.zone+"."), at.String())
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				for _, rr := range m.Answer {
					got += rr.(*dns.A).A.String()
				}
				if got != want || (m.Rcode == dns.RcodeNameError) != (want == "") {
					t.Errorf("%s: %v, want %s", host, m, want)
				}
			}
		})
	}
}
