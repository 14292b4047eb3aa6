//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// An outcome is what an answer says: the RCODE and the answer section.
type outcome struct {
	rcode   int
	answers []dns.RR
}

// truth answers a question from the zone data alone, by the algorithm of RFC 1034 section 4.3.2 as changed by RFC 4592
// section 3.3.1 and RFC 6672 section 3.2. It knows the right zone for each name and so needs no referrals.
func (w *world) truth(qname name, qtype uint16) outcome {
	var out outcome
	const steps = 11 // the resolvers' own limit: no chain here comes near it
	for range steps {
		z := w.zoneFor(qname, qtype)
		found, next := z.find(qname, qtype)
		out.rcode = found.rcode
		out.answers = append(out.answers, found.answers...)
		if next == "" {
			return out
		}
		qname = next
	}
	panic("alias chain too long in the zone data")
}

// zoneFor is the zone that answers a question: RFC 4035 section 3.1.4.1 has the parent answer for DS.
func (w *world) zoneFor(qname name, qtype uint16) *zone {
	z := w.zoneOf(qname)
	if qtype == dns.TypeDS && qname == z.apex && qname != rootName {
		return w.zoneOf(qname.parent())
	}
	return z
}

// find answers from one zone; next is the target of an alias, or empty.
func (z *zone) find(qname name, qtype uint16) (out outcome, next name) {
	if owner, rr := z.redirection(qname); rr != nil {
		cname := synthesise(qname, owner, rr)
		out.answers = []dns.RR{rr, cname}
		if qtype != dns.TypeCNAME {
			next = mustName(cname.Target)
		}
		return out, next
	}
	if z.known[qname] {
		return answerFrom(z.nodes[qname], qname, qtype)
	}
	encloser := qname.parent()
	for !z.known[encloser] {
		encloser = encloser.parent()
	}
	if node := z.nodes[encloser.wildcard()]; node != nil {
		return answerFrom(node, qname, qtype)
	}
	return outcome{rcode: dns.RcodeNameError}, ""
}

// answerFrom takes the RRset of qtype or the alias from a node, under the name that was asked.
func answerFrom(node map[uint16][]dns.RR, qname name, qtype uint16) (out outcome, next name) {
	rrs := node[qtype]
	if len(rrs) == 0 && len(node[dns.TypeCNAME]) > 0 {
		rrs = node[dns.TypeCNAME]
		next = mustName(rrs[0].(*dns.CNAME).Target)
	}
	for _, rr := range rrs {
		rr = dns.Copy(rr)
		rr.Header().Name = qname.String()
		out.answers = append(out.answers, rr)
	}
	return out, next
}

// redirection finds a DNAME at a strict ancestor of qname within the zone.
func (z *zone) redirection(qname name) (owner name, rr *dns.DNAME) {
	for n := z.apex.labels(); n < qname.labels(); n++ {
		owner = qname.suffix(n)
		if rrs := z.nodes[owner][dns.TypeDNAME]; len(rrs) > 0 {
			return owner, rrs[0].(*dns.DNAME)
		}
	}
	return "", nil
}

// synthesise makes the CNAME that a DNAME stands for (RFC 6672 section 3.1).
func synthesise(qname, owner name, rr *dns.DNAME) *dns.CNAME {
	target := qname[:len(qname)-len(owner)] + mustName(rr.Target)
	return &dns.CNAME{
		Hdr:    dns.RR_Header{Name: qname.String(), Rrtype: dns.TypeCNAME, Class: dns.ClassINET},
		Target: target.String(),
	}
}

// records are the answers as comparable strings, sorted: owner, type and RDATA, without the TTL.
func (o outcome) records() ([]string, error) {
	var out []string
	for _, rr := range o.answers {
		owner, err := parseName(rr.Header().Name)
		if err != nil {
			return nil, err
		}
		data, err := rdata(rr)
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%q %d %d %q", string(owner), rr.Header().Class, rr.Header().Rrtype, data))
	}
	slices.Sort(out)
	return out, nil
}

// difference says how two outcomes differ; an empty string means that they do not.
func (o outcome) difference(other outcome) string {
	if o.rcode != other.rcode {
		return fmt.Sprintf("%s against %s", dns.RcodeToString[o.rcode], dns.RcodeToString[other.rcode])
	}
	a, err := o.records()
	if err != nil {
		return err.Error()
	}
	b, err := other.records()
	if err != nil {
		return err.Error()
	}
	if !slices.Equal(a, b) {
		return fmt.Sprintf("answers differ: %s against %s", o.brief(), other.brief())
	}
	return ""
}

// brief is the answer section on one line, long RDATA cut short.
func (o outcome) brief() string {
	var parts []string
	for _, rr := range o.answers {
		const width = 100
		text := strings.ReplaceAll(rr.String(), "\t", " ")
		if len(text) > width {
			text = fmt.Sprintf("%s... (%d octets of text)", text[:width], len(text))
		}
		parts = append(parts, text)
	}
	return fmt.Sprintf("%s, %d records [%s]", dns.RcodeToString[o.rcode], len(o.answers), strings.Join(parts, "; "))
}

// disorder reports an answer section in which a record stands before the alias that leads to it: clients read
// downwards from the question (RFC 1034 section 4.3.1 has the chain in the order of following it).
func (o outcome) disorder(qname name, qtype uint16) string {
	current := qname
	for i, rr := range o.answers {
		owner, err := parseName(rr.Header().Name)
		if err != nil {
			return err.Error()
		}
		cname, isAlias := rr.(*dns.CNAME)
		switch {
		case owner == current && isAlias && qtype != dns.TypeCNAME:
			if current, err = parseName(cname.Target); err != nil {
				return err.Error()
			}
		case owner == current:
		case rr.Header().Rrtype == dns.TypeDNAME && current.isBelow(owner):
		default:
			return fmt.Sprintf("record %d is out of order: %s", i+1, o.brief())
		}
	}
	return ""
}
