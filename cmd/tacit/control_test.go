package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/admin"
	"tacit/config"
	"tacit/internal/server"
	"tacit/internal/testnet"
)

// controlled starts a tacit in front of an internet with a broken zone. It returns its configuration, its control socket and
// where it is asked.
func controlled(t *testing.T) (path, socket, at string) {
	t.Helper()
	w := testnet.New(testnet.Options{Latency: time.Millisecond})
	w.Zone("broken.example.", "www IN A 203.0.113.1")
	w.Sign(testnet.Signing{}, ".", "example.", "broken.example.")
	w.Spoil("broken.example.", testnet.Expired())
	directory, err := os.MkdirTemp("", "tacit") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	socket = filepath.Join(directory, "control.sock")
	path = filepath.Join(directory, "tacit.toml")
	write(t, filepath.Join(directory, "root.hints"), w.Hints())
	write(t, path, `
[listen]
udp = ["127.0.0.1:0"]
tcp = []
[recursion]
root_hints = "root.hints"
ipv6 = false
[dnssec]
trust_anchors = ['`+w.Anchor()+`']
[admin]
control = "control.sock"
`)
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), c, server.Env{Network: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	udp, _ := s.Addrs()
	return path, socket, udp[0].String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func rcode(t *testing.T, at, name string) string {
	t.Helper()
	c := dns.Client{Timeout: 8 * time.Second}
	r, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), at)
	if err != nil {
		t.Fatal(err)
	}
	return dns.RcodeToString[r.Rcode]
}

func TestNTACommands(t *testing.T) {
	path, socket, at := controlled(t)
	if got := rcode(t, at, "www.broken.example."); got != "SERVFAIL" {
		t.Fatalf("%s for a broken zone", got)
	}
	call(t, exitGood, "nta", "add", "broken.example", "--for", "24h", "--reason", "keys rolled too early", "--config", path)
	if got := rcode(t, at, "www.broken.example."); got != "NOERROR" {
		t.Errorf("%s for an excepted zone", got)
	}
	stdout, _ := call(t, exitGood, "nta", "list", "--control", socket)
	expect(t, stdout, "broken.example.  ", " UTC  keys rolled too early\n")
	call(t, exitGood, "nta", "remove", "broken.example", "--control", socket)
	if got := rcode(t, at, "www.broken.example."); got != "SERVFAIL" {
		t.Errorf("%s for a zone that is validated again", got)
	}
	_, stderr := call(t, exitRunTime, "nta", "remove", "broken.example", "--control", socket)
	expect(t, stderr, "no negative trust anchor was set at run time")
	_, stderr = call(t, exitUsage, "nta", "add", "broken.example", "--for", "200h", "--reason", "x", "--control", socket)
	expect(t, stderr, "at most 7 days")
}

func TestFlushReloadAndStatusCommands(t *testing.T) {
	path, socket, at := controlled(t)
	rcode(t, at, "www.broken.example.")
	for _, args := range [][]string{{"www.broken.example"}, {"broken.example", "--subtree"}, {"--all"}} {
		if stdout, stderr := call(t, exitGood, append([]string{"flush", "--control", socket}, args...)...); stdout+stderr != "" {
			t.Errorf("flush %v says %q, %q", args, stdout, stderr)
		}
	}
	_, stderr := call(t, exitUsage, "flush", "a..example", "--control", socket)
	expect(t, stderr, "not a domain name")

	stdout, _ := call(t, exitGood, "status", "--config", path)
	expect(t, stdout, "tacit ", ", up 0s since ", "with "+path, "transport  queries", "udp        1 ", "packets      0 ", "upstream  queries", "UDP       ", "of the questions to authoritative servers were encrypted", "trust anchor  tag", "valid", "No copy of the root zone is kept.", "No failing zone is named: that takes 20 client networks", "so far there were 0 answers")
	if strings.Contains(stdout, "broken") {
		t.Errorf("a name that was asked for in:\n%s", stdout)
	}
	stdout, _ = call(t, exitGood, "status", "--json", "--control", socket)
	var s admin.Status
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || s.Config != path || len(s.Cache) != 5 || len(s.Upstream.Queries) != 4 {
		t.Errorf("%v: %s", err, stdout)
	}

	call(t, exitGood, "reload", "--control", socket)
	write(t, path, "[listen]\nupd = []\n[cache]\nsize = 5\n")
	_, stderr = call(t, exitUsage, "reload", "--control", socket)
	expect(t, stderr, path+":2:1: listen.upd: unknown key", path+":4:8: cache.size: takes")
}

func TestControlCommandsWithoutATacit(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", "")
	if _, err := os.Lstat("/run/tacit/control.sock"); err == nil {
		t.Skip("this machine has a tacit, which is not to be flushed by a test")
	}
	none := filepath.Join(t.TempDir(), "none")
	commands := [][]string{
		{"flush", "--all"}, {"nta", "list"}, {"nta", "add", "example.", "--for", "1h", "--reason", "x"}, {"nta", "remove", "example."}, {"status"}, {"reload"},
	}
	for _, args := range commands {
		_, stderr := call(t, exitRunTime, append(args, "--control", none)...)
		expect(t, stderr, none+": tacit is not running")
		_, stderr = call(t, exitUsage, append(args, "--config", file(t, ""))...)
		expect(t, stderr, "there is no control socket: set admin.control")
	}
	for _, args := range [][]string{
		{"flush"},
		{"flush", "a.example", "b.example"},
		{"flush", "--all", "example."},
		{"flush", "--all", "--subtree"},
		{"nta"},
		{"nta", "set"},
		{"nta", "add", "example."},
		{"nta", "add", "example.", "--for", "week", "--reason", "x"},
		{"status", "x"},
		{"status", "--control", none, "--config", none},
	} {
		_, stderr := call(t, exitUsage, args...)
		expect(t, stderr, "--help")
	}
}

// Where too few ask, status says so; where nothing is counted, it says nothing.
func TestStatusSaysWhatManyHaveInCommon(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		failing admin.Failing
		popular *admin.Popular
		want    []string
	}{
		{"nothing", admin.Failing{From: 20}, nil, []string{"takes 20 client networks", "so far there were 0 answers"}},
		{
			"failures",
			admin.Failing{Zones: []admin.FailingZone{{Zone: "zone.example", Cause: "bogus", Networks: 21, Answers: 300}}, Others: 7},
			nil,
			[]string{"zone.example  bogus  300      21 or more", "In other zones, 7 answers"},
		},
		{
			"failures of all",
			admin.Failing{From: 20, Widespread: []admin.WidespreadCause{{Cause: "signature_not_yet_valid", Domains: 40, Answers: 900}}},
			nil,
			[]string{"40 domains fail for one cause, signature_not_yet_valid (900 answers)", "its clock", "No failing zone is named"},
		},
		{"the first hour", admin.Failing{}, &admin.Popular{Budget: 1}, []string{"when the first hour is over.", "1.00 is left"}},
		{"few", admin.Failing{}, &admin.Popular{From: 50, At: at, Budget: 1}, []string{"No domain was popular", "takes 50 client networks"}},
		{
			"many",
			admin.Failing{},
			&admin.Popular{At: at, Budget: 0.5, Zones: []admin.PopularZone{{Zone: "zone.example", Networks: 90}}},
			[]string{"zone.example    about 90", "have noise", "0.50 is left"},
		},
		{"a clock that was set back", admin.Failing{}, &admin.Popular{At: at, Exhausted: true}, []string{"the clock was set back", "0.00 is left"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := writeStatus(&b, admin.Status{Failing: c.failing, Popular: c.popular}); err != nil {
				t.Fatal(err)
			}
			expect(t, b.String(), c.want...)
			if got := strings.Contains(b.String(), "opular"); got != (c.popular != nil) {
				t.Errorf("tells of popularity: %v", got)
			}
		})
	}
}

func TestDescribeRoot(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for want, r := range map[string]*admin.Root{
		"No copy of the root zone is kept.":                               nil,
		"There is no copy of the root zone yet.":                          {},
		"There is no copy of the root zone yet: transfer was refused.":    {Problem: "transfer was refused"},
		"The copy of the root zone has serial 2026112100 and 24000 recor": {Copied: true, Serial: 2026112100, Records: 24000, Checked: at, Until: at},
	} {
		if got := describeRoot(r); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
