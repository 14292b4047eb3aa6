package zone

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

// about is all that a record says, but for the serial of a SOA record.
func about(r *Record) string {
	content := r.Content.RevealOrigin()
	if fields := strings.Fields(content); r.Type == wire.TypeSOA && len(fields) == 7 {
		content = strings.Join(slices.Delete(fields, 2, 3), " ")
	}
	return fmt.Sprintf("%s %d %d %q %v %v %v %v %q %q %s", r.Name.Reveal(), r.TTL, r.Type, content, r.Proxied, r.Flatten, r.IPv4Only, r.IPv6Only,
		r.Comment, r.Tags, r.ID)
}

func allAbout(m *MasterFile) []string {
	var list []string
	for _, r := range m.Records() {
		list = append(list, about(&r))
	}
	return list
}

// Whatever stands in a file, it comes back as it was; and an edit changes the record that it is about and no other.
func FuzzMasterFile(f *testing.F) {
	for _, text := range []string{
		handwritten, exported, "a 60 A 192.0.2.1\nb A 192.0.2.2\n  A 192.0.2.3\nc 90 A 192.0.2.4\n", "@ SOA a. b. (\n7 1 2 3 4 )",
		"$GENERATE 1-3 h$ A 192.0.2.$\n x TXT a", "a\\ b TXT \"x;(\" ; y;z\r\n ; c\r\n\tTXT ( a\n b ) ; d", "x A 192.0.2.1;a cf_tags=cf-proxied:true",
	} {
		for op := range uint8(6) {
			f.Add([]byte(text), op, uint16(op)*3)
		}
	}
	origin := wire.MustName("example.")
	f.Fuzz(func(t *testing.T, text []byte, op uint8, which uint16) {
		if len(text) > 4096 {
			return
		}
		m, _ := ReadMasterFile("z", text, origin)
		if m == nil {
			return
		}
		if same, err := m.Text(someDay); err != nil || string(same) != string(text) {
			t.Fatalf("%v: unedited, %q becomes %q", err, text, same)
		}
		if _, _, problems := Build(&Source{File: "z", Text: text, Origin: origin, Changed: someDay}, someDay, &edged); problems.Grave() {
			return // such as a record without RDATA
		}
		want, err := fuzzEdit(m, op, int(which))
		if err != nil {
			if _, ok := errors.AsType[*Refusal](err); !ok {
				t.Fatal(err)
			}
			return
		}
		edited, err := m.Text(someDay)
		if err != nil {
			return // it is said that this cannot be done
		}
		again, problems := ReadMasterFile("z", edited, origin)
		if again == nil {
			t.Fatalf("%v: %q becomes %q", problems, text, edited)
		}
		if got := allAbout(again); !slices.Equal(got, want) {
			t.Fatalf("%q becomes %q:\n got %q\nwant %q", text, edited, got, want)
		}
	})
}

// fuzzEdit makes an edit, and returns what is in the file then.
func fuzzEdit(m *MasterFile, op uint8, which int) (want []string, err error) {
	records := m.Records()
	want = allAbout(m)
	at := 0
	if len(records) > 0 {
		at = which % len(records)
	}
	r := Record{Name: wire.MustName("new.example."), Type: wire.TypeTXT, TTL: 77, Content: NewContent(`"new"`), Comment: "new; x", Tags: []string{"a:b"}}
	switch {
	case op%6 == 0 || len(records) == 0:
		return append(want, about(&r)), m.Add(r)
	case op%6 == 1:
		return slices.Delete(want, at, at+1), m.Delete(records[at])
	case op%6 == 2:
		r = records[at]
		r.TTL = 3333
	case op%6 == 3:
		r = records[at]
		r.Comment, r.Tags = "other; comment", nil
	case op%6 == 4:
		r = records[at]
		r.Proxied = !r.Proxied
	default:
		r = records[at]
		r.Name, r.Type, r.TTL = wire.MustName("moved.example."), wire.TypeTXT, 99
		r.Content, r.Proxied = NewContent(`"moved"`), false
		return append(slices.Delete(want, at, at+1), about(&r)), m.Replace(records[at], r)
	}
	if err = m.Replace(records[at], r); err != nil {
		return nil, err
	}
	if r.Proxied {
		r.TTL = autoTTL
	}
	want[at] = about(&r)
	return want, nil
}
