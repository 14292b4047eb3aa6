package wire

import "strconv"

// A Type is an RR type (RFC 1035 section 3.2.2 and the IANA registry). Only those that tacit treats in a way of
// their own have a name here.
type Type uint16

// RR types.
const (
	TypeA      Type = 1
	TypeNS     Type = 2
	TypeCNAME  Type = 5
	TypeSOA    Type = 6
	TypePTR    Type = 12
	TypeHINFO  Type = 13
	TypeMX     Type = 15
	TypeTXT    Type = 16
	TypeAAAA   Type = 28
	TypeDNAME  Type = 39
	TypeOPT    Type = 41
	TypeDS     Type = 43
	TypeRRSIG  Type = 46
	TypeNSEC   Type = 47
	TypeDNSKEY Type = 48
	TypeNSEC3  Type = 50
	TypeSVCB   Type = 64
	TypeNXNAME Type = 128
	TypeTSIG   Type = 250
	TypeIXFR   Type = 251
	TypeAXFR   Type = 252
	TypeANY    Type = 255

	TypeRESINFO Type = 261
)

// IsMeta reports whether t is a QTYPE or meta type that names no data (RFC 6895 section 3.1: 128 to 255 and OPT).
func (t Type) IsMeta() bool { return t == TypeOPT || 128 <= t && t <= 255 || t == 0 }

// A Class is a DNS class.
type Class uint16

// Classes.
const (
	ClassIN    Class = 1
	ClassCHAOS Class = 3
	ClassANY   Class = 255
)

// An Opcode is a kind of query (RFC 1035 section 4.1.1).
type Opcode uint8

// Opcodes.
const (
	OpcodeQuery  Opcode = 0
	OpcodeNotify Opcode = 4
	OpcodeUpdate Opcode = 5
)

// An Rcode is a response code; above 15 its upper bits travel in the OPT record (RFC 6891 section 6.1.3).
type Rcode uint16

// Response codes.
const (
	NoError   Rcode = 0
	FormErr   Rcode = 1
	ServFail  Rcode = 2
	NXDomain  Rcode = 3
	NotImp    Rcode = 4
	Refused   Rcode = 5
	BadVers   Rcode = 16
	BadCookie Rcode = 23
)

var rcodeNames = map[Rcode]string{
	NoError: "NOERROR", FormErr: "FORMERR", ServFail: "SERVFAIL", NXDomain: "NXDOMAIN", NotImp: "NOTIMP",
	Refused: "REFUSED", BadVers: "BADVERS", BadCookie: "BADCOOKIE",
}

func (r Rcode) String() string {
	if name, ok := rcodeNames[r]; ok {
		return name
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// An EDE is an extended DNS error code (RFC 8914 section 4 and the IANA registry).
type EDE uint16

// Extended DNS error codes.
const (
	EDEOther                     EDE = 0
	EDEUnsupportedDNSKEY         EDE = 1
	EDEUnsupportedDSDigest       EDE = 2
	EDEStaleAnswer               EDE = 3
	EDEForgedAnswer              EDE = 4
	EDEIndeterminate             EDE = 5
	EDEBogus                     EDE = 6
	EDESignatureExpired          EDE = 7
	EDESignatureNotYetValid      EDE = 8
	EDEDNSKEYMissing             EDE = 9
	EDERRSIGsMissing             EDE = 10
	EDENoZoneKeyBit              EDE = 11
	EDENSECMissing               EDE = 12
	EDECachedError               EDE = 13
	EDENotReady                  EDE = 14
	EDEBlocked                   EDE = 15
	EDECensored                  EDE = 16
	EDEFiltered                  EDE = 17
	EDEProhibited                EDE = 18
	EDEStaleNXDomain             EDE = 19
	EDENotAuthoritative          EDE = 20
	EDENotSupported              EDE = 21
	EDENoReachableAuthority      EDE = 22
	EDENetworkError              EDE = 23
	EDEInvalidData               EDE = 24
	EDEUnsupportedNSEC3Iteration EDE = 27
	EDESynthesized               EDE = 29
)

// CodesOfEDE is more than any code that has a label.
const CodesOfEDE = 32

var labelsEDE = [CodesOfEDE]string{
	EDEOther: "other", EDEUnsupportedDNSKEY: "unsupported_dnskey", EDEUnsupportedDSDigest: "unsupported_ds_digest", EDEStaleAnswer: "stale_answer",
	EDEForgedAnswer: "forged_answer", EDEIndeterminate: "indeterminate", EDEBogus: "bogus", EDESignatureExpired: "signature_expired",
	EDESignatureNotYetValid: "signature_not_yet_valid", EDEDNSKEYMissing: "dnskey_missing", EDERRSIGsMissing: "rrsigs_missing",
	EDENoZoneKeyBit: "no_zone_key_bit", EDENSECMissing: "nsec_missing", EDECachedError: "cached_error", EDENotReady: "not_ready",
	EDEBlocked: "blocked", EDECensored: "censored", EDEFiltered: "filtered", EDEProhibited: "prohibited", EDEStaleNXDomain: "stale_nxdomain",
	EDENotAuthoritative: "not_authoritative", EDENotSupported: "not_supported", EDENoReachableAuthority: "no_reachable_authority",
	EDENetworkError: "network_error", EDEInvalidData: "invalid_data", EDEUnsupportedNSEC3Iteration: "unsupported_nsec3_iterations",
	EDESynthesized: "synthesized",
}

// Label is a code in a word, one of a closed set.
func (e EDE) Label() string {
	if e < CodesOfEDE && labelsEDE[e] != "" {
		return labelsEDE[e]
	}
	return labelsEDE[EDEOther]
}

// An ExtendedError says to the asker, and only to the asker, why an answer is what it is (RFC 8914). Text is a
// constant or names limits and steps; it never holds an address.
type ExtendedError struct {
	Code EDE
	Text string
}
