package testnet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha1" //nolint:gosec // algorithms 5 and 7 are made of it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"sync"

	"github.com/miekg/dns"
)

// UnknownAlgorithm is an algorithm number that is not assigned. Keys and signatures of all algorithms that are not
// known here are random bytes.
const UnknownAlgorithm = 200

// A private is the private half of a key. All of them are deterministic: two runs of a script have the same keys and
// the same signatures.
type private interface {
	public() []byte // as in DNSKEY RDATA
	sign(data []byte) []byte
}

// newPrivate makes the key that a seed stands for. RSA keys are the exception: they depend on number, bits and
// exponent alone, so that one process makes each of them once, whatever the zones.
func newPrivate(s Signing, algorithm uint8, material *rand.ChaCha8, number int) private {
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
		return rsaPrivate{rsaKeys.get(rsaShape{bits: s.Bits, exponent: s.Exponent, number: number}), digests[algorithm]}
	case dns.ECDSAP256SHA256:
		return newECDSA(elliptic.P256(), crypto.SHA256, material)
	case dns.ECDSAP384SHA384:
		return newECDSA(elliptic.P384(), crypto.SHA384, material)
	case dns.ED25519:
		return ed25519Private{ed25519.NewKeyFromSeed(read(material, ed25519.SeedSize))}
	}
	return unknownPrivate(read(material, 57))
}

// material is an endless stream of bytes that depends on what it is given.
func material(seed uint64, parts ...string) *rand.ChaCha8 {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, seed))
	for _, p := range parts {
		h.Write(append([]byte(p), 0))
	}
	return rand.NewChaCha8([32]byte(h.Sum(nil)))
}

func read(m *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	m.Read(b) //nolint:errcheck // never fails
	return b
}

func digest(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

// ecdsaPrivate is RFC 6605: both numbers of the signature, and of the point, one after the other at full length.
type ecdsaPrivate struct {
	key  *ecdsa.PrivateKey
	hash crypto.Hash
}

func newECDSA(c elliptic.Curve, h crypto.Hash, m *rand.ChaCha8) private {
	for {
		// Nearly every number of this length is a private key.
		if k, err := ecdsa.ParseRawPrivateKey(c, read(m, h.Size())); err == nil {
			return ecdsaPrivate{k, h}
		}
	}
}

func (p ecdsaPrivate) public() []byte {
	point, err := p.key.PublicKey.Bytes()
	if err != nil {
		panic(err) // the curve is one of those that it knows
	}
	return point[1:] // without the octet that says that it is not compressed
}

func (p ecdsaPrivate) sign(data []byte) []byte {
	der, err := p.key.Sign(nil, digest(p.hash, data), p.hash) // nil: RFC 6979, deterministic
	if err != nil {
		panic(err) // hash and curve are right
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		panic(err) // was marshalled just now
	}
	size := p.hash.Size()
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out
}

// ed25519Private is RFC 8080.
type ed25519Private struct{ key ed25519.PrivateKey }

func (p ed25519Private) public() []byte          { return p.key.Public().(ed25519.PublicKey) }
func (p ed25519Private) sign(data []byte) []byte { return ed25519.Sign(p.key, data) }

// unknownPrivate is its own public key; a signature is bytes that depend on it and on the data.
type unknownPrivate []byte

func (p unknownPrivate) public() []byte { return p }

func (p unknownPrivate) sign(data []byte) []byte {
	return read(material(0, string(p), string(data)), 114)
}

// An rsaKey signs without crypto/rsa, which has opinions on short moduli and long exponents. The lab and the tests are
// its only users: nothing here is done in constant time.
type rsaKey struct {
	n, p, q, dp, dq, inverse *big.Int
	exponent                 *big.Int
}

type rsaShape struct {
	bits     int
	exponent uint64
	number   int
}

// rsaPrivate is RFC 3110 and RFC 5702: PKCS #1 v1.5 signatures.
type rsaPrivate struct {
	key    *rsaKey
	digest rsaDigest
}

// An rsaDigest is a hash and the DER prefix that names it (RFC 8017 section 9.2).
type rsaDigest struct {
	sum    func([]byte) []byte
	prefix string
}

var (
	sha1Digest = rsaDigest{
		func(b []byte) []byte { s := sha1.Sum(b); return s[:] }, //nolint:gosec // algorithms 5 and 7 are made of it
		"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
	}
	digests = map[uint8]rsaDigest{
		dns.RSASHA1: sha1Digest, dns.RSASHA1NSEC3SHA1: sha1Digest,
		dns.RSASHA256: {
			func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
			"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
		},
		dns.RSASHA512: {
			func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
			"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
		},
	}
)

func (p rsaPrivate) public() []byte {
	e := p.key.exponent.Bytes()
	return append(append([]byte{byte(len(e))}, e...), p.key.n.Bytes()...)
}

func (p rsaPrivate) sign(data []byte) []byte {
	k := p.key
	size := (k.n.BitLen() + 7) / 8
	tail := append([]byte(p.digest.prefix), p.digest.sum(data)...)
	block := make([]byte, size)
	block[1] = 1
	for i := 2; i < size-len(tail)-1; i++ {
		block[i] = 0xFF
	}
	copy(block[size-len(tail):], tail)

	// The Chinese remainder theorem, RFC 8017 section 5.2.1 step 2b.
	m := new(big.Int).SetBytes(block)
	m1, m2 := new(big.Int).Exp(m, k.dp, k.p), new(big.Int).Exp(m, k.dq, k.q)
	h := m1.Sub(m1, m2)
	h.Mod(h.Mul(h, k.inverse), k.p)
	return h.Add(h.Mul(h, k.q), m2).FillBytes(block)
}

// rsaKeys are the keys of this process.
var rsaKeys = rsaStore{keys: make(map[rsaShape]*rsaKey)}

type rsaStore struct {
	mu   sync.Mutex
	keys map[rsaShape]*rsaKey
}

func (s *rsaStore) get(shape rsaShape) *rsaKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[shape] == nil {
		s.keys[shape] = newRSA(shape)
	}
	return s.keys[shape]
}

func newRSA(shape rsaShape) *rsaKey {
	one := big.NewInt(1)
	m := material(uint64(shape.number), "rsa")
	e := new(big.Int).SetUint64(shape.exponent)
	p, dp := rsaPrime(m, shape.bits/2, e)
	for {
		q, dq := rsaPrime(m, shape.bits-shape.bits/2, e)
		inverse := new(big.Int).ModInverse(q, p)
		if inverse == nil || q.Cmp(one) == 0 {
			continue
		}
		return &rsaKey{n: new(big.Int).Mul(p, q), p: p, q: q, dp: dp, dq: dq, inverse: inverse, exponent: e}
	}
}

// rsaPrime finds a prime whose two highest bits are set, so that the product has full length, and the inverse of the
// exponent modulo the prime less one.
func rsaPrime(m *rand.ChaCha8, bits int, e *big.Int) (p, d *big.Int) {
	one := big.NewInt(1)
	for {
		p = new(big.Int).SetBytes(read(m, (bits+7)/8))
		p.Rsh(p, uint((8-bits%8)%8))
		for _, i := range []int{0, bits - 1, bits - 2} {
			p.SetBit(p, i, 1)
		}
		if !p.ProbablyPrime(4) {
			continue
		}
		if d = new(big.Int).ModInverse(e, new(big.Int).Sub(p, one)); d != nil {
			return p, d
		}
	}
}
