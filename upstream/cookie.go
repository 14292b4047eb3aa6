package upstream

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A cookie is a client cookie (RFC 7873 section 4.1).
type cookie [8]byte

// keyLife is how long client cookies stay the same: nobody can follow this resolver from one day to the next by them
// (RFC 9018 section 3 wants a new one with every change of address, too, which cookies.of sees to).
const keyLife = 24 * time.Hour

// Lengths of a COOKIE option in octets (RFC 7873 section 4).
const (
	minCookieOption = 16
	maxCookieOption = 40
)

// cookies makes client cookies. The key is drawn when first needed, and anew each day.
type cookies struct {
	mu    sync.Mutex
	key   [sha256.Size]byte
	until time.Time
}

// of returns the cookie for a server as seen from a local address: a keyed hash of both (RFC 7873 appendix A.1), so
// that no two servers see the same one.
func (c *cookies) of(server, local netip.Addr, now time.Time) cookie {
	var of [sha256.Size + 2*16]byte
	key, theirs, ours := c.keyAt(now), server.As16(), local.As16()
	n := copy(of[:], key[:])
	n += copy(of[n:], theirs[:])
	copy(of[n:], ours[:])
	sum := sha256.Sum256(of[:]) // of one length only, and cut short, so that nothing can be appended to it
	return cookie(sum[:len(cookie{})])
}

func (c *cookies) keyAt(now time.Time) [sha256.Size]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.until) || now.Before(c.until.Add(-keyLife)) {
		rand.Read(c.key[:])
		c.until = now.Add(keyLife)
	}
	return c.key
}

// A crumb is what a reply says about cookies.
type crumb uint8

const (
	noCookie      crumb = iota
	rightCookie         // our client cookie came back
	invalidCookie       // somebody else's, or not a cookie at all
)

// readCookie looks for the COOKIE option in a reply to a query with the client cookie sent, and returns the server
// cookie. An option that consists of our own cookie alone gives none and is right nevertheless: some servers echo
// options that they do not know, and only who saw the query can.
func readCookie(msg *dns.Msg, sent cookie) (crumb, []byte) {
	opt := msg.IsEdns0()
	if opt == nil {
		return noCookie, nil
	}
	for _, o := range opt.Option {
		option, ok := o.(*dns.EDNS0_COOKIE)
		if !ok {
			continue
		}
		octets, err := hex.DecodeString(option.Cookie)
		if err != nil || len(octets) < len(sent) || cookie(octets[:len(sent)]) != sent {
			return invalidCookie, nil
		}
		switch n := len(octets); {
		case n == len(sent):
			return rightCookie, nil
		case n < minCookieOption || n > maxCookieOption:
			return invalidCookie, nil
		default:
			return rightCookie, octets[len(sent):]
		}
	}
	return noCookie, nil
}
