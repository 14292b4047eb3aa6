package config

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files under docs")

func TestGeneratedFilesAreFresh(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"../docs/configuration.md", manual()},
		{"../docs/tacit.example.toml", exampleFile()},
		{"../docs/tacit.schema.json", schema()},
	} {
		if *update {
			if err := os.WriteFile(c.path, []byte(c.want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s is stale: run go generate ./config", c.path)
		}
	}
}

// The example is the default: as it stands, and with every option that has a default taken out of its comment.
func TestExampleFileIsTheDefault(t *testing.T) {
	want := Default()
	for name, text := range map[string]string{"as it stands": exampleFile(), "uncommented": uncomment(exampleFile())} {
		got := mustCheck(t, text)
		got.File = ""
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if n := strings.Count(uncomment(exampleFile()), "\n[recursion]\n"); n != 1 {
		t.Errorf("%d tables [recursion], want 1", n)
	}
}

// uncomment takes settings of tables that are not repeated out of their comment: those that start with # and no space.
func uncomment(text string) string {
	lines := strings.Split(text, "\n")
	repeated := false
	for i, line := range lines {
		rest, commented := strings.CutPrefix(line, "#")
		switch {
		case strings.HasPrefix(rest, "["):
			repeated = strings.HasPrefix(rest, "[[")
		case commented && !repeated && rest != "" && rest[0] != ' ':
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

// Each key of the design's list parses; the list is kept here because tools outside rely on it.
func TestFixedKeys(t *testing.T) {
	for path := range strings.FieldsSeq(`
		listen.udp listen.tcp listen.tls listen.https listen.quic tls.cert_file tls.key_file access.allow access.refuse
		recursion.root_hints recursion.qname_minimisation recursion.ipv4 recursion.ipv6 recursion.port recursion.local_root
		recursion.case_randomisation recursion.encrypt recursion.allow_special_addresses dnssec.validate dnssec.trust_anchors
		dnssec.negative_trust_anchors dnssec.aggressive_nsec dnssec.sha1 dnssec.validation_time cache.size cache.min_ttl
		cache.max_ttl cache.serve_stale cache.prefetch cache.ttl_blur forward.zone forward.upstreams forward.first stub.zone
		stub.servers zone.name zone.file edge.addresses log.level admin.listen admin.control`) {
		if findOption(path) == nil {
			t.Errorf("no option %s", path)
		}
	}
}

func TestOptionsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range options {
		switch {
		case seen[o.path()]:
			t.Errorf("%s: twice", o.path())
		case findGroup(o.table) == nil:
			t.Errorf("%s: no such table", o.path())
		case o.set == nil || !strings.HasSuffix(o.about, "."):
			t.Errorf("%s: no check or no sentence", o.path())
		case o.required() && !findGroup(o.table).repeated:
			t.Errorf("%s: no default", o.path())
		case (o.kind == textKind || o.kind == listKind) && o.form == "" && o.words == nil:
			t.Errorf("%s: does not say what its text looks like", o.path())
		}
		seen[o.path()] = true
	}
}
