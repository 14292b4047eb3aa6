package zone

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tacit/internal/place"
	"tacit/internal/wire"
)

// Keys keep the keys of signed zones, one file each: a CSK (RFC 9499 section 10), which signs the zone and its own DNSKEY RRset. The
// files have the private-key format of BIND, so that a key can come from elsewhere. A key that is wanted and not there is made.
type Keys struct {
	directory  string
	readOnly   bool
	signatures *signatures
}

// NewKeys keeps keys in a directory, which is made with the first of them. Without one, zones that are to be signed have a problem.
func NewKeys(directory string) *Keys { return &Keys{directory: directory, signatures: new(signatures)} }

// ReadKeys is NewKeys for who looks on: no key is made, and a zone without one is not answered for.
func ReadKeys(directory string) *Keys {
	k := NewKeys(directory)
	k.readOnly = true
	return k
}

// Why there is no key. The words stand behind the name of its file.
const (
	errNoKeys       problemText = "the zone is to be signed, and its key has no place: zones.keys is empty, and there is no STATE_DIRECTORY"
	errKeyNone      problemText = "is not there: the zone has not been signed yet"
	errKeyUnread    problemText = "cannot be read"
	errKeyUnwritten problemText = "cannot be written"
	errKeyForm      problemText = "holds no private key of algorithm 13 in the format of BIND (v1.3)"
)

// A keyError says which file it is about. The operator named it, or its zone.
type keyError struct {
	path  string
	text  problemText
	cause error
}

func (e *keyError) Error() string { return e.path + " " + e.text.Error() }
func (e *keyError) Unwrap() error { return e.cause }

// DS returns the DS record of a zone for its parent, in presentation form.
func (k *Keys) DS(origin wire.Name) (string, error) {
	look := ReadKeys(k.directory)
	s, _, err := look.signer(origin)
	switch {
	case err != nil:
		return "", err
	case s == nil:
		return "", &keyError{k.path(origin), errKeyNone, fs.ErrNotExist}
	}
	return s.ds(), nil
}

// keySuffix is what key files end in.
const keySuffix = ".private"

// path returns where the key of a zone is. A slash, which is good in a name (RFC 2317), is none in a file's.
func (k *Keys) path(origin wire.Name) string {
	name := strings.TrimSuffix(origin.Reveal(), ".")
	if origin.IsRoot() {
		name = "@"
	}
	return filepath.Join(k.directory, strings.ReplaceAll(name, "/", `\047`)+keySuffix)
}

// signer returns what signs a zone, with a key that may have been made for it. It is nil where none is to be made.
func (k *Keys) signer(origin wire.Name) (s *Signer, fresh bool, err error) {
	if k.directory == "" {
		return nil, false, errNoKeys
	}
	path := k.path(origin)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && k.readOnly:
		return nil, false, nil
	case errors.Is(err, fs.ErrNotExist):
		s, err = k.makeKey(origin, path)
		return s, true, err
	case err != nil:
		return nil, false, &keyError{path, errKeyUnread, err}
	}
	private, err := parseKey(string(text))
	if err != nil {
		return nil, false, &keyError{path, errKeyForm, nil} // what the parser says could hold a part of it
	}
	s, err = newSigner(origin, private, k.signatures)
	return s, false, err
}

func (k *Keys) makeKey(origin wire.Name, path string) (*Signer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := formatKey(private)
	if err != nil {
		return nil, err
	}
	if err = os.MkdirAll(k.directory, 0o700); err == nil {
		err = place.Replace(path, []byte(text), 0o600)
	}
	if err != nil {
		return nil, &keyError{path, errKeyUnwritten, err}
	}
	return newSigner(origin, private, k.signatures)
}

// The lines of a key file.
const (
	keyFormat    = "Private-key-format: v1.3"
	keyAlgorithm = "Algorithm: 13 (ECDSAP256SHA256)"
	keyValue     = "PrivateKey: "
)

func formatKey(private *ecdsa.PrivateKey) (string, error) {
	octets, err := private.Bytes()
	if err != nil {
		return "", err
	}
	return keyFormat + "\n" + keyAlgorithm + "\n" + keyValue + base64.StdEncoding.EncodeToString(octets) + "\n", nil
}

// parseKey reads a key file. Lines that say when the key is to be used are for others.
func parseKey(text string) (*ecdsa.PrivateKey, error) {
	var format, algorithm bool
	var value string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		rest, isValue := strings.CutPrefix(line, keyValue)
		switch {
		case line == keyFormat:
			format = true
		case strings.HasPrefix(line, "Algorithm: 13 "), line == "Algorithm: 13":
			algorithm = true
		case isValue:
			value = rest
		}
	}
	octets, err := base64.StdEncoding.DecodeString(value)
	if err != nil || !format || !algorithm {
		return nil, errKeyForm
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), octets)
}

// A sealed is a private key. It signs digests, and is nothing that could be printed: a function shows no more than where it is.
type sealed func(digest []byte) ([]byte, error)

// seal seals a key. It signs alike each time (RFC 6979), so that a signature that was forgotten is made again as it was.
func seal(private *ecdsa.PrivateKey) sealed {
	return func(digest []byte) ([]byte, error) { return private.Sign(nil, digest, crypto.SHA256) }
}
