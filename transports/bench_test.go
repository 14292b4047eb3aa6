package transports

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

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

func (sink) WriteMsgUDPAddrPort(b, _ []byte, _ netip.AddrPort) (n, controlled int, err error) {
	return len(b), 0, nil
}

func hits() (*udpSocket, *visit, []byte) {
	query := ask(1, "www.example.", edns(1232))
	f := newFront(Options{})
	var q wire.Query
	q.Parse(query)
	f.responder, f.admitter = &hit{packet: address(q.Question())}, everybody{}
	return &udpSocket{front: f, conn: sink{}}, &visit{answer: make([]byte, 0, maxUDPQuery)}, query
}

// All of a cached answer's way over UDP but the system calls.
func TestUDPHitDoesNotAllocate(t *testing.T) {
	u, v, query := hits()
	if n := testing.AllocsPerRun(1000, func() { u.receive(v, query, nil, client1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if c := &u.front.counters[UDP]; c.Answers(wire.NoError) != c.Queries.Load() {
		t.Error("not all were hits")
	}
}

func BenchmarkUDPHit(b *testing.B) {
	u, v, query := hits()
	b.ReportAllocs()
	for b.Loop() {
		u.receive(v, query, nil, client1)
	}
}

func BenchmarkUDPMiss(b *testing.B) {
	u, v, query := hits()
	u.front.responder = script{}
	b.ReportAllocs()
	for b.Loop() {
		u.receive(v, query, nil, client1)
		u.front.resolutions.Wait()
	}
}

// A query and its answer over the loopback interface.
func BenchmarkUDPLoopback(b *testing.B) {
	u, _, query := hits()
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
		if _, err := conn.Write(query); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}

// A hundred queries in one segment over a loopback connection.
func BenchmarkTCPHits(b *testing.B) {
	u, _, query := hits()
	s, err := Listen(b.Context(), Options{TCP: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(u.front.responder, everybody{})
	defer func() { _ = s.Shutdown(b.Context()) }()
	conn, err := net.Dial("tcp", s.Addrs(TCP)[0].String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var queries []byte
	for range 100 {
		queries = append(queries, framed(query)...)
	}
	if _, err := conn.Write(framed(query)); err != nil {
		b.Fatal(err)
	}
	length := make([]byte, 2)
	if _, err := io.ReadFull(conn, length); err != nil {
		b.Fatal(err)
	}
	one := int(binary.BigEndian.Uint16(length))
	answers := make([]byte, 100*(2+one))
	if _, err := io.ReadFull(conn, answers[:one]); err != nil {
		b.Fatal(err)
	}
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
