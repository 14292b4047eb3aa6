package admin

import (
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Row R3: label values are constants, and all of them are here. A word that is added to the table is decided on here, too.
func TestLabelsAreClosed(t *testing.T) {
	closed := map[string]string{
		"transport": "udp tcp tls https http3 quic",
		"rcode":     "all NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE BADVERS BADCOOKIE other",
		"type":      "all A AAAA HTTPS SVCB PTR TXT MX NS SOA SRV CNAME DS DNSKEY ANY other",
		"cause":     "not_a_query rate_limited no_slot late send_failed",
		"part":      "packets rrsets denials delegations failures",
		"outcome":   "transferred unchanged refused rejected failed",
		"state":     "usable not_usable",
		"way":       "udp tcp tls https quic odoh",
		"trial":     "made found",
		"error": "other unsupported_dnskey unsupported_ds_digest stale_answer forged_answer indeterminate bogus signature_expired " +
			"signature_not_yet_valid dnskey_missing rrsigs_missing no_zone_key_bit nsec_missing cached_error not_ready blocked censored " +
			"filtered prohibited stale_nxdomain not_authoritative not_supported no_reachable_authority network_error invalid_data " +
			"unsupported_nsec3_iterations synthesized",
		"stage": "front admission local priming asking servers aliases validating packing",
	}
	for m := range metricCount {
		for _, l := range metrics[m].labels {
			if got := strings.Join(l.words, " "); got != closed[l.name] {
				t.Errorf("%s: label %s takes %q, not %q", metrics[m].name, l.name, got, closed[l.name])
			}
		}
	}
	// And what fills them in has no place for anything else: a sample is numbers.
	sample := reflect.TypeFor[spot]()
	for f := range sample.Fields() {
		for f.Type.Kind() == reflect.Array {
			f.Type = f.Type.Elem()
		}
		if f.Type.Kind() != reflect.Uint8 {
			t.Errorf("%s of a sample is a %v", f.Name, f.Type)
		}
	}
}

var sampleLine = regexp.MustCompile(`^tacit_[a-z_]+(\{[a-z]+="[A-Za-z0-9_]+"(,[a-z]+="[A-Za-z0-9_]+")*\})? [0-9]+$`)

// The whole page is built of the table: there is no line that the table does not foresee, whatever was counted.
func TestPageHasOnlyLinesOfTheTable(t *testing.T) {
	var s Samples
	s.Add(Queries, 7, 2)
	s.Add(Drops, 3, 0, 1)
	s.Add(Failures, 2, 5, 6, 7)
	for f, end := range map[format]string{prometheus: "", openMetrics: "# EOF\n"} {
		text := s.write(f)
		if !strings.HasSuffix(text, end) || !strings.Contains(text, "\ntacit_queries_total{transport=\"tls\"} 7\n") {
			t.Errorf("format %d:\n%s", f, text)
		}
		lines := 0
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case strings.HasPrefix(line, "# HELP tacit_"), strings.HasPrefix(line, "# TYPE tacit_"), line == "# EOF":
			case sampleLine.MatchString(line):
				lines++
			default:
				t.Errorf("line %q", line)
			}
		}
		want := 0
		for m := range metricCount {
			if metrics[m].held { // those only that were counted
				want++
				continue
			}
			want += len(m.spots())
		}
		if lines != want {
			t.Errorf("%d samples, the table foresees %d", lines, want)
		}
	}
	if text := s.write(openMetrics); !strings.Contains(text, "# TYPE tacit_queries counter\n") || strings.Contains(text, "# TYPE tacit_queries_total") {
		t.Error("OpenMetrics 1.0: the name of a counter's family has no suffix")
	}
}

func TestSamplesOutsideTheTablePanic(t *testing.T) {
	for name, add := range map[string]func(*Samples){
		"no label":   func(s *Samples) { s.Add(Queries, 1) },
		"two labels": func(s *Samples) { s.Add(Queries, 1, 0, 0) },
		"no word":    func(s *Samples) { s.Add(Queries, 1, 6) },
		"not merged": func(s *Samples) { s.Add(Answers, 1, 0, len(Answers.Words())) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("is taken")
				}
			}()
			add(&Samples{})
		})
	}
}

func get(w *watch, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer
}

// Privacy.md section 5.6: scrapes within ten seconds see the same values.
func TestScrapesInBetweenSeeTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Snapshots
		var queries atomic.Int64
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			s.Follow(stop, func() *Samples {
				var now Samples
				now.Add(Queries, float64(queries.Load()), 0)
				return &now
			})
		}()
		w := &watch{MonitorOptions{Snapshots: &s}}
		var seen []string
		for range 25 { // in the middle of each second a scrape, and a query
			time.Sleep(time.Second / 2)
			if text := get(w, "/metrics").Body.String(); len(seen) == 0 || seen[len(seen)-1] != text {
				seen = append(seen, text)
			}
			queries.Add(1)
			time.Sleep(time.Second / 2)
		}
		close(stop)
		<-ended
		var values []string
		for _, text := range seen {
			_, rest, _ := strings.Cut(text, "\ntacit_queries_total{transport=\"udp\"} ")
			value, _, _ := strings.Cut(rest, "\n")
			values = append(values, value)
		}
		if want := []string{"0", "10", "20"}; !slices.Equal(values, want) {
			t.Errorf("values seen in 25 s: %q, want %q", values, want)
		}
	})
}

func TestFewQueriesAreNotSplit(t *testing.T) {
	const noError, refused = 0, 5
	var s Snapshots
	count := func(good, bad float64) {
		var now Samples
		now.Add(Answers, good, 1, noError)
		now.Add(Answers, bad, 1, refused)
		s.Publish(&now)
	}
	expect := func(step, word, want string) {
		t.Helper()
		if line := "\ntacit_answers_total{transport=\"tcp\",rcode=\"" + word + "\"} " + want + "\n"; !strings.Contains(s.text(prometheus), line) {
			t.Errorf("%s: no line %q", step, strings.TrimSpace(line))
		}
	}
	count(90, 9)
	expect("99 queries", "all", "99")
	expect("99 queries", "REFUSED", "0")
	count(180, 19)
	expect("100 more", "all", "99")
	expect("100 more", "NOERROR", "90")
	expect("100 more", "REFUSED", "10")
	count(181, 19)
	expect("one more", "all", "100")
	expect("one more", "REFUSED", "10")
	count(5, 0)
	expect("counters of another listener", "all", "105")
	expect("counters of another listener", "NOERROR", "90")
}

// Failures of fewer than 100 queries would tell what is merged among the RCODEs: they wait for the others.
func TestFailuresWaitForACrowd(t *testing.T) {
	const udp, bogus, validating = 0, 6, 7
	var s Snapshots
	for _, step := range []struct {
		name              string
		queries, failures float64
		shown             string
	}{
		{"99 queries", 99, 2, ""},
		{"one more", 100, 3, "3"},
		{"99 more", 199, 9, "3"},
		{"and one", 200, 9, "9"},
		{"a listener is gone", 50, 1, "9"},
		{"the crowd of the others", 150, 2, "2"},
	} {
		var now Samples
		now.Add(Queries, step.queries, udp)
		now.Add(Failures, step.failures, udp, bogus, validating)
		s.Publish(&now)
		_, rest, _ := strings.Cut(s.text(prometheus), "\ntacit_failures_total{transport=\"udp\",error=\"bogus\",stage=\"validating\"} ")
		if got, _, _ := strings.Cut(rest, "\n"); got != step.shown {
			t.Errorf("%s: %q is shown, want %q", step.name, got, step.shown)
		}
	}
}

// A crowd on one transport hides nobody who is alone on another.
func TestFailuresWaitForACrowdOfTheirTransport(t *testing.T) {
	const udp, quic, bogus, validating = 0, 5, 6, 7
	var s Snapshots
	for _, step := range []struct {
		name          string
		byUDP, byQUIC float64
		ofUDP, ofQUIC bool
	}{
		{"99 by UDP and one by QUIC", 99, 1, false, false},
		{"100 by UDP and one by QUIC", 100, 1, true, false},
		{"1000 by UDP and 99 by QUIC", 1000, 99, true, false},
		{"1000 by UDP and 100 by QUIC", 1000, 100, true, true},
	} {
		var now Samples
		now.Add(Queries, step.byUDP, udp)
		now.Add(Queries, step.byQUIC, quic)
		now.Add(Failures, 1, udp, bogus, validating)
		now.Add(Failures, 1, quic, bogus, validating)
		s.Publish(&now)
		for transport, want := range map[string]bool{"udp": step.ofUDP, "quic": step.ofQUIC} {
			if got := strings.Contains(s.text(prometheus), "\ntacit_failures_total{transport=\""+transport+"\""); got != want {
				t.Errorf("%s: of %s is told %v, want %v", step.name, transport, got, want)
			}
		}
	}
}

func TestMonitorShowsHealth(t *testing.T) {
	ready := true
	w := &watch{MonitorOptions{
		Snapshots: &Snapshots{}, Ready: func() bool { return ready }, Page: func(path string) (string, []byte, bool) { return "text/html", []byte("x"), path == "/privacy" },
	}}
	w.Snapshots.Publish(&Samples{})
	for _, c := range []struct {
		path  string
		ready bool
		code  int
	}{
		{"/livez", false, 200},
		{"/healthz", false, 200},
		{"/readyz", true, 200},
		{"/readyz", false, 503},
		{"/metrics", false, 200},
		{"/privacy", true, 200},
		{"/debug/pprof/", true, 404},
		{"/debug/vars", true, 404},
		{"/", true, 404},
	} {
		ready = c.ready
		answer := get(w, c.path)
		if answer.Code != c.code {
			t.Errorf("%s, ready %v: %d, want %d", c.path, c.ready, answer.Code, c.code)
		}
		for name := range answer.Header() {
			if !slices.Contains([]string{"Content-Type", "Content-Length", "Cache-Control", "Date"}, name) || name == "Date" && answer.Header()[name] != nil {
				t.Errorf("%s: header %s", c.path, name)
			}
		}
	}
	if kind := get(w, "/metrics", "Accept", "application/openmetrics-text; version=1.0.0,text/plain;q=0.5").Header().Get("Content-Type"); kind != mediaTypes[openMetrics] {
		t.Errorf("asked for OpenMetrics, got %s", kind)
	}
	r := httptest.NewRecorder()
	w.ServeHTTP(r, httptest.NewRequest("POST", "/metrics", nil))
	if r.Code != 405 {
		t.Errorf("POST: %d", r.Code)
	}
}
