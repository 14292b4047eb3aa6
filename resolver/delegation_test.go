package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// RFC 4035 section 3.1.4.1: the DS RRset of a zone lies on the parent's side of its cut.
func TestDSIsAskedAtTheParent(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.want("www.shop.example.", "A", wwwAnswer) // the cut is known
		s.add("example.", "shop DS 1 13 2 00")
		s.Reset()
		s.want("shop.example.", "DS", "NOERROR shop.example. DS 1 13 2 00")
		s.saw("example.", "shop.example. DS")
		s.want("example.", "DS", "NOERROR")
		s.saw(".", "example. DS")
		s.want("www.shop.example.", "DS", "NOERROR")
		s.saw("shop.example.", "www.shop.example. DS")
	})
}

// A ghost domain (CVE-2012-1033): the parent has taken the delegation back, and the child goes on extending itself.
func TestGhostDomain(t *testing.T) {
	const lease = 600
	play(t, func(s *script) {
		s.Zone("ghost.example.", "* 86400 A 203.0.113.66")
		parent, child := s.Data("example."), s.Data("ghost.example.")
		parent.Remove("ghost.example.", dns.TypeNS)
		child.Remove("ghost.example.", dns.TypeNS)
		if err := errors.Join(parent.Add(fmt.Sprintf("ghost %d NS ns1.ghost", lease)), child.Add("@ 86400 NS ns1")); err != nil {
			t.Fatal(err)
		}
		s.want("a.ghost.example.", "A", "NOERROR a.ghost.example. A 203.0.113.66")
		granted := time.Now()
		parent.Remove("ghost.example.")
		parent.Remove("ns1.ghost.example.")
		var last time.Time
		for i := 0; time.Since(granted) < 2*lease*time.Second; i++ {
			time.Sleep(50 * time.Second)
			s.resolve("ghost.example.", "NS") // what the child says of itself
			s.resolve("ns1.ghost.example.", "A")
			for _, name := range []string{"a.ghost.example.", fmt.Sprintf("b%d.ghost.example.", i)} {
				m := s.resolve(name, "A")
				if m.Rcode != dns.RcodeSuccess {
					continue
				}
				last = time.Now()
				left := granted.Add(lease * time.Second).Sub(last)
				if ttl := time.Duration(m.Answer[0].Header().Ttl) * time.Second; ttl > left+time.Second {
					t.Errorf("a TTL of %v with %v of the lease left", ttl, left)
				}
			}
		}
		if alive := last.Sub(granted); alive > lease*time.Second || alive < lease*time.Second/2 {
			t.Errorf("the ghost lived for %v, the parent granted %d s", alive, lease)
		}
	})
}

// A lease of the parent's that is renewed lets the child live on.
func TestRenewedLease(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		for range 5 {
			s.want("www.shop.example.", "A", wwwAnswer)
			time.Sleep(3601 * time.Second)
		}
		if got := len(s.SeenAt("example.").Asking("shop.example.", dns.TypeA)); got != 5 {
			t.Errorf("the parent was asked %d times in 5 leases", got)
		}
	})
}

// RFC 2181 section 5.4.1: NS records and addresses that a child gives with its answers do not replace what the parent said.
func TestReferralStrictlyBelow(t *testing.T) {
	for name, referral := range map[string]string{
		"to itself": "shop.example. 3600 NS ns1.shop.example.",
		"upwards":   "example. 3600 NS ns.evil.example.",
		"sideways":  "other.example. 3600 NS ns.evil.example.",
		"elsewhere": "victim.test. 3600 NS ns.evil.example.",
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("evil.example.", "")
				s.Zone("shop.example.", wwwRecord, testnet.Editing(func(_, r *dns.Msg) {
					rr, _ := dns.NewRR(referral)
					r.Authoritative, r.Answer, r.Ns = false, nil, []dns.RR{rr}
				}))
				s.want("www.shop.example.", "A", "SERVFAIL")
				if got := s.SeenAt("evil.example."); len(got) > 0 {
					t.Errorf("the attacker saw %v", got.Questions())
				}
			})
		})
	}
}

// RFC 6890 and its registries: addresses at which no public name server is.
func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false, "127.0.0.1": false,
		"169.254.1.1": false, "172.16.0.1": false, "192.0.0.8": false, "192.168.1.1": false, "198.18.0.1": false, "224.0.0.1": false,
		"240.0.0.1": false, "255.255.255.255": false, "::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:192.0.2.1": false,
		"fe80::1": false, "fd00::1": false, "ff02::1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "100::1": false,
		"192.0.2.1": true, "100.63.255.255": true, "100.128.0.1": true, "198.20.0.1": true, "172.32.0.1": true, "2001:db8::1": true,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

// Two zone cuts on one server: the delegation of the lower one is never seen, and nothing breaks.
func TestParentAndChildOnOneServer(t *testing.T) {
	play(t, func(s *script) {
		server := s.Zone("shop.example.", wwwRecord)
		s.ZoneAt("sub.shop.example.", "www A 203.0.113.81", server)
		s.want("www.sub.shop.example.", "A", "NOERROR www.sub.shop.example. A 203.0.113.81")
		s.want("none.sub.shop.example.", "A", "NXDOMAIN")
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}
