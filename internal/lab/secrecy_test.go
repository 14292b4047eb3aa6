package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"tacit/internal/server"
)

// Twenty proxied names of each kind, every type, over every transport, with and without recursion wanted, what is malformed or fails,
// and all that is logged, at every level, a mistake in the file included: no octet and no text tells an origin. The same search finds
// the address of a name that is not proxied, over each transport.
func TestOriginsAreToldToNobody(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		t.Run(level.String(), func(t *testing.T) {
			hearAll(t, level, level == slog.LevelDebug)
		})
	}
}

// aliases lead to proxied names, or fail.
const aliases = `open A 203.0.113.77
to CNAME a0
*.w A 198.51.100.100 ; cf_tags=cf-proxied:true
round CNAME square
square CNAME round
into CNAME c0 ; cf_tags=cf-flatten-cname
moved DNAME w
`

func hearAll(t *testing.T, level slog.Level, everyType bool) {
	l := newLab(t, 0)
	said := &search{}
	zone := said.zone() + aliases
	l.serveHere(t, zone)
	log := new(bytes.Buffer)
	logger, leveler := server.NewLog(func(l slog.Leveler) slog.Handler { return slog.NewTextHandler(log, &slog.HandlerOptions{Level: l}) })
	s := l.serve(t, server.Env{Network: l.Network(), Log: logger})
	leveler.Set(level)
	ways := FrontOf(s).ways(t, s)
	names := []string{
		"example.net.", "open.example.net.", "to.example.net.", "x.w.example.net.", "no.example.net.", "x.a0.example.net.", "round.example.net.",
		"into.example.net.", "x.moved.example.net.", "a.elsewhere.test.",
	}
	for i := range origins {
		if everyType || i == 0 {
			names = append(names, fmt.Sprintf("a%d.example.net.", i), fmt.Sprintf("c%d.example.net.", i))
		}
	}
	for _, name := range names {
		for kind := range dns.TypeToString {
			few := kind == dns.TypeA || kind == dns.TypeAAAA || kind == dns.TypeHTTPS || kind == dns.TypeANY
			if kind == dns.TypeNone || kind == dns.TypeOPT || kind == dns.TypeTSIG || !everyType && !few {
				continue
			}
			q := new(dns.Msg).SetQuestion(name, kind).SetEdns0(4096, true)
			q.Id, q.RecursionDesired = 0, kind%2 == 0
			packed, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			for _, way := range ways {
				way.hear(t, said, packed)
			}
		}
	}
	for _, way := range ways {
		if way.open == 0 {
			t.Errorf("over %s, the search does not find what is not proxied either", way.name)
		}
		for _, packed := range mistaken(t) {
			way.hear(t, said, packed)
		}
	}
	hearMistakenRequests(t, FrontOf(s), said)
	l.serveHere(t, zone+"bad MX origin-0.test. ; cf_tags=cf-proxied:true\nbad A 198.51.100.100.1 ; cf_tags=cf-proxied:true\n")
	if err := s.ReloadFile(t.Context(), l.Config().File); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "example.net.zone") {
		t.Errorf("the mistake is not in the log: %s", log)
	}
	said.hear(t, log.Bytes())
}

// mistaken are messages about a proxied name that get an error.
func mistaken(t *testing.T) (list [][]byte) {
	t.Helper()
	for _, spoil := range []func(m *dns.Msg){
		func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus },
		func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate },
		func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify },
		func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR },
		func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeNXNAME },
		func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		func(m *dns.Msg) { m.IsEdns0().SetVersion(1) },
		func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) },
	} {
		m := new(dns.Msg).SetQuestion("a0.example.net.", dns.TypeA).SetEdns0(4096, true)
		m.Id = 0
		spoil(m)
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, packed)
	}
	return list
}

// hearMistakenRequests makes requests of HTTP that are refused with a text.
func hearMistakenRequests(t *testing.T, f *Front, said *search) {
	t.Helper()
	web := &http.Transport{TLSClientConfig: f.trust("h2"), ForceAttemptHTTP2: true}
	defer web.CloseIdleConnections()
	for _, query := range []string{"?dns=AAAA", "?dns=***", "?name=a0.example.net&type=none", "?name=a0..example.net", "?name=a0.example.net&cd=maybe", ""} {
		said.hear(t, getJSON(t, web, "https://"+f.HTTPS.String()+"/dns-query"+query))
	}
}

const origins = 20

// A search looks for origins in what is said.
type search struct {
	octets [][]byte
	texts  [][]byte // in lower case
}

// zone has a name with two addresses and one with a CNAME for each origin, and knows what they look like: as octets, as text, and in
// the hexadecimal of RDATA that a program does not know.
func (x *search) zone() string {
	var b strings.Builder
	for i := range origins {
		v4, v6, target := fmt.Sprintf("198.51.100.%d", 100+i), fmt.Sprintf("2001:db8:5ec::%x", 100+i), fmt.Sprintf("origin-%d", i)
		fmt.Fprintf(&b, "a%[1]d A %[2]s ; cf_tags=cf-proxied:true\na%[1]d AAAA %[3]s ; cf_tags=cf-proxied:true\na%[1]d TXT said\n"+
			"c%[1]d CNAME %[4]s.test. ; cf_tags=cf-proxied:true\n", i, v4, v6, target)
		for _, text := range []string{v4, v6} {
			octets := netip.MustParseAddr(text).AsSlice()
			x.octets = append(x.octets, octets)
			x.texts = append(x.texts, []byte(text), []byte(hex.EncodeToString(octets)))
		}
		x.texts = append(x.texts, []byte(target), []byte(hex.EncodeToString([]byte(target))))
	}
	return b.String()
}

// hear looks for origins, and reports whether it has found what may be said.
func (x *search) hear(t *testing.T, octets []byte) (open bool) {
	t.Helper()
	for _, hidden := range x.octets {
		if bytes.Contains(octets, hidden) {
			t.Fatalf("an origin is told: %q", octets)
		}
	}
	lower := bytes.ToLower(octets)
	for _, hidden := range x.texts {
		if bytes.Contains(lower, hidden) {
			t.Fatalf("origin %s is told: %q", hidden, octets)
		}
	}
	return bytes.Contains(octets, []byte{203, 0, 113, 77}) || bytes.Contains(octets, []byte("203.0.113.77"))
}

// A way asks over a transport, over one connection.
type way struct {
	name string
	ask  func(query []byte) ([]byte, error)
	open int // how often the search has found what may be said
}

func (w *way) hear(t *testing.T, said *search, query []byte) {
	t.Helper()
	answer, err := w.ask(query)
	if err != nil || len(answer) < 12 {
		t.Fatalf("over %s: %v, %q", w.name, err, answer)
	}
	if said.hear(t, answer) {
		w.open++
	}
}

func (f *Front) ways(t *testing.T, s *server.Server) []*way {
	t.Helper()
	dial := func(network string, at netip.AddrPort) net.Conn {
		conn, err := net.Dial(network, at.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	_, streams := s.Addrs()
	udp, tcp := dial("udp", f.Plain), dial("tcp", streams[0])
	encrypted := tls.Client(dial("tcp", f.TLS), f.trust("dot"))
	conn, err := quic.DialAddr(t.Context(), f.QUIC.String(), f.trust("doq"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	old := &http.Transport{TLSClientConfig: f.trust("http/1.1"), ForceAttemptHTTP2: false}
	t.Cleanup(old.CloseIdleConnections)
	two := &http.Transport{TLSClientConfig: f.trust("h2"), ForceAttemptHTTP2: true}
	t.Cleanup(two.CloseIdleConnections)
	three := &http3.Transport{TLSClientConfig: f.trust("h3")}
	t.Cleanup(func() { _ = three.Close() })
	ways := []*way{
		{name: "UDP", ask: func(query []byte) ([]byte, error) {
			answer := make([]byte, 4096)
			if _, err := udp.Write(query); err != nil {
				return nil, err
			}
			n, err := udp.Read(answer)
			return answer[:n], err
		}},
		{name: "TCP", ask: func(query []byte) ([]byte, error) { return converse(tcp, query) }},
		{name: "DoT", ask: func(query []byte) ([]byte, error) { return converse(encrypted, query) }},
		{name: "DoQ", ask: func(query []byte) ([]byte, error) { return askStream(t.Context(), conn, query) }},
	}
	for name, transport := range map[string]http.RoundTripper{"HTTP/1.1": old, "HTTP/2.0": two, "HTTP/3.0": three} {
		at := f.HTTPS
		if transport == three {
			at = addrOf(s, "http3")
		}
		ways = append(ways,
			&way{name: name, ask: func(query []byte) ([]byte, error) { return postOver(t.Context(), transport, name, at, query) }},
			&way{name: name + " in JSON", ask: func(query []byte) ([]byte, error) { return askJSON(t, transport, at, query), nil }})
	}
	return ways
}

func addrOf(s *server.Server, transport string) (at netip.AddrPort) {
	for _, e := range s.Endpoints() {
		if e.Transport == transport {
			at = e.Addr
		}
	}
	return at
}

func postOver(ctx context.Context, transport http.RoundTripper, protocol string, at netip.AddrPort, query []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+at.String()+"/dns-query", bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/dns-message")
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.Proto != protocol {
		return nil, fmt.Errorf("%s is spoken", response.Proto)
	}
	return io.ReadAll(response.Body)
}

// askJSON asks what a message asks by the parameters of the JSON form.
func askJSON(t *testing.T, transport http.RoundTripper, at netip.AddrPort, query []byte) []byte {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		t.Fatal(err)
	}
	q := m.Question[0]
	values := url.Values{"name": {q.Name}, "type": {fmt.Sprint(q.Qtype)}, "do": {"1"}}
	return getJSON(t, transport, "https://"+at.String()+"/dns-query?"+values.Encode())
}

// getJSON returns the header of an answer, too.
func getJSON(t *testing.T, transport http.RoundTripper, address string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/dns-json")
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "%s %v\n%s", response.Status, response.Header, body)
}
