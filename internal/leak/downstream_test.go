//go:build leak

package leak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// downstream adds the rows of what clients and watchers on their side are shown.
func (a *audit) downstream() {
	a.sizes()
	a.sameService()
	a.snooping()
	a.identity()
	a.table.atMost("tickets", "session tickets given to clients, over all encrypted transports", int(a.asked.tickets.Load()), 0, 0)
	names := slices.Sorted(maps.Keys(a.asked.headers))
	a.table.atMost("headers", "fields in the header of an answer over HTTP: "+strings.Join(names, ", "), a.asked.most, 3, 0)
	a.table.atMost("header names", "such fields, of all answers", len(names), 3, 0)
}

// again is a client that asks what another has asked, from its own address and in its own way.
func (c *client) again(of *client) *client {
	other := *c
	other.asked, other.qtype, other.cd = of.asked, of.qtype, false
	return &other
}

// sizes asks for 60 answers of as many sizes over each encrypted transport.
func (a *audit) sizes() {
	for _, w := range encrypted {
		var clients []*client
		for _, c := range a.plan.of("sizes") {
			other := *c
			other.way, other.cd, other.raw = w, false, nil
			clients = append(clients, &other)
		}
		good, _, replies := a.asked.askAll(a.t.Context(), clients)
		sizes := map[int]bool{}
		for _, r := range replies {
			sizes[r.size] = true
		}
		what := fmt.Sprintf("sizes of %d answers over %s: %v", good, w, slices.Sorted(maps.Keys(sizes)))
		a.table.add("sizes "+string(w), what, fmt.Sprint(len(sizes)), "<= 3", len(sizes) <= 3 && good == len(clients))
	}
}

// sameService asks the same over each transport, and wants the same (RFC 8932 section 5.1.6).
func (a *audit) sameService() {
	different := map[way]bool{}
	asked := append(append(a.plan.of("plain")[:10:10], a.plan.of("absentsigned")[:5]...), a.plan.of("bogus")[:5]...)
	for _, of := range asked {
		first := ""
		for _, w := range allWays {
			other := *of
			other.way, other.cd = w, false
			switch said := a.asked.ask(a.t.Context(), &other, other.message()).said(); {
			case first == "":
				first = said
			case said != first:
				different[w] = true
			}
		}
	}
	a.table.atMost("same service", "transports over which something else is answered than over UDP", len(different), 0, len(allWays))
}

// said is what an answer says, without what differs between transports and seconds: ID, OPT, TTLs.
func (r reply) said() string {
	if r.message == nil {
		return "nothing"
	}
	m := r.message.Copy()
	m.Id = 0
	m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		rr.Header().Ttl = 0
	}
	return m.String()
}

// snooping is to find out what others have asked: by RD=0, and by the TTL.
func (a *audit) snooping() {
	snooped, fresh := a.plan.of("snooped"), a.plan.of("fresh")
	a.asked.askAll(a.t.Context(), snooped)
	asked := time.Now()
	time.Sleep(3 * time.Second) // an age to be seen
	told := 0
	for i, of := range snooped[:10] {
		m := fresh[i].again(of).message()
		m.RecursionDesired = false
		if r := a.asked.ask(a.t.Context(), fresh[i], m); r.message != nil && len(r.message.Answer) > 0 {
			told++
		}
	}
	a.table.atMost("rd", "names that RD=0 tells were asked for", told, 0, 10)
	a.ttls(snooped[10:], fresh, asked)
}

// ttls: a name is betrayed that has a lower TTL than each of 100 that nobody has asked for.
func (a *audit) ttls(snooped, fresh []*client, asked time.Time) {
	var probes []*client
	for i, of := range snooped {
		probes = append(probes, fresh[20+i].again(of))
	}
	age := time.Since(asked)
	_, _, first := a.asked.askAll(a.t.Context(), fresh)
	_, _, second := a.asked.askAll(a.t.Context(), probes)
	lowest, seen := uint32(1<<31), 0
	for _, r := range first {
		if ttl, ok := r.ttl(); ok {
			lowest, seen = min(lowest, ttl), seen+1
		}
	}
	betrayed, found := 0, 0
	for _, r := range second {
		if ttl, ok := r.ttl(); ok {
			found++
			if ttl < lowest {
				betrayed++
			}
		}
	}
	a.table.atLeast("ttls seen", "sanity: TTLs compared", seen+found, 100, 110)
	what := fmt.Sprintf("names that the TTL tells were asked for %.0f s before (below %d of %d)", age.Seconds(), lowest, ttl)
	a.table.atMost("ttl", what, betrayed, 2, found)
}

func (r reply) ttl() (uint32, bool) {
	if r.message == nil || len(r.message.Answer) == 0 {
		return 0, false
	}
	return r.message.Answer[0].Header().Ttl, true
}

// identity asks who tacit is (RFC 4892, RFC 5001), and what only servers ask.
func (a *audit) identity() {
	fresh, told := a.plan.of("fresh"), 0
	questions := []dns.Question{
		{Name: "version.bind.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS},
		{Name: "id.server.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS},
		{Name: "hostname.bind.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS},
		{Name: "version.server.", Qtype: dns.TypeTXT, Qclass: dns.ClassCHAOS},
		{Name: "signed.com.", Qtype: dns.TypeAXFR, Qclass: dns.ClassINET},
	}
	for i, q := range questions {
		m := fresh[i].message()
		m.Question = []dns.Question{q}
		r := a.asked.ask(a.t.Context(), fresh[i], m)
		if r.message == nil {
			continue
		}
		told += len(r.message.Answer)
		if o := r.message.IsEdns0(); o != nil {
			for _, option := range o.Option {
				if option.Option() == dns.EDNS0NSID {
					told++
				}
			}
		}
	}
	a.discovery()
	a.table.atMost("identity", "records and options that tell which server this is", told, 0, 0)
}

// discovery asks how to reach tacit encrypted (RFC 9462 section 6.4: such questions are not forwarded).
func (a *audit) discovery() {
	fresh := a.plan.of("fresh")
	m := fresh[10].message()
	m.Question = []dns.Question{{Name: "_dns.resolver.arpa.", Qtype: dns.TypeSVCB, Qclass: dns.ClassINET}}
	a.asked.ask(a.t.Context(), fresh[10], m)
	left := 0
	for _, p := range a.world.Seen() {
		if strings.HasSuffix(strings.ToLower(p.Name), "resolver.arpa.") {
			left++
		}
	}
	a.table.atMost("ddr", "questions for the designated resolver that left", left, 0, 0)
}
