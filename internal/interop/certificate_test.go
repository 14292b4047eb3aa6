//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// An authority is a certification authority of the run's own. Clients are given its file, and nothing else to trust.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

// A credential is what tacit shows to its clients.
type credential struct{ certificate, key string } // file names

// certificateLife is short, and begins a little earlier than now: clocks are not what is tested here.
const certificateLife = 24 * time.Hour

func newAuthority(t *testing.T, dir, label string) *authority {
	t.Helper()
	template := newTemplate(t, label)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	a := &authority{key: newKey(t), file: filepath.Join(dir, label+".pem")}
	a.certificate = certify(t, template, template, a.key, a.key)
	writePEM(t, a.file, "CERTIFICATE", a.certificate.Raw)
	return a
}

// issue makes a certificate for host names and addresses.
func (a *authority) issue(t *testing.T, dir string, names ...string) credential {
	t.Helper()
	template := newTemplate(t, names[0])
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	key := newKey(t)
	leaf := certify(t, template, a.certificate, key, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := credential{filepath.Join(dir, "tacit.crt"), filepath.Join(dir, "tacit.key")}
	writePEM(t, c.certificate, "CERTIFICATE", leaf.Raw)
	writePEM(t, c.key, "PRIVATE KEY", der)
	return c
}

func newTemplate(t *testing.T, label string) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: label},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certify has the issuer's key vouch for a key under a template.
func certify(t *testing.T, template, issuer *x509.Certificate, subject, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, subject.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
