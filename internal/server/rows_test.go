package server

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The rows of the semantics of local zones with proxied records, by the names that their tables give them: answers, statuses, partial
// set-up, flattening and DNSSEC here; what is refused, import and export in rows_refused_test.go. Each is a zone file, with settings
// as operators write them, and what a running tacit answers: RCODE, AA and AD, all sections. What one answer does not show is where
// it happens:
//
//	transfers show the edge             TestTransferIsWhatIsAnswered in zone, TestSecondaries in internal/interop
//	7 days until a zone is purged       TestStatuses in zone
//	what edits write, and serials       TestEdits and TestSerials in zone, TestManagementRecords
//	the shapes of RFC 1034, 4592, 6672  TestServedZonesAgreeWithOthers in internal/interop, against knotd and NSD
//
// Where a case follows an RFC and not a row, it names the RFC.
type row struct {
	name     string
	zone     string    // home.test; behind a line "== NAME" begins another zone
	settings [2]string // of rowSettings, what is replaced by what
	want     map[string]string
}

// Settings, and what is said of home.test.
var (
	same      [2]string
	onlyV4    = [2]string{`, "2001:db8::10"`, ""}
	noServers = [2]string{`nameservers = ["ns1.dns.test.", "ns2.dns.test."]`, ""}
)

const (
	none     = "NOERROR aa; ; @ 1800 SOA"
	noName   = "NXDOMAIN aa; ; @ 1800 SOA"
	referral = "NOERROR; ; sub 300 NS ns.sub.home.test., sub 300 NS sub.home.test.; ns.sub 300 A 192.0.2.53, sub 300 A 192.0.2.52"
)

func TestAnswerRows(t *testing.T) {
	playRows(t, []row{
		{"which types can be proxied", `
a    A     192.0.2.1        ; cf_tags=cf-proxied:true
aaaa AAAA  2001:db8:bad::1  ; cf_tags=cf-proxied:true
c    CNAME www.shop.example. ; cf_tags=cf-proxied:true`, same, map[string]string{
			"a A": "NOERROR aa; a 300 A 203.0.113.10", "aaaa A": "NOERROR aa; aaaa 300 A 203.0.113.10", "c A": "NOERROR aa; c 300 A 203.0.113.10",
		}},
		{"what a proxied name answers for A and AAAA: both families, whatever the record's type, all addresses, in turn", `
a A    192.0.2.1       ; cf_tags=cf-proxied:true
b A    192.0.2.1       ; cf_tags=cf-proxied:true
f AAAA 2001:db8:bad::1 ; cf_tags=cf-proxied:true`, [2]string{`["203.0.113.10", "2001:db8::10"]`, `["203.0.113.10", "203.0.113.11", "2001:db8::10", "2001:db8::11"]`}, map[string]string{
			"a A": "NOERROR aa; a 300 A 203.0.113.10, a 300 A 203.0.113.11", "b A": "NOERROR aa; b 300 A 203.0.113.10, b 300 A 203.0.113.11",
			"a AAAA": "NOERROR aa; a 300 AAAA 2001:db8::10, a 300 AAAA 2001:db8::11", "f A": "NOERROR aa; f 300 A 203.0.113.10, f 300 A 203.0.113.11",
		}},
		{"what a proxied name answers: a family without an address is NODATA, never the origin's", `
f AAAA 2001:db8:bad::1 ; cf_tags=cf-proxied:true`, onlyV4, map[string]string{
			"f A": "NOERROR aa; f 300 A 203.0.113.10", "f AAAA": none, "f HTTPS": `NOERROR aa; f 300 HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.10"`,
		}},
		{"narrow to one family", `
four A 192.0.2.1 ; cf_tags=cf-proxied:true,tacit-ipv4-only
six  A 192.0.2.1 ; cf_tags=cf-proxied:true,tacit-ipv6-only`, same, map[string]string{
			"four A": "NOERROR aa; four 300 A 203.0.113.10", "four AAAA": none, "six A": none, "six AAAA": "NOERROR aa; six 300 AAAA 2001:db8::10",
			"four HTTPS": `NOERROR aa; four 300 HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.10"`,
			"six HTTPS":  `NOERROR aa; six 300 HTTPS 1 . alpn="h3,h2" ipv6hint="2001:db8::10"`,
		}},
		{"TTL of proxied", "a 60 A 192.0.2.1 ; cf_tags=cf-proxied:true\nb 86400 CNAME www.shop.example. ; cf_tags=cf-proxied:true", same, map[string]string{
			"a A": "NOERROR aa; a 300 A 203.0.113.10", "b AAAA": "NOERROR aa; b 300 AAAA 2001:db8::10",
		}},
		{"TTL Auto, DNS only", "a 1 A 192.0.2.1\nb A 192.0.2.2", same, map[string]string{
			"a A": "NOERROR aa; a 300 A 192.0.2.1", "b A": "NOERROR aa; b 300 A 192.0.2.2",
		}},
		{"TTL range, DNS only: a file may say more (RFC 2181 section 8)", "low 0 A 192.0.2.1\nhigh 604800 A 192.0.2.2\nmiddle 30 A 192.0.2.3", same, map[string]string{
			"low A": "NOERROR aa; low 0 A 192.0.2.1", "high A": "NOERROR aa; high 604800 A 192.0.2.2", "middle A": "NOERROR aa; middle 30 A 192.0.2.3",
		}},
		{"proxied CNAME: nobody is asked, and the target is hidden", "c 60 CNAME www.dead.example. ; cf_tags=cf-proxied:true", same, map[string]string{
			"c A": "NOERROR aa; c 300 A 203.0.113.10", "c AAAA": "NOERROR aa; c 300 AAAA 2001:db8::10", "c CNAME": none, "c TXT": none, "c A -rd": "NOERROR aa; c 300 A 203.0.113.10",
		}},
		{"mixed proxied and DNS only at one name", `
m A    192.0.2.1
m A    192.0.2.2 ; cf_tags=cf-proxied:true
m AAAA 2001:db8:bad::1`, same, map[string]string{
			"m A": "NOERROR aa; m 300 A 203.0.113.10", "m AAAA": "NOERROR aa; m 300 AAAA 2001:db8::10",
		}},
		{"proxied name later in a CNAME chain", `
; tacit: flatten=apex
a 60 CNAME b.other.test.
c 60 CNAME d
d A 192.0.2.1 ; cf_tags=cf-proxied:true
== other.test
b 60 CNAME d.home.test.`, same, map[string]string{
			"a A":    "NOERROR aa; a 60 CNAME b.other.test., b.other.test. 60 CNAME d.home.test., d 300 A 203.0.113.10",
			"c AAAA": "NOERROR aa; c 60 CNAME d.home.test., d 300 AAAA 2001:db8::10", "d CNAME": none,
		}},
		{"other types at a proxied name", `
a A 192.0.2.1 ; cf_tags=cf-proxied:true
a 600 TXT said
a 600 MX 10 mail.example.
a 600 CAA 0 issue "ca.test"`, same, map[string]string{
			"a TXT": `NOERROR aa; a 600 TXT "said"`, "a MX": "NOERROR aa; a 600 MX 10 mail.example.", "a CAA": `NOERROR aa; a 600 CAA 0 issue "ca.test"`, "a NS": none,
		}},
		{"HTTPS at a proxied name", `
a A 192.0.2.1 ; cf_tags=cf-proxied:true
b A 192.0.2.1 ; cf_tags=cf-proxied:true
b 600 HTTPS 1 . alpn=h2
open A 192.0.2.2`, same, map[string]string{
			"a HTTPS": `NOERROR aa; a 300 HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"`,
			"b HTTPS": `NOERROR aa; b 600 HTTPS 1 . alpn="h2"`, "a SVCB": none, "open HTTPS": none,
		}},
		{"HTTPS at a proxied name: only for protocols that the edge has", "a A 192.0.2.1 ; cf_tags=cf-proxied:true", [2]string{`alpn = ["h3", "h2"]`, ""}, map[string]string{
			"a HTTPS": none,
		}},
		{"DNS only", "a 60 A 192.0.2.1\nc 60 CNAME www.shop.example.", same, map[string]string{
			"a A": "NOERROR aa; a 60 A 192.0.2.1", "a AAAA": none, "c CNAME": "NOERROR aa; c 60 CNAME www.shop.example.",
			"c A": "NOERROR aa; c 60 CNAME www.shop.example., www.shop.example. 120 A 198.51.100.80", "x A": noName,
		}},
		{"CNAME at the apex", `
@ 60 CNAME www.shop.example.
@ 600 MX 10 mail.example.
@ 600 TXT said`, same, map[string]string{
			"@ A": "NOERROR aa; @ 60 A 198.51.100.80", "@ CNAME": none, "@ MX": "NOERROR aa; @ 600 MX 10 mail.example.", "@ TXT": `NOERROR aa; @ 600 TXT "said"`,
			"@ NS": "NOERROR aa; @ 86400 NS ns1.dns.test., @ 86400 NS ns2.dns.test.", "@ CAA": none,
		}},
		{"flatten other CNAMEs: the record, and a target in the zone", `
this 60 CNAME www.shop.example. ; cf_tags=cf-flatten-cname
that 60 CNAME www.shop.example.
in   60 CNAME open
open 600 A 192.0.2.2`, same, map[string]string{
			"this A": "NOERROR aa; this 60 A 198.51.100.80", "this CNAME": none, "in A": "NOERROR aa; in 60 A 192.0.2.2", "in CNAME": none,
			"that A": "NOERROR aa; that 60 CNAME www.shop.example., www.shop.example. 120 A 198.51.100.80",
		}},
		{"flatten other CNAMEs: the zone", "; tacit: flatten=all\nthat 60 CNAME www.shop.example.", same, map[string]string{
			"that A": "NOERROR aa; that 60 A 198.51.100.80", "that CNAME": none,
		}},
		{"flatten other CNAMEs: not those with a target in the zone", "; tacit: flatten=apex\nin 60 CNAME open\nopen 600 A 192.0.2.2", same, map[string]string{
			"in A": "NOERROR aa; in 60 CNAME open.home.test., open 600 A 192.0.2.2", "in CNAME": "NOERROR aa; in 60 CNAME open.home.test.",
		}},
		{"TTL of a flattened DNS-only answer: the lower one", `
low  30  CNAME www.shop.example. ; cf_tags=cf-flatten-cname
high 600 CNAME www.shop.example. ; cf_tags=cf-flatten-cname`, same, map[string]string{
			"low A": "NOERROR aa; low 30 A 198.51.100.80", "high A": "NOERROR aa; high 120 A 198.51.100.80",
		}},
		{"dangling flatten target", `
gone CNAME nothing.shop.example. ; cf_tags=cf-flatten-cname
bare CNAME bare.shop.example.    ; cf_tags=cf-flatten-cname
dead CNAME www.dead.example.     ; cf_tags=cf-flatten-cname`, same, map[string]string{
			"gone A": none, "bare A": none, "dead A": "SERVFAIL EDE 22", "dead A -rd": "SERVFAIL EDE 20",
		}},
		{"wildcard (RFC 4592): the left-most label only", `
*.w   600 TXT any
a.*.w 600 TXT literal
host.w A 192.0.2.1`, same, map[string]string{
			"x.w TXT": `NOERROR aa; x.w 600 TXT "any"`, "x.y.w TXT": `NOERROR aa; x.y.w 600 TXT "any"`, "a.*.w TXT": `NOERROR aa; a.*.w 600 TXT "literal"`,
			"a.x.w TXT": `NOERROR aa; a.x.w 600 TXT "any"`, "b.*.w TXT": noName, "*.w TXT": `NOERROR aa; *.w 600 TXT "any"`,
		}},
		{"wildcard: an existing name stops it, at it and below", "*.w 600 TXT any\nhost.w A 192.0.2.1\na.ent.w A 192.0.2.2", same, map[string]string{
			"host.w TXT": none, "x.host.w TXT": noName, "ent.w TXT": none, "x.ent.w TXT": noName, "x.w A": none,
		}},
		{"wildcard that is an empty non-terminal (RFC 4592 section 2.2.2)", "x.*.e A 192.0.2.1", same, map[string]string{
			"y.e A": none, "y.z.e A": none, "*.e A": none, "y.*.e A": noName, "x.*.e A": "NOERROR aa; x.*.e 300 A 192.0.2.1",
		}},
		{"wildcard: proxied", "* A 192.0.2.1 ; cf_tags=cf-proxied:true\nopen A 192.0.2.2", same, map[string]string{
			"x A": "NOERROR aa; x 300 A 203.0.113.10", "x.y AAAA": "NOERROR aa; x.y 300 AAAA 2001:db8::10", "open A": "NOERROR aa; open 300 A 192.0.2.2", "open AAAA": none,
			"x HTTPS": `NOERROR aa; x 300 HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"`,
		}},
		{"delegation: a referral with glue, what lies below is shadowed, and proxied is without effect at and below it", `
sub     NS  ns.sub
sub     NS  sub
sub     A   192.0.2.52 ; cf_tags=cf-proxied:true
ns.sub  A   192.0.2.53 ; cf_tags=cf-proxied:true
www.sub A   192.0.2.54 ; cf_tags=cf-proxied:true
www.sub TXT shadowed
sub     DS  1 13 2 00`, same, map[string]string{
			"sub A -rd": referral, "www.sub A -rd": referral, "x.y.sub TXT -rd": referral, "www.sub TXT -rd": referral, "sub NS -rd": referral,
			"sub DS -rd": "NOERROR aa; sub 300 DS 1 13 2 00", "sub DS": "NOERROR aa; sub 300 DS 1 13 2 00",
			"www.sub A -rd +do": "NOERROR; ; sub 300 NS ns.sub.home.test., sub 300 NS sub.home.test., sub 300 DS 1 13 2 00; ns.sub 300 A 192.0.2.53, sub 300 A 192.0.2.52",
		}},
		{"delegation: who wants recursion gets what the servers of the cut say", "sub NS ns.sub\nns.sub A SERVER\n== home.example\nsub NS ns.sub\nns.sub A SERVER", same, map[string]string{
			"www.sub.home.example. A": "NOERROR EDE 33; www.sub.home.example. 60 A 198.51.100.90", "sub DS": none,
		}},
		{"NS at the apex: the configured ones", "@ 60 NS ns.elsewhere.example.", same, map[string]string{
			"@ NS": "NOERROR aa; @ 86400 NS ns1.dns.test., @ 86400 NS ns2.dns.test.",
		}},
		{"NS at the apex: multi-provider", "; tacit: multi-provider\n@ 86400 NS ns.elsewhere.example.", same, map[string]string{
			"@ NS": "NOERROR aa; @ 86400 NS ns.elsewhere.example., @ 86400 NS ns1.dns.test., @ 86400 NS ns2.dns.test.",
		}},
		{"SOA: made by the server", "@ 60 SOA a. b. 2026010101 1 2 3 4\nwww A 192.0.2.1", same, map[string]string{
			"@ SOA": "NOERROR aa; @ 3600 SOA ns1.dns.test. hostmaster.home.test. 2026010101 10000 2400 604800 1800", "x A": "NXDOMAIN aa; ; @ 1800 SOA",
		}},
		{"SOA: the negative TTL is the lower of TTL and minimum (RFC 2308 section 3)", "@ 60 SOA a. b. 7 1 2 3 400\n@ 60 NS a.\nwww A 192.0.2.1", noServers, map[string]string{
			"@ SOA": "NOERROR aa; @ 60 SOA a. b. 7 1 2 3 400", "x A": "NXDOMAIN aa; ; @ 60 SOA", "www TXT": "NOERROR aa; ; @ 60 SOA",
		}},
		{"PTR: in any zone, never proxied", "1 PTR host.home.test.\n== 2.0.192.in-addr.arpa\n1 60 PTR host.home.test.", same, map[string]string{
			"1 PTR": "NOERROR aa; 1 300 PTR host.home.test.", "1.2.0.192.in-addr.arpa. PTR": "NOERROR aa; 1.2.0.192.in-addr.arpa. 60 PTR host.home.test.",
		}},
		{"private content with proxied: that is what a LAN has", "a A 192.168.1.2 ; cf_tags=cf-proxied:true\nb AAAA fd00::1 ; cf_tags=cf-proxied:true\nc A 10.0.0.1", same, map[string]string{
			"a A": "NOERROR aa; a 300 A 203.0.113.10", "b AAAA": "NOERROR aa; b 300 AAAA 2001:db8::10", "c A": "NOERROR aa; c 300 A 10.0.0.1",
		}},
		{"AAAA of a proxied name with IPv6 off", "a AAAA 2001:db8:bad::1 ; cf_tags=cf-proxied:true", onlyV4, map[string]string{"a AAAA": none}},
		{"ANY: RFC 8482", "a A 192.0.2.1 ; cf_tags=cf-proxied:true\nopen A 192.0.2.2", same, map[string]string{
			"a ANY": `NOERROR; a 3600 HINFO "RFC8482" ""`, "open ANY": `NOERROR; open 3600 HINFO "RFC8482" ""`, "x ANY": `NOERROR; x 3600 HINFO "RFC8482" ""`,
		}},
		{"facts: TXT records have strings of 255 octets", "a 60 TXT " + strings.Repeat("x", 255) + " " + strings.Repeat("y", 45), same, map[string]string{
			"a TXT": `NOERROR aa; a 60 TXT "` + strings.Repeat("x", 255) + `" "` + strings.Repeat("y", 45) + `"`,
		}},
		{"the edge of a zone instead of that of the configuration", "; tacit: edge=203.0.113.99\na A 192.0.2.1 ; cf_tags=cf-proxied:true", same, map[string]string{
			"a A": "NOERROR aa; a 300 A 203.0.113.99", "a AAAA": none,
		}},
	})
}

// The order of the answer algorithm.
func TestAlgorithmRows(t *testing.T) {
	playRows(t, []row{
		{"1: the longest matching zone", "www 60 A 192.0.2.1\nwww.in 60 A 192.0.2.2\n== in.home.test\nwww 60 A 192.0.2.3", same, map[string]string{
			"www A": "NOERROR aa; www 60 A 192.0.2.1", "www.in A": "NOERROR aa; www.in 60 A 192.0.2.3", "x.in A": "NXDOMAIN aa; ; in 1800 SOA",
		}},
		{"1: a status that is not ours", "; tacit: status=initializing\nwww A 192.0.2.1\n== shop.example\n; tacit: status=initializing\nwww A 192.0.2.1", same, map[string]string{
			"www.shop.example. A": "NOERROR; www.shop.example. 120 A 198.51.100.80", "www.shop.example. A -rd": "REFUSED EDE 20",
		}},
		{"2: a delegation before the exact name, and DS at the cut from the parent", "sub NS ns.example.\nwww.sub A 192.0.2.1", same, map[string]string{
			"www.sub A -rd": "NOERROR; ; sub 300 NS ns.example.", "sub DS -rd": none,
		}},
		{"2: the parent answers for the DS of a zone that is served, too", "sub DS 1 13 2 00\nsub NS ns.example.\n== sub.home.test\nwww A 192.0.2.1", same, map[string]string{
			"sub DS": "NOERROR aa; sub 300 DS 1 13 2 00", "www.sub A": "NOERROR aa; www.sub 300 A 192.0.2.1", "sub NS": "NOERROR aa; sub 86400 NS ns1.dns.test., sub 86400 NS ns2.dns.test.",
		}},
		{"3: exact name, empty non-terminal, wildcard of the closest encloser, NXDOMAIN", "a.b.c 60 A 192.0.2.1\n*.c 60 A 192.0.2.2", same, map[string]string{
			"a.b.c A": "NOERROR aa; a.b.c 60 A 192.0.2.1", "b.c A": none, "c A": none, "x.c A": "NOERROR aa; x.c 60 A 192.0.2.2", "x.b.c A": noName, "x A": noName,
		}},
		{"6: DNAME (RFC 6672)", "d 60 DNAME other.test.\nd 60 TXT said\n== other.test\na 60 A 192.0.2.1", same, map[string]string{
			"a.d A": "NOERROR aa; d 60 DNAME other.test., a.d 60 CNAME a.other.test., a.other.test. 60 A 192.0.2.1",
			"d TXT": `NOERROR aa; d 60 TXT "said"`, "d A": none, "a.d CNAME": "NOERROR aa; d 60 DNAME other.test., a.d 60 CNAME a.other.test.",
			"x.d A": "NXDOMAIN aa; d 60 DNAME other.test., x.d 60 CNAME x.other.test.; other.test. 1800 SOA",
		}},
		{"AA in all of them, whether recursion is wanted or not", "www 60 A 192.0.2.1\nout 60 CNAME www.shop.example.", same, map[string]string{
			"www A": "NOERROR aa; www 60 A 192.0.2.1", "www A -rd": "NOERROR aa; www 60 A 192.0.2.1", "x A -rd": noName, "www TXT -rd": none,
			"out A -rd": "NOERROR aa; out 60 CNAME www.shop.example.", "home.shop.example. A": "NXDOMAIN; home.shop.example. 60 CNAME open.home.test.; @ 1800 SOA",
		}},
		{"AD never for what is not signed", "www 60 A 192.0.2.1", same, map[string]string{
			"www A +do": "NOERROR aa; www 60 A 192.0.2.1", "x A +do": noName, "www A +do +cd": "NOERROR aa; www 60 A 192.0.2.1",
		}},
		{"client subnet: scope /0, which no option means, too (RFC 7871 section 7.3)", "www 60 A 192.0.2.1\na A 192.0.2.2 ; cf_tags=cf-proxied:true", same, map[string]string{
			"www A +subnet": "NOERROR aa; www 60 A 192.0.2.1", "a A +subnet": "NOERROR aa; a 300 A 203.0.113.10",
		}},
	})
}

// What a status does to proxied and to other records.
func TestStatusRows(t *testing.T) {
	const records = "\na 60 A 192.0.2.1 ; cf_tags=cf-proxied:true\nopen 60 A 192.0.2.2\n"
	active := map[string]string{
		"a A": "NOERROR aa; a 300 A 203.0.113.10", "a HTTPS": `NOERROR aa; a 300 HTTPS 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"`,
		"open A": "NOERROR aa; open 60 A 192.0.2.2",
	}
	pending := map[string]string{
		"a A": "NOERROR aa; a 60 A 192.0.2.1", "a AAAA": none, "a HTTPS": none, "open A": "NOERROR aa; open 60 A 192.0.2.2", "x A": noName,
	}
	notOurs := map[string]string{"a A -rd": "REFUSED EDE 20", "open A -rd": "REFUSED EDE 20"}
	playRows(t, []row{
		{"a zone file without a status is active", records, same, active},
		{"active", "; tacit: status=active" + records, same, active},
		{"initializing", "; tacit: status=initializing" + records, same, notOurs},
		{"pending", "; tacit: status=pending" + records, same, pending},
		{"moved", "; tacit: status=moved" + records, same, pending},
		{"deleted", "; tacit: status=deleted" + records, same, pending},
		{"paused", "; tacit: paused" + records, same, pending},
		{"paused, whatever the status", "; tacit: status=active paused" + records, same, pending},
	})
}

func TestPartialRows(t *testing.T) {
	const partial = `== shop.example
; tacit: type=partial
www  60 A     192.0.2.1         ; cf_tags=cf-proxied:true
open 60 A     192.0.2.2
in   60 CNAME open.shop.example. ; cf_tags=cf-proxied:false
edge 60 CNAME www.shop.example.
out  60 CNAME bare.shop.example.
`
	playRows(t, []row{
		{"names below the suffix: proxied, and DNS only", "\n" + partial, same, map[string]string{
			"www.shop.example.cdn.tacit.test. A": "NOERROR aa; www.shop.example.cdn.tacit.test. 300 A 203.0.113.10", "open.shop.example.cdn.tacit.test. A": "NOERROR aa; open.shop.example.cdn.tacit.test. 60 A 192.0.2.2",
			"x.shop.example.cdn.tacit.test. A": "NXDOMAIN aa; ; shop.example.cdn.tacit.test. 1800 SOA",
		}},
		{"the plain name is not served, but resolved", "\n" + partial, same, map[string]string{
			"www.shop.example. A": "NOERROR; www.shop.example. 120 A 198.51.100.80", "www.shop.example. A -rd": "REFUSED EDE 20", "open.shop.example. A -rd": "REFUSED EDE 20",
		}},
		{"a CNAME target in the same zone is used from there, any other is looked up", "\n" + partial, same, map[string]string{
			"in.shop.example.cdn.tacit.test. A":    "NOERROR aa; in.shop.example.cdn.tacit.test. 60 A 192.0.2.2",
			"edge.shop.example.cdn.tacit.test. A":  "NOERROR aa; edge.shop.example.cdn.tacit.test. 60 A 203.0.113.10",
			"out.shop.example.cdn.tacit.test. TXT": "NOERROR aa; ; shop.example.cdn.tacit.test. 1800 SOA",
		}},
	})
}

// What internal zones of others taught: local zones are asked before anybody, and chains are bounded.
func TestFlatteningRows(t *testing.T) {
	chain := "; tacit: flatten=apex\nf CNAME c1 ; cf_tags=cf-flatten-cname\n"
	for i := 1; i < 12; i++ {
		chain += fmt.Sprintf("c%d 60 CNAME c%d\n", i, i+1)
	}
	playRows(t, []row{
		{"flattening looks in local zones before it asks", "f 60 CNAME www.shop.example. ; cf_tags=cf-flatten-cname\n== shop.example\nwww 60 A 192.0.2.9", same, map[string]string{
			"f A": "NOERROR aa; f 60 A 192.0.2.9", "f A -rd": "NOERROR aa; f 60 A 192.0.2.9",
		}},
		{"a chain of 8", strings.Replace(chain, "c8 60 CNAME c9", "c8 60 A 192.0.2.1", 1), same, map[string]string{"f A": "NOERROR aa; f 60 A 192.0.2.1"}},
		{"a chain of 9", strings.Replace(chain, "c9 60 CNAME c10", "c9 60 A 192.0.2.1", 1), same, map[string]string{"f A": "SERVFAIL EDE 0", "f A -rd": "SERVFAIL EDE 0"}},
		{"a chain of 8 that leads out", strings.Replace(chain, "c6 60 CNAME c7", "c6 60 CNAME a.other.test.", 1) + "== other.test\na 60 CNAME b\nb 60 A 192.0.2.1", same, map[string]string{"f A": "NOERROR aa; f 60 A 192.0.2.1"}},
		{"a chain of 9 that leads out", strings.Replace(chain, "c7 60 CNAME c8", "c7 60 CNAME a.other.test.", 1) + "== other.test\na 60 CNAME b\nb 60 A 192.0.2.1", same, map[string]string{"f A": "SERVFAIL EDE 0"}},
		{"a chain without an end is an error, however it is asked for", chain + "c12 60 CNAME c13\nc13 60 CNAME c14\nc14 A 192.0.2.1", same, map[string]string{
			"f A": "SERVFAIL EDE 0", "f A -rd": "SERVFAIL EDE 0",
		}},
		{"a loop is an error (RFC 1034 section 3.6.2)", "a CNAME b\nb CNAME a", same, map[string]string{"a A": "SERVFAIL EDE 0", "a A -rd": "SERVFAIL EDE 0"}},
	})
}

// Denial of signed zones (RFC 9824), and what states publish.
func TestDNSSECRows(t *testing.T) {
	const signed = "; tacit: signed\na 60 A 192.0.2.1 ; cf_tags=cf-proxied:true\nopen 60 A 192.0.2.2\nopen 60 TXT said\nx.ent 60 A 192.0.2.3\nc 60 CNAME open\n"
	playRows(t, []row{
		{"an answer has its signature", signed, same, map[string]string{
			"open A +do": "NOERROR aa ad; open 60 A 192.0.2.2, +A", "a A +do": "NOERROR aa ad; a 300 A 203.0.113.10, +A", "open A": "NOERROR aa; open 60 A 192.0.2.2",
		}},
		{"name absent, with DO", signed, same, map[string]string{"no A +do": `NOERROR aa ad; ; @ 1800 SOA, +SOA, no 1800 NSEC \000.no.home.test. RRSIG NSEC NXNAME, +NSEC`}},
		{"name absent, with DO and CO", signed, same, map[string]string{"no A +do +co": `NXDOMAIN aa ad; ; @ 1800 SOA, +SOA, no 1800 NSEC \000.no.home.test. RRSIG NSEC NXNAME, +NSEC`}},
		{"name absent, without DO", signed, same, map[string]string{"no A": noName}},
		{"type absent: the real types", signed, same, map[string]string{
			"open MX +do": `NOERROR aa ad; ; @ 1800 SOA, +SOA, open 1800 NSEC \000.open.home.test. A TXT RRSIG NSEC, +NSEC`,
		}},
		{"type absent at a proxied name: the types that are made, not those that are stored", signed + "p 60 CNAME www.shop.example. ; cf_tags=cf-proxied:true\n", same, map[string]string{
			"a MX +do":    `NOERROR aa ad; ; @ 1800 SOA, +SOA, a 1800 NSEC \000.a.home.test. A AAAA RRSIG NSEC HTTPS, +NSEC`,
			"p CNAME +do": `NOERROR aa ad; ; @ 1800 SOA, +SOA, p 1800 NSEC \000.p.home.test. A AAAA RRSIG NSEC HTTPS, +NSEC`,
		}},
		{"empty non-terminal", signed, same, map[string]string{"ent A +do": `NOERROR aa ad; ; @ 1800 SOA, +SOA, ent 1800 NSEC \000.ent.home.test. RRSIG NSEC, +NSEC`}},
		{"a query for NXNAME itself", signed, same, map[string]string{"no NXNAME +do": "FORMERR EDE 30", "open NXNAME": "FORMERR EDE 30"}},
		{"pending signs", "; tacit: signed=pending\nopen 60 A 192.0.2.2\n", same, map[string]string{"open A +do": "NOERROR aa ad; open 60 A 192.0.2.2, +A"}},
		{"disabled publishes the delete form (RFC 8078 section 4)", "; tacit: signed=disabled\nopen 60 A 192.0.2.2\n", same, map[string]string{
			"@ CDS": "NOERROR aa; @ 3600 CDS 0 0 0 00", "@ CDNSKEY": "NOERROR aa; @ 3600 CDNSKEY 0 3 0 AA==", "open A +do": "NOERROR aa ad; open 60 A 192.0.2.2, +A",
		}},
		{"pending-disabled publishes the delete form", "; tacit: signed=pending-disabled\nopen 60 A 192.0.2.2\n", same, map[string]string{"@ CDS": "NOERROR aa; @ 3600 CDS 0 0 0 00"}},
		{"deleted does not sign", "; tacit: signed=deleted\nopen 60 A 192.0.2.2\n", same, map[string]string{
			"open A +do": "NOERROR aa; open 60 A 192.0.2.2", "@ CDS": none, "@ DNSKEY": none, "no A +do": noName,
		}},
	})
}

// Row "what a proxied name answers for A / AAAA": the order turns with each answer, found or finished, and no address is left out.
func TestEdgeAddressesTurn(t *testing.T) {
	x := newRows(t)
	if err := os.Mkdir(x.file("zones"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, x.file("zones/home.test.zone"), "a A 192.0.2.1 ; cf_tags=cf-proxied:true\n")
	s, _ := x.start(t, strings.Replace(rowSettings, `["203.0.113.10", "2001:db8::10"]`, `["203.0.113.10", "203.0.113.11", "203.0.113.12", "2001:db8::10"]`, 1))
	udp, _ := s.Addrs()
	seen := map[string]int{}
	for range 30 {
		m, _, err := new(dns.Client).ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("a.home.test.", dns.TypeA), udp[0].String())
		if err != nil || len(m.Answer) != 3 {
			t.Fatal(err, m)
		}
		var order []string
		for _, rr := range m.Answer {
			order = append(order, rr.(*dns.A).A.String())
		}
		seen[strings.Join(order, " ")]++
	}
	for _, order := range []string{"203.0.113.10 203.0.113.11 203.0.113.12", "203.0.113.11 203.0.113.12 203.0.113.10", "203.0.113.12 203.0.113.10 203.0.113.11"} {
		if seen[order] != 10 {
			t.Errorf("of 30 answers %d begin as %s", seen[order], order)
		}
	}
}
