//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
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

// A primary is tacit with a zone of its own, and those who have copies of it.
type primary struct {
	dir         string
	secondaries map[string]*secondary
}

// A secondary is a name server of another make that gets the zone from tacit.
type secondary struct {
	addr    netip.AddrPort
	process *process
	log     string // where it says what it does
}

const (
	primaryHost   = "127.0.3.1"
	copiedZone    = "copied.example."
	secondaryName = "secondary.example."
	updaterName   = "updater.example."
)

// Secrets of the two keys, and one that nobody knows.
var (
	secondarySecret = base64.StdEncoding.EncodeToString([]byte("the secondaries' secret, 32 byte"))
	updaterSecret   = base64.StdEncoding.EncodeToString([]byte("the updaters' secret, 32 octets."))
	unknownSecret   = base64.StdEncoding.EncodeToString([]byte("nobody knows this secret at all."))
)

// The origins of proxied records, and an address that is not proxied.
var hiddenOrigins = []string{"192.0.2.11", "2001:db8:bad::11", "192.0.2.12", "192.0.2.13"}

const shownAddress = "198.51.100.21"

const copiedText = `@ 3600 SOA ns hostmaster 7 10000 2400 604800 1800
@ 3600 NS ns
ns 3600 A 127.0.3.1
blog 300 A 192.0.2.11 ; cf_tags=cf-proxied:true
blog 300 AAAA 2001:db8:bad::11 ; cf_tags=cf-proxied:true
mail 300 A 192.0.2.12 ; cf_tags=cf-proxied:true
mail 300 MX 10 mail
shop 300 A 198.51.100.21
www 300 CNAME shop
deep 300 CNAME blog
* 300 TXT "wild"
sub 300 NS ns.sub
ns.sub 300 A 198.51.100.22
hid.sub 300 A 192.0.2.13 ; cf_tags=cf-proxied:true
`

const primaryConfig = `[listen]
udp = ["127.0.3.1:53"]
tcp = ["127.0.3.1:53"]
tls = ["127.0.3.1:853"]
[recursion]
local_root = false
[dnssec]
validate = false
[[zone]]
name = "copied.example."
file = "copied.zone"
[edge]
addresses = ["203.0.113.10", "2001:db8::10"]
alpn = ["h2"]
[[key]]
name = "secondary.example."
secret_file = "secondary.key"
[[key]]
name = "updater.example."
algorithm = "hmac-sha512"
secret_file = "updater.key"
[[secondary]]
key = "secondary.example."
zones = ["copied.example."]
notify = ["127.0.3.2", "127.0.3.3"]
[[update]]
key = "updater.example."
zones = ["copied.example."]
names = ["_acme-challenge.*"]
`

// openPrimary starts tacit, and knotd and NSD as its secondaries.
func openPrimary(t *testing.T) *primary {
	t.Helper()
	new(world).addAddressesToLoopback(t)
	p := &primary{dir: t.TempDir(), secondaries: map[string]*secondary{}}
	writeFile(t, filepath.Join(p.dir, "tacit.toml"), primaryConfig)
	writeFile(t, filepath.Join(p.dir, "secondary.key"), secondarySecret)
	writeFile(t, filepath.Join(p.dir, "updater.key"), updaterSecret)
	p.write(t, copiedText)
	tacit := start(t, p.dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	p.await(t, tacit, netip.MustParseAddrPort(primaryHost+":53"), 7)
	p.startKnot(t)
	p.startNSD(t)
	return p
}

func (p *primary) write(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(p.dir, "copied.zone")
	writeFile(t, path+"~", text)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func (p *primary) startKnot(t *testing.T) {
	t.Helper()
	p.secondaries["knotd"] = p.startKnotWith(t, "    file: copied.zone\n", copiedZone)
}

// startKnotWith has knotd follow one zone of tacit's, with more lines about it. Other zones are made of the template member, if ever.
func (p *primary) startKnotWith(t *testing.T, lines, zone string) *secondary {
	t.Helper()
	own := p.room(t, "knot")
	writeFile(t, filepath.Join(own, "knot.conf"), fmt.Sprintf(`server:
  rundir: %[1]s
  listen: 127.0.3.2@53
control:
  listen: knot.sock
log:
  - target: stderr
    any: info
database:
  storage: %[1]s
key:
  - id: %[2]s
    algorithm: hmac-sha256
    secret: %[3]s
remote:
  - id: tacit
    address: 127.0.3.1@53
    key: %[2]s
acl:
  - id: notify
    address: 127.0.0.0/8
    key: %[2]s
    action: notify
template:
  - id: member
    storage: %[1]s
    master: tacit
    acl: notify
zone:
  - domain: %[4]s
    storage: %[1]s
    master: tacit
    acl: notify
`, own, secondaryName, secondarySecret, zone)+lines)
	s := &secondary{addr: netip.MustParseAddrPort("127.0.3.2:53"), process: start(t, own, "knotd", "knotd", "-c", "knot.conf")}
	s.log = s.process.log
	return s
}

func (p *primary) startNSD(t *testing.T) {
	t.Helper()
	own := p.room(t, "nsd")
	writeFile(t, filepath.Join(own, "nsd.conf"), fmt.Sprintf(`server:
 ip-address: 127.0.3.3
 username: ""
 chroot: ""
 database: ""
 server-count: 1
 verbosity: 3
 pidfile: %[1]s/pid
 zonelistfile: %[1]s/zones
 xfrdfile: %[1]s/xfrd
 xfrdir: %[1]s
 zonesdir: %[1]s
remote-control:
 control-enable: no
key:
 name: %[2]s
 algorithm: hmac-sha256
 secret: "%[3]s"
zone:
 name: %[4]s
 zonefile: copied.zone
 allow-notify: 127.0.0.0/8 %[2]s
 request-xfr: 127.0.3.1@53 %[2]s
`, own, secondaryName, secondarySecret, copiedZone))
	s := &secondary{addr: netip.MustParseAddrPort("127.0.3.3:53"), process: start(t, own, "nsd", "nsd", "-d", "-c", "nsd.conf")}
	s.log = s.process.log
	p.secondaries["NSD"] = s
}

func (p *primary) room(t *testing.T, name string) string {
	t.Helper()
	own := filepath.Join(p.dir, name)
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	return own
}

// await waits until a server has a version of the zone, or a later one, and returns its serial.
func (p *primary) await(t *testing.T, server *process, addr netip.AddrPort, serial uint32) (has uint32) {
	t.Helper()
	server.awaitAnswer(t, addr, new(dns.Msg).SetQuestion(copiedZone, dns.TypeSOA), func(reply *dns.Msg) bool {
		if !reply.Authoritative || len(reply.Answer) != 1 {
			return false
		}
		soa, ok := reply.Answer[0].(*dns.SOA)
		if ok {
			has = soa.Serial
		}
		return ok && soa.Serial >= serial
	})
	return has
}

// run runs a client to its end, and returns what it said.
func (p *primary) run(t *testing.T, input, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), visitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(input)
	endAsGroup(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%s: %v\n", out, program, err)
	}
	return string(out)
}

func (p *primary) kdig(t *testing.T, key string, args ...string) string {
	t.Helper()
	if key != "" {
		args = append([]string{"-y", key}, args...)
	}
	return p.run(t, "", "kdig", append([]string{"@" + primaryHost}, args...)...)
}

const secondaryKeyOption = "hmac-sha256:" + secondaryName + ":"

// TestTransfers has kdig transfer the zone over TCP and TLS, and shows who may not.
func TestTransfers(t *testing.T) {
	p := openPrimary(t)
	right := secondaryKeyOption + secondarySecret
	for _, c := range []struct {
		name, key string
		args      []string
		want      string
	}{
		{"AXFR over TCP", right, []string{copiedZone, "AXFR"}, "18 records"},
		{"AXFR over TLS", right, []string{"+tls", copiedZone, "AXFR"}, "18 records"},
		{"IXFR of what is not known", right, []string{copiedZone, "IXFR=3"}, "18 records"},
		{"IXFR of what is current", right, []string{copiedZone, "IXFR=7"}, "1 records"},
		{"IXFR over UDP", right, []string{"+notcp", copiedZone, "IXFR=3"}, "SOA"},
		{"no key", "", []string{copiedZone, "AXFR"}, "'REFUSED'"},
		{"no key, over TLS", "", []string{"+tls", copiedZone, "AXFR"}, "'REFUSED'"},
		{"a key without rights", "hmac-sha512:" + updaterName + ":" + updaterSecret, []string{copiedZone, "AXFR"}, "'REFUSED'"},
		{"a key that is not known", "hmac-sha256:other.example.:" + unknownSecret, []string{copiedZone, "AXFR"}, "'BADKEY'"},
		{"another secret", secondaryKeyOption + unknownSecret, []string{copiedZone, "AXFR"}, "'BADSIG'"},
		{"another algorithm", "hmac-sha512:" + secondaryName + ":" + secondarySecret, []string{copiedZone, "AXFR"}, "'BADKEY'"},
		{"AXFR over UDP", right, []string{"+notcp", copiedZone, "AXFR"}, "'REFUSED'"},
		{"a zone that is not there", right, []string{"other.example.", "AXFR"}, "'REFUSED'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := p.kdig(t, c.key, c.args...)
			if !strings.Contains(said, c.want) || strings.Contains(said, "WARNING") {
				t.Errorf("no %s in:\n%s", c.want, said)
			}
			if strings.Contains(c.want, "18") != strings.Contains(said, shownAddress) {
				t.Errorf("the zone is given, or not given, as it should not be:\n%s", said)
			}
			for _, hidden := range hiddenOrigins {
				if strings.Contains(said, hidden) {
					t.Errorf("the origin %s is shown:\n%s", hidden, said)
				}
			}
		})
	}
	t.Run("octets", p.testOctets)
}

// testOctets looks for the origins in the octets of transfers themselves.
func (p *primary) testOctets(t *testing.T) {
	for name, m := range map[string]*dns.Msg{
		"AXFR": new(dns.Msg).SetAxfr(copiedZone), "IXFR": new(dns.Msg).SetIxfr(copiedZone, 3, "ns.", "x."),
	} {
		m.SetTsig(secondaryName, dns.HmacSHA256, 300, time.Now().Unix())
		conn, err := dns.DialTimeout("tcp", primaryHost+":53", visitTimeout)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.TsigSecret = map[string]string{secondaryName: secondarySecret}
		if err := conn.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(visitTimeout))
		var octets []byte
		for serials := 0; serials < 2; {
			buf := make([]byte, dns.MaxMsgSize)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			octets = append(octets, buf[:n]...)
			serials += bytes.Count(buf[:n], []byte{0, 0, 0, 7, 0, 0, 0x27, 0x10})
		}
		for _, hidden := range hiddenOrigins {
			if bytes.Contains(octets, netip.MustParseAddr(hidden).AsSlice()) {
				t.Errorf("%s: the origin %s is in the octets", name, hidden)
			}
		}
		if !bytes.Contains(octets, netip.MustParseAddr(shownAddress).AsSlice()) {
			t.Errorf("%s: the search is blind", name)
		}
	}
}

// secondsToCopy is how long a secondary may take until it has what has changed: tacit looks at files once a second.
const secondsToCopy = 6 * time.Second

// TestSecondaries has knotd and NSD keep copies: by AXFR at first, and then, told by NOTIFY, by IXFR.
func TestSecondaries(t *testing.T) {
	p := openPrimary(t)
	p.awaitCopies(t, 7)
	for name, s := range p.secondaries {
		p.compare(t, name, s, "blog A 203.0.113.10", "blog AAAA 2001:db8::10", "deep A 203.0.113.10", "shop A "+shownAddress, "www A "+shownAddress, "other TXT \"wild\"")
	}
	began := time.Now()
	p.write(t, strings.NewReplacer("hostmaster 7 ", "hostmaster 8 ", "A 198.51.100.21", "A 198.51.100.31").Replace(copiedText)+"new 300 TXT \"new\"\n")
	p.awaitCopies(t, 8)
	if took := time.Since(began); took > secondsToCopy {
		t.Errorf("secondaries have a change after %s", took)
	} else {
		t.Logf("all secondaries have a change after %s", took)
	}
	for name, s := range p.secondaries {
		p.compare(t, name, s, "shop A 198.51.100.31", "www A 198.51.100.31", "new TXT \"new\"")
	}
	for name, says := range map[string][]string{
		"knotd": {"AXFR, incoming, remote 127.0.3.1@53, finished", "IXFR, incoming, remote 127.0.3.1@53, finished", "notify, incoming"},
		"NSD":   {"notify for " + strings.TrimSuffix(copiedZone, "."), "serial 7 is updated to 8"},
	} {
		p.expectLog(t, name, says...)
	}
	said := p.kdig(t, secondaryKeyOption+secondarySecret, copiedZone, "IXFR=7")
	if !strings.Contains(said, "9 records") {
		t.Errorf("the difference:\n%s", said)
	}
	p.searchCopies(t)
}

func (p *primary) awaitCopies(t *testing.T, serial uint32) {
	t.Helper()
	for _, s := range p.secondaries {
		p.await(t, s.process, s.addr, serial)
	}
}

// compare asks a secondary, in words: a name in the zone, a type, and the answer.
func (p *primary) compare(t *testing.T, name string, s *secondary, expected ...string) {
	t.Helper()
	for _, line := range expected {
		words := strings.SplitN(line, " ", 3)
		said := p.run(t, "", "kdig", "@"+s.addr.Addr().String(), "+short", words[0]+"."+copiedZone, words[1])
		if !slices.Contains(strings.Split(said, "\n"), words[2]) {
			t.Errorf("%s: %s: got %q", name, line, said)
		}
	}
}

func (p *primary) expectLog(t *testing.T, name string, says ...string) {
	t.Helper()
	text, err := os.ReadFile(p.secondaries[name].log)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range says {
		if !strings.Contains(string(text), words) {
			t.Errorf("%s does not say %q:\n%s", name, words, text)
		}
	}
}

// searchCopies looks for the origins in all that the secondaries have written.
func (p *primary) searchCopies(t *testing.T) {
	t.Helper()
	shown := false
	for _, own := range []string{"knot", "nsd"} {
		err := filepath.WalkDir(filepath.Join(p.dir, own), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, hidden := range hiddenOrigins {
				if bytes.Contains(text, []byte(hidden)) || bytes.Contains(text, netip.MustParseAddr(hidden).AsSlice()) {
					t.Errorf("%s has the origin %s", path, hidden)
				}
			}
			shown = shown || bytes.Contains(text, []byte(shownAddress)) || bytes.Contains(text, netip.MustParseAddr(shownAddress).AsSlice())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !shown {
		t.Error("the search is blind")
	}
}

// TestUpdates has nsupdate and knsupdate change the zone, as far as their key may, and its secondaries follow.
func TestUpdates(t *testing.T) {
	p := openPrimary(t)
	p.awaitCopies(t, 7)
	nsupdate := func(key string, lines ...string) string {
		args := []string{"-y", key}
		if key == "" {
			args = nil
		}
		return p.run(t, "server "+primaryHost+"\n"+strings.Join(lines, "\n")+"\nsend\n", "nsupdate", args...)
	}
	right, challenge := "hmac-sha512:"+updaterName+":"+updaterSecret, "_acme-challenge.www."+copiedZone
	if said := nsupdate(right, "zone "+copiedZone, "prereq nxrrset "+challenge+" TXT", "update add "+challenge+" 60 TXT token"); said != "" {
		t.Errorf("nsupdate: %s", said)
	}
	p.expectText(t, challenge, `"token"`)
	if said := nsupdate(right, "update add _acme-challenge."+copiedZone+" 60 TXT second"); said != "" { // it asks for the zone first
		t.Errorf("nsupdate without the zone: %s", said)
	}
	p.expectText(t, "_acme-challenge."+copiedZone, `"second"`)
	for name, said := range map[string]string{
		"another name": nsupdate(right, "zone "+copiedZone, "update add www."+copiedZone+" 60 TXT token"),
		"another type": nsupdate(right, "zone "+copiedZone, "update add "+challenge+" 60 CNAME x.test."),
		"no key":       nsupdate("", "zone "+copiedZone, "update add "+challenge+" 60 TXT stranger"),
		"another key":  nsupdate("hmac-sha256:"+secondaryName+":"+secondarySecret, "zone "+copiedZone, "update add "+challenge+" 60 TXT stranger"),
	} {
		if !strings.Contains(said, "update failed: REFUSED") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if said := nsupdate("hmac-sha512:"+updaterName+":"+unknownSecret, "zone "+copiedZone, "update add "+challenge+" 60 TXT stranger"); !strings.Contains(said, "BADSIG") {
		t.Errorf("another secret: %s", said)
	}
	said := p.run(t, "server "+primaryHost+"\nzone "+copiedZone+"\nkey "+right+"\ndel "+challenge+" TXT\nsend\n", "knsupdate")
	if said != "" {
		t.Errorf("knsupdate: %s", said)
	}
	p.expectText(t, challenge, "")
	p.expectFile(t)
	for name, s := range p.secondaries {
		p.await(t, s.process, s.addr, p.await(t, s.process, netip.MustParseAddrPort(primaryHost+":53"), 8))
		p.compare(t, name, s, "_acme-challenge TXT \"second\"")
	}
}

// expectText asks tacit for TXT records at once: what an update has changed is served before it is confirmed.
func (p *primary) expectText(t *testing.T, name, want string) {
	t.Helper()
	if got := strings.TrimSpace(p.kdig(t, "", "+short", name, "TXT")); got != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

// expectFile compares the zone file with the one at the start: but for the serial, only what was added differs.
func (p *primary) expectFile(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "copied.zone"))
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(text), "\n")
	_, want, _ := strings.Cut(copiedText, "\n")
	want += "_acme-challenge." + copiedZone + "\t60\tIN\tTXT\t\"second\"\n"
	if got != want {
		t.Errorf("the zone file:\n%s\nwant:\n%s", got, want)
	}
}
