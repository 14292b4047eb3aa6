package upstream

import (
	"net/netip"
	"testing"
	"time"

	"tacit/internal/wire"
)

var testTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func serverAt(text string) Server {
	return Server{Addr: netip.AddrPortFrom(netip.MustParseAddr(text), 53)}
}

// RFC 6298 section 2: the first measurement is the estimate and half of it the variation; later ones count an eighth
// and a quarter.
func TestRoundTripTimes(t *testing.T) {
	for _, c := range []struct {
		name    string
		rtts    []time.Duration // ms
		srtt    time.Duration
		timeout time.Duration
	}{
		{"none", nil, 0, firstTimeout},
		{"one", []time.Duration{100}, 100 * time.Millisecond, 300 * time.Millisecond},
		{"two", []time.Duration{100, 180}, 110 * time.Millisecond, 340 * time.Millisecond},
		{"near", []time.Duration{1, 1, 1}, time.Millisecond, minTimeout},
		{"far", []time.Duration{2000}, 2 * time.Second, maxTimeout},
	} {
		m := NewMemory(MemoryOptions{})
		for _, rtt := range c.rtts {
			m.replied(server, nil, receipt{rtt: rtt * time.Millisecond}, testTime)
		}
		st := m.Prospect(server, wire.Root, testTime)
		if st.Known != (c.rtts != nil) || st.SRTT != c.srtt {
			t.Errorf("%s: %+v, want %v", c.name, st, c.srtt)
		}
		if got := m.Timeout(server, testTime); got != c.timeout {
			t.Errorf("%s: time-out %v, want %v", c.name, got, c.timeout)
		}
	}
}

// One minute at first, then the double after each probe that fails, at most a quarter of an hour.
func TestDeadServersAreProbed(t *testing.T) {
	m, now := NewMemory(MemoryOptions{}), testTime
	ask := func(answers bool) {
		m.begin(server, now)
		sent := now
		if now = now.Add(time.Second); answers {
			m.replied(server, nil, receipt{rtt: time.Second}, now)
		} else {
			m.failed(server, sent, now)
		}
	}
	for range deadAfter - 1 {
		ask(false)
		if st := m.Prospect(server, wire.Root, now); st.Dead || st.Probe {
			t.Fatalf("too early: %+v", st)
		}
	}
	ask(false)
	for _, penalty := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, maxPenalty, maxPenalty} {
		if st := m.Prospect(server, wire.Root, now.Add(penalty-1)); !st.Dead || st.Probe {
			t.Fatalf("not dead in its penalty of %v: %+v", penalty, st)
		}
		now = now.Add(penalty)
		if st := m.Prospect(server, wire.Root, now); st.Dead || !st.Probe {
			t.Fatalf("not to be probed after %v: %+v", penalty, st)
		}
		m.begin(server, now)
		if st := m.Prospect(server, wire.Root, now); !st.Dead || st.Probe {
			t.Fatalf("a second probe beside the first: %+v", st)
		}
		ask(false)
	}
	ask(true) // though dead: all others were, too
	if st := m.Prospect(server, wire.Root, now); st.Dead || st.Probe || st.Timeouts != 0 {
		t.Errorf("still dead after a reply: %+v", st)
	}
}

// Asking the dead for want of others does not make them more dead.
func TestPenaltyGrowsByProbesOnly(t *testing.T) {
	m, now := NewMemory(MemoryOptions{}), testTime
	for range 20 {
		m.failed(server, now, now)
	}
	if st := m.Prospect(server, wire.Root, now.Add(firstPenalty)); !st.Probe {
		t.Errorf("%+v", st)
	}
}

// A burst of loss is one failure, and none if the server has answered since.
func TestFailuresTogetherCountOnce(t *testing.T) {
	m, now := NewMemory(MemoryOptions{}), testTime
	for range 30 {
		m.failed(server, now, now.Add(firstTimeout))
	}
	if st := m.Prospect(server, wire.Root, now); st.Timeouts != 1 {
		t.Errorf("a burst: %+v", st)
	}
	m.replied(server, nil, receipt{rtt: time.Millisecond}, now.Add(time.Second))
	m.failed(server, now, now.Add(2*time.Second))
	if st := m.Prospect(server, wire.Root, now); st.Timeouts != 0 {
		t.Errorf("asked before the last reply: %+v", st)
	}
}

func TestLameness(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	zone, other := wire.MustName("shop.example."), wire.MustName("other.example.")
	m.MarkLame(server, zone, testTime)
	for _, c := range []struct {
		name   string
		server Server
		zone   wire.Name
		after  time.Duration
		want   bool
	}{
		{"now", server, zone, 0, true},
		{"to the end", server, zone, lameFor - 1, true},
		{"after 15 minutes", server, zone, lameFor, false},
		{"for another zone", server, other, 0, false},
		{"another server", serverAt("192.0.2.54"), zone, 0, false},
	} {
		if got := m.isLame(c.server, c.zone, testTime.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory(MemoryOptions{Servers: 10})
	for i := range 1000 {
		s := Server{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(i))}
		m.replied(s, nil, receipt{rtt: time.Millisecond}, testTime)
		m.MarkLame(s, wire.Root, testTime)
	}
	if m.servers.Len() > 10 || m.lame.Len() > 10 {
		t.Errorf("%d servers, %d lame", m.servers.Len(), m.lame.Len())
	}
}

func TestFamilyWithoutRoute(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	v4, v6 := serverAt("192.0.2.1"), serverAt("2001:db8::1")
	m.noRoute(v6, testTime)
	if !m.familyDown(true, testTime.Add(familyDownFor-1)) || m.familyDown(false, testTime) {
		t.Error("IPv6 alone should be down")
	}
	if m.familyDown(true, testTime.Add(familyDownFor)) {
		t.Error("down after 10 s")
	}
	if st := m.Prospect(v6, wire.Root, testTime); st.Timeouts != 0 {
		t.Error("the server is blamed")
	}
	m.noRoute(v4, testTime)
	if m.familyDown(true, testTime) || m.familyDown(false, testTime) {
		t.Error("both down leaves nobody to ask")
	}
	m.replied(v6, nil, receipt{rtt: time.Millisecond}, testTime)
	m.noRoute(serverAt("2001:db8::2"), testTime.Add(time.Second))
	if m.familyDown(true, testTime.Add(time.Second)) {
		t.Error("down, though it has just answered")
	}
}

// An IPv6 path on which packets vanish is found out by three servers, as long as IPv4 answers, and then tried by one
// in 32.
func TestSilentFamilyIsDoubtful(t *testing.T) {
	v4, v6 := serverAt("192.0.2.1"), []Server{serverAt("2001:db8::1"), serverAt("2001:db8::2"), serverAt("2001:db8::3")}
	const since = time.Second
	for _, c := range []struct {
		name   string
		script func(m *Memory)
		want   bool
	}{
		{"three servers silent, IPv4 answers", func(m *Memory) {
			for _, s := range v6 {
				m.failed(s, testTime, testTime)
			}
			m.replied(v4, nil, receipt{rtt: time.Millisecond}, testTime.Add(since))
		}, true},
		{"IPv4 answered before only", func(m *Memory) {
			m.replied(v4, nil, receipt{rtt: time.Millisecond}, testTime)
			for _, s := range v6 {
				m.failed(s, testTime.Add(since), testTime.Add(since))
			}
		}, false},
		{"one server silent three times", func(m *Memory) {
			for range 3 {
				m.failed(v6[0], testTime, testTime)
			}
			m.replied(v4, nil, receipt{rtt: time.Millisecond}, testTime.Add(since))
		}, false},
		{"one of the family answers in between", func(m *Memory) {
			m.failed(v6[0], testTime, testTime)
			m.failed(v6[1], testTime, testTime)
			m.replied(v6[2], nil, receipt{rtt: time.Millisecond}, testTime.Add(since))
			m.failed(v6[2], testTime.Add(since), testTime.Add(since))
			m.replied(v4, nil, receipt{rtt: time.Millisecond}, testTime.Add(since))
		}, false},
		{"and answers again", func(m *Memory) {
			for _, s := range v6 {
				m.failed(s, testTime, testTime)
			}
			m.replied(v4, nil, receipt{rtt: time.Millisecond}, testTime.Add(since))
			m.replied(v6[0], nil, receipt{rtt: time.Millisecond}, testTime.Add(since))
		}, false},
	} {
		m := NewMemory(MemoryOptions{})
		c.script(m)
		passed := 0
		for range 320 {
			if !m.familyDown(true, testTime.Add(since)) {
				passed++
			}
		}
		want := 320
		if c.want {
			want = 10
		}
		if passed != want {
			t.Errorf("%s: let through %d of 320, want %d", c.name, passed, want)
		}
		if m.familyDown(false, testTime.Add(since)) {
			t.Errorf("%s: IPv4 is down", c.name)
		}
	}
}

func BenchmarkState(b *testing.B) {
	m := NewMemory(MemoryOptions{})
	m.replied(server, nil, receipt{rtt: time.Millisecond}, testTime)
	b.ReportAllocs()
	for b.Loop() {
		if !m.Prospect(server, wire.Root, testTime).Known {
			b.Fatal("forgotten")
		}
	}
}
