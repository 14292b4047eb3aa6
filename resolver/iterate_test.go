package resolver

import "testing"

const shop = `
www      A     203.0.113.80
www      AAAA  2001:db8::80
alias    CNAME www
out      CNAME www.other.test.
deep.a.b A     203.0.113.81
*.wild   A     203.0.113.82
d        DNAME www2.other.test.
`

func TestIteration(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", shop)
		s.Zone("other.test.", "www A 203.0.113.90\nx.www2 A 203.0.113.91")
		s.want("www.shop.example.", "A", "NOERROR www.shop.example. A 203.0.113.80")
		s.want("alias.shop.example.", "A", "NOERROR alias.shop.example. CNAME www.shop.example.; www.shop.example. A 203.0.113.80")
		s.want("out.shop.example.", "A", "NOERROR out.shop.example. CNAME www.other.test.; www.other.test. A 203.0.113.90")
		s.want("deep.a.b.shop.example.", "A", "NOERROR deep.a.b.shop.example. A 203.0.113.81")
		s.want("a.b.shop.example.", "A", "NOERROR")
		s.want("no.shop.example.", "A", "NXDOMAIN")
		s.want("x.wild.shop.example.", "A", "NOERROR x.wild.shop.example. A 203.0.113.82")
		s.want("x.d.shop.example.", "A", "NOERROR d.shop.example. DNAME www2.other.test.; x.d.shop.example. CNAME x.www2.other.test.; x.www2.other.test. A 203.0.113.91")
		s.saw(".", ". NS", "example. A", "test. A")
	})
}
