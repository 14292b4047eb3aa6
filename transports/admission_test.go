package transports

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

func TestSlots(t *testing.T) {
	f := newFront(Options{Limits: Limits{Waiting: 5, WaitingPerNetwork: 2, WaitingPerNetworkTCP: 3}})
	now := f.now()
	at := func(addr string, tr Transport) holder {
		a := netip.MustParseAddr(addr)
		return holder{f.quota.clients.Of(a, now), tr, a.IsLoopback()}
	}
	take := func(h holder) bool { return f.quota.slots.take(h, f.limits.Waiting, f.waitingPerNetwork(h)) }
	for i, step := range []struct {
		holder holder
		want   bool
		why    string
	}{
		{at("192.0.2.1", UDP), true, "first"},
		{at("192.0.2.2", UDP), true, "second of the network"},
		{at("192.0.2.3", UDP), false, "third of the network"},
		{at("192.0.2.3", TCP), true, "TCP counts apart"},
		{at("198.51.100.1", UDP), true, "another network"},
		{at("2001:db8::1", TCP), true, "the last"},
		{at("2001:db8:1::1", TCP), false, "none is left"},
	} {
		if got := take(step.holder); got != step.want {
			t.Errorf("step %d (%s): %v", i, step.why, got)
		}
	}
	for _, addr := range []string{"192.0.2.1", "192.0.2.1"} {
		f.quota.slots.release(at(addr, UDP))
	}
	if len(f.quota.slots.held) != 3 || f.quota.slots.taken != 3 || f.quota.slots.count(at("192.0.2.9", UDP)) != 0 {
		t.Error("a network that waits for nothing leaves a trace: ", len(f.quota.slots.held), f.quota.slots.taken)
	}
}

// Servers of several addresses share one Quota, but each stops on its own.
func TestQuotaIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Quota: &Quota{}, Limits: Limits{WaitingPerNetwork: 2}}
		first, one, _ := start(t, o, slowly(time.Second), everybody{})
		second, two, _ := start(t, o, slowly(time.Second), everybody{})
		for range 2 {
			one.in <- delivery{packet: ask(1, "www.example."), peer: client1}
			two.in <- delivery{packet: ask(2, "www.example."), peer: client1}
		}
		synctest.Wait()
		if drops := first.Counters(UDP).Drops(NoSlot) + second.Counters(UDP).Drops(NoSlot); drops != 2 {
			t.Errorf("%d of 4 without a slot, want 2", drops)
		}
	})
}

func TestRefusalsAreLimited(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := newFront(Options{Now: func() time.Time { return now }})
	count := func(addr func(i int) netip.Addr) (told int) {
		for i := range 3000 {
			if f.mayRefuse(addr(i), now) {
				told++
			}
		}
		return told
	}
	one := func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
	many := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}) }
	if told := count(one); told != maxRefusalsPerNetwork {
		t.Error("one network in a second: ", told)
	}
	if told := count(many); told != maxRefusals-maxRefusalsPerNetwork {
		t.Error("all in a second: ", told)
	}
	if len(f.quota.refusals.told) > maxRefusals {
		t.Error("table grows with the flood: ", len(f.quota.refusals.told))
	}
	now = now.Add(time.Second)
	if told := count(one); told != maxRefusalsPerNetwork || len(f.quota.refusals.told) != 1 {
		t.Error("in the next second: ", told, len(f.quota.refusals.told))
	}
}

// linkLocal admits link-local clients, as an access list would: with a prefix.
type linkLocal struct{}

func (linkLocal) Admit(addr netip.Addr, _ time.Time) (wire.View, bool) {
	return 0, netip.MustParsePrefix("fe80::/10").Contains(addr)
}

func TestAdmitterSeesNoZone(t *testing.T) {
	f := newFront(Options{})
	f.responder, f.admitter = script{}, linkLocal{}
	var v visit
	if _, o := f.receive(&v, ask(1, "www.example."), netip.MustParseAddr("fe80::1%eth0"), link{}); o != missed {
		t.Error("outcome: ", o)
	}
}

// Over TCP a client that is not served is told so once, and the connection is closed.
func TestStrangersDoNotHoldConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, l := start(t, Options{}, script{}, nobody{})
		conn := l.dial("192.0.2.1")
		mustWrite(t, conn, framed(ask(1, "a.example."), ask(2, "b.example.")))
		if m := mustReceive(t, conn); m.Id != 1 || m.Rcode != dns.RcodeRefused {
			t.Error(m)
		}
		if _, err := receiveFrame(conn); !errors.Is(err, io.EOF) {
			t.Error("not closed: ", err)
		}
		synctest.Wait()
		if s.Counters(TCP).Connections.Load() != 0 {
			t.Error("the connection is counted")
		}
	})
}

// A client that is not in the access list gets REFUSED with EDE 18 whatever it sends, over UDP only so often.
func TestStrangersAreRefused(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		name  string
		query []byte
	}{
		{"a query", ask(1, "www.example.", edns(1232))},
		{"ANY", ask(1, "www.example.", edns(1232), qtype(dns.TypeANY))},
		{"AXFR", ask(1, "www.example.", edns(1232), qtype(dns.TypeAXFR))},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFront(Options{Now: func() time.Time { return now }})
			f.admitter = nobody{} // and no Responder: asking it would panic
			for _, l := range []link{{}, {transport: TCP}} {
				var v visit
				told := 0
				for range 100 {
					packet, o := f.receive(&v, c.query, client1.Addr(), l)
					if o == dropped {
						continue
					}
					told++
					m := read(t, packet)
					if code, _ := ede(m); m.Rcode != dns.RcodeRefused || code != 18 || len(m.Answer) != 0 {
						t.Fatal(m)
					}
				}
				if want := map[Transport]int{UDP: 10, TCP: 100}[l.transport]; told != want {
					t.Errorf("%v: told %d times, want %d", l.transport, told, want)
				}
			}
			if f.counters[UDP].Drops(RateLimited) != 90 || f.counters[UDP].Panics.Load() != 0 {
				t.Error("drops: ", f.counters[UDP].Drops(RateLimited))
			}
		})
	}
}

// A forwarder on this machine asks for a whole household from one address: only the total bounds it.
func TestThisMachineIsNoNetwork(t *testing.T) {
	f := newFront(Options{Limits: Limits{Waiting: 5, WaitingPerNetwork: 2}})
	for name, want := range map[string]int{"127.0.0.1": 5, "::1": 5, "192.0.2.1": 2} {
		addr := netip.MustParseAddr(name)
		h := holder{f.quota.clients.Of(addr, f.now()), UDP, addr.IsLoopback()}
		taken := 0
		for f.quota.slots.take(h, f.limits.Waiting, f.waitingPerNetwork(h)) {
			taken++
		}
		if taken != want {
			t.Errorf("%s takes %d slots, want %d", name, taken, want)
		}
		for range taken {
			f.quota.slots.release(h)
		}
	}
}
