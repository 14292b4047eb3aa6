package zone

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

const day = 24 * time.Hour

func TestRootFetchesACopyAtOnce(t *testing.T) {
	onStage(t, version{serial: "7"}, func(s *stage) {
		s.checkCopy(7)
		st := s.root.Stats()
		if !st.Copied || st.Transfers != 1 || st.Records < 30 || st.Bytes < 1000 || st.Rejected != 0 {
			s.Errorf("stats %+v", st)
		}
		if n := s.primaries[0].seen(dns.TypeSOA); n != 0 {
			s.Errorf("%d questions for the serial before there is a copy", n)
		}
	}, honest)
}

// RFC 1035 section 3.3.13, RFC 1034 section 4.3.5: at REFRESH the serial is asked for; a newer one means a transfer.
func TestRootRefreshesByTheSOATimers(t *testing.T) {
	onStage(t, version{serial: "4294967295"}, func(s *stage) {
		p := s.primaries[0]
		s.pass(30*time.Minute - time.Second)
		if n := p.seen(dns.TypeSOA); n != 0 {
			s.Fatalf("asked %d times before REFRESH", n)
		}
		s.pass(2 * time.Second)
		if n, m := p.seen(dns.TypeSOA), p.seen(dns.TypeAXFR); n != 1 || m != 1 {
			s.Fatalf("serial asked %d times, zone %d times, want 1 and 1", n, m)
		}
		p.set(makeRoot(version{serial: "3"}), honest) // RFC 1982: newer than 4294967295
		s.pass(30 * time.Minute)
		s.checkCopy(3)
		if st := s.root.Stats(); st.Transfers != 2 || st.Unchanged != 1 {
			s.Errorf("stats %+v", st)
		}
	}, honest)
}

// RFC 8806 section 2: what is not the root zone, whole and true, is not served. The resolver goes on with the root servers.
func TestRootRejects(t *testing.T) {
	is := func(name string, kind uint16) func(dns.RR) bool {
		return func(rr dns.RR) bool { return rr.Header().Name == name && rr.Header().Rrtype == kind }
	}
	covers := func(kind uint16) func(dns.RR) bool {
		return func(rr dns.RR) bool {
			sig, ok := rr.(*dns.RRSIG)
			return ok && sig.Hdr.Name == "." && sig.TypeCovered == kind
		}
	}
	with := func(text string) func(*signedRoot) *signedRoot {
		return func(r *signedRoot) *signedRoot { return &signedRoot{append(r.records, parse(text)...)} }
	}
	same := func(r *signedRoot) *signedRoot { return r }
	for _, test := range []struct {
		name   string
		v      version
		change func(*signedRoot) *signedRoot
	}{
		{"an address of glue, which no signature covers", version{}, func(r *signedRoot) *signedRoot {
			return with("ns.example. 172800 A 203.0.113.66")(r.without(is("ns.example.", dns.TypeA)))
		}},
		{"a delegation taken out", version{}, func(r *signedRoot) *signedRoot { return r.without(is("test.", dns.TypeNS)) }},
		{"a delegation put in", version{}, with("corp. 86400 NS ns1.root.test.")},
		{"a TTL", version{}, func(r *signedRoot) *signedRoot {
			return with("ns.example. 17 A 192.0.2.53")(r.without(is("ns.example.", dns.TypeA)))
		}},
		{"without a digest", version{noDigest: true}, same},
		{"the digest taken out", version{}, func(r *signedRoot) *signedRoot {
			return r.without(func(rr dns.RR) bool { return is(".", dns.TypeZONEMD)(rr) || covers(dns.TypeZONEMD)(rr) })
		}},
		{"the digest not signed", version{}, func(r *signedRoot) *signedRoot { return r.without(covers(dns.TypeZONEMD)) }},
		{"a signature over nothing", version{}, func(r *signedRoot) *signedRoot { return r.without(is(".", dns.TypeZONEMD)) }},
		{"the digest of another serial", version{digestOf: "8"}, same},
		{"two digests of one kind", version{twice: true}, same},
		{"the servers not signed", version{}, func(r *signedRoot) *signedRoot { return r.without(covers(dns.TypeNS)) }},
		{"without keys", version{}, func(r *signedRoot) *signedRoot {
			return r.without(func(rr dns.RR) bool { return is(".", dns.TypeDNSKEY)(rr) || covers(dns.TypeDNSKEY)(rr) })
		}},
		{"signatures that have ended", version{ends: -30 * time.Minute}, same},
		{"signatures that end within the margin", version{ends: 59 * time.Minute}, same},
		{"a wildcard", version{extra: "\n*.invalid. 300 TXT x\n"}, same},
		{"an alias", version{extra: "\nalias.invalid. 300 CNAME invalid.\n"}, same},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.v.serial = "7"
			onStage(t, version{serial: "7"}, func(s *stage) {
				s.primaries[0].set(test.change(makeRoot(test.v)), honest)
				s.pass(time.Minute)
				s.checkCopy(0)
				if n := s.primaries[0].seen(dns.TypeAXFR); n != 2 {
					s.Errorf("%d transfers, want 2", n)
				}
				// The test is about this one change: without it, the zone is taken.
				s.primaries[0].set(makeRoot(version{serial: "7"}), honest)
				s.pass(2 * time.Minute)
				s.checkCopy(7)
			}, cutting)
		})
	}
}

func TestRootGoesOnToTheNextServer(t *testing.T) {
	for _, test := range []struct {
		name string
		way  way
		wait time.Duration
	}{
		{"refuses", refusing, 0},
		{"cannot be reached", unreachable, 0},
		{"ends the transfer early", cutting, 0},
		{"sends the ID of another question", misnumbering, 0},
		{"changes the zone on the way", changing, 0},
		{"goes on behind the end", trailing, 0},
		{"does not begin with the SOA record", headless, 0},
		{"never comes to an end", endless, 0},
		{"says nothing", silent, idleTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			onStage(t, version{serial: "7"}, func(s *stage) {
				s.root.Close()
				// The first server is drawn; ask from each of them once.
				for first := range 2 {
					s.root.next = first
					s.root.current.Store(nil)
					start := time.Now()
					if err := s.root.round(s.Context()); err != nil {
						s.Errorf("from %d: %v", first, err)
					}
					s.checkCopy(7)
					if took := time.Since(start); took > test.wait {
						s.Errorf("took %v", took)
					}
				}
				if st := s.root.Stats(); test.way == refusing && st.Refused == 0 || test.way != refusing && st.Failed == 0 {
					s.Errorf("stats %+v", st)
				}
			}, test.way, honest)
		})
	}
}

func TestRootBoundsTransfers(t *testing.T) {
	for _, test := range []struct {
		way  way
		want error
	}{{bulky, errTooLong}, {endless, errTooMany}} {
		t.Run(test.want.Error(), func(t *testing.T) {
			onStage(t, version{serial: "7"}, func(s *stage) {
				s.checkCopy(0)
				if err := s.root.Stats().LastReason; !errors.Is(err, test.want) {
					s.Errorf("ended by %v", err)
				}
			}, test.way)
		})
	}
	t.Run("zones that are not believed", func(t *testing.T) {
		onStage(t, version{serial: "7", noDigest: true}, func(s *stage) {
			if st := s.root.Stats(); st.Rejected != maxRejected || st.Failed != 0 {
				s.Errorf("stats %+v", st)
			}
		}, honest, honest, honest, honest, honest)
	})
}

// All servers refuse: they are left alone for longer and longer, up to an hour.
func TestRootPausesWhenAllRefuse(t *testing.T) {
	onStage(t, version{serial: "7"}, func(s *stage) {
		for _, test := range []struct {
			at    time.Duration
			asked int
		}{
			{59 * time.Second, 1},
			{61 * time.Second, 2},   // + 1 min
			{181 * time.Second, 3},  // + 2 min
			{421 * time.Second, 4},  // + 4 min
			{2 * time.Hour, 7},      // + 8, 16, 32 min
			{7*time.Hour + 1, 12},   // each hour
			{49*time.Hour + 10, 54}, // for two days
		} {
			s.passTo(test.at)
			if n := s.primaries[1].seen(dns.TypeAXFR); n != test.asked {
				s.Errorf("after %v: asked %d times, want %d", test.at, n, test.asked)
			}
		}
		s.checkCopy(0)
		s.primaries[1].set(makeRoot(version{serial: "8"}), honest)
		s.pass(time.Hour)
		s.checkCopy(8)
	}, refusing, refusing)
}

// The outage of a public resolver in October 2023, replayed in two halves. A type that was new stopped its parser: here
// it is octets.
func TestRootOutlivesANewType(t *testing.T) {
	onStage(t, version{serial: "1"}, func(s *stage) {
		s.checkCopy(1)
		s.primaries[0].set(makeRoot(version{serial: "2", extra: unknown}), honest)
		s.pass(31 * time.Minute)
		s.checkCopy(2)
		m := s.root.Answer(time.Now(), wire.Root, 65280)
		if m == nil || len(m.Answer) != 2 {
			s.Errorf("got %v", m)
		}
	}, honest)
}

// The old copy was served until the signatures in it had ended, and beyond: here it is dropped before, and the resolver
// asks the root servers.
func TestRootDropsTheCopyBeforeItsSignaturesEnd(t *testing.T) {
	onStage(t, version{serial: "1", ends: 3 * day}, func(s *stage) {
		s.primaries[0].set(makeRoot(version{serial: "2", noDigest: true}), honest) // and no server has a good one from now on
		s.passTo(3*day - margin - time.Second)
		s.checkCopy(1)
		s.pass(2 * time.Second)
		s.checkCopy(0)
		if m := s.root.Answer(time.Now(), wire.Root, wire.TypeNS); m != nil {
			s.Errorf("answered %v", m)
		}
		s.pass(maxRetry)
		if s.root.current.Load() != nil {
			s.Error("memory of the copy is kept")
		}
		s.primaries[0].set(makeRoot(version{serial: "3", ends: 3 * day}), honest)
		s.pass(maxRetry)
		s.checkCopy(3)
	}, honest)
}

// RFC 1035 section 3.3.13: EXPIRE, counted from when a server last confirmed the copy.
func TestRootDropsTheCopyAtEXPIRE(t *testing.T) {
	onStage(t, version{serial: "1"}, func(s *stage) {
		s.passTo(2 * day)
		s.primaries[0].set(makeRoot(version{serial: "1"}), unreachable)
		confirmed := s.root.Stats().Checked
		s.pass(time.Until(confirmed.Add(7*day - time.Second)))
		s.checkCopy(1)
		s.pass(time.Second)
		s.checkCopy(0)
	}, honest)
}

// A server that lags behind does not take the copy back, nor does it confirm it.
func TestRootKeepsTheNewerCopy(t *testing.T) {
	onStage(t, version{serial: "5"}, func(s *stage) {
		s.primaries[0].set(makeRoot(version{serial: "4"}), honest)
		s.pass(time.Hour)
		s.checkCopy(5)
		if st := s.root.Stats(); st.Unchanged != 0 || st.Failed == 0 || !errors.Is(st.LastReason, errOlder) {
			s.Errorf("stats %+v", st)
		}
		if n := s.primaries[0].seen(dns.TypeAXFR); n != 1 {
			s.Errorf("%d transfers, want 1", n)
		}
		s.primaries[0].set(makeRoot(version{serial: "4"}), boasting)
		s.pass(time.Hour)
		s.checkCopy(5)
		if n := s.primaries[0].seen(dns.TypeAXFR); n < 2 {
			s.Errorf("%d transfers, want more", n)
		}
	}, honest)
}

// A clock that is set forward ends the copy at once; no timer has to notice first.
func TestRootGoesByTheClockItIsGiven(t *testing.T) {
	onStage(t, version{serial: "1"}, func(s *stage) {
		s.skew = 14 * day
		s.checkCopy(0)
		s.skew = 0
		s.checkCopy(1)
	}, honest)
}

func TestRootClosesInTheMiddleOfATransfer(t *testing.T) {
	onStage(t, version{serial: "1"}, func(s *stage) {
		start := time.Now()
		s.root.Close()
		if took := time.Since(start); took != 0 {
			s.Errorf("took %v", took)
		}
		s.checkCopy(0)
	}, silent)
}

func TestRootWithoutServers(t *testing.T) {
	onStage(t, version{serial: "1"}, func(s *stage) {
		s.pass(time.Hour)
		s.checkCopy(0)
	})
}

// passTo lets time go by until so long after the start of the bubble.
func (s *stage) passTo(at time.Duration) {
	s.Helper()
	s.pass(time.Until(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(at)))
}

// A mistake in reading or verifying costs the visit to one server, and not the program.
func TestRootOutlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &primary{zone: makeRoot(version{serial: "7"}), way: honest}
		a := netip.MustParseAddrPort("192.0.2.1:53")
		panics := 0
		s := &stage{T: t, primaries: []*primary{p}}
		s.root = NewRoot(RootOptions{
			Network: network{a.String(): p}, Servers: []netip.AddrPort{a}, Panicked: func() { panics++ },
			Verify: func(ctx context.Context, now time.Time, sets []wire.RRset) (time.Time, error) {
				if panics == 0 {
					panic("secret.example")
				}
				return verify(ctx, now, sets)
			},
		})
		defer s.root.Close()
		synctest.Wait()
		s.checkCopy(0)
		if st := s.root.Stats(); panics != 1 || st.Failed != 1 || !errors.Is(st.LastReason, errPanicked) {
			t.Errorf("%d panics, %+v", panics, st)
		}
		s.pass(minRetry)
		s.checkCopy(7)
	})
}
