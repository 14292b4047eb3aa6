package certificate

import (
	"context"
	"time"

	"tacit/internal/privacy"
)

const (
	pollEvery = 3 * time.Second
	ageEvery  = time.Minute // where only time changes a certificate
	tellEvery = 24 * time.Hour
)

// Follow keeps the certificates up to date until ctx is done: it takes up files that have changed, orders and renews by
// ACME, and warns of what runs out. It is called once.
func (s *Store) Follow(ctx context.Context) {
	if s.authority != nil {
		s.authority.open(ctx)
	}
	tick := time.NewTicker(s.pause())
	defer tick.Stop()
	for ctx.Err() == nil {
		s.look(ctx, s.options.Now())
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// pause is how long Follow waits between two turns.
func (s *Store) pause() time.Duration {
	if len(s.pairs) == 0 && s.authority == nil {
		return ageEvery
	}
	return pollEvery
}

// look is one turn of Follow.
func (s *Store) look(ctx context.Context, now time.Time) {
	changed := s.lookAtFiles()
	if s.authority != nil {
		s.order(ctx, now)
	}
	if changed || s.isOwnAging(now) {
		s.refresh(now)
	}
	s.warn(now)
}

// refresh renews the table. What was shown before stays when that fails.
func (s *Store) refresh(now time.Time) {
	if err := s.renew(now); err != nil {
		s.options.Log.Error("no self-signed certificate can be made", "error", privacy.Public(err.Error()))
	}
}

func (s *Store) lookAtFiles() (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.pairs {
		found, err := w.look()
		switch found {
		case replaced:
			changed = true
			s.options.Log.Info("a new certificate is in use", "file", privacy.Public(w.CertFile))
		case unusable:
			s.options.Log.Warn("a certificate's files have changed and cannot be used: the certificate before stays in use",
				"file", privacy.Public(w.CertFile), "problem", privacy.Public(err.Error()))
		case unchanged:
		}
	}
	return changed
}

func (s *Store) isOwnAging(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own != nil && stateOf(s.own.certificate.Leaf, now) != Good
}

// A telling is a warning that was given.
type telling struct {
	state State
	at    time.Time
}

// warn tells of each certificate that has left the state Good, once a day.
func (s *Store) warn(now time.Time) {
	for _, status := range s.Status(now) {
		source := privacy.Public(status.source())
		before, known := s.told[string(source)]
		if known && before.state == status.State && now.Sub(before.at) < tellEvery {
			continue
		}
		s.told[string(source)] = telling{status.State, now}
		left := int(status.NotAfter.Sub(now) / (24 * time.Hour))
		switch status.State {
		case Soon:
			s.options.Log.Warn("a certificate has a third of its life left, or less", "certificate", source, "days_left", left)
		case Expired:
			s.options.Log.Error("a certificate has expired: clients that verify it stay away", "certificate", source, "days_since", -left)
		case Early:
			s.options.Log.Warn("a certificate is not valid yet, or the clock is wrong", "certificate", source)
		case Good, Awaited: // orders tell of themselves
		}
	}
}

// source is where a certificate is from, in the operator's own words.
func (s Status) source() string {
	switch {
	case s.File != "":
		return s.File
	case s.Ordered:
		return s.Names[0]
	}
	return "self-signed"
}
