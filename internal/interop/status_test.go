//go:build interop

package interop

import (
	"slices"

	"github.com/miekg/dns"
)

// A policy is what a validator makes of what it could refuse to believe. The two resolvers differ in it on purpose.
type policy struct {
	sha1       bool // algorithms 5 and 7 and SHA-1 digests are believed (RFC 9905 says not to)
	ed448      bool
	iterations int  // of NSEC3; denials with more are taken for insecure (RFC 9276 section 3.2)
	optOut     bool // a negative answer from an opt-out span counts as secure, against RFC 5155 section 9.2
}

var (
	tacitPolicy     = policy{iterations: 50}
	tacitSHA1Policy = policy{sha1: true, iterations: 50} // sha1 = "verify"
	unboundPolicy   = policy{sha1: true, ed448: true, iterations: 150}
	delvPolicy      = policy{sha1: true, ed448: true, iterations: 150, optOut: true} // what delv prints; it has no AD to set
)

// believes reports whether a DS RR can lead to a secure zone.
func (p policy) believes(ds *dns.DS) bool {
	switch ds.DigestType {
	case dns.SHA1:
		if !p.sha1 {
			return false
		}
	case dns.SHA256, dns.SHA384:
	default:
		return false
	}
	switch ds.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		return p.sha1
	case dns.ED448:
		return p.ed448
	}
	return slices.Contains(allAlgorithms, ds.Algorithm)
}

// secures reports whether there is a chain of trust to z (RFC 4035 section 4.3).
func (w *world) secures(z *zone, p policy) bool {
	if z.signing == nil || z.apex == rootName {
		return z.signing != nil
	}
	parent := w.zoneOf(z.apex.parent())
	return w.secures(parent, p) && slices.ContainsFunc(parent.nodes[z.apex][dns.TypeDS], func(rr dns.RR) bool {
		return p.believes(rr.(*dns.DS))
	})
}

// authentic reports whether all that answers a question is secure, so that AD is to be set (RFC 4035 section 3.2.3).
// It walks the way that truth walks.
func (w *world) authentic(qname name, qtype uint16, p policy) bool {
	for {
		z := w.zoneFor(qname, qtype)
		if !w.secures(z, p) || !z.proves(qname, qtype, p) {
			return false
		}
		_, next := z.find(qname, qtype)
		if next == "" {
			return true
		}
		qname = next
	}
}

// proves reports whether what z says about a question is more than insecure. That can only fail where NSEC3 RRs are
// part of the answer: they may have too many iterations, or the name may lie in an opt-out span, in which names can
// exist unsigned (RFC 5155 section 9.2 says that AD is not to be set then).
func (z *zone) proves(qname name, qtype uint16, p policy) bool {
	s := z.signing
	if s.denial == nsec {
		return true
	}
	if _, rr := z.redirection(qname); rr != nil {
		return true
	}
	found, _ := z.find(qname, qtype)
	if z.known[qname] && len(found.answers) > 0 {
		return true
	}
	if s.iterations > p.iterations {
		return false
	}
	return s.denial != nsec3OptOut || z.hashed(qname) || p.optOut && len(found.answers) == 0
}

// hashed reports whether a zone with opt-out has an NSEC3 RR for n: delegations without DS have none, and neither have
// empty non-terminals with nothing else below (RFC 5155 section 7.1).
func (z *zone) hashed(n name) bool {
	for owner := range z.nodes {
		if owner.isAtOrBelow(n) {
			return true
		}
	}
	return false
}
