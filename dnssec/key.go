package dnssec

import "encoding/binary"

// A Key is a DNSKEY record (RFC 4034 section 2). It aliases the RDATA that it was read from.
type Key struct {
	Flags     uint16
	Protocol  uint8
	Algorithm uint8
	PublicKey []byte
	Tag       uint16
	RDATA     []byte
}

const (
	keyHeader   = 4 // flags, protocol and algorithm
	keyProtocol = 3 // RFC 4034 section 2.1.2: any other value makes the key invalid
)

// Flags of a key.
const (
	flagZone   = 1 << 8 // RFC 4034 section 2.1.1
	flagRevoke = 1 << 7 // RFC 5011 section 7
	flagSEP    = 1 << 0 // RFC 4034 section 2.1.1
)

// ParseKey reads the RDATA of a DNSKEY record. Whether the public key has the form that its algorithm asks for shows
// when it is used.
func ParseKey(rdata []byte) (Key, bool) {
	if len(rdata) <= keyHeader {
		return Key{}, false
	}
	return Key{
		Flags:     binary.BigEndian.Uint16(rdata),
		Protocol:  rdata[2],
		Algorithm: rdata[3],
		PublicKey: rdata[keyHeader:],
		Tag:       keyTag(rdata),
		RDATA:     rdata,
	}, true
}

// IsZoneKey reports whether the key may sign a zone's RRsets (RFC 4034 sections 2.1.1 and 2.1.2).
func (k *Key) IsZoneKey() bool { return k.Flags&flagZone != 0 && k.Protocol == keyProtocol }

// IsSEP reports whether the key is meant as a secure entry point. Validation must not depend on it (RFC 4034
// section 2.1.1); the maintenance of trust anchors does (RFC 5011 section 2.1).
func (k *Key) IsSEP() bool { return k.Flags&flagSEP != 0 }

// IsRevoked reports whether the key's holder has revoked it. Such a key vouches for nothing but its own revocation
// (RFC 5011 section 2.1).
func (k *Key) IsRevoked() bool { return k.Flags&flagRevoke != 0 }

// keyTag sums the RDATA up as RFC 4034 appendix B does for every algorithm but 1, which is not supported.
func keyTag(rdata []byte) uint16 {
	var sum uint32 // 65,535 octets, half of them shifted, stay below 2^32
	for i, b := range rdata {
		if i&1 == 0 {
			sum += uint32(b) << 8
		} else {
			sum += uint32(b)
		}
	}
	return uint16(sum + sum>>16)
}
