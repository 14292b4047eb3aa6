package dnssec

import (
	"encoding/binary"
	"errors"
	"time"

	"tacit/internal/wire"
)

// A Signature is an RRSIG record (RFC 4034 section 3). It aliases the RDATA that it was read from.
type Signature struct {
	Covered     wire.Type
	Algorithm   uint8
	Labels      uint8
	OriginalTTL uint32
	Expiration  uint32
	Inception   uint32
	Tag         uint16
	Signer      wire.Name
	Sig         []byte

	prefix []byte // the RDATA up to the signer's name
}

// Why a signature does not make an RRset secure.
var (
	errExpired      = errors.New("signature has expired")
	errNotYetValid  = errors.New("signature is not yet valid")
	errInverted     = errors.New("signature expires before its inception")
	errWrongType    = errors.New("signature covers another type")
	errWrongSigner  = errors.New("signer is not a zone that the owner can be in")
	errWrongLabels  = errors.New("label count lies outside signer and owner")
	errWrongKey     = errors.New("key is not the one that the signature names")
	errNotAZoneKey  = errors.New("key is not a zone key")
	errMalformedKey = errors.New("public key does not have the form of its algorithm")
	errBadSignature = errors.New("signature does not verify")
)

const signatureHeader = 18 // everything in front of the signer's name

// ParseSignature reads the RDATA of an RRSIG record.
func ParseSignature(rdata []byte) (Signature, bool) {
	if len(rdata) <= signatureHeader {
		return Signature{}, false
	}
	signer, err := wire.NameFromWire(rdata[signatureHeader:])
	if err != nil {
		return Signature{}, false
	}
	sig := rdata[signatureHeader+signer.Len():]
	if len(sig) == 0 {
		return Signature{}, false
	}
	return Signature{
		Covered:     wire.Type(binary.BigEndian.Uint16(rdata)),
		Algorithm:   rdata[2],
		Labels:      rdata[3],
		OriginalTTL: binary.BigEndian.Uint32(rdata[4:]),
		Expiration:  binary.BigEndian.Uint32(rdata[8:]),
		Inception:   binary.BigEndian.Uint32(rdata[12:]),
		Tag:         binary.BigEndian.Uint16(rdata[16:]),
		Signer:      signer,
		Sig:         sig,
		prefix:      rdata[:signatureHeader:signatureHeader],
	}, true
}

// Bounds of how far a signer's clock may be off. The RFCs grant nothing; like Unbound we grant a tenth of the time that
// the signature is valid for, since zones signed just now on a clock that is ahead are what really happens.
const (
	minSkew = 3600      // seconds
	maxSkew = 24 * 3600 // seconds
)

// ValidAt returns nil when now lies between inception and expiration, which are serial numbers of 32 bits (RFC 4034
// section 3.1.5, RFC 1982): half of all times lie before any moment and half behind it.
func (s *Signature) ValidAt(now time.Time) error {
	return s.validAt(now, min(max(int32(s.Expiration-s.Inception)/10, minSkew), maxSkew))
}

// ValidAtExactly is ValidAt for a time that is not a clock's, and so cannot be off.
func (s *Signature) ValidAtExactly(moment time.Time) error { return s.validAt(moment, 0) }

func (s *Signature) validAt(now time.Time, skew int32) error {
	moment := uint32(now.Unix())
	validity := int32(s.Expiration - s.Inception)
	switch {
	case validity < 0:
		return errInverted
	case isBeforeBy(moment, s.Inception, skew):
		return errNotYetValid
	case isBeforeBy(s.Expiration, moment, skew):
		return errExpired
	}
	return nil
}

// isBeforeBy reports whether serial number a lies before b by more than margin. Of two serial numbers 2^31 apart, whose
// order RFC 1982 section 3.2 leaves open, each lies before the other, so that no signature profits.
func isBeforeBy(a, b uint32, margin int32) bool {
	return int32(a-b) < 0 && b-a > uint32(margin)
}

// Fits returns nil when the signature can be for set (RFC 4035 section 5.3.1): it covers the type, the signer is a zone
// that the owner can be in, and Labels counts no fewer labels than the signer has (CVE-2026-44690) and no more than the
// owner. That the signer is the zone which the set really is in, and that the key is that zone's, the caller knows.
func (s *Signature) Fits(set *wire.RRset) error {
	switch {
	case s.Covered != set.Type:
		return errWrongType
	case !set.Name.Within(s.Signer):
		return errWrongSigner
	case set.Type == wire.TypeDS && set.Name == s.Signer: // RFC 4035 section 2.4: a DS belongs to the parent
		return errWrongSigner
	case int(s.Labels) < s.Signer.Labels() || int(s.Labels) > set.Name.Labels():
		return errWrongLabels
	}
	return nil
}

// Wildcard returns the wildcard that owner was expanded from, when Labels shows that it was (RFC 4035 section 5.3.2). What
// is asked for under the wildcard's own name is no expansion: Labels does not count the asterisk (RFC 4034 section 3.1.3).
func (s *Signature) Wildcard(owner wire.Name) (wire.Name, bool) {
	if int(s.Labels) >= owner.Labels() {
		return wire.Root, false
	}
	wildcard, err := owner.Suffix(int(s.Labels)).Prepend("*")
	return wildcard, err == nil && wildcard != owner
}

// Verify returns nil when the signature, made with k, holds for set: it brings the set into canonical form and order
// (RFC 4034 section 6) and checks the signature over it (RFC 4035 section 5.3). Fits and ValidAt are asked apart; so is
// whether k belongs to the signer, and whether it is revoked.
func (s *Signature) Verify(set *wire.RRset, k *Key) error {
	if s.Tag != k.Tag || s.Algorithm != k.Algorithm {
		return errWrongKey
	}
	if !k.IsZoneKey() {
		return errNotAZoneKey
	}
	buf := scratches.Get().(*scratch)
	defer buf.release()
	return k.verify(buf.signed(s, set), s.Sig)
}
