package testnet_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// Beside what is said of shop: secure, insecure and hidden delegations, and an empty non-terminal above each kind.
const tree = shop + `
	bare          NS  ns.elsewhere.test.
	cut.away      NS  ns.elsewhere.test.
	safe.near     NS  ns.elsewhere.test.
	safe.near     DS  12345 13 2 AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34AB12CD34
`

// What each kind of denial says, per question. For NSEC and NSEC3, "= name" is a record that matches, "< name" one that
// covers; a record may do for two of them.
func TestDenials(t *testing.T) {
	for _, c := range []struct {
		clause              string
		name                string
		qtype               uint16
		nsec, nsec3, optOut string
	}{
		{
			"RFC 4035 section 3.1.3.1, RFC 5155 section 7.2.3: NODATA", "www", dns.TypeTXT,
			"= www", "= www", "= www",
		},
		{
			"RFC 4035 section 3.1.3.2, RFC 5155 section 7.2.2: NXDOMAIN", "x.nothing", dns.TypeA,
			"< x.nothing, < *", "= @, < nothing, < *", "= @, < nothing, < *",
		},
		{
			"the same below a name that exists", "x.www", dns.TypeA,
			"< x.www, < *.www", "= www, < x.www, < *.www", "= www, < x.www, < *.www",
		},
		{
			"an empty non-terminal has an NSEC3 record, but no NSEC", "b.c", dns.TypeA,
			"< b.c", "= b.c", "= b.c",
		},
		{
			"RFC 4035 section 3.1.3.3, RFC 5155 section 7.2.6: no closer match", "x.y.wild", dns.TypeA,
			"< x.y.wild", "< y.wild", "< y.wild",
		},
		{
			"RFC 4035 section 3.1.3.4, RFC 5155 section 7.2.5: wildcard NODATA", "x.wild", dns.TypeTXT,
			"< x.wild, = *.wild", "= wild, < x.wild, = *.wild", "= wild, < x.wild, = *.wild",
		},
		{
			"wildcard NODATA from an empty non-terminal", "x.tree", dns.TypeA,
			"< x.tree, < *.tree", "= tree, < x.tree, = *.tree", "= tree, < x.tree, = *.tree",
		},
		{
			"RFC 4035 section 3.1.4.1: no DS at an insecure delegation", "bare", dns.TypeDS,
			"= bare", "= bare", "= @, < bare",
		},
		{
			"RFC 4035 section 3.1.4, RFC 5155 section 7.2.7: referral without DS", "www.bare", dns.TypeA,
			"= bare", "= bare", "= @, < bare",
		},
		{"referral with DS", "www.child", dns.TypeA, "", "", ""},
		{
			"the same below an empty non-terminal, which opt-out leaves out", "cut.away", dns.TypeA,
			"= cut.away", "= cut.away", "= @, < away",
		},
		{
			"RFC 5155 section 7.1: an empty non-terminal only above insecure delegations", "away", dns.TypeA,
			"< away", "= away", "= @, < away",
		},
		{
			"an empty non-terminal above a secure one", "near", dns.TypeA,
			"< near", "= near", "= near",
		},
		{
			"no DS at the apex, from the child", "@", dns.TypeDS,
			"= @", "= @", "= @",
		},
		{
			"RFC 4035 section 3.1.3.3: a wildcard alias, and then NODATA", "x.aka", dns.TypeTXT,
			"< x.aka, = www", "< x.aka, = www", "< x.aka, = www",
		},
		{"a DNAME stands for all below it", "host.old", dns.TypeA, "", "", ""},
	} {
		t.Run(c.clause, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				full := func(n string) string {
					if n == "@" {
						return "shop.example."
					}
					return n + ".shop.example."
				}
				for s, want := range map[*testnet.Signing]string{
					{}: c.nsec, {Denial: testnet.NSEC3, Iterations: 3, Salt: "aabb"}: c.nsec3, {Denial: testnet.NSEC3, OptOut: true}: c.optOut,
				} {
					z := testnet.MustZone("shop.example.", tree)
					z.Sign(*s)
					r := z.Answer(signedQuery(full(c.name), c.qtype))
					verify(t, z, r)
					plain := z.Answer(query(full(c.name), c.qtype))
					if r.Rcode != plain.Rcode || r.Authoritative != plain.Authoritative {
						t.Errorf("RCODE %d with signatures, %d without", r.Rcode, plain.Rcode)
					}
					checkProofs(t, r, want, full)
				}
			})
		})
	}
}

func checkProofs(t *testing.T, r *dns.Msg, want string, full func(string) string) {
	t.Helper()
	var records []dns.RR
	for _, rr := range r.Ns {
		if h := rr.Header(); h.Rrtype == dns.TypeNSEC || h.Rrtype == dns.TypeNSEC3 {
			records = append(records, rr)
			if soa, ok := r.Ns[0].(*dns.SOA); ok && h.Ttl != soa.Minttl {
				t.Errorf("RFC 9077 section 3: TTL %d of %v", h.Ttl, rr)
			}
		}
	}
	used := make(map[dns.RR]bool)
	for claim := range strings.SplitSeq(want, ", ") {
		if claim == "" {
			continue
		}
		name := full(claim[2:])
		i := slices.IndexFunc(records, func(rr dns.RR) bool { return says(rr, claim[:1], name) })
		if i < 0 {
			t.Errorf("nothing says %q in %v", claim, records)
			continue
		}
		used[records[i]] = true
	}
	if len(used) != len(records) {
		t.Errorf("%d records for %q: %v", len(records), want, records)
	}
}

func says(rr dns.RR, claim, name string) bool {
	switch x := rr.(type) {
	case *dns.NSEC3:
		return claim == "=" && x.Match(name) || claim == "<" && x.Cover(name) && !x.Match(name)
	case *dns.NSEC:
		return claim == "=" && x.Hdr.Name == name || claim == "<" && covers(x, name)
	}
	return false
}

// covers compares reversed names as text, which is good enough for these.
func covers(n *dns.NSEC, name string) bool {
	reversed := func(s string) string {
		labels := dns.SplitDomainName(strings.ToLower(s))
		slices.Reverse(labels)
		return strings.Join(labels, "\x00")
	}
	owner, next, at := reversed(n.Hdr.Name), reversed(n.NextDomain), reversed(name)
	return owner < at && (at < next || next == reversed("shop.example."))
}

// RFC 4034 section 6.1, with the RFC's own list of names.
func TestChainIsInCanonicalOrder(t *testing.T) {
	z := testnet.MustZone("example.", `
		@          SOA ns hostmaster 1 1 1 1 1
		Z          A 192.0.2.1
		*.z        A 192.0.2.1
		a          A 192.0.2.1
		zABC.a     A 192.0.2.1
		\200.z     A 192.0.2.1
		yljkjljk.a A 192.0.2.1
		Z.a        A 192.0.2.1
		\001.z     A 192.0.2.1
	`)
	z.Sign(testnet.Signing{})
	var got []string
	for name := "example."; len(got) < 20; {
		got = append(got, name)
		r := z.Answer(query(name, dns.TypeNSEC))
		if len(r.Answer) != 1 {
			t.Fatalf("%s: %v", name, r)
		}
		if name = r.Answer[0].(*dns.NSEC).NextDomain; name == "example." {
			break
		}
	}
	want := []string{
		"example.", "a.example.", "yljkjljk.a.example.", "z.a.example.", "zabc.a.example.",
		"z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// RFC 4035 section 2.3, RFC 5155 section 7.1: what the bit maps say.
func TestTypeBitMaps(t *testing.T) {
	z := must(t, testnet.MustZone("shop.example.", tree), "bare A 192.0.2.1\nchild A 192.0.2.1\nx.bare A 192.0.2.1\nx.old A 192.0.2.1")
	for _, c := range []struct{ name, nsec, nsec3 string }{
		{"shop.example.", "NS SOA RRSIG NSEC DNSKEY", "NS SOA RRSIG DNSKEY NSEC3PARAM"},
		{"www.shop.example.", "A AAAA RRSIG NSEC", "A AAAA RRSIG"},
		{"bare.shop.example.", "NS RRSIG NSEC", "NS"},
		{"old.shop.example.", "DNAME RRSIG NSEC", "DNAME RRSIG"},
	} {
		for _, s := range []testnet.Signing{{}, {Denial: testnet.NSEC3}} {
			z.Sign(s)
			var types []uint16
			want := c.nsec
			qtype := dns.TypeHINFO
			if c.name == "bare.shop.example." {
				qtype = dns.TypeDS
			}
			for _, rr := range z.Answer(signedQuery(c.name, qtype)).Ns {
				switch x := rr.(type) {
				case *dns.NSEC:
					types = x.TypeBitMap
				case *dns.NSEC3:
					types, want = x.TypeBitMap, c.nsec3
				}
			}
			var got []string
			for _, one := range types {
				got = append(got, dns.TypeToString[one])
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
		}
	}
	z.Sign(testnet.Signing{})
	// RFC 4034 section 4.1.1: all names for which the zone has authority, and the cuts, are in one circle.
	var names []string
	for at := "shop.example."; len(names) < 50; {
		names = append(names, strings.TrimSuffix(at, ".shop.example."))
		if at = following(z, at); at == "shop.example." {
			break
		}
	}
	want := []string{
		"shop.example.", "*.aka", "alias", "cut.away", "bare", "a.b.c", "child", "dead", "far", "into", "loop1", "loop2",
		"safe.near", "host.new", "ns1", "old", "sub.*.tree", "*.wild", "host.wild", "www",
	}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// following is the next name of the NSEC record at a name. At a cut it cannot be asked for, but covers what comes after.
func following(z *testnet.Zone, name string) string {
	r := z.Answer(query(name, dns.TypeNSEC))
	if len(r.Answer) == 0 {
		label, rest, _ := strings.Cut(name, ".")
		r = z.Answer(signedQuery(label+"0."+rest, dns.TypeA))
	}
	for _, rr := range slices.Concat(r.Answer, r.Ns) {
		if n, ok := rr.(*dns.NSEC); ok && n.Hdr.Name == name {
			return n.NextDomain
		}
	}
	return "nothing after " + name
}

// RFC 9824: names that do not exist seem to.
func TestCompactDenial(t *testing.T) {
	for _, c := range []struct {
		clause      string
		name        string
		qtype       uint16
		rcode, aged int // with DO, without
		want        string
	}{
		{
			"section 3.1: a name that does not exist", "nothing.shop.example.", dns.TypeA, dns.RcodeSuccess, dns.RcodeNameError,
			`nothing.shop.example. \000.nothing.shop.example. RRSIG NSEC NXNAME`,
		},
		{
			"section 3.2: NODATA", "www.shop.example.", dns.TypeTXT, dns.RcodeSuccess, dns.RcodeSuccess,
			`www.shop.example. \000.www.shop.example. A AAAA RRSIG NSEC`,
		},
		{
			"section 3.2: an empty non-terminal", "b.c.shop.example.", dns.TypeTXT, dns.RcodeSuccess, dns.RcodeSuccess,
			`b.c.shop.example. \000.b.c.shop.example. RRSIG NSEC`,
		},
		{
			"section 3.3: wildcard NODATA", "x.wild.shop.example.", dns.TypeTXT, dns.RcodeSuccess, dns.RcodeSuccess,
			`x.wild.shop.example. \000.x.wild.shop.example. A RRSIG NSEC`,
		},
		{"section 3.3: a wildcard match is signed as what it expands to", "x.wild.shop.example.", dns.TypeA, 0, 0, ""},
		{
			"section 3.4: unsigned referrals", "www.bare.shop.example.", dns.TypeA, dns.RcodeSuccess, dns.RcodeSuccess,
			`bare.shop.example. \000.bare.shop.example. NS RRSIG NSEC`,
		},
	} {
		t.Run(c.clause, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				z := testnet.MustZone("shop.example.", tree)
				z.Sign(testnet.Signing{Denial: testnet.Compact})
				r := z.Answer(signedQuery(c.name, c.qtype))
				verify(t, z, r)
				var got string
				for _, rr := range r.Ns {
					if n, ok := rr.(*dns.NSEC); ok {
						got = n.Hdr.Name + " " + strings.Join(strings.Fields(n.String())[4:], " ")
					}
				}
				if got != c.want || r.Rcode != c.rcode {
					t.Errorf("RCODE %d, %q, want %d, %q", r.Rcode, got, c.rcode, c.want)
				}
				if rcode := z.Answer(query(c.name, c.qtype)).Rcode; rcode != c.aged {
					t.Errorf("section 5: RCODE %d without DO, want %d", rcode, c.aged)
				}
				aware := signedQuery(c.name, c.qtype)
				aware.IsEdns0().SetCo()
				if rcode := z.Answer(aware).Rcode; rcode != c.aged {
					t.Errorf("section 5.1: RCODE %d with CO, want %d", rcode, c.aged)
				}
				for _, rr := range r.Answer {
					if sig, ok := rr.(*dns.RRSIG); ok && int(sig.Labels) != dns.CountLabel(c.name) {
						t.Errorf("Labels %d in %v", sig.Labels, sig)
					}
				}
			})
		})
	}
}

// RFC 4035 section 3.1.4.1: one server for parent, child and grandchild answers from the deepest zone, and for DS from
// the one above, whatever is signed.
func TestParentAndChildOnOneServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("a.example.", "")
		w.ZoneAt("b.a.example.", "", s)
		w.ZoneAt("c.b.a.example.", "www A 203.0.113.80", s)
		w.Sign(testnet.Signing{}, ".", "example.", "b.a.example.", "c.b.a.example.")
		w.Sign(testnet.Signing{Denial: testnet.NSEC3, OptOut: true}, "a.example.")
		for _, c := range []struct {
			name   string
			qtype  uint16
			signer string
			answer bool
		}{
			{"www.c.b.a.example.", dns.TypeA, "c.b.a.example.", true},
			{"c.b.a.example.", dns.TypeDNSKEY, "c.b.a.example.", true},
			{"c.b.a.example.", dns.TypeDS, "b.a.example.", true},
			{"b.a.example.", dns.TypeDS, "a.example.", true},
			{"b.a.example.", dns.TypeNS, "b.a.example.", true},
			{"b.a.example.", dns.TypeTXT, "b.a.example.", false},
			{"www.c.b.a.example.", dns.TypeDS, "c.b.a.example.", false},
			{"a.example.", dns.TypeDS, "a.example.", false}, // the parent is not here
		} {
			q := signedQuery(c.name, c.qtype)
			r := ask(t, w, s, q)
			verify(t, w.Data(c.signer), r)
			if !r.Authoritative || len(r.Answer) > 0 != c.answer {
				t.Errorf("%s: %v", c.name, r)
			}
		}
		w.Data("a.example.").Remove("b.a.example.", dns.TypeDS)
		r := ask(t, w, s, signedQuery("b.a.example.", dns.TypeDS))
		verify(t, w.Data("a.example."), r)
		checkProofs(t, r, "= @, < b", func(n string) string { return strings.TrimPrefix(n+".", "@.") + "a.example." })
	})
}
