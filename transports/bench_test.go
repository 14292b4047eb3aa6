package transports

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"tacit/internal/crowds"
	"tacit/internal/wire"
)

// A hit is a Responder that knows one answer.
type hit struct {
	script
	packet []byte
}

func (h *hit) Recall(dst []byte, _ *wire.Query, _ time.Time) (wire.Answer, bool) {
	return wire.Answer{Packet: append(dst, h.packet...)}, true
}

// A sink is a packetConn that takes answers and gives none.
type sink struct{ packetConn }

func (sink) send(answers []datagram) (int, error) { return len(answers), nil }

// hits are a socket, and a whole batch of queries whose answer is known.
func hits() (*udpSocket, *batch, []datagram) {
	query := ask(1, "www.example.", edns(1232))
	f := newFront(Options{})
	var q wire.Query
	q.Parse(query)
	f.responder, f.admitter = &hit{packet: address(q.Question())}, everybody{}
	return &udpSocket{front: f, conn: sink{}}, newBatch(), slices.Repeat([]datagram{{octets: query, peer: client1}}, batchSize)
}

// All of a cached answer's way through this process, also where it is counted what is popular. DoT goes without its encryption: crypto/tls makes one allocation for each
// record that it reads.
func TestHitsDoNotAllocate(t *testing.T) {
	query := ask(1, "www.example.", edns(1232))
	here := netip.MustParseAddrPort("127.0.0.1:0")
	var popular crowds.Popularity
	popular.Enable(true)
	s, err := Listen(t.Context(), Options{UDP: []netip.AddrPort{here}, TCP: []netip.AddrPort{here}, Popular: &popular})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := openTCP(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	s.tcpListener(listener, TLS)
	serve(t, s, &hit{packet: address(parsed(t, query).Question())}, everybody{})
	for _, c := range []struct {
		over Transport
		addr string
		sent []byte
	}{
		{UDP, s.Addrs(UDP)[0].String(), query},
		{TCP, s.Addrs(TCP)[0].String(), framed(query)},
		{TLS, listener.Addr().String(), framed(query)},
	} {
		conn, err := net.Dial(c.over.Network(), c.addr)
		if err != nil {
			t.Fatal(err)
		}
		received := make([]byte, frameLength+udpSize)
		exchange := func() {
			mustWrite(t, conn, c.sent)
			if n, err := conn.Read(received); err != nil || n < len(query) {
				t.Fatal(n, err)
			}
		}
		for range 10 {
			exchange() // buffers grow
		}
		if n := testing.AllocsPerRun(1000, exchange); n != 0 {
			t.Errorf("%v: %v allocations", c.over, n)
		}
		if count := s.Counters(c.over); count.Recalled.Load() != count.Answers(wire.NoError) || count.Recalled.Load() < 1000 {
			t.Errorf("%v: not all were hits", c.over)
		}
		_ = conn.Close()
	}
}

func BenchmarkUDPHit(b *testing.B) {
	u, batch, received := hits()
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(received) {
		u.treat(batch, received)
	}
}

// What makes a finished answer one for this client.
func BenchmarkFinish(b *testing.B) {
	for _, c := range []struct {
		name  string
		over  Transport
		query []byte
	}{
		{"without EDNS", UDP, ask(1, "www.example.")},
		{"EDNS", UDP, ask(1, "www.example.", edns(1232))},
		{"padded", TLS, ask(1, "www.example.", edns(1232))},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, q := newFront(Options{}), parsed(b, c.query)
			known, msg := address(q.Question()), make([]byte, 0, udpSize)
			b.ReportAllocs()
			for b.Loop() {
				msg = f.finish(append(msg[:0], known...), q, &wire.Answer{}, link{transport: c.over})
			}
		})
	}
}

func BenchmarkUDPMiss(b *testing.B) {
	u, batch, received := hits()
	u.front.responder = script{}
	b.ReportAllocs()
	for b.Loop() {
		u.treat(batch, received[:1])
		u.front.resolutions.Wait()
	}
}

// A query and its answer over the loopback interface.
func BenchmarkUDPLoopback(b *testing.B) {
	u, _, received := hits()
	s, err := Listen(b.Context(), Options{UDP: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(u.front.responder, everybody{})
	defer func() { _ = s.Shutdown(b.Context()) }()
	conn, err := net.Dial("udp", s.Addrs(UDP)[0].String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answer := make([]byte, 1232)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(received[0].octets); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}

// A hundred queries in one segment over a loopback connection.
func BenchmarkTCPHits(b *testing.B) {
	d, query := knowing(b)
	conn, err := net.Dial("tcp", d.at(TCP))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	pipeline(b, conn, query, 100)
}

// Queries in one record of TLS, and their answers in another. Time and allocations are those of the client, too: crypto/tls
// makes one for each record that it reads, on both sides.
func BenchmarkTLSHits(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n, " in a record"), func(b *testing.B) {
			d, query := knowing(b)
			conn := d.dialTLS(b, TLS, d.tls())
			_ = conn.SetDeadline(time.Time{})
			pipeline(b, conn, query, n)
		})
	}
}

// knowing is a server that knows the answer to query.
func knowing(b *testing.B) (d *door, query []byte) {
	b.Helper()
	query = ask(1, "www.example.", edns(1232))
	return openDoor(b, Options{}, &hit{packet: address(parsed(b, query).Question())}), query
}

// pipeline sends n queries at once, and reads as many answers.
func pipeline(b *testing.B, conn net.Conn, query []byte, n int) {
	b.Helper()
	query = framed(query)
	first := make([]byte, frameLength+udpSize)
	if _, err := conn.Write(query); err != nil {
		b.Fatal(err)
	}
	length, err := io.ReadAtLeast(conn, first, len(query))
	if err != nil || length != frameLength+int(binary.BigEndian.Uint16(first)) {
		b.Fatal(length, err)
	}
	queries, answers := bytes.Repeat(query, n), make([]byte, n*length)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(queries); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answers); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHTTP2 answers known questions over HTTP/2, without TLS: GET with ten requests in a read, and POST with one.
func BenchmarkHTTP2(b *testing.B) {
	query := ask(0, "www.example.com.", edns(1232))
	post := headers(":method", "POST", ":scheme", "https", ":authority", "dns.example", ":path", Path,
		"content-type", messageType, "content-length", strconv.Itoa(len(query)), "user-agent", "client/1.0", "accept", messageType)
	for _, c := range []struct {
		name   string
		reads  int // requests in each
		client func(f *http2.Framer, id uint32)
	}{
		{"GET", 10, func(f *http2.Framer, id uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: get("www.example.com."), EndHeaders: true, EndStream: true})
		}},
		{"POST", 1, func(f *http2.Framer, id uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: post, EndHeaders: true})
			_ = f.WriteData(id, true, query)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var sent bytes.Buffer
			f := http2.NewFramer(&sent, nil)
			tape := &cutTape{}
			sent.WriteString(http2.ClientPreface)
			_ = f.WriteSettings()
			_ = f.WriteWindowUpdate(0, 1<<30)
			for i := range b.N {
				if i%c.reads == 0 {
					tape.cuts = append(tape.cuts, sent.Len())
				}
				c.client(f, uint32(1+2*i))
			}
			tape.in = sent.Bytes()
			s := newServer(Options{})
			defer s.front.cancel()
			s.front.responder, s.front.admitter = &hit{packet: records(wire.Question{
				Name: wire.MustName("www.example.com."), Type: wire.TypeA, Class: wire.ClassIN,
			}, 1)}, everybody{}
			conn := newConnection(s.front, HTTPS, netip.MustParseAddr("192.0.2.1"))
			conn.cut = func() {}
			b.ResetTimer()
			newHTTP2Conn(&doh{front: s.front}, s.conns, conn, tape).serve()
			if got := s.Counters(HTTPS).Answers(wire.NoError); got != uint64(b.N) {
				b.Fatal(got)
			}
		})
	}
}

// A cutTape gives the client's octets in the pieces in which they were sent, and forgets the server's.
type cutTape struct {
	tape
	cuts []int
	at   int
}

func (c *cutTape) Read(b []byte) (int, error) {
	end := len(c.in)
	for len(c.cuts) > 0 {
		if c.cuts[0] > c.at {
			end = c.cuts[0]
			break
		}
		c.cuts = c.cuts[1:]
	}
	if c.at == len(c.in) {
		return 0, io.EOF
	}
	n := copy(b, c.in[c.at:end])
	c.at += n
	return n, nil
}

func (c *cutTape) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkQUIC answers known questions over DoQ and HTTP/3, beside what the libraries cost with nothing but a bare handler.
// Time and allocations are those of the client, too, which is the same for both.
func BenchmarkQUIC(b *testing.B) {
	query := ask(0, "www.example.com.")
	answer := address(parsed(b, query).Question())
	for _, c := range []struct {
		name     string
		protocol string
		serve    func(b *testing.B) *door
		client   func(b *testing.B, d *door) func() error
	}{
		{"DoQ bare", alpnDoQ, func(b *testing.B) *door { return bareDoQ(b, answer) }, askDoQ(query)},
		{"DoQ", alpnDoQ, func(b *testing.B) *door { return openDoor(b, Options{}, &hit{packet: answer}) }, askDoQ(query)},
		{"HTTP3 bare", alpnHTTP3, func(b *testing.B) *door { return bareHTTP3(b, answer) }, askHTTP3(query)},
		{"HTTP3", alpnHTTP3, func(b *testing.B) *door { return openDoor(b, Options{}, &hit{packet: answer}) }, askHTTP3(query)},
	} {
		b.Run(c.name, func(b *testing.B) {
			exchange := c.client(b, c.serve(b))
			b.SetParallelism(25 / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := exchange(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func askDoQ(query []byte) func(*testing.B, *door) func() error {
	octets := framed(query)
	return func(b *testing.B, d *door) func() error {
		b.Helper()
		conn := d.dialQUIC(b, QUIC, alpnDoQ)
		return func() error {
			stream, err := conn.OpenStreamSync(b.Context())
			if err != nil {
				return err
			}
			_, _ = stream.Write(octets)
			_ = stream.Close()
			var buffer [1024]byte
			_, err = io.ReadFull(stream, buffer[:])
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return errors.Join(err, errDoQ)
		}
	}
}

func askHTTP3(query []byte) func(*testing.B, *door) func() error {
	return func(b *testing.B, d *door) func() error {
		b.Helper()
		conn := (&http3.Transport{}).NewClientConn(d.dialQUIC(b, HTTP3, alpnHTTP3))
		return func() error {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, d.url(alpnHTTP3), bytes.NewReader(query))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", messageType)
			response, err := conn.RoundTrip(r)
			if err != nil {
				return err
			}
			defer func() { _ = response.Body.Close() }()
			_, err = io.Copy(io.Discard, response.Body)
			return err
		}
	}
}

// bare listens with quic-go alone.
func bare(b *testing.B, t Transport, protocol string) (*door, *quic.Listener) {
	b.Helper()
	certificate, roots := certify(b)
	listener, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{protocol}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	s := newServer(Options{})
	b.Cleanup(s.front.cancel)
	s.addrs[t] = []netip.AddrPort{endpoint(listener.Addr())}
	return &door{s, roots}, listener
}

func bareDoQ(b *testing.B, answer []byte) *door {
	b.Helper()
	d, listener := bare(b, QUIC, alpnDoQ)
	answer = framed(answer)
	go func() {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return
		}
		for {
			stream, err := conn.AcceptStream(context.Background())
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, stream)
				_, _ = stream.Write(answer)
				_ = stream.Close()
			}()
		}
	}()
	return d
}

func bareHTTP3(b *testing.B, answer []byte) *door {
	b.Helper()
	d, listener := bare(b, HTTP3, alpnHTTP3)
	server := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := w.Header()
		h["Content-Type"], h["Content-Length"] = []string{messageType}, []string{strconv.Itoa(len(answer))}
		_, _ = w.Write(answer)
	})}
	go func() {
		conn, err := listener.Accept(context.Background())
		if err == nil {
			_ = server.ServeQUICConn(conn)
		}
	}()
	return d
}
