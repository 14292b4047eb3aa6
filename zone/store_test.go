package zone

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// stored opens zones of files with the given options; lay writes one of them, each time a second later.
func stored(t *testing.T, o *StoreOptions) (lay func(name, text string)) {
	t.Helper()
	directory, seconds := t.TempDir(), 0
	o.Now = func() time.Time { return someDay }
	for i := range o.Files {
		o.Files[i].Path = filepath.Join(directory, o.Files[i].Path)
	}
	return func(name, text string) {
		t.Helper()
		path := filepath.Join(directory, name)
		layKey(t, path, text)
		seconds++
		setTime(t, path, someDay.Add(time.Duration(seconds)*time.Second))
	}
}

func (z *Zones) expect(t *testing.T, questions map[string]string) {
	t.Helper()
	for question, want := range questions {
		got := "nobody's"
		if own := z.Covering(wire.MustName(question)); own != nil {
			got = find(own, question+" A")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

// A file may be that of several zones, as in the empty ones of RFC 6303.
func TestOneFileForSeveralZones(t *testing.T) {
	o := StoreOptions{Files: []File{{Origin: wire.MustName("a.test."), Path: "same"}, {Origin: wire.MustName("b.test."), Path: "same"}}}
	changes := 0
	o.Changed = func() { changes++ }
	lay := stored(t, &o)
	lay("same", "www A 192.0.2.1\n")
	s := Open(&o, nil)
	s.Look()
	s.Zones().expect(t, map[string]string{"www.a.test.": "answer; A 300 192.0.2.1", "www.b.test.": "answer; A 300 192.0.2.1"})
	if changes > 0 {
		t.Error("nothing has changed, and is taken up")
	}
	lay("same", "www A 192.0.2.2\n")
	s.Look()
	s.Zones().expect(t, map[string]string{"www.a.test.": "answer; A 300 192.0.2.2", "www.b.test.": "answer; A 300 192.0.2.2"})
}

// A zone that becomes partial, or is no longer, has other names, even if it holds the same.
func TestPartialZonesMove(t *testing.T) {
	o := StoreOptions{Files: []File{{Origin: wire.MustName("home.test."), Path: "home"}}}
	o.Edge.PartialSuffix = wire.MustName("cdn.test.")
	const records = "@ SOA ns.example. x.example. 7 1 2 3 4\n@ NS ns.example.\nwww A 192.0.2.1\n"
	lay := stored(t, &o)
	lay("home", records)
	s := Open(&o, nil)
	for range 2 {
		lay("home", "; tacit: type=partial\n"+records)
		s.Look()
		s.Zones().expect(t, map[string]string{"www.home.test.": "nobody's", "www.home.test.cdn.test.": "answer; A 300 192.0.2.1"})
		lay("home", records)
		s.Look()
		s.Zones().expect(t, map[string]string{"www.home.test.": "answer; A 300 192.0.2.1", "www.home.test.cdn.test.": "nobody's"})
	}
}

// Secondaries have to hear of another edge: where it changes what a zone says, the serial is a later one, and only there.
func TestAnotherEdgeIsALaterSerial(t *testing.T) {
	o := StoreOptions{Files: []File{{Origin: wire.MustName("a.test."), Path: "a"}, {Origin: wire.MustName("b.test."), Path: "b"}}}
	o.Edge.Addresses = []netip.Addr{netip.MustParseAddr("203.0.113.10")}
	lay := stored(t, &o)
	const soa = "@ SOA ns.example. x.example. 2026110100 1 2 3 4\n@ NS ns.example.\n"
	lay("a", soa+"www A 192.0.2.1 ; cf_tags=cf-proxied:true\n")
	lay("b", soa+"www A 192.0.2.2\n")
	before := Open(&o, nil)
	other := o
	other.Edge.Addresses = []netip.Addr{netip.MustParseAddr("203.0.113.20")}
	after := Open(&other, before)
	after.Zones().expect(t, map[string]string{"www.a.test.": "answer; A 300 203.0.113.20", "www.b.test.": "answer; A 300 192.0.2.2"})
	for name, want := range map[string]bool{"a.test.": true, "b.test.": false} {
		apex := wire.MustName(name)
		was, is := before.Zones().Covering(apex).Serial(), after.Zones().Covering(apex).Serial()
		if isLater(is, was) != want {
			t.Errorf("%s: %d, and then %d", name, was, is)
		}
	}
	after.Look()
	if again := Open(&other, after); again.Zones().Covering(wire.MustName("a.test.")) != after.Zones().Covering(wire.MustName("a.test.")) {
		t.Error("the same options build all zones anew")
	}
}

// A panic costs the version of a file in which it was met: the zone before, and all others, go on.
func TestPanicsCostOneFile(t *testing.T) {
	o := StoreOptions{Files: []File{
		{Origin: wire.MustName("a.test."), Path: "a"}, {Origin: wire.MustName("b.test."), Path: "b"}, {Origin: wire.MustName("c.test."), Path: "c"},
	}}
	lay := stored(t, &o)
	bad, panics := o.Files[2].Path, 0
	o.Panicked = func() { panics++ }
	o.Told = func(path string, _ Problems) {
		if path == bad {
			panic("192.0.2.1")
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		lay(name, "www A 192.0.2.1\n")
	}
	s := Open(&o, nil)
	s.Zones().expect(t, map[string]string{"www.a.test.": "answer; A 300 192.0.2.1", "www.b.test.": "answer; A 300 192.0.2.1", "www.c.test.": "withheld"})
	bad = o.Files[0].Path
	lay("a", "www A 192.0.2.2\n")
	lay("b", "www A 192.0.2.2\n")
	lay("c", "www A 192.0.2.2\n")
	s.Look()
	s.Look()
	s.Zones().expect(t, map[string]string{
		"www.a.test.": "answer; A 300 192.0.2.1", "www.b.test.": "answer; A 300 192.0.2.2", "www.c.test.": "answer; A 300 192.0.2.2",
	})
	if problems := s.Problems(); panics != 2 || len(problems) != 1 || problems[0].Text != "could not be read for a mistake in tacit" {
		t.Error(panics, problems)
	}
}

// The least TTL of the configuration is that of all edits; an update is raised to it.
func TestLeastTTL(t *testing.T) {
	at := File{Origin: wire.MustName("a.test."), Path: filepath.Join(t.TempDir(), "a")}
	o := Options{MinTTL: 5}
	layKey(t, at.Path, "low 1 A 192.0.2.1\n")
	for ttl, want := range map[uint32]int{1: 0, 4: codeTTL, 5: 0, 29: 0, 86400: 0, 86401: codeTTL} {
		code := 0
		err := Edit(t.Context(), at, someDay, &o, func(m *MasterFile) error {
			r := newRecord(fmt.Sprintf("x%d.a.test.", ttl), "A", "192.0.2.1")
			r.TTL = ttl
			return m.Add(r)
		})
		if no, ok := errors.AsType[*Refusal](err); ok {
			code = no.Code
		}
		if code != want || code != 0 && err.Error() != "the TTL must be between 5 and 86400 seconds, or 1 for Auto (code 9021)" {
			t.Errorf("%d: %v", ttl, err)
		}
	}
	err := Edit(t.Context(), at, someDay, &o, func(m *MasterFile) error {
		rr, err := dns.NewRR("up.a.test. 0 IN A 192.0.2.9")
		if err != nil {
			return err
		}
		return revise(m, []dns.RR{rr}, nil)
	})
	if text, _ := os.ReadFile(at.Path); err != nil || !strings.Contains(string(text), "up.a.test.\t5\tIN\tA\t192.0.2.9\n") {
		t.Errorf("%v\n%s", err, text)
	}
}
