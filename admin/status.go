package admin

import "time"

// A Status is what an operator can know of a running tacit: counts, what the operator has configured, and zones that fail for a
// crowd.
type Status struct {
	Version    string      `json:"version"`
	Config     string      `json:"config"` // its file; empty: the defaults
	Started    time.Time   `json:"started"`
	Uptime     int64       `json:"uptime"` // seconds
	Transports []Transport `json:"transports"`
	Upstream   Upstream    `json:"upstream"`
	Cache      []Memory    `json:"cache"`
	Anchors    []Anchor    `json:"trust_anchors"`          // empty without validation
	Exceptions []Exception `json:"negative_trust_anchors"` // likewise
	Root       *Root       `json:"root"`                   // nil where no copy is kept
	Zones      *Zones      `json:"zones"`                  // nil where none are configured
	// Certificates are those shown to clients, the first to those that ask for none of the others; empty without encrypted
	// transports.
	Certificates []Certificate `json:"certificates"`
	Panics       uint64        `json:"panics"` // that ended no query, but a resolution or something else that tacit does by itself
	// DebugSessions is how often somebody has watched what becomes of a name.
	DebugSessions uint64  `json:"debug_sessions"`
	Failing       Failing `json:"failing"`
	// Popular is nil unless stats.top is set.
	Popular *Popular `json:"popular,omitempty"`
}

// Popular are the domains that at least From client networks have asked for, as released once in an hour, with noise.
type Popular struct {
	From      int           `json:"from_networks"`
	Zones     []PopularZone `json:"zones"`             // that of most networks first
	At        time.Time     `json:"released,omitzero"` // zero: not yet
	Budget    float64       `json:"budget_left"`       // of 1 for a day
	Exhausted bool          `json:"exhausted"`         // there was none for the last hour: the clock was set back
}

// A PopularZone is a registrable domain.
type PopularZone struct {
	Zone     string `json:"zone"`
	Networks int    `json:"networks"` // of clients, about
}

// Failing are the zones whose questions fail, in the present hour. No zone is named below From client networks that have met the same
// failure there.
type Failing struct {
	From   int           `json:"from_networks"`
	Zones  []FailingZone `json:"zones"`  // that of most networks first
	Others uint64        `json:"others"` // answers that failed in zones that are not named, and for none of Widespread
	// Widespread are the causes for which so many domains fail at once that none of them is named.
	Widespread []WidespreadCause `json:"widespread"`
}

// A WidespreadCause is one for which many domains fail: probably this resolver is the reason, its line, its clock or its anchors.
type WidespreadCause struct {
	Cause   string `json:"cause"`
	Domains int    `json:"domains"`
	Answers uint64 `json:"answers"`
}

// A FailingZone is a registrable domain.
type FailingZone struct {
	Zone     string `json:"zone"`
	Cause    string `json:"cause"`
	Networks int    `json:"networks"` // of clients, at least
	Answers  uint64 `json:"answers"`
}

// Zones are those that are served with authority.
type Zones struct {
	Served   int    `json:"served"`
	Records  int    `json:"records"`
	Bytes    int    `json:"bytes"`
	Mistaken int    `json:"mistaken"` // files with mistakes, of which the version before is served, if there was one
	Problem  string `json:"problem,omitempty"`
}

// A Certificate is one that is shown to clients of the encrypted transports.
type Certificate struct {
	Names      []string  `json:"names"`
	File       string    `json:"file"` // empty: from no file that the operator named
	State      string    `json:"state"`
	Until      time.Time `json:"until,omitzero"`
	Pin        string    `json:"pin"` // SHA-256 of its key in base64 (RFC 7858 section 4.2)
	SelfSigned bool      `json:"self_signed"`
}

// A Transport counts what has happened on one since its listeners were opened.
type Transport struct {
	Name        string `json:"name"`
	Listeners   int    `json:"listeners"`
	Queries     uint64 `json:"queries"`
	Recalled    uint64 `json:"recalled"` // answered from memory at once
	Dropped     uint64 `json:"dropped"`
	Truncated   uint64 `json:"truncated"`
	Connections int64  `json:"connections"` // open now
	Shed        uint64 `json:"shed"`        // connections closed to make room for new ones
	Panics      uint64 `json:"panics"`
	// Failures are the answers with SERVFAIL; none that has not been met.
	Failures []Failure `json:"failures"`
}

// A Failure counts the answers with SERVFAIL of one cause.
type Failure struct {
	Cause   string `json:"cause"` // the label of an extended error (RFC 8914)
	Stage   string `json:"stage"` // where in the way of a question it arose
	Answers uint64 `json:"answers"`
}

// An Upstream counts what went to authoritative servers since the start.
type Upstream struct {
	Queries []Sent `json:"queries"`
	// Encrypted is the share of the queries that nobody on the way could read, in percent.
	Encrypted float64 `json:"encrypted_percent"`
	Probes    uint64  `json:"probes"` // encrypted transports that were tried, each at one server (RFC 9539)
	Found     uint64  `json:"found"`  // ... that worked
}

// A Sent is how many queries went over one transport.
type Sent struct {
	Transport string `json:"transport"`
	Queries   uint64 `json:"queries"`
}

// A Memory is a part of the cache.
type Memory struct {
	Name      string `json:"name"`
	Entries   int    `json:"entries"`
	Bytes     int64  `json:"bytes"`    // 0 for what is bounded in number
	Capacity  int64  `json:"capacity"` // in bytes, or in entries
	Hits      uint64 `json:"hits"`
	Misses    uint64 `json:"misses"`
	Evictions uint64 `json:"evictions"`
}

// An Anchor is a key that validation starts from (RFC 5011).
type Anchor struct {
	Zone       string    `json:"zone"`
	Tag        uint16    `json:"tag"`
	Algorithm  uint8     `json:"algorithm"`
	State      string    `json:"state"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Configured bool      `json:"configured"`
}

// An Exception is a zone that is not validated (RFC 7646).
type Exception struct {
	Zone   string    `json:"zone"`
	Until  time.Time `json:"until,omitzero"` // zero: configured, without an end
	Reason string    `json:"reason"`
}

// A Root is the copy of the root zone (RFC 8806).
type Root struct {
	Copied    bool      `json:"copied"` // there is a copy that can be used
	Serial    uint32    `json:"serial"`
	Records   int       `json:"records"`
	Bytes     int       `json:"bytes"`
	Checked   time.Time `json:"checked,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Transfers uint64    `json:"transfers"`
	Failed    uint64    `json:"failed"` // visits to servers that brought nothing
	Problem   string    `json:"problem,omitempty"`
}
