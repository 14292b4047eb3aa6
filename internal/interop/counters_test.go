//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Counters are what tacit counts of one transport.
type counters struct {
	Name                      string
	Queries, Recalled, Panics int
}

// controlSocket is in the directory that a resolver runs in.
const controlSocket = "control.sock"

// count asks the tacit that runs in dir for its counters, by transport.
func count(t *testing.T, dir string) map[string]counters {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, os.Getenv(binaryVariable), "status", "--json", "--control", filepath.Join(dir, controlSocket)).Output()
	if err != nil {
		t.Fatal("tacit status:", err)
	}
	var status struct{ Transports []counters }
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]counters)
	for _, c := range status.Transports {
		counts[c.Name] = c
		if c.Panics > 0 {
			t.Errorf("%d panics in %s", c.Panics, c.Name)
		}
	}
	return counts
}

// checkRecalled holds the finished answers that were given against those that a run was to show.
func (r *resolver) checkRecalled(t *testing.T, transport string, recalled, want int) {
	t.Helper()
	if r.packetsOff {
		want = 0
	}
	if recalled < want || r.packetsOff && recalled > 0 {
		t.Errorf("%s gave %d finished answers over %s, want %d", r.name, recalled, transport, want)
	}
}
