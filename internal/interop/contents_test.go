//go:build interop

package interop

import (
	"fmt"
	"strings"
)

// A feature writes one kind of contents into a zone and asks about it.
type feature func(g *generator, z *zone)

// features are dealt out so that each zone has some and each occurs in every kind of zone.
var features = []feature{
	addTypes, addWildcard, addWildcardAlias, addWildcardBelowEmpty, addRedirectionInside, addRedirectionAcross,
	addLargeText, addDeepLabels, addEmptyNonTerminals, addOddOctets, addAliasesInside, addAliasesToNothing,
}

// featuresPerZone is how many of them a zone gets.
const featuresPerZone = 4

// addContents fills the zones below the TLDs. Two of them get nothing but a DNAME at their apex.
func (g *generator) addContents() {
	zones := g.below()
	redirected := 0
	for _, z := range zones {
		if z.kind == gluelessZone && redirected < 2 && strings.HasPrefix(z.apex.String(), "hosted") {
			redirected++
			addApexRedirection(g, z)
			continue
		}
		addBasics(g, z)
	}
	for _, z := range zones {
		if z.nodes[z.sub("www")] == nil {
			continue
		}
		order := g.random.Perm(len(features))
		for _, f := range order[:featuresPerZone] {
			features[f](g, z)
		}
	}
	for i := range 40 {
		g.addAliasesAcross(i)
	}
}

// below are the zones below the TLDs.
func (w *world) below() []*zone {
	var out []*zone
	for _, z := range w.order {
		if z.apex.labels() >= 2 {
			out = append(out, z)
		}
	}
	return out
}

// sub is a name in the zone.
func (z *zone) sub(text string) name { return mustName(text + "." + z.apex.String()) }

// other picks a zone with a www.
func (g *generator) other(not *zone) *zone {
	zones := g.below()
	for {
		if z := zones[g.random.IntN(len(zones))]; z != not && z.nodes[z.sub("www")] != nil {
			return z
		}
	}
}

func (g *generator) addr4() string {
	return fmt.Sprintf("203.0.113.%d", g.random.IntN(256))
}

func (g *generator) addr6() string {
	return fmt.Sprintf("2001:db8:%x::%x", 0x1000+g.random.IntN(0x1000), 1+g.random.IntN(0xffff))
}

// addBasics is what any zone has. The questions about it count for the kind of its delegation.
func addBasics(g *generator, z *zone) {
	apex := z.apex.String()
	z.add("%s 3600 IN A %s", apex, g.addr4())
	z.add("%s 3600 IN MX 10 mail.%s", apex, apex)
	z.add("%s 3600 IN TXT \"v=spf1 -all\"", apex)
	z.add("www.%s 3600 IN A %s", apex, g.addr4())
	z.add("www.%s 3600 IN A 192.0.2.1", apex)
	z.add("www.%s 3600 IN AAAA %s", apex, g.addr6())
	z.add("mail.%s 3600 IN A %s", apex, g.addr4())
	g.ask(z.kind, apex, "A", "MX")
	g.ask(z.kind, "www."+apex, "A", "AAAA")
	g.ask(apexData, apex, "SOA", "NS", "DS", "TXT")
	g.ask(noType, "www."+apex, "MX", "CAA", "TYPE65280")
	g.ask(noType, apex, "SRV", "CNAME", "DNAME")
	g.ask(noName, g.nonce()+"."+apex, "A", "TXT")
	g.ask(noName, g.nonce()+".x.y."+apex, "AAAA")
	g.ask(noName, g.nonce()+".www."+apex, "A")
	for _, rr := range z.nodes[z.sub("ns1")] {
		g.ask(serverAddress, rr[0].Header().Name, "A", "AAAA")
	}
}

// addTypes has one RRset of every type, one unknown to the servers (RFC 3597).
func addTypes(g *generator, z *zone) {
	apex := z.apex.String()
	z.add("types.%s 3600 IN A %s", apex, g.addr4())
	z.add("types.%s 3600 IN AAAA %s", apex, g.addr6())
	z.add("types.%s 3600 IN TXT \"one\" \"\" \"a \\\" quote and \\000 \\255\"", apex)
	z.add("types.%s 3600 IN MX 0 .", apex)
	z.add("types.%s 3600 IN MX 20 Mail.%s", apex, apex)
	z.add("types.%s 3600 IN CAA 0 issue \"ca.example; account=1\"", apex)
	z.add("types.%s 3600 IN CAA 128 iodef \"mailto:a@b.example\"", apex)
	z.add("types.%s 3600 IN HTTPS 1 . alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.7", apex)
	z.add("types.%s 3600 IN TYPE65280 \\# 6 00410A61FF20", apex)
	z.add("types.%s 3600 IN TYPE65280 \\# 0", apex)
	z.add("_sip._tcp.%s 3600 IN SRV 1 2 5060 www.%s", apex, apex)
	z.add("_sip._tcp.%s 3600 IN SRV 0 0 0 .", apex)
	z.add("_8443._https.%s 3600 IN HTTPS 0 www.%s", apex, apex)
	g.ask(otherTypes, "types."+apex, "A", "TXT", "MX", "CAA", "HTTPS", "TYPE65280")
	g.ask(otherTypes, "_sip._tcp."+apex, "SRV")
	g.ask(otherTypes, "_8443._https."+apex, "HTTPS")
	g.ask(noType, "types."+apex, "SRV", "TYPE65281")
	g.ask(emptyNonTerminal, "_tcp."+apex, "SRV")
}

// addWildcard has a wildcard, and names beside it that it must not cover (RFC 4592 section 2.2.1).
func addWildcard(g *generator, z *zone) {
	base := "wild." + z.apex.String()
	z.add("*.%s 3600 IN A %s", base, g.addr4())
	z.add("*.%s 3600 IN TXT \"wildcard\"", base)
	z.add("host.%s 3600 IN MX 1 mail.%s", base, z.apex)
	z.add("x.empty.%s 3600 IN A %s", base, g.addr4())
	g.ask(wildcard, g.nonce()+"."+base, "A", "TXT", "MX")
	g.ask(wildcard, g.nonce()+".b.c."+base, "A")
	g.ask(wildcard, "*."+base, "TXT")
	g.ask(wildcardBlocked, "host."+base, "A")
	g.ask(wildcardBlocked, g.nonce()+".host."+base, "A")
	g.ask(wildcardBlocked, "empty."+base, "TXT")
	g.ask(wildcardBlocked, g.nonce()+".empty."+base, "A")
	g.ask(wildcardBlocked, base, "A")
}

// addWildcardAlias has a wildcard that is an alias into another zone.
func addWildcardAlias(g *generator, z *zone) {
	base := "pages." + z.apex.String()
	z.add("*.%s 3600 IN CNAME www.%s", base, g.other(z).apex)
	g.ask(wildcardAlias, g.nonce()+"."+base, "A", "CNAME", "SRV")
	g.ask(wildcardAlias, g.nonce()+".deeper."+base, "AAAA")
}

// addWildcardBelowEmpty has a wildcard whose parents are empty non-terminals.
func addWildcardBelowEmpty(g *generator, z *zone) {
	base := "e1.e2." + z.apex.String()
	z.add("*.%s 3600 IN AAAA %s", base, g.addr6())
	g.ask(wildcard, g.nonce()+"."+base, "AAAA", "A")
	g.ask(emptyNonTerminal, base, "AAAA")
	g.ask(emptyNonTerminal, "e2."+z.apex.String(), "A")
	g.ask(wildcardBlocked, g.nonce()+".e2."+z.apex.String(), "AAAA")
}

// addRedirectionInside has a DNAME to a subtree of the same zone.
func addRedirectionInside(g *generator, z *zone) {
	apex := z.apex.String()
	z.add("old.%s 3600 IN DNAME new.%s", apex, apex)
	z.add("old.%s 3600 IN TXT \"the owner itself\"", apex)
	z.add("a.new.%s 3600 IN A %s", apex, g.addr4())
	z.add("b.c.new.%s 3600 IN AAAA %s", apex, g.addr6())
	g.ask(dnameInside, "a.old."+apex, "A", "TXT", "CNAME")
	g.ask(dnameInside, "b.c.old."+apex, "AAAA")
	g.ask(dnameInside, "c.old."+apex, "A")
	g.ask(dnameInside, g.nonce()+".old."+apex, "A")
	g.ask(dnameInside, "old."+apex, "DNAME", "TXT", "A")
}

// addRedirectionAcross has a DNAME to a subtree of another zone, with an alias in it.
func addRedirectionAcross(g *generator, z *zone) {
	apex, there := z.apex.String(), g.other(z)
	label := "from" + g.nonce()
	target := label + "." + there.apex.String()
	z.add("moved.%s 3600 IN DNAME %s", apex, target)
	there.add("a.%s 3600 IN A %s", target, g.addr4())
	there.add("b.%s 3600 IN CNAME www.%s", target, g.other(there).apex)
	g.ask(dnameAcross, "a.moved."+apex, "A", "MX")
	g.ask(dnameAcross, "b.moved."+apex, "A", "AAAA")
	g.ask(dnameAcross, g.nonce()+".moved."+apex, "A")
	g.ask(dnameAcross, "moved."+apex, "DNAME")
}

// addApexRedirection makes a whole zone point elsewhere (RFC 6672 section 2.3 allows DNAME at an apex).
func addApexRedirection(g *generator, z *zone) {
	apex, there := z.apex.String(), g.hostedZone()
	z.add("%s 3600 IN DNAME %s", apex, there)
	z.add("%s 3600 IN TXT \"all of it has moved\"", apex)
	g.ask(dnameAcross, "www."+apex, "A", "AAAA")
	g.ask(dnameAcross, apex, "DNAME", "TXT", "SOA", "A")
	g.ask(dnameAcross, g.nonce()+"."+apex, "A")
	g.ask(dnameAcross, "x.y.z."+apex, "A")
}

// hostedZone is the apex of the zone of a hoster.
func (g *generator) hostedZone() name { return mustName(g.pickHosted()[0].name).parent() }

// addLargeText has a TXT RRset of 4 kB, which no UDP answer holds here (RFC 7766 section 5).
func addLargeText(g *generator, z *zone) {
	for i := range 20 {
		z.add("large.%s 3600 IN TXT \"%02d %s\"", z.apex, i, strings.Repeat("x", 200))
	}
	g.ask(largeText, "large."+z.apex.String(), "TXT", "A")
	g.ask(largeText, "large."+z.apex.String(), "TXT")
}

// addDeepLabels has a name eight labels below the apex: no cut, only empty non-terminals on the way.
func addDeepLabels(g *generator, z *zone) {
	base := "d4.d5.d6.d7.d8." + z.apex.String()
	z.add("d1.d2.d3.%s 3600 IN A %s", base, g.addr4())
	g.ask(deepLabels, "d1.d2.d3."+base, "A", "TXT")
	g.ask(deepLabels, "d3."+base, "A")
	g.ask(deepLabels, g.nonce()+".d2.d3."+base, "A")
	g.ask(deepLabels, g.nonce()+"."+base, "AAAA")
	g.ask(deepLabels, "d1.d2.d3."+g.nonce()+"."+base, "AAAA")
}

// addEmptyNonTerminals has names with nothing of their own and data below.
func addEmptyNonTerminals(g *generator, z *zone) {
	apex := z.apex.String()
	z.add("host.rack.floor.%s 3600 IN A %s", apex, g.addr4())
	z.add("a.b.c.floor.%s 3600 IN MX 5 mail.%s", apex, apex)
	g.ask(emptyNonTerminal, "floor."+apex, "A")
	g.ask(emptyNonTerminal, "rack.floor."+apex, "AAAA")
	g.ask(emptyNonTerminal, "b.c.floor."+apex, "MX")
	g.ask(emptyNonTerminal, "host.rack.floor."+apex, "A")
	g.ask(noName, g.nonce()+".rack.floor."+apex, "A")
}

// addOddOctets has names of octets that need care (RFC 2181 section 11: any octet may be in a label).
func addOddOctets(g *generator, z *zone) {
	apex := z.apex.String()
	for _, label := range []string{
		`a\.dot`, `UPPER`, `MiXed-\065Bc`, `\000`, `nul\000inside`, `sp\032ace`, `\255\254\128`, `semi\;colon`, `quo\"te`,
		`back\\slash`, `at\@sign`, `_dmarc`, `star*inside`, `-hyphen-`, strings.Repeat("m", 63),
	} {
		z.add("%s.%s 3600 IN A %s", label, apex, g.addr4())
		z.add("%s.%s 3600 IN TXT \"%s\"", label, apex, g.nonce())
		g.ask(oddOctets, label+"."+apex, "A", "TXT")
	}
	z.add(`alias\.of.%s 3600 IN CNAME \000.%s`, apex, apex)
	g.ask(oddOctets, `alias\.of.`+apex, "A")
	g.ask(oddOctets, `alias.of.`+apex, "A")
	g.ask(oddOctets, `\001.`+apex, "A")
}

// addAliasesInside has a chain of aliases within the zone.
func addAliasesInside(g *generator, z *zone) {
	apex := z.apex.String()
	z.add("c1.%s 3600 IN CNAME c2.%s", apex, apex)
	z.add("c2.%s 3600 IN CNAME C3.x.%s", apex, apex)
	z.add("c3.x.%s 3600 IN CNAME c4.%s", apex, apex)
	z.add("c4.%s 3600 IN A %s", apex, g.addr4())
	g.ask(aliasInside, "c1."+apex, "A", "AAAA", "CNAME")
	g.ask(aliasInside, "c3.x."+apex, "A")
}

// addAliasesToNothing has aliases whose targets do not exist.
func addAliasesToNothing(g *generator, z *zone) {
	apex, there := z.apex.String(), g.other(z).apex
	z.add("gone1.%s 3600 IN CNAME %s.%s", apex, g.nonce(), apex)
	z.add("gone2.%s 3600 IN CNAME %s.%s", apex, g.nonce(), there)
	z.add("gone3.%s 3600 IN CNAME %s.%s.", apex, g.nonce(), g.tldLabel())
	z.add("gone4.%s 3600 IN CNAME %s.", apex, g.nonce())
	for i := range 4 {
		g.ask(aliasToNothing, fmt.Sprintf("gone%d.%s", i+1, apex), "A")
	}
	g.ask(aliasToNothing, "gone2."+apex, "CNAME")
}

// addAliasesAcross chains two to six zones by aliases.
func (g *generator) addAliasesAcross(i int) {
	z := g.other(nil)
	label := fmt.Sprintf("chain%d", i)
	first := label + "." + z.apex.String()
	for range 1 + i%5 {
		next := g.other(z)
		for next.nodes[next.sub(label)] != nil {
			next = g.other(z)
		}
		z.add("%s.%s 3600 IN CNAME %s.%s", label, z.apex, label, next.apex)
		z = next
	}
	z.add("%s.%s 3600 IN A %s", label, z.apex, g.addr4())
	z.add("%s.%s 3600 IN TXT \"end of %s\"", label, z.apex, label)
	g.ask(aliasAcross, first, "A", "TXT", "AAAA")
}
