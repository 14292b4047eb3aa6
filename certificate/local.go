package certificate

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tacit/internal/place"
)

// A Local is a certificate for tests in the files of a directory, with the authority of one's own that has signed it.
type Local struct {
	Authority, AuthorityKey string // files
	Pair
	Fresh    bool // the authority was made just now
	Replaced bool // there was a certificate of the same authority
	Names    []string
	Until    time.Time
}

// LocalOptions say what a local certificate is for, and where its files are.
type LocalOptions struct {
	// Directory is made if it is not there.
	Directory string
	// Names and Addresses are what the certificate is for. Neither: localhost and the loopback addresses.
	Names     []string
	Addresses []netip.Addr
	// Now tells the time from which it is valid. Nil: time.Now.
	Now func() time.Time
}

// Files of a Local.
const (
	authorityFile, authorityKeyFile = "ca.pem", "ca-key.pem"
	certFile, keyFile               = "cert.pem", "key.pem"
)

const (
	authorityLife = 2 * 365 * 24 * time.Hour
	maxSubjects   = 100
)

// What stands in the way of a local certificate.
var (
	errSubjects  = errors.New("at most 100 names and addresses")
	errHalf      = errors.New("one of " + authorityFile + " and " + authorityKeyFile + " is there without the other")
	errStranger  = errors.New(certFile + " or " + keyFile + " is there and was not made by the authority in " + authorityFile + "; nothing is overwritten: choose another directory")
	errAuthority = errors.New("this is not an authority that was made here")
)

// MakeLocal makes a certificate and writes it, with an authority if there is none in the directory yet. The authority may sign
// for the names and addresses of its first certificate, names below them, and the loopback interface, so that whoever steals its
// key cannot pretend to be anything else.
func MakeLocal(o LocalOptions) (Local, error) {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default, for the command
	}
	if len(o.Names)+len(o.Addresses) == 0 {
		o.Names, o.Addresses = []string{localhost}, loopback
	}
	if len(o.Names)+len(o.Addresses) > maxSubjects {
		return Local{}, errSubjects
	}
	if err := os.MkdirAll(o.Directory, 0o700); err != nil {
		return Local{}, err
	}
	l := newLocal(o.Directory)
	a, err := l.authority(o)
	if err != nil {
		return Local{}, err
	}
	if err := l.checkFiles(a); err != nil {
		return Local{}, fmt.Errorf("%s: %w", o.Directory, err)
	}
	return l, l.make(a, o)
}

const localhost = "localhost"

var loopback = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

func newLocal(directory string) Local {
	in := func(name string) string { return filepath.Join(directory, name) }
	return Local{
		Authority: in(authorityFile), AuthorityKey: in(authorityKeyFile),
		Pair: Pair{CertFile: in(certFile), KeyFile: in(keyFile)},
	}
}

// A signer is an authority with its key.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// authority reads that of the directory, or makes one; it is not written yet.
func (l *Local) authority(o LocalOptions) (signer, error) {
	cert, key := exists(l.Authority), exists(l.AuthorityKey)
	switch {
	case cert != key:
		return signer{}, fmt.Errorf("%s: %w", o.Directory, errHalf)
	case !cert:
		l.Fresh = true
		return newSigner(o)
	}
	return l.readSigner(o.Now())
}

func (l *Local) readSigner(now time.Time) (signer, error) {
	text, err := Pair{CertFile: l.Authority, KeyFile: l.AuthorityKey}.read()
	if err != nil {
		return signer{}, err
	}
	pair, err := tls.X509KeyPair(text.cert, text.key)
	if err != nil {
		return signer{}, fmt.Errorf("%s with %s: %w", l.Authority, authorityKeyFile, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return signer{}, fmt.Errorf("%s: %w", l.Authority, errAuthority)
	}
	if state := stateOf(pair.Leaf, now); state == Expired || state == Early {
		return signer{}, fmt.Errorf("%s: %v: remove %s and %s, and have the next one imported where this one was", l.Authority, state, authorityFile, authorityKeyFile)
	}
	return signer{pair.Leaf, key}, nil
}

func newSigner(o LocalOptions) (signer, error) {
	key, err := newKey()
	if err != nil {
		return signer{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return signer{}, err
	}
	mark := sha256.Sum256(public) // two authorities of one name would confuse the stores of browsers
	now := o.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: fmt.Sprintf("tacit local authority %x", mark[:4])},
		NotBefore: now.Add(-early), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	constrain(template, o)
	c, err := sign(template, template, key.Public(), key)
	return signer{c, key}, err
}

// constrain writes down what an authority may sign for (RFC 5280 section 4.2.1.10). There is always something of either kind,
// because a kind that is not named is not constrained.
func constrain(authority *x509.Certificate, o LocalOptions) {
	authority.PermittedDNSDomainsCritical = true
	names := []string{localhost}
	for _, name := range o.Names {
		names = append(names, strings.TrimPrefix(name, "*."))
	}
	slices.Sort(names)
	authority.PermittedDNSDomains = slices.Compact(names)
	addresses := slices.Concat(loopback, o.Addresses)
	slices.SortFunc(addresses, netip.Addr.Compare)
	for _, a := range slices.Compact(addresses) {
		authority.PermittedIPRanges = append(authority.PermittedIPRanges, &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())})
	}
}

// checkFiles finds out whether what is there may be replaced: only a certificate of the same authority, with its key.
func (l *Local) checkFiles(a signer) error {
	if !exists(l.CertFile) && !exists(l.KeyFile) {
		return nil
	}
	l.Replaced = true
	before, err := l.Load()
	if err != nil || before.Leaf.CheckSignatureFrom(a.certificate) != nil {
		return errStranger
	}
	return nil
}

// make signs the certificate and writes all that is new. It is verified first: an authority may be constrained to other names.
func (l *Local) make(a signer, o LocalOptions) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template := leafTemplate(o.Names, o.Addresses, o.Now())
	if template.NotAfter.After(a.certificate.NotAfter) {
		template.NotAfter = a.certificate.NotAfter
	}
	leaf, err := sign(template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: o.Now()}); err != nil {
		return fmt.Errorf("the authority in %s may not sign for all of these names and addresses; choose another directory, "+
			"or remove %s and %s and have the next one imported where this one was: %w", o.Directory, authorityFile, authorityKeyFile, err)
	}
	l.Names, l.Until = subjects(leaf), leaf.NotAfter
	if l.Fresh {
		if err := writePair(Pair{CertFile: l.Authority, KeyFile: l.AuthorityKey}, a.key, a.certificate); err != nil {
			return err
		}
	}
	return writePair(l.Pair, key, leaf)
}

// exists takes what it cannot look at for something that is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func writePair(p Pair, key crypto.Signer, chain ...*x509.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := place.Replace(p.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return place.Replace(p.CertFile, text, 0o644)
}
