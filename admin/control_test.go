package admin

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/internal/place"
	"tacit/internal/wire"
)

// A recorder is an operator that notes what it was asked for.
type recorder struct {
	did   []string
	fails error
	panic bool
}

func (r *recorder) note(words ...string) error {
	if r.panic {
		panic("secret.example.")
	}
	r.did = append(r.did, strings.Join(words, " "))
	return r.fails
}

func (r *recorder) Flush(name wire.Name)        { _ = r.note("flush", name.Reveal()) }
func (r *recorder) FlushSubtree(name wire.Name) { _ = r.note("subtree", name.Reveal()) }
func (r *recorder) List() []Exception           { return []Exception{{Zone: "shop.example.", Reason: "why"}} }
func (r *recorder) Remove(zone wire.Name) error { return r.note("remove", zone.Reveal()) }
func (r *recorder) Status() Status              { return Status{Version: "v1"} }
func (r *recorder) Reload(context.Context) error {
	return r.note("reload")
}

func (r *recorder) Add(zone wire.Name, lifetime time.Duration, reason string) error {
	return r.note("add", zone.Reveal(), lifetime.String(), reason)
}

// socketPath is a path that is short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "tacit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return filepath.Join(directory, "control.sock")
}

func options(path string, r *recorder) Options {
	return Options{Path: path, Cache: r, Exceptions: r, Process: r, Statement: func() []byte { return []byte(`{"serial":7}`) }}
}

// Row R4: no command lists names or clients. A new one is decided on here: what it shows is searched in
// TestCommandsShowNoQuestion of internal/server.
func TestCommandsAreThese(t *testing.T) {
	got := slices.Sorted(maps.Keys((&handler{}).commands()))
	want := []string{"DELETE /nta", "GET /nta", "GET /privacy", "GET /status", "POST /flush", "POST /nta", "POST /reload"}
	if !slices.Equal(got, want) {
		t.Errorf("commands are %q, want %q", got, want)
	}
}

func listen(t *testing.T, path string, r *recorder) *Control {
	t.Helper()
	c, err := Listen(t.Context(), options(path, r))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(c.Shutdown(context.Background()), <-ended); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestClientCommandsReachTheOperator(t *testing.T) {
	r := &recorder{}
	path := socketPath(t)
	listen(t, path, r)
	c := NewClient(path)
	ctx := t.Context()
	err := errors.Join(
		c.Flush(ctx, "www.example.com", false), c.Flush(ctx, "Example.COM.", true), c.FlushAll(ctx),
		c.AddException(ctx, "shop.example", 90*time.Minute, "broken"), c.RemoveException(ctx, "shop.example"), c.Reload(ctx),
	)
	want := []string{"flush www.example.com.", "subtree example.com.", "subtree .", "add shop.example. 1h30m0s broken", "remove shop.example.", "reload"}
	if err != nil || !slices.Equal(r.did, want) {
		t.Errorf("%q, want %q (%v)", r.did, want, err)
	}
	if list, err := c.Exceptions(ctx); err != nil || len(list) != 1 || list[0].Zone != "shop.example." || !list[0].Until.IsZero() {
		t.Errorf("%v, %v", list, err)
	}
	if s, err := c.Statement(ctx); err != nil || string(s) != `{"serial":7}` {
		t.Errorf("%s, %v", s, err)
	}
	if s, err := c.Status(ctx); err != nil || s.Version != "v1" {
		t.Errorf("%v, %v", s, err)
	}
}

func TestErrorsReachTheClient(t *testing.T) {
	r := &recorder{}
	path := socketPath(t)
	listen(t, path, r)
	c := NewClient(path)
	for _, x := range []struct {
		name   string
		fails  error
		want   string
		misuse bool
	}{
		{"refused", errors.New("not now"), "not now", false},
		{"misuse", Misuse(errors.New("too long")), "too long", true},
	} {
		r.fails = x.fails
		e, ok := errors.AsType[*Error](c.Reload(t.Context()))
		if !ok || e.Text != x.want || e.Misuse != x.misuse {
			t.Errorf("%s: %v", x.name, e)
		}
	}
}

func TestCommandsAreChecked(t *testing.T) {
	long := `{"reason": "` + strings.Repeat("x", maxBody) + `"}`
	for _, c := range []struct {
		name, method, path, body string
		code                     int
		want                     string
	}{
		{"no such command", "POST", "/dump", "{}", http.StatusNotFound, ""},
		{"another method", "GET", "/flush", "", http.StatusMethodNotAllowed, ""},
		{"neither name nor all", "POST", "/flush", "{}", http.StatusBadRequest, "either a name or all"},
		{"name and all", "POST", "/flush", `{"name": "example.", "all": true}`, http.StatusBadRequest, "either a name or all"},
		{"not a name", "POST", "/flush", `{"name": "a..example."}`, http.StatusBadRequest, "not a domain name"},
		{"no zone", "POST", "/nta", `{"for": "1h", "reason": "x"}`, http.StatusBadRequest, "not a domain name"},
		{"no zone to remove", "DELETE", "/nta", `{}`, http.StatusBadRequest, "not a domain name"},
		{"no time", "POST", "/nta", `{"zone": "example.", "reason": "x"}`, http.StatusBadRequest, "not one such as 24h"},
		{"a reason for the terminal", "POST", "/nta", `{"zone": "example.", "for": "1h", "reason": "\u001b[2J"}`, http.StatusBadRequest, "cannot be printed"},
		{"unknown member", "POST", "/flush", `{"nam": "example."}`, http.StatusBadRequest, "not the JSON object"},
		{"no JSON", "POST", "/flush", `name=example.`, http.StatusBadRequest, "not the JSON object"},
		{"two objects", "POST", "/flush", `{"all": true} {}`, http.StatusBadRequest, "not the JSON object"},
		{"too long", "POST", "/nta", long, http.StatusBadRequest, "not the JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{}
			w := httptest.NewRecorder()
			newHandler(options("", r)).ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) || len(r.did) > 0 {
				t.Errorf("%d %s, did %q; want %d with %s", w.Code, w.Body, r.did, c.code, c.want)
			}
		})
	}
}

func TestPanicIsAnsweredWithoutItsValue(t *testing.T) {
	path := socketPath(t)
	o, panics := options(path, &recorder{panic: true}), 0
	o.Panicked = func() { panics++ }
	c, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	c.server.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/reload", nil))
	if w.Code != http.StatusConflict || strings.Contains(w.Body.String(), "secret") || panics != 1 {
		t.Errorf("%d %s, %d panics", w.Code, w.Body, panics)
	}
	if err := c.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSocketIsItsOwnersAlone(t *testing.T) {
	path := socketPath(t)
	listen(t, path, &recorder{})
	file, err := os.Lstat(path)
	if err != nil || file.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", file.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the socket: %v, %v", entries, err)
	}
}

func TestPlaceOfTheSocket(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(t *testing.T, path string)
		want error
	}{
		{"nothing there", func(*testing.T, string) {}, nil},
		{"left behind", leaveBehind, nil},
		{"in use", func(t *testing.T, path string) { listen(t, path, &recorder{}) }, place.ErrInUse},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, place.ErrNoSocket},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := socketPath(t)
			c.put(t, path)
			control, err := Listen(t.Context(), options(path, &recorder{}))
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err == nil {
				err = control.Shutdown(t.Context())
				if _, gone := os.Lstat(path); err != nil || !errors.Is(gone, fs.ErrNotExist) {
					t.Errorf("after the end: %v, %v", err, gone)
				}
			}
		})
	}
	if _, err := Listen(t.Context(), options(filepath.Join(socketPath(t), "none"), &recorder{})); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

func leaveBehind(t *testing.T, path string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestShutdownLeavesTheSocketOfAnother(t *testing.T) {
	path := socketPath(t)
	first := listen(t, path, &recorder{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	listen(t, path, r)
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := NewClient(path).FlushAll(t.Context()); err != nil || len(r.did) != 1 {
		t.Errorf("%v, did %q", err, r.did)
	}
}

func TestClientSaysThatNobodyIsThere(t *testing.T) {
	path := socketPath(t)
	if err := NewClient(path).FlushAll(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	leaveBehind(t, path)
	if err := NewClient(path).FlushAll(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a socket left behind: %v", err)
	}
}
