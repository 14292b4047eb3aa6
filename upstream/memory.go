package upstream

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"tacit/internal/wire"
)

// A Memory is what is known of servers, by address, transport and Peer: how fast they answer, what they do not understand, for
// which zones they are lame. It is bounded, never written anywhere, and knows nothing of clients. It is safe for
// concurrent use.
type Memory struct {
	mu       sync.Mutex
	servers  *lru.TwoQueueCache[Server, *record]
	lame     *lru.TwoQueueCache[lameness, time.Time]
	covers   *lru.TwoQueueCache[netip.Addr, *cover]
	families [2]family

	queries       [len(transportNames)]atomic.Uint64
	probed, found atomic.Uint64
}

// MemoryOptions bound a Memory.
type MemoryOptions struct {
	// Servers is how many servers are remembered, how many lame delegations, and of how many addresses whether they can be asked
	// encrypted. 0: 20,000.
	Servers int
}

type lameness struct {
	server Server
	zone   wire.Name
}

// NewMemory returns an empty Memory.
func NewMemory(o MemoryOptions) *Memory {
	if o.Servers <= 0 {
		o.Servers = 20_000
	}
	return &Memory{
		servers: twoQueues[Server, *record](o.Servers), lame: twoQueues[lameness, time.Time](o.Servers),
		covers: twoQueues[netip.Addr, *cover](o.Servers),
	}
}

func twoQueues[K comparable, V any](size int) *lru.TwoQueueCache[K, V] {
	cache, err := lru.New2Q[K, V](size)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return cache
}

// Time-outs over UDP.
const (
	// firstTimeout is for a server of which nothing is known: it covers nearly every path on earth, and another
	// server can be asked soon enough.
	firstTimeout = 400 * time.Millisecond
	// minTimeout keeps jitter from being taken for loss: a query that is repeated too early costs packets and
	// loses the answer that was under way. It is the least retransmission time-out of Linux's TCP; RFC 6298
	// section 2.4 would have 1 s, but there another server is not at hand.
	minTimeout = 200 * time.Millisecond
	maxTimeout = 3 * time.Second
)

// Penalties of servers that do not answer.
const (
	deadAfter    = 4 // consecutive failures
	firstPenalty = time.Minute
	maxPenalty   = 15 * time.Minute
	// doubtFor is how long a server that has just not answered is worth less than one that has. Then one query may see
	// whether it does again.
	doubtFor = 10 * time.Second
)

// How long other things are remembered.
const (
	lameFor  = 15 * time.Minute
	plainFor = 15 * time.Minute
	caseFor  = 24 * time.Hour
	mutedFor = 5 * time.Minute
)

const (
	maxEDNSFailures   = 2
	maxCaseMismatches = 3
	// tryTCPAfter is after how many failures in a row one attempt goes over TCP: some servers' firewalls let nothing
	// else through.
	tryTCPAfter = 2
)

// A record is what is known of one server.
type record struct {
	srtt, rttvar           time.Duration // RFC 6298 section 2; zero until measured
	failures               int           // consecutive
	lastReply, lastFailure time.Time

	penalty    time.Duration // zero: alive
	deadUntil  time.Time
	probeUntil time.Time // a query is under way to see whether it still is

	ednsFailures   int
	plainUntil     time.Time // without EDNS until then
	caseMismatches int
	streamUntil    time.Time // over TCP until then: letter case lost, or UDP muted

	biscuit
}

// A biscuit is what is known of a server's cookies.
type biscuit struct {
	cookie   cookie // the client cookie that returned belongs to
	returned []byte // the last server cookie
	expected bool   // the server has been seen to return cookies
}

// A State is what is known of one server at one time.
type State struct {
	Known    bool          // a round trip has been measured
	SRTT     time.Duration // smoothed round-trip time; 0 unless Known
	Timeouts int           // consecutive time-outs and refusals since the last reply
	Doubtful bool          // the last of them was a moment ago
	Dead     bool          // too many: to be asked only when all others are dead, too
	Probe    bool          // was dead, and is due for one query that shows whether it still is
}

// A Prospect is what speaks for and against asking a server about a zone.
type Prospect struct {
	State
	Lame       bool // it is known not to serve the zone
	FamilyDown bool // nothing is reached at addresses of its family
	Covered    bool // it is asked encrypted as far as is known, and that has not been slow lately
}

// Prospect returns that of s.
func (m *Memory) Prospect(s Server, zone wire.Name, now time.Time) Prospect {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Prospect{m.state(s, now), m.isLame(s, zone, now), m.familyDown(s.Addr.Addr().Is6(), now), m.isCovered(s, now)}
}

func (m *Memory) state(s Server, now time.Time) State {
	r, ok := m.servers.Peek(s.endpoint())
	if !ok {
		return State{}
	}
	penal := r.penalty > 0
	dead := penal && (now.Before(r.deadUntil) || now.Before(r.probeUntil))
	return State{
		Known: r.srtt > 0, SRTT: r.srtt, Timeouts: r.failures, Doubtful: r.doubtful(now) || r.failures > 0 && now.Before(r.probeUntil),
		Dead: dead, Probe: penal && !dead,
	}
}

func (r *record) doubtful(now time.Time) bool {
	return r.failures > 0 && now.Before(r.lastFailure.Add(doubtFor))
}

// Timeout returns how long a reply of s over UDP is waited for: the smoothed round-trip time and four times its
// variation (RFC 6298 section 2), doubled with each consecutive failure (section 5.5).
func (m *Memory) Timeout(s Server, _ time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.servers.Peek(s.endpoint()); ok {
		return r.timeout()
	}
	return firstTimeout
}

func (r *record) timeout() time.Duration {
	d := firstTimeout
	if r.srtt > 0 {
		d = max(r.srtt+4*r.rttvar, minTimeout)
	}
	for range min(r.failures, 4) {
		d *= 2
	}
	return min(d, maxTimeout)
}

// Bounds of the time after which a reply over UDP is overdue.
const (
	firstOverdue = 150 * time.Millisecond // of a server of which nothing is known
	minOverdue   = 30 * time.Millisecond
)

// overdue returns after how long another server may be asked beside this one, whose reply is probably lost, and is waited for all
// the same: two to three round trips, by how much they vary.
func (r *record) overdue() time.Duration {
	if r.srtt == 0 {
		return firstOverdue
	}
	return max(min(max(r.srtt+4*r.rttvar, 2*r.srtt), 3*r.srtt), minOverdue)
}

// Stats count queries to authoritative servers, and how encrypted transports were looked for.
type Stats struct {
	Queries [len(transportNames)]uint64 // sent, by Transport
	Probes  uint64                      // encrypted transports that were tried, each at one server; not among Queries
	Found   uint64                      // ... that worked
}

// Encrypted is how many of the Queries travelled encrypted.
func (s *Stats) Encrypted() uint64 {
	return s.Queries[TLS] + s.Queries[HTTPS] + s.Queries[QUIC] + s.Queries[Oblivious]
}

// Stats returns the counts since the Memory was made.
func (m *Memory) Stats() Stats {
	s := Stats{Probes: m.probed.Load(), Found: m.found.Load()}
	for i := range m.queries {
		s.Queries[i] = m.queries[i].Load()
	}
	return s
}

func (m *Memory) count(t Transport) { m.queries[t].Add(1) }

// MarkLame remembers for 15 minutes that s does not serve zone, though it is delegated to it.
func (m *Memory) MarkLame(s Server, zone wire.Name, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lame.Add(lameness{s.endpoint(), zone}, now.Add(lameFor))
}

func (m *Memory) isLame(s Server, zone wire.Name, now time.Time) bool {
	until, ok := m.lame.Get(lameness{s.endpoint(), zone})
	return ok && now.Before(until)
}

// at returns the record of s, made if need be. m.mu is held.
func (m *Memory) at(s Server) *record {
	s = s.endpoint()
	r, ok := m.servers.Get(s)
	if !ok {
		r = new(record)
		m.servers.Add(s, r)
	}
	return r
}

// A manner is how a server is to be asked, from experience.
type manner struct {
	plain   bool // without EDNS
	stream  bool // over TCP
	trial   bool // over TCP might work where UDP has not lately
	timeout time.Duration
	overdue time.Duration // with the set-up of an encrypted transport
	biscuit biscuit
	record  *record
}

// begin is called before s is asked.
func (m *Memory) begin(s Server, now time.Time) manner {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.at(s)
	timeout := r.timeout()
	if r.penalty > 0 && !now.Before(r.deadUntil) || r.failures > 0 && r.penalty == 0 && !r.doubtful(now) {
		r.probeUntil = now.Add(timeout)
	}
	return manner{
		plain: now.Before(r.plainUntil), stream: now.Before(r.streamUntil),
		trial: r.failures == tryTCPAfter, timeout: timeout, overdue: r.overdue() + m.setUpOf(s), biscuit: r.biscuit, record: r,
	}
}

// A receipt is what a reply that was accepted says of its server.
type receipt struct {
	rtt            time.Duration
	keptCase       bool // the question was in mixed case, and came back so
	understoodEDNS bool // the query had an OPT record, and the reply does not complain about it

	cookie   cookie // the client cookie that was sent
	returned []byte // the server cookie that came; nil: none
}

// replied is called with each reply of s that was accepted. r is what begin gave, or nil.
func (m *Memory) replied(s Server, r *record, got receipt, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r == nil {
		r = m.at(s)
	}
	rtt := max(got.rtt, 1)
	if r.srtt == 0 {
		r.srtt, r.rttvar = rtt, rtt/2
	} else {
		r.rttvar += ((r.srtt - rtt).Abs() - r.rttvar) / 4
		r.srtt += (rtt - r.srtt) / 8
	}
	r.failures, r.penalty, r.lastReply = 0, 0, now
	m.families[familyOf(s)].replied(now)
	if got.keptCase {
		r.caseMismatches = 0
	}
	if got.understoodEDNS {
		r.ednsFailures = 0
	}
	if got.returned != nil {
		r.biscuit = biscuit{cookie: got.cookie, returned: got.returned, expected: true}
	}
}

// failed is called when s was asked at sent and gave no reply.
func (m *Memory) failed(s Server, sent, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.families[familyOf(s)].failed(s.Addr.Addr(), sent)
	m.at(s).failed(sent, now)
}

// failed counts a failure. Of queries that were under way together, one counts: else a single burst of loss would kill
// a server. Those asked before its last reply do not count at all.
func (r *record) failed(sent, now time.Time) {
	if sent.Before(r.lastFailure) || sent.Before(r.lastReply) {
		return
	}
	r.failures, r.lastFailure = r.failures+1, now
	switch {
	case r.failures < deadAfter:
	case r.penalty == 0:
		r.penalty, r.deadUntil = firstPenalty, now.Add(firstPenalty)
	case !now.Before(r.deadUntil): // the probe
		r.penalty = min(2*r.penalty, maxPenalty)
		r.deadUntil = now.Add(r.penalty)
	}
}

// lostCase is called when the letter case of a question did not come back. After three times in a row the server is
// asked over TCP only; over UDP a mismatch is never accepted.
func (m *Memory) lostCase(s Server, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.at(s)
	if r.caseMismatches++; r.caseMismatches >= maxCaseMismatches {
		r.caseMismatches, r.streamUntil = 0, now.Add(caseFor)
	}
}

// onlyTCP is called when TCP brought a reply where UDP had brought none several times.
func (m *Memory) onlyTCP(s Server, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.at(s)
	if until := now.Add(mutedFor); until.After(r.streamUntil) {
		r.streamUntil = until
	}
}

// refusedEDNS is called when a query got an answer after it had been refused with an OPT record. One such failure may be
// chance; two in a row are remembered.
func (m *Memory) refusedEDNS(s Server, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.at(s)
	if r.ednsFailures++; r.ednsFailures >= maxEDNSFailures {
		r.ednsFailures, r.plainUntil = 0, now.Add(plainFor)
	}
}

// forgetCookie is called when s has left cookies out over TCP, where nobody can have done it for s.
func (m *Memory) forgetCookie(s Server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.at(s)
	r.returned, r.expected = nil, false
}
