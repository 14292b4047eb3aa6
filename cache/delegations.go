package cache

import (
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"tacit/internal/wire"
)

// Delegations remembers zone cuts. A delegation is a lease that the parent grants: what the child says about itself
// has no way in here, so it cannot outlive the parent's will (ghost domains: CVE-2012-1033, CVE-2022-30698).
type Delegations struct {
	entries    *store[wire.Name, Delegation]
	maxTTL     time.Duration
	generation *generation
}

// A Delegation says which servers a zone was handed to, and until when. Servers is shared: read it only.
type Delegation struct {
	Zone    wire.Name
	Servers []NameServer
	Lease   time.Time
	// Partition is the one that what these servers say belongs to (Key). It is kept, not searched.
	Partition uint16
}

// A NameServer is a server's name and its glue.
type NameServer struct {
	Name      wire.Name
	Addresses []netip.Addr
}

// Limits of one delegation (NXNSAttack, CVE-2026-3592).
const (
	maxServerNames       = 20 // of the NS RRset, before anything else
	maxServers           = 13 // kept of those
	maxAddressesOfServer = 6
)

func newDelegations(size int64, o Options, g *generation) *Delegations {
	// Resolutions share the servers, so there is nothing that could be wiped under their hands.
	entries := newStore[wire.Name](size, func(*Delegation) {})
	return &Delegations{entries: entries, maxTTL: o.MaxTTL, generation: g}
}

func (d *Delegation) weight() int {
	size := len(d.Servers) * int(unsafe.Sizeof(NameServer{}))
	for _, s := range d.Servers {
		size += len(s.Addresses) * int(unsafe.Sizeof(netip.Addr{}))
	}
	return size
}

// Deepest returns the deepest delegation at or above name whose lease has not run out.
func (d *Delegations) Deepest(name wire.Name, now time.Time) (Delegation, bool) {
	for {
		found, ok := d.at(name, now)
		if ok || name.IsRoot() {
			return found, ok
		}
		name = name.Parent()
	}
}

func (d *Delegations) at(zone wire.Name, now time.Time) (Delegation, bool) {
	shard, hash := d.entries.locate(zone)
	shard.Lock()
	defer shard.Unlock()
	e := shard.get(hash, zone)
	ok := e != nil && now.Before(e.Lease)
	if ok || zone.IsRoot() { // that a name is no zone cut is no miss
		shard.tally(ok)
	}
	if !ok {
		return Delegation{}, false
	}
	return *e, true
}

// Put remembers the delegation that the servers of parent granted in a referral, whose NS RRset had the given TTL, and
// returns it with its limits applied and its lease set, even when it is refused. The lease ends with the TTL and
// no later than the parent's own; a new referral from the parent renews it. Refused are zones that are not below
// parent.Zone, and parents whose lease has run out. Only the root, found by priming (RFC 9609), has no parent:
// parent is the zero Delegation then. As nobody can take the root back, its lease, which says when to prime again,
// does not bound those below it; nor does a zero lease, of servers that the operator has configured.
func (d *Delegations) Put(n Delegation, parent Delegation, ttl uint32, now time.Time, generation uint64) (Delegation, bool) {
	n.Servers = limitServers(n.Servers)
	n.Lease = now.Add(min(time.Duration(ttl)*time.Second, d.maxTTL))
	if !parent.Zone.IsRoot() && !parent.Lease.IsZero() && parent.Lease.Before(n.Lease) {
		n.Lease = parent.Lease
	}
	primed := n.Zone.IsRoot() && parent.Zone.IsRoot()
	if granted := primed || n.Zone.Below(parent.Zone); !granted || !now.Before(n.Lease) {
		return n, false
	}
	shard, hash := d.entries.locate(n.Zone)
	shard.Lock()
	defer shard.Unlock()
	return n, d.generation.is(generation) && shard.put(hash, n.Zone, n, n.weight(), false)
}

// limitServers returns a copy of servers within the limits: each name and address once, and of the names those first that
// come with addresses, because they cost no look-up.
func limitServers(servers []NameServer) []NameServer {
	var kept []NameServer
	for _, s := range servers {
		i := slices.IndexFunc(kept, func(k NameServer) bool { return k.Name == s.Name })
		if i < 0 {
			if len(kept) == maxServerNames {
				continue
			}
			kept, i = append(kept, NameServer{Name: s.Name}), len(kept)
		}
		kept[i].Addresses = addAddresses(kept[i].Addresses, s.Addresses)
	}
	slices.SortStableFunc(kept, func(a, b NameServer) int { return min(1, len(b.Addresses)) - min(1, len(a.Addresses)) })
	return slices.Clip(kept[:min(len(kept), maxServers)])
}

func addAddresses(kept, more []netip.Addr) []netip.Addr {
	for _, a := range more {
		if len(kept) < maxAddressesOfServer && !slices.Contains(kept, a) {
			kept = append(kept, a)
		}
	}
	return kept
}

func (d *Delegations) flush(covers func(wire.Name) bool) {
	d.entries.removeIf(func(zone *wire.Name, _ *Delegation) bool { return covers(*zone) })
}

func (d *Delegations) stats() Count { return d.entries.stats() }
