package zone_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/resolver"
	"tacit/upstream"
	"tacit/zone"
)

const day = 24 * time.Hour

// September and October 2023: the root zone got a type that a resolver's copy of it was not ready for. Transfers brought nothing from then on, the
// copy was used until its signatures had expired two weeks later, and then everything failed. Here, nothing is ever to fail.
func TestRootOutageOf2023(t *testing.T) {
	for _, test := range []struct {
		name   string
		expire time.Duration                            // of the SOA record
		fail   func(m *dns.Msg)                         // what becomes of transfers
		count  func(s zone.RootStats) (failures uint64) // that stands for it
	}{
		// RFC 1035 section 3.3.13: at EXPIRE a zone is no longer authoritative.
		{"refused, EXPIRE first", 7 * day, refuse, func(s zone.RootStats) uint64 { return s.Refused }},
		// RFC 8976 section 4: what cannot be verified is not used, so that the old copy's signatures come to their end.
		{"unverifiable, signatures first", 30 * day, falsify, func(s zone.RootStats) uint64 { return s.Rejected }},
	} {
		t.Run(test.name, func(t *testing.T) {
			replay(t, test.expire, func(s *replayed) {
				s.days(1, 2) // as any others

				s.add(`. TYPE65280 \# 4 c0000201`)
				s.publish()
				s.days(3, 4)
				s.checkSerial(s.serial)
				s.check(".", 65280, "NOERROR secure")

				s.setFailure(test.fail)
				s.publish()
				s.checkEnd(test.expire)
				s.days(5, 25)
				if time.Now().Before(s.until.Add(3*day)) || test.count(s.root.Stats()) < 100 {
					t.Fatalf("the script ends early, or for another reason: %+v", s.root.Stats())
				}

				s.setFailure(nil)
				s.until = time.Time{}
				s.days(26, 27)
				s.checkSerial(s.serial)
			})
		})
	}
}

func refuse(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeRefused, nil }

// falsify leaves an address of glue out, which only the digest covers.
func falsify(m *dns.Msg) {
	m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeAAAA })
}

// A publisher serves transfers of the root zone of an internet in memory, with a digest.
type publisher struct {
	*testnet.World
	expire time.Duration
	serial uint32

	mu      sync.Mutex
	current []dns.RR
	fail    func(m *dns.Msg)
}

// add adds records to the root.
func (p *publisher) add(records string) {
	if err := p.Data(".").Add(records); err != nil {
		panic(err)
	}
}

// publish makes a new version of the root, with the signatures of now.
func (p *publisher) publish() {
	p.serial++
	root := p.Data(".")
	root.Remove(".", dns.TypeSOA, dns.TypeZONEMD)
	p.add(fmt.Sprintf(". SOA a.root-servers.example. hostmaster.example. %d 1800 900 %d 300", p.serial, int(p.expire.Seconds())))
	zonemd := fmt.Sprintf(". ZONEMD %d 1 1 ", p.serial)
	p.add(zonemd + strings.Repeat("00", 48)) // the type stands in the NSEC record, which the digest covers
	records := p.walk()
	root.Remove(".", dns.TypeZONEMD)
	p.add(zonemd + zone.Digest(records))
	records = append(records, p.ask(".", dns.TypeZONEMD).Answer...)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = records
}

// setFailure says what becomes of transfers; nil: nothing.
func (p *publisher) setFailure(fail func(m *dns.Msg)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

func (p *publisher) ask(name string, t uint16) *dns.Msg {
	return p.Data(".").Answer(new(dns.Msg).SetQuestion(name, t).SetEdns0(4096, true))
}

// walk collects the zone, from its SOA record on, along its NSEC records; ZONEMD is left out.
func (p *publisher) walk() []dns.RR {
	var records []dns.RR
	seen := map[string]bool{}
	collect := func(found ...dns.RR) {
		for _, rr := range found {
			if text := rr.String(); rr.Header().Rrtype != dns.TypeOPT && !seen[text] {
				seen[text] = true
				records = append(records, rr)
			}
		}
	}
	collect(p.ask(".", dns.TypeSOA).Answer...)
	collect(p.ask(".", dns.TypeNSEC).Answer...)
	apex := p.ask(".", dns.TypeNSEC).Answer[0].(*dns.NSEC)
	for _, t := range apex.TypeBitMap {
		if t != dns.TypeZONEMD && t != dns.TypeRRSIG {
			m := p.ask(".", t)
			collect(m.Answer...)
			collect(m.Extra...)
		}
	}
	for name := apex.NextDomain; name != "."; {
		m := p.ask(name, dns.TypeNS)
		collect(m.Ns...)
		collect(m.Extra...)
		// A name right behind the delegation is denied by the delegation's NSEC record.
		denial := p.ask(strings.TrimSuffix(name, ".")+"-.", dns.TypeA).Ns
		denial = slices.DeleteFunc(denial, func(rr dns.RR) bool {
			sig, ok := rr.(*dns.RRSIG)
			return rr.Header().Name != name || rr.Header().Rrtype != dns.TypeNSEC && (!ok || sig.TypeCovered != dns.TypeNSEC)
		})
		collect(denial...)
		name = denial[0].(*dns.NSEC).NextDomain
	}
	return records
}

// transfer is a whole zone in one message (RFC 5936 section 2.2).
func (p *publisher) transfer(q *dns.Msg) *dns.Msg {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.Compress = true, true
	for _, rr := range append(slices.Clone(p.current), p.current[0]) { // packing writes to them
		m.Answer = append(m.Answer, dns.Copy(rr))
	}
	if p.fail != nil {
		p.fail(m)
	}
	return m
}

// A replayed outage has a resolver with a copy of the root in front of an internet in memory.
type replayed struct {
	*testing.T
	*publisher
	root  *zone.Root
	r     *resolver.Resolver
	begin time.Time // when the root was signed
	until time.Time // when the copy ends; zero: not yet known
}

// replay runs a script. Expired answers are not given: they would hide failures.
func replay(t *testing.T, expire time.Duration, script func(s *replayed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{World: testnet.New(testnet.Options{Seed: 1}), expire: expire}
		p.Zone("shop.example.", numbered)
		p.Zone("plain.invalid.", numbered)
		p.Zone("plain.test.", numbered)
		p.Sign(testnet.Signing{}, ".", "example.", "shop.example.")
		p.Sign(testnet.Signing{Denial: testnet.NSEC3, OptOut: true}, "invalid.")
		p.publish()
		p.At(".").Behave(testnet.OverTCP(testnet.For(".", dns.TypeAXFR, testnet.Scripted(p.transfer))))
		s := &replayed{T: t, publisher: p, begin: time.Now()}

		trusted, err := dnssec.ParseTrustAnchor(p.Anchor())
		if err != nil {
			t.Fatal(err)
		}
		o := dnssec.Options{Anchors: dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{trusted}})}
		s.root = zone.NewRoot(zone.RootOptions{
			Network: p, Servers: p.At(".").Addresses(),
			Verify: func(ctx context.Context, now time.Time, sets []wire.RRset) (time.Time, error) {
				return dnssec.VerifyZone(ctx, now, work.New(work.DefaultLimits), o, wire.Root, sets)
			},
		})
		defer s.root.Close()
		memory := upstream.NewMemory(upstream.MemoryOptions{})
		client := upstream.New(upstream.Options{Network: p, Memory: memory})
		hints, err := resolver.ParseHints(strings.NewReader(p.Hints()))
		if err != nil {
			t.Fatal(err)
		}
		s.r = resolver.New(resolver.Options{
			Exchanger: client, Memory: memory, Cache: cache.New(cache.Options{Size: 1 << 20}), Hints: hints,
			Validator: dnssec.New(o), Root: s.root, NoStale: true,
		})
		defer func() {
			s.r.Close()
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		script(s)
	})
}

// numbered has a name for each day of a script.
var numbered = func() string {
	var b strings.Builder
	for n := range 30 {
		fmt.Fprintf(&b, "d%d A 203.0.113.%d\n", n, n)
	}
	return b.String()
}()

// days lets days go by. Each has a new version of the root at its noon, and questions for names that were never asked for at its end: none
// of them fails, and the root server sees them when the copy has ended, and only then.
func (s *replayed) days(from, to int) {
	s.Helper()
	for n := from; n <= to; n++ {
		time.Sleep(12 * time.Hour)
		s.publish()
		time.Sleep(12 * time.Hour)
		s.At(".").Reset()
		s.check(fmt.Sprintf("d%d.shop.example.", n), dns.TypeA, "NOERROR secure")
		s.check(fmt.Sprintf("d%d.plain.invalid.", n), dns.TypeA, "NOERROR insecure")
		s.check(fmt.Sprintf("d%d.plain.test.", n), dns.TypeA, "NOERROR insecure")
		s.check(fmt.Sprintf("no-such-tld-%d.", n), dns.TypeA, "NXDOMAIN secure")
		s.checkCosts(!s.until.IsZero() && !time.Now().Before(s.until))
	}
}

// check resolves and compares the RCODE and what validation finds.
func (s *replayed) check(name string, t uint16, want string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	a, _ := s.r.Resolve(ctx, wire.Question{Name: wire.MustName(name), Type: wire.Type(t), Class: wire.ClassIN, DO: true})
	m := new(dns.Msg)
	if err := m.Unpack(a.Packet); err != nil {
		s.Fatal(err)
	}
	got := dns.RcodeToString[m.Rcode] + " insecure"
	if m.AuthenticatedData {
		got = dns.RcodeToString[m.Rcode] + " secure"
	}
	if got != want || m.Rcode == dns.RcodeSuccess && len(m.Answer) == 0 {
		s.Errorf("after %v, %s: %s with %d records, want %s; %v; %+v", time.Since(s.begin), name, got, len(m.Answer), want, a.Errors, s.root.Stats())
	}
}

// checkCosts compares whether the root server saw the questions of a day; the transfers of the copy are not counted.
func (s *replayed) checkCosts(want bool) {
	s.Helper()
	seen := s.SeenAt(".").Filter(func(p testnet.Packet) bool {
		return p.Transport == testnet.UDP || p.Type != dns.TypeSOA && p.Type != dns.TypeAXFR
	})
	if got := len(seen) > 0; got != want {
		s.Errorf("after %v the root server saw %v, want some %t; %+v", time.Since(s.begin), seen.Questions(), want, s.root.Stats())
	}
}

func (s *replayed) checkSerial(want uint32) {
	s.Helper()
	if st := s.root.Stats(); !st.Copied || st.Serial != want {
		s.Errorf("serial %d is published; %+v", want, st)
	}
}

// checkEnd finds out when the copy ends: within a refresh of EXPIRE, if transfers fail from now on, or a margin before the first signature, whatever comes first.
func (s *replayed) checkEnd(expire time.Duration) {
	s.Helper()
	const validity, refresh = 14 * day, 31 * time.Minute
	want := s.begin.Add(validity - zone.Margin)
	if expired := time.Now().Add(expire); expired.Before(want) {
		want = expired
	}
	s.until = s.root.Stats().Until
	if s.until.After(want.Add(time.Second)) || s.until.Before(want.Add(-refresh)) { // signatures end at whole seconds
		s.Errorf("the copy ends after %v, want %v", s.until.Sub(s.begin), want.Sub(s.begin))
	}
}
