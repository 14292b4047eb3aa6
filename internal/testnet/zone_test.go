package testnet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

const shop = `
	@           SOA   ns1 hostmaster 7 7200 900 1209600 60
	            NS    ns1
	            NS    ns.elsewhere.test.
	ns1         A     192.0.2.53
	            AAAA  2001:db8::53
	www         A     203.0.113.80
	            AAAA  2001:db8::80
	a.b.c       TXT   "deep"
	*.wild      A     203.0.113.81
	host.wild   A     203.0.113.82
	sub.*.tree  A     203.0.113.83
	alias       CNAME www
	far         CNAME www.elsewhere.test.
	loop1       CNAME loop2
	loop2       CNAME loop1
	dead        CNAME nothing
	into        CNAME www.child
	*.aka       CNAME www
	old         DNAME new
	host.new    A     203.0.113.84
	child       NS    ns.child
	            DS    12345 13 2 AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34
	ns.child    A     192.0.2.54
`

func TestZoneAnswers(t *testing.T) {
	z := testnet.MustZone("shop.example.", shop)
	long := strings.Repeat(strings.Repeat("x", 60)+".", 3)
	z = must(t, z, "vast DNAME "+long+strings.Repeat("y", 50)+".example.")
	const soa = "shop.example. 60 SOA"
	for _, c := range []struct {
		clause string
		name   string
		qtype  uint16
		rcode  int
		aa     bool
		answer []string
		ns     []string
		extra  []string
	}{
		{
			clause: "RFC 1034 section 4.3.2 step 3a: matching RRs are copied into the answer",
			name:   "www.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"www.shop.example. 3600 A 203.0.113.80"},
		},
		{
			clause: "RFC 4343: names match in any letter case; the reply has that of the query",
			name:   "wWw.sHop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"wWw.sHop.example. 3600 A 203.0.113.80"},
		},
		{
			clause: "RFC 2308 section 2.2: NODATA is NOERROR with SOA; section 3: its TTL is the lesser of TTL and MINIMUM",
			name:   "www.shop.example.", qtype: dns.TypeTXT, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 2308 section 2.1: NXDOMAIN with SOA",
			name:   "nothing.shop.example.", qtype: dns.TypeA, rcode: dns.RcodeNameError, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 4592 section 2.2.2: an empty non-terminal exists",
			name:   "b.c.shop.example.", qtype: dns.TypeA, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 4592 section 3.3.1: synthesis from the wildcard at the closest encloser",
			name:   "any.thing.wild.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"any.thing.wild.shop.example. 3600 A 203.0.113.81"},
		},
		{
			clause: "RFC 4592 section 2.2.1: a wildcard does not apply to names that exist",
			name:   "host.wild.shop.example.", qtype: dns.TypeTXT, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 4592 section 2.2.1: nor below them",
			name:   "below.host.wild.shop.example.", qtype: dns.TypeA, rcode: dns.RcodeNameError, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 4592 section 4.9: a wildcard can be an empty non-terminal; then NODATA",
			name:   "any.tree.shop.example.", qtype: dns.TypeA, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 1034 section 3.6.2: an alias is followed within the zone",
			name:   "alias.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"alias.shop.example. 3600 CNAME www.shop.example.", "www.shop.example. 3600 A 203.0.113.80"},
		},
		{
			clause: "RFC 1034 section 3.6.2: but not when the alias itself is asked for",
			name:   "alias.shop.example.", qtype: dns.TypeCNAME, aa: true,
			answer: []string{"alias.shop.example. 3600 CNAME www.shop.example."},
		},
		{
			clause: "an alias out of the zone ends there",
			name:   "far.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"far.shop.example. 3600 CNAME www.elsewhere.test."},
		},
		{
			clause: "a loop of aliases ends when it closes",
			name:   "loop1.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"loop1.shop.example. 3600 CNAME loop2.shop.example.", "loop2.shop.example. 3600 CNAME loop1.shop.example."},
		},
		{
			clause: "RFC 6604 section 3: after an alias, the RCODE is that of the last name",
			name:   "dead.shop.example.", qtype: dns.TypeA, rcode: dns.RcodeNameError, aa: true,
			answer: []string{"dead.shop.example. 3600 CNAME nothing.shop.example."}, ns: []string{soa},
		},
		{
			clause: "RFC 1035 section 4.1.1: AA speaks of the first owner name; an alias may end in a referral",
			name:   "into.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"into.shop.example. 3600 CNAME www.child.shop.example."},
			ns:     []string{"child.shop.example. 3600 NS ns.child.shop.example."},
			extra:  []string{"ns.child.shop.example. 3600 A 192.0.2.54"},
		},
		{
			clause: "RFC 4592 section 3.3.3: a wildcard CNAME is synthesised, then followed",
			name:   "x.aka.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{"x.aka.shop.example. 3600 CNAME www.shop.example.", "www.shop.example. 3600 A 203.0.113.80"},
		},
		{
			clause: "RFC 6672 section 3.1: DNAME and a CNAME synthesised from it, followed",
			name:   "host.old.shop.example.", qtype: dns.TypeA, aa: true,
			answer: []string{
				"old.shop.example. 3600 DNAME new.shop.example.",
				"host.old.shop.example. 3600 CNAME host.new.shop.example.",
				"host.new.shop.example. 3600 A 203.0.113.84",
			},
		},
		{
			clause: "RFC 6672 section 2.3: the owner of a DNAME is not redirected",
			name:   "old.shop.example.", qtype: dns.TypeA, aa: true, ns: []string{soa},
		},
		{
			clause: "RFC 6672 section 2.2: a name that grows too long is YXDOMAIN",
			name:   strings.Repeat("z", 60) + ".vast.shop.example.", qtype: dns.TypeA, rcode: dns.RcodeYXDomain, aa: true,
			answer: []string{"vast.shop.example. 3600 DNAME " + long + strings.Repeat("y", 50) + ".example."},
		},
		{
			clause: "RFC 1034 section 4.3.2 step 3b: a referral with glue, AA clear",
			name:   "www.child.shop.example.", qtype: dns.TypeA,
			ns:    []string{"child.shop.example. 3600 NS ns.child.shop.example."},
			extra: []string{"ns.child.shop.example. 3600 A 192.0.2.54"},
		},
		{
			clause: "glue is not an answer",
			name:   "ns.child.shop.example.", qtype: dns.TypeA,
			ns:    []string{"child.shop.example. 3600 NS ns.child.shop.example."},
			extra: []string{"ns.child.shop.example. 3600 A 192.0.2.54"},
		},
		{
			clause: "RFC 4035 section 3.1.4.1: DS is answered by the parent",
			name:   "child.shop.example.", qtype: dns.TypeDS, aa: true,
			answer: []string{"child.shop.example. 3600 DS 12345 13 2 " + strings.Repeat("AB12CD34", 8)},
		},
		{
			clause: "NS at the apex, with addresses",
			name:   "shop.example.", qtype: dns.TypeNS, aa: true,
			answer: []string{"shop.example. 3600 NS ns1.shop.example.", "shop.example. 3600 NS ns.elsewhere.test."},
			extra:  []string{"ns1.shop.example. 3600 A 192.0.2.53", "ns1.shop.example. 3600 AAAA 2001:db8::53"},
		},
		{
			clause: "RFC 1035 section 3.2.3: ANY is all records",
			name:   "www.shop.example.", qtype: dns.TypeANY, aa: true,
			answer: []string{"www.shop.example. 3600 A 203.0.113.80", "www.shop.example. 3600 AAAA 2001:db8::80"},
		},
		{
			clause: "a name outside of the zone is not answered",
			name:   "www.example.", qtype: dns.TypeA, rcode: dns.RcodeRefused,
		},
	} {
		t.Run(c.clause, func(t *testing.T) {
			r := z.Answer(plainQuery(c.name, c.qtype))
			if r.Rcode != c.rcode || r.Authoritative != c.aa {
				t.Errorf("RCODE %s, AA %t; want %s, %t", dns.RcodeToString[r.Rcode], r.Authoritative, dns.RcodeToString[c.rcode], c.aa)
			}
			compare(t, "answer", r.Answer, c.answer)
			compare(t, "authority", r.Ns, c.ns)
			compare(t, "additional", r.Extra, c.extra)
		})
	}
}

// compare compares records as "name TTL type data"; a SOA is only its name, TTL and type.
func compare(t *testing.T, section string, got []dns.RR, want []string) {
	t.Helper()
	if lines := brief(got); !slices.Equal(lines, want) {
		t.Errorf("%s section:\n got %q\nwant %q", section, lines, want)
	}
}

func brief(records []dns.RR) []string {
	var lines []string
	for _, rr := range records {
		fields := strings.Fields(rr.String())
		fields = append(fields[:2], fields[3:]...)
		if rr.Header().Rrtype == dns.TypeSOA {
			fields = fields[:3]
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return lines
}

func must(t *testing.T, z *testnet.Zone, text string) *testnet.Zone {
	t.Helper()
	if err := z.Add(text); err != nil {
		t.Fatal(err)
	}
	return z
}

// RFC 6891 section 6.1.1: an OPT record in the answer to one, and in none other.
func TestZoneEchoesEDNS(t *testing.T) {
	z := testnet.MustZone("shop.example.", shop)
	if opt := z.Answer(plainQuery("www.shop.example.", dns.TypeA)).IsEdns0(); opt != nil {
		t.Errorf("OPT in the answer to a query without: %v", opt)
	}
	q := plainQuery("www.child.shop.example.", dns.TypeA)
	q.SetEdns0(4096, true)
	opt := z.Answer(q).IsEdns0()
	if opt == nil || opt.UDPSize() != 1232 || !opt.Do() {
		t.Errorf("OPT %v, want size 1232 and DO", opt)
	}
}

func TestZoneAnswersAreCopies(t *testing.T) {
	z := testnet.MustZone("shop.example.", shop)
	q := plainQuery("www.shop.example.", dns.TypeA)
	z.Answer(q).Answer[0].Header().Ttl = 1
	if ttl := z.Answer(q).Answer[0].Header().Ttl; ttl != 3600 {
		t.Errorf("TTL %d after a change to an answer, want 3600", ttl)
	}
}

func TestZoneChanges(t *testing.T) {
	z := testnet.MustZone("shop.example.", "a.b A 203.0.113.1\na.b TXT t")
	z.Remove("a.b.shop.example.", dns.TypeTXT)
	if got := z.Answer(plainQuery("a.b.shop.example.", dns.TypeTXT)); got.Rcode != dns.RcodeSuccess || len(got.Answer) != 0 {
		t.Errorf("after removing TXT: %v", got)
	}
	z.Remove("A.B.shop.example.")
	// RFC 4592 section 2.2.2: without a name below it, an empty non-terminal is gone.
	if got := z.Answer(plainQuery("b.shop.example.", dns.TypeA)).Rcode; got != dns.RcodeNameError {
		t.Errorf("RCODE %s for a former empty non-terminal", dns.RcodeToString[got])
	}
	// RFC 2181 section 5: a set has no duplicates.
	must(t, z, "new A 203.0.113.2\nNEW 60 A 203.0.113.2")
	compare(t, "answer", z.Answer(plainQuery("new.shop.example.", dns.TypeA)).Answer, []string{"new.shop.example. 3600 A 203.0.113.2"})
}

func TestNewZoneRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a typing error":       "www A 203.0.113",
		"a record out of zone": "www.example. A 203.0.113.1",
		"an unknown type":      "www ADDRESS 203.0.113.1",
	} {
		if _, err := testnet.NewZone("shop.example.", text); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// RFC 6672 places no limit on where a DNAME points: the root is a target and an owner, too.
func TestDNAMEAtAndToTheRoot(t *testing.T) {
	up := testnet.MustZone("shop.example.", "up DNAME .")
	compare(t, "answer", up.Answer(plainQuery("www.test.up.shop.example.", dns.TypeA)).Answer,
		[]string{"up.shop.example. 3600 DNAME .", "www.test.up.shop.example. 3600 CNAME www.test."})
	root := testnet.MustZone(".", "@ DNAME shop.example.")
	compare(t, "answer", root.Answer(plainQuery("www.test.", dns.TypeCNAME)).Answer,
		[]string{". 3600 DNAME shop.example.", "www.test. 3600 CNAME www.test.shop.example."})
}
