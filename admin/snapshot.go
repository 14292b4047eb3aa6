package admin

import (
	"maps"
	"sync"
	"time"
)

// SnapshotEvery is how often counts are published. Whoever looks in between sees the same ones: on a resolver with one user, they
// would tell when that one asks.
const SnapshotEvery = 10 * time.Second

// Snapshots are the counts as they are published.
type Snapshots struct {
	mu     sync.Mutex
	before map[spot]float64  // of crowded metrics, what was counted when they were published last
	shown  map[spot]float64  // of crowded metrics, what has been published
	held   map[spot]float64  // of those that wait for a crowd, what has been published
	asked  map[uint8]float64 // queries when that was, by transport
	texts  [openMetrics + 1]string
}

// Publish makes a new snapshot.
func (s *Snapshots) Publish(now *Samples) {
	s.mu.Lock()
	defer s.mu.Unlock()
	published := Samples{values: map[spot]float64{}}
	crowds := s.crowds(now)
	for m := range metricCount {
		switch {
		case metrics[m].crowded:
			s.mingle(m, now)
			continue
		case metrics[m].held:
			s.hold(m, now, crowds)
			continue
		}
		for _, p := range m.spots() {
			published.values[p] = now.values[p]
		}
	}
	maps.Copy(published.values, s.shown)
	maps.Copy(published.values, s.held)
	for f := range s.texts {
		s.texts[f] = published.write(format(f))
	}
}

// crowds says on which transports a crowd has asked since one did there the last time. What tells of single answers waits for that: the
// failures of one user, published as they come, would tell what those merged among the RCODEs do not; and a crowd on one transport does
// not hide the only client of another.
func (s *Snapshots) crowds(now *Samples) map[uint8]bool {
	if s.asked == nil {
		s.asked = map[uint8]float64{}
	}
	crowds := map[uint8]bool{}
	for _, p := range Queries.spots() {
		transport, asked := p.at[0], now.values[p]
		s.asked[transport] = min(s.asked[transport], asked) // a listener is gone
		if asked-s.asked[transport] >= Crowd {
			s.asked[transport], crowds[transport] = asked, true
		}
	}
	return crowds
}

// hold takes up what was counted on transports with a crowd. The first label of what is held is the transport.
func (s *Snapshots) hold(m Metric, now *Samples, crowds map[uint8]bool) {
	if s.held == nil {
		s.held = map[spot]float64{}
	}
	for _, p := range m.spots() {
		if crowds[p.at[0]] {
			s.held[p] = now.values[p]
		}
	}
}

// mingle adds what was counted since the last snapshot to what has been shown: split where it was enough, together otherwise.
func (s *Snapshots) mingle(m Metric, now *Samples) {
	if s.before == nil {
		s.before, s.shown = map[spot]float64{}, map[spot]float64{}
	}
	fresh, sum := map[spot]float64{}, 0.0
	for _, p := range m.spots() {
		value := now.values[p]
		fresh[p] = value - s.before[p]
		if fresh[p] < 0 { // of a listener that is gone, and one that has come
			fresh[p] = value
		}
		s.before[p] = value
		sum += fresh[p]
	}
	for p, value := range fresh {
		if sum < Crowd {
			p.at[len(metrics[m].labels)-1] = 0 // merged
		}
		s.shown[p] += value
	}
}

// text is the last snapshot.
func (s *Snapshots) text(f format) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.texts[f]
}

// Follow publishes what is counted, at once and then as often as SnapshotEvery says, until stopped. A count that is nil could not be
// had, and is tried again.
func (s *Snapshots) Follow(stop <-chan struct{}, count func() *Samples) {
	for {
		wait := time.Second
		if now := count(); now != nil {
			s.Publish(now)
			wait = SnapshotEvery
		}
		select {
		case <-stop:
			return
		case <-time.After(wait):
		}
	}
}
