package zone

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/big"
	"slices"
	"sync"
	"time"

	"tacit/internal/wire"
)

// A Signer signs RRsets of a zone when they are asked for, with ECDSA P-256 (RFC 6605). It is safe for concurrent use.
type Signer struct {
	origin wire.Name
	dnskey []byte // RDATA
	tag    uint16
	sign   sealed
	made   *signatures
}

// Fields of the records that a key makes.
const (
	algorithmP256 = 13
	digestSHA256  = 2
	flagsCSK      = 257 // a zone key that is a secure entry point, too (RFC 4034 section 2.1.1)
	protocolDNS   = 3

	signatureLength = 64 // RFC 6605 section 4
)

// Types that a key makes and that have no name in wire.
const (
	typeCDS     wire.Type = 59
	typeCDNSKEY wire.Type = 60
)

// When signatures are good. Within a window of renewEvery the same is made again; it is good for some hours before, for clocks that
// are late, and for some days behind, for caches. The TTL of what is signed may well be longer than that: validators stop at the
// signature (RFC 4035 section 5.3.3).
const (
	renewEvery = 24 * time.Hour
	goodBefore = 6 * time.Hour
	goodBehind = 5 * 24 * time.Hour
)

func newSigner(origin wire.Name, private *ecdsa.PrivateKey, made *signatures) (*Signer, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	dnskey := []byte{flagsCSK >> 8, flagsCSK & 0xff, protocolDNS, algorithmP256}
	dnskey = append(dnskey, point[1:]...) // without the octet that says that it is uncompressed (RFC 6605 section 4)
	return &Signer{origin: origin, dnskey: dnskey, tag: keyTag(dnskey), sign: seal(private), made: made}, nil
}

// keyTag sums up the RDATA of a key (RFC 4034 appendix B).
func keyTag(dnskey []byte) uint16 {
	var sum uint32
	for i, c := range dnskey {
		sum += uint32(c) << (8 * (1 - i&1))
	}
	return uint16(sum + sum>>16)
}

// digest is what a DS record holds of the key (RFC 4034 section 5.1.4).
func (s *Signer) digest() []byte {
	sum := sha256.Sum256(append(s.origin.Append(nil), s.dnskey...))
	return sum[:]
}

// ds returns the DS record in presentation form.
func (s *Signer) ds() string {
	return fmt.Sprintf("%s IN DS %d %d %d %X", s.origin.Reveal(), s.tag, algorithmP256, digestSHA256, s.digest())
}

// keyTTL is the TTL of the RRsets about keys.
const keyTTL = 3600

// keySets returns what a signed zone has at its apex: its key, and what the parent shall do about it (RFC 7344); withdrawing is
// the request to do without (RFC 8078 section 4).
func (s *Signer) keySets(withdrawing bool) []made {
	cds := binary.BigEndian.AppendUint16(nil, s.tag)
	cds = append(append(cds, algorithmP256, digestSHA256), s.digest()...)
	cdnskey := s.dnskey
	if withdrawing {
		cds, cdnskey = []byte{0, 0, 0, 0, 0}, []byte{0, 0, protocolDNS, 0, 0}
	}
	return []made{
		{kind: wire.TypeDNSKEY, ttl: keyTTL, data: wire.Rdatas(nil).Add(s.dnskey)},
		{kind: typeCDS, ttl: keyTTL, data: wire.Rdatas(nil).Add(cds)},
		{kind: typeCDNSKEY, ttl: keyTTL, data: wire.Rdatas(nil).Add(cdnskey)},
	}
}

// Sign returns the RRSIG record of an RRset, and until when the same would be made again. The RRset is signed as that of its owner:
// one that comes from a wildcard, too, as no proof is needed then that the name does not exist.
func (s *Signer) Sign(set *wire.RRset, now time.Time) (sigs wire.Rdatas, until time.Time, err error) {
	start := windowOf(set.Name, now)
	buf := drafts.Get().(*signing)
	defer drafts.Put(buf)
	head := buf.draft(s, set, start)
	digest := sha256.Sum256(buf.data)
	signature, ok := s.made.get(digest)
	if !ok {
		if signature, err = s.signDigest(digest[:]); err != nil {
			return nil, time.Time{}, err
		}
		s.made.put(digest, signature)
	}
	size := head + signatureLength
	sigs = append(make(wire.Rdatas, 0, 2+size), byte(size>>8), byte(size))
	return append(append(sigs, buf.data[:head]...), signature[:]...), start.Add(renewEvery), nil
}

// windowOf returns when the window around now began. Each name has its own hour, so that not all are signed anew at once.
func windowOf(name wire.Name, now time.Time) time.Time {
	var buf [wire.MaxNameLength]byte
	h := fnv.New32a()
	_, _ = h.Write(name.Append(buf[:0]))
	const window = int64(renewEvery / time.Second)
	shift := int64(h.Sum32()) % window
	return time.Unix((now.Unix()+shift)/window*window-shift, 0)
}

func (s *Signer) signDigest(digest []byte) (signature [signatureLength]byte, err error) {
	der, err := s.sign(digest)
	if err != nil {
		return signature, err
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return signature, err
	}
	pair.R.FillBytes(signature[:signatureLength/2])
	pair.S.FillBytes(signature[signatureLength/2:])
	return signature, nil
}

// A signing is the memory in which RRsets are brought into the form in which they are signed.
type signing struct {
	data    []byte // what is signed
	rdata   []byte
	records [][]byte // of rdata, in canonical order
}

var drafts = sync.Pool{New: func() any { return new(signing) }}

// draft fills data with the RDATA of the RRSIG record, which is returned how long it is, and the RRset in canonical form and order
// (RFC 4034 section 3.1.8.1).
func (d *signing) draft(s *Signer, set *wire.RRset, start time.Time) (head int) {
	d.data = binary.BigEndian.AppendUint16(d.data[:0], uint16(set.Type))
	d.data = append(d.data, algorithmP256, labelsOf(set.Name))
	d.data = binary.BigEndian.AppendUint32(d.data, set.TTL)
	d.data = binary.BigEndian.AppendUint32(d.data, uint32(start.Add(renewEvery+goodBehind).Unix()))
	d.data = binary.BigEndian.AppendUint32(d.data, uint32(start.Add(-goodBefore).Unix()))
	d.data = binary.BigEndian.AppendUint16(d.data, s.tag)
	d.data = s.origin.Append(d.data)
	head = len(d.data)

	d.rdata, d.records = slices.Grow(d.rdata[:0], len(set.Data)), d.records[:0]
	for rdata := range set.Data.All() {
		from := len(d.rdata)
		d.rdata = wire.AppendCanonical(d.rdata, set.Type, rdata)
		d.records = append(d.records, d.rdata[from:])
	}
	slices.SortFunc(d.records, bytes.Compare)
	for _, rdata := range d.records {
		d.data = set.Name.Append(d.data)
		d.data = binary.BigEndian.AppendUint16(d.data, uint16(set.Type))
		d.data = binary.BigEndian.AppendUint16(d.data, uint16(wire.ClassIN))
		d.data = binary.BigEndian.AppendUint32(d.data, set.TTL)
		d.data = binary.BigEndian.AppendUint16(d.data, uint16(len(rdata)))
		d.data = append(d.data, rdata...)
	}
	return head
}

// labelsOf counts labels as RRSIG records do: that of a wildcard, as such, is not one (RFC 4034 section 3.1.3).
func labelsOf(name wire.Name) byte {
	labels := name.Labels()
	if name.FirstLabel() == "*" {
		labels--
	}
	return byte(labels)
}

// Signatures are those that were made, by the digest of what was signed, which holds when they are good and whose they are: nothing in
// here is ever wrong. The older half is forgotten when there are too many, but for what was used since.
type signatures struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte][signatureLength]byte
}

// maxSignatures bounds each half, and so all of them to about 5 MiB.
const maxSignatures = 16 << 10

func (s *signatures) get(digest [sha256.Size]byte) (signature [signatureLength]byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signature, ok = s.young[digest]; ok {
		return signature, true
	}
	if signature, ok = s.old[digest]; ok {
		s.add(digest, signature)
	}
	return signature, ok
}

func (s *signatures) put(digest [sha256.Size]byte, signature [signatureLength]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(digest, signature)
}

func (s *signatures) add(digest [sha256.Size]byte, signature [signatureLength]byte) {
	if s.young == nil || len(s.young) >= maxSignatures {
		s.young, s.old = map[[sha256.Size]byte][signatureLength]byte{}, s.young
	}
	s.young[digest] = signature
}
