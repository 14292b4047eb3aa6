package dnssec

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"
)

// Each octet of key and signature is altered in two ways: nothing of it may be left out of the check.
func TestAlteredOctetsFail(t *testing.T) {
	data := []byte("what was signed")
	for _, a := range algorithms {
		t.Run(a.name, func(t *testing.T) {
			s := signerFor(t, a.number, a.bits)
			sig := signRaw(t, s, data)
			if err := s.key.verify(data, sig); err != nil {
				t.Fatal(err)
			}
			for i := range sig {
				for _, flip := range []byte{0x01, 0x80} {
					if s.key.verify(data, altered(sig, i, flip)) == nil {
						t.Errorf("octet %d of the signature ^ %#x verifies", i, flip)
					}
				}
			}
			for i := range s.key.PublicKey {
				for _, flip := range []byte{0x01, 0x80} {
					k := s.key
					k.PublicKey = altered(k.PublicKey, i, flip)
					if k.verify(data, sig) == nil {
						t.Errorf("octet %d of the key ^ %#x verifies", i, flip)
					}
				}
			}
			for i := range data {
				if err := s.key.verify(altered(data, i, 0x01), sig); !errors.Is(err, errBadSignature) {
					t.Errorf("octet %d of the data: %v", i, err)
				}
			}
		})
	}
}

func altered(b []byte, i int, flip byte) []byte {
	b = bytes.Clone(b)
	b[i] ^= flip
	return b
}

// signRaw signs data itself rather than records: miekg/dns signs what it is given as a TXT record's canonical form, so the
// key is used as crypto uses it.
func signRaw(t testing.TB, s *signer, data []byte) []byte {
	t.Helper()
	hash := map[uint8]crypto.Hash{
		5: crypto.SHA1, 7: crypto.SHA1, 8: crypto.SHA256, 10: crypto.SHA512, 13: crypto.SHA256, 14: crypto.SHA384,
	}[s.key.Algorithm]
	sum := data
	if hash != 0 {
		h := hash.New()
		h.Write(data)
		sum = h.Sum(nil)
	}
	sig, err := s.private.Sign(rand.Reader, sum, hash)
	if err != nil {
		t.Fatal(err)
	}
	if s.key.Algorithm == 13 || s.key.Algorithm == 14 {
		return fixedWidth(t, sig, len(s.key.PublicKey)/2)
	}
	return sig
}

func TestSignaturesOfWrongLengthFail(t *testing.T) {
	data := []byte("what was signed")
	for _, a := range algorithms {
		t.Run(a.name, func(t *testing.T) {
			s := signerFor(t, a.number, a.bits)
			sig := signRaw(t, s, data)
			for size := range sig {
				if s.key.verify(data, sig[:size]) == nil {
					t.Errorf("%d of %d octets verify", size, len(sig))
				}
			}
			for name, other := range map[string][]byte{
				"a zero behind":         append(bytes.Clone(sig), 0),
				"a zero in front":       append([]byte{0}, sig...),
				"all zero":              make([]byte, len(sig)),
				"all ones":              bytes.Repeat([]byte{0xff}, len(sig)),
				"twice":                 append(bytes.Clone(sig), sig...),
				"the public key itself": s.key.PublicKey,
			} {
				if s.key.verify(data, other) == nil {
					t.Errorf("%s verifies", name)
				}
			}
		})
	}
}

func TestMalformedKeysFail(t *testing.T) {
	data := []byte("what was signed")
	for _, a := range algorithms {
		t.Run(a.name, func(t *testing.T) {
			s := signerFor(t, a.number, a.bits)
			sig, whole := signRaw(t, s, data), s.key.PublicKey
			for size := range whole {
				k := s.key
				k.PublicKey = whole[:size]
				if k.verify(data, sig) == nil {
					t.Errorf("%d of %d octets are a key", size, len(whole))
				}
			}
			for name, public := range map[string][]byte{
				"a zero behind": append(bytes.Clone(whole), 0),
				"all zero":      make([]byte, len(whole)), // no point of the curves
				"all ones":      bytes.Repeat([]byte{0xff}, len(whole)),
				"none":          nil,
			} {
				k := s.key
				k.PublicKey = public
				if k.verify(data, sig) == nil {
					t.Errorf("%s verifies", name)
				}
			}
		})
	}
	s := signerFor(t, 13, 256)
	k := s.key
	k.Algorithm = 16
	if err := k.verify(data, signRaw(t, s, data)); !errors.Is(err, errWrongKey) {
		t.Errorf("algorithm 16: %v", err)
	}
}

func TestParseRSA(t *testing.T) {
	modulus := func(bits int) []byte {
		n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
		return n.Bytes()
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		clause string
		key    []byte
		e      uint64 // 0: not a key
	}{
		{"RFC 3110 section 2: exponent length in one octet", join([]byte{3, 1, 0, 1}, modulus(2048)), 65537},
		{"RFC 3110 section 2: in two octets behind a zero", join([]byte{0, 0, 3, 1, 0, 1}, modulus(2048)), 65537},
		{"exponent 3", join([]byte{1, 3}, modulus(2048)), 3},
		{"exponent 2^31-1", join([]byte{4, 0x7f, 0xff, 0xff, 0xff}, modulus(2048)), 1<<31 - 1},
		{"exponent 2^32+1", join([]byte{5, 1, 0, 0, 0, 1}, modulus(2048)), 1<<32 + 1},
		{"exponent of 64 bits", join([]byte{8, 255, 255, 255, 255, 255, 255, 255, 255}, modulus(4096)), 1<<64 - 1},
		{"exponent of 65 bits", join([]byte{9, 1, 0, 0, 0, 0, 0, 0, 0, 1}, modulus(2048)), 0},
		{"leading zeros in the exponent", join([]byte{12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}, modulus(1024)), 65537},
		{"leading zeros in the modulus", join([]byte{1, 3, 0, 0, 0}, modulus(4096)), 3},
		{"RFC 5702 section 2.1: 512 bits", join([]byte{1, 3}, modulus(512)), 3},
		{"511 bits", join([]byte{1, 3}, modulus(511)), 0},
		{"RFC 3110 section 2: 4096 bits", join([]byte{1, 3}, modulus(4096)), 3},
		{"4097 bits", join([]byte{1, 3}, modulus(4097)), 0},
		{"1,025 bits: not whole octets", join([]byte{1, 3}, modulus(1025)), 3},
		{"even modulus", join([]byte{1, 3}, modulus(1024)[:127], []byte{2}), 0},
		{"modulus zero", join([]byte{1, 3}, make([]byte, 128)), 0},
		{"exponent 1", join([]byte{1, 1}, modulus(1024)), 0},
		{"exponent 0", join([]byte{1, 0}, modulus(1024)), 0},
		{"exponent without octets", join([]byte{0, 0, 0}, modulus(1024)), 0},
		{"even exponent", join([]byte{3, 1, 0, 0}, modulus(1024)), 0},
		{"no modulus", []byte{3, 1, 0, 1}, 0},
		{"cut in the exponent", []byte{200, 1, 0, 1}, 0},
		{"cut in the exponent's length", []byte{0, 1}, 0},
		{"empty", nil, 0},
	} {
		t.Run(c.clause, func(t *testing.T) {
			n, e, ok := parseRSA(c.key)
			if ok != (c.e != 0) {
				t.Fatalf("taken: %v", ok)
			}
			if ok && (e != c.e || n.Bit(0) != 1) {
				t.Errorf("exponent %d, want %d", e, c.e)
			}
		})
	}
}

// Keys that crypto/rsa refuses (moduli below 1024 bits since Go 1.24, exponents above 2^31-1) are in use and must verify.
func TestRSABeyondTheLibrary(t *testing.T) {
	data := []byte("what was signed")
	for _, c := range []struct {
		name      string
		bits      int
		e         *big.Int
		algorithm uint8
		hash      crypto.Hash
	}{
		{"512 bits", 512, big.NewInt(65537), 8, crypto.SHA256},
		{"512 bits, SHA-1, exponent 3", 512, big.NewInt(3), 5, crypto.SHA1},
		{"768 bits, SHA-512", 768, big.NewInt(65537), 10, crypto.SHA512},
		{"1,023 bits", 1023, big.NewInt(17), 8, crypto.SHA256},
		{"1,025 bits: the library's, though not whole octets", 1025, big.NewInt(65537), 8, crypto.SHA256},
		{"exponent 2^31+11", 1024, big.NewInt(1<<31 + 11), 8, crypto.SHA256},
		{"exponent 2^32+1", 1024, big.NewInt(1<<32 + 1), 7, crypto.SHA1},
		{"exponent 2^32+1, short modulus", 640, big.NewInt(1<<32 + 1), 8, crypto.SHA256},
		{"exponent 2^64-59", 1024, new(big.Int).SetUint64(1<<64 - 59), 10, crypto.SHA512},
	} {
		t.Run(c.name, func(t *testing.T) {
			owner := newBareRSA(t, c.bits, c.e)
			k := owner.key(t, c.algorithm)
			sig := owner.sign(t, c.hash, data)
			if err := k.verify(data, sig); err != nil {
				t.Fatal(err)
			}
			for i := range sig {
				if err := k.verify(data, altered(sig, i, 0x10)); !errors.Is(err, errBadSignature) {
					t.Errorf("octet %d of the signature: %v", i, err)
				}
			}
			if err := k.verify([]byte("something else"), sig); !errors.Is(err, errBadSignature) {
				t.Errorf("other data: %v", err)
			}
			if err := k.verify(data, append([]byte{0}, sig...)); !errors.Is(err, errBadSignature) {
				t.Errorf("RFC 8017 section 8.2.2: a signature longer than the modulus: %v", err)
			}
			bigger := new(big.Int).Add(new(big.Int).SetBytes(sig), owner.n)
			if b := bigger.Bytes(); len(b) == len(sig) && k.verify(data, b) == nil {
				t.Error("RFC 8017 section 5.2.2: a signature not below the modulus verifies")
			}
		})
	}
}

// CVE-2006-4339: with exponent 3 whoever parses the padding, instead of comparing it whole, accepts what anybody can
// make: padding as short as allowed, the hash, and behind it what makes the whole a cube.
func TestForgedPaddingFails(t *testing.T) {
	const size = 256
	n := new(big.Int).SetBit(big.NewInt(1), 8*size-1, 1)
	sum := sha256.Sum256([]byte("what was never signed"))
	head, _ := encodePKCS1(3+8+19+32, crypto.SHA256, sum[:])
	root := cubeRoot(new(big.Int).SetBytes(append(bytes.Clone(head), bytes.Repeat([]byte{0xff}, size-len(head))...)))
	cube := new(big.Int).Exp(root, big.NewInt(3), nil).FillBytes(make([]byte, size))
	if !bytes.HasPrefix(cube, head) {
		t.Fatal("the forgery is not one")
	}
	sig := root.FillBytes(make([]byte, size))
	if err := verifyPKCS1(n, 3, crypto.SHA256, sum[:], sig); !errors.Is(err, errBadSignature) {
		t.Errorf("forgery: %v", err)
	}
}

// cubeRoot rounds down.
func cubeRoot(n *big.Int) *big.Int {
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+1))
	for new(big.Int).Sub(high, low).Cmp(big.NewInt(1)) > 0 {
		middle := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if new(big.Int).Exp(middle, big.NewInt(3), nil).Cmp(n) <= 0 {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// Where crypto/rsa takes a key, our check and the library's say the same.
func TestOwnRSAEqualsTheLibrary(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		h := hash.New()
		h.Write([]byte("what was signed"))
		sum := h.Sum(nil)
		sig, err := rsa.SignPKCS1v15(rand.Reader, private, hash, sum)
		if err != nil {
			t.Fatal(err)
		}
		for i := -1; i < len(sig); i++ {
			try := bytes.Clone(sig)
			if i >= 0 {
				try[i] ^= 0x04
			}
			theirs := rsa.VerifyPKCS1v15(&private.PublicKey, hash, sum, try) == nil
			if ours := verifyPKCS1(private.N, uint64(private.E), hash, sum, try) == nil; ours != theirs {
				t.Errorf("%v, octet %d: we say %v, the library %v", hash, i, ours, theirs)
			}
			if theirs != (i < 0) {
				t.Errorf("%v, octet %d: the library says %v", hash, i, theirs)
			}
		}
	}
}

// RFC 8017 section 9.2, step 3: a modulus too short for the hash is an error, not a shorter padding.
func TestModulusTooShortForTheHash(t *testing.T) {
	for _, c := range []struct {
		size int
		hash crypto.Hash
		want bool
	}{
		{46, crypto.SHA1, true},
		{45, crypto.SHA1, false},
		{62, crypto.SHA256, true},
		{61, crypto.SHA256, false},
		{94, crypto.SHA512, true},
		{93, crypto.SHA512, false},
		{64, crypto.SHA512, false}, // 512 bits: RFC 5702 section 2.2 asks for 1024
	} {
		em, ok := encodePKCS1(c.size, c.hash, make([]byte, c.hash.Size()))
		if ok != c.want || ok && len(em) != c.size {
			t.Errorf("%v in %d octets: %v", c.hash, c.size, ok)
		}
	}
	n := new(big.Int).SetBit(big.NewInt(1), 511, 1)
	if err := verifyPKCS1(n, 3, crypto.SHA512, make([]byte, 64), make([]byte, 64)); !errors.Is(err, errBadSignature) {
		t.Errorf("RSA/SHA-512 with 512 bits: %v", err)
	}
}
