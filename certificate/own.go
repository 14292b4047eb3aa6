package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"time"
)

// own is a self-signed certificate, made in memory. Its key, and so its pin, stays for as long as the Store does.
type own struct {
	names       []string
	addresses   []netip.Addr
	key         crypto.Signer
	certificate *tls.Certificate
}

const (
	leafLife = 90 * 24 * time.Hour
	// early is how long before it was made a certificate is valid already: clocks differ.
	early = time.Hour
)

// renew makes the certificate, or replaces it when only a third of its life is left.
func (o *own) renew(now time.Time) error {
	if o.certificate != nil && stateOf(o.certificate.Leaf, now) == Good {
		return nil
	}
	if o.key == nil {
		key, err := newKey()
		if err != nil {
			return err
		}
		o.key = key
	}
	template := leafTemplate(o.names, o.addresses, now)
	leaf, err := sign(template, template, o.key.Public(), o.key)
	if err != nil {
		return err
	}
	o.certificate = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: o.key, Leaf: leaf}
	return nil
}

func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// sign makes a certificate with a random serial number.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func leafTemplate(names []string, addresses []netip.Addr, now time.Time) *x509.Certificate {
	c := &x509.Certificate{
		// No common name: GnuTLS holds one against the constraints of the authority where there is no name but addresses.
		Subject:   pkix.Name{Organization: []string{"tacit"}},
		NotBefore: now.Add(-early), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: names,
	}
	for _, a := range addresses {
		c.IPAddresses = append(c.IPAddresses, net.IP(a.Unmap().AsSlice()))
	}
	return c
}
