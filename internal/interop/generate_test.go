//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A generator fills a world. The same seed makes the same world and the same questions.
type generator struct {
	*world
	random *rand.Rand
	tlds   []*tld
	leaves []*instance // servers of what lies below the TLDs
	hosted []*host     // name servers with glue that zones elsewhere use
	made   int         // zones below the TLDs
}

// A tld is a top-level domain and the servers that have it.
type tld struct {
	label   string
	servers []*instance
}

// zoneCount is how many zones lie below the TLDs.
const zoneCount = 200

// generate makes the world of a seed.
func generate(seed uint64) *world {
	g := &generator{
		world:  &world{zones: make(map[name]*zone)},
		random: rand.New(rand.NewPCG(seed, seed)),
	}
	g.addTop()
	for i := range 4 {
		g.leaves = append(g.leaves, g.addInstance(fmt.Sprintf("leaf%d", i+1), software(i%2), 6))
	}
	g.addHosters()
	g.addDelegations()
	g.addContents()
	g.askAboutTop()
	return g.world
}

// addTop makes the root and five TLDs, split between the two server programs. The TLD names are one from RFC 2606 and
// four that ISO 3166 leaves to its users, so that no resolver takes them for special.
func (g *generator) addTop() {
	rootNSD, rootKnot := g.addInstance("root-nsd", nsd, 3), g.addInstance("root-knot", knot, 3)
	topNSD, topKnot := g.addInstance("tld-nsd", nsd, 4), g.addInstance("tld-knot", knot, 4)
	g.roots = []*host{
		rootNSD.addHost("a.rootns.", bothFamilies), rootKnot.addHost("b.rootns.", bothFamilies),
		rootNSD.addHost("c.rootns.", onlyIPv6), rootKnot.addHost("d.rootns.", onlyIPv4),
	}
	g.addZone(".", plainZone, g.roots, nil)
	g.tlds = []*tld{
		{"example", []*instance{topNSD}},
		{"xa", []*instance{topNSD, topNSD}},
		{"xb", []*instance{topNSD, topKnot}},
		{"xc", []*instance{topKnot, topKnot}},
		{"zz", []*instance{rootNSD, rootKnot}}, // root and TLD on the same servers
	}
	for _, t := range g.tlds {
		var hosts []*host
		for i, s := range t.servers {
			hosts = append(hosts, s.addHost(fmt.Sprintf("ns%d.nic.%s.", i+1, t.label), bothFamilies))
		}
		g.addZone(t.label+".", plainZone, hosts, nil)
	}
}

// addHosters makes the zones in which other zones' name servers have their names.
func (g *generator) addHosters() {
	for i := range 4 {
		apex := fmt.Sprintf("hoster%d.%s.", i+1, g.tlds[i%len(g.tlds)].label)
		hosts := g.hostsIn(apex, bothFamilies, g.leaves[i], g.leaves[(i+1)%4])
		g.add(apex, plainZone, hosts, nil)
		g.hosted = append(g.hosted, hosts...)
	}
}

// addDelegations makes every other zone; a kind's number of zones is written beside it.
func (g *generator) addDelegations() {
	for i := range 30 {
		g.addGlueless(fmt.Sprintf("hosted%02d", i), g.pickHosted())
	}
	for i := range 5 { // 5 zones in the middle and 10 at the end of a chain of two glueless delegations
		g.addGluelessChain(i)
	}
	for i := range 10 {
		g.addOnlyIPv6(i)
	}
	for i := range 8 {
		g.addLame(i)
		g.addDead(i)
		g.addDeepCuts(i) // 3 zones each
		g.addBelowEmpty(i)
	}
	for i := range 6 {
		g.addParentWithChild(i) // 2 zones each
		g.addSkippingCut(i)     // 2 zones each
	}
	for i := range 4 {
		g.addBesideTLD(i)
	}
	for i := 0; g.made < zoneCount; i++ {
		apex := fmt.Sprintf("plain%02d.%s.", i, g.tldLabel())
		g.add(apex, plainZone, g.hostsIn(apex, bothFamilies, g.leafPair()...), nil)
	}
}

// add makes one zone below the TLDs.
func (g *generator) add(apex string, kind class, serving, broken []*host) *zone {
	g.made++
	return g.addZone(apex, kind, serving, broken)
}

// hostsIn makes one host for each instance, named within the zone.
func (g *generator) hostsIn(apex string, f family, instances ...*instance) []*host {
	var hosts []*host
	for i, s := range instances {
		hosts = append(hosts, s.addHost(fmt.Sprintf("ns%d.%s", i+1, apex), f))
	}
	return hosts
}

func (g *generator) tldLabel() string { return g.tlds[g.random.IntN(len(g.tlds))].label }

// leafPair picks two different servers.
func (g *generator) leafPair() []*instance {
	i := g.random.IntN(len(g.leaves))
	j := (i + 1 + g.random.IntN(len(g.leaves)-1)) % len(g.leaves)
	return []*instance{g.leaves[i], g.leaves[j]}
}

// otherLeaf picks a server that is none of those given.
func (g *generator) otherLeaf(used []*instance) *instance {
	for {
		s := g.leaves[g.random.IntN(len(g.leaves))]
		if s != used[0] && s != used[1] {
			return s
		}
	}
}

func (g *generator) pickHosted() []*host {
	i := 2 * g.random.IntN(len(g.hosted)/2)
	return g.hosted[i : i+2]
}

// addGlueless delegates to hosts named out of bailiwick.
func (g *generator) addGlueless(label string, hosts []*host) {
	g.add(label+"."+g.tldLabel()+".", gluelessZone, hosts, nil)
}

// addGluelessChain delegates to hosts whose own zone is glueless too.
func (g *generator) addGluelessChain(i int) {
	middle := fmt.Sprintf("middle%d.%s.", i, g.tldLabel())
	g.add(middle, gluelessZone, g.pickHosted(), nil)
	hosts := g.hostsIn(middle, bothFamilies, g.leafPair()...)
	for _, h := range hosts {
		g.addAddresses(h)
	}
	for j := range 2 {
		g.addGlueless(fmt.Sprintf("chained%d-%d", i, j), hosts)
	}
}

func (g *generator) addOnlyIPv6(i int) {
	apex := fmt.Sprintf("six%02d.%s.", i, g.tldLabel())
	g.add(apex, ipv6Zone, g.hostsIn(apex, onlyIPv6, g.leafPair()...), nil)
}

// addLame puts a server that does not have the zone (it answers REFUSED) beside one that does.
func (g *generator) addLame(i int) {
	apex := fmt.Sprintf("lame%02d.%s.", i, g.tldLabel())
	pair := g.leafPair()
	hosts := g.hostsIn(apex, bothFamilies, pair...)
	g.add(apex, lameZone, hosts[:1], hosts[1:])
}

// addDead puts a server that says nothing beside one that answers.
func (g *generator) addDead(i int) {
	apex := fmt.Sprintf("dead%02d.%s.", i, g.tldLabel())
	hosts := g.hostsIn(apex, bothFamilies, g.leafPair()[0])
	g.add(apex, deadZone, hosts, []*host{g.addSilent("ns9." + apex)})
}

// addDeepCuts makes three cuts below the TLD, each on servers of its own.
func (g *generator) addDeepCuts(i int) {
	apex := fmt.Sprintf("deep%d.%s.", i, g.tldLabel())
	for range 3 {
		g.add(apex, deepZone, g.hostsIn(apex, bothFamilies, g.leafPair()...), nil)
		apex = "sub." + apex
	}
}

// addBelowEmpty delegates from the TLD below one of its empty non-terminals: three labels are needed there.
func (g *generator) addBelowEmpty(i int) {
	apex := fmt.Sprintf("shop%d.co.%s.", i, g.tldLabel())
	g.add(apex, belowEmptyZone, g.hostsIn(apex, bothFamilies, g.leafPair()...), nil)
}

// addParentWithChild puts a child on all of its parent's servers, or on one of them only.
func (g *generator) addParentWithChild(i int) {
	apex := fmt.Sprintf("family%d.%s.", i, g.tldLabel())
	pair := g.leafPair()
	g.add(apex, sharedZone, g.hostsIn(apex, bothFamilies, pair...), nil)
	if i%2 == 1 {
		pair[1] = g.otherLeaf(pair)
	}
	child := "child." + apex
	g.add(child, sharedZone, g.hostsIn(child, bothFamilies, pair...), nil)
}

// addSkippingCut delegates two labels below the parent's apex at once.
func (g *generator) addSkippingCut(i int) {
	apex := fmt.Sprintf("skip%d.%s.", i, g.tldLabel())
	g.add(apex, skippingZone, g.hostsIn(apex, bothFamilies, g.leafPair()...), nil)
	child := "a.b." + apex
	g.add(child, skippingZone, g.hostsIn(child, bothFamilies, g.leafPair()...), nil)
}

// addBesideTLD puts a zone on the servers of its TLD.
func (g *generator) addBesideTLD(i int) {
	t := g.tlds[i%len(g.tlds)]
	apex := fmt.Sprintf("same%d.%s.", i, t.label)
	g.add(apex, sharedZone, g.hostsIn(apex, bothFamilies, t.servers...), nil)
}

// askAboutTop asks for names that the root and the TLDs alone decide on.
func (g *generator) askAboutTop() {
	for i := range 60 {
		prefix, middle := strings.Repeat("x.", i%4), ""
		if i%5 == 0 {
			middle = ".none" // asked about again and again: nothing is below a name that does not exist (RFC 8020)
		}
		g.ask(noTLD, prefix+g.nonce()+middle+".", "A")
		for _, t := range g.tlds {
			g.ask(noZone, prefix+g.nonce()+middle+"."+t.label+".", "AAAA")
		}
	}
	for _, t := range g.tlds {
		for _, text := range []string{"SOA", "NS", "DS", "MX", "HTTPS"} {
			g.ask(apexData, t.label+".", text)
		}
		g.ask(emptyNonTerminal, "nic."+t.label+".", "A")
		g.ask(serverAddress, "ns1.nic."+t.label+".", "AAAA")
	}
	for _, text := range []string{"SOA", "NS", "A"} {
		g.ask(apexData, ".", text)
	}
	g.ask(emptyNonTerminal, "rootns.", "TXT")
	for _, h := range g.roots {
		g.ask(serverAddress, h.name, "A")
		g.ask(serverAddress, h.name, "AAAA")
	}
}

// nonce is a label that no zone has.
func (g *generator) nonce() string { return fmt.Sprintf("q%07x", g.random.Uint32()>>4) }
