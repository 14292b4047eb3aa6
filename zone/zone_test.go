package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

var someDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// edged leads to the edge of the documentation.
var edged = Options{
	Nameservers: []wire.Name{wire.MustName("ns1.dns.test."), wire.MustName("ns2.dns.test.")},
	Edge: Edge{
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")},
		ALPN:      []string{"h3", "h2"},
	},
}

func tryBuild(origin, text string, o Options) (*Zone, Problems) {
	z, _, problems := Build(&Source{File: "z", Text: []byte(text), Origin: wire.MustName(origin), Changed: someDay}, someDay, &o)
	return z, problems
}

func built(t testing.TB, origin, text string, o Options) *Zone {
	t.Helper()
	z, problems := tryBuild(origin, text, o)
	if z == nil || problems.Grave() {
		t.Fatal(problems)
	}
	return z
}

// text is what a zone says, in a line: the outcome, then the records as type, TTL and RDATA, then where it leads.
func (f *Finding) text() string {
	names := [...]string{
		Answered: "answer", NoData: "no data", NoName: "no name", Alias: "alias", Flattened: "flattened", Delegated: "delegated",
		TooLong: "too long", Withheld: "withheld",
	}
	parts := []string{names[f.Outcome]}
	for i := range f.Sets {
		parts = append(parts, records(&f.Sets[i])...)
	}
	if f.Outcome == Alias || f.Outcome == Flattened {
		parts = append(parts, "-> "+f.Target.Reveal())
	}
	if f.Cut != nil {
		parts = append(parts, f.Cut.NS.Name.Reveal())
		parts = append(parts, records(&f.Cut.NS)...)
		if f.Cut.DS != nil {
			parts = append(parts, "DS")
		}
		for i := range f.Cut.Glue {
			parts = append(parts, "glue "+f.Cut.Glue[i].Name.Reveal())
		}
	}
	return strings.Join(parts, "; ")
}

func records(set *wire.RRset) []string {
	var list []string
	for rdata := range set.Data.All() {
		h := dns.RR_Header{Name: ".", Rrtype: uint16(set.Type), Class: dns.ClassINET, Ttl: set.TTL, Rdlength: uint16(len(rdata))}
		rr, _, err := dns.UnpackRRWithHeader(h, rdata, 0)
		if err != nil {
			panic(err)
		}
		fields := strings.Fields(rr.String())
		list = append(list, strings.Join(slices.Concat(fields[3:4], fields[1:2], fields[4:]), " "))
	}
	return list
}

func find(z *Zone, question string) string {
	fields := strings.Fields(question)
	f := z.Find(wire.MustName(fields[0]), wire.Type(dns.StringToType[fields[1]]))
	return f.text()
}

// The case that everyone tries first.
const seed = `
blog IN A 192.0.2.1 ; cf_tags=cf-proxied:true
shop IN A 192.0.2.2
`

func TestProxiedAndNot(t *testing.T) {
	z := built(t, "example.com.", seed, edged)
	for question, want := range map[string]string{
		"blog.example.com. A":     "answer; A 300 203.0.113.10",
		"blog.example.com. AAAA":  "answer; AAAA 300 2001:db8::10",
		"blog.example.com. HTTPS": `answer; HTTPS 300 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"`,
		"blog.example.com. TXT":   "no data",
		"shop.example.com. A":     "answer; A 300 192.0.2.2",
		"shop.example.com. AAAA":  "no data",
		"shop.example.com. HTTPS": "no data",
		"no.example.com. A":       "no name",
	} {
		if got := find(z, question); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

// The rows of the answer rules, each with the zone that shows it.
func TestAnswerRules(t *testing.T) {
	noV6 := edged
	noV6.Edge.Addresses = edged.Edge.Addresses[:1]
	noEdgeTLS := edged
	noEdgeTLS.Edge.ALPN = nil
	own := Options{}
	for _, test := range []struct {
		rule, text string
		options    Options
		want       map[string]string
	}{
		{"a CNAME can be proxied: nobody is asked, and the target is hidden", "www CNAME host.example.net. ; cf_tags=cf-proxied:true", edged, map[string]string{
			"www.example. A": "answer; A 300 203.0.113.10", "www.example. AAAA": "answer; AAAA 300 2001:db8::10",
			"www.example. CNAME": "no data", "www.example. MX": "no data",
		}},
		{"both families, whatever the record's", "www AAAA 2001:db8::1 ; cf_tags=cf-proxied:true", edged, map[string]string{
			"www.example. A": "answer; A 300 203.0.113.10", "www.example. AAAA": "answer; AAAA 300 2001:db8::10",
		}},
		{"a family without an address has no data, never the origin's", "www AAAA 2001:db8::1 ; cf_tags=cf-proxied:true", noV6, map[string]string{
			"www.example. AAAA": "no data", "www.example. A": "answer; A 300 203.0.113.10",
			"www.example. HTTPS": `answer; HTTPS 300 1 . alpn="h3,h2" ipv4hint="203.0.113.10"`,
		}},
		{"one family, if the record says so", "www A 192.0.2.1 ; cf_tags=cf-proxied:true,tacit-ipv6-only", edged, map[string]string{
			"www.example. A": "no data", "www.example. AAAA": "answer; AAAA 300 2001:db8::10",
			"www.example. HTTPS": `answer; HTTPS 300 1 . alpn="h3,h2" ipv6hint="2001:db8::10"`,
		}},
		{"the TTL of what is proxied is 300", "www 60 A 192.0.2.1 ; cf_tags=cf-proxied:true", edged, map[string]string{
			"www.example. A": "answer; A 300 203.0.113.10",
		}},
		{"TTL 1 is Auto, 300", "www 1 A 192.0.2.1\nftp 77 A 192.0.2.2", edged, map[string]string{
			"www.example. A": "answer; A 300 192.0.2.1", "ftp.example. A": "answer; A 77 192.0.2.2",
		}},
		{"one proxied record makes all of its name so", "www A 192.0.2.1\nwww A 192.0.2.2 ; cf_tags=cf-proxied:true", edged, map[string]string{
			"www.example. A": "answer; A 300 203.0.113.10",
		}},
		{"other types at a proxied name are as stored", "www A 192.0.2.1 ; cf_tags=cf-proxied:true\nwww 600 TXT here", edged, map[string]string{
			"www.example. TXT": `answer; TXT 600 "here"`,
		}},
		{"an HTTPS record of the operator's wins", "www A 192.0.2.1 ; cf_tags=cf-proxied:true\nwww 600 HTTPS 1 . alpn=h2", edged, map[string]string{
			"www.example. HTTPS": `answer; HTTPS 600 1 . alpn="h2"`, "www.example. SVCB": "no data",
		}},
		{"no TLS at the edge, no HTTPS record", "www A 192.0.2.1 ; cf_tags=cf-proxied:true", noEdgeTLS, map[string]string{
			"www.example. HTTPS": "no data",
		}},
		{"a CNAME that is not proxied is given", "www 60 CNAME host.example.net.", edged, map[string]string{
			"www.example. A": "alias; CNAME 60 host.example.net.; -> host.example.net.", "www.example. CNAME": "answer; CNAME 60 host.example.net.",
		}},
		{"a CNAME at the apex is flattened, beside other types", "@ 60 CNAME host.example.net.\n@ 300 MX 10 mail.example.net.", edged, map[string]string{
			"example. A": "flattened; -> host.example.net.", "example. AAAA": "flattened; -> host.example.net.",
			"example. CNAME": "no data", "example. TXT": "no data", "example. MX": "answer; MX 300 10 mail.example.net.",
			"example. NS": "answer; NS 86400 ns1.dns.test.; NS 86400 ns2.dns.test.",
		}},
		{"flatten: this record", "www CNAME host.example.net. ; cf_tags=cf-flatten-cname", edged, map[string]string{
			"www.example. A": "flattened; -> host.example.net.",
		}},
		{"flatten: all", "; tacit: flatten=all\nwww CNAME host.example.net.", edged, map[string]string{
			"www.example. A": "flattened; -> host.example.net.",
		}},
		{"flatten: a target in the zone", "www CNAME host\nhost A 192.0.2.1", edged, map[string]string{
			"www.example. A": "flattened; -> host.example.", "www.example. CNAME": "no data",
		}},
		{"flatten: not that", "; tacit: flatten=apex\nwww CNAME host\nhost A 192.0.2.1", edged, map[string]string{
			"www.example. A": "alias; CNAME 300 host.example.; -> host.example.",
		}},
		{"a wildcard, RFC 4592", "*.w TXT any\nhost.w A 192.0.2.1\na.*.w TXT literal", edged, map[string]string{
			"x.w.example. TXT": `answer; TXT 300 "any"`, "x.y.w.example. TXT": `answer; TXT 300 "any"`,
			"host.w.example. TXT": "no data", "x.host.w.example. TXT": "no name", "*.w.example. TXT": `answer; TXT 300 "any"`,
			"a.*.w.example. TXT": `answer; TXT 300 "literal"`, "b.*.w.example. TXT": "no name", "x.w.example. A": "no data",
			"w.example. A": "no data",
		}},
		{"a wildcard can be proxied", "* A 192.0.2.1 ; cf_tags=cf-proxied:true", edged, map[string]string{
			"any.example. A": "answer; A 300 203.0.113.10", "any.example. AAAA": "answer; AAAA 300 2001:db8::10",
		}},
		{"an empty non-terminal", "a.b.c A 192.0.2.1", edged, map[string]string{
			"b.c.example. A": "no data", "c.example. A": "no data", "x.c.example. A": "no name", "a.b.c.example. A": "answer; A 300 192.0.2.1",
		}},
		{"a delegation, with what it hides, and no proxying below", "sub NS ns.sub\nsub NS ns.other\nns.sub A 192.0.2.53 ; cf_tags=cf-proxied:true\nns.other A 192.0.2.54\nsub DS 1 13 2 00", edged, map[string]string{
			"sub.example. A":     "delegated; sub.example.; NS 300 ns.sub.example.; NS 300 ns.other.example.; DS; glue ns.sub.example.; glue ns.other.example.",
			"ns.sub.example. A":  "delegated; sub.example.; NS 300 ns.sub.example.; NS 300 ns.other.example.; DS; glue ns.sub.example.; glue ns.other.example.",
			"x.y.sub.example. A": "delegated; sub.example.; NS 300 ns.sub.example.; NS 300 ns.other.example.; DS; glue ns.sub.example.; glue ns.other.example.",
			"sub.example. DS":    "answer; DS 300 1 13 2 00",
		}},
		{"a delegation without a DS", "sub NS ns.example.net.", edged, map[string]string{
			"sub.example. DS": "no data", "sub.example. NS": "delegated; sub.example.; NS 300 ns.example.net.",
		}},
		{"a DNAME, RFC 6672", "d DNAME example.net.\nd TXT here", edged, map[string]string{
			"x.d.example. A":     "alias; DNAME 300 example.net.; CNAME 300 x.example.net.; -> x.example.net.",
			"d.example. TXT":     `answer; TXT 300 "here"`,
			"d.example. A":       "no data",
			"x.d.example. CNAME": "answer; DNAME 300 example.net.; CNAME 300 x.example.net.",
		}},
		{"SOA and NS are made here", "@ SOA a. b. 7 1 2 3 4\n@ NS elsewhere.example.net.", edged, map[string]string{
			"example. SOA": "answer; SOA 3600 ns1.dns.test. hostmaster.example. 7 10000 2400 604800 1800",
			"example. NS":  "answer; NS 86400 ns1.dns.test.; NS 86400 ns2.dns.test.",
		}},
		{"multi-provider: the file's NS, too", "; tacit: multi-provider\n@ 86400 NS elsewhere.example.net.", edged, map[string]string{
			"example. NS": "answer; NS 86400 elsewhere.example.net.; NS 86400 ns1.dns.test.; NS 86400 ns2.dns.test.",
		}},
		{"without name servers in the configuration, those of the file", "@ 60 SOA a. b. 7 1 2 3 4\n@ 300 NS elsewhere.example.net.", own, map[string]string{
			"example. SOA": "answer; SOA 60 a. b. 7 1 2 3 4", "example. NS": "answer; NS 300 elsewhere.example.net.",
		}},
		{"without any, the zone names itself, as in RFC 6303", "www A 192.0.2.1", own, map[string]string{
			"example. SOA": fmt.Sprintf("answer; SOA 3600 example. hostmaster.example. %d 10000 2400 604800 1800", someDay.Unix()),
			"example. NS":  "answer; NS 86400 example.",
		}},
		{"PTR", "1.2.0.192 PTR host.example.", edged, map[string]string{"1.2.0.192.example. PTR": "answer; PTR 300 host.example."}},
		{"private origins are what a LAN has", "www A 192.168.1.2 ; cf_tags=cf-proxied:true\nftp AAAA fd00::1 ; cf_tags=cf-proxied:true", edged, map[string]string{
			"www.example. A": "answer; A 300 203.0.113.10", "ftp.example. AAAA": "answer; AAAA 300 2001:db8::10",
		}},
		{"an edge of the zone's own", "; tacit: edge=203.0.113.99\nwww A 192.0.2.1 ; cf_tags=cf-proxied:true", edged, map[string]string{
			"www.example. A": "answer; A 300 203.0.113.99", "www.example. AAAA": "no data",
		}},
		{"octets of names are not letters of Unicode", "\xc3\x89 A 192.0.2.1\n\xeb\xff A 192.0.2.2", edged, map[string]string{
			`\195\137.example. A`: "answer; A 300 192.0.2.1", `\195\169.example. A`: "no name", `\235\255.example. A`: "answer; A 300 192.0.2.2",
		}},
		{"a label is octets, not UTF-8", `\255\128 A 192.0.2.1` + "\n" + `\195\132A A 192.0.2.2`, own, map[string]string{
			`\255\128.example. A`: "answer; A 300 192.0.2.1", `\195\132a.example. A`: "answer; A 300 192.0.2.2", `\195\164a.example. A`: "no name",
		}},
		{"letter case does not matter", "WWW.Example. A 192.0.2.1", edged, map[string]string{"www.EXAMPLE. A": "answer; A 300 192.0.2.1"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			z := built(t, "example.", test.text, test.options)
			for question, want := range test.want {
				if got := find(z, question); got != want {
					t.Errorf("%s: %s, want %s", question, got, want)
				}
			}
		})
	}
}

// A zone as Cloudflare exports it, the SOA record without its final dot and all.
const cloudflareExport = `;;
;; Domain:     example.com.
;;
;; SOA Record
example.com	3600	IN	SOA	ada.ns.dns.test. dns.dns.test. 2051234567 10000 2400 604800 3600

;; NS Records
example.com.	86400	IN	NS	ada.ns.dns.test.
example.com.	86400	IN	NS	bob.ns.dns.test.

;; A Records
blog.example.com.	1	IN	A	192.0.2.1 ; cf_tags=cf-proxied:true
mail.example.com.	1	IN	A	192.0.2.25 ; the mail host cf_tags=team:post,cf-proxied:false
ftp.example.com.	600	IN	A	192.0.2.1 ; a comment alone

;; CNAME Records
example.com.	1	IN	CNAME	elsewhere.example.net. ; cf_tags=cf-proxied:true
www.example.com.	1	IN	CNAME	example.com. ; cf_tags=cf-proxied:false,cf-flatten-cname

;; MX Records
example.com	1	IN	MX	10 mail.example.com.
`

func TestExportedZoneDropsIn(t *testing.T) {
	o := edged
	o.Nameservers = nil
	z, problems := tryBuild("example.com.", cloudflareExport, o)
	if len(problems) != 1 || !problems[0].Warning || problems[0].Line != 5 {
		t.Error(problems)
	}
	for question, want := range map[string]string{
		"example.com. SOA":     "answer; SOA 3600 ada.ns.dns.test. dns.dns.test. 2051234567 10000 2400 604800 3600",
		"example.com. NS":      "answer; NS 86400 ada.ns.dns.test.; NS 86400 bob.ns.dns.test.",
		"example.com. A":       "answer; A 300 203.0.113.10",
		"example.com. MX":      "answer; MX 300 10 mail.example.com.",
		"blog.example.com. A":  "answer; A 300 203.0.113.10",
		"mail.example.com. A":  "answer; A 300 192.0.2.25",
		"ftp.example.com. A":   "answer; A 600 192.0.2.1",
		"www.example.com. A":   "flattened; -> example.com.",
		"www.example.com. TXT": "no data",
	} {
		if got := find(z, question); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

// What a zone's status does to records that are proxied.
func TestStatuses(t *testing.T) {
	const text = "www 60 A 192.0.2.1 ; cf_tags=cf-proxied:true"
	const edge, origin, none = "answer; A 300 203.0.113.10", "answer; A 60 192.0.2.1", ""
	for _, test := range []struct {
		settings string
		age      time.Duration
		want     string
	}{
		{"", 0, edge},
		{"status=active", 0, edge},
		{"status=initializing", 0, none},
		{"status=pending", 0, origin},
		{"status=moved", 0, origin},
		{"paused", 0, origin},
		{"status=active paused", 0, origin},
		{"status=deleted", 6 * 24 * time.Hour, origin},
		{"status=deleted", 8 * 24 * time.Hour, none},
	} {
		src := &Source{File: "z", Text: []byte("; tacit: " + test.settings + "\n" + text), Origin: wire.MustName("example."), Changed: someDay}
		z, _, problems := Build(src, someDay.Add(test.age), &edged)
		if len(problems) > 0 != (test.settings == "status=moved") || problems.Grave() {
			t.Error(problems)
		}
		got := ""
		if z != nil {
			got = find(z, "www.example. A")
			if https := find(z, "www.example. HTTPS"); (test.want == edge) != strings.HasPrefix(https, "answer") {
				t.Errorf("%s: %s", test.settings, https)
			}
		}
		if got != test.want {
			t.Errorf("%q after %v: %q, want %q", test.settings, test.age, got, test.want)
		}
	}
}

// A partial zone is served below the suffix, and nowhere else.
func TestPartial(t *testing.T) {
	o := edged
	o.Edge.PartialSuffix = wire.MustName("cdn.tacit.test.")
	z := built(t, "example.org.", `; tacit: type=partial flatten=apex
www  A     192.0.2.1          ; cf_tags=cf-proxied:true
ftp  60 A  192.0.2.2
a    60 CNAME ftp.example.org.
b    60 CNAME elsewhere.example.org.
`, o)
	if z.Origin() != wire.MustName("example.org.cdn.tacit.test.") {
		t.Error(z.Origin().Reveal())
	}
	for question, want := range map[string]string{
		"www.example.org.cdn.tacit.test. A": "answer; A 300 203.0.113.10",
		"ftp.example.org.cdn.tacit.test. A": "answer; A 60 192.0.2.2",
		"a.example.org.cdn.tacit.test. A":   "alias; CNAME 60 ftp.example.org.cdn.tacit.test.; -> ftp.example.org.cdn.tacit.test.",
		"b.example.org.cdn.tacit.test. A":   "alias; CNAME 60 elsewhere.example.org.; -> elsewhere.example.org.",
	} {
		if got := find(z, question); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
	if _, problems := tryBuild("example.org.", "; tacit: type=partial\nwww A 192.0.2.1", edged); !problems.Grave() {
		t.Error("a partial zone without a suffix is served")
	}
}

// Everything that is wrong with a file is said, with its line.
func TestProblems(t *testing.T) {
	o := edged
	o.Edge.Listening = []netip.Addr{netip.MustParseAddr("192.0.2.99")}
	for _, test := range []struct{ text, want string }{
		{"www A 192.0.2.1\n", ""},
		{"www A 192.0.2\nftp A 192.0.2.1\nx AAAA 1\n", "z:1: bad A A\nz:3: bad AAAA AAAA"},
		{"\n\n; nothing\n$TTL 60\nwww TYPO 1\nwww A 192.0.2.1", "z:5: not a TTL"},
		{"www.elsewhere. A 192.0.2.1", "z:1: lies outside the zone"},
		{"x TXT \ny A 192.0.2.1\nwww SOA ", "z:1: has no RDATA\nz:3: has no RDATA"},
		{"www CH A 192.0.2.1", "z:1: is of another class than IN"},
		{"$INCLUDE /etc/passwd\nwww A 192.0.2.1", "z:1: $INCLUDE directive not allowed"},
		{"www MX 10 mail ; cf_tags=cf-proxied:true", "z:1: records of type MX cannot be proxied"},
		{"www A 192.0.2.1 ; cf_tags=cf-proxied:maybe", "z:1: cf-proxied is neither true nor false"},
		{"www A 127.0.0.1 ; cf_tags=cf-proxied:true", "z:1: cannot be proxied: its address is loopback, link-local, multicast or unspecified, the edge's, or tacit's own"},
		{"www A 203.0.113.10 ; cf_tags=cf-proxied:true", "z:1: cannot be proxied: its address is loopback, link-local, multicast or unspecified, the edge's, or tacit's own"},
		{"www A 192.0.2.99 ; cf_tags=cf-proxied:true", "z:1: cannot be proxied: its address is loopback, link-local, multicast or unspecified, the edge's, or tacit's own"},
		{"www A 192.0.2.1\nwww CNAME x.example.net.", "z:2: is a CNAME beside addresses"},
		{"www CNAME x.example.net.\nwww CNAME y.example.net.", "z:2: is the second CNAME record of its name"},
		{"sub NS ns.example.net.\nsub TXT here", "z:1: delegates a name that has other records"},
		{"*.sub NS ns.example.net.", "z:1: delegates a wildcard"},
		{"www SOA a. b. 1 2 3 4 5", "z:1: is an SOA record, and not at the apex"},
		{"@ SOA a. b. 1 2 3 4 5\n@ SOA a. b. 2 2 3 4 5", "z:2: is the second SOA record"},
		{"www A 192.0.2.1\nwww A 192.0.2.1", "z:2: warning: stands there twice"},
		{"www 60 A 192.0.2.1\nwww 90 A 192.0.2.2", "z:2: warning: has another TTL than the records beside it; the least is given"},
		{"www RRSIG A 13 2 60 20300101000000 20200101000000 1 example. AAAA", "z:1: warning: RRSIG records are made by who signs, and are left out"},
		{"@ NS ns.example.net.", "z:1: warning: is an NS record of the apex, where those of the configuration are given (multi-provider gives both)"},
		{"; tacit: status=sleeping\nwww A 192.0.2.1", "z:1: status is one of active, initializing, pending, moved, deleted"},
		{"www 2147483648 A 192.0.2.1", "z:1: has a TTL of more than 2147483647"},
		{"www A 192.0.2.1\nwww TXT there\n" + strings.Repeat("www TXT here\n", maxInSet), fmt.Sprintf("z:%d: is one of more records of its name and type than a message holds", maxInSet+2)},
		{"www CNAME x.example.net.\nwww TXT hidden", "z:2: warning: stands beside a CNAME record that is not flattened: who follows that does not see it"},
		{"www CNAME x.example.net. ; cf_tags=cf-flatten-cname\nwww TXT seen", ""},
		{"$TTL 60\n; tacit: status=pending\nwww A 192.0.2.1", "z:2: warning: has settings behind a record or a directive, where they do not count"},
		{"; tacit: colour=red", "z:1: is no setting of a zone: status, paused, type, flatten, multi-provider, edge, signed"},
	} {
		_, problems := tryBuild("example.", test.text, o)
		if got := problems.Error(); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

// Warnings end, what is read does not.
func TestWarningsKeepNothingFromBeingServed(t *testing.T) {
	z, problems := tryBuild("example.", strings.Repeat("www A 192.0.2.1\n", 3000)+"last A 192.0.2.2\n", Options{})
	if z == nil || find(z, "last.example. A") != "answer; A 300 192.0.2.2" || len(problems) != maxProblems {
		t.Error(z, len(problems))
	}
	if _, problems := tryBuild("example.", "www A 192.0.2.1 ; cf_tags=cf-proxied:true", Options{}); len(problems) != 1 || !problems[0].Warning {
		t.Error(problems)
	}
}

// Non-proxiable CNAME targets: a warning only.
func TestTargetsThatAreToBeVerified(t *testing.T) {
	var targets []string
	for _, name := range verifying {
		targets = append(targets, name.Reveal())
	}
	for _, name := range verifyingBelow {
		targets = append(targets, "x."+name.Reveal())
	}
	for _, target := range targets {
		for text, want := range map[string]string{
			"a CNAME " + target + " ; cf_tags=cf-proxied:true": "z:1: warning: is proxied, and leads to a service that will not find here what it verifies: it should not be",
			"a CNAME " + target: "",
			"a CNAME " + target + "example. ; cf_tags=cf-proxied:true": "",
		} {
			if _, problems := tryBuild("example.", text, edged); problems.Error() != want {
				t.Errorf("%s: %v", text, problems)
			}
		}
	}
}

// A few octets of $GENERATE do not make what nobody has memory for.
func TestGeneratedRecordsAreBounded(t *testing.T) {
	const line = "$GENERATE 1-65535 a$ A 192.0.2.1\n"
	seen := 0
	problems := scan("z", []byte(strings.Repeat(line, 9)), wire.MustName("example."), func(*scanned) bool { seen++; return true })
	if want := "z:5: makes too many records by $GENERATE: a file has 262144 of them at most"; problems.Error() != want || seen > maxGenerated+5 {
		t.Errorf("%d records, %v", seen, problems)
	}
	if problems := scan("z", []byte(strings.Repeat(line, 4)), wire.MustName("example."), func(*scanned) bool { return true }); len(problems) > 0 {
		t.Error(problems)
	}
}

// After a line that is wrong, owner, origin and TTL are as if it had not been there.
func TestScanGoesOn(t *testing.T) {
	const text = "$TTL 77\n$ORIGIN sub.example.\nwww A 192.0.2.1\n A 300.1.1.1\n A 192.0.2.2\nftp A 192.0.2.3\n"
	z, problems := tryBuild("example.", text, Options{})
	if len(problems) != 1 || problems[0].Line != 4 || z != nil {
		t.Fatal(problems, z)
	}
	var lines []string
	again := scan("z", []byte(text), wire.MustName("example."), func(s *scanned) bool {
		lines = append(lines, fmt.Sprintf("%d %s", s.line, strings.Join(strings.Fields(s.rr.String()), " ")))
		return true
	})
	want := "3 www.sub.example. 77 IN A 192.0.2.1, 5 www.sub.example. 77 IN A 192.0.2.2, 6 ftp.sub.example. 77 IN A 192.0.2.3"
	if got := strings.Join(lines, ", "); got != want || len(again) != 1 {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// The order of keys is that of names (RFC 4034 section 6.1, whose example this is).
func TestKeysAreInCanonicalOrder(t *testing.T) {
	names := strings.Fields(`example. a.example. yljkjljk.a.example. Z.a.example. zABC.a.EXAMPLE. z.example. \001.z.example. *.z.example. \200.z.example.`)
	origin := wire.MustName("example.")
	var last key
	for _, text := range names {
		name := wire.MustName(text)
		k := appendKey(nil, name, origin)
		if last != nil && string(last) >= string(k) {
			t.Errorf("%s is not behind the one before", text)
		}
		if back, err := k.name(origin); err != nil || back != name {
			t.Errorf("%s comes back as %s, %v", text, back.Reveal(), err)
		}
		last = k
	}
}
