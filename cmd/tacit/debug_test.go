package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tacit/admin"
)

// A session shows questions for the one name, with clients as numbers, on the terminal that has begun it; there is one at a time, it ends
// with its terminal, and what remains is that there was one.
func TestDebugName(t *testing.T) {
	path, _, at := controlled(t)
	r := launch(t, "debug", "name", "www.broken.example", "--for", "10m", "--reason", "it is broken", "--config", path)
	waitForSessions(t, path, 1)
	rcode(t, at, "other.broken.example.")
	rcode(t, at, "www.broken.example.")
	said := r.wait(t, "the answer for A over udp is SERVFAIL")
	expect(t, said, "c1 asks for A over udp")
	for _, value := range []string{"127.0.0.1", "other", "www.broken"} {
		if strings.Contains(said, value) {
			t.Errorf("%q is shown: %s", value, said)
		}
	}
	if _, stderr := call(t, exitRunTime, "debug", "name", "www.broken.example", "--for", "1m", "--reason", "a second one", "--config", path); !strings.Contains(stderr, "there is a session already") {
		t.Error(stderr)
	}
	r.cancel() // the terminal goes away
	if code := <-r.code; code != exitGood {
		t.Errorf("ended with %d", code)
	}
	close(r.code)
	again := launch(t, "debug", "name", "www.broken.example", "--for", "1s", "--reason", "once more", "--config", path)
	select { // it may have to wait for the end of the first
	case code := <-again.code:
		close(again.code)
		if code != exitGood && !strings.Contains(again.out.String(), "there is a session already") {
			t.Errorf("ended with %d: %s", code, again.out.String())
		}
	case <-time.After(20 * time.Second):
		t.Error("it outlives its time")
	}
}

func waitForSessions(t *testing.T, path string, count uint64) {
	t.Helper()
	round := time.NewTicker(10 * time.Millisecond)
	defer round.Stop()
	for range 500 {
		stdout, _ := call(t, exitGood, "status", "--json", "--config", path)
		var s admin.Status
		if err := json.Unmarshal([]byte(stdout), &s); err != nil {
			t.Fatal(err)
		}
		if s.DebugSessions == count {
			return
		}
		<-round.C
	}
	t.Fatal("no session begins")
}

// Never a TLD, never an address, not for long, not without a reason.
func TestDebugNameRefuses(t *testing.T) {
	path, socket, _ := controlled(t)
	for _, c := range []struct{ name, lifetime, reason, want string }{
		{"example", "10m", "why", "two labels"},
		{".", "10m", "why", "two labels"},
		{"1.2.0.192.in-addr.arpa", "10m", "why", "address"},
		{"1.0.8.b.d.0.1.0.0.2.ip6.arpa", "10m", "why", "address"},
		{"www.example.com", "31m", "why", "30 minutes"},
		{"www.example.com", "0s", "why", "30 minutes"},
		{"www.example.com", "10m", "", "reason"},
		{"www.example.com", "10m", strings.Repeat("x", 201), "reason"},
		{"www.example.com", "10m", "\x1b[2J", "printed"},
		{"www..com", "10m", "why", "not a domain name"},
	} {
		_, stderr := call(t, exitUsage, "debug", "name", c.name, "--for", c.lifetime, "--reason", c.reason, "--config", path)
		expect(t, stderr, c.want)
	}
	// Nothing but the control socket begins one.
	write(t, filepath.Join(filepath.Dir(path), "other.toml"), "[debug]\nname = 'www.example.com'\n")
	_, stderr := call(t, exitUsage, "check", filepath.Join(filepath.Dir(path), "other.toml"))
	expect(t, stderr, "unknown")
	if s, err := admin.NewClient(socket).Status(context.Background()); err != nil || s.DebugSessions != 0 {
		t.Error(s.DebugSessions, err)
	}
}
