package dnssec

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tacit/internal/wire"
)

// anchoredAt has trust anchors that trust no key.
type anchoredAt []wire.Name

func (a anchoredAt) At(zone wire.Name) bool { return slices.Contains(a, zone) }

func (anchoredAt) Trusts(wire.Name, *Key) bool { return false }

func TestNegativeAnchorsCover(t *testing.T) {
	anchors := anchoredAt{wire.Root, wire.MustName("signed.broken.example."), wire.MustName("both.example.")}
	n := NewNegativeAnchors(anchors, []wire.Name{wire.MustName("broken.example."), wire.MustName("both.example.")})
	for _, c := range []struct {
		name, qname string
		want        bool
	}{
		{"the zone", "broken.example.", true},
		{"below it", "www.a.broken.example.", true},
		{"above it", "example.", false},
		{"beside it", "unbroken.example.", false},
		{"the root", ".", false},
		{"a trust anchor lies closer", "www.signed.broken.example.", false},
		{"a trust anchor at the name below it", "signed.broken.example.", false},
		{"both for one zone", "www.both.example.", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := n.Covers(wire.MustName(c.qname), dayZero); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if NewNegativeAnchors(nil, nil).Covers(wire.MustName("broken.example."), dayZero) {
		t.Error("none is one too many")
	}
}

// RFC 7646 section 2: what is set by hand ends by itself.
func TestNegativeAnchorsEnd(t *testing.T) {
	zone := wire.MustName("broken.example.")
	n := NewNegativeAnchors(nil, nil)
	if err := n.Add(dayZero, zone, 2*day, "expired signatures"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"at once", 0, true},
		{"a second before its end", 2*day - time.Second, true},
		{"at its end", 2 * day, false},
		{"a clock that was set back does not make it longer", -6 * day, false},
		{"within a week of its end", -4 * day, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := n.Covers(zone, dayZero.Add(c.after)); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if err := n.Add(dayZero, zone, MaxNegativeTime, "still"); err != nil || !n.Covers(zone, dayZero.Add(3*day)) || len(n.List(dayZero)) != 1 {
		t.Errorf("another end was not taken: %v, %v", err, n.List(dayZero))
	}
	if n.Remove(dayZero, wire.MustName("other.example.")) || !n.Remove(dayZero, zone) || n.Remove(dayZero, zone) || n.Covers(zone, dayZero) {
		t.Error("it is removed once")
	}
}

func TestNegativeAnchorsAreRefused(t *testing.T) {
	zone, fixed := wire.MustName("broken.example."), wire.MustName("fixed.example.")
	for _, c := range []struct {
		name     string
		zone     wire.Name
		lifetime time.Duration
		reason   string
		want     error
	}{
		{"a week", zone, 7 * day, "x", nil},
		{"more than a week", zone, 7*day + 1, "x", ErrNegativeTime},
		{"no time", zone, 0, "x", ErrNegativeTime},
		{"no reason", zone, day, "", ErrNegativeReason},
		{"a long reason", zone, day, strings.Repeat("x", 201), ErrNegativeReason},
		{"configured", fixed, day, "x", ErrNegativeFixed},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := NewNegativeAnchors(nil, []wire.Name{fixed})
			if err := n.Add(dayZero, c.zone, c.lifetime, c.reason); err != c.want { //nolint:errorlint // constants
				t.Errorf("%v, want %v", err, c.want)
			}
			if n.Remove(dayZero, fixed) || !n.Covers(fixed, dayZero) {
				t.Error("what is configured cannot be removed")
			}
		})
	}
	n := NewNegativeAnchors(nil, make([]wire.Name, maxNegative))
	if err := n.Add(dayZero, zone, day, "x"); err != ErrNegativeCount { //nolint:errorlint // constant
		t.Errorf("one too many: %v", err)
	}
}

func TestNegativeAnchorsAreInherited(t *testing.T) {
	a, b, c := wire.MustName("a.example."), wire.MustName("b.example."), wire.MustName("c.example.")
	old := NewNegativeAnchors(nil, []wire.Name{a})
	for _, zone := range []wire.Name{b, c} {
		if err := old.Add(dayZero, zone, day, "broken"); err != nil {
			t.Fatal(err)
		}
	}
	n := NewNegativeAnchors(nil, []wire.Name{c})
	n.Inherit(dayZero.Add(time.Hour), old)
	end := dayZero.Add(day)
	if n.Covers(a, dayZero) || !n.Covers(b, end.Add(-time.Second)) || n.Covers(b, end) || !n.Covers(c, end) {
		t.Errorf("%+v", n.List(dayZero))
	}
}

func TestNegativeAnchorsAtOnce(t *testing.T) {
	zone := wire.MustName("broken.example.")
	n := NewNegativeAnchors(nil, []wire.Name{wire.MustName("fixed.example.")})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				_ = n.Add(dayZero, zone, day, "x")
				if !n.Covers(wire.MustName("fixed.example."), dayZero) {
					t.Error("a configured one was gone for a moment")
				}
				n.Remove(dayZero, zone)
			}
		})
	}
	wg.Wait()
}
