package testnet

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// A Role says what a key is for.
type Role uint8

// The roles (RFC 9499 section 11). Standby is a KSK that stands in the DNSKEY RRset but does not sign, like a new trust
// anchor that waits for its 30 days.
const (
	CSK Role = iota // signs everything
	KSK             // signs the DNSKEY RRset
	ZSK             // signs the rest
	Standby
)

func (r Role) signs(t uint16) bool {
	if t == dns.TypeDNSKEY {
		return r == CSK || r == KSK
	}
	return r == CSK || r == ZSK
}

// A Key is a key of a signed zone. Its methods may be called at any time of a script: what is answered from then on is
// signed anew.
type Key struct {
	zone    *Zone
	role    Role
	record  *dns.DNSKEY
	private private
}

// Keys are the keys of a signed zone, in the order in which they came: the first one is the CSK, or the KSK before the
// ZSK.
func (z *Zone) Keys() []*Key {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return slices.Clone(z.mustSigner().keys)
}

// AddKey makes a new key; algorithm 0 is that of the zone. The zone above hears of it by World.PublishDS only.
func (z *Zone) AddKey(r Role, algorithm uint8) *Key {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.addKey(r, algorithm)
}

// addKey expects z.mu to be held.
func (z *Zone) addKey(r Role, algorithm uint8) *Key {
	g := z.mustSigner()
	if algorithm == 0 {
		algorithm = g.Algorithm
	}
	k := newKey(g, r, algorithm, g.made)
	g.made++
	k.zone = z
	g.keys = append(g.keys, k)
	z.publishKeys()
	return k
}

func newKey(g *signer, r Role, algorithm uint8, number int) *Key {
	p := newPrivate(g.Signing, algorithm, material(g.Seed, g.origin, fmt.Sprint(algorithm, number)), number)
	flags := uint16(dns.ZONE)
	if r != ZSK {
		flags |= dns.SEP
	}
	record := &dns.DNSKEY{
		Hdr: header(g.origin, dns.TypeDNSKEY), Flags: flags, Protocol: 3, Algorithm: algorithm,
		PublicKey: base64.StdEncoding.EncodeToString(p.public()),
	}
	record.Hdr.Ttl = g.KeyTTL
	return &Key{role: r, record: record, private: p}
}

// DNSKEY is the key's record as it stands in the zone now.
func (k *Key) DNSKEY() *dns.DNSKEY {
	k.zone.mu.RLock()
	defer k.zone.mu.RUnlock()
	return dns.Copy(k.record).(*dns.DNSKEY)
}

// Tag is the key tag, which changes with the REVOKE bit (RFC 5011 section 3).
func (k *Key) Tag() uint16 { return k.DNSKEY().KeyTag() }

// DS is the DS record for the key. The digest of a type that is not known is 32 octets that mean nothing.
func (k *Key) DS(digestType uint8) *dns.DS { return toDS(k.DNSKEY(), digestType) }

// SetRole takes work from the key or gives it some. The SEP bit stays as it was made.
func (k *Key) SetRole(r Role) { k.change(func() { k.role = r }) }

// Revoke sets the REVOKE bit. A key that signs the DNSKEY RRset goes on doing so, as it must (RFC 5011 section 2.1).
func (k *Key) Revoke() {
	k.change(func() {
		revoked := *k.record
		revoked.Flags |= dns.REVOKE
		k.record = &revoked
	})
}

// Remove takes the key out of the zone.
func (k *Key) Remove() {
	k.change(func() {
		g := k.zone.mustSigner()
		g.keys = slices.DeleteFunc(g.keys, func(other *Key) bool { return other == k })
	})
}

func (k *Key) change(do func()) {
	k.zone.mu.Lock()
	defer k.zone.mu.Unlock()
	do()
	k.zone.publishKeys()
}

// publishKeys makes the DNSKEY RRset that of the keys. z.mu is held.
func (z *Zone) publishKeys() {
	g := z.mustSigner()
	var set []dns.RR
	for _, k := range g.keys {
		set = append(set, dns.Copy(g.recordOf(k)))
	}
	for _, f := range g.flaws {
		if f.keys != nil {
			set = f.keys(g, set)
		}
	}
	z.node(z.origin)[dns.TypeDNSKEY] = set
	z.changed()
}

func toDS(k *dns.DNSKEY, digestType uint8) *dns.DS {
	if ds := k.ToDS(digestType); ds != nil {
		ds.Hdr.Ttl = defaultTTL
		return ds
	}
	ds := k.ToDS(dns.SHA256)
	ds.DigestType = digestType
	ds.Hdr.Ttl = defaultTTL
	return ds
}
