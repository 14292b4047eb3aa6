package certificate

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestSelfSigned(t *testing.T) {
	now := noon
	s := mustNew(t, Options{
		Names: []string{"localhost", "box.test"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.IPv6Loopback()},
		Now: func() time.Time { return now },
	})
	leaf := handshake(t, s, &tls.Config{})
	for _, name := range []string{"localhost", "box.test", "192.0.2.1", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	status := s.Status(now)[0]
	if !status.Made() || status.State != Good || !slices.Equal(status.Names, []string{"192.0.2.1", "::1", "box.test", "localhost"}) {
		t.Errorf("%+v", status)
	}
	public, err := x509.MarshalPKIXPublicKey(leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(public); status.Pin != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("pin %s", status.Pin)
	}
}

// Clients that know tacit by its pin go on doing so when the certificate is made anew.
func TestSelfSignedIsRenewedWithItsKey(t *testing.T) {
	s := mustNew(t, Options{Names: []string{"localhost"}})
	before := s.Status(noon)[0]
	for _, after := range []time.Duration{59 * day, 61 * day, 1000 * day, -50 * day} {
		now := noon.Add(after)
		s.look(t.Context(), now)
		if got := s.Status(now)[0]; got.State != Good || got.Pin != before.Pin {
			t.Errorf("after %v: %+v", after, got)
		}
	}
}

func TestZeroOptions(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.Certificate(&tls.ClientHelloInfo{ServerName: "any.test"}); err != nil || c == nil {
		t.Error(c, err)
	}
	w := httptest.NewRecorder()
	s.ChallengeHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://dns.test/.well-known/acme-challenge/token", nil))
	if w.Code != http.StatusNotFound {
		t.Error("challenges without ACME")
	}
}
