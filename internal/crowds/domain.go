package crowds

import (
	"bytes"
	"cmp"
	"unsafe"

	"golang.org/x/net/publicsuffix"
)

// maxText is the length of the longest name as text, without the last dot.
const maxText = 253

// textOf writes a name in wire form and lower case as text at the end of buf; nil: there is none.
func textOf(buf *[maxText]byte, name []byte) []byte {
	size := len(name) - 2 // without the first length and the root
	if size < 1 || size > maxText {
		return nil
	}
	text := buf[maxText-size:]
	for at := 0; name[at] != 0; at += int(name[at]) + 1 {
		if at > 0 {
			text[at-1] = '.'
		}
		for i, octet := range name[at+1 : at+1+int(name[at])] {
			text[at+i] = hostOctets[octet]
		}
	}
	return text
}

// suffixLength returns how much of a name is public suffix.
func suffixLength(text []byte) uint8 {
	suffix, _ := publicsuffix.PublicSuffix(unsafe.String(&text[0], len(text))) // which keeps nothing of it
	return uint8(len(suffix))
}

// domainOf returns the registrable domain of a name, at the end of buf; nil: it has none.
func (w *window) domainOf(buf *[maxText]byte, name []byte) []byte {
	text := textOf(buf, name)
	if text == nil {
		return nil
	}
	return registrable(text, w.suffix(text))
}

// registrable returns the end of a name that is its public suffix and one label more; nil: there is no such label, or
// octets are in it that no host name has.
func registrable(text []byte, suffix uint8) []byte {
	above := len(text) - int(suffix) - 1
	if above < 1 {
		return nil
	}
	domain := text[bytes.LastIndexByte(text[:above], '.')+1:]
	if bytes.IndexByte(domain, strange) >= 0 {
		return nil
	}
	return domain
}

// strange stands for all octets but those of host names, and the underscore.
const strange = '?'

var hostOctets = func() (list [256]byte) {
	for i := range list {
		list[i] = strange
		if c := byte(i); 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' {
			list[i] = c
		}
	}
	return list
}()

func compare(a, b Entry) int {
	return cmp.Or(cmp.Compare(b.Networks, a.Networks), bytes.Compare(a.Domain, b.Domain), cmp.Compare(a.Label, b.Label))
}
