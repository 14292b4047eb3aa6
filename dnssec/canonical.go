package dnssec

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"

	"tacit/internal/wire"
)

// A scratch is the memory in which RRsets are brought into canonical form; it is reused.
type scratch struct {
	data    []byte   // what a signature or digest is made over
	rdata   []byte   // RDATA in canonical form, one behind the other
	records [][]byte // of rdata, in canonical order
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxScratch is the largest buffer that is kept: an RRset fits into a message of 64 KiB, and few come near.
const maxScratch = 16 << 10

func (c *scratch) release() {
	if cap(c.data) <= maxScratch && cap(c.rdata) <= maxScratch {
		scratches.Put(c)
	}
}

// signed returns what s signs when it signs set (RFC 4034 section 3.1.8.1): the RDATA of the RRSIG record without the
// signature, the signer's name in canonical form, then the records in canonical form and order, with the original TTL
// and under the name of the wildcard if they come from one.
func (c *scratch) signed(s *Signature, set *wire.RRset) []byte {
	c.sort(set)
	c.data = s.Signer.Append(append(c.data[:0], s.prefix...))
	owner := set.Name
	if wildcard, ok := s.Wildcard(owner); ok {
		owner = wildcard
	}
	head := len(c.data)
	c.data = owner.Append(c.data)
	c.data = binary.BigEndian.AppendUint16(c.data, uint16(set.Type))
	c.data = binary.BigEndian.AppendUint16(c.data, uint16(wire.ClassIN))
	c.data = binary.BigEndian.AppendUint32(c.data, s.OriginalTTL)
	tail := len(c.data)
	for i, r := range c.records {
		if i > 0 {
			c.data = append(c.data, c.data[head:tail]...)
		}
		c.data = binary.BigEndian.AppendUint16(c.data, uint16(len(r)))
		c.data = append(c.data, r...)
	}
	return c.data
}

// sort fills c.records: RDATA in canonical form, ordered as octet strings (RFC 4034 section 6.3), each once.
func (c *scratch) sort(set *wire.RRset) {
	c.rdata = slices.Grow(c.rdata[:0], len(set.Data))
	c.records = c.records[:0]
	for rdata := range set.Data.All() {
		start := len(c.rdata)
		c.rdata = appendCanonical(c.rdata, set.Type, rdata)
		c.records = append(c.records, c.rdata[start:])
	}
	slices.SortFunc(c.records, bytes.Compare)
	c.records = slices.CompactFunc(c.records, bytes.Equal)
}

// appendCanonical appends RDATA in canonical form: the names in it in lower case if RFC 4034 section 6.2 lists the type.
// RDATA that does not have the form of its type stays as it is: whoever signed it had no names to fold either.
func appendCanonical(dst []byte, t wire.Type, rdata []byte) []byte {
	start := len(dst)
	dst = append(dst, rdata...)
	from, to := names(t, rdata)
	fold(dst[start+from : start+to])
	return dst
}

// A form says where the names of an RDATA stand: behind so many octets and character-strings, one behind the other.
type form struct{ octets, strings, count int }

// Types that RFC 4034 section 6.2 lists and that have no name in wire.
const (
	typeMD    wire.Type = 3
	typeMF    wire.Type = 4
	typeMB    wire.Type = 7
	typeMG    wire.Type = 8
	typeMR    wire.Type = 9
	typeMINFO wire.Type = 14
	typeRP    wire.Type = 17
	typeAFSDB wire.Type = 18
	typeRT    wire.Type = 21
	typeSIG   wire.Type = 24
	typePX    wire.Type = 26
	typeNXT   wire.Type = 30
	typeSRV   wire.Type = 33
	typeNAPTR wire.Type = 35
	typeKX    wire.Type = 36
	typeA6    wire.Type = 38
)

// forms holds the types whose names are folded: those of RFC 4034 section 6.2 without NSEC (RFC 6840 section 5.1), and
// without HINFO, which has no names. The list is closed: types that came later keep their octets (RFC 3597 section 7).
var forms = map[wire.Type]form{
	wire.TypeNS:    {count: 1},
	typeMD:         {count: 1},
	typeMF:         {count: 1},
	wire.TypeCNAME: {count: 1},
	wire.TypeSOA:   {count: 2},
	typeMB:         {count: 1},
	typeMG:         {count: 1},
	typeMR:         {count: 1},
	wire.TypePTR:   {count: 1},
	typeMINFO:      {count: 2},
	wire.TypeMX:    {octets: 2, count: 1},
	typeRP:         {count: 2},
	typeAFSDB:      {octets: 2, count: 1},
	typeRT:         {octets: 2, count: 1},
	typeSIG:        {octets: signatureHeader, count: 1},
	typePX:         {octets: 2, count: 2},
	typeNXT:        {count: 1},
	typeNAPTR:      {octets: 4, strings: 3, count: 1},
	typeKX:         {octets: 2, count: 1},
	typeSRV:        {octets: 6, count: 1},
	wire.TypeDNAME: {count: 1},
	typeA6:         {count: 1}, // what stands in front depends on the record: see names
	wire.TypeRRSIG: {octets: signatureHeader, count: 1},
}

// names returns where in rdata the names stand that are to be folded, from == to when there are none.
func names(t wire.Type, rdata []byte) (from, to int) {
	f := forms[t]
	from = f.octets
	if t == typeA6 {
		from = a6Header(rdata)
	}
	for range f.strings {
		if from >= len(rdata) {
			return 0, 0
		}
		from += 1 + int(rdata[from])
	}
	to = from
	for range f.count {
		size := nameLength(rdata, to)
		if size == 0 {
			return 0, 0
		}
		to += size
	}
	return from, to
}

// a6Header returns the length of what stands in front of the name of an A6 record (RFC 2874 section 3.1): the length of
// the prefix in bits, and the octets that the rest of the address takes. A prefix of no bits has no name.
func a6Header(rdata []byte) int {
	if len(rdata) == 0 || rdata[0] == 0 || rdata[0] > 128 {
		return len(rdata)
	}
	return 1 + (128-int(rdata[0])+7)/8
}

// nameLength returns the length of the uncompressed name at off, 0 when there is none.
func nameLength(rdata []byte, off int) int {
	for end := off; end < len(rdata) && rdata[end] <= wire.MaxLabelLength; {
		label := int(rdata[end])
		end += 1 + label
		if end > len(rdata) || end-off > wire.MaxNameLength {
			break
		}
		if label == 0 {
			return end - off
		}
	}
	return 0
}

// fold turns names into lower case. Length octets are at most 63, below the letters, so they need no care.
func fold(names []byte) {
	for i, c := range names {
		if 'A' <= c && c <= 'Z' {
			names[i] = c + 'a' - 'A'
		}
	}
}
