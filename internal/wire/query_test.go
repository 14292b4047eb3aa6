package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

// A packet builds the octets of a message, right or wrong.
type packet []byte

const (
	qr = 1 << 15
	aa = 1 << 10
	tc = 1 << 9
	rd = 1 << 8
	ra = 1 << 7
	ad = 1 << 5
	cd = 1 << 4
)

// header starts a packet with ID 0x1234 and the counts of its sections.
func header(flags uint16, counts ...uint16) packet {
	p := packet(nil).u16(0x1234, flags)
	return p.u16(append(counts, 0, 0, 0, 0)[:4]...)
}

func (p packet) u16(values ...uint16) packet {
	for _, v := range values {
		p = append(p, byte(v>>8), byte(v))
	}
	return p
}

func (p packet) raw(octets string) packet { return append(p, octets...) }

func (p packet) question(name string, kind wire.Type, class wire.Class) packet {
	return p.raw(name).u16(uint16(kind), uint16(class))
}

func (p packet) record(owner string, kind wire.Type, class uint16, ttl uint32, rdata string) packet {
	return p.raw(owner).u16(uint16(kind), class, uint16(ttl>>16), uint16(ttl), uint16(len(rdata))).raw(rdata)
}

func (p packet) opt(size uint16, ttl uint32, options ...string) packet {
	return p.record("\x00", wire.TypeOPT, size, ttl, strings.Join(options, ""))
}

func option(code uint16, value string) string {
	return string(packet(nil).u16(code, uint16(len(value))).raw(value))
}

const wwwTest = "\x03www\x04test\x00"

func plain(flags uint16) packet {
	return header(flags, 1).question(wwwTest, wire.TypeA, wire.ClassIN)
}

func withOPT(size uint16, ttl uint32, options ...string) packet {
	return header(rd, 1, 0, 0, 1).question(wwwTest, wire.TypeA, wire.ClassIN).opt(size, ttl, options...)
}

func TestHeaderDecidesFirst(t *testing.T) {
	for _, c := range []struct {
		clause  string
		message packet
		verdict wire.Verdict
		rcode   wire.Rcode
	}{
		{"nothing", nil, wire.Drop, 0},
		{"eleven octets", plain(rd)[:11], wire.Drop, 0},
		{"a response: answering it could start a loop", plain(qr | rd), wire.Drop, 0},
		{"a response of eleven octets", plain(qr)[:11], wire.Drop, 0},
		{"a response with another opcode", header(qr | 4<<11), wire.Drop, 0},
		{"a query", plain(rd), wire.Accept, 0},
		{"RFC 1035 section 4.1.1: AA, TC, RA and Z do not count in a query", plain(rd | aa | tc | ra | 1<<6), wire.Accept, 0},
		{"an RCODE does not count in a query", plain(rd | 0xf), wire.Accept, 0},
		{"opcode IQUERY (RFC 3425 section 3)", header(1<<11, 1), wire.Reject, wire.NotImp},
		{"opcode STATUS", header(2<<11, 1), wire.Reject, wire.NotImp},
		{"opcode NOTIFY", header(4<<11, 1), wire.Reject, wire.Refused},
		{"opcode UPDATE", header(5<<11, 1), wire.Reject, wire.Refused},
		{"opcode DSO", header(6 << 11), wire.Reject, wire.NotImp},
		{"opcode 15", header(15 << 11), wire.Reject, wire.NotImp},
		{"RFC 9619 section 4: QDCOUNT 0", header(rd), wire.Reject, wire.FormErr},
		{"RFC 9619 section 4: QDCOUNT 2", header(rd, 2).question(wwwTest, 1, 1).question(wwwTest, 28, 1), wire.Reject, wire.FormErr},
		{"QDCOUNT 65535", header(rd, 65535), wire.Reject, wire.FormErr},
		{"ANCOUNT 2", header(rd, 1, 2), wire.Reject, wire.FormErr},
		{"NSCOUNT 2", header(rd, 1, 0, 2), wire.Reject, wire.FormErr},
		{"ARCOUNT 3", header(rd, 1, 0, 0, 3), wire.Reject, wire.FormErr},
		{"header alone", header(rd, 1), wire.Reject, wire.FormErr},
	} {
		t.Run(c.clause, func(t *testing.T) {
			var q wire.Query
			verdict := q.Parse(c.message)
			if verdict != c.verdict || q.Rcode != c.rcode {
				t.Errorf("got verdict %d, %v, want %d, %v", verdict, q.Rcode, c.verdict, c.rcode)
			}
			if verdict == wire.Reject && (q.Reason.Text == "" || q.ID != 0x1234) {
				t.Errorf("rejected without reason or ID: %v", q.Reason)
			}
		})
	}
}

func TestQuestionDecidesNext(t *testing.T) {
	longest := string(rawLabels(63, 63, 63, 61))
	tooLong := string(rawLabels(63, 63, 63, 62))
	for _, c := range []struct {
		clause  string
		message packet
		verdict wire.Verdict
		rcode   wire.Rcode
		code    wire.EDE
	}{
		{"the root", header(rd, 1).question("\x00", wire.TypeNS, 1), wire.Accept, 0, 0},
		{"RFC 1035 section 2.3.4: 255 octets", header(rd, 1).question(longest, 1, 1), wire.Accept, 0, 0},
		{"RFC 1035 section 2.3.4: 256 octets", header(rd, 1).question(tooLong, 1, 1), wire.Reject, wire.FormErr, 0},
		{"a label of 64 octets", header(rd, 1).question("\x40"+strings.Repeat("a", 64)+"\x00", 1, 1), wire.Reject, wire.FormErr, 0},
		{"a pointer to the header", header(rd, 1).question("\xc0\x00", 1, 1), wire.Reject, wire.FormErr, 0},
		{"a pointer to itself", header(rd, 1).question("\xc0\x0c", 1, 1), wire.Reject, wire.FormErr, 0},
		{"a name without its end", header(rd, 1).raw("\x03www\x04te"), wire.Reject, wire.FormErr, 0},
		{"no type", header(rd, 1).raw(wwwTest), wire.Reject, wire.FormErr, 0},
		{"half a class", plain(rd)[:len(plain(rd))-1], wire.Reject, wire.FormErr, 0},
		{"an octet behind the message", plain(rd).raw("\x00"), wire.Reject, wire.FormErr, 0},
		{"class CHAOS", header(rd, 1).question(wwwTest, wire.TypeTXT, wire.ClassCHAOS), wire.Reject, wire.Refused, wire.EDENotSupported},
		{"class ANY", header(rd, 1).question(wwwTest, wire.TypeA, wire.ClassANY), wire.Reject, wire.Refused, wire.EDENotSupported},
		{"class 0", header(rd, 1).question(wwwTest, wire.TypeA, 0), wire.Reject, wire.Refused, wire.EDENotSupported},
		{"AXFR of a foreign zone", header(0, 1).question(wwwTest, wire.TypeAXFR, 1), wire.Reject, wire.Refused, wire.EDENotAuthoritative},
		{"IXFR of a foreign zone", header(0, 1).question(wwwTest, wire.TypeIXFR, 1), wire.Reject, wire.Refused, wire.EDENotAuthoritative},
		{"RFC 9824 section 3.5: NXNAME is not asked for", header(rd, 1).question(wwwTest, wire.TypeNXNAME, 1), wire.Reject, wire.FormErr, 30},
		{"meta type OPT", header(rd, 1).question(wwwTest, wire.TypeOPT, 1), wire.Reject, wire.Refused, 30},
		{"meta type TSIG", header(rd, 1).question(wwwTest, 250, 1), wire.Reject, wire.Refused, 30},
		{"meta type MAILB", header(rd, 1).question(wwwTest, 253, 1), wire.Reject, wire.Refused, 30},
		{"type 0", header(rd, 1).question(wwwTest, 0, 1), wire.Reject, wire.Refused, 30},
		{"RFC 8482: ANY is answered", header(rd, 1).question(wwwTest, wire.TypeANY, 1), wire.Accept, 0, 0},
		{"RFC 3597 section 3: an unknown type", header(rd, 1).question(wwwTest, 65280, 1), wire.Accept, 0, 0},
		{"the type above the meta types", header(rd, 1).question(wwwTest, 256, 1), wire.Accept, 0, 0},
		{"the type below the meta types", header(rd, 1).question(wwwTest, 127, 1), wire.Accept, 0, 0},
	} {
		t.Run(c.clause, func(t *testing.T) {
			var q wire.Query
			if verdict := q.Parse(c.message); verdict != c.verdict || q.Rcode != c.rcode || q.Reason.Code != c.code {
				t.Errorf("got verdict %d, %v, EDE %d", verdict, q.Rcode, q.Reason.Code)
			}
		})
	}
}

func TestRecordsOfAQuery(t *testing.T) {
	query := header(rd, 1).question(wwwTest, wire.TypeA, wire.ClassIN)
	counts := func(an, ns, ar uint16) packet { return append(header(rd, 1, an, ns, ar), query[12:]...) }
	opt := func(p packet) packet { return p.opt(1232, 0) }
	a := func(p packet, owner string) packet { return p.record(owner, wire.TypeA, 1, 0, "\xc0\x00\x02\x01") }
	for _, c := range []struct {
		clause  string
		message packet
		verdict wire.Verdict
		rcode   wire.Rcode
	}{
		{"an OPT record", opt(counts(0, 0, 1)), wire.Accept, 0},
		{"OPT and TSIG", opt(counts(0, 0, 2)).record(wwwTest, 250, 255, 0, "x"), wire.Accept, 0},
		{"TSIG and OPT", opt(counts(0, 0, 2).record(wwwTest, 250, 255, 0, "x")), wire.Accept, 0},
		{"one answer is tolerated", a(counts(1, 0, 0), wwwTest), wire.Accept, 0},
		{"one authority is tolerated", a(counts(0, 1, 0), "\xc0\x0c"), wire.Accept, 0},
		{"RFC 6891 section 6.1.1: more than one OPT", opt(opt(counts(0, 0, 2))), wire.Reject, wire.FormErr},
		{"RFC 6891 section 6.1.1: OPT among the answers", opt(counts(1, 0, 0)), wire.Reject, wire.FormErr},
		{"RFC 6891 section 6.1.1: OPT in the authority section", opt(counts(0, 1, 0)), wire.Reject, wire.FormErr},
		{"RFC 6891 section 6.1.2: OPT is owned by the root", counts(0, 0, 1).record(wwwTest, wire.TypeOPT, 1232, 0, ""), wire.Reject, wire.FormErr},
		{"OPT owned by a pointer to a root label", counts(0, 0, 1).record("\xc0\x15", wire.TypeOPT, 1232, 0, ""), wire.Reject, wire.FormErr},
		{"a record missing", counts(0, 0, 1), wire.Reject, wire.FormErr},
		{"a record too many", opt(opt(counts(0, 0, 1))), wire.Reject, wire.FormErr},
		{"RDLENGTH past the end", counts(0, 0, 1).raw("\x00").u16(41, 1232, 0, 0, 5).raw("1234"), wire.Reject, wire.FormErr},
		{"RDLENGTH too short", counts(0, 0, 1).raw("\x00").u16(41, 1232, 0, 0, 3).raw("1234"), wire.Reject, wire.FormErr},
		{"an owner without its end", counts(0, 0, 1).raw("\x3fabc"), wire.Reject, wire.FormErr},
		{"half a pointer", counts(0, 0, 1).raw("\xc0"), wire.Reject, wire.FormErr},
		{"an owner with reserved bits", counts(0, 0, 1).record("\x80", wire.TypeA, 1, 0, "abcd"), wire.Reject, wire.FormErr},
		{"RFC 6891 section 6.1.3: version 1", withOPT(1232, 1<<16), wire.Reject, wire.BadVers},
		{"RFC 6891 section 6.1.3: version 255", withOPT(1232, 0xff<<16), wire.Reject, wire.BadVers},
		{"options of another version are not ours to read", withOPT(1232, 1<<16, "\x00\x0a\x00\x01x"), wire.Reject, wire.BadVers},
		{"an extended RCODE does not count in a query", withOPT(1232, 0xff<<24), wire.Accept, 0},
		{"RFC 6891 section 6.1.4: unknown flags are ignored", withOPT(1232, 0x7fff), wire.Accept, 0},
	} {
		t.Run(c.clause, func(t *testing.T) {
			var q wire.Query
			if verdict := q.Parse(c.message); verdict != c.verdict || q.Rcode != c.rcode {
				t.Errorf("got verdict %d, %v (%s)", verdict, q.Rcode, q.Reason.Text)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	cookie := func(n int) string { return option(wire.OptionCookie, strings.Repeat("c", n)) }
	many := func(n int) []string { return slices.Repeat([]string{option(65001, "x")}, n) }
	for _, c := range []struct {
		clause  string
		options []string
		verdict wire.Verdict
	}{
		{"none", nil, wire.Accept},
		{"RFC 6891 section 6.1.2: unknown options are ignored", []string{option(65001, "abc"), option(0, ""), option(65535, "")}, wire.Accept},
		{"32 options", many(32), wire.Accept},
		{"33 options", many(33), wire.Reject},
		{"half an option", []string{"\x00\x0a\x00"}, wire.Reject},
		{"an option longer than the record", []string{"\xfd\xe9\x00\x05abcd"}, wire.Reject},
		{"an option longer than any", []string{"\xfd\xe9\xff\xffabcd"}, wire.Reject},
		{"an octet behind the options", []string{option(65001, "abc"), "x"}, wire.Reject},
		{"RFC 7873 section 5.2.2: cookie of 0 octets", []string{cookie(0)}, wire.Reject},
		{"RFC 7873 section 5.2.2: cookie of 7 octets", []string{cookie(7)}, wire.Reject},
		{"RFC 7873 section 5.2.3: client cookie of 8 octets", []string{cookie(8)}, wire.Accept},
		{"RFC 7873 section 5.2.2: cookie of 9 octets", []string{cookie(9)}, wire.Reject},
		{"RFC 7873 section 5.2.2: cookie of 15 octets", []string{cookie(15)}, wire.Reject},
		{"RFC 7873 section 4: client cookie and shortest server cookie", []string{cookie(16)}, wire.Accept},
		{"RFC 7873 section 4: client cookie and longest server cookie", []string{cookie(40)}, wire.Accept},
		{"RFC 7873 section 5.2.2: cookie of 41 octets", []string{cookie(41)}, wire.Reject},
	} {
		t.Run(c.clause, func(t *testing.T) {
			var q wire.Query
			verdict := q.Parse(withOPT(1232, 1<<15, c.options...))
			if verdict != c.verdict || (verdict == wire.Reject && q.Rcode != wire.FormErr) {
				t.Errorf("got verdict %d, %v", verdict, q.Rcode)
			}
			if verdict == wire.Reject && (q.EDNS || q.DO || q.CO || q.UDPSize != 512 || q.Cookie != nil || q.Padding || q.Keepalive) {
				t.Errorf("something of a malformed OPT record stays: %+v", q)
			}
		})
	}
}

func TestParseReadsEDNS(t *testing.T) {
	var q wire.Query
	message := withOPT(4096, 1<<15, option(wire.OptionCookie, "12345678"), option(wire.OptionKeepalive, ""), option(wire.OptionPadding, "\x00\x00"))
	if verdict := q.Parse(message); verdict != wire.Accept {
		t.Fatalf("verdict %d", verdict)
	}
	if !q.EDNS || !q.DO || q.UDPSize != 4096 || string(q.Cookie) != "12345678" || !q.Keepalive || !q.Padding {
		t.Errorf("got %+v", q)
	}
	for size, want := range map[uint16]uint16{0: 512, 511: 512, 512: 512, 513: 513, 65535: 65535} {
		if q.Parse(withOPT(size, 0)); q.UDPSize != want {
			t.Errorf("RFC 6891 section 6.2.3: size %d is taken as %d, want %d", size, q.UDPSize, want)
		}
	}
	first := option(wire.OptionCookie, "first---")
	for name, second := range map[string]string{"good": option(wire.OptionCookie, "second--"), "malformed": option(wire.OptionCookie, "2")} {
		if verdict := q.Parse(withOPT(1232, 0, first, second)); verdict != wire.Accept || string(q.Cookie) != "first---" {
			t.Errorf("RFC 7873 section 5.2: all but the first cookie are ignored, a %s one, too: verdict %d, %q", name, verdict, q.Cookie)
		}
	}
}

// RFC 9824 section 5.1: the flag counts beside DO only.
func TestParseReadsCompactAnswersOK(t *testing.T) {
	for flags, want := range map[uint32]bool{0: false, 1 << 15: false, 1 << 14: false, 1<<15 | 1<<14: true} {
		var q wire.Query
		if verdict := q.Parse(withOPT(1232, flags)); verdict != wire.Accept || q.CO != want || q.Question().CO != want {
			t.Errorf("flags %#x: verdict %d, %v", flags, verdict, q.CO)
		}
	}
}

func TestParseReadsFlags(t *testing.T) {
	for flags, want := range map[uint16][3]bool{0: {}, rd: {true, false, false}, ad: {false, true, false}, cd: {false, false, true}, rd | ad | cd: {true, true, true}} {
		var q wire.Query
		q.Parse(plain(flags))
		if got := [3]bool{q.RD, q.AD, q.CD}; got != want {
			t.Errorf("flags %#x: got %v", flags, got)
		}
	}
}

func TestParseForgetsTheQueryBefore(t *testing.T) {
	var q wire.Query
	q.View = 3
	q.Parse(withOPT(4096, 3<<14, option(wire.OptionCookie, "12345678"), option(wire.OptionKeepalive, ""), option(wire.OptionPadding, "")))
	if verdict := q.Parse(plain(0)); verdict != wire.Accept {
		t.Fatalf("verdict %d", verdict)
	}
	if q.EDNS || q.DO || q.CO || q.UDPSize != 512 || q.Cookie != nil || q.Keepalive || q.Padding || q.RD {
		t.Errorf("something stays: %+v", q)
	}
	if q.View != 3 {
		t.Error("the front door's view does not stay")
	}
	q.Parse(header(rd, 1).question(wwwTest, wire.TypeA, wire.ClassCHAOS))
	if verdict := q.Parse(plain(rd)); verdict != wire.Accept || q.Rcode != wire.NoError || q.Reason.Text != "" {
		t.Errorf("a rejection stays: %d, %v, %v", verdict, q.Rcode, q.Reason)
	}
	if q.Parse(header(rd)); q.RawQuestion() != nil || len(q.FoldedName()) != 0 {
		t.Error("a question stays")
	}
}

func TestQuestion(t *testing.T) {
	var q wire.Query
	q.View = 2
	message := header(rd|cd, 1, 0, 0, 1).question("\x03WwW\x04TesT\x00", wire.TypeAAAA, wire.ClassIN).opt(1232, 1<<15)
	if verdict := q.Parse(message); verdict != wire.Accept {
		t.Fatalf("verdict %d", verdict)
	}
	got := q.Question()
	want := wire.Question{Name: wire.MustName("www.test."), Type: wire.TypeAAAA, Class: wire.ClassIN, DO: true, CD: true, View: 2}
	if got != want {
		t.Errorf("got %+v", got)
	}
	if string(q.FoldedName()) != "\x03www\x04test\x00" {
		t.Errorf("folded name %q", q.FoldedName())
	}
	if string(q.RawQuestion()) != "\x03WwW\x04TesT\x00\x00\x1c\x00\x01" {
		t.Errorf("the question is not as it was sent: %q", q.RawQuestion())
	}
	clear(message)
	q.Parse(plain(0))
	if got.Name.Reveal() != "www.test." {
		t.Error("the question does not outlive the buffer")
	}
	if !q.Question().NoRecursion {
		t.Error("RD=0 is lost")
	}
}

func TestOpcode(t *testing.T) {
	var q wire.Query
	for _, want := range []wire.Opcode{wire.OpcodeQuery, wire.OpcodeNotify, wire.OpcodeUpdate, 15} {
		if q.Parse(header(uint16(want) << 11)); q.Opcode() != want {
			t.Errorf("got %d, want %d", q.Opcode(), want)
		}
	}
}

// A reply to whatever was rejected is a message of its own, and never one that its receiver takes for a query.
func TestRejection(t *testing.T) {
	for _, c := range []struct {
		name    string
		message packet
		want    packet
	}{
		{
			"question kept, letter case too",
			header(rd|cd|ad, 1).question("\x04TeSt\x00", wire.TypeAXFR, 1),
			header(qr|rd|ra|cd|5, 1).question("\x04TeSt\x00", wire.TypeAXFR, 1),
		},
		{"no question", header(rd), header(qr | rd | ra | 5)},
		{"malformed question", header(0, 1).raw("\xc0\x0c"), header(qr | ra | 5)},
		{"question cut", header(0, 1).raw(wwwTest), header(qr | ra | 5)},
		{"malformed record", header(0, 1, 0, 0, 1).question(wwwTest, 1, 1), header(qr|ra|5, 1).question(wwwTest, 1, 1)},
		{"opcode kept", header(5<<11|rd, 1).question(wwwTest, 6, 1), header(qr | 5<<11 | rd | 5)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var q wire.Query
			if verdict := q.Parse(c.message); verdict != wire.Reject {
				t.Fatalf("verdict %d", verdict)
			}
			got := wire.AppendRejection([]byte("before"), &q, wire.Refused)
			if !bytes.Equal(got, append([]byte("before"), c.want...)) {
				t.Errorf("got  %x\nwant %x", got[6:], []byte(c.want))
			}
		})
	}
}

// What is for whoever keeps zones is known by opcode, type, and for SOA records a TSIG record at the end (RFC 8945 section 5.1).
func TestIsOfZones(t *testing.T) {
	const tsig = "\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00"
	const opt = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct {
		name    string
		message packet
		want    bool
	}{
		{"NOTIFY", header(4<<11, 1).question(wwwTest, 6, 1), true},
		{"UPDATE", header(5<<11, 1).question(wwwTest, 6, 1), true},
		{"STATUS", header(2<<11, 1).question(wwwTest, 6, 1), false},
		{"AXFR", header(0, 1).question(wwwTest, wire.TypeAXFR, 1), true},
		{"IXFR", header(0, 1).question(wwwTest, wire.TypeIXFR, 1), true},
		{"SOA", header(0, 1).question(wwwTest, 6, 1), false},
		{"SOA, signed", header(0, 1, 0, 0, 1).question(wwwTest, 6, 1).raw(tsig), true},
		{"SOA, signed behind an OPT record", header(0, 1, 0, 0, 2).question(wwwTest, 6, 1).raw(opt + tsig), true},
		{"SOA, a TSIG record that is not the last", header(0, 1, 0, 0, 2).question(wwwTest, 6, 1).raw(tsig + opt), false},
		{"SOA, a TSIG record as an answer", header(0, 1, 1).question(wwwTest, 6, 1).raw(tsig), false},
		{"A, signed", header(0, 1, 0, 0, 1).question(wwwTest, 1, 1).raw(tsig), false},
	} {
		var q wire.Query
		q.Parse(c.message)
		if got := q.IsOfZones(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		q.Parse(header(0, 1).question(wwwTest, 6, 1))
		if q.IsOfZones() {
			t.Errorf("%s: something of it is left", c.name)
		}
	}
}
