package lab

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"tacit/internal/server"
)

// These tests are rows D1 to D14 of what clients and those who watch them may learn, each over all transports of a whole tacit.
// What they need from inside is proved elsewhere: the age of QUIC tokens in transports, cookies on day 3 there as well.

// pack makes the octets of a question, with an ID of zero, as DoQ asks (RFC 9250 section 4.2.1).
func pack(t *testing.T, name string, kind uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, kind)
	m.Id = 0
	for _, c := range change {
		c(m)
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func withOPT(options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) { m.SetEdns0(4096, false).IsEdns0().Option = options }
}

// messages are the ways that carry messages, not JSON.
func (f *Front) messages(t *testing.T, s *server.Server) []*way {
	return slices.DeleteFunc(f.ways(t, s), func(w *way) bool { return strings.Contains(w.name, "JSON") })
}

func (w *way) isEncrypted() bool { return w.name != "UDP" && w.name != "TCP" }

func (w *way) answer(t *testing.T, query []byte) (*dns.Msg, []byte) {
	t.Helper()
	octets, err := w.ask(query)
	if err != nil {
		t.Fatalf("over %s: %v", w.name, err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(octets); err != nil {
		t.Fatalf("over %s: %v", w.name, err)
	}
	return m, octets
}

// Row D1: sixty answers of sixty lengths have three on the wire at most, whether or not the query was padded, on each encrypted
// transport.
func TestLengthsOfAnswers(t *testing.T) {
	l := newLab(t, 0)
	var zone strings.Builder
	for i := range 60 {
		fmt.Fprintf(&zone, "t%d TXT %[2]s %[2]s %[2]s\n", i, strings.Repeat("x", 1+4*i))
	}
	l.serveHere(t, zone.String())
	s := l.serve(t, server.Env{Network: l.Network()})
	for _, w := range FrontOf(s).messages(t, s) {
		for name, options := range map[string][]dns.EDNS0{"bare": nil, "padded": {&dns.EDNS0_PADDING{Padding: make([]byte, 80)}}} {
			sizes := map[int]int{}
			for i := range 60 {
				m, octets := w.answer(t, pack(t, fmt.Sprintf("t%d.example.net.", i), dns.TypeTXT, withOPT(options...)))
				if len(m.Answer) != 1 {
					t.Fatal(m)
				}
				sizes[len(octets)]++
			}
			t.Logf("%s, %s queries: %d lengths", w.name, name, len(sizes))
			if w.isEncrypted() && len(sizes) > 3 || !w.isEncrypted() && len(sizes) < 50 {
				t.Errorf("over %s, answers to %s queries have %d lengths: %v", w.name, name, len(sizes), slices.Sorted(maps.Keys(sizes)))
			}
		}
	}
}

// A ticketBox is a client that would resume if it were let.
type ticketBox struct{ tickets int }

func (b *ticketBox) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (b *ticketBox) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		b.tickets++
	}
}

// Rows D3 and D4: no ticket over any transport that has TLS, and so no 0-RTT and nobody to be known again; the connection is used,
// so that a ticket would have come.
func TestNoTicketsAnywhere(t *testing.T) {
	l := newLab(t, 0)
	s := l.serve(t, server.Env{Network: l.Network()})
	f := FrontOf(s)
	query := pack(t, "shop.example.net.", dns.TypeA, withOPT())
	box := &ticketBox{}
	trust := func(protocol string) *tls.Config {
		config := f.trust(protocol)
		config.ServerName, config.ClientSessionCache = "dns.example", box
		return config
	}
	ask := map[string]func() error{
		"DoT": func() error {
			conn, err := tls.Dial("tcp", f.TLS.String(), trust("dot"))
			if err != nil {
				return err
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = converse(conn, query)
			return err
		},
		"DoQ": func() error {
			conn, err := quic.DialAddrEarly(t.Context(), f.QUIC.String(), trust("doq"), nil)
			if err != nil {
				return err
			}
			_, err = askStream(t.Context(), conn, query)
			if conn.ConnectionState().Used0RTT {
				t.Error("0-RTT over DoQ")
			}
			_ = conn.CloseWithError(0, "")
			return err
		},
		"HTTP/3.0": func() error {
			three := &http3.Transport{TLSClientConfig: trust("h3")}
			defer three.Close()
			_, err := postOver(t.Context(), three, "HTTP/3.0", addrOf(s, "http3"), query)
			return err
		},
	}
	for protocol, alpn := range map[string]string{"HTTP/1.1": "http/1.1", "HTTP/2.0": "h2"} {
		ask[protocol] = func() error {
			web := &http.Transport{TLSClientConfig: trust(alpn), ForceAttemptHTTP2: alpn == "h2"}
			defer web.CloseIdleConnections()
			_, err := postOver(t.Context(), web, protocol, f.HTTPS, query)
			return err
		}
	}
	for name, once := range ask {
		for range 2 {
			if err := once(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if box.tickets > 0 {
			t.Errorf("%s: %d tickets", name, box.tickets)
		}
	}
}

// Row D5: three headers, over each version of HTTP, for messages and JSON, right or wrong, whatever the client sends of itself.
func TestThreeHeaders(t *testing.T) {
	l := newLab(t, 0)
	s := l.serve(t, server.Env{Network: l.Network()})
	f := FrontOf(s)
	query := pack(t, "shop.example.net.", dns.TypeA)
	want := []string{"Cache-Control", "Content-Length", "Content-Type"}
	three := &http3.Transport{TLSClientConfig: f.trust("h3")}
	defer three.Close()
	for protocol, transport := range map[string]http.RoundTripper{
		"HTTP/1.1": &http.Transport{TLSClientConfig: f.trust("http/1.1")},
		"HTTP/2.0": &http.Transport{TLSClientConfig: f.trust("h2"), ForceAttemptHTTP2: true},
		"HTTP/3.0": three,
	} {
		at := f.HTTPS
		if protocol == "HTTP/3.0" {
			at = addrOf(s, "http3")
		}
		for name, change := range map[string]func(r *http.Request){
			"POST": func(r *http.Request) { r.Header.Set("Content-Type", "application/dns-message") },
			"GET": func(r *http.Request) {
				r.Method, r.Body, r.URL.RawQuery = http.MethodGet, nil, "dns="+base64.RawURLEncoding.EncodeToString(query)
				r.ContentLength = 0
			},
			"JSON": func(r *http.Request) {
				r.Method, r.Body, r.URL.RawQuery, r.ContentLength = http.MethodGet, nil, "name=shop.example.net", 0
			},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+at.String()+"/dns-query", bytes.NewReader(query))
			if err != nil {
				t.Fatal(err)
			}
			for header, value := range map[string]string{
				"User-Agent": "somebody/1", "Cookie": "id=1", "Accept-Language": "tlh", "Origin": "https://page.example", "If-None-Match": `"1"`,
			} {
				r.Header.Set(header, value)
			}
			change(r)
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(protocol, name, err)
			}
			_ = response.Body.Close()
			if got := slices.Sorted(maps.Keys(response.Header)); !slices.Equal(got, want) || response.StatusCode != 200 || response.Proto != protocol {
				t.Errorf("%s by %s: %s, %v", name, protocol, response.Status, response.Header)
			}
		}
		if web, ok := transport.(*http.Transport); ok {
			web.CloseIdleConnections()
		}
	}
}

// Row D6: of ten names that somebody has just asked for, who does not want recursion learns none, over any transport.
func TestNothingIsSnoopedWithoutRecursion(t *testing.T) {
	l := newLab(t, 0)
	s := l.serve(t, server.Env{Network: l.Network()})
	ways := FrontOf(s).messages(t, s)
	names := []string{
		"www.example.com.", "mail.example.com.", "www.example.org.", "library.example.org.", "www.store.example.", "tame.wild.example.",
		"www.half.example.", "www.deep.example.", "a.b.c.cellar.deep.example.", "www.glueless.example.",
	}
	told := 0
	for _, name := range names {
		for range 3 { // found, put together, finished
			if m, _ := ways[0].answer(t, pack(t, name, dns.TypeA, withOPT())); m.Rcode != dns.RcodeSuccess {
				t.Fatal(m)
			}
		}
		for _, w := range ways {
			m, _ := w.answer(t, pack(t, name, dns.TypeA, withOPT(), func(m *dns.Msg) { m.RecursionDesired = false }))
			if m.Rcode != dns.RcodeRefused || len(m.Answer)+len(m.Ns) > 0 {
				told++
				t.Errorf("over %s: %v", w.name, m)
			}
		}
	}
	t.Logf("%d of %d", told, len(names)*len(ways))
}

// Row D9: what asks who or where this is, by the class CHAOS (RFC 4892) or by NSID (RFC 5001), is refused or has no answer, over
// any transport, and none of it is asked of others.
func TestIdentityIsNotTold(t *testing.T) {
	l := newLab(t, 0)
	s := l.serve(t, server.Env{Network: l.Network()})
	for _, w := range FrontOf(s).messages(t, s) {
		for _, name := range []string{"version.bind.", "version.server.", "id.server.", "hostname.bind.", "authors.bind.", "trustanchor.unbound.", "cache.bind."} {
			for _, kind := range []uint16{dns.TypeTXT, dns.TypeANY} {
				m, _ := w.answer(t, pack(t, name, kind, withOPT(&dns.EDNS0_NSID{Code: dns.EDNS0NSID}), func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }))
				if m.Rcode != dns.RcodeRefused || len(m.Answer)+len(m.Ns) > 0 || tells(m, dns.EDNS0NSID) {
					t.Errorf("%s over %s: %v", name, w.name, m)
				}
			}
		}
		m, _ := w.answer(t, pack(t, "shop.example.net.", dns.TypeA, withOPT(&dns.EDNS0_NSID{Code: dns.EDNS0NSID})))
		if m.Rcode != dns.RcodeSuccess || tells(m, dns.EDNS0NSID) {
			t.Errorf("NSID over %s: %v", w.name, m)
		}
	}
	if n := len(l.world.Seen()); n > 0 {
		t.Errorf("%d packets to name servers", n)
	}
}

func tells(m *dns.Msg, option uint16) bool {
	opt := m.IsEdns0()
	return opt != nil && slices.ContainsFunc(opt.Option, func(o dns.EDNS0) bool { return o.Option() == option })
}

// Row D10: designations are answered here over any transport, and nobody else is asked (RFC 9462 section 4).
func TestDesignationsStayHere(t *testing.T) {
	l := newLab(t, 0)
	s := l.serve(t, server.Env{Network: l.Network()})
	for _, w := range FrontOf(s).messages(t, s) {
		for _, name := range []string{"_dns.resolver.arpa.", "resolver.arpa.", "x.resolver.arpa."} {
			if m, _ := w.answer(t, pack(t, name, dns.TypeSVCB, withOPT())); m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
				t.Errorf("%s over %s: %v", name, w.name, m)
			}
		}
	}
	if n := len(l.world.Seen()); n > 0 {
		t.Errorf("%d packets to name servers", n)
	}
}

// unhappy are questions whose answers have extended errors.
var unhappy = []string{
	"www.broken.example.", "www.expired.example.", "www.early.example.", "www.stranger.example.", "www.altered.example.", "www.bare.example.",
	"nowhere.unproven.example.", "www.replaced.example.", "www.short.example.", "nowhere.outside.example.", "nowhere.replayed.example.",
	"nowhere.costly.example.", "printer.local.", "x.invalid.", "1.0.0.10.in-addr.arpa.",
}

var (
	anAddress = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|[0-9a-fA-F]{1,4}:[0-9a-fA-F]*:`)
	aName     = regexp.MustCompile(`(?i)([a-z0-9-]+\.)+(example|test|com|org|net|arpa|invalid|local)\b\.?`)
)

// namesOthers reports whether a text has a name that is not the one asked for, nor one above it.
func namesOthers(text, asked string) bool {
	return slices.ContainsFunc(aName.FindAllString(text, -1), func(name string) bool { return !dns.IsSubDomain(dns.Fqdn(name), asked) })
}

// Row D13: the text of an extended error, which goes to the asker only, holds no address and names nobody else: no server, and no zone
// but one that what was asked is in.
func TestExtendedErrorsNameNobodyElse(t *testing.T) {
	l := newLab(t, 0)
	s := l.serve(t, server.Env{Network: l.Network()})
	texts := map[string]bool{}
	for _, w := range FrontOf(s).messages(t, s) {
		for _, name := range unhappy {
			for _, change := range []func(*dns.Msg){func(*dns.Msg) {}, func(m *dns.Msg) { m.RecursionDesired = false }, func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }} {
				m, _ := w.answer(t, pack(t, name, dns.TypeA, withOPT(), change))
				opt := m.IsEdns0()
				if opt == nil {
					continue
				}
				for _, o := range opt.Option {
					e, ok := o.(*dns.EDNS0_EDE)
					if !ok {
						continue
					}
					texts[e.ExtraText] = true
					if anAddress.MatchString(e.ExtraText) || namesOthers(e.ExtraText, name) {
						t.Errorf("%s over %s: %q", name, w.name, e.ExtraText)
					}
				}
			}
		}
	}
	t.Logf("%d texts: %q", len(texts), slices.Sorted(maps.Keys(texts)))
	if len(texts) < 8 {
		t.Error("too few texts to tell")
	}
}

// Row D14: two hundred answers and more, of all kinds, are the same octets over every transport but for padding.
// Cookies are for those that ask for one in clear (row D12).
func TestAnswersAreTheSameOctets(t *testing.T) {
	l := newLab(t, 0)
	var zone strings.Builder
	for i := range 20 {
		fmt.Fprintf(&zone, "t%d TXT %s\nt%d A 192.0.2.%d\n", i, strings.Repeat("x", 10+i), i, i)
	}
	l.serveHere(t, zone.String())
	s := l.serve(t, server.Env{Network: l.Network()})
	ways := FrontOf(s).messages(t, s)
	var queries [][]byte
	for i := range 20 {
		queries = append(queries, pack(t, fmt.Sprintf("t%d.example.net.", i), dns.TypeTXT), pack(t, fmt.Sprintf("t%d.example.net.", i), dns.TypeA, withOPT()))
	}
	for _, name := range slices.Concat(unhappy, []string{"www.example.com.", "Shop.Example.Com.", "nowhere.example.com.", "www.example.org."}) {
		queries = append(queries, pack(t, name, dns.TypeA), pack(t, name, dns.TypeA, func(m *dns.Msg) { m.SetEdns0(1232, true) }))
	}
	queries = append(queries, mistaken(t)...)
	compared := 0
	for _, q := range queries {
		_, _ = ways[0].answer(t, q) // so that all are from memory
		for _, w := range ways[1:] {
			alike := false
			var here, there []byte
			for try := 0; try < 5 && !alike; try++ { // TTLs count down, and failures are tried again
				here, there = bare(t, ways[0], q), bare(t, w, q)
				alike = bytes.Equal(here, there)
			}
			if compared++; !alike {
				t.Errorf("over %s\n%x, over UDP\n%x", w.name, there, here)
			}
		}
	}
	t.Logf("%d answers compared", compared)
	if compared < 200 {
		t.Error("too few")
	}
}

// bare is an answer without padding.
func bare(t *testing.T, w *way, query []byte) []byte {
	t.Helper()
	m, octets := w.answer(t, query)
	opt := m.IsEdns0()
	if opt == nil {
		return octets
	}
	before := len(opt.Option)
	opt.Option = slices.DeleteFunc(opt.Option, func(o dns.EDNS0) bool { return o.Option() == dns.EDNS0PADDING })
	if padded := before > len(opt.Option); padded != w.isEncrypted() {
		t.Errorf("over %s, padded: %v", w.name, padded)
	}
	m.Compress = true
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}
