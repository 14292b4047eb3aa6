package dnssec

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tacit/internal/wire"
)

// NegativeAnchors are the zones that are not validated, because their owners have broken them and an operator has made
// sure that it is nothing worse (RFC 7646). Those of the configuration stay; those set at run time end. They are safe for
// concurrent use.
type NegativeAnchors struct {
	anchors Anchored

	mu   sync.Mutex // of those who change list
	list atomic.Pointer[[]NegativeAnchor]
}

// A NegativeAnchor is a zone that is not validated.
type NegativeAnchor struct {
	Zone   wire.Name
	Until  time.Time // zero: configured, without an end
	Reason string    // the operator's words
}

// Limits of what is set at run time. A week is the longest that RFC 7646 section 2 has in mind: by then the zone has been
// mended, or somebody should look again.
const (
	MaxNegativeTime = 7 * 24 * time.Hour

	maxNegative = 1000
	maxReason   = 200 // octets
)

// Why a negative trust anchor is not set.
var (
	ErrNegativeTime   = errors.New("a negative trust anchor lasts at least a second and at most 7 days")
	ErrNegativeReason = errors.New("the reason is empty or longer than 200 octets")
	ErrNegativeFixed  = errors.New("the configuration has a negative trust anchor for the zone, which does not end")
	ErrNegativeCount  = errors.New("there are 1,000 negative trust anchors already")
)

// NewNegativeAnchors returns the configured ones. A trust anchor that lies closer to a name than they do wins; anchors
// may be nil.
func NewNegativeAnchors(anchors Anchored, zones []wire.Name) *NegativeAnchors {
	n := &NegativeAnchors{anchors: anchors}
	list := make([]NegativeAnchor, len(zones))
	for i, zone := range zones {
		list[i] = NegativeAnchor{Zone: zone, Reason: "configured"}
	}
	n.list.Store(&list)
	return n
}

// Covers reports whether name is not to be validated: the closest zone at or above it that has an anchor of either kind
// has a negative one. With both for the same zone the negative one wins (RFC 7646 section 2).
func (n *NegativeAnchors) Covers(name wire.Name, now time.Time) bool {
	list := *n.list.Load()
	if len(list) == 0 {
		return false
	}
	for at := name; ; at = at.Parent() {
		i := slices.IndexFunc(list, func(a NegativeAnchor) bool { return a.Zone == at })
		switch {
		case i >= 0 && list[i].lasts(now):
			return true
		case n.anchors != nil && n.anchors.At(at), at.IsRoot():
			return false
		}
	}
}

// lasts takes an end that is too far away as past: the clock was set back, and how long it has lasted nobody knows.
func (a *NegativeAnchor) lasts(now time.Time) bool {
	return a.Until.IsZero() || now.Before(a.Until) && a.Until.Sub(now) <= MaxNegativeTime
}

// Add sets a negative trust anchor, or gives one that was set another end and reason.
func (n *NegativeAnchors) Add(now time.Time, zone wire.Name, lifetime time.Duration, reason string) error {
	switch {
	case lifetime < time.Second || lifetime > MaxNegativeTime:
		return ErrNegativeTime
	case reason == "" || len(reason) > maxReason:
		return ErrNegativeReason
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.List(now)
	list = slices.DeleteFunc(list, func(a NegativeAnchor) bool { return a.Zone == zone && !a.Until.IsZero() })
	switch {
	case slices.ContainsFunc(list, func(a NegativeAnchor) bool { return a.Zone == zone }):
		return ErrNegativeFixed
	case len(list) >= maxNegative:
		return ErrNegativeCount
	}
	list = append(list, NegativeAnchor{Zone: zone, Until: now.Add(lifetime), Reason: reason})
	n.list.Store(&list)
	return nil
}

// Remove ends one that was set at run time, and reports whether there was one.
func (n *NegativeAnchors) Remove(now time.Time, zone wire.Name) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.List(now)
	kept := slices.DeleteFunc(slices.Clone(list), func(a NegativeAnchor) bool { return a.Zone == zone && !a.Until.IsZero() })
	n.list.Store(&kept)
	return len(kept) < len(list)
}

// List returns those that last, in an array of the caller's own.
func (n *NegativeAnchors) List(now time.Time) []NegativeAnchor {
	return slices.DeleteFunc(slices.Clone(*n.list.Load()), func(a NegativeAnchor) bool { return !a.lasts(now) })
}

// Inherit takes over those that other set at run time and that the configuration does not have by now.
func (n *NegativeAnchors) Inherit(now time.Time, other *NegativeAnchors) {
	for _, a := range other.List(now) {
		if !a.Until.IsZero() {
			_ = n.Add(now, a.Zone, a.Until.Sub(now), a.Reason) // refused where the configuration has it, or an end is near
		}
	}
}
