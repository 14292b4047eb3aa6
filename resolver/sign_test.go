package resolver

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/zone"
)

// servingSigned adds zones that are served and may be signed here: each text begins with the zone's name.
func servingSigned(t *testing.T, texts ...string) func(*Options) {
	t.Helper()
	keys := zone.NewKeys(filepath.Join(t.TempDir(), "keys"))
	return func(o *Options) {
		var list []*zone.Zone
		for _, text := range texts {
			origin, text, _ := strings.Cut(text, "\n")
			z, _, problems := zone.Build(&zone.Source{
				File: "zone", Text: []byte(text), Origin: wire.MustName(origin), Changed: time.Unix(7, 0),
			}, time.Unix(7, 0), &zone.Options{Keys: keys})
			if problems.Grave() {
				t.Fatal(problems)
			}
			list = append(list, z)
		}
		zones := zone.NewZones(list...)
		o.Zones = func() *zone.Zones { return zones }
	}
}

const signedHome = `home.test.
; tacit: signed flatten=apex
$TTL 600
shop    A     192.0.2.2
chain   CNAME shop
gone    CNAME nothing
out     CNAME a.other.test.
away    CNAME www.shop.example. ; cf_tags=cf-flatten-cname
hollow  CNAME nothing.shop.example. ; cf_tags=cf-flatten-cname
moved   DNAME sub
x.sub   A     192.0.2.3
open    NS    ns.open
ns.open A     192.0.2.53
closed  NS    ns.open
closed  DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000001
`

// signedOutline is outline, with RRSIG records as the types that they cover, when they verify.
func (s *script) signedOutline(m *dns.Msg) string {
	s.Helper()
	q := question("home.test.", "DNSKEY")
	key := s.unpack(s.r.Resolve(s.Context(), q)).Answer[0].(*dns.DNSKEY)
	covered := map[dns.RR]string{}
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			if sig, ok := rr.(*dns.RRSIG); ok {
				set := slices.DeleteFunc(slices.Clone(section), func(o dns.RR) bool {
					return o.Header().Name != sig.Hdr.Name || o.Header().Rrtype != sig.TypeCovered
				})
				if err := sig.Verify(key, set); err != nil || !sig.ValidityPeriod(s.r.now()) {
					s.Errorf("%v: %v", sig, err)
				}
				covered[rr] = "+" + dns.TypeToString[sig.TypeCovered]
			}
		}
	}
	text := outline(m)
	for rr, short := range covered {
		fields := strings.Fields(rr.String())
		text = strings.Replace(text, strings.Join(slices.Delete(fields, 2, 3), " "), short, 1)
	}
	return text
}

// RFC 9824 sections 3 and 5.1, RFC 4035 section 3.1: what is said to those who want DNSSEC records, and to those who do not.
func TestSignedAnswers(t *testing.T) {
	const soa = "home.test. 1800 SOA home.test."
	play(t, func(s *script) {
		s.Zone("shop.example.", "@ SOA ns.shop.example. x. 1 2 3 4 300\nwww 3600 A 198.51.100.80")
		plain, do, co := wire.Question{}, wire.Question{DO: true}, wire.Question{DO: true, CO: true}
		authority := wire.Question{DO: true, NoRecursion: true}
		for _, c := range []struct {
			clause, name, kind string
			wire.Question
			want string
		}{
			{"a name that is there", "shop.home.test.", "A", do, "NOERROR aa ad; shop.home.test. 600 A 192.0.2.2, +A"},
			{"without DO", "shop.home.test.", "A", plain, "NOERROR aa ad; shop.home.test. 600 A 192.0.2.2"},
			{"section 3.2: no name", "no.home.test.", "A", do, "NOERROR aa ad; ; " + soa + `, +SOA, no.home.test. 1800 NSEC \000.no.home.test. RRSIG NSEC NXNAME, +NSEC`},
			{"section 5.1: with CO", "no.home.test.", "A", co, "NXDOMAIN aa ad; ; " + soa + `, +SOA, no.home.test. 1800 NSEC \000.no.home.test. RRSIG NSEC NXNAME, +NSEC`},
			{"without DO no name is none", "no.home.test.", "A", plain, "NXDOMAIN aa ad; ; " + soa},
			{"section 3.1: no type", "shop.home.test.", "TXT", co, "NOERROR aa ad; ; " + soa + `, +SOA, shop.home.test. 1800 NSEC \000.shop.home.test. A RRSIG NSEC, +NSEC`},
			{"section 3.3: an empty non-terminal", "sub.home.test.", "A", do, "NOERROR aa ad; ; " + soa + `, +SOA, sub.home.test. 1800 NSEC \000.sub.home.test. RRSIG NSEC, +NSEC`},
			{"an alias", "chain.home.test.", "A", do, "NOERROR aa ad; chain.home.test. 600 CNAME shop.home.test., +CNAME, shop.home.test. 600 A 192.0.2.2, +A"},
			{
				"an alias to no name", "gone.home.test.", "A", do,
				"NOERROR aa ad; gone.home.test. 600 CNAME nothing.home.test., +CNAME; " + soa +
					`, +SOA, nothing.home.test. 1800 NSEC \000.nothing.home.test. RRSIG NSEC NXNAME, +NSEC`,
			},
			{"an alias to no name without DO", "gone.home.test.", "A", plain, "NXDOMAIN aa ad; gone.home.test. 600 CNAME nothing.home.test.; " + soa},
			{"an alias out of what is signed", "out.home.test.", "A", do, "NOERROR aa; out.home.test. 600 CNAME a.other.test., +CNAME, a.other.test. 60 A 192.0.2.9"},
			{
				"RFC 6672 section 5.3.1: what a DNAME makes is not signed", "x.moved.home.test.", "A", do,
				"NOERROR aa ad; moved.home.test. 600 DNAME sub.home.test., +DNAME, x.moved.home.test. 600 CNAME x.sub.home.test., x.sub.home.test. 600 A 192.0.2.3, +A",
			},
			// What is found elsewhere is signed, and as insecure as it was.
			{"flattened", "away.home.test.", "A", do, "NOERROR aa; away.home.test. 600 A 198.51.100.80, +A"},
			{"flattened to nothing", "hollow.home.test.", "A", do, "NOERROR aa; ; " + soa + `, +SOA, hollow.home.test. 1800 NSEC \000.hollow.home.test. AAAA RRSIG NSEC, +NSEC`},
			{"RFC 4035 section 3.1.4.1: DS is the parent's", "closed.home.test.", "DS", do, "NOERROR aa ad; closed.home.test. 600 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000001, +DS"},
			{"no DS", "open.home.test.", "DS", do, "NOERROR aa ad; ; " + soa + `, +SOA, open.home.test. 1800 NSEC \000.open.home.test. NS RRSIG NSEC, +NSEC`},
			{"RFC 4035 section 3.1.4: a referral with DS", "x.closed.home.test.", "A", authority, "NOERROR; ; closed.home.test. 600 NS ns.open.home.test., closed.home.test. 600 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000001, +DS; ns.open.home.test. 600 A 192.0.2.53"},
			{"a referral without", "x.open.home.test.", "A", authority, `NOERROR; ; open.home.test. 600 NS ns.open.home.test., open.home.test. 1800 NSEC \000.open.home.test. NS RRSIG NSEC, +NSEC; ns.open.home.test. 600 A 192.0.2.53`},
			{"NSEC itself", "shop.home.test.", "NSEC", plain, `NOERROR aa ad; shop.home.test. 1800 NSEC \000.shop.home.test. A RRSIG NSEC`},
			{"NSEC of no name", "no.home.test.", "NSEC", co, `NOERROR aa ad; no.home.test. 1800 NSEC \000.no.home.test. RRSIG NSEC NXNAME, +NSEC`},
			{"NSEC of no name without DO", "no.home.test.", "NSEC", plain, "NXDOMAIN aa ad; ; " + soa},
			{"what is not signed", "no.other.test.", "A", do, "NXDOMAIN aa; ; other.test. 1800 SOA other.test."},
		} {
			q := question(c.name, c.kind)
			q.DO, q.CO, q.NoRecursion = c.DO, c.CO, c.NoRecursion
			for i := range everyWay {
				if got := s.signedOutline(s.unpack(s.ask(q))); got != c.want {
					s.Errorf("%s, time %d:\n got %s\nwant %s", c.clause, i+1, got, c.want)
				}
			}
		}
		q := question("shop.home.test.", "RRSIG")
		if m := s.unpack(s.ask(q)); len(m.Answer) != 1 || m.Answer[0].(*dns.RRSIG).TypeCovered != dns.TypeNSEC {
			s.Error(m)
		}
	}, servingSigned(t, signedHome, "other.test.\n$TTL 60\na A 192.0.2.9\n"))
}

// A finished answer goes when its signatures are made anew, however long its TTL is.
func TestSignedPacketsEndWithTheirSignatures(t *testing.T) {
	play(t, func(s *script) {
		q := question("long.home.test.", "TXT")
		q.DO = true
		seen := map[uint32]int{}
		for range 5 * 24 {
			m := s.unpack(s.ask(q))
			if m.Answer[0].Header().Ttl != 604800 {
				s.Error(m)
			}
			sig := m.Answer[1].(*dns.RRSIG)
			if left := time.Unix(int64(sig.Expiration), 0).Sub(s.r.now()); left < 5*24*time.Hour || !sig.ValidityPeriod(s.r.now()) {
				s.Error("good for ", left)
			}
			seen[sig.Inception]++
			time.Sleep(time.Hour)
		}
		if len(seen) < 5 || len(seen) > 6 {
			s.Errorf("%d signatures in 5 days", len(seen))
		}
	}, servingSigned(t, "home.test.\n; tacit: signed\nlong 604800 TXT \"x\"\n"))
}

// A zone puts its name to no address that does not validate, not even for those who validate themselves.
func TestFlattenedIsCheckedBeforeItIsSigned(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www 3600 A 198.51.100.80")
		s.secure("example.")
		s.Sign(testnet.Signing{}, "shop.example.")
		s.expectStatus("away.home.test.", dns.RcodeSuccess, true)
		s.Sign(testnet.Signing{Flaws: []testnet.Flaw{testnet.BadSignature()}}, "shop.example.")
		s.r.Reconsider(wire.Root)
		s.expectStatus("away.home.test.", dns.RcodeServerFailure, false)
	}, servingSigned(t, signedHome))
}

func (s *script) expectStatus(name string, rcode int, secure bool) {
	s.Helper()
	q := question(name, "A")
	q.DO, q.CD = true, true
	for range everyWay {
		if m := s.unpack(s.ask(q)); m.Rcode != rcode || m.AuthenticatedData != secure {
			s.Error(m)
		}
	}
}

// RFC 4035 section 3.1.4.1: the DS RRset of a zone is its parent's. Those who want recursion get it from there.
func TestDSOfASignedZoneIsItsParents(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "home NS ns.home\nns.home A 192.0.2.53\nhome 60 DS 7 13 2 0000000000000000000000000000000000000000000000000000000000000001")
		q := question("home.shop.example.", "DS")
		q.DO = true
		if got := outline(s.unpack(s.ask(q))); !strings.HasPrefix(got, "NOERROR; home.shop.example. 60 DS 7 13 2 ") {
			s.Error(got)
		}
		q.NoRecursion = true
		if m := s.unpack(s.ask(q)); !m.Authoritative || len(m.Answer) > 0 || len(m.Ns) != 4 || !strings.Contains(m.Ns[2].String(), "SOA RRSIG NSEC") {
			s.Error(m)
		}
	}, servingSigned(t, "home.shop.example.\n; tacit: signed\nwww A 192.0.2.1\n"))
}

// What a question with DO costs that is answered from a signed zone, without finished answers: found, signed, packed.
func BenchmarkSignedAnswer(b *testing.B) {
	keys := zone.NewKeys(filepath.Join(b.TempDir(), "keys"))
	z, _, _ := zone.Build(&zone.Source{
		File: "zone", Text: []byte("; tacit: signed\nshop A 192.0.2.2\n"), Origin: wire.MustName("home.test."), Changed: time.Unix(7, 0),
	}, time.Unix(7, 0), &zone.Options{Keys: keys})
	zones := zone.NewZones(z)
	o := Options{Zones: func() *zone.Zones { return zones }}
	packetsOff(&o)
	r := New(o)
	for name, denied := range map[string]bool{"answer": false, "denial again": true} {
		b.Run(name, func(b *testing.B) {
			q := question("shop.home.test.", "A")
			if denied {
				q = question("no.home.test.", "A")
			}
			q.DO = true
			b.ReportAllocs()
			for b.Loop() {
				r.Resolve(b.Context(), q)
			}
		})
	}
	b.Run("denial of a new name", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			q := question("n"+strconv.Itoa(i)+".home.test.", "A")
			q.DO = true
			r.Resolve(b.Context(), q)
		}
	})
}
