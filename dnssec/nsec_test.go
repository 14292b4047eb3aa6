package dnssec

import (
	"testing"

	"tacit/internal/wire"
)

func TestParseNSEC(t *testing.T) {
	next := wire.MustName("b.example").Append(nil)
	types := []byte{0, 1, 0x40}
	both := append(append([]byte{}, next...), types...)
	data := func(rdatas ...[]byte) (r wire.Rdatas) {
		for _, rdata := range rdatas {
			r = r.Add(rdata)
		}
		return r
	}
	for name, c := range map[string]struct {
		owner string
		data  wire.Rdatas
		want  bool
	}{
		"whole":                                    {"a.example", data(both), true},
		"upper case in the next name":              {"a.example", data(append([]byte("\x01B\x07EXAMPLE\x00"), types...)), true},
		"no types":                                 {"a.example", data(next), true},
		"no record":                                {"a.example", nil, false},
		"empty RDATA":                              {"a.example", data([]byte{}), false},
		"two records at one name":                  {"a.example", data(both, both), false},
		"next name cut":                            {"a.example", data(next[:len(next)-1]), false},
		"next name compressed":                     {"a.example", data([]byte{0xc0, 0x0c, 0, 1, 0x40}), false},
		"bitmap cut":                               {"a.example", data(both[:len(both)-1]), false},
		"RFC 4034 4.1.1: last, to the apex":        {"z.example", data(append([]byte("\x07example\x00"), types...)), true},
		"one name, to itself":                      {"example", data(append([]byte("\x07example\x00"), types...)), true},
		"backwards, to what cannot be the apex":    {"z.example", data(both), false},
		"to itself below a zone that has an apex?": {"b.example", data(both), true}, // an apex for all that ParseNSEC knows
	} {
		set := wire.RRset{Name: wire.MustName(c.owner), Type: wire.TypeNSEC, Data: c.data}
		if n, ok := ParseNSEC(&set); ok != c.want {
			t.Errorf("%s: %v", name, ok)
		} else if ok && n.Owner != set.Name {
			t.Errorf("%s: owner differs", name)
		}
	}
	set := wire.RRset{Name: wire.MustName("a.example"), Type: wire.TypeNSEC3, Data: data(both)}
	if _, ok := ParseNSEC(&set); ok {
		t.Error("another type was read as NSEC")
	}
}

// RFC 4034 section 6.1: the canonical order of names. The list is the RFC's own.
func TestNSECCoversInCanonicalOrder(t *testing.T) {
	ordered := []string{
		"example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE", "z.example", "\\001.z.example",
		"*.z.example", "\\200.z.example",
	}
	for i, owner := range ordered {
		for j, next := range ordered {
			n := NSEC{Owner: wire.MustName(owner), Next: wire.MustName(next)}
			if j <= i && j > 0 {
				continue // no chain has it
			}
			for k, name := range ordered {
				want := k > i && (k < j || j == 0)
				if got := n.Covers(wire.MustName(name)); got != want {
					t.Errorf("%s to %s covers %s: %v", owner, next, name, got)
				}
				if got := n.Matches(wire.MustName(name)); got != (k == i) {
					t.Errorf("%s matches %s: %v", owner, name, got)
				}
			}
		}
	}
}

func TestNSECDenies(t *testing.T) {
	apex := []wire.Type{wire.TypeNS, wire.TypeSOA, wire.TypeRRSIG, wire.TypeNSEC}
	host := []wire.Type{wire.TypeA, wire.TypeRRSIG, wire.TypeNSEC}
	cut := []wire.Type{wire.TypeNS, wire.TypeRRSIG, wire.TypeNSEC}
	alias := []wire.Type{wire.TypeDNAME, wire.TypeRRSIG, wire.TypeNSEC}
	for name, c := range map[string]struct {
		owner, next   string
		types         []wire.Type
		qname         string
		denies, empty bool
	}{
		"between":                                          {"b.example", "d.example", host, "c.example", true, false},
		"at the owner":                                     {"b.example", "d.example", host, "b.example", false, false},
		"at the next name":                                 {"b.example", "d.example", host, "d.example", false, false},
		"below the owner":                                  {"b.example", "d.example", host, "x.b.example", true, false},
		"RFC 6840 4.1: below a delegation":                 {"b.example", "d.example", cut, "x.b.example", false, false},
		"beside a delegation":                              {"b.example", "d.example", cut, "c.example", true, false},
		"RFC 6840 4.1: below a DNAME":                      {"b.example", "d.example", alias, "x.y.b.example", false, false},
		"beside a DNAME":                                   {"b.example", "d.example", alias, "c.example", true, false},
		"RFC 4592 2.2.2: empty non-terminal":               {"b.example", "x.d.example", host, "d.example", false, true},
		"not beneath it":                                   {"b.example", "x.d.example", host, "a.d.example", true, false},
		"empty non-terminal beyond a delegation":           {"b.example", "x.y.b.example", cut, "y.b.example", false, false},
		"RFC 4034 4.1.1: the last covers what follows":     {"b.example", "example", host, "c.example", true, false},
		"the last does not leave the zone":                 {"b.example", "example", host, "c.test", false, false},
		"a zone of one name":                               {"example", "example", apex, "c.example", true, false},
		"a zone of one name has its name":                  {"example", "example", apex, "example", false, false},
		"the root zone's last":                             {"z", ".", host, "zz", true, false},
		"RFC 9824 2: the next possible name covers no one": {"b.example", "\\000.b.example", host, "a.b.example", false, false},
	} {
		n := NSEC{Owner: wire.MustName(c.owner), Next: wire.MustName(c.next), Types: bitmapOf(c.types...)}
		if got := n.Denies(wire.MustName(c.qname)); got != c.denies {
			t.Errorf("%s: denies is %v", name, got)
		}
		if got := n.ProvesEmpty(wire.MustName(c.qname)); got != c.empty {
			t.Errorf("%s: empty is %v", name, got)
		}
	}
}

func TestNSECInZone(t *testing.T) {
	apex := []wire.Type{wire.TypeNS, wire.TypeSOA}
	for name, c := range map[string]struct {
		owner, next string
		types       []wire.Type
		want        bool
	}{
		"apex":                                   {"example", "a.example", apex, true},
		"inside":                                 {"a.example", "b.example", []wire.Type{wire.TypeA}, true},
		"last":                                   {"a.example", "example", []wire.Type{wire.TypeA}, true},
		"owner outside":                          {"a.test", "b.example", []wire.Type{wire.TypeA}, false},
		"next name outside":                      {"a.example", "b.test", []wire.Type{wire.TypeA}, false},
		"wraps to an apex below":                 {"b.a.example", "a.example", []wire.Type{wire.TypeA}, false},
		"RFC 6840 4.1: the parent's record":      {"example", "a.example", []wire.Type{wire.TypeNS, wire.TypeDS}, false},
		"apex of a zone below":                   {"a.example", "b.a.example", apex, false},
		"a zone's own apex does not deny itself": {"example", "a.example", []wire.Type{wire.TypeNXNAME}, false},
		"minimal bitmap at the apex, made on query": {"example", "\\000.example", []wire.Type{wire.TypeRRSIG, wire.TypeNSEC}, true},
	} {
		n := NSEC{Owner: wire.MustName(c.owner), Next: wire.MustName(c.next), Types: bitmapOf(c.types...)}
		if got := n.InZone(wire.MustName("example")); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
