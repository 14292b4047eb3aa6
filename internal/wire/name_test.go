package wire_test

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

func labels(sizes ...int) string {
	var b strings.Builder
	for _, n := range sizes {
		b.WriteString(strings.Repeat("a", n) + ".")
	}
	return b.String()
}

// rawLabels is the wire form of a name whose labels are so many times the letter a.
func rawLabels(sizes ...int) []byte {
	var b []byte
	for _, n := range sizes {
		b = append(append(b, byte(n)), bytes.Repeat([]byte("a"), n)...)
	}
	return append(b, 0)
}

func TestParseName(t *testing.T) {
	for _, c := range []struct{ clause, text, want string }{
		{"RFC 1035 section 3.1: the root label is of length zero", ".", "\x00"},
		{"one label", "com.", "\x03com\x00"},
		{"taken as absolute without the final dot", "com", "\x03com\x00"},
		{"several labels", "a.bc.example.", "\x01a\x02bc\x07example\x00"},
		{"RFC 4343 section 3: letters in ASCII fold", "ExAMPLE.Com", "\x07example\x03com\x00"},
		{"RFC 4343 section 3: only these fold", "@[\\`{\\192.", "\x05@[`{\xc0\x00"},
		{"RFC 1035 section 5.1: \\X is that character", "a\\.b.example.", "\x03a.b\x07example\x00"},
		{"RFC 1035 section 5.1: \\DDD is the octet", "a\\046b\\000\\255.", "\x05a.b\x00\xff\x00"},
		{"an escaped letter folds, too", "\\065\\B.", "\x02ab\x00"},
		{"an escaped backslash", "\\\\.", "\x01\\\x00"},
		{"an escaped dot at the end", "a\\.", "\x02a.\x00"},
		{"RFC 2181 section 11: any octet", "_\xc3\xa9 *.", "\x05_\xc3\xa9 *\x00"},
		{"RFC 1035 section 2.3.4: label of 63 octets", labels(63), string(rawLabels(63))},
		{"RFC 1035 section 2.3.4: name of 255 octets", labels(63, 63, 63, 61), string(rawLabels(63, 63, 63, 61))},
		{"... without the final dot", strings.TrimSuffix(labels(63, 63, 63, 61), "."), string(rawLabels(63, 63, 63, 61))},
		{"127 labels", strings.Repeat("a.", 127), strings.Repeat("\x01a", 127) + "\x00"},
		{"an escape counts as one octet", strings.Repeat("\\097", 63) + ".", string(rawLabels(63))},
	} {
		t.Run(c.clause, func(t *testing.T) {
			n, err := wire.ParseName(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(n.Append(nil)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if n.Len() != len(c.want) {
				t.Errorf("length %d, want %d", n.Len(), len(c.want))
			}
		})
	}
}

func TestParseNameRefuses(t *testing.T) {
	for _, c := range []struct {
		clause, text string
		want         error
	}{
		{"no text", "", wire.ErrEmptyLabel},
		{"RFC 1035 section 3.1: only the root has a label of length zero", "..", wire.ErrEmptyLabel},
		{"empty label in the middle", "a..b.", wire.ErrEmptyLabel},
		{"empty label first", ".a.", wire.ErrEmptyLabel},
		{"two final dots", "a..", wire.ErrEmptyLabel},
		{"label of 64 octets", labels(64), wire.ErrLabelTooLong},
		{"label of 64 octets without the final dot", strings.Repeat("a", 64), wire.ErrLabelTooLong},
		{"name of 256 octets", labels(63, 63, 63, 62), wire.ErrNameTooLong},
		{"name of 256 octets without the final dot", strings.TrimSuffix(labels(63, 63, 63, 62), "."), wire.ErrNameTooLong},
		{"name of 257 octets, a label too many", labels(63, 63, 63, 61, 1), wire.ErrNameTooLong},
		{"128 labels", strings.Repeat("a.", 128), wire.ErrNameTooLong},
		{"far too long", strings.Repeat("a.", 100000), wire.ErrNameTooLong},
		{"lone backslash", "a\\", wire.ErrEscape},
		{"octet above 255", "\\256.", wire.ErrEscape},
		{"two digits", "\\12", wire.ErrEscape},
		{"two digits and a letter", "\\12a.", wire.ErrEscape},
	} {
		t.Run(c.clause, func(t *testing.T) {
			if n, err := wire.ParseName(c.text); !errors.Is(err, c.want) || n != wire.Root {
				t.Errorf("got %q, %v, want %v", n.Reveal(), err, c.want)
			}
		})
	}
}

func TestNameFromWire(t *testing.T) {
	for _, c := range []struct {
		clause, raw, want string
		err               error
	}{
		{"the root", "\x00", ".", nil},
		{"octets behind the name are not read", "\x03com\x00\x03net", "com.", nil},
		{"RFC 4343 section 3: letters fold", "\x03CoM\x00", "com.", nil},
		{"RFC 4343 section 3: neighbours of the letters do not", "\x04@[`{\x00", "\\@[`{.", nil},
		{"label of 63 octets", string(rawLabels(63)), labels(63), nil},
		{"name of 255 octets", string(rawLabels(63, 63, 63, 61)), labels(63, 63, 63, 61), nil},
		{"name of 255 octets in 127 labels", strings.Repeat("\x01a", 127) + "\x00", strings.Repeat("a.", 127), nil},
		{"name of 256 octets", string(rawLabels(63, 63, 63, 62)), ".", wire.ErrNameTooLong},
		{"name of 257 octets", string(rawLabels(63, 63, 63, 61, 1)), ".", wire.ErrNameTooLong},
		{"128 labels", strings.Repeat("\x01a", 128) + "\x00", ".", wire.ErrNameTooLong},
		{"label of 64 octets: bits 01 are reserved (RFC 1035 section 4.1.4)", "\x40" + strings.Repeat("a", 64) + "\x00", ".", wire.ErrLabelTooLong},
		{"bits 10 are reserved", "\x80\x00", ".", wire.ErrLabelTooLong},
		{"a pointer has nothing to point back to", "\x03com\xc0\x00", ".", wire.ErrLabelTooLong},
		{"nothing at all", "", ".", wire.ErrNameCut},
		{"no root label", "\x03com", ".", wire.ErrNameCut},
		{"cut inside a label", "\x03co", ".", wire.ErrNameCut},
		{"cut behind the length", "\x03", ".", wire.ErrNameCut},
	} {
		t.Run(c.clause, func(t *testing.T) {
			n, err := wire.NameFromWire([]byte(c.raw))
			if !errors.Is(err, c.err) || n.Reveal() != c.want {
				t.Errorf("got %q, %v, want %q, %v", n.Reveal(), err, c.want, c.err)
			}
		})
	}
}

func TestNameOutlivesItsBuffer(t *testing.T) {
	buf := []byte("\x06buffer\x04test\x00")
	n, err := wire.NameFromWire(buf)
	if err != nil {
		t.Fatal(err)
	}
	clear(buf)
	if got := n.Reveal(); got != "buffer.test." {
		t.Errorf("got %q", got)
	}
}

func TestReveal(t *testing.T) {
	for _, c := range []struct{ clause, raw, want string }{
		{"the root", "\x00", "."},
		{"RFC 1035 section 5.1: a dot inside a label", "\x03a.b\x00", "a\\.b."},
		{"characters of the zone file's own", "\x09\"\\();@$ x\x00", "\\\"\\\\\\(\\)\\;\\@\\$\\ x."},
		{"what does not print", "\x04\x00\x1f\x7f\xff\x00", "\\000\\031\\127\\255."},
		{"what prints as it is", "\x05_*-!~\x00", "_*-!~."},
	} {
		t.Run(c.clause, func(t *testing.T) {
			n, err := wire.NameFromWire([]byte(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := n.Reveal(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if back := wire.MustName(c.want); back != n {
				t.Error("does not parse back")
			}
		})
	}
}

func TestMustNamePanicsWithoutTheName(t *testing.T) {
	defer func() {
		if text, ok := recover().(string); !ok || strings.Contains(text, "secret") {
			t.Errorf("panics with %q", text)
		}
	}()
	wire.MustName("secret..example.")
}

func TestNamesAreEqualByValue(t *testing.T) {
	var zero wire.Name
	upper, err := wire.NameFromWire([]byte("\x07EXAMPLE\x00"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a, b wire.Name
		want bool
	}{
		{"RFC 4343 section 3: letter case", wire.MustName("example"), upper, true},
		{"the zero Name is the root", zero, wire.MustName("."), true},
		{"the parent of a top level", wire.MustName("com.").Parent(), wire.Root, true},
		{"the suffix of no labels", wire.MustName("com.").Suffix(0), wire.Root, true},
		{"different names", wire.MustName("a.example."), wire.MustName("b.example."), false},
		{"a dot inside a label", wire.MustName("a\\.b."), wire.MustName("a.b."), false},
	} {
		if got := c.a == c.b; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !wire.MustName("..."[:1]).IsRoot() || wire.MustName("com").IsRoot() {
		t.Error("IsRoot is wrong")
	}
}

func TestIs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{".", ".", true},
		{".", "", false},
		{"example.", "EXAMPLE.", true},
		{"example.", "example", true},
		{"example.", "example..", false},
		{"example.", "exampl", false},
		{"example.", "example.com.", false},
		{"www.example.com.", "www.Example.com.", true},
		{"www.example.com.", "www.example.", false},
		{"www.example.com.", "www.example", false},
		{"www.example.com.", ".", false},
		{"www.example.com.", "", false},
		{"a\\.b.example.", "a\\.b.example.", true},
		{"a\\.b.example.", "a\\046b.example.", true},
		{"a\\.b.example.", "a.b.example.", false},
		{"a.b.example.", "a\\.b.example.", false},
		{"a.example.", "\\", false},
	} {
		if got := wire.MustName(c.name).Is(c.text); got != c.want {
			t.Errorf("%q is %q: %v", c.text, c.name, got)
		}
	}
}

func TestLabels(t *testing.T) {
	for text, want := range map[string]int{
		".": 0, "example.": 1, "www.example.com.": 3, "a\\.b.example.": 2, strings.Repeat("a.", 127): 127,
	} {
		if got := wire.MustName(text).Labels(); got != want {
			t.Errorf("RFC 4034 section 3.1.3: %q: %d labels, want %d", text, got, want)
		}
	}
}

func TestParentAndFirstLabel(t *testing.T) {
	for _, c := range []struct{ name, parent, first string }{
		{".", ".", ""},
		{"com.", ".", "com"},
		{"www.example.com.", "example.com.", "www"},
		{"a\\.b.example.", "example.", "a.b"},
	} {
		n := wire.MustName(c.name)
		if got := n.Parent(); got != wire.MustName(c.parent) {
			t.Errorf("parent of %s: %s", c.name, got.Reveal())
		}
		if got := n.FirstLabel(); got != c.first {
			t.Errorf("first label of %s: %q", c.name, got)
		}
	}
}

func TestSuffix(t *testing.T) {
	n := wire.MustName("a.b.example.com.")
	for count, want := range []string{".", "com.", "example.com.", "b.example.com.", "a.b.example.com.", "a.b.example.com.", "a.b.example.com."} {
		if got := n.Suffix(count); got != wire.MustName(want) {
			t.Errorf("%d labels: %s, want %s", count, got.Reveal(), want)
		}
	}
	if got := wire.Root.Suffix(3); got != wire.Root {
		t.Errorf("of the root: %s", got.Reveal())
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		name, zone    string
		within, below bool
	}{
		{"example.com.", "example.com.", true, false},
		{"www.example.com.", "example.com.", true, true},
		{"a.b.c.example.com.", "com.", true, true},
		{"com.", ".", true, true},
		{".", ".", true, false},
		{".", "com.", false, false},
		{"com.", "example.com.", false, false},
		{"notexample.com.", "example.com.", false, false},
		{"www.example.net.", "example.com.", false, false},
		{"example.com.example.net.", "example.com.", false, false},
		// The octets of the zone's wire form stand at the end of the name's, but inside a label.
		{"a\\007example.", "example.", false, false},
		{"\\007example.com.", "example.com.", false, false},
		{"x\\003com.", "com.", false, false},
		{strings.Repeat("a.", 127), strings.Repeat("a.", 126), true, true},
		{strings.Repeat("a.", 127), strings.Repeat("a.", 127), true, false},
	} {
		name, zone := wire.MustName(c.name), wire.MustName(c.zone)
		if got := name.Within(zone); got != c.within {
			t.Errorf("%s within %s: %v", c.name, c.zone, got)
		}
		if got := name.Below(zone); got != c.below {
			t.Errorf("%s below %s: %v", c.name, c.zone, got)
		}
	}
}

func TestPrepend(t *testing.T) {
	for _, c := range []struct {
		name, label, zone, want string
		err                     error
	}{
		{"to a zone", "www", "example.", "www.example.", nil},
		{"to the root", "com", ".", "com.", nil},
		{"letters fold", "WwW", "example.", "www.example.", nil},
		{"raw octets, not text", "a.b\\", "example.", "a\\.b\\\\.example.", nil},
		{"63 octets", strings.Repeat("a", 63), "example.", labels(63) + "example.", nil},
		{"64 octets", strings.Repeat("a", 64), "example.", ".", wire.ErrLabelTooLong},
		{"no octets", "", "example.", ".", wire.ErrEmptyLabel},
		{"up to 255 octets", "a", labels(63, 63, 63, 59), labels(1, 63, 63, 63, 59), nil},
		{"up to 256 octets", "ab", labels(63, 63, 63, 59), ".", wire.ErrNameTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := wire.MustName(c.zone).Prepend(c.label)
			if !errors.Is(err, c.err) || n != wire.MustName(c.want) {
				t.Errorf("got %s, %v", n.Reveal(), err)
			}
		})
	}
}

func TestSubstitute(t *testing.T) {
	// The examples of RFC 6672 section 2.2, table 1, where a substitution takes place.
	for _, c := range []struct {
		name, from, to, want string
		err                  error
	}{
		{"a.example.com.", "example.com.", "example.net.", "a.example.net.", nil},
		{"a.b.example.com.", "example.com.", "example.net.", "a.b.example.net.", nil},
		{"ab.example.com.", "b.example.com.", "example.net.", "", nil},
		{"foo.example.com.", "example.com.", "example.net.", "foo.example.net.", nil},
		{"a.x.example.com.", "x.example.com.", "example.net.", "a.example.net.", nil},
		{"a.example.com.", "example.com.", "y.example.com.", "a.y.example.com.", nil},
		{"cyc.example.com.", "example.com.", "example.com.", "cyc.example.com.", nil},
		{"cyc.example.com.", "example.com.", "c.example.com.", "cyc.c.example.com.", nil},
		{"shortloop.x.x.", "x.", ".", "shortloop.x.", nil},
		{"shortloop.x.", "x.", ".", "shortloop.", nil},
		{labels(63, 63, 61) + "x.", "x.", labels(63), labels(63, 63, 61, 63), nil},
		{labels(63, 63, 62) + "x.", "x.", labels(63), ".", wire.ErrNameTooLong},
	} {
		name, from := wire.MustName(c.name), wire.MustName(c.from)
		if c.want == "" {
			if name.Within(from) {
				t.Errorf("%s is within %s", c.name, c.from)
			}
			continue
		}
		n, err := name.Substitute(from, wire.MustName(c.to))
		if !errors.Is(err, c.err) || n != wire.MustName(c.want) {
			t.Errorf("%s, %s to %s: got %s, %v, want %s", c.name, c.from, c.to, n.Reveal(), err, c.want)
		}
	}
}

// RFC 4034 section 6.1 gives these names in canonical order; the ends of the list are ours.
var canonicalOrder = []string{
	".",
	"example.",
	"a.example.",
	"yljkjljk.a.example.",
	"Z.a.example.",
	"zABC.a.EXAMPLE.",
	"z.example.",
	"\\001.z.example.",
	"*.z.example.",
	"\\200.z.example.",
	"zz.example.",
	"zz\\000.example.",
	"example\\000.",
	strings.Repeat("x.", 126),
	strings.Repeat("x.", 127),
}

func TestCompare(t *testing.T) {
	for i, a := range canonicalOrder {
		for j, b := range canonicalOrder {
			if got, want := sign(wire.MustName(a).Compare(wire.MustName(b))), cmp.Compare(i, j); got != want {
				t.Errorf("%s with %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestCompareSorts(t *testing.T) {
	var names []wire.Name
	for _, text := range canonicalOrder {
		names = append(names, wire.MustName(text))
	}
	sorted := slices.Clone(names)
	slices.Reverse(sorted)
	slices.SortFunc(sorted, wire.Name.Compare)
	if !slices.Equal(sorted, names) {
		t.Error("not in canonical order")
	}
}

func sign(n int) int { return cmp.Compare(n, 0) }

func BenchmarkNameFromWire(b *testing.B) {
	raw := []byte("\x03www\x07example\x03com\x00")
	kept, _ := wire.NameFromWire(raw)
	b.ReportAllocs()
	for b.Loop() {
		if n, _ := wire.NameFromWire(raw); n != kept {
			b.Fatal("not interned")
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	x, y := wire.MustName("a.b.c.example.com."), wire.MustName("a.b.d.example.com.")
	b.ReportAllocs()
	for b.Loop() {
		if x.Compare(y) >= 0 {
			b.Fatal("wrong order")
		}
	}
}
