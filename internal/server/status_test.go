package server

import (
	"testing"

	"tacit/upstream"
)

// The share is of what was sent to authoritative servers; trials are not part of it.
func TestUpstreamCounts(t *testing.T) {
	u := countUpstream(upstream.Stats{
		Queries: [...]uint64{upstream.UDP: 4, upstream.TCP: 1, upstream.TLS: 40, upstream.HTTPS: 0, upstream.QUIC: 55}, Probes: 9, Found: 2,
	})
	if u.Encrypted != 95 || u.Probes != 9 || u.Found != 2 || len(u.Queries) != 4 || u.Queries[3].Transport != "QUIC" || u.Queries[3].Queries != 55 {
		t.Errorf("got %+v", u)
	}
	if u := countUpstream(upstream.Stats{}); u.Encrypted != 0 {
		t.Errorf("of nothing, %f %% were encrypted", u.Encrypted)
	}
}
