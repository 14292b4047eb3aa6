//go:build interop

package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A pebble is an ACME authority for tests: the one by which Let's Encrypt tests clients, on loopback, as strict as theirs.
type pebble struct {
	directory string
	transport http.RoundTripper // trusts the authority's own certificate
}

// A site is where the authority verifies a name: the listeners of a tacit.
type site struct{ tls, http net.Listener }

func (s site) port(l net.Listener) int { return int(netip.MustParseAddrPort(l.Addr().String()).Port()) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func startPebble(t *testing.T, at site) pebble {
	t.Helper()
	program := os.Getenv("PEBBLE_BIN")
	if program == "" {
		t.Fatal("PEBBLE_BIN names no pebble: use make interop")
	}
	directory := t.TempDir()
	l := mustMakeLocal(t, localAt(directory, time.Now()))
	address, management := freeAddress(t), freeAddress(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": address, "managementListenAddress": management,
		"certificate": l.CertFile, "privateKey": l.KeyFile,
		"httpPort": at.port(at.http), "tlsPort": at.port(at.tls),
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "pebble.json")
	put(t, path, config)
	command := exec.CommandContext(t.Context(), program, "-config", path, "-dnsserver", serveNames(t))
	command.Env = []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=20"}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	roots := x509.NewCertPool()
	roots.AddCert(readCertificate(t, l.Authority))
	p := pebble{"https://" + address + "/dir", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	p.await(t)
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await waits until the authority answers.
func (p pebble) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.directory, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := p.transport.RoundTrip(request); err == nil {
			_ = response.Body.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("pebble does not answer")
		case <-tick.C:
		}
	}
}

// serveNames has every name at 127.0.0.1, over UDP, and returns the address to ask.
func serveNames(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		var b [512]byte
		for {
			n, from, err := socket.ReadFrom(b[:])
			if err != nil {
				return
			}
			if answer := answerName(b[:n]); answer != nil {
				_, _ = socket.WriteTo(answer, from)
			}
		}
	}()
	return socket.LocalAddr().String()
}

func answerName(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// serveHandshakes answers hellos as a transport of tacit does.
func serveHandshakes(l net.Listener, s *Store, protocols ...string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_ = tls.Server(c, &tls.Config{GetCertificate: s.Certificate, NextProtos: append(protocols, ChallengeProtocol)}).Handshake()
		}()
	}
}

// RFC 8555 with section 8.3 (HTTP-01) and RFC 8737 (TLS-ALPN-01): an order gives a certificate, which is shown from then on, and
// known again after a restart.
func TestOrderGivesACertificate(t *testing.T) {
	for _, c := range []struct {
		name   string
		http01 bool
		serve  func(at site, s *Store)
	}{
		{"TLS-ALPN-01", false, func(at site, s *Store) { _ = at.http.Close(); go serveHandshakes(at.tls, s, "dot") }},
		{"HTTP-01", true, func(at site, s *Store) {
			_ = at.tls.Close()
			server := &http.Server{Handler: s.ChallengeHandler(), ReadTimeout: 5 * time.Second}
			t.Cleanup(func() { _ = server.Close() })
			go func() { _ = server.Serve(at.http) }()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := site{listen(t), listen(t)}
			p := startPebble(t, at)
			log, written := newLog()
			o := Options{Log: log, ACME: ACME{
				Names: []string{"dns.tacit.test"}, Directory: p.directory, Mail: "hostmaster@tacit.test", Transport: p.transport, HTTP01: c.http01,
				Cache: filepath.Join(t.TempDir(), "acme"),
			}}
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			c.serve(at, s)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { s.Follow(ctx); close(done) }()
			got := awaitOrder(t, s)
			cancel()
			<-done
			s.authority.slot <- struct{}{} // the order is over, and what it has logged is written
			if got.SelfSigned || got.State != Good || got.Names[0] != "dns.tacit.test" {
				t.Errorf("%+v\n%s", got, written)
			}
			if leaf := handshake(t, s, &tls.Config{ServerName: "dns.tacit.test"}); Pin(leaf) != got.Pin || leaf.VerifyHostname("dns.tacit.test") != nil {
				t.Error("another certificate is shown")
			}
			again, err := New(o)
			if err != nil || again.Status(time.Now())[0].Pin != got.Pin {
				t.Errorf("after a restart: %v", err)
			}
			t.Logf("%s until %v\n%s", got.Names, got.NotAfter, written)
		})
	}
}

// awaitOrder waits for the first certificate.
func awaitOrder(t *testing.T, s *Store) Status {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-deadline.C:
			t.Fatal("no certificate after a minute")
		case <-tick.C:
			if status := s.Status(time.Now())[0]; status.Ordered {
				return status
			}
		}
	}
}
