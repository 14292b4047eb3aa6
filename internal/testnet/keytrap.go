package testnet

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// KeyTrap is CVE-2023-50387: that many keys with the tag and the algorithm of the zone's own, and for all but the DNSKEY
// RRset that many signatures by none of them. At the DNSKEY RRset, the right signature comes last.
// With a CSK the keys have the tag of the DS record as well; with Signing.Split the trap is shut one step later.
func KeyTrap(keys, signatures int) Flaw {
	var mu sync.Mutex
	made := make(map[string][]dns.RR) // by the key that they collide with
	return Flaw{
		where: exceptDNSKEY,
		keys: func(g *signer, set []dns.RR) []dns.RR {
			mu.Lock()
			defer mu.Unlock()
			model := g.keys[len(g.keys)-1].record
			if made[model.PublicKey] == nil {
				made[model.PublicKey] = collide(g, model, keys)
			}
			return append(copies(made[model.PublicKey]), set...)
		},
		instead: func(g *signer, set, right []dns.RR) []dns.RR {
			if len(right) == 0 {
				return nil
			}
			var out []dns.RR
			m := material(g.Seed, "trap", set[0].Header().Name, fmt.Sprint(set[0].Header().Rrtype))
			for range signatures {
				out = append(out, trapSignature(m, right[0].(*dns.RRSIG)))
			}
			if set[0].Header().Rrtype == dns.TypeDNSKEY {
				out = append(out, right...)
			}
			return out
		},
	}
}

// DSTrap puts that many DS records with the right tag and algorithm and wrong digests before the right ones. Together
// with KeyTrap each of them is to be compared with each key.
func DSTrap(records int) Flaw {
	return Flaw{ds: func(g *signer, set []dns.RR) []dns.RR {
		m := material(g.Seed, "ds", g.origin)
		var out []dns.RR
		for range records {
			ds := dns.Copy(set[0]).(*dns.DS)
			ds.Digest = fmt.Sprintf("%x", read(m, len(ds.Digest)/2))
			out = append(out, ds)
		}
		return append(out, set...)
	}}
}

// collide makes keys with the tag of another: the zone's last one, which is the CSK or the ZSK. The points of elliptic curves are real
// ones, which cannot be told from keys in use. The tag is a sum in which the flags take part: 14 of their bits are to
// be ignored (RFC 4034 section 2.1.1), so that every fourth key can be given any tag.
func collide(g *signer, model *dns.DNSKEY, count int) []dns.RR {
	tag, m := model.KeyTag(), material(g.Seed, "collide", g.origin)
	var keys []dns.RR
	for len(keys) < count {
		k := dns.Copy(model).(*dns.DNSKEY)
		k.PublicKey = base64.StdEncoding.EncodeToString(trapKey(g, m, k))
		k.Flags = 0
		k.Flags = tag - k.KeyTag()
		for range 2 { // the sum carries, or it does not
			if k.KeyTag() == tag && k.Flags&dns.ZONE != 0 && k.Flags&dns.REVOKE == 0 {
				keys = append(keys, k)
				break
			}
			k.Flags--
		}
	}
	return keys
}

// trapKey is a public key. Nobody knows the factors of an RSA modulus that is just an odd number, and nobody has to.
func trapKey(g *signer, m *rand.ChaCha8, model *dns.DNSKEY) []byte {
	switch model.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
		b, _ := base64.StdEncoding.DecodeString(model.PublicKey) // was encoded by newKey
		modulus := b[1+b[0]:]
		copy(modulus, read(m, len(modulus)))
		modulus[0] |= 0x80
		modulus[len(modulus)-1] |= 1
		return b
	}
	return newPrivate(g.Signing, model.Algorithm, m, 0).public()
}

// trapSignature has the form of a right one: numbers in range, so that it takes the full computation to reject it.
func trapSignature(m *rand.ChaCha8, right *dns.RRSIG) dns.RR {
	sig := dns.Copy(right).(*dns.RRSIG)
	b := read(m, base64.StdEncoding.DecodedLen(len(strings.TrimRight(sig.Signature, "="))))
	switch sig.Algorithm {
	case dns.ED25519:
		b[len(b)-1] &= 0x0F // less than the order of the base point, in little endian
	default:
		b[0] &= 0x7F // less than a modulus whose first bit is set
	}
	sig.Signature = base64.StdEncoding.EncodeToString(b)
	return sig
}
