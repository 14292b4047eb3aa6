package resolver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// message writes a response as text: its header's words, then sections divided by "|".
func message(t testing.TB, text string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	sections := strings.Split(text, "|")
	for word := range strings.FieldsSeq(sections[0]) {
		switch word {
		case "AA":
			m.Authoritative = true
		case "RA":
			m.RecursionAvailable = true
		default:
			m.Rcode = dns.StringToRcode[word]
		}
	}
	for i, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		if i+1 >= len(sections) {
			break
		}
		for record := range strings.SplitSeq(sections[i+1], ";") {
			if record = strings.TrimSpace(record); record == "" {
				continue
			}
			rr, err := dns.NewRR(record)
			if err != nil {
				t.Fatal(err)
			}
			*section = append(*section, rr)
		}
	}
	return m
}

const soaShop = "shop.example. 300 SOA ns. h. 1 1 1 1 60"

// The question is www.shop.example. A unless said otherwise, the zone shop.example.
var classifications = []struct {
	name, message string
	kind          string
	want          outcome
	detail        string // the records taken, the target or the cut
	doubtful      bool
}{
	{name: "answer", message: "AA|www.shop.example. A 203.0.113.1", want: answer, detail: "www.shop.example. A"},
	{name: "answer without AA", message: "|www.shop.example. A 203.0.113.1", want: answer, detail: "www.shop.example. A"},
	{name: "answer of a server that recursed", message: "RA|www.shop.example. A 203.0.113.1", want: answer, detail: "www.shop.example. A", doubtful: true},
	{name: "letter case", message: "AA|WWW.shop.EXAMPLE. A 203.0.113.1", want: answer, detail: "www.shop.example. A"},
	{
		name: "answer and records nobody asked for", message: "AA|www.shop.example. A 203.0.113.1; x.shop.example. A 203.0.113.66; example. NS evil.example.",
		want: answer, detail: "www.shop.example. A",
	},
	{name: "only records nobody asked for", message: "AA|x.shop.example. A 203.0.113.66", want: noData},
	{name: "another class", message: "AA|www.shop.example. CH A 203.0.113.1", want: noData},

	// RFC 2308 section 2.
	{name: "NODATA type 3", message: "AA", want: noData},
	{name: "NODATA", message: "AA||" + soaShop, want: noData},
	{name: "NXDOMAIN", message: "AA NXDOMAIN||" + soaShop, want: noName},
	{name: "NXDOMAIN with NS (section 2.1, type 4)", message: "AA NXDOMAIN||shop.example. NS evil.example.", want: noName},
	{name: "NXDOMAIN with a referral", message: "NXDOMAIN||www.shop.example. NS evil.example.", want: noName, doubtful: true},
	{name: "NXDOMAIN and the record", message: "AA NXDOMAIN|www.shop.example. A 203.0.113.1|" + soaShop, want: answer, detail: "www.shop.example. A"},
	{name: "SOA of another name", message: "AA||x.shop.example. 300 SOA ns. h. 1 1 1 1 60", want: noData},
	{name: "SOA of the parent", message: "AA||example. 300 SOA ns. h. 1 1 1 1 60", want: noData},
	{name: "empty, not AA", message: "", want: noData, doubtful: true},

	// RFC 1034 section 4.3.2, RFC 6604 section 3: the RCODE is that of the last name.
	{
		name: "alias", message: "AA|www.shop.example. CNAME w.shop.example.; w.shop.example. A 203.0.113.1", want: answer,
		detail: "www.shop.example. CNAME, w.shop.example. A",
	},
	{
		name: "alias out", message: "AA|www.shop.example. CNAME w.other.test.; w.other.test. A 203.0.113.66", want: alias,
		detail: "www.shop.example. CNAME > w.other.test.",
	},
	{
		name: "alias out, NXDOMAIN there", message: "AA NXDOMAIN|www.shop.example. CNAME w.other.test.|other.test. 1 SOA ns. h. 1 1 1 1 1", want: alias,
		detail: "www.shop.example. CNAME > w.other.test.",
	},
	{name: "alias to nothing", message: "AA NXDOMAIN|www.shop.example. CNAME w.shop.example.|" + soaShop, want: noName, detail: "www.shop.example. CNAME > w.shop.example."},
	{name: "alias without end", message: "AA|www.shop.example. CNAME w.shop.example.", want: alias, detail: "www.shop.example. CNAME > w.shop.example."},
	{
		name: "alias and referral", message: "AA|www.shop.example. CNAME a.sub.shop.example.|sub.shop.example. NS ns.sub.shop.example.", want: alias,
		detail: "www.shop.example. CNAME > a.sub.shop.example.",
	},
	{name: "alias asked for", kind: "CNAME", message: "AA|www.shop.example. CNAME w.other.test.", want: answer, detail: "www.shop.example. CNAME"},
	{
		name: "aliases that go round", message: "AA|www.shop.example. CNAME a.shop.example.; a.shop.example. CNAME www.shop.example.", want: alias,
		detail: "www.shop.example. CNAME, a.shop.example. CNAME",
	},
	{name: "alias to itself", message: "AA|www.shop.example. CNAME www.shop.example.", want: alias},

	// RFC 6672 section 2.2.
	{name: "DNAME", message: "AA|shop.example. DNAME other.test.", want: alias, detail: "shop.example. DNAME, www.shop.example. CNAME > www.other.test."},
	{name: "DNAME above the zone", message: "AA|example. DNAME evil.test.", want: noData},
	{
		name: "DNAME and another CNAME", message: "AA|shop.example. DNAME other.test.; www.shop.example. CNAME www.evil.test.", want: alias,
		detail: "shop.example. DNAME, www.shop.example. CNAME > www.other.test.",
	},

	// RFC 1034 section 4.2.1.
	{name: "referral", message: "||www.shop.example. NS ns.www.shop.example.|ns.www.shop.example. A 192.0.2.1", want: referral, detail: "cut www.shop.example."},
	{name: "referral to itself", message: "||shop.example. NS ns.shop.example.", want: lame},
	{name: "upward referral", message: "||. NS a.root-servers.example.", want: lame},
	{name: "sideways referral", message: "||other.example. NS ns.other.example.", want: lame},
	{name: "referral for another name", message: "||x.shop.example. NS ns.x.shop.example.", want: lame},

	{name: "REFUSED", message: "REFUSED", want: lame},
	{name: "SERVFAIL", message: "SERVFAIL|www.shop.example. A 203.0.113.1", want: failing},
	{name: "NOTIMP", message: "NOTIMP", want: failing},
	{name: "FORMERR", message: "FORMERR", want: malformed},
}

func TestClassify(t *testing.T) {
	zone, name := wire.MustName("shop.example."), wire.MustName("www.shop.example.")
	for _, c := range classifications {
		kind := wire.TypeA
		if c.kind != "" {
			kind = wire.Type(dns.StringToType[c.kind])
		}
		r, ok := scrub(message(t, c.message), wire.Question{Name: name, Type: kind}, zone)
		if !ok {
			t.Errorf("%s: refused", c.name)
			continue
		}
		j := classify(&r, name, kind, zone)
		if doubtful := j.usable() && j.doubtful; j.outcome != c.want || doubtful != c.doubtful {
			t.Errorf("%s: %v, doubtful %v; want %v, %v", c.name, j.outcome, j.doubtful, c.want, c.doubtful)
		}
		if got := detail(j, name); c.detail != "" && got != c.detail {
			t.Errorf("%s: %s, want %s", c.name, got, c.detail)
		}
	}
}

func detail(j *judgement, name wire.Name) string {
	if j.outcome == referral {
		return "cut " + j.cut.Reveal()
	}
	var sets []string
	for _, set := range j.records {
		sets = append(sets, set.Name.Reveal()+" "+dns.TypeToString[uint16(set.Type)])
	}
	text := strings.Join(sets, ", ")
	if j.target != name && j.outcome != answer {
		text += " > " + j.target.Reveal()
	}
	return text
}

// RFC 2181 section 5.2: the TTLs of one RRset are one, and the least is the safe one; section 5: equal records are one;
// section 8: a TTL with its highest bit set is zero.
func TestScrubMakesRRsets(t *testing.T) {
	zone := wire.MustName("shop.example.")
	r, _ := scrub(message(t, "AA|shop.example. 300 A 203.0.113.1; shop.example. 60 A 203.0.113.2; shop.example. 300 A 203.0.113.1; x.shop.example. 4294967295 A 203.0.113.1"),
		wire.Question{Name: zone, Type: wire.TypeA}, zone)
	if len(r.answer) != 2 || r.answer[0].Data.Count() != 2 || r.answer[0].TTL != 60 || r.answer[1].TTL != 0 {
		t.Errorf("%+v", r.answer)
	}
}

func TestScrubBoundsWhatIsKept(t *testing.T) {
	zone := wire.MustName("shop.example.")
	signed := message(t, "AA|shop.example. A 203.0.113.1")
	for i := range 20 {
		rr, err := dns.NewRR(fmt.Sprintf("shop.example. RRSIG A 13 2 300 20261201000000 20261101000000 %d shop.example. AA==", i))
		if err != nil {
			t.Fatal(err)
		}
		signed.Answer = append(signed.Answer, rr)
	}
	r, _ := scrub(signed, wire.Question{Name: zone, Type: wire.TypeA}, zone)
	if got := r.answer[0].Sigs.Count(); got != maxSignatures {
		t.Errorf("%d signatures kept, want %d", got, maxSignatures)
	}
	for count, want := range map[int]bool{maxRecords: true, maxRecords + 1: false} {
		var records strings.Builder
		for i := range count {
			fmt.Fprintf(&records, "shop.example. TXT %d;", i)
		}
		if _, ok := scrub(message(t, "AA|"+records.String()), wire.Question{Name: zone, Type: wire.TypeTXT}, zone); ok != want {
			t.Errorf("an RRset of %d records: %v, want %v", count, ok, want)
		}
	}
	var glue strings.Builder
	for i := range 20 {
		fmt.Fprintf(&glue, "ns.shop.example. A 192.0.2.%d; ns.other.example. A 192.0.2.66;", i)
	}
	r, _ = scrub(message(t, "|||"+glue.String()), wire.Question{Name: zone, Type: wire.TypeA}, zone)
	if got := len(r.glue[wire.MustName("ns.shop.example.")]); got != maxGlue || len(r.glue) != 1 {
		t.Errorf("%d addresses of a server, %d servers", got, len(r.glue))
	}
}
