package dnssec

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Anchors are the trust anchors, and follow the keys of their zones as RFC 5011 asks. They believe nothing that a
// trusted key has not signed, and keep what they know in memory; AppendState and ReadState carry it over a restart.
// They are safe for concurrent use: readers see one state or the next.
//
// Two cases the RFC leaves open. Time that the clock is set back counts for nothing: a hold-down ends when the clock shows
// the moment that was fixed when it began. A key whose algorithm is not supported is never added.
type Anchors struct {
	static bool
	sha1   bool

	mu     sync.Mutex // of those who change points
	points atomic.Pointer[map[wire.Name]*point]
}

// AnchorOptions say what Anchors start from.
type AnchorOptions struct {
	// Trusted are the configured trust anchors. Empty: those of the root, built in.
	Trusted []TrustAnchor
	// State is what was known when tacit ended. What it says of zones that share no key with Trusted is dropped.
	State State
	// Static keeps to Trusted, whatever the zones publish.
	Static bool
	// VerifySHA1 lets anchors of algorithms 5 and 7, and digests of type 1, count (RFC 9905).
	VerifySHA1 bool
}

var _ Anchored = (*Anchors)(nil)

// NewAnchors returns Anchors.
func NewAnchors(o AnchorOptions) *Anchors {
	trusted := o.Trusted
	if len(trusted) == 0 {
		trusted = RootAnchors()
	}
	a := &Anchors{static: o.Static, sha1: o.VerifySHA1}
	points := map[wire.Name]*point{}
	for _, t := range trusted {
		p := points[t.Zone]
		if p == nil {
			p = &point{zone: t.Zone}
			points[t.Zone] = p
		}
		p.configure(t)
	}
	if !o.Static {
		for zone, p := range points {
			p.restore(o.State.anchors[zone])
		}
	}
	a.points.Store(&points)
	return a
}

func (a *Anchors) point(zone wire.Name) *point { return (*a.points.Load())[zone] }

// At reports whether there is a trust anchor for zone that signatures can be checked with. When all keys of a zone have
// been revoked it is as if it had never had an anchor (RFC 5011 section 5).
func (a *Anchors) At(zone wire.Name) bool {
	p := a.point(zone)
	return p != nil && slices.ContainsFunc(p.anchors, func(n anchor) bool { return n.state.isTrusted() && a.isUsable(&n) })
}

// Trusts reports whether k is a trust anchor of zone.
func (a *Anchors) Trusts(zone wire.Name, k *Key) bool {
	p := a.point(zone)
	return p != nil && slices.ContainsFunc(p.anchors, func(n anchor) bool {
		return n.state.isTrusted() && a.isUsable(&n) && n.is(zone, k)
	})
}

func (a *Anchors) isUsable(n *anchor) bool {
	algorithm, digest := n.algorithm(), n.digestType()
	return SupportedAlgorithm(algorithm) && (a.sha1 || !UsesSHA1(algorithm)) &&
		(digest == 0 || SupportedDigest(digest) && (a.sha1 || digest != digestSHA1))
}

// Due returns the zones whose DNSKEY RRset is to be asked for now, so that no change is missed (RFC 5011 section 2.3).
func (a *Anchors) Due(now time.Time) []wire.Name {
	var zones []wire.Name
	if a.static {
		return nil
	}
	for zone, p := range *a.points.Load() {
		if p.isTrusted() && p.isDue(now) {
			zones = append(zones, zone)
		}
	}
	slices.SortFunc(zones, wire.Name.Compare)
	return zones
}

// Missed is told that the DNSKEY RRset of zone could not be had, or not be believed. It will be due again sooner than after
// an Observe that could.
func (a *Anchors) Missed(now time.Time, zone wire.Name) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.point(zone); p != nil {
		a.missed(now, p)
	}
}

func (a *Anchors) missed(now time.Time, p *point) {
	if p.isDue(now) {
		missed := *p
		missed.observed, missed.next = now, now.Add(max(p.retry, minRefresh))
		a.replace(&missed)
	}
}

// Observe is shown the DNSKEY RRset of a zone as it was received; it need not have been validated, and a revocation of the
// last key never could. What follows for the trust anchors follows at once, and is returned. Of RRsets of zones
// without an anchor, and when the budget ends, nothing follows.
func (a *Anchors) Observe(now time.Time, w *work.Budget, set *wire.RRset) []Change {
	if a.static || set.Type != wire.TypeDNSKEY || a.point(set.Name) == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.point(set.Name)
	after := before.clone()
	seen, err := look(now, w, after, set)
	if err != nil || !after.follow(now, seen) {
		a.missed(now, before)
		return nil
	}
	changes := before.changes(after)
	a.replace(after)
	return changes
}

func (a *Anchors) replace(p *point) {
	points := maps.Clone(*a.points.Load())
	points[p.zone] = p
	a.points.Store(&points)
}

// A Change is a step of one key through the states of RFC 5011.
type Change struct {
	Zone      wire.Name
	Tag       uint16
	Algorithm uint8
	From, To  KeyState
	// Last is set when it leaves the zone without a trust anchor. The zone and all below it are then as a trust anchor
	// above says, or not validated at all (RFC 5011 section 5).
	Last bool
}

// An AnchorStatus is what an operator is shown of a key.
type AnchorStatus struct {
	Zone       wire.Name
	Tag        uint16
	Algorithm  uint8
	State      KeyState
	Since      time.Time // zero: since it was configured
	Until      time.Time // of AddPend and Revoked: when the hold-down ends; zero: it has not begun
	Configured bool      // by the operator; otherwise learnt from the zone
}

// List returns all keys that are known, zone by zone.
func (a *Anchors) List() []AnchorStatus {
	var list []AnchorStatus
	for _, p := range a.sorted() {
		for i := range p.anchors {
			n := &p.anchors[i]
			list = append(list, AnchorStatus{
				Zone: p.zone, Tag: n.tag(), Algorithm: n.algorithm(),
				State: n.state, Since: n.since, Until: n.until, Configured: n.configured,
			})
		}
	}
	return list
}

func (a *Anchors) sorted() []*point {
	return slices.SortedFunc(maps.Values(*a.points.Load()), func(x, y *point) int { return x.zone.Compare(y.zone) })
}

// A KeyState is a state of RFC 5011 section 4.2.
type KeyState uint8

// States.
const (
	Start   KeyState = iota // not known
	AddPend                 // seen, and not trusted before its hold-down ends
	Valid                   // trusted
	Missing                 // trusted, and not seen last time
	Revoked                 // never trusted again
	Removed                 // ... and gone from the zone; kept, since the configuration may name it still
	keyStates
)

var keyStateNames = [keyStates]string{"start", "pending", "valid", "missing", "revoked", "removed"}

func (s KeyState) String() string { return keyStateNames[s] }

func (s KeyState) isTrusted() bool { return s == Valid || s == Missing }

// A point is a trust point: a zone with the keys that are known of it. Once it is in Anchors it does not change.
type point struct {
	zone    wire.Name
	anchors []anchor

	observed, next time.Time     // when the DNSKEY RRset was looked at, and when it is due
	retry          time.Duration // what Missed waits
}

// An anchor is a key, or the digest of one that has not been seen yet.
type anchor struct {
	record     TrustAnchor // a DNSKEY without the REVOKE bit, or a DS
	state      KeyState
	since      time.Time
	until      time.Time
	configured bool
	signers    []uint16 // of a pending key: the tags of those that vouched for it first
}

func (p *point) clone() *point {
	c := *p
	c.anchors = slices.Clone(p.anchors)
	return &c
}

func (n *anchor) isDigest() bool { return n.record.Type == wire.TypeDS }

func (n *anchor) digestType() uint8 {
	if !n.isDigest() {
		return 0
	}
	return n.record.RDATA[3]
}

func (n *anchor) algorithm() uint8 {
	if n.isDigest() {
		return n.record.RDATA[2]
	}
	return n.record.RDATA[3]
}

func (n *anchor) tag() uint16 {
	if n.isDigest() {
		return uint16(n.record.RDATA[0])<<8 | uint16(n.record.RDATA[1])
	}
	return keyTag([]byte(n.record.RDATA))
}

// is reports whether the anchor stands for k, which is not revoked.
func (n *anchor) is(zone wire.Name, k *Key) bool {
	if !n.isDigest() {
		return n.record.RDATA == string(k.RDATA)
	}
	ds, ok := ParseDS([]byte(n.record.RDATA))
	return ok && ds.Matches(zone, k)
}

// stand returns the position of the anchor that stands for k, or -1.
func (p *point) stand(k *Key) int {
	return slices.IndexFunc(p.anchors, func(n anchor) bool { return n.is(p.zone, k) })
}

// configure adds a configured anchor. A digest of a key that is there already says nothing new.
func (p *point) configure(t TrustAnchor) {
	n := anchor{record: t, state: Valid, configured: true}
	if k, ok := n.key(); ok {
		p.anchors = slices.DeleteFunc(p.anchors, func(other anchor) bool { return other.is(p.zone, &k) })
	} else if slices.ContainsFunc(p.anchors, func(other anchor) bool { return other.matches(p.zone, &n) }) {
		return
	}
	p.anchors = append(p.anchors, n)
}

func (n *anchor) key() (Key, bool) {
	if n.isDigest() {
		return Key{}, false
	}
	return ParseKey([]byte(n.record.RDATA))
}

// matches reports whether two anchors stand for the same key, as far as can be told.
func (n *anchor) matches(zone wire.Name, other *anchor) bool {
	if n.record == other.record {
		return true
	}
	if k, ok := n.key(); ok {
		return other.is(zone, &k)
	}
	k, ok := other.key()
	return ok && n.is(zone, &k)
}

// restore takes over what was known. The configuration wins: a key that it names now is trusted without a hold-down,
// one that it no longer names is not trusted. Only a revocation is for ever. Keys that were learnt are kept as long as
// the configuration still names one of the keys beside which they were known: without one, they belong to another root
// of trust.
func (p *point) restore(saved []anchor) {
	configured := p.anchors
	var kept []anchor
	shared := false
	for _, n := range saved {
		named := slices.ContainsFunc(configured, func(c anchor) bool { return c.matches(p.zone, &n) })
		shared = shared || named
		switch {
		case named && n.state == AddPend:
			n.state, n.since, n.until, n.signers = Valid, time.Time{}, time.Time{}, nil
		case !named && n.configured && n.state.isTrusted():
			continue
		}
		n.configured = named
		kept = append(kept, n)
	}
	if !shared {
		return
	}
	p.anchors = kept
	for _, c := range configured {
		if !slices.ContainsFunc(kept, func(n anchor) bool { return c.matches(p.zone, &n) }) {
			p.anchors = append(p.anchors, c)
		}
	}
	p.dropOrphans()
}

// dropOrphans ends the acceptance of keys when none of those that vouched for them is trusted any more (RFC 5011
// section 2.2). Where only A vouched for B, A may have been compromised when it was revoked.
func (p *point) dropOrphans() {
	p.anchors = slices.DeleteFunc(slices.Clone(p.anchors), func(n anchor) bool {
		return n.state == AddPend && !slices.ContainsFunc(n.signers, p.trustsTag)
	})
}

func (p *point) trustsTag(tag uint16) bool {
	return slices.ContainsFunc(p.anchors, func(n anchor) bool { return n.state.isTrusted() && n.tag() == tag })
}

func (p *point) isTrusted() bool {
	return slices.ContainsFunc(p.anchors, func(n anchor) bool { return n.state.isTrusted() })
}

// changes lists what differs, the keys that are gone first.
func (p *point) changes(after *point) []Change {
	var list []Change
	add := func(n *anchor, from, to KeyState) {
		if from != to {
			list = append(list, Change{Zone: p.zone, Tag: n.tag(), Algorithm: n.algorithm(), From: from, To: to})
		}
	}
	for i := range p.anchors {
		n := &p.anchors[i]
		if after.find(n) == nil && n.state == AddPend {
			add(n, AddPend, Start)
		}
	}
	for i := range after.anchors {
		n := &after.anchors[i]
		from := Start
		if b := p.find(n); b != nil {
			from = b.state
		}
		add(n, from, n.state)
	}
	if len(list) > 0 {
		list[len(list)-1].Last = !after.isTrusted() // nothing changes where nobody was trusted before
	}
	return list
}

// isDue takes a clock that was set back as a reason to look: when the next look was to be says nothing then.
func (p *point) isDue(now time.Time) bool { return !now.Before(p.next) || now.Before(p.observed) }

func (p *point) find(n *anchor) *anchor {
	i := slices.IndexFunc(p.anchors, func(other anchor) bool { return other.matches(p.zone, n) })
	if i < 0 {
		return nil
	}
	return &p.anchors[i]
}

// sort orders keys as they are shown and stored: by tag, and then by anything that is the same each time.
func (p *point) sort() {
	slices.SortStableFunc(p.anchors, func(a, b anchor) int {
		return cmp.Or(cmp.Compare(a.tag(), b.tag()), bytes.Compare([]byte(a.record.RDATA), []byte(b.record.RDATA)))
	})
}
