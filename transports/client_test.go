package transports

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A door is a Server with every encrypted transport open on the loopback interface, and what its clients trust.
type door struct {
	*Server
	roots *x509.CertPool
}

func openDoor(t testing.TB, o Options, r Responder) *door {
	t.Helper()
	return openDoorFor(t, o, r, everybody{})
}

func openDoorFor(t testing.TB, o Options, r Responder, a Admitter) *door {
	t.Helper()
	certificate, roots := certify(t)
	any := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	o.UDP, o.TCP, o.TLS, o.HTTPS, o.HTTP3, o.QUIC = any, any, any, any, any, any
	if o.Certificates == nil {
		o.Certificates = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	s, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, r, a)
	return &door{s, roots}
}

// certify makes a certificate for the loopback addresses and dns.example.
func certify(t testing.TB) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"dns.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

func (d *door) at(t Transport) string { return d.Addrs(t)[0].String() }

func (d *door) tls(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: d.roots, NextProtos: protocols, MinVersion: tls.VersionTLS12, ServerName: "127.0.0.1"}
}

// dialTLS opens a connection to a listener of TCP.
func (d *door) dialTLS(t testing.TB, to Transport, c *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", d.at(to), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func (d *door) dialQUIC(t testing.TB, to Transport, protocol string) *quic.Conn {
	t.Helper()
	conn, err := quic.DialAddr(t.Context(), d.at(to), d.tls(protocol), &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// browser is a client for one version of HTTP.
func (d *door) browser(t *testing.T, protocol string) *http.Client {
	t.Helper()
	if protocol == alpnHTTP3 {
		h := &http3.Transport{TLSClientConfig: d.tls(alpnHTTP3)}
		t.Cleanup(func() { _ = h.Close() })
		return &http.Client{Transport: h, Timeout: 10 * time.Second}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol == alpnHTTP1)
	protocols.SetHTTP2(protocol == alpnHTTP2)
	h := &http.Transport{TLSClientConfig: d.tls(), Protocols: protocols, DisableCompression: true}
	t.Cleanup(h.CloseIdleConnections)
	return &http.Client{Transport: h, Timeout: 10 * time.Second}
}

func (d *door) url(protocol string) string {
	if protocol == alpnHTTP3 {
		return "https://" + d.at(HTTP3) + Path
	}
	return "https://" + d.at(HTTPS) + Path
}

// ask asks one question over a way, and returns the message that comes back.
type way struct {
	name string
	ask  func(t *testing.T, query []byte) []byte
}

// ways are all the ways to ask over encrypted transports, but for JSON.
func (d *door) ways(t *testing.T) []way {
	t.Helper()
	list := []way{{"DoT", d.overTLS(t)}, {"DoQ", d.overQUIC(t)}}
	for _, protocol := range []string{alpnHTTP1, alpnHTTP2, alpnHTTP3} {
		client := d.browser(t, protocol)
		list = append(list,
			way{"POST by " + protocol, func(t *testing.T, query []byte) []byte {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url(protocol), bytes.NewReader(query))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", messageType)
				return body(t, client, r)
			}},
			way{"GET by " + protocol, func(t *testing.T, query []byte) []byte {
				t.Helper()
				u := d.url(protocol) + "?dns=" + base64.RawURLEncoding.EncodeToString(query)
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				return body(t, client, r)
			}})
	}
	return list
}

func body(t *testing.T, client *http.Client, r *http.Request) []byte {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	octets, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != messageType {
		t.Fatal(err, response.Status, response.Header)
	}
	return octets
}

func (d *door) overTLS(t *testing.T) func(*testing.T, []byte) []byte {
	t.Helper()
	conn := d.dialTLS(t, TLS, d.tls(alpnDoT))
	return func(t *testing.T, query []byte) []byte {
		t.Helper()
		mustWrite(t, conn, framed(query))
		answer, err := receiveFrame(conn)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func (d *door) overQUIC(t *testing.T) func(*testing.T, []byte) []byte {
	t.Helper()
	conn := d.dialQUIC(t, QUIC, alpnDoQ)
	return func(t *testing.T, query []byte) []byte {
		t.Helper()
		query = append([]byte{0, 0}, query[2:]...) // RFC 9250 section 4.2.1
		answer, err := askStream(t.Context(), conn, framed(query))
		if err != nil {
			t.Fatal(err)
		}
		if len(answer) < frameLength || len(answer) != frameLength+int(answer[0])<<8+int(answer[1]) {
			t.Fatalf("no single message: %d octets", len(answer))
		}
		return answer[frameLength:]
	}
}

// askStream sends octets and FIN over a new stream and reads what comes back up to its FIN.
func askStream(ctx context.Context, conn *quic.Conn, octets []byte) ([]byte, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	_ = stream.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := stream.Write(octets); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	return io.ReadAll(stream)
}
