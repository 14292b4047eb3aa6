package server

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"tacit/config"
	"tacit/dnssec"
	"tacit/internal/place"
	"tacit/internal/privacy"
	"tacit/internal/wire"
	"tacit/internal/work"
)

// An anchorKeeper has the trust anchors of a configuration, tells the log what becomes of them, and keeps their state
// in a file.
type anchorKeeper struct {
	*dnssec.Anchors
	path string // empty: in memory only
	log  *slog.Logger

	mu      sync.Mutex // of the file and of all below
	written []byte     // the state in the file
	failed  bool       // the last time
}

// newAnchorKeeper reads the state from the file, or where there is none, takes that of the keeper before it, which may
// be nil.
func newAnchorKeeper(c *config.Config, log *slog.Logger, before *anchorKeeper) *anchorKeeper {
	k := &anchorKeeper{path: anchorPath(c), log: log}
	state, err := k.read()
	if err != nil {
		log.Warn("the trust anchor file is not used: trust anchors start from the configuration",
			"file", privacy.Public(k.path), "error", privacy.Public(err.Error()))
	}
	if k.written == nil && before != nil {
		state, _ = dnssec.ReadState(before.AppendState(nil)) // our own words
	}
	k.Anchors = dnssec.NewAnchors(anchorOptions(c, state))
	return k
}

func anchorOptions(c *config.Config, state dnssec.State) dnssec.AnchorOptions {
	return dnssec.AnchorOptions{
		Trusted: c.DNSSEC.TrustAnchors, State: state,
		Static: c.DNSSEC.StaticAnchors || !c.DNSSEC.ValidationTime.IsZero(), VerifySHA1: c.DNSSEC.VerifySHA1,
	}
}

// anchorFileName is the state's name in the directory that a service manager gives.
const anchorFileName = "trust-anchors"

// anchorPath returns the file that keeps the state, or nothing.
func anchorPath(c *config.Config) string {
	if c.DNSSEC.StaticAnchors {
		return ""
	}
	if c.DNSSEC.AnchorFile != "" {
		return c.DNSSEC.AnchorFile
	}
	return inDirectory("STATE_DIRECTORY", anchorFileName)
}

// read reads the file. That it is not there yet is no error.
func (k *anchorKeeper) read() (dnssec.State, error) {
	if k.path == "" {
		return dnssec.State{}, nil
	}
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return dnssec.State{}, nil
	}
	if err != nil {
		return dnssec.State{}, err
	}
	state, err := dnssec.ReadState(text)
	if err == nil {
		k.written = text
	}
	return state, err
}

// Observe is told of each DNSKEY RRset as it comes, before it is validated. It reports whether the keys that are trusted
// may be others now, so that what was concluded from them must go.
func (k *anchorKeeper) Observe(now time.Time, w *work.Budget, set *wire.RRset) bool {
	if set.Type != wire.TypeDNSKEY || !k.At(set.Name) {
		return false
	}
	changes := k.Anchors.Observe(now, w, set)
	for _, c := range changes {
		k.tell(c)
	}
	k.save()
	return len(changes) > 0
}

func (k *anchorKeeper) tell(c dnssec.Change) {
	zone := privacy.Public(c.Zone.Reveal()) // the operator's own word
	k.log.Info("a trust anchor has changed", "zone", zone, "tag", c.Tag, "algorithm", c.Algorithm,
		"from", privacy.Public(c.From.String()), "to", privacy.Public(c.To.String()))
	if c.Last {
		k.log.Error("all trust anchors of a zone are revoked: it is not validated by them any more (RFC 5011 section 5); "+
			"set dnssec.trust_anchors to the zone's present keys", "zone", zone)
	}
}

// save writes the state if it is another than that in the file. A directory that cannot be written to is no reason to
// stop, and to be told of once.
func (k *anchorKeeper) save() {
	if k.path == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	text := k.AppendState(nil)
	if bytes.Equal(text, k.written) {
		return
	}
	if err := place.Replace(k.path, text, 0o644); err != nil {
		if !k.failed {
			k.log.Warn("the trust anchor file cannot be written: after a restart new keys have to wait again",
				"file", privacy.Public(k.path), "error", privacy.Public(err.Error()))
		}
		k.failed = true
		return
	}
	k.written, k.failed = text, false
}

// An AnchorReport is what tacit anchors shows.
type AnchorReport struct {
	File    string // that keeps the state; empty: none
	Problem string // why the file is not used
	Fresh   bool   // there is no file yet
	Static  bool
	Anchors []dnssec.AnchorStatus
}

// Anchors reports the trust anchors of a configuration, as its file has them.
func Anchors(c *config.Config) AnchorReport {
	k := &anchorKeeper{path: anchorPath(c)}
	r := AnchorReport{File: k.path, Static: c.DNSSEC.StaticAnchors}
	state, err := k.read()
	if err != nil {
		r.Problem = err.Error()
	}
	r.Fresh = err == nil && k.written == nil
	r.Anchors = dnssec.NewAnchors(anchorOptions(c, state)).List()
	return r
}
