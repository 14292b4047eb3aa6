package resolver

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

var withoutSOA = testnet.Editing(func(_, r *dns.Msg) { r.Ns = nil })

// RFC 6672 sections 2 and 3.
func TestDNAME(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3)
	play(t, func(s *script) {
		s.Zone("shop.example.", "d DNAME e\ne DNAME f\nx.f A 203.0.113.81\nf A 203.0.113.82\nl DNAME "+long+"example.")
		s.Zone("other.test.", "")
		const chain = "d.shop.example. DNAME e.shop.example.; x.d.shop.example. CNAME x.e.shop.example.; " +
			"e.shop.example. DNAME f.shop.example.; x.e.shop.example. CNAME x.f.shop.example.; "
		s.want("x.d.shop.example.", "A", "NOERROR "+chain+"x.f.shop.example. A 203.0.113.81")
		s.want("y.d.shop.example.", "A", "NXDOMAIN "+strings.NewReplacer("x.", "y.").Replace(chain[:len(chain)-2]))
		s.want("f.shop.example.", "A", "NOERROR f.shop.example. A 203.0.113.82")
		s.want("d.shop.example.", "DNAME", "NOERROR d.shop.example. DNAME e.shop.example.")
		s.want("d.shop.example.", "A", "NOERROR") // the owner itself is not redirected (section 2.3)
		// Who asks for the CNAME gets the synthesised one, and it is the answer.
		s.want("z.d.shop.example.", "CNAME", "NOERROR d.shop.example. DNAME e.shop.example.; z.d.shop.example. CNAME z.e.shop.example.")
		// Section 2.2: "If the resulting name is too long, YXDOMAIN".
		name := long[:122] + "l.shop.example."
		s.want(name, "A", "YXDOMAIN l.shop.example. DNAME "+long+"example.")
	})
}

// A DNAME that is known answers for all names below it (RFC 6672 section 3.4).
func TestKnownDNAMEAnswersBelow(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "d DNAME other.test.")
		s.Zone("other.test.", "* A 203.0.113.90")
		s.want("x.d.shop.example.", "A", "NOERROR d.shop.example. DNAME other.test.; x.d.shop.example. CNAME x.other.test.; x.other.test. A 203.0.113.90")
		s.Reset()
		s.want("y.d.shop.example.", "A", "NOERROR d.shop.example. DNAME other.test.; y.d.shop.example. CNAME y.other.test.; y.other.test. A 203.0.113.90")
		s.saw("shop.example.")
		s.saw("other.test.", "y.other.test. A")
	})
}

// A DNAME high up is found on a shortened name, and its zone learns no more than that.
func TestDNAMEInATopLevelDomain(t *testing.T) {
	play(t, func(s *script) {
		s.add("example.", "old DNAME shop.example.")
		s.Zone("shop.example.", "a.www A 203.0.113.80")
		s.want("a.www.old.example.", "A", "NOERROR old.example. DNAME shop.example.; a.www.old.example. CNAME a.www.shop.example.; a.www.shop.example. A 203.0.113.80")
		for _, p := range s.SeenAt("example.") {
			if p.Labels() > 3 {
				t.Errorf("the TLD was shown %s", p)
			}
		}
	})
}

// A server that answers on behalf of names that the operator has taken elsewhere is not asked about them, nor believed.
func TestAliasIntoAStubZone(t *testing.T) {
	play(t, func(s *script) {
		inside := s.Server("inside.example.")
		inside.Host(testnet.MustZone("corp.shop.example.", "@ NS ns\nhost A 203.0.113.7"))
		s.Zone("shop.example.", "www CNAME host.corp\nold DNAME x.corp\nmail CNAME mail.corp\nmail.corp A 203.0.113.66")
		s.r.routes = newRoutes(&Options{Stubs: []Stub{{
			Zone: wire.MustName("corp.shop.example."), Servers: []upstream.Server{{Addr: inside.Addresses()[0]}},
		}}})
		// The public zone denies the name inside: that is not its to say.
		s.want("www.shop.example.", "A", "NOERROR www.shop.example. CNAME host.corp.shop.example.; host.corp.shop.example. A 203.0.113.7")
		s.want("mail.shop.example.", "A", "NXDOMAIN mail.shop.example. CNAME mail.corp.shop.example.")
		s.want("www.shop.example.", "TXT", "NOERROR www.shop.example. CNAME host.corp.shop.example.")
	})
}

// RFC 1034 section 3.6.2 and 5.2.2: the records of an answer come in the order in which they are followed.
func TestAliasesComeInOrder(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "a CNAME b\nb CNAME www\n"+wwwRecord, testnet.Editing(func(_, r *dns.Msg) {
			for i, j := 0, len(r.Answer)-1; i < j; i, j = i+1, j-1 {
				r.Answer[i], r.Answer[j] = r.Answer[j], r.Answer[i]
			}
		}))
		s.want("a.shop.example.", "A", "NOERROR a.shop.example. CNAME b.shop.example.; b.shop.example. CNAME www.shop.example.; www.shop.example. A 203.0.113.80")
		s.want("a.shop.example.", "CNAME", "NOERROR a.shop.example. CNAME b.shop.example.")
	})
}

// RFC 1034 section 3.6.2: a loop is an error, shown once round.
func TestAliasLoopInOneZone(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "a CNAME b\nb CNAME c\nc CNAME b\nd CNAME d")
		s.want("a.shop.example.", "A", "SERVFAIL a.shop.example. CNAME b.shop.example.; b.shop.example. CNAME c.shop.example.; c.shop.example. CNAME b.shop.example.")
		s.saw("shop.example.", "a.shop.example. A")
		s.want("d.shop.example.", "A", "SERVFAIL d.shop.example. CNAME d.shop.example.")
	})
}

// stopAt goes by the name that a DNAME was applied to, not by its owner.
func TestAliasesStopAtTheNameAndNotAtTheDNAME(t *testing.T) {
	name := wire.MustName
	j := judgement{outcome: answer, target: name("x.host.test."), records: []wire.RRset{
		{Name: name("a.example."), Type: wire.TypeCNAME},
		{Name: name("d.example."), Type: wire.TypeDNAME},
		{Name: name("x.d.example."), Type: wire.TypeCNAME},
		{Name: name("x.host.test."), Type: wire.TypeA},
	}}
	j.stopAt(func(n wire.Name) bool { return n.Within(name("d.example.")) })
	if j.outcome != alias || j.target != name("x.d.example.") || len(j.records) != 1 {
		t.Errorf("%v, %d records, target %s", j.outcome, len(j.records), j.target.Reveal())
	}
}
