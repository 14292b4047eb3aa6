package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call runs a command line and expects an exit code.
func call(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), args, &out, &errs); got != code {
		t.Errorf("tacit %v: exit code %d, want %d\n%s%s", args, got, code, &out, &errs)
	}
	return out.String(), errs.String()
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tacit.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func expect(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"server"}, "unknown command"},
		{"unknown flag", []string{"serve", "--prot", "53"}, "see tacit serve --help"},
		{"too many arguments", []string{"serve", "x"}, "see tacit serve --help"},
		{"no name", []string{"trace"}, "see tacit trace --help"},
		{"no such type", []string{"trace", "--lab", "www.example.com", "AX"}, "not a domain name and a type"},
		{"flags that exclude each other", []string{"trace", "--lab", "--config", "x", "www.example.com"}, "lab"},
		{"no address", []string{"lab", "--listen", "5335"}, "--listen takes an address and port"},
		{"no address for HTTPS", []string{"lab", "--https", "8443"}, "--https takes an address and port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr := call(t, exitUsage, c.args...)
			expect(t, stderr, c.want)
		})
	}
}

func TestConfigurationErrors(t *testing.T) {
	broken := file(t, "[listen]\nupd = ['127.0.0.1:53']\n[cache]\nsize = 5\n")
	for _, args := range [][]string{{"check", broken}, {"serve", "--config", broken}, {"trace", "-c", broken, "example.com"}} {
		stdout, stderr := call(t, exitUsage, args...)
		expect(t, stderr,
			broken+":2:1: listen.upd: unknown key; the nearest is listen.udp\n    upd = ['127.0.0.1:53']\n    ^\n",
			broken+":4:8: cache.size: takes a text in quotes\n    size = 5\n           ^\n")
		if stdout != "" || strings.Contains(stderr, "--help") {
			t.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
	}
	none := filepath.Join(t.TempDir(), "none.toml")
	_, stderr := call(t, exitUsage, "check", none)
	expect(t, stderr, "no such file")
	_, stderr = call(t, exitUsage, "check", file(t, "[recursion]\nroot_hints = 'none.hints'\n"))
	expect(t, stderr, "recursion.root_hints: open ")
	_, stderr = call(t, exitUsage, "check", file(t, "[[forward]]\nzone = '.'\nupstreams = ['quic://192.0.2.1']\nca_file = 'none.pem'\n"))
	expect(t, stderr, "forward.ca_file: open ")
}

func TestCheck(t *testing.T) {
	good := file(t, "[log]\nlevel = 'warn'\n")
	stdout, stderr := call(t, exitGood, "check", good)
	if stdout != good+": no mistakes\n" || stderr != "" {
		t.Errorf("%q, %q", stdout, stderr)
	}
}

func TestTraceOfTheLab(t *testing.T) {
	stdout, _ := call(t, exitGood, "trace", "--lab", "shop.example.com")
	expect(t, stdout,
		"com. asked for example.com. A: referral", "zone cut at example.com.", "alias, on to www.store.example.",
		"NOERROR, 2 records in the answer", "zone            servers  queries  labels shown")
	if strings.Contains(stdout, "\x1b") {
		t.Error("colours where there is no terminal")
	}
	if !regexp.MustCompile(`(?m)^com\. +1 +2 +2 of 3$`).MatchString(stdout) {
		t.Errorf("com did not learn 2 labels of 3:\n%s", stdout)
	}
}

func TestTraceAsJSON(t *testing.T) {
	stdout, _ := call(t, exitGood, "trace", "--lab", "--json", "nowhere.example.com", "AAAA")
	var kinds []string
	var last map[string]any
	for line := range strings.Lines(stdout) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		kinds = append(kinds, last["step"].(string))
	}
	if last["step"] != "summary" || last["rcode"] != "NXDOMAIN" || last["servers"] != 3.0 {
		t.Errorf("the summary is %v", last)
	}
	if !slices.Contains(kinds, "asked") || !slices.Contains(kinds, "cut") || !slices.Contains(kinds, "finished") {
		t.Errorf("steps %v", kinds)
	}
}

// A running is a command that does not end by itself.
type running struct {
	cancel context.CancelFunc
	code   chan int

	mu      sync.Mutex
	out     bytes.Buffer
	written chan struct{} // closed by the next write
}

// launch runs a command until the test is over.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, code: make(chan int, 1), written: make(chan struct{})}
	go func() { r.code <- run(ctx, args, r, r) }()
	t.Cleanup(func() {
		cancel()
		if code, ok := <-r.code; ok && code != exitGood {
			t.Errorf("tacit %v ended with %d", args, code)
		}
	})
	return r
}

func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.written)
	r.written = make(chan struct{})
	return r.out.Write(b)
}

// wait returns what was written once it holds a text.
func (r *running) wait(t *testing.T, until string) string {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		text, written := r.out.String(), r.written
		r.mu.Unlock()
		if strings.Contains(text, until) {
			return text
		}
		select {
		case <-written:
		case code := <-r.code:
			r.code <- code
			t.Fatalf("ended with %d:\n%s", code, text)
		case <-limit:
			t.Fatalf("does not say %q, but:\n%s", until, text)
		}
	}
}

// freePort is a port that happens to be free for TCP on this machine.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestServeSaysWhereAndWhatToTry(t *testing.T) {
	at := freePort(t).String()
	path := file(t, "[listen]\nudp = ['"+at+"']\ntcp = ['"+at+"']\n")
	text := launch(t, "serve", "--config", path).wait(t, "Ctrl-C")
	_, port, _ := strings.Cut(at, ":")
	expect(t, text, "tacit listens on "+at+" (UDP and TCP), with "+path, "dig @127.0.0.1 -p "+port+" example.com", "trace example.com")

	_, stderr := call(t, exitRunTime, "serve", "--config", path)
	expect(t, stderr, "cannot listen on "+at)
	if strings.Contains(stderr, "--help") {
		t.Errorf("sends the operator to the help: %s", stderr)
	}
}

func TestServeWithoutPlainDNS(t *testing.T) {
	at := freePort(t).String()
	path := file(t, "[listen]\nudp = []\ntcp = []\ntls = ['"+at+"']\n")
	text := launch(t, "serve", "--config", path).wait(t, "Ctrl-C")
	expect(t, text, "tacit listens without plain DNS, with "+path, at, "+tls-pin=")
}

func TestLab(t *testing.T) {
	at, names, tls, https := freePort(t), freePort(t), freePort(t), freePort(t)
	_, port, _ := strings.Cut(names.String(), ":")
	text := launch(t, "lab", "--listen", at.String(), "--port", port, "--tls", tls.String(), "--https", https.String()).wait(t, "trace --lab")
	expect(t, text, "tacit listens on "+at.String(), "www.example.com A",
		fmt.Sprintf("kdig @127.0.0.1 -p %d +tls-pin=", tls.Port()), fmt.Sprintf("kdig @127.0.0.1 -p %d +tls-pin=", https.Port()))
}

func TestAliasCommand(t *testing.T) {
	first, last := netip.MustParseAddr("127.53.0.1"), netip.MustParseAddr("127.53.0.20")
	if got, want := aliasCommand("darwin", first, last), "for i in $(seq 1 20); do sudo ifconfig lo0 alias 127.53.0.$i up; done"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := aliasCommand("linux", first, last), "for i in $(seq 1 20); do sudo ip address add 127.53.0.$i/32 dev lo; done"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAskAt(t *testing.T) {
	for at, want := range map[string]string{
		"127.0.0.1:5335": "kdig @127.0.0.1 -p 5335", "[::1]:53": "kdig @::1", "0.0.0.0:53": "kdig @127.0.0.1", "[::]:5335": "kdig @::1 -p 5335",
	} {
		if got := askAt(netip.MustParseAddrPort(at), "kdig"); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}

func TestDescribeAddrs(t *testing.T) {
	a, b, c := netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53"), netip.MustParseAddrPort("192.0.2.1:53")
	got := describeAddrs([]netip.AddrPort{a, c}, []netip.AddrPort{a, b})
	if want := "127.0.0.1:53 (UDP and TCP), 192.0.2.1:53 (UDP), [::1]:53 (TCP)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestVersion(t *testing.T) {
	stdout, _ := call(t, exitGood, "version")
	expect(t, stdout, "tacit ", "commit ", "go1.", "github.com/miekg/dns v")
	var b bytes.Buffer
	err := writeVersion(&b, &debug.BuildInfo{
		GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.0.0"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}, {Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}},
	})
	if want := "tacit v1.0.0\ncommit abc, modified\ngo1.26.0 linux/arm64\n"; err != nil || b.String() != want {
		t.Errorf("%q, want %q (%v)", b.String(), want, err)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		stdout, _ := call(t, exitGood, "completion", shell)
		expect(t, stdout, "tacit")
	}
}

func TestManualPagesAreFresh(t *testing.T) {
	const directory = "../../docs/man"
	pages := manualPages(newRoot(nil, nil))
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is stale: run go generate ./cmd/tacit", name)
		}
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := slices.Sorted(maps.Keys(pages)); !slices.Equal(names, want) {
		t.Errorf("pages %v, want %v", names, want)
	}
}
