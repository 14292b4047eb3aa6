package resolver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/cache"
	"tacit/internal/testnet"
	"tacit/internal/wire"
)

func with(m Minimisation) func(*Options) { return func(o *Options) { o.Minimise = m } }

// RFC 9156 section 2.3 gives the steps of a name of 18 labels, with MAX_MINIMISE_COUNT 10 and MINIMISE_ONE_LAB 4: 1, 1,
// 1, 1, 2, 2, 2, 2, 3, 3.
func TestMinimiserSharesOutTheLabels(t *testing.T) {
	cases := []struct {
		labels int
		want   string
	}{
		{1, "1"},
		{4, "1 1 1 1"},
		{10, "1 1 1 1 1 1 1 1 1 1"},
		{11, "1 1 1 1 1 1 1 1 1 2"},
		{18, "1 1 1 1 2 2 2 2 3 3"},
		{30, "1 1 1 1 4 4 4 4 5 5"},
		{126, "1 1 1 1 20 20 20 20 21 21"},
	}
	for _, c := range cases {
		m := minimiser{name: wire.MustName(strings.Repeat("a.", c.labels)), kind: wire.TypeTXT}
		var got []string
		for at := 0; ; {
			shown, kind, whole := m.next(wire.Root)
			got = append(got, fmt.Sprint(shown.Labels()-at))
			if whole {
				if shown != m.name || kind != m.kind {
					t.Errorf("%d labels: the last question is not the question", c.labels)
				}
				break
			}
			if kind != wire.TypeA { // section 2.1
				t.Errorf("%d labels: a shortened name was asked with type %d", c.labels, kind)
			}
			at = shown.Labels()
			m.exists(shown)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%d labels were shown in steps of %s, want %s", c.labels, s, c.want)
		}
	}
}

// RFC 9156 section 2: a server is asked for one label more than the zone that it serves, whether the name exists or not.
func TestServersOnTheWaySeeOneLabelMore(t *testing.T) {
	for _, name := range []string{"www.shop.example.", "a.b.c.shop.example.", "no.shop.example.", "x.y.no.shop.example.", "a.b.nothing.example.", "a.b.nowhere."} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "www TXT here\na.b.c TXT deep")
				s.resolve(name, "TXT")
				if got := s.SeenAt(".").MaxLabels(); got > 1 {
					t.Errorf("the root saw %d labels", got)
				}
				if got := s.SeenAt("example.").MaxLabels(); got > 2 {
					t.Errorf("the TLD saw %d labels", got)
				}
				for _, p := range slices.Concat(s.SeenAt("."), s.SeenAt("example.")) {
					if p.Type != dns.TypeA && p.Name != "." {
						t.Errorf("%s learned the type", p)
					}
				}
			})
		})
	}
}

func TestMinimisationOffShowsTheName(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www TXT here")
		s.want("www.shop.example.", "TXT", `NOERROR www.shop.example. TXT "here"`)
		s.saw(".", ". NS", "www.shop.example. TXT")
		s.saw("example.", "www.shop.example. TXT")
	}, with(Off))
}

// RFC 9156 section 2.3: a resolver limits the number of outgoing queries.
func TestMinimiseLimitsQueries(t *testing.T) {
	play(t, func(s *script) {
		name := strings.Repeat("a.", 28) + "shop.example."
		s.Zone("shop.example.", strings.Repeat("a.", 27)+"a A 203.0.113.80")
		s.want(name, "A", "NOERROR "+name+" A 203.0.113.80")
		if got := s.Count("shop.example."); got != maxMinimiseCount {
			t.Errorf("a name of 30 labels cost %d questions, want %d", got, maxMinimiseCount)
		}
	})
}

func TestUnderscoreNames(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "_25._tcp.mail TLSA 3 1 1 00")
		s.want("_25._tcp.mail.shop.example.", "TLSA", "NOERROR _25._tcp.mail.shop.example. TLSA 3 1 1 00")
		s.saw("shop.example.", "mail.shop.example. A", "_tcp.mail.shop.example. A", "_25._tcp.mail.shop.example. TLSA")
	})
}

// What is known need not be asked for again.
func TestKnownNamesAreNotAskedFor(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "a.b TXT one\nc.b TXT two")
		s.want("a.b.shop.example.", "TXT", `NOERROR a.b.shop.example. TXT "one"`)
		s.Reset()
		s.want("c.b.shop.example.", "TXT", `NOERROR c.b.shop.example. TXT "two"`)
		s.saw("shop.example.", "c.b.shop.example. TXT")
	})
}

// That something is known at a name tells nothing of the zone cuts above it: when a delegation has gone and the address
// at its apex has not, the parent is not to see more than one label for it.
func TestKnownNamesBelowALostCutAreAskedFor(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "@ A 203.0.113.79\nwww A 203.0.113.80")
		s.resolve("example.", "A")
		s.Reset()
		apex := wire.MustName("shop.example.")
		e := cache.Entry{
			Set:  wire.RRset{Name: apex, Type: wire.TypeA, TTL: 60, Data: wire.Rdatas(nil).Add([]byte{203, 0, 113, 79})},
			Rank: cache.AnswerAA, Cut: apex,
		}
		s.r.cache.RRsets.Put(cache.Key{Name: apex, Type: wire.TypeA}, e, s.r.now(), s.r.cache.Generation())
		s.want("www.shop.example.", "A", wwwAnswer)
		s.saw("example.", "shop.example. A")
	})
}

// RFC 9156 section 2.1 warns of servers that fail on names in between. Strict does not show them more; relaxed asks in
// another way first.
func TestServerThatFailsOnShortenedNames(t *testing.T) {
	failing := testnet.For("b.shop.example.", 0, testnet.Failing(dns.RcodeServerFailure))
	failingOnA := testnet.For("b.shop.example.", dns.TypeA, testnet.Failing(dns.RcodeServerFailure))
	const good = "NOERROR a.b.shop.example. A 203.0.113.80"
	for _, c := range []struct {
		name   string
		mode   Minimisation
		server testnet.Behaviour
		answer string
		shown  []string // last
	}{
		{"strict", Strict, failing, "SERVFAIL", []string{"b.shop.example. A"}},
		{"relaxed", Relaxed, failing, good, []string{"b.shop.example. NS", "a.b.shop.example. A"}},
		{"relaxed, type A alone fails", Relaxed, failingOnA, good, []string{"b.shop.example. NS", "a.b.shop.example. A"}},
		{"off", Off, failing, good, []string{"a.b.shop.example. A"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "a.b A 203.0.113.80", c.server)
				s.want("a.b.shop.example.", "A", c.answer)
				got := s.SeenAt("shop.example.").Questions()
				if got = slices.Compact(got); !slices.Equal(got[len(got)-len(c.shown):], c.shown) {
					t.Errorf("shown %v, want last %v", got, c.shown)
				}
				if c.mode != Off && s.SeenAt("example.").MaxLabels() > 2 {
					t.Error("the TLD saw more than it had to")
				}
			}, with(c.mode))
		})
	}
}

// RFC 8020 section 2: nothing exists below a name that does not; a server that says so of an empty non-terminal is
// wrong, and relaxed takes it into account, also for the next name.
func TestServerThatDeniesEmptyNonTerminals(t *testing.T) {
	for mode, want := range map[Minimisation][2]string{
		Strict:  {"NXDOMAIN", "NXDOMAIN"},
		Relaxed: {"NOERROR a.b.shop.example. A 203.0.113.80", "NOERROR c.b.shop.example. A 203.0.113.81"},
		Off:     {"NOERROR a.b.shop.example. A 203.0.113.80", "NOERROR c.b.shop.example. A 203.0.113.81"},
	} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "a.b A 203.0.113.80\nc.b A 203.0.113.81", testnet.NXDOMAINOnEmptyNonTerminal())
				s.want("a.b.shop.example.", "A", want[0])
				s.want("c.b.shop.example.", "A", want[1])
			}, with(mode))
		})
	}
}

// In relaxed mode a name that does not exist is still denied, and the denial remembered for the name itself.
func TestRelaxedDeniesWhatDoesNotExist(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "")
		s.want("a.b.shop.example.", "A", "NXDOMAIN")
		s.Reset()
		s.want("a.b.shop.example.", "AAAA", "NXDOMAIN")
		if got := len(s.Seen()); got > 0 {
			t.Errorf("%d packets", got)
		}
		time.Sleep(301 * time.Second) // the negative TTL of testnet's zones is 300 s
		s.want("a.b.shop.example.", "AAAA", "NXDOMAIN")
		if s.Count("shop.example.") == 0 {
			t.Error("the denial outlived its TTL")
		}
	}, with(Relaxed))
}
