//go:build leak

package leak

import (
	"bytes"
	"os"
	"slices"
	"syscall"
	"testing"
)

// TestNothingLeaks is the audit of tacit as it is released: what it writes and says, what stays in its memory, and what servers and
// clients are told.
func TestNothingLeaks(t *testing.T) {
	a := begin(t, settings{binary: os.Getenv(binaryVariable), level: "info"})
	a.work()
	a.encryption()
	a.downstream()
	a.memory()
	a.upstream()
	a.end(syscall.SIGTERM)
	t.Log(a.table)
	a.table.judge(t)
}

// TestNoLevelTells has the same asked at the other levels of the log, and searches what is written.
func TestNoLevelTells(t *testing.T) {
	for _, level := range []string{"error", "warn", "debug"} {
		t.Run(level, func(t *testing.T) {
			a := begin(t, settings{binary: os.Getenv(binaryVariable), level: level})
			a.work()
			a.end(syscall.SIGTERM)
			t.Log(a.table)
			a.table.judge(t)
		})
	}
}

// TestPanicsTellNothing injects panics whose values are names and addresses, and ends tacit by SIGSEGV, at which Go prints
// stacks.
func TestPanicsTellNothing(t *testing.T) {
	const each = 14
	a := begin(t, settings{binary: os.Getenv(panicsVariable), level: "debug", plan: []batch{
		{"panics", each, "%s.panic.example.", failed, nil},
		{"panicclients", each, "%s.plain.com.", failed, nil},
	}})
	a.work()
	a.end(syscall.SIGSEGV)
	log := a.tacit.output(t)
	a.table.atLeast("panics", "sanity: panics in the log", bytes.Count(log, []byte("ended in a panic")), 2*each, 0)
	a.table.add("crash", "sanity: it ended otherwise than well", a.tacit.cmd.ProcessState.String(), "no exit status 0", !a.tacit.cmd.ProcessState.Success())
	t.Log(a.table)
	a.table.judge(t)
}

// caught are the rows that the leaky build and its configuration spoil, untouched some that they do not.
var (
	caught = []string{
		"log.names", "log.addresses", "files.names", "files.addresses", "memory.1s", "memory.30s", "pairs.30s", "memory.flushed",
		"excess", "junk", "mistyped",
	}
	untouched = []string{
		"answered", "memory.octets", "control.addresses", "control.names", "special", "refused", "options", "client cookies", "flags",
		"ids", "strangers", "packets", "strays", "commands.names", "commands.addresses",
	}
)

// TestLeakyIsCaught is the control: a tacit that logs, writes and keeps questions, and that is told to minimise nothing, has to miss
// the rows that say so, and no others.
func TestLeakyIsCaught(t *testing.T) {
	o := settings{
		binary: os.Getenv(leakyVariable), level: "info", dnssec: "aggressive_nsec = false\n",
		lines: []string{"qname_minimisation = \"off\""},
		top:   "accept_privacy_loss = [\"recursion.qname_minimisation\", \"dnssec.aggressive_nsec\"]\n\n",
	}
	a := begin(t, o)
	a.work()
	a.memory()
	a.upstream()
	a.end(syscall.SIGTERM)
	t.Log(a.table)
	for _, r := range a.table.rows {
		switch {
		case slices.Contains(caught, r.key) && r.verdict != missed:
			t.Errorf("%s: %s is not caught: %s", r.key, r.what, r.measured)
		case slices.Contains(untouched, r.key) && r.verdict != met:
			t.Errorf("%s: %s: %s, want %s", r.key, r.what, r.measured, r.bar)
		}
	}
	for _, key := range append(slices.Clone(caught), untouched...) {
		if a.table.verdictOf(key) == "" {
			t.Errorf("there is no row %s", key)
		}
	}
}
