package policy

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"tacit/internal/wire"
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}

func newAccess(t testing.TB, o AccessOptions) *Access {
	t.Helper()
	a, err := NewAccess(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func admitted(a *Access, addr string) bool {
	_, ok := a.Admit(netip.MustParseAddr(addr), time.Time{})
	return ok
}

func TestDefaultAccessIsNoOpenResolver(t *testing.T) {
	a := newAccess(t, AccessOptions{})
	for _, c := range []struct {
		name, first, last, below, above string
	}{
		{"RFC 1122 section 3.2.1.3: loopback", "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"},
		{"RFC 4291 section 2.5.3: loopback", "::1", "::1", "::", "::2"},
		{"RFC 1918 section 3: 10/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
		{"RFC 1918 section 3: 172.16/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
		{"RFC 1918 section 3: 192.168/16", "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"},
		{"RFC 3927 section 2.1: link-local", "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"},
		{"RFC 4193 section 3.1: unique local", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fbff::", "fe00::"},
		{"RFC 4291 section 2.5.6: link-local", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe7f::", "fec0::"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for addr, want := range map[string]bool{c.first: true, c.last: true, c.below: false, c.above: false} {
				if got := admitted(a, addr); got != want {
					t.Errorf("%s: served %v, want %v", addr, got, want)
				}
			}
		})
	}
	for name, addr := range map[string]string{
		"documentation, IPv4":                    "192.0.2.1",
		"documentation, IPv6":                    "2001:db8::1",
		"RFC 6598: a provider's other customers": "100.64.0.1",
		"RFC 6598, last":                         "100.127.255.255",
		"unspecified, IPv4":                      "0.0.0.0",
	} {
		if admitted(a, addr) {
			t.Errorf("%s: served", name)
		}
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		name    string
		options AccessOptions
		served  []string
		refused []string
	}{
		{
			"allow replaces the default",
			AccessOptions{Allow: prefixes("192.0.2.0/24")},
			[]string{"192.0.2.0", "192.0.2.255"},
			[]string{"192.0.3.0", "127.0.0.1", "::1", "10.0.0.1"},
		},
		{
			"refuse wins over allow",
			AccessOptions{Allow: prefixes("192.0.2.0/24", "2001:db8::/32"), Refuse: prefixes("192.0.2.128/25", "2001:db8:1::/48")},
			[]string{"192.0.2.127", "2001:db8::1"},
			[]string{"192.0.2.128", "192.0.2.255", "2001:db8:1::1"},
		},
		{
			"refuse wins over a longer allow",
			AccessOptions{Allow: prefixes("192.0.2.1/32"), Refuse: prefixes("192.0.2.0/24")},
			nil,
			[]string{"192.0.2.1"},
		},
		{
			"refuse narrows the default",
			AccessOptions{Refuse: prefixes("10.1.0.0/16")},
			[]string{"10.0.0.1", "10.2.0.1"},
			[]string{"10.1.0.1"},
		},
		{
			"an empty list serves nobody",
			AccessOptions{Allow: []netip.Prefix{}},
			nil,
			[]string{"127.0.0.1", "::1"},
		},
		{
			"RFC 4291 section 2.5.5.2: an IPv4-mapped client is the IPv4 client",
			AccessOptions{Allow: prefixes("192.0.2.0/24")},
			[]string{"::ffff:192.0.2.1"},
			[]string{"::ffff:198.51.100.1"},
		},
		{
			"an IPv4-mapped client is refused like the IPv4 client",
			AccessOptions{Allow: prefixes("0.0.0.0/0", "::/0"), Refuse: prefixes("192.0.2.1/32")},
			[]string{"192.0.2.2", "2001:db8::1"},
			[]string{"192.0.2.1", "::ffff:192.0.2.1"},
		},
		{
			"a mapped prefix stands for the IPv4 prefix",
			AccessOptions{Allow: prefixes("::ffff:192.0.2.0/120")},
			[]string{"192.0.2.1", "::ffff:192.0.2.1"},
			[]string{"192.0.3.1"},
		},
		{
			"everybody of IPv6 is not everybody of IPv4",
			AccessOptions{Allow: prefixes("::/0")},
			[]string{"2001:db8::1"},
			[]string{"192.0.2.1", "::ffff:192.0.2.1"},
		},
		{
			"RFC 4007 section 11: a zone identifier is no part of the address",
			AccessOptions{Allow: prefixes("fe80::/10")},
			[]string{"fe80::1%lo"},
			nil,
		},
		{
			"bits of the address behind the prefix do not count",
			AccessOptions{Allow: prefixes("192.0.2.77/24")},
			[]string{"192.0.2.1"},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAccess(t, c.options)
			for _, addr := range c.served {
				if !admitted(a, addr) {
					t.Errorf("%s: not served", addr)
				}
			}
			for _, addr := range c.refused {
				if admitted(a, addr) {
					t.Errorf("%s: served", addr)
				}
			}
		})
	}
}

func TestNoAddressIsNotServed(t *testing.T) {
	a := newAccess(t, AccessOptions{Allow: prefixes("0.0.0.0/0", "::/0")})
	if _, ok := a.Admit(netip.Addr{}, time.Time{}); ok {
		t.Error("the zero address is served")
	}
}

func TestEverybodyHasTheSameView(t *testing.T) {
	if view, ok := newAccess(t, AccessOptions{}).Admit(netip.MustParseAddr("::1"), time.Time{}); view != 0 || !ok {
		t.Errorf("got view %d, %v", view, ok)
	}
}

func TestInvalidPrefixIsAnError(t *testing.T) {
	for name, o := range map[string]AccessOptions{
		"invalid in allow":                           {Allow: []netip.Prefix{{}}},
		"invalid in refuse":                          {Refuse: []netip.Prefix{{}}},
		"mapped and other addresses in one":          {Refuse: prefixes("::ffff:0:0/95")},
		"an invalid one behind a valid one in allow": {Allow: append(prefixes("::1/128"), netip.Prefix{})},
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := NewAccess(o); !errors.Is(err, ErrPrefix) || a != nil {
				t.Errorf("got %v, %v", a, err)
			}
		})
	}
}

func TestAdmitDoesNotAllocate(t *testing.T) {
	a := newAccess(t, AccessOptions{Refuse: prefixes("10.1.0.0/16")})
	for name, text := range map[string]string{
		"IPv4": "10.0.0.1", "refused": "10.1.0.1", "unknown": "192.0.2.1", "IPv6": "fd00::1", "mapped": "::ffff:10.0.0.1", "zone": "fe80::1%lo",
	} {
		addr := netip.MustParseAddr(text)
		if n := testing.AllocsPerRun(100, func() { a.Admit(addr, time.Time{}) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestAdmitConcurrently(t *testing.T) {
	a := newAccess(t, AccessOptions{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 1000 {
				if !admitted(a, "10.0.0.1") || admitted(a, "192.0.2.1") {
					t.Error("wrong verdict")
					return
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkAdmit(b *testing.B) {
	a := newAccess(b, AccessOptions{})
	addr := netip.MustParseAddr("192.168.1.1")
	b.ReportAllocs()
	var view wire.View
	for b.Loop() {
		view, _ = a.Admit(addr, time.Time{})
	}
	_ = view
}
