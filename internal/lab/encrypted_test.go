package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"tacit/certificate"
)

// exchange asks over an encrypted transport whoever has the pinned key, as kdig does with +tls-pin, and holds the answer to
// what is promised of its length (RFC 8467 section 4.1).
func (f *Front) exchange(t *testing.T, over Transport, q *dns.Msg) *dns.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	q.Id = 0 // RFC 9250 section 4.2.1
	q.SetEdns0(1232, false)
	packed, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	ask := map[Transport]func(context.Context, []byte) ([]byte, error){TLS: f.askTLS, HTTPS: f.askHTTPS, QUIC: f.askQUIC}[over]
	answer, err := ask(ctx, packed)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer) != 468 {
		t.Errorf("an answer of %d octets", len(answer))
	}
	r := new(dns.Msg)
	if err := r.Unpack(answer); err != nil {
		t.Fatal(err)
	}
	return r
}

// trust takes the key of the pin and no other.
func (f *Front) trust(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		InsecureSkipVerify: true, // the pin says more
		VerifyConnection: func(state tls.ConnectionState) error {
			if certificate.Pin(state.PeerCertificates[0]) != f.Pin {
				return errors.New("another key")
			}
			return nil
		},
	}
}

func (f *Front) askTLS(ctx context.Context, query []byte) ([]byte, error) {
	d := tls.Dialer{Config: f.trust("dot")}
	conn, err := d.DialContext(ctx, "tcp", f.TLS.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	return converse(conn, query)
}

func (f *Front) askHTTPS(ctx context.Context, query []byte) ([]byte, error) {
	transport := &http.Transport{TLSClientConfig: f.trust("h2"), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	return f.post(ctx, transport, query)
}

func (f *Front) post(ctx context.Context, transport *http.Transport, query []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+f.HTTPS.String()+"/dns-query", bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/dns-message")
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func (f *Front) askQUIC(ctx context.Context, query []byte) ([]byte, error) {
	conn, err := quic.DialAddr(ctx, f.QUIC.String(), f.trust("doq"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	return askStream(ctx, conn, query)
}

func askStream(ctx context.Context, conn *quic.Conn, query []byte) ([]byte, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := stream.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	return converse(closer{stream}, query)
}

// A closer ends its side of the stream behind the only query, as RFC 9250 section 4.2 asks.
type closer struct{ *quic.Stream }

func (c closer) Write(b []byte) (int, error) {
	n, err := c.Stream.Write(b)
	return n, errors.Join(err, c.Close())
}

// converse writes a query and reads the answer, each behind its length (RFC 1035 section 4.2.2).
func converse(conn io.ReadWriter, query []byte) ([]byte, error) {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(conn, answer)
	return answer, err
}
