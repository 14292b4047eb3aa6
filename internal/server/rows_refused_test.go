package server

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tacit/internal/wire"
	"tacit/zone"
)

// What is refused, in a file and as an edit, with the codes of the management API. Elsewhere:
//
//	what only requests can have wrong   TestManagementRefusals, TestManagementImportsAreBounded
//	non-proxiable CNAME targets         TestTargetsThatAreToBeVerified in zone
//	where tacit listens                 TestListenersAreNoOrigins, with the addresses of a configuration
//	TTL range, another minimum          TestLeastTTL in zone

const (
	accepted = 0
	refused  = -1 // the API has no code for it
)

type refusal struct {
	row  string
	file string // a zone file; of what is wrong in it, the code
	edit string // "NAME TTL TYPE CONTENT ; comment" is added to it; empty: nothing is
	code int
	warn string // said, whatever the code
}

var rowOptions = zone.Options{
	Nameservers: []wire.Name{wire.MustName("ns1.dns.test.")},
	Edge: zone.Edge{
		Addresses:     []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")},
		Listening:     []netip.Addr{netip.MustParseAddr("198.51.100.53")},
		OriginAllow:   []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32"), netip.MustParsePrefix("fe80::9/128")},
		PartialSuffix: wire.MustName("cdn.tacit.test."),
	},
}

const proxied = " ; cf_tags=cf-proxied:true"

// almost is 6198 characters at a name and type.
var almost = "a TXT " + text("a", 8, 0) + "\na TXT " + text("b", 8, 0) + "\na TXT " + text("c", 8, 0)

func TestRefusedRows(t *testing.T) {
	rows := []refusal{
		{"TTL of proxied: another one is stored as 1", "", "a 77 A 192.0.2.1" + proxied, accepted, ""},
		{"TTL range, DNS only: 29", "", "a 29 A 192.0.2.1", 9021, ""},
		{"TTL range, DNS only: 30", "", "a 30 A 192.0.2.1", accepted, ""},
		{"TTL range, DNS only: 86400", "", "a 86400 A 192.0.2.1", accepted, ""},
		{"TTL range, DNS only: 86401", "", "a 86401 A 192.0.2.1", 9021, ""},
		{"TTL range, DNS only: 1 is Auto", "", "a 1 A 192.0.2.1", accepted, ""},
		{"CNAME beside A", "a A 192.0.2.1", "a 1 CNAME x.example.", 81053, ""},
		{"CNAME beside AAAA", "a AAAA 2001:db8::1", "a 1 CNAME x.example.", 81053, ""},
		{"CNAME beside CNAME", "a CNAME y.example.", "a 1 CNAME x.example.", 81053, ""},
		{"A beside CNAME", "a CNAME y.example.", "a 1 A 192.0.2.1", 81054, ""},
		{"AAAA beside CNAME", "a CNAME y.example.", "a 1 AAAA 2001:db8::1", 81054, ""},
		{"CNAME beside A in a file", "a A 192.0.2.1\na CNAME x.example.", "", 81053, ""},
		{"CNAME beside CNAME in a file", "a CNAME x.example.\na CNAME y.example.", "", 81054, ""},
		{"CNAME beside TXT: Cloudflare has such names, whatever RFC 2181 section 10.1 says", "a CNAME x.example.\na TXT here", "", accepted, "does not see it"},
		{"NS beside other types", "sub NS ns.example.\nsub TXT here", "", refused, ""},
		{"NS beside CNAME", "sub NS ns.example.\nsub CNAME x.example.", "", refused, ""},
		{"NS beside DS", "sub NS ns.example.\nsub DS 1 13 2 00", "", accepted, ""},
		{"NS beside glue below", "sub NS ns.sub\nns.sub A 192.0.2.53", "", accepted, ""},
		{"NS beside its own address, which is glue (RFC 9471 section 2)", "sub NS sub\nsub A 192.0.2.53", "", accepted, ""},
		{"NS at the apex beside other types", "@ NS ns.example.\n@ TXT here", "", accepted, "multi-provider"},
		{"delegation: 10 NS", nameServers(9), "sub 1 NS ns10.example.", accepted, ""},
		{"delegation: 11 NS", nameServers(10), "sub 1 NS ns11.example.", 1004, ""},
		{"special content: the edge's own, IPv4", "", "a 1 A 203.0.113.10" + proxied, 9003, ""},
		{"special content: the edge's own, IPv6", "", "a 1 AAAA 2001:db8::10" + proxied, 9003, ""},
		{"special content: the zone's own edge", "; tacit: edge=203.0.113.99\nx TXT x", "a 1 A 203.0.113.99" + proxied, 9003, ""},
		{"special content: where tacit listens", "", "a 1 A 198.51.100.53" + proxied, 9003, ""},
		{"special content, listed in edge.origin_allow", "", "a 1 A 127.0.0.9" + proxied, accepted, ""},
		{"special content, listed in edge.origin_allow, IPv6", "", "a 1 AAAA fe80::9" + proxied, accepted, ""},
		{"special content that is not proxied", "", "a 1 A 127.0.0.1", accepted, ""},
		{"private content that is proxied", "", "a 1 A 10.1.2.3" + proxied, accepted, ""},
		{"private content that is proxied, IPv6", "", "a 1 AAAA fd00::1" + proxied, accepted, ""},
		{"facts: 4096 octets of wire format", "", "a 1 TXT " + text("a", 15, 255), accepted, ""},
		{"facts: 4097 octets of wire format", "", "a 1 TXT " + text("a", 16, 0), 9015, ""},
		{"facts: 8192 characters at a name and type", almost, "a 1 TXT " + text("d", 7, 186), accepted, ""},
		{"facts: 8193 characters at a name and type", almost, "a 1 TXT " + text("d", 7, 187), 83011, ""},
		{"facts: those of another type do not count", almost, "a 1 CAA 0 issue " + text("d", 0, 200), accepted, ""},
		{"partial set-up: no delegations", "; tacit: type=partial\nsub NS ns.example.", "", refused, ""},
	}
	for _, kind := range []string{"MX 10 mail.example.", "TXT x", "CAA 0 issue x", "HTTPS 1 .", "SVCB 1 .", "PTR x.example.", "NS ns.example.", "SRV 1 2 3 x.example.", "DNAME x.example.", "TYPE65280 \\# 1 00"} {
		rows = append(rows, refusal{"which types can be proxied: not " + kind, "", "a 1 " + kind + proxied, 9004, ""},
			refusal{"which types can be proxied: in a file, not " + kind, "a 1 " + kind + proxied, "", 9004, ""})
	}
	for _, a := range []string{"A 127.0.0.1", "A 169.254.1.1", "A 224.0.0.1", "A 0.0.0.0", "A 0.1.2.3", "AAAA ::1", "AAAA fe80::1", "AAAA ff02::1", "AAAA ::", "AAAA ::ffff:127.0.0.1"} {
		rows = append(rows, refusal{"special content: " + a, "", "a 1 " + a + proxied, 9003, ""})
	}
	for i := range rows {
		r := &rows[i]
		t.Run(r.row, func(t *testing.T) {
			code, said := r.judge(t)
			if code != r.code || !strings.Contains(said, r.warn) || (r.warn == "") != (said == "") && r.code == accepted {
				t.Errorf("code %d, %q; want %d, %q", code, said, r.code, r.warn)
			}
		})
	}
}

func nameServers(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf("sub NS ns%d.example.\n", i)
	}
	return text
}

// text is character strings of 255 octets, and one of tail octets, as one quotes them.
func text(c string, strings255, tail int) string {
	return strings.Repeat(`"`+strings.Repeat(c, 255)+`" `, strings255) + `"` + strings.Repeat(c, tail) + `"`
}

// judge reads the file and makes the edit.
func (r *refusal) judge(t *testing.T) (code int, said string) {
	t.Helper()
	origin := wire.MustName("home.test.")
	now := time.Unix(1, 0)
	if r.edit == "" {
		_, _, problems := zone.Build(&zone.Source{File: "z", Text: []byte(r.file), Origin: origin, Changed: now}, now, &rowOptions)
		for _, p := range problems {
			if !p.Warning && p.Code != 0 {
				return p.Code, problems.Error()
			}
		}
		if problems.Grave() {
			return refused, problems.Error()
		}
		return accepted, strings.TrimSpace(problems.Error())
	}
	at := zone.File{Origin: origin, Path: filepath.Join(t.TempDir(), "z")}
	write(t, at.Path, r.file+"\n")
	err := zone.Edit(t.Context(), at, now, &rowOptions, func(m *zone.MasterFile) error { return m.Add(recordFrom(t, r.edit)) })
	if err == nil {
		return accepted, ""
	}
	no, ok := errors.AsType[*zone.Refusal](err)
	if !ok || no.Code == 0 {
		return refused, err.Error()
	}
	if text, err := os.ReadFile(at.Path); err != nil || string(text) != r.file+"\n" {
		t.Errorf("what was refused has changed the file: %s, %v", text, err)
	}
	return no.Code, no.Text
}

func recordFrom(t *testing.T, line string) zone.Record {
	t.Helper()
	line, isProxied := strings.CutSuffix(line, proxied)
	words := strings.SplitN(line, " ", 4)
	kind, err := zone.ParseType(words[2])
	r := zone.Record{Name: wire.MustName(words[0] + ".home.test."), Type: kind, Content: zone.NewContent(words[3]), Proxied: isProxied}
	if _, scanErr := fmt.Sscan(words[1], &r.TTL); err != nil || scanErr != nil {
		t.Fatal(line, err, scanErr)
	}
	return r
}

// Import and export: one record on a line, and the comment behind it.
func TestExchangeRows(t *testing.T) {
	for _, r := range []struct {
		row, file, imported string
		proxied             bool
		want                string // the export afterwards, of what is new; or what is wrong
	}{
		{
			"tab separated, whole names, TTL 1 for Auto, and the comment", "", "a 1 A 192.0.2.1 ; why cf_tags=team:us,cf-proxied:true\nb 60 TXT x ; text", false,
			"a.home.test.\t1\tIN\tA\t192.0.2.1 ; why cf_tags=team:us,cf-proxied:true\nb.home.test.\t60\tIN\tTXT\t\"x\" ; text\n",
		},
		{
			"every tag: name:value, a JSON string, cf-proxied, cf-flatten-cname", "", `c 60 CNAME x.example. ; cf_tags=a:b,note:"x, \"y\"",cf-proxied:false,cf-flatten-cname`, true,
			"c.home.test.\t60\tIN\tCNAME\tx.example. ; cf_tags=a:b,note:\"x, \\\"y\\\"\",cf-proxied:false,cf-flatten-cname\n",
		},
		{
			"a comment with the text cf_tags= has an empty list behind it", "", "a A 192.0.2.1 ; see cf_tags=x cf_tags=\nb TXT x ; see cf_tags= cf_tags=", false,
			"a.home.test.\t1\tIN\tA\t192.0.2.1 ; see cf_tags=x cf_tags=cf-proxied:false\nb.home.test.\t1\tIN\tTXT\t\"x\" ; see cf_tags= cf_tags=\n",
		},
		{"cf-proxied in the file beats the parameter: false", "", "a A 192.0.2.1 ; cf_tags=cf-proxied:false", true, "a.home.test.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:false\n"},
		{"cf-proxied in the file beats the parameter: true", "", "a A 192.0.2.1 ; cf_tags=cf-proxied:true", false, "a.home.test.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:true\n"},
		{"absent, the parameter decides: true", "", "a 77 A 192.0.2.1\nb 77 TXT x", true, "a.home.test.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:true\nb.home.test.\t77\tIN\tTXT\t\"x\"\n"},
		{"absent, the parameter decides: false", "", "a 77 A 192.0.2.1", false, "a.home.test.\t77\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:false\n"},
		{"$ORIGIN and $TTL", "", "$ORIGIN sub.home.test.\n$TTL 90\na A 192.0.2.1", false, "a.sub.home.test.\t90\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:false\n"},
		{
			"$GENERATE with a TTL of its own, and after another record", "", "a 60 A 192.0.2.9\n$GENERATE 1-1 h$ A 192.0.2.$\n$GENERATE 2-2 h$ 5m IN A 192.0.2.$\n$GENERATE 3-3 h$ IN A 192.0.2.$", false,
			"a.home.test.\t60\tIN\tA\t192.0.2.9 ; cf_tags=cf-proxied:false\nh1.home.test.\t60\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:false\n" +
				"h2.home.test.\t300\tIN\tA\t192.0.2.2 ; cf_tags=cf-proxied:false\nh3.home.test.\t60\tIN\tA\t192.0.2.3 ; cf_tags=cf-proxied:false\n",
		},
		{"$GENERATE", "", "$TTL 90\n$GENERATE 1-2 h$ A 192.0.2.$", false, "h1.home.test.\t90\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:false\nh2.home.test.\t90\tIN\tA\t192.0.2.2 ; cf_tags=cf-proxied:false\n"},
		{"$INCLUDE is refused", "", "a A 192.0.2.1\n$INCLUDE /etc/passwd", false, "import:2: $INCLUDE directive not allowed"},
		{"tag names in any letter case", "", "a A 192.0.2.1 ; cf_tags=CF-Proxied:TRUE,Team:Us", false, "a.home.test.\t1\tIN\tA\t192.0.2.1 ; cf_tags=Team:Us,cf-proxied:true\n"},
		{"tag names of other characters are refused", "", "a A 192.0.2.1 ; cf_tags=a b:c", false, "import:1: the comment or a tag cannot be written into a zone file"},
		{"SOA and NS of the apex are ignored", "", "@ SOA a. b. 1 2 3 4 5\n@ NS ns.example.\nsub NS ns.example.", false, "sub.home.test.\t1\tIN\tNS\tns.example.\n"},
		{
			"tacit-id is stripped on export, and not imported", "k A 192.0.2.9 ; cf_tags=tacit-id:00112233445566778899aabbccddeeff\n", "a A 192.0.2.1 ; x cf_tags=tacit-id:ffeeddccbbaa99887766554433221100", false,
			"k.home.test.\t1\tIN\tA\t192.0.2.9 ; cf_tags=cf-proxied:false\na.home.test.\t1\tIN\tA\t192.0.2.1 ; x cf_tags=cf-proxied:false\n",
		},
		{"what is there already is no mistake", "a A 192.0.2.1\n", "a A 192.0.2.1", false, "a.home.test.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:false\n"},
		{"all or nothing", "", "a A 192.0.2.1\nb A 192.0.2", false, "import:2: bad A A"},
	} {
		t.Run(r.row, func(t *testing.T) {
			m, problems := zone.ReadMasterFile("z", []byte(r.file), wire.MustName("home.test."))
			if m == nil {
				t.Fatal(problems)
			}
			_, problems = m.Import(zone.Import{File: "import", Text: []byte(r.imported), Proxied: r.proxied}, &rowOptions)
			got := problems.Error()
			if !problems.Grave() {
				got = string(m.Export())
			}
			if got != r.want {
				t.Errorf("got\n%s\nwant\n%s", got, r.want)
			}
			again, problems := zone.ReadMasterFile("z", nil, wire.MustName("home.test."))
			if _, more := again.Import(zone.Import{File: "again", Text: m.Export()}, &rowOptions); len(problems) > 0 || len(more) > 0 || string(again.Export()) != string(m.Export()) {
				t.Errorf("the round trip gives\n%s%v", again.Export(), more)
			}
		})
	}
}
