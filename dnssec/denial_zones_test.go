package dnssec

import (
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// RFC 4035 appendix A: the NSEC records of the example zone.
var nsecZone = []string{
	"example. NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY",
	"a.example. NSEC ai.example. NS DS RRSIG NSEC",
	"ai.example. NSEC b.example. A HINFO AAAA RRSIG NSEC",
	"b.example. NSEC ns1.example. NS RRSIG NSEC",
	"ns1.example. NSEC ns2.example. A RRSIG NSEC",
	"ns2.example. NSEC *.w.example. A RRSIG NSEC",
	"*.w.example. NSEC x.w.example. MX RRSIG NSEC",
	"x.w.example. NSEC x.y.w.example. MX RRSIG NSEC",
	"x.y.w.example. NSEC xx.example. MX RRSIG NSEC",
	"xx.example. NSEC example. A HINFO AAAA RRSIG NSEC",
}

// RFC 5155 appendix A: the NSEC3 records of the example zone; c.example, an unsigned delegation, is opted out.
var nsec3Zone = map[string]string{
	"example": "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA MX RRSIG DNSKEY NSEC3PARAM",
	"ns1":     "2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
	"x.y.w":   "2vptu5timamqttgl4luu9kg21e0aor3s NSEC3 1 1 12 aabbccdd 35mthgpgcu1qg68fab165klnsnk3dpvl MX RRSIG",
	"a":       "35mthgpgcu1qg68fab165klnsnk3dpvl NSEC3 1 1 12 aabbccdd b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG",
	"x.w":     "b4um86eghhds6nea196smvmlo4ors995 NSEC3 1 1 12 aabbccdd gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG",
	"ai":      "gjeqe526plbf1g8mklp59enfd789njgi NSEC3 1 1 12 aabbccdd ji6neoaepv8b5o6k4ev33abha8ht9fgc A HINFO AAAA RRSIG",
	"y.w":     "ji6neoaepv8b5o6k4ev33abha8ht9fgc NSEC3 1 1 12 aabbccdd k8udemvp1j2f7eg6jebps17vp3n8i58h",
	"w":       "k8udemvp1j2f7eg6jebps17vp3n8i58h NSEC3 1 1 12 aabbccdd kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
	"2t7b":    "kohar7mbb8dc2ce8a9qvl8hon4k53uhi NSEC3 1 1 12 aabbccdd q04jkcevqvmu85r014c7dkba38o0ji5r A RRSIG",
	"ns2":     "q04jkcevqvmu85r014c7dkba38o0ji5r NSEC3 1 1 12 aabbccdd r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG",
	"*.w":     "r53bq7cc2uvmubfu5ocmm6pers9tk9en NSEC3 1 1 12 aabbccdd t644ebqk9bibcna874givr6joj62mlhv MX RRSIG",
	"xx":      "t644ebqk9bibcna874givr6joj62mlhv NSEC3 1 1 12 aabbccdd 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A HINFO AAAA RRSIG",
}

// RFC 4035 appendix B, and the same questions with each record of the response missing.
func TestExampleResponsesOfRFC4035(t *testing.T) {
	for name, c := range map[string]struct {
		records []string // indices into nsecZone by owner
		ask     func(d *Denial) Proof
	}{
		"B.2 name error": {
			[]string{"example.", "b.example."},
			func(d *Denial) Proof { return d.NoName(wire.MustName("ml.example")) },
		},
		"B.3 no data error": {
			[]string{"ns1.example."},
			func(d *Denial) Proof { return d.NoData(wire.MustName("ns1.example"), wire.TypeMX) },
		},
		"B.6 wildcard expansion": {
			[]string{"x.y.w.example."},
			func(d *Denial) Proof {
				return d.NoCloserMatch(wire.MustName("a.z.w.example"), wire.MustName("*.w.example"))
			},
		},
		"B.7 wildcard no data error": {
			[]string{"x.y.w.example.", "*.w.example."},
			func(d *Denial) Proof { return d.NoData(wire.MustName("a.z.w.example"), wire.TypeAAAA) },
		},
	} {
		checkNeedsAll(t, name, nsecOf(t, c.records...), Proven, c.ask)
	}
}

// RFC 5155 appendix B, and the same questions with each record of the response missing. The whole zone is opt-out.
func TestExampleResponsesOfRFC5155(t *testing.T) {
	for name, c := range map[string]struct {
		records []string
		want    Proof
		ask     func(d *Denial) Proof
	}{
		"B.1 name error": {
			[]string{"example", "x.w", "a"},
			ProvenInsecure,
			func(d *Denial) Proof { return d.NoName(wire.MustName("a.c.x.w.example")) },
		},
		"B.2 no data error": {
			[]string{"ns1"},
			Proven,
			func(d *Denial) Proof { return d.NoData(wire.MustName("ns1.example"), wire.TypeMX) },
		},
		"B.2.1 no data error, empty non-terminal": {
			[]string{"y.w"},
			Proven,
			func(d *Denial) Proof { return d.NoData(wire.MustName("y.w.example"), wire.TypeA) },
		},
		"B.4 wildcard expansion": {
			[]string{"ns2"},
			ProvenInsecure,
			func(d *Denial) Proof {
				return d.NoCloserMatch(wire.MustName("a.z.w.example"), wire.MustName("*.w.example"))
			},
		},
	} {
		checkNeedsAll(t, name, nsec3Of(t, c.records...), c.want, c.ask)
	}
	// B.5: with opt-out over the next closer name the wildcard's own record adds nothing.
	d := NewDenial(wire.MustName("example"), nsec3Of(t, "w", "ns2", "*.w"), work.New(work.DefaultLimits))
	if got := d.NoData(wire.MustName("a.z.w.example"), wire.TypeAAAA); got != ProvenInsecure {
		t.Errorf("B.5 wildcard no data error: %d", got)
	}
	// Without it, all three are needed.
	checkNeedsAll(t, "B.5 without opt-out", withoutOptOut(nsec3Of(t, "w", "ns2", "*.w")), Proven,
		func(d *Denial) Proof { return d.NoData(wire.MustName("a.z.w.example"), wire.TypeAAAA) })
	checkNeedsAll(t, "B.1 without opt-out", withoutOptOut(nsec3Of(t, "example", "x.w", "a")), Proven,
		func(d *Denial) Proof { return d.NoName(wire.MustName("a.c.x.w.example")) })
}

func TestExampleDelegations(t *testing.T) {
	for name, c := range map[string]struct {
		sets []wire.RRset
		at   string
		want DSProof
	}{
		"RFC 4035 B.4 signed delegation":            {nsecOf(t, "a.example."), "a.example", NoProof},
		"RFC 4035 B.5 unsigned delegation":          {nsecOf(t, "b.example."), "b.example", InsecureCut},
		"RFC 4035 B.8 DS at the child":              {nsecOf(t, "example."), "example", NoProof},
		"a host is no zone cut":                     {nsecOf(t, "ns1.example."), "ns1.example", NotACut},
		"nor is an empty non-terminal":              {nsecOf(t, "ns2.example."), "w.example", NotACut},
		"nor what does not exist":                   {nsecOf(t, "b.example.", "example."), "ml.example", NoSuchName},
		"nor where a wildcard may stand":            {nsecOf(t, "x.y.w.example."), "z.w.example", NotACut},
		"below a delegation the parent is silent":   {nsecOf(t, "b.example.", "example."), "mc.b.example", NoProof},
		"RFC 5155 B.3 opt-out unsigned delegation":  {nsec3Of(t, "a", "example"), "c.example", OptOutSpan},
		"RFC 5155 B.3 without the closest encloser": {nsec3Of(t, "a"), "c.example", NoProof},
		"RFC 5155 B.3 without the span":             {nsec3Of(t, "example"), "c.example", NoProof},
		"RFC 5155 B.3 the span does not opt out":    {withoutOptOut(nsec3Of(t, "a", "example")), "c.example", NotACut},
		"RFC 5155 B.6 DS at the child":              {nsec3Of(t, "example"), "example", NoProof},
		"RFC 5155 signed delegation":                {nsec3Of(t, "a", "example"), "a.example", NoProof},
		"RFC 5155 below a delegation":               {nsec3Of(t, "a", "ns1", "x.w"), "mc.a.example", NoProof},
		"RFC 5155 a host is no zone cut":            {nsec3Of(t, "ns1"), "ns1.example", NotACut},
		"RFC 5155 nor is an empty non-terminal":     {nsec3Of(t, "w"), "w.example", NotACut},
		"RFC 5155 nor what does not exist":          {withoutOptOut(nsec3Of(t, "example", "x.w", "a")), "a.c.x.w.example", NoSuchName},
		"RFC 5155 outside the zone":                 {nsec3Of(t, "a", "example"), "c.test", NoProof},
	} {
		d := NewDenial(wire.MustName("example"), c.sets, work.New(work.DefaultLimits))
		if got := d.NoDS(wire.MustName(c.at)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// checkNeedsAll asks with all the records, and then with each of them missing.
func checkNeedsAll(t *testing.T, name string, sets []wire.RRset, want Proof, ask func(d *Denial) Proof) {
	t.Helper()
	zone := wire.MustName("example")
	if got := ask(NewDenial(zone, sets, work.New(work.DefaultLimits))); got != want {
		t.Errorf("%s: %d, want %d", name, got, want)
	}
	for i := range sets {
		fewer := append(append([]wire.RRset(nil), sets[:i]...), sets[i+1:]...)
		if got := ask(NewDenial(zone, fewer, work.New(work.DefaultLimits))); got != NotProven {
			t.Errorf("%s, without record %d: %d", name, i, got)
		}
	}
}

// nsecOf picks records of the RFC 4035 zone by their owner names.
func nsecOf(t testing.TB, owners ...string) []wire.RRset {
	t.Helper()
	var sets []wire.RRset
	for _, owner := range owners {
		for _, text := range nsecZone {
			if record := rr(t, text); record.Header().Name == owner {
				sets = append(sets, signedSet(t, "example", record))
			}
		}
	}
	if len(sets) != len(owners) {
		t.Fatalf("%d records for %d owners", len(sets), len(owners))
	}
	return sets
}

// nsec3Of picks records of the RFC 5155 zone by the names that were hashed.
func nsec3Of(t testing.TB, names ...string) []wire.RRset {
	t.Helper()
	var sets []wire.RRset
	for _, name := range names {
		sets = append(sets, signedSet(t, "example", rr(t, nsec3Zone[name])))
	}
	return sets
}

// textSets reads records as zone text, all signed by one zone.
func textSets(t testing.TB, zone string, texts ...string) []wire.RRset {
	t.Helper()
	var sets []wire.RRset
	for _, text := range texts {
		sets = append(sets, signedSet(t, zone, rr(t, text)))
	}
	return sets
}

func signedSet(t testing.TB, zone string, record dns.RR) wire.RRset {
	t.Helper()
	set := setOf(t, record)
	set.Sigs = wire.Rdatas(nil).Add(sigRdata(set, wire.MustName(zone), set.Name))
	return *set
}

// sigRdata is an RRSIG that was made for owner by zone; the signature proper is not looked at here.
func sigRdata(set *wire.RRset, zone, owner wire.Name) []byte {
	labels := owner.Labels()
	if owner.FirstLabel() == "*" {
		labels--
	}
	r := make([]byte, signatureHeader)
	r[0], r[1], r[2], r[3] = byte(set.Type>>8), byte(set.Type), 13, byte(labels)
	return append(zone.Append(r), make([]byte, 64)...)
}

func withoutOptOut(sets []wire.RRset) []wire.RRset {
	for i := range sets {
		sets[i].Data[2+1] = 0 // behind the length: algorithm, flags
	}
	return sets
}
