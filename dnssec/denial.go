package dnssec

import (
	"tacit/internal/wire"
	"tacit/internal/work"
)

// A Proof is what the NSEC or NSEC3 records of a response say of a negative statement.
type Proof uint8

// The outcomes of a proof.
const (
	// NotProven: the records do not show it. A response that needs it is bogus.
	NotProven Proof = iota
	// Proven: shown.
	Proven
	// ProvenInsecure: shown but for unsigned delegations, which an opt-out span may hide (RFC 5155 section 9.2).
	ProvenInsecure
	// TooExpensive: the zone asks for more than MaxIterations, or for a longer salt than is hashed. The response is
	// insecure (RFC 9276 section 3.2).
	TooExpensive
	// OverBudget: what this resolution may hash is spent. The response is not to be believed, and must not be taken
	// for insecure: whoever asks for long names would choose what is validated.
	OverBudget
)

// A DSProof is what a zone's records say of a zone cut at a name in it.
type DSProof uint8

// The outcomes of looking for a zone cut.
const (
	// NoProof: the records do not show that there is no DS.
	NoProof DSProof = iota
	// NotACut: the name is no zone cut; it exists, or a wildcard may stand for it.
	NotACut
	// InsecureCut: a delegation without DS.
	InsecureCut
	// OptOutSpan: at the name, or between it and its closest encloser, there may be an unsigned delegation (RFC 5155
	// section 8.9), but no signed one.
	OptOutSpan
	// NoSuchName: the name does not exist, and no wildcard stands for it.
	NoSuchName
	// Expensive: as TooExpensive.
	Expensive
	// DSOverBudget: as OverBudget.
	DSOverBudget
)

const (
	maxNSEC3Records = 8  // of one response; a denial needs three
	maxHashedNames  = 32 // for one response: what CVE-2023-50868 multiplied by the iterations
)

// A Denial proves negative statements about one zone from its NSEC or NSEC3 sets, which are validated already. It is
// not safe for concurrent use.
type Denial struct {
	zone    wire.Name
	sets    []wire.RRset // those of the records below
	nsec    []NSEC
	nsec3   []NSEC3 // all with the parameters of the first
	steep   bool    // there are NSEC3 records, all above MaxIterations or maxSalt
	costly  *NSEC3  // the first of those that is not beyond all bounds
	budget  *work.Budget
	hashes  []hashedName
	refused bool // a hash was not made for want of budget
}

// NewDenial takes the records of zone's own chain out of sets; w pays for hashing. Signatures must have been checked
// before, with zone as the signer. Sets are dropped whose owner or next name is outside zone, that stand on the
// other side of a zone cut, or whose RRSIG names another signer or was made for another owner name.
func NewDenial(zone wire.Name, sets []wire.RRset, w *work.Budget) *Denial {
	d := &Denial{zone: zone, budget: w}
	for i := range sets {
		d.add(&sets[i])
	}
	d.steep = d.steep && len(d.nsec3) == 0
	return d
}

func (d *Denial) add(set *wire.RRset) {
	switch {
	case !signedFor(set, d.zone):
	case set.Type == wire.TypeNSEC:
		if n, ok := ParseNSEC(set); ok && n.InZone(d.zone) {
			d.nsec = append(d.nsec, n)
			d.sets = append(d.sets, *set)
		}
	case set.Type == wire.TypeNSEC3 && hasLongSalt(set):
		d.steep = true
	case set.Type == wire.TypeNSEC3:
		if n, ok := ParseNSEC3(set); ok && n.Zone == d.zone && d.addNSEC3(n) {
			d.sets = append(d.sets, *set)
		}
	default:
	}
}

// Sets returns the RRsets that proofs are made from.
func (d *Denial) Sets() []wire.RRset { return d.sets }

// hasLongSalt reports whether an NSEC3 set asks for more than maxSalt. Its zone may: RFC 5155 section 3.1.5 allows 255
// octets. So it is dealt with like one that asks for too many iterations, not as broken.
func hasLongSalt(set *wire.RRset) bool {
	rdata, _ := set.Data.Next()
	return len(rdata) > 4 && rdata[0] == hashSHA1 && rdata[4] > maxSalt
}

// addNSEC3 keeps to one set of parameters: RFC 5155 section 8.2 lets a validator treat a mix as bogus, and each set
// more would have to be paid for.
func (d *Denial) addNSEC3(n NSEC3) bool {
	switch {
	case n.Iterations > MaxIterations:
		d.steep = true
		if d.costly == nil && n.Iterations <= maxCostlyIterations {
			d.costly = &n
		}
		return false
	case len(d.nsec3) == maxNSEC3Records || len(d.nsec3) > 0 && !d.nsec3[0].Equal(&n.NSEC3Params):
		return false
	default:
		d.nsec3 = append(d.nsec3, n)
		return true
	}
}

// NoName proves that name does not exist and that no wildcard could have matched it: RFC 4035 section 5.4, RFC 5155
// section 8.4. A compact denial proves it by the NXNAME bit, whatever the RCODE says (RFC 9824 section 2).
func (d *Denial) NoName(name wire.Name) Proof {
	if !name.Below(d.zone) {
		return NotProven
	}
	if d.nsecNoName(name) {
		return Proven
	}
	return d.conclude(d.nsec3NoName(name))
}

// NoData proves that name has no data of type t, and no CNAME either (RFC 6840 section 4.3): by its own record, as an
// empty non-terminal, or by those of a wildcard (RFC 4035 section 5.4, RFC 5155 sections 8.5 to 8.7). For t ANY
// it proves that the name has no data at all. It holds for a name that a compact denial says does not exist, too: see
// SaysNoName.
func (d *Denial) NoData(name wire.Name, t wire.Type) Proof {
	if !name.Within(d.zone) {
		return NotProven
	}
	if d.nsecNoData(name, t) {
		return Proven
	}
	return d.conclude(d.nsec3NoData(name, t))
}

// SaysNoName reports whether a compact denial says that name does not exist: its own record, with the NXNAME bit
// (RFC 9824 section 2). The answer is NXDOMAIN then, though it came with NOERROR.
func (d *Denial) SaysNoName(name wire.Name) bool {
	if !name.Below(d.zone) {
		return false
	}
	if n := d.matching(name); n != nil {
		return n.Types.Has(wire.TypeNXNAME)
	}
	n := d.matching3(name)
	return n != nil && n.Types.Has(wire.TypeNXNAME)
}

// NoCloserMatch proves that wildcard was the right one to synthesise name's records from: nothing exists between
// them (RFC 4035 section 5.3.4, RFC 5155 section 8.8).
func (d *Denial) NoCloserMatch(name, wildcard wire.Name) Proof {
	encloser := wildcard.Parent()
	if wildcard.FirstLabel() != "*" || !encloser.Within(d.zone) || !name.Below(encloser) {
		return NotProven
	}
	nextCloser := name.Suffix(encloser.Labels() + 1)
	if d.denying(nextCloser) != nil {
		return Proven
	}
	return d.conclude(d.nsec3NoCloserMatch(nextCloser))
}

// NoDS finds out what the zone, as the parent, says of a zone cut at name without DS: RFC 4035 section 5.2, RFC 5155
// sections 8.6 and 8.9. The apex of the zone itself is its own parent's to speak of.
func (d *Denial) NoDS(name wire.Name) DSProof {
	if !name.Below(d.zone) {
		return NoProof
	}
	if p := d.nsecNoDS(name); p != NoProof {
		return p
	}
	p := d.nsec3NoDS(name)
	switch {
	case p != NoProof:
		return p
	case d.refused:
		return DSOverBudget
	case d.steep && d.belies(name):
		return NoProof
	case d.steep:
		return Expensive
	default:
		return NoProof
	}
}

// maxCostlyIterations bounds the one hash that a referral is worth whose zone is too costly otherwise. RFC 5155 section
// 10.3 had 150 as the least of its bounds, and zones of that time have no more.
const maxCostlyIterations = 150

// belies reports whether the record that a costly zone sends with a referral is the name's own and says the contrary of
// what it is sent for: it stands on the child's side of the cut (RFC 6840 section 4.1), or there is a DS. A zone is not
// insecure for a lie.
func (d *Denial) belies(name wire.Name) bool {
	if d.costly == nil {
		return false
	}
	hash, err := d.costly.NSEC3Params.Hash(d.budget, name)
	return err == nil && d.costly.Matches(hash) && cutOf(d.costly.Types) == NoProof
}

// conclude says why NSEC3 proves nothing, where the records are not to blame.
func (d *Denial) conclude(p Proof) Proof {
	switch {
	case p != NotProven:
		return p
	case d.refused:
		return OverBudget
	case d.steep:
		return TooExpensive
	default:
		return NotProven
	}
}

// cutOf reads the record that matches the name where a zone cut is looked for. One with the SOA bit is the child's
// and proves nothing (RFC 6840 section 4.4).
func cutOf(types Bitmap) DSProof {
	switch {
	case types.Has(wire.TypeNXNAME):
		return NoSuchName
	case types.Has(wire.TypeSOA), types.Has(wire.TypeDS):
		return NoProof
	case types.Has(wire.TypeNS):
		return InsecureCut
	default:
		return NotACut
	}
}

// lacksAt is lacks for the record of name. The root has no parent that could speak of its DS.
func lacksAt(name wire.Name, types Bitmap, t wire.Type) bool {
	if name.IsRoot() && t == wire.TypeDS {
		return !types.Has(t)
	}
	return types.lacks(t)
}

// wildcardOf returns *.encloser. A name below encloser was at hand, so there is room for the shortest label.
func wildcardOf(encloser wire.Name) wire.Name {
	name, _ := encloser.Prepend("*")
	return name
}

// signedFor reports whether set's signatures were made by zone, for this very owner name: NSEC of a wildcard carried to a
// name that the wildcard matches still verifies, with a span that was never there (CVE-2017-15105).
func signedFor(set *wire.RRset, zone wire.Name) bool {
	labels := set.Name.Labels()
	if set.Name.FirstLabel() == "*" { // not counted (RFC 4034 section 3.1.3)
		labels--
	}
	for rdata := range set.Sigs.All() {
		sig, ok := ParseSignature(rdata)
		if !ok || sig.Covered != set.Type || int(sig.Labels) != labels || sig.Signer != zone {
			return false
		}
	}
	return len(set.Sigs) > 0
}
