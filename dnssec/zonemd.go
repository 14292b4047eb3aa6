package dnssec

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A ZoneDigest is a ZONEMD record (RFC 8976 section 2). It aliases the RDATA that it was read from.
type ZoneDigest struct {
	Serial uint32
	Scheme uint8
	Hash   uint8
	Digest []byte
}

const typeZONEMD wire.Type = 63

// Schemes and hash algorithms (RFC 8976 sections 2.2.2 and 2.2.3).
const (
	schemeSimple = 1
	hashSHA384   = 1
	hashSHA512   = 2
)

const (
	zoneDigestHeader = 6  // serial, scheme and hash algorithm
	minZoneDigest    = 12 // octets; RFC 8976 section 2.2.4: shorter ones are malformed
)

// Why a copy of a zone cannot be believed.
var (
	errZoneOrder      = errors.New("records of the zone are not in canonical order")
	errZoneApex       = errors.New("zone has no SOA, NS, DNSKEY or ZONEMD at its apex")
	errZoneNotSecure  = errors.New("apex of the zone is not proven by the trust anchors")
	errNoZoneDigest   = errors.New("no zone digest for the serial that can be computed")
	errZoneDigest     = errors.New("zone digest differs")
	errZoneSignatures = errors.New("signature in the zone is malformed")
)

// ParseZoneDigest reads the RDATA of a ZONEMD record.
func ParseZoneDigest(rdata []byte) (ZoneDigest, bool) {
	if len(rdata) < zoneDigestHeader+minZoneDigest {
		return ZoneDigest{}, false
	}
	return ZoneDigest{
		Serial: binary.BigEndian.Uint32(rdata),
		Scheme: rdata[4],
		Hash:   rdata[5],
		Digest: rdata[zoneDigestHeader:],
	}, true
}

// VerifyZone judges a whole copy of zone, its RRsets ordered by name (canonically) and type: SOA, NS, DNSKEY and ZONEMD
// at the apex must be secure by the zone's own keys and the anchors of o, and a digest of the secure ZONEMD RRset must
// be that of the copy (RFC 8976 section 4). It returns when the first signature of the copy ends. It shares no memory
// with any Validator, so that a forged copy leaves nothing behind.
func VerifyZone(ctx context.Context, now time.Time, w *work.Budget, o Options, zone wire.Name, sets []wire.RRset) (time.Time, error) {
	if !inOrder(sets) {
		return time.Time{}, errZoneOrder
	}
	a := apexOf(zone, sets)
	soa, digests := a.find(wire.TypeSOA), a.find(typeZONEMD)
	o.Cuts, o.Excepted = 4, nil // whatever a negative trust anchor excepts, a copy is proven or not used
	v := New(o)
	for _, t := range [...]wire.Type{wire.TypeDNSKEY, wire.TypeSOA, wire.TypeNS, typeZONEMD} {
		set := a.find(t)
		if set == nil {
			return time.Time{}, errZoneApex
		}
		verdict, err := v.RRset(ctx, now, w, set, nil, a)
		if err != nil {
			return time.Time{}, err
		}
		if verdict.Status != wire.Secure {
			return time.Time{}, errZoneNotSecure
		}
	}
	if err := checkDigest(zone, sets, soa, digests); err != nil {
		return time.Time{}, err
	}
	moment := now
	if !o.SignatureTime.IsZero() {
		moment = o.SignatureTime
	}
	left, err := shortest(sets, moment)
	return now.Add(left), err
}

// inOrder reports whether each RRset stands once, in canonical order of names and then of types (RFC 8976 section 3.3.2).
func inOrder(sets []wire.RRset) bool {
	for i := 1; i < len(sets); i++ {
		a, b := &sets[i-1], &sets[i]
		if order := a.Name.Compare(b.Name); order > 0 || order == 0 && a.Type >= b.Type {
			return false
		}
	}
	return true
}

// shortest returns how much longer all signatures of sets are valid, seen from moment (serial arithmetic, RFC 4034
// section 3.1.5).
func shortest(sets []wire.RRset, moment time.Time) (time.Duration, error) {
	left := maxValidity
	for i := range sets {
		for rdata := range sets[i].Sigs.All() {
			sig, ok := ParseSignature(rdata)
			if !ok {
				return 0, errZoneSignatures
			}
			left = min(left, sig.left(moment))
		}
	}
	return left, nil
}

// maxValidity is the longest that a signature can still last: half of the serial number's circle.
const maxValidity = (1<<31 - 1) * time.Second

// An apex is the RRsets at the apex of a copy. It is the Fetcher of the zone's own keys.
type apex struct {
	zone wire.Name
	sets []wire.RRset
}

func apexOf(zone wire.Name, sets []wire.RRset) *apex {
	start := 0
	for start < len(sets) && sets[start].Name != zone {
		start++
	}
	end := start
	for end < len(sets) && sets[end].Name == zone {
		end++
	}
	return &apex{zone, sets[start:end]}
}

func (a *apex) find(t wire.Type) *wire.RRset {
	for i := range a.sets {
		if a.sets[i].Type == t && len(a.sets[i].Data) > 0 {
			return &a.sets[i]
		}
	}
	return nil
}

// Fetch knows the apex only: what lies above it is not in the copy.
func (a *apex) Fetch(_ context.Context, _ *work.Budget, name wire.Name, t wire.Type) (Reply, error) {
	if name != a.zone || t == wire.TypeDS {
		return Reply{}, nil
	}
	set := a.find(t)
	if set == nil {
		return Reply{}, nil
	}
	return Reply{Set: set, TTL: time.Duration(set.TTL) * time.Second}, nil
}

// Refetch finds nothing better: the copy is what it is.
func (*apex) Refetch(wire.Name, wire.Type) bool { return false }

// checkDigest returns nil when one of the digests is that of the zone. One that matches is enough, whatever the others are
// (RFC 8976 section 4).
func checkDigest(zone wire.Name, sets []wire.RRset, soa, digests *wire.RRset) error {
	serial, ok := serialOf(soa)
	if !ok || digests == nil {
		return errZoneApex
	}
	err := errNoZoneDigest
	for _, algorithm := range [...]struct {
		number uint8
		make   func() hash.Hash
	}{{hashSHA384, sha512.New384}, {hashSHA512, sha512.New}} {
		want, ok := digestFor(digests, serial, algorithm.number)
		if !ok {
			continue
		}
		h := algorithm.make()
		digestZone(h, zone, sets)
		if bytes.Equal(h.Sum(nil), want) {
			return nil
		}
		err = errZoneDigest
	}
	return err
}

// serialOf returns the serial of a SOA record, which stands behind two names.
func serialOf(soa *wire.RRset) (uint32, bool) {
	if soa == nil || soa.Data.Count() != 1 {
		return 0, false
	}
	rdata, _ := soa.Data.Next()
	first := nameLength(rdata, 0)
	second := nameLength(rdata, first)
	if first == 0 || second == 0 || len(rdata) != first+second+20 {
		return 0, false
	}
	return binary.BigEndian.Uint32(rdata[first+second:]), true
}

// digestFor returns the digest by the SIMPLE scheme and a hash algorithm. Two of a kind count for nothing (RFC 8976
// section 4).
func digestFor(digests *wire.RRset, serial uint32, algorithm uint8) (digest []byte, ok bool) {
	count := 0
	for rdata := range digests.Data.All() {
		d, ok := ParseZoneDigest(rdata)
		if !ok || d.Scheme != schemeSimple || d.Hash != algorithm {
			continue
		}
		count++
		if d.Serial == serial {
			digest = d.Digest
		}
	}
	return digest, count == 1 && digest != nil
}

// digestZone writes the whole zone to h: all records in canonical form and order, each once, without the ZONEMD RRset
// at the apex and its signatures, and without what lies outside the zone (RFC 8976 section 3.3).
func digestZone(h hash.Hash, zone wire.Name, sets []wire.RRset) {
	buf := scratches.Get().(*scratch)
	defer buf.release()
	for len(sets) > 0 {
		end := 1
		for end < len(sets) && sets[end].Name == sets[0].Name {
			end++
		}
		if sets[0].Name.Within(zone) {
			buf.digestOwner(h, zone, sets[:end])
		}
		sets = sets[end:]
	}
}

// digestOwner writes the RRsets of one owner in the order of their types. All RRSIG records of a name are one RRset
// there; the type that they cover comes first in their RDATA, so that they are in order when the sets are, and each has
// the TTL of what it covers (RFC 4034 section 3).
func (c *scratch) digestOwner(h hash.Hash, zone wire.Name, sets []wire.RRset) {
	if sets[0].Name == zone {
		sets = withoutZoneDigest(sets)
	}
	behind := 0
	for behind < len(sets) && sets[behind].Type < wire.TypeRRSIG {
		c.digest(h, &sets[behind])
		behind++
	}
	for i := range sets {
		c.digest(h, &wire.RRset{Name: sets[i].Name, Type: wire.TypeRRSIG, TTL: sets[i].TTL, Data: sets[i].Sigs})
	}
	for i := range sets[behind:] {
		c.digest(h, &sets[behind+i])
	}
}

func withoutZoneDigest(sets []wire.RRset) []wire.RRset {
	kept := make([]wire.RRset, 0, len(sets))
	for i := range sets {
		if sets[i].Type != typeZONEMD {
			kept = append(kept, sets[i])
		}
	}
	return kept
}

func (c *scratch) digest(h hash.Hash, set *wire.RRset) {
	c.sort(set)
	head := set.Name.Append(c.data[:0])
	head = binary.BigEndian.AppendUint16(head, uint16(set.Type))
	head = binary.BigEndian.AppendUint16(head, uint16(wire.ClassIN))
	head = binary.BigEndian.AppendUint32(head, set.TTL)
	c.data = head
	for _, r := range c.records {
		h.Write(binary.BigEndian.AppendUint16(head, uint16(len(r)))) // a hash takes everything
		h.Write(r)
	}
}
