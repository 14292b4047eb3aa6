package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/admin"
	"tacit/internal/testnet"
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

// Failures are counted where they arose, in the same words for the command and for the metrics.
func TestFailuresAreCountedWhereTheyArise(t *testing.T) {
	x := newSetting(t)
	x.Zone("broken.example.", "www IN A 203.0.113.1\nround IN CNAME round")
	x.Zone("refuses.example.", "www IN A 203.0.113.1", testnet.Failing(dns.RcodeRefused))
	x.Sign(testnet.Signing{}, "broken.example.")
	x.Spoil("broken.example.", testnet.Expired())
	s, _ := x.start(t, monitored)
	udp, _ := s.Addrs()
	for range 50 {
		ask(t, "udp", udp[0], "www.broken.example.")
		ask(t, "udp", udp[0], "www.refuses.example.")
	}
	// A reader tells what it has counted when it is done with a batch, which may be after the answer.
	for deadline := time.Now().Add(5 * time.Second); (operator{s}).Status().Transports[0].Queries < 100; {
		if time.Now().After(deadline) {
			t.Fatal("not all queries were counted")
		}
		<-time.After(time.Millisecond)
	}
	want := []admin.Failure{
		{Cause: "signature_expired", Stage: "validating", Answers: 1},
		{Cause: "cached_error", Stage: "asking", Answers: 98},
		{Cause: "no_reachable_authority", Stage: "asking", Answers: 1},
	}
	if got := (operator{s}).Status().Transports[0].Failures; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.snapshots.Publish(s.samples())
	_, text := fetch(t, "http://"+s.Monitoring().String()+"/metrics")
	for _, f := range want {
		line := fmt.Sprintf("\ntacit_failures_total{transport=\"udp\",error=%q,stage=%q} %d\n", f.Cause, f.Stage, f.Answers)
		if !strings.Contains(text, line) {
			t.Errorf("the metrics have no line %s", line)
		}
	}
	if got := strings.Count(text, "\ntacit_failures_total{"); got != len(want) {
		t.Errorf("%d lines", got)
	}
}
