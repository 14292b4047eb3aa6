package statement

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// A Statement is what one resolver says at one time (RFC 8932 section 6.1).
type Statement struct {
	// Serial grows when anything but Observed changes. It is a time in seconds since 1970, so that it also grows over a restart.
	Serial int64 `json:"serial"`
	// Digest is the SHA-256 of all but Serial and Observed: the same before and after a restart that changes nothing.
	Digest string `json:"digest"`

	Policy         Policy         `json:"policy"`
	Practice       Practice       `json:"practice"`
	Accountability Accountability `json:"accountability"`
	Observed       Observed       `json:"observed"`
}

// Policy is what is promised (section 6.1.1).
type Policy struct {
	Addresses   string   `json:"client_addresses"`
	Collection  string   `json:"collection"`
	Retention   string   `json:"retention"`
	Sharing     string   `json:"sharing"`
	Correlation string   `json:"correlation"`
	Exceptions  []string `json:"exceptions"`
	Filtering   string   `json:"result_filtering"`
	Operator    Operator `json:"operator"`
}

// Operator is what only the operator can say.
type Operator struct {
	Name          string   `json:"name"`
	Jurisdiction  string   `json:"jurisdiction"`
	Contact       string   `json:"contact"`
	Partners      []string `json:"partners"`
	PacketCapture string   `json:"packet_capture"`
	FrontedBy     string   `json:"fronted_by"`
}

// NotDeclared stands where the operator has said nothing.
const NotDeclared = "not declared"

// Practice is what is done (section 6.1.2).
type Practice struct {
	Deviations    []Deviation    `json:"deviations"`
	DebugSessions []DebugSession `json:"debug_sessions"` // of the last 30 days
	Places        []Place        `json:"places"`
	Clients       Clients        `json:"clients"`
	Upstream      Upstream       `json:"upstream"`
	DNSSEC        DNSSEC         `json:"dnssec"`
}

// A Deviation is an option whose value gives up privacy.
type Deviation struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	About    string `json:"about"`
	Accepted bool   `json:"accepted"` // named by the operator in accept_privacy_loss
}

// A DebugSession is a time in which the operator watched one name, which is not told.
type DebugSession struct {
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
	Matched uint64    `json:"matched"` // queries
}

// A Place is where data of clients can be, and whether it can be there as tacit runs.
type Place struct {
	Name     string `json:"name"`
	Holds    string `json:"holds"`
	Lifetime string `json:"lifetime"`
	On       bool   `json:"on"`
}

// Clients is what those can have who ask.
type Clients struct {
	Transports   []Transport   `json:"transports"`
	Certificates []Certificate `json:"certificates"`
	HTTPHeaders  []string      `json:"http_headers_of_answers"`
	Oblivious    []string      `json:"oblivious_roles"` // of RFC 9230
	Snooping     string        `json:"cache_snooping"`
	Cookies      string        `json:"cookies"` // of DNS (RFC 7873)
}

// A Transport is one way to ask.
type Transport struct {
	Name      string `json:"name"`
	Encrypted bool   `json:"encrypted"`
	TLS       string `json:"tls,omitempty"`     // the oldest version
	Padding   int    `json:"padding,omitempty"` // the block, in octets
	Tickets   bool   `json:"session_tickets"`
	EarlyData bool   `json:"early_data"`
}

// A Certificate is one that is shown to clients.
type Certificate struct {
	Names      []string  `json:"names"`
	Pin        string    `json:"pin_sha256"`
	Until      time.Time `json:"until"`
	SelfSigned bool      `json:"self_signed"`
}

// Upstream is what other servers are told.
type Upstream struct {
	Minimisation string    `json:"qname_minimisation"`
	ClientSubnet string    `json:"client_subnet"`
	LocalRoot    bool      `json:"local_root"`
	Encryption   string    `json:"encryption"`
	Aggressive   bool      `json:"aggressive_denials"`
	LetterCase   string    `json:"letter_case"`
	Telemetry    string    `json:"telemetry"`
	Forwards     []Forward `json:"forwards"`
}

// A Forward is a zone, or everything, that is asked of other resolvers. The operator's zones are not named.
type Forward struct {
	Everything bool     `json:"everything"`
	To         []string `json:"to,omitempty"` // of Everything: who learns what is asked
	Encrypted  bool     `json:"encrypted"`    // to each of them
	Oblivious  bool     `json:"oblivious"`    // through a proxy, to each of them (RFC 9230)
}

// DNSSEC is what is believed.
type DNSSEC struct {
	Validated bool   `json:"validated"`
	Anchors   string `json:"trust_anchors"`
}

// Accountability is how all this can be checked.
type Accountability struct {
	Version       string `json:"version"`
	Build         string `json:"build"`
	Configuration string `json:"configuration_sha256"`
	Audit         string `json:"leak_audit"`
	Repeat        string `json:"repeat"`
}

// Observed changes without anybody's doing. It is taken anew at most once an hour.
type Observed struct {
	At             time.Time `json:"at"`
	RootCopied     bool      `json:"root_copied"`
	EncryptedShare *float64  `json:"encrypted_share,omitempty"` // of queries to other servers in the hour before; nil: not known
}

// Seal computes the digest, and the serial: that of before where nothing has changed.
func (s *Statement) Seal(before *Statement, now time.Time) {
	bare := *s
	bare.Serial, bare.Digest, bare.Observed = 0, "", Observed{}
	sum := sha256.Sum256(bare.JSON())
	s.Digest, s.Serial = hex.EncodeToString(sum[:]), now.Unix()
	switch {
	case before == nil:
	case before.Digest == s.Digest:
		s.Serial = before.Serial
	default:
		s.Serial = max(s.Serial, before.Serial+1)
	}
}

// JSON is the statement for programs.
func (s *Statement) JSON() []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("statement: " + err.Error()) // a type that JSON does not have
	}
	return text
}
