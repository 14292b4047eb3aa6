package dnssec

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A ring holds the keys that a zone in a script has, by a letter each. Keys are made of the letter, so that they are
// the same in each run.
type ring map[rune]*ringKey

type ringKey struct {
	record  dns.DNSKEY
	private crypto.Signer
}

func newRing(zone, letters string) ring {
	r := ring{}
	for _, letter := range letters {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, fmt.Sprintf("%c of %s", letter, zone))
		private := ed25519.NewKeyFromSeed(seed)
		r[letter] = &ringKey{dns.DNSKEY{
			Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 172800},
			Flags: 257, Protocol: 3, Algorithm: dns.ED25519, PublicKey: toBase64(private.Public().(ed25519.PublicKey)),
		}, private}
	}
	return r
}

func (r ring) anchor(t testing.TB, letter rune, form uint16) TrustAnchor {
	t.Helper()
	var record dns.RR = &r[letter].record
	if form == dns.TypeDS {
		record = r[letter].record.ToDS(dns.SHA256)
	}
	a, err := ParseTrustAnchor(record.String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// set makes the DNSKEY RRset of a zone from words. Each is a letter, in upper case if the key signs, with an
// exclamation mark if it is revoked, with a z if it lacks the SEP bit. Signatures are valid from a day ago for 21 days,
// as the root's are.
func (r ring) set(t testing.TB, now time.Time, words string) *wire.RRset {
	t.Helper()
	var records, signatures []dns.RR
	var signing []*ringKey
	for word := range strings.FieldsSeq(words) {
		letter := []rune(strings.ToUpper(word))[0]
		k := &ringKey{r[letter].record, r[letter].private}
		if strings.Contains(word, "!") {
			k.record.Flags |= dns.REVOKE
		}
		if strings.Contains(word, "z") {
			k.record.Flags &^= dns.SEP
		}
		records = append(records, &k.record)
		if strings.HasPrefix(word, string(letter)) {
			signing = append(signing, k)
		}
	}
	for _, k := range signing {
		sig := &dns.RRSIG{
			Algorithm: k.record.Algorithm, KeyTag: k.record.KeyTag(), SignerName: k.record.Hdr.Name,
			Inception: uint32(now.Add(-day).Unix()), Expiration: uint32(now.Add(20 * day).Unix()),
		}
		if err := sig.Sign(k.private, records); err != nil {
			t.Fatal(err)
		}
		signatures = append(signatures, sig)
	}
	set := setOf(t, records...)
	for _, sig := range signatures {
		set.Sigs = set.Sigs.Add(rdataOf(t, sig))
	}
	return set
}

// states tells what is known, letter by letter.
func (r ring) states(a *Anchors) string {
	var words []string
	for _, s := range a.List() {
		name := "?"
		for letter, k := range r {
			if k.record.KeyTag() == s.Tag {
				name = string(letter)
			}
		}
		words = append(words, name+" "+s.State.String())
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

const day = 24 * time.Hour

var dayZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func budget() *work.Budget { return work.New(work.DefaultLimits) }

// revive writes the state down and starts anew from it, as a restart does.
func revive(t testing.TB, a *Anchors, trusted ...TrustAnchor) *Anchors {
	t.Helper()
	s, err := ReadState(a.AppendState(nil))
	if err != nil {
		t.Fatal(err)
	}
	return NewAnchors(AnchorOptions{Trusted: trusted, State: s})
}

type anchorStep struct {
	day   int
	shown string // the DNSKEY RRset
	want  string // what is known then
}

// RFC 5011. Each script is played with the anchor as DS and as DNSKEY, and with a restart after each step or without.
func TestAnchorsFollowTheZone(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []anchorStep
	}{
		{"section 2.2: a key is added when the hold-down is over and it is seen again", []anchorStep{
			{0, "A", "A valid"},
			{1, "A b", "A valid, B pending"},
			{16, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B pending"},
			{31, "A b", "A valid, B valid"},
			{32, "a B", "A valid, B valid"},
		}},
		{"section 2.2: a key that was added vouches for the next", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "B c", "A missing, B valid, C pending"},
			{61, "B c", "A missing, B valid, C valid"},
		}},
		{"section 2.2: a key that disappears and returns starts again", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{29, "A", "A valid"},
			{30, "A b", "A valid, B pending"},
			{59, "A b", "A valid, B pending"},
			{60, "A b", "A valid, B valid"},
		}},
		{"section 2.2: an attacker who has A shows a key for 29 days", []anchorStep{
			{0, "A c", "A valid, C pending"},
			{29, "A c", "A valid, C pending"},
			{30, "A", "A valid"},
			{40, "A", "A valid"},
		}},
		{"section 2.2: all that vouched for the key are revoked in time", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A b c", "A valid, B valid, C pending"},
			{60, "A! b c", "A revoked, B valid"},
			{61, "A! B c", "A revoked, B valid, C pending"},
			{90, "B c", "A revoked, B valid, C pending"},
			{91, "B c", "A revoked, B valid, C valid"},
		}},
		{"section 2.2: all that vouched for the key are revoked, and another starts it again", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A b c", "A valid, B valid, C pending"},
			{61, "A! B c", "A revoked, B valid, C pending"},
			{90, "B c", "A revoked, B valid, C pending"},
			{91, "B c", "A revoked, B valid, C valid"},
		}},
		{"section 2.2: one that vouched for the key is left", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A B", "A valid, B valid"},
			{31, "A B c", "A valid, B valid, C pending"},
			{60, "A! B c", "A revoked, B valid, C pending"},
			{61, "B c", "A revoked, B valid, C valid"},
		}},
		{"section 2.1: revocation is at once and for ever", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A! B", "A revoked, B valid"},
			{32, "A B", "A revoked, B valid"},
			{99, "A B", "A revoked, B valid"},
		}},
		{"section 2.1: a revocation that the key itself has not signed is none", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "a! B", "A missing, B valid"},
			{32, "A B", "A valid, B valid"},
		}},
		{"section 2.1: a revoked key vouches for nothing else", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A! b c", "A revoked, B valid"},
		}},
		{"section 2.1: with and without the bit in one set", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A A! c", "A revoked, B valid"},
		}},
		{"section 2.4.2: a revoked key is removed 30 days after it was last seen", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A! B", "A revoked, B valid"},
			{80, "A! B", "A revoked, B valid"},
			{81, "B", "A revoked, B valid"},
			{90, "A! B", "A revoked, B valid"},
			{91, "B", "A revoked, B valid"},
			{120, "B", "A revoked, B valid"},
			{121, "B", "A removed, B valid"},
			{122, "A B", "A removed, B valid"},
			{160, "A B", "A removed, B valid"},
		}},
		{"section 4.2: a missing key stays trusted, and returns", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A", "A valid, B missing"},
			{200, "A", "A valid, B missing"},
			{201, "B", "A missing, B valid"},
			{202, "A! B", "A revoked, B valid"},
		}},
		{"section 4: a pending key with the REVOKE bit is not there", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{10, "A B!", "A valid"},
			{11, "A b", "A valid, B pending"},
			{40, "A b", "A valid, B pending"},
		}},
		{"two keys at once", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{10, "A b c", "A valid, B pending, C pending"},
			{30, "A b c", "A valid, B valid, C pending"},
			{35, "A c", "A valid, B missing, C pending"},
			{40, "A b c", "A valid, B valid, C valid"},
		}},
		{"the clock is set back", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{20, "A b", "A valid, B pending"},
			{-300, "A b", "A valid, B pending"},
			{-265, "A b", "A valid, B pending"},
			{29, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{-9, "A! B", "A revoked, B valid"},
			{-8, "B", "A revoked, B valid"},
			{-300, "B", "A revoked, B valid"},
			{21, "B", "A revoked, B valid"},
			{22, "B", "A removed, B valid"},
		}},
		{"section 2.2: nothing follows from a set that no trusted key has signed", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{40, "a B c", "A valid, B pending"},
			{41, "", "A valid, B pending"},
			{42, "C", "A valid, B pending"},
			{43, "A b", "A valid, B valid"},
		}},
		{"section 4.2: only keys with the SEP bit are added", []anchorStep{
			{0, "A Bz", "A valid"},
			{40, "A Bz", "A valid"},
		}},
		{"section 5: all keys revoked", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{30, "A b", "A valid, B valid"},
			{31, "A! B! c", "A revoked, B revoked"},
			{32, "A B C", "A revoked, B revoked"},
		}},
		{"section 5: the only key revoked, with nobody else to sign", []anchorStep{
			{0, "A b", "A valid, B pending"},
			{10, "A! b", "A revoked"},
			{50, "B", "A revoked"},
		}},
	} {
		for _, form := range []uint16{dns.TypeDS, dns.TypeDNSKEY} {
			for _, restarts := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/restarts %v", c.name, dns.Type(form), restarts), func(t *testing.T) {
					keys := newRing("example.", "ABC")
					trusted := keys.anchor(t, 'A', form)
					playAnchors(t, keys, trusted, restarts, c.steps)
				})
			}
		}
	}
}

func playAnchors(t *testing.T, keys ring, trusted TrustAnchor, restarts bool, steps []anchorStep) {
	t.Helper()
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{trusted}})
	for _, s := range steps {
		now := dayZero.Add(time.Duration(s.day) * day)
		before := a.List()
		changes := []Change(nil)
		if s.shown != "" {
			changes = a.Observe(now, budget(), keys.set(t, now, s.shown))
		}
		if restarts {
			a = revive(t, a, trusted)
		}
		if got := keys.states(a); got != s.want {
			t.Fatalf("day %d, %q: %s, want %s", s.day, s.shown, got, s.want)
		}
		checkChanges(t, before, changes, a.List())
		checkTrust(t, keys, a)
	}
}

// checkChanges plays changes on what was known before.
func checkChanges(t *testing.T, before []AnchorStatus, changes []Change, after []AnchorStatus) {
	t.Helper()
	known := map[uint16]KeyState{}
	for _, s := range before {
		known[s.Tag] = s.State
	}
	for _, c := range changes {
		if known[c.Tag] != c.From || c.From == c.To {
			t.Errorf("change of %d from %v to %v, where it was %v", c.Tag, c.From, c.To, known[c.Tag])
		}
		known[c.Tag] = c.To
		if c.To == Start {
			delete(known, c.Tag)
		}
	}
	trusted := false
	for _, s := range after {
		if known[s.Tag] != s.State {
			t.Errorf("changes lead %d to %v, it is %v", s.Tag, known[s.Tag], s.State)
		}
		delete(known, s.Tag)
		trusted = trusted || s.State.isTrusted()
	}
	if len(known) > 0 {
		t.Errorf("changes know %v", known)
	}
	wasTrusted := slices.ContainsFunc(before, func(s AnchorStatus) bool { return s.State.isTrusted() })
	last := slices.ContainsFunc(changes, func(c Change) bool { return c.Last })
	if last != (wasTrusted && !trusted) {
		t.Errorf("the last anchor has gone: %v", last)
	}
}

// checkTrust holds what the validator is told against the states.
func checkTrust(t *testing.T, keys ring, a *Anchors) {
	t.Helper()
	zone, any := wire.MustName("example."), false
	for letter, k := range keys {
		key := keyOf(t, &k.record)
		want := slices.ContainsFunc(a.List(), func(s AnchorStatus) bool { return s.Tag == key.Tag && s.State.isTrusted() })
		if got := a.Trusts(zone, &key); got != want {
			t.Errorf("trusts %c: %v, want %v", letter, got, want)
		}
		any = any || want
		if a.Trusts(wire.Root, &key) {
			t.Errorf("trusts %c for another zone", letter)
		}
	}
	if due := len(a.Due(dayZero.Add(1000*day))) > 0; due != any {
		t.Errorf("due: %v", due)
	}
	if a.At(zone) != any || a.At(wire.Root) {
		t.Errorf("anchor at the zone: %v, at the root: %v", a.At(zone), a.At(wire.Root))
	}
}

// RFC 5011 section 2.4.1: the hold-down is 30 days or the TTL, whichever is greater.
func TestHoldDownIsAsLongAsTheTTL(t *testing.T) {
	keys := newRing("example.", "AB")
	for _, k := range keys {
		k.record.Hdr.Ttl = uint32(40 * day / time.Second)
	}
	playAnchors(t, keys, keys.anchor(t, 'A', dns.TypeDS), true, []anchorStep{
		{0, "A b", "A valid, B pending"},
		{39, "A b", "A valid, B pending"},
		{40, "A b", "A valid, B valid"},
	})
}

// A signature counts only while it is valid: an RRset from before the key was there, replayed, ends no hold-down.
func TestAnchorsLookAtTheTime(t *testing.T) {
	keys := newRing("example.", "AB")
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
	old := keys.set(t, dayZero, "A b")
	for _, c := range []struct {
		day  int
		want string
	}{{-3, "A valid"}, {0, "A valid, B pending"}, {31, "A valid, B pending"}} {
		a.Observe(dayZero.Add(time.Duration(c.day)*day), budget(), old)
		if got := keys.states(a); got != c.want {
			t.Errorf("day %d: %s, want %s", c.day, got, c.want)
		}
	}
}

// RFC 5011 section 2.3: queryInterval = MAX(1 hr, MIN(15 days, 1/2*OrigTTL, 1/2*RRSigExpirationInterval)),
// retryTime = MAX(1 hour, MIN(1 day, .1 * origTTL, .1 * expireInterval)).
func TestRefresh(t *testing.T) {
	zone := wire.MustName("example.")
	for _, c := range []struct {
		name          string
		ttl           time.Duration
		refresh, next time.Duration
	}{
		{"half the TTL", 2 * day, day, 288 * time.Minute},
		{"an hour at least", time.Minute, time.Hour, time.Hour},
		{"half of what is left of the signature, a day at most", 100 * day, 10 * day, day},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := newRing("example.", "AB")
			for _, k := range keys {
				k.record.Hdr.Ttl = uint32(c.ttl / time.Second)
			}
			a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
			due := func(now time.Time, want bool) {
				t.Helper()
				if got := slices.Contains(a.Due(now), zone); got != want {
					t.Errorf("due after %v: %v", now.Sub(dayZero), got)
				}
			}
			due(dayZero, true)
			a.Observe(dayZero, budget(), keys.set(t, dayZero, "A"))
			due(dayZero, false)
			due(dayZero.Add(c.refresh-time.Second), false)
			due(dayZero.Add(-time.Second), true) // the clock was set back
			now := dayZero.Add(c.refresh)
			due(now, true)
			a.Missed(now, zone)
			due(now.Add(c.next-time.Second), false)
			now = now.Add(c.next)
			due(now, true)
			a.Observe(now, budget(), keys.set(t, now, "B")) // cannot be believed
			due(now.Add(c.next-time.Second), false)
			due(now.Add(c.next), true)
			now = now.Add(c.next)
			a.Observe(now, budget(), keys.set(t, now, "A"))
			now = now.Add(c.refresh - time.Second)
			a.Observe(now, budget(), keys.set(t, now, "B")) // who forges one must not put the next look off
			due(now.Add(time.Second), true)
		})
	}
	p := &point{}
	p.schedule(dayZero, view{ttl: 100 * day, lifetime: 100 * day})
	if !p.next.Equal(dayZero.Add(15 * day)) {
		t.Errorf("15 days at most, not until %v", p.next)
	}
}

func TestAnchorsStopWithTheBudget(t *testing.T) {
	keys := newRing("example.", "AB")
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
	set := keys.set(t, dayZero, "A b")
	if a.Observe(dayZero, nil, set); keys.states(a) != "A valid" {
		t.Errorf("without a budget: %s", keys.states(a))
	}
	w := budget()
	if a.Observe(dayZero, w, set); keys.states(a) != "A valid, B pending" || w.Spent(work.Signature) != 1 {
		t.Errorf("%s, %d signatures", keys.states(a), w.Spent(work.Signature))
	}
	if a.Observe(dayZero, w, keys.set(t, dayZero, "A B")); w.Spent(work.Signature) != 2 {
		t.Errorf("%d signatures: that of a pending key is not worth checking", w.Spent(work.Signature))
	}
}

// RFC 4035 section 5.3.1: the signer is the zone. RFC 5011 leaves keys open that nobody here could use.
func TestAnchorsPassOver(t *testing.T) {
	keys := newRing("example.", "AB")
	for _, c := range []struct {
		name, signer string
		algorithm    uint8 // of the new key
		want         string
	}{
		{"nothing", "example.", dns.ED25519, "A valid, B pending"},
		{"a signature in the name of the zone above", ".", dns.ED25519, "A valid"},
		{"a key that cannot be used", "example.", dns.ED448, "A valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			added := keys['B'].record
			added.Algorithm = c.algorithm
			records := []dns.RR{&keys['A'].record, &added}
			sig := &dns.RRSIG{
				Algorithm: dns.ED25519, KeyTag: keys['A'].record.KeyTag(), SignerName: c.signer,
				Inception: uint32(dayZero.Unix()), Expiration: uint32(dayZero.Add(day).Unix()),
			}
			if err := sig.Sign(keys['A'].private, records); err != nil {
				t.Fatal(err)
			}
			set := setOf(t, records...)
			set.Sigs = set.Sigs.Add(rdataOf(t, sig))
			a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
			if a.Observe(dayZero, budget(), set); keys.states(a) != c.want {
				t.Errorf("%s, want %s", keys.states(a), c.want)
			}
		})
	}
}

// What one zone shows says nothing of another, and the text has them in one order.
func TestZonesWithAnchorsAreApart(t *testing.T) {
	upper, lower := newRing("example.", "AB"), newRing("sub.example.", "CD")
	trusted := []TrustAnchor{lower.anchor(t, 'C', dns.TypeDS), upper.anchor(t, 'A', dns.TypeDS)}
	a := NewAnchors(AnchorOptions{Trusted: trusted})
	a.Observe(dayZero, budget(), lower.set(t, dayZero, "C d"))
	other := upper.set(t, dayZero, "A b")
	other.Name = wire.MustName("other.example.")
	if c := a.Observe(dayZero, budget(), other); c != nil {
		t.Errorf("a zone without an anchor: %v", c)
	}
	both := ring{'A': upper['A'], 'B': upper['B'], 'C': lower['C'], 'D': lower['D']}
	if got := both.states(revive(t, a, trusted...)); got != "A valid, C valid, D pending" {
		t.Error(got)
	}
	want := []string{"example.", "sub.example.", "sub.example."}
	var got []string
	for _, s := range a.List() {
		got = append(got, s.Zone.Reveal())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if due := a.Due(dayZero.Add(time.Hour)); !slices.Equal(due, []wire.Name{wire.MustName("example.")}) {
		t.Errorf("%d zones are due, want the one that was not seen", len(due))
	}
}

// RFC 5011 section 2.4.3 asks for room for five keys; what is beyond ours waits until there is some.
func TestPendingKeysAreBounded(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRST"
	keys := newRing("example.", letters)
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
	pending := func() int { return strings.Count(keys.states(a), "pending") }
	if a.Observe(dayZero, budget(), keys.set(t, dayZero, "A "+strings.Join(strings.Split(strings.ToLower(letters[1:]), ""), " "))); pending() != maxPending {
		t.Errorf("%d keys are pending, want %d", pending(), maxPending)
	}
	if a.Observe(dayZero, budget(), keys.set(t, dayZero, "A s t")); pending() != 2 {
		t.Errorf("%d keys are pending, want 2", pending())
	}
}

// KeyTrap: what a DNSKEY RRset can cost is bounded, whatever it holds.
func TestObserveIsBounded(t *testing.T) {
	keys := newRing("example.", "A")
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
	set := keys.set(t, dayZero, "A")
	sig, _ := set.Sigs.Next()
	set.Sigs = nil
	for i := range 200 {
		forged := slices.Clone(sig)
		forged[len(forged)-1-i%32] ^= 1
		set.Sigs = set.Sigs.Add(forged)
	}
	w := budget()
	if c := a.Observe(dayZero, w, set); c != nil || w.Spent(work.Signature) != maxFailures {
		t.Errorf("%v, %d signatures checked, want %d", c, w.Spent(work.Signature), maxFailures)
	}
}

func TestStaticAnchorsStay(t *testing.T) {
	keys := newRing("example.", "AB")
	learnt := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
	learnt.Observe(dayZero, budget(), keys.set(t, dayZero, "A! b"))
	state, err := ReadState(learnt.AppendState(nil))
	if err != nil {
		t.Fatal(err)
	}
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}, State: state, Static: true})
	if c := a.Observe(dayZero, budget(), keys.set(t, dayZero, "A! b")); c != nil || keys.states(a) != "A valid" || a.Due(dayZero) != nil {
		t.Errorf("%v, %s, due %v", c, keys.states(a), a.Due(dayZero))
	}
}

// What the operator names is trusted, what the operator no longer names is not; only a revocation is for ever.
func TestConfigurationWins(t *testing.T) {
	keys := newRing("example.", "ABC")
	at := func(letters string) []TrustAnchor {
		var list []TrustAnchor
		for _, letter := range letters {
			list = append(list, keys.anchor(t, letter, dns.TypeDS))
		}
		return list
	}
	for _, c := range []struct {
		name, first, shown, then, want string
	}{
		{"the same", "A", "A b", "A", "A valid, B pending"},
		{"a pending key is named", "A", "A b", "AB", "A valid, B valid"},
		{"a key that has not been seen is named", "A", "A b", "AC", "A valid, B pending, C valid"},
		{"a key is named no more", "AB", "A b", "A", "A valid"},
		{"and what it vouched for goes with it", "AB", "A b c", "B", "B valid"},
		{"a revoked key is still named", "AB", "A! B", "AB", "A revoked, B valid"},
		{"a revoked key is named no more", "AB", "A! B", "B", "A revoked, B valid"},
		{"another root of trust", "A", "A b", "C", "C valid"},
		{"a month later, a key that was learnt is kept", "A", "A b", "A", "A valid, B valid"},
		{"a month later, it is kept without the other", "A", "A b", "B", "B valid"},
		{"a month later, another root of trust", "A", "A b", "C", "C valid"},
		{"a month later, what was learnt is named and then named no more", "A", "A b", "AB then A", "A valid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := NewAnchors(AnchorOptions{Trusted: at(c.first)})
			a.Observe(dayZero, budget(), keys.set(t, dayZero, c.shown))
			if strings.HasPrefix(c.name, "a month later") {
				now := dayZero.Add(30 * day)
				a.Observe(now, budget(), keys.set(t, now, c.shown))
			}
			for then := range strings.SplitSeq(c.then, " then ") {
				a = revive(t, a, at(then)...)
			}
			if got := keys.states(a); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// The root's keys roll (IANA's plan): 38696 stands in the root zone from 11 January 2025, signs from 11 October 2026,
// and 20326 is revoked on 11 January 2027. The state is written and read again each day.
func TestRootRoll(t *testing.T) {
	date := func(text string) time.Time {
		d, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	phases := []struct {
		from  string
		shown string // O is the old key, 20326; N the new one, 38696
	}{
		{"2025-01-01", "O"}, {"2025-01-11", "O n"}, {"2026-10-11", "o N"}, {"2027-01-11", "O! N"}, {"2027-03-22", "N"},
	}
	for _, c := range []struct {
		name, start string
		trusted     string
		want        map[string]string // by the day after whose look it holds
	}{
		{"only KSK-2017 was configured", "2025-01-01", "O", map[string]string{
			"2025-01-10": "O valid", "2025-01-11": "N pending, O valid", "2025-02-09": "N pending, O valid",
			"2025-02-10": "N valid, O valid", "2026-10-11": "N valid, O valid", "2027-01-10": "N valid, O valid",
			"2027-01-11": "N valid, O revoked", "2027-03-22": "N valid, O revoked", "2027-04-20": "N valid, O revoked",
			"2027-04-21": "N valid, O removed", "2027-12-31": "N valid, O removed",
		}},
		{"both were configured, before the new one was there", "2025-01-01", "ON", map[string]string{
			"2025-01-01": "N missing, O valid", "2025-01-11": "N valid, O valid", "2027-01-11": "N valid, O revoked",
			"2027-04-21": "N valid, O removed",
		}},
		{"installed while the old key is revoked", "2027-02-01", "ON", map[string]string{
			"2027-02-01": "N valid, O revoked", "2027-04-21": "N valid, O removed",
		}},
		{"installed after it has gone", "2027-05-01", "ON", map[string]string{"2027-05-01": "N valid, O missing"}},
		{"only KSK-2017 was configured, too late", "2026-12-20", "O", map[string]string{
			"2026-12-20": "O valid", "2027-01-10": "O valid", "2027-01-11": "O revoked",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := newRing(".", "ON")
			var trusted []TrustAnchor
			for _, letter := range c.trusted {
				trusted = append(trusted, keys.anchor(t, letter, dns.TypeDS))
			}
			a := NewAnchors(AnchorOptions{Trusted: trusted})
			held := 0
			for now := date(c.start); now.Year() < 2028; now = now.Add(day) {
				shown := ""
				for _, p := range phases {
					if !now.Before(date(p.from)) {
						shown = p.shown
					}
				}
				a.Observe(now, budget(), keys.set(t, now, shown))
				a = revive(t, a, trusted...)
				if want, ok := c.want[now.Format(time.DateOnly)]; ok {
					held++
					if got := keys.states(a); got != want {
						t.Errorf("%s: %s, want %s", now.Format(time.DateOnly), got, want)
					}
				}
			}
			if held != len(c.want) {
				t.Errorf("%d days looked at, want %d", held, len(c.want))
			}
		})
	}
}

func TestBuiltInAnchors(t *testing.T) {
	a := NewAnchors(AnchorOptions{})
	var got []string
	for _, s := range a.List() {
		got = append(got, fmt.Sprint(s.Zone.Reveal(), s.Tag, " ", s.Algorithm, " ", s.State, s.Configured))
	}
	if want := []string{".20326 8 valid true", ".38696 8 valid true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q: is there a digest that is of no key?", got, want)
	}
	if !a.At(wire.Root) || a.At(wire.MustName("example.")) {
		t.Error("the root is the only zone with an anchor")
	}
	if !strings.Contains(string(a.AppendState(nil)), "configured - . DNSKEY 257 3 8 AwEAAaz/") {
		t.Errorf("the state is\n%s", a.AppendState(nil))
	}
}

// RFC 4035 section 5.2: what cannot be checked proves nothing; RFC 9905 counts SHA-1 in.
func TestUnsupportedAnchorsAreNone(t *testing.T) {
	for _, c := range []struct {
		name, text string
		verify     bool
		want       bool
	}{
		{"supported", "example. DS 1 13 2 " + strings.Repeat("00", 32), false, true},
		{"unknown algorithm", "example. DS 1 200 2 " + strings.Repeat("00", 32), true, false},
		{"Ed448", "example. DNSKEY 257 3 16 AAAA", true, false},
		{"unknown digest type", "example. DS 1 13 200 00", true, false},
		{"SHA-1 key", "example. DNSKEY 257 3 5 AAAA", false, false},
		{"SHA-1 key, verified", "example. DNSKEY 257 3 5 AAAA", true, true},
		{"SHA-1 digest", "example. DS 1 13 1 " + strings.Repeat("00", 20), false, false},
		{"SHA-1 digest, verified", "example. DS 1 13 1 " + strings.Repeat("00", 20), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			trusted, err := ParseTrustAnchor(c.text)
			if err != nil {
				t.Fatal(err)
			}
			a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{trusted}, VerifySHA1: c.verify})
			if got := a.At(wire.MustName("example.")); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestAnchorsAtOnce(t *testing.T) {
	keys := newRing("example.", "AB")
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDS)}})
	shown := [2]*wire.RRset{keys.set(t, dayZero, "A b"), keys.set(t, dayZero, "A")}
	key := keyOf(t, &keys['A'].record)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				a.Observe(dayZero, budget(), shown[i%2])
				if !a.At(shown[0].Name) || !a.Trusts(shown[0].Name, &key) {
					t.Error("the anchor was gone for a moment")
				}
				a.Due(dayZero)
				a.AppendState(nil)
			}
		})
	}
	wg.Wait()
}

func toBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
