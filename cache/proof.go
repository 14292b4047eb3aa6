package cache

import (
	"encoding/binary"

	"tacit/internal/wire"
)

// Proofs are kept as bytes behind the entry's own, one RRset after the other: name in wire form, type, TTL, and
// length and octets of the RDATA and of the signatures.

// appendProof appends sets to dst.
func appendProof(dst []byte, sets []wire.RRset) []byte {
	for i := range sets {
		set := &sets[i]
		dst = set.Name.Append(dst)
		dst = binary.BigEndian.AppendUint16(dst, uint16(set.Type))
		dst = binary.BigEndian.AppendUint32(dst, set.TTL)
		for _, data := range []wire.Rdatas{set.Data, set.Sigs} {
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
			dst = append(dst, data...)
		}
	}
	return dst
}

// readProof reads what appendProof wrote. The sets share memory with b.
func readProof(b []byte) []wire.RRset {
	var sets []wire.RRset
	for len(b) > 0 {
		name, err := wire.NameFromWire(b)
		if err != nil {
			return nil // it was written from a Name: only a fault of this package comes here
		}
		b = b[name.Len():]
		set := wire.RRset{Name: name, Type: wire.Type(binary.BigEndian.Uint16(b)), TTL: binary.BigEndian.Uint32(b[2:])}
		b = b[6:]
		set.Data, b = cutRdatas(b)
		set.Sigs, b = cutRdatas(b)
		sets = append(sets, set)
	}
	return sets
}

func cutRdatas(b []byte) (data wire.Rdatas, rest []byte) {
	end := 4 + binary.BigEndian.Uint32(b)
	return wire.Rdatas(b[4:end:end]), b[end:]
}
