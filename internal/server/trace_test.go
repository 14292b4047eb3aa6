package server

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

func TestTrace(t *testing.T) {
	x := newSetting(t)
	var steps []Step
	summary, err := Trace(t.Context(), x.load(t, common), Env{Network: x.World}, "www.zone.example", "a", func(s Step) {
		steps = append(steps, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Level{ // with a question for the keys of each zone
		{Zone: ".", Queries: summary.Levels[0].Queries, Servers: 1, Labels: 1, Of: 3},
		{Zone: "example.", Queries: 2, Servers: 1, Labels: 2, Of: 3},
		{Zone: "zone.example.", Queries: 2, Servers: 1, Labels: 3, Of: 3},
	}
	if !reflect.DeepEqual(summary.Levels, want) {
		t.Errorf("levels %+v, want %+v", summary.Levels, want)
	}
	if summary.Rcode != "NOERROR" || summary.Records != 1 || summary.Servers != 3 || summary.Queries != len(x.Seen()) {
		t.Errorf("%+v, while servers saw %d packets", summary, len(x.Seen()))
	}
	var chain []string
	for _, l := range summary.Chain {
		chain = append(chain, l.Zone+" "+l.Status)
	}
	if got := strings.Join(chain, ", "); got != ". secure, example. secure, zone.example. secure" {
		t.Errorf("chain of trust: %s", got)
	}
	final, verdict := steps[len(steps)-1], steps[len(steps)-2]
	if verdict.Kind != "validated" || verdict.Name != "www.zone.example." || verdict.Outcome != "secure" {
		t.Errorf("the verdict is %+v", verdict)
	}
	asked := steps[slices.IndexFunc(steps, func(s Step) bool { return s.Name == "www.zone.example." })]
	if final.Kind != "finished" || final.Outcome != "NOERROR" {
		t.Errorf("ends with %+v", final)
	}
	if asked.Kind != "asked" || asked.Zone != "zone.example." || asked.Server != "ns1.zone.example." || asked.Name != "www.zone.example." ||
		asked.Type != "A" || asked.Transport != "UDP" || asked.RTT <= 0 {
		t.Errorf("the last query is %+v", asked)
	}
}

// What is answered locally costs nobody a query.
func TestTraceOfALocalName(t *testing.T) {
	x := newSetting(t)
	summary, err := Trace(t.Context(), x.load(t, common), Env{Network: x.World}, "printer.local", "AAAA", func(Step) {})
	if err != nil {
		t.Fatal(err)
	}
	if summary.Rcode != "NXDOMAIN" || summary.Queries != 0 || len(summary.Errors) == 0 {
		t.Errorf("%+v", summary)
	}
}

func TestTraceRefusesWhatCannotBeAsked(t *testing.T) {
	for _, c := range []struct{ name, kind string }{
		{"a..example", "A"}, {"www.example", "AX"}, {"www.example", "TYPE70000"}, {"www.example", "TYPE255"}, {"", "A"},
	} {
		_, err := Trace(t.Context(), newSetting(t).load(t, common), Env{}, c.name, c.kind, func(Step) {})
		if !errors.Is(err, ErrTraceQuestion) {
			t.Errorf("%q %q: %v", c.name, c.kind, err)
		}
	}
}

func TestTypes(t *testing.T) {
	for text, want := range map[string]wire.Type{"a": 1, "AAAA": 28, "https": 65, "TYPE65": 65, "type1234": 1234} {
		got, ok := parseType(text)
		if !ok || got != want {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	if typeText(65) != "HTTPS" || typeText(1234) != "TYPE1234" {
		t.Errorf("%s, %s", typeText(65), typeText(1234))
	}
}
