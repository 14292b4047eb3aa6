package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"tacit/certificate"
	"tacit/internal/server"
)

// encrypted are the addresses of the encrypted transports.
type encrypted struct{ tls, https, quic []netip.AddrPort }

func (e encrypted) isEmpty() bool { return len(e.tls)+len(e.https)+len(e.quic) == 0 }

// String lists them: DNS over TLS on 127.0.0.1:853, ...
func (e encrypted) String() string {
	var parts []string
	for _, x := range []struct {
		name      string
		addresses []netip.AddrPort
	}{{"TLS", e.tls}, {"HTTPS", e.https}, {"QUIC", e.quic}} {
		for _, a := range x.addresses {
			parts = append(parts, "DNS over "+x.name+" on "+a.String())
		}
	}
	return strings.Join(parts, ", ")
}

func encryptedOf(list []server.Endpoint) (e encrypted) {
	for _, x := range list {
		switch x.Transport {
		case "tls":
			e.tls = append(e.tls, x.Addr)
		case "https":
			e.https = append(e.https, x.Addr)
		case "quic":
			e.quic = append(e.quic, x.Addr)
		}
	}
	return e
}

// writeCertificate says how clients know tacit by a certificate that it has made itself. Any other needs no words.
func writeCertificate(w io.Writer, list []certificate.Status, at encrypted) {
	if len(list) == 0 || !list[0].Made() || at.isEmpty() {
		return
	}
	_, _ = fmt.Fprintf(w, `The certificate is self-signed, and its key ends with this process. Clients can know it by its pin:
    %s
Try, in another terminal:
    %s
`, list[0].Pin, strings.Join(askEncrypted(at, "+tls-pin="+list[0].Pin), "\n    "))
}

// askEncrypted are command lines of kdig, one for each transport. It looks at its arguments in order: those about the
// certificate turn it to DNS over TLS, so that another transport has to come after them.
func askEncrypted(at encrypted, trust string) []string {
	var lines []string
	for _, x := range []struct {
		addresses []netip.AddrPort
		transport string
	}{{at.tls, ""}, {at.https, " +https"}, {at.quic, " +quic"}} {
		if len(x.addresses) > 0 {
			lines = append(lines, askAt(x.addresses[0], "kdig")+" "+trust+x.transport+" example.com")
		}
	}
	return lines
}
