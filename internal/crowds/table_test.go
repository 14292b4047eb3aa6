package crowds

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
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
		names = append(names, string(e.Domain))
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
	if want := (Entry{[]byte("zone.example"), 1, 20, 19*256 + 1}); !reflect.DeepEqual(list[0], want) || others != 2 {
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
	found := bytes.Contains(rows, []byte(text)) || bytes.Contains(bits, []byte(text))
	if w := table.current.Load(); w != nil && len(w.suffixes) > 0 {
		kept := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w.suffixes))), 8*len(w.suffixes))
		found = found || bytes.Contains(kept, []byte(text))
	}
	for i := range table.rows {
		found = found || bytes.Contains(table.rows[i].name, []byte(text))
	}
	return found
}

// Below the number no name is in the table's memory at all; the one field of it that could hold another is looked into, too.
func TestNoNameBelowTheNumber(t *testing.T) {
	for f := range reflect.TypeFor[Table]().Fields() {
		switch f.Name {
		case "o", "current", "mu", "last", "rows", "bits", "noted":
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
	before := table.current.Load()
	kept := table.rows[slices.IndexFunc(table.rows, func(r row) bool { return r.name != nil })].name
	table.Forget()
	if remains(table, "rare") || bytes.Contains(kept[:cap(kept)], []byte("rare")) {
		t.Error("is in memory although it was forgotten")
	}
	if slices.ContainsFunc(table.bits, func(word uint64) bool { return word != 0 }) || !before.things.isWiped() || !before.networks.isWiped() || table.current.Load() != nil {
		t.Error("networks or keys are in memory although they were forgotten")
	}
}

// The end of a window and a flush forget; what was begun before does not count behind it.
func TestWindowsEnd(t *testing.T) {
	for name, end := range map[string]func(*Table) time.Time{
		"an hour":            func(*Table) time.Time { return noon.Add(time.Hour) },
		"an hour, unnoticed": func(table *Table) time.Time { table.Turn(noon.Add(time.Hour)); return noon.Add(time.Hour) },
		"a clock set back":   func(*Table) time.Time { return noon.Add(-time.Minute) },
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
			pending, keys := table.Network(network(networks[19], 1), last), keysOf(table)
			now := end(table)
			if name != "an hour" && name != "a clock set back" && remains(table, "told") {
				t.Error("the name is in memory still")
			}
			expectTold(t, table, now, "behind")
			if _, others := table.Crowded(now); others != 0 {
				t.Errorf("%d are counted still", others)
			}
			if fresh := keysOf(table); fresh[0] == keys[0] || fresh[1] == keys[1] || fresh[0] == fresh[1] {
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

// keysOf are sums under the two keys.
func keysOf(table *Table) [2]uint64 {
	w := table.current.Load()
	return [2]uint64{w.things.sum(nil), w.networks.sum(nil)}
}

// Who has come a moment before another one began the window counts in it.
func TestWindowsBeginALittleBefore(t *testing.T) {
	table := NewTable(Options{AtLeast: 2})
	networks := apart(table, 2)
	table.meet(network(networks[0], 1), noon, "zone.example", 0)
	table.meet(network(networks[1], 1), noon.Add(-5*time.Second), "zone.example", 0)
	expectTold(t, table, noon, "five seconds before", "zone.example")
}

// Whoever counts while an hour ends counts in one of the two, or in none.
func TestTablesAreShared(t *testing.T) {
	table := NewTable(Options{AtLeast: 2, Suffixes: true, Ended: func(time.Time, []Entry) {}})
	var done sync.WaitGroup
	for g := range 4 {
		done.Go(func() {
			for i := range 2000 {
				now := noon.Add(time.Duration(i) * time.Minute)
				table.see(network(i, g), now, wired("www.zone.example"))
				table.meet(network(i, g), now, "zone.example", 1)
				table.Crowded(now)
			}
		})
	}
	done.Wait()
}

// A name's hash is kept where all questions come to a table, and nowhere else.
func TestSuffixesAreKept(t *testing.T) {
	for _, kept := range []bool{false, true} {
		table := NewTable(Options{AtLeast: 2, Suffixes: kept})
		table.meet(network(1, 1), noon, "www.zone.example", 0)
		w := table.current.Load()
		known := 0
		for i := range w.suffixes {
			if w.suffixes[i].Load() != 0 {
				known++
			}
		}
		if want := map[bool]int{true: 1}[kept]; known != want {
			t.Errorf("%v: %d are kept", kept, known)
		}
		table.Forget()
		w.suffix([]byte("late.zone.example")) // by whoever has not seen that it is over
		for i := range w.suffixes {
			if w.suffixes[i].Load() != 0 {
				t.Error("a hash outlives its window")
			}
		}
	}
}

// A flood of names makes others silent; it does not make the table larger, and does not move what is told.
func TestTablesAreBounded(t *testing.T) {
	const rows = 256
	table := NewTable(Options{AtLeast: 2, Bits: 64, Rows: rows})
	for _, i := range apart(table, 2) {
		table.meet(network(i, 1), noon, "told.example", 0)
	}
	for i := range 20 * rows {
		for n := range 4 {
			table.meet(network(n, 1), noon, fmt.Sprintf("n%d.example", i), 0)
		}
	}
	list, others := table.Crowded(noon)
	if len(list) < rows*9/10 || len(list) > rows {
		t.Errorf("%d domains are told, want %d at most, and most of those", len(list), rows)
	}
	if !slices.Contains(domains(list), "told.example") || others < 18*4*rows {
		t.Errorf("what is told has given way, or %d others are too few", others)
	}
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
	w := NewTable(Options{AtLeast: 20, Suffixes: true}).windowAt(noon)
	var room [maxText]byte
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
			if got := string(w.domainOf(&room, wired(c.name))); got != c.want {
				t.Errorf("%q: %q, want %q", c.name, got, c.want)
			}
		}
	}
	for _, name := range [][]byte{nil, {0}} {
		if got := w.domainOf(&room, name); got != nil {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestNothingWithoutTable(t *testing.T) {
	var table *Table
	table.Note(table.Network(network(1, 1), noon), wired("zone.example"), 0)
	table.Forget()
	if list, others := table.Crowded(noon); table.Turn(noon) || len(list) != 0 || others != 0 || table.AtLeast() != 0 {
		t.Error("something is told")
	}
}

// A Table without Suffixes looks each of them up, which allocates a few times; what it keeps of a client does not.
func TestNoteDoesNotAllocate(t *testing.T) {
	name, i := wired("a-name-that-is-longer-than-32-octets.www.zone.example"), 0
	table := NewTable(Options{AtLeast: 20})
	var p Popularity
	p.Enable(true)
	for what, note := range map[string]func(){
		"Network": func() { table.Network(network(i%19, 1), noon) },
		"Note":    func() { p.Note(network(i%19, 1), noon, name) },
	} {
		if n := testing.AllocsPerRun(1000, func() {
			i++
			note()
		}); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
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
