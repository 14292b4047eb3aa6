package transports

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"tacit/internal/siphash"
	"tacit/internal/wire"
)

// A bakery makes the server cookies of clients (RFC 7873) in the form of RFC 9018 section 4, and knows them again without having
// kept any. The zero bakery is ready.
type bakery struct {
	mu      sync.Mutex // of who renews
	secrets atomic.Pointer[secrets]
}

// Secrets are the keys of a day, and of the day before for as long as its last cookies are good.
type secrets struct {
	since           time.Time
	current, former siphash.Key
	hasFormer       bool
}

// secretLife is how long one secret makes cookies: whoever gets hold of one learns nothing of the day before.
const secretLife = 24 * time.Hour

// What a cookie's timestamp may be (RFC 9018 section 4.3). Beyond freshFor the client gets a new one.
const (
	cookieLife  = time.Hour
	freshFor    = 30 * time.Minute
	mayBeAhead  = 5 * time.Minute
	clientPart  = 8
	cookieSize  = clientPart + 16 // client cookie and server cookie
	cookieStamp = clientPart + 4  // behind version and reserved octets
	cookieHash  = clientPart + 8
)

// A crumb is what a client's cookie tells.
type crumb uint8

const (
	unproven     crumb = iota // no server cookie, or one that is not good here
	atItsAddress              // a good one: nobody else could have got it
)

// answer writes the cookie that the client at addr is given for the one it has sent, well formed.
func (b *bakery) answer(dst *[cookieSize]byte, sent []byte, addr netip.Addr, now time.Time) crumb {
	s := b.at(now)
	what, key := s.judge(sent, addr, now)
	if copy(dst[:], sent); what == unproven || key != &s.current || !isFresh(dst, now) {
		s.bake(dst, addr, now)
	}
	return what
}

// bake makes the server cookie behind the client cookie in c.
func (s *secrets) bake(c *[cookieSize]byte, addr netip.Addr, now time.Time) {
	copy(c[clientPart:], []byte{1, 0, 0, 0}) // version, reserved
	binary.BigEndian.PutUint32(c[cookieStamp:], uint32(now.Unix()))
	binary.LittleEndian.PutUint64(c[cookieHash:], hashOf(&s.current, c, addr))
}

// judge says whether a cookie was made here, for addr and not too long ago, and with which key. Its reserved octets may be any
// (RFC 9018 section 4.2).
func (s *secrets) judge(sent []byte, addr netip.Addr, now time.Time) (crumb, *siphash.Key) {
	if len(sent) != cookieSize {
		return unproven, nil
	}
	c := (*[cookieSize]byte)(sent)
	if age := ageOf(c, now); c[clientPart] != 1 || age > cookieLife || age < -mayBeAhead {
		return unproven, nil
	}
	switch hash := binary.LittleEndian.Uint64(c[cookieHash:]); {
	case hash == hashOf(&s.current, c, addr):
		return atItsAddress, &s.current
	case s.hasFormer && hash == hashOf(&s.former, c, addr):
		return atItsAddress, &s.former
	default:
		return unproven, nil
	}
}

func isFresh(c *[cookieSize]byte, now time.Time) bool {
	age := ageOf(c, now)
	return age >= 0 && age < freshFor
}

// ageOf compares in serial number arithmetic (RFC 1982), as RFC 9018 section 4.3 asks.
func ageOf(c *[cookieSize]byte, now time.Time) time.Duration {
	return time.Duration(int32(uint32(now.Unix())-binary.BigEndian.Uint32(c[cookieStamp:]))) * time.Second
}

// hashOf is over all before the hash, and the client's address (RFC 9018 section 4.4).
func hashOf(key *siphash.Key, c *[cookieSize]byte, addr netip.Addr) uint64 {
	var of [cookieHash + 16]byte
	end := copy(of[:], c[:cookieHash])
	if addr = addr.Unmap(); addr.Is4() {
		four := addr.As4()
		end += copy(of[end:], four[:])
	} else {
		sixteen := addr.As16()
		end += copy(of[end:], sixteen[:])
	}
	hash := key.Sum(of[:end])
	clear(of[:])
	return hash
}

func (b *bakery) at(now time.Time) *secrets {
	if s := b.secrets.Load(); s.isGood(now) {
		return s
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.secrets.Load()
	if s.isGood(now) { // somebody else was faster
		return s
	}
	s = s.renewed(now)
	b.secrets.Store(s)
	return s
}

// isGood reports whether nothing is to be renewed or forgotten. Clocks are set back at times.
func (s *secrets) isGood(now time.Time) bool {
	if s == nil {
		return false
	}
	age := now.Sub(s.since)
	return age >= 0 && age < secretLife && (!s.hasFormer || age <= cookieLife)
}

func (s *secrets) renewed(now time.Time) *secrets {
	if s == nil {
		return &secrets{since: now, current: siphash.NewKey()}
	}
	switch age := now.Sub(s.since); {
	case age >= 0 && age < secretLife:
		return &secrets{since: s.since, current: s.current}
	case age >= secretLife && age < secretLife+cookieLife:
		return &secrets{since: now, current: siphash.NewKey(), former: s.current, hasFormer: true}
	default:
		return &secrets{since: now, current: siphash.NewKey()}
	}
}

// takeCookie makes of the client's cookie in the query the one that it is given. Over encrypted transports there is none: nobody can
// forge an address there, and it would tell one client from another.
func (f *front) takeCookie(v *visit, addr netip.Addr, l link) {
	q := &v.query
	if v.baked = q.Cookie != nil; !v.baked {
		return
	}
	if f.noCookies || l.transport != UDP && l.transport != TCP {
		q.Cookie = nil
		return
	}
	v.proven = f.quota.bakery.answer(&v.cookie, q.Cookie, addr, v.now) == atItsAddress
	q.Cookie = v.cookie[:]
}

// cookieLength is what the cookie takes in an OPT record.
func cookieLength(q *wire.Query) int {
	if q.Cookie == nil {
		return 0
	}
	return 4 + len(q.Cookie)
}
