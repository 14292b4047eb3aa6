//go:build !testclock

package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The release build has no clock that a file can move.
func TestReleaseClockStands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offset")
	if err := os.WriteFile(path, []byte("3600"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TACIT_CLOCK_OFFSET_FILE", path)
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	if got := adjustClock(func() time.Time { return start })(); !got.Equal(start) {
		t.Errorf("moved by %v", got.Sub(start))
	}
}
