package upstream

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"tacit/internal/wire"
)

// RFC 9539 section 4.3: what works is taken to work for three days from its last reply, what does not is left alone for one.
func TestCoverAges(t *testing.T) {
	const works, fails = 72 * time.Hour, 24 * time.Hour
	a, start := netip.MustParseAddr("192.0.2.53"), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	m := NewMemory(MemoryOptions{})
	covered := func(d time.Duration, want Transport) {
		t.Helper()
		if got, _, _ := m.covered(a, at(d)); got != want {
			t.Errorf("after %v: %v, want %v", d, got, want)
		}
	}
	probes := func(d time.Duration, want ...Transport) {
		t.Helper()
		got := m.beginProbes(a, at(d))
		if !slices.Equal(got, want) {
			t.Errorf("after %v: tries %v, want %v", d, got, want)
		}
		for _, transport := range got {
			m.endProbe(a, transport)
		}
	}
	covered(0, UDP)
	probes(0, QUIC, TLS)
	m.foundCover(a, TLS, time.Second, at(0))
	m.lostCover(a, QUIC, coverDamped, at(0))
	covered(0, TLS)
	probes(fails - 1)
	probes(fails, QUIC)
	covered(works-1, TLS)
	covered(works, UDP)
	probes(works, QUIC, TLS)
	m.foundCover(a, TLS, 0, at(works-1))
	covered(2*works-2, TLS)
	m.foundCover(a, QUIC, 0, at(works))
	covered(works, QUIC)
	probes(works)
	m.doubtCover(a, QUIC, at(works))
	covered(works, TLS)
	probes(works, QUIC)
	m.lostCover(a, TLS, coverDamped, at(works))
	covered(works, UDP)
}

// A server that answers too late over what it is asked over is asked so, as before, and not preferred for it.
func TestSlowCoverIsNotPreferred(t *testing.T) {
	m, now := NewMemory(MemoryOptions{}), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := Server{Addr: netip.MustParseAddrPort("192.0.2.53:53"), Encryption: Opportunistic}
	a := s.Addr.Addr()
	preferred := func(s Server, after time.Duration, want bool) {
		t.Helper()
		if got := m.Prospect(s, wire.Root, now.Add(after)).Covered; got != want {
			t.Errorf("after %v: %t", after, got)
		}
	}
	preferred(s, 0, false)
	m.foundCover(a, QUIC, 0, now)
	m.foundCover(a, TLS, 0, now)
	preferred(s, 0, true)
	preferred(Server{Addr: s.Addr}, 0, false) // it is asked in clear
	m.doubtCover(a, QUIC, now)
	preferred(s, 0, true) // over TLS
	m.foundCover(a, QUIC, 0, now)
	preferred(s, coverUnsure-1, false)
	preferred(s, coverUnsure, true)
	preferred(s, coverPersists, false)
}

func TestOneProbeAtATime(t *testing.T) {
	m, a, now := NewMemory(MemoryOptions{}), netip.MustParseAddr("192.0.2.53"), time.Now()
	if first, second := m.beginProbes(a, now), m.beginProbes(a, now); len(first) != 2 || len(second) != 0 {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestCoversAreBounded(t *testing.T) {
	m := NewMemory(MemoryOptions{Servers: 100})
	for i := range 10_000 {
		m.foundCover(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), TLS, 0, time.Now())
	}
	if n := m.covers.Len(); n > 100 {
		t.Errorf("%d remembered", n)
	}
}

// The wait for the set-up of a session is no sign that its server is overdue.
func TestOverdueAllowsForSetUp(t *testing.T) {
	m, s := NewMemory(MemoryOptions{}), Server{Addr: address, Encryption: Opportunistic}
	m.replied(s, nil, receipt{rtt: latency}, time.Now())
	before := m.begin(s, testTime).overdue
	m.foundCover(address.Addr(), TLS, 3*latency, time.Now())
	if got, want := m.begin(s, testTime).overdue, before+4*latency+latency/2; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := m.begin(server, testTime).overdue; got != before {
		t.Errorf("in clear %v, want %v", got, before)
	}
}
