package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tacit/internal/privacy"
)

// After an order autocert tidies up, for minutes when nonces are refused, and cannot be told to stop.
const tidying = "golang.org/x/crypto/acme/autocert.(*Manager).deactivatePendingAuthz"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(tidying)) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// A kit is what a test's certificate is made of.
type kit struct {
	names     []string
	addresses []string
	from      time.Time // zero: noon
	life      time.Duration
	key       crypto.Signer
}

func ecdsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// texts are the certificate and the key in PEM.
func (k kit) texts(t testing.TB) (cert, key []byte) {
	t.Helper()
	if k.key == nil {
		k.key = ecdsaKey(t)
	}
	if k.from.IsZero() {
		k.from = noon
	}
	if k.life == 0 {
		k.life = 90 * day
	}
	var addresses []netip.Addr
	for _, a := range k.addresses {
		addresses = append(addresses, netip.MustParseAddr(a))
	}
	template := leafTemplate(k.names, addresses, k.from)
	template.NotBefore, template.NotAfter = k.from, k.from.Add(k.life)
	c, err := sign(template, template, k.key.Public(), k.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// write writes a pair into a directory of its own.
func (k kit) write(t testing.TB) Pair {
	t.Helper()
	directory := t.TempDir()
	p := Pair{CertFile: filepath.Join(directory, "cert.pem"), KeyFile: filepath.Join(directory, "key.pem")}
	cert, key := k.texts(t)
	put(t, p.CertFile, cert)
	put(t, p.KeyFile, key)
	return p
}

func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustNew(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A journal is what a logger has written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// take returns the text and forgets it.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.text.Reset()
	return j.text.String()
}

// newLog returns a logger as tacit has it.
func newLog() (*slog.Logger, *journal) {
	var j journal
	return slog.New(privacy.NewHandler(slog.NewTextHandler(&j, nil))), &j
}

// shown is the first name of what a hello is shown.
func shown(t testing.TB, s *Store, hello *tls.ClientHelloInfo) string {
	t.Helper()
	c, err := s.Certificate(hello)
	if err != nil {
		t.Fatal(err)
	}
	return subjects(c.Leaf)[0]
}
