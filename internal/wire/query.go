package wire

// A Query is the parsed view of a client's message. It aliases the message, so it is good only as long as the
// receive buffer is; Question copies out what may live longer. A Query is meant to be reused.
type Query struct {
	ID   uint16
	RD   bool
	AD   bool
	CD   bool
	Type Type

	Class Class
	View  View // set by the front door
	Anew  bool // likewise: see Question

	EDNS      bool // the message has an OPT record; what follows is from there
	DO        bool
	CO        bool   // compact answers are understood (RFC 9824 section 5.1); only with DO
	UDPSize   uint16 // at least 512 (RFC 6891 section 6.2.3); 512 without EDNS
	Cookie    []byte // client cookie and, behind it, the server cookie (RFC 7873 section 4), nil without
	Keepalive bool   // edns-tcp-keepalive (RFC 7828)
	Padding   bool   // padding (RFC 7830)
	Subnet    bool   // client-subnet (RFC 7871), of which nothing else is read

	// What to answer when Parse returns Reject.
	Rcode  Rcode
	Reason ExtendedError

	message []byte
	opcode  Opcode
	signed  bool // the last record is a TSIG record
	folded  [MaxNameLength]byte
	nameLen int // 0 when the question could not be read
}

// A Verdict is what becomes of a client's message.
type Verdict uint8

// Verdicts.
const (
	Accept Verdict = iota // a question to be resolved
	Reject                // answer with Query.Rcode and Query.Reason, resolve nothing
	Drop                  // answer nothing: not a query
)

// Limits of a client's message (the counts of the header decide before anything behind it is read).
const (
	maxAnswerCount     = 1 // tolerated, never looked at
	maxAdditionalCount = 2 // OPT and TSIG
	maxEDNSOptions     = 32
)

// EDNS option codes (IANA registry).
const (
	OptionSubnet    = 8
	OptionCookie    = 10
	OptionKeepalive = 11
	OptionPadding   = 12
	OptionEDE       = 15
)

// Parse reads a client's message and says what becomes of it. First the twelve octets of the header decide, then
// the question, then the OPT record.
func (q *Query) Parse(msg []byte) Verdict {
	q.reset(msg)
	if len(msg) < HeaderLength {
		return Drop
	}
	flags := be16(msg[2:])
	if flags&flagQR != 0 { // a response: answering it could start a loop
		return Drop
	}
	q.ID, q.opcode = be16(msg), Opcode(flags>>11&0xf)
	q.RD, q.AD, q.CD = flags&flagRD != 0, flags&flagAD != 0, flags&flagCD != 0
	if verdict := q.checkHeader(); verdict != Accept {
		return verdict
	}
	off, ok := q.parseQuestion()
	if !ok {
		return q.reject(FormErr, EDEOther, "malformed question")
	}
	if !q.parseRecords(off) {
		q.forgetEDNS()
		return q.reject(FormErr, EDEOther, "malformed record in a query")
	}
	return q.judge()
}

// reset makes q a new Query with the View that it has. The folded name is left as it is: clearing it would take longer than
// all the rest, and nameLen says that there is none.
func (q *Query) reset(msg []byte) {
	q.message, q.nameLen = msg, 0
	q.ID, q.opcode, q.RD, q.AD, q.CD = 0, 0, false, false, false
	q.Type, q.Class, q.signed, q.Anew = 0, 0, false, false
	q.forgetEDNS()
	q.Rcode, q.Reason = NoError, ExtendedError{}
}

const minUDPSize = 512

// forgetEDNS undoes what was read of an OPT record before the message turned out to be malformed: the answer goes out
// as to a client without EDNS.
func (q *Query) forgetEDNS() {
	q.EDNS, q.DO, q.CO, q.Keepalive, q.Padding, q.Subnet = false, false, false, false, false, false
	q.UDPSize, q.Cookie = minUDPSize, nil
}

func (q *Query) reject(rcode Rcode, code EDE, text string) Verdict {
	q.Rcode, q.Reason = rcode, ExtendedError{code, text}
	return Reject
}

func (q *Query) checkHeader() Verdict {
	switch q.opcode {
	case OpcodeQuery:
	case OpcodeNotify, OpcodeUpdate:
		return q.reject(Refused, EDENotSupported, "not for this server")
	default:
		return q.reject(NotImp, EDENotSupported, "opcode")
	}
	m := q.message
	switch {
	case be16(m[4:]) != 1: // RFC 9619
		return q.reject(FormErr, EDEOther, "a query has one question")
	case be16(m[6:]) > maxAnswerCount, be16(m[8:]) > maxAnswerCount, be16(m[10:]) > maxAdditionalCount:
		return q.reject(FormErr, EDEOther, "records in a query")
	}
	return Accept
}

func (q *Query) parseQuestion() (end int, ok bool) {
	n, err := foldName(q.folded[:], q.message[HeaderLength:])
	if err != nil || len(q.message) < HeaderLength+n+4 {
		return 0, false
	}
	end = HeaderLength + n
	q.nameLen = n
	q.Type, q.Class = Type(be16(q.message[end:])), Class(be16(q.message[end+2:]))
	return end + 4, true
}

// parseRecords walks over the few records that a query may carry and reads the OPT record among them.
func (q *Query) parseRecords(off int) bool {
	m := q.message
	before := int(be16(m[6:])) + int(be16(m[8:]))
	for i := range before + int(be16(m[10:])) {
		record, end, ok := parseRecord(m, off)
		if !ok {
			return false
		}
		if record.kind == TypeOPT && (i < before || !q.parseOPT(record)) {
			return false
		}
		q.signed = record.kind == TypeTSIG && i >= before
		off = end
	}
	return off == len(m)
}

type record struct {
	root  bool // the owner is the root
	kind  Type
	class uint16
	ttl   uint32
	data  []byte
}

// parseRecord reads the record at off and returns where the next one starts.
func parseRecord(m []byte, off int) (r record, end int, ok bool) {
	start := off
	off, ok = skipName(m, off)
	if !ok || off+10 > len(m) {
		return record{}, 0, false
	}
	end = off + 10 + int(be16(m[off+8:]))
	if end > len(m) {
		return record{}, 0, false
	}
	r = record{
		root: m[start] == 0, kind: Type(be16(m[off:])), class: be16(m[off+2:]),
		ttl: be32(m[off+4:]), data: m[off+10 : end],
	}
	return r, end, true
}

// skipName returns the offset behind the name at off, which may end in a compression pointer.
func skipName(m []byte, off int) (end int, ok bool) {
	for off < len(m) {
		switch size := int(m[off]); {
		case size == 0:
			return off + 1, true
		case size >= 0xc0:
			return off + 2, off+2 <= len(m)
		case size > MaxLabelLength:
			return 0, false
		default:
			off += 1 + size
		}
	}
	return 0, false
}

func (q *Query) parseOPT(r record) bool {
	if q.EDNS || !r.root { // RFC 6891 section 6.1.1: one, owned by the root
		return false
	}
	q.EDNS = true
	q.UDPSize = max(r.class, minUDPSize)
	q.DO = r.ttl&(1<<15) != 0
	q.CO = q.DO && r.ttl&(1<<14) != 0
	if version := byte(r.ttl >> 16); version != 0 { // RFC 6891 section 6.1.3
		q.reject(BadVers, EDEOther, "EDNS version")
		return true // options of another version are not ours to read
	}
	return q.parseOptions(r.data)
}

func (q *Query) parseOptions(data []byte) bool {
	for count := 0; len(data) > 0; count++ {
		if len(data) < 4 || count == maxEDNSOptions {
			return false
		}
		code, size := be16(data), int(be16(data[2:]))
		if len(data) < 4+size {
			return false
		}
		if !q.takeOption(code, data[4:4+size]) {
			return false
		}
		data = data[4+size:]
	}
	return true
}

func (q *Query) takeOption(code uint16, value []byte) bool {
	switch code {
	case OptionCookie: // RFC 7873 section 5.2.2: 8 octets, or 16 to 40
		if q.Cookie != nil {
			break // section 5.2: only the first one counts
		}
		if len(value) != 8 && (len(value) < 16 || len(value) > 40) {
			return false
		}
		q.Cookie = value
	case OptionKeepalive:
		q.Keepalive = true
	case OptionPadding:
		q.Padding = true
	case OptionSubnet:
		q.Subnet = true
	}
	return true
}

// judge decides on a message that is well formed.
func (q *Query) judge() Verdict {
	switch {
	case q.Rcode != NoError: // BADVERS, found on the way
		return Reject
	case q.Class != ClassIN:
		return q.reject(Refused, EDENotSupported, "class")
	case q.Type == TypeAXFR, q.Type == TypeIXFR:
		return q.reject(Refused, EDENotAuthoritative, "zone transfer")
	case q.Type == TypeNXNAME: // RFC 9824 section 3.5
		return q.reject(FormErr, edeInvalidQueryType, "NXNAME")
	case q.Type != TypeANY && q.Type.IsMeta():
		return q.reject(Refused, edeInvalidQueryType, "meta type")
	}
	return Accept
}

const edeInvalidQueryType EDE = 30

// Question returns what was asked as a value that outlives the receive buffer. It interns the name: call it only
// when no finished answer was found, so that names asked once do not fill the table of names.
func (q *Query) Question() Question {
	return Question{
		Name: intern(q.folded[:q.nameLen]), Type: q.Type, Class: q.Class,
		DO: q.DO, CO: q.CO, CD: q.CD, View: q.View, NoRecursion: !q.RD, Anew: q.Anew,
	}
}

// FoldedName returns the name of the question in wire form and lower case, nil when it could not be read.
func (q *Query) FoldedName() []byte { return q.folded[:q.nameLen] }

// RawQuestion returns the question section as it was sent, letter case kept, nil when it could not be read.
func (q *Query) RawQuestion() []byte {
	if q.nameLen == 0 {
		return nil
	}
	return q.message[HeaderLength : HeaderLength+q.nameLen+4]
}

// IsOfZones reports whether a message that is well formed, as far as it was read, is for whoever keeps zones: NOTIFY, UPDATE,
// questions for transfers, and the questions for SOA records that go with them and are signed.
func (q *Query) IsOfZones() bool {
	switch q.opcode {
	case OpcodeNotify, OpcodeUpdate:
		return true
	case OpcodeQuery:
		return q.Type == TypeAXFR || q.Type == TypeIXFR || q.Type == TypeSOA && q.signed
	default:
		return false
	}
}

// Opcode returns the opcode of the message.
func (q *Query) Opcode() Opcode { return q.opcode }
