package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/zone"
)

// serving adds zones that are served here: each text begins with the zone's name.
func serving(texts ...string) func(*Options) {
	return func(o *Options) {
		var list []*zone.Zone
		for _, text := range texts {
			origin, text, _ := strings.Cut(text, "\n")
			z, _, problems := zone.Build(&zone.Source{
				File: "zone", Text: []byte(text), Origin: wire.MustName(origin), Changed: time.Unix(7, 0),
			}, time.Unix(7, 0), &zone.Options{Edge: zone.Edge{Addresses: []netip.Addr{
				netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10"),
			}}})
			if problems.Grave() {
				panic(problems)
			}
			list = append(list, z)
		}
		zones := zone.NewZones(list...)
		o.Zones = func() *zone.Zones { return zones }
	}
}

// outline is an answer in a line: RCODE, flags, then the records of each section as owner, type, TTL and RDATA.
func outline(m *dns.Msg) string {
	parts := []string{dns.RcodeToString[m.Rcode]}
	for _, f := range []struct {
		is   bool
		name string
	}{{m.Authoritative, "aa"}, {m.AuthenticatedData, "ad"}} {
		if f.is {
			parts[0] += " " + f.name
		}
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		var list []string
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			fields := strings.Fields(rr.String())
			if rr.Header().Rrtype == dns.TypeSOA {
				fields = fields[:5]
			}
			list = append(list, strings.Join(slices.Delete(fields, 2, 3), " "))
		}
		parts = append(parts, strings.Join(list, ", "))
	}
	return strings.TrimRight(strings.Join(parts, "; "), "; ")
}

// expect asks in every way, lets time pass in between, and compares.
func (s *script) expect(q wire.Question, want string) {
	s.Helper()
	for i := range everyWay {
		if got := outline(s.unpack(s.ask(q))); got != want {
			s.Errorf("%s %d, time %d:\n got %s\nwant %s", q.Name.Reveal(), q.Type, i+1, got, want)
		}
	}
}

const localZone = `home.test.
$TTL 600
blog   A     192.0.2.1 ; cf_tags=cf-proxied:true
shop   A     192.0.2.2
in     CNAME blog
chain  CNAME a.other.test.
out    CNAME www.shop.example.
gone   CNAME nothing.shop.example.
apex   CNAME www.shop.example. ; cf_tags=cf-flatten-cname
hollow CNAME nothing.shop.example. ; cf_tags=cf-flatten-cname
dead   CNAME www.dead.example. ; cf_tags=cf-flatten-cname
round  CNAME round.other.test.
moved  DNAME other.test.
`

const otherZone = `other.test.
$TTL 60
a      A     192.0.2.3
round  CNAME round.home.test.
`

// RFC 1034 section 4.3.2: what is served here is answered here, with authority, and what leads out of it is followed.
func TestLocalZones(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "@ SOA ns.shop.example. x. 1 2 3 4 300\nwww 3600 A 198.51.100.80\nhome CNAME shop.home.test.")
		s.Zone("dead.example.", "www A 198.51.100.81")
		s.At("dead.example.").Behave(testnet.Failing(dns.RcodeRefused))
		for _, c := range []struct{ name, kind, want string }{
			{"blog.home.test.", "A", "NOERROR aa; blog.home.test. 300 A 203.0.113.10"},
			{"blog.home.test.", "AAAA", "NOERROR aa; blog.home.test. 300 AAAA 2001:db8::10"},
			{"shop.home.test.", "A", "NOERROR aa; shop.home.test. 600 A 192.0.2.2"},
			{"shop.home.test.", "AAAA", "NOERROR aa; ; home.test. 1800 SOA home.test."},
			{"no.home.test.", "A", "NXDOMAIN aa; ; home.test. 1800 SOA home.test."},
			{"in.home.test.", "A", "NOERROR aa; in.home.test. 300 A 203.0.113.10"},
			{"in.home.test.", "CNAME", "NOERROR aa; ; home.test. 1800 SOA home.test."},
			{"chain.home.test.", "A", "NOERROR aa; chain.home.test. 600 CNAME a.other.test., a.other.test. 60 A 192.0.2.3"},
			{"chain.home.test.", "AAAA", "NOERROR aa; chain.home.test. 600 CNAME a.other.test.; other.test. 1800 SOA other.test."},
			{"a.moved.home.test.", "A", "NOERROR aa; moved.home.test. 600 DNAME other.test., a.moved.home.test. 600 CNAME a.other.test., a.other.test. 60 A 192.0.2.3"},
			{"out.home.test.", "A", "NOERROR aa; out.home.test. 600 CNAME www.shop.example., www.shop.example. 3600 A 198.51.100.80"},
			{"gone.home.test.", "A", "NXDOMAIN aa; gone.home.test. 600 CNAME nothing.shop.example.; shop.example. 300 SOA ns.shop.example."},
			// The addresses of a flattened target, under the name that was asked for, for as long as both last.
			{"apex.home.test.", "A", "NOERROR aa; apex.home.test. 600 A 198.51.100.80"},
			// A target that is not there is no address; one that cannot be found out is a failure.
			{"hollow.home.test.", "A", "NOERROR aa; ; home.test. 1800 SOA home.test."},
			{"dead.home.test.", "A", "SERVFAIL"},
			{"round.home.test.", "A", "SERVFAIL; round.home.test. 600 CNAME round.other.test., round.other.test. 60 CNAME round.home.test."},
			// An alias from elsewhere is no authority, but leads here.
			{"home.shop.example.", "A", "NOERROR; home.shop.example. 3600 CNAME shop.home.test., shop.home.test. 600 A 192.0.2.2"},
		} {
			s.expect(question(c.name, c.kind), c.want)
		}
	}, serving(localZone, otherZone))
}

// The words of an authority do not count down.
func TestLocalTTLsStay(t *testing.T) {
	play(t, func(s *script) {
		for range 3 {
			s.expect(question("shop.home.test.", "A"), "NOERROR aa; shop.home.test. 600 A 192.0.2.2")
			time.Sleep(100 * time.Second)
		}
	}, serving(localZone))
}

// Who does not want recursion gets what is served here, a referral where that ends, and nothing of what others asked.
func TestLocalZonesWithoutRecursion(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www 3600 A 198.51.100.80")
		s.resolve("www.shop.example.", "A")
		s.resolve("out.home.test.", "A")
		for _, c := range []struct{ name, want string }{
			{"blog.home.test.", "NOERROR aa; blog.home.test. 300 A 203.0.113.10"},
			{"chain.home.test.", "NOERROR aa; chain.home.test. 600 CNAME a.other.test., a.other.test. 60 A 192.0.2.3"},
			{"out.home.test.", "NOERROR aa; out.home.test. 600 CNAME www.shop.example."},
			{"apex.home.test.", "SERVFAIL"},
			{"www.shop.example.", "REFUSED"},
			{"x.sub.home.test.", "NOERROR; ; sub.home.test. 600 NS ns.sub.home.test.; ns.sub.home.test. 600 A 10.0.0.53"},
			{"below.other.test.", "NOERROR aa; below.other.test. 60 CNAME x.sub.home.test.; sub.home.test. 600 NS ns.sub.home.test.; ns.sub.home.test. 600 A 10.0.0.53"},
		} {
			q := question(c.name, "A")
			q.NoRecursion = true
			s.expect(q, c.want)
		}
	}, serving(localZone+"sub NS ns.sub\nns.sub A 10.0.0.53\n", otherZone+"below CNAME x.sub.home.test.\n"))
}

// A delegation in a zone that is served here leads to its servers, wherever they stand.
func TestLocalDelegation(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("sub.example.", "www 60 A 198.51.100.90\nx NS ns.x\nns.x A 198.51.100.99")
		server := s.At("sub.example.").Addresses()[0].Addr().String()
		s.r.zones = servedZones("example.\n$TTL 600\nsub NS ns.sub\nns.sub A " + server + "\nwww A 192.0.2.1")
		s.expect(question("www.sub.example.", "A"), "NOERROR; www.sub.example. 60 A 198.51.100.90")
		s.expect(question("www.example.", "A"), "NOERROR aa; www.example. 600 A 192.0.2.1")
		if seen := s.SeenAt("."); len(seen) > 0 {
			t.Error("the root was asked: ", seen.Questions())
		}
	})
}

func servedZones(texts ...string) func() *zone.Zones {
	var o Options
	serving(texts...)(&o)
	return o.Zones
}

// What large zones say takes the fast path from the second asking on, whatever it is and whoever asks, and with its whole TTL.
func TestLocalAnswersAreFinished(t *testing.T) {
	var text strings.Builder
	text.WriteString("big.test.\n; tacit: flatten=apex\n$TTL 600\n*.w TXT any\nalias CNAME host-1\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "host-%d A 192.0.2.1\n", i)
	}
	playOnce(t, func(s *script) {
		for _, c := range []struct{ name, kind, want string }{
			{"host-0.big.test.", "A", "NOERROR aa; host-0.big.test. 600 A 192.0.2.1"},
			{"host-19999.big.test.", "A", "NOERROR aa; host-19999.big.test. 600 A 192.0.2.1"},
			{"host-7.big.test.", "AAAA", "NOERROR aa; ; big.test. 1800 SOA big.test."},
			{"host-20000.big.test.", "A", "NXDOMAIN aa; ; big.test. 1800 SOA big.test."},
			{"a.w.big.test.", "TXT", `NOERROR aa; a.w.big.test. 600 TXT "any"`},
			{"alias.big.test.", "A", "NOERROR aa; alias.big.test. 600 CNAME host-1.big.test., host-1.big.test. 600 A 192.0.2.1"},
		} {
			for _, noRecursion := range []bool{false, true} {
				q := question(c.name, c.kind)
				q.NoRecursion = noRecursion
				if first := s.ask(q); !first.Fixed {
					t.Error(c.name, ": its TTL is not fixed")
				}
				time.Sleep(100 * time.Second)
				a, ok := s.r.Recall(nil, query(s, q), s.r.now())
				if !ok {
					t.Errorf("%s, no recursion %t: no finished answer", c.name, noRecursion)
					continue
				}
				if got := outline(s.unpack(a)); got != c.want {
					t.Errorf("%s\n got %s\nwant %s", c.name, got, c.want)
				}
			}
		}
	}, packetsOn, serving(text.String()))
}
