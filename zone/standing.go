package zone

import (
	"os"
	"time"
)

// A standing is how old a copy is. The time at which a primary has given it, or has said that it is the latest, is the time of its
// file, so that it outlives a restart.
type standing struct {
	confirmed time.Time
	expired   bool
}

// Bounds of what a SOA record says of copies.
const (
	leastWait = 10 * time.Second // for REFRESH and RETRY
	maxExpire = 366 * 24 * time.Hour
)

// begin takes up a file that was read.
func (f *file) begin() {
	if f.Replica && f.info != nil {
		f.confirmed = f.info.ModTime()
	}
}

// age finds out whether a copy may still be used (RFC 1035 section 3.3.13: EXPIRE), and reports whether that has changed.
func (f *file) age(now time.Time) bool {
	was := f.expired
	f.expired = f.Replica && f.zone != nil && !now.Before(f.end())
	return f.expired != was
}

// end returns when a copy expires. Whatever it says itself, that is not before it was to be asked after, and again.
func (f *file) end() time.Time {
	t := f.zone.timers()
	return f.confirmed.Add(min(max(t.expire, t.refresh+t.retry), maxExpire))
}

// timers are those of the zone's own SOA record, within bounds.
func (z *Zone) timers() timers {
	set := z.soaSet()
	t, _ := readTimers(&set) // the library has made it
	t.refresh = min(max(t.refresh, leastWait), maxRefresh)
	t.retry = min(max(t.retry, leastWait), maxRetry)
	return t
}

// A holding is the copy that a Store has.
type holding struct {
	zone   *Zone // nil: none
	usable bool  // it has not expired
	until  time.Time
}

// serial is that of the primary, whatever the settings make of the zone.
func (h *holding) serial() uint32 { return h.zone.serial }

// copyAt returns the copy in a file.
func (s *Store) copyAt(at File) (h holding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[at]; f != nil && f.Replica && f.zone != nil {
		h = holding{zone: f.zone, until: f.end(), usable: s.options.Now().Before(f.end())}
	}
	return h
}

// confirm notes that a primary has said that a copy is the latest.
func (s *Store) confirm(at File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[at]
	if f == nil || !f.Replica || f.zone == nil {
		return
	}
	now := s.options.Now()
	f.confirmed = now
	before, err := os.Stat(f.Path)
	if err != nil || !f.unchanged(before) || os.Chtimes(f.Path, now, now) != nil {
		return // it is known here, at least
	}
	if after, err := os.Stat(f.Path); err == nil && os.SameFile(before, after) {
		f.info = after
	}
}

// plain reads a copy as it was transferred, whatever its settings say.
func (s *Store) plain(at File) (*Zone, error) {
	text, err := os.ReadFile(at.Path)
	if err != nil {
		return nil, errMismatch
	}
	src := &Source{File: at.Path, Text: text, Origin: at.Origin, Replica: true, plain: true}
	z, _, problems := Build(src, s.options.Now(), &Options{})
	if problems.Grave() {
		return nil, errMismatch
	}
	return z, nil
}
