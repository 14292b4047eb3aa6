package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// free resolves what must cost nothing, from whatever is in memory.
func (s *script) free(name, kind, answer string) *dns.Msg {
	s.Helper()
	s.Reset()
	var m *dns.Msg
	for range everyWay - 1 {
		m = s.want(name, kind, answer)
	}
	if got := s.Seen(); len(got) > 0 {
		s.Errorf("%s %s cost %v", name, kind, got.Script())
	}
	return m
}

// RFC 8020 section 2: once a name is known not to exist, nothing below it is asked for.
func TestNXDOMAINCut(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.want("a.no.shop.example.", "A", "NXDOMAIN")
		s.saw("shop.example.", "no.shop.example. A")
		s.free("no.shop.example.", "TXT", "NXDOMAIN")
		s.free("x.y.no.shop.example.", "A", "NXDOMAIN")
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}

// RFC 2308 section 5: a negative answer is kept for the lesser of the SOA's MINIMUM and its TTL, which is what clients
// are told.
func TestDenialsAreKeptForTheNegativeTTL(t *testing.T) {
	for name, kind := range map[string]string{"www.shop.example.": "TXT", "no.shop.example.": "A"} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *script) {
				s.Zone("shop.example.", "@ 600 SOA ns1 hostmaster 1 1 1 1 120\n"+wwwRecord)
				first := s.resolve(name, kind)
				if len(first.Ns) != 1 || first.Ns[0].Header().Ttl != 120 {
					t.Fatalf("authority section %v, want a SOA with TTL 120", first.Ns)
				}
				time.Sleep(100 * time.Second)
				again := s.free(name, kind, brief(first))
				if len(again.Ns) != 1 || again.Ns[0].Header().Ttl != 20 {
					t.Errorf("authority section %v, want a SOA with TTL 20", again.Ns)
				}
				time.Sleep(21 * time.Second)
				s.Reset()
				s.want(name, kind, brief(first))
				s.saw("shop.example.", name+" "+kind)
			})
		})
	}
}

// RFC 2308 section 2.2: NODATA says nothing of other types, nor of names below.
func TestNoDataIsOfOneType(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord+"\na.ent A 203.0.113.81")
		s.want("www.shop.example.", "TXT", "NOERROR")
		s.free("www.shop.example.", "TXT", "NOERROR")
		s.want("www.shop.example.", "A", wwwAnswer)
		s.want("ent.shop.example.", "A", "NOERROR") // an empty non-terminal
		s.want("a.ent.shop.example.", "A", "NOERROR a.ent.shop.example. A 203.0.113.81")
	})
}

// RFC 4592 section 3.3.1: a wildcard answers for names at any depth below the closest encloser, and not for the encloser.
func TestWildcards(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "*.w A 203.0.113.82\nx.w TXT real\n*.c CNAME www\n"+wwwRecord)
		s.want("a.w.shop.example.", "A", "NOERROR a.w.shop.example. A 203.0.113.82")
		s.want("a.b.w.shop.example.", "A", "NOERROR a.b.w.shop.example. A 203.0.113.82")
		s.want("x.w.shop.example.", "A", "NOERROR")
		s.want("a.x.w.shop.example.", "A", "NXDOMAIN")
		s.want("w.shop.example.", "A", "NOERROR")
		s.want("k.c.shop.example.", "A", "NOERROR k.c.shop.example. CNAME www.shop.example.; www.shop.example. A 203.0.113.80")
	})
}

// RFC 2308 section 5: a denial without SOA is not to be cached.
func TestDenialWithoutSOAIsNotKept(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord, withoutSOA)
		s.want("no.shop.example.", "A", "NXDOMAIN")
		s.Reset()
		s.want("no.shop.example.", "A", "NXDOMAIN")
		s.saw("shop.example.", "no.shop.example. A")
	})
}
