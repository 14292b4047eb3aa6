package resolver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

// between plays a script in which a zone has two servers with one address each, and asks it ask times for a new name. The zone's
// delegation is known, and of its servers nothing.
func between(t *testing.T, one, other testnet.Behaviour, ask int, check func(s *script, took []time.Duration, servers [2]upstream.Server)) {
	t.Helper()
	playOnce(t, func(s *script) {
		first := s.Zone("shop.example.", "* A 203.0.113.80", one, testnet.IPv4Only())
		second := s.NameServer("shop.example.", other, testnet.IPv4Only())
		s.resolve("known.shop.example.", "NS")
		time.Sleep(10 * time.Second)
		s.r.memory = upstream.NewMemory(upstream.MemoryOptions{})
		client := upstream.New(upstream.Options{Network: s.World, Memory: s.r.memory})
		s.r.exchanger = client
		s.Reset()
		var took []time.Duration
		for i := range ask {
			started := time.Now()
			name := fmt.Sprintf("w%d.shop.example.", i)
			s.want(name, "A", "NOERROR "+name+" A 203.0.113.80")
			took = append(took, time.Since(started))
		}
		time.Sleep(time.Minute)
		check(s, took, [2]upstream.Server{{Addr: first.Addresses()[0]}, {Addr: second.Addresses()[0]}})
		s.r.Close()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}, packetsOff)
}

// A server whose reply is overdue does not keep the question from another, and its silence is noticed all the same.
func TestLostRepliesCostLittle(t *testing.T) {
	between(t, testnet.Silent(), testnet.Latency(20*time.Millisecond), 40, func(s *script, took []time.Duration, servers [2]upstream.Server) {
		for _, d := range took {
			if d > firstOverdue+21*time.Millisecond {
				t.Errorf("an answer took %v", d)
			}
		}
		if state := s.r.memory.Prospect(servers[0], wire.Root, time.Now()); state.Timeouts == 0 || state.Known {
			t.Errorf("the silent server is not blamed: %+v", state)
		}
	})
}

// firstOverdue is upstream's.
const firstOverdue = 150 * time.Millisecond

// A reply that is overdue and comes counts, though another server was asked meanwhile; so it does of a server that the other
// one has overtaken, for its round-trip time.
func TestSlowRepliesCount(t *testing.T) {
	const far = 300 * time.Millisecond
	between(t, testnet.Latency(far), testnet.Silent(), 1, func(s *script, took []time.Duration, servers [2]upstream.Server) {
		if took[0] != far && took[0] != firstOverdue+far {
			t.Errorf("took %v, want %v after one of the two was asked", took[0], far)
		}
		if state := s.r.memory.Prospect(servers[1], wire.Root, time.Now()); state.Timeouts != 1 {
			t.Errorf("the silent server: %+v", state)
		}
	})
	between(t, testnet.Latency(far), testnet.Latency(20*time.Millisecond), 40, func(s *script, took []time.Duration, servers [2]upstream.Server) {
		if state := s.r.memory.Prospect(servers[0], wire.Root, time.Now()); !state.Known || state.SRTT < far || state.Timeouts > 0 {
			t.Errorf("the far server: %+v", state)
		}
		slow := slices.DeleteFunc(took, func(d time.Duration) bool { return d <= firstOverdue+20*time.Millisecond })
		if len(slow) > 10 { // chosen at random: one
			t.Errorf("took %v", slow)
		}
	})
}

// The same goes for a server that is asked over TCP alone, and falls silent.
func TestLostRepliesOverTCPCostLittle(t *testing.T) {
	const near, far = 5 * time.Millisecond, 20 * time.Millisecond
	playOnce(t, func(s *script) {
		first := s.Zone("shop.example.", "* A 203.0.113.80", testnet.SilentUDP(), testnet.Latency(near), testnet.IPv4Only())
		for i := range 5 { // until it is asked over TCP
			s.resolve(fmt.Sprintf("w%d.shop.example.", i), "A")
		}
		s.NameServer("shop.example.", testnet.Latency(far), testnet.IPv4Only())
		s.r.cache.FlushAll()
		s.resolve("www.shop.example.", "A")
		first.Behave(testnet.Silent())
		var took []time.Duration
		for i := range 30 {
			name := fmt.Sprintf("x%d.shop.example.", i)
			started := time.Now()
			s.want(name, "A", "NOERROR "+name+" A 203.0.113.80")
			took = append(took, time.Since(started))
			time.Sleep(time.Second)
		}
		if slowest, last := slices.Max(took), took[len(took)-1]; slowest > firstOverdue+far || last > far {
			t.Errorf("an answer took %v, the last one %v", slowest, last)
		}
		if state := s.r.memory.Prospect(upstream.Server{Addr: first.Addresses()[0]}, wire.Root, time.Now()); !state.Dead {
			t.Errorf("the silent server is not blamed: %+v", state)
		}
	}, packetsOff)
}

// Where all replies are overdue it is the line that is slow, and one exchange in ten may go to a second server.
func TestOverlapsAreBounded(t *testing.T) {
	const inTime = 1000
	o, taken := &overlaps{}, 0
	for range 2 * overlapDebt {
		if o.take() {
			taken++
		}
	}
	if taken != overlapDebt {
		t.Errorf("%d of nothing but overdue replies, want %d", taken, overlapDebt)
	}
	for range inTime {
		o.earn()
		if o.take() {
			taken++
		}
	}
	if want := overlapDebt + inTime/overlapPrice; taken != want {
		t.Errorf("%d, want %d", taken, want)
	}
}
