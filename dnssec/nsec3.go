package dnssec

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the only hash that RFC 5155 defines; collisions gain nothing that the zone's own signer does not have
	"encoding/binary"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Limits of NSEC3 parameters.
const (
	// MaxIterations is how many additional iterations are believed in; a zone that asks for more is treated as
	// insecure (RFC 9276 section 3.2, whose number for this BIND, Knot Resolver and PowerDNS share).
	MaxIterations = 50
	maxSalt       = 64 // octets; RFC 9276 section 3.1 advises none
)

const (
	hashSHA1   = 1    // the hash algorithm (RFC 5155 section 11)
	flagOptOut = 0x01 // the one flag there is (section 3.1.2.1)
)

// An NSEC3 says that between two hashes, in order, no name of the zone hashes to anything, and which types the name
// has that hashes to the first (RFC 5155 section 3). With OptOut it does not speak of unsigned delegations.
type NSEC3 struct {
	NSEC3Params
	Zone       wire.Name // the owner name without the hash
	Hash, Next NSEC3Hash
	OptOut     bool
	Types      Bitmap // aliases the set
}

// ParseNSEC3 reads a set of one NSEC3 record. It refuses what a validator must ignore: unknown hash algorithms
// (RFC 5155 section 8.1), unknown flags (section 8.2), and salts longer than 64 octets.
func ParseNSEC3(set *wire.RRset) (NSEC3, bool) {
	n := NSEC3{Zone: set.Name.Parent()}
	r, rest := set.Data.Next()
	if set.Type != wire.TypeNSEC3 || len(rest) > 0 || len(r) < 5 || !n.Hash.parseLabel(set.Name.FirstLabel()) {
		return NSEC3{}, false
	}
	if r[0] != hashSHA1 || r[1]&^flagOptOut != 0 || r[4] > maxSalt {
		return NSEC3{}, false
	}
	n.OptOut, n.Iterations = r[1] == flagOptOut, binary.BigEndian.Uint16(r[2:])
	next := 5 + int(r[4]) // where the length of the next hash stands
	end := next + 1 + sha1.Size
	if len(r) < end || r[next] != sha1.Size {
		return NSEC3{}, false
	}
	n.Salt, n.Types = r[5:next:next], Bitmap(r[end:])
	copy(n.Next[:], r[next+1:])
	return n, n.Types.valid()
}

// Matches reports whether n is the record of the name with that hash.
func (n *NSEC3) Matches(hash NSEC3Hash) bool { return n.Hash == hash }

// Covers reports whether hash lies between n's hash and the next one (RFC 5155 section 1.3). The last NSEC3 of a
// zone wraps around to the first; one that points to itself covers all hashes but its own.
func (n *NSEC3) Covers(hash NSEC3Hash) bool {
	after, before := bytes.Compare(hash[:], n.Hash[:]) > 0, bytes.Compare(hash[:], n.Next[:]) < 0
	if bytes.Compare(n.Next[:], n.Hash[:]) <= 0 {
		return after || before
	}
	return after && before
}

// NSEC3Params are the parameters with which a zone hashes its names (RFC 5155 section 4).
type NSEC3Params struct {
	Iterations uint16 // beyond the first
	Salt       []byte
}

// Equal reports whether hashes made with p and q can be compared.
func (p *NSEC3Params) Equal(q *NSEC3Params) bool {
	return p.Iterations == q.Iterations && bytes.Equal(p.Salt, q.Salt)
}

// Hash hashes name (RFC 5155 section 5) after w has paid for it. The price are the SHA-1 blocks, so that long names
// and long salts cost what they cost.
func (p *NSEC3Params) Hash(w *work.Budget, name wire.Name) (NSEC3Hash, error) {
	price := blocks(name.Len()+len(p.Salt)) + int32(p.Iterations)*blocks(sha1.Size+len(p.Salt))
	if err := w.Spend(work.NSEC3Hash, price); err != nil {
		return NSEC3Hash{}, err
	}
	var buf [wire.MaxNameLength + maxSalt]byte
	hash := sha1.Sum(append(name.Append(buf[:0]), p.Salt...)) //nolint:gosec // see the import
	for range p.Iterations {
		hash = sha1.Sum(append(append(buf[:0], hash[:]...), p.Salt...)) //nolint:gosec // see the import
	}
	return hash, nil
}

// blocks counts the SHA-1 blocks of a message: its octets, one for the padding's first and eight for its length.
func blocks(octets int) int32 { return int32((octets + 9 + sha1.BlockSize - 1) / sha1.BlockSize) }

// An NSEC3Hash is the hash of a name.
type NSEC3Hash [sha1.Size]byte

// hashLabel is the length of a hash in base32 with the extended hex alphabet, unpadded (RFC 5155 section 3.3).
const hashLabel = sha1.Size * 8 / 5

// parseLabel reads the first label of an owner name. wire.Name holds lower case only.
func (h *NSEC3Hash) parseLabel(label string) bool {
	if len(label) != hashLabel {
		return false
	}
	var bits, count uint
	at := 0
	for i := range len(label) {
		var digit uint
		switch c := label[i]; {
		case '0' <= c && c <= '9':
			digit = uint(c - '0')
		case 'a' <= c && c <= 'v':
			digit = uint(c-'a') + 10
		default:
			return false
		}
		bits, count = bits<<5|digit, count+5
		if count >= 8 {
			count -= 8
			h[at] = byte(bits >> count)
			at++
		}
	}
	return true
}
