package dnssec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // algorithms 5 and 7; whether they are believed is decided by the validator (RFC 9905)
	"crypto/sha256"
	"crypto/sha512"
	"math"
	"math/big"
)

// Algorithms (IANA registry).
const (
	algorithmRSASHA1      = 5
	algorithmRSASHA1NSEC3 = 7
	algorithmRSASHA256    = 8  // RFC 5702
	algorithmRSASHA512    = 10 // RFC 5702
	algorithmECDSAP256    = 13 // RFC 6605
	algorithmECDSAP384    = 14 // RFC 6605
	algorithmED25519      = 15 // RFC 8080
)

// SupportedAlgorithm reports whether signatures of algorithm a can be checked. A zone whose DS records name only other
// algorithms is insecure (RFC 4035 section 5.2).
func SupportedAlgorithm(a uint8) bool {
	switch a {
	case algorithmRSASHA256, algorithmRSASHA512, algorithmECDSAP256, algorithmECDSAP384, algorithmED25519:
		return true
	default:
		return UsesSHA1(a)
	}
}

// UsesSHA1 reports whether algorithm a hashes with SHA-1, which RFC 9905 asks to treat as unsupported.
func UsesSHA1(a uint8) bool { return a == algorithmRSASHA1 || a == algorithmRSASHA1NSEC3 }

// verify returns nil when sig is k's signature over data.
func (k *Key) verify(data, sig []byte) error {
	switch k.Algorithm {
	case algorithmRSASHA1, algorithmRSASHA1NSEC3:
		sum := sha1.Sum(data) //nolint:gosec // as above
		return k.verifyRSA(crypto.SHA1, sum[:], sig)
	case algorithmRSASHA256:
		sum := sha256.Sum256(data)
		return k.verifyRSA(crypto.SHA256, sum[:], sig)
	case algorithmRSASHA512:
		sum := sha512.Sum512(data)
		return k.verifyRSA(crypto.SHA512, sum[:], sig)
	case algorithmECDSAP256:
		sum := sha256.Sum256(data)
		return k.verifyECDSA(elliptic.P256(), sum[:], sig)
	case algorithmECDSAP384:
		sum := sha512.Sum384(data)
		return k.verifyECDSA(elliptic.P384(), sum[:], sig)
	case algorithmED25519:
		return k.verifyED25519(data, sig)
	default:
		return errWrongKey
	}
}

// verifyED25519 follows RFC 8080 sections 3 and 4: key and signature are as in RFC 8032.
func (k *Key) verifyED25519(data, sig []byte) error {
	if len(k.PublicKey) != ed25519.PublicKeySize {
		return errMalformedKey
	}
	if !ed25519.Verify(k.PublicKey, data, sig) {
		return errBadSignature
	}
	return nil
}

// verifyECDSA follows RFC 6605 section 4: the key is the point's two coordinates, the signature the numbers r and s,
// each as long as the field.
func (k *Key) verifyECDSA(curve elliptic.Curve, sum, sig []byte) error {
	point := append(make([]byte, 0, 97), 4) // SEC 1 section 2.3.3: uncompressed
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append(point, k.PublicKey...))
	if err != nil { // of another length, or not on the curve
		return errMalformedKey
	}
	size := curve.Params().BitSize / 8
	if len(sig) != 2*size {
		return errBadSignature
	}
	var buf [2 + 2*(3+48)]byte
	der := append(buf[:0], 0x30, 0) // X.690: a sequence of two integers, all of them shorter than 128 octets
	der = appendInteger(appendInteger(der, sig[:size]), sig[size:])
	der[1] = byte(len(der) - 2)
	if !ecdsa.VerifyASN1(key, sum, der) {
		return errBadSignature
	}
	return nil
}

func appendInteger(der, number []byte) []byte {
	number = bytes.TrimLeft(number, "\x00")
	if len(number) == 0 || number[0] >= 0x80 { // it has a sign
		der = append(der, 2, byte(1+len(number)), 0)
	} else {
		der = append(der, 2, byte(len(number)))
	}
	return append(der, number...)
}

// Limits of an RSA key. RFC 3110 section 2 and RFC 5702 section 2 set those of the modulus. An exponent may be as long as
// the modulus there, but each of its bits costs the verifier a squaring, so that a key could be a hundred times as
// costly as an honest one. 64 bits, OpenSSL's limit for long moduli, hold all that signers were made to use: 3, 65537
// and 2^32+1.
const (
	minModulusBits  = 512
	maxModulusBits  = 4096
	maxExponentBits = 64

	minLibraryBits = 1024 // crypto/rsa takes no shorter modulus
)

func (k *Key) verifyRSA(hash crypto.Hash, sum, sig []byte) error {
	n, e, ok := parseRSA(k.PublicKey)
	if !ok {
		return errMalformedKey
	}
	if n.BitLen() >= minLibraryBits && e <= math.MaxInt32 {
		if rsa.VerifyPKCS1v15(&rsa.PublicKey{N: n, E: int(e)}, hash, sum, sig) != nil {
			return errBadSignature
		}
		return nil
	}
	return verifyPKCS1(n, e, hash, sum, sig)
}

// parseRSA reads a public key of RFC 3110 section 2: the length of the exponent in one octet, or in two behind a zero, the
// exponent, the modulus. Leading zeros are forbidden there, and accepted here as other validators do. Even numbers and
// the exponent 1 make no RSA key: under 1 every message is its own signature.
func parseRSA(key []byte) (n *big.Int, e uint64, ok bool) {
	if len(key) < 3 {
		return nil, 0, false
	}
	size, key := int(key[0]), key[1:]
	if size == 0 {
		size, key = int(key[0])<<8|int(key[1]), key[2:]
	}
	if size > len(key) {
		return nil, 0, false
	}
	exponent, modulus := bytes.TrimLeft(key[:size], "\x00"), bytes.TrimLeft(key[size:], "\x00")
	if len(exponent) > maxExponentBits/8 || len(modulus) > maxModulusBits/8 {
		return nil, 0, false
	}
	for _, b := range exponent {
		e = e<<8 | uint64(b)
	}
	n = new(big.Int).SetBytes(modulus)
	return n, e, n.BitLen() >= minModulusBits && n.Bit(0) == 1 && e&1 == 1 && e > 1
}

// verifyPKCS1 is RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2) for keys that crypto/rsa refuses: moduli below 1024 bits and
// exponents above 2^31-1. All of it is public, so that nothing needs constant time. The encoded message is built
// and compared whole, never parsed (CVE-2006-4339).
func verifyPKCS1(n *big.Int, e uint64, hash crypto.Hash, sum, sig []byte) error {
	size := (n.BitLen() + 7) / 8
	s := new(big.Int).SetBytes(sig)
	if len(sig) != size || s.Cmp(n) >= 0 {
		return errBadSignature
	}
	want, ok := encodePKCS1(size, hash, sum)
	if !ok {
		return errBadSignature
	}
	got := s.Exp(s, new(big.Int).SetUint64(e), n).FillBytes(make([]byte, size))
	if !bytes.Equal(got, want) {
		return errBadSignature
	}
	return nil
}

// digestInfo holds what stands in front of a hash (RFC 8017 section 9.2, note 1): DER of algorithm and length.
var digestInfo = map[crypto.Hash]string{
	crypto.SHA1:   "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
	crypto.SHA256: "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	crypto.SHA512: "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

// encodePKCS1 is EMSA-PKCS1-v1_5 (RFC 8017 section 9.2). It fails when the modulus is too short for the hash.
func encodePKCS1(size int, hash crypto.Hash, sum []byte) ([]byte, bool) {
	info := digestInfo[hash]
	padding := size - 3 - len(info) - len(sum)
	if padding < 8 {
		return nil, false
	}
	em := append(make([]byte, 0, size), 0, 1)
	for range padding {
		em = append(em, 0xff)
	}
	em = append(em, 0)
	return append(append(em, info...), sum...), true
}
