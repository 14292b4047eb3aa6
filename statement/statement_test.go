package statement

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// A serial changes when, and only when, what is said does.
func TestSerialFollowsTheStatement(t *testing.T) {
	first := &Statement{}
	first.Seal(nil, noon)
	again := &Statement{Observed: Observed{At: noon.Add(time.Hour), RootCopied: true}}
	again.Seal(first, noon.Add(time.Hour))
	if again.Serial != first.Serial || again.Digest != first.Digest {
		t.Errorf("%d and %d although only what is observed has changed", first.Serial, again.Serial)
	}
	other := &Statement{Policy: Policy{Retention: "a day"}}
	other.Seal(again, noon)
	if other.Serial != first.Serial+1 || other.Digest == first.Digest {
		t.Errorf("%d behind %d although something has changed within the second", other.Serial, first.Serial)
	}
	restarted := &Statement{}
	restarted.Seal(nil, noon.Add(48*time.Hour))
	if restarted.Serial <= first.Serial || restarted.Digest != first.Digest {
		t.Error("a restart goes back, or is taken for a change")
	}
}

func sample() *Statement {
	share := 0.97
	s := &Statement{
		Policy: Policy{Operator: Operator{Name: "<script>alert(1)</script>", Partners: []string{NotDeclared}, PacketCapture: NotDeclared, FrontedBy: "none"}},
		Practice: Practice{
			Deviations:    []Deviation{{Key: "cache.ttl_blur", Value: "false", About: "TTLs tell", Accepted: true}},
			DebugSessions: []DebugSession{{Since: noon, Until: noon.Add(time.Minute), Reason: "ticket 7", Matched: 3}},
			Places:        Places(func(k Sink) bool { return k == Limits }),
			Clients:       Clients{Transports: []Transport{{Name: "quic", Encrypted: true, TLS: "1.3", Padding: 468}}, Certificates: []Certificate{{Names: []string{"dns.example"}, Until: noon}}},
			Upstream:      Upstream{Forwards: []Forward{{Everything: true, To: []string{"192.0.2.53"}}}},
		},
		Observed: Observed{At: noon, EncryptedShare: &share},
	}
	s.Seal(nil, noon)
	return s
}

// Row R10: what is in the JSON is on the page and on the terminal, too.
func TestAllFormsSayTheSame(t *testing.T) {
	s := sample()
	var text strings.Builder
	if err := s.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	page := string(s.HTML())
	for _, want := range []string{"TTLs tell (accepted by the operator)", "3 queries matched: ticket 7", "keyed hash of the /24 or /56", "dns.example", "everything, to 192.0.2.53", "97 %", s.Digest} {
		for form, got := range map[string]string{"text": text.String(), "page": page} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q", form, want)
			}
		}
	}
	var back Statement
	if err := json.Unmarshal(s.JSON(), &back); err != nil || !reflect.DeepEqual(&back, s) {
		t.Errorf("JSON loses something: %v", err)
	}
	for _, foreign := range []string{"<script", "http://", "https://", "<img", "<link", "<style", "src="} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
}

// RFC 8932 section 5.
func TestChecklist(t *testing.T) {
	state := func(s *Statement, section string) State {
		list := s.Checklist()
		return list[slices.IndexFunc(list, func(i Item) bool { return i.Section == section })].State
	}
	s := sample()
	for section, want := range map[string]State{
		"5.1.1": Met, "5.1.2": Met, "5.1.3.1": Met, "5.1.3.2": Absent, "5.1.4": Deviates, "5.1.8": Declared, "5.2.2": Open, "5.2.5": Deviates, "5.3.1": Met, "5.3.3": Open,
	} {
		if got := state(s, section); got != want {
			t.Errorf("%s: %s, want %s", section, got, want)
		}
	}
	var text strings.Builder
	if err := s.WriteChecklist(&text); err != nil || strings.Count(text.String(), "\n") != len(s.Checklist())+2 {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestPlacesAreComplete(t *testing.T) {
	for i, p := range Places(func(k Sink) bool { return k == Files }) {
		if p.Name == "" || p.Holds == "" || p.Lifetime == "" || p.On != (Sink(i) == Files) {
			t.Errorf("%d: %+v", i, p)
		}
	}
}
