package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// A table is all that can be shown at one moment. Once in use it does not change.
type table struct {
	entries   []entry
	awaited   []string // names that the ACME authority has given nothing for yet
	names     map[string][]*tls.Certificate
	addresses map[netip.Addr][]*tls.Certificate
	standard  []*tls.Certificate // the first, and those for the same names
}

// An entry is a certificate and where it is from.
type entry struct {
	certificate *tls.Certificate
	file        string // empty if it is not from a file
	ordered     bool   // from the ACME authority
}

func (t *table) add(e entry) { t.entries = append(t.entries, e) }

// complete makes the indexes.
func (t *table) complete() {
	t.names, t.addresses = map[string][]*tls.Certificate{}, map[netip.Addr][]*tls.Certificate{}
	first := subjects(t.entries[0].certificate.Leaf)
	for _, e := range t.entries {
		c := e.certificate
		for _, name := range c.Leaf.DNSNames {
			name = strings.ToLower(name)
			t.names[name] = append(t.names[name], c)
		}
		for _, a := range addressesOf(c.Leaf) {
			t.addresses[a] = append(t.addresses[a], c)
		}
		if slices.Equal(subjects(c.Leaf), first) {
			t.standard = append(t.standard, c)
		}
	}
}

func (t *table) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	var list []*tls.Certificate
	if hello.ServerName != "" {
		list = t.named(strings.ToLower(hello.ServerName))
	} else {
		list = t.addresses[localAddress(hello.Conn)]
	}
	if len(list) == 0 {
		list = t.standard
	}
	return suitable(hello, list)
}

// named finds the certificates for a name: exact ones, or else those with an asterisk for its first label (RFC 9525
// section 6.3).
func (t *table) named(name string) []*tls.Certificate {
	if list := t.names[name]; len(list) > 0 {
		return list
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		return t.names["*"+name[i:]]
	}
	return nil
}

// suitable is the first that the client can verify: the same names may have a certificate for each kind of key.
func suitable(hello *tls.ClientHelloInfo, list []*tls.Certificate) *tls.Certificate {
	if len(list) == 1 {
		return list[0]
	}
	keys := *hello
	keys.ServerName = "" // the names have been looked at; those of the standard certificate need not fit
	for _, c := range list {
		if keys.SupportsCertificate(c) == nil {
			return c
		}
	}
	return list[0]
}

// localAddress is where the client has connected to; the zero Addr if that is not known.
func localAddress(conn net.Conn) netip.Addr {
	if conn == nil {
		return netip.Addr{}
	}
	a, ok := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap().WithZone("")
}

func addressesOf(leaf *x509.Certificate) []netip.Addr {
	var list []netip.Addr
	for _, ip := range leaf.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			list = append(list, a.Unmap())
		}
	}
	return list
}

// subjects are the names and addresses that a certificate is for, as text, in order.
func subjects(leaf *x509.Certificate) []string {
	var list []string
	for _, name := range leaf.DNSNames {
		list = append(list, strings.ToLower(name))
	}
	for _, a := range addressesOf(leaf) {
		list = append(list, a.String())
	}
	slices.Sort(list)
	return slices.Compact(list)
}
