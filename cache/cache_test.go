package cache

import (
	"fmt"
	"sync"
	"testing"

	"tacit/internal/wire"
)

// filled is a cache that knows of www.example and mail.test.
func filled(t testing.TB) *Cache {
	t.Helper()
	c := New(Options{Size: 8 << 20})
	g := c.Generation()
	for _, name := range []string{"www.example", "mail.test"} {
		k := Key{Name: wire.MustName(name), Type: wire.TypeA}
		q := question(name, wire.TypeA)
		denied := Key{Name: wire.MustName("gone." + name), Type: wire.TypeA}
		_, delegated := c.Delegations.Put(Delegation{Zone: k.Name}, Delegation{}, 60, epoch, g)
		c.Failures.Put(k, nil, epoch, g)
		if !delegated || !c.RRsets.Put(k, positive(k, 60, 1), epoch, g) ||
			!c.RRsets.Put(denied, denial(NoName, 60, 60), epoch, g) ||
			!c.Packets.Put(q, answer(t, q, wire.NoError, 60), epoch, g) {
			t.Fatal("refused")
		}
	}
	return c
}

// known lists what c knows of name.
func known(t testing.TB, c *Cache, name string) string {
	t.Helper()
	k, q := Key{Name: wire.MustName(name), Type: wire.TypeA}, question(name, wire.TypeA)
	var s string
	if _, ok := c.Packets.Get(nil, query(t, q), epoch); ok {
		s += "packet "
	}
	if _, state := c.RRsets.Get(k, Answer, epoch); state != Missing {
		s += "rrset "
	}
	if _, ok := c.RRsets.NoNameAbove(wire.MustName("gone."+name), 0, epoch); ok {
		s += "denial "
	}
	if d, ok := c.Delegations.Deepest(k.Name, epoch); ok && d.Zone == k.Name {
		s += "delegation "
	}
	if _, ok := c.Failures.Get(k, epoch); ok {
		s += "failure"
	}
	return s
}

func TestFlush(t *testing.T) {
	const everything, butPackets = "packet rrset denial delegation failure", "rrset denial delegation failure"
	for _, v := range []struct {
		name      string
		flush     func(*Cache)
		www, mail string
	}{
		{"nothing", func(*Cache) {}, everything, everything},
		{"a name", func(c *Cache) { c.Flush(www.Name) }, "denial ", butPackets},
		{"a name that is denied", func(c *Cache) { c.Flush(wire.MustName("gone.www.example")) }, "rrset delegation failure", butPackets},
		{"a name below a denied one", func(c *Cache) { c.Flush(wire.MustName("a.b.gone.www.example")) }, "rrset delegation failure", butPackets},
		{"a subtree", func(c *Cache) { c.FlushSubtree(zone) }, "", butPackets},
		{"everything", func(c *Cache) { c.FlushAll() }, "", ""},
		{"the configuration", func(c *Cache) { c.Renew() }, butPackets, butPackets},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := filled(t)
			v.flush(c)
			if got := known(t, c, "www.example"); got != v.www {
				t.Errorf("of www.example: %q, want %q", got, v.www)
			}
			if got := known(t, c, "mail.test"); got != v.mail {
				t.Errorf("of mail.test: %q, want %q", got, v.mail)
			}
		})
	}
}

// A resolution in flight does not put back what it learned before a flush.
func TestFlushOutlivesResolutionsInFlight(t *testing.T) {
	c := filled(t)
	before := c.Generation()
	c.FlushAll()
	q := question("www.example", wire.TypeA)
	_, delegated := c.Delegations.Put(Delegation{Zone: zone}, Delegation{}, 60, epoch, before)
	c.Failures.Put(www, nil, epoch, before)
	if delegated || c.RRsets.Put(www, positive(www, 60, 1), epoch, before) ||
		c.Packets.Put(q, answer(t, q, wire.NoError, 60), epoch, before) || known(t, c, "www.example") != "" {
		t.Errorf("put back: %s", known(t, c, "www.example"))
	}
	if !c.RRsets.Put(www, positive(www, 60, 1), epoch, c.Generation()) {
		t.Error("a new resolution is refused")
	}
}

// While resolutions put and clients ask, a flush that has returned lets nothing through that is older. Each put
// carries in its address the round that it read together with the generation.
func TestFlushIsAtomic(t *testing.T) {
	c := New(Options{Size: 8 << 20})
	q := question("www.example", wire.TypeA)
	asked := query(t, q)
	answers := make([]wire.Answer, 200)
	for i := range answers {
		answers[i] = answer(t, q, wire.NoError, 60)
		answers[i].Packet[len(answers[i].Packet)-1] = byte(i)
	}
	var mu sync.Mutex // around the round and the generation: what a resolution sees when it starts
	round := 0
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				g, i := c.Generation(), round
				mu.Unlock()
				c.RRsets.Put(www, positive(www, 60, byte(i)), epoch, g)
				c.Packets.Put(q, answers[i], epoch, g)
			}
		})
	}
	dst := make([]byte, 0, 512)
	for i := 1; i < len(answers); i++ {
		mu.Lock()
		c.FlushAll()
		round = i
		mu.Unlock()
		for range 20 {
			if e, state := c.RRsets.Get(www, Answer, epoch); state == Fresh && lastOctet(e) != byte(i) {
				t.Fatalf("round %d: RRset of round %d", i, lastOctet(e))
			}
			if a, ok := c.Packets.Get(dst, asked, epoch); ok && a.Packet[len(a.Packet)-1] != byte(i) {
				t.Fatalf("round %d: packet of round %d", i, a.Packet[len(a.Packet)-1])
			}
		}
	}
	close(stop)
	wg.Wait()
}

func TestSizeIsKept(t *testing.T) {
	const size = 4 << 20
	c := New(Options{Size: size})
	for i := range 30_000 {
		name := fmt.Sprintf("n%d.example", i)
		k, q := Key{Name: wire.MustName(name), Type: wire.TypeA}, question(name, wire.TypeA)
		c.RRsets.Put(k, positive(k, 60, 1), epoch, c.Generation())
		c.Packets.Put(q, answer(t, q, wire.NoError, 60), epoch, c.Generation())
		c.Delegations.Put(Delegation{Zone: k.Name}, Delegation{}, 60, epoch, c.Generation())
		c.Denials.Put(Chain{Zone: wire.MustName(fmt.Sprintf("z%d", i/100))}, nsec(name, "next."+name), after(60), epoch, c.Generation())
	}
	s := c.Stats()
	if total := s.Packets.Capacity + s.RRsets.Capacity + s.Denials.Capacity + s.Delegations.Capacity; total > size || total < size*99/100 {
		t.Errorf("capacity of %d", total)
	}
	for name, part := range map[string]Count{"packets": s.Packets, "rrsets": s.RRsets, "denials": s.Denials, "delegations": s.Delegations} {
		if part.Bytes > part.Capacity || part.Bytes < part.Capacity*8/10 || part.Evictions == 0 || part.Entries == 0 {
			t.Errorf("%s: %+v", name, part)
		}
	}
}
