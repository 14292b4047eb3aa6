package transports

import (
	"crypto/tls"
	"encoding/binary"
	"net/netip"

	"tacit/internal/wire"
)

// whoami is the name at which clients see themselves: whoami.tacit. What is answered is their own, is made of the one message that
// asks, and is kept nowhere: it passes neither the Responder nor a cache, and its TTL is 0.
const whoami = "\x06whoami\x05tacit\x00"

// aboutAsker answers a question for whoami: with TXT how it has come, with A and AAAA where it has come from.
func (f *front) aboutAsker(v *visit, addr netip.Addr, l link) []byte {
	q := &v.query
	msg, count := wire.AppendRejection(v.answer[:0], q, wire.NoError), 0
	add := func(rdata []byte) {
		msg = append(msg, "\xc0\x0c"...)
		msg = binary.BigEndian.AppendUint16(msg, uint16(q.Type))
		msg = append(msg, "\x00\x01"+"\x00\x00\x00\x00"...)
		msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(rdata))), rdata...)
		count++
	}
	switch addr = addr.Unmap(); {
	case q.Type == wire.TypeTXT:
		for _, text := range f.describe(v, l) {
			add(append([]byte{byte(len(text))}, text...))
		}
	case q.Type == wire.TypeA && addr.Is4(), q.Type == wire.TypeAAAA && addr.Is6():
		add(addr.AsSlice())
	}
	msg[7] = byte(count) // ANCOUNT
	return f.seal(msg, q, wire.NoError, nil, l)
}

// describe says how a question has come.
func (f *front) describe(v *visit, l link) []string {
	q := &v.query
	said := func(is bool) string {
		if is {
			return "yes"
		}
		return "no"
	}
	list := []string{
		"transport=" + l.transport.String(), "encryption=" + f.encryption(l),
		"edns=" + said(q.EDNS), "padded=" + said(q.Padding), "client-subnet=" + said(q.Subnet), "cookie=" + said(v.baked),
		"do=" + said(q.DO), "ad=" + said(q.AD), "cd=" + said(q.CD),
	}
	if f.validates != nil {
		list = append(list, "resolver-validates="+said(f.validates()))
	}
	return list
}

// encryption is the version of TLS, as far as it is known.
func (f *front) encryption(l link) string {
	switch {
	case !l.transport.isEncrypted():
		return "none"
	case l.transport == QUIC, l.transport == HTTP3, f.minTLS != tls.VersionTLS12:
		return tls.VersionName(tls.VersionTLS13) // RFC 9001 section 4.2: QUIC has none older
	}
	if conn, ok := l.conn.(*tls.Conn); ok {
		return tls.VersionName(conn.ConnectionState().Version)
	}
	return "TLS"
}

// isWhoami reports whether a client asks for itself.
func isWhoami(q *wire.Query) bool {
	return string(q.FoldedName()) == whoami && q.Class == wire.ClassIN
}
