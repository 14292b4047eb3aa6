package dnssec

import (
	"context"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A chain is the work of establishing one verdict: from a trust anchor down, zone cut by zone cut.
type chain struct {
	v   *Validator
	ctx context.Context
	now time.Time
	w   *work.Budget
	f   Fetcher

	moment time.Time // by which signatures are judged
	skewed bool      // it comes from a clock, which may be off
	err    error     // why check could not be done

	rolled   bool      // a signature names a key that its zone did not have when it was looked at
	renewed  wire.Name // what is remembered of it does not count, while renewing
	renewing bool
}

func (v *Validator) newChain(ctx context.Context, now time.Time, w *work.Budget, f Fetcher) *chain {
	c := &chain{v: v, ctx: ctx, now: now, w: w, f: f, moment: v.moment}
	if c.moment.IsZero() {
		c.moment, c.skewed = now, true
	}
	return c
}

// A cut is what has been established of a name: that it is the apex of a zone with these keys, or of one that is not
// signed, or no apex at all. Once it is remembered it is never written to.
type cut struct {
	zone   wire.Name
	status wire.Status // Secure, Insecure or Bogus
	within bool        // no zone cut here: the name belongs to the zone above
	unsure bool        // neither a DS nor a proof that there is none was to be had
	keys   []Key       // of a secure zone
	reason wire.ExtendedError
	since  time.Time
	until  time.Time
}

func (t *cut) verdict() Verdict { return Verdict{Status: t.status, Reason: t.reason} }

// Lifetimes of what is established.
const (
	bogusTime = 60 * time.Second
	maxTime   = 24 * time.Hour
)

// trust returns what is established of a zone that claims to have signed something: a chain of DS and DNSKEY RRsets
// leads to it from an anchor, or a proof that there is none. Who signed the DS says which zone comes before, so that
// names between two zones are not asked about.
func (c *chain) trust(zone wire.Name) (*cut, error) {
	var path []wire.Name // zones still to be established, the deepest first
	at := zone
	for {
		known, ok, err := c.known(at)
		if err != nil {
			return nil, err
		}
		if ok {
			return c.descend(known, path)
		}
		if !c.anchoredAbove(at) {
			return &cut{zone: zone, status: wire.Insecure}, nil
		}
		r, err := c.f.Fetch(c.ctx, c.w, at, wire.TypeDS)
		if err != nil {
			return nil, err
		}
		parent, signed := c.signerOfDS(at, &r)
		if !signed {
			known, err := c.walk(at)
			if err != nil {
				return nil, err
			}
			return c.descend(known, path)
		}
		path = append(path, at)
		at = parent
	}
}

// anchoredAbove reports whether trust can lead to a name at all.
func (c *chain) anchoredAbove(name wire.Name) bool {
	for !name.IsRoot() {
		if name = name.Parent(); c.v.anchors.At(name) {
			return true
		}
	}
	return false
}

// signerOfDS returns the zone that signed a DS RRset or its denial. It lies strictly above, so every step comes nearer
// to the root.
func (c *chain) signerOfDS(zone wire.Name, r *Reply) (wire.Name, bool) {
	var signer wire.Name
	var ok bool
	if r.Set != nil {
		signer, ok = signerOf(r.Set)
	} else {
		signer, ok = signerOfDenial(&Denied{Name: zone, Type: wire.TypeDS, SOA: r.SOA, Proof: r.Proof})
	}
	return signer, ok && zone.Below(signer)
}

// known returns what is established of a name already, or is by an anchor.
func (c *chain) known(name wire.Name) (*cut, bool, error) {
	if t, ok := c.remembered(name); ok && !t.within && !t.unsure {
		return t, true, nil
	}
	if c.v.anchors.At(name) {
		t, err := c.anchor(name)
		return t, true, err
	}
	if name.IsRoot() {
		return &cut{zone: name, status: wire.Insecure}, true, nil
	}
	return nil, false, nil
}

// descend goes down path from what is known, until nothing more can be secure.
func (c *chain) descend(t *cut, path []wire.Name) (*cut, error) {
	for i := len(path) - 1; i >= 0 && t.status == wire.Secure; i-- {
		next, err := c.delegation(t, path[i])
		if err != nil {
			return nil, err
		}
		if next.within { // who signs as a zone is not one; that must not be held against the zones below it
			return &cut{zone: path[i], status: wire.Bogus, reason: reason(path[i], wire.EDEBogus, "signs, and is not a zone")}, nil
		}
		t = next
	}
	return t, nil
}

// walk goes down from the deepest name of which something is established towards name, label by label, and returns the
// state of the zone that name is in. It is the way for what is not signed: whether that is right only the zones above
// can prove.
func (c *chain) walk(name wire.Name) (*cut, error) {
	at := name
	t, ok, err := c.known(at)
	for !ok && err == nil {
		at = at.Parent()
		t, ok, err = c.known(at)
	}
	zone := t
	for labels := at.Labels() + 1; err == nil && zone.status == wire.Secure && labels <= name.Labels(); labels++ {
		var next *cut
		next, err = c.delegation(zone, name.Suffix(labels))
		switch {
		case err != nil, next.within:
		case next.unsure: // servers that send half a proof for an empty non-terminal may have a whole one further down
			t = next
		default:
			t, zone = next, next
		}
	}
	return t, err
}

// delegation establishes what name is, seen from the secure zone above it: a signed zone, an unsigned one, or no cut
// (RFC 4035 section 5.2).
func (c *chain) delegation(parent *cut, name wire.Name) (*cut, error) {
	if t, ok := c.remembered(name); ok {
		return t, nil
	}
	if c.v.excepted(name, c.now) {
		return &cut{zone: name, status: wire.Insecure, reason: exceptedVerdict.Reason}, nil
	}
	if t, ok := c.remembered(parent.zone); ok && t.status == wire.Secure && !t.within {
		parent = t // its keys may have been renewed meanwhile
	}
	for {
		r, err := c.f.Fetch(c.ctx, c.w, name, wire.TypeDS)
		if err != nil {
			return nil, err
		}
		c.rolled = false
		t, err := c.judgeDelegation(parent, name, &r)
		if err != nil {
			return nil, err
		}
		if t.status == wire.Bogus && c.rolled && c.renew(parent.zone) {
			if parent, err = c.trust(parent.zone); err != nil || parent.status != wire.Secure {
				return parent, err
			}
			continue
		}
		if t.status == wire.Bogus && !t.within && c.f.Refetch(name, wire.TypeDS) { // the keys may have been rolled since the DS was learned
			continue
		}
		t.until = sooner(t.until, c.now.Add(r.TTL))
		return c.remember(t, maxTime), nil
	}
}

func (c *chain) judgeDelegation(parent *cut, name wire.Name, r *Reply) (*cut, error) {
	switch {
	case r.Set == nil:
		return c.judgeNoDS(parent, name, r)
	case r.Set.Type != wire.TypeDS: // an alias is no apex
		_, verdict, err := c.verify(r.Set, parent)
		return &cut{
			zone: name, within: verdict.Status == wire.Secure, status: verdict.Status, reason: verdict.Reason, until: verdict.Until,
		}, err
	}
	_, verdict, err := c.verify(r.Set, parent)
	if err != nil || verdict.Status != wire.Secure {
		return &cut{zone: name, status: wire.Bogus, reason: verdict.Reason}, err
	}
	digests, unsupported := c.v.usable(r.Set)
	if len(digests) == 0 { // RFC 4035 section 5.2: as if there were no DS
		return &cut{
			zone: name, status: wire.Insecure, reason: reason(name, unsupported, "no algorithm that is supported"), until: verdict.Until,
		}, nil
	}
	t, err := c.keys(name, func(k *Key) bool { return matchesAny(digests, name, k) })
	if err != nil {
		return nil, err
	}
	t.until = sooner(t.until, verdict.Until)
	return t, nil
}

// usable returns the DS records by which a zone can be secure here, and the code for there being none. SHA-1 digests do
// not count beside better ones (RFC 4509 section 3).
func (v *Validator) usable(set *wire.RRset) (digests []DS, unsupported wire.EDE) {
	unsupported = wire.EDEUnsupportedDNSKEY
	better := false
	for rdata := range set.Data.All() {
		if len(digests) == maxDS {
			break
		}
		ds, ok := ParseDS(rdata)
		switch {
		case !ok || !v.supports(ds.Algorithm):
		case !v.supportsDigest(ds.DigestType):
			unsupported = wire.EDEUnsupportedDSDigest
		default:
			digests = append(digests, ds)
			better = better || ds.DigestType != digestSHA1
		}
	}
	if better {
		digests = withoutSHA1(digests)
	}
	return digests, unsupported
}

// maxDS bounds the DS records of one zone that are looked at.
const maxDS = 8

func withoutSHA1(digests []DS) []DS {
	kept := digests[:0]
	for _, ds := range digests {
		if ds.DigestType != digestSHA1 {
			kept = append(kept, ds)
		}
	}
	return kept
}

func matchesAny(digests []DS, zone wire.Name, k *Key) bool {
	for i := range digests {
		if digests[i].Matches(zone, k) {
			return true
		}
	}
	return false
}

func (c *chain) judgeNoDS(parent *cut, name wire.Name, r *Reply) (*cut, error) {
	d, until, err := c.denial(parent, r.Proof)
	if err != nil {
		return nil, err
	}
	t := &cut{zone: name, until: until, status: wire.Insecure}
	switch d.NoDS(name) {
	case NotACut:
		t.within, t.status = true, wire.Secure
	case InsecureCut, OptOutSpan:
	case Expensive:
		t.reason = reason(parent.zone, wire.EDEUnsupportedNSEC3Iteration, tooManyIterations)
	case DSOverBudget:
		return nil, &work.Exceeded{Kind: work.NSEC3Hash}
	case NoSuchName:
		t.status, t.reason = wire.Bogus, reason(name, wire.EDEBogus, "does not exist according to the zone above")
	default:
		t.unsure, t.status, t.reason = true, wire.Bogus, reason(name, wire.EDENSECMissing, "no DS, and no proof that there is none")
	}
	return t, nil
}

// anchor establishes a zone by its trust anchors.
func (c *chain) anchor(zone wire.Name) (*cut, error) {
	t, err := c.keys(zone, func(k *Key) bool { return c.v.anchors.Trusts(zone, k) })
	if err != nil {
		return nil, err
	}
	return c.remember(t, maxTime), nil
}

// keys establishes the keys of a zone: its DNSKEY RRset, signed by a key that is trusted (RFC 4035 section 5.2).
func (c *chain) keys(zone wire.Name, trusted func(*Key) bool) (*cut, error) {
	for {
		r, err := c.f.Fetch(c.ctx, c.w, zone, wire.TypeDNSKEY)
		if err != nil {
			return nil, err
		}
		if r.Set != nil && c.v.anchors.At(zone) && c.v.observe(c.now, c.w, r.Set) {
			c.v.Forget(func(wire.Name) bool { return true })
		}
		t, err := c.judgeKeys(zone, &r, trusted)
		if err != nil {
			return nil, err
		}
		if t.status == wire.Bogus && c.f.Refetch(zone, wire.TypeDNSKEY) {
			continue
		}
		t.until = sooner(t.until, c.now.Add(r.TTL))
		return t, nil
	}
}

func (c *chain) judgeKeys(zone wire.Name, r *Reply, trusted func(*Key) bool) (*cut, error) {
	if r.Set == nil || r.Set.Type != wire.TypeDNSKEY {
		return &cut{zone: zone, status: wire.Bogus, reason: reason(zone, wire.EDEDNSKEYMissing, "no DNSKEY where there is a DS")}, nil
	}
	all, entry := c.v.parseKeys(r.Set, trusted)
	if len(entry) == 0 {
		return &cut{zone: zone, status: wire.Bogus, reason: reason(zone, wire.EDEDNSKEYMissing, "no DNSKEY matches the DS or the trust anchor")}, nil
	}
	_, verdict, err := c.verify(r.Set, &cut{zone: zone, keys: entry})
	c.rolled = false // these keys are no older than the signature
	if err != nil || verdict.Status != wire.Secure {
		return &cut{zone: zone, status: wire.Bogus, reason: verdict.Reason}, err
	}
	return &cut{zone: zone, status: wire.Secure, keys: all, until: verdict.Until}, nil
}

// parseKeys returns the zone keys that may sign data, and those among them that are trusted.
func (v *Validator) parseKeys(set *wire.RRset, trusted func(*Key) bool) (all, entry []Key) {
	for rdata := range set.Data.All() {
		if len(all) == maxKeys {
			break
		}
		k, ok := ParseKey(rdata)
		if !ok || !k.IsZoneKey() || k.IsRevoked() || !v.supports(k.Algorithm) {
			continue
		}
		all = append(all, k)
		if trusted(&k) {
			entry = append(entry, k)
		}
	}
	return all, entry
}

// maxKeys bounds the keys of one zone that are looked at.
const maxKeys = 64

// remember keeps what was established, for as long as its records and their signatures last and no longer than most.
func (c *chain) remember(t *cut, most time.Duration) *cut {
	if t.status == wire.Bogus {
		most = bogusTime
	}
	t.since, t.until = c.now, sooner(t.until, c.now.Add(most))
	c.v.cuts.put(t)
	return t
}

// remembered returns what was established of a name before.
func (c *chain) remembered(name wire.Name) (*cut, bool) {
	if c.renewing && name == c.renewed {
		return nil, false
	}
	return c.v.cuts.get(name, c.now)
}

// renewAfter is the age from which the keys of a zone are asked for again when they do not explain a signature. Anybody
// can name a tag that no key has, so this bounds what that costs.
const renewAfter = time.Minute

// renew establishes the keys of a zone anew and reports whether that was of use: they were rolled since, without the
// notice that RFC 6781 section 4.1 asks for. If the new ones cannot be had or are bogus, the old ones stay.
func (c *chain) renew(zone wire.Name) bool {
	old, ok := c.v.cuts.get(zone, c.now)
	if !ok || old.status != wire.Secure || old.within || c.renewing || c.now.Sub(old.since) < renewAfter || !c.f.Refetch(zone, wire.TypeDNSKEY) {
		return false
	}
	c.renewed, c.renewing = zone, true
	t, err := c.trust(zone)
	c.renewing = false
	if err == nil && t.status > wire.Bogus {
		return true
	}
	again := *old
	again.since = c.now
	c.v.cuts.put(&again)
	return false
}

// judgeTwice judges again with new keys of the signer when the old ones do not explain a signature.
func (c *chain) judgeTwice(signer wire.Name, judge func() (Verdict, error)) (Verdict, error) {
	c.rolled = false
	verdict, err := judge()
	if err == nil && verdict.Status == wire.Bogus && c.rolled && c.renew(signer) {
		return judge()
	}
	return verdict, err
}
