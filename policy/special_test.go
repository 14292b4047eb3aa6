package policy

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

var epoch = time.Unix(1_800_000_000, 0)

// ask puts a question in presentation form and unpacks the answer with another implementation.
func ask(t testing.TB, s *SpecialUse, name, kind string) (*dns.Msg, wire.Answer, bool) {
	t.Helper()
	q := wire.Question{Name: wire.MustName(name), Type: wire.Type(dns.StringToType[kind]), Class: wire.ClassIN}
	a, ok := s.Answer(q, epoch)
	if !ok {
		return nil, a, false
	}
	var m dns.Msg
	if err := m.Unpack(a.Packet); err != nil {
		t.Fatalf("answer is no message: %v", err)
	}
	return &m, a, true
}

// section is a section in short form: type and RDATA of each record.
func section(rrs []dns.RR) string {
	var b []string
	for _, rr := range rrs {
		b = append(b, dns.TypeToString[rr.Header().Rrtype]+" "+strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(b, "; ")
}

const (
	nxdomain = "NXDOMAIN" // and the SOA
	noData   = "NODATA"   // and the SOA
	leaves   = "not answered here"
)

func answer(t testing.TB, s *SpecialUse, name, kind string) string {
	t.Helper()
	m, _, ok := ask(t, s, name, kind)
	switch {
	case !ok:
		return leaves
	case m.Rcode == dns.RcodeNameError:
		return nxdomain
	case m.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[m.Rcode]
	case len(m.Answer) == 0:
		return noData
	}
	return section(m.Answer)
}

type row struct{ clause, name, kind, want string }

func check(t *testing.T, s *SpecialUse, rows []row) {
	t.Helper()
	for _, c := range rows {
		t.Run(c.name+" "+c.kind, func(t *testing.T) {
			if got := answer(t, s, c.name, c.kind); got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.clause, got, c.want)
			}
		})
	}
}

const soaNumbers = " nobody.invalid. 1 3600 1200 604800 10800"

func TestSpecialUseDomainNames(t *testing.T) {
	const (
		loopbacks = "RFC 6761 section 6.3, item 4: for all such address queries, an immediate positive response giving the IP loopback address"
		negative  = "RFC 6761 section 6.3, item 4: for all other query types, an immediate negative response"
		test      = "RFC 6761 section 6.2, item 4: by default, immediate negative responses for all such queries"
		invalid   = "RFC 6761 section 6.4, item 4: NXDOMAIN responses for all such queries"
		local     = "RFC 6762 section 22.1, item 4: immediate NXDOMAIN responses for all such queries"
		onion     = "RFC 7686 section 2, item 4: caching servers, where not explicitly adapted to interoperate with Tor, answer NXDOMAIN"
		alt       = "RFC 9476 section 2: names below alt are not for the DNS; the root answers NXDOMAIN"
		internal  = "ICANN: internal is never delegated; the root answers NXDOMAIN"
		home      = "RFC 8375 section 4, item 4: as in section 3 of RFC 6303; not forwarded"
		service   = "RFC 9665 section 8.4: a locally served zone"
		resolver  = "RFC 9462 section 4: without designated resolvers, NODATA for queries to the resolver.arpa zone"
		only      = "RFC 8880 section 7.1: ipv4only.arpa has the two well-known IPv4 addresses and nothing else"
		reverse   = "RFC 8880 section 7.2: the reverse names point to ipv4only.arpa"
		arpa      = "RFC 9031 section 11, RFC 9140 section 5.6, RFC 9965: never in the DNS"
	)
	check(t, NewSpecialUse(nil), []row{
		{loopbacks, "localhost.", "A", "A 127.0.0.1"},
		{loopbacks, "localhost.", "AAAA", "AAAA ::1"},
		{loopbacks, "app.localhost.", "A", "A 127.0.0.1"},
		{loopbacks, "a.b.c.LocalHost.", "AAAA", "AAAA ::1"},
		{"RFC 8482 section 4.1: one RRset for ANY", "localhost.", "ANY", "A 127.0.0.1"},
		{negative, "localhost.", "MX", noData},
		{negative, "localhost.", "SOA", noData},
		{negative, "localhost.", "NS", noData},
		{negative, "app.localhost.", "HTTPS", noData},
		{"a label boundary", "notlocalhost.", "A", leaves},
		{"a label that ends the same", "localhost.example.", "A", leaves},

		{test, "test.", "A", nxdomain},
		{test, "www.test.", "AAAA", nxdomain},
		{invalid, "invalid.", "SOA", nxdomain},
		{invalid, "a.b.invalid.", "A", nxdomain},
		{local, "local.", "SOA", nxdomain},
		{local, "printer.local.", "A", nxdomain},
		{local, "_services._dns-sd._udp.local.", "PTR", nxdomain},
		{onion, "onion.", "A", nxdomain},
		{onion, "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion.", "A", nxdomain},
		{onion, "www.2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion.", "AAAA", nxdomain},
		{alt, "alt.", "NS", nxdomain},
		{alt, "example.alt.", "A", nxdomain},
		{internal, "internal.", "A", nxdomain},
		{internal, "metadata.google.internal.", "A", nxdomain},

		{home, "home.arpa.", "SOA", "SOA home.arpa." + soaNumbers},
		{home, "home.arpa.", "NS", "NS home.arpa."},
		{home, "home.arpa.", "A", noData},
		{home, "router.home.arpa.", "A", nxdomain},
		{service, "service.arpa.", "SOA", "SOA service.arpa." + soaNumbers},
		{service, "service.arpa.", "NS", "NS service.arpa."},
		{service, "default.service.arpa.", "A", nxdomain},
		{service, "lb._dns-sd._udp.default.service.arpa.", "PTR", nxdomain},

		{resolver, "_dns.resolver.arpa.", "SVCB", noData},
		{resolver, "resolver.arpa.", "SVCB", noData},
		{resolver, "resolver.arpa.", "A", noData},
		{resolver, "resolver.arpa.", "NS", noData},
		{resolver, "a.b.resolver.arpa.", "A", noData},

		{only, "ipv4only.arpa.", "A", "A 192.0.0.170; A 192.0.0.171"},
		{only, "ipv4only.arpa.", "AAAA", noData},
		{only, "ipv4only.arpa.", "TXT", noData},
		{only, "ipv4only.arpa.", "SOA", "SOA ipv4only.arpa." + soaNumbers},
		{only, "www.ipv4only.arpa.", "A", nxdomain},
		{reverse, "170.0.0.192.in-addr.arpa.", "PTR", "PTR ipv4only.arpa."},
		{reverse, "171.0.0.192.in-addr.arpa.", "PTR", "PTR ipv4only.arpa."},
		{reverse, "171.0.0.192.in-addr.arpa.", "A", noData},
		{"RFC 8880 section 7.2 names two addresses", "172.0.0.192.in-addr.arpa.", "PTR", leaves},

		{arpa, "6tisch.arpa.", "A", nxdomain},
		{arpa, "x.6tisch.arpa.", "A", nxdomain},
		{arpa, "eap-noob.arpa.", "A", nxdomain},
		{arpa, "_radsec._tcp.eap-noob.arpa.", "SRV", nxdomain},
		{arpa, "eap.arpa.", "A", nxdomain},
		{arpa, "noob.eap.arpa.", "NAPTR", nxdomain},
	})
}

func TestOrdinaryNamesAreNotSpecial(t *testing.T) {
	const documentation = "RFC 6761 section 6.5, item 4: caching DNS servers SHOULD NOT recognize example names as special"
	check(t, NewSpecialUse(nil), []row{
		{documentation, "example.", "A", leaves},
		{documentation, "www.example.", "A", leaves},
		{documentation, "example.com.", "A", leaves},
		{documentation, "example.net.", "A", leaves},
		{documentation, "example.org.", "A", leaves},
		{"not reserved by anybody", "corp.", "A", leaves},
		{"not reserved by anybody", "home.", "A", leaves},
		{"not reserved by anybody", "mail.", "A", leaves},
		{"the root", ".", "NS", leaves},
		{"the parent of special names", "arpa.", "NS", leaves},
		{"the parent of special names", "in-addr.arpa.", "NS", leaves},
		{"the parent of special names", "172.in-addr.arpa.", "NS", leaves},
		{"the parent of special names", "e.f.ip6.arpa.", "NS", leaves},
		{"the parent of special names", "0.0.192.in-addr.arpa.", "PTR", leaves},
		{"an address of the Internet", "1.113.0.203.example.", "PTR", leaves},
		{"a name beside special names", "as112.arpa.", "A", leaves},
		{"special labels elsewhere", "test.example.", "A", leaves},
		{"the longest name", strings.Repeat("a.", 127), "A", leaves},
	})
}

func TestLocallyServedZones(t *testing.T) {
	type zone struct {
		clause, apex string
		outside      []string // beside the zone
	}
	const (
		private       = "RFC 6303 section 4.1: RFC 1918 zones"
		special       = "RFC 6303 section 4.2: RFC 5735 and RFC 5737 zones"
		unspecified   = "RFC 6303 section 4.3: local IPv6 unicast addresses"
		unique        = "RFC 6303 section 4.4: IPv6 locally assigned local addresses"
		linkLocal     = "RFC 6303 section 4.5: IPv6 link-local addresses"
		documentation = "RFC 6303 section 4.6: IPv6 example prefix"
	)
	zones := []zone{
		{private, "10.in-addr.arpa.", []string{"9.in-addr.arpa.", "11.in-addr.arpa."}},
		{private, "168.192.in-addr.arpa.", []string{"167.192.in-addr.arpa.", "169.192.in-addr.arpa."}},
		{special, "0.in-addr.arpa.", []string{"1.in-addr.arpa."}},
		{special, "127.in-addr.arpa.", []string{"126.in-addr.arpa.", "128.in-addr.arpa."}},
		{special, "254.169.in-addr.arpa.", []string{"253.169.in-addr.arpa."}},
		{special, "2.0.192.in-addr.arpa.", []string{"1.0.192.in-addr.arpa.", "3.0.192.in-addr.arpa."}},
		{special, "100.51.198.in-addr.arpa.", []string{"101.51.198.in-addr.arpa."}},
		{special, "113.0.203.in-addr.arpa.", []string{"112.0.203.in-addr.arpa."}},
		{special, "255.255.255.255.in-addr.arpa.", []string{"254.255.255.255.in-addr.arpa.", "255.255.255.in-addr.arpa."}},
		{unspecified, strings.Repeat("0.", 32) + "ip6.arpa.", []string{"2." + strings.Repeat("0.", 31) + "ip6.arpa.", strings.Repeat("0.", 31) + "ip6.arpa."}},
		{unique, "d.f.ip6.arpa.", []string{"c.f.ip6.arpa."}},
		{linkLocal, "8.e.f.ip6.arpa.", []string{"7.e.f.ip6.arpa."}},
		{linkLocal, "9.e.f.ip6.arpa.", nil},
		{linkLocal, "a.e.f.ip6.arpa.", nil},
		{linkLocal, "b.e.f.ip6.arpa.", []string{"c.e.f.ip6.arpa."}},
		{documentation, "8.b.d.0.1.0.0.2.ip6.arpa.", []string{"9.b.d.0.1.0.0.2.ip6.arpa."}},
	}
	for i := 16; i <= 31; i++ {
		zones = append(zones, zone{private, octet(i) + ".172.in-addr.arpa.", []string{"15.172.in-addr.arpa.", "32.172.in-addr.arpa."}})
	}
	for i := 64; i <= 127; i++ {
		zones = append(zones, zone{
			"RFC 7793: the 64 zones of 100.64.0.0/10",
			octet(i) + ".100.in-addr.arpa.",
			[]string{"63.100.in-addr.arpa.", "128.100.in-addr.arpa."},
		})
	}
	s := NewSpecialUse(nil)
	for _, z := range zones {
		rows := []row{
			{z.clause + "; section 3: SOA", z.apex, "SOA", "SOA " + z.apex + soaNumbers},
			{z.clause + "; section 3: NS", z.apex, "NS", "NS " + z.apex},
			{z.clause + "; section 3: no address records", z.apex, "A", noData},
			{z.clause + "; section 3: otherwise empty", z.apex, "DS", noData},
			{z.clause + "; section 3: otherwise empty", "77.66." + z.apex, "PTR", nxdomain},
		}
		for _, name := range z.outside {
			rows = append(rows, row{z.clause + ": not beyond", name, "PTR", leaves})
		}
		check(t, s, rows)
	}
	loopback6 := "1." + strings.Repeat("0.", 31) + "ip6.arpa."
	check(t, s, []row{
		{"RFC 1912 section 4.1: loopback has a name", "1.0.0.127.in-addr.arpa.", "PTR", "PTR localhost."},
		{"RFC 1912 section 4.1: loopback has a name", loopback6, "PTR", "PTR localhost."},
		{unspecified, loopback6, "SOA", "SOA " + loopback6 + soaNumbers},
		{unspecified, "x." + loopback6, "PTR", nxdomain},
		{"RFC 8020 section 2: an empty non-terminal exists", "0.0.127.in-addr.arpa.", "PTR", noData},
		{"RFC 8020 section 2: an empty non-terminal exists", "0.127.in-addr.arpa.", "PTR", noData},
		{special, "2.0.0.127.in-addr.arpa.", "PTR", nxdomain},
		{special, "1.1.0.0.127.in-addr.arpa.", "PTR", nxdomain},
	})
}

func octet(i int) string {
	digits := []byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)}
	return strings.TrimLeft(string(digits), "0")
}

func TestEachRowHasItsReference(t *testing.T) {
	for _, r := range specialNames {
		if r.reference == "" {
			t.Errorf("%s has none", r.name)
		}
	}
}

// RFC 8375 section 4, item 4: "a query for a DS record with the DO bit set MUST return the correct answer for that
// question, including correct information in the authority section that proves that the record is nonexistent."
func TestDSIsTheParents(t *testing.T) {
	s := NewSpecialUse(nil)
	for _, c := range []struct {
		name string
		kind wire.Type
		do   bool
		want bool
	}{
		{"home.arpa.", wire.TypeDS, true, false},
		{"service.arpa.", wire.TypeDS, true, false},
		{"home.arpa.", wire.TypeDS, false, true},
		{"home.arpa.", wire.TypeNS, true, true},
		{"a.home.arpa.", wire.TypeDS, true, true},
		{"10.in-addr.arpa.", wire.TypeDS, true, true},
		{"onion.", wire.TypeDS, true, true},
	} {
		_, ok := s.Answer(wire.Question{Name: wire.MustName(c.name), Type: c.kind, Class: wire.ClassIN, DO: c.do}, epoch)
		if ok != c.want {
			t.Errorf("%s, type %d, DO %v: answered here %v, want %v", c.name, c.kind, c.do, ok, c.want)
		}
	}
}

func TestNegativeAnswer(t *testing.T) {
	m, a, _ := ask(t, NewSpecialUse(nil), "www.test.", "A")
	if got, want := section(m.Ns), "SOA test."+soaNumbers; got != want {
		t.Errorf("RFC 2308 section 2: the SOA is in the authority section: got %q, want %q", got, want)
	}
	if m.Ns[0].Header().Name != "test." || m.Ns[0].Header().Ttl != 10800 {
		t.Errorf("RFC 6303 section 3: TTL and negative TTL match: got %v", m.Ns[0].Header())
	}
	if len(a.Errors) != 1 || a.Errors[0].Code != wire.EDEOther || a.Errors[0].Text == "" {
		t.Errorf("RFC 8914 section 4.1: Other has an EXTRA-TEXT: got %v", a.Errors)
	}
}

func TestPositiveAnswer(t *testing.T) {
	m, a, _ := ask(t, NewSpecialUse(nil), "app.localhost.", "A")
	if h := m.Answer[0].Header(); h.Name != "app.localhost." || h.Ttl != 10800 || h.Class != dns.ClassINET {
		t.Errorf("got %v", h)
	}
	if len(m.Ns)+len(m.Extra)+len(a.Errors) != 0 {
		t.Errorf("a positive answer has nothing beside itself: %v %v", m, a.Errors)
	}
}

func TestAnswersAreWholeMessages(t *testing.T) {
	for _, name := range []string{"www.test.", "localhost.", "_dns.resolver.arpa.", "10.in-addr.arpa."} {
		m, a, _ := ask(t, NewSpecialUse(nil), name, "A")
		if m.Id != 0 || !m.Response || !m.Authoritative || !m.RecursionAvailable || m.RecursionDesired || m.AuthenticatedData || m.CheckingDisabled || m.Truncated {
			t.Errorf("%s: header %v", name, m.MsgHdr)
		}
		if len(m.Question) != 1 || m.Question[0] != (dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}) {
			t.Errorf("%s: question %v", name, m.Question)
		}
		if !a.Fixed || !a.Expires.Equal(epoch.Add(3*time.Hour)) {
			t.Errorf("%s: fixed %v, expires %v", name, a.Fixed, a.Expires)
		}
	}
}

// Special-use names are local data: a question without RD may be answered from them.
func TestQuestionsWithoutRecursionAreAnswered(t *testing.T) {
	s := NewSpecialUse(nil)
	q := wire.Question{Name: wire.MustName("localhost."), Type: wire.TypeA, Class: wire.ClassIN}
	with, _ := s.Answer(q, epoch)
	q.NoRecursion = true
	without, ok := s.Answer(q, epoch)
	if !ok || !bytes.Equal(with.Packet, without.Packet) {
		t.Error("RD=0 makes a difference")
	}
}

func TestServedZonesAreLeftAlone(t *testing.T) {
	const configured = "RFC 6303 section 3: unless configured otherwise"
	for _, c := range []struct {
		name   string
		served []string
		rows   []row
	}{
		{"the zone itself", []string{"home.arpa.", "localhost."}, []row{
			{configured, "home.arpa.", "SOA", leaves},
			{configured, "router.home.arpa.", "A", leaves},
			{configured, "localhost.", "A", leaves},
			{configured, "a.localhost.", "A", leaves},
			{configured, "service.arpa.", "SOA", "SOA service.arpa." + soaNumbers},
		}},
		{"a zone below", []string{"corp.internal."}, []row{
			{configured, "corp.internal.", "A", leaves},
			{configured, "a.b.corp.internal.", "A", leaves},
			{configured, "other.internal.", "A", nxdomain},
			{configured, "xcorp.internal.", "A", nxdomain},
			{"RFC 8020 section 2: NXDOMAIN would deny the zone below", "internal.", "A", noData},
		}},
		{"a zone two labels below", []string{"a.b.test."}, []row{
			{configured, "x.a.b.test.", "A", leaves},
			{"RFC 8020 section 2: an empty non-terminal exists", "b.test.", "A", noData},
			{configured, "c.b.test.", "A", nxdomain},
		}},
		{"one of several reverse zones", []string{"168.192.in-addr.arpa."}, []row{
			{configured, "1.1.168.192.in-addr.arpa.", "PTR", leaves},
			{configured, "1.1.1.10.in-addr.arpa.", "PTR", nxdomain},
		}},
		{"a subnet of a reverse zone", []string{"2.1.10.in-addr.arpa."}, []row{
			{configured, "3.2.1.10.in-addr.arpa.", "PTR", leaves},
			{configured, "3.3.1.10.in-addr.arpa.", "PTR", nxdomain},
			{configured, "10.in-addr.arpa.", "NS", "NS 10.in-addr.arpa."},
		}},
		{"a zone above several", []string{"in-addr.arpa."}, []row{
			{"named by the operator, with all that is below", "1.1.1.10.in-addr.arpa.", "PTR", leaves},
			{"named by the operator, with all that is below", "1.0.0.127.in-addr.arpa.", "PTR", leaves},
			{"beside it", "d.f.ip6.arpa.", "NS", "NS d.f.ip6.arpa."},
			{"beside it", "localhost.", "A", "A 127.0.0.1"},
		}},
		{"the root", []string{"."}, []row{
			{"forwarding everything is not about these names", "printer.local.", "A", nxdomain},
			{"forwarding everything is not about these names", "1.1.1.10.in-addr.arpa.", "PTR", nxdomain},
			{"forwarding everything is not about these names", "localhost.", "A", "A 127.0.0.1"},
		}},
		{"a zone elsewhere", []string{"corp.example."}, []row{
			{configured, "corp.example.", "A", leaves},
			{configured, "www.test.", "A", nxdomain},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var served []wire.Name
			for _, text := range c.served {
				served = append(served, wire.MustName(text))
			}
			check(t, NewSpecialUse(served), c.rows)
		})
	}
}

func TestTablesAreIndependent(t *testing.T) {
	NewSpecialUse([]wire.Name{wire.MustName("test.")})
	if got := answer(t, NewSpecialUse(nil), "www.test.", "A"); got != nxdomain {
		t.Errorf("got %s", got)
	}
}

func TestAnswersShareNothing(t *testing.T) {
	s := NewSpecialUse(nil)
	q := wire.Question{Name: wire.MustName("localhost."), Type: wire.TypeA, Class: wire.ClassIN}
	first, _ := s.Answer(q, epoch)
	whole := slices.Clone(first.Packet)
	clear(first.Packet)
	if second, _ := s.Answer(q, epoch); !bytes.Equal(second.Packet, whole) {
		t.Error("an answer changed with the one before")
	}
}

func TestSpecialUseConcurrently(t *testing.T) {
	s := NewSpecialUse(nil)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				if answer(t, s, "a.localhost.", "A") != "A 127.0.0.1" || answer(t, s, "a.example.", "A") != leaves {
					t.Error("wrong answer")
					return
				}
			}
		})
	}
	group.Wait()
}

func TestMissDoesNotAllocate(t *testing.T) {
	s := NewSpecialUse([]wire.Name{wire.MustName("corp.internal.")})
	for _, name := range []string{"www.example.com.", ".", "a.corp.internal.", "1.2.0.203.in-addr.arpa.", strings.Repeat("a.", 127), "9.9.9.9.in-addr.arpa."} {
		q := wire.Question{Name: wire.MustName(name), Type: wire.TypeA, Class: wire.ClassIN}
		if n := testing.AllocsPerRun(100, func() {
			if _, ok := s.Answer(q, epoch); ok {
				t.Fatal("answered")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkSpecialUse(b *testing.B) {
	s := NewSpecialUse(nil)
	for _, c := range []struct{ name, qname string }{
		{"miss", "www.example.com."}, {"miss in arpa", "1.2.0.203.in-addr.arpa."}, {"hit", "www.onion."},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := wire.Question{Name: wire.MustName(c.qname), Type: wire.TypeA, Class: wire.ClassIN}
			b.ReportAllocs()
			for b.Loop() {
				s.Answer(q, epoch)
			}
		})
	}
}
