package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

func unpack(t testing.TB, msg []byte) *dns.Msg {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("%v: %x", err, msg)
	}
	return &m
}

// response is an answer with an A record and an SOA record, as the cache would hold it.
func response(t testing.TB, flags wire.Flags) []byte {
	t.Helper()
	var b wire.Builder
	b.Begin(nil, wire.Question{Name: wire.MustName("www.test."), Type: wire.TypeA, Class: wire.ClassIN}, wire.NoError, flags)
	a := wire.RRset{Name: wire.MustName("www.test."), Type: wire.TypeA, Data: wire.Rdatas{}.Add([]byte{192, 0, 2, 1}).Add([]byte{192, 0, 2, 2})}
	ns := wire.RRset{Name: wire.MustName("test."), Type: wire.TypeNS, Data: wire.Rdatas{}.Add([]byte("\x02ns\x04test\x00"))}
	for _, err := range []error{b.Add(wire.AnswerSection, &a, 300, false), b.Add(wire.AuthoritySection, &ns, 3600, false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Message()
}

func parse(t testing.TB, message []byte) *wire.Query {
	t.Helper()
	var q wire.Query
	if verdict := q.Parse(message); verdict != wire.Accept {
		t.Fatalf("verdict %d, %s", verdict, q.Reason.Text)
	}
	return &q
}

func TestReply(t *testing.T) {
	authenticated := response(t, wire.Authenticated|wire.Authoritative)
	for _, c := range []struct {
		clause  string
		message packet
		flags   uint16
	}{
		{"nothing asked for", plain(0), qr | aa | ra},
		{"RFC 1035 section 4.1.1: RD is copied", plain(rd), qr | aa | ra | rd},
		{"RFC 4035 section 3.2.2: CD is copied", plain(cd), qr | aa | ra | cd},
		{"RFC 6840 section 5.7: AD asks for AD", plain(ad), qr | aa | ra | ad},
		{"RFC 6840 section 5.7: DO asks for AD", header(0, 1, 0, 0, 1).question(wwwTest, 1, 1).opt(1232, 1<<15), qr | aa | ra | ad},
		{"flags that mean nothing in a query are not copied", plain(tc | 1<<6 | 7), qr | aa | ra},
	} {
		t.Run(c.clause, func(t *testing.T) {
			got := slices.Clone(authenticated)
			wire.Reply(got, parse(t, c.message))
			want := slices.Clone(authenticated)
			copy(want, packet(nil).u16(0x1234, c.flags))
			if !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func TestReplyNeverSetsAD(t *testing.T) {
	msg := response(t, 0)
	wire.Reply(msg, parse(t, plain(ad)))
	if unpack(t, msg).AuthenticatedData {
		t.Error("an answer that was not validated has AD")
	}
}

func TestReplyKeepsTheLetterCase(t *testing.T) {
	msg := response(t, 0)
	wire.Reply(msg, parse(t, header(rd, 1).question("\x03wWw\x04tEsT\x00", wire.TypeA, wire.ClassIN)))
	m := unpack(t, msg)
	if m.Question[0].Name != "wWw.tEsT." {
		t.Errorf("question %s", m.Question[0].Name)
	}
	if len(m.Answer) != 2 || m.Answer[0].Header().Name != "wWw.tEsT." {
		t.Errorf("an owner name that points to the question does not: %v", m.Answer)
	}
}

func TestAppendOPT(t *testing.T) {
	errs := []wire.ExtendedError{{Code: wire.EDEBogus, Text: "0123456789"}, {Code: wire.EDEStaleAnswer}}
	const none, full = wire.OPTLength, wire.OPTLength + 16 + 6
	for _, c := range []struct {
		clause  string
		opt     wire.OPT
		room    int
		options string
	}{
		{"nothing", wire.OPT{Keepalive: -1}, 100, ""},
		{"RFC 7873 section 4: cookie", wire.OPT{Cookie: []byte("clientc-servercookie"), Keepalive: -1}, 100, option(10, "clientc-servercookie")},
		{"RFC 7828 section 3.1: keepalive in units of 100 ms", wire.OPT{Keepalive: 300}, 100, option(11, "\x01\x2c")},
		{"RFC 7828 section 3.2.2: close", wire.OPT{Keepalive: 0}, 100, option(11, "\x00\x00")},
		{"RFC 8914 section 2: INFO-CODE and EXTRA-TEXT", wire.OPT{Errors: errs, Keepalive: -1}, 100, option(15, "\x00\x060123456789") + option(15, "\x00\x03")},
		{"room for all to the octet", wire.OPT{Errors: errs, Keepalive: -1}, full, option(15, "\x00\x060123456789") + option(15, "\x00\x03")},
		{"room for the texts or the second code", wire.OPT{Errors: errs, Keepalive: -1}, full - 1, option(15, "\x00\x060123456789")},
		{"room for one text to the octet", wire.OPT{Errors: errs[:1], Keepalive: -1}, none + 16, option(15, "\x00\x060123456789")},
		{"an octet less than room for it", wire.OPT{Errors: errs[:1], Keepalive: -1}, none + 15, option(15, "\x00\x06")},
		{"room for the codes", wire.OPT{Errors: errs, Keepalive: -1}, none + 15, option(15, "\x00\x06") + option(15, "\x00\x03")},
		{"room for one code to the octet", wire.OPT{Errors: errs, Keepalive: -1}, none + 6, option(15, "\x00\x06")},
		{"no room for a code", wire.OPT{Errors: errs, Keepalive: -1}, none + 5, ""},
		{"no room at all", wire.OPT{Errors: errs, Keepalive: -1}, 0, ""},
		{"less than no room", wire.OPT{Errors: errs, Keepalive: -1}, -100, ""},
		{"what is not an error is never left out", wire.OPT{Errors: errs, Cookie: []byte("cookie--"), Keepalive: 1}, 0, option(10, "cookie--") + option(11, "\x00\x01")},
		{"it counts for the room", wire.OPT{Errors: errs, Cookie: []byte("cookie--"), Keepalive: -1}, none + 12 + 6, option(10, "cookie--") + option(15, "\x00\x06")},
	} {
		t.Run(c.clause, func(t *testing.T) {
			msg := response(t, 0)
			c.opt.UDPSize = 1232
			got := wire.AppendOPT(slices.Clone(msg), &c.opt, c.room)
			want := packet(slices.Clone(msg)).opt(1232, 0, c.options)
			want[11] = 1
			if !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got[len(msg):], want[len(msg):])
			}
			if extra := unpack(t, got).Extra; len(extra) != 1 {
				t.Errorf("%d additional records", len(extra))
			}
		})
	}
}

func TestAppendOPTHeader(t *testing.T) {
	for _, c := range []struct {
		clause string
		opt    wire.OPT
		ttl    uint32
	}{
		{"RFC 3225 section 3: DO is copied", wire.OPT{DO: true, Keepalive: -1}, 1 << 15},
		{"RFC 6891 section 6.1.3: the upper eight bits of BADVERS", wire.OPT{Rcode: wire.BadVers, Keepalive: -1}, 1 << 24},
		{"RFC 6891 section 6.1.3: the upper eight bits of BADCOOKIE", wire.OPT{Rcode: wire.BadCookie, DO: true, Keepalive: -1}, 1<<24 | 1<<15},
		{"RFC 6891 section 6.1.3: of the highest code", wire.OPT{Rcode: 4095, Keepalive: -1}, 255 << 24},
		{"the lower four bits are the header's", wire.OPT{Rcode: wire.ServFail, Keepalive: -1}, 0},
	} {
		got := wire.AppendOPT(header(qr), &c.opt, 100)
		want := header(qr, 0, 0, 0, 1).opt(0, c.ttl)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", c.clause, got, []byte(want))
		}
	}
}

// RFC 2181 section 9: TC is set when an RRset that was needed did not fit; what is left of it is not to be used.
func TestTruncate(t *testing.T) {
	whole := response(t, wire.Authoritative)
	withOpt := wire.AppendOPT(slices.Clone(whole), &wire.OPT{UDPSize: 1232, Keepalive: -1}, 100)
	question := header(0, 1).question(wwwTest, 1, 1)
	for _, c := range []struct {
		name     string
		msg, out []byte
	}{
		{"an answer", whole, whole[:len(question)]},
		{"an answer with OPT", withOpt, whole[:len(question)]},
		{"a question only", header(qr, 1).question(wwwTest, 1, 1), question},
		{"no question", header(qr), header(qr)},
		{"no question, a record", header(qr, 0, 1).record("\x00", 1, 1, 0, "abcd"), header(qr)},
		{"a malformed question", header(qr, 1).raw("\x3fabc"), header(qr)},
		{"a question without type", header(qr, 1).raw(wwwTest), header(qr)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := wire.Truncate(slices.Clone(c.msg))
			m := unpack(t, got)
			if !m.Truncated || len(m.Answer)+len(m.Ns)+len(m.Extra) != 0 {
				t.Errorf("got %v", m)
			}
			if len(got) != len(c.out) || !bytes.Equal(got[12:], c.out[12:]) {
				t.Errorf("got %x, want %x", got, c.out)
			}
			if !bytes.Equal(got[:2], c.msg[:2]) || got[2]&^2 != c.msg[2] || got[3] != c.msg[3] {
				t.Errorf("the header is not that of the answer: %x", got[:12])
			}
		})
	}
}

func TestTTLOffsetsAndCountDown(t *testing.T) {
	msg := wire.AppendOPT(response(t, 0), &wire.OPT{UDPSize: 1232, DO: true, Keepalive: -1}, 100)
	offsets, ok := wire.TTLOffsets(nil, msg)
	if !ok || len(offsets) != 3 {
		t.Fatalf("got %v, %v; OPT has no TTL", offsets, ok)
	}
	for _, c := range []struct {
		clause  string
		seconds uint32
		want    [3]uint32
	}{
		{"no time", 0, [3]uint32{300, 300, 3600}},
		{"RFC 1035 section 7.3: a cached TTL counts down", 1, [3]uint32{299, 299, 3599}},
		{"to zero", 300, [3]uint32{0, 0, 3300}},
		{"not below", 301, [3]uint32{0, 0, 3299}},
		{"nor around", 1<<32 - 1, [3]uint32{0, 0, 0}},
	} {
		got := slices.Clone(msg)
		wire.CountDown(got, offsets, c.seconds)
		m := unpack(t, got)
		if ttls := [3]uint32{m.Answer[0].Header().Ttl, m.Answer[1].Header().Ttl, m.Ns[0].Header().Ttl}; ttls != c.want {
			t.Errorf("%s: got %v, want %v", c.clause, ttls, c.want)
		}
		if opt := m.IsEdns0(); opt == nil || !opt.Do() || opt.UDPSize() != 1232 {
			t.Errorf("%s: OPT changed", c.clause)
		}
	}
}

func TestTTLOffsetsAppends(t *testing.T) {
	offsets, ok := wire.TTLOffsets([]uint16{7}, response(t, 0))
	if !ok || len(offsets) != 4 || offsets[0] != 7 {
		t.Errorf("got %v, %v", offsets, ok)
	}
}

func TestTTLOffsetsRefuses(t *testing.T) {
	record := func() packet { return header(qr, 1, 1).question(wwwTest, 1, 1).record("\xc0\x0c", 1, 1, 300, "abcd") }
	long := header(qr, 0, 1).record("\x00", 16, 1, 0, strings.Repeat("x", 65535-12-11))
	for _, c := range []struct {
		name string
		msg  packet
		want bool
	}{
		{"a good message", record(), true},
		{"a header", header(qr), true},
		{"65,535 octets", long, true},
		{"65,536 octets", long.raw("x"), false},
		{"eleven octets", record()[:11], false},
		{"a question missing", header(qr, 1), false},
		{"a question without its type", header(qr, 1).raw(wwwTest), false},
		{"a record cut before its TTL", record()[:len(record())-9], false},
		{"a record cut in its RDATA", record()[:len(record())-1], false},
		{"a record missing", header(qr, 1, 2).raw(string(record()[12:])), false},
		{"an octet behind the last record", record().raw("x"), false},
		{"an owner with reserved bits", header(qr, 0, 1).record("\x41", 1, 1, 300, "abcd"), false},
	} {
		if _, ok := wire.TTLOffsets(nil, c.msg); ok != c.want {
			t.Errorf("%s: %v, want %v", c.name, ok, c.want)
		}
	}
}

func TestTurn(t *testing.T) {
	www := "\xc0\x0c"
	a := func(p packet, addresses string) packet {
		for _, c := range addresses {
			p = p.record(www, 1, 1, 300, strings.Repeat(string(c), 4))
		}
		return p
	}
	begin := func(answers uint16) packet { return header(qr, 1, answers).question(wwwTest, 1, 1) }
	for _, c := range []struct {
		name      string
		msg, want packet
		by        uint32
	}{
		{"three addresses", a(begin(3), "abc"), a(begin(3), "bca"), 1},
		{"and further", a(begin(3), "abc"), a(begin(3), "cab"), 2},
		{"and round", a(begin(3), "abc"), a(begin(3), "abc"), 3},
		{"one", a(begin(1), "a"), a(begin(1), "a"), 1},
		{"none", begin(0), begin(0), 1},
		{
			"behind an alias", a(begin(3).record(www, 5, 1, 60, www), "ab").record("\x00", 2, 1, 9, "\x00"),
			a(begin(3).record(www, 5, 1, 60, www), "ba").record("\x00", 2, 1, 9, "\x00"), 1,
		},
		{"of two TTLs, which are two RRsets", a(begin(2), "a").record(www, 1, 1, 9, "bbbb"), a(begin(2), "a").record(www, 1, 1, 9, "bbbb"), 1},
		{"other records stay", begin(2).record(www, 15, 1, 9, "\x00\x01\x00").record(www, 15, 1, 9, "\x00\x02\x00"), begin(2).record(www, 15, 1, 9, "\x00\x01\x00").record(www, 15, 1, 9, "\x00\x02\x00"), 1},
		{"cut", a(begin(3), "ab"), a(begin(3), "ab"), 1},
	} {
		got := slices.Clone([]byte(c.msg))
		if wire.Turn(got, c.by); string(got) != string(c.want) {
			t.Errorf("%s: got %x, want %x", c.name, got, c.want)
		}
	}
}
