package resolver

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/cache"
	"tacit/internal/wire"
)

func blurring(o *Options) {
	o.NoPrefetch = true
	o.Cache = cache.New(cache.Options{Size: 1 << 20, BlurTTLs: true})
}

func blurringAlone(o *Options) {
	o.NoPrefetch = true
	o.Cache = cache.New(cache.Options{Size: 1 << 20, BlurTTLs: true, PacketsOff: true})
}

// playBlurred plays both ways with TTLs blurred.
func playBlurred(t *testing.T, run func(s *script)) {
	for name, option := range map[string]func(*Options){"packets": blurring, "no packets": blurringAlone} {
		t.Run(name, func(t *testing.T) { playOnce(t, run, option) })
	}
}

// Row D7: of ten names that somebody else asked for 2 to 8 % of their TTL ago, the TTL betrays two at most, which is that it is one
// that a name nobody has asked for cannot have. Both kinds are looked at by the same eyes, several times within a minute.
func TestTTLsDoNotTellWhoAskedBefore(t *testing.T) {
	const ttl, names = 1800, 10 // the lease of the zone is longer
	playBlurred(t, func(s *script) {
		s.Zone("shop.example.", "www 300 A 203.0.113.80")
		for i := range names {
			s.add("shop.example.", fmt.Sprintf("asked%d.shop.example. 1800 IN A 203.0.113.80", i))
			s.add("shop.example.", fmt.Sprintf("new%d.shop.example. 1800 IN A 203.0.113.80", i))
		}
		for i := range names { // 8 % down to 2 % before
			s.resolve(fmt.Sprintf("asked%d.shop.example.", i), "A")
			time.Sleep(ttl * 6 / 100 / (names - 1) * time.Second)
		}
		time.Sleep(ttl * 2 / 100 * time.Second)
		betrayed, least, same := 0, uint32(ttl), 0
		for i := range names {
			fresh, asked := s.look(fmt.Sprintf("new%d.shop.example.", i)), s.look(fmt.Sprintf("asked%d.shop.example.", i))
			if asked < ttl*9/10 {
				betrayed++
			}
			if least = min(least, fresh); fresh == ttl {
				same++
			}
		}
		if betrayed > 2 {
			s.Errorf("%d of %d are betrayed", betrayed, names)
		}
		if least < ttl*9/10 || same > 3 {
			s.Errorf("new names show %d at least, and %d of %d the TTL itself", least, same, names)
		}
		s.Logf("%d of %d betrayed; the least TTL of a new name is %d of %d", betrayed, names, least, ttl)
	})
}

// look is what a TTL is to somebody who asks thrice.
func (s *script) look(name string) uint32 {
	first := answerTTL(s.resolve(name, "A"))
	for range everyWay - 1 {
		if ttl := answerTTL(s.resolve(name, "A")); ttl != first {
			s.Errorf("%d, and in the same second %d", first, ttl)
		}
	}
	return first
}

// However the rest is asked for, what is shown is never above it, and 0 and 1 stay what they are.
func TestShownTTLsAreNeverAboveTheTrueRest(t *testing.T) {
	playBlurred(t, func(s *script) {
		s.Zone("shop.example.", "www 300 A 203.0.113.80\nzero 0 A 203.0.113.80\none 1 A 203.0.113.80\nalias 300 CNAME www", signing)
		if zero, one := answerTTL(s.resolve("zero.shop.example.", "A")), answerTTL(s.resolve("one.shop.example.", "A")); zero != 0 || one != 1 {
			s.Errorf("TTLs of 0 and 1 are shown as %d and %d", zero, one)
		}
		for _, name := range []string{"alias.shop.example.", "none.shop.example."} {
			start := time.Now()
			for passed := time.Duration(0); passed < 40*time.Second; passed = time.Since(start) {
				q := question(name, "A")
				q.DO = true
				for _, rr := range s.unpack(s.ask(q)).Answer {
					if rest := 300 - uint32(passed/time.Second); rr.Header().Ttl > rest || rr.Header().Ttl*10 < rest*9 {
						s.Errorf("%s %s: %d, with %d left", name, dns.TypeToString[rr.Header().Rrtype], rr.Header().Ttl, rest)
					}
				}
				time.Sleep(7 * time.Second)
			}
		}
	})
}

// A SOA record in denials is one for all names of a zone. Its place within the tenth is that of the name denied: else it could be
// learned from a name of one's own.
func TestDenialsAreBlurredEachForItself(t *testing.T) {
	playBlurred(t, func(s *script) {
		s.Zone("shop.example.", "@ 3600 SOA ns1 host 1 7200 3600 1209600 3600\nwww 300 A 203.0.113.80")
		places := map[uint32]bool{}
		for i := range 10 {
			m := s.resolve(fmt.Sprintf("none%d.shop.example.", i), "A")
			if m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
				s.Fatal(m)
			}
			places[m.Ns[0].Header().Ttl] = true
		}
		if len(places) < 3 {
			s.Errorf("ten names are at %d places: %v", len(places), places)
		}
	})
}

// What can be had by several names of one's own, such as aliases, is one place.
func TestAliasesDoNotShowOtherPlaces(t *testing.T) {
	playBlurred(t, func(s *script) {
		s.Zone("shop.example.", "www 3600 A 203.0.113.80")
		for i := range 5 {
			s.add("shop.example.", fmt.Sprintf("alias%d.shop.example. 3600 IN CNAME www.shop.example.", i))
		}
		want := answerTTL(s.resolve("www.shop.example.", "A"))
		for i := range 5 {
			m := s.resolve(fmt.Sprintf("alias%d.shop.example.", i), "A")
			if last := m.Answer[len(m.Answer)-1]; last.Header().Ttl != want {
				s.Errorf("%d by alias%d, and %d by the name itself", last.Header().Ttl, i, want)
			}
		}
	})
}

// A zone served here says what it says: a TTL that is the same for all and always tells nothing.
func TestZonesServedHereAreNotBlurred(t *testing.T) {
	r := &result{local: true, parts: 1, answer: []timed{{
		set: wire.RRset{Name: wire.MustName("www.shop.example."), Type: wire.TypeA, Data: wire.Rdatas{}.Add([]byte{192, 0, 2, 1})},
	}}}
	r.answer[0].stored, r.answer[0].expires = time.Unix(0, 0), time.Unix(3600, 0)
	if a := r.pack(question("www.shop.example.", "A"), time.Unix(0, 0)); len(a.Lives) > 0 || !a.Fixed {
		t.Errorf("has lives %v", a.Lives)
	}
	if r.local = false; len(r.pack(question("www.shop.example.", "A"), time.Unix(0, 0)).Lives) != 1 {
		t.Error("what was learned has none")
	}
}
