package server

import (
	"testing"

	"tacit/upstream"
)

// The share is of what was sent to authoritative servers; trials are not part of it.
func TestUpstreamCounts(t *testing.T) {
	u := countUpstream(upstream.Stats{
		Queries: [...]uint64{upstream.Oblivious: 0, upstream.UDP: 4, upstream.TCP: 1, upstream.TLS: 40, upstream.HTTPS: 0, upstream.QUIC: 55}, Probes: 9, Found: 2,
	})
	if u.Encrypted != 95 || u.Probes != 9 || u.Found != 2 || len(u.Queries) != 4 || u.Queries[3].Transport != "QUIC" || u.Queries[3].Queries != 55 {
		t.Errorf("got %+v", u)
	}
	if u := countUpstream(upstream.Stats{}); u.Encrypted != 0 {
		t.Errorf("of nothing, %f %% were encrypted", u.Encrypted)
	}
}

// What the statement tells of an hour is not of few queries.
func TestEncryptedShare(t *testing.T) {
	before := upstream.Stats{Queries: [...]uint64{upstream.Oblivious: 0, upstream.UDP: 1000, upstream.TLS: 500}}
	for _, c := range []struct {
		udp, tls, odoh uint64
		share          float64
		known          bool
	}{
		{1000, 500, 0, 0, false},
		{1009, 590, 0, 0, false},
		{1010, 590, 0, 0.9, true},
		{1000, 550, 50, 1, true},
		{1100, 500, 0, 0, true},
	} {
		after := upstream.Stats{Queries: [...]uint64{upstream.Oblivious: c.odoh, upstream.UDP: c.udp, upstream.TLS: c.tls}}
		if share, known := encryptedShare(&before, &after); share != c.share || known != c.known {
			t.Errorf("%d in clear, %d and %d encrypted: %f, %v", c.udp-1000, c.tls-500, c.odoh, share, known)
		}
	}
}
