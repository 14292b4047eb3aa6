package crowds

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"tacit/internal/siphash"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// wired is a name in wire form.
func wired(name string) []byte {
	var b []byte
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

// network is an address in one of many /56 of 2001:db8::/32.
func network(i, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: byte(i >> 8), 6: byte(i), 7: byte(host), 15: 1})
}

// apart are so many networks that do not share a bit.
func apart(t *Table, count int) (list []int) {
	taken := map[Network]bool{}
	for i := range 512 {
		if n := t.Network(network(i, 1), noon); !taken[n] && len(list) < count {
			taken[n] = true
			list = append(list, i)
		}
	}
	return list
}

func (t *Table) meet(addr netip.Addr, now time.Time, name string, label uint8) {
	t.Note(t.Network(addr, now), wired(name), label)
}

func domains(list []Entry) (names []string) {
	for _, e := range list {
		names = append(names, e.Domain)
	}
	return names
}

func expectTold(t *testing.T, table *Table, now time.Time, when string, want ...string) {
	t.Helper()
	if list, _ := table.Crowded(now); !slices.Equal(domains(list), want) {
		t.Errorf("%s: %q are told, want %q", when, domains(list), want)
	}
}

// Privacy.md section 5.2: a domain is shown if at least 20 client networks met the same failure. However many of their addresses did,
// 19 are too few.
func TestNineteenNetworksAreTooFew(t *testing.T) {
	table := NewTable(Options{AtLeast: 20})
	networks := apart(table, 20)
	for _, i := range networks[:19] {
		for host := range 256 {
			table.meet(network(i, host), noon, "www.zone.example", 1)
		}
	}
	expectTold(t, table, noon, "19 networks of 256 addresses each")
	if _, others := table.Crowded(noon); others != 19*256 {
		t.Errorf("%d times something else, want %d", others, 19*256)
	}
	table.meet(network(networks[19], 1), noon, "mail.zone.example", 2)
	expectTold(t, table, noon, "another failure")
	table.meet(network(networks[19], 1), noon, "www.other.example", 1)
	expectTold(t, table, noon, "another domain")
	table.meet(network(networks[19], 1), noon, "mail.zone.example", 1)
	expectTold(t, table, noon, "20 networks", "zone.example")
	list, others := table.Crowded(noon)
	if want := (Entry{"zone.example", 1, 20, 19*256 + 1}); list[0] != want || others != 2 {
		t.Errorf("%+v and %d others, want %+v and 2", list[0], others, want)
	}
}

// However the bits fall, fewer networks are never told for more.
func TestBitsErrToTheSideOfSilence(t *testing.T) {
	for range 200 {
		table := NewTable(Options{AtLeast: 20})
		for i := range 19 {
			table.meet(network(i, 1), noon, "zone.example", 0)
		}
		expectTold(t, table, noon, "19 networks")
		for i := range 60 {
			table.meet(network(i, 1), noon, "zone.example", 0)
		}
		expectTold(t, table, noon, "60 networks", "zone.example")
		if list, _ := table.Crowded(noon); list[0].Networks > 60 {
			t.Errorf("%d networks of 60", list[0].Networks)
		}
	}
}

func TestNetworksAreThoseOfClients(t *testing.T) {
	table := NewTable(Options{AtLeast: 2, Bits: 1 << 16})
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"one /24", "192.0.2.1", "192.0.2.255", true},
		{"another /24", "192.0.2.1", "198.51.100.1", false},
		{"IPv4 in IPv6", "192.0.2.1", "::ffff:192.0.2.77", true},
		{"one /56", "2001:db8:0:100::1", "2001:db8:0:1ff:ffff::9", true},
		{"another /56 of one /55", "2001:db8:0:200::1", "2001:db8:0:300::1", false},
	} {
		differs := false
		for range 3 { // two networks have the same bit once in 65,536 times
			differs = differs || table.Network(netip.MustParseAddr(c.a), noon) != table.Network(netip.MustParseAddr(c.b), noon)
			table.Forget()
		}
		if differs == c.same {
			t.Errorf("%s: the same %v, want %v", c.name, !differs, c.same)
		}
	}
}

// remains reports whether text is in what a table keeps.
func remains(table *Table, text string) bool {
	rows := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(table.rows))), len(table.rows)*int(unsafe.Sizeof(row{})))
	bits := make([]byte, 0, 8*len(table.bits))
	for _, word := range table.bits {
		bits = binary.LittleEndian.AppendUint64(bits, word)
	}
	suffixes := unsafe.Slice((*byte)(unsafe.Pointer(&table.suffixes)), unsafe.Sizeof(table.suffixes))
	found := bytes.Contains(suffixes, []byte(text)) || bytes.Contains(rows, []byte(text)) || bytes.Contains(bits, []byte(text)) || bytes.Contains(table.text[:], []byte(text))
	for i := range table.rows {
		found = found || bytes.Contains(table.rows[i].name, []byte(text))
	}
	return found
}

// Below the number no name is in the table's memory at all; the one field of it that could hold another is looked into, too.
func TestNoNameBelowTheNumber(t *testing.T) {
	for f := range reflect.TypeFor[Table]().Fields() {
		switch f.Name {
		case "o", "mu", "window", "until", "things", "networks", "rows", "bits", "suffixes", "noted", "text":
		default:
			t.Errorf("%s: remains has to look into it", f.Name)
		}
	}
	table := NewTable(Options{AtLeast: 20})
	networks := apart(table, 20)
	for _, i := range networks[:19] {
		table.meet(network(i, 1), noon, "www.rare.example", 0)
	}
	for _, text := range []string{"rare", "www", "example"} {
		if remains(table, text) {
			t.Errorf("%q is in memory for 19 networks", text)
		}
	}
	table.meet(network(networks[19], 1), noon, "www.rare.example", 0)
	if !remains(table, "rare.example") || remains(table, "www") {
		t.Error("what is told of 20 networks is not the domain alone")
	}
	kept := table.rows[slices.IndexFunc(table.rows, func(r row) bool { return r.name != nil })].name
	table.Forget()
	if remains(table, "rare") || bytes.Contains(kept[:cap(kept)], []byte("rare")) {
		t.Error("is in memory although it was forgotten")
	}
	if slices.ContainsFunc(table.bits, func(word uint64) bool { return word != 0 }) || table.things != (siphash.Key{}) || table.networks != (siphash.Key{}) {
		t.Error("networks or keys are in memory although they were forgotten")
	}
}

// The end of a window and a flush forget; what was begun before does not count behind it.
func TestWindowsEnd(t *testing.T) {
	for name, end := range map[string]func(*Table) time.Time{
		"an hour":            func(*Table) time.Time { return noon.Add(time.Hour) },
		"an hour, unnoticed": func(table *Table) time.Time { table.Turn(noon.Add(time.Hour)); return noon.Add(time.Hour) },
		"a clock set back":   func(*Table) time.Time { return noon.Add(-time.Second) },
		"a flush":            func(table *Table) time.Time { table.Forget(); return noon },
	} {
		t.Run(name, func(t *testing.T) {
			table := NewTable(Options{AtLeast: 20})
			networks := apart(table, 20)
			for _, i := range networks {
				table.meet(network(i, 1), noon, "told.example", 0)
			}
			for _, i := range networks[:19] {
				table.meet(network(i, 1), noon, "rare.example", 0)
			}
			last := noon.Add(time.Hour - time.Nanosecond)
			expectTold(t, table, last, "before", "told.example")
			pending, keys := table.Network(network(networks[19], 1), last), [2][16]byte{table.things, table.networks}
			now := end(table)
			if name != "an hour" && name != "a clock set back" && remains(table, "told") {
				t.Error("the name is in memory still")
			}
			expectTold(t, table, now, "behind")
			if _, others := table.Crowded(now); others != 0 {
				t.Errorf("%d are counted still", others)
			}
			if table.things == keys[0] || table.networks == keys[1] || table.things == table.networks {
				t.Error("a key of the window before")
			}
			table.Note(pending, wired("rare.example"), 0)
			if table.noted != 0 {
				t.Error("a question of the window before counts")
			}
			for _, i := range networks[:19] {
				table.meet(network(i, 1), now, "told.example", 0)
			}
			expectTold(t, table, now, "with 19 networks more")
		})
	}
}

// A flood of names makes others silent; it does not make the table larger, and does not move what is told.
func TestTablesAreBounded(t *testing.T) {
	table := NewTable(Options{AtLeast: 20})
	for _, i := range apart(table, 20) {
		table.meet(network(i, 1), noon, "told.example", 0)
	}
	for i := range 20_000 {
		table.meet(network(i%512, 1), noon, fmt.Sprintf("n%d.example", i), 0)
	}
	if len(table.rows) != 1024 || len(table.bits) != 4096 {
		t.Errorf("%d rows and %d words", len(table.rows), len(table.bits))
	}
	expectTold(t, table, noon, "after a flood", "told.example")
}

// Where there is no place, what fewest networks have come with gives way, and nothing of it counts for what comes instead.
func TestFewGiveWay(t *testing.T) {
	table := NewTable(Options{AtLeast: 20, Rows: ways})
	networks := apart(table, 20)
	var want []string
	for i := range ways - 1 {
		want = append(want, fmt.Sprintf("t%d.example", i))
		for _, n := range networks {
			table.meet(network(n, 1), noon, want[i], 0)
		}
	}
	table.meet(network(networks[0], 1), noon, "gives-way.example", 0)
	for _, n := range networks {
		table.meet(network(n, 1), noon, "takes-place.example", 0)
	}
	want = append(want, "takes-place.example")
	slices.Sort(want) // those of as many networks are told by their names
	expectTold(t, table, noon, "eight of 20 networks each", want...)
	for _, n := range networks {
		table.meet(network(n, 1), noon, "ninth.example", 0)
	}
	expectTold(t, table, noon, "with a ninth", want...)
}

func TestDomains(t *testing.T) {
	table := NewTable(Options{AtLeast: 20})
	for _, c := range []struct{ name, want string }{
		{"www.zone.example", "zone.example"},
		{"zone.example", "zone.example"},
		{"a.b.c.zone.example", "zone.example"},
		{"example", ""},
		{"www.zone.co.uk", "zone.co.uk"},
		{"co.uk", ""},
		{"_sip._tcp.zone.example", "zone.example"},
		{"a b\x00.zone.example", "zone.example"},
		{"www.a b.example", ""},
		{"www.zone.ex?mple", ""},
		{"1.2.0.192.in-addr.arpa", "192.in-addr.arpa"},
		{strings.Repeat("a23456789.", 24) + "zone.example", "zone.example"},
	} {
		for range 2 { // looked up, and known
			if got := string(table.domainOf(wired(c.name))); got != c.want {
				t.Errorf("%q: %q, want %q", c.name, got, c.want)
			}
		}
	}
	for _, name := range [][]byte{nil, {0}} {
		if got := table.domainOf(name); got != nil {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestNothingWithoutTable(t *testing.T) {
	var table *Table
	table.Note(table.Network(network(1, 1), noon), wired("zone.example"), 0)
}

func TestNoteDoesNotAllocate(t *testing.T) {
	table, name, i := NewTable(Options{AtLeast: 20}), wired("a-name-that-is-longer-than-32-octets.www.zone.example"), 0
	var p Popularity
	p.Enable(true)
	if n := testing.AllocsPerRun(1000, func() {
		i++
		table.Note(table.Network(network(i%19, 1), noon), name, 0)
		p.Note(network(i%19, 1), noon, name)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNote(b *testing.B) {
	var p Popularity
	name := wired("www.zone.example")
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprint(on), func(b *testing.B) {
			p.Enable(on)
			b.ReportAllocs()
			for b.Loop() {
				p.Note(network(1, 1), noon, name)
			}
		})
	}
}
