package cache

import "time"

// Granted returns when e expires if it is put at now: its TTL within the operator's bounds and the lease.
func (r *RRsets) Granted(e *Entry, now time.Time) time.Time {
	ttl := e.Set.TTL
	if e.Kind != Positive {
		ttl = negativeTTL(&e.SOA)
	}
	return earliest(instantOf(now).add(r.bound(e.Kind, ttl)), instantOf(e.Lease)).time()
}
