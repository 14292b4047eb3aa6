package wire_test

import (
	"strings"
	"testing"

	"tacit/internal/wire"
)

// RFC 4034 section 6.2 lists the types whose names are folded; RFC 6840 section 5.1 takes NSEC off the list.
func TestCanonicalRDATA(t *testing.T) {
	const upper, folded = "\x04MaIl\x07EXAMPLE\x00", "\x04mail\x07example\x00"
	both := func(prefix, suffix string) (string, string) { return prefix + upper + suffix, prefix + folded + suffix }
	type canon struct{ rdata, want string }
	pair := func(rdata, want string) canon { return canon{rdata, want} }
	same := func(rdata string) canon { return canon{rdata, rdata} }
	for _, c := range []struct {
		clause string
		kind   wire.Type
		canon
	}{
		{"NS", 2, pair(both("", ""))},
		{"MD", 3, pair(both("", ""))},
		{"MF", 4, pair(both("", ""))},
		{"CNAME", 5, pair(both("", ""))},
		{"SOA", 6, pair(upper+upper+"ABCDEFGHIJKLMNOPQRST", folded+folded+"ABCDEFGHIJKLMNOPQRST")},
		{"MB", 7, pair(both("", ""))},
		{"MG", 8, pair(both("", ""))},
		{"MR", 9, pair(both("", ""))},
		{"PTR", 12, pair(both("", ""))},
		{"HINFO has no names", 13, same("\x03CPU\x02OS")},
		{"MINFO", 14, pair(upper+upper, folded+folded)},
		{"MX: the preference is not a name", 15, pair(both("AB", ""))},
		{"TXT has no names", 16, same(upper)},
		{"RP", 17, pair(upper+upper, folded+folded)},
		{"AFSDB", 18, pair(both("AB", ""))},
		{"RT", 21, pair(both("AB", ""))},
		{"SIG", 24, pair(both("ABCDEFGHIJKLMNOPQR", "SIG"))},
		{"PX", 26, pair("AB"+upper+upper, "AB"+folded+folded)},
		{"NXT: the bitmap is not a name", 30, pair(both("", "BITMAP"))},
		{"SRV", 33, pair(both("ABCDEF", ""))},
		{"NAPTR: flags, services and regular expression keep their case", 35, pair(both("ABCD\x01S\x03E2U\x06!A!B!C", ""))},
		{"KX", 36, pair(both("AB", ""))},
		{"A6: behind the last 64 bits of the address", 38, pair(both("\x40ABCDEFGH", ""))},
		{"A6: of 65 bits the last 63 take eight octets", 38, pair(both("\x41ABCDEFGH", ""))},
		{"A6: 128 bits are all in the name", 38, pair(both("\x80", ""))},
		{"A6: without a prefix there is no name", 38, same("\x00ABCDEFGHIJKLMNOP")},
		{"A6: not even behind the whole address", 38, same("\x00ABCDEFGHIJKLMNOP" + upper)},
		{"A6: a prefix that cannot be", 38, same("\x81" + upper)},
		{"DNAME", 39, pair(both("", ""))},
		{"RFC 6840 section 5.1: the signer's name in RRSIG", 46, pair(both("ABCDEFGHIJKLMNOPQR", "SIG"))},
		{"RFC 6840 section 5.1: not the next name of NSEC", 47, same(upper + "\x00\x01\x40")},
		{"RFC 3597 section 7: nothing in types that came later (SVCB)", 64, same("\x00\x01" + upper)},
		{"HIP", 55, same(upper)},
		{"NSAP-PTR is not on the list", 23, same(upper)},
		{"an unknown type", 65280, same(upper)},
		{"octets around the letters stay", 2, pair("\x06@AZ[`{\x00", "\x06@az[`{\x00")},
		{"octets above 127 stay", 2, same("\x02\xc3\x84\x00")},
		{"the root", 2, same("\x00")},

		// Whoever signs malformed RDATA signs its octets.
		{"empty", 15, same("")},
		{"cut in the preference", 15, same("A")},
		{"no name", 15, same("AB")},
		{"name without its root label", 2, same("\x04MAIL")},
		{"label cut", 2, same("\x09MAIL")},
		{"a pointer", 2, same("\x04MAIL\xc0\x0c")},
		{"label of 64 octets", 2, same("\x40" + strings.Repeat("A", 64) + "\x00")},
		{"second name missing", 17, same(upper)},
		{"second name cut", 17, same(upper + "\x04MA")},
		{"character-string cut", 35, same("ABCD\x01S\x03E2U\x16!A")},
		{"character-strings missing", 35, same("ABCD")},
		{"name of 256 octets", 2, same(strings.Repeat("\x3f"+strings.Repeat("A", 63), 3) + "\x3e" + strings.Repeat("A", 62) + "\x00")},
		{"something behind the name", 2, pair(both("", "TRAILER"))},
	} {
		t.Run(c.clause, func(t *testing.T) {
			if got := string(wire.AppendCanonical(nil, c.kind, []byte(c.rdata))); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := string(wire.AppendCanonical([]byte("IN FRONT"), c.kind, []byte(c.rdata))); got != "IN FRONT"+c.want {
				t.Errorf("appended: %q", got)
			}
		})
	}
	longest := strings.Repeat("\x3f"+strings.Repeat("A", 63), 3) + "\x3d" + strings.Repeat("A", 61) + "\x00"
	if got := string(wire.AppendCanonical(nil, wire.TypeNS, []byte(longest))); got != strings.ToLower(longest) {
		t.Error("a name of 255 octets is not folded")
	}
}
