package upstream

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// sentCookies returns the COOKIE options that the server has seen, in hexadecimal.
func (s *stage) sentCookies() []string {
	var sent []string
	for _, p := range s.server.Seen() {
		for _, o := range p.Options {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				sent = append(sent, c.Cookie)
			}
		}
	}
	return sent
}

// RFC 7873 section 5.1: the client cookie goes to every server, the server cookie back to the one that gave it.
func TestServerCookieIsReturned(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		s.askMany(2)
		sent := s.sentCookies()
		if len(sent) != 2 || len(sent[0]) != 16 || len(sent[1]) != 32 || sent[0] != sent[1][:16] {
			s.Errorf("sent %q", sent)
		}
		s.checkSent(2, 0)
	}, testnet.Cookies("secret"))
}

// RFC 7873 section 5.3: once a server has returned a cookie, a reply without one may be forged.
func TestReplyWithoutCookieIsDroppedOnceTheServerHasReturnedOne(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		s.askMany(1)
		s.checkSent(1, 0)
		s.server.Behave(testnet.OverTCP(testnet.Cookies("secret")))
		for range 2 {
			r, err := s.ask()
			if err != nil || r.Transport != TCP {
				s.Fatalf("got %v, %v", r.Transport, err)
			}
			s.checkSent(1, 1)
		}
		s.server.Behave() // the cookies are given up altogether: TCP shows that it is the server's own doing
		s.askMany(1)
		s.checkSent(1, 1)
		s.askMany(1)
		s.checkSent(1, 0)
	}, testnet.Cookies("secret"))
}

// RFC 7873 section 5.3: a reply with somebody else's client cookie, or none at all in the option, is not for us.
func TestWrongClientCookie(t *testing.T) {
	for _, value := range []string{"", "00", "0102030405060708", "01020304050607080102030405060708"} {
		t.Run("cookie "+value, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				s.askMany(1)
				s.checkSent(1, 1)
			}, testnet.OverUDP(testnet.Editing(func(_, r *dns.Msg) {
				opt := r.IsEdns0()
				opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: value})
			})))
		})
	}
}

// RFC 7873 section 4: a server cookie has 8 to 32 octets.
func TestServerCookieLength(t *testing.T) {
	for _, c := range []struct{ octets, tcp int }{{0, 0}, {1, 1}, {7, 1}, {8, 0}, {32, 0}, {33, 1}} {
		onStage(t, Options{}, func(s *stage) {
			s.askMany(1)
			s.checkSent(1, c.tcp)
		}, testnet.OverUDP(testnet.Editing(func(q, r *dns.Msg) {
			sent, ok := q.IsEdns0().Option[0].(*dns.EDNS0_COOKIE)
			if !ok {
				return
			}
			cookie := sent.Cookie[:16]
			for range c.octets {
				cookie += "a5"
			}
			r.IsEdns0().Option = append(r.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie})
		})))
	}
}

// RFC 7873 section 5.3: BADCOOKIE brings the cookie to use; twice in a row it is time for TCP, and then for an end.
func TestBadCookie(t *testing.T) {
	for _, c := range []struct {
		name     string
		behave   testnet.Behaviour
		udp, tcp int
		fails    bool
	}{
		{"until the right cookie comes", testnet.RequireCookies("secret"), 2, 0, false},
		{"always over UDP", testnet.OverUDP(testnet.Failing(dns.RcodeBadCookie)), 2, 1, false},
		{"always", testnet.Failing(dns.RcodeBadCookie), 2, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, Options{}, func(s *stage) {
				r, err := s.ask()
				if c.fails {
					s.checkOutcome(err, BadCookies)
				} else {
					s.checkAnswer(r)
				}
				s.checkSent(c.udp, c.tcp)
			}, c.behave)
		})
	}
}

// A server that changes its secret, as RFC 9018 section 5 has it do, costs one more packet and no more.
func TestServerChangesItsSecret(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		s.askMany(1)
		s.server.Behave(testnet.RequireCookies("another secret"))
		s.server.Reset()
		s.askMany(1)
		s.checkSent(2, 0)
		s.askMany(1)
		s.checkSent(1, 0)
	}, testnet.RequireCookies("secret"))
}

// Whoever sees queries at two servers, or on two days, cannot tell from cookies that they come from the same resolver.
func TestClientCookiesDoNotTrack(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var jar, restarted cookies
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	first := jar.of(a, b, now)
	if jar.of(a, b, now.Add(keyLife-1)) != first {
		t.Error("the cookie of one server changes within the day")
	}
	for name, other := range map[string]cookie{
		"another server":        jar.of(netip.MustParseAddr("192.0.2.2"), b, now),
		"another local address": jar.of(a, netip.MustParseAddr("2001:db8::2"), now),
		"a restart":             restarted.of(a, b, now),
		"the next day":          jar.of(a, b, now.Add(keyLife)),
	} {
		if other == first {
			t.Errorf("%s has the same cookie", name)
		}
	}
}

func TestServerCookieOfYesterdayIsNotSent(t *testing.T) {
	onStage(t, Options{}, func(s *stage) {
		s.askMany(1)
		time.Sleep(keyLife)
		s.askMany(1)
		if sent := s.sentCookies(); len(sent[1]) != 16 || sent[0] == sent[1] {
			s.Errorf("sent %q", sent)
		}
	}, testnet.Cookies("secret"))
}
