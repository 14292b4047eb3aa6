package upstream

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A query is a question as it goes to one server once, and the measure of what may come back.
type query struct {
	msg      []byte
	question int  // where the question section ends in msg
	limit    int  // the most octets that a reply over UDP may have
	form     form // what msg was built from
}

// A form is what a query is made of beside name and type. Nothing in it comes from a client.
type form struct {
	recurse  bool   // RD=1
	plain    bool   // without EDNS
	mixed    bool   // random letter case
	padded   bool   // to a length that says little, and without a cookie, where the transport hides the rest
	zeroID   bool   // the transport tells queries apart by itself
	cookie   cookie // the client cookie for this server
	returned []byte // the server cookie that belongs to it, if known
	expected bool   // the server has been seen to return cookies
}

const (
	// payloadSize is the size of UDP replies that is advertised (RFC 6891 section 6.2.3): what passes every common
	// path unfragmented, as agreed for the DNS flag day 2020.
	payloadSize = 1232
	// plainSize is what a reply may have without EDNS (RFC 1035 section 4.2.1).
	plainSize = 512
	// maxRecords bounds what is unpacked of one reply. It is four of the largest RRsets that are ever kept.
	maxRecords = 1024
	// recordSize is the least that a record takes: root, type, class, TTL, no RDATA.
	recordSize = 11
)

const (
	flagQR     = 0x80 // in octet 2
	flagsQuery = 0x78 // the opcode's bits, zero in a query, in octet 2
	flagTC     = 0x02 // in octet 2
	flagRD     = 0x01 // in octet 2
	optionSize = 4    // code and length of an EDNS option
	optSize    = 11   // an OPT record without options
	doBit      = 0x80
)

// paddingBlock is the length of which queries are a multiple where they are encrypted (RFC 8467 section 4.1).
const paddingBlock = 128

// newQuery builds a query from name and type alone. ID and letter case come from the system's random source
// (RFC 5452 sections 4.3 and 9.2). DO is always set: whether a client wants signatures is nobody's business upstream.
func newQuery(q wire.Question, f form) query {
	var random [2 + wire.MaxNameLength/8 + 1]byte // an ID, and a bit for each octet of the name
	rand.Read(random[:])
	msg := make([]byte, 0, 128)
	msg = append(msg, random[0], random[1], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	if f.zeroID {
		msg[0], msg[1] = 0, 0 // RFC 9250 section 4.2.1; RFC 8484 section 4.1
	}
	if f.recurse {
		msg[2] |= flagRD
	}
	msg = q.Name.Append(msg)
	if f.mixed {
		mixCase(msg[wire.HeaderLength:], random[2:])
	}
	msg = binary.BigEndian.AppendUint16(msg, uint16(q.Type))
	msg = binary.BigEndian.AppendUint16(msg, uint16(wire.ClassIN))
	built := query{msg: msg, question: len(msg), limit: plainSize, form: f}
	if !f.plain {
		built.msg = appendOPT(msg, f)
		built.limit = payloadSize
	}
	return built
}

// mixCase turns each letter of a name in wire form to upper case with probability one half. Length octets are at
// most 63, below the letters.
func mixCase(name, random []byte) {
	for i, c := range name {
		if 'a' <= c && c <= 'z' && random[i/8]>>(i%8)&1 == 1 {
			name[i] = c - 'a' + 'A'
		}
	}
}

// appendOPT appends the OPT record (RFC 6891 section 6.1.2) with its one option and counts it.
func appendOPT(msg []byte, f form) []byte {
	code, data := uint16(dns.EDNS0COOKIE), append(f.cookie[:], f.returned...) // RFC 7873 section 4
	if f.padded {
		length := len(msg) + optSize + optionSize
		code, data = dns.EDNS0PADDING, make([]byte, (paddingBlock-length%paddingBlock)%paddingBlock) // RFC 7830 section 3
	}
	msg[11] = 1
	msg = append(msg, 0, 0, byte(wire.TypeOPT), payloadSize>>8, payloadSize&0xff, 0, 0, doBit, 0)
	msg = binary.BigEndian.AppendUint16(msg, uint16(optionSize+len(data)))
	msg = binary.BigEndian.AppendUint16(msg, code)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(data)))
	return append(msg, data...)
}

func (q *query) id() uint16 { return binary.BigEndian.Uint16(q.msg) }

// A finding is what a message from the server's address turns out to be when it is held against the query.
type finding uint8

const (
	matching  finding = iota // ID and question are ours
	foreign                  // not a reply to this question
	wrongID                  // a reply, but to another ID
	wrongCase                // ID and question are ours, the letter case is not
	bare                     // the ID is ours; an error without a question
)

// inspect looks at nothing behind the question: that costs work, which only a reply to this query is worth.
// RFC 5452 section 9.1: a reply must match the query's ID and question.
func (q *query) inspect(reply []byte) finding {
	if len(reply) < wire.HeaderLength || reply[2]&flagQR == 0 || reply[2]&flagsQuery != 0 {
		return foreign
	}
	if !bytes.Equal(reply[:2], q.msg[:2]) {
		return wrongID
	}
	if binary.BigEndian.Uint16(reply[4:]) == 0 && reply[3]&0xf != 0 {
		return bare
	}
	if binary.BigEndian.Uint16(reply[4:]) != 1 || len(reply) < q.question {
		return foreign
	}
	sent, echoed := q.msg[wire.HeaderLength:q.question], reply[wire.HeaderLength:q.question]
	switch {
	case bytes.Equal(sent, echoed):
		return matching
	case !equalFold(sent, echoed):
		return foreign
	case q.form.mixed:
		return wrongCase
	default:
		return matching // what was sent in lower case may come back in any
	}
}

// fits reports whether reply is one to q, over a transport on which nobody but the server can have sent it: there an error
// may come without its question.
func (q *query) fits(reply []byte) bool {
	f := q.inspect(reply)
	return f == matching || f == bare
}

// equalFold compares questions without regard to the letter case of the name. Type and class are numbers.
func equalFold(a, b []byte) bool {
	name := len(a) - 4
	return bytes.Equal(a[name:], b[name:]) && bytes.EqualFold(a[:name], b[:name])
}

// truncated reports whether the rest is to be fetched over TCP (RFC 2181 section 9).
func truncated(reply []byte) bool { return reply[2]&flagTC != 0 }

// unpack reads a whole reply that inspect has let through. The counts in the header are the sender's word: they are held
// against the length before, and against what was found after, because dns.Msg takes missing records silently.
func (q *query) unpack(reply []byte) (*dns.Msg, bool) {
	question := q.question
	if binary.BigEndian.Uint16(reply[4:]) == 0 {
		question = wire.HeaderLength
	}
	var counts [3]int
	total := 0
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(reply[6+2*i:]))
		total += counts[i]
	}
	if total > maxRecords || total*recordSize > len(reply)-question {
		return nil, false
	}
	msg := new(dns.Msg)
	if err := msg.Unpack(reply); err != nil {
		return nil, false
	}
	if len(msg.Answer) != counts[0] || len(msg.Ns) != counts[1] || len(msg.Extra) != counts[2] {
		return nil, false
	}
	return msg, countOPT(msg.Extra) <= 1
}

// countOPT counts OPT records; a message has at most one (RFC 6891 section 6.1.1).
func countOPT(records []dns.RR) int {
	count := 0
	for _, rr := range records {
		if rr.Header().Rrtype == dns.TypeOPT {
			count++
		}
	}
	return count
}

// refusesEDNS reports whether rcode is what servers say to queries whose OPT record they do not understand
// (RFC 6891 section 7).
func refusesEDNS(rcode int) bool {
	return rcode == int(wire.FormErr) || rcode == int(wire.NotImp) || rcode == int(wire.BadVers)
}
