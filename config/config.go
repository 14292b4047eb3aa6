package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/zone"
)

// DefaultFile is read when no other file is named and it exists.
const DefaultFile = "/etc/tacit/tacit.toml"

// A Config is a configuration that has been checked. The manual's entry for each field stands in options.
type Config struct {
	File string // where it was read from, empty for the defaults

	Listen       Listen
	TLS          TLS
	Certificates []Certificate // those of [[certificate]]; tls.cert_file comes before them
	Access       Access
	Recursion    Recursion
	DNSSEC       DNSSEC
	Cache        Cache
	Forwards     []Forward
	Stubs        []Stub
	ODoH         ODoH
	Zones        Zones
	Management   Management
	Keys         []Key
	Secondaries  []zone.Secondary
	Grants       []zone.Grant // those of [[update]]
	Log          Log
	Stats        Stats
	Admin        Admin
	Operator     Operator

	Accepted   []string          // keys that accept_privacy_loss names
	Weaknesses []Weakness        // options that give up privacy as they are
	values     map[string]string // in effect, as TOML, of options that stand in one table only
	Digest     string            // SHA-256 of all values in effect, of which none is a secret, in hexadecimal
}

// Listen is the table [listen].
type Listen struct {
	UDP, TCP, TLS, HTTPS, QUIC []netip.AddrPort
	HTTP                       []string       // in clear: addresses and ports, and absolute paths
	HTTPProxies, Proxies       []netip.Prefix // who say for whom they speak: in X-Forwarded-For, in a PROXY header
	Name                       wire.Name      // under which clients know this resolver; the root: none
	InfoURL                    string
	Cookies                    bool // DNS cookies for clients
	AltSvc                     bool // clients of HTTPS are told of HTTP/3
}

// TLS is the table [tls].
type TLS struct {
	Certificate
	MinVersion uint16 // as crypto/tls numbers them
	ACME       ACME
}

// A Certificate is one [[certificate]], or that of [tls]: paths, made absolute against the configuration's own.
type Certificate struct{ CertFile, KeyFile string }

// ACME is what [tls] says of it.
type ACME struct {
	Names     []string // in lower case, without the last dot
	Directory string
	Mail      string
	Cache     string           // a path, made absolute against the configuration's own; empty: as the service manager says
	HTTP      []netip.AddrPort // for HTTP-01; empty: TLS-ALPN-01 only
}

// Access is the table [access].
type Access struct{ Allow, Refuse []netip.Prefix }

// Recursion is the table [recursion].
type Recursion struct {
	RootHints             string // a path, made absolute against the configuration's own; empty: built in
	Minimisation          Minimisation
	IPv4, IPv6            bool
	Port                  uint16
	LocalRoot             bool // RFC 8806
	CaseRandomisation     bool
	Encrypt               bool         // RFC 9539
	EncryptedZones        []wire.Name  // that are never asked about in clear
	EncryptedServers      []netip.Addr // likewise
	AllowSpecialAddresses bool
}

// Minimisation is a value of recursion.qname_minimisation.
type Minimisation string

// Modes of minimisation (RFC 9156).
const (
	Strict  Minimisation = "strict"
	Relaxed Minimisation = "relaxed"
	Off     Minimisation = "off"
)

// DNSSEC is the table [dnssec].
type DNSSEC struct {
	Validate             bool
	Aggressive           bool // RFC 8198
	VerifySHA1           bool
	ValidationTime       time.Time            // zero: the present
	TrustAnchors         []dnssec.TrustAnchor // empty: built in
	NegativeTrustAnchors []wire.Name
	StaticAnchors        bool   // trust anchors do not follow their zones
	AnchorFile           string // a path, made absolute against the configuration's own; empty: as the service manager says
}

// Cache is the table [cache].
type Cache struct {
	Size                 int64 // bytes
	MinTTL, MaxTTL       time.Duration
	ServeStale, Prefetch bool
	Packets              bool // finished answers are kept
	BlurTTLs             bool
	SharedAfter          int // client networks
}

// A Forward is one [[forward]].
type Forward struct {
	Zone      wire.Name
	Upstreams []Upstream
	Proxy     Upstream // of those that are oblivious; without an address: none
	CAFile    string   // a path, made absolute against the configuration's own; empty: the system's roots
	First     bool
}

// A Stub is one [[stub]].
type Stub struct {
	Zone    wire.Name
	Servers []netip.AddrPort
}

// Zones are [[zone]], [zones] and [edge].
type Zones struct {
	zone.Options
	Files     []zone.File // paths, made absolute against the configuration's own
	Directory string      // likewise
	KeyFiles  string      // likewise a directory; empty: as the service manager says
	Replicas  []Replica   // those of the Files that have primaries
}

// A Replica is a [[zone]] that others are primaries of.
type Replica struct {
	Zone      wire.Name
	Primaries []Upstream // over TCP, which Transport calls UDP, and over TLS
	Key       wire.Name
	Signed    bool   // with the Key
	CAFile    string // a path, made absolute against the configuration's own; empty: the system's roots
}

// Management is the table [management].
type Management struct {
	MaxRequests, MaxExchanges, MaxBatch int            // 0: no limit
	Listen                              netip.AddrPort // invalid: off
	TokenFile                           string         // a path, made absolute against the configuration's own
}

// Any reports whether there may be zones.
func (z *Zones) Any() bool { return len(z.Files) > 0 || z.Directory != "" }

// A Key is one [[key]].
type Key struct {
	Name       wire.Name
	Algorithm  string
	SecretFile string // a path, made absolute against the configuration's own
}

// Log is the table [log].
type Log struct{ Level slog.Level }

// Stats is the table [stats].
type Stats struct {
	Top bool // popular domains are shown to the operator
}

// Admin is the table [admin].
type Admin struct {
	Listen  netip.AddrPort // invalid: off
	Control string         // a path, made absolute against the configuration's own; empty: as the service manager says
}

// listening is the address, if there is one.
func (a *Admin) listening() []netip.AddrPort {
	if !a.Listen.IsValid() {
		return nil
	}
	return []netip.AddrPort{a.Listen}
}

// Default is the configuration of an empty file.
func Default() *Config {
	c, err := (&File{}).Check()
	if err != nil {
		panic("config: defaults do not pass their own check: " + err.Error())
	}
	return c
}

// Find says which file is read when the operator names path: that one, or else DefaultFile, or none where it does not exist.
// One that cannot be looked at is read all the same, to fail: the defaults are not what its operator wants.
func Find(path string) string {
	if path != "" {
		return path
	}
	if _, err := os.Stat(DefaultFile); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return DefaultFile
}

// Load reads and checks a file; an empty path gives the defaults. The error is Problems when it is the file's text that
// is at fault.
func Load(path string) (*Config, error) {
	if path == "" {
		return Default(), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := Read(path, text)
	if err != nil {
		return nil, err
	}
	return file.Check()
}

// resolvePath makes a path in the file independent of the directory that tacit was started in.
func (c *Config) resolvePath(path string) string {
	if path == "" || filepath.IsAbs(path) || c.File == "" {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), path)
}
