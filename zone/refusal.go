package zone

import "fmt"

// A Refusal says why an edit is refused, with the code of the management API. Its words are constants, but for numbers.
type Refusal struct {
	Code int // 0: the management API has none
	Text string
}

func (r *Refusal) Error() string {
	if r.Code == 0 {
		return r.Text
	}
	return fmt.Sprintf("%s (code %d)", r.Text, r.Code)
}

// Codes that only edits have; the others are with the drafts.
const (
	codeContent  = 1004
	codeAddress  = 9005
	codeTooLong  = 9015
	codeTTL      = 9021
	codeMissing  = 81044
	codeCombined = 83011
)

// Limits of what is added.
const (
	minTTL             = 30
	maxTTL             = 86400
	maxContentOctets   = 4096
	maxCombinedContent = 8192 // characters, of all records of a name and type
	maxServers         = 10   // of a delegation; a file that is written by hand may have more
)

var refusals = map[int]string{
	codeContent:      "the content is not that of a record of this type",
	codeName:         "the name is invalid, or lies outside the zone",
	codeTarget:       "the target is not allowed for a proxied record",
	codeNotProxiable: "records of this type cannot be proxied: A, AAAA and CNAME can",
	codeAddress:      "the content must be a valid address: IPv4 for an A record, IPv6 for an AAAA record",
	codeTooLong:      "the content takes more than 4096 octets",
	codeMissing:      "the record does not exist",
	codeCNAMEBeside:  "an A, AAAA, or CNAME record with that name already exists",
	codeBesideCNAME:  "a CNAME record with that name already exists",
	codeExists:       "the record already exists",
	codeIdentical:    "an identical record already exists",
	codeCombined:     "the records of this name and type have more than 8192 characters together",
}

// Refusals that share a code, or have none.
var (
	errComment     = &Refusal{codeContent, "the comment or a tag cannot be written into a zone file"}
	errUnknownType = &Refusal{codeContent, "is no type of record that a zone file has"}
	errServers     = &Refusal{codeContent, "a delegation has 10 name servers at most"}
	errEntangled   = &Refusal{Text: "other records would change with this one; edit the file itself"}
	errSerial      = &Refusal{Text: "the serial of the SOA record cannot be found; write it in its usual form"}
	errReplica     = &Refusal{codeContent, "the zone is a copy of its primaries', which alone can change it"}
	errGenerated   = &Refusal{Text: "the record is made by $GENERATE; edit the file itself"}
)

func refuse(code int) error { return &Refusal{Code: code, Text: refusals[code]} }
