package dnssec

import (
	"time"

	"tacit/internal/wire"
)

// A Link is one zone of a chain of trust, for those who want to see it.
type Link struct {
	Zone   wire.Name
	Status wire.Status
	Keys   []KeyID // of a secure zone
	Reason wire.ExtendedError
}

// A KeyID is how people speak of a key.
type KeyID struct {
	Tag       uint16
	Algorithm uint8
	SEP       bool // the flag that marks a key that a DS or a trust anchor is meant for
}

// Chain returns what is remembered of the zones from the root down to name. It is shorter than the way when nothing has
// been validated lately, or when nothing below a zone can be secure.
func (v *Validator) Chain(name wire.Name, now time.Time) []Link {
	var links []Link
	for labels := range name.Labels() + 1 {
		t, ok := v.cuts.get(name.Suffix(labels), now)
		if !ok || t.within {
			continue
		}
		links = append(links, Link{Zone: t.zone, Status: t.status, Keys: keyIDs(t.keys), Reason: t.reason})
	}
	return links
}

// Why returns the reason for which what is known of a name is insecure, when there is one that RFC 8914 has a code for: that
// of its zone, or, where the zone is secure, of the proof that the answer rests on.
func (v *Validator) Why(name wire.Name, now time.Time, proof []wire.RRset) wire.ExtendedError {
	if v.excepted(name, now) {
		return exceptedVerdict.Reason
	}
	for {
		t, ok := v.cuts.get(name, now)
		switch {
		case ok && !t.within && t.status == wire.Secure:
			return whyInsecure(t.zone, proof)
		case ok && !t.within:
			return t.reason
		case name.IsRoot():
			return wire.ExtendedError{}
		}
		name = name.Parent()
	}
}

// whyInsecure is Why of what a secure zone says. No hash is made for it.
func whyInsecure(zone wire.Name, proof []wire.RRset) wire.ExtendedError {
	if !NewDenial(zone, proof, nil).steep {
		return wire.ExtendedError{}
	}
	return reason(zone, wire.EDEUnsupportedNSEC3Iteration, tooManyIterations)
}

func keyIDs(keys []Key) []KeyID {
	ids := make([]KeyID, len(keys))
	for i := range keys {
		ids[i] = KeyID{Tag: keys[i].Tag, Algorithm: keys[i].Algorithm, SEP: keys[i].IsSEP()}
	}
	return ids
}
