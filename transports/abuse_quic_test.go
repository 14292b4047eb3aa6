//go:build abuse && linux

package transports

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

// A quitter is a socket on which a client of QUIC falls silent in the midst of its handshake.
type quitter struct {
	net.PacketConn // without the methods of *net.UDPConn that read and write in batches
	socket         *net.UDPConn
	retried        bool // every second time it goes on until it has answered a Retry
	retries        *atomic.Int64

	mu       sync.Mutex
	quit     context.CancelFunc // nil: the client is silent
	patience bool               // wait for a Retry
}

func (q *quitter) SetReadBuffer(octets int) error  { return q.socket.SetReadBuffer(octets) }
func (q *quitter) SetWriteBuffer(octets int) error { return q.socket.SetWriteBuffer(octets) }

// Kinds of packets with a long header in version 1, the first four bits (RFC 9000 section 17.2).
const (
	longInitial = 0xc0
	longRetry   = 0xf0
)

// abuseHasToken reports whether an Initial has a token: that of a Retry (RFC 9000 section 17.2.2).
func abuseHasToken(packet []byte) bool {
	i := 6 + int(packet[5]) // behind version and destination
	i += 1 + int(packet[i])
	return packet[i] != 0
}

func (q *quitter) WriteTo(packet []byte, to net.Addr) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.quit == nil {
		return len(packet), nil
	}
	if !q.patience || packet[0]&0xf0 == longInitial && abuseHasToken(packet) {
		q.quit()
		q.quit = nil
	}
	return q.socket.WriteTo(packet, to)
}

func (q *quitter) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := q.socket.ReadFrom(b)
	if err == nil && n > 0 && b[0]&0xf0 == longRetry {
		q.retries.Add(1)
	}
	return n, addr, err
}

// abandon begins n handshakes at an address and leaves each of them.
func (q *quitter) abandon(t *testing.T, c *abuseClient, n int) {
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.from, 0)))
	if err != nil {
		t.Error(err)
		return
	}
	q.PacketConn, q.socket = socket, socket
	transport := &quic.Transport{Conn: q}
	defer func() {
		_ = transport.Close()
		_ = socket.Close()
	}()
	config := c.tls(alpnDoQ)
	for i := range n {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		q.mu.Lock()
		q.quit, q.patience = cancel, q.retried && i%2 == 1
		q.mu.Unlock()
		conn, err := transport.Dial(ctx, net.UDPAddrFromAddrPort(c.server.Addrs[QUIC]), config, nil)
		if err == nil { // there was no Retry to wait for
			_ = conn.CloseWithError(doqNoError, "")
		}
		cancel()
	}
}

// abandonAll abandons n handshakes from some addresses, and says how many Retry packets came back, and how many handshakes
// were in progress at most.
func abandonAll(t *testing.T, a *abuseServer, n int, retried bool, curves []tls.CurveID, from ...string) (retries, half int64) {
	t.Helper()
	var seen atomic.Int64
	var workers sync.WaitGroup
	for _, addr := range from {
		c := a.client(t, addr)
		c.curves = curves
		workers.Go(func() { (&quitter{retries: &seen, retried: retried}).abandon(t, c, n/len(from)) })
	}
	over := make(chan struct{})
	go func() {
		workers.Wait()
		close(over)
	}()
	for {
		half = max(half, a.figures(t, "peek").Half)
		select {
		case <-over:
			return seen.Load(), half
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// 10,000 QUIC handshakes that are abandoned with their first packet: above 100 in progress the server asks for a proof of the
// address and keeps nothing, and a new client is answered in less than 2 s. The same when the abusers prove their address.
func TestAbuseQUICHandshakes(t *testing.T) {
	t.Parallel()
	var table abuseTable
	for _, c := range []struct {
		name    string
		n       int
		retried bool
		curves  []tls.CurveID
		most    int64 // in progress, on both listeners
		from    []string
	}{
		{"first packet of one", 10000, false, quickCurves, 110, []string{"127.0.4.1", "127.0.4.2"}},
		{"first packet of two", 1000, false, nil, 110, []string{"127.0.4.1", "127.0.4.2"}},
		{"every second after a Retry", 6000, true, quickCurves, 110 + 64, []string{"127.0.4.1", "127.0.4.2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := startAbused(t)
			abuseWarmUp(t, a, 10, abuseWays...)
			abandonAll(t, a, c.n/4, c.retried, c.curves, c.from...)
			a.rounds(t, &table, "QUIC, "+c.name, c.n, func() {
				w := a.watch(t, abuseWay{transport: QUIC}, abuseWay{transport: HTTP3}, abuseWay{transport: QUIC})
				retries, half := abandonAll(t, a, c.n, c.retried, c.curves, c.from...)
				w.end(t)
				t.Logf("%d abandoned, %d Retry packets, at most %d in progress", c.n, retries, half)
				if retries == 0 || half < 100 || half > c.most {
					t.Error("no Retry, or too many handshakes in progress")
				}
			})
		})
	}
	t.Log(table.String())
}

// What RFC 9250 forbids ends the connection with DOQ_PROTOCOL_ERROR (section 4.3.3).
func TestAbuseDoQProtocol(t *testing.T) {
	t.Parallel()
	a := startAbused(t)
	query := framed(ask(0, "a.example."))
	keepalive := ask(0, "a.example.", edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}))
	for _, c := range []struct {
		name   string
		octets []byte
	}{
		{"an ID", framed(ask(1, "a.example."))},
		{"a second query", append(framed(ask(0, "a.example.")), query...)},
		{"an octet behind the query", append(framed(ask(0, "a.example.")), 0)},
		{"a query cut short", query[:len(query)-1]},
		{"nothing but an end", nil},
		{"one octet and an end", query[:1]},
		{"more than a message can be", make([]byte, frameLength+maxMessage+1)},
		{"the keepalive option", framed(keepalive)},
		{"an answer", framed(abuseAnswer(query[frameLength:]))},
	} {
		for _, to := range []netip.AddrPort{a.Addrs[QUIC], a.Both} {
			t.Run(c.name, func(t *testing.T) {
				conn := abuserByQUIC(t, a, to)
				stream, err := conn.OpenStreamSync(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = stream.Write(c.octets) // the server may have had enough before its end
				_ = stream.Close()
				wantProtocolError(t, conn)
			})
		}
	}
	t.Run("a stream in one direction", func(t *testing.T) {
		conn := abuserByQUIC(t, a, a.Both)
		stream, err := conn.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stream.Write(query)
		wantProtocolError(t, conn)
	})
	t.Run("a stream in one direction, where there is no HTTP/3", func(t *testing.T) {
		conn := abuserByQUIC(t, a, a.Addrs[QUIC])
		if _, err := conn.OpenUniStream(); err == nil {
			t.Error("it can be opened")
		}
	})
}

// abuseAnswer is a query with QR set.
func abuseAnswer(query []byte) []byte {
	answer := bytes.Clone(query)
	answer[2] |= 0x80
	return answer
}

func abuserByQUIC(t *testing.T, a *abuseServer, to netip.AddrPort) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), abuseGiveUp)
	defer cancel()
	conn, err := a.client(t, "127.0.0.9").dialQUIC(ctx, to, alpnDoQ)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(doqNoError, "") })
	return conn
}

func wantProtocolError(t *testing.T, conn *quic.Conn) {
	t.Helper()
	select {
	case <-conn.Context().Done():
	case <-time.After(abuseGiveUp):
		t.Fatal("the connection is open")
	}
	var end *quic.ApplicationError
	if err := context.Cause(conn.Context()); !errors.As(err, &end) || !end.Remote || end.ErrorCode != doqProtocolError {
		t.Error("ended with ", err)
	}
}

// Streams with one octet, and then silence (CVE-2025-47950): each is reset after 2 s, and the connection is as good as before.
// And queries that are given up as soon as they are sent, over DoQ as over HTTP/2: the connection ends.
func TestAbuseDoQStreams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		conns int
		abuse func(t *testing.T, conn *quic.Conn)
	}{
		{"one octet on each of 100 streams", 50, oneOctetStreams},
		{"queries given up at once", 10, abandonedStreams},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := startAbused(t)
			abuseWarmUp(t, a, 10, abuseWays...)
			c.abuse(t, abuserByQUIC(t, a, a.Addrs[QUIC]))
			wave := func() {
				var conns sync.WaitGroup
				for range c.conns {
					conn := abuserByQUIC(t, a, a.Addrs[QUIC])
					conns.Go(func() { c.abuse(t, conn) })
				}
				conns.Wait()
			}
			wave() // once before: so much the process has held, then
			var table abuseTable
			a.rounds(t, &table, "DoQ", c.conns, func() {
				w := a.watch(t, abuseWays...)
				wave()
				w.end(t)
			})
			t.Log(table.String())
		})
	}
}

func oneOctetStreams(t *testing.T, conn *quic.Conn) {
	defer func() { _ = conn.CloseWithError(doqNoError, "") }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*abuseGiveUp)
	defer cancel()
	begin := time.Now()
	streams := make([]*quic.Stream, maxQUICStreams)
	for i := range streams {
		stream, err := conn.OpenStreamSync(ctx)
		if err != nil {
			t.Error(i, err)
			return
		}
		_, _ = stream.Write([]byte{0})
		streams[i] = stream
	}
	if _, err := conn.OpenStream(); err == nil {
		t.Error("one stream more can be opened")
	}
	for i, stream := range streams {
		_ = stream.SetReadDeadline(time.Now().Add(abuseGiveUp))
		var end *quic.StreamError
		if _, err := io.ReadAll(stream); !errors.As(err, &end) || !end.Remote || end.ErrorCode != doqExcessiveLoad {
			t.Error(i, err)
			return
		}
		stream.CancelWrite(0)
	}
	if took := time.Since(begin); took < quicReadWithin || took > quicReadWithin+3*time.Second {
		t.Error("reset after ", took)
	}
	if _, err := abuseStream(ctx, conn, ask(0, "a.example.")); err != nil {
		t.Error("afterwards: ", err)
	}
}

// abandonedStreams asks and does not want to know, until the connection ends: after 200 answers that nobody has taken.
func abandonedStreams(t *testing.T, conn *quic.Conn) {
	defer func() { _ = conn.CloseWithError(doqNoError, "") }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	query := framed(ask(0, "slow.example."))
	for i := range 2000 {
		stream, err := conn.OpenStreamSync(ctx)
		if err != nil {
			e, ok := errors.AsType[*quic.ApplicationError](err)
			if !ok || e.ErrorCode != doqExcessiveLoad || i < 200 || i > 500 {
				t.Error(i, err)
			}
			return
		}
		_, _ = stream.Write(query)
		_ = stream.Close()
		stream.CancelRead(doqNoError)
	}
	t.Error("2,000 were taken")
}
