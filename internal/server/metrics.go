package server

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"tacit/admin"
	"tacit/cache"
	"tacit/certificate"
	"tacit/config"
	"tacit/internal/wire"
	"tacit/transports"
	"tacit/upstream"
)

// samples counts everything that is published; nil while something else goes on that changes the counts, and that may wait for us.
func (s *Server) samples() *admin.Samples {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	p := s.current.Load()
	now := &admin.Samples{}
	now.Add(admin.Started, float64(s.started.Unix()))
	now.Add(admin.OtherPanics, float64(s.env.panics.count.Load()))
	now.Add(admin.DebugSessions, float64(s.sessions.total.Load()))
	now.Add(admin.PopularityBudget, s.popular.Budget(s.env.Now()))
	now.Add(admin.PrivacyWeaknesses, float64(len(p.config.Weaknesses)))
	for e, l := range s.listeners {
		for i, t := range transports.Transports() {
			if e.transport == t || t == transports.QUIC && e.quic {
				sampleTransport(now, i, l.Counters(t))
			}
		}
	}
	sampleCache(now, s.cache.Stats())
	sampleUpstream(now, s.memory.Stats())
	sampleCertificates(now, s.Certificates())
	s.sampleParts(now, p)
	return now
}

func sampleTransport(to *admin.Samples, t int, c *transports.Counters) {
	to.Add(admin.Queries, float64(c.Queries.Load()), t)
	to.Add(admin.Recalled, float64(c.Recalled.Load()), t)
	to.Add(admin.Truncated, float64(c.Truncated.Load()), t)
	to.Add(admin.Connections, float64(c.Connections.Load()), t)
	to.Add(admin.Shed, float64(c.Shed.Load()), t)
	to.Add(admin.QueryPanics, float64(c.Panics.Load()), t)
	for i, cause := range transports.Causes() {
		to.Add(admin.Drops, float64(c.Drops(cause)), t, i)
	}
	eachFailure(c, func(cause wire.EDE, stage transports.Stage, count uint64) {
		to.Add(admin.Failures, float64(count), t, slices.Index(admin.Failures.WordsOf(1), cause.Label()), int(stage))
	})
	for i := range len(transports.CountedTypes()) + 1 {
		to.Add(admin.Types, float64(c.Types(i)), t, i)
	}
	for r := range wire.BadCookie + 1 { // which stands for all above it, too
		to.Add(admin.Answers, float64(c.Answers(r)), t, rcodeWord(r))
	}
}

const notZone wire.Rcode = 10

// rcodeWord is where an RCODE stands among the words of admin.Answers.
func rcodeWord(r wire.Rcode) int {
	words := admin.Answers.Words()
	if r <= notZone {
		return int(r)
	}
	if i := slices.Index(words, r.String()); i >= 0 {
		return i
	}
	return len(words) - 1
}

func sampleCache(to *admin.Samples, s cache.Stats) {
	for i, c := range []cache.Count{s.Packets, s.RRsets, s.Denials, s.Delegations, s.Failures} {
		to.Add(admin.CacheEntries, float64(c.Entries), i)
		to.Add(admin.CacheBytes, float64(c.Bytes), i)
		to.Add(admin.CacheCapacity, float64(c.Capacity), i)
		to.Add(admin.CacheHits, float64(c.Hits), i)
		to.Add(admin.CacheMisses, float64(c.Misses), i)
		to.Add(admin.CacheEvictions, float64(c.Evictions), i)
	}
}

func sampleUpstream(to *admin.Samples, s upstream.Stats) {
	for way, count := range s.Queries {
		to.Add(admin.UpstreamQueries, float64(count), way)
	}
	to.Add(admin.UpstreamTrials, float64(s.Probes), 0)
	to.Add(admin.UpstreamTrials, float64(s.Found), 1)
}

func sampleCertificates(to *admin.Samples, list []certificate.Status) {
	var first int64
	for _, c := range list {
		if c.State == certificate.Awaited || c.State == certificate.Expired || c.State == certificate.Early {
			to.Add(admin.Certificates, 1, 1)
			continue
		}
		to.Add(admin.Certificates, 1, 0)
		if end := c.NotAfter.Unix(); first == 0 || end < first {
			first = end
		}
	}
	to.Add(admin.CertificateEnd, float64(first))
}

func (s *Server) sampleParts(to *admin.Samples, p *parts) {
	if p.validation != nil {
		to.Add(admin.TrustAnchors, float64(len(p.keeper.List())))
		to.Add(admin.NegativeAnchors, float64(len(p.negative.List(s.env.Now()))))
	}
	if p.root != nil {
		r := p.root.Stats()
		if r.Copied {
			to.Add(admin.RootCopied, 1)
		}
		for i, count := range []uint64{r.Transfers, r.Unchanged, r.Refused, r.Rejected, r.Failed} {
			to.Add(admin.RootVisits, float64(count), i)
		}
	}
	if p.config.Zones.Any() {
		z := p.zones.describe()
		to.Add(admin.ZonesServed, float64(z.Served))
		to.Add(admin.ZoneRecords, float64(z.Records))
		to.Add(admin.ZoneBytes, float64(z.Bytes))
		to.Add(admin.ZoneFilesMistaken, float64(z.Mistaken))
	}
}

// openMonitor opens the listener for metrics of a configuration, unless it is open already; nil where there is to be none.
func (s *Server) openMonitor(ctx context.Context, c *config.Config) (*admin.Monitor, error) {
	if !c.Admin.Listen.IsValid() {
		return nil, nil
	}
	if old := s.current.Load(); old != nil && s.monitor != nil && old.config.Admin.Listen == c.Admin.Listen {
		return s.monitor, nil
	}
	m, err := admin.ListenMonitor(ctx, c.Admin.Listen, admin.MonitorOptions{
		Snapshots: &s.snapshots, Ready: s.isReady, Page: s.page, Panicked: s.env.panics.report,
	})
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	return m, nil
}

// setMonitor serves metrics on one address instead of another; either may be nil, and they may be the same.
func (s *Server) setMonitor(m *admin.Monitor) {
	old := s.monitor
	if old == m {
		return
	}
	s.monitor = m
	if m != nil {
		s.publishing.Do(func() { s.retired.Go(func() { s.snapshots.Follow(s.stopping, s.samples) }) })
		s.retired.Go(func() {
			if err := m.Serve(); err != nil {
				s.env.Log.Error("the listener for metrics has failed")
			}
		})
	}
	if old != nil {
		s.retired.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), retireAfter)
			defer cancel()
			_ = old.Shutdown(ctx) // who still waits has lost the server
		})
	}
}

// isReady reports whether clients are served.
func (s *Server) isReady() bool { return s.current.Load() != nil && !s.leaving.Load() }

// Monitoring is where metrics are served; invalid: nowhere.
func (s *Server) Monitoring() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.monitor == nil {
		return netip.AddrPort{}
	}
	return s.monitor.Addr()
}
