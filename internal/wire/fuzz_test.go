package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// FuzzQuery reads the same octets twice, here and with miekg/dns: what is accepted is accepted there, and means the
// same.
func FuzzQuery(f *testing.F) {
	f.Add([]byte(plain(rd)))
	f.Add([]byte(withOPT(1232, 1<<15, option(wire.OptionCookie, "12345678"))))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var q wire.Query
		before := bytes.Clone(msg)
		verdict := q.Parse(msg)
		if !bytes.Equal(msg, before) {
			t.Fatal("the message changed")
		}
		if !q.EDNS && (q.DO || q.UDPSize != 512 || q.Cookie != nil || q.Keepalive || q.Padding) {
			t.Fatalf("without OPT: %+v", q)
		}
		switch verdict {
		case wire.Drop:
			if len(msg) >= wire.HeaderLength && msg[2]&0x80 == 0 {
				t.Fatal("a query was dropped")
			}
		case wire.Reject:
			checkRejection(t, msg, &q)
		case wire.Accept:
			checkAccepted(t, msg, &q)
		}
	})
}

func checkRejection(t *testing.T, msg []byte, q *wire.Query) {
	if q.Rcode == wire.NoError || q.Reason.Text == "" {
		t.Fatalf("rejected with %v, %v", q.Rcode, q.Reason)
	}
	m := unpack(t, wire.AppendRejection(nil, q, q.Rcode))
	if !m.Response || m.Id != binary.BigEndian.Uint16(msg) || m.Opcode != int(msg[2]>>3&0xf) || m.Rcode != int(q.Rcode&0xf) {
		t.Fatalf("rejection %v of %x", m, msg)
	}
}

func checkAccepted(t *testing.T, msg []byte, q *wire.Query) {
	facts := reduce(t, msg)
	m := unpack(t, facts.message)
	if m.Id != q.ID || m.RecursionDesired != q.RD || m.AuthenticatedData != q.AD || m.CheckingDisabled != q.CD || m.Opcode != int(q.Opcode()) {
		t.Fatalf("header: %v, %+v", m.MsgHdr, q)
	}
	want := wire.Question{
		Name: wire.MustName(m.Question[0].Name), Type: wire.Type(m.Question[0].Qtype), Class: wire.Class(m.Question[0].Qclass),
		DO: q.DO, CO: q.CO, CD: q.CD, NoRecursion: !m.RecursionDesired,
	}
	if got := q.Question(); got != want {
		t.Fatalf("question: %+v, want %+v", got, want)
	}
	opt := m.IsEdns0()
	if (opt != nil) != q.EDNS {
		t.Fatalf("EDNS: %v, %v", opt, q.EDNS)
	}
	if opt == nil {
		return
	}
	if opt.Version() != 0 || opt.Do() != q.DO || (opt.Do() && opt.Co()) != q.CO || max(opt.UDPSize(), 512) != q.UDPSize || facts.keepalive != q.Keepalive {
		t.Fatalf("EDNS: %v, %+v", opt, q)
	}
	checkOptions(t, opt, q)
}

func checkOptions(t *testing.T, opt *dns.OPT, q *wire.Query) {
	var cookie string
	padding := false
	for _, o := range opt.Option {
		switch o := o.(type) {
		case *dns.EDNS0_COOKIE:
			if cookie == "" {
				cookie = o.Cookie
			}
		case *dns.EDNS0_PADDING:
			padding = true
		}
	}
	if cookie != hex.EncodeToString(q.Cookie) || padding != q.Padding {
		t.Fatalf("options: %v, cookie %x, padding %v", opt, q.Cookie, q.Padding)
	}
}

// reduced is a query without what tacit leaves unread: the records beside OPT, and the values of the options that
// miekg/dns is stricter with. What is left has to be understood by both.
type reduced struct {
	message   []byte
	keepalive bool
}

func reduce(t *testing.T, msg []byte) reduced {
	r := reduced{message: bytes.Clone(msg[:12])}
	off := 12
	for msg[off] != 0 {
		off += 1 + int(msg[off])
	}
	off += 5
	r.message = append(r.message, msg[12:off]...)
	copy(r.message[6:], make([]byte, 6))
	records := 0
	for off < len(msg) {
		owner := off
		for msg[off] != 0 && msg[off] < 0xc0 {
			off += 1 + int(msg[off])
		}
		if msg[off] >= 0xc0 {
			off++
		}
		off++
		data := msg[off+10:][:binary.BigEndian.Uint16(msg[off+8:])]
		if msg[owner] == 0 && binary.BigEndian.Uint16(msg[off:]) == dns.TypeOPT {
			r.message = append(r.message, msg[owner:off+10]...)
			r.message = append(r.message, r.relabel(data)...)
			r.message[11]++
		}
		off += 10 + len(data)
		records++
	}
	if want := int(msg[7]) + int(msg[9]) + int(msg[11]); records != want || off != len(msg) {
		t.Fatalf("%d records up to octet %d accepted, %d and %d counted", records, off, want, len(msg))
	}
	return r
}

func (r *reduced) relabel(options []byte) []byte {
	out := bytes.Clone(options)
	for o := out; len(o) > 0; o = o[4+int(binary.BigEndian.Uint16(o[2:])):] {
		switch code := binary.BigEndian.Uint16(o); code {
		case wire.OptionCookie, wire.OptionPadding:
		default:
			r.keepalive = r.keepalive || code == wire.OptionKeepalive
			binary.BigEndian.PutUint16(o, 65001)
		}
	}
	return out
}

// FuzzName takes text and octets to names and back, beside miekg/dns.
func FuzzName(f *testing.F) {
	f.Add("www.Example.", []byte("\x03www\x07Example\x00"))
	f.Add("www.a.example", []byte("\x05www.a\x07example\x00"))
	f.Add("a\\.b\\065.", []byte("\x04a.ba\x00"))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		checkText(t, text)
		checkOctets(t, raw)
		a, err := wire.ParseName(text)
		b, _ := wire.NameFromWire(raw)
		for _, n := range []wire.Name{a, b, wire.Root} {
			if got, want := n.Is(text), err == nil && n == a; got != want {
				t.Fatalf("%q is %q: %v", text, n.Reveal(), got)
			}
		}
	})
}

func checkText(t *testing.T, text string) {
	n, err := wire.ParseName(text)
	if err == nil {
		checkName(t, n)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		return // the oracle counts the backslashes before the final dot in runes, and so wrongly
	}
	var buf [600]byte
	end, oracle := dns.PackDomainName(dns.Fqdn(text), buf[:], 0, nil, false)
	if end > wire.MaxNameLength {
		oracle = wire.ErrNameTooLong // the oracle counts only the room in the buffer
	}
	switch {
	case err != nil && oracle == nil && text != "" && !errors.Is(err, wire.ErrEscape):
		t.Fatalf("%q: refused with %v", text, err)
	case err != nil:
		return
	case oracle != nil:
		t.Fatalf("%q: taken for a name, but %v", text, oracle)
	case !bytes.Equal(bytes.ToLower(buf[:end]), bytes.ToLower(n.Append(nil))):
		t.Fatalf("%q: %q and %q", text, n.Append(nil), buf[:end])
	}
}

func checkOctets(t *testing.T, raw []byte) {
	n, err := wire.NameFromWire(raw)
	text, end, oracle := dns.UnpackDomainName(raw, 0)
	if err != nil {
		if oracle == nil && !slices.ContainsFunc(raw, func(c byte) bool { return c >= 0xc0 }) {
			t.Fatalf("%x: refused with %v", raw, err)
		}
		return
	}
	if oracle != nil || end != n.Len() || wire.MustName(text) != n {
		t.Fatalf("%x: %q, but %q to octet %d, %v", raw, n.Reveal(), text, end, oracle)
	}
	checkName(t, n)
}

func checkName(t *testing.T, n wire.Name) {
	octets := n.Append(nil)
	back, err := wire.NameFromWire(octets)
	if err != nil || back != n || len(octets) != n.Len() || n.Len() > wire.MaxNameLength {
		t.Fatalf("%x: %v", octets, err)
	}
	if wire.MustName(n.Reveal()) != n {
		t.Fatalf("%q does not parse back", n.Reveal())
	}
	if n.Labels() != dns.CountLabel(n.Reveal()) || n.Suffix(n.Labels()) != n {
		t.Fatalf("%q: %d labels", n.Reveal(), n.Labels())
	}
	parent := n.Parent()
	if n.IsRoot() {
		return
	}
	if !n.Below(parent) || parent.Within(n) || n.Compare(parent) <= 0 || parent.Compare(n) >= 0 || n.Compare(n) != 0 {
		t.Fatalf("%q is not behind its parent", n.Reveal())
	}
	if again, err := parent.Prepend(n.FirstLabel()); err != nil || again != n {
		t.Fatalf("%q: %v", n.Reveal(), err)
	}
}

// FuzzEDNS reads arbitrary options in a query, and writes an OPT record that miekg/dns has to read.
func FuzzEDNS(f *testing.F) {
	f.Add([]byte(option(wire.OptionCookie, "12345678")), "text", uint16(22), 100, 5)
	f.Fuzz(func(t *testing.T, options []byte, text string, code uint16, room, keepalive int) {
		if len(options) > 60000 || len(text) > 60000 {
			return
		}
		var q wire.Query
		msg := withOPT(1232, 0, string(options))
		if q.Parse(msg) == wire.Accept {
			checkAccepted(t, msg, &q)
		} else if q.Rcode != wire.FormErr {
			t.Fatalf("malformed options get %v", q.Rcode)
		}
		keepalive = min(max(keepalive, -1), math.MaxUint16)
		checkOPT(t, &wire.OPT{
			UDPSize: code, Rcode: wire.Rcode(code & 0xfff), DO: room%2 == 0, CO: room%4 == 0, Cookie: q.Cookie, Keepalive: keepalive,
			Errors: []wire.ExtendedError{{Code: wire.EDE(code), Text: text}, {Code: wire.EDENetworkError}},
		}, room)
	})
}

func checkOPT(t *testing.T, want *wire.OPT, room int) {
	msg := wire.AppendOPT(header(qr), want, room)
	got := unpack(t, msg).IsEdns0()
	if got == nil {
		t.Fatal("no OPT record")
	}
	if got.UDPSize() != want.UDPSize || got.Do() != want.DO || got.Co() != want.CO || got.Version() != 0 || got.ExtendedRcode()>>4 != int(want.Rcode)>>4 {
		t.Fatalf("got %v, want %+v", got, want)
	}
	errs, fixed := 0, 11
	for _, o := range got.Option {
		switch o := o.(type) {
		case *dns.EDNS0_COOKIE:
			fixed += 4 + len(want.Cookie)
			if o.Cookie != hex.EncodeToString(want.Cookie) {
				t.Fatalf("cookie %s, want %x", o.Cookie, want.Cookie)
			}
		case *dns.EDNS0_TCP_KEEPALIVE:
			fixed += 6
			if int(o.Timeout) != want.Keepalive {
				t.Fatalf("keepalive %d, want %d", o.Timeout, want.Keepalive)
			}
		case *dns.EDNS0_EDE:
			if i := slices.IndexFunc(want.Errors, func(e wire.ExtendedError) bool {
				return uint16(e.Code) == o.InfoCode && (o.ExtraText == "" || o.ExtraText == e.Text)
			}); i < 0 {
				t.Fatalf("got %v, want %v", o, want.Errors)
			}
			errs++
		}
	}
	if errs > 0 && len(msg)-wire.HeaderLength > room {
		t.Fatalf("%d octets with errors, room for %d", len(msg)-wire.HeaderLength, room)
	}
	if errs == 0 && room >= fixed+6 {
		t.Fatalf("no error in %d octets", room)
	}
}

// FuzzBuilder makes RRsets out of the input, writes them, and reads them again with miekg/dns.
func FuzzBuilder(f *testing.F) {
	f.Add([]byte("\x02\x00\x01\x02\x01\x03"))
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 4000 {
			return
		}
		s := source{rest: input}
		qname := s.name()
		var b wire.Builder
		b.Begin(make([]byte, s.number()%300), wire.Question{Name: qname, Type: wire.TypeA, Class: wire.ClassIN}, 0, 0)
		var want []dns.RR
		for _, section := range []wire.Section{wire.AnswerSection, wire.AuthoritySection, wire.AdditionalSection} {
			for range s.number() % 40 {
				set := s.rrset(t)
				sigs := s.number()%2 == 0
				if err := b.Add(section, &set, set.TTL, sigs); err != nil {
					if !errors.Is(err, wire.ErrMessageTooLong) {
						t.Fatal(err)
					}
					return
				}
				want = append(want, records(t, &set, sigs)...)
			}
		}
		checkBuilt(t, b.Message(), qname, want)
	})
}

func checkBuilt(t *testing.T, msg []byte, qname wire.Name, want []dns.RR) {
	m := unpack(t, msg)
	if m.Question[0].Name != qname.Reveal() && wire.MustName(m.Question[0].Name) != qname {
		t.Fatalf("question %v", m.Question)
	}
	got := slices.Concat(m.Answer, m.Ns, m.Extra)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(pack(t, got[i]), pack(t, want[i])) {
			t.Fatalf("record %d: %v, want %v", i, got[i], want[i])
		}
	}
	offsets, ok := wire.TTLOffsets(nil, msg)
	if !ok || len(offsets) != len(want) {
		t.Fatalf("%d TTLs of %d", len(offsets), len(want))
	}
	wire.CountDown(msg, offsets, 1000)
	m = unpack(t, msg)
	for i, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		if ttl := want[i].Header().Ttl; rr.Header().Ttl != ttl-min(ttl, 1000) {
			t.Fatalf("record %d: TTL %d counted down to %d", i, ttl, rr.Header().Ttl)
		}
	}
}

// A source turns fuzzed octets into choices; behind its end all are 0.
type source struct{ rest []byte }

func (s *source) number() int {
	if len(s.rest) == 0 {
		return 0
	}
	n := int(s.rest[0])
	s.rest = s.rest[1:]
	return n
}

func (s *source) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.number())
	}
	return b
}

// name takes labels from few, so that names share suffixes; now and then one of arbitrary octets.
func (s *source) name() wire.Name {
	known := []string{"a", "b", "www", "example", "test", strings.Repeat("l", 63), "A"}
	n := wire.Root
	for range s.number() % 6 {
		label := string(s.octets(1 + s.number()%8))
		if i := s.number(); i%8 < len(known) {
			label = known[i%8]
		}
		if longer, err := n.Prepend(label); err == nil {
			n = longer
		}
	}
	return n
}

// cased is a name's wire form with some letters in upper case.
func (s *source) cased() []byte {
	b := s.name().Append(nil)
	if s.number()%3 != 0 {
		return b
	}
	for off := 0; b[off] != 0; off += 1 + int(b[off]) {
		copy(b[off+1:off+1+int(b[off])], bytes.ToUpper(b[off+1:off+1+int(b[off])]))
	}
	return b
}

func (s *source) rrset(t *testing.T) wire.RRset {
	kinds := []wire.Type{
		wire.TypeA, wire.TypeNS, wire.TypeCNAME, wire.TypeSOA, wire.TypePTR, wire.TypeMX, wire.TypeTXT, wire.TypeAAAA, wire.TypeDNAME, 33, 65280,
	}
	set := wire.RRset{Name: s.name(), Type: kinds[s.number()%len(kinds)], TTL: uint32(s.number())<<24 | uint32(s.number())<<4}
	for range 1 + s.number()%4 {
		set.Data = set.Data.Add(s.rdata(set.Type))
	}
	for range s.number() % 3 {
		set.Sigs = set.Sigs.Add(signature(set.Type))
	}
	if set.Data.Count() == 0 {
		t.Fatal("no records")
	}
	return set
}

func (s *source) rdata(kind wire.Type) []byte {
	switch kind {
	case wire.TypeA:
		return s.octets(4)
	case wire.TypeAAAA:
		return s.octets(16)
	case wire.TypeNS, wire.TypeCNAME, wire.TypePTR, wire.TypeDNAME:
		return s.cased()
	case wire.TypeMX:
		return append(s.octets(2), s.cased()...)
	case wire.TypeSOA:
		return slices.Concat(s.cased(), s.cased(), s.octets(20))
	case 33:
		return append(s.octets(6), s.cased()...)
	case wire.TypeTXT:
		n := s.number()
		return append([]byte{byte(n)}, bytes.Repeat([]byte{'t'}, n)...)
	default:
		return bytes.Repeat([]byte{0xc0}, 16*s.number())
	}
}

// records reads the set with miekg/dns, uncompressed, one record at a time.
func records(t *testing.T, set *wire.RRset, sigs bool) []dns.RR {
	var rrs []dns.RR
	read := func(kind wire.Type, data wire.Rdatas) {
		for len(data) > 0 {
			var rdata []byte
			rdata, data = data.Next()
			raw := packet(set.Name.Append(nil)).u16(uint16(kind), 1, uint16(set.TTL>>16), uint16(set.TTL), uint16(len(rdata))).raw(string(rdata))
			rr, _, err := dns.UnpackRR(raw, 0)
			if err != nil {
				t.Fatalf("%v: %x", err, raw)
			}
			rrs = append(rrs, rr)
		}
	}
	read(set.Type, set.Data)
	if sigs {
		read(wire.TypeRRSIG, set.Sigs)
	}
	return rrs
}

func pack(t *testing.T, rr dns.RR) []byte {
	buf := make([]byte, 66000)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:end]
}

// FuzzTTLOffsets counts arbitrary messages down: nothing but TTLs changes.
func FuzzTTLOffsets(f *testing.F) {
	f.Add([]byte(header(qr, 1, 1).question(wwwTest, 1, 1).record("\xc0\x0c", 1, 1, 300, "\xc0\x00\x02\x01")), uint32(1))
	f.Fuzz(func(t *testing.T, msg []byte, seconds uint32) {
		offsets, ok := wire.TTLOffsets(nil, msg)
		if !ok {
			return
		}
		if !slices.IsSorted(offsets) {
			t.Fatalf("offsets %v", offsets)
		}
		counted := bytes.Clone(msg)
		wire.CountDown(counted, offsets, seconds)
		for _, off := range offsets {
			ttl := binary.BigEndian.Uint32(msg[off:])
			if got := binary.BigEndian.Uint32(counted[off:]); got != ttl-min(ttl, seconds) {
				t.Fatalf("TTL %d counts down to %d", ttl, got)
			}
			copy(counted[off:], msg[off:off+4])
		}
		if !bytes.Equal(counted, msg) {
			t.Fatal("something else changed")
		}
		checkTTLs(t, msg, offsets)
	})
}

func checkTTLs(t *testing.T, msg []byte, offsets []uint16) {
	var m dns.Msg
	if m.Unpack(msg) != nil {
		return // RDATA is not looked at
	}
	rrs := slices.DeleteFunc(slices.Concat(m.Answer, m.Ns, m.Extra), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	if len(rrs) != len(offsets) {
		t.Fatalf("%d TTLs, want %d", len(offsets), len(rrs))
	}
	for i, rr := range rrs {
		if got := binary.BigEndian.Uint32(msg[offsets[i]:]); got != rr.Header().Ttl {
			t.Fatalf("record %d: TTL %d, want %d", i, got, rr.Header().Ttl)
		}
	}
}

// FuzzTruncate cuts arbitrary messages: what is left is a message.
func FuzzTruncate(f *testing.F) {
	f.Add([]byte(header(qr, 1, 1).question(wwwTest, 1, 1).record("\xc0\x0c", 1, 1, 300, "\xc0\x00\x02\x01")))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) < wire.HeaderLength {
			return
		}
		cut := wire.Truncate(bytes.Clone(msg))
		if len(cut) > len(msg) || cut[2]&2 == 0 || !bytes.Equal(cut[6:12], make([]byte, 6)) {
			t.Fatalf("got %x", cut)
		}
		if _, ok := wire.TTLOffsets(nil, cut); !ok {
			t.Fatalf("not a message: %x", cut)
		}
	})
}
