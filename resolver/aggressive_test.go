package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"tacit/cache"
	"tacit/dnssec"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

var chains = map[string]testnet.Signing{"NSEC": {}, "NSEC3": {Denial: testnet.NSEC3}, "NSEC3, salted": {Denial: testnet.NSEC3, Iterations: 3, Salt: "aabb"}}

// freeWith resolves what must cost nothing, and wants the sentence that it was synthesised.
func (s *script) freeWith(name, kind, answer string) *dns.Msg {
	s.Helper()
	s.r.cache.Renew() // not from finished answers
	m := s.free(name, kind, answer)
	if got := codes(m); got != "29" {
		s.Errorf("%s %s: extended errors %q, want 29", name, kind, got)
	}
	return m
}

// costs resolves and wants packets of it.
func (s *script) costs(name, kind, answer string) {
	s.Helper()
	s.Reset()
	if s.want(name, kind, answer); len(s.Seen()) == 0 {
		s.Errorf("%s %s was not asked for", name, kind)
	}
}

// RFC 8198 section 1: mistyped names stay at home. Clients need not set DO.
func TestMistypedNamesCostLittle(t *testing.T) {
	for name, signing := range chains {
		t.Run(name, func(t *testing.T) {
			playOnce(t, func(s *script) {
				s.Sign(signing, ".", "example.")
				s.trust()
				s.want("example.", "SOA", brief(s.resolve("example.", "SOA")))
				for _, zone := range []string{"", "example."} {
					s.Reset()
					for i := range 50 {
						s.want(fmt.Sprintf("www.mistyped%d.%s", i*i, zone), "A", "NXDOMAIN")
					}
					if got := len(s.Seen()); got > 6 { // as many as there are spans, and the keys
						t.Errorf("50 names below %q cost %d packets", zone, got)
					}
				}
			}, packetsOn)
		})
	}
}

func TestMistypedNamesWithoutAggressiveUse(t *testing.T) {
	playOnce(t, func(s *script) {
		s.secure("example.")
		s.want("no.example.", "A", "NXDOMAIN")
		s.costs("nn.example.", "A", "NXDOMAIN")
	}, func(o *Options) { packetsOn(o); o.NoAggressive = true })
}

// RFC 8198 sections 5.1 to 5.3: what is made of known records is what the server would have sent, with its proof.
func TestSynthesis(t *testing.T) {
	const zone = "b A 203.0.113.1\nb TXT b\nx.ent A 203.0.113.2\nd DNAME www.other.example.\n*.w A 203.0.113.3\n*.cw CNAME b\n*.w TXT w\nz A 203.0.113.4"
	for name, signing := range chains {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct{ name, learn, learnKind, ask, kind, want string }{
				{"NXDOMAIN", "c", "A", "c", "MX", "NXDOMAIN"},
				{"NODATA by the name's own record", "b", "MX", "b", "SRV", "NOERROR"},
				{"NODATA of a CNAME", "b", "MX", "b", "CNAME", "NOERROR"},
				{"empty non-terminal", "ent", "A", "ent", "TXT", "NOERROR"},
				{"wildcard", "one.w", "A", "one.w", "A", "NOERROR one.w.shop.example. A 203.0.113.3"},
				{"wildcard NODATA", "one.w", "MX", "one.w", "SRV", "NOERROR"},
			} {
				t.Run(c.name, func(t *testing.T) {
					playOnce(t, func(s *script) {
						s.Zone("shop.example.", zone)
						s.Sign(signing, ".", "example.", "shop.example.")
						s.trust()
						s.resolve(c.learn+".shop.example.", c.learnKind)
						s.r.cache.RRsets.Drop(cache.Key{Name: wire.MustName(c.learn + ".shop.example."), Type: wire.TypeA})
						s.r.cache.RRsets.Drop(cache.Key{Name: wire.MustName(c.learn + ".shop.example.")})
						m := s.freeWith(c.ask+".shop.example.", c.kind, c.want)
						if !m.AuthenticatedData {
							t.Error("not authenticated")
						}
						s.r.cache.Renew()
						q := question(c.ask+".shop.example.", c.kind)
						q.DO = true
						s.sameProof(q)
					}, packetsOn)
				})
			}
		})
	}
}

// sameProof compares an answer that was synthesised with that of a resolver which asks. Records that prove more than is
// needed do no harm.
func (s *script) sameProof(q wire.Question) {
	s.Helper()
	got := s.unpack(s.ask(q))
	s.r.noAggressive = true
	s.r.cache.FlushAll()
	want := s.unpack(s.ask(q))
	if codes(got) != "29" || codes(want) != "" {
		s.Errorf("extended errors %q and %q", codes(got), codes(want))
	}
	for _, section := range [][2][]dns.RR{{got.Answer, want.Answer}, {got.Ns, want.Ns}} {
		have := texts(section[0])
		for _, text := range texts(section[1]) {
			if !slices.Contains(have, text) {
				s.Errorf("missing: %s\nthere is\n%s", text, strings.Join(have, "\n"))
			}
		}
	}
}

// texts are records without their TTLs, and signatures without what is random in them.
func texts(records []dns.RR) []string {
	var list []string
	for _, rr := range records {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		if sig, ok := rr.(*dns.RRSIG); ok {
			sig.Signature = ""
		}
		list = append(list, rr.String())
	}
	return list
}

// RFC 8198 section 5.3: the span and the wildcard are known from one name, the answer is made for another.
func TestWildcardStandsForOtherNames(t *testing.T) {
	for name, signing := range chains {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "* A 203.0.113.3\n* TXT w")
				s.Sign(signing, ".", "example.", "shop.example.")
				s.trust()
				for i := range 12 {
					s.want(fmt.Sprintf("w%d.shop.example.", i), "A", fmt.Sprintf("NOERROR w%d.shop.example. A 203.0.113.3", i))
				}
				s.freeWith("wanother.shop.example.", "A", "NOERROR wanother.shop.example. A 203.0.113.3")
				s.free("*.shop.example.", "A", "NOERROR *.shop.example. A 203.0.113.3")
				s.costs("wanother.shop.example.", "TXT", `NOERROR wanother.shop.example. TXT "w"`)
				s.freeWith("wmore.shop.example.", "TXT", `NOERROR wmore.shop.example. TXT "w"`)
				s.costs("ns1.shop.example.", "TXT", "NOERROR")
			})
		})
	}
}

// RFC 6840 section 4.1: a record at or above a zone cut, or a DNAME, says nothing of the names behind it.
func TestNamesBehindCutsAreStillFound(t *testing.T) {
	for name, signing := range chains {
		t.Run(name, func(t *testing.T) {
			playOnce(t, func(s *script) {
				server := s.Zone("shop.example.", "b A 203.0.113.1\nx.b A 203.0.113.9\nd DNAME b.shop.example.\nz A 203.0.113.2")
				s.ZoneAt("plain.shop.example.", wwwRecord, server)
				s.ZoneAt("signed.shop.example.", wwwRecord, server)
				s.Zone("away.shop.example.", wwwRecord)
				s.Sign(signing, ".", "example.", "shop.example.", "signed.shop.example.")
				s.trust()
				for _, kind := range []string{"TXT", "MX", "SRV"} { // what can be learned of each name
					for _, name := range []string{"", "a.", "b.", "c.", "d.", "e.", "plain.", "q.", "signed.", "t.", "z.", "zz.", "*."} {
						s.resolve(name+"shop.example.", kind)
					}
				}
				for _, name := range []string{"plain", "signed", "away"} {
					s.want("www."+name+".shop.example.", "A", "NOERROR www."+name+".shop.example. A 203.0.113.80")
					s.want("no."+name+".shop.example.", "A", "NXDOMAIN")
				}
				s.want("x.d.shop.example.", "A", "NOERROR d.shop.example. DNAME b.shop.example.; x.d.shop.example. CNAME x.b.shop.example.; x.b.shop.example. A 203.0.113.9")
				s.wantStatus("plain.shop.example.", "DS", "NOERROR secure")
				s.wantStatus("www.plain.shop.example.", "A", "NOERROR insecure")
				s.wantStatus("www.signed.shop.example.", "A", "NOERROR secure")
			}, packetsOn)
		})
	}
}

// RFC 8198 section 5.2: nothing is taken from opt-out spans. Section 5.1: nor from what is not secure; and compact
// denials cover nothing.
func TestNothingIsMadeOfTheseSpans(t *testing.T) {
	altered := testnet.Editing(func(_, r *dns.Msg) { // a span that the zone never signed, beside those that it did
		for _, rr := range r.Ns {
			if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == dns.TypeNSEC {
				forged := dns.Copy(sig).(*dns.RRSIG)
				forged.Hdr.Name = "n.shop.example."
				r.Ns = append(r.Ns, forged, &dns.NSEC{
					Hdr:        dns.RR_Header{Name: "n.shop.example.", Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 300},
					NextDomain: "shop.example.", TypeBitMap: []uint16{dns.TypeA},
				})
				return
			}
		}
	})
	for name, c := range map[string]struct {
		signing testnet.Signing
		flaw    testnet.Flaw
		sign    bool
		b       []testnet.Behaviour
		rcode   string
	}{
		"opt-out":       {signing: testnet.Signing{Denial: testnet.NSEC3, OptOut: true}, sign: true, rcode: "NXDOMAIN"},
		"compact":       {signing: testnet.Signing{Denial: testnet.Compact}, sign: true, rcode: "NOERROR"},
		"steep":         {signing: testnet.Signing{Denial: testnet.NSEC3, Iterations: 51}, sign: true, rcode: "NXDOMAIN"},
		"unsigned":      {rcode: "NXDOMAIN"},
		"island":        {signing: testnet.Signing{Island: true}, sign: true, rcode: "NXDOMAIN"},
		"bogus":         {flaw: testnet.BadSignature(), sign: true, rcode: "SERVFAIL"},
		"no proof":      {flaw: testnet.MissingNSEC(), sign: true, rcode: "SERVFAIL"},
		"forged beside": {sign: true, b: []testnet.Behaviour{altered}, rcode: "NXDOMAIN"},
	} {
		t.Run(name, func(t *testing.T) {
			playOnce(t, func(s *script) {
				s.Zone("shop.example.", "m A 203.0.113.1\np A 203.0.113.2\nx A 203.0.113.3", c.b...)
				s.secure("example.")
				if c.sign {
					s.Sign(c.signing, "shop.example.")
					s.Spoil("shop.example.", c.flaw)
				}
				s.want("aa.shop.example.", "A", c.rcode)
				s.r.cache.Failures.Forget(cache.Key{Name: wire.MustName("q.shop.example."), Type: wire.TypeA})
				s.costs("q.shop.example.", "A", c.rcode)
				if chain, ok := s.r.cache.Denials.Chain(wire.MustName("q.shop.example."), 0, s.r.now()); ok && name != "forged beside" && chain.Zone.Labels() == 2 {
					t.Error("spans of the zone were kept")
				}
			}, packetsOn)
		})
	}
}

// RFC 9077 section 3: a span lasts no longer than the lesser of the SOA's MINIMUM and TTL; then the servers are asked
// again, and what is new is found.
func TestSpansExpire(t *testing.T) {
	for name, signing := range chains {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "@ 600 SOA ns1 hostmaster 1 1 1 1 120\n"+wwwRecord)
				s.Sign(signing, ".", "example.", "shop.example.")
				s.trust()
				for _, name := range []string{"a", "b", "c", "d"} {
					s.want(name+".shop.example.", "A", "NXDOMAIN")
				}
				s.add("shop.example.", "new A 203.0.113.7")
				time.Sleep(100 * time.Second)
				m := s.freeWith("aa.shop.example.", "TXT", "NXDOMAIN")
				if len(m.Ns) != 1 || m.Ns[0].Header().Ttl != 20 {
					t.Errorf("authority section %v, want a SOA with TTL 20", m.Ns)
				}
				time.Sleep(21 * time.Second)
				s.want("new.shop.example.", "A", "NOERROR new.shop.example. A 203.0.113.7")
				s.costs("a.shop.example.", "TXT", "NXDOMAIN")
			})
		})
	}
}

// No record is used when its signature has expired, whatever its TTL (RFC 4035 section 5.3.3).
func TestSpansEndWithTheirSignatures(t *testing.T) {
	playOnce(t, func(s *script) {
		s.Zone("shop.example.", "@ 3600 SOA ns1 hostmaster 1 1 1 1 3600\n"+wwwRecord)
		s.secure("example.")
		s.Sign(testnet.Signing{Expiration: 10 * time.Minute, Once: true}, "shop.example.")
		s.want("a.shop.example.", "A", "NXDOMAIN")
		s.freeWith("b.shop.example.", "A", "NXDOMAIN")
		time.Sleep(11 * time.Minute)
		s.Reset()
		s.resolve("c.shop.example.", "A")
		if len(s.SeenAt("shop.example.")) == 0 {
			t.Error("answered from expired signatures")
		}
	}, packetsOn)
}

func TestFlushEndsSynthesis(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "* A 203.0.113.3\nm TXT m")
		s.secure("example.", "shop.example.")
		s.want("a.shop.example.", "A", "NOERROR a.shop.example. A 203.0.113.3")
		s.freeWith("b.shop.example.", "A", "NOERROR b.shop.example. A 203.0.113.3")
		s.add("shop.example.", "b A 203.0.113.4")
		s.r.cache.Flush(wire.MustName("b.shop.example."))
		s.costs("b.shop.example.", "A", "NOERROR b.shop.example. A 203.0.113.4")
		s.r.cache.FlushAll()
		s.costs("c.shop.example.", "A", "NOERROR c.shop.example. A 203.0.113.3")
	})
}

// RFC 4035 section 3.2.2: who disables checking wants what the server says.
func TestCheckingDisabledIsNotServedFromSpans(t *testing.T) {
	play(t, func(s *script) {
		s.secure("example.")
		s.want("no.example.", "A", "NXDOMAIN")
		q := question("nn.example.", "A")
		q.CD = true
		s.Reset()
		if m := s.unpack(s.ask(q)); m.Rcode != dns.RcodeNameError || codes(m) != "" {
			t.Errorf("%s, %s", brief(m), codes(m))
		}
		s.saw("example.", "nn.example. A")
		s.Reset()
		s.want("nnn.example.", "A", "NXDOMAIN")
		s.saw("example.")
	})
}

// RFC 7646 section 2: below a negative trust anchor nothing is proven, not even by what was learned before it was set.
func TestNegativeTrustAnchorEndsSynthesis(t *testing.T) {
	playOnce(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.Sign(testnet.Signing{}, ".", "example.", "shop.example.")
		anchor, err := dnssec.ParseTrustAnchor(s.Anchor())
		if err != nil {
			t.Fatal(err)
		}
		anchors := dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})
		negative := dnssec.NewNegativeAnchors(anchors, nil)
		s.r.validator = dnssec.New(dnssec.Options{Anchors: anchors, Excepted: negative.Covers})
		s.want("a.shop.example.", "A", "NXDOMAIN")
		s.freeWith("b.shop.example.", "A", "NXDOMAIN")
		if err := negative.Add(time.Now(), wire.MustName("shop.example."), time.Hour, "test"); err != nil {
			t.Fatal(err)
		}
		s.costs("c.shop.example.", "A", "NXDOMAIN")
	}, packetsOn)
}

// A stub zone that the public name space denies is still asked for, and what its servers deny says nothing of other
// zones' names.
func TestStubIsNotDeniedFromOutside(t *testing.T) {
	playOnce(t, func(s *script) {
		server := testnet.NewServer("stub.invalid.")
		server.Host(testnet.MustZone("corp.nowhere.", "@ SOA ns1 hostmaster 1 1 1 1 60\n@ NS ns1\nwww A 203.0.113.80"))
		s.Connect(server, netip.MustParseAddrPort("203.0.113.200:53"))
		s.secure("example.")
		s.r.routes = newRoutes(&Options{Stubs: []Stub{{Zone: wire.MustName("corp.nowhere."), Servers: []upstream.Server{{Addr: netip.MustParseAddrPort("203.0.113.200:53")}}}}})
		for i := range 10 {
			s.want(fmt.Sprintf("n%d.", i), "A", "NXDOMAIN")
		}
		s.freeWith("other.nowhere.", "A", "NXDOMAIN")
		if a, ok := s.r.synthesise(wire.MustName("www.corp.nowhere."), wire.TypeA, s.r.now()); ok {
			t.Errorf("denied: %v", a.outcome)
		}
	}, packetsOn)
}

// With and without aggressive use, any signed zone gives the same answers to any questions.
func TestSynthesisEqualsAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		synthesised := 0
		rapid.Check(struct{ *testing.T }{t}, func(t *rapid.T) {
			w := testnet.New(testnet.Options{Seed: 1})
			server := w.Zone("shop.example.", drawUnsigned(t))
			w.ZoneAt("cut.shop.example.", drawUnsigned(t), server)
			w.ZoneAt("plain.shop.example.", drawUnsigned(t), server)
			w.Zone("other.test.", drawUnsigned(t))
			denial := rapid.SampledFrom([]testnet.Signing{
				{}, {Denial: testnet.NSEC3}, {Denial: testnet.NSEC3, OptOut: true}, {Denial: testnet.NSEC3, Salt: "ab", Iterations: 2}, {Denial: testnet.Compact},
			}).Draw(t, "denial")
			w.Sign(denial, ".", "example.", "test.", "shop.example.", "cut.shop.example.", "other.test.")
			with, without := newValidating(t, w, false), newValidating(t, w, true)
			defer with.close(t)
			defer without.close(t)
			for range rapid.IntRange(40, 90).Draw(t, "asked") {
				time.Sleep(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 500, 7000}).Draw(t, "wait")) * time.Millisecond)
				q := wire.Question{
					Name: drawMistyped(t), Type: rapid.SampledFrom(someTypes).Draw(t, "type"), Class: wire.ClassIN,
					DO: rapid.Bool().Draw(t, "DO"), CD: rapid.IntRange(0, 9).Draw(t, "CD") == 0,
				}
				if with.agree(t, without, q) {
					synthesised++
				}
			}
		})
		if synthesised < enough(300) {
			t.Errorf("only %d answers were synthesised: nothing is shown", synthesised)
		}
	})
}

// drawUnsigned is drawZone without signatures of its own: the signer adds what there is to be.
func drawUnsigned(t *rapid.T) string {
	lines := strings.Split(drawZone(t), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, " RRSIG ") }), "\n")
}

func drawMistyped(t *rapid.T) wire.Name {
	owner := strings.Replace(rapid.SampledFrom(append(someOwners, "@", "no", "aa", "zz", "x.y.no", "z.d", "z.a.b", "q.w", "r.w", "ent", "x.w.w")).Draw(t, "name")+".", "@.", "", 1)
	zones := []string{"shop.example.", "shop.example.", "other.test.", "cut.shop.example.", "plain.shop.example.", "example."}
	return wire.MustName(owner + rapid.SampledFrom(zones).Draw(t, "zone"))
}

func newValidating(t *rapid.T, w *testnet.World, off bool) beside {
	b := newBeside(t, w, false)
	anchor, err := dnssec.ParseTrustAnchor(w.Anchor())
	if err != nil {
		t.Fatal(err)
	}
	b.validator = dnssec.New(dnssec.Options{Anchors: dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})})
	b.noAggressive = off
	return b
}

// agree asks both and reports whether the first made up its answer.
func (b beside) agree(t *rapid.T, other beside, q wire.Question) bool {
	got, want := b.message(t, q), other.message(t, q)
	judged := got.AuthenticatedData == want.AuthenticatedData || q.CD // whether anybody has had it checked before is chance
	if brief(got) != brief(want) || !judged || !proves(got, want) {
		t.Fatalf("%s %d %+v\n got %s\n%s\nwant %s\n%s", q.Name.Reveal(), q.Type, q, got, ede(got), want, ede(want))
	}
	return strings.Contains(codes(got), "29")
}

// proves reports whether a denial has a proof of the same kind as another: which records the server sent depends on the
// aliases that led to it.
func proves(got, want *dns.Msg) bool {
	kinds := func(m *dns.Msg) (kinds []uint16) {
		for _, rr := range m.Ns {
			kinds = append(kinds, rr.Header().Rrtype)
		}
		slices.Sort(kinds)
		return slices.Compact(kinds)
	}
	return len(want.Answer) > 0 || slices.Equal(kinds(got), kinds(want))
}

func (b beside) message(t *rapid.T, q wire.Question) *dns.Msg {
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	m := new(dns.Msg)
	a, _ := b.Resolve(ctx, q)
	if err := m.Unpack(a.Packet); err != nil {
		t.Fatal(err)
	}
	m.SetEdns0(1232, false)
	for _, e := range a.Errors {
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: uint16(e.Code), ExtraText: e.Text})
	}
	return m
}

// What a mistyped name costs: no packet, and this.
func BenchmarkSynthesise(b *testing.B) {
	for name, signing := range chains {
		b.Run(name, func(b *testing.B) {
			w, r := bench(b, true)
			w.Sign(signing, ".", "example.")
			anchor, err := dnssec.ParseTrustAnchor(w.Anchor())
			if err != nil {
				b.Fatal(err)
			}
			r.validator = dnssec.New(dnssec.Options{Anchors: dnssec.NewAnchors(dnssec.AnchorOptions{Trusted: []dnssec.TrustAnchor{anchor}})})
			for i := range 20 {
				r.Resolve(context.Background(), question(fmt.Sprintf("n%d.example.", i), "A"))
			}
			q := question("mistyped.example.", "A")
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := r.remember(q, r.now()); !ok {
					b.Fatal("not synthesised")
				}
			}
		})
	}
}
