package dnssec

import (
	"slices"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Parameters of RFC 5011 sections 2.3 and 2.4.
const (
	holdDown   = 30 * 24 * time.Hour // of a new key, and of the memory of a revoked one
	minRefresh = time.Hour
	maxRefresh = 15 * 24 * time.Hour
	maxRetry   = 24 * time.Hour

	maxPending = 16 // keys of a zone; five at least (section 2.4.3)
)

// A view is what a DNSKEY RRset shows of the keys of a trust point.
type view struct {
	keys      []Key         // all that could be read, up to maxKeys
	sightings []sighting    // one for each anchor
	signed    bool          // by any of them; then
	ttl       time.Duration // its original TTL, and
	lifetime  time.Duration // how much longer its signature is valid
}

// A sighting is what an RRset shows of one anchor's key.
type sighting struct {
	plain, revoked       *Key // without and with the REVOKE bit
	vouches, selfRevoked bool // whether the one and the other has signed the set
}

// look finds the keys of p in set, and which of them signed it. Anchors that were digests become keys. The error is
// that of the budget.
func look(now time.Time, w *work.Budget, p *point, set *wire.RRset) (view, error) {
	v := view{keys: readKeys(set)}
	p.recognise(v.keys)
	v.sightings = make([]sighting, len(p.anchors))
	for i := range v.keys {
		k := &v.keys[i]
		plain := k.withoutRevoke()
		at := p.stand(&plain)
		switch {
		case at < 0:
		case k.IsRevoked():
			v.sightings[at].revoked = k
		default:
			v.sightings[at].plain = k
		}
	}
	return v, v.check(now, w, p, set)
}

func readKeys(set *wire.RRset) []Key {
	var keys []Key
	for rdata := range set.Data.All() {
		if len(keys) == maxKeys {
			break
		}
		if k, ok := ParseKey(rdata); ok && k.IsZoneKey() {
			keys = append(keys, k)
		}
	}
	return keys
}

// withoutRevoke returns the key as it was before it was revoked: the REVOKE bit changes tag and digest, not the key
// (RFC 5011 section 3).
func (k *Key) withoutRevoke() Key {
	if !k.IsRevoked() {
		return *k
	}
	rdata := slices.Clone(k.RDATA)
	rdata[1] &^= flagRevoke
	plain, _ := ParseKey(rdata)
	return plain
}

// recognise replaces digests by the keys that they are of. A digest vouches for its key whoever brings it.
func (p *point) recognise(keys []Key) {
	for i := range keys {
		plain := keys[i].withoutRevoke()
		at := p.stand(&plain)
		if at < 0 || !p.anchors[at].isDigest() {
			continue
		}
		p.anchors[at].record = TrustAnchor{Zone: p.zone, Type: wire.TypeDNSKEY, RDATA: string(plain.RDATA)}
		p.anchors = slices.DeleteFunc(p.anchors, func(n anchor) bool { return n.isDigest() && n.is(p.zone, &plain) })
	}
}

// check verifies the signatures of trusted keys, and those of their revoked selves, and gives up as validation does.
func (v *view) check(now time.Time, w *work.Budget, p *point, set *wire.RRset) error {
	failures := 0
	for sig := range signatures(set) {
		if sig.Signer != p.zone || sig.Fits(set) != nil || sig.ValidAt(now) != nil {
			continue
		}
		for i := range v.sightings {
			k, signed := v.sightings[i].signedBy(sig)
			if k == nil || *signed || !p.anchors[i].state.isTrusted() || failures >= maxFailures {
				continue
			}
			ok, err := spendOn(w, sig, set, k)
			switch {
			case err != nil:
				return err
			case ok:
				*signed = true
				v.time(now, sig)
			default:
				failures += int(k.price())
			}
		}
	}
	return nil
}

// spendOn verifies a signature at the cost of w, whose error it returns.
func spendOn(w *work.Budget, sig *Signature, set *wire.RRset, k *Key) (bool, error) {
	if err := w.Spend(work.Signature, 1); err != nil {
		return false, err
	}
	if sig.Verify(set, k) == nil {
		return true, nil
	}
	return false, w.Spend(work.FailedSignature, k.price())
}

// signedBy returns the key that sig says it was made with, if it is one of the two.
func (s *sighting) signedBy(sig *Signature) (*Key, *bool) {
	switch {
	case s.plain != nil && s.plain.Tag == sig.Tag && s.plain.Algorithm == sig.Algorithm:
		return s.plain, &s.vouches
	case s.revoked != nil && s.revoked.Tag == sig.Tag && s.revoked.Algorithm == sig.Algorithm:
		return s.revoked, &s.selfRevoked
	}
	return nil, nil
}

// time keeps the shortest times of the signatures that hold.
func (v *view) time(now time.Time, sig *Signature) {
	ttl := time.Duration(0)
	if sig.OriginalTTL < 1<<31 { // RFC 2181 section 8
		ttl = time.Duration(sig.OriginalTTL) * time.Second
	}
	lifetime := time.Duration(int32(sig.Expiration-uint32(now.Unix()))) * time.Second
	if v.signed {
		ttl, lifetime = min(ttl, v.ttl), min(lifetime, v.lifetime)
	}
	v.signed, v.ttl, v.lifetime = true, ttl, lifetime
}

// follow takes p from one state to the next. It reports whether anything that was seen could be believed.
func (p *point) follow(now time.Time, v view) bool {
	revoked := p.revoke(now, v)
	vouchers := p.vouchers(v)
	if len(vouchers) == 0 {
		if revoked {
			p.dropOrphans()
			p.schedule(now, v)
		}
		return revoked
	}
	kept := make([]anchor, 0, len(p.anchors))
	for i := range p.anchors {
		if n := p.anchors[i]; n.state != AddPend || slices.ContainsFunc(n.signers, p.trustsTag) && v.sightings[i].plain != nil {
			n.step(now, &v.sightings[i])
			kept = append(kept, n)
		}
	}
	p.anchors = kept
	p.welcome(now, v, vouchers)
	p.sort()
	p.schedule(now, v)
	return true
}

// revoke is the event RevBit. Only the key's own signature revokes it, and it needs no other (RFC 5011 section 2.1).
func (p *point) revoke(now time.Time, v view) bool {
	revoked := false
	for i := range p.anchors {
		if n := &p.anchors[i]; n.state.isTrusted() && v.sightings[i].selfRevoked {
			n.enter(Revoked, now)
			revoked = true
		}
	}
	return revoked
}

// vouchers are the tags of the trusted keys that signed the set.
func (p *point) vouchers(v view) []uint16 {
	var tags []uint16
	for i := range p.anchors {
		if n := &p.anchors[i]; n.state.isTrusted() && v.sightings[i].vouches {
			tags = append(tags, n.tag())
		}
	}
	return tags
}

// step is the state table of RFC 5011 section 4, but for NewKey (see welcome), RevBit (see revoke) and KeyRem of a
// pending key, which is forgotten.
func (n *anchor) step(now time.Time, s *sighting) {
	switch n.state {
	case AddPend:
		// AddTime asks for both: that the time is over, and that a set seen after it still has the key (section 2.2).
		if !now.Before(n.until) {
			n.enter(Valid, now)
		}
	case Valid: // KeyRem
		if s.plain == nil {
			n.enter(Missing, now)
		}
	case Missing: // KeyPres
		if s.plain != nil {
			n.enter(Valid, now)
		}
	case Revoked: // RemTime: how long the key has not been there
		switch {
		case s.plain != nil || s.revoked != nil:
			n.until = time.Time{}
		case n.until.IsZero():
			n.until = now.Add(holdDown)
		case !now.Before(n.until):
			n.enter(Removed, now)
		}
	case Start, Removed, keyStates:
	}
}

func (n *anchor) enter(s KeyState, now time.Time) {
	n.state, n.since, n.until, n.signers = s, now, time.Time{}, nil
}

// welcome is the event NewKey: keys with the SEP bit that are not known in any state begin their hold-down, which is no
// shorter than the TTL of the set (RFC 5011 sections 2.2 and 2.4.1).
func (p *point) welcome(now time.Time, v view, vouchers []uint16) {
	pending := 0
	for i := range p.anchors {
		if p.anchors[i].state == AddPend {
			pending++
		}
	}
	for i := range v.keys {
		k := &v.keys[i]
		if !k.IsSEP() || k.IsRevoked() || !SupportedAlgorithm(k.Algorithm) || p.stand(k) >= 0 || pending == maxPending {
			continue
		}
		pending++
		p.anchors = append(p.anchors, anchor{
			record: TrustAnchor{Zone: p.zone, Type: wire.TypeDNSKEY, RDATA: string(k.RDATA)},
			state:  AddPend, since: now, until: now.Add(max(holdDown, v.ttl)), signers: vouchers,
		})
	}
}

// schedule fixes when the zone is due (RFC 5011 section 2.3).
func (p *point) schedule(now time.Time, v view) {
	p.observed = now
	p.next = now.Add(max(minRefresh, min(maxRefresh, v.ttl/2, v.lifetime/2)))
	p.retry = max(minRefresh, min(maxRetry, v.ttl/10, v.lifetime/10))
}
