package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tacit/certificate"
	"tacit/internal/wire"
)

func newDevCert() *cobra.Command {
	var directory string
	c := &cobra.Command{
		Use:   "dev-cert [NAME|ADDRESS]...",
		Short: "Make a certificate for testing, with an authority of your own",
		Long: "Dev-cert makes a certificate for names and addresses, by default localhost, 127.0.0.1 and ::1, good for 90 days, and an\n" +
			"authority that signs it. Who imports the authority (ca.pem) into a browser can test the encrypted transports there. The\n" +
			"authority may sign for those names and addresses, names below them, and this machine, and for nothing else; it is kept, so\n" +
			"that the next certificate needs no import. Keys can be read by their owner only. Files that are of another making are not\n" +
			"overwritten.",
		Example: "  tacit dev-cert\n  tacit dev-cert --dir certificates dns.home.example 192.0.2.1",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := parseSubjects(args)
			if err != nil {
				return err
			}
			if o.Directory, err = filepath.Abs(directory); err != nil {
				return fail(err)
			}
			o.Now = time.Now
			l, err := certificate.MakeLocal(o)
			if err != nil {
				return fail(err)
			}
			return fail(writeLocal(cmd.OutOrStdout(), l))
		},
	}
	c.Flags().StringVar(&directory, "dir", "dev-cert", "`DIRECTORY` of the files ca.pem, ca-key.pem, cert.pem and key.pem")
	return c
}

var errSubject = errors.New("takes host names such as dns.home.example, *.home.example, and addresses such as 192.0.2.1")

func parseSubjects(args []string) (o certificate.LocalOptions, err error) {
	for _, arg := range args {
		if a, err := netip.ParseAddr(arg); err == nil {
			if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
				return o, errSubject
			}
			o.Addresses = append(o.Addresses, a.Unmap())
			continue
		}
		name := strings.ToLower(strings.TrimSuffix(arg, "."))
		if !wire.IsHostName(strings.TrimPrefix(name, "*.")) {
			return o, errSubject
		}
		o.Names = append(o.Names, name)
	}
	return o, nil
}

func writeLocal(w io.Writer, l certificate.Local) error {
	about := "the authority that was there already"
	if l.Fresh {
		about = "a new authority"
	}
	verb := "made"
	if l.Replaced {
		verb = "replaced"
	}
	name := subjectToAsk(l.Names)
	at := encryptedHere
	if a, err := netip.ParseAddr(name); err == nil {
		at = at.on(a)
	}
	_, err := fmt.Fprintf(w, `%s was %s, for %s, until %s. It is signed by %s, %s.

In the configuration:
    [listen]
    tls = ["%s"]
    https = ["%s"]
    quic = ["%s"]

    [tls]
    cert_file = %q
    key_file = %q

Then ask over each transport; +https and +quic come last, as +tls-ca alone means DNS over TLS:
    %s
`, l.CertFile, verb, strings.Join(l.Names, ", "), l.Until.UTC().Format("2006-01-02"), about, l.Authority,
		at.tls[0], at.https[0], at.quic[0], l.CertFile, l.KeyFile,
		strings.Join(askEncrypted(at, "+tls-ca="+l.Authority+" +tls-hostname="+name), "\n    "))
	if err != nil {
		return err
	}
	return writeImport(w, l, net.JoinHostPort(name, fmt.Sprint(at.https[0].Port())), at.https[0].Addr())
}

// encryptedHere are the addresses that the configuration's manual shows.
var encryptedHere = encrypted{
	tls:   []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8853")},
	https: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8443")},
	quic:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8853")},
}

// on is the same on another address.
func (e encrypted) on(a netip.Addr) encrypted {
	move := func(list []netip.AddrPort) []netip.AddrPort {
		return []netip.AddrPort{netip.AddrPortFrom(a, list[0].Port())}
	}
	return encrypted{move(e.tls), move(e.https), move(e.quic)}
}

// subjectToAsk is one that a client can ask for: localhost, or else the first without an asterisk.
func subjectToAsk(names []string) string {
	first := ""
	for _, name := range names {
		switch {
		case name == "localhost":
			return name
		case first == "" && !strings.HasPrefix(name, "*."):
			first = name
		}
	}
	if first == "" {
		return "any" + strings.TrimPrefix(names[0], "*")
	}
	return first
}

// wireQuery asks for example.com A, with ID 0, in base64url (RFC 8484 section 4.1.1).
const wireQuery = "AAABAAABAAAAAAAAB2V4YW1wbGUDY29tAAABAAE"

func writeImport(w io.Writer, l certificate.Local, host string, at netip.Addr) error {
	_, err := fmt.Fprintf(w, `    curl -s --cacert %s --connect-to ::%s: -H 'accept: application/dns-message' 'https://%s/dns-query?dns=%s' | od -c

In browsers, import %s; the key beside it, %s, stays here.
    Firefox: Settings, Privacy & Security, View Certificates, Authorities, Import; trust it to identify websites.
    Chromium: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "tacit dev-cert" -i %s (Debian: libnss3-tools)
The address of DNS over HTTPS for their settings: https://%s/dns-query
`, l.Authority, connectTo(at), host, wireQuery, l.Authority, filepath.Base(l.AuthorityKey), l.Authority, host)
	return err
}

// connectTo is an address as curl takes it.
func connectTo(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
