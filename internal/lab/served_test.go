package lab

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

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

// Twenty proxied names of each kind, every type, over every transport, with and without recursion wanted, and all that is logged, at
// the lowest level, a mistake in the file included: no octet and no text tells an origin. The same search finds the address of a
// name that is not proxied.
func TestOriginsAreToldToNobody(t *testing.T) {
	l := newLab(t, 0)
	said := &search{}
	zone := said.zone() + "open A 203.0.113.77\nto CNAME a0\n*.w A 198.51.100.100 ; cf_tags=cf-proxied:true\n"
	l.serveHere(t, zone)
	log := new(bytes.Buffer)
	logger, level := server.NewLog(func(l slog.Leveler) slog.Handler { return slog.NewTextHandler(log, &slog.HandlerOptions{Level: l}) })
	s := l.serve(t, server.Env{Network: l.Network(), Log: logger})
	level.Set(slog.LevelDebug)
	ways := FrontOf(s).ways(t, s)
	names := []string{"example.net.", "open.example.net.", "to.example.net.", "x.w.example.net.", "no.example.net.", "x.a0.example.net."}
	for i := range origins {
		names = append(names, fmt.Sprintf("a%d.example.net.", i), fmt.Sprintf("c%d.example.net.", i))
	}
	for _, name := range names {
		for kind := range dns.TypeToString {
			if kind == dns.TypeNone || kind == dns.TypeOPT || kind == dns.TypeTSIG {
				continue
			}
			q := new(dns.Msg).SetQuestion(name, kind).SetEdns0(4096, true)
			q.Id, q.RecursionDesired = 0, kind%2 == 0
			for _, way := range ways {
				said.hear(t, way(t, q))
			}
		}
	}
	l.serveHere(t, zone+"bad MX origin-0.test. ; cf_tags=cf-proxied:true\nbad A 198.51.100.100.1 ; cf_tags=cf-proxied:true\n")
	if err := s.ReloadFile(t.Context(), l.Config().File); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "example.net.zone") {
		t.Errorf("the mistake is not in the log: %s", log)
	}
	said.hear(t, log.Bytes())
	if said.open == 0 {
		t.Error("the search does not find what is not proxied either")
	}
}

// serveHere makes a text the zone that tacit serves.
func (l classroom) serveHere(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(l.Config().File), "example.net.zone"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const origins = 20

// A search looks for origins in what is said.
type search struct {
	hidden [][]byte
	open   int // how often it has found what may be said
}

// zone has a name with two addresses and one with a CNAME for each origin, and knows what they look like.
func (x *search) zone() string {
	var b strings.Builder
	for i := range origins {
		v4, v6, target := fmt.Sprintf("198.51.100.%d", 100+i), fmt.Sprintf("2001:db8:5ec::%x", 100+i), fmt.Sprintf("origin-%d", i)
		fmt.Fprintf(&b, "a%[1]d A %[2]s ; cf_tags=cf-proxied:true\na%[1]d AAAA %[3]s ; cf_tags=cf-proxied:true\na%[1]d TXT said\n"+
			"c%[1]d CNAME %[4]s.test. ; cf_tags=cf-proxied:true\n", i, v4, v6, target)
		x.hidden = append(x.hidden, []byte(v4), netip.MustParseAddr(v4).AsSlice(), []byte(v6), netip.MustParseAddr(v6).AsSlice(), []byte(target))
	}
	return b.String()
}

func (x *search) hear(t *testing.T, octets []byte) {
	t.Helper()
	for i, hidden := range x.hidden {
		if bytes.Contains(octets, hidden) {
			t.Fatalf("origin %d is told: %q", i/5, octets)
		}
	}
	if bytes.Contains(octets, []byte{203, 0, 113, 77}) {
		x.open++
	}
}

// ways ask over a connection each, and return the octets of the answer.
func (f *Front) ways(t *testing.T, s *server.Server) []func(*testing.T, *dns.Msg) []byte {
	t.Helper()
	var ways []func(*testing.T, *dns.Msg) []byte
	add := func(ask func(query []byte) ([]byte, error)) {
		ways = append(ways, func(t *testing.T, q *dns.Msg) []byte {
			t.Helper()
			packed, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			answer, err := ask(packed)
			if err != nil || len(answer) < 12 {
				t.Fatalf("%v: %v", q.Question, err)
			}
			return answer
		})
	}
	dial := func(network string, at netip.AddrPort) net.Conn {
		conn, err := net.Dial(network, at.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	_, streams := s.Addrs()
	udp, tcp := dial("udp", f.Plain), dial("tcp", streams[0])
	add(func(query []byte) ([]byte, error) {
		answer := make([]byte, 4096)
		if _, err := udp.Write(query); err != nil {
			return nil, err
		}
		n, err := udp.Read(answer)
		return answer[:n], err
	})
	add(func(query []byte) ([]byte, error) { return converse(tcp, query) })
	encrypted := tls.Client(dial("tcp", f.TLS), f.trust("dot"))
	add(func(query []byte) ([]byte, error) { return converse(encrypted, query) })
	web := &http.Transport{TLSClientConfig: f.trust("h2"), ForceAttemptHTTP2: true}
	t.Cleanup(web.CloseIdleConnections)
	add(func(query []byte) ([]byte, error) { return f.post(t.Context(), web, query) })
	conn, err := quic.DialAddr(t.Context(), f.QUIC.String(), f.trust("doq"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	add(func(query []byte) ([]byte, error) { return askStream(t.Context(), conn, query) })
	return ways
}
