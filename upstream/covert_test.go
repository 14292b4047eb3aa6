package upstream

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// A double is a name server on loopback that can be asked in clear, and over the encrypted transports that it is given.
type double struct {
	*testing.T
	clear     *loopback
	encrypted map[Transport]*resolverStub
	client    *Client
	memory    *Memory
	later     atomic.Int64 // how far its clock is ahead
	server    Server
}

// newDouble starts servers whose certificates prove nothing: they have expired, and name somebody else.
func newDouble(t *testing.T, edit func(*resolverStub), transports ...Transport) *double {
	t.Helper()
	x := &double{T: t, clear: newLoopback(t, false), encrypted: map[Transport]*resolverStub{}, memory: NewMemory(MemoryOptions{})}
	ca := newAuthority(t)
	var at netip.AddrPort
	for _, transport := range transports {
		stub := &resolverStub{transport: transport, addr: at, respond: authoritatively, certificate: ca.issue(t, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses, c.NotAfter = []string{"other.example"}, nil, time.Now().Add(-time.Minute)
		})}
		if edit != nil {
			edit(stub)
		}
		stub.start(t)
		at = stub.addr
		x.encrypted[transport] = stub
	}
	if !at.IsValid() {
		at = netip.MustParseAddrPort("127.0.0.1:1") // nobody
	}
	x.server = Server{Addr: x.clear.server.Addr, Encryption: Opportunistic}
	x.client = New(Options{
		Memory: x.memory, EncryptedPort: at.Port(),
		Now: func() time.Time { return time.Now().Add(time.Duration(x.later.Load())) },
	})
	t.Cleanup(func() { _ = x.client.Close() })
	return x
}

var authoritatively = edited(func(m *dns.Msg) { m.Authoritative, m.RecursionAvailable = true, false })

func (x *double) ask() (Reply, error) {
	return x.client.Exchange(x.Context(), x.server, question, work.New(work.DefaultLimits), nil)
}

// over asks and fails the test when the reply did not come over a transport.
func (x *double) over(want Transport) {
	x.Helper()
	if r, err := x.ask(); err != nil || r.Transport != want {
		x.Fatalf("got %v over %v, error %v; want it over %v", r.Msg, r.Transport, err, want)
	}
}

// settle waits for the probes that are under way.
func settle(c *Client) {
	for range cap(c.probes) {
		c.probes <- struct{}{}
	}
	for range cap(c.probes) {
		<-c.probes
	}
}

// RFC 9539 section 4.6: the first question goes out in clear while the encrypted transports are tried; as soon as one is known to
// work, all go over it, over QUIC where there are both.
func TestServersAreFoundInTheBackground(t *testing.T) {
	for _, c := range []struct {
		name  string
		there []Transport
		want  Transport
	}{
		{"neither", nil, UDP},
		{"TLS", []Transport{TLS}, TLS},
		{"QUIC", []Transport{QUIC}, QUIC},
		{"both", []Transport{TLS, QUIC}, QUIC},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newDouble(t, nil, c.there...)
			x.over(UDP)
			settle(x.client)
			const questions = 99
			for range questions {
				x.over(c.want)
			}
			s := x.memory.Stats()
			if n := s.Queries[c.want]; n < questions || s.Probes < 1 || s.Found != uint64(len(c.there)) {
				t.Errorf("counted %+v", s)
			}
			if share := 100 * s.Encrypted() / (questions + 1); c.want != UDP && share < 95 {
				t.Errorf("%d %% were encrypted", share)
			}
			if c.want != UDP && x.encrypted[c.want].connections.Load() != 1 {
				t.Errorf("%d sessions", x.encrypted[c.want].connections.Load())
			}
			if c.want != UDP && x.clear.asked() != 1 {
				t.Errorf("%d questions in clear", x.clear.asked())
			}
		})
	}
}

// RFC 9539 section 4.6.3, RFC 8467 section 4.1, RFC 8446 appendix C.4: sessions with whoever is there say no name, ask for no
// certificate, and are not told from one another; queries in them are of few lengths, without cookie and letter case.
func TestCovertSessionsTellNothing(t *testing.T) {
	for _, transport := range ways {
		t.Run(transport.String(), func(t *testing.T) {
			x := newDouble(t, nil, transport)
			stub := x.encrypted[transport]
			x.over(UDP)
			for range 5 {
				settle(x.client)
				x.over(transport)
				stub.hangUp()
			}
			seen := stub.seen()
			if len(seen.names) < 5 || stub.resumed.Load() != 0 {
				t.Errorf("%d sessions, %d of them resumed", len(seen.names), stub.resumed.Load())
			}
			for _, name := range seen.names {
				if name != "" {
					t.Errorf("SNI %q", name)
				}
			}
			for _, query := range seen.queries {
				checkCovert(t, transport, query)
			}
		})
	}
}

func checkCovert(t *testing.T, transport Transport, query []byte) {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		t.Fatal(err)
	}
	opt := m.IsEdns0()
	if len(query)%paddingBlock != 0 || opt == nil || len(opt.Option) != 1 || opt.Option[0].Option() != dns.EDNS0PADDING {
		t.Errorf("%d octets, OPT %v", len(query), opt)
	}
	if name := m.Question[0].Name; name != strings.ToLower(name) || m.RecursionDesired || transport == QUIC && m.Id != 0 {
		t.Errorf("asked %v", m)
	}
}

// The hello is all that a watcher can read of a session.
func TestHelloOfCovertSessions(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hello := make(chan []byte, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		record := make([]byte, 5)
		if _, err := io.ReadFull(conn, record); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint16(record[3:]))
		if _, err := io.ReadFull(conn, body); err == nil {
			hello <- body
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	clear := newLoopback(t, false)
	client := New(Options{EncryptedPort: uint16(l.Addr().(*net.TCPAddr).Port)})
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.Exchange(t.Context(), Server{Addr: clear.server.Addr, Encryption: Opportunistic}, question, work.New(work.DefaultLimits), nil); err != nil {
		t.Fatal(err)
	}
	octets := <-hello
	extensions := extensionsOf(t, octets)
	for code, name := range map[uint16]string{0: "server name", 35: "session ticket", 41: "pre-shared key", 42: "early data"} {
		if _, ok := extensions[code]; ok {
			t.Errorf("the hello has %s", name)
		}
	}
	if got := extensions[16]; string(got) != "\x00\x04\x03dot" {
		t.Errorf("protocols %q", got)
	}
	if bytes.Contains(octets, []byte("shop")) || bytes.Contains(octets, []byte("127.0.0.1")) {
		t.Error("the hello has a name")
	}
}

// extensionsOf reads a ClientHello (RFC 8446 section 4.1.2).
func extensionsOf(t *testing.T, hello []byte) map[uint16][]byte {
	t.Helper()
	rest := hello[4+2+32:]
	rest = rest[1+int(rest[0]):]                         // session
	rest = rest[2+int(binary.BigEndian.Uint16(rest)):]   // cipher suites
	rest = rest[1+int(rest[0]):]                         // compression
	rest = rest[2:][:int(binary.BigEndian.Uint16(rest))] // extensions
	found := map[uint16][]byte{}
	for len(rest) >= 4 {
		length := int(binary.BigEndian.Uint16(rest[2:]))
		found[binary.BigEndian.Uint16(rest)] = rest[4 : 4+length]
		rest = rest[4+length:]
	}
	return found
}

// A session with whoever is there is none with a Peer, who has to prove something.
func TestCovertSessionsAreNobodyElses(t *testing.T) {
	x := newDouble(t, nil, TLS)
	x.over(UDP)
	settle(x.client)
	x.over(TLS)
	for _, i := range []Identity{{}, {Name: upstreamName}} {
		named := Server{Addr: x.encrypted[TLS].addr, Recursive: true, Transport: TLS, Peer: NewPeer(i)}
		var e *Error
		if _, err := x.client.Exchange(t.Context(), named, question, work.New(work.DefaultLimits), nil); !errors.As(err, &e) || e.Outcome != Unauthenticated {
			t.Errorf("got error %v", err)
		}
	}
}

// What ends a transport that has worked ends no question: it is asked in clear at once, and the transport is left alone for a
// day (RFC 9539 section 4.3).
func TestCovertTransportsThatGoAway(t *testing.T) {
	for _, transport := range ways {
		t.Run(transport.String(), func(t *testing.T) {
			var refusing atomic.Bool
			x := newDouble(t, func(s *resolverStub) {
				s.respond = func(query []byte) []byte {
					if refusing.Load() {
						go s.hangUp()
						return nil
					}
					return authoritatively(query)
				}
			}, transport)
			x.over(UDP)
			settle(x.client)
			x.over(transport)
			refusing.Store(true)
			x.over(UDP)
			settle(x.client)
			refusing.Store(false)
			before := x.encrypted[transport].connections.Load()
			for _, hours := range []int{0, 12, 23} {
				x.later.Store(int64(time.Duration(hours) * time.Hour))
				x.over(UDP)
				settle(x.client)
			}
			if n := x.encrypted[transport].connections.Load(); n != before {
				t.Errorf("tried %d times in a day", n-before)
			}
			x.later.Store(int64(25 * time.Hour))
			x.over(UDP)
			settle(x.client)
			x.over(transport)
		})
	}
}

// RFC 9539 section 4.3: three days after its last reply a transport is no longer taken to work, and is looked for again.
func TestCoverIsKeptForThreeDays(t *testing.T) {
	x := newDouble(t, nil, QUIC)
	at := func(hours int) { x.later.Store(int64(time.Duration(hours) * time.Hour)) }
	x.over(UDP)
	settle(x.client)
	x.over(QUIC)
	at(71)
	x.over(QUIC)
	at(71 + 71)
	x.over(QUIC)
	at(71 + 71 + 73)
	x.over(UDP)
	settle(x.client)
	x.over(QUIC)
	if n := x.memory.Stats().Probes; n != 4 { // both transports, and both again
		t.Errorf("%d probes", n)
	}
}

// A resolver at the port for encrypted questions is not the server that is meant, and neither is one that refuses.
func TestServersThatAreNotAuthoritativeAreNotBelieved(t *testing.T) {
	for name, respond := range map[string]func([]byte) []byte{
		"a cache":            answerTo,
		"refuses":            edited(func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeRefused, nil }),
		"fails":              edited(func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeServerFailure, nil }),
		"truncates":          edited(func(m *dns.Msg) { m.Authoritative, m.Truncated = true, true }),
		"another question's": edited(func(m *dns.Msg) { m.Authoritative = true; m.Question[0].Name = "other.example." }),
	} {
		t.Run(name, func(t *testing.T) {
			x := newDouble(t, func(s *resolverStub) { s.respond = respond }, QUIC)
			for range 3 {
				x.over(UDP)
				settle(x.client)
			}
			if n := x.encrypted[QUIC].connections.Load(); n != 1 {
				t.Errorf("tried %d times", n)
			}
			if s := x.memory.Stats(); s.Found != 0 || s.Encrypted() != 0 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// A server that has been found and then serves less encrypted than in clear is asked in clear.
func TestServersThatServeLessEncrypted(t *testing.T) {
	var refusing atomic.Bool
	x := newDouble(t, func(s *resolverStub) {
		s.respond = func(query []byte) []byte {
			if refusing.Load() {
				return edited(func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeRefused, nil })(query)
			}
			return authoritatively(query)
		}
	}, TLS)
	x.over(UDP)
	settle(x.client)
	x.over(TLS)
	refusing.Store(true)
	x.over(UDP)
	x.clear.authoritative.Store(true)
	x.over(UDP)
	settle(x.client)
	refusing.Store(false)
	x.over(UDP)
}

// What does not fit over an encrypted transport is asked for in clear, and the next question is encrypted again.
func TestAnswersThatAreCutShort(t *testing.T) {
	var cutting atomic.Bool
	x := newDouble(t, func(s *resolverStub) {
		s.respond = edited(func(m *dns.Msg) { m.Authoritative, m.RecursionAvailable, m.Truncated = true, false, cutting.Load() })
	}, TLS)
	x.over(UDP)
	settle(x.client)
	for range 3 {
		x.over(TLS)
		cutting.Store(true)
		x.over(UDP)
		cutting.Store(false)
	}
}

// Where nothing may go out in clear, nothing does.
func TestStrictEncryption(t *testing.T) {
	for _, transport := range ways {
		t.Run(transport.String(), func(t *testing.T) {
			x := newDouble(t, nil, transport)
			x.server.Encryption = Strict
			for range 3 {
				x.over(transport)
			}
			if x.clear.asked() > 0 {
				t.Errorf("%d questions in clear", x.clear.asked())
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		x := newDouble(t, nil)
		x.server.Encryption = Strict
		for range 3 {
			var e *Error
			if _, err := x.ask(); !errors.As(err, &e) || e.Outcome != Unencrypted {
				t.Errorf("got error %v", err)
			}
		}
		if s := x.memory.Stats(); x.clear.asked() > 0 || s.Probes != 2 {
			t.Errorf("%d questions in clear; counted %+v", x.clear.asked(), s)
		}
		if p := x.memory.Prospect(x.server, wire.Root, time.Now()); p.Timeouts == 0 {
			t.Errorf("remembered as %+v", p)
		}
	})
}

// blackHole is a network in which nothing comes back from the port of encrypted questions, and dials counts who tried.
func (s *stage) blackHole(o *Options, dials *atomic.Int32, most *atomic.Int32) {
	var open atomic.Int32
	o.Network = dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if !strings.HasSuffix(address, ":853") {
			return s.net.DialContext(ctx, network, address)
		}
		dials.Add(1)
		if network == "udp" {
			return s.net.DialContext(ctx, network, "203.0.113.1:853")
		}
		if n := open.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer open.Add(-1)
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// onDarkStage is onStage with nobody at the port for encrypted questions, and silence there.
func onDarkStage(t *testing.T, script func(s *stage, dials, most *atomic.Int32), b ...testnet.Behaviour) {
	t.Helper()
	onStage(t, Options{}, func(s *stage) {
		var dials, most atomic.Int32
		o := Options{Memory: s.memory}
		s.blackHole(&o, &dials, &most)
		_ = s.client.Close()
		s.client = New(o)
		defer s.client.Close()
		script(s, &dials, &most)
	}, b...)
}

// No question ever waits for the trial of a transport, and silence is believed for a day.
func TestBlackHoleCostsNoTime(t *testing.T) {
	onDarkStage(t, func(s *stage, dials, _ *atomic.Int32) {
		hidden := Server{Addr: address, Encryption: Opportunistic}
		ask := func() {
			begin := time.Now()
			r, err := s.client.Exchange(s.Context(), hidden, question, work.New(work.DefaultLimits), nil)
			took := time.Since(begin)
			synctest.Wait() // until the trials that this began are under way
			if err != nil || took != latency || r.Transport != UDP {
				s.Errorf("took %v over %v, error %v", took, r.Transport, err)
			}
		}
		for range 50 {
			ask()
		}
		if n := dials.Load(); n != 2 {
			s.Errorf("tried %d times at once", n)
		}
		time.Sleep(coverTimeout)
		for range 23 {
			ask()
			time.Sleep(time.Hour)
		}
		if n := dials.Load(); n != 2 {
			s.Errorf("tried %d times in a day", n)
		}
		time.Sleep(time.Hour)
		ask()
		if n := dials.Load(); n != 4 {
			s.Errorf("tried %d times after a day", n)
		}
	})
}

// A server that does not answer at all is not tried any further, and no network that is down is held against transports.
func TestSilentServersAreNotTried(t *testing.T) {
	onDarkStage(t, func(s *stage, dials, _ *atomic.Int32) {
		hidden := Server{Addr: address, Encryption: Opportunistic}
		for range 3 {
			if _, err := s.client.Exchange(s.Context(), hidden, question, work.New(work.DefaultLimits), nil); err == nil {
				s.Error("an answer")
			}
			time.Sleep(coverTimeout)
			if n := dials.Load(); n != 0 {
				s.Errorf("tried %d times", n)
			}
		}
	}, testnet.Silent())
}

// Trials are bounded: at once, and in time.
func TestProbesAreBounded(t *testing.T) {
	onDarkStage(t, func(s *stage, dials, most *atomic.Int32) {
		for i := range 2000 {
			a := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			if i >= 256 {
				a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
			}
			s.client.seek(Server{Addr: netip.AddrPortFrom(a, 53)}, question)
		}
		settle(s.client)
		if n := most.Load(); n > maxProbes || n == 0 {
			s.Errorf("%d at once", n)
		}
		if n := s.memory.Stats().Probes; n != maxProbes {
			s.Errorf("%d begun", n)
		}
		var p pace
		taken := 0
		for range 1000 {
			if p.take(time.Now()) {
				taken++
			}
		}
		time.Sleep(time.Second)
		for range 1000 {
			if p.take(time.Now()) {
				taken++
			}
		}
		if taken != probesSaved+probesPerSecond {
			s.Errorf("%d taken", taken)
		}
	})
}

// A transport that falls silent costs its question little, once, and the others nothing.
func TestCovertTransportThatFallsSilent(t *testing.T) {
	for _, transport := range ways {
		t.Run(transport.String(), func(t *testing.T) {
			var silent atomic.Bool
			x := newDouble(t, func(s *resolverStub) {
				s.respond = func(query []byte) []byte {
					if silent.Load() {
						return nil
					}
					return authoritatively(query)
				}
				if transport == QUIC {
					s.stream = func(stream *quic.Stream, query []byte) {
						if !silent.Load() {
							_, _ = stream.Write(framed(authoritatively(query)))
							_ = stream.Close()
						}
					}
				}
			}, transport)
			x.over(UDP)
			settle(x.client)
			x.over(transport)
			silent.Store(true)
			begin := time.Now()
			x.over(UDP)
			if took := time.Since(begin); took > maxCovertWait+minTimeout {
				t.Errorf("took %v", took)
			}
			x.over(UDP)
		})
	}
}

// The state of all this is kept in memory alone: nothing here opens a file to write.
func TestNothingIsWritten(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"os.Create", "os.OpenFile", "os.WriteFile", "os.Rename", "os.Mkdir"} {
			if !strings.HasSuffix(file, "_test.go") && bytes.Contains(text, []byte(call)) {
				t.Errorf("%s calls %s", file, call)
			}
		}
	}
}
