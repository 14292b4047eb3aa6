package odoh

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
)

// ConfigsPath is where a target has its configurations. RFC 9230 section 3 leaves it open how clients come by them; this is the path
// at which they look.
const ConfigsPath = "/.well-known/odohconfigs"

// A Config is the public key of a target, as clients have it. The zero value is of no use.
type Config struct {
	key hpke.PublicKey
	id  []byte
}

// version is that of RFC 9230 section 5.
const version = 1

// MaxConfigs is the longest list of configurations.
const MaxConfigs = lengthOfALength + math.MaxUint16

// ErrConfigs says that there is no configuration that could be used.
var ErrConfigs = errors.New("no configuration of Oblivious DoH that is understood")

// The suite.
var (
	kem  = hpke.DHKEM(ecdh.X25519())
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES128GCM()
)

// ParseConfigs reads ObliviousDoHConfigs and returns the first that is of our version and suite: the target has them in the order of its
// preference, and what is not understood is passed over (RFC 9230 section 5).
func ParseConfigs(octets []byte) (Config, error) {
	list, rest, ok := cut(octets)
	if !ok || len(rest) > 0 {
		return Config{}, ErrConfigs
	}
	for len(list) > 0 {
		if len(list) < lengthOfALength {
			return Config{}, ErrConfigs
		}
		of := binary.BigEndian.Uint16(list)
		var contents []byte
		if contents, list, ok = cut(list[lengthOfALength:]); !ok {
			return Config{}, ErrConfigs
		}
		if c, ok := parseContents(contents); ok && of == version {
			return c, nil
		}
	}
	return Config{}, ErrConfigs
}

// parseContents reads ObliviousDoHConfigContents; ok is false where the suite is another one.
func parseContents(contents []byte) (c Config, ok bool) {
	suite := appendSuite(nil)
	if len(contents) < len(suite) || string(contents[:len(suite)]) != string(suite) {
		return Config{}, false
	}
	public, rest, ok := cut(contents[len(suite):])
	if !ok || len(rest) > 0 {
		return Config{}, false
	}
	key, err := kem.NewPublicKey(public)
	if err != nil {
		return Config{}, false
	}
	return Config{key, identify(contents)}, true
}

func appendSuite(dst []byte) []byte {
	for _, id := range [...]uint16{kem.ID(), kdf.ID(), aead.ID()} {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	return dst
}

// appendContents appends the ObliviousDoHConfigContents of a key.
func appendContents(dst []byte, key hpke.PublicKey) []byte {
	return appendField(appendSuite(dst), key.Bytes())
}

// appendConfigs appends ObliviousDoHConfigs with one configuration.
func appendConfigs(dst []byte, key hpke.PublicKey) []byte {
	config := appendField(binary.BigEndian.AppendUint16(nil, version), appendContents(nil, key))
	return appendField(dst, config)
}

// identify makes a key's ID (RFC 9230 section 5).
func identify(contents []byte) []byte {
	pseudorandom, err := hkdf.Extract(sha256.New, contents, nil)
	if err != nil {
		panic("odoh: " + err.Error()) // of lengths that are constant
	}
	id, err := hkdf.Expand(sha256.New, pseudorandom, labelKeyID, sha256.Size)
	if err != nil {
		panic("odoh: " + err.Error())
	}
	return id
}

// An Exchange is a query that was sealed, and awaits its response.
type Exchange struct{ answering }

// Seal seals a query to the target's key. What is sealed is as long as the query and a constant: who wants to hide its length pads
// it (RFC 8467).
func (c *Config) Seal(query []byte) (sealed []byte, x *Exchange, err error) {
	plain, err := pack(query, 0)
	if err != nil {
		return nil, nil, err
	}
	if len(plain)+encapsulation+tagLength > math.MaxUint16 {
		return nil, nil, errTooLong
	}
	encapsulated, sender, err := hpke.NewSender(c.key, kdf, aead, []byte(labelQuery))
	if err != nil {
		return nil, nil, err
	}
	m := message{kind: kindQuery, id: c.id}
	box, err := sender.Seal(m.bound(), plain)
	if err != nil {
		return nil, nil, err
	}
	m.boxed = append(encapsulated, box...)
	secret, err := sender.Export(labelResponse, keyLength)
	if err != nil {
		return nil, nil, err
	}
	return m.append(make([]byte, 0, len(plain)+Overhead)), &Exchange{answering{secret, plain}}, nil
}

// Open returns the DNS message in the response. It is ErrMessage when nobody who has the target's key has made it for this query.
func (x *Exchange) Open(response []byte) ([]byte, error) { return x.open(response) }
