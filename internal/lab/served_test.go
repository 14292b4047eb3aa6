package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/server"
)

// The zone that tacit serves is the same over every transport, found, put together and finished: what is proxied has the edge's
// addresses with the TTL of Auto, what is not has its own, and the flag AA is set.
func TestServedZoneOverEveryTransport(t *testing.T) {
	l := newLab(t, 0)
	f := FrontOf(l.serve(t, server.Env{Network: l.Network()}))
	for _, x := range []struct {
		name, kind string
		rcode      int
		want       string
	}{
		{"blog", "A", dns.RcodeSuccess, "300 203.0.113.10"},
		{"blog", "AAAA", dns.RcodeSuccess, "300 2001:db8::10"},
		{"blog", "HTTPS", dns.RcodeSuccess, `300 1 . alpn="h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"`},
		{"blog", "TXT", dns.RcodeSuccess, ""},
		{"blog", "CNAME", dns.RcodeSuccess, ""},
		{"www", "A", dns.RcodeSuccess, "300 203.0.113.10"},
		{"shop", "A", dns.RcodeSuccess, "300 192.0.2.2"},
		{"shop", "AAAA", dns.RcodeSuccess, ""},
		{"nothing", "A", dns.RcodeNameError, ""},
	} {
		for _, over := range []Transport{Plain, TLS, HTTPS, QUIC} {
			for range 3 {
				q := new(dns.Msg).SetQuestion(x.name+".example.net.", dns.StringToType[x.kind])
				var r *dns.Msg
				if over == Plain {
					r = exchange(t, "udp", f.Plain, q)
				} else {
					r = f.exchange(t, over, q)
				}
				var got []string
				for _, rr := range r.Answer {
					fields := strings.Fields(rr.String())
					got = append(got, strings.Join(append(fields[1:2], fields[4:]...), " "))
				}
				if strings.Join(got, "; ") != x.want || r.Rcode != x.rcode || !r.Authoritative {
					t.Errorf("%s %s by transport %d: %v", x.name, x.kind, over, r)
				}
				if strings.Contains(r.String(), "192.0.2.1\n") {
					t.Errorf("%s %s by transport %d tells the origin", x.name, x.kind, over)
				}
			}
		}
	}
	if asked := len(l.world.Seen()); asked != 0 {
		t.Errorf("%d packets to name servers", asked)
	}
}

// serveHere makes a text the zone that tacit serves.
func (l classroom) serveHere(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(l.Config().File), "example.net.zone"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
