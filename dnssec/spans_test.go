package dnssec

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// listedSpans are Spans over a list.
type listedSpans struct {
	z    *modelZone
	sets []wire.RRset
}

func (l *listedSpans) Params() (params NSEC3Params, hashed bool) { return l.z.params, l.z.nsec3 }

func (l *listedSpans) Nearest(name wire.Name) (best wire.RRset, ok bool) {
	for _, set := range l.sets {
		if set.Name.Compare(name) <= 0 && (!ok || set.Name.Compare(best.Name) > 0) {
			best, ok = set, true
		}
	}
	return best, ok
}

func (l *listedSpans) NearestHash(hash NSEC3Hash) (wire.RRset, bool) {
	if len(l.sets) == 0 {
		return wire.RRset{}, false
	}
	hashOf := func(set wire.RRset) []byte {
		n, _ := ParseNSEC3(&set)
		return n.Hash[:]
	}
	sets := slices.SortedFunc(slices.Values(l.sets), func(a, b wire.RRset) int { return bytes.Compare(hashOf(a), hashOf(b)) })
	best := sets[len(sets)-1]
	for _, set := range sets {
		if bytes.Compare(hashOf(set), hash[:]) <= 0 {
			best = set
		}
	}
	return best, true
}

func (l *listedSpans) gather(name wire.Name) *Denial {
	d := GatherDenial(modelApex, name, l, work.New(work.DefaultLimits))
	if wildcard, ok := d.Wildcard(name); ok {
		d.GatherWildcard(wildcard, l)
	}
	return d
}

// From spans, all of them or any, nothing is proven that is false; and from all of a zone without opt-out, what is true.
func TestGatheredDenialIsCompleteAndSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := drawZone(t)
		var kept []wire.RRset
		for _, set := range values(z.chain()) {
			if _, ok := Reaches(&set); ok {
				kept = append(kept, set)
			}
		}
		all := &listedSpans{z, kept}
		for range 12 {
			name := z.drawName(t, "qname")
			for range 4 {
				some := &listedSpans{z, drawSubset(t, kept)}
				checkSound(t, z, some.gather(name).Sets(), name)
			}
			checkSound(t, z, all.gather(name).Sets(), name)
			if !z.optOut {
				checkGathered(t, z, all, name)
			}
		}
	})
}

func checkGathered(t *rapid.T, z *modelZone, all *listedSpans, name wire.Name) {
	d := all.gather(name)
	for _, qtype := range modelTypes {
		got := Proven
		switch z.truthOf(z.nodes, name, qtype) {
		case noName:
			got = d.NoName(name)
		case noData:
			if name != modelApex || qtype != wire.TypeDS {
				got = d.NoData(name, qtype)
			}
		case fromWildcard:
			want, _ := z.encloser(name).Prepend("*")
			if wildcard, ok := d.Wildcard(name); !ok || wildcard != want {
				t.Fatalf("%s: wildcard %s, want %s", name.Reveal(), wildcard.Reveal(), want.Reveal())
			}
			set := modelSet(modelApex, want, wire.TypeA, []byte{192, 0, 2, 1})
			if got = d.Expands(name, &set); got == Proven {
				foreign := modelSet(want.Parent(), want, wire.TypeA, []byte{192, 0, 2, 1})
				if want.Parent() != modelApex && d.Expands(name, &foreign) == Proven {
					t.Fatalf("%s: another zone's wildcard was taken", name.Reveal())
				}
			}
		default:
			continue
		}
		if got != Proven {
			t.Fatalf("%s type %d is not shown: %d", name.Reveal(), qtype, got)
		}
	}
}

// RFC 8198 section 5.2, RFC 9824 section 3.1, RFC 7129 appendix B: what says nothing of names that nobody has asked for
// is not worth keeping.
func TestReaches(t *testing.T) {
	at := hashOf(t, wire.MustName("a.example"), 0)
	for name, c := range map[string]struct {
		set  wire.RRset
		want bool
	}{
		"NSEC":                            {textSets(t, "example", "a.example. NSEC c.example. A RRSIG NSEC")[0], true},
		"NSEC, the only one":              {textSets(t, "example", "example. NSEC example. SOA RRSIG NSEC")[0], true},
		"NSEC to a name below":            {textSets(t, "example", "a.example. NSEC b.a.example. A RRSIG NSEC")[0], true},
		"compact denial":                  {textSets(t, "example", `a.example. NSEC \000.a.example. RRSIG NSEC TYPE128`)[0], false},
		"NSEC of two records":             {wire.RRset{Type: wire.TypeNSEC, Data: wire.Rdatas{}.Add([]byte{0}).Add([]byte{0})}, false},
		"NSEC3":                           {wideNSEC3(t, at, neighbour(at, 3), 0), true},
		"NSEC3, the only one":             {wideNSEC3(t, at, at, 0), true},
		"NSEC3 of the hash alone":         {wideNSEC3(t, at, neighbour(at, 1), 0), false},
		"NSEC3 around one hash":           {wideNSEC3(t, neighbour(at, -1), neighbour(at, 1), 0), false},
		"opt-out":                         {wideNSEC3(t, at, neighbour(at, 3), flagOptOut), false},
		"neither":                         {wire.RRset{Type: wire.TypeA}, false},
		"a signature's TTL is no concern": {wire.RRset{Type: wire.TypeRRSIG}, false},
	} {
		reach, got := Reaches(&c.set)
		if got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if got && c.set.Type == wire.TypeNSEC3 && reach.Hash != at {
			t.Errorf("%s: hash %x", name, reach.Hash)
		}
	}
}

// However deep a name is and whatever the zone's iterations, the budget given is all that is spent.
func TestGatheringIsBounded(t *testing.T) {
	z := &modelZone{nodes: map[wire.Name][]wire.Type{modelApex: {wire.TypeSOA}}, nsec3: true, params: NSEC3Params{Iterations: MaxIterations}}
	z.listed = z.nodes
	name := modelApex
	for range 60 {
		name, _ = name.Prepend("a")
	}
	budget := work.New(work.Limits{work.NSEC3Hash: 100})
	d := GatherDenial(modelApex, name, &listedSpans{z, values(z.hashedChain())}, budget)
	if got := d.NoName(name); got == Proven || budget.Spent(work.NSEC3Hash) > 100 {
		t.Errorf("proof %d for %d", got, budget.Spent(work.NSEC3Hash))
	}
	if got := NewDenial(modelApex, values(z.hashedChain()), work.New(work.DefaultLimits)).NoName(name.Suffix(2)); got != Proven {
		t.Errorf("with enough, a short name: %d", got)
	}
}

// RFC 4035 section 5.3.3: the TTL is not to exceed the original TTL in the signature.
func TestSignedTTL(t *testing.T) {
	set := textSets(t, "example", "a.example. NSEC c.example. A RRSIG NSEC")[0]
	sig := sigRdata(&set, modelApex, set.Name)
	sig[4], sig[5], sig[6], sig[7] = 0, 0, 1, 44
	set.Sigs = wire.Rdatas{}.Add(sig)
	for ttl, want := range map[uint32]uint32{86400: 300, 300: 300, 20: 20} {
		set.TTL = ttl
		if got := SignedTTL(&set); got != want {
			t.Errorf("TTL %d: %d, want %d", ttl, got, want)
		}
	}
}
