package upstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

const upstreamName = "dns.example"

// An authority issues certificates.
type authority struct {
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	roots *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), roots: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for upstreamName and the loopback addresses, changed by edit.
func (a *authority) issue(t *testing.T, edit func(c *x509.Certificate)) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{upstreamName}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func pinOf(t *testing.T, c tls.Certificate) Pin {
	t.Helper()
	parsed, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
}

// A resolverStub is a recursive resolver on a loopback port, over one encrypted transport.
type resolverStub struct {
	transport   Transport
	addr        netip.AddrPort // before the start: where to listen, if not at any port
	certificate tls.Certificate
	respond     func(query []byte) []byte // nil: the answer
	handle      http.HandlerFunc          // of HTTPS, in place of respond
	stream      func(s *quic.Stream, query []byte)
	version     uint16 // of TLS, the most that it speaks
	protocols   []string

	connections atomic.Int32
	resumed     atomic.Int32 // connections
	mu          sync.Mutex
	witnessed   witness
	open        []io.Closer
}

// A witness is what a server has seen.
type witness struct {
	names    []string // SNI of each handshake
	queries  [][]byte
	requests []string // method, host, path and protocol
	headers  []http.Header
}

func (s *resolverStub) seen() witness {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.witnessed
}

func (s *resolverStub) witness(note func(w *witness)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	note(&s.witnessed)
}

func (s *resolverStub) tlsConfig() *tls.Config {
	protocols := map[Transport][]string{TLS: {"dot"}, HTTPS: {"h2"}, QUIC: {"doq"}}[s.transport]
	if s.protocols != nil {
		protocols = s.protocols
	}
	c := &tls.Config{NextProtos: protocols, MinVersion: tls.VersionTLS12, MaxVersion: s.version}
	c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.witness(func(w *witness) { w.names = append(w.names, h.ServerName) })
		return &s.certificate, nil
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if state.DidResume {
			s.resumed.Add(1)
		}
		return nil
	}
	return c
}

// answer is the reply to a query, and what was seen of it is kept.
func (s *resolverStub) answer(query []byte) []byte {
	s.witness(func(w *witness) { w.queries = append(w.queries, bytes.Clone(query)) })
	if s.respond != nil {
		return s.respond(query)
	}
	return answerTo(query)
}

func answerTo(query []byte) []byte {
	m := new(dns.Msg)
	if err := m.Unpack(query); err != nil {
		return nil
	}
	r := new(dns.Msg).SetReply(m)
	r.RecursionAvailable = true
	r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.IPv4(203, 0, 113, 80)}}
	r.SetEdns0(1232, true)
	packed, err := r.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (s *resolverStub) start(t *testing.T) {
	t.Helper()
	switch s.transport {
	case TLS:
		s.serveTLS(t, s.listen(t))
	case HTTPS:
		s.serveHTTPS(t, s.listen(t))
	case QUIC:
		s.serveQUIC(t)
	default:
		t.Fatal("not an encrypted transport")
	}
}

func (s *resolverStub) listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", s.at())
	if err != nil {
		t.Fatal(err)
	}
	s.addr = netip.MustParseAddrPort(l.Addr().String())
	return l
}

func (s *resolverStub) at() string {
	if s.addr.IsValid() {
		return s.addr.String()
	}
	return "127.0.0.1:0"
}

func (s *resolverStub) serveTLS(t *testing.T, l net.Listener) {
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			secured := tls.Server(conn, s.tlsConfig())
			s.keep(secured)
			group.Go(func() { s.converse(secured) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		group.Wait()
	})
}

func (s *resolverStub) converse(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for {
		query, err := readMessage(conn)
		if err != nil {
			return
		}
		if reply := s.answer(query); reply != nil {
			if _, err := conn.Write(framed(reply)); err != nil {
				return
			}
		}
	}
}

func (s *resolverStub) keep(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, c)
}

// hangUp closes all connections, as servers do with idle ones.
func (s *resolverStub) hangUp() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

func (s *resolverStub) serveHTTPS(t *testing.T, l net.Listener) {
	server := &http.Server{
		TLSConfig: s.tlsConfig(), ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			query, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			s.witness(func(w *witness) {
				w.requests, w.headers = append(w.requests, r.Method+" "+r.Host+r.URL.Path+" "+r.Proto), append(w.headers, r.Header)
			})
			reply := s.answer(query)
			if s.handle != nil {
				r.Body = io.NopCloser(bytes.NewReader(query))
				s.handle(w, r)
				return
			}
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(reply)
		}),
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.connections.Add(1)
				s.keep(c)
			}
		},
	}
	if s.protocols != nil {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

type quicCloser struct{ *quic.Conn }

func (c quicCloser) Close() error { return c.CloseWithError(doqNoError, "") }

func (s *resolverStub) serveQUIC(t *testing.T) {
	t.Helper()
	socket, err := net.ListenPacket("udp", s.at())
	if err != nil {
		t.Fatal(err)
	}
	s.addr = netip.MustParseAddrPort(socket.LocalAddr().String())
	transport := &quic.Transport{Conn: plainSocket{socket}}
	l, err := transport.Listen(s.tlsConfig(), &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			s.connections.Add(1)
			s.keep(quicCloser{conn})
			group.Go(func() { s.converseQUIC(conn, &group) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		_ = transport.Close()
		_ = socket.Close()
		group.Wait()
	})
}

// A plainSocket hides that it is the operating system's, so that quic-go does not ask for large buffers and complain.
type plainSocket struct{ net.PacketConn }

func (plainSocket) SetReadBuffer(int) error  { return nil }
func (plainSocket) SetWriteBuffer(int) error { return nil }

func (s *resolverStub) converseQUIC(conn *quic.Conn, group *sync.WaitGroup) {
	for {
		stream, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		group.Go(func() {
			query, err := readOnly(stream)
			if err != nil {
				return
			}
			reply := s.answer(query)
			if s.stream != nil {
				s.stream(stream, query)
				return
			}
			if reply != nil {
				_, _ = stream.Write(framed(reply))
			}
			_ = stream.Close()
		})
	}
}
