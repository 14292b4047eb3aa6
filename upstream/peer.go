package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unique"
)

// A Peer is who must be at the other end of an encrypted transport. Peers of equal Identities are equal. The zero Peer is
// whoever has a certificate for the address.
type Peer struct{ handle unique.Handle[identity] }

// An Identity says how a server proves who it is (RFC 8310 section 5). Without a name and without pins, its certificate
// must be for its address. With pins alone, its key must be one of them and nothing else is asked.
type Identity struct {
	// Name must be in the certificate. The server is told it: in clear as SNI, and over HTTPS as the authority. Where
	// there is none, it is told its address, and no SNI.
	Name string
	// Pins are the keys that the server may have.
	Pins []Pin
	// Roots vouch for certificates. Nil: the system's.
	Roots *x509.CertPool
	// Path is where questions are put over HTTPS (RFC 8484 section 3).
	Path string
	// Proxy takes to the server what is sealed for it, over HTTPS; of Oblivious. It sees who asks, and the server what is asked (RFC
	// 9230 section 1).
	Proxy Server
}

// A Pin is the SHA-256 hash of a public key, as its certificate has it (RFC 7858 section 4.2, RFC 7469 section 2.4).
type Pin [sha256.Size]byte

// identity is an Identity that can be compared.
type identity struct {
	name, path string
	pins       string // one after the other
	roots      *x509.CertPool
	proxy      Server
	anyone     bool // nothing is proven, and nothing said
}

// anyone is who is found at an address without having been named. No Identity makes such a Peer.
var anyone = Peer{unique.Make(identity{anyone: true})}

// NewPeer returns the Peer that proves itself as i says.
func NewPeer(i Identity) Peer {
	var pins strings.Builder
	for _, pin := range i.Pins {
		pins.Write(pin[:])
	}
	return Peer{unique.Make(identity{name: i.Name, path: i.Path, pins: pins.String(), roots: i.Roots, proxy: i.Proxy})}
}

func (p Peer) identity() identity {
	if p == (Peer{}) {
		return identity{}
	}
	return p.handle.Value()
}

// hostOf is what s is called where a name or an address can stand. An address is no SNI (RFC 6066 section 3), and crypto/tls
// sends none.
func hostOf(s Server) string {
	if name := s.Peer.identity().name; name != "" {
		return name
	}
	return literalOf(s.Addr.Addr())
}

func literalOf(a netip.Addr) string { return a.WithZone("").String() }

// tlsConfig asks for TLS 1.3 and the one protocol. Nothing is kept from one connection to the next, so that a server cannot
// tell by a ticket that it has seen this resolver before (RFC 8446 appendix C.4).
func (p *pool) tlsConfig(s Server, protocol string) *tls.Config { return tlsConfig(s, protocol, p.now) }

func tlsConfig(s Server, protocol string, now func() time.Time) *tls.Config {
	id := s.Peer.identity()
	if id.anyone {
		return openConfig(protocol, now)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, Time: now,
		ServerName: hostOf(s), RootCAs: id.roots,
	}
	if id.pins != "" {
		c.VerifyConnection = id.checkPins
		c.InsecureSkipVerify = id.name == "" // the pin says more than any certificate
	}
	return c
}

// openConfig is for servers of which nobody has said who they are (RFC 9539 section 4.6.3). A certificate proves nothing then, so none
// is asked to, and a name in the hello would tell who listens which zone is asked about: there is none. TLS 1.2, if it must be,
// hides questions as well.
func openConfig(protocol string, now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{protocol}, Time: now,
		InsecureSkipVerify: true, //nolint:gosec // there is nothing to hold it against
		// No ServerName, and no ClientSessionCache.
	}
}

var errPins = &Error{Outcome: Unauthenticated}

// checkPins compares the key that the handshake has proven the server to hold, and none that it only shows.
func (i identity) checkPins(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errPins
	}
	key := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	for pins := i.pins; len(pins) >= len(key); pins = pins[len(key):] {
		if pins[:len(key)] == string(key[:]) {
			return nil
		}
	}
	return errPins
}

// errHandshake is what is kept of an error of package tls that is not about who the server is.
var errHandshake = &Error{Outcome: Refused, Err: errors.New("no TLS 1.3 with the right protocol")}
