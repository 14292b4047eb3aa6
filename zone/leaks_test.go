package zone

import (
	"fmt"
	"strings"
	"testing"

	"tacit/internal/wire"
)

func TestLeaks(t *testing.T) {
	const hidden = "www A 192.0.2.1 ; cf_tags=cf-proxied:true\nwww AAAA 2001:db8::1\n"
	for _, test := range []struct{ name, text, want string }{
		{"none", "shop A 192.0.2.2\n@ MX 10 mail\nmail A 192.0.2.3\n@ TXT \"v=spf1 ip4:192.0.2.3 -all\"", ""},
		{"a sibling", "ftp A 192.0.2.1", "3: gives the address that line 1 hides"},
		{"a sibling, of the address beside the one that is marked", "ftp AAAA 2001:db8::1", "3: gives the address that line 2 hides"},
		{"a wildcard", "* A 192.0.2.1", "3: is a wildcard, and gives the address that line 1 hides"},
		{"a sibling that is proxied", "ftp A 192.0.2.1 ; cf_tags=cf-proxied:true", ""},
		{"the mail host", "@ MX 10 mail\nmail A 192.0.2.1", "3: names a mail host that has the address that line 1 hides, 4: gives the address that line 1 hides"},
		{"a mail host that is an alias", "@ MX 10 mail\nmail CNAME m\nm A 192.0.2.1", "3: names a mail host that has the address that line 1 hides, " +
			"4: names a host that has the address that line 1 hides, 5: gives the address that line 1 hides"},
		{"the mail host is the name itself", "@ MX 10 www", ""},
		{"SPF", "@ TXT \"v=spf1 a ip4:192.0.2.1 -all\"", "3: lists the address that line 1 hides as one that sends mail"},
		{"SPF, a network", "@ TXT \"v=spf1 +ip4:192.0.2.0/24 -all\"", "3: lists the address that line 1 hides as one that sends mail"},
		{"SPF, half of the world", "@ TXT \"v=spf1 ip4:128.0.0.0/1 -all\"", ""},
		{"SPF, IPv6", "@ TXT \"v=spf1 ip6:2001:db8::/64 -all\"", "3: lists the address that line 2 hides as one that sends mail"},
		{"SPF in two strings", "@ TXT \"v=spf1 ip4:192.\" \"0.2.1 -all\"", "3: lists the address that line 1 hides as one that sends mail"},
		{"any text", "@ TXT \"server=192.0.2.1\"", "3: has the address that line 1 hides in its text"},
		{"an SRV record", "_x._tcp SRV 0 0 1 s\ns A 192.0.2.1", "3: names a host that has the address that line 1 hides, 4: gives the address that line 1 hides"},
		{"an HTTPS record beside the name", "www HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1", "3: has the address that line 1 hides as a hint"},
		{"an SVCB record", "_dns SVCB 1 x ipv6hint=2001:db8::1", "3: has the address that line 2 hides as a hint"},
		{"an alias of who has the address", "a CNAME b\nb A 192.0.2.1", "3: names a host that has the address that line 1 hides, 4: gives the address that line 1 hides"},
		{"a proxied CNAME whose target is not", "p CNAME host ; cf_tags=cf-proxied:true\nhost A 192.0.2.7", "4: is what the proxied CNAME record on line 3 leads to, and is not proxied"},
		{"and one with the same address", "p CNAME host ; cf_tags=cf-proxied:true\nhost A 192.0.2.7\nx A 192.0.2.7", "4: is what the proxied CNAME record on line 3 leads to, and is not proxied, 5: gives the address that line 3 hides"},
		{"a CNAME that leads to the same place elsewhere", "p CNAME host.example.net. ; cf_tags=cf-proxied:true\nq CNAME host.example.net.", "4: leads where line 3 leads, and is not proxied"},
		{"proxied glue", "sub NS ns.sub\nns.sub A 192.0.2.9 ; cf_tags=cf-proxied:true", "4: is proxied, but belongs to a delegated zone: as glue, its address is given"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range Leaks(mastered(t, hidden+test.text+"\n")) {
				got = append(got, fmt.Sprintf("%d: %s", p.Line, p.Text))
				if printed := fmt.Sprintf("%v %+v %#v %s", p, p, p, p.Error()); strings.Contains(printed, "192.0.2") || strings.Contains(printed, "2001:db8") {
					t.Errorf("tells the address: %s", printed)
				}
				if !p.Warning || p.File != "z" || p.Detail.RevealOrigin() == "" {
					t.Errorf("%+v", p)
				}
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("got  %s\nwant %s", s, test.want)
			}
		})
	}
}

// The reverse record is in another zone.
func TestLeaksOfReverseZones(t *testing.T) {
	forward := mastered(t, "www A 192.0.2.1 ; cf_tags=cf-proxied:true\nwww AAAA 2001:db8::1\nftp A 192.0.2.2\n")
	v4, _ := ReadMasterFile("4", []byte("1 PTR www.example.\n2 PTR ftp.example.\n"), wire.MustName("2.0.192.in-addr.arpa."))
	v6, _ := ReadMasterFile("6", []byte("1"+strings.Repeat(".0", 15)+" PTR host.example.\n"), wire.MustName("0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."))
	got := Leaks(forward, v4, v6).Error()
	if want := "4:1: warning: is the reverse record of an address that line 1 of its zone hides\n" +
		"6:1: warning: is the reverse record of an address that line 2 of its zone hides"; got != want {
		t.Errorf("got\n%s", got)
	}
}
