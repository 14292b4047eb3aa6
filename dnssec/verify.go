package dnssec

import (
	"errors"
	"iter"
	"math"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Limits of the work on one RRset (KeyTrap, CVE-2023-50387).
const (
	maxChecks     = 8 // signature checks
	maxFailures   = 4 // ... that did not verify
	maxSignatures = 8 // signatures looked at
	maxSameTag    = 2 // keys tried for one signature
)

// signerOf returns who signed a set: the signer of the first signature that could be for it.
func signerOf(set *wire.RRset) (wire.Name, bool) {
	for sig := range signatures(set) {
		if sig.Fits(set) == nil {
			return sig.Signer, true
		}
	}
	return wire.Root, false
}

// signerOfDenial returns who signed a denial: its proof, or else its SOA. A server that followed aliases sends the
// proofs of several zones; the one that counts is that of the deepest zone that the name can be in.
func signerOfDenial(d *Denied) (deepest wire.Name, found bool) {
	side := zoneSide(d.Name, d.Type)
	for i := range d.Proof {
		signer, ok := signerOf(&d.Proof[i])
		if ok && side.Within(signer) && (!found || signer.Below(deepest)) {
			deepest, found = signer, true
		}
	}
	if found || d.SOA == nil {
		return deepest, found
	}
	return signerOf(d.SOA)
}

// signatures yields the signatures of a set that can be read, up to maxSignatures.
func signatures(set *wire.RRset) iter.Seq[*Signature] {
	return func(yield func(*Signature) bool) {
		count := 0
		for rdata := range set.Sigs.All() {
			if count++; count > maxSignatures {
				return
			}
			if sig, ok := ParseSignature(rdata); ok && !yield(&sig) {
				return
			}
		}
	}
}

// verify checks the signatures of set against the keys of its zone, until one holds (RFC 4035 section 5.3.3).
func (c *chain) verify(set *wire.RRset, trust *cut) (*Signature, Verdict, error) {
	code, text := wire.EDERRSIGsMissing, "no signature by the zone over the records"
	t := trial{set: set, keys: trust.keys}
	for sig := range signatures(set) {
		if sig.Signer != trust.zone || sig.Fits(set) != nil || !c.v.supports(sig.Algorithm) {
			continue
		}
		if err := c.valid(sig); err != nil {
			code, text = validityCode(err), err.Error()
			continue
		}
		switch err := c.try(&t, sig); {
		case err == nil:
			return sig, Verdict{Status: wire.Secure, Until: c.now.Add(min(sig.left(c.moment), sig.originalTTL()))}, nil
		case errors.Is(err, errNoWork):
			return nil, Verdict{}, c.err
		case errors.Is(err, errNoKey):
			c.rolled = true
			code, text = wire.EDEDNSKEYMissing, err.Error()
		default:
			code, text = wire.EDEBogus, err.Error()
		}
	}
	return nil, bogus(trust.zone, code, text), nil
}

// A trial is the verification of one RRset, with what it has cost.
type trial struct {
	set              *wire.RRset
	keys             []Key
	checks, failures int
}

var (
	errNoWork  = errors.New("no work allowed")
	errNoKey   = errors.New("no key for the signature")
	errTooMuch = errors.New("more signatures or keys than are worth checking")
)

// try checks one signature with the keys that it may have been made with.
func (c *chain) try(t *trial, sig *Signature) error {
	result := errNoKey
	tried := 0
	for i := range t.keys {
		k := &t.keys[i]
		if k.Tag != sig.Tag || k.Algorithm != sig.Algorithm || tried == maxSameTag {
			continue
		}
		if t.checks == maxChecks || t.failures >= maxFailures {
			return errTooMuch
		}
		tried++
		t.checks++
		if result = c.check(sig, t.set, k); result == nil || errors.Is(result, errNoWork) {
			return result
		}
		t.failures += int(k.price())
	}
	return result
}

func (c *chain) valid(sig *Signature) error {
	if c.skewed {
		return sig.ValidAt(c.moment)
	}
	return sig.ValidAtExactly(c.moment)
}

// check does the one costly thing: it pays for it, waits for a slot, and verifies.
func (c *chain) check(sig *Signature, set *wire.RRset, k *Key) error {
	if c.err = c.w.Spend(work.Signature, 1); c.err != nil {
		return errNoWork
	}
	select {
	case c.v.crypto <- struct{}{}:
	case <-c.ctx.Done():
		c.err = c.ctx.Err()
		return errNoWork
	}
	err := sig.Verify(set, k)
	<-c.v.crypto
	if err != nil {
		if c.err = c.w.Spend(work.FailedSignature, k.price()); c.err != nil {
			return errNoWork
		}
	}
	return err
}

// price is what a failed check with the key counts: P-384 takes twice as long as the next costly.
func (k *Key) price() int32 {
	if k.Algorithm == algorithmECDSAP384 {
		return 2
	}
	return 1
}

// left returns how much longer the signature is valid. Within the skew of clocks that it is granted it is good for
// nothing but the moment.
func (s *Signature) left(moment time.Time) time.Duration {
	return max(0, time.Duration(int32(s.Expiration-uint32(moment.Unix())))*time.Second)
}

// originalTTL returns the TTL that the zone gave to the records. They last no longer, whatever TTL they came with (RFC
// 4035 section 5.3.3).
func (s *Signature) originalTTL() time.Duration {
	if s.OriginalTTL > math.MaxInt32 { // RFC 2181 section 8
		return 0
	}
	return time.Duration(s.OriginalTTL) * time.Second
}

func validityCode(err error) wire.EDE {
	switch {
	case errors.Is(err, errNotYetValid):
		return wire.EDESignatureNotYetValid
	case errors.Is(err, errExpired):
		return wire.EDESignatureExpired
	default:
		return wire.EDEBogus
	}
}

// supports reports whether signatures of an algorithm prove anything here.
func (v *Validator) supports(algorithm uint8) bool {
	return SupportedAlgorithm(algorithm) && (v.trustSHA || !UsesSHA1(algorithm))
}

func (v *Validator) supportsDigest(digest uint8) bool {
	return SupportedDigest(digest) && (v.trustSHA || digest != digestSHA1)
}

// denial returns the proofs that can be made from the NSEC and NSEC3 RRsets that the zone itself signed, and when the
// first of their signatures ends.
func (c *chain) denial(trust *cut, proof []wire.RRset) (*Denial, time.Time, error) {
	var signed []wire.RRset
	var until time.Time
	for i := range proof {
		if len(signed) == maxProofSets {
			break
		}
		sig, verdict, err := c.verify(&proof[i], trust)
		if err != nil {
			return nil, until, err
		}
		if verdict.Status == wire.Secure {
			signed = append(signed, proof[i])
			until = sooner(until, c.now.Add(sig.left(c.moment)))
		}
	}
	return NewDenial(trust.zone, signed, c.w), until, nil
}

// maxProofSets bounds the NSEC or NSEC3 RRsets of one denial: four prove the hardest case.
const maxProofSets = 8
