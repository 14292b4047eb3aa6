//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
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

// updatersVariable names a directory with programs that are lego's, libdns's and external-dns's providers for RFC 2136, pebbleVariable an ACME
// authority for tests.
const (
	updatersVariable = "TACIT_INTEROP_UPDATERS"
	pebbleVariable   = "PEBBLE_BIN"
)

const (
	updatedHost   = "127.0.3.11"
	updatedZone   = "updated.example."
	challengeName = "_acme-challenge." + updatedZone
	acmeKey       = "acme.example."
	serviceKey    = "services.example."
	edges         = "NOERROR 203.0.113.10 203.0.113.11"
	orderTimeout  = time.Minute
)

const updatedText = `@ 3600 SOA ns hostmaster 7 10000 2400 604800 1800
@ 3600 NS ns
ns 3600 A 127.0.3.11
www 300 A 192.0.2.11 ; cf_tags=cf-proxied:true
`

const updatedConfig = `[listen]
udp = ["127.0.3.11:53"]
tcp = ["127.0.3.11:53"]
[recursion]
local_root = false
[dnssec]
validate = false
[[zone]]
name = "updated.example."
file = "updated.zone"
[edge]
addresses = ["203.0.113.10", "203.0.113.11", "2001:db8::10"]
[[key]]
name = "acme.example."
secret_file = "acme.key"
[[key]]
name = "services.example."
secret_file = "services.key"
[[update]]
key = "acme.example."
zones = ["updated.example."]
names = ["_acme-challenge", "_acme-challenge.www"]
[[update]]
key = "services.example."
zones = ["updated.example."]
names = ["app", "a-app"]
types = ["A", "AAAA", "CNAME", "TXT"]
[[update]]
key = "services.example."
zones = ["updated.example."]
names = ["web", "a-web"]
types = ["A", "AAAA", "CNAME", "TXT"]
proxied = true
[[secondary]]
key = "services.example."
zones = ["updated.example."]
`

// An updated is tacit with a zone that clients of other makes change.
type updated struct {
	dir     string
	process *process
}

func openUpdated(t *testing.T) *updated {
	t.Helper()
	new(world).addAddressesToLoopback(t)
	u := &updated{dir: t.TempDir()}
	for name, text := range map[string]string{
		"tacit.toml": updatedConfig, "updated.zone": updatedText, "acme.key": updaterSecret, "services.key": secondarySecret,
	} {
		writeFile(t, filepath.Join(u.dir, name), text)
	}
	u.process = start(t, u.dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	u.process.awaitAnswer(t, u.addr(), new(dns.Msg).SetQuestion(updatedZone, dns.TypeSOA), func(m *dns.Msg) bool { return m.Authoritative })
	return u
}

func (u *updated) addr() netip.AddrPort { return netip.MustParseAddrPort(updatedHost + ":53") }

// ask returns the RCODE and the RDATA of what is answered, sorted.
func (u *updated) ask(t *testing.T, name string, kind uint16) string {
	t.Helper()
	m, err := dns.Exchange(new(dns.Msg).SetQuestion(name, kind), u.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, rr := range m.Answer {
		said = append(said, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(said)
	return strings.Join(append([]string{dns.RcodeToString[m.Rcode]}, said...), " ")
}

// expectFile compares the zone file, but for the serial, with the one at the start and what is behind it.
func (u *updated) expectFile(t *testing.T, more string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(u.dir, "updated.zone"))
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(text), "\n")
	_, want, _ := strings.Cut(updatedText, "\n")
	if got != want+more {
		t.Errorf("the zone file:\n%s\nwant:\n%s", got, want+more)
	}
}

// expectAddresses looks for the address records of a name in the zone file.
func (u *updated) expectAddresses(t *testing.T, name, want string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(u.dir, "updated.zone"))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for line := range strings.Lines(string(text)) {
		if owner, rest, _ := strings.Cut(line, "\t"); owner == name {
			_, rest, _ = strings.Cut(rest, "\tIN\t")
			got += rest
		}
	}
	if got != want {
		t.Errorf("%s in the zone file: %q, want %q", name, got, want)
	}
}

// run runs a client to its end with more in its environment, and returns what it said.
func (u *updated) run(t *testing.T, environment []string, program string, args ...string) (said string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), orderTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = u.dir, append(os.Environ(), environment...)
	endAsGroup(cmd)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// watch asks for TXT records until it is stopped, and returns those that it has seen.
func (u *updated) watch(t *testing.T, name string) (stop func() map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan map[string]bool, 1)
	go func() {
		texts := map[string]bool{}
		tick := time.NewTicker(pollInterval / 2)
		defer tick.Stop()
		for ctx.Err() == nil {
			if m, err := dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), u.addr().String()); err == nil {
				for _, rr := range m.Answer {
					texts[rr.(*dns.TXT).Txt[0]] = true
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		seen <- texts
	}()
	return func() map[string]bool {
		cancel()
		return <-seen
	}
}

// startACME starts an authority that believes what tacit answers, and returns its directory, and whom its clients are to trust.
func (u *updated) startACME(t *testing.T) (directory, roots string) {
	t.Helper()
	const listen, control = updatedHost + ":14000", updatedHost + ":15000"
	own := newAuthority(t, u.dir, "acme")
	c := own.issue(t, u.dir, updatedHost)
	path := filepath.Join(u.dir, "pebble.json")
	writeFile(t, path, fmt.Sprintf(`{"pebble": {"listenAddress": %q, "managementListenAddress": %q, "certificate": %q, "privateKey": %q}}`,
		listen, control, c.certificate, c.key))
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0") // certbot tries again once only
	p := start(t, u.dir, "pebble", os.Getenv(pebbleVariable), "-config", path, "-dnsserver", u.addr().String())
	p.awaitListener(t, netip.MustParseAddrPort(listen))
	return "https://" + listen + "/dir", own.file
}

// awaitListener waits until a process takes connections.
func (p *process) awaitListener(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if conn, err := net.DialTimeout("tcp", addr.String(), startTimeout); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("%s ended at once: %v\n%s", p.name, p.err, p.tail())
		case <-ctx.Done():
			t.Fatalf("%s takes no connections after %s\n%s", p.name, startTimeout, p.tail())
		}
	}
}

// An orderer is an ACME client that proves names by dynamic updates.
type orderer struct {
	name  string
	order func(u *updated, t *testing.T, directory, roots string, names []string) (said string, err error)
}

var orderers = []orderer{
	{"lego", func(u *updated, t *testing.T, directory, roots string, names []string) (string, error) {
		return u.run(t, []string{
			"LEGO_CA_CERTIFICATES=" + roots, "RFC2136_NAMESERVER=" + u.addr().String(), "RFC2136_TSIG_ALGORITHM=hmac-sha256.",
			"RFC2136_TSIG_KEY=" + acmeKey, "RFC2136_TSIG_SECRET=" + updaterSecret, "RFC2136_SEQUENCE_INTERVAL=1",
			"RFC2136_PROPAGATION_TIMEOUT=10", "RFC2136_POLLING_INTERVAL=1",
		}, filepath.Join(os.Getenv(updatersVariable), "lego"), append([]string{directory}, names...)...)
	}},
	{"certbot", func(u *updated, t *testing.T, directory, roots string, names []string) (string, error) {
		credentials := filepath.Join(u.dir, "certbot.ini")
		writeFile(t, credentials, fmt.Sprintf("dns_rfc2136_server = %s\ndns_rfc2136_name = %s\ndns_rfc2136_secret = %s\ndns_rfc2136_algorithm = HMAC-SHA256\n",
			updatedHost, acmeKey, updaterSecret))
		args := []string{
			"certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--server", directory,
			"--config-dir", u.dir, "--work-dir", u.dir, "--logs-dir", u.dir,
			"--authenticator", "dns-rfc2136", "--dns-rfc2136-credentials", credentials, "--dns-rfc2136-propagation-seconds", "1",
		}
		for _, n := range names {
			args = append(args, "-d", n)
		}
		return u.run(t, []string{"REQUESTS_CA_BUNDLE=" + roots}, "certbot", args...)
	}},
}

// TestACMEClientsProveNames has ACME clients order certificates, for a zone and its wildcard: what proves the names is answered by tacit
// while it is needed, and gone afterwards. Their key is for these names alone, and another name cannot be proved.
func TestACMEClientsProveNames(t *testing.T) {
	u := openUpdated(t)
	directory, roots := u.startACME(t)
	apex := strings.TrimSuffix(updatedZone, ".")
	for _, c := range orderers {
		t.Run(c.name, func(t *testing.T) {
			stop := u.watch(t, challengeName)
			said, err := c.order(u, t, directory, roots, []string{apex, "*." + apex})
			seen := stop()
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			if len(seen) != 2 {
				t.Errorf("%d proofs have been answered, want 2", len(seen))
			}
			if got := u.ask(t, challengeName, dns.TypeTXT); got != "NXDOMAIN" {
				t.Errorf("afterwards: %s", got)
			}
			u.expectFile(t, "")
			stop = u.watch(t, "_acme-challenge.mail."+updatedZone)
			said, err = c.order(u, t, directory, roots, []string{"mail." + apex})
			if seen := stop(); err == nil || !strings.Contains(said, "REFUSED") || len(seen) > 0 {
				t.Errorf("a name that the key is not for: %v: %s", err, said)
			}
			u.expectFile(t, "")
		})
	}
}

// TestLibDNSProvesNames has libdns's provider do what Caddy has it do for a challenge, with a key that is for that alone. Transfers, with
// which it looks at what there is, are another right.
func TestLibDNSProvesNames(t *testing.T) {
	u := openUpdated(t)
	change := func(key, secret string, args ...string) (string, error) {
		return u.run(t, nil, filepath.Join(os.Getenv(updatersVariable), "libdns"), append([]string{updatedHost, updatedZone, key, secret}, args...)...)
	}
	const name = "_acme-challenge.www"
	for _, c := range []struct{ verb, text, want string }{
		{"append", "one", `NOERROR "one"`},
		{"append", "two", `NOERROR "one" "two"`},
		{"set", "three", `NOERROR "three"`},
		{"append", "four", `NOERROR "four" "three"`},
		{"delete", "three", `NOERROR "four"`},
		{"delete", "four", "NXDOMAIN"},
	} {
		if said, err := change(acmeKey, updaterSecret, c.verb, name, c.text); err == nil || !strings.Contains(said, "zone transfer") {
			t.Errorf("%s: %v: %s", c.verb, err, said)
		}
		if got := u.ask(t, name+"."+updatedZone, dns.TypeTXT); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.verb, c.text, got, c.want)
		}
	}
	u.expectFile(t, "")
	for _, other := range []string{"www", "_acme-challenge.mail", "@"} {
		if said, err := change(acmeKey, updaterSecret, "append", other, "text"); err == nil || !strings.Contains(said, "REFUSED") {
			t.Errorf("%s, which the key is not for: %v: %s", other, err, said)
		}
	}
	u.expectFile(t, "")
	said, err := change(serviceKey, secondarySecret, "append", "app", "text")
	if err != nil || !strings.Contains(said, "sees app TXT text\n") || !strings.Contains(said, "sees www A 203.0.113.1") || strings.Contains(said, "192.0.2.11") {
		t.Errorf("a key that may transfer the zone: %v: %s", err, said)
	}
}

// TestExternalDNSKeepsRecords has external-dns's provider read the zone and change the records of two services. One is proxied: what was
// made of it is then known to external-dns, as to everybody, by the addresses of the edge.
func TestExternalDNSKeepsRecords(t *testing.T) {
	u := openUpdated(t)
	change := func(args ...string) (string, error) {
		return u.run(t, nil, filepath.Join(os.Getenv(updatersVariable), "externaldns"),
			append([]string{updatedHost, strings.TrimSuffix(updatedZone, "."), serviceKey, secondarySecret}, args...)...)
	}
	const owned = `NOERROR "heritage=external-dns,external-dns/owner=test"`
	for _, c := range []struct{ args, address, text, file string }{
		{"create app 198.51.100.1", "NOERROR 198.51.100.1", owned, "A\t198.51.100.1\n"},
		{"update app 198.51.100.1 198.51.100.2", "NOERROR 198.51.100.2", owned, "A\t198.51.100.2\n"},
		{"delete app 198.51.100.2", "NXDOMAIN", "NXDOMAIN", ""},
		{"create web 192.0.2.1", edges, owned, "A\t192.0.2.1 ; cf_tags=cf-proxied:true\n"},
		{"update web 203.0.113.11,203.0.113.10 192.0.2.2", edges, owned, "A\t192.0.2.2 ; cf_tags=cf-proxied:true\n"},
		{"delete web 203.0.113.10,203.0.113.11", "NXDOMAIN", "NXDOMAIN", ""},
	} {
		args := strings.Fields(c.args)
		host := args[1] + "." + updatedZone
		args[1] = strings.TrimSuffix(host, ".")
		said, err := change(args...)
		if err != nil || !strings.Contains(said, "sees www.updated.example A 203.0.113.1") || strings.Contains(said, "192.0.2.11") {
			t.Fatalf("%s: %v: %s", c.args, err, said)
		}
		if got := u.ask(t, host, dns.TypeA); got != c.address {
			t.Errorf("%s: %s", c.args, got)
		}
		if got := u.ask(t, "a-"+host, dns.TypeTXT); got != c.text {
			t.Errorf("%s: %s", c.args, got)
		}
		u.expectAddresses(t, host, c.file)
	}
	u.expectFile(t, "")
	if said, err := change("create", "www.updated.example", "198.51.100.3"); err == nil || !strings.Contains(said, "REFUSED") {
		t.Errorf("a name that the key is not for: %v: %s", err, said)
	}
	u.expectFile(t, "")
}
