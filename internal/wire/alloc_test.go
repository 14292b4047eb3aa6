package wire_test

import (
	"slices"
	"testing"

	"tacit/internal/wire"
)

// hotPath are the operations that each query costs.
func hotPath(t testing.TB) map[string]func() {
	var q wire.Query
	var b wire.Builder
	query := withOPT(1232, 1<<15, option(wire.OptionCookie, "12345678"), option(wire.OptionPadding, "\x00\x00\x00"))
	malformed := header(rd, 1, 0, 0, 1).question(wwwTest, 1, 1)
	answer := response(t, wire.Authenticated)
	offsets, _ := wire.TTLOffsets(nil, answer)
	parsed := parse(t, query)
	opt := &wire.OPT{
		UDPSize: 1232, DO: true, Cookie: []byte("clientc-servercookie"), Keepalive: 10,
		Errors: []wire.ExtendedError{{Code: wire.EDEStaleAnswer, Text: "upstream servers did not answer"}},
	}
	buf := make([]byte, 0, 4096)
	kept := make([]uint16, 0, 64)
	name := wire.MustName("a.b.c.example.com.")
	zone := wire.MustName("example.com.")
	question := wire.Question{Name: name, Type: wire.TypeA, Class: wire.ClassIN}
	soa := set("example.com.", wire.TypeSOA, "\x02ns\x07example\x03com\x00\x01h\x07example\x03com\x00"+"01234567890123456789")
	return map[string]func(){
		"Parse":           func() { q.Parse(query) },
		"Parse rejecting": func() { q.Parse(malformed) },
		"Question":        func() { _ = parsed.Question() },
		"Reply":           func() { wire.Reply(append(buf, answer...), parsed) },
		"AppendOPT":       func() { wire.AppendOPT(append(buf, answer...), opt, 100) },
		"AppendRejection": func() { wire.AppendRejection(buf, parsed, wire.Refused) },
		"Truncate":        func() { wire.Truncate(append(buf, answer...)) },
		"TTLOffsets":      func() { wire.TTLOffsets(kept, answer) },
		"CountDown":       func() { wire.CountDown(answer, offsets, 0) },
		"Build": func() {
			b.Begin(buf, question, wire.NXDomain, 0)
			_ = b.Add(wire.AuthoritySection, &soa, 300, true)
		},
		"Compare": func() { name.Compare(zone) },
		"Within":  func() { name.Within(zone) },
		"Parent":  func() { name.Parent() },
		"Suffix":  func() { name.Suffix(2) },
	}
}

// Names that the operations above come to are interned already, as those of a running resolver's cuts are.
var interned = []wire.Name{wire.MustName("b.c.example.com."), wire.MustName("example.com."), wire.MustName("www.test.")}

func TestHotPathDoesNotAllocate(t *testing.T) {
	for name, run := range hotPath(t) {
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if len(interned) != 3 {
		t.Error("names are not held")
	}
}

func BenchmarkHotPath(b *testing.B) {
	operations := hotPath(b)
	names := make([]string, 0, len(operations))
	for name := range operations {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				operations[name]()
			}
		})
	}
}
