// Package cache remembers what was learned from other servers: finished answers, RRsets and what does not exist, the
// NSEC and NSEC3 records of signed zones, delegations, and recent failures. All of it is bounded, and the large parts in
// bytes. The package asks nobody, starts no goroutine and reads no clock: the time is an argument. Nothing here says who
// asked.
//
// Answers, RRsets and delegations are octets in memory from the system, which the garbage collector does not see, no core dump
// has, and a flush wipes and gives back; what is given to callers is copied out.
//
// Limitations: a flush wipes the octets that the cache holds; names that were made of them for a caller go with the garbage
// collector. Outside Linux the memory is the runtime's, and in its core dumps. Nothing is written to disk.
package cache

import (
	"math"
	"sync/atomic"
	"time"

	"tacit/internal/wire"
)

// A Cache is all that a resolver remembers. It is safe for concurrent use.
type Cache struct {
	Packets     *Packets
	RRsets      *RRsets
	Denials     *Denials
	Delegations *Delegations
	Failures    *Failures

	generation *generation
}

// Options say how much is remembered, and for how long. Each field's zero value is its default.
type Options struct {
	// Size is the memory for all parts but the failures, in bytes. 0: 256 MiB.
	Size int64
	// PacketSize is the part of Size that finished answers get, in bytes. 0: half of Size.
	PacketSize int64
	// PacketsOff remembers no finished answers: every question takes the whole path.
	PacketsOff bool

	// MinTTL and MaxTTL bound the time that an RRset is kept. MaxTTL 0: 24 hours.
	MinTTL, MaxTTL time.Duration
	// MaxNegativeTTL bounds the time that the absence of a name or of a type is kept. 0: one hour.
	MaxNegativeTTL time.Duration
	// MaxStale is how long an expired RRset may still be given when no server answers (RFC 8767). 0: 24 hours.
	MaxStale time.Duration
	// NoPrefetch reports nothing as due for a refresh before it expires.
	NoPrefetch bool
	// BlurTTLs shows TTLs that do not tell when somebody else asked.
	BlurTTLs bool

	// Failures is the number of failures remembered. 0: 10,000.
	Failures int
}

const (
	defaultSize           = 256 << 20
	defaultMaxTTL         = 24 * time.Hour
	defaultMaxNegativeTTL = time.Hour
	defaultMaxStale       = 24 * time.Hour
	defaultFailures       = 10_000
	delegationShare       = 16 // the delegations get one part in so many
)

// New returns an empty Cache.
func New(o Options) *Cache {
	o.setDefaults()
	g := &generation{}
	g.raise() // so that a caller who forgot to read the generation is refused from the start
	c := &Cache{generation: g, Failures: newFailures(o.Failures, g)}
	left := o.Size
	if o.PacketsOff {
		c.Packets = newPackets(0, o, g)
	} else {
		c.Packets = newPackets(o.PacketSize, o, g)
		left -= o.PacketSize
	}
	c.Delegations = newDelegations(o.Size/delegationShare, o, g)
	c.Denials = newDenials(o.Size/denialShare, o, g)
	c.RRsets = newRRsets(left-o.Size/delegationShare-o.Size/denialShare, o, g)
	return c
}

func (o *Options) setDefaults() {
	if o.Size <= 0 {
		o.Size = defaultSize
	}
	if o.PacketSize <= 0 {
		o.PacketSize = o.Size / 2
	}
	o.PacketSize = min(o.PacketSize, o.Size/4*3) // the RRsets behind the packets need room, too
	if o.MaxTTL <= 0 {
		o.MaxTTL = defaultMaxTTL
	}
	if o.MaxNegativeTTL <= 0 {
		o.MaxNegativeTTL = defaultMaxNegativeTTL
	}
	if o.MaxStale <= 0 {
		o.MaxStale = defaultMaxStale
	}
	if o.Failures <= 0 {
		o.Failures = defaultFailures
	}
}

// A generation is a number that each flush raises. A resolution reads it when it starts, and what it then wants to have
// remembered is refused when the number is another one by that time. Who puts compares it under the lock of the place
// that it writes to, and who flushes raises it before taking that lock: so either the one sees the new number or the
// other sees what was written.
type generation struct{ number atomic.Uint64 }

func (g *generation) current() uint64       { return g.number.Load() }
func (g *generation) raise()                { g.number.Add(1) }
func (g *generation) is(number uint64) bool { return g.number.Load() == number }

// Generation returns the number to be handed to the Put functions by a resolution that starts now.
func (c *Cache) Generation() uint64 { return c.generation.current() }

// Renew forgets all finished answers, and refuses what the resolutions now running will put: the configuration has
// changed, and with it what may be said. RRsets, delegations and failures stay.
func (c *Cache) Renew() {
	c.generation.raise()
	c.Packets.flush()
}

// Flush forgets what is known of name: its RRsets, the delegation and the failures at it, each NXDOMAIN above it that
// denies it (RFC 8020), and the NSEC and NSEC3 records of the zones above it, which may. Finished answers are forgotten
// altogether, because any of them may have come by an alias through the name. When Flush returns, nothing learned
// before is given for the name, nor put back by a resolution in flight.
func (c *Cache) Flush(name wire.Name) { c.flush(name, false) }

// FlushSubtree does what Flush does for name and all names below it.
func (c *Cache) FlushSubtree(name wire.Name) { c.flush(name, true) }

// FlushAll forgets everything.
func (c *Cache) FlushAll() { c.FlushSubtree(wire.Root) }

func (c *Cache) flush(name wire.Name, subtree bool) {
	c.generation.raise()
	s := scope{name.Append(nil), subtree}
	c.Packets.flush()
	c.RRsets.flush(s)
	c.Denials.flush(s.covers, name)
	c.Delegations.flush(s)
	c.Failures.flush(s.covers)
}

// Stats are counts for the operator.
type Stats struct{ Packets, RRsets, Denials, Delegations, Failures Count }

// A Count tells how full one part of the cache is, and what use it was.
type Count struct {
	Entries   int
	Bytes     int64 // 0 for the failures, which are bounded in number
	Capacity  int64 // in bytes; for the failures, in entries
	Hits      uint64
	Misses    uint64
	Evictions uint64 // for want of room
}

// Stats counts.
func (c *Cache) Stats() Stats {
	return Stats{
		Packets: c.Packets.stats(), RRsets: c.RRsets.stats(), Denials: c.Denials.stats(),
		Delegations: c.Delegations.stats(), Failures: c.Failures.stats(),
	}
}

// An instant is a time in nanoseconds since 1970: a third of a time.Time, and no pointer. 0 is none.
type instant int64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.UnixNano())
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(i))
}

func (i instant) add(d time.Duration) instant { return i + instant(d) }

// earliest returns the earlier of two instants, of which limit may be none.
func earliest(i, limit instant) instant {
	if limit != 0 && limit < i {
		return limit
	}
	return i
}

// secondsAfter returns the seconds from start to i, begun ones included, 0 if i is before start: clocks are set
// back at times.
func (i instant) secondsAfter(start instant) uint32 {
	const second = instant(time.Second)
	return uint32(min((max(0, i-start)+second-1)/second, math.MaxUint32))
}

// elapsed returns the whole seconds from i to now, 0 if now is before i.
func (i instant) elapsed(now instant) uint32 {
	return uint32(min(max(0, now-i)/instant(time.Second), math.MaxUint32))
}

// Prefetch happens in the last tenth of a life that is long enough to have one.
const (
	minPrefetchLife = 10 * time.Second
	prefetchPart    = 10
)

// RefreshAt returns when what was learned at stored is worth a refresh, the zero Time when it does not live long enough.
func RefreshAt(stored, expires time.Time) time.Time {
	return refreshAt(instantOf(stored), instantOf(expires)).time()
}

func refreshAt(stored, expires instant) instant {
	life := expires - stored
	if life < instant(minPrefetchLife) {
		return 0
	}
	return expires - life/prefetchPart
}
