//go:build interop

package interop

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// A name is a domain name in wire form, letters in lower case (RFC 4343), so that equal names are equal strings.
// A length octet is at most 63 and never looks like a letter.
type name string

const rootName name = "\x00"

// parseName reads the presentation form, escapes included (RFC 1035 section 5.1).
func parseName(text string) (name, error) {
	var buf [256]byte
	n, err := dns.PackDomainName(text, buf[:], 0, nil, false)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", text, err)
	}
	for i, c := range buf[:n] {
		if 'A' <= c && c <= 'Z' {
			buf[i] = c + 'a' - 'A'
		}
	}
	return name(buf[:n]), nil
}

// mustName is parseName for the names this package writes itself.
func mustName(text string) name {
	n, err := parseName(text)
	if err != nil {
		panic(err)
	}
	return n
}

// labels counts the labels, the root's empty one not included.
func (n name) labels() int {
	count := 0
	for n != rootName {
		n, count = n.parent(), count+1
	}
	return count
}

// parent is n without its first label; the root is its own parent.
func (n name) parent() name {
	if n == rootName {
		return n
	}
	return n[1+int(n[0]):]
}

// suffix is the ancestor of n that has count labels.
func (n name) suffix(count int) name {
	for extra := n.labels() - count; extra > 0; extra-- {
		n = n.parent()
	}
	return n
}

// isAtOrBelow reports whether n is zone or lies below it.
func (n name) isAtOrBelow(zone name) bool {
	return n.labels() >= zone.labels() && n.suffix(zone.labels()) == zone
}

// isBelow reports whether n lies strictly below zone.
func (n name) isBelow(zone name) bool { return n != zone && n.isAtOrBelow(zone) }

// wildcard is the name that covers what lies below n (RFC 4592 section 2.1.1).
func (n name) wildcard() name { return "\x01*" + n }

// String is the presentation form.
func (n name) String() string {
	text, _, err := dns.UnpackDomainName([]byte(n), 0)
	if err != nil {
		return fmt.Sprintf("%q", string(n))
	}
	return text
}

// rdata is the RDATA of rr in wire form, uncompressed, with the names in it in lower case: servers differ in whether
// they keep the case of a zone file there, and RFC 4343 says that it does not matter.
func rdata(rr dns.RR) (string, error) {
	rr = dns.Copy(rr)
	*rr.Header() = dns.RR_Header{Name: ".", Rrtype: rr.Header().Rrtype, Class: rr.Header().Class}
	lowerNames(rr)
	buf := make([]byte, dns.MaxMsgSize)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return "", fmt.Errorf("pack %s: %w", dns.TypeToString[rr.Header().Rrtype], err)
	}
	const header = 11 // owner ".", type, class, TTL, RDLENGTH
	return string(buf[header:n]), nil
}

func lowerNames(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.NS:
		rr.Ns = strings.ToLower(rr.Ns)
	case *dns.CNAME:
		rr.Target = strings.ToLower(rr.Target)
	case *dns.DNAME:
		rr.Target = strings.ToLower(rr.Target)
	case *dns.MX:
		rr.Mx = strings.ToLower(rr.Mx)
	case *dns.SRV:
		rr.Target = strings.ToLower(rr.Target)
	case *dns.HTTPS:
		rr.Target = strings.ToLower(rr.Target)
	case *dns.SOA:
		rr.Ns, rr.Mbox = strings.ToLower(rr.Ns), strings.ToLower(rr.Mbox)
	}
}
