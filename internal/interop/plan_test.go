//go:build interop

package interop

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// The tests of this file need no server: they check the instruments of the run.

func TestWorldHasWhatItPromises(t *testing.T) {
	w := generate(*seed)
	tlds, kinds := 0, make(map[class]int)
	for _, z := range w.order {
		kinds[z.kind]++
		tlds += one(z.apex.labels() == 1)
	}
	if tlds != 5 || len(w.below()) != zoneCount {
		t.Errorf("%d TLDs and %d zones below them, want 5 and %d", tlds, len(w.below()), zoneCount)
	}
	for _, k := range []class{gluelessZone, ipv6Zone, lameZone, deadZone, deepZone, belowEmptyZone, sharedZone, skippingZone} {
		if kinds[k] < 4 {
			t.Errorf("%d zones of kind %q", kinds[k], k)
		}
	}
	loaded := make(map[software]int)
	for _, s := range w.instances {
		loaded[s.software] += len(s.zones)
	}
	if min(loaded[nsd], loaded[knot]) < zoneCount/2 {
		t.Errorf("zones loaded by NSD and knotd: %d and %d", loaded[nsd], loaded[knot])
	}
}

func TestWorldIsReproducible(t *testing.T) {
	a, b := generate(*seed), generate(*seed)
	for i := range a.order {
		if a.order[i].text() != b.order[i].text() {
			t.Errorf("zone %s differs", a.order[i].apex)
		}
	}
	if !slices.Equal(a.choose(*seed, questionCount), b.choose(*seed, questionCount)) {
		t.Error("the questions differ")
	}
	if slices.Equal(a.choose(*seed, questionCount), a.choose(*seed+1, questionCount)) {
		t.Error("another seed asks the same questions")
	}
}

// RFC 4592 section 2.2.1 has this zone and says what follows from it; the alias and DNAME are added.
func TestTruth(t *testing.T) {
	w := &world{zones: make(map[name]*zone)}
	s := w.addInstance("one", nsd, 1)
	w.addZone(".", plainZone, []*host{s.addHost("ns.test.", bothFamilies)}, nil)
	z := w.addZone("example.", plainZone, []*host{s.addHost("ns.example.", bothFamilies)}, nil)
	for _, line := range []string{
		"*.example. 3600 IN TXT \"this is a wildcard\"", "*.example. 3600 IN MX 10 host1.example.",
		"host1.example. 3600 IN A 192.0.2.1", "_ssh._tcp.host1.example. 3600 IN SRV 0 0 22 host1.example.",
		"alias.example. 3600 IN CNAME nobody.invalid.", "old.example. 3600 IN DNAME host1.example.",
	} {
		z.add("%s", line)
	}
	for _, c := range []struct {
		qname   string
		qtype   uint16
		rcode   int
		answers int
	}{
		{"host3.example.", dns.TypeMX, dns.RcodeSuccess, 1},
		{"host3.example.", dns.TypeA, dns.RcodeSuccess, 0},
		{"foo.bar.example.", dns.TypeTXT, dns.RcodeSuccess, 1},
		{"host1.example.", dns.TypeMX, dns.RcodeSuccess, 0},
		{"_telnet._tcp.host1.example.", dns.TypeSRV, dns.RcodeNameError, 0},
		{"_tcp.host1.example.", dns.TypeTXT, dns.RcodeSuccess, 0},
		{"alias.example.", dns.TypeA, dns.RcodeNameError, 1},
		{"alias.example.", dns.TypeCNAME, dns.RcodeSuccess, 1},
		{"_ssh._tcp.old.example.", dns.TypeSRV, dns.RcodeSuccess, 3},
		{"old.example.", dns.TypeA, dns.RcodeSuccess, 0},
		{"nobody.old.example.", dns.TypeA, dns.RcodeNameError, 2},
		{"nobody.old.example.", dns.TypeCNAME, dns.RcodeSuccess, 2},
		{"example.", dns.TypeDS, dns.RcodeSuccess, 0},
	} {
		got := w.truth(mustName(c.qname), c.qtype)
		if got.rcode != c.rcode || len(got.answers) != c.answers {
			t.Errorf("%s %s: %s", c.qname, dns.Type(c.qtype), got.brief())
		}
	}
}

func TestDifference(t *testing.T) {
	base := answer(t, "a.example. 60 IN MX 1 mail.example.", "a.example. 60 IN MX 2 mail.example.")
	for _, c := range []struct {
		name  string
		other outcome
		same  bool
	}{
		{"order, TTL and letter case do not matter", answer(t, "A.example. 5 IN MX 2 Mail.Example.", "a.EXAMPLE. 6 IN MX 1 mail.example."), true},
		{"a record is missing", answer(t, "a.example. 60 IN MX 1 mail.example."), false},
		{"a record is there twice", answer(t, "a.example. 60 IN MX 1 mail.example.", "a.example. 60 IN MX 2 mail.example.", "a.example. 60 IN MX 2 mail.example."), false},
		{"other RDATA", answer(t, "a.example. 60 IN MX 1 mail.example.", "a.example. 60 IN MX 3 mail.example."), false},
		{"other owner", answer(t, "a.example. 60 IN MX 1 mail.example.", "b.example. 60 IN MX 2 mail.example."), false},
		{"other RCODE", outcome{rcode: dns.RcodeNameError, answers: base.answers}, false},
	} {
		if d := base.difference(c.other); (d == "") != c.same {
			t.Errorf("%s: %q", c.name, d)
		}
	}
}

func TestDisorder(t *testing.T) {
	const alias, end = "a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 192.0.2.1"
	for _, c := range []struct {
		name    string
		answers outcome
		ordered bool
	}{
		{"alias before target", answer(t, alias, end), true},
		{"target before alias", answer(t, end, alias), false},
		{"DNAME before its CNAME", answer(t, "example. 60 IN DNAME test.", "a.example. 60 IN CNAME a.test.", "a.test. 60 IN A 192.0.2.1"), true},
		{"a record nobody asked for", answer(t, alias, end, "c.example. 60 IN A 192.0.2.1"), false},
	} {
		if d := c.answers.disorder(mustName("a.example."), dns.TypeA); (d == "") != c.ordered {
			t.Errorf("%s: %q", c.name, d)
		}
	}
}

// RFC 9156 section 2.3: one label more than the zone, and on only past names that are no cut.
func TestNeeded(t *testing.T) {
	w := generate(*seed)
	tld := w.zones[mustName("xa.")]
	tld.delegate(mustName("cut.empty.xa."), nil)
	tld.delegate(mustName("cut.xa."), nil)
	for qname, want := range map[string]int{
		"xa.": 1, "cut.xa.": 2, "a.b.cut.xa.": 2, "a.b.nobody.xa.": 2, "empty.xa.": 2, "a.cut.empty.xa.": 3, "a.b.empty.xa.": 3,
	} {
		if got, _ := tld.needed(mustName(qname)); got != want {
			t.Errorf("%s: %d labels needed, want %d", qname, got, want)
		}
	}
}

func answer(t *testing.T, lines ...string) outcome {
	t.Helper()
	var out outcome
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		out.answers = append(out.answers, rr)
	}
	return out
}
