//go:build testclock

package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestClockFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offset")
	t.Setenv("TACIT_CLOCK_OFFSET_FILE", path)
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	now := adjustClock(func() time.Time { return start })
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"", 0}, {"3600\n", time.Hour}, {"1.5", 1500 * time.Millisecond}, {"-10", -10 * time.Second}, {"soon", 0},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := now().Sub(start); got != c.want {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := now(); !got.Equal(start) {
		t.Errorf("without the file: %v", got)
	}
}
