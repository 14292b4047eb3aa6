package dnssec

import (
	"bytes"
	"strings"
	"testing"

	"tacit/internal/wire"
)

// RFC 4034 section 6.3: RDATA is ordered as octets, left-justified; a missing octet sorts before a zero, and duplicates go.
func TestCanonicalOrder(t *testing.T) {
	for _, c := range []struct {
		clause   string
		kind     wire.Type
		in, want []string
	}{
		{"by octets", 1, []string{"\xc0\x00\x02\x0a", "\x0a\x00\x00\x01", "\xc0\x00\x02\x02"}, []string{"\x0a\x00\x00\x01", "\xc0\x00\x02\x02", "\xc0\x00\x02\x0a"}},
		{"unsigned", 16, []string{"\x80", "\x7f"}, []string{"\x7f", "\x80"}},
		{"a missing octet before a zero", 16, []string{"\x00\x00", "", "\x00"}, []string{"", "\x00", "\x00\x00"}},
		{"not by length", 16, []string{"b", "aa"}, []string{"aa", "b"}},
		{"duplicates", 16, []string{"b", "a", "b", "b", "a"}, []string{"a", "b"}},
		{"duplicates but for the case of a name", 2, []string{"\x01A\x00", "\x01a\x00"}, []string{"\x01a\x00"}},
		{"not duplicates: the case of what is no name", 16, []string{"\x01a", "\x01A"}, []string{"\x01A", "\x01a"}},
		{"ordered behind the folding", 2, []string{"\x01b\x00", "\x01A\x00", "\x01C\x00"}, []string{"\x01a\x00", "\x01b\x00", "\x01c\x00"}},
		{"none", 1, nil, nil},
	} {
		t.Run(c.clause, func(t *testing.T) {
			set := wire.RRset{Type: c.kind}
			for _, rdata := range c.in {
				set.Data = set.Data.Add([]byte(rdata))
			}
			before := bytes.Clone(set.Data)
			var s scratch
			s.sort(&set)
			got := make([]string, 0, len(s.records))
			for _, r := range s.records {
				got = append(got, string(r))
			}
			if strings.Join(got, ",") != strings.Join(c.want, ",") || len(got) != len(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !bytes.Equal(before, set.Data) {
				t.Error("the set, which others read, was changed")
			}
		})
	}
}

// RFC 4034 section 3.1.8.1, octet for octet.
func TestSignedOctets(t *testing.T) {
	s := &Signature{
		Labels: 1, OriginalTTL: 3600, Signer: wire.MustName("example"), prefix: []byte("EIGHTEEN OCTETS..."),
	}
	set := &wire.RRset{Name: wire.MustName("a.example"), Type: wire.TypeMX, TTL: 5}
	set.Data = set.Data.Add([]byte("\x00\x02\x01B\x00")).Add([]byte("\x00\x01\x01A\x00")).Add([]byte("\x00\x02\x01b\x00"))
	const owner = "\x01*\x07example\x00\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x05"
	want := "EIGHTEEN OCTETS...\x07example\x00" + owner + "\x00\x01\x01a\x00" + owner + "\x00\x02\x01b\x00"
	if got := string(new(scratch).signed(s, set)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSignedDoesNotAllocate(t *testing.T) {
	s := signerFor(t, 15, 256)
	records := rrs(t, "@ MX 10 Mail.Example.", "@ MX 10 B.Example.", "@ MX 5 Z.Example.", "@ MX 10 Mail.Example.")
	set, sig := setOf(t, records...), s.sign(t, records...)
	var buf scratch
	buf.signed(&sig, set)
	if n := testing.AllocsPerRun(100, func() { buf.signed(&sig, set) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
