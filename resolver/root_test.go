package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
)

// A copyOf is a root copy that says what a zone of the internet in memory does.
type copyOf struct {
	zone   *testnet.Zone
	absent bool
}

func (c *copyOf) Answer(_ time.Time, name wire.Name, t wire.Type) *dns.Msg {
	if c.absent {
		return nil
	}
	q := new(dns.Msg).SetQuestion(name.Reveal(), uint16(t))
	return c.zone.Answer(q.SetEdns0(1232, true))
}

// RFC 8806 section 1: with a copy of the root zone no root server sees a query; without one they are asked.
func TestRootCopyAnswersForTheRootServers(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.secure("example.", "shop.example.")
		root := &copyOf{zone: s.Data(".")}
		s.r.root = root
		s.wantStatus("www.shop.example.", "A", "NOERROR secure")
		s.wantStatus("no-such-tld.", "A", "NXDOMAIN secure")
		s.wantStatus("example.", "DS", "NOERROR secure")
		s.wantStatus(".", "NS", "NOERROR secure")
		if got := s.SeenAt("."); len(got) > 0 {
			t.Errorf("the root saw %v", got.Questions())
		}
		root.absent = true
		s.wantStatus("another-tld.", "TXT", "NXDOMAIN secure")
	})
}

// A copy whose data cannot be believed is no reason to believe less of the root servers.
func TestBogusCopyIsPassedOver(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.secure("example.", "shop.example.")
		stale := testnet.MustZone(".", "@ SOA a.root-servers.example. hostmaster.example. 1 1 1 1 60\n@ NS a.root-servers.example.\nexample. NS ns1.example.")
		s.r.root = &copyOf{zone: stale}
		s.wantStatus("no-such-tld.", "A", "NXDOMAIN secure")
	})
}
