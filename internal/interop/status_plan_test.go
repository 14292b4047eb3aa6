//go:build interop

package interop

import (
	"testing"

	"github.com/miekg/dns"
)

// The tests of this file need no server: they check the truth about DNSSEC.

// statusWorld has a secure zone of each kind of denial, and something insecure below each.
func statusWorld(t *testing.T) *world {
	t.Helper()
	rings := makeKeys(t, []uint8{dns.RSASHA1NSEC3SHA1, dns.ECDSAP256SHA256, dns.ED448})
	w := &world{zones: make(map[name]*zone)}
	s := w.addInstance("one", nsd, 1)
	add := func(apex string, how *signing) *zone {
		z := w.addZone(apex, plainZone, []*host{s.addHost("ns."+apex, bothFamilies)}, nil)
		z.add("www.%s 3600 IN A 192.0.2.1", apex)
		z.add("*.wild.%s 3600 IN A 192.0.2.1", apex)
		if how != nil {
			w.sign(z, rings, how)
		}
		return z
	}
	root := w.addZone(".", plainZone, []*host{s.addHost("ns.test.", bothFamilies)}, nil)
	w.sign(root, rings, &signing{algorithms: []uint8{dns.ECDSAP256SHA256}})
	for label, how := range map[string]signing{
		"n":     {algorithms: []uint8{dns.ECDSAP256SHA256}},
		"h":     {algorithms: []uint8{dns.ECDSAP256SHA256}, denial: nsec3},
		"many":  {algorithms: []uint8{dns.ECDSAP256SHA256}, denial: nsec3, iterations: 100},
		"o":     {algorithms: []uint8{dns.ECDSAP256SHA256}, denial: nsec3OptOut},
		"sha1":  {algorithms: []uint8{dns.RSASHA1NSEC3SHA1}},
		"ed448": {algorithms: []uint8{dns.ED448}},
		"both":  {algorithms: []uint8{dns.ED448, dns.ECDSAP256SHA256}},
	} {
		how.digests = []uint8{dns.SHA256}
		z := add(label+".", &how)
		z.add("out.%s.  3600 IN CNAME www.plain.n.", label)
		z.add("in.%s.  3600 IN CNAME www.n.", label)
	}
	add("plain.n.", nil).add("back.plain.n. 3600 IN CNAME www.n.")
	add("far.off.o.", nil)
	add("island.n.", &signing{algorithms: []uint8{dns.ECDSAP256SHA256}})
	add("digest.n.", &signing{algorithms: []uint8{dns.ECDSAP256SHA256}, digests: []uint8{dns.SHA1}})
	add("signed.plain.n.", &signing{algorithms: []uint8{dns.ECDSAP256SHA256}, digests: []uint8{dns.SHA256}})
	return w
}

func TestStatusTruth(t *testing.T) {
	w := statusWorld(t)
	for _, c := range []struct {
		qname   string
		qtype   uint16
		tacit   bool
		unbound bool
	}{
		{"www.n.", dns.TypeA, true, true},
		{"www.n.", dns.TypeMX, true, true},
		{"nobody.n.", dns.TypeA, true, true},
		{"x.wild.n.", dns.TypeA, true, true},
		{"in.h.", dns.TypeA, true, true},
		// RFC 4035 section 3.2.3: AD only when all of the answer is authentic.
		{"out.h.", dns.TypeA, false, false},
		{"out.h.", dns.TypeCNAME, true, true},
		{"back.plain.n.", dns.TypeA, false, false},
		// RFC 4035 section 5.2: without a DS RR a zone is unsigned to its parent, whatever is in it.
		{"plain.n.", dns.TypeA, false, false},
		{"plain.n.", dns.TypeDS, true, true},
		{"www.island.n.", dns.TypeA, false, false},
		{"www.signed.plain.n.", dns.TypeA, false, false},
		// RFC 5155 section 9.2: AD is not set for what an opt-out span covers.
		{"www.o.", dns.TypeA, true, true},
		{"www.o.", dns.TypeMX, true, true},
		{"nobody.o.", dns.TypeA, false, false},
		{"x.wild.o.", dns.TypeA, false, false},
		{"off.o.", dns.TypeA, false, false},
		{"wild.o.", dns.TypeA, true, true},
		{"far.off.o.", dns.TypeDS, false, false},
		// RFC 9276 section 3.2: denials with many iterations are insecure.
		{"www.many.", dns.TypeA, true, true},
		{"nobody.many.", dns.TypeA, false, true},
		{"x.wild.many.", dns.TypeA, false, true},
		// RFC 9905: SHA-1 proves nothing; RFC 4035 section 5.2: nor does an algorithm that is not supported.
		{"www.sha1.", dns.TypeA, false, true},
		{"www.digest.n.", dns.TypeA, false, true},
		{"www.ed448.", dns.TypeA, false, true},
		{"www.both.", dns.TypeA, true, true},
	} {
		if got := w.authentic(mustName(c.qname), c.qtype, tacitPolicy); got != c.tacit {
			t.Errorf("%s %s: secure to tacit: %t", c.qname, dns.Type(c.qtype), got)
		}
		if got := w.authentic(mustName(c.qname), c.qtype, unboundPolicy); got != c.unbound {
			t.Errorf("%s %s: secure to unbound: %t", c.qname, dns.Type(c.qtype), got)
		}
	}
}

func TestSecureWorldHasWhatItPromises(t *testing.T) {
	w := generateSecure(*seed, makeKeys(t, allAlgorithms))
	served := make(map[software]map[string]bool)
	for _, s := range w.instances {
		for _, z := range s.zones {
			if z.signing != nil {
				if served[s.software] == nil {
					served[s.software] = make(map[string]bool)
				}
				served[s.software][z.signing.denial.String()+", "+z.signing.signer.String()] = true
			}
		}
	}
	if len(served[nsd]) != 6 || len(served[knot]) != 6 {
		t.Errorf("of 3 kinds of denial by 2 signers NSD serves %d and knotd %d", len(served[nsd]), len(served[knot]))
	}
	perClass, perZone := make(map[class]int), make(map[*zone]int)
	for _, q := range w.chooseSecure(*seed, secureQuestionCount) {
		perClass[q.class]++
		perZone[w.zoneFor(q.name, q.qtype)]++
	}
	for c, count := range perClass {
		if count < 5 {
			t.Errorf("%d questions of class %q", count, c)
		}
	}
	for _, z := range w.order {
		if z.signing != nil && z.apex.labels() == 2 && perZone[z] < 10 {
			t.Errorf("%d questions for %s", perZone[z], z.apex)
		}
	}
}

func TestParseDelv(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       delvVerdict
	}{
		{"answer", "; fully validated\nwww.example. 60 IN A 192.0.2.1\n", delvVerdict{dns.RcodeSuccess, true}},
		{"unsigned", "; unsigned answer\nwww.example. 60 IN A 192.0.2.1\n", delvVerdict{dns.RcodeSuccess, false}},
		{"alias out", "; fully validated\na. 60 IN CNAME b.\n\n; unsigned answer\nb. 60 IN A 192.0.2.1\n", delvVerdict{dns.RcodeSuccess, false}},
		{"no name", ";; resolution failed: ncache nxdomain\n; negative response, fully validated\n", delvVerdict{dns.RcodeNameError, true}},
		{"no type", ";; resolution failed: ncache nxrrset\n; negative response, unsigned answer\n", delvVerdict{dns.RcodeSuccess, false}},
		{"failure", ";; resolution failed: SERVFAIL\n", delvVerdict{dns.RcodeServerFailure, false}},
		{"bogus", ";; resolution failed: broken trust chain\n", delvVerdict{dns.RcodeServerFailure, false}},
	} {
		if got := parseDelv(c.text); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
