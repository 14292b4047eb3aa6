package transports

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

// Row D4: by its token (RFC 9000 section 8.1.4) a client is known again within 10 minutes and no longer, and there is no 0-RTT to
// be had: each handshake is a whole one.
func TestQUICTokensAreGoodForTenMinutes(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		known bool
	}{
		{"9 minutes apart", 9 * time.Minute, true},
		{"11 minutes apart", 11 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				certificate, roots := certify(t)
				here, there := wirePair()
				o := Options{Certificates: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }}
				s, err := Listen(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				l, err := s.quicListener(here, &o, QUIC)
				if err != nil {
					t.Fatal(err)
				}
				client := &quic.Transport{Conn: there}
				trust := &tls.Config{
					RootCAs: roots, ServerName: "dns.example", NextProtos: []string{alpnDoQ}, MinVersion: tls.VersionTLS13,
					ClientSessionCache: tls.NewLRUClientSessionCache(1),
				}
				config := &quic.Config{TokenStore: quic.NewLRUTokenStore(1, 1)}
				visit := func() (known bool) {
					conn, err := client.DialEarly(t.Context(), here.LocalAddr(), trust, config)
					if err != nil {
						t.Fatal(err)
					}
					served, err := l.listener.Accept(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					h := handshakeOf(served)
					time.Sleep(time.Second) // the token comes behind the handshake
					if state := conn.ConnectionState(); state.Used0RTT || state.TLS.DidResume {
						t.Error("0-RTT or a resumption")
					}
					_ = conn.CloseWithError(0, "")
					<-served.Context().Done()
					return h.holder != 0
				}
				if visit() {
					t.Error("known before")
				}
				time.Sleep(c.after)
				if got := visit(); got != c.known {
					t.Errorf("known again: %v", got)
				}
				_ = client.Close()
				_ = l.listener.Close()
				_ = l.transport.Close()
				l.cancel()
				_ = s.Shutdown(context.Background())
			})
		})
	}
}

// A wireEnd is an end of a wire that datagrams go over.
type wireEnd struct {
	addr     net.Addr
	in, out  chan []byte
	peer     net.Addr
	mu       sync.Mutex
	deadline *time.Timer
	expired  chan struct{}
}

func wirePair() (a, b *wireEnd) {
	one, two := make(chan []byte, 100), make(chan []byte, 100)
	at := func(s string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	server, client := at("192.0.2.53:853"), at("192.0.2.1:4000")
	return &wireEnd{addr: server, peer: client, in: one, out: two, expired: make(chan struct{})},
		&wireEnd{addr: client, peer: server, in: two, out: one, expired: make(chan struct{})}
}

func (w *wireEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	w.mu.Lock()
	expired := w.expired
	w.mu.Unlock()
	select {
	case packet := <-w.in:
		return copy(b, packet), w.peer, nil
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (w *wireEnd) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case w.out <- append([]byte(nil), b...):
	default: // lost
	}
	return len(b), nil
}

func (w *wireEnd) SetReadDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deadline != nil {
		w.deadline.Stop()
	}
	select {
	case <-w.expired:
		w.expired = make(chan struct{})
	default: // who reads waits for this one
	}
	if expired := w.expired; !at.IsZero() {
		w.deadline = time.AfterFunc(time.Until(at), sync.OnceFunc(func() { close(expired) }))
	}
	return nil
}

func (w *wireEnd) Close() error                     { return nil }
func (w *wireEnd) LocalAddr() net.Addr              { return w.addr }
func (w *wireEnd) SetDeadline(at time.Time) error   { return w.SetReadDeadline(at) }
func (w *wireEnd) SetWriteDeadline(time.Time) error { return nil }
