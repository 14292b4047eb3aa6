package resolver

import (
	"tacit/internal/wire"
	"tacit/upstream"
)

// Routes are the cuts that the configuration names: stub and forward zones.
type routes map[wire.Name]cut

// newRoutes gives each zone a partition of the cache, so that what its servers say of other zones is believed of their
// own only (MaginotDNS, CVE-2021-25220), and no public denial hides it.
func newRoutes(o *Options) routes {
	r := routes{}
	for i, stub := range o.Stubs {
		r[stub.Zone] = cut{zone: stub.Zone, configured: stub.Servers, partition: uint16(i + 1)}
	}
	for i, f := range o.Forwards {
		servers := make([]upstream.Server, len(f.Servers))
		for j, s := range f.Servers {
			s.Recursive = true
			servers[j] = s
		}
		r[f.Zone] = cut{zone: f.Zone, configured: servers, forward: true, first: f.First, partition: uint16(len(o.Stubs) + i + 1)}
	}
	return r
}

// deepest returns the configured cut with the longest zone at or above name.
func (r routes) deepest(name wire.Name) (cut, bool) {
	if len(r) == 0 {
		return cut{}, false
	}
	for {
		if c, ok := r[name]; ok || name.IsRoot() {
			return c, ok
		}
		name = name.Parent()
	}
}

// partition returns the part of the cache that knows about a question.
func (r routes) partition(name wire.Name, kind wire.Type) uint16 {
	if kind == wire.TypeDS {
		name = name.Parent()
	}
	c, _ := r.deepest(name)
	return c.partition
}
