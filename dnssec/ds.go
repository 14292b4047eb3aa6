package dnssec

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // digest type 1; whether it is believed is decided by the validator (RFC 9905)
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"

	"tacit/internal/wire"
)

// A DS is a delegation signer record (RFC 4034 section 5). It aliases the RDATA that it was read from.
type DS struct {
	Tag        uint16
	Algorithm  uint8
	DigestType uint8
	Digest     []byte
}

const dsHeader = 4 // key tag, algorithm and digest type

// Digest types (IANA registry).
const (
	digestSHA1   = 1
	digestSHA256 = 2 // RFC 4509
	digestSHA384 = 4 // RFC 6605
)

// SupportedDigest reports whether DS records with digest type t can be checked. A zone whose DS records are all of other
// types is insecure (RFC 4035 section 5.2).
func SupportedDigest(t uint8) bool {
	return t == digestSHA1 || t == digestSHA256 || t == digestSHA384
}

// ParseDS reads the RDATA of a DS record. A digest of the wrong length is no reason to overlook the record: it makes
// the zone signed, and matches no key.
func ParseDS(rdata []byte) (DS, bool) {
	if len(rdata) <= dsHeader {
		return DS{}, false
	}
	return DS{
		Tag:        binary.BigEndian.Uint16(rdata),
		Algorithm:  rdata[2],
		DigestType: rdata[3],
		Digest:     rdata[dsHeader:],
	}, true
}

// Matches reports whether d refers to k, a key of the zone owner (RFC 4034 section 5.1.4, RFC 4035 section 5.2). It hashes
// only when tag and algorithm agree.
func (d *DS) Matches(owner wire.Name, k *Key) bool {
	if d.Tag != k.Tag || d.Algorithm != k.Algorithm {
		return false
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	s.data = append(owner.Append(s.data[:0]), k.RDATA...)
	return d.matchesDigestOf(s.data)
}

func (d *DS) matchesDigestOf(data []byte) bool {
	switch d.DigestType {
	case digestSHA1:
		sum := sha1.Sum(data) //nolint:gosec // as above
		return bytes.Equal(d.Digest, sum[:])
	case digestSHA256:
		sum := sha256.Sum256(data)
		return bytes.Equal(d.Digest, sum[:])
	case digestSHA384:
		sum := sha512.Sum384(data)
		return bytes.Equal(d.Digest, sum[:])
	default:
		return false
	}
}
