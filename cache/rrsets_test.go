package cache

import (
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"time"

	"tacit/internal/wire"
)

var (
	www  = Key{Name: wire.MustName("www.example"), Type: wire.TypeA}
	zone = wire.MustName("example")
)

func positive(k Key, ttl uint32, last byte) Entry {
	return Entry{
		Kind: Positive, Rank: AnswerAA, Cut: zone,
		Set: wire.RRset{
			Name: k.Name, Type: k.Type, TTL: ttl,
			Data: wire.Rdatas{}.Add([]byte{192, 0, 2, last}), Sigs: wire.Rdatas{}.Add([]byte{1, 2, 3}),
		},
	}
}

func denial(kind Kind, ttl, minimum uint32) Entry {
	rdata := binary.BigEndian.AppendUint32(make([]byte, 2+4*4), minimum)
	return Entry{
		Kind: kind, Rank: AnswerAA, Cut: zone,
		SOA: wire.RRset{Name: zone, Type: wire.TypeSOA, TTL: ttl, Data: wire.Rdatas{}.Add(rdata)},
	}
}

func lastOctet(e Entry) byte {
	rdata, _ := e.Set.Data.Next()
	return rdata[3]
}

// RFC 2181 section 5.4.1: data of lower rank never replaces data of higher rank.
func TestRankDecidesWhatIsReplaced(t *testing.T) {
	ranks := []Rank{Glue, Authority, Answer, AuthorityAA, AnswerAA}
	if !slices.IsSorted(ranks) || len(slices.Compact(ranks)) != 5 {
		t.Fatal("ranks are not in the order of the RFC")
	}
	for _, held := range ranks {
		for _, offered := range ranks {
			for _, expired := range []bool{false, true} {
				c := New(Options{})
				old, offer, now := positive(www, 60, 1), positive(www, 60, 2), epoch
				old.Rank, offer.Rank = held, offered
				c.RRsets.Put(www, old, epoch, c.Generation())
				if expired { // but still there, for stale use
					now = after(60)
				}
				want := offered >= held || expired
				if got := c.RRsets.Put(www, offer, now, c.Generation()); got != want {
					t.Errorf("rank %d over %d, expired %v: %v", offered, held, expired, got)
				}
				e, _ := c.RRsets.Get(www, Glue, now)
				if (lastOctet(e) == 2) != want {
					t.Errorf("rank %d over %d, expired %v: holds %d", offered, held, expired, lastOctet(e))
				}
			}
		}
	}
}

// RFC 2181 section 5.4.1: additional data and glue are never returned as answers.
func TestGetTakesTheLeastRankWanted(t *testing.T) {
	c := New(Options{})
	glue := positive(www, 60, 1)
	glue.Rank = Glue
	c.RRsets.Put(www, glue, epoch, c.Generation())
	if _, state := c.RRsets.Get(www, Answer, epoch); state != Missing {
		t.Error("glue is given as an answer")
	}
	if _, state := c.RRsets.Get(www, Glue, epoch); state != Fresh {
		t.Error("glue is not found")
	}
}

func TestEntriesComeBackAsTheyWerePut(t *testing.T) {
	c := New(Options{})
	in := positive(www, 60, 1)
	in.Lease = after(1000)
	c.RRsets.Put(www, in, epoch, c.Generation())
	got, state := c.RRsets.Get(www, AnswerAA, after(1.5))
	if state != Fresh || got.Kind != Positive || got.Rank != AnswerAA || got.Cut != zone ||
		!got.Stored.Equal(epoch) || !got.Expires.Equal(after(60)) || !got.Lease.Equal(after(1000)) || got.TTL(after(1.5)) != 59 {
		t.Errorf("got %+v, %v", got, state)
	}
	if s := got.Set; s.Name != www.Name || s.Type != www.Type || s.TTL != 60 ||
		!slices.Equal(s.Data, in.Set.Data) || !slices.Equal(s.Sigs, in.Set.Sigs) {
		t.Errorf("got %+v", s)
	}
	clear(got.Set.Data) // what a caller does with its copy
	clear(in.Set.Data)  // and with what it handed over
	if again, _ := c.RRsets.Get(www, AnswerAA, epoch); lastOctet(again) != 1 {
		t.Error("memory is shared")
	}
}

// Whatever the names of cut and SOA have to do with the key's, and however much there is to a record.
func TestNamesComeBackAsTheyWerePut(t *testing.T) {
	names := []wire.Name{wire.Root, zone, www.Name, wire.MustName("a.www.example"), wire.MustName("other.test")}
	signed := wire.Rdatas{}.Add(make([]byte, 90))
	proof := []wire.RRset{*nsec("a.example", "z.example"), *nsec("example", "a.example")}
	for _, cut := range names {
		for _, soa := range names {
			for _, kind := range []Kind{Positive, NoData, NoName} {
				in := denial(kind, 60, 60)
				if in.SOA.Name, in.SOA.Sigs = soa, signed; kind == Positive {
					in = positive(www, 60, 1)
				}
				in.Cut, in.Status, in.Proof = cut, wire.Secure, proof
				k, c := www, New(Options{})
				if !c.RRsets.Put(k, in, epoch, c.Generation()) {
					t.Fatal("refused")
				}
				if kind == NoName {
					k.Type = 0
				}
				got, _ := c.RRsets.Get(k, AnswerAA, epoch)
				if in.Stored, in.Expires = epoch, after(60); !reflect.DeepEqual(got, in) {
					t.Errorf("kind %d, cut %q, SOA %q:\n%+v, want\n%+v", kind, cut.Reveal(), soa.Reveal(), got, in)
				}
			}
		}
	}
}

func TestPartitionsAreApart(t *testing.T) { // MaginotDNS
	c, forwarded := New(Options{}), www
	forwarded.Partition = 1
	c.RRsets.Put(forwarded, positive(forwarded, 60, 1), epoch, c.Generation())
	c.RRsets.Put(forwarded, denial(NoName, 60, 60), epoch, c.Generation())
	if _, state := c.RRsets.Get(www, Glue, epoch); state != Missing {
		t.Error("a forwarder's answer is believed elsewhere")
	}
	if _, ok := c.RRsets.NoNameAbove(www.Name, 0, epoch); ok {
		t.Error("a forwarder's denial is believed elsewhere")
	}
	if _, ok := c.RRsets.NoNameAbove(www.Name, 1, epoch); !ok {
		t.Error("a forwarder's denial is lost")
	}
}

func TestTTLBounds(t *testing.T) {
	const day = 86400
	for _, c := range []struct {
		name    string
		options Options
		entry   Entry
		want    float64 // seconds of life, 0: refused
	}{
		{"as it is", Options{}, positive(www, 60, 1), 60},
		{"at most a day", Options{}, positive(www, 30*day, 1), day},
		{"the highest bit set: RFC 2181 section 8", Options{}, positive(www, 1<<31, 1), 0},
		{"zero: for the resolution at hand only", Options{}, positive(www, 0, 1), 0},
		{"at least what the operator says", Options{MinTTL: time.Minute}, positive(www, 0, 1), 60},
		{"at most what the operator says", Options{MaxTTL: time.Minute}, positive(www, 300, 1), 60},
		{"RFC 2308 section 5: MINIMUM", Options{}, denial(NoData, 600, 300), 300},
		{"RFC 2308 section 5: TTL of the SOA", Options{}, denial(NoName, 300, 600), 300},
		{"a denial for at most an hour", Options{}, denial(NoData, day, day), 3600},
		{"a denial, bounded by the operator", Options{MaxNegativeTTL: time.Minute}, denial(NoData, day, day), 60},
		{"RFC 2308 section 5: no SOA", Options{MinTTL: time.Minute}, Entry{Kind: NoData, Rank: AnswerAA}, 0},
		{"within the lease", Options{}, leased(positive(www, 300, 1), 30), 30},
		{"the lease wins over the operator", Options{MinTTL: time.Minute}, leased(positive(www, 0, 1), 30), 30},
		{"the lease has run out", Options{}, leased(positive(www, 300, 1), 0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, k := New(c.options), www
			put := cache.RRsets.Put(k, c.entry, epoch, cache.Generation())
			if c.entry.Kind == NoName {
				k.Type = 0
			}
			e, state := cache.RRsets.Get(k, Glue, epoch)
			if put != (c.want > 0) || put != (state == Fresh) {
				t.Fatalf("put %v, state %v", put, state)
			}
			if put && !e.Expires.Equal(after(c.want)) {
				t.Errorf("lives %v, want %v s", e.Expires.Sub(epoch), c.want)
			}
		})
	}
}

func leased(e Entry, seconds float64) Entry {
	e.Lease = after(seconds)
	return e
}

func TestRRsetsRefuse(t *testing.T) {
	tooMany, other := positive(www, 60, 1), positive(www, 60, 1)
	for range maxRecords {
		tooMany.Set.Data = tooMany.Set.Data.Add([]byte{192, 0, 2, 1})
	}
	other.Set.Name = zone
	empty, large := positive(www, 60, 1), positive(www, 60, 1)
	empty.Set.Data = nil
	large.Set.Sigs = large.Set.Sigs.Add(make([]byte, 1<<16-1))
	for name, e := range map[string]Entry{"257 records": tooMany, "another owner": other, "no record": empty, "above 64 KiB": large} {
		if c := New(Options{}); c.RRsets.Put(www, e, epoch, c.Generation()) {
			t.Errorf("%s: taken", name)
		}
	}
}

// RFC 8020 section 2: an NXDOMAIN means that there is nothing at the name and nothing below it.
func TestNothingExistsBelowANameThatDoesNot(t *testing.T) {
	c := New(Options{})
	c.RRsets.Put(Key{Name: wire.MustName("gone.example"), Type: wire.TypeMX}, denial(NoName, 60, 60), epoch, c.Generation())
	for name, want := range map[string]bool{
		"gone.example": true, "a.gone.example": true, "a.b.c.gone.example": true,
		"example": false, "other.example": false, "xgone.example": false,
	} {
		e, ok := c.RRsets.NoNameAbove(wire.MustName(name), 0, epoch)
		if ok != want || ok && (e.Kind != NoName || e.SOA.Name != zone || e.TTL(epoch) != 60) {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if _, ok := c.RRsets.NoNameAbove(wire.MustName("gone.example"), 0, after(60)); ok {
		t.Error("denied after it expired")
	}
}

func TestWhatExistsEndsItsDenial(t *testing.T) {
	for _, v := range []struct {
		name string
		rank Rank
		want bool // still denied
	}{{"an answer", AnswerAA, false}, {"glue", Glue, true}} {
		c := New(Options{})
		c.RRsets.Put(www, denial(NoName, 60, 60), epoch, c.Generation())
		e := positive(www, 60, 1)
		e.Rank = v.rank
		c.RRsets.Put(www, e, epoch, c.Generation())
		if _, ok := c.RRsets.NoNameAbove(www.Name, 0, epoch); ok != v.want {
			t.Errorf("%s: denied %v", v.name, ok)
		}
	}
}

// RFC 8767 section 4 and 5: expired data may be used for a time when it cannot be refreshed.
func TestStale(t *testing.T) {
	const day = 86400
	for _, v := range []struct {
		name  string
		entry Entry
		at    float64
		want  State
	}{
		{"fresh", positive(www, 60, 1), 59.9, Fresh},
		{"expired", positive(www, 60, 1), 60, Stale},
		{"for a day", positive(www, 60, 1), 59 + day, Stale},
		{"not longer", positive(www, 60, 1), 60 + day, Missing},
		{"within the lease", leased(positive(www, 60, 1), 100), 99, Stale},
		{"not past the lease", leased(positive(www, 60, 1), 100), 100, Missing},
		{"a denial, too", denial(NoData, 60, 60), 61, Stale},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := New(Options{})
			c.RRsets.Put(www, v.entry, epoch, c.Generation())
			if e, state := c.RRsets.Get(www, Glue, after(v.at)); state != v.want || state == Stale && (e.Due || e.TTL(after(v.at)) != 0) {
				t.Errorf("state %v, want %v", state, v.want)
			}
		})
	}
}

func TestEntriesAreDueOnce(t *testing.T) {
	for _, v := range []struct {
		name string
		ttl  uint32
		off  bool
		ask  []float64
		want []bool
	}{
		{"asked before", 100, false, []float64{5, 89, 90, 91}, []bool{false, false, true, false}},
		{"not asked before", 100, false, []float64{90, 91, 92}, []bool{false, true, false}},
		{"short life", 9, false, []float64{1, 8.9}, []bool{false, false}},
		{"switched off", 100, true, []float64{5, 95}, []bool{false, false}},
	} {
		c := New(Options{NoPrefetch: v.off})
		c.RRsets.Put(www, positive(www, v.ttl, 1), epoch, c.Generation())
		for i, at := range v.ask {
			if e, state := c.RRsets.Get(www, Glue, after(at)); state != Fresh || e.Due != v.want[i] {
				t.Errorf("%s: at %v: due %v", v.name, at, e.Due)
			}
		}
	}
}

func BenchmarkRRsetsGet(b *testing.B) {
	c := New(Options{})
	c.RRsets.Put(www, positive(www, 300, 1), epoch, c.Generation())
	b.ReportAllocs()
	for b.Loop() {
		if _, state := c.RRsets.Get(www, Answer, epoch); state != Fresh {
			b.Fatal("missing")
		}
	}
}

func BenchmarkRRsetsPut(b *testing.B) {
	c, e := New(Options{}), positive(www, 300, 1)
	b.ReportAllocs()
	for b.Loop() {
		if !c.RRsets.Put(www, e, epoch, c.Generation()) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkNoNameAbove(b *testing.B) {
	c := New(Options{})
	name := wire.MustName("a.b.c.www.example")
	b.ReportAllocs()
	for b.Loop() {
		c.RRsets.NoNameAbove(name, 0, epoch)
	}
}
