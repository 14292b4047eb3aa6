package server

import (
	"bytes"
	"crypto"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/config"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// A zoneKey signs the DNSKEY RRset of example.
type zoneKey struct {
	record  *dns.DNSKEY
	private crypto.Signer
}

func newZoneKey(t *testing.T) *zoneKey {
	t.Helper()
	record := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 257, Protocol: 3, Algorithm: dns.ED25519,
	}
	private, err := record.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return &zoneKey{record, private.(crypto.Signer)}
}

func (k *zoneKey) config(t *testing.T, text string) *config.Config {
	t.Helper()
	f, err := config.Read("/etc/tacit/test.toml", []byte("[dnssec]\ntrust_anchors = ['"+k.record.ToDS(dns.SHA256).String()+"']\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Check()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sign makes an RRset of keys, signed by k.
func (k *zoneKey) sign(t *testing.T, now time.Time, keys ...*zoneKey) *wire.RRset {
	t.Helper()
	set := &wire.RRset{Name: wire.MustName("example."), Type: wire.TypeDNSKEY, TTL: 3600}
	var records []dns.RR
	for _, other := range keys {
		records = append(records, other.record)
		set.Data = set.Data.Add(rdata(t, other.record))
	}
	sig := &dns.RRSIG{
		Algorithm: dns.ED25519, KeyTag: k.record.KeyTag(), SignerName: "example.",
		Inception: uint32(now.Unix()) - 3600, Expiration: uint32(now.Unix()) + 86400,
	}
	if err := sig.Sign(k.private, records); err != nil {
		t.Fatal(err)
	}
	set.Sigs = set.Sigs.Add(rdata(t, sig))
	return set
}

func rdata(t *testing.T, rr dns.RR) []byte {
	t.Helper()
	buf := make([]byte, 512)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return buf[len("\x07example\x00")+10 : end]
}

func keeperLog() (*slog.Logger, *bytes.Buffer) {
	var lines bytes.Buffer
	log, _ := NewLog(func(slog.Leveler) slog.Handler { return slog.NewTextHandler(&lines, nil) })
	return log, &lines
}

func keyStates(anchors []dnssec.AnchorStatus) string {
	var states []string
	for _, a := range anchors {
		states = append(states, a.State.String())
	}
	return strings.Join(states, " ")
}

var observed = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAnchorsSurviveARestart(t *testing.T) {
	a, b := newZoneKey(t), newZoneKey(t)
	path := filepath.Join(t.TempDir(), "anchors")
	c := a.config(t, "anchor_file = '"+path+"'")
	if r := Anchors(c); !r.Fresh || r.File != path || keyStates(r.Anchors) != "valid" {
		t.Errorf("before the first start: %+v", r)
	}
	log, lines := keeperLog()
	k := newAnchorKeeper(c, log, nil)
	if !k.Observe(observed, work.New(work.DefaultLimits), a.sign(t, observed, a, b)) {
		t.Error("a new key is a change")
	}
	if k.Observe(observed, work.New(work.DefaultLimits), a.sign(t, observed, a, b)) {
		t.Error("a key that is known is none")
	}
	if text := lines.String(); strings.Count(text, "level=INFO") != 1 || !strings.Contains(text, "zone=example.") || !strings.Contains(text, "to=pending") {
		t.Errorf("the log has\n%s", text)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files are left, want 1", len(left))
	}
	if r := Anchors(c); r.Fresh || r.Problem != "" || !strings.Contains(keyStates(r.Anchors), "pending") {
		t.Errorf("after it: %+v", r)
	}
	again := newAnchorKeeper(c, log, nil)
	if !bytes.Equal(again.AppendState(nil), k.AppendState(nil)) {
		t.Errorf("%s\nbecame\n%s", k.AppendState(nil), again.AppendState(nil))
	}
}

func TestTheLastAnchorGoesLoudly(t *testing.T) {
	a := newZoneKey(t)
	log, lines := keeperLog()
	k := newAnchorKeeper(a.config(t, ""), log, nil)
	a.record.Flags |= dns.REVOKE
	if !k.Observe(observed, work.New(work.DefaultLimits), a.sign(t, observed, a)) || k.At(wire.MustName("example.")) {
		t.Errorf("not revoked: %s", k.AppendState(nil))
	}
	if !strings.Contains(lines.String(), "level=ERROR") {
		t.Errorf("the log has\n%s", lines)
	}
}

// The anchor file: temporary file, rename, checksum; a file that cannot be used or written is no reason to stop.
func TestAnchorFileFailures(t *testing.T) {
	a, b := newZoneKey(t), newZoneKey(t)
	for _, c := range []struct {
		name     string
		prepare  func(t *testing.T, path string)
		warnings int // of four observations
		written  bool
	}{
		{"no file", func(*testing.T, string) {}, 0, true},
		{"a damaged file is replaced", func(t *testing.T, path string) { write(t, path, "tacit trust anchors, version 1\nx") }, 1, true},
		{"an older file is replaced", func(t *testing.T, path string) { write(t, path, "tacit trust anchors, version 0\n") }, 1, true},
		{"no directory", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, 1, false},
		{"a directory of that name: unreadable and not written", func(t *testing.T, path string) {
			if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "state")
			if err := os.Mkdir(directory, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(directory, "anchors")
			c.prepare(t, path)
			log, lines := keeperLog()
			k := newAnchorKeeper(a.config(t, "anchor_file = '"+path+"'"), log, nil)
			for i := range 4 {
				shown := []*zoneKey{a, b}[:1+i%2]
				k.Observe(observed, work.New(work.DefaultLimits), a.sign(t, observed, shown...))
			}
			if got := strings.Count(lines.String(), "level=WARN"); got != c.warnings {
				t.Errorf("%d warnings, want %d:\n%s", got, c.warnings, lines)
			}
			text, err := os.ReadFile(path)
			if written := err == nil && bytes.Equal(text, k.AppendState(nil)); written != c.written {
				t.Errorf("written %v: %v\n%s", written, err, text)
			}
			if _, err := dnssec.ReadState(text); c.written && err != nil {
				t.Error(err)
			}
			if left, _ := fs.Glob(os.DirFS(directory), ".anchors-*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A reload goes on with what is known, file or no file.
func TestAnchorsSurviveAReload(t *testing.T) {
	a, b := newZoneKey(t), newZoneKey(t)
	log, _ := keeperLog()
	before := newAnchorKeeper(a.config(t, ""), log, nil)
	before.Observe(observed, work.New(work.DefaultLimits), a.sign(t, observed, a, b))
	if got := keyStates(newAnchorKeeper(a.config(t, ""), log, before).List()); !strings.Contains(got, "pending") {
		t.Errorf("after a reload: %s", got)
	}
	if got := keyStates(newAnchorKeeper(a.config(t, "anchor_updates = 'static'"), log, before).List()); got != "valid" {
		t.Errorf("static: %s", got)
	}
	if got := keyStates(newAnchorKeeper(b.config(t, ""), log, before).List()); got != "valid" {
		t.Errorf("another anchor: %s", got)
	}
}

func TestAnchorPath(t *testing.T) {
	a := newZoneKey(t)
	for _, c := range []struct{ name, text, directory, want string }{
		{"as configured", "anchor_file = 'anchors'", "/var/lib/tacit", "/etc/tacit/anchors"},
		{"as the service manager says", "", "/var/lib/tacit", "/var/lib/tacit/trust-anchors"},
		{"the first of several", "", "/var/lib/tacit:/var/lib/other", "/var/lib/tacit/trust-anchors"},
		{"nowhere", "", "", ""},
		{"static", "anchor_updates = 'static'\nanchor_file = 'anchors'", "/var/lib/tacit", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", c.directory)
			if got := anchorPath(a.config(t, c.text)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
