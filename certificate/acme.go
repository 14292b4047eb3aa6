package certificate

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"tacit/internal/privacy"
)

// ACME says which certificates are ordered, and from whom (RFC 8555). Each name has a certificate of its own.
type ACME struct {
	// Names are ordered, and no others, in lower case. Whoever lists one agrees to the authority's terms of service.
	Names []string
	// Directory is the authority's URL. Empty: that of Let's Encrypt.
	Directory string
	// Mail is where the authority writes to about the account; it may be empty.
	Mail string
	// Cache is the directory that keeps account, keys and certificates; only its owner may look into it.
	Cache string
	// HTTP01 says that ChallengeHandler is served on port 80, so that names can be verified there.
	HTTP01 bool
	// Transport carries the requests to the authority. Nil: that of net/http.
	Transport http.RoundTripper
}

// DefaultDirectory is the URL of Let's Encrypt.
const DefaultDirectory = autocert.DefaultACMEDirectory

// ChallengeProtocol is what a server of TLS must add to its protocols (ALPN), where the authority proves names by
// TLS-ALPN-01 (RFC 8737).
const ChallengeProtocol = acme.ALPNProto

// An authority orders certificates, one at a time, and never during a handshake.
type authority struct {
	manager    *autocert.Manager
	challenges http.Handler // of HTTP-01
	gate       *gate
	slot       chan struct{} // held while an order is under way
	panicked   func()

	mu     sync.Mutex // of orders; no handshake takes it
	orders []*order
}

// An order is a name and what has come for it.
type order struct {
	name        string
	certificate *tls.Certificate // nil: none yet
	due         time.Time
	pause       time.Duration // after the last failure
}

const (
	requestTime = 30 * time.Second
	// refreshEvery is how often the library is asked whether it has renewed.
	refreshEvery = time.Minute
	// Failures are few: authorities count those, per name and hour.
	firstPause, lastPause = 5 * time.Minute, 4 * time.Hour
)

var errNoCache = errors.New("ACME needs a directory for its keys")

func newAuthority(o ACME, now time.Time, panicked func()) (*authority, error) {
	if o.Cache == "" {
		return nil, errNoCache
	}
	if err := prepareCache(o.Cache); err != nil {
		return nil, err
	}
	a := &authority{gate: &gate{next: cmp.Or[http.RoundTripper](o.Transport, http.DefaultTransport)}, slot: make(chan struct{}, 1), panicked: panicked}
	for _, name := range o.Names {
		a.orders = append(a.orders, &order{name: name, due: now})
	}
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(o.Cache), HostPolicy: a.allow, Email: o.Mail,
		Client: &acme.Client{
			DirectoryURL: cmp.Or(o.Directory, DefaultDirectory), UserAgent: "tacit",
			HTTPClient: &http.Client{Transport: a.gate, Timeout: requestTime},
		},
	}
	a.challenges = http.NotFoundHandler()
	if o.HTTP01 {
		a.challenges = a.manager.HTTPHandler(a.challenges) // from then on the library offers HTTP-01
	}
	a.recall(now)
	return a, nil
}

// prepareCache makes the directory, or refuses one that others may look into.
func prepareCache(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return CheckCache(path)
}

var errOpenCache = errors.New("others than its owner may look into it, and it holds private keys: chmod 700")

// CheckCache reports whether a directory is fit to hold keys. That it is not there yet is no error.
func CheckCache(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: is not a directory", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s: %w", path, errOpenCache)
	}
	return nil
}

// recall takes up what an earlier process has left in the cache, before there is a client. The gate is closed: nothing is ordered.
func (a *authority) recall(now time.Time) {
	for _, o := range a.orders {
		if _, err := a.manager.Cache.Get(context.Background(), o.name); err == nil {
			_, _ = a.settle(o, now) // what has expired is ordered anew by Follow
		}
	}
}

var errNotConfigured = errors.New("not a name of the configuration")

// allow is the library's question whether a name may be ordered or proven; a port is that of the Host header.
func (a *authority) allow(_ context.Context, host string) error {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if !slices.ContainsFunc(a.orders, func(o *order) bool { return o.name == strings.ToLower(host) }) {
		return errNotConfigured
	}
	return nil
}

// isChallenge recognises the hello of an authority that verifies a name (RFC 8737 section 3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ChallengeProtocol
}

func (a *authority) prove(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if err := a.allow(context.Background(), hello.ServerName); err != nil {
		return nil, err
	}
	return a.manager.GetCertificate(hello)
}

func (a *authority) open(ctx context.Context) { a.gate.until.Store(&ctx) }

// next takes the slot and the name that is due, if there is one and no other order is under way.
func (a *authority) next(now time.Time) *order {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.orders, func(o *order) bool { return !now.Before(o.due) })
	if i < 0 {
		return nil
	}
	select {
	case a.slot <- struct{}{}:
		return a.orders[i]
	default:
		return nil
	}
}

// ask asks the library for the certificate of a name, which it has, or orders.
func (a *authority) ask(name string) (c *tls.Certificate, err error) {
	defer func() {
		if recover() != nil { // at what the authority has sent
			a.panicked()
			err = errPanicked
		}
	}()
	return a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: name, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// settle takes up what has come of an order, or says when it is tried again.
func (a *authority) settle(o *order, now time.Time) (changed bool, err error) {
	c, err := a.ask(o.name)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		o.pause = min(max(2*o.pause, firstPause), lastPause)
		o.due = now.Add(o.pause)
		return false, err
	}
	changed = o.certificate == nil || !c.Leaf.Equal(o.certificate.Leaf)
	o.certificate, o.pause, o.due = c, 0, now.Add(refreshEvery)
	return changed, nil
}

func (a *authority) addTo(t *table) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.orders {
		if o.certificate == nil {
			t.awaited = append(t.awaited, o.name)
			continue
		}
		t.add(entry{certificate: o.certificate, ordered: true})
	}
}

// order begins the order that is due, in the background: it can take minutes.
func (s *Store) order(ctx context.Context, now time.Time) {
	o := s.authority.next(now)
	if o == nil {
		return
	}
	go func() {
		defer func() { <-s.authority.slot }()
		changed, err := s.authority.settle(o, now)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.options.Log.Warn("no certificate was given", "certificate", privacy.Public(o.name), "problem", classify(err),
				"status", statusOf(err), "next_try_in", o.due.Sub(now))
		case changed:
			s.options.Log.Info("a certificate was given", "certificate", privacy.Public(o.name))
			s.refresh(s.options.Now())
		}
	}()
}

// An orderError is why an order failed, in constant words: those of the library hold addresses.
type orderError string

func (e orderError) Error() string { return string(e) }

// ConstantText marks the type for the log.
func (orderError) ConstantText() {}

const (
	errRefused     orderError = "the authority refuses the order"
	errUnreachable orderError = "the authority cannot be reached"
	errKept        orderError = "the cache directory cannot be used"
	errPanicked    orderError = "panic at what the authority has sent"
	errUnproven    orderError = "the authority could not verify the name: it must reach this machine under the name, on port 443 (TLS-ALPN-01) or 80 (HTTP-01)"
)

var _ privacy.ConstantError = orderError("")

func classify(err error) error {
	if errors.Is(err, errPanicked) {
		return errPanicked
	}
	if _, ok := errors.AsType[*acme.Error](err); ok {
		return errRefused
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return errUnreachable
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return errKept
	}
	return errUnproven
}

// statusOf is the HTTP status of a refusal, 0 otherwise.
func statusOf(err error) int {
	e, ok := errors.AsType[*acme.Error](err)
	if !ok {
		return 0
	}
	return e.StatusCode
}

// ChallengeHandler answers the authority's questions of HTTP-01 (RFC 8555 section 8.3), and everybody else's with 404. To be
// reached it must be served on port 80.
func (s *Store) ChallengeHandler() http.Handler {
	if s.authority == nil {
		return http.NotFoundHandler()
	}
	return s.authority.challenges
}

// A gate lets requests to the authority out for as long as the Store is followed: the library's timers do not end.
type gate struct {
	next  http.RoundTripper
	until atomic.Pointer[context.Context]
}

var errClosed = errors.New("certificates are not followed")

// RoundTrip carries a request.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := g.until.Load()
	if ctx == nil || (*ctx).Err() != nil {
		return nil, errClosed
	}
	return g.next.RoundTrip(r)
}
