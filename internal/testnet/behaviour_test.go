package testnet_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

const www = "www.shop.example."

// Each behaviour as the two transports show it. What is expected is written as "RCODE flags counts", with counts of
// answer/authority/additional without OPT, or as the error.
func TestBehaviours(t *testing.T) {
	nothing := func(*dns.Msg) {}
	withoutEDNS := func(q *dns.Msg) { q.Extra = nil }
	for _, c := range []struct {
		name      string
		behaviour testnet.Behaviour
		query     func(*dns.Msg)
		udp, tcp  string
	}{
		{"none", testnet.Slow(0), nothing, "NOERROR aa opt 1/0/0", "NOERROR aa opt 1/0/0"},
		{"none, plain query", testnet.Slow(0), withoutEDNS, "NOERROR aa 1/0/0", "NOERROR aa 1/0/0"},
		{"Silent", testnet.Silent(), nothing, "timeout", "timeout"},
		{"SilentUDP", testnet.SilentUDP(), nothing, "timeout", "NOERROR aa opt 1/0/0"},
		{"Silent over TCP", testnet.OverTCP(testnet.Silent()), nothing, "NOERROR aa opt 1/0/0", "timeout"},
		{"REFUSED", testnet.Failing(dns.RcodeRefused), nothing, "REFUSED opt 0/0/0", "REFUSED opt 0/0/0"},
		{"UpwardReferral", testnet.UpwardReferral(), nothing, "NOERROR opt 0/1/0", "NOERROR opt 0/1/0"},
		{"NotAuthoritative", testnet.NotAuthoritative(), nothing, "NOERROR opt 1/0/0", "NOERROR opt 1/0/0"},
		{"Truncating", testnet.Truncating(), nothing, "NOERROR aa tc opt 0/0/0", "NOERROR aa opt 1/0/0"},
		{"TCPRefused", testnet.TCPRefused(), nothing, "NOERROR aa opt 1/0/0", "connection refused"},
		{"WrongCase", testnet.WrongCase(), nothing, "NOERROR aa opt 1/0/0 case", "NOERROR aa opt 1/0/0 case"},
		{"WrongID", testnet.WrongID(), nothing, "NOERROR aa opt 1/0/0 ID", "NOERROR aa opt 1/0/0 ID"},
		{"WrongQuestion", testnet.WrongQuestion(), nothing, "NOERROR aa opt 1/0/0 question", "NOERROR aa opt 1/0/0 question"},
		{"NoEDNS", testnet.NoEDNS(), nothing, "FORMERR 0/0/0", "FORMERR 0/0/0"},
		{"NoEDNS, plain query", testnet.NoEDNS(), withoutEDNS, "NOERROR aa 1/0/0", "NOERROR aa 1/0/0"},
		{"NotImpEDNS", testnet.NotImpEDNS(), nothing, "NOTIMP 0/0/0", "NOTIMP 0/0/0"},
		{"BadVers", testnet.BadVers(), nothing, "BADVERS opt 0/0/0", "BADVERS opt 0/0/0"},
		{"DropsEDNS", testnet.DropsEDNS(), nothing, "timeout", "timeout"},
		{"DropsEDNS, plain query", testnet.DropsEDNS(), withoutEDNS, "NOERROR aa 1/0/0", "NOERROR aa 1/0/0"},
		{"WithoutOPT", testnet.WithoutOPT(), nothing, "NOERROR aa 1/0/0", "NOERROR aa 1/0/0"},
		{
			"Unsolicited in the additional section",
			testnet.Unsolicited(testnet.AdditionalSection, "victim.example. A 203.0.113.66\nvictim.example. TXT x"), nothing,
			"NOERROR aa opt 1/0/2", "NOERROR aa opt 1/0/2",
		},
		{
			"Unsolicited in the authority section",
			testnet.Unsolicited(testnet.AuthoritySection, "example. NS ns.attacker.test."), nothing,
			"NOERROR aa opt 1/1/0", "NOERROR aa opt 1/1/0",
		},
		{
			"Unsolicited in the answer section",
			testnet.Unsolicited(testnet.AnswerSection, "victim.example. A 203.0.113.66"), nothing,
			"NOERROR aa opt 2/0/0", "NOERROR aa opt 2/0/0",
		},
		{
			"Scripted", testnet.Scripted(func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, dns.RcodeNotAuth) }), nothing,
			"NOTAUTH 0/0/0", "NOTAUTH 0/0/0",
		},
		{
			"Raw", testnet.Raw(func(q []byte) []byte { return append(q[:2:2], 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0) }), nothing,
			"REFUSED 0/0/0 question", "REFUSED 0/0/0 question",
		},
		{
			"For another name", testnet.For("other.shop.example.", 0, testnet.Silent()), nothing,
			"NOERROR aa opt 1/0/0", "NOERROR aa opt 1/0/0",
		},
		{
			"For another type", testnet.For(www, dns.TypeAAAA, testnet.Silent()), nothing,
			"NOERROR aa opt 1/0/0", "NOERROR aa opt 1/0/0",
		},
		{"For this name", testnet.For(www, dns.TypeA, testnet.Silent()), nothing, "timeout", "timeout"},
		{"First", testnet.First(1, testnet.Failing(dns.RcodeServerFailure)), nothing, "SERVFAIL opt 0/0/0", "NOERROR aa opt 1/0/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := testnet.New(testnet.Options{})
				s := w.Zone("shop.example.", "www A 203.0.113.80", c.behaviour)
				for transport, want := range map[testnet.Transport]string{testnet.UDP: c.udp, testnet.TCP: c.tcp} {
					if transport == testnet.TCP && c.name == "First" {
						continue // asked below, in order
					}
					checkOutcome(t, w, transport, s, c.query, want)
				}
				if c.name == "First" {
					checkOutcome(t, w, testnet.TCP, s, c.query, c.tcp)
				}
			})
		})
	}
}

func checkOutcome(t *testing.T, w *testnet.World, transport testnet.Transport, s *testnet.Server, prepare func(*dns.Msg), want string) {
	t.Helper()
	q := query("wWw.sHop.example.", dns.TypeA)
	prepare(q)
	r, err := exchange(w, transport, s, q)
	if got := outcome(q, r, err); got != want {
		t.Errorf("over %s: %s, want %s", transport, got, want)
	}
}

func outcome(q, r *dns.Msg, err error) string {
	switch {
	case err != nil && strings.Contains(err.Error(), "timeout"):
		return "timeout"
	case err != nil:
		return err.Error()[strings.LastIndex(err.Error(), ": ")+2:]
	}
	words := []string{dns.RcodeToString[r.Rcode]}
	extra := len(r.Extra)
	if r.Rcode == dns.RcodeBadVers {
		words[0] = "BADVERS" // 16 is BADSIG as well
	}
	if r.Authoritative {
		words = append(words, "aa")
	}
	if r.Truncated {
		words = append(words, "tc")
	}
	if r.IsEdns0() != nil {
		words, extra = append(words, "opt"), extra-1
	}
	words = append(words, fmt.Sprintf("%d/%d/%d", len(r.Answer), len(r.Ns), extra))
	return strings.Join(append(words, mismatch(q, r)...), " ")
}

func mismatch(q, r *dns.Msg) []string {
	switch {
	case r.Id != q.Id:
		return []string{"ID"}
	case len(r.Question) != 1 || !strings.EqualFold(r.Question[0].Name, q.Question[0].Name):
		return []string{"question"}
	case r.Question[0].Name != q.Question[0].Name:
		return []string{"case"}
	}
	return nil
}

func TestBehaveReplacesBehaviours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "www A 203.0.113.80", testnet.Silent(), testnet.Latency(time.Second))
		s.Behave()
		start := time.Now()
		if r := ask(t, w, s, query(www, dns.TypeA)); len(r.Answer) != 1 || time.Since(start) != testnet.DefaultLatency {
			t.Errorf("%v after %v", r, time.Since(start))
		}
	})
}

// What is listed first stands nearest to the network.
func TestBehavioursAreOrdered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "", testnet.NotAuthoritative(), testnet.Failing(dns.RcodeRefused),
			testnet.Unsolicited(testnet.AnswerSection, "x.example. A 203.0.113.66"))
		if r := ask(t, w, s, query(www, dns.TypeA)); r.Rcode != dns.RcodeRefused || len(r.Answer) != 0 {
			t.Errorf("%v, want REFUSED alone", r)
		}
	})
}

// RFC 8020 section 2: NXDOMAIN means that there is nothing below; some servers say it of empty non-terminals.
func TestNXDOMAINOnEmptyNonTerminal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "a.b A 203.0.113.80", testnet.NXDOMAINOnEmptyNonTerminal())
		for name, want := range map[string]int{
			"b.shop.example.": dns.RcodeNameError, "a.b.shop.example.": dns.RcodeSuccess, "shop.example.": dns.RcodeSuccess,
		} {
			if r := ask(t, w, s, query(name, dns.TypeTXT)); r.Rcode != want {
				t.Errorf("%s: %s", name, dns.RcodeToString[r.Rcode])
			}
		}
	})
}

func TestForging(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "www A 203.0.113.80", testnet.Forging(
			testnet.ForgedID, testnet.ForgedQuestion, testnet.ForgedType, testnet.NoQuestion, testnet.ForgedCase,
			testnet.ForgedSource, testnet.ForgedQuery, testnet.Garbage, testnet.Runt))
		q := query(www, dns.TypeA)
		conn, err := w.ListenPacket(t.Context(), "udp4", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		packet, _ := q.Pack()
		_, _ = conn.WriteTo(packet, dnsAddr(s))
		for _, forged := range []func(r *dns.Msg, from string, err error) bool{
			func(r *dns.Msg, _ string, _ error) bool { return r.Id != q.Id },
			func(r *dns.Msg, _ string, _ error) bool { return r.Question[0].Name == "wrong.invalid." },
			func(r *dns.Msg, _ string, _ error) bool { return r.Question[0].Qtype == dns.TypeTXT },
			func(r *dns.Msg, _ string, _ error) bool { return len(r.Question) == 0 },
			func(r *dns.Msg, _ string, _ error) bool { return r.Question[0].Name == "WWW.SHOP.EXAMPLE." },
			func(_ *dns.Msg, from string, _ error) bool { return from != s.Addresses()[0].String() },
			func(r *dns.Msg, _ string, _ error) bool { return !r.Response },
			func(r *dns.Msg, _ string, err error) bool { return err != nil && r.Id == q.Id },
			func(_ *dns.Msg, _ string, err error) bool { return err != nil },
			func(r *dns.Msg, _ string, _ error) bool {
				return strings.HasSuffix(r.Answer[0].String(), "203.0.113.80") && r.Id == q.Id
			},
		} {
			buffer := make([]byte, 512)
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				t.Fatal(err)
			}
			r := new(dns.Msg)
			err = r.Unpack(buffer[:n])
			if !forged(r, from.String(), err) {
				t.Errorf("from %v: %v (%v)", from, r, err)
			}
		}
	})
}

func TestCookies(t *testing.T) {
	const client = "0123456789abcdef"
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "www A 203.0.113.80", testnet.Cookies("one"))
		send := func(transport testnet.Transport, value string) (rcode int, answered string) {
			q := query(www, dns.TypeA)
			if value != "" {
				q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: value}}
			}
			r, err := exchange(w, transport, s, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range r.IsEdns0().Option {
				answered = o.(*dns.EDNS0_COOKIE).Cookie
			}
			return r.Rcode, answered
		}
		// RFC 7873 section 5.2.1: no COOKIE option, no COOKIE option.
		if rcode, c := send(testnet.UDP, ""); rcode != dns.RcodeSuccess || c != "" {
			t.Errorf("without cookie: %d %q", rcode, c)
		}
		// Section 5.2.2: a malformed COOKIE option is FORMERR.
		if rcode, _ := send(testnet.UDP, client+"00"); rcode != dns.RcodeFormatError {
			t.Errorf("malformed: %d", rcode)
		}
		// Section 5.2.3: only a client cookie.
		rcode, full := send(testnet.UDP, client)
		if rcode != dns.RcodeSuccess || !strings.HasPrefix(full, client) || len(full) != 32 {
			t.Fatalf("client cookie: %d %q", rcode, full)
		}
		// Sections 5.2.4 and 5.2.5: the wrong and the right server cookie, where it is required.
		s.Behave(testnet.RequireCookies("two"))
		rcode, renewed := send(testnet.UDP, full)
		if rcode != dns.RcodeBadCookie || renewed == full {
			t.Errorf("old cookie: %d %q", rcode, renewed)
		}
		if rcode, again := send(testnet.UDP, renewed); rcode != dns.RcodeSuccess || again != renewed {
			t.Errorf("right cookie: %d %q", rcode, again)
		}
		if rcode, _ := send(testnet.TCP, full); rcode != dns.RcodeSuccess {
			t.Errorf("old cookie over TCP: %d", rcode)
		}
	})
}

// RFC 2181 section 9: TC when a required RRset does not fit; RFC 6891 section 6.2.5: sizes below 512 count as 512.
func TestTruncation(t *testing.T) {
	txt := strings.Repeat("x", 200)
	text := "five TXT " + txt + " " + txt + " " + txt + " " + txt + " " + txt + "\n" +
		"big TXT " + strings.Repeat(txt+" ", 7) + "\nwww A 203.0.113.80"
	for _, c := range []struct {
		name      string
		question  string
		size      uint16 // 0: no EDNS
		transport testnet.Transport
		truncated bool
	}{
		{"fits", www, 0, testnet.UDP, false},
		{"more than 512 without EDNS", "five.shop.example.", 0, testnet.UDP, true},
		{"more than 512, size 100", "five.shop.example.", 100, testnet.UDP, true},
		{"less than 1232", "five.shop.example.", 1232, testnet.UDP, false},
		{"more than 1232, size 4096", "big.shop.example.", 4096, testnet.UDP, true},
		{"more than 1232 over TCP", "big.shop.example.", 0, testnet.TCP, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := testnet.New(testnet.Options{})
				s := w.Zone("shop.example.", text)
				q := plainQuery(c.question, dns.TypeTXT)
				if c.question == www {
					q = plainQuery(c.question, dns.TypeA)
				}
				if c.size > 0 {
					q.SetEdns0(c.size, false)
				}
				r, err := exchange(w, c.transport, s, q)
				if err != nil || r.Truncated != c.truncated || (len(r.Answer) == 0) != c.truncated {
					t.Errorf("%v, %v", r, err)
				}
			})
		})
	}
}

// RFC 9471 section 3.1: a referral whose glue does not fit has TC. Additional records of an answer may be left out.
func TestGlueIsRequired(t *testing.T) {
	var text strings.Builder
	for i := range 13 {
		fmt.Fprintf(&text, "@ NS ns%d\nns%d A 192.0.2.%d\nns%d AAAA 2001:db8::%d\n", i, i, i+10, i, i+10)
		fmt.Fprintf(&text, "sub NS ns%d.sub\nns%d.sub A 192.0.2.%d\nns%d.sub AAAA 2001:db8::%d\n", i, i, i+10, i, i+10)
	}
	s := testnet.NewServer("ns0.shop.example.")
	s.Host(testnet.MustZone("shop.example.", text.String()))
	r := handle(t, s, plainQuery("x.sub.shop.example.", dns.TypeA))
	if !r.Truncated {
		t.Errorf("referral without glue: %v", r)
	}
	r = handle(t, s, plainQuery("shop.example.", dns.TypeNS))
	if r.Truncated || len(r.Answer) != 13 || len(r.Extra) != 0 {
		t.Errorf("NS: %v", r)
	}
}

func handle(t *testing.T, s *testnet.Server, q *dns.Msg) *dns.Msg {
	t.Helper()
	packet, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	replies := s.Handle(testnet.Arrival{Transport: testnet.UDP, Packet: packet})
	if len(replies) != 1 {
		t.Fatalf("%d replies", len(replies))
	}
	r := new(dns.Msg)
	if err := r.Unpack(replies[0].Packet); err != nil {
		t.Fatal(err)
	}
	return r
}

func dnsAddr(s *testnet.Server) addr { return addr(s.Addresses()[0]) }

type addr netip.AddrPort

func (a addr) Network() string { return "udp" }
func (a addr) String() string  { return netip.AddrPort(a).String() }

// What a good server says of what is not a plain question.
func TestServerRejects(t *testing.T) {
	s := testnet.NewServer("ns1.shop.example.")
	s.Host(testnet.MustZone("shop.example.", ""))
	for _, c := range []struct {
		name   string
		change func(q *dns.Msg)
		want   int
	}{
		{"an opcode that it does not know", func(q *dns.Msg) { q.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
		{"two questions", func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) }, dns.RcodeFormatError},
		{"no question", func(q *dns.Msg) { q.Question = nil }, dns.RcodeFormatError},
		{"another class", func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		{"a zone that it does not have", func(q *dns.Msg) { q.Question[0].Name = "shop.test." }, dns.RcodeRefused},
		{"EDNS version 1", func(q *dns.Msg) { q.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
	} {
		q := query("shop.example.", dns.TypeSOA)
		c.change(q)
		if r := handle(t, s, q); r.Rcode != c.want || r.Id != q.Id {
			t.Errorf("%s: %s, want %s", c.name, dns.RcodeToString[r.Rcode], dns.RcodeToString[c.want])
		}
	}
	broken := []byte("ID\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff")
	replies := s.Handle(testnet.Arrival{Packet: broken})
	if len(replies) != 1 || !slices.Equal(replies[0].Packet, []byte("ID\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00")) {
		t.Errorf("answer to a broken query: %q", replies)
	}
	if seen := s.Seen(); seen[len(seen)-1].Malformed == nil {
		t.Error("the broken query is not in the record as malformed")
	}
}

// RFC 4035 section 3.1.4.1, at a server that has both sides of the zone cut.
func TestDSAtBothSides(t *testing.T) {
	s := testnet.NewServer("ns1.example.")
	s.Host(testnet.MustZone("shop.example.", ""), testnet.MustZone("example.", "shop DS 1 13 2 "+strings.Repeat("ab", 32)))
	if r := handle(t, s, plainQuery("shop.example.", dns.TypeDS)); len(r.Answer) != 1 || !r.Authoritative {
		t.Errorf("DS: %v", r)
	}
	s.Drop("example.")
	if r := handle(t, s, plainQuery("shop.example.", dns.TypeDS)); len(r.Answer) != 0 || len(r.Ns) != 1 {
		t.Errorf("DS without the parent: %v", r)
	}
}
