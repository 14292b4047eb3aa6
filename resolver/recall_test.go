package resolver

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tacit/cache"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

// For any question, Recall gives what Resolve gives without the cache of finished answers, or nothing. Failures are
// left out: they depend on when a server was asked last.
func TestRecallEqualsResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recalled := 0
		rapid.Check(struct{ *testing.T }{t}, func(t *rapid.T) { // as a *testing.T it would be asked for its deadline, which no bubble has
			w := testnet.New(testnet.Options{Seed: 1})
			w.Zone("shop.example.", drawZone(t), signing)
			w.Zone("other.test.", drawZone(t), signing)
			fast, plain := newBeside(t, w, false), newBeside(t, w, true)
			defer fast.close(t)
			defer plain.close(t)
			names := rapid.SliceOfN(rapid.Custom(drawName), 1, 2).Draw(t, "names") // few, so that flags and types are what tells questions apart
			types := rapid.SliceOfN(rapid.SampledFrom(someTypes), 1, 2).Draw(t, "types")
			for range rapid.IntRange(10, 30).Draw(t, "questions") {
				q := drawQuestion(t, names, types)
				for range rapid.IntRange(1, everyWay+1).Draw(t, "times") {
					time.Sleep(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 500, 7000, 29000}).Draw(t, "wait")) * time.Millisecond)
					if fast.compare(t, plain, q) {
						recalled++
					}
				}
			}
		})
		t.Logf("%d answers were recalled", recalled)
		if recalled < enough(200) {
			t.Errorf("only %d answers were recalled: nothing is shown", recalled)
		}
	})
}

// A beside is one of two resolvers in front of the same internet.
type beside struct {
	*Resolver
	client *upstream.Client
}

func newBeside(t *rapid.T, w *testnet.World, packetsOff bool) beside {
	memory := upstream.NewMemory(upstream.MemoryOptions{})
	client := upstream.New(upstream.Options{Network: w, Memory: memory})
	hints, err := ParseHints(strings.NewReader(w.Hints()))
	if err != nil {
		t.Fatal(err)
	}
	return beside{New(Options{
		Exchanger: client, Memory: memory, Hints: hints, Rules: viewRules{blocked: 1},
		Cache: cache.New(cache.Options{Size: 1 << 20, PacketsOff: packetsOff}),
	}), client}
}

func (b beside) close(t *rapid.T) {
	b.Close()
	if err := b.client.Close(); err != nil {
		t.Error(err)
	}
}

// compare asks both and reports whether the first recalled the answer.
func (b beside) compare(t *rapid.T, plain beside, q wire.Question) bool {
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	got, recalled := b.Recall(make([]byte, 0, 4096), query(t, q), b.now())
	want, _ := plain.Resolve(ctx, q)
	if !recalled {
		got, _ = b.Resolve(ctx, q)
	}
	if !bytes.Equal(withoutTTLs(t, got.Packet), withoutTTLs(t, want.Packet)) || fmt.Sprint(got.Errors) != fmt.Sprint(want.Errors) {
		t.Fatalf("%s %d %+v\nrecalled %v\n got %x %v\nwant %x %v", q.Name.Reveal(), q.Type, q, recalled, got.Packet, got.Errors, want.Packet, want.Errors)
	}
	if recalled && !b.now().Before(got.Expires) {
		t.Fatalf("recalled an answer that expired %v ago", b.now().Sub(got.Expires))
	}
	return recalled
}

// withoutTTLs returns a copy of a message in which all TTLs are zero.
func withoutTTLs(t *rapid.T, packet []byte) []byte {
	offsets, ok := wire.TTLOffsets(nil, packet)
	if !ok {
		t.Fatalf("an answer without order: %x", packet)
	}
	packet = bytes.Clone(packet)
	for _, off := range offsets {
		clear(packet[off : off+4])
	}
	return packet
}

var (
	someOwners  = []string{"a", "a", "b", "a.b", "*.w", "x.w", "a.w", "c.ent", "d", "alias"}
	someRecords = []string{
		"A 203.0.113.1", "A 203.0.113.2", "AAAA 2001:db8::80", "TXT one", "TXT two", "MX 10 a", "MX 20 b.other.test.", "CNAME a", "CNAME a.b.other.test.",
		"CNAME d.shop.example.", "DNAME b.shop.example.", "DNAME other.test.", "RRSIG A 13 3 60 20261201000000 20261101000000 1 @ AA==",
	}
	someTypes = []wire.Type{wire.TypeA, wire.TypeA, wire.TypeAAAA, 16, wire.TypeMX, wire.TypeCNAME, wire.TypeDNAME, wire.TypeNS, wire.TypeSOA, wire.TypeDS}
)

func drawZone(t *rapid.T) string {
	text := fmt.Sprintf("@ 60 SOA ns1 hostmaster 1 1 1 1 %d\n", rapid.SampledFrom([]int{0, 1, 60, 300}).Draw(t, "negative TTL"))
	alone := map[string]bool{} // owners of an alias, which stands alone (RFC 1034 section 3.6.2, RFC 6672 section 2.4)
	for range rapid.IntRange(5, 25).Draw(t, "records") {
		owner, record := rapid.SampledFrom(someOwners).Draw(t, "owner"), rapid.SampledFrom(someRecords).Draw(t, "record")
		isAlias := strings.Contains(record, "NAME ")
		if other, taken := alone[owner]; taken && (other || isAlias) {
			continue
		}
		alone[owner] = isAlias
		text += fmt.Sprintf("%s %d %s\n", owner, rapid.SampledFrom([]int{0, 1, 30, 60, 300}).Draw(t, "ttl"), record)
	}
	return text
}

func drawName(t *rapid.T) wire.Name {
	owner := strings.Replace(rapid.SampledFrom(append(someOwners, "@", "no", "x.y.no", "z.d", "z.a.b")).Draw(t, "name")+".", "@.", "", 1)
	return wire.MustName(owner + rapid.SampledFrom([]string{"shop.example.", "other.test."}).Draw(t, "zone"))
}

func drawQuestion(t *rapid.T, names []wire.Name, types []wire.Type) wire.Question {
	return wire.Question{
		Name: rapid.SampledFrom(names).Draw(t, "name"), Type: rapid.SampledFrom(types).Draw(t, "type"), Class: wire.ClassIN,
		DO: rapid.Bool().Draw(t, "DO"), CD: rapid.IntRange(0, 4).Draw(t, "CD") == 0, View: wire.View(rapid.IntRange(0, 2).Draw(t, "view")),
		NoRecursion: rapid.IntRange(0, 9).Draw(t, "RD") == 0,
	}
}

// enough is how many cases a property has to meet before it shows something; -short tries fewer.
func enough(cases int) int {
	if testing.Short() {
		return cases / 5
	}
	return cases
}

// The fast path neither blocks nor allocates, whatever the flags.
func TestRecallDoesNotAllocate(t *testing.T) {
	playOnce(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord+"\nalias CNAME www")
		for _, q := range []wire.Question{
			question("www.shop.example.", "A"), question("alias.shop.example.", "A"), question("no.shop.example.", "A"),
		} {
			s.ask(q)
			s.ask(q)
			asked, dst, now := query(t, q), make([]byte, 0, 1500), s.r.now()
			if _, ok := s.r.Recall(dst, asked, now); !ok {
				t.Fatal("the answer is not recalled")
			}
			if n := testing.AllocsPerRun(100, func() { s.r.Recall(dst, asked, now) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		}
	}, packetsOn)
}
