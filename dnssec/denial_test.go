package dnssec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
	"tacit/internal/work"
)

func denialOf(sets []wire.RRset) *Denial {
	return NewDenial(wire.MustName("example"), sets, work.New(work.DefaultLimits))
}

func TestNSECNoData(t *testing.T) {
	const (
		a, ns, ds, any = wire.TypeA, wire.TypeNS, wire.TypeDS, wire.TypeANY
		rrsig, nsec    = wire.TypeRRSIG, wire.TypeNSEC
	)
	for name, c := range map[string]struct {
		records []string
		qname   string
		qtype   wire.Type
		want    Proof
	}{
		"type present":                                  {[]string{"a NSEC b A RRSIG NSEC"}, "a.example", a, NotProven},
		"type absent":                                   {[]string{"a NSEC b TXT RRSIG NSEC"}, "a.example", a, Proven},
		"RFC 6840 4.3: CNAME instead":                   {[]string{"a NSEC b CNAME RRSIG NSEC"}, "a.example", a, NotProven},
		"CNAME itself":                                  {[]string{"a NSEC b CNAME RRSIG NSEC"}, "a.example", wire.TypeCNAME, NotProven},
		"NSEC at its own owner":                         {[]string{"a NSEC b A RRSIG NSEC"}, "a.example", nsec, NotProven},
		"NSEC, though the signer left it out":           {[]string{"a NSEC b A"}, "a.example", nsec, NotProven},
		"RRSIG, though the signer left it out":          {[]string{"a NSEC b A"}, "a.example", rrsig, NotProven},
		"NSEC3 in a zone with NSEC":                     {[]string{"a NSEC b A RRSIG NSEC"}, "a.example", wire.TypeNSEC3, Proven},
		"ANY with data":                                 {[]string{"a NSEC b A RRSIG NSEC"}, "a.example", any, NotProven},
		"ANY at an empty non-terminal":                  {[]string{"a NSEC x.b A RRSIG NSEC"}, "b.example", any, Proven},
		"RRSIG at an empty non-terminal":                {[]string{"a NSEC x.b A RRSIG NSEC"}, "b.example", rrsig, Proven},
		"DS at an empty non-terminal":                   {[]string{"a NSEC x.b A RRSIG NSEC"}, "b.example", ds, Proven},
		"RFC 6840 4.1: at a delegation":                 {[]string{"a NSEC b NS RRSIG NSEC"}, "a.example", a, NotProven},
		"RFC 6840 4.1: below a delegation":              {[]string{"a NSEC b NS RRSIG NSEC", "example. NSEC a NS SOA RRSIG NSEC"}, "x.a.example", a, NotProven},
		"NS at a delegation":                            {[]string{"a NSEC b NS RRSIG NSEC"}, "a.example", ns, NotProven},
		"DS at a delegation":                            {[]string{"a NSEC b NS RRSIG NSEC"}, "a.example", ds, Proven},
		"DS that is there":                              {[]string{"a NSEC b NS DS RRSIG NSEC"}, "a.example", ds, NotProven},
		"RFC 6840 4.4: DS at the apex":                  {[]string{"example. NSEC b NS SOA RRSIG NSEC"}, "example", ds, NotProven},
		"another type at the apex":                      {[]string{"example. NSEC b NS SOA RRSIG NSEC"}, "example", a, Proven},
		"a name that does not exist":                    {[]string{"a NSEC c A RRSIG NSEC"}, "b.example", a, NotProven},
		"RFC 4035 3.1.3.4: wildcard":                    {[]string{"* NSEC a MX RRSIG NSEC", "a NSEC c A RRSIG NSEC"}, "b.example", a, Proven},
		"wildcard with the type":                        {[]string{"* NSEC a MX RRSIG NSEC", "a NSEC c A RRSIG NSEC"}, "b.example", wire.TypeMX, NotProven},
		"wildcard with CNAME":                           {[]string{"* NSEC a CNAME RRSIG NSEC", "a NSEC c A RRSIG NSEC"}, "b.example", a, NotProven},
		"wildcard, and no word of the name":             {[]string{"* NSEC a MX RRSIG NSEC"}, "b.example", a, NotProven},
		"wildcard above the closest encloser":           {[]string{"* NSEC a MX RRSIG NSEC", "a.b NSEC c.b A RRSIG NSEC"}, "b.b.example", a, NotProven},
		"RFC 4592 2.2.2: wildcard as empty nonterminal": {[]string{"example. NSEC x.* NS SOA RRSIG NSEC", "x.* NSEC example. A RRSIG NSEC"}, "b.example", a, Proven},
		"outside the zone":                              {[]string{"a NSEC example. A RRSIG NSEC"}, "b.test", a, NotProven},
	} {
		d := denialOf(textSets(t, "example", c.records...))
		if got := d.NoData(wire.MustName(c.qname), c.qtype); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestNSECNoName(t *testing.T) {
	for name, c := range map[string]struct {
		records []string
		qname   string
		want    Proof
	}{
		"one record for name and wildcard":          {[]string{"example. NSEC c NS SOA RRSIG NSEC"}, "b.example", Proven},
		"RFC 4034 4.1.1: a zone of one name":        {[]string{"example. NSEC example. NS SOA RRSIG NSEC"}, "b.a.example", Proven},
		"the last record, and the wildcard's":       {[]string{"c NSEC example. A RRSIG NSEC", "example. NSEC c NS SOA RRSIG NSEC"}, "d.example", Proven},
		"no word of the wildcard":                   {[]string{"c NSEC example. A RRSIG NSEC"}, "d.example", NotProven},
		"a wildcard is there":                       {[]string{"c NSEC example. A RRSIG NSEC", "* NSEC c A RRSIG NSEC"}, "d.example", NotProven},
		"a wildcard is there, without data":         {[]string{"example. NSEC x.* NS SOA RRSIG NSEC", "x.* NSEC example. A RRSIG NSEC"}, "d.example", NotProven},
		"the wildcard at the closest encloser":      {[]string{"a.b NSEC c.b A RRSIG NSEC", "b NSEC a.b A RRSIG NSEC"}, "b.b.example", Proven},
		"an empty non-terminal":                     {[]string{"example. NSEC x.b NS SOA RRSIG NSEC"}, "b.example", NotProven},
		"the apex":                                  {[]string{"example. NSEC example. NS SOA RRSIG NSEC"}, "example", NotProven},
		"another zone's name":                       {[]string{"example. NSEC example. NS SOA RRSIG NSEC"}, "b.test", NotProven},
		"below a DNAME":                             {[]string{"b NSEC c DNAME RRSIG NSEC", "example. NSEC b NS SOA RRSIG NSEC"}, "x.b.example", NotProven},
		"below a delegation":                        {[]string{"b NSEC c NS RRSIG NSEC", "example. NSEC b NS SOA RRSIG NSEC"}, "x.b.example", NotProven},
		"RFC 9824: a compact denial of data":        {[]string{`b NSEC \000.b A RRSIG NSEC`}, "b.example", NotProven},
		"RFC 9824: NXNAME":                          {[]string{`b NSEC \000.b RRSIG NSEC TYPE128`}, "b.example", Proven},
		"RFC 9824: NXNAME says nothing of children": {[]string{`b NSEC \000.b RRSIG NSEC TYPE128`}, "a.b.example", NotProven},
		"RFC 9824: nor of siblings":                 {[]string{`b NSEC \000.b RRSIG NSEC TYPE128`}, "c.example", NotProven},
	} {
		d := denialOf(textSets(t, "example", c.records...))
		if got := d.NoName(wire.MustName(c.qname)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// RFC 9824 sections 2 and 4: NXNAME in the bitmap of the name's own NSEC or NSEC3 is NXDOMAIN, whatever the RCODE.
func TestCompactDenial(t *testing.T) {
	name := wire.MustName("b.example")
	own := hashOf(t, name, 0)
	for kind, record := range map[string]string{
		"NSEC":  `b NSEC \000.b RRSIG NSEC TYPE128`,
		"NSEC3": fmt.Sprintf("%s NSEC3 1 0 0 - %s RRSIG TYPE128", hashText(own), hashText(neighbour(own, +1))),
	} {
		d := denialOf(textSets(t, "example", record))
		if !d.SaysNoName(name) || d.NoName(name) != Proven || d.NoData(name, wire.TypeA) != Proven || d.NoDS(name) != NoSuchName {
			t.Errorf("%s: NXNAME was not seen", kind)
		}
		if d.SaysNoName(wire.MustName("c.example")) || d.SaysNoName(wire.MustName("example")) {
			t.Errorf("%s: NXNAME was seen for another name", kind)
		}
		d = denialOf(textSets(t, "example", strings.Replace(record, " TYPE128", "", 1)))
		if d.SaysNoName(name) || d.NoName(name) != NotProven || d.NoData(name, wire.TypeA) != Proven {
			t.Errorf("%s: no data was taken for no name", kind)
		}
	}
}

// RFC 4035 section 5.3.4: no closer match for the name that the wildcard was expanded for.
func TestNoCloserMatch(t *testing.T) {
	for name, c := range map[string]struct {
		records         []string
		qname, wildcard string
		want            Proof
	}{
		"next closer name denied":            {[]string{"a NSEC c A RRSIG NSEC"}, "b.example", "*.example", Proven},
		"deeper below it":                    {[]string{"a NSEC c A RRSIG NSEC"}, "x.b.example", "*.example", Proven},
		"name exists":                        {[]string{"b NSEC c A RRSIG NSEC"}, "b.example", "*.example", NotProven},
		"a closer encloser exists":           {[]string{"a.b NSEC c A RRSIG NSEC"}, "x.b.example", "*.example", NotProven},
		"a closer encloser is empty":         {[]string{"a NSEC z.b A RRSIG NSEC"}, "x.b.example", "*.example", NotProven},
		"the wildcard itself says it not":    {[]string{"* NSEC b A RRSIG NSEC"}, "b.example", "*.example", NotProven},
		"the wildcard may be the neighbour":  {[]string{"* NSEC c A RRSIG NSEC"}, "b.example", "*.example", Proven},
		"no wildcard":                        {[]string{"a NSEC c A RRSIG NSEC"}, "b.example", "w.example", NotProven},
		"wildcard beside the name":           {[]string{"a NSEC c A RRSIG NSEC"}, "b.example", "*.w.example", NotProven},
		"wildcard of a zone above":           {[]string{"a NSEC c A RRSIG NSEC"}, "b.example", "*.", NotProven},
		"beyond a delegation":                {[]string{"a NSEC c NS RRSIG NSEC"}, "b.a.example", "*.a.example", NotProven},
		"a wildcard's child is not expanded": {[]string{"a NSEC c A RRSIG NSEC"}, "example", "*.example", NotProven},
	} {
		d := denialOf(textSets(t, "example", c.records...))
		if got := d.NoCloserMatch(wire.MustName(c.qname), wire.MustName(c.wildcard)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Records of a zone above or below, or of another owner name, prove nothing: RFC 6840 section 4.1, RFC 4035 section
// 5.3.1, and CVE-2017-15105 for the last.
func TestForeignRecordsAreDropped(t *testing.T) {
	zone, name := wire.MustName("example"), wire.MustName("b.example")
	whole := rr(t, "example. NSEC example. NS SOA RRSIG NSEC")
	hashes := fmt.Sprintf("%s NSEC3 1 0 0 - %s NS SOA RRSIG", hashText(hashOf(t, zone, 0)), hashText(hashOf(t, zone, 0)))
	elsewhere := func(set wire.RRset, owner string) wire.RRset {
		set.Name = wire.MustName(owner)
		return set
	}
	unsigned, twice := signedSet(t, "example", whole), signedSet(t, "example", whole)
	unsigned.Sigs = nil
	twice.Sigs = twice.Sigs.Add(sigRdata(&twice, wire.Root, zone))
	short, other := signedSet(t, "example", whole), signedSet(t, "example", whole)
	short.Sigs = wire.Rdatas(nil).Add([]byte{0, 47, 13})
	other.Sigs[3]++ // covers another type
	for what, c := range map[string]struct {
		set  wire.RRset
		want Proof
	}{
		"the zone's own":                        {signedSet(t, "example", whole), Proven},
		"the zone's own, NSEC3":                 {signedSet(t, "example", rr(t, hashes)), Proven},
		"signed by the zone above":              {signedSet(t, ".", whole), NotProven},
		"signed by the zone below":              {signedSet(t, "b.example", whole), NotProven},
		"NSEC3 signed by the zone above":        {signedSet(t, ".", rr(t, hashes)), NotProven},
		"NSEC3 of a zone below":                 {signedSet(t, "example", rr(t, strings.Replace(hashes, " NSEC3", ".b.example. NSEC3", 1))), NotProven},
		"next name outside the zone":            {signedSet(t, "example", rr(t, "a.example. NSEC test. A RRSIG NSEC")), NotProven},
		"unsigned":                              {unsigned, NotProven},
		"signed by two zones":                   {twice, NotProven},
		"signature cut":                         {short, NotProven},
		"signature of another type":             {other, NotProven},
		"wildcard's record carried elsewhere":   {elsewhere(signedSet(t, "example", rr(t, "*.example. NSEC example. A RRSIG NSEC")), "a.example"), NotProven},
		"record of another type":                {signedSet(t, "example", rr(t, "example. NS b.example.")), NotProven},
		"parent's record for the delegation":    {signedSet(t, "example", rr(t, "example. NSEC example. NS DS RRSIG NSEC")), NotProven},
		"apex of a zone below, by the same key": {signedSet(t, "example", rr(t, "a.example. NSEC example. NS SOA RRSIG NSEC")), NotProven},
	} {
		wildcard := signedSet(t, "example", rr(t, "example. NSEC a.example. NS SOA RRSIG NSEC"))
		sets := []wire.RRset{c.set}
		if c.set.Name != zone && c.set.Type == wire.TypeNSEC {
			sets = append(sets, wildcard) // so that only the name is left to prove
		}
		if got := denialOf(sets).NoName(name); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

// RFC 9276 section 3.2: above the limit a zone is insecure, and no hash is made, but for one of a referral that is not
// beyond all bounds.
func TestIterationsAboveTheLimit(t *testing.T) {
	name := wire.MustName("b.example")
	for iterations, want := range map[uint16]Proof{0: Proven, MaxIterations: Proven, MaxIterations + 1: TooExpensive, 2500: TooExpensive, 65535: TooExpensive} {
		budget := work.New(work.DefaultLimits)
		d := NewDenial(wire.MustName("example"), []wire.RRset{loneNSEC3(t, iterations, 0, "-")}, budget)
		if got := d.NoName(name); got != want {
			t.Errorf("%d iterations: %d, want %d", iterations, got, want)
		}
		if want == TooExpensive {
			var price int32
			if iterations <= maxCostlyIterations {
				price = int32(iterations) + 1
			}
			if p := d.NoDS(name); p != Expensive || budget.Spent(work.NSEC3Hash) != price {
				t.Errorf("%d iterations: NoDS is %d, %d blocks hashed", iterations, p, budget.Spent(work.NSEC3Hash))
			}
			if p := d.NoName(wire.MustName("b.test")); p != NotProven {
				t.Errorf("%d iterations and another zone's name: %d", iterations, p)
			}
		}
	}
}

// RFC 5155 section 8.2: records with other parameters in one response; one set of them is used.
func TestMixedParameters(t *testing.T) {
	name := wire.MustName("b.example")
	for what, c := range map[string]struct {
		sets []wire.RRset
		want Proof
	}{
		"the first proves":           {[]wire.RRset{loneNSEC3(t, 0, 0, "-"), loneNSEC3(t, 1, 0, "-")}, Proven},
		"above the limit first":      {[]wire.RRset{loneNSEC3(t, 51, 0, "-"), loneNSEC3(t, 0, 0, "-")}, Proven},
		"above the limit last":       {[]wire.RRset{loneNSEC3(t, 0, 0, "-"), loneNSEC3(t, 51, 0, "-")}, Proven},
		"opt-out":                    {[]wire.RRset{loneNSEC3(t, 0, 1, "-")}, ProvenInsecure},
		"RFC 5155 8.2: unknown flag": {[]wire.RRset{loneNSEC3(t, 0, 2, "-")}, NotProven},
		"salt of 64 octets":          {[]wire.RRset{loneNSEC3(t, 0, 0, strings.Repeat("ab", 64))}, Proven},
		"salt of 65 octets":          {[]wire.RRset{loneNSEC3(t, 0, 0, strings.Repeat("ab", 65))}, TooExpensive},
		"above the limit, beside one that is not and proves nothing": {[]wire.RRset{loneNSEC3(t, 51, 0, "-"), wideNSEC3(t, NSEC3Hash{1}, NSEC3Hash{2}, 0)}, NotProven},
		"above the limit, beside the NSEC":                           {append(textSets(t, "example", "example. NSEC c NS SOA RRSIG NSEC"), loneNSEC3(t, 51, 0, "-")), Proven},
	} {
		if got := denialOf(c.sets).NoName(name); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
	// Halves of a proof made with different parameters are no proof.
	zone := wire.MustName("example")
	match := wideNSEC3(t, hashOf(t, zone, 0), hashOf(t, zone, 0), 0) // matches the closest encloser ...
	match.Data[2+6+19]++                                             // ... and covers nothing
	cover := loneNSEC3(t, 1, 0, "-")
	if got := denialOf([]wire.RRset{match, cover}).NoName(name); got != NotProven {
		t.Errorf("two halves: %d", got)
	}
}

// Only the first eight NSEC3 records of a response are looked at.
func TestManyNSEC3Records(t *testing.T) {
	var sets []wire.RRset
	for i := range byte(maxNSEC3Records) {
		sets = append(sets, wideNSEC3(t, NSEC3Hash{i}, NSEC3Hash{i, 1}, 0))
	}
	needed := loneNSEC3(t, 0, 0, "-")
	if got := denialOf(append(sets[:maxNSEC3Records-1:maxNSEC3Records-1], needed)).NoName(wire.MustName("b.example")); got != Proven {
		t.Errorf("needed record is the eighth: %d", got)
	}
	if got := denialOf(append(sets, needed)).NoName(wire.MustName("b.example")); got != NotProven {
		t.Errorf("needed record is the ninth: %d", got)
	}
}

// CVE-2023-50868: names of many labels make a closest encloser proof dear. At most 32 names are hashed, once each,
// and what could not be hashed is neither proven nor insecure.
func TestHashesAreBounded(t *testing.T) {
	name := wire.MustName("example")
	for range 110 {
		name, _ = name.Prepend("x")
	}
	budget := work.New(work.DefaultLimits)
	d := NewDenial(wire.MustName("example"), []wire.RRset{loneNSEC3(t, 0, 1, "-")}, budget)
	if p := d.NoName(name); p != OverBudget {
		t.Errorf("110 labels: %d", p)
	}
	if p := d.NoDS(name); p != DSOverBudget {
		t.Errorf("110 labels, NoDS: %d", p)
	}
	spent := budget.Spent(work.NSEC3Hash)
	if spent < maxHashedNames || spent > 5*maxHashedNames {
		t.Errorf("%d blocks for %d names", spent, maxHashedNames)
	}
	d = NewDenial(wire.MustName("example"), []wire.RRset{loneNSEC3(t, 0, 1, "-")}, budget)
	before := budget.Spent(work.NSEC3Hash)
	for range 3 {
		if p := d.NoName(wire.MustName("b.a.example")); p != ProvenInsecure {
			t.Errorf("two labels: %d", p)
		}
	}
	if got := budget.Spent(work.NSEC3Hash) - before; got != 4 { // b.a, a, the apex, the wildcard
		t.Errorf("%d blocks for 4 names asked for three times", got)
	}
	for what, b := range map[string]*work.Budget{"empty": work.New(work.Limits{work.NSEC3Hash: 3}), "none": nil} {
		d = NewDenial(wire.MustName("example"), []wire.RRset{loneNSEC3(t, 0, 1, "-")}, b)
		for _, got := range []Proof{
			d.NoName(wire.MustName("b.a.example")), d.NoData(wire.MustName("z.y.example"), wire.TypeA),
			d.NoCloserMatch(wire.MustName("q.example"), wire.MustName("*.example")),
		} {
			if got != OverBudget {
				t.Errorf("budget is %s: %d", what, got)
			}
		}
	}
}

// What a name too long for the rest of the budget leaves over is not spent on the names around it.
func TestNothingIsHashedAfterARefusal(t *testing.T) {
	long := wire.MustName("example")
	for range 20 {
		long, _ = long.Prepend("0123456789")
	}
	budget := work.New(work.Limits{work.NSEC3Hash: 3})
	d := NewDenial(wire.MustName("example"), []wire.RRset{loneNSEC3(t, 0, 0, "-")}, budget)
	if got := d.NoName(long); got != OverBudget || budget.Spent(work.NSEC3Hash) != 0 {
		t.Errorf("%d, %d blocks", got, budget.Spent(work.NSEC3Hash))
	}
}

// RFC 6840 section 4.4: an NSEC3 with the SOA bit is the child's and does not show that there is no DS.
func TestChildDoesNotDenyItsDS(t *testing.T) {
	name := wire.MustName("b.example")
	for types, want := range map[string]DSProof{"NS SOA RRSIG": NoProof, "NS DS RRSIG": NoProof, "NS": InsecureCut, "A RRSIG": NotACut, "DS RRSIG": NoProof} {
		record := fmt.Sprintf("%s NSEC3 1 1 0 - %s %s", hashText(hashOf(t, name, 0)), hashText(hashOf(t, name, 0)), types)
		if got := denialOf(textSets(t, "example", record)).NoDS(name); got != want {
			t.Errorf("%s: %d, want %d", types, got, want)
		}
	}
}

// RFC 5155 section 8.6 and erratum 3441: under opt-out the absence of data is believed, but not securely.
func TestOptOutNoData(t *testing.T) {
	name := wire.MustName("b.example")
	for flags, want := range map[uint8]Proof{0: NotProven, 1: ProvenInsecure} {
		d := denialOf([]wire.RRset{loneNSEC3(t, 0, flags, "-")})
		for _, qtype := range []wire.Type{wire.TypeDS, wire.TypeA} {
			if got := d.NoData(name, qtype); got != want {
				t.Errorf("flags %d, type %d: %d, want %d", flags, qtype, got, want)
			}
		}
		if got := d.NoCloserMatch(name, wire.MustName("*.example")); got != map[uint8]Proof{0: Proven, 1: ProvenInsecure}[flags] {
			t.Errorf("flags %d: no closer match is %d", flags, got)
		}
	}
}

// RFC 5155 section 8.3: the closest encloser is no delegation, no DNAME, and does not itself deny that it exists.
func TestCloseEnclosersThatAreNone(t *testing.T) {
	b := wire.MustName("b.example")
	own := hashOf(t, b, 0)
	for types, want := range map[string]Proof{
		"A RRSIG": Proven, "NS": NotProven, "NS DS RRSIG": NotProven, "DNAME RRSIG": NotProven, "RRSIG TYPE128": NotProven,
	} {
		record := fmt.Sprintf("%s NSEC3 1 0 0 - %s %s", hashText(own), hashText(own), types)
		d := denialOf(textSets(t, "example", record))
		if got := d.NoName(wire.MustName("x.b.example")); got != want {
			t.Errorf("%s: %d, want %d", types, got, want)
		}
		if got := d.NoDS(wire.MustName("x.b.example")); (got == NoSuchName) != (want == Proven) {
			t.Errorf("%s: NoDS is %d", types, got)
		}
	}
}

// The root has no parent: its own NSEC denies its DS.
func TestRootHasNoDS(t *testing.T) {
	sets := textSets(t, ".", ". NSEC aaa. NS SOA RRSIG NSEC DNSKEY")
	d := NewDenial(wire.Root, sets, nil)
	if got := d.NoData(wire.Root, wire.TypeDS); got != Proven {
		t.Errorf("DS of the root: %d", got)
	}
	if got := d.NoName(wire.MustName("aa")); got != Proven {
		t.Errorf("a TLD that does not exist: %d", got)
	}
}

func TestDenialOfNothing(t *testing.T) {
	d := denialOf(nil)
	name := wire.MustName("b.example")
	if d.NoName(name) != NotProven || d.NoData(name, wire.TypeA) != NotProven || d.NoDS(name) != NoProof ||
		d.NoCloserMatch(name, wire.MustName("*.example")) != NotProven || d.SaysNoName(name) {
		t.Error("no records prove something")
	}
}

// loneNSEC3 is the record of a zone that has nothing but its apex.
func loneNSEC3(t testing.TB, iterations uint16, flags uint8, salt string) wire.RRset {
	t.Helper()
	label := dns.HashName("example.", dns.SHA1, iterations, strings.TrimPrefix(salt, "-"))
	text := fmt.Sprintf("%s NSEC3 1 %d %d %s %s NS SOA RRSIG", label, flags, iterations, salt, label)
	return signedSet(t, "example", rr(t, text))
}

func wideNSEC3(t testing.TB, hash, next NSEC3Hash, flags uint8) wire.RRset {
	t.Helper()
	text := fmt.Sprintf("%s NSEC3 1 %d 0 - %s NS SOA RRSIG", hashText(hash), flags, hashText(next))
	return signedSet(t, "example", rr(t, text))
}

// hashOf hashes with miekg/dns, without salt.
func hashOf(t testing.TB, name wire.Name, iterations uint16) (h NSEC3Hash) {
	t.Helper()
	if !h.parseLabel(strings.ToLower(dns.HashName(name.Reveal(), dns.SHA1, iterations, ""))) {
		t.Fatal("miekg/dns does not hash")
	}
	return h
}

// neighbour returns the next possible hash, or the one before.
func neighbour(h NSEC3Hash, step int) NSEC3Hash {
	for i := len(h) - 1; i >= 0; i-- {
		h[i] += byte(step)
		if step > 0 && h[i] != 0 || step < 0 && h[i] != 0xff {
			break
		}
	}
	return h
}

// RFC 6840 section 4.1: a child's own record in the place of the parent's proves nothing, however costly its zone is.
func TestCostlyRecordOfTheChildIsNoProof(t *testing.T) {
	zone, child := wire.MustName("example.com."), wire.MustName("sub.example.com.")
	params := NSEC3Params{Iterations: 123, Salt: []byte{0xaa, 0xbb}}
	hash, err := params.Hash(work.New(work.DefaultLimits), child)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		types []wire.Type
		want  DSProof
	}{
		"the child's side":       {[]wire.Type{wire.TypeNS, wire.TypeSOA, wire.TypeDNSKEY}, NoProof},
		"a signed delegation":    {[]wire.Type{wire.TypeNS, wire.TypeDS}, NoProof},
		"an unsigned delegation": {[]wire.Type{wire.TypeNS}, Expensive},
	} {
		d := &Denial{zone: zone, budget: work.New(work.DefaultLimits)}
		n := NSEC3{NSEC3Params: params, Zone: zone, Hash: hash, Next: hash, OptOut: true, Types: bitmapOf(c.types...)}
		d.addNSEC3(n)
		if got := d.NoDS(child); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
