package odoh

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
)

// MediaType is that of all sealed messages (RFC 9230 section 4).
const MediaType = "application/oblivious-dns-message"

// Errors of Open: the two ways in which a message does not fit (RFC 9230 section 4.3).
var (
	ErrKey     = errors.New("sealed to a key that is not in use")
	ErrMessage = errors.New("not a sealed message")
)

var errTooLong = errors.New("longer than a message can be")

// Overhead bounds how much longer a sealed message is than what it seals, without padding.
const Overhead = 128

// Kinds of messages (RFC 9230 section 6.1).
const (
	kindQuery    = 1
	kindResponse = 2
)

// Labels that keep keys for one use apart from those for others (RFC 9230 sections 5 and 6.2).
const (
	labelKeyID    = "odoh key id"
	labelQuery    = "odoh query"
	labelResponse = "odoh response"
	labelKey      = "odoh key"
	labelNonce    = "odoh nonce"
)

// Lengths in octets, of AES-128-GCM and of X25519.
const (
	keyLength       = 16 // Nk
	nonceLength     = 12 // Nn
	responseNonce   = keyLength
	encapsulation   = 32 // Nenc
	tagLength       = 16
	lengthOfALength = 2
)

// A message is an ObliviousDoHMessage (RFC 9230 section 6.1). Its second field is the key's ID in a query, and a nonce in a response.
type message struct {
	kind  byte
	id    []byte
	boxed []byte
}

// readMessage takes a message apart, which keeps to the octets.
func readMessage(octets []byte) (m message, ok bool) {
	if len(octets) == 0 {
		return message{}, false
	}
	m.kind = octets[0]
	id, rest, ok := cut(octets[1:])
	if !ok {
		return message{}, false
	}
	m.id = id
	m.boxed, rest, ok = cut(rest)
	return m, ok && len(rest) == 0 && len(m.boxed) > 0
}

func (m message) append(dst []byte) []byte {
	return appendField(appendField(append(dst, m.kind), m.id), m.boxed)
}

// bound is what a box is bound to beside its key: the message's kind and its second field (RFC 9230 section 6.2).
func (m message) bound() []byte { return appendField([]byte{m.kind}, m.id) }

// pack makes an ObliviousDoHMessagePlaintext of a DNS message, padded to a multiple of block; 0: not padded.
func pack(dnsMessage []byte, block int) ([]byte, error) {
	if len(dnsMessage) == 0 || len(dnsMessage) > math.MaxUint16 {
		return nil, errTooLong
	}
	padding := 0
	if block > 0 {
		padding = min((block-len(dnsMessage)%block)%block, math.MaxUint16-len(dnsMessage))
	}
	plain := make([]byte, 0, 2*lengthOfALength+len(dnsMessage)+padding)
	return appendField(appendField(plain, dnsMessage), make([]byte, padding)), nil
}

// unpack returns the DNS message in a plaintext. Padding that is not zero is no padding (RFC 9230 section 6.1).
func unpack(plain []byte) (dnsMessage []byte, ok bool) {
	dnsMessage, rest, ok := cut(plain)
	if !ok || len(dnsMessage) == 0 {
		return nil, false
	}
	padding, rest, ok := cut(rest)
	return dnsMessage, ok && len(rest) == 0 && len(bytes.Trim(padding, "\x00")) == 0
}

// cut takes off a field that its length stands in front of.
func cut(octets []byte) (field, rest []byte, ok bool) {
	if len(octets) < lengthOfALength {
		return nil, nil, false
	}
	end := lengthOfALength + int(binary.BigEndian.Uint16(octets))
	if len(octets) < end {
		return nil, nil, false
	}
	return octets[lengthOfALength:end:end], octets[end:], true
}

func appendField(dst, field []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(field))), field...)
}

// An answering is what both ends know, once a query is sealed or opened, for its one response.
type answering struct {
	secret []byte // exported from the query's context
	query  []byte // its plaintext, padding and all
}

func (a *answering) clear() {
	clear(a.secret)
	clear(a.query)
}

// box is the AEAD for the response that has a nonce (RFC 9230 section 6.2, derive_secrets).
func (a *answering) box(nonce []byte) (box cipher.AEAD, boxNonce []byte, err error) {
	salt := appendField(append(make([]byte, 0, len(a.query)+lengthOfALength+len(nonce)), a.query...), nonce)
	defer clear(salt)
	pseudorandom, err := hkdf.Extract(sha256.New, a.secret, salt)
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, pseudorandom, labelKey, keyLength)
	if err != nil {
		return nil, nil, err
	}
	if boxNonce, err = hkdf.Expand(sha256.New, pseudorandom, labelNonce, nonceLength); err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	box, err = cipher.NewGCM(block)
	return box, boxNonce, err
}

// seal makes the response of a DNS message, padded to a multiple of block.
func (a *answering) seal(answer []byte, block int) ([]byte, error) {
	nonce := make([]byte, responseNonce)
	rand.Read(nonce)
	return a.sealWith(nonce, answer, block)
}

func (a *answering) sealWith(nonce, answer []byte, block int) ([]byte, error) {
	plain, err := pack(answer, block)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if len(plain)+tagLength > math.MaxUint16 {
		return nil, errTooLong
	}
	box, boxNonce, err := a.box(nonce)
	if err != nil {
		return nil, err
	}
	m := message{kind: kindResponse, id: nonce}
	m.boxed = box.Seal(nil, boxNonce, plain, m.bound())
	return m.append(make([]byte, 0, len(plain)+Overhead)), nil
}

// open returns the DNS message in a response.
func (a *answering) open(response []byte) ([]byte, error) {
	m, ok := readMessage(response)
	if !ok || m.kind != kindResponse || len(m.id) != responseNonce {
		return nil, ErrMessage
	}
	box, boxNonce, err := a.box(m.id)
	if err != nil {
		return nil, err
	}
	plain, err := box.Open(nil, boxNonce, m.boxed, m.bound())
	if err != nil {
		return nil, ErrMessage
	}
	answer, ok := unpack(plain)
	if !ok {
		return nil, ErrMessage
	}
	return answer, nil
}
