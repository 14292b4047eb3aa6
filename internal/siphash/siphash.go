// Package siphash is SipHash-2-4 (Aumasson and Bernstein, 2012), the keyed hash that RFC 9018 section 4.4 asks for in server
// cookies: fast on the few octets of an address or of a number, and of no use to whoever has not the key. It holds nothing.
//
// Limitations: sums of 64 bits only; it is no hash for what an attacker may collect 2^32 of.
package siphash

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// A Key is a secret of 128 bits.
type Key [16]byte

// NewKey draws a Key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// state is v0 to v3 of the paper, section 2.
type state struct{ a, b, c, d uint64 }

// Sum returns the hash of data under the key. It does not allocate.
func (k *Key) Sum(data []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(k[:]), binary.LittleEndian.Uint64(k[8:])
	s := state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(data)) << 56
	for ; len(data) >= 8; data = data[8:] {
		s.compress(binary.LittleEndian.Uint64(data))
	}
	for i, octet := range data {
		last |= uint64(octet) << (8 * i)
	}
	s.compress(last)
	s.c ^= 0xff
	s.rounds(4)
	return s.a ^ s.b ^ s.c ^ s.d
}

func (s *state) compress(word uint64) {
	s.d ^= word
	s.rounds(2)
	s.a ^= word
}

// rounds works on locals, which stay in registers.
func (s *state) rounds(count int) {
	a, b, c, d := s.a, s.b, s.c, s.d
	for range count {
		a, c = a+b, c+d
		b, d = bits.RotateLeft64(b, 13)^a, bits.RotateLeft64(d, 16)^c
		a, c = bits.RotateLeft64(a, 32)+d, c+b
		b, d = bits.RotateLeft64(b, 17)^c, bits.RotateLeft64(d, 21)^a
		c = bits.RotateLeft64(c, 32)
	}
	s.a, s.b, s.c, s.d = a, b, c, d
}
