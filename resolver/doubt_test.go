package resolver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
)

// roll replaces the keys of a zone at once, which no operator should do and many have done.
func (s *script) roll(origin string) {
	s.Helper()
	z := s.Data(origin)
	old := z.Keys()
	z.AddKey(testnet.CSK, 0)
	for _, k := range old {
		k.Remove()
	}
}

// What was established of a zone's keys is not held against what they sign now: before anything is bogus the keys are
// asked for again (RFC 4035 section 4.7 wants bogus data retried, RFC 6781 section 4.2.1 knows rollovers without
// notice).
func TestKeysRolledWhileRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		zone string // that is rolled
		ask  string
		kind string
		want string
	}{
		"the zone's own":            {"shop.example.", "new.shop.example.", "A", "NOERROR secure"},
		"a denial":                  {"shop.example.", "no.shop.example.", "A", "NXDOMAIN secure"},
		"the zone above":            {"example.", "www.other.example.", "A", "NOERROR secure"},
		"the zone above, unsigned":  {"example.", "www.plain.example.", "A", "NOERROR insecure"},
		"the zone above, a denial":  {"example.", "no.example.", "A", "NXDOMAIN secure"},
		"a question for its DNSKEY": {"shop.example.", "shop.example.", "DNSKEY", "NOERROR secure"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "www A 203.0.113.80\nnew A 203.0.113.81")
				s.Zone("other.example.", wwwRecord)
				s.Zone("plain.example.", wwwRecord)
				s.secure("example.", "shop.example.", "other.example.")
				s.wantStatus("www.shop.example.", "A", "NOERROR secure")
				time.Sleep(10 * time.Minute)
				s.roll(c.zone)
				s.PublishDS(c.zone)
				s.expire("DS") // the DS RRset had a short TTL, as before a rollover, and the keys had not
				s.wantStatus(c.ask, c.kind, c.want)
			})
		})
	}
}

// expire takes what is kept of a type out of the cache.
func (s *script) expire(kind string) {
	for _, name := range []string{"example.", "shop.example.", "other.example.", "plain.example."} {
		q := question(name, kind)
		s.r.cache.Flush(q.Name)
	}
}

// A zone whose keys were rolled while its DS RRset is remembered is asked about above before it is bogus.
func TestDSRolledWhileRemembered(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "@ 60 DNSKEY 256 3 13 AAAA\nwww A 203.0.113.80\nnew A 203.0.113.81")
		s.secure("example.")
		s.Sign(testnet.Signing{KeyTTL: 60}, "shop.example.")
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
		time.Sleep(5 * time.Minute)
		s.roll("shop.example.")
		s.PublishDS("shop.example.")
		s.wantStatus("new.shop.example.", "A", "NOERROR secure")
	})
}

// Keys that were remembered outlast an attempt at newer ones that fails: whoever sends a signature with a tag of its
// own invention must not be able to take them away.
func TestInventedTagTakesNoKeysAway(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("shop.example.", "www A 203.0.113.80\nnew A 203.0.113.81")
		s.secure("example.", "shop.example.")
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
		time.Sleep(10 * time.Minute)
		server.Behave(testnet.For("shop.example.", dns.TypeDNSKEY, testnet.Failing(dns.RcodeServerFailure)))
		s.Spoil("shop.example.", testnet.WrongKey().At("new.shop.example.", dns.TypeA))
		s.wantStatus("new.shop.example.", "A", "SERVFAIL 9")
		s.add("shop.example.", "third A 203.0.113.82")
		s.wantStatus("third.shop.example.", "A", "NOERROR secure")
	})
}

// Keys are asked for again once in a while and not for every bogus answer.
func TestRenewalOfKeysIsBounded(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www A 203.0.113.80\n*.x A 203.0.113.81")
		s.secure("example.", "shop.example.")
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
		time.Sleep(10 * time.Minute)
		s.Spoil("shop.example.", testnet.WrongKey().At("*.x.shop.example.", dns.TypeA))
		s.Reset()
		for _, label := range []string{"a", "b", "c", "d", "e"} {
			s.wantStatus(label+".x.shop.example.", "A", "SERVFAIL 9")
		}
		if got := len(s.SeenAt("shop.example.").Asking("shop.example.", dns.TypeDNSKEY)); got != 1 {
			t.Errorf("five bogus answers cost %d questions for keys, want 1", got)
		}
	})
}

// Whoever signs as a zone that is none says nothing about what lies below that name.
func TestSignerThatIsNoZone(t *testing.T) {
	play(t, func(s *script) {
		evil := s.Zone("evil.b.example.", "* A 203.0.113.66")
		s.Zone("plain.b.example.", wwwRecord)
		s.secure("example.")
		s.Sign(testnet.Signing{Island: true, Flaws: []testnet.Flaw{testnet.WrongSigner("b.example.")}}, "evil.b.example.")
		s.wantStatus("x.evil.b.example.", "A", "NOERROR insecure")
		s.wantStatus("www.plain.b.example.", "A", "NOERROR insecure")
		if evil.Count() == 0 {
			t.Error("nobody asked the zone that signs as another")
		}
	})
}

// A denial that was fetched unchecked is judged for the name that it is about, and kept at no other.
func TestDenialFetchedUnchecked(t *testing.T) {
	for _, kind := range []string{"NS", "DNSKEY"} {
		for _, c := range []struct{ name, want string }{
			{"www.shop.example.", "NOERROR secure"},
			{"www.island.example.", "NOERROR insecure"},
			{"no.shop.example.", "NXDOMAIN secure"},
			{"no.island.example.", "NXDOMAIN insecure"},
			{"no.plain.example.", "NXDOMAIN insecure"},
			{"www.plain.example.", "NOERROR insecure"},
		} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				playOnce(t, func(s *script) {
					s.Zone("shop.example.", wwwRecord)
					s.Zone("island.example.", wwwRecord)
					s.Zone("plain.example.", wwwRecord)
					s.secure("example.", "shop.example.")
					s.Sign(testnet.Signing{Island: true}, "island.example.")
					q := question(c.name, kind)
					q.CD = true
					s.ask(q)
					s.wantStatus("www.shop.example.", "A", "NOERROR secure")
					s.wantStatus("www.island.example.", "A", "NOERROR insecure")
					s.wantStatus("www.plain.example.", "A", "NOERROR insecure")
					s.Reset()
					s.wantStatus(c.name, kind, c.want)
					if seen := s.Seen().Asking(c.name, dns.StringToType[kind]); len(seen) > 0 {
						t.Errorf("asked again: %v", seen.Script())
					}
					s.wantStatus(".", kind, "NOERROR secure")
				}, packetsOn)
			})
		}
	}
}

// RFC 4035 section 2.2: an RRSIG RRset is not signed, so nothing can be said of it; that is no reason for a failure.
func TestSignaturesAreNotSigned(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.secure("example.", "shop.example.")
		s.wantStatus("www.shop.example.", "RRSIG", "NOERROR insecure")
	})
}

// RFC 4035 section 5.3.3: the TTL is at most the original TTL, and what is left of the signature.
func TestTTLIsBoundedBySignature(t *testing.T) {
	for name, c := range map[string]struct {
		signing  testnet.Signing
		raise    uint32
		wait     time.Duration
		least    uint32
		most     uint32
		question string
	}{
		"original TTL":         {testnet.Signing{}, 86400, 0, 50, 60, "short"},
		"expiry":               {testnet.Signing{Expiration: 2 * time.Hour, Once: true}, 0, 110 * time.Minute, 590, 600, "www"},
		"expiry of a denial":   {testnet.Signing{Expiration: 2 * time.Hour, Once: true}, 0, 118 * time.Minute, 110, 120, "no"},
		"expiry of a wildcard": {testnet.Signing{Expiration: 2 * time.Hour, Once: true}, 0, 110 * time.Minute, 590, 600, "x.wild"},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "short 60 A 203.0.113.80\nwww 3600 A 203.0.113.80\n*.wild 3600 A 203.0.113.81", testnet.Editing(func(_, r *dns.Msg) {
					for _, rr := range r.Answer {
						rr.Header().Ttl = max(rr.Header().Ttl, c.raise)
					}
				}))
				s.secure("example.")
				s.Sign(c.signing, "shop.example.")
				s.wantStatus("shop.example.", "SOA", "NOERROR secure")
				time.Sleep(c.wait)
				for range everyWay {
					m := s.resolve(c.question+".shop.example.", "A")
					records := slices.Concat(m.Answer, m.Ns)
					if ttl := records[0].Header().Ttl; ttl < c.least || ttl > c.most || !m.AuthenticatedData {
						t.Errorf("TTL %d, AD %t, want AD and %d to %d", ttl, m.AuthenticatedData, c.least, c.most)
					}
				}
			})
		})
	}
}

// RFC 9520 section 3.2: that the keys cannot be had for a moment is a failure like any other, and not the verdict that
// something is bogus.
func TestUnreachableKeysAreNoVerdict(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("shop.example.", wwwRecord)
		s.secure("example.", "shop.example.")
		server.Behave(testnet.For("shop.example.", dns.TypeDNSKEY, testnet.Failing(dns.RcodeServerFailure)))
		if got := s.status("www.shop.example.", "A"); !strings.HasPrefix(got, "SERVFAIL") {
			t.Fatalf("without keys: %s", got)
		}
		server.Behave()
		time.Sleep(20 * time.Second)
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
	})
}

// The same when the zone above cannot be asked whether the zone is signed.
func TestUnreachableParentIsNoVerdict(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("a.example.", "")
		s.ZoneAt("plain.a.example.", wwwRecord, server)
		s.secure("example.", "a.example.")
		server.Behave(testnet.For("plain.a.example.", dns.TypeDS, testnet.Failing(dns.RcodeServerFailure)))
		if got := s.status("www.plain.a.example.", "A"); !strings.HasPrefix(got, "SERVFAIL 22") {
			t.Errorf("without the DS: %s, want SERVFAIL 22", got)
		}
		server.Behave()
		time.Sleep(20 * time.Second)
		s.wantStatus("www.plain.a.example.", "A", "NOERROR insecure")
	})
}

// A server that follows aliases from one of its zones into another puts proofs of both into one message.
func TestProofsOfTwoZonesInOneMessage(t *testing.T) {
	for _, first := range []bool{true, false} {
		playOnce(t, func(s *script) {
			server := s.Zone("a.example.", "*.w CNAME no.b.a.example.")
			s.ZoneAt("b.a.example.", wwwRecord, server)
			s.secure("example.", "a.example.", "b.a.example.")
			server.Behave(testnet.For("x.w.a.example.", dns.TypeA, testnet.Editing(func(q, r *dns.Msg) {
				target := q.Copy()
				target.Question[0].Name = "no.b.a.example."
				denial := s.Data("b.a.example.").Answer(target)
				wildcard := slices.DeleteFunc(r.Ns, func(rr dns.RR) bool { // the referral
					return !slices.Contains([]string{"NSEC", "RRSIG"}, dns.TypeToString[rr.Header().Rrtype]) || rr.Header().Name == "b.a.example."
				})
				r.Ns = append(slices.Clone(denial.Ns), wildcard...)
				if first {
					r.Ns = append(slices.Clone(wildcard), denial.Ns...)
				}
				r.Rcode = dns.RcodeNameError
			})))
			s.wantStatus("x.w.a.example.", "A", "NXDOMAIN secure")
			if seen := s.SeenAt("b.a.example.").Asking("no.b.a.example.", dns.TypeA); len(seen) > 0 {
				s.Errorf("the target was asked for by itself: %v", seen.Script())
			}
		}, packetsOn)
	}
}

var _ = wire.Root
