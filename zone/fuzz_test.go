package zone

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Whatever a file says: each problem is in one of its lines, what is grave makes no zone, and a zone can be asked for the names that
// are in it, and beside them.
func FuzzBuild(f *testing.F) {
	for _, text := range []string{
		seed,
		"$TTL 60\n$ORIGIN sub\n@ SOA a b 1 2 3 4 5\n NS a\n(\n TXT \"a;b\" ; c\n)\n*.w 1 IN CNAME @ ; cf_tags=cf-flatten-cname\n",
		"; tacit: status=pending flatten=all edge=203.0.113.1,2001:db8::1\nd DNAME e\nc NS n.c\nn.c A 192.0.2.1\nc DS 1 13 2 00\n",
		"$GENERATE 1-3 h$ A 192.0.2.$\n\\255\\000\\.x TYPE65280 \\# 1 00 ; cf_tags=a:\"b,c\",tacit-id:1\nbad A\nx MX 1 bad ; cf_tags=cf-proxied:true",
		"\\00 A 192.0.2.1",
		"; tacit: type=partial\n@ CNAME x.example.\nx A 192.0.2.1\nx A 192.0.2.1\nx 5 A 192.0.2.2",
	} {
		f.Add([]byte(text))
	}
	o := edged
	o.Edge.PartialSuffix = wire.MustName("cdn.test.")
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Count(text, []byte("$")) > 8 || len(text) > 1<<12 { // $GENERATE makes 65,535 of one, and of two many more
			t.Skip()
		}
		src := &Source{File: "z", Text: text, Origin: wire.MustName("example."), Changed: someDay}
		z, _, problems := Build(src, someDay, &o)
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines {
				t.Errorf("line %d of %d: %s", p.Line, lines, p.Text)
			}
		}
		if problems.Grave() && z != nil {
			t.Error("a zone in spite of ", problems)
		}
		if z == nil {
			return
		}
		asked := 0
		_ = scan("z", text, src.Origin, func(s *scanned) bool {
			askAround(t, z, s.rr.Header().Name)
			asked++
			return asked < 20
		})
	})
}

// askAround asks for a name, in whatever zone it is served, and for those above, below and beside it.
func askAround(t *testing.T, z *Zone, text string) {
	var buf [wire.MaxNameLength]byte
	end, err := dns.PackDomainName(text, buf[:], 0, nil, false) // which lets escapes pass that wire.ParseName does not
	if err != nil {
		return // as does Build
	}
	name, err := wire.NameFromWire(buf[:end])
	if err != nil {
		t.Errorf("%q: %v", text, err)
	}
	zones := NewZones(z)
	for _, kind := range []wire.Type{wire.TypeA, wire.TypeCNAME, wire.TypeNS, wire.TypeDS, wire.TypeSOA, typeHTTPS, 65280} {
		for at := name; !at.IsRoot(); at = at.Parent() {
			zones.Find(at, kind)
			for _, label := range []string{"*", "x", "\x00"} {
				if other, err := at.Prepend(label); err == nil {
					zones.Find(other, kind)
				}
			}
		}
	}
}

// A list of tags that can be read is read the same when it is written again; whatever stands before it is the comment.
func FuzzTags(f *testing.F) {
	for _, text := range []string{
		"; the web server cf_tags=team:web,cf-proxied:true", `cf_tags=a:"b,\"c",cf-flatten-cname,`, "cf_tags= cf_tags=", "; x", "cf_tags=cf-proxied:perhaps", `cf_tags="`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		first, err := parseTags(comment)
		if err != nil {
			return
		}
		if strings.Contains(strings.Join(first.others, ""), tagList) || strings.Contains(first.id, tagList) {
			t.Errorf("%q: the list does not begin at the last mark", comment)
		}
		again, err := parseTags(first.comment + " " + tagList + strings.Join(first.others, ","))
		if err != nil || !slices.Equal(again.others, first.others) {
			t.Errorf("%q: %q, and then %q, %v", comment, first.others, again.others, err)
		}
	})
}
