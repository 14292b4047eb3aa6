//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A secureGenerator fills a world of signed zones: every algorithm with every way of denial by both signers, each with
// delegations of every kind below.
type secureGenerator struct {
	*generator
	rings keyRings
	open  []*zone // unsigned zones, one below each TLD
	mixed []*zone // the zones of the combinations
}

// Classes of the questions about signed zones.
const (
	signedData      class = "signed data"
	signedApex      class = "apex, DNSKEY"
	secureChild     class = "secure delegation, same servers"
	thirdLevel      class = "third level, same servers"
	otherServer     class = "secure delegation below an empty non-terminal"
	insecureChild   class = "insecure delegation"
	insecureFar     class = "insecure delegation below an empty non-terminal"
	belowInsecure   class = "below an insecure delegation"
	island          class = "signed without DS"
	unknownDS       class = "DS of unknown algorithm"
	delegationDS    class = "DS"
	wildcardAcross  class = "wildcard alias across zones"
	aliasOut        class = "alias from signed to unsigned"
	aliasBack       class = "alias from signed to unsigned and back"
	aliasIn         class = "alias from unsigned to signed"
	dnameOut        class = "DNAME from signed to unsigned"
	insecureAtTop   class = "unsigned zone below a signed TLD"
	noNameAtTop     class = "no such name at the root or a TLD"
	unsignedTLD     class = "unsigned TLD"
	aliasSecure     class = "aliases among signed zones"
	noNameInZone    class = "no such name in a signed zone"
	noTypeInZone    class = "no such type in a signed zone"
	noNameDeepBelow class = "no such name, many labels"
)

// A combination is one way to sign.
type combination struct {
	algorithms []uint8
	denial     denial
	signer     signer
	iterations int
}

func (c combination) label() string {
	out := []string{"n", "h", "o"}[c.denial] + []string{"b", "k"}[c.signer]
	for _, a := range c.algorithms {
		out += fmt.Sprint(a)
	}
	if c.iterations > 0 {
		out += fmt.Sprintf("i%d", c.iterations)
	}
	return out
}

// combinations are all ways to sign. Algorithm 5 says by its number that there is no NSEC3 (RFC 5155 section 2).
func combinations() []combination {
	var out []combination
	for _, a := range allAlgorithms {
		for _, d := range []denial{nsec, nsec3, nsec3OptOut} {
			for _, s := range []signer{bindSigner, knotSigner} {
				if a != dns.RSASHA1 || d == nsec {
					out = append(out, combination{[]uint8{a}, d, s, 0})
				}
			}
		}
	}
	return append(out,
		combination{[]uint8{dns.RSASHA256, dns.ED25519}, nsec3, bindSigner, 0},
		combination{[]uint8{dns.ED448, dns.ECDSAP256SHA256}, nsec, bindSigner, 0},
		combination{[]uint8{dns.RSASHA1NSEC3SHA1, dns.RSASHA512}, nsec3OptOut, knotSigner, 0},
		combination{[]uint8{dns.ECDSAP256SHA256}, nsec3, knotSigner, 50},
		combination{[]uint8{dns.ECDSAP256SHA256}, nsec3OptOut, knotSigner, 100})
}

// generateSecure makes the signed world of a seed.
func generateSecure(seed uint64, rings keyRings) *world {
	g := &secureGenerator{
		generator: &generator{world: &world{zones: make(map[name]*zone)}, random: rand.New(rand.NewPCG(seed, 5))},
		rings:     rings,
	}
	g.addTop()
	for i := range 4 {
		g.leaves = append(g.leaves, g.addInstance(fmt.Sprintf("leaf%d", i+1), software(i%2), 4))
	}
	g.addOpen()
	for i, c := range combinations() {
		g.addCombination(i, c)
	}
	for i, z := range g.mixed {
		g.addSecureContents(i, z)
	}
	g.askAboutTop()
	return g.world
}

// addTop makes a signed root and five TLDs, one of them on the servers of the root and one unsigned.
func (g *secureGenerator) addTop() {
	rootNSD, rootKnot := g.addInstance("root-nsd", nsd, 2), g.addInstance("root-knot", knot, 2)
	topNSD, topKnot := g.addInstance("tld-nsd", nsd, 2), g.addInstance("tld-knot", knot, 2)
	g.roots = []*host{rootNSD.addHost("a.rootns.", bothFamilies), rootKnot.addHost("b.rootns.", bothFamilies)}
	root := g.addZone(".", plainZone, g.roots, nil)
	g.sign(root, g.rings, &signing{algorithms: []uint8{dns.RSASHA256}})
	for _, t := range []struct {
		label   string
		servers []*instance
		how     *signing
	}{
		{"xn", []*instance{topNSD}, &signing{algorithms: []uint8{dns.ECDSAP256SHA256}, digests: []uint8{dns.SHA256}}},
		{"xh", []*instance{topKnot}, &signing{algorithms: []uint8{dns.RSASHA256}, denial: nsec3, signer: knotSigner, salt: "aabbccdd", iterations: 10, digests: []uint8{dns.SHA1, dns.SHA256}}},
		{"xo", []*instance{topKnot, topNSD}, &signing{algorithms: []uint8{dns.ECDSAP256SHA256}, denial: nsec3OptOut, single: true, digests: []uint8{dns.SHA384}}},
		{"xr", []*instance{rootNSD, rootKnot}, &signing{algorithms: []uint8{dns.ECDSAP384SHA384}, denial: nsec3, digests: []uint8{dns.SHA384}}},
		{"xu", []*instance{topNSD}, nil},
	} {
		g.tlds = append(g.tlds, &tld{t.label, t.servers})
		z := g.addZone(t.label+".", plainZone, g.hostsIn("nic."+t.label+".", bothFamilies, t.servers...), nil)
		if t.how != nil {
			g.sign(z, g.rings, t.how)
		}
	}
}

// addOpen makes the unsigned zones that aliases lead to.
func (g *secureGenerator) addOpen() {
	for i, t := range g.tlds {
		z := g.addLeaf("open."+t.label+".", g.leaves[i%len(g.leaves)])
		g.open = append(g.open, z)
		c := insecureAtTop
		if t.label == "xu" {
			c = unsignedTLD
		}
		g.ask(c, "www."+z.apex.String(), "A", "AAAA")
		g.ask(c, z.apex.String(), "A", "SOA", "DNSKEY", "DS")
		g.ask(c, "nobody."+z.apex.String(), "A")
	}
}

// addLeaf makes a zone with a little in it on one server.
func (g *secureGenerator) addLeaf(apex string, s *instance) *zone {
	z := g.add(apex, plainZone, g.hostsIn(apex, bothFamilies, s), nil)
	z.add("%s 3600 IN A %s", apex, g.addr4())
	z.add("www.%s 3600 IN A %s", apex, g.addr4())
	z.add("www.%s 3600 IN AAAA %s", apex, g.addr6())
	z.add("*.any.%s 3600 IN TXT \"wildcard\"", apex)
	return z
}

// addCombination makes the zone of a combination and the zones below it.
func (g *secureGenerator) addCombination(i int, c combination) {
	how := func(digests ...uint8) *signing {
		return &signing{
			algorithms: c.algorithms, denial: c.denial, signer: c.signer, iterations: c.iterations, digests: digests,
			single: c.signer == bindSigner && i%4 < 2, salt: []string{"", "5a17"}[i%2],
		}
	}
	server, other := g.leaves[(i+i/2)%len(g.leaves)], g.leaves[(i+i/2+1)%len(g.leaves)]
	apex := fmt.Sprintf("%s.%s.", c.label(), g.tlds[i%4].label)
	z := g.addLeaf(apex, server)
	g.mixed = append(g.mixed, z)
	g.sign(z, g.rings, how(dns.SHA256))

	g.sign(g.addLeaf("secure."+apex, server), g.rings, how([][]uint8{{dns.SHA256}, {dns.SHA384}, {dns.SHA1, dns.SHA256}, {dns.SHA1}}[i%4]...))
	g.sign(g.addLeaf("third.secure."+apex, server), g.rings, how(dns.SHA256))
	kinLabel := "kin.soff."
	if c.iterations > tacitPolicy.iterations {
		kinLabel = "kin." // "no DS" at the empty non-terminal would be a denial that counts for nothing
	}
	g.sign(g.addLeaf(kinLabel+apex, other), g.rings, &signing{algorithms: []uint8{dns.ED25519}, denial: denial(i % 3), digests: []uint8{dns.SHA256}})
	g.addLeaf("plain."+apex, server)
	g.addLeaf("deep.plain."+apex, server)
	g.sign(g.addLeaf("signed.plain."+apex, server), g.rings, how(dns.SHA256))
	g.sign(g.addLeaf("island."+apex, other), g.rings, how())
	g.addLeaf("far.off."+apex, other)
	g.addLeaf("strange."+apex, server)
	z.add("strange.%s 3600 IN DS 4711 99 2 %064x", apex, i)
	g.sign(g.addLeaf("digest."+apex, server), g.rings, &signing{algorithms: []uint8{dns.ECDSAP256SHA256}, digests: []uint8{250}})
	g.askBelow(apex, kinLabel)
	// NSD 4.6 takes an empty non-terminal that has no NSEC3 RR for the closest encloser of what is asked below it, and
	// then sends half a proof: there is no right answer to such a question, except that the delegation itself works.
	if c.denial == nsec3OptOut && server.software == nsd {
		g.unproven = append(g.unproven, mustName("off."+apex))
	} else {
		g.ask(delegationDS, "off."+apex, "DS")
		g.ask(emptyNonTerminal, "off."+apex, "A", "TXT")
		g.ask(noNameInZone, g.nonce()+".off."+apex, "A")
	}
}

// askBelow asks about the delegations below a combination's zone.
func (g *secureGenerator) askBelow(apex, kinLabel string) {
	for _, d := range []struct {
		class class
		label string
	}{
		{secureChild, "secure."},
		{thirdLevel, "third.secure."},
		{otherServer, kinLabel},
		{insecureChild, "plain."},
		{belowInsecure, "deep.plain."},
		{belowInsecure, "signed.plain."},
		{island, "island."},
		{insecureFar, "far.off."},
		{unknownDS, "strange."},
		{unknownDS, "digest."},
	} {
		child := d.label + apex
		g.ask(d.class, "www."+child, "A", "MX")
		g.ask(d.class, g.nonce()+"."+child, "A")
		g.ask(d.class, g.nonce()+".any."+child, "TXT")
		g.ask(d.class, child, "SOA", "NS", "A", "DNSKEY", "TXT")
		g.ask(delegationDS, child, "DS")
		g.ask(delegationDS, "www."+child, "DS")
	}
	g.ask(delegationDS, g.nonce()+"."+apex, "DS")
	if kinLabel != "kin." {
		g.ask(emptyNonTerminal, "soff."+apex, "A", "TXT")
	}
}

// addSecureContents fills the zone of a combination, and points aliases from it to the others and back.
func (g *secureGenerator) addSecureContents(i int, z *zone) {
	apex := z.apex.String()
	z.add("%s 3600 IN MX 10 mail.%s", apex, apex)
	z.add("mail.%s 3600 IN A %s", apex, g.addr4())
	g.ask(signedData, "www."+apex, "A", "AAAA")
	g.ask(signedData, apex, "MX")
	g.ask(signedApex, apex, "SOA", "NS", "A", "DNSKEY", "DS")
	g.ask(noTypeInZone, "www."+apex, "MX", "TYPE65280", "CNAME", "DS")
	g.ask(noTypeInZone, apex, "SRV", "CAA", "DNAME")
	g.ask(noNameInZone, g.nonce()+"."+apex, "A", "TXT")
	g.ask(noNameInZone, g.nonce()+".www."+apex, "AAAA")
	g.ask(noNameDeepBelow, g.nonce()+".a.b.c.d.e."+apex, "A")
	g.ask(noNameDeepBelow, g.nonce()+".f."+g.nonce()+"."+apex, "A")
	for _, f := range []feature{addWildcard, addWildcardBelowEmpty, addRedirectionInside, addEmptyNonTerminals} {
		f(g.generator, z)
	}
	g.addSecureAliases(i, z)
}

// addSecureAliases has aliases within the zone, to other signed zones, and out of the signed world and back.
func (g *secureGenerator) addSecureAliases(i int, z *zone) {
	apex, open, other := z.apex.String(), g.open[i%len(g.open)], g.mixed[(i+7)%len(g.mixed)]
	home, there := open.apex.String(), other.apex.String()
	local := fmt.Sprintf("b%d.%s", i, home)
	open.add("%s 3600 IN CNAME www.%s", local, apex)
	open.add("t%s 3600 IN DNAME %s", local, apex)
	for _, a := range []struct {
		class  class
		owner  string
		target string
		types  []string
	}{
		{aliasInside, "inside", "www." + apex, []string{"A", "CNAME", "MX"}},
		{aliasInside, "gone", "nobody." + apex, []string{"A"}},
		{aliasInside, "towild", "some.wild." + apex, []string{"A", "MX"}},
		{aliasSecure, "down", "www.secure." + apex, []string{"A"}},
		{aliasSecure, "down2", "x.any.third.secure." + apex, []string{"TXT", "A"}},
		{aliasSecure, "over", "www." + there, []string{"A", "MX", "CNAME"}},
		{aliasSecure, "overgone", "nobody." + there, []string{"A"}},
		{aliasOut, "out", "www." + home, []string{"A", "MX", "CNAME"}},
		{aliasOut, "outchild", "www.plain." + apex, []string{"A", "TXT"}},
		{aliasOut, "outgone", "nobody." + home, []string{"A"}},
		{aliasOut, "tofar", "www.far.off." + apex, []string{"A"}},
		{aliasOut, "toisland", "www.island." + apex, []string{"A"}},
		{aliasBack, "away", local, []string{"A", "AAAA", "TXT", "CNAME"}},
		{aliasBack, "awaydname", "www.t" + local, []string{"A"}},
	} {
		z.add("%s.%s 3600 IN CNAME %s", a.owner, apex, a.target)
		g.ask(a.class, a.owner+"."+apex, a.types...)
	}
	z.add("*.pages.%s 3600 IN CNAME www.%s", apex, apex)
	z.add("*.pagesover.%s 3600 IN CNAME www.%s", apex, there)
	z.add("*.pagesout.%s 3600 IN CNAME www.%s", apex, home)
	z.add("moved.%s 3600 IN DNAME secure.%s", apex, there)
	z.add("lost.%s 3600 IN DNAME %s", apex, home)
	g.ask(wildcardAlias, g.nonce()+".pages."+apex, "A", "CNAME", "TXT")
	g.ask(wildcardAcross, g.nonce()+".pagesover."+apex, "A")
	g.ask(wildcardAcross, g.nonce()+".pagesout."+apex, "A", "CNAME")
	g.ask(dnameAcross, "www.moved."+apex, "A", "MX")
	g.ask(dnameAcross, g.nonce()+".moved."+apex, "A")
	g.ask(dnameOut, "www.lost."+apex, "A", "CNAME")
	g.ask(dnameOut, "nobody.lost."+apex, "A")
	g.ask(aliasIn, local, "A", "CNAME", "MX")
	g.ask(aliasIn, "www.t"+local, "A")
	g.ask(aliasIn, "nobody.t"+local, "A")
}

// askAboutTop asks what the root and the TLDs alone decide on.
func (g *secureGenerator) askAboutTop() {
	for range 20 {
		g.ask(noNameAtTop, g.nonce()+".", "A")
		for _, t := range g.tlds {
			g.ask(noNameAtTop, g.nonce()+"."+t.label+".", "A")
		}
	}
	g.ask(signedApex, ".", "SOA", "NS", "DNSKEY", "DS", "A")
	g.ask(emptyNonTerminal, "rootns.", "A")
	for _, t := range g.tlds {
		g.ask(signedApex, t.label+".", "SOA", "NS", "DNSKEY", "DS", "A")
		g.ask(emptyNonTerminal, "nic."+t.label+".", "A")
	}
}

// chooseSecure is choose, with what clients want beside the answer: signatures, the AD bit, or neither.
func (w *world) chooseSecure(seed uint64, count int) []question {
	out := w.choose(seed, count)
	random := rand.New(rand.NewPCG(seed, 6))
	for i := range out {
		out[i].flags = []flags{wantSignatures, wantStatus, wantSignatures, wantStatus, wantSignatures | wantStatus, 0}[random.IntN(6)]
	}
	return out
}

// anchor is the DS of the root's key.
func (w *world) anchor() string {
	i := slices.IndexFunc(w.zones[rootName].signing.keys, func(k *key) bool { return k.record.Flags&dns.SEP != 0 })
	ds := delegationSigner(w.zones[rootName].signing.keys[i].of(rootName), dns.SHA256, false)
	return strings.ReplaceAll(ds.String(), "\t", " ")
}
