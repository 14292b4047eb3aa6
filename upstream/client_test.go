package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// What is wrong with a reply over UDP, and what becomes of the question: it is answered in each case, and what is
// counted is how (RFC 5452 section 9.1; the rule on the first wrong ID is BIND's of 9.21).
func TestForgedRepliesNeverDenyTheTrueOne(t *testing.T) {
	oversize := testnet.OverUDP(testnet.Raw(func(q []byte) []byte {
		reply := append([]byte(nil), q...)
		reply[2] |= flagQR
		return append(reply, make([]byte, payloadSize)...)
	}))
	for _, c := range []struct {
		name     string
		bad      testnet.Behaviour
		udp, tcp int
		slow     bool // the time-out is waited for
	}{
		{"wrong ID, then the true reply", testnet.Forging(testnet.ForgedID), 1, 1, false},
		{"wrong question", testnet.Forging(testnet.ForgedQuestion), 1, 0, false},
		{"wrong type", testnet.Forging(testnet.ForgedType), 1, 0, false},
		{"no question", testnet.Forging(testnet.NoQuestion), 1, 0, false},
		{"an error without a question", testnet.Forging(forgedBareError), 1, 0, false},
		{"wrong letter case", testnet.Forging(testnet.ForgedCase), 1, 1, false},
		{"from another port", testnet.Forging(testnet.ForgedSource), 1, 0, false},
		{"QR clear", testnet.Forging(testnet.ForgedQuery), 1, 0, false},
		{"an opcode that was not sent", testnet.Forging(forgedOpcode), 1, 0, false},
		{"nonsense", testnet.Forging(testnet.Garbage), 1, 0, false},
		{"shorter than a header", testnet.Forging(testnet.Runt), 1, 0, false},
		{"counts beyond the end of the message", testnet.Forging(forgedCounts), 1, 0, false},
		{"two OPT records", testnet.Forging(forgedOPTs), 1, 0, false},
		{"all of those that are waited out", testnet.Forging(
			testnet.ForgedQuestion, testnet.NoQuestion, testnet.Garbage, testnet.Runt, forgedCounts, forgedBareError,
		), 1, 0, false},
		{"longer than advertised, and no other", oversize, 1, 1, true},
		{"unreadable, and no other", testnet.OverUDP(testnet.Raw(func(q []byte) []byte {
			r := forgedCounts(testnet.Arrival{Packet: q}, nil)
			return r.Packet
		})), 1, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				begin := time.Now()
				s.askMany(1)
				s.checkSent(c.udp, c.tcp)
				if slow := time.Since(begin) >= firstTimeout; slow != c.slow {
					s.Errorf("took %v", time.Since(begin))
				}
				if st := s.memory.Prospect(server, wire.Root, time.Now()); st.Timeouts != 0 {
					s.Errorf("the server is blamed: %+v", st)
				}
			}, c.bad)
		})
	}
}

func forgedBareError(a testnet.Arrival, _ *dns.Msg) testnet.Reply {
	return testnet.Reply{Packet: append(a.Packet[:2:2], 0x80, dns.RcodeFormatError, 0, 0, 0, 0, 0, 0, 0, 0)}
}

func forgedOpcode(a testnet.Arrival, _ *dns.Msg) testnet.Reply {
	reply := append([]byte(nil), a.Packet...)
	reply[2] |= flagQR | dns.OpcodeNotify<<3
	return testnet.Reply{Packet: reply}
}

func forgedCounts(a testnet.Arrival, _ *dns.Msg) testnet.Reply {
	reply := append([]byte(nil), a.Packet...)
	reply[2] |= flagQR
	binary.BigEndian.PutUint16(reply[6:], 2) // and one OPT record
	return testnet.Reply{Packet: reply}
}

func forgedOPTs(_ testnet.Arrival, q *dns.Msg) testnet.Reply {
	r := new(dns.Msg).SetReply(q)
	r.SetEdns0(payloadSize, true)
	r.SetEdns0(payloadSize, true)
	packet, err := r.Pack()
	if err != nil {
		panic(err)
	}
	return testnet.Reply{Packet: packet}
}

// Over TCP nobody can forge, but a server can still answer something else.
func TestMalformedOnlyWhenAllElseFailed(t *testing.T) {
	unreadable := testnet.Raw(func(q []byte) []byte { return forgedCounts(testnet.Arrival{Packet: q}, nil).Packet })
	onStage(t, Options{}, func(s *stage) {
		_, err := s.ask()
		s.checkOutcome(err, Malformed)
		s.checkSent(1, 1)
	}, unreadable)
}

// A server that does not keep the letter case is asked over TCP, from the third time on at once; what it says over
// UDP is not believed.
func TestWrongCaseIsNeverAcceptedOverUDP(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range 3 {
			s.askMany(1)
			s.checkSent(1, 1)
		}
		s.askMany(3)
		s.checkSent(0, 3)
		time.Sleep(caseFor)
		s.askMany(1)
		s.checkSent(1, 1)
	}, testnet.WrongCase())
}

// Mismatches count only in a row: an attacker's rare hits do not add up.
func TestCaseMismatchesAreForgottenAfterAMatch(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range 3 {
			s.server.Behave(testnet.Forging(testnet.ForgedCase))
			s.askMany(1)
			s.checkSent(1, 1)
			s.server.Behave()
			s.askMany(1)
			s.checkSent(1, 0)
		}
	})
}

func TestCaseRandomisationOff(t *testing.T) {
	onStage(t, Options{CaseRandomisationOff: true}, func(s *stage) {
		s.askMany(20)
		for _, p := range s.server.Seen() {
			if p.Name != strings.ToLower(p.Name) {
				s.Fatalf("sent %q", p.Name)
			}
		}
		s.checkSent(20, 0)
	}, testnet.WrongCase())
}

func TestTruncatedIsAskedOverTCP(t *testing.T) { // RFC 2181 section 9
	onStage(t, Options{}, func(s *stage) {
		r, err := s.ask()
		if err != nil {
			s.Fatal(err)
		}
		s.checkAnswer(r)
		if r.Transport != TCP || r.RTT != latency {
			s.Errorf("got %v in %v", r.Transport, r.RTT)
		}
		s.checkSent(1, 1)
	}, testnet.Truncating())
}

func TestTruncatedWithoutTCPIsNotTheServersDeath(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range 6 {
			_, err := s.ask()
			s.checkOutcome(err, Refused)
		}
		if st := s.memory.Prospect(server, wire.Root, time.Now()); st.Dead {
			s.Error("dead, though it answers over UDP")
		}
	}, testnet.Truncating(), testnet.TCPRefused())
}

// RFC 6891 section 7: FORMERR, NOTIMP and BADVERS may mean that the server does not know EDNS.
func TestEDNSFallback(t *testing.T) {
	bareFormErr := testnet.WithEDNS(testnet.Raw(func(q []byte) []byte {
		return forgedBareError(testnet.Arrival{Packet: q}, nil).Packet
	}))
	for _, c := range []struct {
		name string
		bad  testnet.Behaviour
	}{
		{"FORMERR", testnet.NoEDNS()},
		{"NOTIMP", testnet.NotImpEDNS()},
		{"BADVERS", testnet.BadVers()},
		{"FORMERR without a question", bareFormErr},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				for range maxEDNSFailures {
					s.askMany(1)
					s.checkSent(2, 0)
				}
				s.askMany(5)
				for _, p := range s.server.Seen() {
					if p.EDNS {
						s.Error("EDNS after two consistent failures")
					}
				}
				s.checkSent(5, 0)
				time.Sleep(plainFor)
				s.askMany(1)
				s.checkSent(2, 0)
			}, c.bad)
		})
	}
}

// One failure by chance does not take EDNS, and with it DNSSEC, from a server.
func TestEDNSFailuresCountInARow(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range 4 {
			s.server.Behave(testnet.NoEDNS())
			s.askMany(1)
			s.checkSent(2, 0)
			s.server.Behave()
			s.askMany(1)
			s.checkSent(1, 0)
		}
	})
}

// A server that refuses the question with and without EDNS does not refuse EDNS.
func TestRefusalOfTheQuestionIsNotARefusalOfEDNS(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range 5 {
			r, err := s.ask()
			if err != nil || r.Msg.Rcode != dns.RcodeNotImplemented {
				s.Fatalf("got %v, %v", r.Msg, err)
			}
			s.checkSent(2, 0)
		}
	}, testnet.Failing(dns.RcodeNotImplemented))
}

func TestTimeoutsNeverDowngradeEDNS(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range 10 {
			_, err := s.ask()
			s.checkOutcome(err, Timeout)
		}
		for _, p := range s.server.Seen() {
			if !p.EDNS {
				s.Fatal("a query without EDNS")
			}
		}
	}, testnet.DropsEDNS())
}

func TestErrorsAreReplies(t *testing.T) {
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNameError, dns.RcodeNotAuth} {
		t.Run(dns.RcodeToString[rcode], func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				r, err := s.ask()
				if err != nil || r.Msg.Rcode != rcode || r.Transport != UDP {
					s.Fatalf("got %v, %v", r, err)
				}
				s.checkSent(1, 0)
			}, testnet.Failing(rcode))
		})
	}
}

// The time-out starts at 400 ms, doubles, and is no longer than 3 s; the third try goes over TCP.
func TestTimeoutsDouble(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for i, want := range []time.Duration{400, 800, 1600, 3000, 3000} {
			begin := time.Now()
			_, err := s.ask()
			s.checkOutcome(err, Timeout)
			if got := time.Since(begin); got != want*time.Millisecond {
				s.Errorf("try %d took %v, want %v ms", i, got, int64(want))
			}
		}
		s.checkSent(4, 1)
	}, testnet.Silent())
}

// A server that hears TCP only is found out by its third try, and remembered for a while.
func TestSilentOverUDP(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for range tryTCPAfter {
			_, err := s.ask()
			s.checkOutcome(err, Timeout)
		}
		s.askMany(10)
		s.checkSent(2, 10)
		time.Sleep(mutedFor)
		_, err := s.ask()
		s.checkOutcome(err, Timeout)
	}, testnet.SilentUDP())
}

func TestContextEndsTheWait(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		for _, c := range []struct {
			name     string
			behave   testnet.Behaviour
			deadline time.Duration
		}{
			{"over UDP", testnet.Silent(), 100 * time.Millisecond},
			{"over TCP", testnet.Behaviour(testnet.OverTCP(testnet.Silent())), time.Second},
		} {
			s.server.Behave(c.behave, testnet.Truncating())
			ctx, cancel := context.WithTimeout(s.Context(), c.deadline)
			begin := time.Now()
			_, err := s.client.Exchange(ctx, server, question, s.budget, nil)
			cancel()
			s.checkOutcome(err, Cancelled)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != c.deadline {
				s.Errorf("%s: %v after %v", c.name, err, time.Since(begin))
			}
		}
		if st := s.memory.Prospect(server, wire.Root, time.Now()); st.Timeouts != 0 {
			s.Error("the server is blamed for the asker's haste")
		}
	})
}

func TestOutcomes(t *testing.T) {
	const everywhere = "0.0.0.0/0"
	for _, c := range []struct {
		name   string
		spoil  func(n *testnet.Internet)
		want   Outcome
		blamed bool
	}{
		{"no route", func(n *testnet.Internet) { n.Unreachable(everywhere, syscall.ENETUNREACH) }, Unreachable, false},
		{"no way to this host", func(n *testnet.Internet) { n.Unreachable(everywhere, syscall.EHOSTUNREACH) }, Unreachable, true},
		{"port unreachable", func(n *testnet.Internet) { n.Unreachable(everywhere, syscall.ECONNREFUSED) }, Refused, true},
		{"no sockets left", func(n *testnet.Internet) { n.Unreachable(everywhere, syscall.EMFILE) }, Local, false},
		{"black hole", func(n *testnet.Internet) { n.BlackHole(everywhere) }, Timeout, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				c.spoil(s.net)
				_, err := s.ask()
				s.checkOutcome(err, c.want)
				if strings.Contains(err.Error(), "192.0.2") {
					s.Errorf("an address in %q", err)
				}
				if blamed := s.memory.Prospect(server, wire.Root, time.Now()).Timeouts == 1; blamed != c.blamed {
					s.Errorf("blamed %v, want %v", blamed, c.blamed)
				}
			})
		})
	}
}

// Errors of package net hold addresses; nothing of them may get through, whatever the nesting.
func TestErrorsHoldNoAddress(t *testing.T) {
	addr := net.UDPAddrFromAddrPort(address)
	for _, cause := range []error{
		&net.OpError{Op: "dial", Net: "udp", Source: addr, Addr: addr, Err: syscall.ECONNREFUSED},
		&net.OpError{Op: "read", Net: "udp", Addr: addr, Err: io.EOF},
		&net.OpError{Op: "read", Net: "udp", Addr: addr, Err: errors.New("lookup " + address.String())},
		&net.AddrError{Err: "bad", Addr: address.String()},
		fmt.Errorf("dial %v: %w", address, context.DeadlineExceeded),
	} {
		e := failure(context.Background(), cause)
		for _, text := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
			if strings.Contains(text, "192.0.2") {
				t.Errorf("an address in %q", text)
			}
		}
	}
}

func TestEveryPacketIsPaidFor(t *testing.T) {
	for _, c := range []struct {
		name             string
		behave           testnet.Behaviour
		queries, connect int32
	}{
		{"a reply", testnet.Behaviour{}, 1, 0},
		{"TC", testnet.Truncating(), 2, 1},
		{"a wrong ID", testnet.Forging(testnet.ForgedID), 2, 1},
		{"no EDNS", testnet.NoEDNS(), 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				s.askMany(1)
				if q, n := s.budget.Spent(work.UpstreamQuery), s.budget.Spent(work.Connect); q != c.queries || n != c.connect {
					s.Errorf("spent %d queries and %d connections, want %d and %d", q, n, c.queries, c.connect)
				}
			}, c.behave)
		})
	}
}

func TestNothingIsSentWithoutBudget(t *testing.T) {
	limits := func(queries, connects int32) *work.Budget {
		l := work.DefaultLimits
		l[work.UpstreamQuery], l[work.Connect] = queries, connects
		return work.New(l)
	}
	for _, c := range []struct {
		name     string
		budget   *work.Budget
		udp, tcp int
	}{
		{"no ledger", nil, 0, 0},
		{"no query left", limits(0, 6), 0, 0},
		{"one query left", limits(1, 6), 1, 0},
		{"no connection left", limits(200, 0), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				_, err := s.client.Exchange(s.Context(), server, question, c.budget, nil)
				s.checkOutcome(err, Budget)
				if _, ok := errors.AsType[*work.Exceeded](err); !ok {
					s.Errorf("the limit is not in %v", err)
				}
				s.checkSent(c.udp, c.tcp)
			}, testnet.Truncating())
		})
	}
}

// What a client asked for beside name and type has no way upstream: the bytes are the same whatever it said.
func TestQueryIsBuiltFromNameAndTypeAlone(t *testing.T) {
	onStage(t, Options{CaseRandomisationOff: true}, func(s *stage) {
		for _, q := range []wire.Question{
			question,
			{Name: question.Name, Type: question.Type, Class: wire.ClassIN, DO: true, CD: true, View: 7, NoRecursion: true},
		} {
			if _, err := s.client.Exchange(s.Context(), server, q, s.budget, nil); err != nil {
				s.Fatal(err)
			}
		}
		seen := s.server.Seen()
		if a, b := seen[0], seen[1]; string(a.Bytes[2:]) != string(b.Bytes[2:]) {
			s.Errorf("\n%x\n%x", a.Bytes, b.Bytes)
		}
		p := seen[0]
		if p.RD || p.CD || p.AD || !p.DO || p.UDPSize != payloadSize || p.Class != dns.ClassINET || len(p.Options) != 1 {
			s.Errorf("sent %+v", p)
		}
	})
}

func TestRecursiveServersAreAskedToRecurse(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		_, err := s.client.Exchange(s.Context(), Server{Addr: address, Recursive: true}, question, s.budget, nil)
		if err != nil || !s.server.Seen()[0].RD {
			s.Errorf("RD is clear, %v", err)
		}
	})
}

// The question in a reply is ours, not what the letter-case game made of it.
func TestReplyHoldsTheQuestion(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		r, err := s.ask()
		if err != nil {
			s.Fatal(err)
		}
		want := dns.Question{Name: "www.shop.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
		if len(r.Msg.Question) != 1 || r.Msg.Question[0] != want || r.RTT != latency {
			s.Errorf("got %v in %v", r.Msg.Question, r.RTT)
		}
	})
}
