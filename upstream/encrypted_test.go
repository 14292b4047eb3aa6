package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A line is a client, an encrypted server that it asks, and what it asks it with.
type line struct {
	*testing.T
	stub   *resolverStub
	client *Client
	memory *Memory
	server Server
	budget *work.Budget
}

// onLine starts a server over one transport and a client.
func onLine(t *testing.T, stub *resolverStub, i Identity) *line {
	t.Helper()
	stub.start(t)
	if stub.transport == HTTPS && i.Path == "" {
		i.Path = "/dns-query"
	}
	memory := NewMemory(MemoryOptions{})
	x := &line{
		T: t, stub: stub, client: New(Options{Memory: memory}), memory: memory, budget: work.New(work.DefaultLimits),
		server: Server{Addr: stub.addr, Recursive: true, Transport: stub.transport, Peer: NewPeer(i)},
	}
	t.Cleanup(func() { _ = x.client.Close() })
	return x
}

func (x *line) ask() (Reply, error) {
	return x.client.Exchange(x.Context(), x.server, question, x.budget, nil)
}

func (x *line) mustAsk() Reply {
	x.Helper()
	r, err := x.ask()
	if err != nil {
		x.Fatal(err)
	}
	if len(r.Msg.Answer) != 1 || r.Transport != x.stub.transport {
		x.Fatalf("got %v over %v", r.Msg, r.Transport)
	}
	return r
}

func (x *line) wantOutcome(want Outcome) {
	x.Helper()
	_, err := x.ask()
	var e *Error
	if !errors.As(err, &e) || e.Outcome != want {
		x.Fatalf("got error %v, want outcome %v", err, want)
	}
	if strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "example") {
		x.Errorf("the error says too much: %v", err)
	}
}

// overAll runs a test over each encrypted transport.
func overAll(t *testing.T, test func(t *testing.T, transport Transport)) {
	t.Helper()
	for _, transport := range []Transport{TLS, HTTPS, QUIC} {
		t.Run(transport.String(), func(t *testing.T) { test(t, transport) })
	}
}

// RFC 8310 section 5: a server is authenticated by a name, by a pin, or by both, and where there is neither by its address.
func TestAuthentication(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.issue(t, nil)
	expired := ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	unknown := other.issue(t, nil)
	elsewhere := ca.issue(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil })
	pin := func(c tls.Certificate) []Pin { return []Pin{{1}, pinOf(t, c)} }
	for _, c := range []struct {
		name     string
		shown    tls.Certificate
		identity Identity
		ok       bool
		sni      string
	}{
		{"right name", good, Identity{Name: upstreamName}, true, upstreamName},
		{"wrong name", elsewhere, Identity{Name: upstreamName}, false, upstreamName},
		{"right address", good, Identity{}, true, ""},
		{"wrong address", elsewhere, Identity{}, false, ""},
		{"unknown authority", unknown, Identity{Name: upstreamName}, false, upstreamName},
		{"expired", expired, Identity{Name: upstreamName}, false, upstreamName},
		{"right pin, unknown authority, no name", unknown, Identity{Pins: pin(unknown)}, true, ""},
		{"right pin, expired, no name", expired, Identity{Pins: pin(expired)}, true, ""},
		{"wrong pin", good, Identity{Pins: pin(unknown)}, false, ""},
		{"right name and pin", good, Identity{Name: upstreamName, Pins: pin(good)}, true, upstreamName},
		{"right name, wrong pin", good, Identity{Name: upstreamName, Pins: pin(unknown)}, false, upstreamName},
		{"right pin, wrong name", elsewhere, Identity{Name: upstreamName, Pins: pin(elsewhere)}, false, upstreamName},
		{"right pin and name, expired", expired, Identity{Name: upstreamName, Pins: pin(expired)}, false, upstreamName},
	} {
		c.identity.Roots = ca.roots
		t.Run(c.name, func(t *testing.T) {
			overAll(t, func(t *testing.T, transport Transport) {
				x := onLine(t, &resolverStub{transport: transport, certificate: c.shown}, c.identity)
				if c.ok {
					x.mustAsk()
				} else {
					x.wantOutcome(Unauthenticated)
					if s := x.memory.Prospect(x.server, wire.Root, time.Now()); s.Timeouts != 1 || !s.Doubtful {
						t.Errorf("remembered as %+v", s)
					}
				}
				seen := x.stub.seen()
				if len(seen.names) != 1 || seen.names[0] != c.sni {
					t.Errorf("SNI %q, want %q", seen.names, c.sni)
				}
				if !c.ok && len(seen.queries) > 0 {
					t.Error("a server that is not authenticated has seen the query")
				}
			})
		})
	}
}

// RFC 8467 section 4.1: queries are padded to a multiple of 128 octets. They bear neither cookie nor mixed case, and no ID
// where the transport tells them apart.
func TestQueriesThatAreEncrypted(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil)}, Identity{Name: upstreamName, Roots: ca.roots})
		label := strings.Repeat("a", 63) + "."
		for _, name := range []string{".", "www.shop.example.", label + label[1:] + "example.", label + label + label + label[5:]} {
			q := wire.Question{Name: wire.MustName(name), Type: wire.TypeA, Class: wire.ClassIN}
			if _, err := x.client.Exchange(t.Context(), x.server, q, x.budget, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, query := range x.stub.seen().queries {
			m := new(dns.Msg)
			if err := m.Unpack(query); err != nil {
				t.Fatal(err)
			}
			if len(query)%paddingBlock != 0 || len(query) > 3*paddingBlock {
				t.Errorf("a query of %d octets", len(query))
			}
			if transport != TLS && m.Id != 0 {
				t.Errorf("ID %d", m.Id)
			}
			opt := m.IsEdns0()
			if opt == nil || !opt.Do() || len(opt.Option) != 1 || opt.Option[0].Option() != dns.EDNS0PADDING {
				t.Errorf("OPT %v", opt)
			}
			if name := m.Question[0].Name; name != strings.ToLower(name) || !m.RecursionDesired {
				t.Errorf("asked for %s, RD %t", name, m.RecursionDesired)
			}
		}
		if n := x.stub.connections.Load(); n != 1 || x.budget.Spent(work.Connect) != 1 || x.budget.Spent(work.UpstreamQuery) != 4 {
			t.Errorf("%d connections; spent %d and %d", n, x.budget.Spent(work.Connect), x.budget.Spent(work.UpstreamQuery))
		}
	})
}

// RFC 8484 section 4.1: a POST with the type of the message and nothing that tells who asks.
func TestRequestsSayNothingElse(t *testing.T) {
	ca := newAuthority(t)
	for _, name := range []string{upstreamName, ""} {
		x := onLine(t, &resolverStub{transport: HTTPS, certificate: ca.issue(t, nil)}, Identity{Name: name, Roots: ca.roots, Path: "/some/path"})
		x.mustAsk()
		host := name
		if name == "" {
			host = "127.0.0.1"
		}
		_, port, _ := strings.Cut(x.stub.addr.String(), ":")
		if got, want := x.stub.seen().requests[0], "POST "+host+":"+port+"/some/path HTTP/2.0"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for header := range x.stub.seen().headers[0] {
			if header != "Content-Type" && header != "Accept" && header != "Content-Length" {
				t.Errorf("sent %s: %q", header, x.stub.seen().headers[0][header])
			}
		}
	}
}

func TestManyQueriesShareASession(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil)}, Identity{Name: upstreamName, Roots: ca.roots})
		var group sync.WaitGroup
		for range maxPipelined + 10 {
			group.Go(func() {
				if r, err := x.ask(); err != nil || len(r.Msg.Answer) != 1 {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := x.stub.connections.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// RFC 7766 section 6.2.4, RFC 9250 section 5.5.1: servers close what is idle, and the next query connects anew.
func TestServerClosesIdleSessions(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil)}, Identity{Name: upstreamName, Roots: ca.roots})
		for range 3 {
			x.mustAsk()
			x.stub.hangUp()
		}
		if n := x.stub.connections.Load(); n != 3 {
			t.Errorf("%d connections", n)
		}
	})
}

// Two zones may have one upstream and disagree about who it is: what one has authenticated is not the other's.
func TestSessionsAreNotSharedBetweenPeers(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil)}, Identity{Name: upstreamName, Roots: ca.roots})
		x.mustAsk()
		x.server.Peer = NewPeer(Identity{Name: "other.example", Roots: ca.roots, Path: "/dns-query"})
		x.wantOutcome(Unauthenticated)
	})
}

func edited(edit func(m *dns.Msg)) func([]byte) []byte {
	return func(query []byte) []byte {
		m := new(dns.Msg)
		if m.Unpack(answerTo(query)) != nil {
			return nil
		}
		edit(m)
		packed, err := m.Pack()
		if err != nil {
			return nil
		}
		return packed
	}
}

// What a server answers over an encrypted transport is its own: it is refused and not asked for in another way.
func TestRepliesThatDoNotFit(t *testing.T) {
	ca := newAuthority(t)
	wrongID := edited(func(m *dns.Msg) { m.Id ^= 0x5555 })
	wrongQuestion := edited(func(m *dns.Msg) { m.Question[0].Name = "other.example." })
	for _, c := range []struct {
		name    string
		respond func([]byte) []byte
		outcome map[Transport]Outcome
	}{
		{"wrong ID", wrongID, map[Transport]Outcome{HTTPS: Malformed, QUIC: Malformed}},
		{"wrong question", wrongQuestion, map[Transport]Outcome{HTTPS: Malformed, QUIC: Malformed}},
		{"truncated", edited(func(m *dns.Msg) { m.Truncated = true }), map[Transport]Outcome{TLS: Malformed, HTTPS: Malformed, QUIC: Malformed}},
		{
			"counts that are not true", func(q []byte) []byte { r := answerTo(q); binary.BigEndian.PutUint16(r[6:], 9); return r },
			map[Transport]Outcome{TLS: Malformed, HTTPS: Malformed, QUIC: Malformed},
		},
		{"empty", func([]byte) []byte { return []byte{} }, map[Transport]Outcome{HTTPS: Malformed, QUIC: Malformed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			overAll(t, func(t *testing.T, transport Transport) {
				want, ok := c.outcome[transport]
				if !ok {
					want = Timeout // over TLS it belongs to nobody, and its query goes on waiting
				}
				x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil), respond: c.respond}, Identity{Name: upstreamName, Roots: ca.roots})
				if want == Timeout {
					x.wantCancelled()
					return
				}
				x.wantOutcome(want)
			})
		})
	}
}

// wantCancelled asks with less patience than the transport has, and the lesson is drawn all the same.
func (x *line) wantCancelled() {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.Context(), firstTimeout+50*time.Millisecond)
	defer cancel()
	_, err := x.client.Exchange(ctx, x.server, question, x.budget, nil)
	var e *Error
	if !errors.As(err, &e) || e.Outcome != Cancelled {
		x.Fatalf("got %v", err)
	}
	if s := x.memory.Prospect(x.server, wire.Root, time.Now()); s.Timeouts != 1 {
		x.Errorf("remembered as %+v", s)
	}
}

// An error of the server is a reply: EDNS, without which nothing could be padded, is not given up for it.
func TestServersThatRefuseEDNSAreNotAskedWithout(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{
			transport: transport, certificate: ca.issue(t, nil),
			respond: edited(func(m *dns.Msg) { m.Rcode, m.Answer, m.Extra = dns.RcodeFormatError, nil, nil }),
		}, Identity{Name: upstreamName, Roots: ca.roots})
		r, err := x.ask()
		if err != nil || r.Msg.Rcode != dns.RcodeFormatError || len(x.stub.seen().queries) != 1 {
			t.Errorf("got %v, %v after %d queries", r.Msg, err, len(x.stub.seen().queries))
		}
	})
}

func TestServersThatSpeakSomethingElse(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil), protocols: []string{"other"}}, Identity{Roots: ca.roots})
		x.wantOutcome(Refused)
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		x := onLine(t, &resolverStub{transport: TLS, certificate: ca.issue(t, nil), version: tls.VersionTLS12}, Identity{Roots: ca.roots})
		x.wantOutcome(Refused)
	})
	t.Run("HTTP/1.1", func(t *testing.T) {
		x := onLine(t, &resolverStub{transport: HTTPS, certificate: ca.issue(t, nil), protocols: []string{"http/1.1"}}, Identity{Roots: ca.roots})
		x.wantOutcome(Refused)
	})
	t.Run("TLS without a protocol", func(t *testing.T) { // RFC 7858 asks for none
		x := onLine(t, &resolverStub{transport: TLS, certificate: ca.issue(t, nil), protocols: []string{}}, Identity{Roots: ca.roots})
		x.mustAsk()
	})
}

// RFC 8484 section 4.2: what is not a response with the status 200 and a message in it is no answer.
func TestResponsesOfHTTP(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		want   Outcome
	}{
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, Refused},
		{"503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, Refused},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, Refused},
		{"a redirection", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, Refused},
		{"another type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<p>"))
		}, Malformed},
		{"no type", func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, Malformed},
		{"too long", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(make([]byte, maxReply+1))
		}, Malformed},
		{"an aborted stream", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := onLine(t, &resolverStub{transport: HTTPS, certificate: ca.issue(t, nil), handle: c.handle}, Identity{Name: upstreamName, Roots: ca.roots})
			x.wantOutcome(c.want)
			if len(x.stub.seen().requests) != 1 {
				t.Errorf("requests %q", x.stub.seen().requests)
			}
		})
	}
}

// RFC 9113 section 6.8: a server that sends GOAWAY answers what it has, and the next request needs another connection.
func TestServerGoesAway(t *testing.T) {
	ca := newAuthority(t)
	stub := &resolverStub{transport: HTTPS, certificate: ca.issue(t, nil)}
	stub.handle = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Connection", "close")
		_, _ = w.Write(answerTo(stub.seen().queries[0]))
	}
	x := onLine(t, stub, Identity{Name: upstreamName, Roots: ca.roots})
	for range 3 {
		x.mustAsk()
	}
	if n := stub.connections.Load(); n != 3 || x.budget.Spent(work.Connect) != 3 {
		t.Errorf("%d connections, %d paid", n, x.budget.Spent(work.Connect))
	}
}

// RFC 8484 section 5.1: the Age of a response is taken off the TTLs.
func TestAgeOfResponses(t *testing.T) {
	ca := newAuthority(t)
	stub := &resolverStub{transport: HTTPS, certificate: ca.issue(t, nil)}
	stub.handle = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Age", "100")
		_, _ = w.Write(answerTo(stub.seen().queries[0]))
	}
	x := onLine(t, stub, Identity{Name: upstreamName, Roots: ca.roots})
	if ttl := x.mustAsk().Msg.Answer[0].Header().Ttl; ttl != 200 {
		t.Errorf("TTL %d", ttl)
	}
}

// RFC 9250 sections 4.2 and 4.3: one message on a stream, and its end.
func TestStreamsOfQUIC(t *testing.T) {
	ca := newAuthority(t)
	for _, c := range []struct {
		name   string
		stream func(s *quic.Stream, query []byte)
		want   Outcome
	}{
		{"a reset", func(s *quic.Stream, _ []byte) { s.CancelWrite(0x4) }, Refused},
		{"an end without a message", func(s *quic.Stream, _ []byte) { _ = s.Close() }, Malformed},
		{"half a message", func(s *quic.Stream, q []byte) {
			_, _ = s.Write(framed(answerTo(q))[:20])
			_ = s.Close()
		}, Malformed},
		{"two messages", func(s *quic.Stream, q []byte) {
			_, _ = s.Write(append(framed(answerTo(q)), framed(answerTo(q))...))
			_ = s.Close()
		}, Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := onLine(t, &resolverStub{transport: QUIC, certificate: ca.issue(t, nil), stream: c.stream}, Identity{Name: upstreamName, Roots: ca.roots})
			x.wantOutcome(c.want)
		})
	}
}

// A port on which nobody listens is left at once.
func TestNobodyIsThere(t *testing.T) {
	overAll(t, func(t *testing.T, transport Transport) {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := Server{Addr: netip.MustParseAddrPort(socket.LocalAddr().String()), Transport: transport}
		_ = socket.Close()
		client := New(Options{})
		defer func() { _ = client.Close() }()
		begin := time.Now()
		_, err = client.Exchange(t.Context(), s, question, work.New(work.DefaultLimits), nil)
		var e *Error
		if !errors.As(err, &e) || e.Outcome != Refused || time.Since(begin) > handshakeTimeout/2 {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

// A server behind which packets vanish is left after the time for a handshake, and then, as it is known, is given the double.
func TestHandshakeTimeout(t *testing.T) {
	overAll(t, func(t *testing.T, transport Transport) {
		onStage(t, Options{}, func(s *stage) {
			s.net.BlackHole("192.0.2.0/24")
			for i, want := range []time.Duration{handshakeTimeout, 2 * firstTimeout, 4 * firstTimeout} {
				begin := time.Now()
				_, err := s.client.Exchange(s.Context(), Server{Addr: address, Transport: transport}, question, s.budget, nil)
				s.checkOutcome(err, Timeout)
				if took := time.Since(begin); took != want {
					s.Errorf("attempt %d took %v, want %v", i, took, want)
				}
			}
			if spent := s.budget.Spent(work.Connect); spent != 3 || s.budget.Spent(work.UpstreamQuery) != 0 {
				s.Errorf("spent %d connections and %d queries", spent, s.budget.Spent(work.UpstreamQuery))
			}
		})
	})
}

// What is known of a server over one transport says nothing of the others at its address.
func TestMemoryOfTransportsIsApart(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	plain := serverAt("192.0.2.1")
	secured := Server{Addr: plain.Addr, Transport: TLS, Peer: NewPeer(Identity{Name: upstreamName})}
	m.failed(secured, testTime, testTime)
	if m.Prospect(plain, wire.Root, testTime).Timeouts != 0 || m.Prospect(secured, wire.Root, testTime).Timeouts != 1 {
		t.Error("one record for two transports")
	}
	secured.Recursive, secured.Peer = true, NewPeer(Identity{Name: upstreamName})
	if m.Prospect(secured, wire.Root, testTime).Timeouts != 1 {
		t.Error("two records for one server")
	}
}

// A server that has just not answered is doubtful for 10 s. Then one query shows whether it answers again.
func TestDoubtfulServers(t *testing.T) {
	m, now := NewMemory(MemoryOptions{}), testTime
	m.failed(server, now, now)
	if !m.Prospect(server, wire.Root, now.Add(doubtFor-1)).Doubtful {
		t.Error("forgotten too early")
	}
	now = now.Add(doubtFor)
	if m.Prospect(server, wire.Root, now).Doubtful {
		t.Error("never tried again")
	}
	m.begin(server, now)
	if !m.Prospect(server, wire.Root, now.Add(time.Millisecond)).Doubtful {
		t.Error("tried by everybody at once")
	}
	m.replied(server, nil, receipt{rtt: time.Millisecond}, now.Add(time.Millisecond))
	if m.Prospect(server, wire.Root, now.Add(time.Millisecond)).Doubtful {
		t.Error("doubtful after a reply")
	}
}

func TestCloseEndsEncryptedSessions(t *testing.T) {
	ca := newAuthority(t)
	overAll(t, func(t *testing.T, transport Transport) {
		x := onLine(t, &resolverStub{transport: transport, certificate: ca.issue(t, nil)}, Identity{Name: upstreamName, Roots: ca.roots})
		x.mustAsk()
		if err := x.client.Close(); err != nil {
			t.Error(err)
		}
		x.wantOutcome(Cancelled)
	})
}
