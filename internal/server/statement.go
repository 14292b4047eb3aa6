package server

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"tacit/admin"
	"tacit/certificate"
	"tacit/config"
	"tacit/internal/wire"
	"tacit/policy"
	"tacit/statement"
	"tacit/transports"
	"tacit/upstream"
)

// A stated is the privacy statement as it is published: what is served in different ways is the same.
type stated struct {
	*statement.Statement
	json, html []byte
}

// A stater keeps the statement of a running tacit up to date.
type stater struct {
	mu      sync.Mutex // of those who renew it
	current atomic.Pointer[stated]

	asked upstream.Stats // when it was last looked at what other servers were asked
}

// restateEvery is how often it is looked whether the statement is still true; observeEvery, how often what is observed is taken anew.
const (
	restateEvery = time.Minute
	observeEvery = time.Hour
)

// restate renews the statement if anything of it has changed. Whoever changes what it says calls it; it takes none of the locks of the
// server.
func (s *Server) restate() {
	s.stater.mu.Lock()
	defer s.stater.mu.Unlock()
	now, p, before := s.env.Now(), s.current.Load(), s.stater.current.Load()
	next := describePrivacy(p.config, s.Certificates())
	addSessions(&next.Practice, s.sessions.shown(now), now)
	if before == nil {
		next.Seal(nil, now)
	} else {
		next.Seal(before.Statement, now)
		next.Observed = before.Observed
	}
	if before == nil || now.Sub(before.Observed.At) >= observeEvery || before.Digest != next.Digest || before.Observed.RootCopied != p.hasRoot() {
		next.Observed = s.observe(p, now)
	}
	text := next.JSON()
	if before == nil || string(text) != string(before.json) {
		s.stater.current.Store(&stated{next, text, next.HTML()})
	}
	p.zones.say(announce(p.config, text))
}

func (s *Server) observe(p *parts, now time.Time) statement.Observed {
	o := statement.Observed{At: now.UTC().Truncate(time.Second), RootCopied: p.hasRoot()}
	asked := s.memory.Stats()
	if share, known := encryptedShare(&s.stater.asked, &asked); known {
		o.EncryptedShare = &share
	}
	s.stater.asked = asked
	return o
}

// encryptedShare is the part of what other servers were asked in between that was encrypted. Of few queries it would tell what they were.
func encryptedShare(before, after *upstream.Stats) (share float64, known bool) {
	var all uint64
	for i := range after.Queries {
		all += after.Queries[i] - before.Queries[i]
	}
	if all < admin.Crowd {
		return 0, false
	}
	return float64(after.Encrypted()-before.Encrypted()) / float64(all), true
}

// addSessions lists debug sessions. While one goes on, its place is on.
func addSessions(p *statement.Practice, sessions []statement.DebugSession, now time.Time) {
	p.DebugSessions = append(p.DebugSessions, sessions...)
	p.Places[statement.DebugSessions].On = slices.ContainsFunc(sessions, func(d statement.DebugSession) bool { return now.Before(d.Until) })
}

// hasRoot reports whether there is a copy of the root zone.
func (p *parts) hasRoot() bool { return p.root != nil && p.root.Stats().Copied }

// followStatement looks from time to time whether the statement is still true, and whether the hour is over for which crowds are
// counted, until the server stops.
func (s *Server) followStatement() {
	rounds := time.NewTicker(restateEvery)
	defer rounds.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-rounds.C:
			s.turnCrowds(s.env.Now())
			s.restate()
		}
	}
}

// Paths of the statement.
const (
	pathStatement     = "/privacy"
	pathStatementJSON = "/privacy.json"
	pathWellKnown     = "/.well-known/dns-privacy-statement"
)

// page shows the statement.
func (s *Server) page(path string) (mediaType string, body []byte, ok bool) {
	current := s.stater.current.Load()
	switch {
	case current == nil:
	case path == pathStatement:
		return "text/html; charset=utf-8", current.html, true
	case path == pathStatementJSON, path == pathWellKnown:
		return "application/json", current.json, true
	}
	return "", nil, false
}

// Statement is what Server says of privacy, in JSON.
func (o operator) Statement() []byte { return o.server.stater.current.Load().json }

// DescribePrivacy is the statement of a tacit that would run with a configuration and certificates.
func DescribePrivacy(c *config.Config, now time.Time) *statement.Statement {
	s := describePrivacy(c, nil)
	s.Seal(nil, now)
	s.Observed.At = now.UTC().Truncate(time.Second)
	return s
}

func describePrivacy(c *config.Config, shown []certificate.Status) *statement.Statement {
	return &statement.Statement{
		Policy: describePolicy(c),
		Practice: statement.Practice{
			Deviations: deviations(c), DebugSessions: []statement.DebugSession{},
			Places:  statement.Places(func(k statement.Sink) bool { return isOn(c, k) }),
			Clients: describeClients(c, shown), Upstream: describeUpstream(c),
			DNSSEC: statement.DNSSEC{Validated: c.DNSSEC.Validate, Anchors: describeAnchors(c)},
		},
		Accountability: statement.Accountability{
			Version: version(), Build: builtFrom(), Configuration: c.Digest, Audit: cmp.Or(leakAudit, "none is recorded in this build"),
			Repeat: "make leak",
		},
	}
}

// leakAudit is the score of the leak test of a release: go build -ldflags "-X tacit/internal/server.leakAudit=..."
var leakAudit string

// builtFrom is the commit that tacit was built from.
func builtFrom() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

func describePolicy(c *config.Config) statement.Policy {
	o := &c.Operator
	p := statement.Policy{
		Addresses:   "not kept after the answer; while a connection is open, it holds its address",
		Collection:  "none: there is no query log, and no option that makes one",
		Retention:   "no name that was asked for and no address is written anywhere; names are in the cache in memory, without who asked",
		Sharing:     "tacit sends nothing about clients to anybody; what the operator shares: partners",
		Correlation: "none: address and question are in one place only while the answer is made",
		Exceptions: []string{
			"limits against abuse count networks by a keyed hash, whose key dies within the hour",
			"zones that fail are counted by keyed hashes, whose keys die within the hour; the operator is shown a zone that fails for 20 networks",
		},
		Filtering: "none, but that names of special use do not leave (RFC 6761), and that answers which fail DNSSEC are withheld",
		Operator: statement.Operator{
			Name: declare(o.Name), Jurisdiction: declare(o.Jurisdiction), Contact: declare(o.Contact), Partners: o.Partners,
			PacketCapture: declare(o.PacketCapture), FrontedBy: declare(o.FrontedBy),
		},
	}
	if c.Stats.Top {
		p.Exceptions = append(p.Exceptions, "domains are counted by keyed hashes, whose keys die within the hour; the operator is shown, with noise, those that 50 networks ask for")
	}
	if !c.DNSSEC.Validate {
		p.Filtering = "none, but that names of special use do not leave (RFC 6761)"
	}
	if len(o.Partners) == 0 {
		p.Operator.Partners = []string{statement.NotDeclared}
	}
	return p
}

func declare(text string) string { return cmp.Or(text, statement.NotDeclared) }

func deviations(c *config.Config) []statement.Deviation {
	list := []statement.Deviation{}
	for _, w := range c.Weaknesses {
		list = append(list, statement.Deviation{Key: w.Key, Value: publicValue(w), About: w.About, Accepted: w.Accepted})
	}
	return list
}

// publicValue leaves out addresses of the operator's, which are nobody's business.
func publicValue(w config.Weakness) string {
	switch w.Key {
	case "listen.http", "admin.listen", "forward.upstreams":
		return ""
	}
	return w.Value
}

// isOn reports whether anything can go to a place with a configuration.
func isOn(c *config.Config, k statement.Sink) bool {
	l := &c.Listen
	switch k {
	case statement.Connections:
		return len(l.TCP)+len(l.TLS)+len(l.HTTPS)+len(l.QUIC)+len(l.HTTP) > 0
	case statement.Authoritative:
		return !slices.ContainsFunc(c.Forwards, func(f config.Forward) bool { return f.Zone.IsRoot() && !f.First })
	case statement.Forwarders:
		return len(c.Forwards)+len(c.Stubs) > 0 || c.ODoH.Proxy
	case statement.FrontProxies:
		return len(l.HTTP)+len(l.Proxies) > 0
	case statement.DebugSessions: // which is told for each by itself
		return false
	case statement.PopularZones:
		return c.Stats.Top
	case statement.MetricCounts:
		return c.Admin.Listen.IsValid()
	case statement.StatusAnswers:
		return controlPath(c) != ""
	case statement.ZonePartners:
		return len(c.Secondaries)+len(c.Grants)+len(c.Zones.Replicas) > 0
	case statement.Authorities:
		return len(c.TLS.ACME.Names) > 0
	case statement.Management:
		return c.Management.Listen.IsValid()
	default:
		return true
	}
}

func describeClients(c *config.Config, shown []certificate.Status) statement.Clients {
	d := statement.Clients{
		Transports: []statement.Transport{}, Certificates: []statement.Certificate{},
		HTTPHeaders: []string{"content-type", "content-length", "cache-control"},
		Snooping:    "questions without RD are not answered from the cache", Oblivious: []string{},
	}
	if c.Cache.SharedAfter > 0 {
		d.Snooping += fmt.Sprintf("; a question is shared after %d networks have asked it", c.Cache.SharedAfter)
	}
	d.Cookies = "none"
	if c.Listen.Cookies {
		d.Cookies = "over UDP and TCP, made from the address, with a secret of a day; nothing is kept of them"
	}
	if c.ODoH.Target {
		d.Oblivious = append(d.Oblivious, "target")
	}
	if c.ODoH.Proxy {
		d.Oblivious = append(d.Oblivious, "proxy")
	}
	if c.Value("cache.ttl_blur") == "true" {
		d.Snooping += ", and TTLs are shortened so that they do not tell when somebody else asked"
	}
	add := func(t transports.Transport, n int) {
		if n == 0 {
			return
		}
		x := statement.Transport{Name: t.String(), Encrypted: t.IsEncrypted()}
		if x.Encrypted {
			x.Padding, x.TLS = transports.PaddedTo, "1.3"
		}
		if c.TLS.MinVersion == tls.VersionTLS12 && (t == transports.TLS || t == transports.HTTPS) {
			x.TLS = "1.2"
		}
		d.Transports = append(d.Transports, x)
	}
	l := &c.Listen
	if c.Listen.AltSvc && slices.ContainsFunc(l.HTTPS, func(a netip.AddrPort) bool { return a.Port() != 0 }) {
		d.HTTPHeaders = append(d.HTTPHeaders, "alt-svc") // tells of HTTP/3, at the port that is configured
	}
	for i, n := range []int{len(l.UDP), len(l.TCP), len(l.TLS), len(l.HTTPS), len(l.HTTPS), len(l.QUIC)} {
		add(transports.Transports()[i], n)
	}
	for _, s := range shown {
		d.Certificates = append(d.Certificates, statement.Certificate{Names: s.Names, Pin: s.Pin, Until: s.NotAfter.UTC(), SelfSigned: s.SelfSigned})
	}
	return d
}

func describeUpstream(c *config.Config) statement.Upstream {
	u := statement.Upstream{
		Minimisation: string(c.Recursion.Minimisation), ClientSubnet: "never sent: there is no code that could",
		LocalRoot: copiesRoot(c), Aggressive: c.DNSSEC.Aggressive, Encryption: c.Value("recursion.encrypt"),
		LetterCase: "lower case, never the client's", Telemetry: "none", Forwards: []statement.Forward{},
	}
	if c.Recursion.CaseRandomisation {
		u.LetterCase = "random, never the client's"
	}
	for _, f := range c.Forwards {
		d := statement.Forward{Everything: f.Zone.IsRoot(), Encrypted: true, Oblivious: true}
		for _, up := range f.Upstreams {
			d.Encrypted, d.Oblivious = d.Encrypted && up.Transport.Encrypted(), d.Oblivious && up.IsOblivious()
			if d.Everything {
				d.To = append(d.To, cmp.Or(up.Name, up.Addr.Addr().String()))
			}
		}
		u.Forwards = append(u.Forwards, d)
	}
	return u
}

func describeAnchors(c *config.Config) string {
	text := "the root's keys, built in"
	if n := len(c.DNSSEC.TrustAnchors); n > 0 {
		text = fmt.Sprintf("%d of the operator's", n)
	}
	if n := len(c.DNSSEC.NegativeTrustAnchors); n > 0 {
		text += fmt.Sprintf("; %d zones are not validated", n)
	}
	return text
}

// whereStated is the name at which resolver.arpa says where the statement is.
var whereStated = wire.MustName("_privacy.resolver.arpa.")

// statedTTL is short: the hash changes with the statement.
const statedTTL = 60

// announce is the TXT record with the URL of the statement, if clients can be told one, and the SHA-256 of its JSON.
func announce(c *config.Config, text []byte) policy.Own {
	sum := sha256.Sum256(text)
	var rdata []byte
	if url := statementURL(c); url != "" && len("url=")+len(url) <= 255 {
		rdata = append(append(rdata, byte(len("url=")+len(url))), "url="+url...)
	}
	hash := "sha256=" + hex.EncodeToString(sum[:])
	rdata = append(append(rdata, byte(len(hash))), hash...)
	set := wire.RRset{Name: whereStated, Type: wire.TypeTXT, TTL: statedTTL}
	set.Data = set.Data.Add(rdata)
	return policy.Own{Set: set}
}

// statementURL is where clients find the statement, empty where they know no name and no one address.
func statementURL(c *config.Config) string {
	l := &c.Listen
	if len(l.HTTPS) == 0 {
		return ""
	}
	at, host := l.HTTPS[0], ""
	switch {
	case !l.Name.IsRoot():
		host = hostNames(c, "")[0]
	case at.Addr().IsUnspecified():
		return ""
	default:
		host = at.Addr().String()
	}
	if at.Port() != 443 {
		return "https://" + net.JoinHostPort(host, strconv.Itoa(int(at.Port()))) + pathStatementJSON
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	return "https://" + host + pathStatementJSON
}
