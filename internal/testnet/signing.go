package testnet

import (
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A Signing says how a zone is signed. The zero value is a good way: one ECDSA P-256 key, NSEC, DS with SHA-256.
type Signing struct {
	Algorithm uint8 // 5, 7, 8, 10, 13, 14, 15, or UnknownAlgorithm; 0 is 13
	Split     bool  // a KSK and a ZSK instead of one CSK
	KeyTTL    uint32
	Bits      int    // of RSA moduli; 0 is 1024, which is quickly made
	Exponent  uint64 // of RSA keys; 0 is 65537
	Seed      uint64 // decides keys; 0 is the World's

	Denial     Denial
	Iterations uint16 // of NSEC3, additional ones (RFC 5155 section 3.1.3)
	Salt       string // of NSEC3, in hexadecimal
	OptOut     bool   // of NSEC3: insecure delegations have none (RFC 5155 section 6)

	// Inception and Expiration are relative to the time of signing; the zero values are an hour ago and in 14 days.
	// When half of the time to Expiration is over, the zone is signed anew, unless it is signed Once.
	Inception, Expiration time.Duration
	Once                  bool

	Digests []uint8 // the digest types of the DS records in the zone above; nil is 2
	Island  bool    // no DS record there: an island of security (RFC 4033 section 2)

	Flaws []Flaw // ways to be broken
}

// Denial is how a zone says that something does not exist.
type Denial uint8

// The ways of denial: RFC 4034 section 4, RFC 5155, and compact denial of existence (RFC 9824).
const (
	NSEC Denial = iota
	NSEC3
	Compact
)

func (s Signing) withDefaults() Signing {
	if s.Algorithm == 0 {
		s.Algorithm = dns.ECDSAP256SHA256
	}
	if s.KeyTTL == 0 {
		s.KeyTTL = defaultTTL
	}
	if s.Bits == 0 {
		s.Bits = 1024
	}
	if s.Exponent == 0 {
		s.Exponent = 65537
	}
	if s.Inception == 0 {
		s.Inception = -time.Hour
	}
	if s.Expiration == 0 {
		s.Expiration = 14 * 24 * time.Hour
	}
	if s.Digests == nil {
		s.Digests = []uint8{dns.SHA256}
	}
	return s
}

// Sign signs zones, and puts DS records into the zones above, signed or not. It may be called again, for other keys.
func (w *World) Sign(s Signing, origins ...string) {
	if s.Seed == 0 {
		s.Seed = w.options.Seed
	}
	for _, origin := range origins {
		w.Data(origin).Sign(s)
		if !s.Island {
			w.PublishDS(origin)
		}
	}
}

// Spoil breaks a signed zone in these ways, and in no others: without arguments, it is mended. DS records are made anew.
func (w *World) Spoil(origin string, flaws ...Flaw) {
	z := w.Data(origin)
	if z.Spoil(flaws...); !z.signer.Island {
		w.PublishDS(origin)
	}
}

// PublishDS replaces the DS records in the zone above with those for the zone's present keys that have the SEP bit,
// revoked ones included, and these digest types; without any, those of the Signing.
func (w *World) PublishDS(origin string, digestTypes ...uint8) {
	z := w.Data(origin)
	if z.origin == "." {
		return
	}
	w.enclosing(parent(z.origin)).zone.replace(z.origin, dns.TypeDS, z.ds(digestTypes))
}

// Anchor is the first key of the root as a trust anchor: the text of a DS record, without TTL.
func (w *World) Anchor() string { return anchor(w.Data(".").Keys()[0].DS(dns.SHA256)) }

// AnchorKey is the same as the text of a DNSKEY record.
func (w *World) AnchorKey() string { return anchor(w.Data(".").Keys()[0].DNSKEY()) }

func anchor(rr dns.RR) string {
	fields := strings.Fields(rr.String())
	return strings.Join(slices.Delete(fields, 1, 2), " ")
}

// Sign signs the zone. What is answered is signed when it is first asked for, at the time that it is then.
func (z *Zone) Sign(s Signing) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.unsign()
	s = s.withDefaults()
	z.signer = &signer{Signing: s, origin: z.origin, zone: z, start: time.Now(), hashes: make(map[string]string)}
	if s.Denial == NSEC3 {
		z.node(z.origin)[dns.TypeNSEC3PARAM] = []dns.RR{&dns.NSEC3PARAM{
			Hdr:  dns.RR_Header{Name: z.origin, Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET}, // TTL 0, as signers do
			Hash: dns.SHA1, Iterations: s.Iterations, SaltLength: uint8(len(s.Salt) / 2), Salt: s.Salt,
		}}
	}
	if s.Split {
		z.addKey(KSK, 0)
		z.addKey(ZSK, 0)
	} else {
		z.addKey(CSK, 0)
	}
	z.spoil(s.Flaws)
}

// Spoil is World.Spoil for a zone by itself.
func (z *Zone) Spoil(flaws ...Flaw) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.spoil(flaws)
}

func (z *Zone) spoil(flaws []Flaw) {
	z.mustSigner().flaws = slices.Clone(flaws)
	z.publishKeys()
}

// Unsign makes the zone an unsigned one. DS records in the zone above stay.
func (z *Zone) Unsign() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.unsign()
}

func (z *Zone) unsign() {
	z.signer = nil
	delete(z.node(z.origin), dns.TypeDNSKEY)
	delete(z.node(z.origin), dns.TypeNSEC3PARAM)
}

// changed is called after each change of the zone, with z.mu held.
func (z *Zone) changed() {
	if z.signer != nil {
		z.signer.forget()
	}
}

func (z *Zone) mustSigner() *signer {
	if z.signer == nil {
		panic("testnet: zone " + z.origin + " is not signed")
	}
	return z.signer
}

// replace puts an RRset in the place of another.
func (z *Zone) replace(name string, t uint16, set []dns.RR) {
	z.Remove(name, t)
	z.put(set...)
}

func (z *Zone) ds(digestTypes []uint8) []dns.RR {
	z.mu.RLock()
	defer z.mu.RUnlock()
	g := z.mustSigner()
	if len(digestTypes) == 0 {
		digestTypes = g.Digests
	}
	var set []dns.RR
	for _, k := range g.keys {
		for _, t := range digestTypes {
			if record := g.recordOf(k); record.Flags&dns.SEP != 0 {
				set = append(set, toDS(record, t))
			}
		}
	}
	for _, f := range g.flaws {
		if f.ds != nil {
			set = f.ds(g, set)
		}
	}
	return set
}

// A signer signs the RRsets of a zone when they are needed, and keeps the signatures until the zone changes or is due
// to be signed anew. Its zone's mutex guards the first part; its own, what queries fill in.
type signer struct {
	Signing
	origin string
	zone   *Zone
	start  time.Time
	keys   []*Key
	made   int // keys so far
	flaws  []Flaw

	mu     sync.Mutex
	kept   map[rrsetID]signatures
	chain  chain
	hashes map[string]string
}

type rrsetID struct {
	owner string
	t     uint16
}

type signatures struct {
	epoch   time.Time
	records []dns.RR
}

func (g *signer) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept, g.chain = nil, nil
}

// signatures are the RRSIG records of an RRset, shared: they are copied before they are changed. The zone's mutex is
// held for reading.
func (g *signer) signatures(set []dns.RR) []dns.RR {
	h := set[0].Header()
	id, epoch := rrsetID{dns.CanonicalName(h.Name), h.Rrtype}, g.epoch(time.Now())
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.kept[id]; ok && s.epoch.Equal(epoch) {
		return s.records
	}
	s := signatures{epoch: epoch, records: g.sign(id, set, epoch)}
	if g.kept == nil {
		g.kept = make(map[rrsetID]signatures)
	}
	g.kept[id] = s
	return s.records
}

// recordOf is a key's record as RevokedKSK would have it.
func (g *signer) recordOf(k *Key) *dns.DNSKEY {
	if k.record.Flags&dns.SEP == 0 || !g.has(revokedKeys, g.origin, dns.TypeDNSKEY) {
		return k.record
	}
	revoked := *k.record
	revoked.Flags |= dns.REVOKE
	return &revoked
}

// epoch is when the zone was signed last.
func (g *signer) epoch(now time.Time) time.Time {
	if g.Once || g.Expiration < 2*time.Second {
		return g.start
	}
	return g.start.Add(now.Sub(g.start).Truncate(g.Expiration / 2))
}

func (g *signer) sign(id rrsetID, set []dns.RR, epoch time.Time) []dns.RR {
	flaws := g.flawsOf(id)
	var records []dns.RR
	for _, k := range g.keys {
		revoked := g.recordOf(k).Flags&dns.REVOKE != 0
		if k.role.signs(id.t) && (!revoked || id.t == dns.TypeDNSKEY) {
			records = append(records, g.signWith(k, set, epoch, flaws))
		}
	}
	for _, f := range flaws {
		if f.instead != nil {
			records = f.instead(g, set, records)
		}
	}
	return records
}

func (g *signer) signWith(k *Key, set []dns.RR, epoch time.Time, flaws []Flaw) dns.RR {
	h := set[0].Header()
	sig := &dns.RRSIG{
		Hdr:         dns.RR_Header{Name: h.Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: h.Ttl},
		TypeCovered: h.Rrtype, Algorithm: k.record.Algorithm, Labels: labelsOf(h.Name), OrigTtl: h.Ttl,
		Inception: uint32(epoch.Add(g.Inception).Unix()), Expiration: uint32(epoch.Add(g.Expiration).Unix()),
		KeyTag: g.recordOf(k).KeyTag(), SignerName: g.origin,
	}
	p := k.private
	for _, f := range flaws {
		if f.header != nil {
			f.header(g, sig, epoch)
		}
		if f.key != nil {
			other := f.key(g, k)
			p, sig.KeyTag = other.private, other.record.KeyTag()
		}
	}
	sig.Signature = base64.StdEncoding.EncodeToString(p.sign(signedData(sig, set)))
	return sig
}

// labelsOf counts neither the root nor a wildcard's asterisk (RFC 4034 section 3.1.3).
func labelsOf(owner string) uint8 {
	count := dns.CountLabel(owner)
	if strings.HasPrefix(owner, "*.") {
		count--
	}
	return uint8(count)
}
