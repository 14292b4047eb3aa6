package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "[recursion]\nqname_minimization = 'strict'", []string{"test.toml:2:1: recursion.qname_minimization: unknown key; the nearest is recursion.qname_minimisation"}},
		{"key in another table", "[recursion]\nvalidate = false", []string{"test.toml:2:1: recursion.validate: unknown key; the nearest is dnssec.validate"}},
		{"key without a table", "udp = []", []string{"test.toml:1:1: udp: unknown key; the nearest is listen.udp"}},
		{"key like no other", "[log]\nxyzzy_plugh_plover = 1", []string{"test.toml:2:1: log.xyzzy_plugh_plover: unknown key"}},
		{"unknown table", "[recursoin]\nport = 53", []string{"test.toml:1:2: recursoin: unknown table; the nearest is recursion"}},
		{"table below a table", "[cache.size]\nmax = 1", []string{"test.toml:1:2: cache.size: unknown table; the nearest is cache"}},
		{"table for a list of tables", "[forward]\nzone = '.'", []string{"test.toml:1:2: forward: write [[forward]]"}},
		{"list of tables for a table", "[[cache]]\nsize = '1GiB'", []string{"test.toml:1:3: cache: write [cache]"}},
		{"value for a table", "cache = '1GiB'", []string{"test.toml:1:1: cache: is a table: write [cache]"}},
		{"dotted key of a list of tables", "forward.zone = '.'", []string{"test.toml:1:1: forward.zone: stands in [[forward]]"}},
		{"text for a list", "[listen]\nudp = '127.0.0.1:53'", []string{"test.toml:2:7: listen.udp: takes a list of texts in quotes"}},
		{"numbers in a list", "[listen]\nudp = [53]", []string{"test.toml:2:8: listen.udp: takes a list of texts in quotes"}},
		{"text for a boolean", "[recursion]\nipv6 = 'no'", []string{"test.toml:2:8: recursion.ipv6: takes true or false"}},
		{"number for a text", "[cache]\nsize = 1000000", []string{"test.toml:2:8: cache.size: takes a text in quotes"}},
		{"not one of the words", "[log]\nlevel = 'warning'", []string{`test.toml:2:9: log.level: takes "error", "warn", "info" or "debug"`}},
		{"second element", "[listen]\nudp = ['127.0.0.1:53',\n  'localhost:53']", []string{"test.toml:3:3: listen.udp: is not an address and port such as 127.0.0.1:5335, [::1]:53, or :53 for all addresses"}},
		{"listed twice", "[listen]\nudp = [':53', '0.0.0.0:53']", []string{"test.toml:2:15: listen.udp: is listed twice"}},
		{"name that is an address", "listen.name = '192.0.2.1'", []string{"test.toml:1:15: listen.name: " + errHost.Error()}},
		{"name that is no host's", "listen.name = '_dns.example'", []string{"test.toml:1:15: listen.name: " + errHost.Error()}},
		{"name of multicast DNS", "listen.name = 'dns.Local.'", []string{"test.toml:1:15: listen.name: " + errMDNS.Error()}},
		{"page that anybody could change", "listen.info_url = 'http://dns.example/'", []string{"test.toml:1:19: listen.info_url: " + errInfoURL.Error()}},
		{"host bits", "[access]\nallow = ['192.0.2.1/24']", []string{"test.toml:2:10: access.allow: has bits set behind its length"}},
		{"port 0", "[recursion]\nport = 0", []string{"test.toml:2:8: recursion.port: is not a port, 1 to 65535; it is 0"}},
		{"small cache", "[cache]\nsize = '1000kB'", []string{"test.toml:2:8: cache.size: is less than 1MiB"}},
		{"huge cache", "[cache]\nsize = '99999999999999GiB'", []string{`test.toml:2:8: cache.size: is not a size such as "256MiB", "1GiB" or "1000000"`}},
		{"negative time", "[cache]\nmax_ttl = '-1s'", []string{`test.toml:2:11: cache.max_ttl: is not a time such as "30s", "90m" or "24h"`}},
		{"a TTL of parts of a second", "[cache]\nmax_ttl = '1500ms'", []string{"test.toml:2:11: cache.max_ttl: is not a whole number of seconds"}},
		// RFC 2181 section 8: a TTL is an unsigned number between 0 and 2147483647.
		{"longer than a TTL", "[cache]\nmax_ttl = '600000h'", []string{"test.toml:2:11: cache.max_ttl: is longer than a TTL can say"}},
		{"a least TTL that is Auto", "[zones]\nmin_ttl = '1s'", []string{"test.toml:2:11: zones.min_ttl: is not from 2s to 24h"}},
		{"a least TTL that is more than the most", "[zones]\nmin_ttl = '25h'", []string{"test.toml:2:11: zones.min_ttl: is not from 2s to 24h"}},
		{"TTLs crossed", "[cache]\nmin_ttl = '2h'\nmax_ttl = '1h'", []string{"test.toml:2:1: cache.min_ttl: is more than cache.max_ttl"}},
		{"no listener", "[listen]\nudp = []\ntcp = []", []string{"test.toml:2:1: listen.udp: and all other listeners are empty: nobody could ask"}},
		{"one address for two over TCP", "[listen]\ntls = ['192.0.2.1:853', '127.0.0.1:5335']\nhttp = ['192.0.2.1:853', '/run/s']", []string{
			"test.toml:2:1: listen.tls: has an address and port that listen.tcp has, too", "test.toml:3:1: listen.http: has an address and port that listen.tls has, too",
		}},
		{"one address for two over UDP", "listen.quic = [':5335']\nlisten.udp = ['0.0.0.0:5335']", []string{"test.toml:1:1: listen.quic: has an address and port that listen.udp has, too"}},
		{"no family", "[recursion]\nipv4 = false\nipv6 = false", []string{"test.toml:3:1: recursion.ipv6: and recursion.ipv4 are both false: nobody could be asked"}},
		{"certificate without its key", "[tls]\ncert_file = 'a.pem'", []string{"test.toml:2:1: tls.cert_file: goes with tls.key_file, which is not given"}},
		{"key without its certificate", "[tls]\nkey_file = 'a.pem'", []string{"test.toml:2:1: tls.key_file: goes with tls.cert_file, which is not given"}},
		{"one more certificate without its key", "[[certificate]]\ncert_file = 'a.pem'", []string{"test.toml:1:3: certificate: has no key_file"}},
		{"one more certificate in no file", "[[certificate]]\ncert_file = ''\nkey_file = ''", []string{"test.toml:1:3: certificate: names no file for its certificate, or none for its key"}},
		{"TLS version", "[tls]\nmin_version = '1.1'", []string{`test.toml:2:15: tls.min_version: takes "1.3" or "1.2"`}},
		{
			"ACME names", "[tls]\nacme_names = ['dns.example', '*.example', 'example', '192.0.2.1', 'd_ns.example', 'DNS.example.']",
			[]string{
				"test.toml:2:30: tls.acme_names: " + errOrdered.Error(), "test.toml:2:43: tls.acme_names: " + errOrdered.Error(),
				"test.toml:2:54: tls.acme_names: " + errOrdered.Error(), "test.toml:2:67: tls.acme_names: " + errOrdered.Error(),
				"test.toml:2:83: tls.acme_names: is listed twice",
			},
		},
		{"ACME directory", "[tls]\nacme_directory = 'http://acme.test/'", []string{"test.toml:2:18: tls.acme_directory: " + errDirectory.Error()}},
		{"ACME mail", "[tls]\nacme_mail = 'mailto:a@example.com'", []string{"test.toml:2:13: tls.acme_mail: " + errMail.Error()}},
		{"ACME port", "[tls]\nacme_http = 'all'", []string{"test.toml:2:13: tls.acme_http: " + errListen.Error()}},
		{"anchor", "[dnssec]\ntrust_anchors = ['20326 8 2']", []string{`test.toml:2:18: dnssec.trust_anchors: is not a DS or DNSKEY record such as ". IN DS 20326 8 2 E06D..."`}},
		{"anchor that is revoked", "[dnssec]\ntrust_anchors = ['. DNSKEY 385 3 8 AAAA']", []string{"test.toml:2:18: dnssec.trust_anchors: is a revoked key"}},
		{"bad name", "[dnssec]\nnegative_trust_anchors = ['a..example']", []string{"test.toml:2:27: dnssec.negative_trust_anchors: is not a domain name"}},
		{"stub without servers", "[[stub]]\nzone = 'example.'", []string{"test.toml:1:3: stub: has no servers"}},
		{"stub with an empty list", "[[stub]]\nzone = 'example.'\nservers = []", []string{"test.toml:3:11: stub.servers: is empty"}},
		{"stub over an encrypted transport", "[[stub]]\nzone = 'example.'\nservers = ['tls://192.0.2.1']", []string{"test.toml:3:12: stub.servers: is not an address such as 192.0.2.53, 192.0.2.53:5335 or [2001:db8::53]:53"}},
		{
			"two for one zone", "[[stub]]\nzone = 'example.'\nservers = ['192.0.2.1']\n[[forward]]\nzone = 'EXAMPLE'\nupstreams = ['192.0.2.1']",
			[]string{"test.toml:4:3: forward: names a zone that another [[forward]] or [[stub]] has"},
		},
		{"all mistakes at once, in order", "[cache]\nsize = 'much'\nsice = '1GiB'\n[log]\nlevel = 1\n[recursion]\nport = 70000", []string{
			`test.toml:2:8: cache.size: is not a size such as "256MiB", "1GiB" or "1000000"`,
			"test.toml:3:1: cache.sice: unknown key; the nearest is cache.size",
			"test.toml:5:9: log.level: takes a text in quotes",
			"test.toml:7:8: recursion.port: is not a port, 1 to 65535; it is 70000",
		}},
	} {
		t.Run(c.name, func(t *testing.T) { expectProblems(t, c.text, c.want...) })
	}
}

func TestGrammarMistakesHaveAPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no value", "[log]\nlevel =\n", "f.toml:2:8: not TOML: unexpected character U+000A at start of value"},
		{"said twice", "[log]\nlevel = 'info'\nlevel = 'warn'\n", "f.toml:3:1: not TOML: key level is already defined"},
		{"table twice", "[log]\n[log]\n", "f.toml:2:2: not TOML: table log already exists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read("f.toml", []byte(c.text))
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestMarkerStandsBelowThePlace(t *testing.T) {
	f, err := Read("f.toml", []byte("[cache]\n\tsize = \"much\"\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Check()
	problems, ok := errors.AsType[Problems](err)
	if !ok || len(problems) != 1 {
		t.Fatalf("got %v, want one problem", err)
	}
	lines := strings.Split(problems[0].Marked(), "\n")
	if len(lines) != 3 || lines[1] != "    \tsize = \"much\"" || lines[2] != "    \t       ^" {
		t.Errorf("got %q", lines)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tacit.toml")
	if err := os.WriteFile(path, []byte("[recursion]\nroot_hints = 'root.hints'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "root.hints"); c.File != path || c.Recursion.RootHints != want {
		t.Errorf("file %s, hints %s; want %s, %s", c.File, c.Recursion.RootHints, path, want)
	}
	if _, err := Load(filepath.Join(dir, "none.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	if c, err := Load(""); err != nil || c.File != "" {
		t.Errorf("no file: %v, %v", c, err)
	}
	if Find(path) != path {
		t.Errorf("found %s instead of the file named", Find(path))
	}
}
