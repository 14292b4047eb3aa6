package admin

import (
	"fmt"
	"strconv"
	"strings"
)

// A Metric is one row of the table of all that is published. How it is split is written there, too: the words of a label are
// constants, and a sample names them by their positions, so that nothing of a question or a client can become one.
type Metric uint8

// Metrics.
const (
	Started Metric = iota
	Queries
	Recalled
	Truncated
	Answers
	Types
	Drops
	Failures
	Connections
	Shed
	QueryPanics
	OtherPanics
	CacheEntries
	CacheBytes
	CacheCapacity
	CacheHits
	CacheMisses
	CacheEvictions
	UpstreamQueries
	UpstreamTrials
	RootCopied
	RootVisits
	TrustAnchors
	NegativeAnchors
	Certificates
	CertificateEnd
	ZonesServed
	ZoneRecords
	ZoneBytes
	ZoneFilesMistaken
	PrivacyWeaknesses
	PopularityBudget
	DebugSessions
	metricCount
)

// A label is how a metric is split.
type label struct {
	name  string
	words []string
}

// Labels. The words of transports, RCODEs, types, causes, errors and stages are those of their packages, in the same order.
var (
	byTransport = label{"transport", []string{"udp", "tcp", "tls", "https", "http3", "quic"}}
	byRcode     = label{"rcode", []string{
		merged, "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "BADVERS", "BADCOOKIE", "other",
	}}
	byType = label{"type", []string{
		merged, "A", "AAAA", "HTTPS", "SVCB", "PTR", "TXT", "MX", "NS", "SOA", "SRV", "CNAME", "DS", "DNSKEY", "ANY", "other",
	}}
	byCause   = label{"cause", []string{"not_a_query", "rate_limited", "no_slot", "late", "send_failed"}}
	byPart    = label{"part", []string{"packets", "rrsets", "denials", "delegations", "failures"}}
	byOutcome = label{"outcome", []string{"transferred", "unchanged", "refused", "rejected", "failed"}}
	byWay     = label{"way", []string{"udp", "tcp", "tls", "https", "quic", "odoh"}}
	byTrial   = label{"trial", []string{"made", "found"}}
	byState   = label{"state", []string{"usable", "not_usable"}}
	byError   = label{"error", []string{
		"other", "unsupported_dnskey", "unsupported_ds_digest", "stale_answer", "forged_answer", "indeterminate", "bogus", "signature_expired",
		"signature_not_yet_valid", "dnskey_missing", "rrsigs_missing", "no_zone_key_bit", "nsec_missing", "cached_error", "not_ready", "blocked",
		"censored", "filtered", "prohibited", "stale_nxdomain", "not_authoritative", "not_supported", "no_reachable_authority", "network_error",
		"invalid_data", "unsupported_nsec3_iterations", "synthesized",
	}}
	byStage = label{"stage", []string{"front", "admission", "local", "priming", "asking", "servers", "aliases", "validating", "packing"}}
)

// merged is the word for what is not split, for want of a crowd.
const merged = "all"

// Crowd is how many queries have to come between two snapshots for a split that is merged otherwise.
const Crowd = 100

type kind string

const (
	counter kind = "counter"
	gauge   kind = "gauge"
)

// A metric describes one of the table. What is crowded is split only where a crowd has asked.
type metric struct {
	name    string
	kind    kind
	help    string
	labels  []label
	crowded bool // the last label begins with merged
	held    bool // published when a crowd has asked on the transport, its first label, since the last time; there are no lines of what was not counted
}

var metrics = [metricCount]metric{
	Started:           {name: "tacit_start_time_seconds", kind: gauge, help: "When tacit was started, in seconds since 1970."},
	Queries:           {name: "tacit_queries_total", kind: counter, help: "Messages from clients.", labels: []label{byTransport}},
	Recalled:          {name: "tacit_recalled_total", kind: counter, help: "Queries answered from memory at once.", labels: []label{byTransport}},
	Truncated:         {name: "tacit_truncated_total", kind: counter, help: "Answers that were cut down, so that the client comes again over TCP.", labels: []label{byTransport}},
	Answers:           {name: "tacit_answers_total", kind: counter, help: "Answers by RCODE; those of ten seconds with fewer than 100 queries are not split.", labels: []label{byTransport, byRcode}, crowded: true},
	Types:             {name: "tacit_answers_by_type_total", kind: counter, help: "The same by the type that was asked for.", labels: []label{byTransport, byType}, crowded: true},
	Drops:             {name: "tacit_drops_total", kind: counter, help: "Queries left without an answer.", labels: []label{byTransport, byCause}},
	Failures:          {name: "tacit_failures_total", kind: counter, help: "Answers with SERVFAIL by extended error and by the stage at which it arose, as of the last time when 100 queries had come by the transport.", labels: []label{byTransport, byError, byStage}, held: true},
	Connections:       {name: "tacit_connections", kind: gauge, help: "Connections of clients that are open.", labels: []label{byTransport}},
	Shed:              {name: "tacit_connections_shed_total", kind: counter, help: "Connections closed to make room for others.", labels: []label{byTransport}},
	QueryPanics:       {name: "tacit_query_panics_total", kind: counter, help: "Queries that ended in a panic.", labels: []label{byTransport}},
	OtherPanics:       {name: "tacit_other_panics_total", kind: counter, help: "Panics of what tacit does by itself."},
	CacheEntries:      {name: "tacit_cache_entries", kind: gauge, help: "Entries of the cache.", labels: []label{byPart}},
	CacheBytes:        {name: "tacit_cache_bytes", kind: gauge, help: "Memory that they take.", labels: []label{byPart}},
	CacheCapacity:     {name: "tacit_cache_capacity", kind: gauge, help: "What a part can hold: bytes, or entries of failures.", labels: []label{byPart}},
	CacheHits:         {name: "tacit_cache_hits_total", kind: counter, help: "Look-ups that found something.", labels: []label{byPart}},
	CacheMisses:       {name: "tacit_cache_misses_total", kind: counter, help: "Look-ups that found nothing.", labels: []label{byPart}},
	CacheEvictions:    {name: "tacit_cache_evictions_total", kind: counter, help: "Entries given up for want of room.", labels: []label{byPart}},
	UpstreamQueries:   {name: "tacit_upstream_queries_total", kind: counter, help: "Queries to other servers, by the way they went.", labels: []label{byWay}},
	UpstreamTrials:    {name: "tacit_upstream_trials_total", kind: counter, help: "Encrypted transports that were tried at authoritative servers, and those that worked.", labels: []label{byTrial}},
	RootCopied:        {name: "tacit_root_copied", kind: gauge, help: "1 if there is a copy of the root zone."},
	RootVisits:        {name: "tacit_root_visits_total", kind: counter, help: "Visits to root servers for the copy.", labels: []label{byOutcome}},
	TrustAnchors:      {name: "tacit_trust_anchors", kind: gauge, help: "Trust anchors, whatever their state."},
	NegativeAnchors:   {name: "tacit_negative_trust_anchors", kind: gauge, help: "Zones excepted from validation."},
	Certificates:      {name: "tacit_certificates", kind: gauge, help: "Certificates shown to clients.", labels: []label{byState}},
	CertificateEnd:    {name: "tacit_certificate_end_seconds", kind: gauge, help: "When the first of them ends, in seconds since 1970; 0 without any."},
	ZonesServed:       {name: "tacit_zones", kind: gauge, help: "Zones served here."},
	ZoneRecords:       {name: "tacit_zone_records", kind: gauge, help: "Their records."},
	ZoneBytes:         {name: "tacit_zone_bytes", kind: gauge, help: "Memory that they take."},
	ZoneFilesMistaken: {name: "tacit_zone_files_mistaken", kind: gauge, help: "Zone files with mistakes."},
	DebugSessions:     {name: "tacit_debug_sessions_total", kind: counter, help: "Times in which an operator watched a name."},
	PopularityBudget:  {name: "tacit_popularity_budget", kind: gauge, help: "What is left of the 1 that lists of popular domains may spend in a day, of which each hour takes 1/24."},
	PrivacyWeaknesses: {name: "tacit_privacy_weaknesses", kind: gauge, help: "Options whose values give up privacy; tacit privacy names them."},
}

// Words are those of the last label of a metric but for that of what is merged: for who fills in samples by position.
func (m Metric) Words() []string {
	words := m.WordsOf(len(metrics[m].labels) - 1)
	if metrics[m].crowded {
		return words[1:]
	}
	return words
}

// WordsOf are those of the label at a position.
func (m Metric) WordsOf(label int) []string { return metrics[m].labels[label].words }

// maxLabels is how many a metric has at most.
const maxLabels = 3

// A spot is where a sample belongs: the positions of the words of its labels.
type spot struct {
	metric Metric
	at     [maxLabels]uint8
}

// Samples are what has been counted at one moment. The zero value is ready.
type Samples struct{ values map[spot]float64 }

// Add adds to a metric at the positions of its labels, of which there must be as many as it has, and which must be there: who counts
// what the table does not know is mistaken, and is shown by a panic in the first test. Positions of Words count from 0.
func (s *Samples) Add(m Metric, value float64, at ...int) {
	labels := metrics[m].labels
	p := spot{metric: m}
	if len(at) != len(labels) {
		panic("admin: " + metrics[m].name + " has another number of labels")
	}
	for i, position := range at {
		if metrics[m].crowded && i == len(at)-1 {
			position++
		}
		_ = labels[i].words[position]
		p.at[i] = uint8(position)
	}
	if s.values == nil {
		s.values = map[spot]float64{}
	}
	s.values[p] += value
}

// spots lists where samples of a metric can be, in the order of the table.
func (m Metric) spots() []spot {
	list := []spot{{metric: m}}
	for i, l := range metrics[m].labels {
		var next []spot
		for _, p := range list {
			for w := range l.words {
				p.at[i] = uint8(w)
				next = append(next, p)
			}
		}
		list = next
	}
	return list
}

// A format is one of the two that scrapers ask for.
type format uint8

const (
	prometheus  format = iota // text format 0.0.4
	openMetrics               // 1.0
)

var mediaTypes = [...]string{
	prometheus: "text/plain; version=0.0.4; charset=utf-8", openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}

// write writes all metrics, those without samples as 0.
func (s *Samples) write(f format) string {
	var b strings.Builder
	for m := range metricCount {
		x := &metrics[m]
		family := x.name
		if f == openMetrics { // where the suffix belongs to the sample
			family = strings.TrimSuffix(family, "_total")
		}
		_, _ = fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", family, x.help, family, x.kind)
		for _, p := range m.spots() {
			if x.held && s.values[p] == 0 {
				continue
			}
			b.WriteString(x.name + p.labels() + " " + strconv.FormatFloat(s.values[p], 'f', -1, 64) + "\n")
		}
	}
	if f == openMetrics {
		b.WriteString("# EOF\n")
	}
	return b.String()
}

func (p spot) labels() string {
	var parts []string
	for i, l := range metrics[p.metric].labels {
		parts = append(parts, l.name+`="`+l.words[p.at[i]]+`"`)
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}
