package zone

import (
	"encoding/hex"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Answer says what a root server would say to a question with the DO bit: an answer, a referral with its glue and DS
// RRset or the proof that there is none, or a denial with its proof (RFC 1034 section 4.3.2, RFC 4035 section 3.1). The
// message is the caller's; it is to be believed no more than one from the network.
func (c *Copy) Answer(name wire.Name, t wire.Type) *dns.Msg {
	r := reply{copy: c, msg: new(dns.Msg)}
	r.msg.Response = true
	r.msg.Question = []dns.Question{{Name: name.Reveal(), Qtype: uint16(t), Qclass: dns.ClassINET}}
	if delegation := c.delegation(name, t); delegation != nil {
		r.refer(delegation)
		return r.msg
	}
	r.msg.Authoritative = true
	switch found := c.ofType(name, t); {
	case len(found) > 0:
		r.answer(found)
	case c.exists(name):
		r.deny(name)
	default:
		r.msg.Rcode = dns.RcodeNameError
		r.deny(name, c.wildcard(name))
	}
	return r.msg
}

// delegation returns the NS RRset of the zone cut at or above name, nil when name belongs to the root zone itself. A DS
// belongs to the zone above the cut (RFC 4035 section 3.1.4.1).
func (c *Copy) delegation(name wire.Name, t wire.Type) *wire.RRset {
	for labels := 1; labels <= name.Labels(); labels++ {
		at := name.Suffix(labels)
		if ns := c.set(at, wire.TypeNS); ns != nil && (at != name || t != wire.TypeDS) {
			return ns
		}
	}
	return nil
}

// ofType returns the RRsets that answer a question.
func (c *Copy) ofType(name wire.Name, t wire.Type) []*wire.RRset {
	var found []*wire.RRset
	sets := c.at(name)
	for i := range sets {
		if t == wire.TypeANY || t == sets[i].Type {
			found = append(found, &sets[i])
		}
	}
	return found
}

// wildcard returns the wildcard that could have answered for name: that at its closest encloser (RFC 4592 section 3.3.1).
func (c *Copy) wildcard(name wire.Name) wire.Name {
	encloser := name.Parent()
	for !c.exists(encloser) {
		encloser = encloser.Parent()
	}
	wildcard, err := encloser.Prepend("*")
	if err != nil { // too long to exist
		return name
	}
	return wildcard
}

// A reply is an answer in the making.
type reply struct {
	copy *Copy
	msg  *dns.Msg
}

func (r *reply) answer(found []*wire.RRset) {
	for _, set := range found {
		r.msg.Answer = appendSet(r.msg.Answer, set)
		if set.Type == wire.TypeNS {
			r.addGlue(set)
		}
	}
}

func (r *reply) refer(ns *wire.RRset) {
	r.msg.Ns = appendSet(r.msg.Ns, ns)
	proof := r.copy.set(ns.Name, wire.TypeDS)
	if proof == nil {
		proof = r.copy.denial(ns.Name)
	}
	r.msg.Ns = appendSet(r.msg.Ns, proof)
	r.addGlue(ns)
}

// deny adds the SOA RRset and the NSEC RRsets at or around names (RFC 4035 sections 3.1.3.1 and 3.1.3.2).
func (r *reply) deny(names ...wire.Name) {
	r.msg.Ns = appendSet(r.msg.Ns, r.copy.set(wire.Root, wire.TypeSOA))
	var last *wire.RRset
	for _, name := range names {
		if proof := r.copy.denial(name); proof != last {
			r.msg.Ns = appendSet(r.msg.Ns, proof)
			last = proof
		}
	}
}

// addGlue adds all addresses of the servers that the zone has: those below their own cut and below others (RFC 9471
// section 2).
func (r *reply) addGlue(ns *wire.RRset) {
	for rdata := range ns.Data.All() {
		name, err := wire.NameFromWire(rdata)
		if err != nil {
			continue
		}
		sets := r.copy.at(name)
		for i := range sets {
			if sets[i].Type == wire.TypeA || sets[i].Type == wire.TypeAAAA {
				r.msg.Extra = appendSet(r.msg.Extra, &sets[i])
			}
		}
	}
}

// appendSet appends the records of a set and their signatures.
func appendSet(section []dns.RR, set *wire.RRset) []dns.RR {
	h := dns.RR_Header{Name: set.Name.Reveal(), Rrtype: uint16(set.Type), Class: dns.ClassINET, Ttl: set.TTL}
	section = appendRecords(section, h, set.Data)
	h.Rrtype = dns.TypeRRSIG
	return appendRecords(section, h, set.Sigs)
}

func appendRecords(section []dns.RR, h dns.RR_Header, data wire.Rdatas) []dns.RR {
	for rdata := range data.All() {
		h.Rdlength = uint16(len(rdata))
		rr, _, err := dns.UnpackRRWithHeader(h, rdata, 0)
		if err != nil { // octets that the library cannot read are still the zone's (RFC 3597)
			rr = &dns.RFC3597{Hdr: h, Rdata: hex.EncodeToString(rdata)}
		}
		section = append(section, rr)
	}
	return section
}
