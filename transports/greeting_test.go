package transports

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// abuseName is what the servers of these tests are called.
const abuseName = "dns.example"

// abuseCertificate makes a certificate that is good in a bubble, too, where the time is long ago, and a pool that trusts it.
func abuseCertificate() (*tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: abuseName},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:     []string{abuseName},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, trusted, nil
}

// abuseSecret is made outside of all bubbles, so that each can use it.
var abuseSecret = sync.OnceValues(func() (*tls.Certificate, *x509.CertPool) {
	certificate, trusted, err := abuseCertificate()
	if err != nil {
		panic(err)
	}
	return certificate, trusted
})

// abuseTLS is how a client greets who behaves.
func abuseTLS(trusted *x509.CertPool, protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: trusted, ServerName: abuseName, NextProtos: protocols, MinVersion: tls.VersionTLS12}
}

// abuseGreeted serves known in memory, over TCP and over TLS or HTTPS.
func abuseGreeted(t *testing.T, o Options, tr Transport) (s *Server, encrypted *memoryListener) {
	t.Helper()
	certificate, _ := abuseSecret()
	o.Certificates = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }
	s, encrypted = newServer(o), newMemoryListener()
	l := s.tcpListener(encrypted, tr)
	l.proxies = o.Proxies
	if l.tls = o.tlsConfig(alpnDoT); tr == HTTPS {
		l.tls = o.tlsConfig(alpnHTTP2, alpnHTTP1)
		l.service = s.httpService(&doh{front: s.front})
	}
	serve(t, s, known, everybody{})
	return s, encrypted
}

// abuseSource is the address of one of 256 clients.
func abuseSource(i int) string {
	return fmt.Sprintf("198.51.100.%d", i%256)
}

// abuseHello is a whole ClientHello of a client that says no more.
func abuseHello(t *testing.T) []byte {
	t.Helper()
	_, trusted := abuseSecret()
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, abuseTLS(trusted, alpnDoT)).Handshake()
		_ = client.Close()
	}()
	record := make([]byte, 5)
	if _, err := io.ReadFull(server, record); err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, int(record[3])<<8+int(record[4]))
	if _, err := io.ReadFull(server, hello); err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	return append(record, hello...)
}

// A client who greets has 5 s for all of it, 16 KiB at most, and 2 s more where a proxy has to say first whom it speaks for.
func TestGreetingTimeouts(t *testing.T) {
	abuseSecret()
	hello := abuseHello(t)
	endless := func(conn net.Conn) {
		header := []byte{22, 3, 1, 64, 0} // one record of 16 KiB after the other
		for {
			if _, err := conn.Write(append(slices.Clone(header), make([]byte, 16<<10)...)); err != nil {
				return
			}
		}
	}
	drip := func(conn net.Conn) {
		for _, octet := range hello {
			if _, err := conn.Write([]byte{octet}); err != nil {
				return
			}
			time.Sleep(900 * time.Millisecond)
		}
	}
	for _, c := range []struct {
		name    string
		over    Transport
		proxied bool
		client  func(conn net.Conn)
		closed  time.Duration
	}{
		{"TLS: nothing is sent", TLS, false, func(net.Conn) {}, 5 * time.Second},
		{"TLS: half a ClientHello", TLS, false, func(conn net.Conn) { _, _ = conn.Write(hello[:99]) }, 5 * time.Second},
		{"TLS: a ClientHello that drips", TLS, false, drip, 5 * time.Second},
		{"TLS: a ClientHello, and then nothing is read", TLS, false, func(conn net.Conn) { _, _ = conn.Write(hello) }, 5 * time.Second},
		{"TLS: a ClientHello, and then nothing is said", TLS, false, func(conn net.Conn) {
			_, _ = conn.Write(hello)
			_, _ = io.Copy(io.Discard, conn)
		}, 5 * time.Second},
		{"TLS: a ClientHello without end", TLS, false, endless, 0},
		{"TLS: what is no TLS", TLS, false, func(conn net.Conn) {
			_, _ = conn.Write(framed(ask(1, "a.example.")))
			_, _ = io.Copy(io.Discard, conn)
		}, 0},
		{"HTTPS: nothing is sent", HTTPS, false, func(net.Conn) {}, 5 * time.Second},
		{"HTTPS: a ClientHello that drips", HTTPS, false, drip, 5 * time.Second},
		{"a proxy says nothing", TLS, true, func(net.Conn) {}, 2 * time.Second},
		{"a proxy says half of its header", TLS, true, func(conn net.Conn) {
			_, _ = conn.Write([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11"))
		}, 2 * time.Second},
		{"a proxy names its client, who says nothing", TLS, true, func(conn net.Conn) {
			_, _ = conn.Write([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x01\xc0\x00\x02\x02\x9c\x40\x03\x55"))
		}, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o Options
				if c.proxied {
					o.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
				}
				s, l := abuseGreeted(t, o, c.over)
				begin, conn := time.Now(), l.dial("192.0.2.1")
				var client sync.WaitGroup
				client.Go(func() { c.client(conn) })
				synctest.Wait()
				for s.Counters(c.over).Connections.Load() > 0 {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(begin).Round(10 * time.Millisecond); took != c.closed {
					t.Errorf("closed after %v, want %v", took, c.closed)
				}
				if s.conns.greetings != 0 || len(s.conns.perAddress) != 0 {
					t.Error("a greeting is left behind")
				}
				_ = conn.Close()
				client.Wait()
			})
		})
	}
}

// Behind the handshake, a client of HTTP has 3 s for the headers of its first request, and 2 s for a body.
func TestHTTPTimeouts(t *testing.T) {
	_, trusted := abuseSecret()
	drip := func(conn net.Conn, text string) {
		for _, octet := range []byte(text) {
			if _, err := conn.Write([]byte{octet}); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}
	const post = "POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nContent-Type: application/dns-message\r\nContent-Length: 99\r\n\r\n"
	for _, c := range []struct {
		name, protocol string
		client         func(conn net.Conn)
		closed         time.Duration
	}{
		{"HTTP/1.1: nothing is sent", alpnHTTP1, func(net.Conn) {}, 3 * time.Second},
		{"HTTP/1.1: headers that drip", alpnHTTP1, func(conn net.Conn) { drip(conn, post) }, 3 * time.Second},
		{"HTTP/1.1: no body", alpnHTTP1, func(conn net.Conn) { _, _ = io.WriteString(conn, post) }, 2 * time.Second},
		{"HTTP/1.1: a body that drips", alpnHTTP1, func(conn net.Conn) {
			_, _ = io.WriteString(conn, post)
			drip(conn, post)
		}, 2 * time.Second},
		{"HTTP/2: nothing is sent", alpnHTTP2, func(net.Conn) {}, 3 * time.Second},
		{"HTTP/2: a preface that drips", alpnHTTP2, func(conn net.Conn) { drip(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }, 3 * time.Second},
		{"HTTP/2: nothing behind the preface", alpnHTTP2, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		}, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := abuseGreeted(t, Options{}, HTTPS)
				begin, conn := time.Now(), tls.Client(l.dial("192.0.2.1"), abuseTLS(trusted, c.protocol))
				if err := conn.Handshake(); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				var client sync.WaitGroup
				client.Go(func() { c.client(conn) })
				for s.Counters(HTTPS).Connections.Load() > 0 {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(begin).Round(10 * time.Millisecond); took != c.closed {
					t.Errorf("closed after %v, want %v", took, c.closed)
				}
				_ = conn.Close()
				client.Wait()
			})
		})
	}
}

// 500 connections over TCP that say nothing, or nothing more: they go when their time is over, and nobody has to wait for that.
func TestIdleConnectionsShutNobodyOut(t *testing.T) {
	query := framed(ask(1, "a.example."))
	for _, c := range []struct {
		name   string
		client func(t *testing.T, conn net.Conn)
		gone   time.Duration
	}{
		{"that never say anything: 3 s", func(*testing.T, net.Conn) {}, firstMessageWithin},
		{"that have had an answer: 10 s", func(t *testing.T, conn net.Conn) {
			mustWrite(t, conn, query)
			mustReceive(t, conn)
		}, idleWithin},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, l := start(t, Options{}, known, everybody{})
				begin, idle := time.Now(), make([]net.Conn, 500)
				for i := range idle {
					idle[i] = l.dial(abuseSource(i))
					c.client(t, idle[i])
				}
				abuseAnswered(t, l.dial("192.0.2.1"), begin)
				abuseGone(t, s, TCP, begin, c.gone)
			})
		})
	}
}

// abuseAnswered asks on a new connection and closes it; no time has passed since begin.
func abuseAnswered(t *testing.T, conn net.Conn, begin time.Time) {
	t.Helper()
	mustWrite(t, conn, framed(ask(7, "a.example.")))
	if m := mustReceive(t, conn); m.Id != 7 || len(m.Answer) != 1 {
		t.Error(m)
	}
	if took := time.Since(begin); took != 0 {
		t.Error("a new client waited for ", took)
	}
	_ = conn.Close()
}

// abuseGone waits until no connection is open; that is so when the time is over.
func abuseGone(t *testing.T, s *Server, tr Transport, begin time.Time, within time.Duration) {
	t.Helper()
	for s.Counters(tr).Connections.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(begin).Round(10 * time.Millisecond); took != within {
		t.Errorf("gone after %v, want %v", took, within)
	}
	synctest.Wait()
	if left := len(s.conns.open) + len(s.conns.perAddress) + s.conns.greetings; left != 0 {
		t.Error("left behind: ", left)
	}
}

// Of 400 handshakes that stand still, 256 stay for their 5 s; who comes later is greeted at once, whether there is a place
// left or not.
func TestStalledHandshakesShutNobodyOut(t *testing.T) {
	_, trusted := abuseSecret()
	hello := abuseHello(t)
	for _, c := range []struct {
		name string
		sent []byte
	}{{"with nothing", nil}, {"in the middle of a ClientHello", hello[:99]}, {"after the ClientHello", hello}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l := abuseGreeted(t, Options{}, TLS)
				begin := time.Now()
				for i := range 400 {
					conn := l.dial(abuseSource(i))
					go func() { _, _ = conn.Write(c.sent) }()
				}
				synctest.Wait()
				if s.conns.greetings != 256 || s.Counters(TLS).Shed.Load() != 144 {
					t.Error("in progress: ", s.conns.greetings, ", shed: ", s.Counters(TLS).Shed.Load())
				}
				abuseAnswered(t, tls.Client(l.dial("192.0.2.1"), abuseTLS(trusted, alpnDoT)), begin)
				abuseGone(t, s, TLS, begin, handshakeWithin)
			})
		})
	}
}

// From one address there are 32 handshakes at a time: the next one takes the place of the idlest, and others are not touched.
func TestHandshakesOfOneAddress(t *testing.T) {
	abuseSecret()
	synctest.Test(t, func(t *testing.T) {
		s, l := abuseGreeted(t, Options{}, TLS)
		other := l.dial("192.0.2.2")
		first := l.dial("192.0.2.1")
		time.Sleep(time.Millisecond)
		for range 32 {
			l.dial("192.0.2.1")
			synctest.Wait()
		}
		if n := s.conns.greetings; n != 33 {
			t.Error("in progress: ", n)
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Error("the first is open: ", err)
		}
		_ = other.SetReadDeadline(time.Now())
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("another client's is closed: ", err)
		}
	})
}

// Who is greeted does not count among the handshakes any more: 40 connections from one address stay.
func TestHandshakesThatAreOver(t *testing.T) {
	_, trusted := abuseSecret()
	synctest.Test(t, func(t *testing.T) {
		s, l := abuseGreeted(t, Options{}, TLS)
		for range 40 {
			conn := tls.Client(l.dial("192.0.2.1"), abuseTLS(trusted, alpnDoT))
			mustWrite(t, conn, framed(ask(1, "a.example.")))
			mustReceive(t, conn)
		}
		if open, shed := s.Counters(TLS).Connections.Load(), s.Counters(TLS).Shed.Load(); open != 40 || shed != 0 || s.conns.greetings != 0 {
			t.Error("open: ", open, ", shed: ", shed, ", in progress: ", s.conns.greetings)
		}
	})
}

// QUIC: so many handshakes at a time are let in from an address that is proven, and a client that is done makes room.
func TestProvenHandshakes(t *testing.T) {
	var p proven
	held := map[string]uint64{}
	for _, step := range []struct {
		from string
		want bool
		why  string
	}{
		{"192.0.2.1", true, "first"},
		{"192.0.2.1", true, "second"},
		{"192.0.2.1", false, "third of the address"},
		{"192.0.2.2", true, "another address"},
		{"2001:db8::1", true, "IPv6"},
		{"2001:db8::2", true, "another address of that /64"},
		{"2001:db8::3", false, "and a third"},
		{"2001:db8:0:1::1", true, "another /64"},
	} {
		holder, ok := p.add(netip.MustParseAddr(step.from), 2)
		if ok != step.want {
			t.Errorf("%s: %v", step.why, ok)
		}
		if ok {
			held[step.why] = holder
		}
	}
	p.remove(held["first"])
	if _, ok := p.add(netip.MustParseAddr("192.0.2.1"), 2); !ok {
		t.Error("the place of the first is not free")
	}
	for _, holder := range held {
		p.remove(holder)
	}
	if len(p.held) != 0 {
		t.Error("left behind: ", len(p.held))
	}
}
