package server

import (
	"runtime/debug"
	"slices"
	"time"

	"tacit/admin"
	"tacit/cache"
	"tacit/internal/wire"
	"tacit/transports"
	"tacit/upstream"
)

// Status counts what has happened, and tells what the operator has configured.
func (o operator) Status() admin.Status {
	s := o.server
	now := s.env.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current.Load()
	status := admin.Status{
		Version: version(), Config: p.config.File, Started: s.started, Uptime: int64(now.Sub(s.started) / time.Second),
		Transports: s.countTransports(), Certificates: []admin.Certificate{}, Cache: countCache(s.cache.Stats()), Upstream: countUpstream(s.memory.Stats()), Anchors: []admin.Anchor{}, Exceptions: o.List(),
		Panics: s.env.panics.count.Load(), DebugSessions: s.sessions.total.Load(), Failing: describeFailing(s.failing, now), Popular: describePopular(&s.popular, now),
	}
	if p.validation != nil {
		for _, a := range p.keeper.List() {
			status.Anchors = append(status.Anchors, admin.Anchor{
				Zone: a.Zone.Reveal(), Tag: a.Tag, Algorithm: a.Algorithm, State: a.State.String(),
				Since: a.Since, Until: a.Until, Configured: a.Configured,
			})
		}
	}
	for _, c := range s.Certificates() {
		status.Certificates = append(status.Certificates, admin.Certificate{
			Names: c.Names, File: c.File, State: c.State.String(), Until: c.NotAfter, Pin: c.Pin, SelfSigned: c.SelfSigned,
		})
	}
	if p.root != nil {
		status.Root = describeRoot(p)
	}
	if p.config.Zones.Any() {
		status.Zones = p.zones.describe()
	}
	return status
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// countTransports adds up the listeners of each transport.
func (s *Server) countTransports() []admin.Transport {
	counts := []admin.Transport{}
	for _, t := range transports.Transports() {
		sum := admin.Transport{Name: t.String()}
		for e, l := range s.listeners {
			if e.transport == t || t == transports.QUIC && e.quic {
				add(&sum, l.Counters(t))
			}
		}
		if sum.Listeners > 0 {
			counts = append(counts, sum)
		}
	}
	return counts
}

func add(t *admin.Transport, c *transports.Counters) {
	t.Listeners++
	t.Queries += c.Queries.Load()
	t.Recalled += c.Recalled.Load()
	t.Truncated += c.Truncated.Load()
	t.Connections += c.Connections.Load()
	t.Shed += c.Shed.Load()
	t.Panics += c.Panics.Load()
	eachFailure(c, func(cause wire.EDE, stage transports.Stage, count uint64) {
		same := func(f admin.Failure) bool { return f.Cause == cause.Label() && f.Stage == stage.String() }
		i := slices.IndexFunc(t.Failures, same)
		if i < 0 {
			i, t.Failures = len(t.Failures), append(t.Failures, admin.Failure{Cause: cause.Label(), Stage: stage.String()})
		}
		t.Failures[i].Answers += count
	})
	for _, cause := range transports.Causes() {
		t.Dropped += c.Drops(cause)
	}
}

// eachFailure goes through what has failed on a transport.
func eachFailure(c *transports.Counters, tell func(wire.EDE, transports.Stage, uint64)) {
	for cause := range wire.EDE(wire.CodesOfEDE) {
		for _, stage := range transports.Stages() {
			if n := c.Failures(cause, stage); n > 0 {
				tell(cause, stage, n)
			}
		}
	}
}

func countCache(s cache.Stats) []admin.Memory {
	var list []admin.Memory
	for _, part := range []struct {
		name string
		cache.Count
	}{
		{"packets", s.Packets},
		{"rrsets", s.RRsets},
		{"denials", s.Denials},
		{"delegations", s.Delegations},
		{"failures", s.Failures},
	} {
		list = append(list, admin.Memory{
			Name: part.name, Entries: part.Entries, Bytes: part.Bytes, Capacity: part.Capacity,
			Hits: part.Hits, Misses: part.Misses, Evictions: part.Evictions,
		})
	}
	return list
}

func countUpstream(s upstream.Stats) admin.Upstream {
	u := admin.Upstream{Probes: s.Probes, Found: s.Found}
	var all uint64
	for t, n := range s.Queries {
		if transport := upstream.Transport(t); transport != upstream.HTTPS && transport != upstream.Oblivious { // forwarders' alone
			u.Queries = append(u.Queries, admin.Sent{Transport: transport.String(), Queries: n})
			all += n
		}
	}
	u.Encrypted = 100 * float64(s.Encrypted()) / float64(max(all, 1))
	return u
}

func describeRoot(p *parts) *admin.Root {
	r := p.root.Stats()
	root := &admin.Root{
		Copied: r.Copied, Serial: r.Serial, Records: r.Records, Bytes: r.Bytes, Checked: r.Checked, Until: r.Until,
		Transfers: r.Transfers, Failed: r.Refused + r.Rejected + r.Failed,
	}
	if r.LastReason != nil {
		root.Problem = r.LastReason.Error()
	}
	return root
}
