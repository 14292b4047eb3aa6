package wire

// AppendCanonical appends RDATA in canonical form: the names in it in lower case if RFC 4034 section 6.2 lists the type.
// RDATA that does not have the form of its type stays as it is: whoever signed it had no names to fold either.
func AppendCanonical(dst []byte, t Type, rdata []byte) []byte {
	start := len(dst)
	dst = append(dst, rdata...)
	from, to := names(t, rdata)
	folded := dst[start+from : start+to]
	fold(folded, folded)
	return dst
}

// signatureHeader is what stands in front of the signer's name in an RRSIG record (RFC 4034 section 3.1).
const signatureHeader = 18

// A form says where the names of an RDATA stand: behind so many octets and character-strings, one behind the other.
type form struct{ octets, strings, count int }

// Types that RFC 4034 section 6.2 lists and that have no name elsewhere.
const (
	typeMD    Type = 3
	typeMF    Type = 4
	typeMB    Type = 7
	typeMG    Type = 8
	typeMR    Type = 9
	typeMINFO Type = 14
	typeRP    Type = 17
	typeAFSDB Type = 18
	typeRT    Type = 21
	typeSIG   Type = 24
	typePX    Type = 26
	typeNXT   Type = 30
	typeSRV   Type = 33
	typeNAPTR Type = 35
	typeKX    Type = 36
	typeA6    Type = 38
)

// forms holds the types whose names are folded: those of RFC 4034 section 6.2 without NSEC (RFC 6840 section 5.1), and
// without HINFO, which has no names. The list is closed: types that came later keep their octets (RFC 3597 section 7).
var forms = map[Type]form{
	TypeNS:    {count: 1},
	typeMD:    {count: 1},
	typeMF:    {count: 1},
	TypeCNAME: {count: 1},
	TypeSOA:   {count: 2},
	typeMB:    {count: 1},
	typeMG:    {count: 1},
	typeMR:    {count: 1},
	TypePTR:   {count: 1},
	typeMINFO: {count: 2},
	TypeMX:    {octets: 2, count: 1},
	typeRP:    {count: 2},
	typeAFSDB: {octets: 2, count: 1},
	typeRT:    {octets: 2, count: 1},
	typeSIG:   {octets: signatureHeader, count: 1},
	typePX:    {octets: 2, count: 2},
	typeNXT:   {count: 1},
	typeNAPTR: {octets: 4, strings: 3, count: 1},
	typeKX:    {octets: 2, count: 1},
	typeSRV:   {octets: 6, count: 1},
	TypeDNAME: {count: 1},
	typeA6:    {count: 1}, // what stands in front depends on the record: see names
	TypeRRSIG: {octets: signatureHeader, count: 1},
}

// names returns where in rdata the names stand that are to be folded, from == to when there are none.
func names(t Type, rdata []byte) (from, to int) {
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
		if to > len(rdata) {
			return 0, 0
		}
		size, err := nameLength(rdata[to:])
		if err != nil {
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
