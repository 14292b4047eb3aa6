package resolver

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

const wwwRecord = "www A 203.0.113.80"

const wwwAnswer = "NOERROR www.shop.example. A 203.0.113.80"

// A server that cannot or will not answer for a zone must cost a detour, not the answer.
func TestOneBadServerBesideAGoodOne(t *testing.T) {
	for name, bad := range map[string]testnet.Behaviour{
		"REFUSED":           testnet.Failing(dns.RcodeRefused),
		"SERVFAIL":          testnet.Failing(dns.RcodeServerFailure),
		"NOTIMP":            testnet.Failing(dns.RcodeNotImplemented),
		"upward referral":   testnet.UpwardReferral(),
		"silent":            testnet.Silent(),
		"wrong question":    testnet.WrongQuestion(),
		"garbage":           testnet.Raw(func([]byte) []byte { return []byte("not a message") }),
		"TC, TCP refused":   testnet.Truncating(),
		"recursive, not AA": testnet.Editing(func(_, r *dns.Msg) { r.Authoritative, r.RecursionAvailable, r.Answer = false, true, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", wwwRecord+"\n* A 203.0.113.81", bad, testnet.TCPRefused())
				s.NameServer("shop.example.")
				s.want("www.shop.example.", "A", wwwAnswer)
				for i := range 20 {
					n := fmt.Sprintf("w%d.shop.example.", i)
					s.want(n, "A", "NOERROR "+n+" A 203.0.113.81")
				}
			})
		})
	}
}

// A doubtful reply is better than none: many small servers forget AA.
func TestNotAuthoritativeIsTheLastResort(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord, testnet.NotAuthoritative())
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}

// RFC 2181 section 5.4.1 and the limits on glue: what is not in the referring zone is not believed.
func TestForeignGlueIsNotBelieved(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("other.test.", "ns A 203.0.113.53") // the true address: nobody answers there
		s.Zone("shop.example.", "@ NS ns.other.test.\n"+wwwRecord)
		s.At("example.").Behave(testnet.For("shop.example.", 0, testnet.Unsolicited(testnet.AdditionalSection, "ns.other.test. 3600 A 192.0.2.66")))
		s.want("www.shop.example.", "A", "SERVFAIL")
		if got := s.SeenAt("test.").Asking("other.test.", 0); len(got) == 0 {
			t.Error("the server's address was not asked for in its own zone")
		}
	})
}

// CVE-2025-11411 and its relatives: NS records that come with an answer are nobody's business.
func TestUnsolicitedAuthorityIsIgnored(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord+"\nx A 203.0.113.81", testnet.Unsolicited(testnet.AuthoritySection,
			"shop.example. 3600 NS ns.evil.example.\nexample. 3600 NS ns.evil.example."),
			testnet.Unsolicited(testnet.AdditionalSection, "ns.evil.example. 3600 A 192.0.2.66"))
		s.want("www.shop.example.", "A", wwwAnswer)
		s.Reset()
		s.want("x.shop.example.", "A", "NOERROR x.shop.example. A 203.0.113.81")
		s.saw("shop.example.", "x.shop.example. A")
		if got := len(s.Seen()); got != 1 {
			t.Errorf("%d packets, want 1", got)
		}
	})
}

// A dead IPv6 path is found quickly: it must not cost a time-out for every new server.
func TestDeadIPv6IsFoundQuickly(t *testing.T) {
	for name, kill := range map[string]func(s *script){
		"no route":   func(s *script) { s.Unreachable("2001:db8::/32", syscall.ENETUNREACH) },
		"black hole": func(s *script) { s.BlackHole("2001:db8::/32") },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				kill(s)
				var late time.Duration
				for i := range 50 {
					zone := fmt.Sprintf("z%d.example.", i)
					s.Zone(zone, "www A 203.0.113.80")
					started := time.Now()
					s.want("www."+zone, "A", "NOERROR www."+zone+" A 203.0.113.80")
					if i >= 10 {
						late += time.Since(started)
					}
				}
				if mean := late / 40; mean > 70*time.Millisecond { // 20 ms is the way, 50 ms the allowance
					t.Errorf("with IPv6 dead a new zone takes %v on average", mean)
				}
			})
		})
	}
}

// Servers are chosen by smoothed round-trip time, and the slow ones are not forgotten.
func TestSelectionPrefersQuickServers(t *testing.T) {
	play(t, func(s *script) {
		quick := s.Zone("shop.example.", "* A 203.0.113.80", testnet.Latency(10*time.Millisecond), testnet.IPv4Only())
		slow := s.NameServer("shop.example.", testnet.Latency(300*time.Millisecond), testnet.IPv4Only())
		for i := range 200 {
			s.resolve(fmt.Sprintf("w%d.shop.example.", i), "A")
		}
		if q, l := quick.Count(), slow.Count(); q < 150 || l < 1 {
			t.Errorf("the quick server was asked %d times, the slow one %d times", q, l)
		}
	}, func(o *Options) { o.NoIPv6 = true })
}

// RFC 9715, RFC 7766: what does not fit comes over TCP.
func TestTruncatedRepliesComeOverTCP(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord, testnet.Truncating())
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}

func TestGluelessDelegation(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("hosting.test.", "")
		s.ZoneAt("shop.example.", wwwRecord, server)
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}

// "Private and loopback addresses of name servers" lead into the operator's own network.
func TestSpecialAddressesAreNotAsked(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "192.168.1.1", "0.0.0.0", "169.254.1.1"} {
		t.Run(address, func(t *testing.T) {
			play(t, func(s *script) {
				s.add("example.", "shop NS ns.shop\nns.shop A "+address)
				s.want("www.shop.example.", "A", "SERVFAIL")
				s.saw("example.", "shop.example. A")
			})
		})
	}
}

func TestStubAndForward(t *testing.T) {
	var recursive, authority *testnet.Server
	prepare := func(s *script) {
		recursive = s.Server("recursive.example.", testnet.Editing(func(_, r *dns.Msg) { r.RecursionAvailable = true }))
		recursive.Host(testnet.MustZone("corp.internal.", "@ SOA ns hostmaster 1 1 1 1 60\nwww A 203.0.113.7\nout CNAME www.shop.example."))
		authority = s.Server("authority.example.")
		authority.Host(testnet.MustZone("lab.internal.", "@ SOA ns hostmaster 1 1 1 1 60\n@ NS ns\na.b.c A 203.0.113.8"))
		s.Zone("shop.example.", wwwRecord)
	}
	play(t, func(s *script) {
		prepare(s)
		s.r.routes = newRoutes(&Options{
			Forwards: []Forward{{Zone: wire.MustName("corp.internal."), Servers: []upstream.Server{{Addr: recursive.Addresses()[0]}}}},
			Stubs:    []Stub{{Zone: wire.MustName("lab.internal."), Servers: []upstream.Server{{Addr: authority.Addresses()[0]}}}},
		})
		s.want("www.corp.internal.", "A", "NOERROR www.corp.internal. A 203.0.113.7")
		s.want("none.corp.internal.", "A", "NXDOMAIN")
		s.want("a.b.c.lab.internal.", "A", "NOERROR a.b.c.lab.internal. A 203.0.113.8")
		if got := s.SeenAt("."); len(got) > 0 {
			t.Errorf("the root saw %v", got.Questions())
		}
		for _, p := range recursive.Seen() {
			if !p.RD {
				t.Error("a forwarder was asked without RD")
			}
		}
		s.want("out.corp.internal.", "A", "NOERROR out.corp.internal. CNAME www.shop.example.; "+wwwAnswer[len("NOERROR "):])
		s.want("internal.", "A", "NXDOMAIN") // the root's word on the names around them
		s.want("www.corp.internal.", "AAAA", "NOERROR")
	})
}

func TestForwardFirst(t *testing.T) {
	play(t, func(s *script) {
		dead := s.Server("dead.example.", testnet.Failing(dns.RcodeServerFailure))
		s.Zone("shop.example.", wwwRecord)
		forward := Forward{Zone: wire.MustName("shop.example."), Servers: []upstream.Server{{Addr: dead.Addresses()[0]}}, First: true}
		s.r.routes = newRoutes(&Options{Forwards: []Forward{forward}})
		s.want("www.shop.example.", "A", wwwAnswer)
		s.Reset()
		for range everyWay {
			s.want("www.shop.example.", "A", wwwAnswer)
		}
		if got := len(s.Seen()); got > 0 {
			t.Errorf("the second time cost %d packets", got)
		}
	})
}

// RFC 9520 section 3.2: at least a second. A machine that was off its network must not go on failing once it is back.
func TestNetworkThatComesBackIsFoundAtOnce(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.Unreachable("0.0.0.0/0", syscall.ENETUNREACH)
		s.Unreachable("::/0", syscall.ENETUNREACH)
		for range 5 {
			s.want("www.shop.example.", "A", "SERVFAIL")
			time.Sleep(1100 * time.Millisecond)
		}
		s.Reachable("0.0.0.0/0")
		s.Reachable("::/0")
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}
