//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

// A servedZone is a zone file for servers with authority, and the names that are worth asking about.
type servedZone struct {
	apex   string
	lines  []string
	owners []string            // of the records, in the order in which they were made
	types  map[string][]uint16 // what there is at a name in lower case, as asked for in any zone
	beside []string            // other names that show something
	random *rand.Rand
}

// servedCount is how many zones there are: the last of them stand below others of them.
const (
	servedCount = 20
	servedBelow = 6
)

// servedZones makes the zones of a seed, below a top-level domain that no resolver takes for special.
func servedZones(seed uint64) []*servedZone {
	random := rand.New(rand.NewPCG(seed, 7))
	var zones []*servedZone
	for i := range servedCount {
		apex := fmt.Sprintf("zone%d.xa.", i)
		if above := i - (servedCount - servedBelow); above >= 0 {
			apex = fmt.Sprintf("sub%d.%s", i, zones[above].apex)
		}
		zones = append(zones, newServedZone(apex, random))
	}
	for i, z := range zones {
		other := zones[(i+1+random.IntN(servedCount-1))%servedCount]
		for _, add := range []func(*servedZone){
			z.addPlain, z.addWildcards, z.addEmpty, z.addDelegations, z.addAliases, z.addRedirections, z.addOddities,
		} {
			add(other)
		}
		if above := i - (servedCount - servedBelow); above >= 0 && above%3 < 2 { // of the rest, the zone above knows nothing
			zones[above].delegateTo(z)
		}
	}
	return zones
}

func newServedZone(apex string, random *rand.Rand) *servedZone {
	z := &servedZone{apex: apex, types: map[string][]uint16{}, random: random}
	z.lines = []string{"; tacit: flatten=apex", fmt.Sprintf("$TTL %d", z.ttl())}
	z.addRecord("", "SOA", fmt.Sprintf("ns1.%s hostmaster.%s %d 7200 3600 1209600 %d", apex, apex, 1+random.IntN(1e6), z.ttl()))
	z.addRecord("", "NS", "ns1."+apex)
	z.addRecord("", "NS", "ns.elsewhere.invalid.")
	z.addRecord("ns1", "A", z.v4())
	z.addRecord("ns1", "AAAA", z.v6())
	return z
}

// text is the zone file.
func (z *servedZone) text() string { return strings.Join(z.lines, "\n") + "\n" }

// addRecord adds a record at an owner relative to the apex, in a letter case of its own, with the TTL of the zone or one of its own.
func (z *servedZone) addRecord(owner, kind, rdata string) { z.addSet(owner, kind, rdata) }

// addSet adds an RRset. Its records have one TTL (RFC 2181 section 5.2).
func (z *servedZone) addSet(owner, kind string, rdatas ...string) {
	full := z.name(owner)
	ttl := ""
	if z.random.IntN(3) == 0 && kind != "NS" {
		ttl = fmt.Sprint(z.ttl())
	}
	for _, rdata := range rdatas {
		shown := full
		if z.random.IntN(6) == 0 && !strings.Contains(full, `\`) {
			shown = mixCase(z.random, full)
		}
		z.lines = append(z.lines, strings.Join([]string{shown, ttl, "IN", kind, rdata}, " "))
	}
	z.owners = append(z.owners, full)
	z.types[full] = append(z.types[full], typeOf(kind))
}

// ask notes names, relative to the apex, that have no records.
func (z *servedZone) ask(names ...string) {
	for _, n := range names {
		z.beside = append(z.beside, z.name(n))
	}
}

func (z *servedZone) name(relative string) string {
	if relative == "" {
		return z.apex
	}
	return relative + "." + z.apex
}

func (z *servedZone) ttl() int { return []int{0, 30, 60, 300, 3600, 86400}[z.random.IntN(6)] }
func (z *servedZone) v4() string {
	return fmt.Sprintf("192.0.2.%d", 1+z.random.IntN(254))
}
func (z *servedZone) v6() string { return fmt.Sprintf("2001:db8::%x", 1+z.random.IntN(1<<16-1)) }

// addPlain adds names with all types.
func (z *servedZone) addPlain(*servedZone) {
	for i := range 4 {
		host := fmt.Sprintf("host%d", i)
		z.addSet(host, "A", fmt.Sprintf("192.0.2.%d", 10+i), fmt.Sprintf("192.0.2.%d", 20+i))
		if z.random.IntN(2) == 0 {
			z.addRecord(host, "AAAA", z.v6())
		}
	}
	z.addSet("", "MX", "10 host0."+z.apex, "20 nowhere."+z.apex, "30 mx.elsewhere.invalid.")
	z.addSet("", "TXT", `"v=spf1 -all"`, `"Some \"quoted\" \; text" "in parts"`)
	z.addSet("", "CAA", `0 issue "ca.invalid"`, `128 iodef "mailto:ca@invalid"`)
	z.addSet("_dns._udp", "SRV", "0 5 53 host1."+z.apex, "0 5 53 host2."+z.apex)
	z.addRecord("host0", "TYPE65280", `\# 4 0a000001`)
	z.addRecord("host0", "HTTPS", `1 . alpn="h2"`)
	z.addRecord("pointer", "PTR", "host3."+z.apex)
	z.addRecord("mail", "MX", "0 "+mixCase(z.random, "host1."+z.apex))
}

// addWildcards adds those of RFC 4592 section 2.2.1, in other words, and more.
func (z *servedZone) addWildcards(other *servedZone) {
	z.addRecord("*.wild", "TXT", `"any"`)
	z.addRecord("*.wild", "MX", "10 host1."+z.apex)
	z.addRecord("stop.wild", "A", z.v4())
	z.addRecord("_ssh._tcp.stop2.wild", "SRV", "0 0 22 host2."+z.apex)
	z.addRecord("a.*.wild", "TXT", `"no wildcard"`)
	z.addRecord("*.alias.wild", "CNAME", "host1."+z.apex)
	z.addRecord("*.out.wild", "CNAME", "host1."+other.apex)
	z.addRecord("*.dangling.wild", "CNAME", "nothing.here."+z.apex)
	z.addRecord("*.deep.empty", "A", z.v4())
	z.addRecord("*.over.wild", "CNAME", "x.y.wild."+z.apex)
	z.addRecord("x.*.empty3", "A", z.v4())                       // a wildcard that is an empty non-terminal
	z.addRecord("*.round.wild", "CNAME", "x.round.wild."+z.apex) // into itself
	z.ask("x.wild", "y.x.wild", "x.stop.wild", "stop2.wild", "_tcp.stop2.wild", "x._tcp.stop2.wild", "*.wild", "x.*.wild", "b.a.*.wild",
		"*.*.wild", "x.alias.wild", "alias.wild", "y.x.alias.wild", "x.out.wild", "x.dangling.wild", "x.deep.empty", "y.x.deep.empty",
		"deep.empty", "x.empty", "x.over.wild", "y.empty3", "y.x.empty3", "empty3", "*.empty3", "z.*.empty3", "q.round.wild", `\*.wild`, `x\.y.wild`)
	if z.random.IntN(3) == 0 {
		z.addRecord("*", "A", z.v4())
	}
}

// addEmpty adds empty non-terminals.
func (z *servedZone) addEmpty(*servedZone) {
	z.addRecord("a.b.c", "A", z.v4())
	z.addRecord("d.b.c", "TXT", `"beside"`)
	z.addRecord("one.two.three.four.five", "AAAA", z.v6())
	z.ask("b.c", "c", "x.b.c", "x.c", "x.a.b.c", "two.three.four.five", "five", "x.four.five", "*.five")
}

// addDelegations adds zone cuts: with in-domain glue, with glue in the zone and below a sibling, and without any.
func (z *servedZone) addDelegations(other *servedZone) {
	z.addSet("cut1", "NS", "ns.cut1."+z.apex, "NS2.cut1."+z.apex)
	z.addSet("cut1", "DS", "12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	z.addRecord("ns.cut1", "A", z.v4())
	z.addRecord("ns.cut1", "AAAA", z.v6())
	z.addRecord("ns2.cut1", "A", z.v4())
	z.addRecord("www.cut1", "A", z.v4()) // below the cut, and not glue
	z.addRecord("*.cut1", "TXT", `"hidden"`)
	z.addRecord("deeper.cut1", "NS", "ns.deeper.cut1."+z.apex)
	z.addRecord("alias.cut1", "CNAME", "host0."+z.apex)
	z.addSet("cut2", "NS", "ns1."+z.apex, "ns.cut1."+z.apex, "x.wild."+z.apex)
	z.addSet("cut3", "NS", "ns1."+other.apex, "ns.elsewhere.invalid.", "host1."+z.apex)
	z.addRecord("cut4.b.c", "NS", "ns.cut4.b.c."+z.apex)
	z.addRecord("ns.cut4.b.c", "A", z.v4())
	z.addRecord("cut5", "NS", "cut5."+z.apex)
	z.addRecord("cut5", "A", z.v4())
	z.addRecord("*.hosts", "A", z.v4())
	z.addSet("cut6", "NS", "any.hosts."+z.apex, "host2."+z.apex)
	z.ask("x.cut6", "any.hosts", "x.cut1", "y.x.cut1", "x.deeper.cut1", "x.cut2", "x.cut3", "y.x.cut3", "x.cut4.b.c", "x.cut5", "*.cut2")
}

// addAliases adds chains, in the zone and out of it, to nothing, into delegations, and round.
func (z *servedZone) addAliases(other *servedZone) {
	z.addRecord("www", "CNAME", "host0."+z.apex)
	z.addRecord("chain1", "CNAME", "Chain2."+z.apex)
	z.addRecord("chain2", "CNAME", "chain3."+z.apex)
	z.addRecord("chain3", "CNAME", "host1."+z.apex)
	z.addRecord("across", "CNAME", "www."+other.apex)
	z.addRecord("across2", "CNAME", "chain1."+other.apex)
	z.addRecord("back", "CNAME", "across."+other.apex)
	z.addRecord("acrossnone", "CNAME", "nothing.here."+other.apex)
	z.addRecord("acrosscut", "CNAME", "x.cut1."+other.apex)
	z.addRecord("foreign", "CNAME", "www.elsewhere.invalid.")
	z.addRecord("foreign2", "CNAME", "foreign."+z.apex)
	z.addRecord("dangling", "CNAME", "nothing.here."+z.apex)
	z.addRecord("nodata", "CNAME", "b.c."+z.apex)
	z.addRecord("intocut", "CNAME", "x.cut1."+z.apex)
	z.addRecord("atcut", "CNAME", "cut2."+z.apex)
	z.addRecord("towild", "CNAME", "some.wild."+z.apex)
	z.addRecord("towildalias", "CNAME", "some.alias.wild."+z.apex)
	z.addRecord("toapex", "CNAME", z.apex)
	z.addRecord("self", "CNAME", "self."+z.apex)
	z.addRecord("round1", "CNAME", "round2."+z.apex)
	z.addRecord("round2", "CNAME", "round3."+z.apex)
	z.addRecord("round3", "CNAME", "round1."+z.apex)
	z.addRecord("intoround", "CNAME", "round2."+z.apex)
	far := "far" + strings.TrimSuffix(strings.ReplaceAll(z.apex, ".", ""), "xa")
	z.addRecord("farround", "CNAME", far+"."+other.apex)
	other.addRecord(far, "CNAME", "farround."+z.apex)
	z.ask("x.www", "x.chain2", "x.round1")
}

// addRedirections adds DNAMEs.
func (z *servedZone) addRedirections(other *servedZone) {
	z.addRecord("moved", "DNAME", "wild."+z.apex)
	z.addRecord("moved", "TXT", `"of the owner itself"`)
	z.addRecord("away", "DNAME", other.apex)
	z.addRecord("outside", "DNAME", "elsewhere.invalid.")
	z.addRecord("intomoved", "CNAME", "x.moved."+z.apex)
	z.addRecord("twice", "DNAME", "moved."+z.apex)
	z.addRecord("tocut", "DNAME", "cut1."+z.apex)
	z.addRecord("tolong", "DNAME", strings.Repeat(strings.Repeat("l", 60)+".", 3)+z.apex)
	long := strings.Repeat("m", 60)
	z.addRecord("intolong", "CNAME", long+".tolong."+z.apex)
	z.addRecord("inside", "DNAME", "inside2."+z.apex)
	z.addRecord("x.inside2", "CNAME", "host0."+z.apex)
	z.ask("x.moved", "y.x.moved", "stop.moved", "host0.away", "www.away", "cut1.away", "x.cut1.away", "nothing.away", "wild.away", "a.wild.away",
		"x.outside", "x.twice", "stop.twice", "x.tocut", "tocut", "x.tolong", long+".tolong", "x.inside", "y.inside", "*.moved", "round1.away",
		"moved.away", "x.moved.away")
}

// addOddities adds labels that have to be escaped.
func (z *servedZone) addOddities(*servedZone) {
	for _, label := range []string{`with\.dot`, `\000\001zero`, `semi\;colon`, `quote\"d`, `at\@`, `\255\128`, `space\032d`, `back\\slash`, `\(paren\)`, `\$dollar`} {
		z.addRecord(label, "A", z.v4())
		z.addRecord("below."+label, "TXT", `"below"`)
		z.ask("x."+label, label+"x")
	}
	z.addRecord(`to-dot`, "CNAME", `with\.dot.`+z.apex)
	z.ask(`with.dot`, `dot`)
}

// delegateTo adds the cut above a zone that is served as well.
func (z *servedZone) delegateTo(child *servedZone) {
	label := strings.TrimSuffix(child.apex, "."+z.apex)
	z.addSet(label, "NS", "ns1."+child.apex, "ns.elsewhere.invalid.")
	z.addRecord("ns1."+label, "A", z.v4()) // glue that is not what the child says
	z.addRecord(label, "DS", "4711 13 2 fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210")
}

var servedTypes = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeDS, dns.TypeDNAME, 65280, 65281,
}

// A servedQuestion is asked without RD.
type servedQuestion struct {
	name  string
	kind  uint16
	flags flags
}

func (q servedQuestion) String() string { return q.name + " " + dns.Type(q.kind).String() }

// servedQuestions picks questions at, above, below and beside the names of zones, each name with a type that it has, or that could be
// there; half of them are about the names that were made to show something.
func servedQuestions(seed uint64, zones []*servedZone, count int) []servedQuestion {
	random := rand.New(rand.NewPCG(seed, 8))
	asked := map[servedQuestion]bool{}
	var out []servedQuestion
	for _, z := range zones { // of whom the zone above is to be asked
		out = append(out, servedQuestion{name: z.apex, kind: dns.TypeDS})
		asked[out[len(out)-1]] = true
	}
	for len(out) < count {
		z := zones[random.IntN(len(zones))]
		name := z.pick(random)
		kind := servedTypes[random.IntN(len(servedTypes))]
		switch have := z.types[name]; {
		case len(have) > 0 && random.IntN(3) == 0:
			kind = have[random.IntN(len(have))]
		case random.IntN(4) == 0:
			kind = dns.TypeA
		}
		if q := (servedQuestion{name: name, kind: kind}); !asked[q] {
			asked[q] = true
			if random.IntN(4) == 0 {
				q.flags = wantSignatures
			}
			if random.IntN(5) == 0 && !strings.Contains(name, `\`) {
				q.name = mixCase(random, name)
			}
			out = append(out, q)
		}
	}
	return out
}

// pick chooses a name.
func (z *servedZone) pick(random *rand.Rand) string {
	name := z.owners[random.IntN(len(z.owners))]
	if random.IntN(2) == 0 {
		name = z.beside[random.IntN(len(z.beside))]
	}
	_, above, _ := strings.Cut(name, ".")
	switch random.IntN(10) {
	case 0:
		name = "below." + name
	case 1:
		name = "far.below." + name
	case 2:
		if dns.IsSubDomain(z.apex, above) && !strings.Contains(name, `\`) {
			name = above
		}
	case 3:
		if dns.IsSubDomain(z.apex, above) && !strings.Contains(name, `\`) {
			name = "beside." + above
		}
	case 4:
		if !strings.Contains(name, `\`) {
			name = "a" + name // next to it in canonical order
		}
	}
	if _, ok := dns.IsDomainName(name); !ok || len(name) > 250 {
		return z.apex
	}
	return name
}
