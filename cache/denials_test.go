package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/internal/wire"
)

var chain = Chain{Zone: zone}

// nsec is an NSEC RRset with a signature of the usual size.
func nsec(owner, next string) *wire.RRset {
	rdata := append(wire.MustName(next).Append(nil), 0, 1, 0x40)
	return &wire.RRset{
		Name: wire.MustName(owner), Type: wire.TypeNSEC, TTL: 300,
		Data: wire.Rdatas{}.Add(rdata), Sigs: wire.Rdatas{}.Add(make([]byte, 90)),
	}
}

func putSpans(t testing.TB, c *Cache, in Chain, owners ...string) {
	t.Helper()
	for _, owner := range owners {
		if !c.Denials.Put(in, nsec(owner, strings.TrimSuffix("next."+owner, ".")), after(60), epoch, c.Generation()) {
			t.Fatalf("%s was refused", owner)
		}
	}
}

// nearest is the owner of the NSEC nearest to name.
func nearest(c *Cache, in Chain, name string, now time.Time) string {
	set, _, ok := c.Denials.Nearest(in, wire.MustName(name), now)
	if !ok {
		return "none"
	}
	return set.Name.Reveal()
}

// RFC 4034 section 6.1: the example of the section, put in any order, is found in the canonical one.
func TestNearestInCanonicalOrder(t *testing.T) {
	order := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.", "z.example.", `\001.z.example.`, "*.z.example.",
		`\200.z.example.`,
	}
	c := New(Options{})
	for _, i := range rand.Perm(len(order)) {
		putSpans(t, c, chain, order[i])
	}
	for i, owner := range order {
		if got := nearest(c, chain, owner, epoch); got != owner {
			t.Errorf("%s: %s", owner, got)
		}
		below, _ := wire.MustName(owner).Prepend("\x00")
		if set, _, ok := c.Denials.Nearest(chain, below, epoch); !ok || set.Name.Reveal() != owner {
			t.Errorf("behind %s, the %dth: %s", owner, i, set.Name.Reveal())
		}
	}
	if got := nearest(c, chain, "aaa.test.", epoch); got != `\200.z.example.` {
		t.Errorf("behind all of them: %s", got)
	}
	if got := nearest(c, chain, ".", epoch); got != "none" {
		t.Errorf("before all of them: %s", got)
	}
}

// The order of what is held is that of names, for any octets.
func TestOrderedNamesCompareAsNames(t *testing.T) {
	names := []wire.Name{wire.Root}
	for range 400 {
		name := wire.Root
		for range 1 + rand.IntN(3) {
			label := make([]byte, 1+rand.IntN(2))
			for i := range label {
				label[i] = []byte{0, 1, 2, 'a', 'b', 255}[rand.IntN(6)]
			}
			name, _ = name.Prepend(string(label))
		}
		names = append(names, name)
	}
	for _, a := range names {
		for _, b := range names {
			if got := bytes.Compare(appendOrdered(nil, a), appendOrdered(nil, b)); (got < 0) != (a.Compare(b) < 0) || (got == 0) != (a == b) {
				t.Fatalf("%q and %q: %d", a.Reveal(), b.Reveal(), got)
			}
		}
	}
}

// RFC 5155 section 7.1: the last hash of a zone wraps around to the first.
func TestNearestHashWrapsAround(t *testing.T) {
	c := New(Options{})
	hashed := Chain{Zone: zone, Hashed: true, Hashing: Hashing{Iterations: 5, Salt: "salt"}}
	for _, first := range []byte{0x40, 0xc0, 0x80} {
		set := nsec(fmt.Sprintf("%x.example.", first), "example.")
		if !c.Denials.PutHash(hashed, [20]byte{first}, set, after(60), epoch, c.Generation()) {
			t.Fatal("refused")
		}
	}
	for hash, want := range map[byte]string{0x40: "40", 0x41: "40", 0x7f: "40", 0x80: "80", 0xbf: "80", 0xff: "c0", 0x00: "c0", 0x3f: "c0"} {
		if set, _, ok := c.Denials.NearestHash(hashed, [20]byte{hash}, epoch); !ok || set.Name.FirstLabel() != want {
			t.Errorf("%x: %q, want %s", hash, set.Name.FirstLabel(), want)
		}
	}
}

func TestDenialIsGivenAsItCame(t *testing.T) {
	c := New(Options{})
	want := nsec("a.example.", "c.example.")
	c.Denials.Put(chain, want, after(60), epoch, c.Generation())
	for range 2 {
		got, expires, ok := c.Denials.Nearest(chain, want.Name, epoch)
		if !ok || got.Name != want.Name || got.Type != want.Type || got.TTL != want.TTL || !bytes.Equal(got.Data, want.Data) ||
			!bytes.Equal(got.Sigs, want.Sigs) || !expires.Equal(after(60)) {
			t.Fatalf("got %+v until %v", got, expires)
		}
		clear(got.Data) // it is the caller's own
	}
}

func TestDeepestChain(t *testing.T) {
	c := New(Options{})
	for _, text := range []string{".", "example.", "b.example."} {
		putSpans(t, c, Chain{Zone: wire.MustName(text)}, text)
	}
	putSpans(t, c, Chain{Zone: wire.MustName("d.example."), Partition: 7}, "d.example.")
	for name, want := range map[string]string{
		".": ".", "test.": ".", "example.": "example.", "a.example.": "example.", "b.example.": "b.example.", "x.y.b.example.": "b.example.",
		"x.d.example.": "example.",
	} {
		if got, ok := c.Denials.Chain(wire.MustName(name), 0, epoch); !ok || got.Zone.Reveal() != want {
			t.Errorf("%s: %s, want %s", name, got.Zone.Reveal(), want)
		}
	}
	if got, ok := c.Denials.Chain(wire.MustName("x.d.example."), 7, epoch); !ok || got.Zone.Reveal() != "d.example." {
		t.Errorf("in a partition of its own: %s", got.Zone.Reveal())
	}
	if got, ok := c.Denials.Chain(wire.MustName("x.b.example."), 7, epoch); ok {
		t.Errorf("of another partition: %s", got.Zone.Reveal())
	}
}

// RFC 8198 section 5.4: nothing outlives its TTL, nor the operator's bounds.
func TestDenialsExpire(t *testing.T) {
	c := New(Options{MaxNegativeTTL: 90 * time.Second})
	putSpans(t, c, chain, "a.example.")
	c.Denials.Put(chain, nsec("k.example.", "m.example."), after(300), epoch, c.Generation())
	c.Denials.PutSOA(chain, nsec("example.", "example."), after(30), epoch, c.Generation())
	for seconds, want := range map[int]string{0: "a k SOA", 29: "a k SOA", 30: "a k", 59: "a k", 60: "k", 89: "k", 90: ""} {
		var got string
		now := after(float64(seconds))
		if nearest(c, chain, "b.example.", now) != "none" {
			got += " a"
		}
		if nearest(c, chain, "l.example.", now) != "none" {
			got += " k"
		}
		if _, _, ok := c.Denials.SOA(chain, now); ok {
			got += " SOA"
		}
		if got != "" {
			got = got[1:]
		}
		if got != want {
			t.Errorf("after %d s: %q, want %q", seconds, got, want)
		}
		if _, ok := c.Denials.Chain(zone, 0, now); ok != (want != "") {
			t.Errorf("after %d s: a chain: %v", seconds, ok)
		}
	}
	if c.Denials.Put(chain, nsec("n.example.", "o.example."), epoch, epoch, c.Generation()) {
		t.Error("what has no time left was put")
	}
}

// A zone that hashes with other parameters, or not any more, has done so as a whole.
func TestChangeOfHashingForgetsTheOldChain(t *testing.T) {
	c := New(Options{})
	putSpans(t, c, chain, "a.example.")
	salted := Chain{Zone: zone, Hashed: true, Hashing: Hashing{Salt: "a"}}
	c.Denials.PutHash(salted, [20]byte{1}, nsec("01.example.", "example."), after(60), epoch, c.Generation())
	if got := nearest(c, chain, "a.example.", epoch); got != "none" {
		t.Errorf("of NSEC: %s", got)
	}
	resalted := Chain{Zone: zone, Hashed: true, Hashing: Hashing{Salt: "b"}}
	c.Denials.PutHash(resalted, [20]byte{1}, nsec("01.example.", "example."), after(60), epoch, c.Generation())
	if _, _, ok := c.Denials.NearestHash(salted, [20]byte{1}, epoch); ok {
		t.Error("the old salt is still there")
	}
	if s := c.Stats().Denials; s.Entries != 1 {
		t.Errorf("%+v", s)
	}
	if c.Denials.PutHash(chain, [20]byte{1}, nsec("01.example.", "example."), after(60), epoch, c.Generation()) ||
		c.Denials.Put(salted, nsec("a.example.", "example."), after(60), epoch, c.Generation()) {
		t.Error("a record of the other kind was put")
	}
}

// What denies a name may be a record of any zone above it, so all of them are forgotten with it, and their bytes wiped.
func TestFlushForgetsDenials(t *testing.T) {
	for _, v := range []struct {
		name  string
		flush func(*Cache)
		left  string
	}{
		{"a name", func(c *Cache) { c.Flush(wire.MustName("x.b.example.")) }, "test. c.example."},
		{"a subtree", func(c *Cache) { c.FlushSubtree(wire.MustName("example.")) }, "test."},
		{"everything", func(c *Cache) { c.FlushAll() }, ""},
		{"the configuration", func(c *Cache) { c.Renew() }, ". test. example. b.example. c.example."},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := New(Options{})
			before := c.Generation()
			var held [][]byte
			var left []string
			zones := []string{".", "test.", "example.", "b.example.", "c.example."}
			for _, text := range zones {
				putSpans(t, c, Chain{Zone: wire.MustName(text)}, text)
				held = append(held, c.Denials.zones[zoneKey{zone: wire.MustName(text)}].spans[0].bytes)
			}
			v.flush(c)
			for i, text := range zones {
				if got, ok := c.Denials.Chain(wire.MustName(text), 0, epoch); ok && got.Zone.Reveal() == text {
					left = append(left, text)
				} else if slices.Max(held[i]) != 0 {
					t.Errorf("%s was not wiped", text)
				}
			}
			if got := fmt.Sprint(left); got != "["+v.left+"]" {
				t.Errorf("left: %s, want %s", got, v.left)
			}
			if c.Denials.Put(chain, nsec("example.", "a.example."), after(60), epoch, before) ||
				c.Denials.PutSOA(chain, nsec("example.", "a.example."), after(60), epoch, before) {
				t.Error("a resolution in flight put something back")
			}
		})
	}
}

// One zone cannot take the place of all others, nor many zones that of one which is in use.
func TestDenialsAreBounded(t *testing.T) {
	c := New(Options{Size: 4 << 20})
	putSpans(t, c, Chain{Zone: wire.Root}, ".", "com.")
	for i := range 20_000 {
		c.Denials.Put(chain, nsec(fmt.Sprintf("n%d.example.", i), "zz.example."), after(float64(60+i%60)), epoch, c.Generation())
	}
	s := c.Stats().Denials
	if s.Bytes > s.Capacity/2 || s.Entries < 100 || s.Evictions == 0 {
		t.Errorf("one zone: %+v", s)
	}
	for i := range 20_000 {
		text := fmt.Sprintf("z%d.test.", i)
		now := epoch.Add(time.Duration(i) * time.Millisecond)
		c.Denials.Put(Chain{Zone: wire.MustName(text)}, nsec(text, "a."+text), after(600), now, c.Generation())
		c.Denials.Chain(wire.Root, 0, now)
	}
	s = c.Stats().Denials
	if s.Bytes > s.Capacity || s.Bytes < s.Capacity*9/10 {
		t.Errorf("many zones: %+v", s)
	}
	if got := nearest(c, Chain{Zone: wire.Root}, "dev.", epoch); got != "com." {
		t.Errorf("of the root, which is asked for all the time: %s", got)
	}
	c.FlushAll()
	if s = c.Stats().Denials; s.Bytes != 0 || s.Entries != 0 {
		t.Errorf("after a flush: %+v", s)
	}
	huge := nsec("a.example.", "b.example.")
	huge.Sigs = wire.Rdatas{}.Add(make([]byte, 60_000)).Add(make([]byte, 60_000))
	if c.Denials.Put(chain, huge, after(60), epoch, c.Generation()) {
		t.Error("a set larger than a zone's share was put")
	}
}

func BenchmarkNearest(b *testing.B) {
	c := New(Options{})
	for i := range 5000 {
		putSpans(b, c, chain, fmt.Sprintf("n%d.example.", i))
	}
	name := wire.MustName("n2500x.example.")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := c.Denials.Nearest(chain, name, epoch); !ok {
			b.Fatal("none")
		}
	}
}
