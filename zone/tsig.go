package zone

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A SharedKey is a secret that is shared with those who transfer or change zones (RFC 8945). Whatever prints it, the secret is not
// shown: it is in a closure.
type SharedKey struct {
	name      wire.Name
	algorithm string
	mac       func() hash.Hash
}

var algorithms = map[string]func() hash.Hash{
	"hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New,
}

// Why a key is none.
var (
	errAlgorithm = errors.New("is of an algorithm that is not known here")
	errSecret    = errors.New("is not a secret in base64 of 16 octets or more")
)

// minSecret is what a secret has at least. RFC 8945 section 8 asks for as much as the hash puts out; what can be guessed is refused.
const minSecret = 16

// NewSharedKey makes a key of an algorithm, "hmac-sha256", "hmac-sha384" or "hmac-sha512", and a secret in base64.
func NewSharedKey(name wire.Name, algorithm string, secret []byte) (*SharedKey, error) {
	newHash, ok := algorithms[algorithm]
	if !ok {
		return nil, errAlgorithm
	}
	text := bytes.TrimSpace(secret)
	octets := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(octets, text)
	if err != nil || n < minSecret {
		return nil, errSecret
	}
	octets = octets[:n:n]
	return &SharedKey{name, algorithm + ".", func() hash.Hash { return hmac.New(newHash, octets) }}, nil
}

// Name returns the key's name.
func (k *SharedKey) Name() wire.Name { return k.name }

// A keyring has the keys by name. It signs and verifies for the library.
type keyring map[wire.Name]*SharedKey

var _ dns.TsigProvider = keyring{}

// find returns the key that a TSIG record names, nil when there is none of its algorithm.
func (r keyring) find(t *dns.TSIG) *SharedKey {
	name, err := wire.ParseName(t.Hdr.Name)
	if err != nil {
		return nil
	}
	key := r[name]
	if key == nil || dns.CanonicalName(t.Algorithm) != key.algorithm {
		return nil
	}
	return key
}

// Generate makes the MAC of a message.
func (r keyring) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	key := r.find(t)
	if key == nil {
		return nil, dns.ErrSecret
	}
	mac := key.mac()
	mac.Write(msg)
	return mac.Sum(nil), nil
}

// Verify compares the MAC of a message. One that is truncated (RFC 8945 section 5.2.2.1) is none.
func (r keyring) Verify(msg []byte, t *dns.TSIG) error {
	want, err := r.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(want, got) {
		return dns.ErrSig
	}
	return nil
}

// fudge is how far clocks may be apart (RFC 8945 section 10).
const fudge = 300

// A signature is how the messages of a dialogue are signed: each over the one before it (RFC 8945 section 5.3.1). Nil: they are not.
type signature struct {
	keys      keyring
	name      string // as the peer wrote it
	algorithm string
	mac       string // of the message before
	begun     bool
	failure   uint16 // what was wrong with the peer's, as an extended RCODE
	peerTime  uint64 // by its clock, where that was it
}

// sign packs a message and signs it.
func (s *signature) sign(m *dns.Msg) ([]byte, error) {
	if s == nil {
		return m.Pack()
	}
	now := time.Now() //nolint:forbidigo // the library verifies by the same clock
	m.SetTsig(s.name, s.algorithm, fudge, now.Unix())
	t := m.IsTsig()
	if t.Error = s.failure; s.failure == dns.RcodeBadTime { // RFC 8945 section 5.2.3
		t.OtherData, t.OtherLen = hex.EncodeToString(appendTime(nil, t.TimeSigned)), timeLength
		t.TimeSigned = s.peerTime
	}
	packed, mac, err := dns.TsigGenerateWithProvider(m, s.keys, s.mac, s.begun)
	s.mac, s.begun = mac, true
	return packed, err
}

// length is what the TSIG record takes at most.
func (s *signature) length() int {
	const fixed = 10 + 16 + timeLength
	if s == nil {
		return 0
	}
	return len(s.name) + len(s.algorithm) + 2 + fixed + sha512.Size
}

const timeLength = 6

func appendTime(dst []byte, t uint64) []byte {
	for shift := 8 * (timeLength - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(t>>shift))
	}
	return dst
}

// verify finds out who has signed a message. The signature is what to sign the reply with, and nil where the message has none; the
// key is nil unless it is known and has signed. octets are changed.
func (r keyring) verify(m *dns.Msg, octets []byte) (*signature, *SharedKey) {
	t := m.IsTsig()
	if t == nil {
		return nil, nil
	}
	s := &signature{keys: r, name: t.Hdr.Name, algorithm: t.Algorithm, mac: t.MAC, peerTime: t.TimeSigned}
	switch err := dns.TsigVerifyWithProvider(octets, r, "", false); {
	case err == nil:
		return s, r.find(t)
	case errors.Is(err, dns.ErrSecret):
		s.failure = dns.RcodeBadKey
	case errors.Is(err, dns.ErrTime):
		s.failure = dns.RcodeBadTime
	default:
		s.failure = dns.RcodeBadSig
	}
	return s, nil
}

// A sequence verifies the messages of a reply that may have many: each signature is over the one before it and all messages since
// (RFC 8945 section 5.3.1). The first and the last message have one, and no more than maxUnsigned in a row have none.
type sequence struct {
	keys     keyring // of one key
	mac      string  // of the message that was signed last, the question at first
	begun    bool
	since    hash.Hash // over that MAC and what has come without a signature; nil: nothing has
	unsigned int
}

const maxUnsigned = 99

const (
	errUnsigned     transferError = "reply is not signed as it should be"
	errSignature    transferError = "reply has a signature of another key, or a wrong one: is the secret the same on both sides?"
	errClocks       transferError = "reply has a signature of another time: are the clocks right on both sides?"
	errKeyRefused   transferError = "server does not know the key, or its secret is another one"
	errServerClocks transferError = "server finds the signature to be of another time: are the clocks right on both sides?"
)

// link verifies the next message. octets are changed.
func (s *sequence) link(m *dns.Msg, octets []byte) error {
	t := m.IsTsig()
	switch {
	case t == nil && s.begun && s.unsigned < maxUnsigned:
		s.unsigned++
		if s.since == nil {
			s.since = s.hash()
		}
		s.since.Write(octets)
		return nil
	case t == nil:
		return errUnsigned
	case t.Error == dns.RcodeBadTime:
		return errServerClocks
	case t.Error != dns.RcodeSuccess:
		return errKeyRefused
	}
	err := dns.TsigVerifyWithProvider(octets, s, s.mac, s.begun)
	s.mac, s.begun, s.since, s.unsigned = t.MAC, true, nil, 0
	switch {
	case errors.Is(err, dns.ErrTime):
		return errClocks
	case err != nil:
		return errSignature
	}
	return nil
}

// ended reports whether the last message was signed.
func (s *sequence) ended() bool { return s.begun && s.unsigned == 0 }

// hash begins the MAC of a message with the one before it.
func (s *sequence) hash() hash.Hash {
	for _, key := range s.keys {
		h := key.mac()
		octets, _ := hex.DecodeString(s.mac) // the library has made it of octets
		h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(octets))))
		h.Write(octets)
		return h
	}
	return nil
}

var _ dns.TsigProvider = (*sequence)(nil)

// Generate is not used.
func (s *sequence) Generate([]byte, *dns.TSIG) ([]byte, error) { return nil, dns.ErrSecret }

// Verify compares the MAC of a message: msg begins with the MAC before it, in whose place stands all that has come since.
func (s *sequence) Verify(msg []byte, t *dns.TSIG) error {
	if s.since == nil {
		return s.keys.Verify(msg, t)
	}
	if s.keys.find(t) == nil {
		return dns.ErrSecret
	}
	s.since.Write(msg[2+len(s.mac)/2:])
	got, err := hex.DecodeString(t.MAC)
	if err != nil || !hmac.Equal(s.since.Sum(nil), got) {
		return dns.ErrSig
	}
	return nil
}

// hasStray reports whether a TSIG record stands where none may be: anywhere but at the end (RFC 8945 section 5.1).
func hasStray(m *dns.Msg) bool {
	rest := m.Extra
	if m.IsTsig() != nil {
		rest = rest[:len(rest)-1]
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, rest} {
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeTSIG {
				return true
			}
		}
	}
	return false
}
