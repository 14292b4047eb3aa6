package testnet

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/miekg/dns"
)

// The ways in which servers fail to know EDNS (RFC 6891 section 7).

// NoEDNS answers FORMERR, without OPT, to queries with OPT.
func NoEDNS() Behaviour { return WithEDNS(WithoutOPT(), Failing(dns.RcodeFormatError)) }

// NotImpEDNS answers NOTIMP, without OPT, to queries with OPT.
func NotImpEDNS() Behaviour { return WithEDNS(WithoutOPT(), Failing(dns.RcodeNotImplemented)) }

// BadVers answers BADVERS to queries with OPT, even to version 0.
func BadVers() Behaviour { return WithEDNS(Failing(dns.RcodeBadVers)) }

// DropsEDNS is silent to queries with OPT.
func DropsEDNS() Behaviour { return WithEDNS(Silent()) }

// WithoutOPT answers without OPT, like a server from before EDNS that ignores what it does not know.
func WithoutOPT() Behaviour {
	return Editing(func(_, r *dns.Msg) {
		r.Rcode &= 0xF
		var kept []dns.RR
		for _, rr := range r.Extra {
			if rr.Header().Rrtype != dns.TypeOPT {
				kept = append(kept, rr)
			}
		}
		r.Extra = kept
	})
}

// Cookies makes the server know DNS cookies (RFC 7873 section 5.2): it answers a client cookie with its server cookie
// and does not insist. Another secret is another server cookie.
func Cookies(secret string) Behaviour { return cookies(secret, false) }

// RequireCookies is Cookies, but over UDP a query without the right server cookie gets BADCOOKIE (section 5.2.3).
func RequireCookies(secret string) Behaviour { return cookies(secret, true) }

func cookies(secret string, required bool) Behaviour {
	return around(func(x *exchange, next handler) {
		sent := cookie(x.query)
		if sent == nil {
			next(x)
			return
		}
		if !wellFormed(sent.Cookie) {
			x.fail(dns.RcodeFormatError)
			return
		}
		full := serverCookie(secret, sent.Cookie[:16], x.arrival)
		if required && x.arrival.Transport == UDP && !strings.EqualFold(sent.Cookie, full) {
			x.fail(dns.RcodeBadCookie)
		} else {
			next(x)
		}
		setCookie(x.reply, full)
	})
}

// wellFormed is RFC 7873 section 5.2.2: 8 octets, or 16 to 40.
func wellFormed(hexadecimal string) bool {
	n := len(hexadecimal) / 2
	return n == 8 || 16 <= n && n <= 40
}

// serverCookie is the client's cookie followed by 8 octets that only this server can make for this client (section 6).
func serverCookie(secret, client string, a Arrival) string {
	sum := sha256.Sum256([]byte(secret + client + a.From.Addr().String()))
	return client + hex.EncodeToString(sum[:8])
}

func cookie(m *dns.Msg) *dns.EDNS0_COOKIE {
	opt := m.IsEdns0()
	if opt == nil {
		return nil
	}
	for _, o := range opt.Option {
		if c, ok := o.(*dns.EDNS0_COOKIE); ok {
			return c
		}
	}
	return nil
}

func setCookie(r *dns.Msg, value string) {
	if r == nil || r.IsEdns0() == nil {
		return
	}
	opt := r.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: value})
}
