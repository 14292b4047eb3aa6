package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/internal/wire"
)

var epoch = time.Unix(1_800_000_000, 0)

func after(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

func question(name string, kind wire.Type) wire.Question {
	return wire.Question{Name: wire.MustName(name), Type: kind, Class: wire.ClassIN}
}

// query is q as a client sends it: in capitals.
func query(t testing.TB, q wire.Question) *wire.Query {
	t.Helper()
	var rd, cd byte = 1, 0
	if q.NoRecursion {
		rd = 0
	}
	if q.CD {
		cd = 0x10
	}
	msg := []byte{0x12, 0x34, rd, cd, 0, 1, 0, 0, 0, 0, 0, 1}
	msg = append(msg, bytes.ToUpper(q.Name.Append(nil))...) // lengths of labels here are below 'a'
	msg = binary.BigEndian.AppendUint16(msg, uint16(q.Type))
	msg = binary.BigEndian.AppendUint16(msg, uint16(q.Class))
	var do byte
	if q.DO {
		do = 0x80
	}
	if q.CO {
		do |= 0x40
	}
	msg = append(msg, 0, 0, byte(wire.TypeOPT), 4, 0xd0, 0, 0, do, 0, 0, 0)
	parsed := &wire.Query{View: q.View}
	if verdict := parsed.Parse(msg); verdict != wire.Accept {
		t.Fatalf("query is not accepted: %v", verdict)
	}
	return parsed
}

// answer is an answer to q with an address for each TTL.
func answer(t testing.TB, q wire.Question, rcode wire.Rcode, ttls ...uint32) wire.Answer {
	t.Helper()
	var b wire.Builder
	b.Begin(nil, q, rcode, 0)
	for i, ttl := range ttls {
		set := wire.RRset{Name: q.Name, Type: wire.TypeA, Data: wire.Rdatas{}.Add([]byte{192, 0, 2, byte(i)})}
		if err := b.Add(wire.AnswerSection, &set, ttl, false); err != nil {
			t.Fatal(err)
		}
	}
	life := uint32(60)
	if len(ttls) > 0 {
		life = slices.Min(ttls)
	}
	return wire.Answer{Packet: b.Message(), Expires: epoch.Add(time.Duration(life) * time.Second)}
}

func ttlsOf(t testing.TB, msg []byte) []uint32 {
	t.Helper()
	offsets, ok := wire.TTLOffsets(nil, msg)
	if !ok {
		t.Fatal("malformed answer")
	}
	var ttls []uint32
	for _, off := range offsets {
		ttls = append(ttls, binary.BigEndian.Uint32(msg[off:]))
	}
	return ttls
}

func TestPacketsCountDown(t *testing.T) {
	many := make([]uint32, 40)
	for i := range many {
		many[i] = 100 + uint32(i)
	}
	for _, c := range []struct {
		name  string
		ttls  []uint32
		fixed bool
		at    float64
		want  []uint32 // nil: no answer
	}{
		{"at once", []uint32{60, 300}, false, 0, []uint32{60, 300}},
		{"whole seconds only", []uint32{60, 300}, false, 1.999, []uint32{59, 299}},
		{"the last second", []uint32{60, 300}, false, 59.999, []uint32{1, 241}},
		{"expired with the first TTL", []uint32{60, 300}, false, 60, nil},
		{"a local zone's word", []uint32{60, 300}, true, 30, []uint32{60, 300}},
		{"the clock was set back", []uint32{60}, false, -5, []uint32{60}},
		{"many records", many, false, 100 - 1, func() (w []uint32) {
			for _, ttl := range many {
				w = append(w, ttl-99)
			}
			return w
		}()},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, q := New(Options{}), question("www.example", wire.TypeA)
			a := answer(t, q, wire.NoError, c.ttls...)
			a.Fixed = c.fixed
			if !cache.Packets.Put(q, a, epoch, cache.Generation()) {
				t.Fatal("refused")
			}
			got, ok := cache.Packets.Get(nil, query(t, q), after(c.at))
			if ok != (c.want != nil) {
				t.Fatalf("answered: %v", ok)
			}
			if ok && !slices.Equal(ttlsOf(t, got.Packet), c.want) {
				t.Errorf("TTLs %v, want %v", ttlsOf(t, got.Packet), c.want)
			}
			if ok && (!got.Expires.Equal(a.Expires) || got.Fixed != c.fixed) {
				t.Errorf("got %v %v", got.Expires, got.Fixed)
			}
		})
	}
}

func TestPacketsKeepQuestionsApart(t *testing.T) {
	asked := question("www.example", wire.TypeA)
	cache := New(Options{})
	a := answer(t, asked, wire.NoError, 60)
	a.Errors = []wire.ExtendedError{{Code: wire.EDESynthesized}}
	if !cache.Packets.Put(asked, a, epoch, cache.Generation()) {
		t.Fatal("refused")
	}
	for _, c := range []struct {
		name   string
		change func(*wire.Question)
		want   bool
	}{
		{"the same", func(*wire.Question) {}, true},
		{"another name", func(q *wire.Question) { q.Name = wire.MustName("ww2.example") }, false},
		{"another type", func(q *wire.Question) { q.Type = wire.TypeAAAA }, false},
		{"DO", func(q *wire.Question) { q.DO = true }, false},
		{"CO", func(q *wire.Question) { q.DO, q.CO = true, true }, false},
		{"CD", func(q *wire.Question) { q.CD = true }, false},
		{"another view", func(q *wire.Question) { q.View = 1 }, false},
		{"RD=0: the cache is not for snooping", func(q *wire.Question) { q.NoRecursion = true }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := asked
			c.change(&q)
			dst := make([]byte, 3, 512)
			got, ok := cache.Packets.Get(dst, query(t, q), epoch)
			if ok != c.want {
				t.Fatalf("answered: %v", ok)
			}
			if ok && (!bytes.Equal(got.Packet, a.Packet) || &got.Packet[0] != &dst[0] || !slices.Equal(got.Errors, a.Errors)) {
				t.Error("not the answer, or not in dst")
			}
		})
	}
}

// Two names with the same hash are told apart.
func TestPacketsCompareTheName(t *testing.T) {
	cache, q := New(Options{}), question("a.example", wire.TypeA)
	a := answer(t, question("b.example", wire.TypeA), wire.NoError, 60)
	other := appendPacketKey(nil, wire.MustName("b.example").Append(nil), wire.TypeA, false, false, false, 0)
	record, ok := appendPacket(nil, other, &a, instantOf(epoch), cache.Generation(), false)
	if !ok {
		t.Fatal("refused")
	}
	shard, hash := cache.Packets.entries.locate(appendPacketKey(nil, q.Name.Append(nil), q.Type, false, false, false, 0))
	shard.put(hash, other, record, false)
	if _, ok := cache.Packets.Get(nil, query(t, q), epoch); ok {
		t.Error("answered with another name's answer")
	}
}

func TestPacketsRefuse(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*wire.Question, *wire.Answer)
		want   bool
	}{
		{"nothing", func(*wire.Question, *wire.Answer) {}, true},
		{"SERVFAIL", func(_ *wire.Question, a *wire.Answer) { a.Packet[3] |= byte(wire.ServFail) }, false},
		{"NXDOMAIN, not", func(_ *wire.Question, a *wire.Answer) { a.Packet[3] |= byte(wire.NXDomain) }, true},
		{"expired", func(_ *wire.Question, a *wire.Answer) { a.Expires = epoch }, false},
		{"no expiry", func(_ *wire.Question, a *wire.Answer) { a.Expires = time.Time{} }, false},
		{"RD=0", func(q *wire.Question, _ *wire.Answer) { q.NoRecursion = true }, false},
		{"RD=0, not from a local zone", func(q *wire.Question, a *wire.Answer) { q.NoRecursion, a.Fixed = true, true }, true},
		{"another class", func(q *wire.Question, _ *wire.Answer) { q.Class = wire.ClassCHAOS }, false},
		{"another type's packet", func(q *wire.Question, _ *wire.Answer) { q.Type = wire.TypeMX }, false},
		{"another name's packet", func(q *wire.Question, _ *wire.Answer) { q.Name = wire.MustName("a.b.example") }, false},
		{"a cut packet", func(_ *wire.Question, a *wire.Answer) { a.Packet = a.Packet[:len(a.Packet)-1] }, false},
		{"no packet", func(_ *wire.Question, a *wire.Answer) { a.Packet = nil }, false},
		{"more than 64 KiB", func(_ *wire.Question, a *wire.Answer) { a.Packet = make([]byte, 1<<16) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, q := New(Options{}), question("www.example", wire.TypeA)
			a := answer(t, q, wire.NoError, 60)
			c.change(&q, &a)
			if got := cache.Packets.Put(q, a, epoch, cache.Generation()); got != c.want {
				t.Errorf("put: %v", got)
			}
		})
	}
}

func TestPacketsOff(t *testing.T) {
	cache, q := New(Options{PacketsOff: true}), question("www.example", wire.TypeA)
	if cache.Packets.Put(q, answer(t, q, wire.NoError, 60), epoch, cache.Generation()) {
		t.Error("remembered")
	}
	if _, ok := cache.Packets.Get(nil, query(t, q), epoch); ok || cache.Packets.Due(q, epoch) {
		t.Error("answered")
	}
	cache.FlushAll()
	if c := cache.Stats().Packets; c != (Count{}) {
		t.Errorf("counts %+v", c)
	}
}

func TestPacketsSayNoOnceToBeRefreshed(t *testing.T) {
	for _, c := range []struct {
		name string
		ttl  uint32
		off  bool
		ask  []float64
		want string // y: answered, d: refused as due, n: refused
	}{
		{"asked before", 100, false, []float64{5, 89.9, 90, 90, 95, 99.9, 100}, "yydyyyn"},
		{"asked near its end only", 100, false, []float64{90, 91, 92}, "dyy"},
		{"short life", 9, false, []float64{1, 8.5, 8.9, 9}, "yyyn"},
		{"just long enough", 10, false, []float64{1, 9, 9.5, 10}, "ydyn"},
		{"switched off", 100, true, []float64{5, 90, 99, 100}, "yyyn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, q := New(Options{NoPrefetch: c.off}), question("www.example", wire.TypeA)
			a := answer(t, q, wire.NoError, c.ttl)
			a.Refresh = RefreshAt(epoch, a.Expires)
			cache.Packets.Put(q, a, epoch, cache.Generation())
			var got strings.Builder
			for _, at := range c.ask {
				_, ok := cache.Packets.Get(nil, query(t, q), after(at))
				due := cache.Packets.Due(q, after(at))
				switch {
				case ok && !due:
					got.WriteByte('y')
				case due && !ok && !cache.Packets.Due(q, after(at)):
					got.WriteByte('d')
				case !due:
					got.WriteByte('n')
				default:
					got.WriteByte('?')
				}
			}
			if got.String() != c.want {
				t.Errorf("got %s, want %s", got.String(), c.want)
			}
		})
	}
}

func TestPacketsGetDoesNotAllocate(t *testing.T) {
	cache, q := New(Options{}), question("www.example", wire.TypeA)
	cache.Packets.Put(q, answer(t, q, wire.NoError, 60, 60, 60), epoch, cache.Generation())
	dst := make([]byte, 0, 512)
	other := q
	other.Type = wire.TypeAAAA
	hit, miss, now := query(t, q), query(t, other), after(3)
	allocs := testing.AllocsPerRun(1000, func() {
		if _, ok := cache.Packets.Get(dst, hit, now); !ok {
			t.Error("no answer")
		}
		if _, ok := cache.Packets.Get(dst, miss, now); ok {
			t.Error("an answer")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkPacketsGet(b *testing.B) {
	cache := New(Options{})
	queries := make([]*wire.Query, 10_000)
	for i := range queries {
		q := question(fmt.Sprintf("www.n%d.example", i), wire.TypeA)
		cache.Packets.Put(q, answer(b, q, wire.NoError, 300, 300), epoch, cache.Generation())
		queries[i] = query(b, q)
	}
	now := after(10)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		dst := make([]byte, 0, 512)
		for i := 0; pb.Next(); i++ {
			if _, ok := cache.Packets.Get(dst, queries[i%len(queries)], now); !ok {
				b.Fatal("no answer")
			}
		}
	})
}

func BenchmarkPacketsPut(b *testing.B) {
	cache, q := New(Options{}), question("www.example", wire.TypeA)
	a := answer(b, q, wire.NoError, 300, 300)
	b.ReportAllocs()
	for b.Loop() {
		cache.Packets.Put(q, a, epoch, cache.Generation())
	}
}

// A part that is worth a refresh only after another has ended, with all of the answer, says nothing of this one's end.
func TestRefreshAfterTheEnd(t *testing.T) {
	for _, later := range []float64{0, 1, 100, 895, 5000, 86400} {
		c := New(Options{})
		q := question("www.example.test.", wire.TypeA)
		a := answer(t, q, wire.NoError, 5)
		a.Refresh = a.Expires.Add(time.Duration(later * float64(time.Second)))
		c.Packets.Put(q, a, epoch, c.Generation())
		for _, at := range []float64{0, 1, 2, 3, 4, 4.99} {
			if _, ok := c.Packets.Get(nil, query(t, q), after(at)); !ok {
				t.Errorf("refresh %v s after the end: refused after %v s", later, at)
			}
		}
	}
}
