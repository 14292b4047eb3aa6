package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A built is one call of Add.
type built struct {
	section wire.Section
	set     wire.RRset
	sigs    bool
}

func set(owner string, kind wire.Type, rdata ...string) wire.RRset {
	s := wire.RRset{Name: wire.MustName(owner), Type: kind, TTL: 300}
	for _, r := range rdata {
		s.Data = s.Data.Add([]byte(r))
	}
	return s
}

func build(t testing.TB, qname string, adds ...built) []byte {
	t.Helper()
	var b wire.Builder
	b.Begin(nil, wire.Question{Name: wire.MustName(qname), Type: wire.TypeA, Class: wire.ClassIN}, wire.NoError, 0)
	for _, a := range adds {
		if err := b.Add(a.section, &a.set, a.set.TTL, a.sigs); err != nil {
			t.Fatal(err)
		}
	}
	return b.Message()
}

func TestBegin(t *testing.T) {
	for _, c := range []struct {
		name  string
		rcode wire.Rcode
		flags wire.Flags
		want  uint16
	}{
		{"nothing special", wire.NoError, 0, qr | ra},
		{"authoritative", wire.NXDomain, wire.Authoritative, qr | ra | aa | 3},
		{"authenticated", wire.NoError, wire.Authenticated, qr | ra | ad},
		{"RFC 6891 section 6.1.3: the lower four bits of a code above 15", wire.BadCookie, 0, qr | ra | 7},
	} {
		var b wire.Builder
		b.Begin([]byte("what was there before"), wire.Question{Name: wire.MustName("www.test."), Type: wire.TypeMX, Class: wire.ClassIN, DO: true, CD: true}, c.rcode, c.flags)
		want := packet(nil).u16(0, c.want, 1, 0, 0, 0).question(wwwTest, wire.TypeMX, wire.ClassIN)
		if !bytes.Equal(b.Message(), want) {
			t.Errorf("%s: got %x, want %x", c.name, b.Message(), []byte(want))
		}
		a := wire.Answer{Packet: b.Message()}
		if a.Rcode() != c.rcode&0xf {
			t.Errorf("%s: code %v", c.name, a.Rcode())
		}
	}
}

func TestCompression(t *testing.T) {
	const (
		www  = "\xc0\x0c" // the question's name
		test = "\xc0\x10" // its parent
	)
	soa := strings.Repeat("\x00\x00\x00\x01", 5)
	long := "\x41" + strings.Repeat("x", 0x41) + "\x00"
	for _, c := range []struct {
		clause string
		add    built
		want   string // behind the question: the records, without counts
	}{
		{"RFC 1035 section 4.1.4: a whole name", built{set: set("www.test.", wire.TypeA, "abcd")}, rr(www, 1, "abcd")},
		{"RFC 1035 section 4.1.4: a suffix", built{set: set("a.test.", wire.TypeA, "abcd")}, rr("\x01a"+test, 1, "abcd")},
		{"the root is not worth a pointer", built{set: set(".", wire.TypeA, "abcd")}, rr("\x00", 1, "abcd")},
		{"a name of its own", built{set: set("a.example.", wire.TypeA, "abcd", "efgh")}, rr("\x01a\x07example\x00", 1, "abcd") + rr("\xc0\x1a", 1, "efgh")},
		{"labels that end the same are different", built{set: set("xtest.", wire.TypeA, "abcd")}, rr("\x05xtest\x00", 1, "abcd")},
		{"NS", built{set: set("test.", wire.TypeNS, "\x02ns\x04test\x00")}, rr(test, 2, "\x02ns"+test)},
		{"CNAME", built{set: set("www.test.", wire.TypeCNAME, "\x03www\x04test\x00")}, rr(www, 5, www)},
		{"PTR", built{set: set("www.test.", wire.TypePTR, "\x00")}, rr(www, 12, "\x00")},
		{"MX", built{set: set("test.", wire.TypeMX, "\x00\x0a\x02mx\x04test\x00")}, rr(test, 15, "\x00\x0a\x02mx"+test)},
		{"SOA", built{set: set("test.", wire.TypeSOA, "\x02ns\x04test\x00\x01h\x02ns\x04test\x00"+soa)}, rr(test, 6, "\x02ns"+test+"\x01h\xc0\x26"+soa)},
		{"RFC 3597 section 4: SRV is not compressed", built{set: set("www.test.", 33, "\x00\x00\x00\x00\x00\x35\x03www\x04test\x00")}, rr(www, 33, "\x00\x00\x00\x00\x00\x35\x03www\x04test\x00")},
		{"RFC 6672 section 2.5: DNAME is not compressed", built{set: set("www.test.", wire.TypeDNAME, "\x03www\x04test\x00")}, rr(www, 39, "\x03www\x04test\x00")},
		{"RFC 4034 section 4.1.1: NSEC is not compressed", built{set: set("www.test.", wire.TypeNSEC, "\x03www\x04test\x00\x00\x01\x40")}, rr(www, 47, "\x03www\x04test\x00\x00\x01\x40")},
		{"the letter case of RDATA is kept", built{set: set("test.", wire.TypeNS, "\x02Ns\x04TEST\x00")}, rr(test, 2, "\x02Ns\x04TEST\x00")},
		{"MX without its preference", built{set: set("test.", wire.TypeMX, "\x00")}, rr(test, 15, "\x00")},
		{"no RDATA", built{set: set("test.", wire.TypeNS, "")}, rr(test, 2, "")},
		{"a name without its end", built{set: set("test.", wire.TypeNS, "\x04test")}, rr(test, 2, "\x04test")},
		{"a pointer in RDATA points into another message", built{set: set("test.", wire.TypeNS, "\xc0\x00")}, rr(test, 2, "\xc0\x00")},
		{"a pointer behind a label", built{set: set("test.", wire.TypeNS, "\x02ns\xc0\x00")}, rr(test, 2, "\x02ns\xc0\x00")},
		{"a length that is none", built{set: set("test.", wire.TypeNS, long, long)}, rr(test, 2, long) + rr(test, 2, long)},
		{"octets behind the name", built{set: set("test.", wire.TypeNS, "\x04test\x00xyz")}, rr(test, 2, test+"xyz")},
	} {
		t.Run(c.clause, func(t *testing.T) {
			c.add.section = wire.AnswerSection
			got := build(t, "www.test.", c.add)[12+len(wwwTest)+4:]
			if string(got) != c.want {
				t.Errorf("got  %x\nwant %x", got, c.want)
			}
		})
	}
}

func rr(owner string, kind wire.Type, rdata string) string {
	return string(packet(nil).record(owner, kind, 1, 300, rdata))
}

func TestSections(t *testing.T) {
	a := set("www.test.", wire.TypeA, "\xc0\x00\x02\x01", "\xc0\x00\x02\x02")
	a.Sigs = wire.Rdatas{}.Add(signature(wire.TypeA))
	msg := build(t, "www.test.",
		built{wire.AnswerSection, a, true},
		built{wire.AuthoritySection, set("test.", wire.TypeNS, "\x02ns\x04test\x00"), true},
		built{wire.AdditionalSection, set("ns.test.", wire.TypeA, "\xc0\x00\x02\x03"), false},
		built{wire.AdditionalSection, a, false},
	)
	m := unpack(t, msg)
	if got := fmt.Sprint(types(m.Answer), types(m.Ns), types(m.Extra)); got != "[A A RRSIG] [NS] [A A A]" {
		t.Errorf("got %s", got)
	}
	if sig := m.Answer[2].(*dns.RRSIG); sig.Hdr.Ttl != 300 || sig.Hdr.Name != "www.test." || sig.TypeCovered != dns.TypeA {
		t.Errorf("RFC 4034 section 3: an RRSIG has the owner and the TTL of its RRset: %v", sig)
	}
}

func types(rrs []dns.RR) []string {
	var names []string
	for _, rr := range rrs {
		names = append(names, dns.TypeToString[rr.Header().Rrtype])
	}
	return names
}

// signature is the RDATA of an RRSIG record that covers a type.
func signature(covered wire.Type) []byte {
	return packet(nil).u16(uint16(covered)).raw("\x0d\x02\x00\x00\x01\x2c\x70\x00\x00\x00\x6f\x00\x00\x00\x12\x34\x04test\x00signature")
}

func TestTTLIsTheCallers(t *testing.T) {
	var b wire.Builder
	b.Begin(nil, wire.Question{Name: wire.MustName("www.test."), Type: wire.TypeA, Class: wire.ClassIN}, 0, 0)
	s := set("www.test.", wire.TypeA, "abcd")
	if err := b.Add(wire.AnswerSection, &s, 0x01020304, false); err != nil {
		t.Fatal(err)
	}
	if got := unpack(t, b.Message()).Answer[0].Header().Ttl; got != 0x01020304 {
		t.Errorf("got %#x", got)
	}
}

// RFC 1035 section 4.1.4: a pointer has 14 bits, so nothing at or behind octet 0x4000 can be pointed to.
func TestNoPointerReachesBehind14Bits(t *testing.T) {
	for _, shift := range []int{-3, -2, -1, 0, 1, 2, 3} {
		const before = 12 + len(wwwTest) + 4
		filler := set("www.test.", 65280)
		for size := 0x4000 - before + shift; size > 0; {
			n := min(size, 4000)
			if size-n > 0 && size-n < 12 {
				n -= 12
			}
			filler.Data = filler.Data.Add(bytes.Repeat([]byte{'x'}, n-12))
			size -= n
		}
		late := set("late.example.", wire.TypeNS, "\x02ns\x04late\x07example\x00", "\x02ns\x04late\x07example\x00")
		msg := build(t, "www.test.", built{wire.AnswerSection, filler, false}, built{wire.AuthoritySection, late, false}, built{wire.AdditionalSection, late, false})
		if at := bytes.Index(msg, []byte("\x04late\x07example\x00")); at != 0x4000+shift {
			t.Fatalf("shift %+d: the name stands at %#x", shift, at)
		}
		m := unpack(t, msg)
		for _, rr := range append(m.Ns, m.Extra...) {
			if rr.Header().Name != "late.example." || rr.(*dns.NS).Ns != "ns.late.example." {
				t.Errorf("shift %+d: got %v", shift, rr)
			}
		}
	}
}

// More different names than the Builder remembers: those behind are right, too.
func TestManyNames(t *testing.T) {
	var adds []built
	for i := range 500 {
		adds = append(adds, built{section: wire.AnswerSection, set: set(fmt.Sprintf("n%d.z%d.example.", i, i%7), wire.TypeCNAME, fmt.Sprintf("\x04t%03d\x07example\x00", i))})
	}
	m := unpack(t, build(t, "www.test.", adds...))
	if len(m.Answer) != 500 {
		t.Fatalf("%d records", len(m.Answer))
	}
	for i, rr := range m.Answer {
		if rr.Header().Name != fmt.Sprintf("n%d.z%d.example.", i, i%7) || rr.(*dns.CNAME).Target != fmt.Sprintf("t%03d.example.", i) {
			t.Errorf("record %d: %v", i, rr)
		}
	}
}

func TestMessageTooLong(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		want error
	}{
		{"65,535 octets", 65535 - 12 - len(wwwTest) - 4 - 12, nil},
		{"65,536 octets", 65535 - 12 - len(wwwTest) - 4 - 11, wire.ErrMessageTooLong},
		{"the longest RDATA", 65535, wire.ErrMessageTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b wire.Builder
			b.Begin(nil, wire.Question{Name: wire.MustName("www.test."), Type: wire.TypeA, Class: wire.ClassIN}, 0, 0)
			s := set("www.test.", 65280, strings.Repeat("x", c.size))
			if err := b.Add(wire.AnswerSection, &s, 0, false); !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
			if c.want == nil {
				if got := len(unpack(t, b.Message()).Answer); got != 1 {
					t.Errorf("%d records", got)
				}
			}
		})
	}
}

func TestTooLongBySignatures(t *testing.T) {
	var b wire.Builder
	b.Begin(nil, wire.Question{Name: wire.MustName("www.test."), Type: wire.TypeA, Class: wire.ClassIN}, 0, 0)
	s := set("www.test.", wire.TypeA, "abcd")
	s.Sigs = wire.Rdatas{}.Add(make([]byte, 40000)).Add(make([]byte, 40000))
	if err := b.Add(wire.AnswerSection, &s, 0, false); err != nil {
		t.Errorf("signatures that are not asked for: %v", err)
	}
	if err := b.Add(wire.AnswerSection, &s, 0, true); !errors.Is(err, wire.ErrMessageTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestBuilderForgetsTheMessageBefore(t *testing.T) {
	var b wire.Builder
	var buf []byte
	for _, qname := range []string{"www.test.", "www.example.", "a.www.test.", "."} {
		b.Begin(buf, wire.Question{Name: wire.MustName(qname), Type: wire.TypeA, Class: wire.ClassIN}, 0, 0)
		s := set("www.test.", wire.TypeNS, "\x03www\x07example\x00")
		if err := b.Add(wire.AnswerSection, &s, 0, false); err != nil {
			t.Fatal(err)
		}
		buf = b.Message()
		m := unpack(t, buf)
		if m.Question[0].Name != qname || m.Answer[0].Header().Name != "www.test." || m.Answer[0].(*dns.NS).Ns != "www.example." {
			t.Errorf("got %v", m)
		}
	}
}

func TestRdatas(t *testing.T) {
	long := strings.Repeat("x", 65535)
	want := []string{"", "a", "bc", long, ""}
	var all wire.Rdatas
	for _, r := range want {
		all = all.Add([]byte(r))
	}
	if all.Count() != len(want) {
		t.Errorf("%d records", all.Count())
	}
	rest := all
	for i, w := range want {
		var got []byte
		if got, rest = rest.Next(); string(got) != w || got == nil {
			t.Errorf("record %d: %d octets", i, len(got))
		}
		if cap(got) != len(got) {
			t.Errorf("record %d: appending to it would write into the next one", i)
		}
	}
	if got, rest := rest.Next(); got != nil || len(rest) != 0 {
		t.Error("more than there is")
	}
	if wire.Rdatas(nil).Count() != 0 {
		t.Error("nothing counts")
	}
}
