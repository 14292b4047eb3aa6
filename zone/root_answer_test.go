package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
)

const unknown = "\n. 86400 TYPE65280 \\# 4 01020304\n"

// summary names each record by owner and type, signatures by what they cover.
func summary(records []dns.RR) string {
	var list []string
	for _, rr := range records {
		kind := dns.Type(rr.Header().Rrtype).String()
		if sig, ok := rr.(*dns.RRSIG); ok {
			kind = "sig/" + dns.Type(sig.TypeCovered).String()
		}
		list = append(list, rr.Header().Name+kind)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestAnswerSaysWhatARootServerWould(t *testing.T) {
	c := transferred(t, makeRoot(version{serial: "1", extra: unknown}))
	const soa = ".SOA .sig/SOA"
	for _, test := range []struct {
		name, clause     string
		qname            string
		kind             uint16
		rcode            int
		authoritative    bool
		answer, ns, glue string
	}{
		{
			"the root's servers", "RFC 1034 section 4.3.2 step 3a", ".", dns.TypeNS, 0, true,
			".NS .NS .sig/NS", "", "ns1.root.test.A ns1.root.test.AAAA ns2.root.test.A",
		},
		{"the root's keys", "RFC 4035 section 3.1", ".", dns.TypeDNSKEY, 0, true, ".DNSKEY .sig/DNSKEY", "", ""},
		{"a type that nobody knew", "RFC 3597 section 3", ".", 65280, 0, true, ".TYPE65280 .sig/TYPE65280", "", ""},
		{"no such type at the apex", "RFC 4035 section 3.1.3.1", ".", dns.TypeMX, 0, true, "", ".NSEC " + soa + " .sig/NSEC", ""},
		{
			"a signed delegation", "RFC 4035 section 3.1.4", "www.shop.example.", dns.TypeA, 0, false,
			"", "example.DS example.NS example.NS example.sig/DS", "ns.example.A ns1.root.test.A ns1.root.test.AAAA",
		},
		{
			"the delegation's own name", "RFC 1034 section 4.3.2 step 3b", "example.", dns.TypeNS, 0, false,
			"", "example.DS example.NS example.NS example.sig/DS", "ns.example.A ns1.root.test.A ns1.root.test.AAAA",
		},
		{
			"glue is no answer", "RFC 2181 section 5.4.1", "ns.example.", dns.TypeA, 0, false,
			"", "example.DS example.NS example.NS example.sig/DS", "ns.example.A ns1.root.test.A ns1.root.test.AAAA",
		},
		{
			"an unsigned delegation", "RFC 4035 section 3.1.4", "www.test.", dns.TypeA, 0, false,
			"", "test.NS test.NSEC test.sig/NSEC", "ns.example.A",
		},
		{"a DS RRset", "RFC 4035 section 3.1.4.1", "example.", dns.TypeDS, 0, true, "example.DS example.sig/DS", "", ""},
		{"no DS RRset", "RFC 4035 section 3.1.4.1", "test.", dns.TypeDS, 0, true, "", soa + " test.NSEC test.sig/NSEC", ""},
		{
			"a DS RRset further below", "RFC 4035 section 3.1.4.1", "shop.example.", dns.TypeDS, 0, false,
			"", "example.DS example.NS example.NS example.sig/DS", "ns.example.A ns1.root.test.A ns1.root.test.AAAA",
		},
		{
			"no such name", "RFC 4035 section 3.1.3.2", "www.corp.", dns.TypeA, dns.RcodeNameError, true,
			"", ".NSEC " + soa + " .sig/NSEC", "",
		},
		{
			"no such name, the wildcard elsewhere", "RFC 4035 section 3.1.3.2", "zz.", dns.TypeA, dns.RcodeNameError, true,
			"", ".NSEC " + soa + " .sig/NSEC test.NSEC test.sig/NSEC", "",
		},
		{"a name of the root's own", "RFC 1034 section 4.3.2 step 3a", "invalid.", dns.TypeTXT, 0, true, "invalid.TXT invalid.sig/TXT", "", ""},
		{
			"another type there", "RFC 4035 section 3.1.3.1", "invalid.", dns.TypeA, 0, true,
			"", soa + " invalid.NSEC invalid.sig/NSEC", "",
		},
		{
			"an empty non-terminal", "RFC 4592 section 2.2.2", "ent.invalid.", dns.TypeA, 0, true,
			"", soa + " invalid.NSEC invalid.sig/NSEC", "",
		},
		{
			"below an empty non-terminal", "RFC 4592 section 3.3.1", "zz.ent.invalid.", dns.TypeA, dns.RcodeNameError, true,
			"", soa + " invalid.NSEC invalid.sig/NSEC leaf.ent.invalid.NSEC leaf.ent.invalid.sig/NSEC", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := c.Answer(wire.MustName(test.qname), wire.Type(test.kind))
			for _, part := range []struct{ name, got, want string }{
				{"answer", summary(m.Answer), ordered(test.answer)},
				{"authority", summary(m.Ns), ordered(test.ns)},
				{"additional", summary(m.Extra), ordered(test.glue)},
			} {
				if part.got != part.want {
					t.Errorf("%s: %s: got %q, want %q", test.clause, part.name, part.got, part.want)
				}
			}
			if m.Rcode != test.rcode || m.Authoritative != test.authoritative || !m.Response || m.Truncated {
				t.Errorf("header %v", m.MsgHdr)
			}
			if q := m.Question; len(q) != 1 || q[0] != (dns.Question{Name: test.qname, Qtype: test.kind, Qclass: 1}) {
				t.Errorf("question %v", q)
			}
			if _, err := m.Pack(); err != nil {
				t.Errorf("cannot be sent: %v", err)
			}
		})
	}
}

func ordered(list string) string {
	names := strings.Fields(list)
	slices.Sort(names)
	return strings.Join(names, " ")
}

// What the copy says is judged like what any server says, and is found to be secure.
func TestAnswersValidate(t *testing.T) {
	zone := makeRoot(version{serial: "1", extra: unknown})
	c, v := transferred(t, zone), dnssec.New(dnssec.Options{Anchors: anchor{}})
	for _, q := range []struct {
		name string
		kind wire.Type
	}{
		{".", wire.TypeNS},
		{".", wire.TypeSOA},
		{".", 65280},
		{".", wire.TypeMX},
		{"example.", wire.TypeDS},
		{"test.", wire.TypeDS},
		{"www.corp.", wire.TypeA},
		{"zz.", wire.TypeA},
		{"invalid.", wire.TypeTXT},
		{"invalid.", wire.TypeA},
		{"ent.invalid.", wire.TypeA},
		{"zz.ent.invalid.", wire.TypeA},
		{"a.b.zz.ent.invalid.", wire.TypeA},
		{"zzz.invalid.", wire.TypeA},
	} {
		m := c.Answer(wire.MustName(q.name), q.kind)
		f := fetcher{c}
		var verdict dnssec.Verdict
		var err error
		if sets := setsOf(m.Answer); len(sets) > 0 {
			verdict, err = v.RRset(context.Background(), time.Now(), work.New(work.DefaultLimits), &sets[0], nil, f)
		} else {
			d := dnssec.Denied{Name: wire.MustName(q.name), Type: q.kind, NoName: m.Rcode == dns.RcodeNameError}
			for _, set := range setsOf(m.Ns) {
				if set.Type == wire.TypeSOA {
					d.SOA = &set
				} else {
					d.Proof = append(d.Proof, set)
				}
			}
			verdict, err = v.Denial(context.Background(), time.Now(), work.New(work.DefaultLimits), d, f)
		}
		if err != nil || verdict.Status != wire.Secure {
			t.Errorf("%s %d: %v, %v, %v", q.name, q.kind, verdict.Status, verdict.Reason, err)
		}
	}
}

// A fetcher asks the copy.
type fetcher struct{ copy *Copy }

func (f fetcher) Fetch(_ context.Context, _ *work.Budget, name wire.Name, t wire.Type) (dnssec.Reply, error) {
	sets := setsOf(f.copy.Answer(name, t).Answer)
	if len(sets) == 0 {
		return dnssec.Reply{}, fmt.Errorf("not there")
	}
	return dnssec.Reply{Set: &sets[0], TTL: time.Hour}, nil
}

func (fetcher) Refetch(wire.Name, wire.Type) bool { return false }

func setsOf(records []dns.RR) []wire.RRset {
	var sets []wire.RRset
	find := func(name string, kind uint16) *wire.RRset {
		for i := range sets {
			if sets[i].Name == wire.MustName(name) && sets[i].Type == wire.Type(kind) {
				return &sets[i]
			}
		}
		sets = append(sets, wire.RRset{Name: wire.MustName(name), Type: wire.Type(kind)})
		return &sets[len(sets)-1]
	}
	for _, rr := range records {
		if sig, ok := rr.(*dns.RRSIG); ok {
			set := find(sig.Hdr.Name, sig.TypeCovered)
			set.Sigs = set.Sigs.Add(rdata(rr))
			continue
		}
		set := find(rr.Header().Name, rr.Header().Rrtype)
		set.TTL = rr.Header().Ttl
		set.Data = set.Data.Add(rdata(rr))
	}
	return sets
}

// RDATA that the library cannot read is given as octets: what is in the zone is the zone's.
func TestAnswerKeepsOctets(t *testing.T) {
	a := assembled(t, makeRoot(version{serial: "1"}).records)
	if err := a.add(&record{wire.Root, wire.TypeHINFO, 300, []byte{200, 1, 2}}); err != nil { // no character-string
		t.Fatal(err)
	}
	c, err := a.finish()
	if err != nil {
		t.Fatal(err)
	}
	answer := c.Answer(wire.Root, wire.TypeHINFO).Answer
	if len(answer) != 1 || string(rdata(answer[0])) != "\xc8\x01\x02" || answer[0].Header().Rrtype != dns.TypeHINFO {
		t.Errorf("got %v", answer)
	}
}

// What Answer could not answer for is no Copy.
func TestCopyIsOfARootZone(t *testing.T) {
	const whole = ". 9 SOA a.test. b.test. 1 2 3 4 5\n. 9 NSEC test. SOA\n"
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"SOA and NSEC", whole, nil},
		{"a signature over nothing", whole + ". 9 RRSIG MX 13 0 9 20300101000000 20200101000000 1 . AAAA\n", errOrphan},
		{"a wildcard", whole + "*.invalid. 9 A 192.0.2.1\n", errUncopied},
		{"CNAME", whole + "a.invalid. 9 CNAME test.\n", errUncopied},
		{"DNAME", whole + "a.invalid. 9 DNAME test.\n", errUncopied},
		{"no SOA", ". 9 NSEC test. NS\n", errNoSOA},
		{"two SOA records", whole + ". 9 SOA a.test. b.test. 2 2 3 4 5\n", errNoSOA},
		{"no NSEC", ". 9 SOA a.test. b.test. 1 2 3 4 5\n", errNoDenials},
		{"no NSEC at the apex", ". 9 SOA a.test. b.test. 1 2 3 4 5\ntest. 9 NSEC . A\n", errNoDenials},
		{"nothing", "", errNoDenials},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := assembled(t, parse(test.text)).finish(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// realistic has the size of the real root: 1,450 delegations with six servers each, signed with RSA keys of 2,048 bits.
func realistic(t testing.TB) *Copy {
	t.Helper()
	var a assembly
	add := func(name wire.Name, kind wire.Type, data []byte) {
		if err := a.add(&record{name, kind, 172800, data}); err != nil {
			t.Fatal(err)
		}
	}
	signed := func(name wire.Name, kind wire.Type, data []byte) {
		add(name, kind, data)
		add(name, wire.TypeRRSIG, append([]byte{byte(kind >> 8), byte(kind), 17: 0, 18: 0}, make([]byte, 256)...))
	}
	soa := rdata(parse(". 86400 SOA ns1.root.test. nobody.invalid. 1 1800 900 604800 86400")[0])
	signed(wire.Root, wire.TypeSOA, soa)
	signed(wire.Root, wire.TypeNSEC, make([]byte, 20))
	for i := range 1450 {
		tld := wire.MustName(fmt.Sprintf("tld%d.", i))
		for j := range 6 {
			server, err := tld.Prepend(fmt.Sprintf("ns%d", j))
			if err != nil {
				t.Fatal(err)
			}
			add(tld, wire.TypeNS, server.Append(nil))
			if j < 4 {
				add(server, wire.TypeA, []byte{192, 0, 2, byte(j)})
				add(server, wire.TypeAAAA, make([]byte, 16))
			}
		}
		signed(tld, wire.TypeDS, make([]byte, 36))
		signed(tld, wire.TypeNSEC, make([]byte, 20))
	}
	c, err := a.finish()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSizeIsStated(t *testing.T) {
	c := realistic(t)
	t.Logf("%d records in %d RRsets: %d bytes", c.records, len(c.sets), c.Size())
	if c.Size() < 1<<20 || c.Size() > 4<<20 {
		t.Errorf("%d bytes", c.Size())
	}
}

func BenchmarkAnswer(b *testing.B) {
	c := realistic(b)
	for _, q := range []struct{ name, qname string }{{"referral", "www.tld700."}, {"no such name", "www.corp."}} {
		name := wire.MustName(q.qname)
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Answer(name, wire.TypeA)
			}
		})
	}
}
