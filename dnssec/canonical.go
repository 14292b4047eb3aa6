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
		c.rdata = wire.AppendCanonical(c.rdata, set.Type, rdata)
		c.records = append(c.records, c.rdata[start:])
	}
	slices.SortFunc(c.records, bytes.Compare)
	c.records = slices.CompactFunc(c.records, bytes.Equal)
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
