package wire

import (
	"hash/maphash"
	"iter"
	"time"
)

// A View tells groups of clients apart whose answers differ; 0 is everybody. It is part of every cache key.
type View uint8

// A Question is what was asked. Everything about who asked is left behind at the front door: there is no field here
// in which an address fits.
type Question struct {
	Name  Name
	Type  Type
	Class Class
	DO    bool // DNSSEC records are wanted (RFC 3225)
	CO    bool // NXDOMAIN may stand beside a compact denial (RFC 9824 section 5.1)
	CD    bool // checking is disabled (RFC 4035 section 3.2.2)
	View  View

	// NoRecursion is set when the client did not ask for recursion (RD=0): only local data may answer.
	NoRecursion bool
	// Anew is set when nothing that others have asked for may answer: it is found out once more.
	Anew bool
}

// An Answer is a finished answer, shared by all who asked the same Question. Packet is a whole message without OPT:
// ID zero, QR and RA set, RD and CD clear, AD as validated, the name of the question in lower case. Its bytes are
// shared: who patches them copies them first.
type Answer struct {
	Packet  []byte
	Expires time.Time       // when the first TTL in it runs out
	Refresh time.Time       // from when on it pays to ask anew; zero: not before
	Errors  []ExtendedError // travel in the OPT record, which each client gets its own
	Fixed   bool            // TTLs do not count down: a local zone's own word
	Lives   []Life          // of the records in Packet, one for each; without them their TTLs are not blurred
}

// A Life is what blurring the TTL of a record takes: how long the record was to be kept when it was learned, in seconds, and a mark
// of the RRset, under a key of this process. Records that say the same of when something was learned have the same mark, so that
// nobody can hold the one against the other. A life of zero seconds is not blurred.
type Life struct{ Seconds, Mark uint32 }

// MarkOf returns the mark of an RRset.
func MarkOf(name Name, t Type) uint32 {
	return uint32(maphash.String(compressionSeed, name.wire())>>32) + uint32(t)*0x9e3779b1
}

// Rcode returns the response code in the answer's header.
func (a *Answer) Rcode() Rcode { return Rcode(a.Packet[3] & 0x0f) }

// An RRset is the resource records of one name, type and class IN (RFC 9499 section 5) with the signatures that
// cover it. RDATA is in canonical wire form, that is without compression; the letter case of names in it is kept.
type RRset struct {
	Name Name
	Type Type
	TTL  uint32 // seconds
	Data Rdatas
	Sigs Rdatas // RDATA of the RRSIG records
}

// Rdatas is the RDATA of several records, each behind its length in two octets: one allocation and no pointers,
// however many records.
type Rdatas []byte

// Add appends one record's RDATA, at most 65,535 octets.
func (r Rdatas) Add(rdata []byte) Rdatas {
	return append(append(r, byte(len(rdata)>>8), byte(len(rdata))), rdata...)
}

// Next splits the first record's RDATA off. rest is empty after the last; rdata is nil when there is none.
func (r Rdatas) Next() (rdata []byte, rest Rdatas) {
	if len(r) < 2 {
		return nil, nil
	}
	size := 2 + int(r[0])<<8 + int(r[1])
	return r[2:size:size], r[size:]
}

// All yields the RDATA of each record.
func (r Rdatas) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := r; len(rest) > 0; {
			var rdata []byte
			if rdata, rest = rest.Next(); rdata == nil || !yield(rdata) {
				return
			}
		}
	}
}

// Count returns the number of records.
func (r Rdatas) Count() int {
	count := 0
	for range r.All() {
		count++
	}
	return count
}

// Flags of a message's header, octets 2 and 3 (RFC 1035 section 4.1.1, RFC 4035 section 3.2).
const (
	flagQR = 1 << 15
	flagAA = 1 << 10
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagAD = 1 << 5
	flagCD = 1 << 4
)

// HeaderLength is the length of a message's header in octets.
const HeaderLength = 12

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }

func be32(b []byte) uint32 { return uint32(be16(b))<<16 | uint32(be16(b[2:])) }

func put32(b []byte, v uint32) {
	put16(b, uint16(v>>16))
	put16(b[2:], uint16(v))
}
