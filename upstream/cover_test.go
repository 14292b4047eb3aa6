package upstream

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// RFC 9539 section 4.3: what works is taken to work for three days from its last reply, what does not is left alone for one.
func TestCoverAges(t *testing.T) {
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
	probes(coverDamped - 1)
	probes(coverDamped, QUIC)
	covered(coverPersists-1, TLS)
	covered(coverPersists, UDP)
	probes(coverPersists, QUIC, TLS)
	m.foundCover(a, TLS, 0, at(coverPersists-1))
	covered(2*coverPersists-2, TLS)
	m.foundCover(a, QUIC, 0, at(coverPersists))
	covered(coverPersists, QUIC)
	probes(coverPersists)
	m.doubtCover(a, QUIC)
	covered(coverPersists, TLS)
	probes(coverPersists, QUIC)
	m.lostCover(a, TLS, coverDamped, at(coverPersists))
	covered(coverPersists, UDP)
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
	m.replied(s, receipt{rtt: latency}, time.Now())
	before := m.Overdue(s)
	m.foundCover(address.Addr(), TLS, 3*latency, time.Now())
	if got, want := m.Overdue(s), before+4*latency+latency/2; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := m.Overdue(server); got != before {
		t.Errorf("in clear %v, want %v", got, before)
	}
}
