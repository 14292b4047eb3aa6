package certificate

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// A Pair names the files of a certificate chain, leaf first, and of the leaf's private key, both in PEM.
type Pair struct{ CertFile, KeyFile string }

// Load reads a pair. The error names the file and says what is wrong with it.
func (p Pair) Load() (*tls.Certificate, error) {
	text, err := p.read()
	if err != nil {
		return nil, err
	}
	return p.parse(text)
}

// A pairText is what the files of a pair hold.
type pairText struct{ cert, key []byte }

// A fingerprint tells contents apart.
type fingerprint [sha256.Size]byte

func (t pairText) fingerprint() fingerprint {
	cert, key := sha256.Sum256(t.cert), sha256.Sum256(t.key)
	return sha256.Sum256(append(cert[:], key[:]...))
}

func (p Pair) read() (pairText, error) {
	cert, err := readFile(p.CertFile)
	if err != nil {
		return pairText{}, err
	}
	key, err := readFile(p.KeyFile)
	return pairText{cert, key}, err
}

func (p Pair) parse(text pairText) (*tls.Certificate, error) {
	if err := checkChain(text.cert); err != nil {
		return nil, fmt.Errorf("%s: %w", p.CertFile, err)
	}
	if block, _ := pem.Decode(text.key); block == nil {
		return nil, fmt.Errorf("%s: %w", p.KeyFile, errNoKey)
	}
	c, err := tls.X509KeyPair(text.cert, text.key)
	if err != nil {
		return nil, fmt.Errorf("%s does not go with %s: %w", p.KeyFile, p.CertFile, err)
	}
	return &c, nil
}

var (
	errNoCertificate = errors.New("holds no certificate in PEM")
	errNoKey         = errors.New("holds no private key in PEM")
	errNoName        = errors.New("the first certificate is for no name and no address (it has no subjectAltName)")
	errNotRegular    = errors.New("is not a regular file")
	errLarge         = errors.New("is larger than a certificate or key can be")
)

// checkChain looks at the certificates alone, so that what is wrong with them is not taken for a fault of the key.
func checkChain(text []byte) error {
	var leaf *x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if leaf == nil {
			leaf = c
		}
	}
	switch {
	case leaf == nil:
		return errNoCertificate
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return errNoName // RFC 9525 section 2: clients do not look at the common name any more
	}
	return nil
}

// maxFile is more than any chain takes.
const maxFile = 1 << 20

// readFile reads a file of bounded size. Of anything but a regular file a read might never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, errNotRegular)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: %w", path, errLarge)
	}
	return text, err
}

// A watched pair is one in use whose files may change.
type watched struct {
	Pair
	certificate *tls.Certificate
	used        fingerprint // of the certificate in use
	seen        fingerprint // at the last look
	refused     fingerprint // cannot be used, which has been told
}

func watch(p Pair) (*watched, error) {
	text, err := p.read()
	if err != nil {
		return nil, err
	}
	c, err := p.parse(text)
	if err != nil {
		return nil, err
	}
	sum := text.fingerprint()
	return &watched{Pair: p, certificate: c, used: sum, seen: sum}, nil
}

// A change is what a look at the files of a pair has found.
type change uint8

const (
	unchanged change = iota
	replaced
	unusable
)

// look takes a new pair into use, or keeps the old one. It waits until two looks have found the same: who replaces two files
// does one after the other, and may be seen writing. What cannot be used is told once.
func (w *watched) look() (change, error) {
	text, err := w.read()
	sum := text.fingerprint()
	if err != nil {
		sum = sha256.Sum256([]byte(err.Error()))
	}
	settled := sum == w.seen
	w.seen = sum
	if sum == w.used {
		w.refused = fingerprint{}
	}
	if !settled || sum == w.used || sum == w.refused {
		return unchanged, nil
	}
	var c *tls.Certificate
	if err == nil {
		c, err = w.parse(text)
	}
	if err != nil {
		w.refused = sum
		return unusable, err
	}
	w.certificate, w.used = c, sum
	return replaced, nil
}
