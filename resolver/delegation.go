package resolver

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"tacit/cache"
	"tacit/internal/wire"
	"tacit/upstream"
)

// A cut is a zone and whom to ask about it: the servers that its parent delegated it to, or those that the
// configuration names.
type cut struct {
	zone  wire.Name
	lease time.Time // when the parent's word runs out, and all that is learned below it; zero: never

	servers    []cache.NameServer // of a delegation
	configured []upstream.Server  // of a stub or forward zone
	forward    bool               // the servers recurse
	first      bool               // iteration takes over when the forwarders fail
	partition  uint16
}

// startingCut returns the deepest cut known at or above name: by configuration, by delegation, or the root's. The DS
// RRset of a zone lies on the parent's side of its cut (RFC 4035 section 3.1.4.1).
func (s *resolution) startingCut(ctx context.Context, name wire.Name, kind wire.Type) (cut, error) {
	if kind == wire.TypeDS {
		name = name.Parent()
	}
	now := s.now()
	if c, ok := s.localCut(name, now); ok {
		if d, known := s.cache.Delegations.Deepest(name, now); known && d.Partition == localPartition && d.Zone.Below(c.zone) {
			return cut{zone: d.Zone, lease: d.Lease, servers: d.Servers, partition: d.Partition}, nil
		}
		return c, nil
	}
	configured, routed := s.routes.deepest(name)
	if routed && configured.forward && s.pastForwarders {
		routed = false
	}
	if routed && configured.forward {
		return configured, nil
	}
	d, known := s.cache.Delegations.Deepest(name, now)
	switch {
	case routed && (!known || configured.zone.Labels() >= d.Zone.Labels()):
		return configured, nil
	case known && d.Zone.IsRoot(): // its lease says when to prime again; nobody has granted it
		return cut{zone: d.Zone, servers: d.Servers}, nil
	case known:
		return cut{zone: d.Zone, lease: d.Lease, servers: d.Servers, partition: d.Partition}, nil
	default:
		return s.prime(ctx)
	}
}

// descend takes a referral down from c to the cut that it names, and remembers it for as long as the parent grants.
func (s *resolution) descend(ctx context.Context, c *cut, j *judgement) cut {
	now := s.now()
	parent := cache.Delegation{Zone: c.zone, Lease: c.lease}
	if parent.Lease.IsZero() { // what the configuration says has no end
		parent.Lease = now.Add(forever)
	}
	s.keepDS(c, j, now)
	child := cache.Delegation{Zone: j.cut, Servers: s.reachable(j.servers), Partition: c.partition}
	child, _ = s.cache.Delegations.Put(child, parent, j.ttl, now, s.generation)
	if j.ds != nil {
		s.sendForKeys(ctx, child.Zone)
	}
	return cut{zone: child.Zone, lease: child.Lease, servers: child.Servers, partition: child.Partition}
}

// keepDS remembers what a referral says of the child's DS RRset, for when the validator asks. It ranks too low to be an
// answer.
func (s *resolution) keepDS(c *cut, j *judgement, now time.Time) {
	e := cache.Entry{Kind: cache.NoData, Rank: cache.Authority, Cut: c.zone, Lease: c.lease, Proof: j.proof}
	if j.ds != nil {
		e.Kind, e.Set, e.Proof = cache.Positive, *j.ds, nil
	}
	if s.validator != nil && (j.ds != nil || len(j.proof) > 0) {
		s.put(c, j.cut, wire.TypeDS, &e, now)
	}
}

const forever = 365 * 24 * time.Hour

// reachable drops addresses that no public name server has (RFC 6890): a referral must not make tacit talk to the
// operator's own network or to itself.
func (s *resolution) reachable(servers []cache.NameServer) []cache.NameServer {
	if s.allowSpecial {
		return servers
	}
	for i := range servers {
		servers[i].Addresses = publicOnly(servers[i].Addresses)
	}
	return servers
}

func publicOnly(addresses []netip.Addr) []netip.Addr {
	var public []netip.Addr
	for _, a := range addresses {
		if isPublic(a) {
			public = append(public, a)
		}
	}
	return public
}

func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) })
}

// special are the blocks of the IANA special-purpose registries that packages net and netip do not know, and in which a
// name server may stand near the operator or nowhere. Documentation addresses do no harm.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
}
