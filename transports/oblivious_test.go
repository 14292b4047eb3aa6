package transports

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tacit/internal/odoh"
	"tacit/internal/wire"
)

// roles are those that a test plays.
type roles struct {
	keys  *odoh.Keys
	relay Relay
}

func (r roles) Target() *odoh.Keys { return r.keys }
func (r roles) Relay() Relay       { return r.relay }

// A courier is a Relay that does what a test says.
type courier func(ctx context.Context, to Destination, sealed []byte) ([]byte, Fault)

func (c courier) Pass(ctx context.Context, to Destination, sealed []byte) ([]byte, Fault) {
	return c(ctx, to, sealed)
}

func newTarget(t testing.TB) roles {
	t.Helper()
	keys, err := odoh.NewKeys(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return roles{keys: keys}
}

// overHTTP runs a test over each version of HTTP, against a door with these roles.
func overHTTP(t *testing.T, o Options, r Responder, test func(t *testing.T, v *sealedClient)) {
	t.Helper()
	d := openDoor(t, o, r)
	for _, protocol := range []string{alpnHTTP1, alpnHTTP2, alpnHTTP3} {
		t.Run(protocol, func(t *testing.T) { test(t, &sealedClient{d, d.browser(t, protocol), protocol}) })
	}
}

// A sealedClient is one of Oblivious DoH, over one version of HTTP.
type sealedClient struct {
	*door
	*http.Client
	protocol string
}

// A said is a response as its client sees it.
type said struct {
	status int
	header http.Header
	body   []byte
}

func (c *sealedClient) do(t *testing.T, method, at, mediaType string, body io.Reader) said {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(c.url(c.protocol), Path)+at, body)
	if err != nil {
		t.Fatal(err)
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	octets, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return said{response.StatusCode, response.Header, octets}
}

func (c *sealedClient) post(t *testing.T, at string, body []byte) said {
	t.Helper()
	return c.do(t, http.MethodPost, at, odoh.MediaType, bytes.NewReader(body))
}

func (c *sealedClient) config(t *testing.T) odoh.Config {
	t.Helper()
	s := c.do(t, http.MethodGet, odoh.ConfigsPath, "", http.NoBody)
	config, err := odoh.ParseConfigs(s.body)
	if err != nil || s.status != http.StatusOK || !strings.HasPrefix(s.header.Get("Cache-Control"), maxAge) {
		t.Fatal(err, s.status, s.header)
	}
	return config
}

func seal(t *testing.T, c odoh.Config, query []byte) ([]byte, *odoh.Exchange) {
	t.Helper()
	sealed, x, err := c.Seal(query)
	if err != nil {
		t.Fatal(err)
	}
	return sealed, x
}

// RFC 9230 section 4: the round trip, and no header more than it takes (reference row D5). The lifetime of the answer is not the
// proxy's business.
func TestTargetAnswersSealedQueries(t *testing.T) {
	overHTTP(t, Options{Oblivious: newTarget(t)}, script{}, func(t *testing.T, v *sealedClient) {
		sealed, x := seal(t, v.config(t), ask(7, "www.zone.test.", edns(1232)))
		s := v.post(t, Path, sealed)
		answer, err := x.Open(s.body)
		if err != nil || s.status != http.StatusOK {
			t.Fatal(err, s.status)
		}
		if m := read(t, answer); m.Id != 7 || len(m.Answer) != 1 || len(answer)%paddedTo != 0 {
			t.Errorf("%d octets: %v", len(answer), m)
		}
		want := []string{"Cache-Control", "Content-Length", "Content-Type"}
		if got := slices.Sorted(maps.Keys(s.header)); !slices.Equal(got, want) || s.header.Get("Cache-Control") != noStore ||
			s.header.Get("Content-Type") != odoh.MediaType {
			t.Errorf("headers %v", s.header)
		}
	})
}

// Reference row D1, for sealed answers: 60 names, half of them asked for without EDNS, where nothing else could be padded.
func TestSealedAnswersArePadded(t *testing.T) {
	overHTTP(t, Options{Oblivious: newTarget(t)}, script{}, func(t *testing.T, v *sealedClient) {
		config, sizes := v.config(t), map[int]bool{}
		for i := range 60 {
			query := ask(0, strings.Repeat("x", i+1)+".zone.test.", edns(1232))
			if i%2 == 1 {
				query = ask(0, strings.Repeat("x", i+1)+".zone.test.")
			}
			sealed, x := seal(t, config, query)
			s := v.post(t, Path, sealed)
			if _, err := x.Open(s.body); err != nil {
				t.Fatal(err)
			}
			sizes[len(s.body)] = true
		}
		if len(sizes) > 1 {
			t.Errorf("60 answers of %d sizes: %v", len(sizes), sizes)
		}
	})
}

// What a query is worth does not depend on the way that it took: everything is judged as on other transports.
func TestSealedQueriesAreJudged(t *testing.T) {
	overHTTP(t, Options{Oblivious: newTarget(t)}, script{}, func(t *testing.T, v *sealedClient) {
		config := v.config(t)
		sealed, x := seal(t, config, ask(0, "www.zone.test.", edns(1232), qtype(uint16(wire.TypeANY))))
		if answer, err := x.Open(v.post(t, Path, sealed).body); err != nil || !bytes.Contains(answer, []byte("RFC8482")) {
			t.Errorf("ANY: %x, %v", answer, err)
		}
		sealed, _ = seal(t, config, []byte("no message"))
		if s := v.post(t, Path, sealed); s.status != http.StatusBadRequest {
			t.Errorf("no DNS message: %d", s.status)
		}
	})
}

// RFC 9230 section 4.3: 401 for a key that is not known, 400 for whatever cannot be opened. Its other requests are as of DoH.
func TestTargetRefuses(t *testing.T) {
	stranger := newTarget(t)
	configs, _, err := stranger.keys.Configs(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := odoh.ParseConfigs(configs)
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, 300)
	rand.Read(garbage)
	overHTTP(t, Options{Oblivious: newTarget(t)}, script{}, func(t *testing.T, v *sealedClient) {
		query := ask(0, "www.zone.test.", edns(1232))
		toOther, _ := seal(t, foreign, query)
		sealed, _ := seal(t, v.config(t), query)
		changed := bytes.Clone(sealed)
		changed[len(changed)-1] ^= 1
		for _, c := range []struct {
			name, at, mediaType string
			body                []byte
			status              int
			proxy               string
		}{
			{"another key", Path, odoh.MediaType, toOther, 401, ""},
			{"changed on the way", Path, odoh.MediaType, changed, 400, ""},
			{"cut off", Path, odoh.MediaType, sealed[:60], 400, ""},
			{"garbage", Path, odoh.MediaType, garbage, 400, ""},
			{"nothing", Path, odoh.MediaType, nil, 400, ""},
			{"a query in clear", Path, odoh.MediaType, query, 400, ""},
			{"a response", Path, odoh.MediaType, append([]byte{2}, sealed[1:]...), 400, ""},
			{"huge", Path, odoh.MediaType, make([]byte, maxMessage+1), 413, ""},
			{"of another type", Path, "text/plain", sealed, 415, ""},
			{"at another path", "/other", odoh.MediaType, sealed, 404, ""},
			{"to be taken on, by one who does not", anyTarget, odoh.MediaType, sealed, 403, "odoh-proxy; error=http_request_denied"},
		} {
			s := v.do(t, http.MethodPost, c.at, c.mediaType, bytes.NewReader(c.body))
			if s.status != c.status || s.header.Get("Proxy-Status") != c.proxy || len(s.body) != 0 {
				t.Errorf("%s: %d, %d octets, %v", c.name, s.status, len(s.body), s.header)
			}
		}
		if s := v.do(t, http.MethodGet, odoh.ConfigsPath+"/x", "", http.NoBody); s.status != http.StatusNotFound {
			t.Errorf("below the configurations: %d", s.status)
		}
	})
}

// Off is off: without a role there is nothing to be found.
func TestNoRoleIsPlayed(t *testing.T) {
	for name, o := range map[string]Oblivious{"none": nil, "both off": roles{}} {
		t.Run(name, func(t *testing.T) {
			overHTTP(t, Options{Oblivious: o}, script{}, func(t *testing.T, v *sealedClient) {
				for at, want := range map[string]int{Path: 415, Path + "?targethost=dns.example&targetpath=/dns-query": 415} {
					if s := v.post(t, at, make([]byte, 100)); s.status != want || len(s.header["Proxy-Status"]) != 0 {
						t.Errorf("%s: %d", at, s.status)
					}
				}
				if s := v.do(t, http.MethodGet, odoh.ConfigsPath, "", http.NoBody); s.status != http.StatusNotFound {
					t.Errorf("configurations: %d", s.status)
				}
			})
		})
	}
}

// The target treats the proxy as its client, and the proxy the client as its own: who is not served is told so before anything is
// opened or taken on. The key is everybody's.
func TestRolesAreForThoseWhoAreServed(t *testing.T) {
	var passed atomic.Int32
	o := newTarget(t)
	o.relay = courier(func(context.Context, Destination, []byte) ([]byte, Fault) {
		passed.Add(1)
		return nil, Fault{}
	})
	d := openDoorFor(t, Options{Oblivious: o}, script{}, nobody{})
	for _, protocol := range []string{alpnHTTP1, alpnHTTP2, alpnHTTP3} {
		v := &sealedClient{d, d.browser(t, protocol), protocol}
		sealed, _ := seal(t, v.config(t), ask(0, "www.zone.test."))
		for _, at := range []string{Path, Path + "?targethost=dns.example&targetpath=/dns-query"} {
			v := &sealedClient{d, d.browser(t, protocol), protocol} // a connection of its own: who is not served loses it
			if s := v.post(t, at, sealed); s.status != http.StatusForbidden {
				t.Errorf("%s by %s: %d", at, protocol, s.status)
			}
		}
	}
	if passed.Load() != 0 {
		t.Error("a stranger's message was taken on")
	}
}

// RFC 9230 section 4.1: the proxy hands on the message and the target's name, as they are, and brings the response back.
func TestProxyTakesMessagesOn(t *testing.T) {
	response := make([]byte, 600)
	rand.Read(response)
	type passage struct {
		to     Destination
		sealed []byte
	}
	passages := make(chan passage, 1)
	relay := courier(func(_ context.Context, to Destination, sealed []byte) ([]byte, Fault) {
		passages <- passage{to, bytes.Clone(sealed)}
		return response, Fault{}
	})
	overHTTP(t, Options{Oblivious: roles{relay: relay}}, script{}, func(t *testing.T, v *sealedClient) {
		sealed := make([]byte, 200)
		rand.Read(sealed)
		s := v.post(t, Path+"?targethost=dns.example%3A8443&targetpath=%2Fdns-query", sealed)
		if s.status != http.StatusOK || !bytes.Equal(s.body, response) || s.header.Get("Content-Type") != odoh.MediaType || len(s.header) != 3 {
			t.Errorf("%d, %d octets, %v", s.status, len(s.body), s.header)
		}
		if p := <-passages; p.to != (Destination{"dns.example:8443", "/dns-query"}) || !bytes.Equal(p.sealed, sealed) {
			t.Errorf("passed to %v: %x", p.to, p.sealed)
		}
	})
}

// RFC 9230 section 4.3, RFC 9209: who is told what, and by whom.
func TestProxyTellsItsFaults(t *testing.T) {
	relay := courier(func(_ context.Context, to Destination, _ []byte) ([]byte, Fault) {
		switch to.Host {
		case "target.example":
			return nil, Fault{Status: http.StatusUnauthorized}
		case "gone.example":
			return nil, Fault{http.StatusBadGateway, "connection_refused"}
		}
		return nil, DeniedFault()
	})
	const path = "&targetpath=/dns-query"
	overHTTP(t, Options{Oblivious: roles{relay: relay}}, script{}, func(t *testing.T, v *sealedClient) {
		for _, c := range []struct {
			query  string
			length int
			status int
			told   string
		}{
			{"targethost=target.example" + path, 100, 401, "received-status=401"},
			{"targethost=gone.example" + path, 100, 502, "error=connection_refused"},
			{"targethost=other.example" + path, 100, 403, "error=http_request_denied"},
			{"targethost=target.example", 100, 400, "error=http_request_error"},
			{"targetpath=/dns-query", 100, 400, "error=http_request_error"},
			{"targethost=" + path, 100, 400, "error=http_request_error"},
			{"targethost=a.example&targethost=target.example" + path, 100, 400, "error=http_request_error"},
			{"targethost=target.example&targetpath=dns-query", 100, 400, "error=http_request_error"},
			{"targethost=target.example;targetpath=/dns-query", 100, 400, "error=http_request_error"},
			{"", 100, 400, "error=http_request_error"},
			{"targethost=target.example" + path, maxMessage + 1, 413, "error=http_request_error"},
		} {
			s := v.post(t, Path+"?"+c.query, make([]byte, c.length))
			if want := "odoh-proxy; " + c.told; s.status != c.status || s.header.Get("Proxy-Status") != want {
				t.Errorf("%s: %d %q, want %d %q", c.query, s.status, s.header.Get("Proxy-Status"), c.status, want)
			}
		}
	})
}

const anyTarget = Path + "?targethost=dns.example&targetpath=/dns-query"

// A message that is taken on holds one of the client's places, as a query that waits does, and no more.
func TestPassagesTakePlaces(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	relay := courier(func(context.Context, Destination, []byte) ([]byte, Fault) {
		began <- struct{}{}
		<-end
		return []byte{1}, Fault{}
	})
	overHTTP(t, Options{Oblivious: roles{relay: relay}, Limits: Limits{Waiting: 1}}, script{}, func(t *testing.T, v *sealedClient) {
		first := make(chan said)
		go func() { first <- v.post(t, anyTarget, []byte{1}) }()
		<-began
		if s := v.post(t, anyTarget, []byte{1}); s.status != http.StatusTooManyRequests || s.header.Get("Proxy-Status") == "" {
			t.Errorf("one too many: %d", s.status)
		}
		end <- struct{}{}
		if s := <-first; s.status != http.StatusOK {
			t.Errorf("the first: %d", s.status)
		}
		again := make(chan said)
		go func() { again <- v.post(t, anyTarget, []byte{1}) }()
		<-began
		end <- struct{}{}
		if s := <-again; s.status != http.StatusOK {
			t.Errorf("the place was not given back: %d", s.status)
		}
	})
}

// A panic ends one request, and is counted.
func TestPassagesThatPanic(t *testing.T) {
	relay := courier(func(context.Context, Destination, []byte) ([]byte, Fault) { panic("of a test") })
	d := openDoor(t, Options{Oblivious: roles{relay: relay}}, script{})
	v := &sealedClient{d, d.browser(t, alpnHTTP2), alpnHTTP2}
	if s := v.post(t, anyTarget, []byte{1}); s.status != http.StatusInternalServerError {
		t.Errorf("status %d", s.status)
	}
	if n := d.Counters(HTTPS).Panics.Load(); n != 1 {
		t.Errorf("%d panics counted", n)
	}
	if n := d.front.quota.slots.count(holder{d.front.quota.clients.Of(netip.MustParseAddr("127.0.0.1"), time.Now()), HTTPS, true}); n != 0 {
		t.Errorf("%d places are still held", n)
	}
}

// Who gives up leaves nothing behind: its place is free once the passage ends, and the connection goes on.
func TestPassagesThatNobodyWaitsFor(t *testing.T) {
	began := make(chan context.Context)
	relay := courier(func(ctx context.Context, _ Destination, sealed []byte) ([]byte, Fault) {
		if len(sealed) == 1 {
			return sealed, Fault{}
		}
		began <- ctx
		<-ctx.Done()
		return nil, Fault{http.StatusGatewayTimeout, "http_response_timeout"}
	})
	d := openDoor(t, Options{Oblivious: roles{relay: relay}}, script{})
	v := &sealedClient{d, d.browser(t, alpnHTTP2), alpnHTTP2}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(v.url(alpnHTTP2), Path)+anyTarget, bytes.NewReader([]byte{1, 2}))
		if err == nil {
			r.Header.Set("Content-Type", odoh.MediaType)
			_, err = v.Do(r) //nolint:bodyclose // there is none
		}
		ended <- err
	}()
	passing := <-began
	cancel()
	if err := <-ended; err == nil {
		t.Error("an answer all the same")
	}
	if s := v.post(t, anyTarget, []byte{1}); s.status != http.StatusOK {
		t.Errorf("the next request: %d", s.status)
	}
	if deadline, ok := passing.Deadline(); !ok || time.Until(deadline) > answerWithin {
		t.Error("a passage without a deadline")
	}
}

// A body that does not come is not waited for, by the proxy as by the target (as in DoH).
func TestSealedBodiesThatStall(t *testing.T) {
	o := newTarget(t)
	o.relay = courier(func(context.Context, Destination, []byte) ([]byte, Fault) { return []byte{1}, Fault{} })
	d := openDoor(t, Options{Oblivious: o}, script{})
	for at, proxied := range map[string]bool{Path: false, anyTarget: true} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			conn := d.dialTLS(t, HTTPS, d.tls(alpnHTTP1))
			mustWrite(t, conn, fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: dns.example\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\nx", at, odoh.MediaType))
			began := time.Now()
			answer := readAll(conn)
			if !strings.HasPrefix(answer, "HTTP/1.1 400") || strings.Contains(answer, "Proxy-Status: ") != proxied {
				t.Errorf("answer %q", answer)
			}
			if took := time.Since(began); took > 2*bodyWithin {
				t.Errorf("waited %v", took)
			}
		})
	}
}

func readAll(conn net.Conn) string {
	all, _ := io.ReadAll(conn) // until it is closed, in whatever way
	return string(all)
}

func FuzzDestination(f *testing.F) {
	f.Add("targethost=dns.example&targetpath=/dns-query")
	f.Add("targethost=%zz;&targetpath")
	f.Fuzz(func(t *testing.T, query string) {
		to, named, ok := destinationOf(query)
		if ok && (!named || to.Host == "" || !strings.HasPrefix(to.Path, "/")) {
			t.Errorf("%q is read as %+v", query, to)
		}
		d := &doh{oblivious: roles{relay: courier(nil)}}
		if s := d.judgeSealed(Path, query, http.MethodPost, odoh.MediaType, -1); s == nil || (s.status() == http.StatusOK) != ok {
			t.Errorf("%q is judged as %+v", query, s)
		}
	})
}
