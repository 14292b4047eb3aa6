//go:build interop

package interop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/miekg/dns"
)

// A word is what a server with authority says: RCODE, AA, and the records of each section, sorted.
type word struct {
	rcode                         int
	authoritative                 bool
	answer, authority, additional []string
}

func wordOf(m *dns.Msg) word {
	return word{m.Rcode, m.Authoritative, recordsOf(m.Answer), recordsOf(m.Ns), recordsOf(m.Extra)}
}

// recordsOf gives records in a form in which those that are equal look equal: letter case is none of owners, nor of names in RDATA
// that may be compressed (RFC 4343 section 3, RFC 1035 section 4.1.4).
func recordsOf(section []dns.RR) []string {
	var list []string
	for _, rr := range section {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		rdata := strings.TrimPrefix(rr.String(), h.String())
		switch h.Rrtype {
		case dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypePTR, dns.TypeMX, dns.TypeSRV, dns.TypeDNAME:
			rdata = strings.ToLower(rdata)
		}
		if unknown, ok := rr.(*dns.RFC3597); ok {
			rdata = unknown.Rdata
		}
		list = append(list, fmt.Sprintf("%s %d %s %s", mustName(h.Name).String(), h.Ttl, dns.Type(h.Rrtype), rdata))
	}
	slices.Sort(list)
	return list
}

func (w *word) equal(o *word) bool {
	return w.rcode == o.rcode && w.authoritative == o.authoritative && slices.Equal(w.answer, o.answer) &&
		slices.Equal(w.authority, o.authority) && slices.Equal(w.additional, o.additional)
}

// lies are words that differ in one thing.
func (w *word) lies() []word {
	rcode, aa := *w, *w
	rcode.rcode ^= dns.RcodeNameError
	aa.authoritative = !aa.authoritative
	list := []word{rcode, aa}
	for _, at := range []func(*word) *[]string{
		func(w *word) *[]string { return &w.answer },
		func(w *word) *[]string { return &w.authority },
		func(w *word) *[]string { return &w.additional },
	} {
		more, less := *w, *w
		section := at(&more)
		*section = append(slices.Clone(*section), "x. 0 A 192.0.2.1")
		list = append(list, more)
		if section = at(&less); len(*section) > 0 {
			*section = (*section)[1:]
			list = append(list, less)
		}
	}
	return list
}

func (w *word) String() string {
	aa := ""
	if w.authoritative {
		aa = " aa"
	}
	return fmt.Sprintf("%s%s\n  answer     %s\n  authority  %s\n  additional %s", dns.RcodeToString[w.rcode], aa,
		strings.Join(w.answer, ", "), strings.Join(w.authority, ", "), strings.Join(w.additional, ", "))
}

// An oracle is a server whose word is taken as right, but for what a rule allows.
type oracle struct {
	name  string
	zones []*servedZone
	ask   func(servedQuestion) word
	rules []rule
	used  map[string]int // rules, by how often they were needed
}

// A rule is a difference that an RFC allows, or wants. It changes what the oracle said into what tacit has to say, and does nothing
// where it does not apply.
type rule struct {
	name  string
	apply func(o *oracle, q servedQuestion, w word) word
}

// expect returns what tacit has to say, and the rules by which that differs from the oracle's word.
func (o *oracle) expect(q servedQuestion, w word) (want word, needed []string) {
	for _, r := range o.rules {
		changed := r.apply(o, q, w)
		if !changed.equal(&w) {
			needed = append(needed, r.name)
		}
		w = changed
	}
	return w, needed
}

// report lists the rules that were needed. One that no question needs does not belong here.
func (o *oracle) report(t *testing.T) {
	t.Helper()
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(o.used)) {
		fmt.Fprintf(table, "%d\t%s\n", o.used[name], name)
	}
	_ = table.Flush()
	t.Logf("differences that rules explain:\n%s", b.String())
	for _, r := range o.rules {
		if o.used[r.name] == 0 && *seed == 1 {
			t.Errorf("no question needs the rule %q", r.name)
		}
	}
}

// zoneOf returns the served zone that a name belongs to.
func (o *oracle) zoneOf(n name) (best *servedZone) {
	for _, z := range o.zones {
		if apex := mustName(z.apex); n.isAtOrBelow(apex) && (best == nil || apex.isBelow(mustName(best.apex))) {
			best = z
		}
	}
	return best
}

// way follows the CNAME records of an answer from a name, and returns the last that has one and where it leads; round is set when
// that has been passed. last is empty where there is none.
func (w *word) way(from name) (last, target name, round bool) {
	passed := map[name]bool{}
	for target = from; !passed[target]; {
		passed[target] = true
		next, found := w.alias(target)
		if !found {
			return last, target, false
		}
		last, target = target, next
	}
	return last, target, true
}

func (w *word) alias(owner name) (target name, found bool) {
	for _, text := range w.answer {
		f := strings.Fields(text)
		if len(f) == 4 && f[2] == "CNAME" && f[0] == owner.String() {
			return mustName(f[3]), true
		}
	}
	return "", false
}

// knotRules are how tacit differs from Knot DNS 3.2.
var knotRules = []rule{
	{"RFC 1034 section 4.3.2 step 3a: an alias into another zone that is served is followed there", (*oracle).followAcross},
	{"RFC 1034 section 3.6.2: aliases that go round are an error", (*oracle).failRound},
	{"RFC 1034 section 4.3.2 step 6: addresses beside MX, NS and SRV records are as the server likes", (*oracle).leaveAdditional},
	{"RFC 1034 section 4.3.2 step 6: the addresses in a referral are those in the file; wildcards make none", (*oracle).leaveExpanded},
	{"RFC 4035 section 3.1.4: a DS RRset that is there goes with the referral, if DO is set (others hold that to be for signed zones)", (*oracle).addDS},
	{"RFC 6672 section 3.2 step 3c: a name that becomes too long ends the search (knotd goes on with the target of the DNAME)", (*oracle).stopTooLong},
}

// nsdRules are how tacit differs from NSD 4.6.
var nsdRules = []rule{
	{"RFC 1034 section 3.6.2: aliases that go round are an error", (*oracle).failRound},
	{"RFC 1034 section 4.3.2 steps 4 and 6: the name servers of the zone need not stand beside an answer", (*oracle).leaveServers},
	{"RFC 1034 section 4.3.2 step 6: addresses beside MX, NS and SRV records are as the server likes", (*oracle).leaveAdditional},
	{"RFC 1034 section 4.3.2 step 6: the addresses in a referral are those in the file; wildcards make none", (*oracle).leaveExpanded},
	{"RFC 4035 section 3.1.4: a DS RRset that is there goes with the referral, if DO is set (others hold that to be for signed zones)", (*oracle).addDS},
	{"RFC 4035 section 3.1.4.1: the DS RRset is the upper zone's, which has no such name (NSD knows it from the lower one)", (*oracle).denyUnknownChild},
}

// followAcross asks the oracle itself for the first name that an alias leads to in another zone, and puts what it says behind the
// way there.
func (o *oracle) followAcross(q servedQuestion, w word) word {
	if q.kind == dns.TypeCNAME {
		return w
	}
	answer := []string{}
	asked := map[string]bool{}
	for at := q.name; ; {
		way, target := o.leave(at, &w)
		answer = append(answer, way...)
		if target == "" {
			break
		}
		if asked[target] { // round, which is judged by who has the whole way
			w = word{rcode: dns.RcodeSuccess, authoritative: w.authoritative}
			break
		}
		asked[target], at = true, target
		authoritative := w.authoritative
		w = o.ask(servedQuestion{target, q.kind, q.flags})
		w.authoritative = authoritative
	}
	w.answer = slices.Compact(slices.Sorted(slices.Values(append(answer, w.answer...))))
	return w
}

// leave returns the records by which aliases lead from a name into another zone that is served, and the name there; the name is empty
// where they do not.
func (o *oracle) leave(from string, w *word) (way []string, target string) {
	passed := map[name]bool{}
	for at := mustName(from); !passed[at]; {
		passed[at] = true
		next, found := w.alias(at)
		if !found {
			return nil, ""
		}
		way = append(way, w.from(at)...)
		if z := o.zoneOf(next); z != nil && z != o.zoneOf(at) {
			return way, next.String()
		}
		at = next
	}
	return nil, ""
}

// from returns the CNAME record of a name, and the DNAME records above it.
func (w *word) from(owner name) (list []string) {
	for _, text := range w.answer {
		f := strings.Fields(text)
		if f[2] == "CNAME" && f[0] == owner.String() || f[2] == "DNAME" && owner.isBelow(mustName(f[0])) {
			list = append(list, text)
		}
	}
	return list
}

func (o *oracle) failRound(q servedQuestion, w word) word {
	if _, _, round := w.way(mustName(q.name)); round && q.kind != dns.TypeCNAME {
		w.rcode, w.authoritative = dns.RcodeServerFailure, false
	}
	return w
}

// leaveServers takes the NS records of an apex away from the authority section of an answer, with their addresses.
func (o *oracle) leaveServers(_ servedQuestion, w word) word {
	apex := func(text string) bool {
		return isNS(text) && slices.ContainsFunc(o.zones, func(z *servedZone) bool { return strings.HasPrefix(text, z.apex+" ") })
	}
	if !w.authoritative || len(w.answer) == 0 || !slices.ContainsFunc(w.authority, apex) {
		return w
	}
	only := word{answer: w.authority, additional: w.additional}
	w.additional = o.leaveAdditional(servedQuestion{}, only).additional
	w.authority = slices.DeleteFunc(slices.Clone(w.authority), apex)
	return w
}

// leaveAdditional takes the addresses of names in the answer away.
func (o *oracle) leaveAdditional(_ servedQuestion, w word) word {
	hosts := map[string]bool{}
	for _, text := range w.answer {
		if f := strings.Fields(text); f[2] == "MX" || f[2] == "NS" || f[2] == "SRV" {
			hosts[f[len(f)-1]] = true
		}
	}
	w.additional = slices.DeleteFunc(slices.Clone(w.additional), func(text string) bool {
		f := strings.Fields(text)
		return hosts[f[0]] && (f[2] == "A" || f[2] == "AAAA")
	})
	return w
}

// leaveExpanded takes the addresses away that a referral has of names which are not in the file.
func (o *oracle) leaveExpanded(q servedQuestion, w word) word {
	z := o.zoneOf(mustName(q.name))
	if z == nil || !slices.ContainsFunc(w.authority, isNS) {
		return w
	}
	w.additional = slices.DeleteFunc(slices.Clone(w.additional), func(text string) bool {
		owner := strings.Fields(text)[0]
		return !slices.ContainsFunc(o.zones, func(z *servedZone) bool { return len(z.types[owner]) > 0 })
	})
	return w
}

// denyUnknownChild makes NXDOMAIN of the DS RRset of a zone of which the zone above knows nothing.
func (o *oracle) denyUnknownChild(q servedQuestion, w word) word {
	apex := mustName(q.name)
	child, above := o.zoneOf(apex), o.zoneOf(apex.parent())
	if q.kind == dns.TypeDS && child != nil && mustName(child.apex) == apex && above != nil && above.types[child.apex] == nil && above.types["*."+above.apex] == nil {
		w.rcode = dns.RcodeNameError
	}
	return w
}

// addDS adds to a referral what the oracle says of the keys below the cut.
func (o *oracle) addDS(q servedQuestion, w word) word {
	if i := slices.IndexFunc(w.authority, isNS); i >= 0 && q.flags&wantSignatures != 0 {
		ds := o.ask(servedQuestion{name: strings.Fields(w.authority[i])[0], kind: dns.TypeDS})
		w.authority = slices.Sorted(slices.Values(slices.Concat(w.authority, ds.answer)))
	}
	return w
}

func isNS(text string) bool { return strings.Fields(text)[2] == "NS" }

// stopTooLong ends an answer with the DNAME that makes the name too long.
func (o *oracle) stopTooLong(q servedQuestion, w word) word {
	_, target, _ := w.way(mustName(q.name))
	for _, text := range w.answer {
		f := strings.Fields(text)
		if f[2] != "DNAME" || !target.isBelow(mustName(f[0])) {
			continue
		}
		if len(target)-len(mustName(f[0]))+len(mustName(f[3])) > 255 {
			w.rcode, w.authority = dns.RcodeYXDomain, nil
			w.answer = slices.DeleteFunc(slices.Clone(w.answer), func(text string) bool { return strings.HasPrefix(text, f[3]+" ") })
		}
	}
	return w
}
