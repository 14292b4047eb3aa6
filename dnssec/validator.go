package dnssec

import (
	"context"
	"errors"
	"runtime"
	"time"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A Validator decides what can be believed (RFC 4035 section 5). It asks nobody itself: keys and proofs come through a
// Fetcher, time and budget are arguments. What it has established of zone cuts it remembers. It is safe for concurrent use.
type Validator struct {
	anchors  Anchored
	excepted func(name wire.Name, now time.Time) bool
	observe  func(now time.Time, w *work.Budget, set *wire.RRset) bool
	trustSHA bool
	moment   time.Time // of Options.SignatureTime
	cuts     *cuts
	crypto   chan struct{} // a slot for each signature that may be checked at once
}

// Options say what a Validator starts from.
type Options struct {
	// Anchors are the trust anchors.
	Anchors Anchored
	// Observe is told of each DNSKEY RRset of a zone with a trust anchor, as it came. It reports whether other keys may
	// be trusted now than before (RFC 5011). Nil: trust anchors do not change.
	Observe func(now time.Time, w *work.Budget, set *wire.RRset) bool
	// Excepted reports the names at and below negative trust anchors (RFC 7646). Nil: none.
	Excepted func(name wire.Name, now time.Time) bool
	// VerifySHA1 treats algorithms 5 and 7 and SHA-1 digests as any other. By default they prove nothing, and zones
	// that have nothing else are insecure (RFC 9905).
	VerifySHA1 bool
	// SignatureTime, unless zero, is the time by which signatures are judged, instead of the present.
	SignatureTime time.Time
	// Cuts is how many zone cuts are remembered. 0: 20,000.
	Cuts int
}

// Anchored knows the keys that are trusted without proof.
type Anchored interface {
	// At reports whether there is a trust anchor for zone.
	At(zone wire.Name) bool
	// Trusts reports whether k is one.
	Trusts(zone wire.Name, k *Key) bool
}

// A Fetcher gets what a zone's servers say. Nothing of it need be true.
type Fetcher interface {
	// Fetch gets the RRset of name and type, or its denial, from the zone that has it: of a DS, the parent's.
	Fetch(ctx context.Context, w *work.Budget, name wire.Name, t wire.Type) (Reply, error)
	// Refetch is told that what Fetch gave cannot be believed. It reports whether it pays to fetch again, from others.
	Refetch(name wire.Name, t wire.Type) bool
}

// A Reply is an RRset or its denial, as it came.
type Reply struct {
	Set    *wire.RRset   // nil when denied; a CNAME when the name is an alias
	NoName bool          // denied with NXDOMAIN
	SOA    *wire.RRset   // of a denial; may be nil
	Proof  []wire.RRset  // NSEC and NSEC3 RRsets that came along
	TTL    time.Duration // how much longer the cache keeps it
}

// A Verdict is what a Validator finds.
type Verdict struct {
	Status wire.Status
	// Reason says, to the asker only, why Status is Bogus, or in the cases that RFC 8914 has a code for, Insecure.
	Reason wire.ExtendedError
	// Until is when the verdict ends because a signature does; zero: it lasts as long as the data.
	Until time.Time
	// NoName is set when a denial of data proves that the name does not exist (RFC 9824).
	NoName bool
	// Zone is the signer of what a denial, or the expansion of a wildcard, was judged by, and Proof those of its NSEC
	// or NSEC3 RRsets that were found to be signed. Wildcard is what an RRset was expanded from, otherwise the root.
	Zone, Wildcard wire.Name
	Proof          []wire.RRset
}

const defaultCuts = 20000

// New returns a Validator.
func New(o Options) *Validator {
	if o.Cuts == 0 {
		o.Cuts = defaultCuts
	}
	if o.Excepted == nil {
		o.Excepted = func(wire.Name, time.Time) bool { return false }
	}
	if o.Observe == nil {
		o.Observe = func(time.Time, *work.Budget, *wire.RRset) bool { return false }
	}
	return &Validator{
		anchors: o.Anchors, observe: o.Observe, excepted: o.Excepted, trustSHA: o.VerifySHA1, moment: o.SignatureTime, cuts: newCuts(o.Cuts),
		crypto: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// Forget drops what was established of the names that covers names.
func (v *Validator) Forget(covers func(wire.Name) bool) { v.cuts.forget(covers) }

// RRset judges an RRset that came in an answer, with the proof that came with it. The error is that of a Fetch, or of a
// budget: then there is no verdict.
func (v *Validator) RRset(ctx context.Context, now time.Time, w *work.Budget, set *wire.RRset, proof []wire.RRset, f Fetcher) (Verdict, error) {
	if v.excepted(set.Name, now) {
		return exceptedVerdict, nil
	}
	if set.Type == wire.TypeRRSIG { // RFC 4035 section 2.2: signatures are not signed
		return Verdict{Status: wire.Insecure}, nil
	}
	c := v.newChain(ctx, now, w, f)
	verdict, err := c.judgeSet(set, proof)
	if err == nil && verdict.Status == wire.Bogus {
		// Never falsely bogus: signatures of any kind mean nothing below a cut that is proven to be insecure.
		return c.unlessInsecure(zoneSide(set.Name, set.Type), verdict)
	}
	return verdict, err
}

var exceptedVerdict = Verdict{
	Status: wire.Insecure,
	Reason: wire.ExtendedError{Code: edeNegativeTrustAnchor, Text: "below a negative trust anchor"},
}

const edeNegativeTrustAnchor wire.EDE = 33

// zoneSide returns the name whose zone a record belongs to: a DS belongs to the zone above the cut.
func zoneSide(name wire.Name, t wire.Type) wire.Name {
	if t == wire.TypeDS {
		return name.Parent()
	}
	return name
}

func (c *chain) judgeSet(set *wire.RRset, proof []wire.RRset) (Verdict, error) {
	signer, ok := signerOf(set)
	if !ok {
		return unsignedVerdict(set), nil
	}
	return c.judgeTwice(signer, func() (Verdict, error) { return c.judgeSigned(signer, set, proof) })
}

func (c *chain) judgeSigned(signer wire.Name, set *wire.RRset, proof []wire.RRset) (Verdict, error) {
	trust, err := c.trust(signer)
	if err != nil {
		return Verdict{}, err
	}
	if trust.status != wire.Secure {
		return trust.verdict(), nil
	}
	sig, verdict, err := c.verify(set, trust)
	if err != nil || verdict.Status != wire.Secure {
		return verdict, err
	}
	wildcard, expanded := sig.Wildcard(set.Name)
	if !expanded {
		return verdict, nil
	}
	return c.judgeExpansion(set.Name, wildcard, proof, trust, verdict)
}

// unsignedVerdict is that of a set without a signature that could be for it.
func unsignedVerdict(set *wire.RRset) Verdict {
	if len(set.Sigs) == 0 {
		return bogus(set.Name, wire.EDERRSIGsMissing, "no signature")
	}
	return bogus(set.Name, wire.EDEBogus, "no signature that could be for the records")
}

// judgeExpansion judges an RRset that a wildcard stands behind: it is true only where nothing closer exists (RFC 4035
// section 5.3.4).
func (c *chain) judgeExpansion(name, wildcard wire.Name, proof []wire.RRset, trust *cut, verdict Verdict) (Verdict, error) {
	d, until, err := c.denial(trust, proof)
	if err != nil {
		return Verdict{}, err
	}
	verdict.Until = sooner(verdict.Until, until)
	verdict.Zone, verdict.Wildcard, verdict.Proof = trust.zone, wildcard, d.sets
	return proven(d.NoCloserMatch(name, wildcard), trust.zone, verdict)
}

// A Denied is the statement that a name does not exist, or has no records of a type.
type Denied struct {
	Name   wire.Name
	Type   wire.Type
	NoName bool
	SOA    *wire.RRset // may be nil
	Proof  []wire.RRset
}

// Denial judges a statement of non-existence.
func (v *Validator) Denial(ctx context.Context, now time.Time, w *work.Budget, d Denied, f Fetcher) (Verdict, error) {
	if v.excepted(d.Name, now) {
		return exceptedVerdict, nil
	}
	c := v.newChain(ctx, now, w, f)
	verdict, err := c.judgeDenial(&d)
	if err == nil && verdict.Status == wire.Bogus {
		return c.unlessInsecure(zoneSide(d.Name, d.Type), verdict)
	}
	return verdict, err
}

func (c *chain) judgeDenial(d *Denied) (Verdict, error) {
	signer, ok := signerOfDenial(d)
	if !ok {
		return bogus(d.Name, wire.EDENSECMissing, "no signed denial"), nil
	}
	return c.judgeTwice(signer, func() (Verdict, error) { return c.judgeSignedDenial(signer, d) })
}

func (c *chain) judgeSignedDenial(signer wire.Name, d *Denied) (Verdict, error) {
	trust, err := c.trust(signer)
	if err != nil {
		return Verdict{}, err
	}
	if trust.status != wire.Secure {
		return trust.verdict(), nil
	}
	verdict := Verdict{Status: wire.Secure}
	if d.SOA != nil {
		if _, verdict, err = c.verify(d.SOA, trust); err != nil || verdict.Status != wire.Secure {
			return verdict, err
		}
	}
	proof, until, err := c.denial(trust, d.Proof)
	if err != nil {
		return Verdict{}, err
	}
	verdict.Until = sooner(verdict.Until, until)
	verdict.Zone, verdict.Proof = trust.zone, proof.sets
	if d.NoName {
		return proven(proof.NoName(d.Name), trust.zone, verdict)
	}
	verdict.NoName = proof.SaysNoName(d.Name)
	return proven(proof.NoData(d.Name, d.Type), trust.zone, verdict)
}

// proven turns the outcome of a proof into a verdict, which is that of the signatures when the proof holds.
func proven(p Proof, zone wire.Name, signed Verdict) (Verdict, error) {
	switch p {
	case Proven:
		return signed, nil
	case ProvenInsecure:
		signed.Status = wire.Insecure
		return signed, nil
	case TooExpensive:
		return Verdict{Status: wire.Insecure, Reason: reason(zone, wire.EDEUnsupportedNSEC3Iteration, tooManyIterations)}, nil
	case OverBudget:
		return Verdict{}, &work.Exceeded{Kind: work.NSEC3Hash}
	default:
		return bogus(zone, wire.EDENSECMissing, "the denial does not prove what it is for"), nil
	}
}

const tooManyIterations = "NSEC3 iterations or salt above the limit"

// unlessInsecure lets a bogus verdict stand unless name lies below a cut that is proven to be insecure.
func (c *chain) unlessInsecure(name wire.Name, verdict Verdict) (Verdict, error) {
	trust, err := c.walk(name)
	if err == nil && trust.status == wire.Insecure {
		return trust.verdict(), nil
	}
	if exceeded, ok := errors.AsType[*work.Exceeded](err); ok && exceeded.Kind == work.FailedSignature {
		return verdict, nil // where nothing verifies the first reason is as good as the last
	}
	return verdict, err // whether it is bogus is not known while the zones above cannot be asked
}

func bogus(zone wire.Name, code wire.EDE, text string) Verdict {
	return Verdict{Status: wire.Bogus, Reason: reason(zone, code, text)}
}

// reason makes the words for the asker: which zone, and what is wrong with it.
func reason(zone wire.Name, code wire.EDE, text string) wire.ExtendedError {
	return wire.ExtendedError{Code: code, Text: zone.Reveal() + ": " + text}
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
