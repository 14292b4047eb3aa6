package dnssec

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A signer signs as a zone's owner does: with miekg/dns, which shares no code with this package.
type signer struct {
	record  *dns.DNSKEY
	private crypto.Signer
	key     Key
}

// Algorithms that can be verified, with a key size that is quick to make.
var algorithms = []struct {
	name   string
	number uint8
	bits   int
}{
	{"RSA-SHA1", 5, 1024},
	{"RSA-SHA1-NSEC3", 7, 1024},
	{"RSA-SHA256", 8, 1024},
	{"RSA-SHA512", 10, 1024},
	{"ECDSA-P256", 13, 256},
	{"ECDSA-P384", 14, 384},
	{"Ed25519", 15, 256},
}

var signers sync.Map // of func() *signer, by algorithm and bits

// signerFor makes one key of a kind for the whole run; its owner is example.
func signerFor(t testing.TB, algorithm uint8, bits int) *signer {
	t.Helper()
	once, _ := signers.LoadOrStore([2]int{int(algorithm), bits}, sync.OnceValue(func() *signer {
		return newSigner(t, "example.", algorithm, bits)
	}))
	return once.(func() *signer)()
}

func newSigner(t testing.TB, zone string, algorithm uint8, bits int) *signer {
	t.Helper()
	record := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 256, Protocol: 3, Algorithm: algorithm,
	}
	private, err := record.Generate(bits)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{record, private.(crypto.Signer), keyOf(t, record)}
}

// sign returns the signature over rrs, which name their owner as the zone does.
func (s *signer) sign(t testing.TB, rrs ...dns.RR) Signature {
	t.Helper()
	sig := &dns.RRSIG{
		Algorithm: s.record.Algorithm, KeyTag: s.record.KeyTag(), SignerName: s.record.Hdr.Name,
		Inception: 1_700_000_000, Expiration: 1_800_000_000,
	}
	if err := sig.Sign(s.private, rrs); err != nil {
		t.Fatal(err)
	}
	return signatureOf(t, sig)
}

func keyOf(t testing.TB, rr dns.RR) Key {
	t.Helper()
	k, ok := ParseKey(rdataOf(t, rr))
	if !ok {
		t.Fatal("not a key")
	}
	return k
}

func signatureOf(t testing.TB, rr dns.RR) Signature {
	t.Helper()
	s, ok := ParseSignature(rdataOf(t, rr))
	if !ok {
		t.Fatal("not a signature")
	}
	return s
}

// rr reads a record; the zone of relative names and of "@" is example.
func rr(t testing.TB, text string) dns.RR {
	t.Helper()
	zp := dns.NewZoneParser(strings.NewReader(text+"\n"), "example.", "")
	zp.SetDefaultTTL(3600)
	record, ok := zp.Next()
	if !ok {
		t.Fatalf("%s: %v", text, zp.Err())
	}
	return record
}

func rrs(t testing.TB, texts ...string) []dns.RR {
	t.Helper()
	records := make([]dns.RR, len(texts))
	for i, text := range texts {
		records[i] = rr(t, text)
	}
	return records
}

func rdataOf(t testing.TB, record dns.RR) []byte {
	t.Helper()
	buf := make([]byte, dns.Len(record)+64)
	end, err := dns.PackRR(record, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	name, err := wire.NameFromWire(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[name.Len()+10 : end : end]
}

// setOf is the RRset as the resolver hands it over: TTL run down, records as they came.
func setOf(t testing.TB, records ...dns.RR) *wire.RRset {
	t.Helper()
	set := &wire.RRset{
		Name: wire.MustName(records[0].Header().Name), Type: wire.Type(records[0].Header().Rrtype), TTL: 17,
	}
	for _, record := range records {
		set.Data = set.Data.Add(rdataOf(t, record))
	}
	return set
}

// shuffled returns the records in another order, some of them twice.
func shuffled(seed uint64, records []dns.RR) []dns.RR {
	random := mrand.New(mrand.NewPCG(seed, seed))
	mixed := append([]dns.RR(nil), records...)
	for range random.IntN(3) {
		mixed = append(mixed, records[random.IntN(len(records))])
	}
	random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed
}

// A bareRSA signs with keys that crypto/rsa makes and takes none of: short moduli and long exponents.
type bareRSA struct{ n, e, d *big.Int }

func newBareRSA(t testing.TB, bits int, e *big.Int) bareRSA {
	t.Helper()
	one := big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(p.Sub(p, one), q.Sub(q, one))
		if d := new(big.Int).ModInverse(e, phi); d != nil && n.BitLen() == bits {
			return bareRSA{n, e, d}
		}
	}
}

// key returns the DNSKEY in the form of RFC 3110 section 2.
func (b bareRSA) key(t testing.TB, algorithm uint8) Key {
	t.Helper()
	e := b.e.Bytes()
	rdata := append([]byte{1, 0, 3, algorithm, byte(len(e))}, e...)
	k, ok := ParseKey(append(rdata, b.n.Bytes()...))
	if !ok {
		t.Fatal("not a key")
	}
	return k
}

// sign is RSASSA-PKCS1-v1_5 over data; the encoding is held against crypto/rsa's in TestOwnRSAEqualsTheLibrary.
func (b bareRSA) sign(t testing.TB, hash crypto.Hash, data []byte) []byte {
	t.Helper()
	h := hash.New()
	h.Write(data)
	size := (b.n.BitLen() + 7) / 8
	em, ok := encodePKCS1(size, hash, h.Sum(nil))
	if !ok {
		t.Fatal("modulus too short for the hash")
	}
	return new(big.Int).Exp(new(big.Int).SetBytes(em), b.d, b.n).FillBytes(make([]byte, size))
}

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fixedWidth turns the DER form of an ECDSA signature into that of RFC 6605 section 4.
func fixedWidth(t testing.TB, der []byte, size int) []byte {
	t.Helper()
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 2*size)
	v.R.FillBytes(sig[:size])
	v.S.FillBytes(sig[size:])
	return sig
}
