package certificate

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"time"
)

// A Status says how one certificate is. It holds public things only.
type Status struct {
	Names      []string // names and addresses that it is for, in order
	File       string   // where the certificate is from; empty if from no file that the operator named
	NotBefore  time.Time
	NotAfter   time.Time
	State      State
	Pin        string // of the key, see Pin
	SelfSigned bool
	Ordered    bool // from an ACME authority
}

// Made reports whether tacit has made the certificate itself, with a key that lives for as long as the process.
func (s Status) Made() bool { return s.SelfSigned && s.File == "" }

// A State is how much of a certificate's life is left.
type State uint8

// States of a certificate.
const (
	Good    State = iota
	Early         // it is not valid yet
	Soon          // a third of its life is left, or less; of one that renews itself, a fourth
	Expired       // it is not valid any more
	Awaited       // an ACME authority has not given it yet
)

var stateNames = [...]string{Good: "good", Early: "not valid yet", Soon: "expires soon", Expired: "expired", Awaited: "awaited"}

func (s State) String() string { return stateNames[s] }

// ParseState reads what String has written.
func ParseState(name string) (s State, ok bool) {
	i := slices.Index(stateNames[:], name)
	return State(max(i, 0)), i >= 0
}

func stateOf(leaf *x509.Certificate, now time.Time) State {
	switch {
	case now.Before(leaf.NotBefore):
		return Early
	case now.After(leaf.NotAfter): // RFC 5280 section 4.1.2.5: the period includes its ends
		return Expired
	case leaf.NotAfter.Sub(now) <= leaf.NotAfter.Sub(leaf.NotBefore)/3:
		return Soon
	}
	return Good
}

// Status lists what can be shown, the first first, and then the names that an ACME authority has given nothing for yet.
func (s *Store) Status(now time.Time) []Status {
	t := s.current.Load()
	var list []Status
	for _, e := range t.entries {
		list = append(list, e.status(now))
	}
	for _, name := range t.awaited {
		list = append(list, Status{Names: []string{name}, State: Awaited, Ordered: true})
	}
	return list
}

func (e entry) status(now time.Time) Status {
	status := Describe(e.certificate.Leaf, now)
	status.File, status.Ordered = e.file, e.ordered
	if e.ordered && status.State == Soon && !isOverdue(e.certificate.Leaf, now) {
		status.State = Good
	}
	return status
}

// isOverdue reports whether the library should have renewed a certificate: it begins within an hour after two thirds of its
// life, and tries again. That this is under way is nothing to warn of.
func isOverdue(leaf *x509.Certificate, now time.Time) bool {
	return leaf.NotAfter.Sub(now) <= leaf.NotAfter.Sub(leaf.NotBefore)/4
}

// Describe says how a certificate is, wherever it is from.
func Describe(leaf *x509.Certificate, now time.Time) Status {
	return Status{
		Names: subjects(leaf), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, State: stateOf(leaf, now), Pin: Pin(leaf),
		SelfSigned: bytes.Equal(leaf.RawIssuer, leaf.RawSubject),
	}
}

// Pin is the SHA-256 digest of a certificate's SubjectPublicKeyInfo in base64 (RFC 7858 section 4.2): what a client is told
// that shall know tacit by its key.
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
