//go:build interop

package interop

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A listed is tacit with zones in a directory, and knotd, which is told of its catalog and of no other zone.
type listed struct {
	primary
	tacit *process
	knotd *secondary
}

const listedCatalog = "catalog.example."

const listedConfig = `[listen]
udp = ["127.0.3.1:53"]
tcp = ["127.0.3.1:53"]
[recursion]
local_root = false
[dnssec]
validate = false
[zones]
directory = "zones"
keys = "zone-keys"
[edge]
addresses = ["203.0.113.10", "2001:db8::10"]
[[key]]
name = "secondary.example."
secret_file = "secondary.key"
[[key]]
name = "updater.example."
algorithm = "hmac-sha512"
secret_file = "updater.key"
[[secondary]]
key = "secondary.example."
zones = ["example."]
notify = ["127.0.3.2"]
catalog = "catalog.example."
`

func openListed(t *testing.T) *listed {
	t.Helper()
	new(world).addAddressesToLoopback(t)
	l := &listed{primary: primary{dir: t.TempDir()}}
	writeFile(t, filepath.Join(l.dir, "tacit.toml"), listedConfig)
	writeFile(t, filepath.Join(l.dir, "secondary.key"), secondarySecret)
	writeFile(t, filepath.Join(l.dir, "updater.key"), updaterSecret)
	l.room(t, "zones")
	l.put(t, "one.example.", "blog 300 A 192.0.2.11 ; cf_tags=cf-proxied:true\nshop 300 A 198.51.100.21\n")
	l.put(t, "two.example.", "shop 300 A 198.51.100.22\n")
	l.put(t, "signed.example.", "; tacit: signed\nshop 300 A 198.51.100.23\n")
	l.put(t, "bad.example.", "shop 300 A 198.51.100\n")
	l.put(t, "private.test.", "shop 300 A 198.51.100.24\n")
	l.startTacit(t)
	l.startKnotd(t)
	return l
}

// put puts a zone file into the directory, as an editor does.
func (l *listed) put(t *testing.T, zone, text string) {
	t.Helper()
	path := l.path(zone)
	writeFile(t, path+"~", text)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func (l *listed) path(zone string) string {
	return filepath.Join(l.dir, "zones", strings.TrimSuffix(zone, ".")+".zone")
}

func (l *listed) startTacit(t *testing.T) {
	t.Helper()
	l.tacit = start(t, l.dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	l.awaitZone(t, l.tacit, netip.MustParseAddrPort(primaryHost+":53"), "one.example.", dns.RcodeSuccess)
}

func (l *listed) startKnotd(t *testing.T) {
	t.Helper()
	l.knotd = l.startKnotWith(t, "    catalog-role: interpret\n    catalog-template: member\n", listedCatalog)
	l.secondaries = map[string]*secondary{"knotd": l.knotd}
}

// awaitZone waits until a server answers with authority for a zone, or refuses to.
func (l *listed) awaitZone(t *testing.T, server *process, addr netip.AddrPort, zone string, rcode int) {
	t.Helper()
	server.awaitAnswer(t, addr, new(dns.Msg).SetQuestion(zone, dns.TypeSOA), func(reply *dns.Msg) bool {
		return reply.Rcode == rcode && reply.Authoritative == (rcode == dns.RcodeSuccess)
	})
}

func (l *listed) awaitCopy(t *testing.T, zone string, rcode int) {
	t.Helper()
	began := time.Now()
	l.awaitZone(t, l.knotd.process, l.knotd.addr, zone, rcode)
	if took := time.Since(began); took > secondsToCopy {
		t.Errorf("knotd says %s of %s after %s", dns.RcodeToString[rcode], zone, took)
	} else {
		t.Logf("knotd says %s of %s after %s", dns.RcodeToString[rcode], zone, took)
	}
}

// expect asks knotd for addresses.
func (l *listed) expect(t *testing.T, name, want string) {
	t.Helper()
	if got := strings.TrimSpace(l.run(t, "", "kdig", "@"+l.knotd.addr.Addr().String(), "+short", name, "A")); got != want {
		t.Errorf("%s: knotd says %q, want %q", name, got, want)
	}
}

// members transfers the catalog, and returns its serial and the PTR records, by zone.
func (l *listed) members(t *testing.T) (serial string, labels map[string]string) {
	t.Helper()
	labels = map[string]string{}
	for line := range strings.Lines(l.kdig(t, secondaryKeyOption+secondarySecret, "+noall", "+answer", listedCatalog, "AXFR")) {
		switch f := strings.Fields(line); {
		case len(f) > 6 && f[3] == "SOA":
			serial = f[6]
		case len(f) == 5 && f[3] == "PTR":
			labels[f[4]] = f[0]
		}
	}
	return serial, labels
}

// TestCatalog has knotd serve what tacit's catalog lists: at first, when a zone comes and when one goes, and after a restart.
func TestCatalog(t *testing.T) {
	l := openListed(t)
	t.Run("zones that are there", func(t *testing.T) {
		l.awaitCopy(t, "one.example.", dns.RcodeSuccess)
		l.awaitCopy(t, "two.example.", dns.RcodeSuccess)
		l.expect(t, "blog.one.example.", "203.0.113.10")
		l.expect(t, "shop.two.example.", "198.51.100.22")
		l.awaitCopy(t, "bad.example.", dns.RcodeServerFailure) // listed, and not to be had
		for _, other := range []string{"signed.example.", "private.test."} {
			l.awaitCopy(t, other, dns.RcodeRefused)
		}
	})
	t.Run("for nobody else", l.testCatalogIsForItsSecondary)
	t.Run("a zone comes, changes and goes", func(t *testing.T) {
		l.put(t, "three.example.", "shop 300 A 198.51.100.33\n")
		l.awaitCopy(t, "three.example.", dns.RcodeSuccess)
		l.expect(t, "shop.three.example.", "198.51.100.33")
		l.put(t, "three.example.", "shop 300 A 198.51.100.34\nnew 300 A 198.51.100.35\n")
		l.awaitCopy(t, "new.three.example.", dns.RcodeSuccess)
		l.expect(t, "new.three.example.", "198.51.100.35")
		if err := os.Remove(l.path("three.example.")); err != nil {
			t.Fatal(err)
		}
		l.awaitCopy(t, "three.example.", dns.RcodeRefused)
		l.expect(t, "blog.one.example.", "203.0.113.10")
		l.expectLog(t, "knotd", "IXFR, incoming, remote 127.0.3.1@53, finished")
	})
	l.restart(t)
	t.Run("refresh", func(t *testing.T) {
		if said := l.run(t, "", "knotc", "-s", filepath.Join(l.dir, "knot", "knot.sock"), "-b", "zone-refresh", listedCatalog); !strings.Contains(said, "OK") {
			t.Error(said)
		}
		l.expectLog(t, "knotd", "[catalog.example.] refresh, remote 127.0.3.1@53, remote serial", "zone is up-to-date")
	})
	l.searchFor(t, "could not be told", l.tacit.log)
}

func (l *listed) testCatalogIsForItsSecondary(t *testing.T) {
	right := secondaryKeyOption + secondarySecret
	for _, c := range []struct {
		name, key string
		args      []string
		want      string
	}{
		{"AXFR", right, []string{listedCatalog, "AXFR"}, "7 records"},
		{"SOA", right, []string{listedCatalog, "SOA"}, "ANSWER: 1;"},
		{"SOA over TCP", right, []string{"+tcp", listedCatalog, "SOA"}, "ANSWER: 1;"},
		{"AXFR, no key", "", []string{listedCatalog, "AXFR"}, "'REFUSED'"},
		{"AXFR, another key", "hmac-sha512:" + updaterName + ":" + updaterSecret, []string{listedCatalog, "AXFR"}, "'REFUSED'"},
		{"AXFR, another secret", secondaryKeyOption + unknownSecret, []string{listedCatalog, "AXFR"}, "'BADSIG'"},
		{"SOA, no key", "", []string{"+norec", listedCatalog, "SOA"}, "status: REFUSED"},
		{"SOA, another key", "hmac-sha512:" + updaterName + ":" + updaterSecret, []string{listedCatalog, "SOA"}, "status: REFUSED"},
		{"TXT, no key", "", []string{"+norec", "version." + listedCatalog, "TXT"}, "status: REFUSED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := l.kdig(t, c.key, c.args...)
			if !strings.Contains(said, c.want) {
				t.Errorf("no %s in:\n%s", c.want, said)
			}
			if strings.Contains(said, "one.example.") != (c.name == "AXFR") || c.key != right && strings.Contains(said, "invalid.") {
				t.Errorf("the catalog is given, or not given, as it should not be:\n%s", said)
			}
		})
	}
}

// restart has tacit start again: the serial of the catalog is later, labels are the same, and knotd goes on with what it has.
func (l *listed) restart(t *testing.T) {
	serial, labels := l.members(t)
	l.searchFor(t, "could not be told", l.tacit.log) // although knotd hears of zones before it has them
	if err := l.tacit.stop(); err != nil {
		t.Fatal(err)
	}
	l.put(t, "four.example.", "shop 300 A 198.51.100.44\n")
	l.startTacit(t)
	l.awaitCopy(t, "four.example.", dns.RcodeSuccess)
	after, again := l.members(t)
	if after <= serial || len(labels) != 3 || len(again) != 4 {
		t.Errorf("serial %s, and then %s; members %v, and then %v", serial, after, labels, again)
	}
	for zone, label := range labels {
		if again[zone] != label {
			t.Errorf("the label of %s was %s and is %s", zone, label, again[zone])
		}
	}
	for _, zone := range []string{"one.example.", "two.example."} {
		l.searchFor(t, "["+zone+"] zone purged", l.knotd.log)
	}
	l.expectLog(t, "knotd", "[three.example.] zone purged") // the search is not blind
	l.expect(t, "blog.one.example.", "203.0.113.10")
}

// searchFor fails where a log has words that it should not have.
func (l *listed) searchFor(t *testing.T, words, log string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), words) {
		t.Errorf("%q in:\n%s", words, text)
	}
}
