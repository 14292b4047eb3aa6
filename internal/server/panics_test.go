package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"tacit/internal/privacy"
)

// Where a panic was is logged, so many times, and never what its value is.
func TestPanicsAreReported(t *testing.T) {
	var written bytes.Buffer
	p := Env{Log: slog.New(privacy.NewHandler(slog.NewTextHandler(&written, nil)))}.withDefaults().panics
	for range maxLoggedPanics + 1 {
		func() {
			defer func() {
				_ = recover()
				p.report()
			}()
			panic("secret.example")
		}()
	}
	lines := strings.Split(strings.TrimSpace(written.String()), "\n")
	if p.count.Load() != maxLoggedPanics+1 || len(lines) != maxLoggedPanics {
		t.Errorf("%d counted, %d logged", p.count.Load(), len(lines))
	}
	if !strings.Contains(lines[0], "server.TestPanicsAreReported") || strings.Contains(lines[0], "secret") {
		t.Error(lines[0])
	}
}
