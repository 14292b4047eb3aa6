package transports

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A tape is a connection on which the client's octets are all there, in pieces of a size, and the server's are kept.
type tape struct {
	net.Conn
	in    []byte
	piece int
	out   bytes.Buffer
}

func (c *tape) Read(b []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.in[:min(len(c.in), c.piece)])
	c.in = c.in[n:]
	return n, nil
}

func (c *tape) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *tape) Close() error                     { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }
func (c *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }

// alternating recalls the names of even length and resolves the others.
var alternating = script{
	recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
		return wire.Answer{Packet: append(dst, address(q.Question())...)}, len(q.FoldedName())%2 == 0
	},
	resolve: func(_ context.Context, q wire.Question) wire.Answer {
		return wire.Answer{Packet: records(q, 20), Errors: []wire.ExtendedError{{Code: wire.EDEStaleAnswer, Text: "stale"}}}
	},
}

// Whatever a client sends over TCP, it gets only messages that parse, with QR set and an ID of its own; over UDP no
// more than one, no longer than 1,232 octets.
func FuzzReceive(f *testing.F) {
	f.Add(framed(ask(1, "a.example.")), 1)
	f.Add(framed(ask(1, "a.example.", edns(512)), ask(2, "ab.example.", edns(1232, &dns.EDNS0_TCP_KEEPALIVE{Code: 11}))), 5)
	f.Add(framed(ask(3, "a.example.", qtype(dns.TypeANY)), ask(4, "a.example.", qtype(dns.TypeAXFR))), 7)
	f.Add(framed(ask(5, ".", edns(0), func(m *dns.Msg) { m.IsEdns0().SetVersion(7) }), nil, ask(6, "a.example.")), 100)
	f.Add(framed(ask(5, "a.example.", func(m *dns.Msg) { m.Opcode = 5 }), ask(7, "a.", func(m *dns.Msg) { m.Response = true })), 100)
	sockets := fuzzedSockets()
	f.Fuzz(func(t *testing.T, octets []byte, piece int) {
		if len(octets) > 1<<12 {
			return // framed messages of at most this size
		}
		fuzzTCP(t, octets, 1+piece&0xff)
		for _, u := range sockets {
			fuzzUDP(t, u, octets)
		}
	})
}

func fuzzTCP(t *testing.T, octets []byte, piece int) {
	s := newServer(Options{})
	defer s.front.cancel()
	s.front.responder, s.front.admitter = alternating, everybody{}
	conn := &tape{in: bytes.Clone(octets), piece: piece}
	s.tcpListener(nil, TCP).admit(conn).welcome()
	s.front.resolutions.Wait()
	asked := map[uint16]int{}
	for rest := octets; len(rest) >= 4 && len(rest) >= 2+int(binary.BigEndian.Uint16(rest)); rest = rest[2+binary.BigEndian.Uint16(rest):] {
		asked[binary.BigEndian.Uint16(rest[2:])]++
	}
	for out := conn.out.Bytes(); len(out) > 0; {
		size := int(binary.BigEndian.Uint16(out))
		m := sound(t, out[2:2+size])
		if asked[m.Id]--; asked[m.Id] < 0 {
			t.Fatal("an answer to no query")
		}
		out = out[2+size:]
	}
	if s.Counters(TCP).Panics.Load() != 0 || inUse(s) != 0 || len(s.conns.open) != 0 {
		t.Fatal("a panic, or something is left behind")
	}
}

// A fuzzedSocket is a UDP socket that is asked again and again.
type fuzzedSocket struct {
	*udpSocket
	memory *memoryUDP
	batch  *batch
}

func fuzzedSockets() (list []fuzzedSocket) {
	for _, open := range openers {
		f, m := newFront(Options{}), newMemoryUDP()
		f.responder, f.admitter = alternating, everybody{}
		m.in = make(chan delivery, 1)
		list = append(list, fuzzedSocket{&udpSocket{front: f, conn: open(m)}, m, newBatch()})
	}
	return list
}

func fuzzUDP(t *testing.T, u fuzzedSocket, octets []byte) {
	u.memory.in <- delivery{packet: octets, peer: client1}
	received, err := u.conn.receive()
	if err != nil || len(received) != 1 {
		t.Fatal(len(received), err)
	}
	u.treat(u.batch, received)
	clear(received[0].octets) // as the reader does: a job has copied what it needs
	u.front.resolutions.Wait()
	if len(u.memory.out) > 1 || u.front.counters[UDP].Panics.Load() != 0 {
		t.Fatal(len(u.memory.out), " answers")
	}
	if len(u.memory.out) == 1 {
		d := <-u.memory.out
		if m := sound(t, d.packet); m.Id != binary.BigEndian.Uint16(octets) || len(d.packet) > udpSize || d.peer != client1 {
			t.Fatal(m)
		}
	}
}

func sound(t *testing.T, packet []byte) *dns.Msg {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("%v: %x", err, packet)
	}
	if !m.Response {
		t.Fatal("QR is clear")
	}
	return m
}
