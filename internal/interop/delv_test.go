//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// delvTimeout is for one question. delv builds the chain of trust anew each time.
const delvTimeout = 20 * time.Second

// isBeyondDelv reports whether delv cannot judge the answer. It goes from zone to zone label by label, and fails where
// NSD proves only half of what it could (see secureGenerator.addCombination); and it follows a DNAME even when the
// question was for the CNAME.
func (w *world) isBeyondDelv(q question) bool {
	if _, dname := w.zoneOf(q.name).redirection(q.name); dname != nil && q.qtype == dns.TypeCNAME {
		return true
	}
	for _, domain := range w.unproven {
		if w.passes(q, domain) {
			return true
		}
	}
	return false
}

// checkWithDelv has BIND's validator ask the resolver with CD set and judge by itself: everything that a validator
// behind the resolver needs has to come through it, and the truth gets a witness of another make.
func (w *world) checkWithDelv(t *testing.T, dir string, r *resolver, questions []question) {
	t.Helper()
	anchors := filepath.Join(dir, "delv.anchors")
	fields := strings.Fields(w.anchor())
	writeFile(t, anchors, fmt.Sprintf("trust-anchors { . static-ds %s %s %s %q; };\n", fields[4], fields[5], fields[6], fields[7]))
	questions = slices.DeleteFunc(slices.Clone(questions), w.isBeyondDelv)
	p := r.start(t, dir)
	secure := 0
	eachOf(2, len(questions), func(i int) {
		q := questions[i]
		got, err := delv(t.Context(), anchors, r, q)
		want := delvVerdict{w.truth(q.name, q.qtype).rcode, w.authentic(q.name, q.qtype, delvPolicy)}
		if err != nil || got != want {
			t.Errorf("delv behind %s: [%s] %s %s: %v, want %v, %v", r.name, q.class, q.text, dns.Type(q.qtype), got, want, err)
		}
	})
	for _, q := range questions {
		secure += one(w.authentic(q.name, q.qtype, delvPolicy))
	}
	p.end(t)
	t.Logf("delv behind %s judged %d answers, %d of them secure", r.name, len(questions), secure)
}

// A delvVerdict is what delv makes of an answer.
type delvVerdict struct {
	rcode  int
	secure bool
}

func (v delvVerdict) String() string {
	return fmt.Sprintf("%s, secure %t", dns.RcodeToString[v.rcode], v.secure)
}

func delv(ctx context.Context, anchors string, r *resolver, q question) (delvVerdict, error) {
	ctx, cancel := context.WithTimeout(ctx, delvTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "delv", "-a", anchors, "@"+r.addr.Addr().String(), "-p", fmt.Sprint(r.addr.Port()),
		q.name.String(), dns.Type(q.qtype).String())
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return delvVerdict{}, err
	}
	return parseDelv(string(out)), nil
}

// parseDelv reads delv's remarks: one on the resolution, and one on each RRset.
func parseDelv(text string) delvVerdict {
	v := delvVerdict{rcode: dns.RcodeServerFailure, secure: true}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, ";; resolution failed: ncache nxdomain"):
			v.rcode = dns.RcodeNameError
		case strings.HasPrefix(line, ";; resolution failed: ncache nxrrset"):
			v.rcode = dns.RcodeSuccess
		case strings.HasSuffix(line, "fully validated"), strings.HasSuffix(line, "unsigned answer"):
			v.secure = v.secure && strings.HasSuffix(line, "fully validated")
			if v.rcode == dns.RcodeServerFailure {
				v.rcode = dns.RcodeSuccess
			}
		}
	}
	v.secure = v.secure && v.rcode != dns.RcodeServerFailure
	return v
}
