package server

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/admin"
	"tacit/internal/wire"
	"tacit/resolver"
	"tacit/transports"
)

const monitored = common + listenAnywhere + "[admin]\nlisten = '127.0.0.1:0'\n"

// fetch gets a page; the connection is not kept.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	r, err := client.Get(url) //nolint:noctx // it has a time-out
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// The words of labels belong to admin; what they stand for is counted elsewhere, in the same order.
func TestWordsAreThoseOfWhatIsCounted(t *testing.T) {
	var all, causes, types []string
	for _, x := range transports.CountedTypes() {
		if x == wire.TypeANY {
			types = append(types, "ANY")
			continue
		}
		types = append(types, typeText(x))
	}
	if words := append(types, "other"); !slices.Equal(admin.Types.Words(), words) {
		t.Errorf("%q, want %q", admin.Types.Words(), words)
	}
	for _, x := range transports.Transports() {
		all = append(all, x.String())
	}
	for _, x := range transports.Causes() {
		causes = append(causes, x.String())
	}
	if !slices.Equal(admin.Queries.Words(), all) || !slices.Equal(admin.Drops.Words(), causes) {
		t.Errorf("%q and %q, want %q and %q", admin.Queries.Words(), admin.Drops.Words(), all, causes)
	}
	var stages []string
	for _, x := range transports.Stages() {
		stages = append(stages, x.String())
	}
	if !slices.Equal(admin.Failures.Words(), stages) {
		t.Errorf("%q, want %q", admin.Failures.Words(), stages)
	}
	for e := range wire.EDE(wire.CodesOfEDE) {
		if !slices.Contains(admin.Failures.WordsOf(1), e.Label()) {
			t.Errorf("no word for %s", e.Label())
		}
	}
	for r := range wire.BadCookie + 1 {
		word := admin.Answers.Words()[rcodeWord(r)]
		if r.String() != word && word != "other" && !strings.HasPrefix(r.String(), "RCODE") {
			t.Errorf("%v is counted as %s", r, word)
		}
	}
}

// Each step of the resolver has its stage, and what is none arose at the front.
func TestStepsAreStages(t *testing.T) {
	want := map[resolver.Step]string{
		"admission": "admission", "looking into the zones served here": "local", "priming": "priming", "asking the servers of a zone": "asking",
		"finding the servers of a zone": "servers", "following aliases": "aliases", "validating": "validating", "building the answer": "packing",
	}
	for _, step := range resolver.Steps() {
		if got := stageOf(step).String(); got != want[step] {
			t.Errorf("%s: %s, want %q", step, got, want[step])
		}
	}
	if len(resolver.Steps()) != len(want) || len(transports.Stages()) != len(want)+1 || stageOf("") != transports.Front {
		t.Errorf("%d steps and %d stages, want %d and one more", len(resolver.Steps()), len(transports.Stages()), len(want))
	}
}

// Row R3: what clients ask, and who they are, is not in the metrics.
func TestMetricsHoldNoQuestion(t *testing.T) {
	s, _ := newSetting(t).start(t, monitored)
	udp, _ := s.Addrs()
	for range 3 {
		ask(t, "udp", udp[0], "www.zone.example.")
	}
	now := s.samples()
	if now == nil {
		t.Fatal("nothing was counted")
	}
	s.snapshots.Publish(now)
	for range admin.Crowd {
		ask(t, "udp", udp[0], "www.zone.example.")
	}
	if now = s.samples(); now == nil {
		t.Fatal("nothing was counted")
	}
	s.snapshots.Publish(now)
	status, text := fetch(t, "http://"+s.Monitoring().String()+"/metrics")
	if status != http.StatusOK || !strings.Contains(text, "\ntacit_queries_total{transport=\"udp\"} 103\n") {
		t.Errorf("%d\n%s", status, text)
	}
	for _, line := range []string{ // 3 are too few to be split, 100 are not
		`tacit_answers_total{transport="udp",rcode="all"} 3`, `tacit_answers_total{transport="udp",rcode="NOERROR"} 100`,
		`tacit_answers_by_type_total{transport="udp",type="all"} 3`, `tacit_answers_by_type_total{transport="udp",type="A"} 100`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, secret := range []string{"zone.example", "www", "127.0.0", "203.0.113"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
}

func TestMonitorFollowsTheConfiguration(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+listenAnywhere)
	if at := s.Monitoring(); at.IsValid() {
		t.Errorf("metrics at %v although nobody wants them", at)
	}
	reload := func(text string) {
		t.Helper()
		x.write(t, text)
		if err := s.ReloadFile(t.Context(), x.path); err != nil {
			t.Fatal(err)
		}
	}
	reload(monitored)
	at := s.Monitoring()
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 404} {
		if status, _ := fetch(t, "http://"+at.String()+path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	reload(monitored + "[log]\nlevel = 'warn'\n")
	if s.Monitoring() != at {
		t.Error("another address after a reload that does not touch it")
	}
	reload(common + listenAnywhere)
	if s.Monitoring().IsValid() {
		t.Error("still there")
	}
}

func TestReadinessEndsFirst(t *testing.T) {
	s, _ := newSetting(t).start(t, monitored)
	if !s.isReady() {
		t.Error("not ready although it serves")
	}
	if err := s.Shutdown(t.Context()); err != nil || s.isReady() {
		t.Errorf("ready behind the end (%v)", err)
	}
}
