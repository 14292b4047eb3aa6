package zone

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"tacit/internal/wire"
)

// A Status says whether a zone is served, and how. The words are those of the Cloudflare API.
type Status uint8

// Statuses.
const (
	Active       Status = iota // as it is
	Initializing               // not served: names in it are resolved like any others
	Pending                    // served, with the records that are proxied as if they were not
	Moved                      // as pending
	Deleted                    // as pending, for 7 days after the file was changed last, and then not served
)

var statuses = map[string]Status{
	"active": Active, "initializing": Initializing, "pending": Pending, "moved": Moved, "deleted": Deleted,
}

// String returns the word for a status.
func (s Status) String() string {
	for word, is := range statuses {
		if is == s {
			return word
		}
	}
	return ""
}

// deletedFor is how long a deleted zone is served.
const deletedFor = 7 * 24 * time.Hour

// A Flattening says which CNAME records are given as the addresses of their targets. One at the apex always is, since it stands
// beside other types, and so is one that is marked.
type Flattening uint8

// Flattenings.
const (
	FlattenInZone  Flattening = iota // those whose target lies in the zone
	FlattenApex                      // no others
	FlattenAll                       // all
	FlattenNothing                   // none: what is had from a primary stands as it is there
)

var flattenings = map[string]Flattening{"in-zone": FlattenInZone, "apex": FlattenApex, "all": FlattenAll}

// A Signing says whether a zone is signed. The words behind signed= are those of the Cloudflare API.
type Signing uint8

// Signings.
const (
	Unsigned    Signing = iota
	Signed              // and the parent is asked for a DS record (RFC 7344)
	Withdrawing         // signed still, and the parent is asked to drop its DS records (RFC 8078 section 4)
)

var signings = map[string]Signing{
	"": Signed, "pending": Signed, "active": Signed, "pending-disabled": Withdrawing, "disabled": Withdrawing,
	"deleted": Unsigned,
}

// Settings are what a zone file says of the zone as a whole, in a comment that stands before all records and directives:
//
//	; tacit: signed status=pending flatten=all edge=203.0.113.10,2001:db8::10
type Settings struct {
	Status        Status
	Paused        bool // the same as pending, whatever the status
	Partial       bool // names are served below the suffix for such zones, and the zone itself elsewhere
	MultiProvider bool // the NS records of the file count, too
	Flattening    Flattening
	Edge          []netip.Addr // instead of those of the configuration
	Signing       Signing
}

const settingsMark = "tacit:"

// leads reports whether proxied records lead to the edge.
func (s *Settings) leads() bool { return s.Status == Active && !s.Paused }

// served reports whether the zone is answered for at all; changed is when the file was.
func (s *Settings) served(changed, now time.Time) bool {
	return s.Status != Initializing && (s.Status != Deleted || now.Sub(changed) < deletedFor)
}

// readSettings reads the settings of a zone file into s, which has what is so without them.
func readSettings(file string, text []byte, s Settings) (_ Settings, problems Problems) {
	number, late := 0, false
	for line := range bytes.Lines(text) {
		number++
		trimmed := bytes.TrimSpace(line)
		late = late || len(trimmed) > 0 && trimmed[0] != ';'
		if late && line[0] != ';' {
			continue
		}
		words, ok := settingLine(trimmed)
		if ok && late {
			problems = append(problems, Problem{File: file, Line: number, Text: errLate.Error(), Warning: true})
			continue
		}
		for _, word := range words {
			if err := s.set(word); err != nil {
				problems = append(problems, Problem{File: file, Line: number, Text: err.Error(), Detail: NewContent(word)})
			}
		}
	}
	return s, problems[:min(len(problems), maxProblems)]
}

// settingLines returns the lines of a zone file that have its settings.
func settingLines(text []byte) (lines []byte) {
	for line := range bytes.Lines(text) {
		trimmed := bytes.TrimSpace(line)
		if len(trimmed) > 0 && trimmed[0] != ';' {
			break
		}
		if _, ok := settingLine(trimmed); ok {
			lines = append(append(lines, trimmed...), '\n')
		}
	}
	return lines
}

// Why a setting is none.
const (
	errLate       problemText = "has settings behind a record or a directive, where they do not count"
	errSetting    problemText = "is no setting of a zone: status, paused, type, flatten, multi-provider, edge, signed"
	errSigning    problemText = "signed is one of active, pending, pending-disabled, disabled, deleted, or stands alone"
	errStatus     problemText = "status is one of active, initializing, pending, moved, deleted"
	errType       problemText = "type is one of full, partial"
	errFlattening problemText = "flatten is one of in-zone, apex, all"
	errEdge       problemText = "edge is a list of addresses"
)

func (s *Settings) set(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	known := true
	switch name {
	case "status":
		s.Status, known = statuses[value]
		err = errStatus
	case "paused":
		s.Paused = true
	case "multi-provider":
		s.MultiProvider = true
	case "type":
		s.Partial, known = value == "partial", value == "partial" || value == "full"
		err = errType
	case "flatten":
		s.Flattening, known = flattenings[value]
		err = errFlattening
	case "signed":
		s.Signing, known = signings[value]
		err = errSigning
	case "edge":
		return s.setEdge(value)
	default:
		return errSetting
	}
	if !known {
		return err
	}
	return nil
}

func (s *Settings) setEdge(list string) error {
	for text := range strings.SplitSeq(list, ",") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return errEdge
		}
		s.Edge = append(s.Edge, a.Unmap())
	}
	return nil
}

// Options say how zones are made of files. The zero value serves files as they are, and leads proxied records nowhere.
type Options struct {
	// Nameservers are the NS RRset of each zone; the first is named in its SOA record, too. Empty: those of the file.
	Nameservers []wire.Name
	// MinTTL is the least TTL, in seconds, of what edits write, whoever makes them. 0: 30.
	MinTTL uint32
	// Edge is where proxied records lead.
	Edge Edge
	// Keys sign the zones that say so. Nil: those are built, and not answered for.
	Keys *Keys
}

// An Edge is what stands before the origins of proxied records.
type Edge struct {
	// Addresses are what is answered instead of the origin's.
	Addresses []netip.Addr
	// ALPN are the protocols that the edge speaks, for HTTPS records (RFC 9460 section 9). Empty: there are none.
	ALPN []string
	// PartialSuffix is below which the names of partial zones are served.
	PartialSuffix wire.Name
	// Listening are addresses at which tacit is reached: no origin, as the edge is none.
	Listening []netip.Addr
	// OriginAllow are addresses that are origins although they are special.
	OriginAllow []netip.Prefix
}
