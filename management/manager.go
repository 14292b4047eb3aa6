package management

import (
	"net/http"
	"time"
)

// A Manager has zones and their records. It is safe for concurrent use. Its errors are an Error where a request is at fault.
type Manager interface {
	// Zones lists all zones, by name.
	Zones() ([]Zone, error)
	// CreateZone makes an empty zone.
	CreateZone(name string) (Zone, error)
	// ChangeZone changes what is not nil.
	ChangeZone(id string, change ZoneChange) (Zone, error)
	// DeleteZone takes a zone out of service.
	DeleteZone(id string) error

	// Records lists the records of a zone, in the order of its file.
	Records(zone string) ([]Record, error)
	// Apply makes all edits, or none, and returns the records that they left, in their order; of what was deleted, the last
	// state.
	Apply(zone string, edits []Edit) ([]Record, error)
	// Export writes a zone as a master file, with what Cloudflare's has in comments.
	Export(zone string) ([]byte, error)
	// Import adds the records of a master file. Those of which it does not say whether they are proxied are as proxied says.
	Import(zone string, text []byte, proxied bool) (added, parsed int, err error)

	// DNSSEC says whether a zone is signed, and SetDNSSEC changes that.
	DNSSEC(zone string) (DNSSEC, error)
	SetDNSSEC(zone string, active bool) (DNSSEC, error)
}

// A Zone is what is known of a zone as a whole.
type Zone struct {
	ID          string // 32 hexadecimal digits
	Name        string // in lower case, without the final dot
	Status      string
	Paused      bool
	Partial     bool
	NameServers []string
	Modified    time.Time
}

// A ZoneChange changes what is not nil.
type ZoneChange struct {
	Paused *bool
	Type   *string // full or partial
}

// A Record is a resource record.
type Record struct {
	ID      string // 32 hexadecimal digits
	Name    string // in lower case, without the final dot
	Type    string
	Content string // RDATA in presentation form (RFC 1035 section 5.1), names with their final dots
	TTL     uint32 // 1: automatic
	Proxied bool

	Flatten            bool
	IPv4Only, IPv6Only bool
	Comment            string
	Tags               []string // name:value
	Modified           time.Time
}

// An Edit adds a record, replaces one, or deletes it.
type Edit struct {
	ID     string // empty: a new record
	Delete bool
	Record Record // without an ID
	// Change makes Record of what is there when it is the edit's turn, so that two that change different parts of a record at once are
	// both right. Nil: Record does not depend on that.
	Change func(now Record) (Record, error)
}

// DNSSEC is what a parent and a resolver have to know of the keys of a zone.
type DNSSEC struct {
	Status    string // active or disabled
	Algorithm string
	Digest    string
	KeyTag    uint16
	Flags     uint16
	PublicKey string
	DS        string
}

// An Error is why a request was not done, as the clients of the API know it.
type Error struct {
	Code   int
	Text   string
	Status int           // of HTTP; 0: 400
	Wait   time.Duration // until it is worth trying again (RFC 9110 section 10.2.3); 0: it is not
}

func (e *Error) Error() string { return e.Text }

// tooMany is the refusal of what has to wait.
func tooMany(wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return &Error{Code: 971, Text: "Please wait and consider throttling your request speed", Status: http.StatusTooManyRequests, Wait: wait}
}

// What is wrong with requests.
var (
	errRoute      = &Error{Code: 7003, Text: "no such path", Status: http.StatusNotFound}
	errToken      = &Error{Code: 9109, Text: "Invalid access token", Status: http.StatusForbidden}
	errKey        = &Error{Code: 9103, Text: "Unknown X-Auth-Key or X-Auth-Email", Status: http.StatusForbidden}
	errNoToken    = &Error{Code: 10000, Text: "Authentication error", Status: http.StatusForbidden}
	errHeader     = &Error{Code: 6003, Text: "Invalid request headers"}
	errBody       = &Error{Code: 6007, Text: "Malformed JSON in request body"}
	errTooLarge   = &Error{Code: 6008, Text: "the body is too large", Status: http.StatusRequestEntityTooLarge}
	errBatch      = &Error{Code: 1004, Text: "the batch has more edits than are allowed"}
	errTTLText    = &Error{Code: 9022, Text: "TTL must be a number, not a string"}
	errIncomplete = &Error{Code: 1004, Text: "a record needs a name, a type, and content or data"}
	errTypeChange = &Error{Code: 1004, Text: "the type of a record does not change"}
	errData       = &Error{Code: 1004, Text: "data does not fit the type"}
	errPriority   = &Error{Code: 1004, Text: "a record of this type needs a priority, 0 to 65535"}
	errFilter     = &Error{Code: 1004, Text: "a parameter has no such value"}
	errSettings   = &Error{Code: 1004, Text: "ipv4_only and ipv6_only exclude each other"}

	// ErrNoZone and ErrNoRecord are for managers.
	ErrNoZone   = &Error{Code: 1001, Text: "Zone does not exist", Status: http.StatusNotFound}
	ErrNoRecord = &Error{Code: 81044, Text: "Record does not exist", Status: http.StatusNotFound}
	errInternal = &Error{Code: 1000, Text: "internal error", Status: http.StatusInternalServerError}
)
