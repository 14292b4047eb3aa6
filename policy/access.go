package policy

import (
	"errors"
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"tacit/internal/wire"
)

// Access decides which clients are served. It does not change once made and is safe for concurrent use.
type Access struct {
	allow, refuse bart.Lite
}

// AccessOptions say who is served.
type AccessOptions struct {
	// Allow lists the clients that are served; others get REFUSED. Nil: loopback, private and link-local addresses.
	// An empty list that is not nil serves nobody.
	Allow []netip.Prefix
	// Refuse lists clients that are not served, whatever Allow says.
	Refuse []netip.Prefix
}

// defaultAllow holds the addresses that are not routed on the Internet, so that a resolver started without thought
// is not an open one. The shared space of RFC 6598 (100.64.0.0/10) is not among them: behind it are a provider's
// other customers.
var defaultAllow = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),    // RFC 1122 section 3.2.1.3
	netip.MustParsePrefix("::1/128"),        // RFC 4291 section 2.5.3
	netip.MustParsePrefix("10.0.0.0/8"),     // RFC 1918 section 3
	netip.MustParsePrefix("172.16.0.0/12"),  // RFC 1918 section 3
	netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918 section 3
	netip.MustParsePrefix("fc00::/7"),       // RFC 4193 section 3.1
	netip.MustParsePrefix("169.254.0.0/16"), // RFC 3927 section 2.1
	netip.MustParsePrefix("fe80::/10"),      // RFC 4291 section 2.5.6
}

// ErrPrefix is returned for a prefix that is none: leaving it out could serve somebody who was to be refused.
var ErrPrefix = errors.New("access list holds an invalid prefix")

// NewAccess makes the list that options describe.
func NewAccess(options AccessOptions) (*Access, error) {
	allow := options.Allow
	if allow == nil {
		allow = defaultAllow
	}
	a := new(Access)
	if err := insert(&a.allow, allow); err != nil {
		return nil, err
	}
	if err := insert(&a.refuse, options.Refuse); err != nil {
		return nil, err
	}
	return a, nil
}

// Admit reports whether the client at addr is served, and as whom. It does not allocate.
func (a *Access) Admit(addr netip.Addr, _ time.Time) (view wire.View, ok bool) {
	addr = addr.Unmap().WithZone("")
	return 0, addr.IsValid() && a.allow.Contains(addr) && !a.refuse.Contains(addr)
}

func insert(list *bart.Lite, prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		p, ok := unmap(p)
		if !ok {
			return ErrPrefix
		}
		list.Insert(p)
	}
	return nil
}

// unmap turns a prefix of IPv4-mapped addresses into the IPv4 prefix that it stands for: clients are compared
// unmapped. A prefix that holds mapped and other addresses is refused rather than understood by half.
func unmap(p netip.Prefix) (netip.Prefix, bool) {
	const mapped = 96 // bits before the IPv4 address (RFC 4291 section 2.5.5.2)
	switch {
	case !p.IsValid():
		return p, false
	case !p.Addr().Is4In6():
		return p, true
	case p.Bits() < mapped:
		return p, false
	default:
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped), true
	}
}
