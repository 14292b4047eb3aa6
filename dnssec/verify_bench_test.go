package dnssec

import (
	"crypto"
	"math/big"
	"testing"

	"tacit/internal/wire"
)

// What one signature check costs, canonical form and all.
func BenchmarkVerify(b *testing.B) {
	texts := []string{"@ NS a.Ns.example.", "@ NS b.ns.example.", "@ NS c.ns.example.", "@ NS d.ns.example."}
	for _, a := range []struct {
		name   string
		number uint8
		bits   int
	}{
		{"RSA-SHA256-1024", 8, 1024},
		{"RSA-SHA256-2048", 8, 2048},
		{"RSA-SHA512-2048", 10, 2048},
		{"ECDSA-P256", 13, 256},
		{"ECDSA-P384", 14, 384},
		{"Ed25519", 15, 256},
	} {
		b.Run(a.name, func(b *testing.B) {
			s := signerFor(b, a.number, a.bits)
			set, sig := setOf(b, rrs(b, texts...)...), s.sign(b, rrs(b, texts...)...)
			b.ReportAllocs()
			for b.Loop() {
				if err := sig.Verify(set, &s.key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a key costs that was made to cost: the longest modulus and exponent that are taken, and keys that crypto/rsa
// refuses.
func BenchmarkVerifyUnusualRSA(b *testing.B) {
	data := []byte("what was signed")
	for _, c := range []struct {
		name string
		bits int
		e    *big.Int
	}{
		{"512", 512, big.NewInt(65537)},
		{"2048-exponent-2^32+1", 2048, big.NewInt(1<<32 + 1)},
		{"4096", 4096, big.NewInt(65537)},
		{"4096-exponent-2^64-59", 4096, new(big.Int).SetUint64(1<<64 - 59)},
	} {
		b.Run(c.name, func(b *testing.B) {
			owner := newBareRSA(b, c.bits, c.e)
			k, sig := owner.key(b, 8), owner.sign(b, crypto.SHA256, data)
			b.ReportAllocs()
			for b.Loop() {
				if err := k.verify(data, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSigned(b *testing.B) {
	s := signerFor(b, 15, 256)
	texts := []string{"@ NS d.Ns.example.", "@ NS b.ns.example.", "@ NS c.ns.example.", "@ NS a.ns.example."}
	set, sig := setOf(b, rrs(b, texts...)...), s.sign(b, rrs(b, texts...)...)
	var buf scratch
	b.ReportAllocs()
	for b.Loop() {
		buf.signed(&sig, set)
	}
}

func BenchmarkDSMatches(b *testing.B) {
	s := signerFor(b, 8, 2048)
	ds, _ := ParseDS(rdataOf(b, s.record.ToDS(2)))
	owner := wire.MustName("example")
	b.ReportAllocs()
	for b.Loop() {
		if !ds.Matches(owner, &s.key) {
			b.Fatal("does not match")
		}
	}
}
