package resolver

import (
	"time"

	"tacit/internal/wire"
	"tacit/zone"
)

// vouch makes f the word of a zone that is signed. It is as good as validated: RFC 4035 section 3.1.6 lets a server say so of its
// own zones where the operator wants it, and who has a zone signed here does. What a DNAME stands for has no signature of its own
// (RFC 6672 section 5.3.1).
func (f *found) vouch(own *zone.Zone) {
	if !own.Signed() {
		return
	}
	f.status, f.signer = wire.Secure, own
	for i := range f.sets {
		f.sets[i].status = wire.Secure
		if f.sets[i].synthesised = i > 0; i == 0 {
			f.sets[i].signer = own
		}
	}
	if f.soa != nil {
		f.soa.status, f.soa.signer = wire.Secure, own
	}
	if f.flat != nil {
		f.flat.signer, f.flat.soa.signer = own, own
	}
}

// mustBeChecked reports whether what comes behind f is validated even for those who do not want it: a zone that is signed here puts
// its name to it.
func (f *found) mustBeChecked() bool { return f.flat != nil && f.flat.signer != nil }

// A denial is what a zone signed here says that there is not.
type denial struct {
	signer *zone.Zone // nil: nobody who signs says so
	name   wire.Name
}

// rcodeFor is the RCODE for q. To those who want DNSSEC records a name that does not exist is one without data, as its compact proof
// says, unless they have said that they know both (RFC 9824 sections 3.1 and 5.1).
func (r *result) rcodeFor(q wire.Question) wire.Rcode {
	if r.rcode == wire.NXDomain && r.denial.signer != nil && q.DO && (!q.CO || r.proofAnswers(q)) {
		return wire.NoError
	}
	return r.rcode
}

// proofAnswers reports whether the proof itself is what was asked for. It says of each name that it has NSEC and RRSIG records, so
// that nobody would believe it that there is none.
func (r *result) proofAnswers(q wire.Question) bool {
	return r.denial.signer != nil && r.soa != nil && (q.DO || r.rcode == wire.NoError) && (q.Type == wire.TypeNSEC || q.Type == wire.TypeRRSIG)
}

// proofFor returns the compact proof that there is nothing of a type, for as long as the SOA record lasts.
func (r *result) proofFor(kind wire.Type) *timed {
	t := *r.soa
	t.set = r.denial.signer.Deny(r.denial.name, kind)
	return &t
}

// addProof adds a compact proof; of one that answers a question for signatures, its signature.
func (w *writer) addProof(section wire.Section, proof *timed) {
	if w.question.Type != wire.TypeRRSIG || section != wire.AnswerSection {
		w.add(section, proof)
		return
	}
	if set := w.sign(proof); w.err == nil {
		set.Type, set.Data, set.Sigs = wire.TypeRRSIG, set.Sigs, nil
		w.add(section, &timed{set: *set, expires: proof.expires})
	}
}

// sign returns the RRset with its signature. What is written does not last longer than until the signature is made anew.
func (w *writer) sign(t *timed) *wire.RRset {
	set, until, err := sign(t.signer, &t.set, w.now)
	if err != nil {
		w.err = err
		return &set
	}
	w.lastUntil(until)
	return &set
}

func sign(by *zone.Zone, set *wire.RRset, now time.Time) (wire.RRset, time.Time, error) {
	with := *set
	sigs, until, err := by.Signer().Sign(set, now)
	with.Sigs = sigs
	return with, until, err
}

// parentWord returns what the parent says of the keys of the zone behind a cut: its DS RRset, or the proof that it has none
// (RFC 4035 section 3.1.4); nil where it is not signed and has none.
func parentWord(cut *zone.Cut, now time.Time) (*wire.RRset, error) {
	if !cut.Parent.Signed() {
		return cut.DS, nil
	}
	set := cut.DS
	if set == nil {
		none := cut.Parent.Deny(cut.NS.Name, wire.TypeDS)
		set = &none
	}
	with, _, err := sign(cut.Parent, set, now)
	return &with, err
}
