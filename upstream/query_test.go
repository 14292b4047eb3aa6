package upstream

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Another implementation must read in a query what was put into it.
func TestNewQuery(t *testing.T) {
	serverCookie := bytes.Repeat([]byte{0xa5}, 8)
	for _, c := range []struct {
		name, qname string
		form        form
		cookie      string
	}{
		{"first query", "www.shop.example.", form{cookie: cookie{1, 2, 3, 4, 5, 6, 7, 8}, mixed: true}, "0102030405060708"},
		{"with a server cookie", "www.shop.example.", form{cookie: cookie{1}, returned: serverCookie}, "0100000000000000a5a5a5a5a5a5a5a5"},
		{"the root", ".", form{mixed: true}, "0000000000000000"},
		{"the longest name", strings.Repeat(strings.Repeat("x", 62)+".", 4)[4:], form{mixed: true}, "0000000000000000"},
		{"plain", "www.shop.example.", form{plain: true, mixed: true}, ""},
		{"recursive", "www.shop.example.", form{recurse: true}, "0000000000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQuery(wire.Question{Name: wire.MustName(c.qname), Type: wire.TypeAAAA}, c.form)
			var m dns.Msg
			if err := m.Unpack(q.msg); err != nil {
				t.Fatal(err)
			}
			packed, err := m.Pack()
			if err != nil || !bytes.Equal(packed, q.msg) {
				t.Errorf("packed again it is\n%x, %v, not\n%x", packed, err, q.msg)
			}
			head := dns.MsgHdr{Id: q.id(), RecursionDesired: c.form.recurse}
			if m.MsgHdr != head {
				t.Errorf("header %+v", m.MsgHdr)
			}
			if len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, c.qname) || m.Question[0].Qtype != dns.TypeAAAA {
				t.Errorf("question %v", m.Question)
			}
			if !c.form.mixed && m.Question[0].Name != c.qname {
				t.Errorf("name %q", m.Question[0].Name)
			}
			opt := m.IsEdns0()
			if c.form.plain {
				if opt != nil || q.limit != plainSize {
					t.Errorf("plain, but %v, at most %d octets", opt, q.limit)
				}
				return
			}
			o, ok := opt.Option[0].(*dns.EDNS0_COOKIE)
			if !ok || o.Cookie != c.cookie || !opt.Do() || opt.UDPSize() != 1232 || opt.Version() != 0 || len(opt.Option) != 1 {
				t.Errorf("OPT %v", opt)
			}
		})
	}
}

// RFC 5452 section 9.2 asks for unpredictable IDs. Of 1,000 from 65,536 about 7 or 8 are drawn twice; both halves of the
// letters are upper case about as often.
func TestIDsAndLetterCaseAreRandom(t *testing.T) {
	ids := map[uint16]bool{}
	upper := make([]int, len("wwwshopexample"))
	const rounds = 1000
	for range rounds {
		q := newQuery(question, form{mixed: true})
		ids[q.id()] = true
		letter := 0
		for _, c := range q.msg[wire.HeaderLength : q.question-4] {
			if 'A' <= c && c <= 'Z' {
				upper[letter]++
			}
			if c >= 'A' {
				letter++
			}
		}
	}
	if len(ids) < rounds*95/100 {
		t.Errorf("%d different IDs of %d", len(ids), rounds)
	}
	for i, n := range upper { // 6.6 standard deviations
		if n < rounds/2-104 || n > rounds/2+104 {
			t.Errorf("letter %d was upper case %d times of %d", i, n, rounds)
		}
	}
}

func TestInspect(t *testing.T) {
	mixed, lower := newQuery(question, form{mixed: true}), newQuery(question, form{})
	mixed.msg[wire.HeaderLength+1] = 'W'
	reply := func(q query, change func(b []byte) []byte) []byte {
		b := append([]byte(nil), q.msg[:q.question]...)
		b[2], b[11] = flagQR, 0
		return change(b)
	}
	set := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	for _, c := range []struct {
		name   string
		query  query
		change func(b []byte) []byte
		want   finding
	}{
		{"ours", mixed, func(b []byte) []byte { return b }, matching},
		{"authoritative", mixed, set(2, flagQR|4), matching},
		{"empty", mixed, func([]byte) []byte { return nil }, foreign},
		{"half a header", mixed, func(b []byte) []byte { return b[:11] }, foreign},
		{"QR clear", mixed, set(2, 0), foreign},
		{"opcode", mixed, set(2, flagQR|2<<3), foreign},
		{"ID", mixed, set(1, ^mixed.msg[1]), wrongID},
		{"two questions", mixed, set(5, 2), foreign},
		{"no question and NOERROR", mixed, func(b []byte) []byte { b[5] = 0; return b[:12] }, foreign},
		{"no question and FORMERR", mixed, func(b []byte) []byte { b[3], b[5] = 1, 0; return b[:12] }, bare},
		{"question cut", mixed, func(b []byte) []byte { return b[:len(b)-1] }, foreign},
		{"type", mixed, set(mixed.question-3, 28), foreign},
		{"class", mixed, set(mixed.question-1, 3), foreign},
		{"another name", mixed, set(wire.HeaderLength+1, 'x'), foreign},
		{"another letter case", mixed, set(wire.HeaderLength+1, 'w'), wrongCase},
		{"another letter case, none sent", lower, set(wire.HeaderLength+1, 'W'), matching},
		{"a pointer in place of the name", mixed, set(wire.HeaderLength, 0xc0), foreign},
	} {
		if got := c.query.inspect(reply(c.query, c.change)); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// The counts in a header are an attacker's word.
func TestUnpackHoldsCountsAgainstTheMessage(t *testing.T) {
	q := newQuery(question, form{})
	record := []byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 80}
	for _, c := range []struct {
		name           string
		claimed, there int
		ok             bool
	}{
		{"none", 0, 0, true},
		{"as many as there are", 2, 2, true},
		{"one more than there are", 3, 2, false},
		{"far more than there are", 65535, 2, false},
		{"the most", maxRecords, maxRecords, true},
		{"too many", maxRecords + 1, maxRecords + 1, false},
	} {
		reply := append([]byte(nil), q.msg[:q.question]...)
		reply[2], reply[11] = flagQR, 0
		binary.BigEndian.PutUint16(reply[6:], uint16(c.claimed))
		reply = append(reply, bytes.Repeat(record, c.there)...)
		msg, ok := q.unpack(reply)
		if ok != c.ok || ok && len(msg.Answer) != c.there {
			t.Errorf("%s: %v", c.name, ok)
		}
	}
}

// Whatever comes, it is let through only when it answers this query, and unpacking it does not panic.
func FuzzReply(f *testing.F) {
	q := newQuery(wire.Question{Name: wire.MustName("www.shop.example."), Type: wire.TypeA}, form{cookie: cookie{1}})
	q.msg[0], q.msg[1] = 0, 1
	reply := append([]byte(nil), q.msg...)
	reply[2] = flagQR
	f.Add(reply)
	f.Add(reply[:q.question])
	f.Add([]byte{0, 1, flagQR, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		found := q.inspect(b)
		if found != matching && found != bare {
			return
		}
		truncated(b)
		msg, ok := q.unpack(b)
		if !ok {
			return
		}
		if msg.Id != 1 || !msg.Response || msg.Opcode != dns.OpcodeQuery || len(msg.Answer)+len(msg.Ns)+len(msg.Extra) > maxRecords {
			t.Errorf("let through %v", msg)
		}
		if found == matching && (len(msg.Question) != 1 || !strings.EqualFold(msg.Question[0].Name, "www.shop.example.")) {
			t.Errorf("let through %v", msg.Question)
		}
		if crumb, returned := readCookie(msg, q.form.cookie); crumb != rightCookie && returned != nil ||
			len(returned) > maxCookieOption-len(cookie{}) {
			t.Errorf("cookie %d %x", crumb, returned)
		}
	})
}

func BenchmarkNewQuery(b *testing.B) {
	f := form{mixed: true, cookie: cookie{1}, returned: make([]byte, 16)}
	b.ReportAllocs()
	for b.Loop() {
		newQuery(question, f)
	}
}

func BenchmarkClientCookie(b *testing.B) {
	var jar cookies
	at, now := netip.MustParseAddr("192.0.2.1"), testTime
	b.ReportAllocs()
	for b.Loop() {
		jar.of(at, at, now)
	}
}

func BenchmarkUnpack(b *testing.B) {
	q := newQuery(question, form{})
	reply := append([]byte(nil), q.msg[:q.question]...)
	reply[2], reply[7], reply[11] = flagQR, 1, 0
	reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 80)
	b.ReportAllocs()
	for b.Loop() {
		if q.inspect(reply) != matching {
			b.Fatal("not ours")
		}
		if _, ok := q.unpack(reply); !ok {
			b.Fatal("unreadable")
		}
	}
}
