package cache

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"tacit/internal/wire"
)

// Delegations remembers zone cuts. A delegation is a lease that the parent grants: what the child says about itself
// has no way in here, so it cannot outlive the parent's will (ghost domains: CVE-2012-1033, CVE-2022-30698).
//
// A record is a grant; the zone's name, which is the key; and for each server its name, how many addresses it has, and each
// address behind its length. To make a Delegation of the thirteen servers of a top-level domain takes 2 us, as their names
// are interned; so those that were granted last are kept, too, and apart from them those that were asked for again later: else
// the many that are asked for once would take the places of the few that all questions go through.
type Delegations struct {
	entries    *store
	granted    slots
	again      slots
	serial     atomic.Uint64
	maxTTL     time.Duration
	generation *generation
}

// Slots keep what was made of records, by the end of their serial numbers. The few records that are large share a part of them.
type slots [4096]atomic.Pointer[made]

// slotsOfLarge bounds those with more than smallServers servers or smallAddresses addresses. The others are of some 2 KiB at most with
// their names, so slots hold some 10 MiB at most; for most zones it is a quarter of that.
const (
	slotsOfLarge   = 256
	smallServers   = 4
	smallAddresses = 8
)

type made struct {
	serial     uint64
	delegation Delegation
}

func (s *slots) of(g *grant) *atomic.Pointer[made] {
	if g.servers() > smallServers || g.addresses() > smallAddresses {
		return &s[g.serial()%slotsOfLarge]
	}
	return &s[g.serial()%uint64(len(s))]
}

func (s *slots) get(g *grant) *made {
	if m := s.of(g).Load(); m != nil && m.serial == g.serial() {
		return m
	}
	return nil
}

func (s *slots) put(g *grant, d Delegation) { s.of(g).Store(&made{g.serial(), d}) }

func (s *slots) clear() {
	for i := range s {
		s[i].Store(nil)
	}
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
	return &Delegations{entries: newStore(size, grantLength), maxTTL: o.MaxTTL, generation: g}
}

// Deepest returns the deepest delegation at or above name whose lease has not run out.
func (d *Delegations) Deepest(name wire.Name, now time.Time) (Delegation, bool) {
	var buf [wire.MaxNameLength]byte
	for zone := name.Append(buf[:0]); ; zone = zone[1+zone[0]:] {
		found, ok := d.at(zone, instantOf(now))
		if ok || zone[0] == 0 {
			return found, ok
		}
	}
}

func (d *Delegations) at(zone []byte, now instant) (Delegation, bool) {
	shard, hash := d.entries.locate(zone)
	shard.Lock()
	defer shard.Unlock()
	var held reader
	ok := shard.get(hash, zone, &held) && now < grantOf(&held).lease()
	if ok || zone[0] == 0 { // that a name is no zone cut is no miss
		shard.tally(ok)
	}
	if !ok {
		return Delegation{}, false
	}
	g := grantOf(&held)
	if m := d.granted.get(g); m != nil {
		return m.delegation, true
	}
	if m := d.again.get(g); m != nil {
		return m.delegation, true
	}
	found := readDelegation(zone, &held)
	d.again.put(g, found)
	return found, true
}

// A grant is the fixed octets of a record.
type grant [headOctets]byte

const grantLength = 20

func grantOf(r *reader) *grant { return (*grant)(&r.head.octets) }

func (g *grant) lease() instant    { return instant(binary.LittleEndian.Uint64(g[0:])) }
func (g *grant) serial() uint64    { return binary.LittleEndian.Uint64(g[8:]) } // of no other record
func (g *grant) partition() uint16 { return binary.LittleEndian.Uint16(g[16:]) }
func (g *grant) servers() int      { return int(g[18]) } // how many
func (g *grant) addresses() int    { return int(g[19]) } // how many, of all servers

// append appends the record of a delegation within its limits. An address has no zone: DNS knows none.
func (d *Delegation) append(dst []byte, serial uint64) []byte {
	var g grant
	binary.LittleEndian.PutUint64(g[0:], uint64(instantOf(d.Lease)))
	binary.LittleEndian.PutUint64(g[8:], serial)
	binary.LittleEndian.PutUint16(g[16:], d.Partition)
	g[18] = byte(len(d.Servers))
	for i := range d.Servers {
		g[19] += byte(len(d.Servers[i].Addresses))
	}
	dst = d.Zone.Append(append(dst, g[:grantLength]...))
	for i := range d.Servers {
		s := &d.Servers[i]
		dst = append(s.Name.Append(dst), byte(len(s.Addresses)))
		for _, a := range s.Addresses {
			octets := a.AsSlice()
			dst = append(append(dst, byte(len(octets))), octets...)
		}
	}
	return dst
}

// readDelegation reads a delegation: one piece of memory for the servers, one for all addresses.
func readDelegation(zone []byte, held *reader) Delegation {
	g := grantOf(held)
	d := Delegation{Lease: g.lease().time(), Partition: g.partition()}
	d.Zone, _ = wire.NameFromWire(zone)
	if g.servers() > 0 {
		d.Servers = make([]NameServer, g.servers())
	}
	addresses := make([]netip.Addr, 0, g.addresses())
	var buf [wire.MaxNameLength]byte
	for i := range d.Servers {
		s := &d.Servers[i]
		s.Name, _ = wire.NameFromWire(held.name(buf[:0]))
		first := len(addresses)
		for range *held.octet() {
			octets := buf[:*held.octet()]
			held.read(octets)
			a, _ := netip.AddrFromSlice(octets)
			addresses = append(addresses, a)
		}
		if end := len(addresses); end > first {
			s.Addresses = addresses[first:end:end]
		}
	}
	return d
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
	var buf [1024]byte
	serial := d.serial.Add(1)
	record := n.append(buf[:0], serial)
	key := record[grantLength:][:n.Zone.Len()]
	shard, hash := d.entries.locate(key)
	shard.Lock()
	defer shard.Unlock()
	if !d.generation.is(generation) || !shard.put(hash, key, record, false) {
		return n, false
	}
	var g grant
	copy(g[:grantLength], record)
	d.granted.put(&g, n) // its servers are about to be asked
	return n, true
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
		if a.IsValid() && len(kept) < maxAddressesOfServer && !slices.Contains(kept, a) {
			kept = append(kept, a)
		}
	}
	return kept
}

func (d *Delegations) flush(s scope) {
	d.entries.removeIf(func(held *reader) bool {
		var buf [wire.MaxNameLength]byte
		return s.has(held.name(buf[:0]))
	})
	d.granted.clear() // nobody can make one again of what has gone
	d.again.clear()
}

func (d *Delegations) stats() Count { return d.entries.stats() }
