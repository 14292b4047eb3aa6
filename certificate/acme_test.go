package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/acme"

	"tacit/internal/privacy"
)

// A dead transport reaches nobody.
type dead struct{ requests int }

func (d *dead) RoundTrip(*http.Request) (*http.Response, error) {
	d.requests++
	return nil, errors.New("dial tcp 192.0.2.1:443: no route")
}

func acmeOptions(t *testing.T, transport http.RoundTripper) Options {
	t.Helper()
	return Options{ACME: ACME{
		Names: []string{"dns.test"}, Directory: "https://acme.test/directory", Cache: filepath.Join(t.TempDir(), "acme"), Transport: transport,
	}}
}

// Until the first certificate has come there is a self-signed one, and what is awaited can be seen.
func TestAwaitedCertificateHasAStandIn(t *testing.T) {
	o := acmeOptions(t, &dead{})
	s := mustNew(t, o)
	leaf := handshake(t, s, &tls.Config{ServerName: "dns.test"})
	list := s.Status(noon)
	if leaf.VerifyHostname("dns.test") != nil || len(list) != 2 || !list[0].Made() || list[1].State != Awaited || list[1].Names[0] != "dns.test" {
		t.Errorf("%+v", list)
	}
	info, err := os.Stat(o.ACME.Cache)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// cacheEntry is how the library keeps a certificate: the key, then the chain. It looks at the machine's clock.
func cacheEntry(t *testing.T, name string, from time.Time) []byte {
	t.Helper()
	key := ecdsaKey(t)
	cert, _ := kit{names: []string{name}, from: from, key: key}.texts(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), cert...)
}

func TestCachedCertificateIsShownAtOnce(t *testing.T) {
	transport := &dead{}
	o := acmeOptions(t, transport)
	if err := os.Mkdir(o.ACME.Cache, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(o.ACME.Cache, "dns.test"), cacheEntry(t, "dns.test", time.Now().Add(-time.Hour)))
	s := mustNew(t, o)
	list := s.Status(time.Now())
	if len(list) != 1 || !list[0].Ordered || list[0].Names[0] != "dns.test" || list[0].State != Good || transport.requests != 0 {
		t.Errorf("%+v, %d requests", list, transport.requests)
	}
}

// The library renews at a third of life left. That is nothing to warn of before it has had the time.
func TestOrderedCertificateIsWarnedOfLater(t *testing.T) {
	p := kit{names: []string{"dns.test"}, life: 80 * day}.write(t)
	c, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		left          time.Duration
		file, ordered State
	}{
		{27 * day, Good, Good}, {26 * day, Soon, Good}, {21 * day, Soon, Good}, {20 * day, Soon, Soon}, {-day, Expired, Expired},
	} {
		now := c.Leaf.NotAfter.Add(-x.left)
		if got := (entry{certificate: c}).status(now).State; got != x.file {
			t.Errorf("from a file, %v left: %v", x.left, got)
		}
		if got := (entry{certificate: c, ordered: true}).status(now).State; got != x.ordered {
			t.Errorf("ordered, %v left: %v", x.left, got)
		}
	}
}

func TestCacheDirectory(t *testing.T) {
	open, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.Chmod(open, 0o750); err != nil {
		t.Fatal(err)
	}
	put(t, file, nil)
	for _, c := range []struct{ name, path, want string }{
		{"none", "", "needs a directory"},
		{"open to others", open, "others than its owner"},
		{"a file", file, "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(Options{ACME: ACME{Names: []string{"dns.test"}, Cache: c.path}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if err := CheckCache(filepath.Join(open, "none")); err != nil {
		t.Error(err)
	}
}

// Orders wait longer after each failure, are made in the background only, and their log holds no address.
func TestFailedOrdersPause(t *testing.T) {
	o := acmeOptions(t, nil)
	directory := o.ACME.Cache
	synctest.Test(t, func(t *testing.T) {
		transport := &dead{}
		log, written := newLog()
		o := Options{ACME: o.ACME, Log: log, Now: time.Now}
		o.ACME.Transport = transport
		s := mustNew(t, o)
		_ = shown(t, s, &tls.ClientHelloInfo{ServerName: "dns.test"})
		if transport.requests != 0 {
			t.Errorf("%d requests before Follow", transport.requests)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Follow(ctx); close(done) }()
		var at []string
		start, before := time.Now(), 0
		for time.Since(start) < 14*time.Hour {
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := strings.Count(written.String(), "no certificate was given"); n > before {
				at, before = append(at, time.Since(start).String()), n
			}
		}
		want := []string{"1m0s", "5m0s", "15m0s", "35m0s", "1h15m0s", "2h35m0s", "5h15m0s", "9h15m0s", "13h15m0s"}
		if !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		cancel()
		<-done
		if text := written.String(); strings.Contains(text, "192.0.2.1") || !strings.Contains(text, string(errUnreachable)) {
			t.Error(text)
		}
	})
	if _, err := os.Stat(filepath.Join(directory, "acme_account+key")); err != nil {
		t.Error(err) // the account has its key, for the next time
	}
}

// A bomb is a transport that panics.
type bomb struct{}

func (bomb) RoundTrip(*http.Request) (*http.Response, error) { panic("secret.example") }

// A mistake in reading what the authority sends costs an order, which is tried again as late as any that has failed.
func TestPanicOfAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, panics := acmeOptions(t, bomb{}), 0
		o.Panicked = func() { panics++ }
		s := mustNew(t, o)
		s.authority.open(t.Context())
		order := s.authority.orders[0]
		_, err := s.authority.settle(order, noon)
		if panics != 1 || !errors.Is(classify(err), errPanicked) || !order.due.Equal(noon.Add(firstPause)) {
			t.Errorf("%d panics, %v, due %v", panics, err, order.due)
		}
		time.Sleep(requestTime) // net/http watches for so long
	})
}

// The library has timers that do not end. What they would send goes out only while the Store is followed.
func TestRequestsLeaveWhileFollowed(t *testing.T) {
	transport := &dead{}
	s := mustNew(t, acmeOptions(t, transport))
	request := httptest.NewRequest(http.MethodGet, "https://acme.test/directory", nil)
	try := func(want int, closed bool) {
		t.Helper()
		response, err := s.authority.gate.RoundTrip(request)
		if response != nil {
			_ = response.Body.Close()
		}
		if transport.requests != want || errors.Is(err, errClosed) != closed {
			t.Errorf("%d requests, %v", transport.requests, err)
		}
	}
	try(0, true)
	ctx, cancel := context.WithCancel(t.Context())
	s.authority.open(ctx)
	try(1, false)
	cancel()
	try(1, true)
}

// RFC 8737 section 3: a hello with acme-tls/1 alone is the authority's. Nobody learns or starts anything by one.
func TestChallengeHellos(t *testing.T) {
	transport := &dead{}
	s := mustNew(t, acmeOptions(t, transport))
	hello := func(name string, protocols ...string) *tls.ClientHelloInfo {
		return &tls.ClientHelloInfo{ServerName: name, SupportedProtos: protocols}
	}
	if _, err := s.Certificate(hello("secret.example", ChallengeProtocol)); !errors.Is(err, errNotConfigured) {
		t.Errorf("another name: %v", err)
	}
	if c, err := s.Certificate(hello("dns.test", ChallengeProtocol)); err == nil {
		t.Errorf("no challenge is open: %v", c)
	}
	for _, protocols := range [][]string{{"dot", ChallengeProtocol}, {ChallengeProtocol, "dot"}, {"dot"}, nil} {
		if got := shown(t, s, hello("dns.test", protocols...)); got != "dns.test" {
			t.Errorf("%v: %s", protocols, got)
		}
	}
	// What the library has put up while an order is under way.
	if err := s.authority.manager.Cache.Put(t.Context(), "dns.test+token", cacheEntry(t, "dns.test", time.Now().Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Certificate(hello("dns.test", ChallengeProtocol)); err != nil {
		t.Error(err)
	}
	if transport.requests != 0 {
		t.Errorf("%d requests", transport.requests)
	}
}

// RFC 8555 section 8.3: the token is below /.well-known/acme-challenge/. There is nothing else to see, and no redirection.
func TestChallengeHandler(t *testing.T) {
	o := acmeOptions(t, &dead{})
	o.ACME.HTTP01 = true
	s := mustNew(t, o)
	h := s.ChallengeHandler()
	if err := s.authority.manager.Cache.Put(t.Context(), "token+http-01", []byte("token.thumbprint")); err != nil {
		t.Fatal(err)
	}
	const at = "/.well-known/acme-challenge/"
	for _, c := range []struct {
		name, host, path string
		code             int
		body             string
	}{
		{"the token", "dns.test", at + "token", 200, "token.thumbprint"},
		{"with a port", "dns.test:8080", at + "token", 200, "token.thumbprint"},
		{"in other letters", "DNS.Test", at + "token", 200, "token.thumbprint"},
		{"of another name", "secret.example", at + "token", 403, "not a name"},
		{"another token", "dns.test", at + "other", 404, ""},
		{"out of the directory", "dns.test", at + "../dns.test", 404, ""},
		{"anything else", "dns.test", "/dns-query", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://"+c.host+c.path, nil))
			body := w.Body.String()
			if w.Code != c.code || !strings.Contains(body, c.body) || strings.Contains(body, "secret") {
				t.Errorf("%d %q, want %d %q", w.Code, body, c.code, c.body)
			}
		})
	}
}

func TestChallengeHandlerIsOffWithoutHTTP01(t *testing.T) {
	s := mustNew(t, acmeOptions(t, &dead{}))
	if err := s.authority.manager.Cache.Put(t.Context(), "token+http-01", []byte("token.thumbprint")); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ChallengeHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://dns.test/.well-known/acme-challenge/token", nil))
	if w.Code != http.StatusNotFound {
		t.Error(w.Code)
	}
}

func TestOrderErrorsAreConstant(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"a refusal", &acme.Error{StatusCode: 429, Detail: "192.0.2.1"}, errRefused},
		{"a cache", &os.PathError{Op: "open", Path: "/x", Err: os.ErrPermission}, errKept},
		{"anything else", errors.New("dns.test at 192.0.2.1"), errUnproven},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := classify(c.err)
			if !errors.Is(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if _, ok := errors.AsType[privacy.ConstantError](got); !ok {
				t.Error("its text is not for the log")
			}
		})
	}
	if got := statusOf(&acme.Error{StatusCode: 429}); got != 429 {
		t.Error(got)
	}
}
