package cache

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tacit/internal/wire"
)

// What is shown is never above the true rest and never below nine tenths of it; it is drawn from all of that for what is new; below
// ten seconds, and for what has no life, it is the rest itself.
func TestBlurStaysWithinTheLastTenth(t *testing.T) {
	b := newBlur()
	rapid.Check(t, func(t *rapid.T) {
		life := wire.Life{Seconds: rapid.Uint32().Draw(t, "life"), Mark: rapid.Uint32().Draw(t, "mark")}
		rest := rapid.Uint32Range(0, life.Seconds).Draw(t, "rest")
		m := b.at(instantOf(after(rapid.Float64Range(0, 1e6).Draw(t, "now"))))
		shown := m.ttl(rest, life)
		if shown > rest || uint64(shown)*10 < uint64(rest)*9 {
			t.Errorf("%d of %d s left are shown as %d", rest, life.Seconds, shown)
		}
		if full := uint64(life.Seconds) * 9; uint64(rest)*10 >= full+10 && uint64(shown)*10 < full {
			t.Errorf("%d of %d s left are shown as %d, which no new record can", rest, life.Seconds, shown)
		}
		if rest > 0 && shown == 0 {
			t.Error("what lives is shown as expired")
		}
	})
	for rest := range uint32(10) {
		for mark := range uint32(100) {
			m := b.at(instantOf(epoch))
			if got := m.ttl(rest, wire.Life{Seconds: rest, Mark: mark}); got != rest {
				t.Errorf("a TTL of %d is shown as %d", rest, got)
			}
		}
	}
	m := b.at(instantOf(epoch))
	if got := m.ttl(3600, wire.Life{Mark: 1}); got != 3600 {
		t.Errorf("without a life: %d", got)
	}
}

func TestBlurIsDrawnFromAllOfTheTenth(t *testing.T) {
	b := newBlur()
	seen := map[uint32]bool{}
	m := b.at(instantOf(epoch))
	for mark := range uint32(2000) {
		seen[m.ttl(100, wire.Life{Seconds: 100, Mark: mark})] = true
	}
	if len(seen) != 11 || !seen[90] || !seen[100] {
		t.Errorf("seen %v, want 90 to 100", seen)
	}
}

// Row D7: the same for one RRset during a minute, another one in the next, and in another process.
func TestBlurIsStableForAMinute(t *testing.T) {
	const day = 86400
	life := wire.Life{Seconds: day, Mark: 7}
	shown := func(b *blur, at float64) uint32 {
		m := b.at(instantOf(time.Unix(1_800_000_000/60*60, 0).Add(time.Duration(at * float64(time.Second)))))
		return m.ttl(day, life)
	}
	a := newBlur()
	if shown(a, 0) != shown(a, 59.9) {
		t.Error("not the same within a minute")
	}
	if shown(a, 0) == shown(a, 60) && shown(a, 60) == shown(a, 120) {
		t.Error("the same in the next minutes")
	}
	b := newBlur()
	if shown(a, 0) == shown(b, 0) && shown(a, 60) == shown(b, 60) {
		t.Error("the same under another key")
	}
}

// lively is answer with a life for each TTL, of which so much has passed.
func lively(t testing.TB, q wire.Question, passed uint32, ttls ...uint32) wire.Answer {
	a := answer(t, q, wire.NoError, ttls...)
	for i, ttl := range ttls {
		a.Lives = append(a.Lives, wire.Life{Seconds: ttl + passed, Mark: wire.MarkOf(q.Name, wire.Type(i/2))})
	}
	return a
}

// Finished answers show what the whole path shows, at any time, those of zones served here exact TTLs.
func TestPacketsBlur(t *testing.T) {
	c, q := New(Options{BlurTTLs: true, NoPrefetch: true}), question("www.example", wire.TypeA)
	a := lively(t, q, 100, 3000, 3000, 1000, 2000)
	if !c.Packets.Put(q, a, epoch, c.Generation()) {
		t.Fatal("refused")
	}
	for _, at := range []uint32{0, 1, 59, 60, 100, 950} {
		now := after(float64(at))
		got, ok := c.Packets.Get(nil, query(t, q), now)
		if !ok {
			t.Fatal("no answer")
		}
		whole := lively(t, q, 100+at, 3000-at, 3000-at, 1000-at, 2000-at)
		c.Packets.Blur(&whole, now)
		if have, want := ttlsOf(t, got.Packet), ttlsOf(t, whole.Packet); !slices.Equal(have, want) {
			t.Errorf("after %d s: %v, want %v", at, have, want)
		} else if have[0] != have[1] {
			t.Errorf("one RRset with TTLs of %d and %d", have[0], have[1])
		}
	}
	local := question("local.example", wire.TypeA)
	exact := answer(t, local, wire.NoError, 3000)
	exact.Fixed = true
	c.Packets.Put(local, exact, epoch, c.Generation())
	if got, ok := c.Packets.Get(nil, query(t, local), after(10)); !ok || ttlsOf(t, got.Packet)[0] != 3000 {
		t.Error("a zone served here is blurred, or not remembered")
	}
	if a.Lives = a.Lives[1:]; c.Packets.Put(q, a, epoch, c.Generation()) {
		t.Error("remembered with a life too few")
	}
}

func TestBlurredPacketsDoNotAllocate(t *testing.T) {
	c, q := New(Options{BlurTTLs: true}), question("www.example", wire.TypeA)
	c.Packets.Put(q, lively(t, q, 0, 60, 60, 60), epoch, c.Generation())
	dst, asked, now := make([]byte, 0, 512), query(t, q), after(3)
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := c.Packets.Get(dst, asked, now); !ok {
			t.Error("no answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBlurredPacketsGet(b *testing.B) {
	for _, blur := range []bool{false, true} {
		b.Run(map[bool]string{false: "exact", true: "blurred"}[blur], func(b *testing.B) {
			c, q := New(Options{BlurTTLs: blur}), question("www.example", wire.TypeA)
			c.Packets.Put(q, lively(b, q, 0, 300, 300), epoch, c.Generation())
			dst, asked, now := make([]byte, 0, 512), query(b, q), after(3)
			b.ReportAllocs()
			for b.Loop() {
				c.Packets.Get(dst, asked, now)
			}
		})
	}
}
