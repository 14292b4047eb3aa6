package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"tacit/internal/wire"
)

// A model is a zone as a list of records, and answers as slowly as RFC 1034 section 4.3.2 reads.
type model struct {
	origin  wire.Name
	records []modelRecord
}

type modelRecord struct {
	name   wire.Name
	kind   wire.Type
	rdata  string
	target wire.Name // of a CNAME, DNAME or NS record
}

// What is found at a name is that of the model, for any zone and any name in it.
func TestFindIsThatOfTheModel(t *testing.T) {
	outcomes := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		z, problems := tryBuild("example.", m.text(), Options{})
		if problems.Grave() {
			t.Fatalf("%v\n%s", problems, m.text())
		}
		for range 30 {
			name, kind := drawNameIn(t), rapid.SampledFrom(modelTypes).Draw(t, "type")
			found := z.Find(name, kind)
			got, want := found.text(), m.find(name, kind)
			if got != want {
				t.Fatalf("%s %v in\n%s\n got %s\nwant %s", name.Reveal(), dns.Type(kind), m.text(), got, want)
			}
			outcome, _, _ := strings.Cut(got, ";")
			outcomes[outcome]++
		}
	})
	for _, o := range []string{"answer", "no data", "no name", "alias", "delegated"} {
		if outcomes[o] == 0 {
			t.Error("never seen: ", o)
		}
	}
	t.Log(outcomes)
}

var modelTypes = []wire.Type{
	wire.TypeA, wire.TypeAAAA, wire.TypeCNAME, wire.TypeNS, wire.TypeDS, wire.TypeDNAME, wire.TypeTXT, wire.Type(dns.TypeMX), wire.Type(65280),
}

// drawNameIn draws from few labels, so that names meet.
func drawNameIn(t *rapid.T) wire.Name {
	labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", `\000`}), 0, 4).Draw(t, "labels")
	return wire.MustName(strings.Join(append(labels, "example."), "."))
}

func drawModel(t *rapid.T) *model {
	m := &model{origin: wire.MustName("example.")}
	m.records = append(m.records, modelRecord{m.origin, wire.TypeNS, "NS 300 ns.elsewhere.test.", wire.MustName("ns.elsewhere.test.")})
	for range rapid.IntRange(0, 12).Draw(t, "records") {
		r := modelRecord{name: drawNameIn(t), kind: rapid.SampledFrom(modelTypes).Draw(t, "type")}
		r.target = drawNameIn(t)
		if rapid.IntRange(0, 3).Draw(t, "foreign") == 0 {
			r.target = wire.MustName("x.elsewhere.test.")
		}
		number := rapid.IntRange(1, 3).Draw(t, "number")
		switch r.kind {
		case wire.TypeA:
			r.rdata = fmt.Sprintf("A 300 192.0.2.%d", number)
		case wire.TypeAAAA:
			r.rdata = fmt.Sprintf("AAAA 300 2001:db8::%d", number)
		case wire.TypeDS:
			r.rdata = fmt.Sprintf("DS 300 %d 13 2 00", number)
		case wire.TypeTXT:
			r.rdata = fmt.Sprintf(`TXT 300 "%d"`, number)
		case wire.Type(dns.TypeMX):
			r.rdata = fmt.Sprintf("MX 300 %d %s", number, r.target.Reveal())
		case 65280:
			r.rdata = fmt.Sprintf(`TYPE65280 300 \# 1 %02x`, number)
		default:
			r.rdata = fmt.Sprintf("%v 300 %s", dns.Type(r.kind), r.target.Reveal())
		}
		if m.fits(&r) {
			m.records = append(m.records, r)
		}
	}
	return m
}

// fits reports whether a record may stand beside those that are there (RFC 1034 section 3.6.2, RFC 6672 section 2.4).
func (m *model) fits(r *modelRecord) bool {
	address := func(k wire.Type) bool { return k == wire.TypeA || k == wire.TypeAAAA }
	apex := r.name == m.origin
	wildcard := r.name.FirstLabel() == "*"
	if apex && r.kind == wire.TypeCNAME || (apex || wildcard) && r.kind == wire.TypeNS {
		return false
	}
	for _, o := range m.records {
		if o.name != r.name {
			continue
		}
		either := func(k wire.Type) bool { return o.kind == k || r.kind == k }
		beside := func(k wire.Type) bool { return k == wire.TypeNS || k == wire.TypeDS || address(k) }
		switch {
		case o.rdata == r.rdata, either(wire.TypeCNAME), o.kind == r.kind && r.kind == wire.TypeDNAME:
			return false
		case !apex && either(wire.TypeNS) && (!beside(o.kind) || !beside(r.kind)):
			return false
		}
	}
	return true
}

// text is the zone file. A TTL is the second word of a record's text, and the first of its line.
func (m *model) text() string {
	lines := []string{"; tacit: flatten=apex"}
	for _, r := range m.records {
		f := strings.SplitN(r.rdata, " ", 3)
		lines = append(lines, strings.Join([]string{r.name.Reveal(), f[1], f[0], f[2]}, " "))
	}
	return strings.Join(lines, "\n")
}

// exists: a name has records, or is above one that has (RFC 4592 section 2.2.2).
func (m *model) exists(name wire.Name) bool {
	return slices.ContainsFunc(m.records, func(r modelRecord) bool { return r.name.Within(name) })
}

// at returns the texts of the RRset of a name and type, and the records.
func (m *model) at(name wire.Name, kind wire.Type) (texts []string, set []modelRecord) {
	for _, r := range m.records {
		if r.name == name && r.kind == kind {
			texts = append(texts, r.rdata)
			set = append(set, r)
		}
	}
	return texts, set
}

// find is step 3 of RFC 1034 section 4.3.2, "matching down, label by label".
func (m *model) find(name wire.Name, kind wire.Type) string {
	for labels := m.origin.Labels(); labels <= name.Labels(); labels++ {
		node := name.Suffix(labels)
		if !m.exists(node) { // c: the wildcard at the closest encloser (RFC 4592 section 3.3.1)
			wildcard, err := node.Parent().Prepend("*")
			if err != nil || !m.exists(wildcard) {
				return "no name"
			}
			return m.answer(wildcard, kind)
		}
		if texts, set := m.at(node, wire.TypeNS); set != nil && node != m.origin && (node != name || kind != wire.TypeDS) { // b: a referral
			return m.refer(node, texts, set)
		}
		if node == name { // a: the whole of the name is matched
			return m.answer(node, kind)
		}
		if texts, set := m.at(node, wire.TypeDNAME); set != nil { // RFC 6672 section 3.2
			return redirected(texts[0], name, node, set[0].target, kind)
		}
	}
	panic("a name in the zone has an end")
}

func (m *model) answer(node wire.Name, kind wire.Type) string {
	if texts, _ := m.at(node, kind); texts != nil {
		return "answer; " + strings.Join(texts, "; ")
	}
	if texts, set := m.at(node, wire.TypeCNAME); set != nil {
		return "alias; " + texts[0] + "; -> " + set[0].target.Reveal()
	}
	return "no data"
}

func (m *model) refer(cut wire.Name, texts []string, servers []modelRecord) string {
	parts := append([]string{"delegated", cut.Reveal()}, texts...)
	if ds, _ := m.at(cut, wire.TypeDS); ds != nil {
		parts = append(parts, "DS")
	}
	for _, s := range servers {
		for _, kind := range []wire.Type{wire.TypeA, wire.TypeAAAA} {
			if glue, _ := m.at(s.target, kind); glue != nil {
				parts = append(parts, "glue "+s.target.Reveal())
			}
		}
	}
	return strings.Join(parts, "; ")
}

func redirected(dname string, name, owner, to wire.Name, kind wire.Type) string {
	text := strings.TrimSuffix(name.Reveal(), owner.Reveal()) + to.Reveal()
	cname := dname + "; CNAME 300 " + text
	if kind == wire.TypeCNAME {
		return "answer; " + cname
	}
	return "alias; " + cname + "; -> " + text
}
