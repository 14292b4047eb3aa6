package zone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"tacit/internal/wire"
)

const secretAddress = "192.0.2.77"

// leaked reports whether an address is in text, as text or as octets of any form that fmt gives.
func leaked(text string) bool {
	var forms []string
	for _, list := range [][]byte{[]byte(secretAddress), {192, 0, 2, 77}} {
		forms = append(forms, string(list), fmt.Sprintf("%v", list), fmt.Sprintf("%x", list), fmt.Sprintf("%X", list), fmt.Sprintf("% x", list),
			fmt.Sprintf("%#v", list), fmt.Sprintf("%o", list), fmt.Sprintf("%b", list), fmt.Sprintf("%U", []rune(string(list))))
	}
	for _, form := range forms {
		if strings.Contains(text, strings.Trim(form, "[]")) {
			return true
		}
	}
	return false
}

// A Content prints as [origin] whatever the verb or the nesting, and what holds one, a file or a record, prints it no other way.
func TestOriginsDoNotPrint(t *testing.T) {
	m := mastered(t, "www A "+secretAddress+" ; cf_tags=cf-proxied:true\nalias CNAME www\nmail A "+secretAddress+"\n")
	record := m.first(t, "www.example.", "A")
	c := record.Content
	type inner struct{ c Content }
	type outer struct {
		in    inner
		list  []inner
		byKey map[string]Content
		any   any
		ptr   *inner
		file  *MasterFile
		r     Record
	}
	in := inner{c}
	values := map[string]any{
		"a content": c, "a pointer": &c, "inside": in, "deep inside": outer{in, []inner{in}, map[string]Content{"x": c}, c, &in, m, record},
		"a pointer to that": &outer{in, []inner{in}, map[string]Content{"x": c}, in, &in, m, record}, "a list": []Content{c}, "as a key": map[Content]int{c: 1},
		"a file": m, "a file's value": *m, "a record": record, "records": m.Records(), "problems": Leaks(m),
		"a problem inside": struct{ p Problems }{Leaks(m)}, "a channel's": [1]Content{c}, "a refusal": m.Add(newRecord("www.example.", "A", secretAddress)),
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%g"} {
			if text := fmt.Sprintf(verb, v); leaked(text) {
				t.Errorf("%s by %s: %s", name, verb, text)
			}
		}
		if text, err := json.Marshal(v); err == nil && leaked(string(text)) {
			t.Errorf("%s as JSON: %s", name, text)
		}
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		if leaked(b.String()) {
			t.Errorf("%s in a log: %s", name, &b)
		}
	}
	if got := fmt.Sprintf("%v %s %#v %d", c, c, c, c); got != "[origin] [origin] [origin] [origin]" {
		t.Error(got)
	}
	if c.RevealOrigin() != secretAddress || !leaked("at "+secretAddress) || !leaked(fmt.Sprintf("%v", []byte(secretAddress))) {
		t.Error("the search is blind")
	}
}

// No octet of a hidden address is in what answers.
func TestZonesHoldNoOrigins(t *testing.T) {
	const text = "www A 192.0.2.77 ; cf_tags=cf-proxied:true\nwww AAAA 2001:db8::4d4d\nw2 CNAME hidden-target.example.net. ; cf_tags=cf-proxied:true\nmail A 192.0.2.78\n"
	z := built(t, "example.", text, edged)
	all := string(z.keys) + string(z.sets)
	for _, secret := range []string{"\xc0\x00\x02\x4d", "\x4d\x4d", "hidden-target"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in the zone", secret)
		}
	}
	if !strings.Contains(all, "\xc0\x00\x02\x4e") {
		t.Error("the search is blind")
	}
}

// Two that edit at once do so one after the other.
func TestEditsAtOnce(t *testing.T) {
	const editors, each = 4, 25
	at := File{Origin: wire.MustName("example."), Path: t.TempDir() + "/z"}
	err := Create(t.Context(), at, someDay, &Options{}, func(m *MasterFile) error { return m.Add(newRecord("example.", "TXT", "x")) })
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for e := range editors {
		group.Go(func() {
			for i := range each {
				name := fmt.Sprintf("e%d-%d.example.", e, i)
				change := func(m *MasterFile) error { return m.Add(newRecord(name, "A", "192.0.2.1")) }
				if err := Edit(context.Background(), at, someDay, &Options{}, change); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	err = Edit(t.Context(), at, someDay, &Options{}, func(m *MasterFile) error {
		if got := len(m.Records()); got != editors*each+1 {
			t.Errorf("%d records", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := Create(t.Context(), at, someDay, &Options{}, func(*MasterFile) error { return nil }); err == nil {
		t.Error("was there, and is new")
	}
}
