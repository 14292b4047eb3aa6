package cache

import (
	"fmt"
	"testing"

	"tacit/internal/wire"
)

// RFC 9520 section 3.2: failures are cached for at least 1 second and at most 5 minutes, with exponential back-off.
func TestFailuresLastTwiceAsLong(t *testing.T) {
	c, now := New(Options{}), 0.0
	for i, want := range []float64{5, 10, 20, 40, 80, 160, 300, 300} {
		c.Failures.Put(www, nil, after(now), c.Generation())
		c.Failures.Put(www, nil, after(now+1), c.Generation()) // tried at the same time
		f, ok := c.Failures.Get(www, after(now+want-0.001))
		if _, later := c.Failures.Get(www, after(now+want)); !ok || later || !f.Until.Equal(after(now+want)) {
			t.Fatalf("failure %d: %v, until %v after", i, ok, f.Until.Sub(after(now)))
		}
		now += want
	}
}

func TestFailuresStartAnew(t *testing.T) {
	for _, v := range []struct {
		name    string
		between func(*Cache)
		at      float64
		want    float64
	}{
		{"not while it lasts", func(*Cache) {}, 15 + 299, 20},
		{"after a success", func(c *Cache) { c.Failures.Forget(www) }, 15, 5},
		{"after five quiet minutes", func(*Cache) {}, 15 + 300, 5},
		{"after a flush", func(c *Cache) { c.Flush(www.Name) }, 15, 5},
	} {
		c := New(Options{})
		c.Failures.Put(www, nil, epoch, c.Generation())
		c.Failures.Put(www, nil, after(5), c.Generation())
		v.between(c)
		c.Failures.Put(www, nil, after(v.at), c.Generation())
		if f, _ := c.Failures.Get(www, after(v.at)); !f.Until.Equal(after(v.at + v.want)) {
			t.Errorf("%s: for %v", v.name, f.Until.Sub(after(v.at)))
		}
	}
}

func TestFailuresKeepTheReasonAndAreApart(t *testing.T) {
	c := New(Options{})
	c.Failures.Put(www, []wire.ExtendedError{{Code: wire.EDENoReachableAuthority}}, epoch, c.Generation())
	if f, ok := c.Failures.Get(www, epoch); !ok || len(f.Errors) != 1 || f.Errors[0].Code != wire.EDENoReachableAuthority {
		t.Errorf("got %+v, %v", f, ok)
	}
	for _, k := range []Key{{Name: zone, Type: www.Type}, {Name: www.Name, Type: wire.TypeMX}, {Name: www.Name, Type: www.Type, Partition: 1}} {
		if _, ok := c.Failures.Get(k, epoch); ok {
			t.Errorf("%+v failed, too", k)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	c := New(Options{Failures: 100})
	for i := range 1000 {
		c.Failures.Put(Key{Name: wire.MustName(fmt.Sprintf("n%d.example", i))}, nil, epoch, c.Generation())
	}
	if n := c.Stats().Failures.Entries; n != 100 {
		t.Errorf("%d failures", n)
	}
}
