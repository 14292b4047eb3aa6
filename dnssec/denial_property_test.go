package dnssec

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Random zones, with their whole chain. What is true of a name must be proven by the records that a server would
// send, and what is false by no choice of records, those of the zones above and below thrown in.
func TestDenialIsCompleteAndSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := drawZone(t)
		chain := z.chain()
		foreign := z.foreign(t)
		for range 12 {
			name := z.drawName(t, "qname")
			checkComplete(t, z, chain, name)
			checkSound(t, z, append(slices.Clone(foreign), values(chain)...), name)
			for range 4 {
				sets := drawSubset(t, append(values(chain), foreign...))
				checkSound(t, z, sets, name)
			}
		}
	})
}

// A modelZone is a zone as its operator sees it: the types at each name, names beyond a zone cut or DNAME left out.
type modelZone struct {
	nodes  map[wire.Name][]wire.Type
	listed map[wire.Name][]wire.Type // those that the chain speaks of; all but opted-out delegations

	nsec3      bool
	optOut     bool // unsigned delegations are not in the chain
	everywhere bool // the flag is set on every record, not only where it is needed
	bareENTs   bool // an empty non-terminal above nothing but opted-out delegations is not in the chain either
	params     NSEC3Params
}

var modelApex = wire.MustName("example")

var modelTypes = []wire.Type{
	wire.TypeA, wire.TypeNS, wire.TypeCNAME, wire.TypeSOA, wire.TypeTXT, wire.TypeDNAME, wire.TypeDS, wire.TypeRRSIG,
	wire.TypeNSEC, wire.TypeNSEC3, 300, wire.TypeANY,
}

var modelKinds = [][]wire.Type{
	{wire.TypeA}, {wire.TypeA, wire.TypeTXT}, {wire.TypeTXT, 300}, {wire.TypeCNAME}, // what a wildcard can have
	{wire.TypeNS}, {wire.TypeNS, wire.TypeDS}, {wire.TypeA, wire.TypeDNAME},
}

func drawZone(t *rapid.T) *modelZone {
	z := &modelZone{nodes: map[wire.Name][]wire.Type{modelApex: {wire.TypeNS, wire.TypeSOA}}}
	z.nsec3 = rapid.Bool().Draw(t, "nsec3")
	z.optOut = z.nsec3 && rapid.Bool().Draw(t, "opt-out")
	z.everywhere = z.optOut && rapid.Bool().Draw(t, "opt-out everywhere")
	z.bareENTs = z.optOut && rapid.Bool().Draw(t, "no empty non-terminals of opted-out names")
	z.params = NSEC3Params{rapid.Uint16Range(0, 2).Draw(t, "iterations"), rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "salt")}
	for range rapid.IntRange(0, 7).Draw(t, "names") {
		name := drawBelow(t, "name", []string{"a", "b", "c", "*"})
		kinds := len(modelKinds)
		if name.FirstLabel() == "*" {
			kinds = 4
		}
		if name != modelApex {
			z.nodes[name] = modelKinds[rapid.IntRange(0, kinds-1).Draw(t, "kind")]
		}
	}
	for name := range z.nodes {
		for above := name.Parent(); above.Below(modelApex); above = above.Parent() {
			if types := z.nodes[above]; slices.Contains(types, wire.TypeNS) || slices.Contains(types, wire.TypeDNAME) {
				delete(z.nodes, name)
			}
		}
	}
	z.listed = map[wire.Name][]wire.Type{}
	for name, types := range z.nodes {
		if !z.optOut || !slices.Equal(types, []wire.Type{wire.TypeNS}) {
			z.listed[name] = types
		}
	}
	if z.optOut && !z.bareENTs {
		for name := range z.nodes {
			for above := name.Parent(); above.Below(modelApex); above = above.Parent() {
				if _, ok := z.listed[above]; !ok {
					z.listed[above] = nil
				}
			}
		}
	}
	return z
}

func drawBelow(t *rapid.T, what string, labels []string) wire.Name {
	name := modelApex
	for range rapid.IntRange(0, 3).Draw(t, what+" depth") {
		name, _ = name.Prepend(rapid.SampledFrom(labels).Draw(t, what+" label"))
	}
	return name
}

func (z *modelZone) drawName(t *rapid.T, what string) wire.Name {
	if rapid.Bool().Draw(t, what+" free") {
		return drawBelow(t, what, []string{"a", "b", "c", "d", "*"})
	}
	names := sortedNames(z.nodes)
	name := rapid.SampledFrom(names).Draw(t, what)
	if rapid.Bool().Draw(t, what+" child") {
		name, _ = name.Prepend(rapid.SampledFrom([]string{"a", "z", "*"}).Draw(t, what+" label"))
	}
	return name
}

func drawSubset(t *rapid.T, sets []wire.RRset) []wire.RRset {
	mask := rapid.Uint32().Draw(t, "subset")
	var some []wire.RRset
	for i := range sets {
		if mask>>(i%32)&1 != 0 {
			some = append(some, sets[i])
		}
	}
	return some
}

type truth uint8

const (
	data truth = iota
	noData
	noName
	fromWildcard // data, synthesised
	delegated
	redirected // by DNAME
)

// truthOf is the algorithm of RFC 1034 section 4.3.2, as RFC 4592 and RFC 6672 have it.
func (z *modelZone) truthOf(nodes map[wire.Name][]wire.Type, name wire.Name, t wire.Type) truth {
	for labels := modelApex.Labels() + 1; labels <= name.Labels(); labels++ {
		at := name.Suffix(labels)
		switch types := nodes[at]; {
		case slices.Contains(types, wire.TypeNS) && (at != name || t != wire.TypeDS):
			return delegated
		case slices.Contains(types, wire.TypeDNAME) && at != name:
			return redirected
		case !exists(nodes, at):
			wildcard, _ := at.Parent().Prepend("*")
			switch {
			case !exists(nodes, wildcard):
				return noName
			case z.answers(nodes[wildcard], t):
				return fromWildcard
			default:
				return noData
			}
		}
	}
	if z.answers(nodes[name], t) {
		return data
	}
	return noData
}

func (z *modelZone) answers(types []wire.Type, t wire.Type) bool {
	switch t {
	case wire.TypeANY, wire.TypeRRSIG:
		return len(types) > 0
	case wire.TypeNSEC:
		return !z.nsec3 && len(types) > 0 || slices.Contains(types, wire.TypeCNAME)
	default:
		return slices.Contains(types, t) || slices.Contains(types, wire.TypeCNAME)
	}
}

func exists(nodes map[wire.Name][]wire.Type, name wire.Name) bool {
	for node := range nodes {
		if node.Within(name) {
			return true
		}
	}
	return false
}

// chain is the zone's NSEC or NSEC3 records by the names that they speak of.
func (z *modelZone) chain() map[wire.Name]wire.RRset {
	if z.nsec3 {
		return z.hashedChain()
	}
	chain, names := map[wire.Name]wire.RRset{}, sortedNames(z.nodes)
	for i, name := range names {
		next := names[(i+1)%len(names)]
		types := append(slices.Clone(z.nodes[name]), wire.TypeRRSIG, wire.TypeNSEC)
		chain[name] = modelSet(modelApex, name, wire.TypeNSEC, append(next.Append(nil), bitmapOf(ascending(types)...)...))
	}
	return chain
}

func (z *modelZone) hashedChain() map[wire.Name]wire.RRset {
	chain, names := map[wire.Name]wire.RRset{}, []wire.Name{}
	for name := range z.listed {
		for ; name.Within(modelApex); name = name.Parent() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, func(a, b wire.Name) int {
		x, y := z.hash(a), z.hash(b)
		return bytes.Compare(x[:], y[:])
	})
	for i, name := range names {
		types := slices.Clone(z.listed[name])
		if len(types) > 0 && !slices.Equal(types, []wire.Type{wire.TypeNS}) {
			types = append(types, wire.TypeRRSIG)
		}
		hash, next := z.hash(name), z.hash(names[(i+1)%len(names)])
		flags := byte(0)
		if z.everywhere || z.optOut && z.hides(hash, next) {
			flags = flagOptOut
		}
		rdata := append([]byte{hashSHA1, flags, 0, byte(z.params.Iterations), byte(len(z.params.Salt))}, z.params.Salt...)
		rdata = append(append(append(rdata, byte(len(next))), next[:]...), bitmapOf(ascending(types)...)...)
		owner, _ := modelApex.Prepend(hashText(hash))
		chain[name] = modelSet(modelApex, owner, wire.TypeNSEC3, rdata)
	}
	return chain
}

// hides reports whether a name that is there, but not in the chain, hashes into the span.
func (z *modelZone) hides(hash, next NSEC3Hash) bool {
	span := NSEC3{Hash: hash, Next: next}
	for name := range z.nodes {
		for ; name.Below(modelApex); name = name.Parent() {
			if !exists(z.listed, name) && span.Covers(z.hash(name)) {
				return true
			}
		}
	}
	return false
}

// hash hashes with miekg/dns.
func (z *modelZone) hash(name wire.Name) (h NSEC3Hash) {
	text := dns.HashName(name.Reveal(), dns.SHA1, z.params.Iterations, hex.EncodeToString(z.params.Salt))
	h.parseLabel(strings.ToLower(text))
	return h
}

// foreign makes records that are not this zone's word: of the zone above, of the zones below, and of a wildcard,
// carried to a name that it matches.
func (z *modelZone) foreign(t *rapid.T) []wire.RRset {
	apex := bitmapOf(wire.TypeNS, wire.TypeSOA, wire.TypeRRSIG, wire.TypeNSEC)
	cut := bitmapOf(wire.TypeNS, wire.TypeRRSIG, wire.TypeNSEC)
	sets := []wire.RRset{
		modelSet(wire.Root, modelApex, wire.TypeNSEC, append(wire.MustName("test").Append(nil), cut...)),
		modelSet(wire.Root, wire.MustName("com"), wire.TypeNSEC, append(wire.Root.Append(nil), cut...)),
	}
	for name, types := range z.nodes {
		switch {
		case slices.Contains(types, wire.TypeDS):
			sets = append(sets, modelSet(name, name, wire.TypeNSEC, append(name.Append(nil), apex...)))
			owner, _ := name.Prepend(hashText(z.hash(name)))
			hash := z.hash(name)
			rdata := append([]byte{hashSHA1, 1, 0, byte(z.params.Iterations), byte(len(z.params.Salt))}, z.params.Salt...)
			rdata = append(append(append(rdata, byte(len(hash))), hash[:]...), bitmapOf(wire.TypeNS, wire.TypeSOA)...)
			sets = append(sets, modelSet(name, owner, wire.TypeNSEC3, rdata))
		case name.FirstLabel() == "*" && !z.nsec3:
			set := z.chain()[name]
			set.Name, _ = name.Parent().Prepend(rapid.SampledFrom([]string{"a", "b", "0"}).Draw(t, "carried to"))
			sets = append(sets, set)
		}
	}
	slices.SortFunc(sets, func(a, b wire.RRset) int { return bytes.Compare(a.Data, b.Data) })
	return sets
}

// sent is what a server adds to an answer about name: the record that matches, or the closest encloser's, the one over
// the next closer name, and those about the wildcard. Below a zone cut that are the records about the cut.
func (z *modelZone) sent(chain map[wire.Name]wire.RRset, name wire.Name) []wire.RRset {
	if !z.nsec3 {
		return values(chain)
	}
	if set, ok := chain[name]; ok {
		return []wire.RRset{set}
	}
	nextCloser := z.nextCloser(chain, name)
	wildcard, _ := nextCloser.Parent().Prepend("*")
	sets := []wire.RRset{chain[nextCloser.Parent()], z.over(chain, nextCloser)}
	if set, ok := chain[wildcard]; ok {
		return append(sets, set)
	}
	return append(sets, z.over(chain, wildcard))
}

func (z *modelZone) nextCloser(chain map[wire.Name]wire.RRset, name wire.Name) wire.Name {
	for {
		if _, ok := chain[name.Parent()]; ok {
			return name
		}
		name = name.Parent()
	}
}

func (z *modelZone) over(chain map[wire.Name]wire.RRset, name wire.Name) wire.RRset {
	for _, set := range chain {
		if n, ok := ParseNSEC3(&set); ok && n.Covers(z.hash(name)) {
			return set
		}
	}
	return wire.RRset{}
}

func checkComplete(t *rapid.T, z *modelZone, chain map[wire.Name]wire.RRset, name wire.Name) {
	d := NewDenial(modelApex, z.sent(chain, name), work.New(work.DefaultLimits))
	for _, qtype := range modelTypes {
		var got Proof
		want := z.shown(chain, name)
		switch z.truthOf(z.nodes, name, qtype) {
		case noName:
			if z.bareENTs && z.truthOf(z.listed, name, qtype) != noName {
				continue // the closest encloser is not in the chain, and a wildcard is above it: the server cannot
			}
			if !z.wildcardShown(chain, name) {
				want = ProvenInsecure
			}
			got = d.NoName(name)
		case noData:
			if name == modelApex && qtype == wire.TypeDS {
				continue // the parent's to say
			}
			if z.bareENTs && !exists(z.nodes, name) && z.truthOf(z.listed, name, qtype) != noData {
				continue // the wildcard is an empty non-terminal that is not in the chain: the server cannot
			}
			got = d.NoData(name, qtype)
		case fromWildcard:
			wildcard, _ := z.encloser(name).Prepend("*")
			got = d.NoCloserMatch(name, wildcard)
		default:
			continue
		}
		if got != want {
			t.Fatalf("%s type %d is not shown: %d, want %d", name.Reveal(), qtype, got, want)
		}
	}
	checkCompleteDS(t, z, chain, d, name)
}

// shown is how well what the chain says of name can be shown.
func (z *modelZone) shown(chain map[wire.Name]wire.RRset, name wire.Name) Proof {
	if _, ok := chain[name]; ok || !z.nsec3 {
		return Proven
	}
	set := z.over(chain, z.nextCloser(chain, name))
	if n, ok := ParseNSEC3(&set); ok && !n.OptOut {
		return Proven
	}
	return ProvenInsecure
}

func checkCompleteDS(t *rapid.T, z *modelZone, chain map[wire.Name]wire.RRset, d *Denial, name wire.Name) {
	want := NotACut
	_, listed := chain[name]
	types := z.nodes[name]
	switch outcome := z.truthOf(z.nodes, name, wire.TypeDS); {
	case name == modelApex, outcome == redirected:
		want = NoProof
	case outcome == delegated && z.truthOf(z.listed, name, wire.TypeDS) == delegated:
		want = NoProof
	case slices.Contains(types, wire.TypeDS):
		want = NoProof
	case slices.Contains(types, wire.TypeNS) && (listed || !z.nsec3):
		want = InsecureCut
	case outcome == data, outcome == noData && exists(z.listed, name):
	case z.shown(chain, name) == ProvenInsecure:
		want = OptOutSpan
	case outcome == noName && z.wildcardShown(chain, name):
		want = NoSuchName
	}
	if got := d.NoDS(name); got != want {
		t.Fatalf("%s and DS: %d, want %d", name.Reveal(), got, want)
	}
}

// wildcardShown reports whether it can be shown securely that no wildcard stands for name.
func (z *modelZone) wildcardShown(chain map[wire.Name]wire.RRset, name wire.Name) bool {
	if !z.nsec3 {
		return true
	}
	wildcard, _ := z.nextCloser(chain, name).Parent().Prepend("*")
	return z.shown(chain, wildcard) == Proven
}

func (z *modelZone) encloser(name wire.Name) wire.Name {
	for name = name.Parent(); !exists(z.nodes, name); name = name.Parent() {
	}
	return name
}

// checkSound: whatever the records, no statement is proven that is false. With opt-out, what is proven insecurely is
// true of the names that the chain speaks of.
func checkSound(t *rapid.T, z *modelZone, sets []wire.RRset, name wire.Name) {
	d := NewDenial(modelApex, sets, work.New(work.DefaultLimits))
	real, listed := z.truthOf(z.nodes, name, wire.TypeA), z.truthOf(z.listed, name, wire.TypeA)
	fail := func(statement string, got int) {
		t.Fatalf("%s: %s, outcome %d, is false", name.Reveal(), statement, got)
	}
	switch p := d.NoName(name); {
	case p == Proven && real != noName, p == ProvenInsecure && (!z.optOut || listed != noName), p > ProvenInsecure:
		fail("no name", int(p))
	}
	for _, qtype := range modelTypes {
		switch p := d.NoData(name, qtype); {
		case p == Proven && (z.truthOf(z.nodes, name, qtype) != noData || name == modelApex && qtype == wire.TypeDS),
			p == ProvenInsecure && (!z.optOut || exists(z.listed, name) || listed == delegated || listed == redirected),
			p > ProvenInsecure:
			fail("no data of type "+dns.TypeToString[uint16(qtype)], int(p))
		}
	}
	for wildcard := range z.nodes {
		if wildcard.FirstLabel() != "*" || !name.Below(wildcard.Parent()) {
			continue
		}
		next := name.Suffix(wildcard.Labels())
		switch p := d.NoCloserMatch(name, wildcard); {
		case p == Proven && exists(z.nodes, next), p == ProvenInsecure && (!z.optOut || exists(z.listed, next)), p > ProvenInsecure:
			fail("no closer match", int(p))
		}
	}
	isCut := name != modelApex && slices.Contains(z.nodes[name], wire.TypeNS)
	switch p := d.NoDS(name); {
	case p == InsecureCut && (!isCut || slices.Contains(z.nodes[name], wire.TypeDS)),
		p == NotACut && (isCut || real == delegated || real == redirected || name == modelApex),
		p == NoSuchName && real != noName,
		p == OptOutSpan && (!z.optOut || exists(z.listed, name) || listed == delegated || listed == redirected),
		p > NoSuchName:
		fail("no DS", int(p))
	}
}

func modelSet(signer, owner wire.Name, kind wire.Type, rdata []byte) wire.RRset {
	set := wire.RRset{Name: owner, Type: kind, Data: wire.Rdatas(nil).Add(rdata)}
	set.Sigs = wire.Rdatas(nil).Add(sigRdata(&set, signer, owner))
	return set
}

func ascending(types []wire.Type) []wire.Type {
	slices.Sort(types)
	return types
}

func sortedNames(nodes map[wire.Name][]wire.Type) []wire.Name {
	var names []wire.Name
	for name := range nodes {
		names = append(names, name)
	}
	slices.SortFunc(names, wire.Name.Compare)
	return names
}

func values(chain map[wire.Name]wire.RRset) []wire.RRset {
	var sets []wire.RRset
	for _, set := range chain {
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b wire.RRset) int { return a.Name.Compare(b.Name) })
	return sets
}
