package transports

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

func parsed(t testing.TB, packet []byte) *wire.Query {
	t.Helper()
	var q wire.Query
	if v := q.Parse(packet); v == wire.Drop {
		t.Fatal("query is dropped")
	}
	return &q
}

func TestFinish(t *testing.T) {
	const name = "WwW.Example."
	stale := []wire.ExtendedError{{Code: wire.EDEStaleAnswer, Text: "stale"}}
	for _, c := range []struct {
		name    string
		query   []byte
		records int
		errors  []wire.ExtendedError
		link    link
		check   func(t *testing.T, m *dns.Msg, size int)
	}{
		{"RFC 6891 section 6.1.1: no OPT to those who sent none", ask(1, name), 1, stale, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if len(m.Extra) != 0 || len(m.Answer) != 1 || m.Truncated {
				t.Error(m)
			}
		}},
		{"RFC 6891 section 6.1.1: OPT for OPT, size 1232", ask(2, name, edns(4096)), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if opt := m.IsEdns0(); opt == nil || opt.UDPSize() != 1232 || opt.Do() || len(opt.Option) != 0 {
				t.Error(m)
			}
		}},
		{"RFC 3225 section 3: DO is copied", ask(3, name, func(m *dns.Msg) { m.SetEdns0(1232, true) }), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if !m.IsEdns0().Do() || !m.AuthenticatedData {
				t.Error(m)
			}
		}},
		{"RFC 9824 section 5.1: CO is copied", ask(3, name, func(m *dns.Msg) { m.SetEdns0(1232, true).IsEdns0().SetCo() }), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if opt := m.IsEdns0(); !opt.Do() || !opt.Co() {
				t.Error(m)
			}
		}},
		{"RFC 8914 section 3: the answer's extended errors", ask(4, name, edns(1232)), 1, stale, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if code, text := ede(m); code != 3 || text != "stale" {
				t.Error(code, text)
			}
		}},
		{"ID, RD and the name's letters are the client's", ask(0xbeef, name), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if m.Id != 0xbeef || !m.RecursionDesired || !m.RecursionAvailable || m.Question[0].Name != name || m.AuthenticatedData {
				t.Error(m)
			}
		}},
		{"RFC 4035 section 3.2.2: CD is copied", ask(5, name, func(m *dns.Msg) { m.CheckingDisabled = true }), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if !m.CheckingDisabled {
				t.Error(m)
			}
		}},
		{"RFC 6840 section 5.7: AD for who sets AD", ask(5, name, func(m *dns.Msg) { m.AuthenticatedData = true }), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if !m.AuthenticatedData {
				t.Error(m)
			}
		}},
		{"RFC 1035 section 4.2.1: 512 octets without EDNS", ask(6, name), 5, nil, link{}, truncated},
		{"RFC 6891 section 6.2.3: a size below 512 is 512", ask(6, name, edns(100)), 4, nil, link{}, whole(4)},
		{"RFC 6891 section 6.2.5: not more than the client's size", ask(7, name, edns(600)), 6, nil, link{}, truncated},
		{"as much as the client's size", ask(7, name, edns(800)), 6, nil, link{}, whole(6)},
		{"RFC 9715 section 3.1 R3: not more than 1232, whatever the client says", ask(8, name, edns(4096)), 11, nil, link{}, truncated},
		{"an extended error does not cost the answer its place", ask(8, name, edns(610)), 5, []wire.ExtendedError{{Code: 3, Text: strings.Repeat("x", 200)}}, link{}, func(t *testing.T, m *dns.Msg, size int) {
			if code, text := ede(m); m.Truncated || code != 3 || text != "" || size > 610 {
				t.Error(m)
			}
		}},
		{"RFC 1035 section 4.2.2: all of it over TCP", ask(9, name, edns(512)), 300, nil, link{transport: TCP}, whole(300)},
		{"RFC 7828 section 3.3.2: keepalive to who asks over TCP", ask(10, name, edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})), 1, nil, link{transport: TCP, idle: 10 * time.Second}, func(t *testing.T, m *dns.Msg, _ int) {
			if o := m.IsEdns0().Option; len(o) != 1 || o[0].(*dns.EDNS0_TCP_KEEPALIVE).Timeout != 100 {
				t.Error(m)
			}
		}},
		{"RFC 7828 section 3.3.1: but not over UDP", ask(11, name, edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})), 1, nil, link{}, func(t *testing.T, m *dns.Msg, _ int) {
			if o := m.IsEdns0().Option; len(o) != 0 {
				t.Error(m)
			}
		}},
		{"nor to who does not ask", ask(12, name, edns(1232)), 1, nil, link{transport: TCP, idle: 10 * time.Second}, func(t *testing.T, m *dns.Msg, _ int) {
			if o := m.IsEdns0().Option; len(o) != 0 {
				t.Error(m)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFront(Options{})
			q := parsed(t, c.query)
			packet := f.finish(records(q.Question(), c.records), q, &wire.Answer{Errors: c.errors}, c.link)
			m := read(t, packet)
			if !m.Response || m.Id != q.ID || m.Rcode != dns.RcodeSuccess {
				t.Error("header: ", m.MsgHdr)
			}
			if f.counters[c.link.transport].Answers(wire.NoError) != 1 {
				t.Error("answer is not counted")
			}
			c.check(t, m, len(packet))
		})
	}
}

// RFC 2181 section 9, RFC 9715: no partial RRset with TC.
func truncated(t *testing.T, m *dns.Msg, size int) {
	t.Helper()
	if !m.Truncated || len(m.Answer) != 0 || len(m.Question) != 1 || size > 100 {
		t.Error(m)
	}
}

func whole(n int) func(*testing.T, *dns.Msg, int) {
	return func(t *testing.T, m *dns.Msg, _ int) {
		t.Helper()
		if m.Truncated || len(m.Answer) != n {
			t.Error(m.Truncated, len(m.Answer))
		}
	}
}

func TestFinishWhatIsNoAnswer(t *testing.T) {
	q := parsed(t, ask(1, "www.example.", edns(1232)))
	long := append(records(q.Question(), 580), make([]byte, 65530-len(records(q.Question(), 580)))...)
	for _, c := range []struct {
		name   string
		packet []byte
	}{{"nothing", nil}, {"a header only", make([]byte, 12)}, {"no room for OPT, over TCP", long}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFront(Options{})
			m := read(t, f.finish(c.packet, q, &wire.Answer{}, link{transport: TCP}))
			if code, _ := ede(m); m.Rcode != dns.RcodeServerFailure || m.Id != 1 || code != 0 {
				t.Error(m)
			}
		})
	}
}

// RFC 9715 section 3.1 R4: an answer with TC instead of one that the path does not take.
func TestShorten(t *testing.T) {
	f := newFront(Options{})
	q := parsed(t, ask(1, "www.example.", edns(1232)))
	m := read(t, shorten(f.finish(records(q.Question(), 8), q, &wire.Answer{}, link{}), q.EDNS, q.DO))
	if !m.Truncated || len(m.Answer) != 0 || m.IsEdns0() == nil || m.Id != 1 {
		t.Error(m)
	}
	q = parsed(t, ask(1, "www.example."))
	if m := read(t, shorten(f.finish(records(q.Question(), 2), q, &wire.Answer{}, link{}), q.EDNS, q.DO)); !m.Truncated || len(m.Extra) != 0 {
		t.Error(m)
	}
}

// What is answered without the Responder.
func TestJudge(t *testing.T) {
	const name = "www.example."
	for _, c := range []struct {
		name  string
		query []byte
		rcode int
		ede   int
	}{
		{"RFC 9619 section 4: two questions", ask(1, name, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError, -1},
		{"no question", ask(1, name, func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError, -1},
		{"RFC 6891 section 6.1.3: EDNS version 1", ask(1, name, edns(1232), func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }), dns.RcodeBadVers, 0},
		{"RFC 5936 section 2.2.1: AXFR of a zone that is not here", ask(1, name, qtype(dns.TypeAXFR), edns(1232)), dns.RcodeRefused, 20},
		{"CHAOS", ask(1, "version.bind.", edns(1232), func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused, 21},
		{"NOTIFY", ask(1, name, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeRefused, -1},
		{"UPDATE", ask(1, name, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeRefused, -1},
		{"an opcode that nobody knows", ask(1, name, func(m *dns.Msg) { m.Opcode = 9 }), dns.RcodeNotImplemented, -1},
		{"RFC 8482 section 4.2: ANY", ask(1, name, qtype(dns.TypeANY), edns(1232)), dns.RcodeSuccess, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFront(Options{})
			f.admitter = everybody{} // and no Responder: asking it would panic
			var v visit
			packet, o := f.receive(&v, c.query, client1.Addr(), link{})
			if o != answered || f.counters[UDP].Panics.Load() != 0 {
				t.Fatal("outcome", o)
			}
			m := read(t, packet)
			if code, _ := ede(m); m.Rcode != c.rcode || code != c.ede || !m.Response || m.Id != 1 || m.AuthenticatedData {
				t.Errorf("EDE %d, want %d: %v", code, c.ede, m)
			}
			if f.counters[UDP].Answers(wire.Rcode(c.rcode)) != 1 {
				t.Error("RCODE is not counted")
			}
		})
	}
}

// RFC 8482 section 4.2: a HINFO record of the name, whose CPU field says why.
func TestMinimalAnswer(t *testing.T) {
	f := newFront(Options{})
	f.admitter = everybody{}
	var v visit
	packet, _ := f.receive(&v, ask(7, "Www.Example.", qtype(dns.TypeANY)), client1.Addr(), link{})
	m := read(t, packet)
	if len(m.Answer) != 1 || m.Answer[0].String() != "Www.Example.\t3600\tIN\tHINFO\t\"RFC8482\" \"\"" {
		t.Error(m)
	}
}
