package zone

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A file as people write it: comments, directives, records over several lines, owners and TTLs that are those of the line before.
const handwritten = `; tacit: flatten=all
; the zone of the example
$TTL 1h
@	IN SOA ns1 hostmaster (
		2026010100 ; serial
		7200       ; refresh
		3600 1209600 300 )
	NS	ns1	; ours
ns1	A	192.0.2.53

; web
www	60 IN A	192.0.2.1 ; the server cf_tags=team:web,cf-proxied:true
	60 IN AAAA	2001:db8::1
	TXT	"a ; b" "c"   ; text
$ORIGIN sub.example.
host	A 192.0.2.7
; the end
`

func mastered(t testing.TB, text string) *MasterFile {
	t.Helper()
	m, problems := ReadMasterFile("z", []byte(text), wire.MustName("example."))
	if m == nil {
		t.Fatal(problems)
	}
	return m
}

func newRecord(name, kind, content string) Record {
	return Record{Name: wire.MustName(name), Type: wire.Type(dns.StringToType[kind]), Content: NewContent(content)}
}

// first returns the first record of a name and type.
func (m *MasterFile) first(t testing.TB, name, kind string) Record {
	t.Helper()
	list := m.At(wire.MustName(name), wire.Type(dns.StringToType[kind]))
	if len(list) == 0 {
		t.Fatalf("no %s %s", name, kind)
	}
	return list[0]
}

func TestMasterFileComesBack(t *testing.T) {
	m := mastered(t, handwritten)
	if text, err := m.Text(someDay); err != nil || string(text) != handwritten {
		t.Errorf("%v\n%s", err, text)
	}
	var got []string
	for _, r := range m.Records() {
		got = append(got, fmt.Sprint(r.Line, " ", r.Name.Reveal(), " ", r.TTL, " ", TypeText(r.Type), " ", r.Content.RevealOrigin(), " ", r.Proxied, r.Comment, r.Tags))
	}
	want := `4 example. 3600 SOA ns1.example. hostmaster.example. 2026010100 7200 3600 1209600 300 false[]
8 example. 3600 NS ns1.example. falseours[]
9 ns1.example. 3600 A 192.0.2.53 false[]
12 www.example. 1 A 192.0.2.1 truethe server[team:web]
13 www.example. 60 AAAA 2001:db8::1 false[]
14 www.example. 3600 TXT "a ; b" "c" falsetext[]
16 host.sub.example. 3600 A 192.0.2.7 false[]`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

// Each edit changes the lines that it is about, the serial, and nothing else.
func TestEdits(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(t *testing.T, m *MasterFile) error
		from string // and what stands in the file in its place afterwards
		to   string
	}{
		{"add, at the end", func(_ *testing.T, m *MasterFile) error {
			return m.Add(Record{
				Name: wire.MustName("new.example."), Type: wire.TypeA, TTL: 120, Content: NewContent("192.0.2.9"),
				Comment: "a new one", Tags: []string{"team:web"}, ID: "0123",
			})
		}, "; the end\n", "; the end\nnew.example.\t120\tIN\tA\t192.0.2.9 ; a new one cf_tags=team:web,tacit-id:0123\n"},
		{"add, proxied: the TTL is Auto", func(_ *testing.T, m *MasterFile) error {
			r := newRecord("new.example.", "CNAME", "host.example.net")
			r.TTL, r.Proxied = 120, true
			return m.Add(r)
		}, "; the end\n", "; the end\nnew.example.\t1\tIN\tCNAME\thost.example.net. ; cf_tags=cf-proxied:true\n"},
		{"add a text as it is said", func(_ *testing.T, m *MasterFile) error {
			return m.Add(newRecord("x.example.", "TXT", `v=DKIM1; p="q" \ `))
		}, "; the end\n", "; the end\nx.example.\t1\tIN\tTXT\t\"v=DKIM1; p=\\\"q\\\" \\\\\"\n"},
		{"replace the content: TTL, class and comment stay", func(t *testing.T, m *MasterFile) error {
			r := m.first(t, "www.example.", "A")
			old := r
			r.Content = NewContent("192.0.2.99")
			return m.Replace(old, r)
		}, "IN A\t192.0.2.1 ;", "IN A\t192.0.2.99 ;"},
		{"replace where the TTL is not said", func(t *testing.T, m *MasterFile) error {
			r := m.first(t, "host.sub.example.", "A")
			old := r
			r.Content = NewContent("192.0.2.99")
			return m.Replace(old, r)
		}, "host\tA 192.0.2.7\n", "host\tA 192.0.2.99\n"},
		{"replace the TTL", func(t *testing.T, m *MasterFile) error {
			r := m.first(t, "host.sub.example.", "A")
			old := r
			r.TTL = 300
			return m.Replace(old, r)
		}, "host\tA 192.0.2.7\n", "host\t300\tIN\tA\t192.0.2.7\n"},
		{"replace the comment", func(t *testing.T, m *MasterFile) error {
			r := m.first(t, "www.example.", "TXT")
			old := r
			r.Comment = "other; text"
			return m.Replace(old, r)
		}, "   ; text\n", "   ; other; text\n"},
		{"proxied no more", func(_ *testing.T, m *MasterFile) error {
			return m.SetProxied(wire.MustName("www.example."), false)
		}, "; the server cf_tags=team:web,cf-proxied:true\n", "; the server cf_tags=team:web\n"},
		{"proxied", func(_ *testing.T, m *MasterFile) error {
			return m.SetProxied(wire.MustName("ns1.example."), true)
		}, "A\t192.0.2.53\n", "A\t192.0.2.53 ; cf_tags=cf-proxied:true\n"},
		{"delete", func(t *testing.T, m *MasterFile) error { return m.Delete(m.first(t, "host.sub.example.", "A")) }, "host\tA 192.0.2.7\n", ""},
		{"delete what gives others their owner", func(t *testing.T, m *MasterFile) error {
			return m.Delete(m.first(t, "www.example.", "A"))
		}, "www\t60 IN A\t192.0.2.1 ; the server cf_tags=team:web,cf-proxied:true\n\t60 IN AAAA", "www.example.\t60 IN AAAA"},
		{"delete by name, type and content", func(_ *testing.T, m *MasterFile) error {
			return m.Delete(newRecord("www.example.", "AAAA", "2001:0db8::1"))
		}, "\t60 IN AAAA\t2001:db8::1\n", ""},
		{"a setting changes", func(_ *testing.T, m *MasterFile) error { return m.Set("flatten=apex") }, "flatten=all", "flatten=apex"},
		{"a setting is added", func(_ *testing.T, m *MasterFile) error { return m.Set("status=pending") }, "flatten=all", "flatten=all status=pending"},
		{"a setting goes", func(_ *testing.T, m *MasterFile) error { m.Unset("flatten"); return nil }, "; tacit: flatten=all\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := mastered(t, handwritten)
			if err := test.edit(t, m); err != nil {
				t.Fatal(err)
			}
			text, err := m.Text(someDay)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(handwritten, test.from, test.to, 1)
			want = strings.Replace(want, "2026010100", "2026010101", 1)
			if string(text) != want {
				t.Errorf("got\n%s\nwant\n%s", text, want)
			}
		})
	}
}

// Without $TTL, a record's TTL is that of those behind it, too, which keep it when the record goes or changes.
func TestEditsKeepTheTTLsOfOthers(t *testing.T) {
	const text = "a 60 A 192.0.2.1\nb A 192.0.2.2\n  A 192.0.2.3\nc 90 A 192.0.2.4\n"
	m := mastered(t, text)
	if err := m.Delete(m.first(t, "a.example.", "A")); err != nil {
		t.Fatal(err)
	}
	got, err := m.Text(someDay)
	if want := "b 60 A 192.0.2.2\n  A 192.0.2.3\nc 90 A 192.0.2.4\n"; err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	m = mastered(t, text)
	r := m.first(t, "a.example.", "A")
	old := r
	r.TTL = 120
	if err := m.Replace(old, r); err != nil {
		t.Fatal(err)
	}
	got, err = m.Text(someDay)
	if want := "a\t120\tIN\tA\t192.0.2.1\nb 60 A 192.0.2.2\n  A 192.0.2.3\nc 90 A 192.0.2.4\n"; err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	m = mastered(t, "a 60 A 192.0.2.1\n A 192.0.2.2\n")
	if err := m.Delete(m.first(t, "a.example.", "A")); err != nil {
		t.Fatal(err)
	}
	if got, err = m.Text(someDay); err != nil || string(got) != "a.example. 60 A 192.0.2.2\n" {
		t.Errorf("%v\n%s", err, got)
	}
}

// The serial is the later one of the time and one more than the last (RFC 1982 section 3).
func TestSerials(t *testing.T) {
	now := uint32(someDay.Unix())
	for _, test := range []struct{ old, want uint32 }{
		{1, now},
		{now - 1, now},
		{now, now + 1},
		{now + 10, now + 11},
		{2026010100, 2026010101},
		{4294967295, now},
		{now + 1<<31 + 5, now},
		{now + 1<<31 - 5, now + 1<<31 - 4},
	} {
		if got := nextSerial(test.old, someDay); got != test.want {
			t.Errorf("after %d: %d, want %d", test.old, got, test.want)
		}
	}
	for _, soa := range []string{
		"@ SOA a. b. 7 1 2 3 4\n", "soa.example. SOA a. b. 7 1 2 3 4\n", "@ 60 IN SOA ( a. ; serial 7\n b.\n\n ;7\n7 1 2 3 4 )\n",
		"example. in soa a. b. ( 7 ; 7\n\t1 2 3 4 ) ; cf_tags=x:7", "@ SOA a\\ 7.b. b. 7 1 2 3 4\r\n", "@ SOA a. b. (7 1 2 3 4)",
	} {
		m := mastered(t, strings.Replace(soa, "soa.example.", "example.", 1)+"")
		if err := m.Add(newRecord("x.example.", "A", "192.0.2.1")); err != nil {
			t.Fatal(err)
		}
		got, err := m.Text(someDay)
		if err != nil {
			t.Errorf("%q: %v", soa, err)
		}
		back := mastered(t, string(got)).first(t, "example.", "SOA").at.rr.(*dns.SOA)
		if back.Serial != now {
			t.Errorf("%q becomes %q", soa, got)
		}
	}
}

// What the management API refuses, with its codes.
func TestRefusals(t *testing.T) {
	const text = "@ SOA a. b. 7 1 2 3 4\nwww A 192.0.2.1\nalias CNAME host.example.net.\ntext TXT \"one\"\n$GENERATE 1-3 host$ A 192.0.2.$\n"
	with := func(r Record, change func(*Record)) Record { change(&r); return r }
	for _, test := range []struct {
		name string
		r    Record
		code int
	}{
		{"outside the zone", newRecord("www.elsewhere.", "A", "192.0.2.1"), 9000},
		{"proxied, of a type that cannot be", with(newRecord("m.example.", "MX", "10 mail.example."), func(r *Record) { r.Proxied = true }), 9004},
		{"no IPv4 address", newRecord("x.example.", "A", "192.0.2"), 9005},
		{"IPv6 in an A record", newRecord("x.example.", "A", "2001:db8::1"), 9005},
		{"no IPv6 address", newRecord("x.example.", "AAAA", "192.0.2.1"), 9005},
		{"an address with a zone", newRecord("x.example.", "AAAA", "fe80::1%eth0"), 9005},
		{"no MX", newRecord("x.example.", "MX", "mail.example."), 1004},
		{"nothing", newRecord("x.example.", "MX", ""), 1004},
		{"two records in one", newRecord("x.example.", "CNAME", "a.\ny A 192.0.2.1"), 1004},
		{"a comment in the content", newRecord("x.example.", "CNAME", "a. ; b"), 1004},
		{"parentheses that have no end", newRecord("x.example.", "MX", "10 ( a."), 1004},
		{"too much", newRecord("x.example.", "TXT", strings.Repeat("x", 4097)), 9015},
		{"a TTL of 29", with(newRecord("x.example.", "A", "192.0.2.1"), func(r *Record) { r.TTL = 29 }), 9021},
		{"a TTL of 86401", with(newRecord("x.example.", "A", "192.0.2.1"), func(r *Record) { r.TTL = 86401 }), 9021},
		{"a CNAME over an address", newRecord("www.example.", "CNAME", "x.example.net."), 81053},
		{"a CNAME over a CNAME", newRecord("alias.example.", "CNAME", "x.example.net."), 81053},
		{"an address over a CNAME", newRecord("alias.example.", "A", "192.0.2.1"), 81054},
		{"the same again", newRecord("www.example.", "A", "192.0.2.1"), 81058},
		{"the same with another TTL", with(newRecord("www.example.", "A", "192.0.2.1"), func(r *Record) { r.TTL = 77 }), 81057},
		{"the same, proxied", with(newRecord("www.example.", "A", "192.0.2.1"), func(r *Record) { r.Proxied = true }), 81057},
		{"a comment of two lines", with(newRecord("x.example.", "A", "192.0.2.1"), func(r *Record) { r.Comment = "a\nb A 192.0.2.1" }), 1004},
		{"a tag that has no name", with(newRecord("x.example.", "A", "192.0.2.1"), func(r *Record) { r.Tags = []string{"a b"} }), 1004},
		{"a tag that is one of ours", with(newRecord("x.example.", "A", "192.0.2.1"), func(r *Record) { r.Tags = []string{"cf-proxied:true"} }), 1004},
	} {
		m := mastered(t, text)
		err := m.Add(test.r)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != test.code {
			t.Errorf("%s: %v, want code %d", test.name, err, test.code)
		}
		if got, err := m.Text(someDay); err != nil || string(got) != text {
			t.Errorf("%s: the file has changed: %v", test.name, err)
		}
	}
	m := mastered(t, text)
	for i := range 3 {
		err := m.Add(newRecord("big.example.", "TXT", strings.Repeat(string(rune('a'+i)), 3000)))
		if r, ok := errors.AsType[*Refusal](err); ok != (i == 2) || ok && r.Code != 83011 {
			t.Errorf("%d: %v", i, err)
		}
	}
	for name, err := range map[string]error{
		"delete what is not there":  m.Delete(newRecord("x.example.", "A", "192.0.2.1")),
		"proxy what is not there":   m.SetProxied(wire.MustName("x.example."), true),
		"replace what is not there": m.Replace(newRecord("x.example.", "A", "192.0.2.1"), newRecord("x.example.", "A", "192.0.2.2")),
	} {
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != 81044 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, ok := errors.AsType[*Refusal](m.SetProxied(wire.MustName("text.example."), true)); !ok || r.Code != 9004 {
		t.Error(r)
	}
	if err := m.Delete(m.first(t, "host2.example.", "A")); !errors.Is(err, errGenerated) {
		t.Error(err)
	}
}

func TestParseNameIn(t *testing.T) {
	origin := wire.MustName("example.com.")
	for text, want := range map[string]string{
		"@": "example.com.", "example.com": "example.com.", "example.com.": "example.com.", "www": "www.example.com.", "a.b": "a.b.example.com.",
		"WWW.Example.com": "www.example.com.", "*": "*.example.com.", "_dmarc": "_dmarc.example.com.", "example.net": "example.net.example.com.",
		"example.net.": "", "a b": "", "": "", "a..b": "", "ü": "", "a;b": "", strings.Repeat("x", 64): "",
	} {
		name, err := ParseNameIn(text, origin)
		if want == "" {
			if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != 9000 {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil || name.Reveal() != want {
			t.Errorf("%q: %s, %v", text, name.Reveal(), err)
		}
	}
}
