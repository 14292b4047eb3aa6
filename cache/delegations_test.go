package cache

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"tacit/internal/wire"
)

func delegation(zone string, addresses ...string) Delegation {
	s := NameServer{Name: wire.MustName("ns." + zone)}
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, netip.MustParseAddr(a))
	}
	return Delegation{Zone: wire.MustName(zone), Servers: []NameServer{s}}
}

func TestDeepest(t *testing.T) {
	c := New(Options{})
	root, example, sub := Delegation{}, delegation("example"), delegation("sub.example", "192.0.2.1")
	root, _ = c.Delegations.Put(root, Delegation{}, 600, epoch, c.Generation())
	example, _ = c.Delegations.Put(example, root, 300, epoch, c.Generation())
	if _, ok := c.Delegations.Put(sub, example, 100, epoch, c.Generation()); !ok {
		t.Fatal("refused")
	}
	for _, v := range []struct {
		name string
		at   float64
		want string // empty: none
	}{
		{"a.b.sub.example", 0, "sub.example"},
		{"sub.example", 99, "sub.example"},
		{"sub.example", 100, "example"},
		{"www.example", 0, "example"},
		{"www.example", 300, "."},
		{"test", 0, "."},
		{"test", 600, ""},
	} {
		d, ok := c.Delegations.Deepest(wire.MustName(v.name), after(v.at))
		if ok != (v.want != "") || ok && d.Zone != wire.MustName(v.want) {
			t.Errorf("%s at %v: %s", v.name, v.at, d.Zone.Reveal())
		}
	}
}

// A delegation is a lease of the parent: nothing below extends it (ghost domains, CVE-2012-1033, CVE-2022-30698).
func TestLeases(t *testing.T) {
	parent := Delegation{Zone: wire.MustName("example"), Lease: after(100)}
	for _, v := range []struct {
		name   string
		child  string
		parent Delegation
		ttl    uint32
		now    float64
		want   float64 // when the lease ends; 0: refused
	}{
		{"by the TTL", "sub.example", parent, 60, 0, 60},
		{"no later than the parent's", "sub.example", parent, 600, 0, 100},
		{"the parent's has run out", "sub.example", parent, 600, 100, 0},
		{"TTL 0: for the resolution at hand only", "sub.example", parent, 0, 0, 0},
		{"a zone about itself", "example", parent, 60, 0, 0},
		{"a zone about its sibling", "test", parent, 60, 0, 0},
		{"a zone about the root", ".", parent, 60, 0, 0},
		{"a zone below the root: nobody takes the root back", "example", Delegation{Lease: after(10)}, 60, 0, 60},
		{"a zone below configured servers", "sub.example", Delegation{Zone: parent.Zone}, 60, 0, 60},
		{"at most a day", "example", Delegation{}, 1 << 30, 0, 86400},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := New(Options{})
			n := Delegation{Zone: wire.MustName(v.child), Lease: after(1 << 30)} // which is nobody's to say
			granted, ok := c.Delegations.Put(n, v.parent, v.ttl, after(v.now), c.Generation())
			d, found := c.Delegations.Deepest(n.Zone, after(v.now))
			if ok != (v.want != 0) || ok != found {
				t.Fatalf("put %v, found %v", ok, found)
			}
			if ok && (!d.Lease.Equal(after(v.want)) || !granted.Lease.Equal(d.Lease)) {
				t.Errorf("lease of %v", d.Lease.Sub(epoch))
			}
		})
	}
}

// Only the parent renews, and no further than its own lease.
func TestTheParentRenews(t *testing.T) {
	c := New(Options{})
	parent := Delegation{Zone: wire.MustName("example"), Lease: after(100)}
	for _, v := range []struct{ now, want float64 }{{0, 60}, {30, 90}, {50, 100}, {90, 100}} {
		c.Delegations.Put(delegation("sub.example"), parent, 60, after(v.now), c.Generation())
		if d, _ := c.Delegations.Deepest(wire.MustName("sub.example"), after(v.now)); !d.Lease.Equal(after(v.want)) {
			t.Errorf("at %v: lease of %v", v.now, d.Lease.Sub(epoch))
		}
	}
}

// NXNSAttack: 20 names of an NS RRset are looked at and 13 kept, those with glue first; 6 addresses each (CVE-2026-3592).
func TestServersAreLimited(t *testing.T) {
	n := Delegation{Zone: zone}
	for i := range 30 {
		s := NameServer{Name: wire.MustName(fmt.Sprintf("ns%d.example", i))}
		if i%2 == 1 {
			for j := range 10 {
				s.Addresses = append(s.Addresses, netip.AddrFrom4([4]byte{192, 0, 2, byte(j / 2)}), netip.AddrFrom4([4]byte{203, 0, 113, byte(j)}))
			}
		}
		n.Servers = append(n.Servers, s, s)
	}
	c := New(Options{})
	d, ok := c.Delegations.Put(n, Delegation{}, 60, epoch, c.Generation())
	if !ok || len(d.Servers) != 13 {
		t.Fatalf("%d servers", len(d.Servers))
	}
	seen := map[wire.Name]bool{}
	for i, s := range d.Servers {
		if want := 6; i < 10 && len(s.Addresses) != want {
			t.Errorf("server %d has %d addresses", i, len(s.Addresses))
		}
		addresses := map[netip.Addr]bool{}
		for _, a := range s.Addresses {
			addresses[a] = true
		}
		if seen[s.Name] || len(addresses) != len(s.Addresses) {
			t.Errorf("server %d is doubled, or an address of it", i)
		}
		seen[s.Name] = true
	}
	for i := 20; i < 30; i++ {
		if seen[wire.MustName(fmt.Sprintf("ns%d.example", i))] {
			t.Errorf("server name %d is above the cut", i)
		}
	}
}

// What is remembered comes back as it was put: names in and out of the zone, addresses of both families and of none.
func TestDelegationsComeBackAsTheyWerePut(t *testing.T) {
	c := New(Options{})
	in := Delegation{Zone: zone, Partition: 513}
	for i := range maxServers {
		s := NameServer{Name: wire.MustName(fmt.Sprintf("ns%d.a-host-with-quite-a-long-name.test", i))}
		for j := range maxAddressesOfServer * (maxServers - i) / maxServers {
			s.Addresses = append(s.Addresses, netip.AddrFrom4([4]byte{192, 0, 2, byte(j)}))
			if j%2 == 1 {
				s.Addresses[j] = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", j))
			}
		}
		in.Servers = append(in.Servers, s)
	}
	put, ok := c.Delegations.Put(in, Delegation{}, 60, epoch, c.Generation())
	got, found := c.Delegations.Deepest(www.Name, epoch)
	if !ok || !found || !reflect.DeepEqual(got, put) {
		t.Errorf("put %v %+v, got %v %+v", ok, put, found, got)
	}
	put.Servers = put.Servers[:1]
	c.Delegations.Put(put, Delegation{}, 90, epoch, c.Generation())
	if again, _ := c.Delegations.Deepest(zone, epoch); !reflect.DeepEqual(again.Servers, put.Servers) || !again.Lease.Equal(after(90)) {
		t.Errorf("put again, and got %+v", again)
	}
}

// A flush leaves none of the delegations that were asked for in memory.
func TestFlushForgetsWhatWasMade(t *testing.T) {
	c := New(Options{})
	for i := range 6000 {
		d := delegation(fmt.Sprintf("z%d.example", i), "192.0.2.1")
		c.Delegations.Put(d, Delegation{}, 60, epoch, c.Generation())
		if got, ok := c.Delegations.Deepest(d.Zone, epoch); !ok || !reflect.DeepEqual(got.Servers, d.Servers) {
			t.Fatalf("zone %d: %v", i, ok)
		}
	}
	for i := range 200 { // other places have been taken since
		c.Delegations.Deepest(wire.MustName(fmt.Sprintf("z%d.example", i)), epoch)
	}
	c.Flush(www.Name)
	for i := range c.Delegations.granted {
		if c.Delegations.granted[i].Load() != nil || c.Delegations.again[i].Load() != nil {
			t.Fatalf("%d is still there", i)
		}
	}
}

// What all questions go through is made once, however many delegations are granted meanwhile and asked for once: be it small, or
// one of those for which there are fewer places.
func TestDelegationsThatAreAskedForAgainStayMade(t *testing.T) {
	for _, servers := range []int{1, smallServers + 1} {
		c := New(Options{})
		put := func(zone string) Delegation {
			d := delegation(zone, "192.0.2.1")
			for i := range servers - 1 {
				d.Servers = append(d.Servers, NameServer{Name: wire.MustName(fmt.Sprintf("ns%d.example", i))})
			}
			c.Delegations.Put(d, Delegation{}, 60, epoch, c.Generation())
			return d
		}
		top := put("example")
		var first *NameServer
		const others = 2 * len(slots{})
		for i := range others {
			got, ok := c.Delegations.Deepest(top.Zone, epoch)
			if !ok {
				t.Fatal("forgotten")
			}
			if i == others/2+1 { // others have taken its place among those just granted
				first = &got.Servers[0]
			}
			if first != nil && &got.Servers[0] != first {
				t.Fatalf("%d servers: made again after %d others", servers, i)
			}
			c.Delegations.Deepest(put(fmt.Sprintf("z%d.example", i)).Zone, epoch)
		}
		taken, want := 0, map[bool]int{false: len(slots{}), true: slotsOfLarge}[servers > smallServers]
		for i := range c.Delegations.granted {
			if c.Delegations.granted[i].Load() != nil {
				taken++
			}
		}
		if taken != want {
			t.Errorf("%d servers: %d places are taken, want %d", servers, taken, want)
		}
	}
}

func BenchmarkDelegationsPut(b *testing.B) {
	c, d := New(Options{}), delegation("example", "192.0.2.1", "2001:db8::1")
	root, _ := c.Delegations.Put(Delegation{}, Delegation{}, 86400, epoch, c.Generation())
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Delegations.Put(d, root, 86400, epoch, c.Generation()); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkDeepest(b *testing.B) {
	large := delegation("example")
	large.Servers = nil
	for i := range maxServers { // as many top-level domains have
		large.Servers = append(large.Servers, NameServer{
			Name:      wire.MustName(fmt.Sprintf("%c.servers.test", 'a'+i)),
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		})
	}
	for _, d := range []Delegation{delegation("example", "192.0.2.1"), large} {
		b.Run(fmt.Sprint(len(d.Servers), " servers"), func(b *testing.B) {
			c := New(Options{})
			root, _ := c.Delegations.Put(Delegation{}, Delegation{}, 86400, epoch, c.Generation())
			c.Delegations.Put(d, root, 86400, epoch, c.Generation())
			name, now := wire.MustName("a.b.www.example"), epoch.Add(time.Second)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := c.Delegations.Deepest(name, now); !ok {
					b.Fatal("none")
				}
			}
		})
	}
}
