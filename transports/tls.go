package transports

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Certificates say what is shown to a client, as tls.Config.GetCertificate. The hello holds what the client has told:
// it is not to be kept.
type Certificates func(hello *tls.ClientHelloInfo) (*tls.Certificate, error)

// Protocols of the encrypted transports, as negotiated by ALPN (RFC 7301).
const (
	alpnDoT   = "dot"
	alpnDoQ   = "doq"
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
	alpnHTTP3 = "h3"
)

// tlsConfig is what all encrypted transports have in common (RFC 9325). There are no session tickets: they save no round trip
// in TLS 1.3, and a watcher who sees one again knows that it is the same client (RFC 8446 appendix C.4).
func (o *Options) tlsConfig(protocols ...string) *tls.Config {
	oldest := o.MinTLS
	if oldest == 0 {
		oldest = tls.VersionTLS13
	}
	return &tls.Config{
		MinVersion:             max(oldest, tls.VersionTLS12),
		CipherSuites:           authenticatedSuites,
		GetCertificate:         o.Certificates,
		NextProtos:             protocols,
		SessionTicketsDisabled: true,
		Renegotiation:          tls.RenegotiateNever,
	}
}

// authenticatedSuites are those of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 section 4.2).
var authenticatedSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// guarded is c for handshakes that libraries do on goroutines of their own, where a panic would end everything.
func (f *front) guarded(c Certificates, t Transport) Certificates {
	return func(hello *tls.ClientHelloInfo) (shown *tls.Certificate, err error) {
		defer func() {
			if recover() != nil {
				f.panicked(t)
				shown, err = nil, errNotShown
			}
		}()
		return c(hello)
	}
}

var errNotShown = errors.New("no certificate can be shown")

// What a handshake may take.
const (
	handshakeWithin  = 5 * time.Second
	handshakeAtMost  = 16 << 10 // octets from the client
	closeAlertWithin = 100 * time.Millisecond
)

// shakeHands does the handshake of TLS. A client that offers ALPN must offer what the listener speaks; one that offers
// nothing is served (RFC 7858 is older than the name "dot").
func (s *socket) shakeHands() (net.Conn, error) {
	s.quota = handshakeAtMost
	conn := tls.Server(s, s.listener.tls)
	_ = s.SetDeadline(time.Now().Add(handshakeWithin))
	ctx, cancel := context.WithTimeout(s.ctx, handshakeWithin)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err // handled by closing: its text may hold what the client has sent
	}
	_ = s.SetDeadline(time.Time{})
	s.quota = 0
	s.listener.conns.greeted(s.connection)
	if s.listener.front.isStopping() { // stopReading may have set its deadline before ours was lifted
		s.halt()
	}
	return conn, nil
}

var errLongHandshake = errors.New("handshake is too long")

// readMetered reads during the handshake.
func (s *socket) readMetered(b []byte) (int, error) {
	if s.quota == 1 {
		return 0, errLongHandshake
	}
	n, err := s.Conn.Read(b[:min(len(b), s.quota-1)])
	s.quota -= n
	return n, err
}
