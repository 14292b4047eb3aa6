//go:build leak

package leak

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// A sighting is a query as a server saw it, and whose it is, if a marked name is in it.
type sighting struct {
	testnet.Packet
	role  string
	owner *client
}

func (a *audit) sightings() []sighting {
	var list []sighting
	for _, p := range a.world.Seen() {
		s := sighting{Packet: p, role: role(p.Server)}
		for label := range strings.SplitSeq(strings.ToLower(p.Name), ".") {
			if c := a.plan.byName[label]; c != nil {
				s.owner = c
			}
		}
		list = append(list, s)
	}
	return list
}

// upstream adds the rows of what name servers, and all others, were told.
func (a *audit) upstream() {
	seen := a.sightings()
	a.table.atLeast("upstream.queries", "sanity: queries that name servers noted", len(seen), 500, 0)
	a.exposure(seen)
	a.clientBits(seen)
	a.letterCase(seen)
	a.flags(seen)
	a.numbers(seen)
	a.cookies(seen)
	a.telemetry(seen)
	a.addressees()
}

// exposure is what the top of the tree learned (RFC 9156).
func (a *audit) exposure(seen []sighting) {
	excess, top, junk := 0, 0, map[*client]bool{}
	shown := map[class]map[*client]bool{"mistyped": {}, "special": {}, "refused": {}, "malformed": {}, "garbage": {}}
	for _, s := range seen {
		labels, needed := dns.CountLabel(s.Name), map[string]int{"root": 1, "TLD": 2}[s.role]
		if needed > 0 {
			top++
			excess += max(0, labels-needed)
		}
		if s.owner == nil {
			continue
		}
		if s.owner.class == "junk" && s.role == "root" {
			junk[s.owner] = true
		}
		if set := shown[s.owner.class]; set != nil {
			set[s.owner] = true
		}
	}
	a.table.atMost("excess", "labels beyond the one needed, at the root and TLDs", excess, 0, top)
	a.table.atMost("junk", "names in TLDs that do not exist, shown to the root beyond the TLD", len(junk), 0, len(a.plan.of("junk")))
	for c, what := range map[class]string{"special": "special-use names that left", "refused": "refused clients whose name left", "malformed": "names in malformed messages that left", "garbage": "names in what was no handshake that left"} {
		a.table.atMost(string(c), what, len(shown[c]), 0, len(a.plan.of(c)))
	}
	a.table.atMost("mistyped", "mistyped names that a signed TLD was asked for", len(shown["mistyped"]), 1, len(a.plan.of("mistyped")))
	types := map[uint16]bool{}
	for _, s := range seen {
		if odd := slices.Contains(oddTypes, s.Type); odd && s.role != "leaf" {
			types[s.Type] = true
		}
	}
	a.table.atMost("types", "types of clients' questions shown to the root and TLDs", len(types), 0, len(oddTypes))
}

// clientBits looks for what clients sent beside the question.
func (a *audit) clientBits(seen []sighting) {
	options, prefixes, cookies := 0, 0, 0
	for _, s := range seen {
		for _, o := range s.Options {
			switch o.Option() {
			case dns.EDNS0SUBNET, dns.EDNS0NSID, 65001:
				options++
			}
		}
		if s.owner != nil {
			prefixes += bytes.Count(s.Bytes, append([]byte{24, 0}, s.owner.prefix.AsSlice()[:3]...)) + bytes.Count(s.Bytes, s.owner.option)
			cookies += bytes.Count(s.Bytes, s.owner.cookie)
		}
	}
	a.table.atMost("options", "client subnets, NSID and unknown options upstream", options, 0, len(seen))
	a.table.atMost("option octets", "octets of clients' subnets and options in queries", prefixes, 0, len(seen))
	a.table.atMost("client cookies", "clients' cookies upstream", cookies, 0, len(seen))
}

// letterCase compares the marker as it was asked and as it was seen. Ours is random: one of 2^16 is the same.
func (a *audit) letterCase(seen []sighting) {
	const sample = 20
	copied := map[*client]bool{} // until it was seen in another
	for _, s := range seen {
		c := s.owner
		_, tried := copied[c]
		if c == nil || s.role != "leaf" || len(copied) == sample && !tried {
			continue
		}
		start := strings.Index(strings.ToLower(c.asked), c.marker)
		copied[c] = (copied[c] || !tried) && strings.Contains(s.Name, c.asked[start:start+len(c.marker)])
	}
	a.table.atMost("letter case", "clients whose letter case was copied", of(copied, a.plan.clients), 0, len(copied))
	a.table.atLeast("letter case tried", "sanity: of so many", len(copied), sample, 0)
}

// flags are constant, whatever the client's are. Servers that cannot speak EDNS are told less: a second kind of query.
func (a *audit) flags(seen []sighting) {
	with, without := map[string]int{}, map[string]int{}
	for _, s := range seen {
		key := fmt.Sprintf("RD %t CD %t AD %t DO %t size %d", s.RD, s.CD, s.AD, s.DO, s.UDPSize)
		if s.EDNS {
			with[key]++
		} else {
			without[key]++
		}
	}
	a.table.atMost("flags", "kinds of header and EDNS in queries: "+strings.Join(slices.Collect(maps.Keys(with)), "; "), len(with), 1, 0)
	a.table.atMost("flags without EDNS", "kinds of header in queries without EDNS", len(without), 1, 0)
}

// numbers are IDs and ports. By chance one of 65,536 is a client's.
func (a *audit) numbers(seen []sighting) {
	ids, ports, owned := 0, 0, 0
	for _, s := range seen {
		if s.owner == nil {
			continue
		}
		owned++
		if s.ID == s.owner.id {
			ids++
		}
		if s.From.Port() == s.owner.port {
			ports++
		}
	}
	a.table.atMost("ids", "queries with the client's message ID", ids, 1, owned)
	a.table.atMost("ports", "queries from the client's port", ports, 1, owned)
}

// cookies are for one server each (RFC 9018 section 3: a client cookie may not be shared).
func (a *audit) cookies(seen []sighting) {
	servers := map[string]map[netip.Addr]bool{}
	for _, s := range seen {
		for _, o := range s.Options {
			if cookie, ok := o.(*dns.EDNS0_COOKIE); ok && len(cookie.Cookie) >= 16 {
				own := cookie.Cookie[:16]
				if servers[own] == nil {
					servers[own] = map[netip.Addr]bool{}
				}
				servers[own][s.To.Addr()] = true
			}
		}
	}
	shared := 0
	for _, s := range servers {
		if len(s) > 1 {
			shared++
		}
	}
	a.table.atMost("shared cookies", "cookies of our own that more than one server saw", shared, 0, len(servers))
}

// telemetry is what resolvers tell of themselves by questions (RFC 8145 section 5), to whom errors are reported (RFC 9567), and
// which version there is.
func (a *audit) telemetry(seen []sighting) {
	told := 0
	for _, s := range seen {
		name := strings.ToLower(s.Name)
		if strings.HasPrefix(name, "_ta-") || strings.Contains(name, "_er.") || s.Class != dns.ClassINET {
			told++
		}
		for _, o := range s.Options {
			if o.Option() == 14 { // edns-key-tag
				told++
			}
		}
	}
	a.table.atMost("telemetry", "queries that tell of tacit itself: key tags, error reports, versions", told, 0, len(seen))
}

// addressees are planned: the name servers, tacit, and its clients.
func (a *audit) addressees() {
	planned := map[netip.Addr]bool{front4: true, front6: true}
	for _, s := range a.world.Servers() {
		for _, at := range s.Addresses() {
			planned[at.Addr()] = true
		}
	}
	for _, c := range a.plan.clients {
		planned[c.address] = true
	}
	strangers, packets := a.watch.beyond(planned)
	a.table.atMost("strangers", fmt.Sprintf("addresses of nobody's that packets went to: %v", strangers), len(strangers), 0, 0)
	a.table.atLeast("packets", "sanity: packets that the capture saw", packets, 2000, 0)
}

// encryption asks for names of a server that encrypts, when tacit had the time to find out (RFC 9539).
func (a *audit) encryption() {
	const first = 20 // in two rounds: a server has two addresses
	clients := a.plan.of("crypt")
	for round := range 2 {
		a.asked.askAll(a.t.Context(), clients[round*first/2:(round+1)*first/2])
		a.awaitSession(6 * time.Second)
	}
	a.asked.askAll(a.t.Context(), clients[first:])
	late := map[*client]bool{}
	for _, c := range clients[first:] {
		late[c] = true
	}
	hidden, total, unpadded := 0, 0, 0
	for _, s := range a.sightings() {
		if !late[s.owner] || !encrypting(s.Server) {
			continue
		}
		total++
		if s.Transport == overDoT || s.Transport == overDoQ {
			hidden++
			if len(s.Bytes)%128 != 0 {
				unpadded++
			}
		}
	}
	share := 100 * hidden / max(total, 1)
	a.sessions(share, unpadded, hidden)
}

// sessions adds the rows of encryption, which wait until tacit can.
func (a *audit) sessions(share, unpadded, hidden int) {
	named, resumed := 0, 0
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	for _, s := range a.world.sessions {
		if s.sni != "" {
			named++
		}
		if s.resumed {
			resumed++
		}
	}
	a.table.atLeast("encrypted", "share of queries that were encrypted, to servers that can, in percent", share, 95, 0)
	a.table.atMost("sni", "encrypted sessions that name the server", named, 0, len(a.world.sessions))
	a.table.atMost("resumed", "encrypted sessions that were resumed", resumed, 0, len(a.world.sessions))
	a.table.atMost("unpadded", "encrypted queries that are not padded to 128 octets", unpadded, 0, hidden)
}

// awaitSession waits for tacit to have tried an encrypted transport, if it can at all.
func (a *audit) awaitSession(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		a.world.mu.Lock()
		found := len(a.world.sessions) > 0
		a.world.mu.Unlock()
		if found {
			time.Sleep(time.Second) // that it has worked is to be remembered, too
			return
		}
	}
}
