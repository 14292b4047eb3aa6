package transports

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A listening is a Keeper that does what a test says; without hear it echoes the message as a reply.
type listening struct {
	absent bool
	hear   func(ctx context.Context, msg []byte, over Transport, send func([]byte) error)
	mu     sync.Mutex
	heard  []string
	from   func(netip.Addr) bool // of the message that was heard last
}

func (k *listening) Keeps() bool { return !k.absent }

func (k *listening) Hear(ctx context.Context, msg []byte, over Transport, from func(netip.Addr) bool, send func(reply []byte) error) {
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		panic(err)
	}
	k.mu.Lock()
	k.heard = append(k.heard, fmt.Sprint(over, " ", dns.OpcodeToString[m.Opcode], " ", dns.TypeToString[m.Question[0].Qtype]))
	k.from = from
	k.mu.Unlock()
	if k.hear != nil {
		k.hear(ctx, msg, over, send)
		return
	}
	msg[2] |= 0x80
	_ = send(msg)
}

func opcode(o int) func(*dns.Msg) { return func(m *dns.Msg) { m.Opcode = o } }

func signed(m *dns.Msg) { m.SetTsig("key.example.", dns.HmacSHA256, 300, 1) }

// errands is the number of slots taken.
func errands(s *Server) int {
	s.front.quota.errands.mu.Lock()
	defer s.front.quota.errands.mu.Unlock()
	return s.front.quota.errands.taken
}

// keeperMessages are messages that are for whoever keeps zones, and some that are not.
func keeperMessages() map[string]struct {
	octets []byte
	kept   bool
} {
	return map[string]struct {
		octets []byte
		kept   bool
	}{
		"NOTIFY SOA":         {ask(1, "example.", opcode(dns.OpcodeNotify), qtype(dns.TypeSOA)), true},
		"UPDATE SOA":         {ask(1, "example.", opcode(dns.OpcodeUpdate), qtype(dns.TypeSOA)), true},
		"QUERY AXFR":         {ask(1, "example.", qtype(dns.TypeAXFR)), true},
		"QUERY IXFR":         {ask(1, "example.", qtype(dns.TypeIXFR), signed), true},
		"QUERY SOA":          {ask(1, "example.", qtype(dns.TypeSOA), edns(1232), signed), true},
		"QUERY SOA, as ever": {ask(1, "example.", qtype(dns.TypeSOA)), false},
		"QUERY A":            {ask(1, "example.", signed), false},
		"STATUS SOA":         {ask(1, "example.", opcode(dns.OpcodeStatus), qtype(dns.TypeSOA)), false},
	}
}

func TestKeeperHearsWhatIsOfZones(t *testing.T) {
	for name, c := range keeperMessages() {
		t.Run(name, func(t *testing.T) {
			overMemory(t, func(t *testing.T, open opener) {
				k := &listening{}
				s, u, l := startOn(t, open, Options{Keeper: k}, known, everybody{})
				u.in <- delivery{packet: c.octets, peer: client1}
				d := <-u.out
				if m := read(t, d.packet); m.Id != 1 || !m.Response || d.peer != client1 {
					t.Error("UDP: ", d.peer, m)
				}
				conn := l.dial("192.0.2.1")
				mustWrite(t, conn, framed(c.octets))
				if m := mustReceive(t, conn); m.Id != 1 || !m.Response {
					t.Error("TCP: ", m)
				}
				_ = conn.Close()
				synctest.Wait()
				want := []string{}
				if c.kept {
					want = []string{"udp " + name, "tcp " + name}
				}
				if fmt.Sprint(k.heard) != fmt.Sprint(want) {
					t.Errorf("heard %v, want %v", k.heard, want)
				}
				if c.kept && (!k.from(netip.MustParseAddr("192.0.2.1")) || k.from(netip.MustParseAddr("192.0.2.2"))) {
					t.Error("it is not from where it is from")
				}
				if n := errands(s); n != 0 {
					t.Errorf("%d slots are left behind", n)
				}
			})
		})
	}
}

// Without anybody who keeps zones, and for those who are not served, such messages are refused as ever.
func TestKeeperIsNotAsked(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		admit   Admitter
	}{
		"there is none":            {Options{}, everybody{}},
		"it keeps nothing":         {Options{Keeper: &listening{absent: true}}, everybody{}},
		"the client is not served": {Options{Keeper: &listening{}}, nobody{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, u, _ := start(t, c.options, known, c.admit)
				u.in <- delivery{packet: ask(1, "example.", qtype(dns.TypeAXFR)), peer: client1}
				if m := read(t, (<-u.out).packet); m.Rcode != dns.RcodeRefused {
					t.Error(m)
				}
				if k, ok := c.options.Keeper.(*listening); ok && len(k.heard) > 0 {
					t.Error("heard: ", k.heard)
				}
			})
		})
	}
}

// A transfer has many messages; answers to other questions come between them.
func TestKeeperRepliesInManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &listening{hear: func(_ context.Context, msg []byte, _ Transport, send func([]byte) error) {
			reply := make([]byte, 60000)
			copy(reply, msg)
			reply[2] |= 0x80
			for i := range 100 {
				time.Sleep(time.Second)
				binary.BigEndian.PutUint16(reply[59998:], uint16(i))
				if send(reply) != nil {
					return
				}
			}
		}}
		s, _, l := start(t, Options{Keeper: k}, known, everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "example.", qtype(dns.TypeAXFR)), ask(2, "a.example.")))
		if m := mustReceive(t, conn); m.Id != 2 {
			t.Error(m)
		}
		for i := range 100 {
			octets, err := receiveFrame(conn)
			if err != nil || len(octets) != 60000 || binary.BigEndian.Uint16(octets[59998:]) != uint16(i) {
				t.Fatal(i, err, len(octets))
			}
		}
		_ = conn.Close()
		synctest.Wait()
		if c := s.Counters(TCP); c.Answers(wire.NoError) != 2 || errands(s) != 0 {
			t.Errorf("%d answers counted, %d slots left behind", c.Answers(wire.NoError), errands(s))
		}
	})
}

// Transfers are few at a time, and those who wait for one keep nobody from an answer.
func TestKeeperHasLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		k := &listening{hear: func(_ context.Context, msg []byte, _ Transport, send func([]byte) error) {
			<-release
			msg[2] |= 0x80
			_ = send(msg)
		}}
		s, u, l := start(t, Options{Keeper: k, Limits: Limits{Errands: 3}}, known, everybody{})
		conn := l.dial("192.0.2.1")
		transfer := ask(1, "example.", qtype(dns.TypeAXFR))
		mustWrite(t, conn, framed(transfer, transfer, transfer, ask(4, "example.", qtype(dns.TypeAXFR))))
		if m := mustReceive(t, conn); m.Id != 4 || m.Rcode != dns.RcodeServerFailure {
			t.Error("above the limit: ", m)
		}
		u.in <- delivery{packet: ask(5, "example.", opcode(dns.OpcodeNotify)), peer: client1}
		u.in <- delivery{packet: ask(6, "a.example."), peer: client1}
		if m := read(t, (<-u.out).packet); m.Id != 6 || s.Counters(UDP).Drops(NoSlot) != 1 {
			t.Error("beside transfers: ", m)
		}
		close(release)
		for range 3 {
			if m := mustReceive(t, conn); m.Id != 1 {
				t.Error(m)
			}
		}
	})
}

// Who does not take what he has asked for is cut off, and the Keeper is told.
func TestKeeperOfAClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		k := &listening{hear: func(_ context.Context, msg []byte, _ Transport, send func([]byte) error) { failed <- send(msg) }}
		_, _, l := start(t, Options{Keeper: k}, known, everybody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "example.", qtype(dns.TypeAXFR))))
		began := time.Now()
		if err := <-failed; err == nil || time.Since(began) != writeWithin {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// A panic costs one message, and its end ends what a message may take.
func TestKeeperPanicsAndTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &listening{hear: func(ctx context.Context, _ []byte, over Transport, _ func([]byte) error) {
			if over == UDP {
				panic("somewhere in the Keeper")
			}
			<-ctx.Done()
		}}
		s, u, l := start(t, Options{Keeper: k}, known, everybody{})
		u.in <- delivery{packet: ask(1, "example.", opcode(dns.OpcodeUpdate)), peer: client1}
		u.in <- delivery{packet: ask(2, "a.example."), peer: client1}
		if m := read(t, (<-u.out).packet); m.Id != 2 {
			t.Error(m)
		}
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(3, "example.", qtype(dns.TypeAXFR))))
		time.Sleep(hearWithin + time.Second)
		if s.Counters(UDP).Panics.Load() != 1 || errands(s) != 0 {
			t.Errorf("%d panics, %d slots left behind", s.Counters(UDP).Panics.Load(), errands(s))
		}
		_ = conn.Close()
	})
}
