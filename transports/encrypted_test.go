package transports

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"tacit/internal/wire"
)

// RFC 8932 section 5.1.6: what is answered does not depend on the transport.
func TestEncryptedTransportsAnswerAlike(t *testing.T) {
	d := openDoor(t, Options{}, alternating)
	for _, name := range []string{"a.example.", "ab.example.", "abc.example."} {
		for _, with := range [][]func(*dns.Msg){nil, {edns(1232)}} {
			query := ask(0, name, with...)
			want := plainAnswer(t, d, query)
			for _, w := range d.ways(t) {
				m := read(t, w.ask(t, query))
				if m.Rcode != want.Rcode || fmt.Sprint(m.Answer) != fmt.Sprint(want.Answer) || (m.IsEdns0() == nil) != (want.IsEdns0() == nil) {
					t.Errorf("%s: %v, over TCP %v", w.name, m, want)
				}
			}
		}
	}
}

func plainAnswer(t *testing.T, d *door, query []byte) *dns.Msg {
	t.Helper()
	conn, err := net.Dial("tcp", d.at(TCP))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustWrite(t, conn, framed(query))
	return mustReceive(t, conn)
}

// RFC 8467 section 4.1: answers are padded to multiples of 468 octets, whether or not the query was, and RFC 7830 section 4: only
// for those who can take an option.
func TestEncryptedAnswersArePadded(t *testing.T) {
	d := openDoor(t, Options{}, alternating)
	for _, w := range d.ways(t) {
		t.Run(w.name, func(t *testing.T) {
			sizes := map[int]int{}
			for i := range 60 {
				sizes[len(w.ask(t, ask(1, strings.Repeat("a", 1+i)+".example.", edns(1232))))]++
			}
			for size := range sizes {
				if size%paddedTo != 0 {
					t.Errorf("an answer of %d octets", size)
				}
			}
			if len(sizes) > 3 {
				t.Errorf("60 answers have %d lengths: %v", len(sizes), slices.Collect(maps.Keys(sizes)))
			}
			if bare := len(w.ask(t, ask(1, "ab.example."))); bare%paddedTo == 0 {
				t.Errorf("without OPT: %d octets", bare)
			}
		})
	}
}

// RFC 7301 section 3.2: who speaks something else is turned away; RFC 9325 section 3.1.1: TLS 1.3, and 1.2 where asked for.
func TestTLSHandshakes(t *testing.T) {
	modern, old := openDoor(t, Options{}, known), openDoor(t, Options{MinTLS: tls.VersionTLS12}, known)
	for _, c := range []struct {
		name    string
		door    *door
		to      Transport
		oldest  uint16
		offers  []string
		refused bool
	}{
		{"DoT by its name", modern, TLS, tls.VersionTLS13, []string{"dot"}, false},
		{"DoT among others", modern, TLS, tls.VersionTLS13, []string{"h2", "dot"}, false},
		{"DoT unnamed: RFC 7858 has no name for it", modern, TLS, tls.VersionTLS13, nil, false},
		{"HTTP at DoT", modern, TLS, tls.VersionTLS13, []string{"h2", "http/1.1"}, true},
		{"DoT at HTTPS", modern, HTTPS, tls.VersionTLS13, []string{"dot"}, true},
		{"TLS 1.2", modern, TLS, tls.VersionTLS12, []string{"dot"}, true},
		{"TLS 1.2 opted for", old, TLS, tls.VersionTLS12, []string{"dot"}, false},
		{"TLS 1.2 opted for, at HTTPS", old, HTTPS, tls.VersionTLS12, []string{"h2"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := c.door.tls(c.offers...)
			config.MaxVersion = c.oldest
			conn, err := tls.Dial("tcp", c.door.at(c.to), config)
			if refused := err != nil; refused != c.refused {
				t.Fatal("refused: ", refused)
			}
			if err == nil {
				_ = conn.Close()
			}
		})
	}
}

// RFC 9325 section 4.2: TLS 1.2 without forward secrecy or authenticated encryption is not spoken.
func TestTLS12Suites(t *testing.T) {
	d := openDoor(t, Options{MinTLS: tls.VersionTLS12}, known)
	config := d.tls("dot")
	config.MaxVersion = tls.VersionTLS12
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	if conn, err := tls.Dial("tcp", d.at(TLS), config); err == nil {
		_ = conn.Close()
		t.Error("a handshake")
	}
}

// A keeper counts the session tickets that it is given.
type keeper struct{ tickets int }

func (k *keeper) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (k *keeper) Put(string, *tls.ClientSessionState)        { k.tickets++ }

// RFC 8446 appendix C.4: who is given a ticket is known by it when it comes again.
func TestNoSessionTickets(t *testing.T) {
	d := openDoor(t, Options{}, known)
	var k keeper
	config := d.tls("dot")
	config.ClientSessionCache = &k
	conn := d.dialTLS(t, TLS, config)
	mustWrite(t, conn, framed(ask(1, "a.example.")))
	mustReceive(t, conn)
	config = d.tls("doq")
	config.ClientSessionCache = &k
	q, err := quic.DialAddr(t.Context(), d.at(QUIC), config, &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := askStream(t.Context(), q, framed(ask(0, "a.example."))); err != nil {
		t.Error(err)
	}
	_ = q.CloseWithError(0, "")
	if k.tickets != 0 {
		t.Errorf("%d tickets", k.tickets)
	}
}

// RFC 7828 section 3.2.1: over TLS the idle time-out is told as over TCP.
func TestDoTKeepalive(t *testing.T) {
	d := openDoor(t, Options{}, known)
	m := read(t, d.overTLS(t)(t, ask(1, "a.example.", edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: 11}))))
	for _, o := range m.IsEdns0().Option {
		if k, ok := o.(*dns.EDNS0_TCP_KEEPALIVE); ok && k.Timeout == 100 {
			return
		}
	}
	t.Error(m)
}

// RFC 8484 section 4.2.1, RFC 9110 section 15.5: what is wrong with a request.
func TestDoHStatus(t *testing.T) {
	d := openDoor(t, Options{}, known)
	query := string(ask(0, "a.example."))
	for _, c := range []struct {
		name, method, target, contentType, body string
		status                                  int
	}{
		{"a query", "POST", "", messageType, query, 200},
		{"its type in other letters", "POST", "", "Application/DNS-Message", query, 200},
		{"another path", "GET", "/", "", "", 404},
		{"a longer path", "POST", "/", messageType, query, 404},
		{"no parameter", "GET", "", "", "", 400},
		{"another parameter", "GET", "?q=a", "", "", 400},
		{"no base64url", "GET", "?dns=AA*A", "", "", 400},
		{"shorter than a header", "GET", "?dns=AAABAAABAAAA", "", "", 400},
		{"twice", "GET", "?dns=AAABAAABAAAAAAAAAWEHZXhhbXBsZQAAAQAB&dns=AAAB", "", "", 400},
		{"longer than is decoded", "GET", "?dns=" + strings.Repeat("A", maxGETValue+1), "", "", 400},
		{"a response", "POST", "", messageType, query[:2] + "\x80" + query[3:], 400},
		{"an empty body", "POST", "", messageType, "", 400},
		{"no type", "POST", "", "", query, 415},
		{"another type", "POST", "", "text/plain", query, 415},
		{"longer than a message can be", "POST", "", messageType, strings.Repeat("a", maxMessage+1), 413},
		{"another method", "PUT", "", messageType, query, 405},
		{"HEAD", "HEAD", "?dns=AAABAAABAAAAAAAAAWEHZXhhbXBsZQAAAQAB", "", "", 405},
		{"JSON", "GET", "?name=a.example", "", "", 200},
		{"JSON of a type that is none", "GET", "?name=a.example&type=nothing", "", "", 400},
		{"JSON of a name that is none", "GET", "?name=a..example", "", "", 400},
		{"JSON with a flag that is neither", "GET", "?name=a.example&do=maybe", "", "", 400},
	} {
		for _, protocol := range []string{alpnHTTP1, alpnHTTP2, alpnHTTP3} {
			t.Run(c.name+" by "+protocol, func(t *testing.T) {
				target := d.url(protocol) + c.target
				if c.target == "/" && c.method == "GET" {
					target = strings.TrimSuffix(d.url(protocol), Path) + "/"
				}
				r, err := http.NewRequestWithContext(t.Context(), c.method, target, strings.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				if c.contentType != "" {
					r.Header.Set("Content-Type", c.contentType)
				}
				response, err := d.browser(t, protocol).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				if response.StatusCode != c.status || response.ProtoMajor != int(protocol[len("h")]-'0') && protocol != alpnHTTP1 {
					t.Error(response.Proto, response.Status)
				}
				if allow := response.Header.Get("Allow"); (allow == "GET, POST") != (c.status == 405) {
					t.Error("Allow: ", allow)
				}
			})
		}
	}
}

// RFC 8484 section 8.2: no headers but those that the answer needs.
func TestDoHHeaders(t *testing.T) {
	d := openDoor(t, Options{AltSvc: 8443}, script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
		return wire.Answer{Packet: records(q, 2)}
	}})
	for protocol, want := range map[string][]string{
		alpnHTTP1: {"Alt-Svc", "Cache-Control", "Content-Length", "Content-Type"},
		alpnHTTP2: {"Alt-Svc", "Cache-Control", "Content-Length", "Content-Type"},
		alpnHTTP3: {"Cache-Control", "Content-Length", "Content-Type"},
	} {
		for _, target := range []string{"?dns=AAABAAABAAAAAAAAAWEHZXhhbXBsZQAAAQAB", "?name=a.example"} {
			response, err := d.browser(t, protocol).Get(d.url(protocol) + target)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if got := slices.Sorted(maps.Keys(response.Header)); !slices.Equal(got, want) {
				t.Errorf("%s %s: %v", protocol, target, got)
			}
			if protocol != alpnHTTP3 && response.Header.Get("Alt-Svc") != `h3=":8443"; ma=86400` {
				t.Error(response.Header)
			}
			if got := response.Header.Get("Cache-Control"); got != "max-age=300" {
				t.Error("Cache-Control: ", got)
			}
		}
	}
}

func TestDoHJSON(t *testing.T) {
	reason := wire.ExtendedError{Code: wire.EDEStaleAnswer, Text: "stale"}
	d := openDoor(t, Options{}, script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
		if !q.DO || !q.CD || q.Type != wire.TypeTXT {
			t.Error("DO, CD or the type is lost")
		}
		return wire.Answer{Packet: records(q, 2), Errors: []wire.ExtendedError{reason}}
	}})
	response, err := d.browser(t, alpnHTTP2).Get(d.url(alpnHTTP2) + "?name=Txt.example&type=txt&do=1&cd=true")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || len(text)%paddedTo != 0 || response.Header.Get("Content-Type") != jsonType {
		t.Error(err, len(text), response.Header)
	}
	var got jsonAnswer
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != 0 || got.TC || !got.RD || !got.RA || !got.AD || !got.CD || len(got.Answer) != 2 || len(got.Question) != 1 {
		t.Errorf("%+v", got)
	}
	if q := got.Question[0]; q.Name != "Txt.example." || q.Type != dns.TypeTXT {
		t.Errorf("%+v", q)
	}
	if rr := got.Answer[0]; rr.Type != dns.TypeTXT || rr.TTL != 300 || !strings.HasPrefix(rr.Data, `"`) {
		t.Errorf("%+v", rr)
	}
	if len(got.Errors) != 1 || got.Errors[0] != (jsonError{uint16(reason.Code), reason.Text}) {
		t.Errorf("%+v", got.Errors)
	}
}

// An addressBook admits those from one address, and keeps count of the others.
type addressBook struct{ only netip.Addr }

func (a addressBook) Admit(addr netip.Addr, _ time.Time) (wire.View, bool) { return 0, addr == a.only }

// RFC 7239 section 8.1: what was in the header before the proxy added to it can be anybody's word.
func TestDoHBehindAProxy(t *testing.T) {
	for _, c := range []struct {
		name    string
		proxies string
		header  []string
		status  int
		rcode   int
	}{
		{"the client", "127.0.0.0/8", []string{"192.0.2.1"}, 200, dns.RcodeSuccess},
		{"the last one counts", "127.0.0.0/8", []string{"192.0.2.9, 192.0.2.1"}, 200, dns.RcodeSuccess},
		{"in the last header", "127.0.0.0/8", []string{"192.0.2.9", "192.0.2.1"}, 200, dns.RcodeSuccess},
		{"a client that is not served", "127.0.0.0/8", []string{"192.0.2.1, 192.0.2.9"}, 200, dns.RcodeRefused},
		{"nobody", "127.0.0.0/8", nil, 403, 0},
		{"no address", "127.0.0.0/8", []string{"unknown"}, 403, 0},
		{"by another proxy", "192.0.2.0/24", []string{"192.0.2.1"}, 403, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Listen(t.Context(), Options{Plain: []string{"127.0.0.1:0"}, PlainProxies: []netip.Prefix{netip.MustParsePrefix(c.proxies)}})
			if err != nil {
				t.Fatal(err)
			}
			serve(t, s, known, addressBook{netip.MustParseAddr("192.0.2.1")})
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.tcp[0].listener.Addr().String()+Path,
				strings.NewReader(string(ask(0, "a.example."))))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Content-Type": {messageType}, "X-Forwarded-For": c.header}
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			response, err := (&http.Client{Transport: transport}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			octets, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != c.status {
				t.Fatal(err, response.Status)
			}
			if c.status == 200 && read(t, octets).Rcode != c.rcode {
				t.Error(read(t, octets))
			}
		})
	}
}

func TestDoHOnAUnixSocket(t *testing.T) {
	path := t.TempDir() + "/doh"
	s, err := Listen(t.Context(), Options{Plain: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, known, addressBook{netip.MustParseAddr("2001:db8::1")})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://dns.example"+Path+"?dns=AAABAAABAAAAAAAAAWEHZXhhbXBsZQAAAQAB", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "2001:db8::1")
	if m := read(t, body(t, &http.Client{Transport: transport}, r)); m.Rcode != dns.RcodeSuccess {
		t.Error(m)
	}
}

// RFC 9250 section 4.3.3: what ends the connection with DOQ_PROTOCOL_ERROR.
func TestDoQProtocolErrors(t *testing.T) {
	d := openDoor(t, Options{}, known)
	query := framed(ask(0, "a.example."))
	for _, c := range []struct {
		name   string
		octets []byte
	}{
		{"section 4.2.1: an ID", framed(ask(7, "a.example."))},
		{"section 4.2: a second query", slices.Concat(query, query)},
		{"FIN before the end of the message", query[:len(query)-1]},
		{"FIN and nothing", nil},
		{"octets behind the message", append(slices.Clip(query), 0)},
		{"a response", framed(ask(0, "a.example.", func(m *dns.Msg) { m.Response = true }))},
		{"section 5.5.2: edns-tcp-keepalive", framed(ask(0, "a.example.", edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: 11})))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := askStream(t.Context(), d.dialQUIC(t, QUIC, alpnDoQ), c.octets)
			e, ok := errors.AsType[*quic.ApplicationError](err)
			if !ok || !e.Remote || e.ErrorCode != doqProtocolError {
				t.Error(err)
			}
		})
	}
}

// RFC 9250 section 4.2 has no use for streams in one direction.
func TestDoQUnidirectionalStreams(t *testing.T) {
	d := openDoor(t, Options{}, known)
	if stream, err := d.dialQUIC(t, QUIC, alpnDoQ).OpenUniStream(); err == nil {
		_, err = stream.Write([]byte{0})
		t.Error("a stream is let in: ", err)
	}
}

// A client that does not finish its query holds a stream for 2 s, and nobody else up.
func TestDoQStreamThatDoesNotEnd(t *testing.T) {
	d := openDoor(t, Options{}, known)
	conn := d.dialQUIC(t, QUIC, alpnDoQ)
	stream, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	mustWriteStream(t, stream, []byte{0})
	if _, err := askStream(t.Context(), conn, framed(ask(0, "a.example."))); err != nil {
		t.Error("beside it: ", err)
	}
	_ = stream.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err = stream.Read(make([]byte, 1))
	if e, ok := errors.AsType[*quic.StreamError](err); !ok || e.ErrorCode != doqExcessiveLoad {
		t.Error(err)
	}
}

func mustWriteStream(t *testing.T, stream *quic.Stream, octets []byte) {
	t.Helper()
	if _, err := stream.Write(octets); err != nil {
		t.Fatal(err)
	}
}

// RFC 7301: one UDP port serves DoQ and HTTP/3.
func TestDoQBesideHTTP3(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := []netip.AddrPort{endpoint(free.LocalAddr())}
	_ = free.Close()
	certificate, roots := certify(t)
	s, err := Listen(t.Context(), Options{
		HTTP3: addr, QUIC: addr,
		Certificates: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, known, everybody{})
	d := &door{s, roots}
	if m := read(t, d.overQUIC(t)(t, ask(0, "a.example."))); m.Rcode != dns.RcodeSuccess {
		t.Error(m)
	}
	response, err := d.browser(t, alpnHTTP3).Get(d.url(alpnHTTP3) + "?name=a.example")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	conn := d.dialQUIC(t, QUIC, alpnDoQ)
	if stream, err := conn.OpenUniStream(); err == nil {
		_, _ = stream.Write([]byte{0})
	}
	_, err = conn.AcceptStream(t.Context())
	if e, ok := errors.AsType[*quic.ApplicationError](err); !ok || e.ErrorCode != doqProtocolError {
		t.Error("a stream in one direction: ", err)
	}
}

// Shutdown lets who waits over an encrypted transport have its answer.
func TestShutdownDrainsEncrypted(t *testing.T) {
	certificate, roots := certify(t)
	any := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	s, err := Listen(t.Context(), Options{
		TLS: any, HTTPS: any, HTTP3: any, QUIC: any,
		Certificates: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	serve(t, s, script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
		asked <- struct{}{}
		<-answer
		return wire.Answer{Packet: address(q)}
	}}, everybody{})
	ways := (&door{s, roots}).ways(t)
	answered := make(chan string, len(ways))
	for _, w := range ways {
		go func() {
			outcome := w.name + " has no answer"
			defer func() { answered <- outcome }()
			if m := read(t, w.ask(t, ask(0, "a.example."))); len(m.Answer) == 1 {
				outcome = ""
			}
		}()
	}
	for range ways {
		<-asked
	}
	ended := make(chan error)
	go func() { ended <- s.Shutdown(context.Background()) }()
	<-s.front.stopping
	close(answer)
	for range ways {
		if outcome := <-answered; outcome != "" {
			t.Error(outcome)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
