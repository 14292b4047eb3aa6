package zone

import (
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

// facts are what a round trip keeps: all but what stands at the apex for the server itself, IDs and lines.
func facts(m *MasterFile) []string {
	return strings.Split(string(m.without(wire.TypeSOA, wire.TypeNS)), "\n")
}

func (m *MasterFile) without(kinds ...wire.Type) []byte {
	for _, k := range kinds {
		for _, r := range m.At(m.Origin(), k) {
			r.at.row.gone = true
		}
	}
	return m.Export()
}

const exported = `example.	3600	IN	SOA	ns1.example. hostmaster.example. 2026010100 7200 3600 1209600 300
example.	3600	IN	NS	ns1.example. ; ours
ns1.example.	3600	IN	A	192.0.2.53 ; cf_tags=cf-proxied:false
www.example.	1	IN	A	192.0.2.1 ; the server cf_tags=team:web,cf-proxied:true
www.example.	60	IN	AAAA	2001:db8::1 ; cf_tags=cf-proxied:false
www.example.	3600	IN	TXT	"a ; b" "c" ; text
host.sub.example.	3600	IN	A	192.0.2.7 ; cf_tags=cf-proxied:false
`

func TestExport(t *testing.T) {
	m := mastered(t, strings.Replace(handwritten, "team:web", "team:web,tacit-id:00", 1))
	if got := string(m.Export()); got != exported {
		t.Errorf("got\n%s", got)
	}
}

// What was exported and imported is the same zone.
func TestRoundTrip(t *testing.T) {
	const odd = handwritten + `$ORIGIN example.
a\.b 0 A 192.0.2.9
\012x TXT "\"\\ \200"
* MX 10 .
$GENERATE 1-5 h$ A 192.0.2.$
c CNAME x.example.net. ; says cf_tags=x cf_tags=cf-flatten-cname,note:"a, b; c"
d 604800 TYPE65280 \# 3 010203
e HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1 ; a;b;  c ; d
f A 192.0.2.1 ; cf_tags=tacit-ipv4-only,cf-proxied:true
g TXT ""
`
	m := mastered(t, odd)
	text := m.Export()
	for name, into := range map[string]string{"nothing": "", "a zone with comments": "; a comment\n$TTL 77\n$ORIGIN x.example.\n; the end"} {
		again := mastered(t, into)
		done, problems := again.Import(Import{File: "x", Text: text, Proxied: true}, &Options{})
		if len(problems) > 0 || done.Known != 0 {
			t.Fatal(name, problems, done, string(text))
		}
		saved, err := again.Text(someDay)
		if err != nil || !strings.HasPrefix(string(saved), into) {
			t.Fatalf("into %s: %v\n%s", name, err, saved)
		}
		got, want := facts(mastered(t, string(saved))), facts(mastered(t, odd))
		if !slices.Equal(got, want) {
			t.Errorf("into %s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if done, problems = again.Import(Import{File: "x", Text: text}, &Options{}); done.Added != 0 || len(problems) > 0 {
			t.Errorf("the second time: %+v, %v", done, problems)
		}
	}
}

func TestImport(t *testing.T) {
	const text = "www A 192.0.2.1\nwww A 192.0.2.2 ; cf_tags=cf-proxied:false\nwww TXT here\n@ SOA a. b. 1 2 3 4 5\n@ NS ns.example.net.\nsub NS ns.example.net.\n"
	m := mastered(t, "")
	done, problems := m.Import(Import{File: "x", Text: []byte(text), Proxied: true}, &Options{})
	got, err := m.Text(someDay)
	want := "www.example.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:true\nwww.example.\t1\tIN\tA\t192.0.2.2\n" +
		"www.example.\t1\tIN\tTXT\t\"here\"\nsub.example.\t1\tIN\tNS\tns.example.net.\n"
	if err != nil || string(got) != want || done.Added != 4 || len(problems) > 0 {
		t.Errorf("%v %v %v\n%s", err, done, problems, got)
	}
	for text, want := range map[string]string{
		"a A 192.0.2\n":                     "x:1: bad A A",
		"\nwww CNAME a.example.net.\n":      "x:2: an A, AAAA, or CNAME record with that name already exists",
		"m MX 1 a. ; cf_tags=cf-proxied:on": "x:1: cf-proxied is neither true nor false",
		"www.elsewhere. A 192.0.2.1":        "x:1: lies outside the zone",
		"$INCLUDE /etc/passwd":              "x:1: $INCLUDE directive not allowed",
	} {
		m := mastered(t, "www A 192.0.2.1\n")
		if _, problems := m.Import(Import{File: "x", Text: []byte(text)}, &Options{}); problems.Error() != want {
			t.Errorf("%q: %v", text, problems)
		}
	}
}
