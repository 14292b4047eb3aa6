package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Goroutine dumps and execution traces hold arguments. Who links in net/http/pprof or expvar, through whatever package, has them
// served by the default mux: it has to be empty.
func TestNothingOffersProfiles(t *testing.T) {
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine", "/debug/vars", "/"} {
		if _, pattern := http.DefaultServeMux.Handler(httptest.NewRequest("GET", path, nil)); pattern != "" {
			t.Errorf("%s is served as %s", path, pattern)
		}
	}
}

// Row R9, for options that are not refused.
func TestCheckTellsWhatGivesUpPrivacy(t *testing.T) {
	path := file(t, "[recursion]\nlocal_root = false\n")
	_, stderr := call(t, exitGood, "check", path)
	if want := "tacit: recursion.local_root = false gives up privacy: root servers learn of top-level names that are asked for\n"; stderr != want {
		t.Errorf("%q, want %q", stderr, want)
	}
	if _, stderr = call(t, exitGood, "check", file(t, "accept_privacy_loss = ['recursion.local_root']\n[recursion]\nlocal_root = false\n")); stderr != "" {
		t.Errorf("although it is accepted: %q", stderr)
	}
	_, stderr = call(t, exitUsage, "check", file(t, "[admin]\nlisten = ':9153'\n"))
	expect(t, stderr, `accept_privacy_loss = ["admin.listen"]`)
}
