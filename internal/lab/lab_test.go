package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is printed for people to copy must stay true: every line is asked, and comes out as it says. The internet in
// memory and the one on sockets are the same.
func TestLessonsHold(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		l := newLab(t, 0)
		l.ask(t, l.serve(t, server.Env{Network: l.Network()}))
	})
	t.Run("on sockets", func(t *testing.T) {
		l := listening(t)
		l.ask(t, l.serve(t, server.Env{}))
	})
}

func TestRootServerCanBeAskedDirectly(t *testing.T) {
	l := listening(t)
	q := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	q.RecursionDesired = false
	for _, network := range []string{"udp", "tcp"} {
		r := exchange(t, network, l.Root(), q)
		if r.Rcode != dns.RcodeSuccess || len(r.Answer) != 0 || len(r.Ns) != 1 || r.Ns[0].Header().Name != "com." {
			t.Errorf("%s: not a referral to com: %v", network, r)
		}
	}
}

func TestGuide(t *testing.T) {
	l := newLab(t, 0)
	var b strings.Builder
	f := &Front{Plain: l.Config().Listen.UDP[0], TLS: l.Config().Listen.TLS[0], HTTPS: l.Config().Listen.HTTPS[0], QUIC: l.Config().Listen.QUIC[0], Pin: "PIN"}
	if err := errors.Join(l.WriteGuide(&b, f, "dig", "tacit"), l.WriteRootLine(&b, "dig")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"dig @127.0.0.1 -p 5335 www.example.com A\n",
		"dig @127.0.0.1 -p 5335 version.bind CH TXT\n",
		"dig @127.0.0.1 -p 5335 www.broken.example A +edns\n",
		"\nkdig @127.0.0.1 -p 8853 +tls-pin=PIN www.example.com A\n",
		"\nkdig @127.0.0.1 -p 8443 +tls-pin=PIN +https www.example.com A\n",
		"\nkdig @127.0.0.1 -p 8853 +tls-pin=PIN +quic www.example.com A\n",
		"tacit trace --lab www.example.com\n",
		"dig @127.53.0.1 -p 5300 +norec www.example.com A\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q", want)
		}
	}
	if got := strings.Count(b.String(), "dig @"); got != len(l.Lessons())+1 {
		t.Errorf("%d lines to copy for %d lessons", got, len(l.Lessons()))
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	l := newLab(t, 0)
	directory := filepath.Dir(l.Config().File)
	if _, err := os.Stat(directory); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", directory, err)
	}
}

// A port that somebody has is an error, and no socket stays open.
func TestTakenPort(t *testing.T) {
	l := listening(t)
	other := newLab(t, l.Root().Port())
	if err := other.Listen(t.Context()); err == nil {
		t.Fatal("two labs listen on one port")
	}
	if n := len(other.closers); n != 1 {
		t.Errorf("%d things to close, want the configuration alone", n)
	}
}

type classroom struct{ *Lab }

func newLab(t *testing.T, port uint16) classroom {
	t.Helper()
	l, err := New(Options{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return classroom{l}
}

// listening is a lab on sockets, on a port that happens to be free.
func listening(t *testing.T) classroom {
	t.Helper()
	for range 5 {
		probe, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := probe.Addr().(*net.TCPAddr).AddrPort().Port()
		if err := probe.Close(); err != nil {
			t.Fatal(err)
		}
		l := newLab(t, port)
		err = l.Listen(t.Context())
		if err == nil {
			return l
		}
		if errors.Is(err, ErrNoAliases) {
			t.Skip(err)
		}
	}
	t.Fatal("found no free port")
	panic("not reached")
}

// serve starts tacit in front of a lab, on ports that the system chooses.
func (l classroom) serve(t *testing.T, env server.Env) *server.Server {
	t.Helper()
	c := *l.Config()
	anyPort := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	c.Listen.UDP, c.Listen.TCP, c.Listen.TLS, c.Listen.HTTPS, c.Listen.QUIC = anyPort, anyPort, anyPort, anyPort, anyPort
	s, err := server.New(t.Context(), &c, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (l classroom) ask(t *testing.T, s *server.Server) {
	f := FrontOf(s)
	_, tcp := s.Addrs()
	for _, x := range l.Lessons() {
		t.Run(x.Name+" "+x.Type, func(t *testing.T) {
			before := len(l.world.Seen())
			var r *dns.Msg
			if x.Over != Plain {
				r = f.exchange(t, x.Over, x.query())
			} else {
				r = exchange(t, "udp", f.Plain, x.query())
			}
			if r.Truncated != x.Stream {
				t.Errorf("truncated %v, want %v", r.Truncated, x.Stream)
			}
			if r.Truncated {
				r = exchange(t, "tcp", tcp[0], x.query())
			}
			x.judge(t, r)
			if asked := len(l.world.Seen()) - before; (asked == 0) != x.Silent {
				t.Errorf("%d packets to name servers, silent: %v", asked, x.Silent)
			}
		})
	}
}

func (x *Lesson) query() *dns.Msg {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(x.Name), dns.StringToType[x.Type])
	if x.Class == "CH" {
		q.Question[0].Qclass = dns.ClassCHAOS
	}
	switch x.Options {
	case "+edns":
		q.SetEdns0(1232, false)
	case "+adflag":
		q.AuthenticatedData = true
	case "+cdflag":
		q.CheckingDisabled = true
	}
	return q
}

func (x *Lesson) judge(t *testing.T, r *dns.Msg) {
	t.Helper()
	if got := dns.RcodeToString[r.Rcode]; got != x.Rcode {
		t.Errorf("%s, want %s", got, x.Rcode)
	}
	if r.AuthenticatedData != x.Secure {
		t.Errorf("ad %v, want %v", r.AuthenticatedData, x.Secure)
	}
	if x.Records > 0 && len(r.Answer) != x.Records {
		t.Errorf("%d records, want %d", len(r.Answer), x.Records)
	}
	var answer []string
	for _, rr := range r.Answer {
		answer = append(answer, strings.TrimPrefix(dns.TypeToString[rr.Header().Rrtype]+" "+strings.TrimPrefix(rr.String(), rr.Header().String()), " "))
	}
	if x.Records == 0 && !slices.Equal(answer, x.Answer) {
		t.Errorf("answer %q, want %q", answer, x.Answer)
	}
	if x.EDE != 0 && !slices.Contains(extendedErrors(r), strconv.Itoa(int(x.EDE))) {
		t.Errorf("extended errors %v, want %d", extendedErrors(r), x.EDE)
	}
}

func extendedErrors(r *dns.Msg) []string {
	var codes []string
	if opt := r.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				codes = append(codes, strconv.Itoa(int(e.InfoCode)))
			}
		}
	}
	return codes
}

func exchange(t *testing.T, network string, at netip.AddrPort, q *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := c.ExchangeContext(t.Context(), q, at.String())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
