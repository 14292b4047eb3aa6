package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tacit/certificate"
	"tacit/config"
)

func TestDevCert(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "new")
	in := func(name string) string { return filepath.Join(directory, name) }
	stdout, stderr := call(t, exitGood, "dev-cert", "--dir", directory)
	expect(t, stdout, in("cert.pem")+" was made, for 127.0.0.1, ::1, localhost", "signed by a new authority",
		"kdig @127.0.0.1 -p 8853 +tls-ca="+in("ca.pem")+" +tls-hostname=localhost example.com\n",
		"kdig @127.0.0.1 -p 8443 +tls-ca="+in("ca.pem")+" +tls-hostname=localhost +https example.com\n",
		"kdig @127.0.0.1 -p 8853 +tls-ca="+in("ca.pem")+" +tls-hostname=localhost +quic example.com\n",
		"curl -s --cacert "+in("ca.pem")+" --connect-to ::127.0.0.1: ", "Firefox:", "Chromium:", "https://localhost:8443/dns-query\n")
	if stderr != "" {
		t.Error(stderr)
	}
	good := file(t, stdout[strings.Index(stdout, "    [tls]"):strings.Index(stdout, "Then ask")])
	if c, err := config.Load(good); err != nil || c.TLS.CertFile != in("cert.pem") || c.TLS.KeyFile != in("key.pem") {
		t.Errorf("%v", err)
	}
	out, errs := call(t, exitGood, "check", good)
	expect(t, out, "no mistakes")
	if errs != "" {
		t.Error(errs)
	}
	verifyFiles(t, directory, "localhost")

	stdout, _ = call(t, exitGood, "dev-cert", "--dir", directory)
	expect(t, stdout, "was replaced", "the authority that was there already")
	_, stderr = call(t, exitRunTime, "dev-cert", "--dir", directory, "other.test")
	expect(t, stderr, "may not sign for all of these names")
	verifyFiles(t, directory, "localhost")
}

// verifyFiles checks a certificate as a client would that has imported the authority.
func verifyFiles(t *testing.T, directory, name string) {
	t.Helper()
	read := func(file string) *x509.Certificate {
		text, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	roots := x509.NewCertPool()
	roots.AddCert(read("ca.pem"))
	if _, err := read("cert.pem").Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
		t.Error(err)
	}
}

func TestDevCertSubjects(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want []string // in the output; none: refused
	}{
		{"a name", []string{"DNS.Home.Example."}, []string{"for dns.home.example,", "+tls-hostname=dns.home.example ", "kdig @127.0.0.1 "}},
		{"an address", []string{"192.0.2.1"}, []string{"+tls-hostname=192.0.2.1 ", "kdig @192.0.2.1 ", `tls = ["192.0.2.1:8853"]`}},
		{"IPv6", []string{"2001:db8::1"}, []string{"kdig @2001:db8::1 ", `tls = ["[2001:db8::1]:8853"]`, "::[2001:db8::1]: ", "https://[2001:db8::1]:8443/"}},
		{"an asterisk", []string{"*.home.example"}, []string{"+tls-hostname=any.home.example "}},
		{"several", []string{"*.home.example", "192.0.2.1", "dns.example"}, []string{"+tls-hostname=192.0.2.1 "}},
		{"not a name", []string{"a b"}, nil},
		{"an underscore", []string{"a_b.example"}, nil},
		{"a hyphen in front", []string{"--", "-a.example"}, nil},
		{"an empty label", []string{"a..example"}, nil},
		{"an asterisk elsewhere", []string{"a.*.example"}, nil},
		{"almost an address", []string{"192.0.2.300"}, nil},
		{"all addresses", []string{"0.0.0.0"}, nil},
		{"a zone", []string{"fe80::1%eth0"}, nil},
		{"a prefix", []string{"192.0.2.0/24"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"dev-cert", "--dir", t.TempDir()}, c.args...)
			if c.want == nil {
				_, stderr := call(t, exitUsage, args...)
				expect(t, stderr, "takes host names")
				return
			}
			stdout, _ := call(t, exitGood, args...)
			expect(t, stdout, c.want...)
		})
	}
}

func TestSelfSignedIsExplained(t *testing.T) {
	at := encrypted{
		tls: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:853")}, https: []netip.AddrPort{netip.MustParseAddrPort("[::1]:8443")},
		quic: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:853")},
	}
	const pin = "YTY0IG9jdGV0cyBsb25nLCBhcyBhIGRpZ2VzdCBpcw=="
	made := []certificate.Status{{Names: []string{"localhost"}, SelfSigned: true, Pin: pin}}
	file := []certificate.Status{{Names: []string{"localhost"}, SelfSigned: true, Pin: pin, File: "cert.pem"}}
	for _, c := range []struct {
		name string
		list []certificate.Status
		at   encrypted
		want []string
	}{
		{"over each transport", made, at, []string{
			pin, "kdig @127.0.0.1 -p 853 +tls-pin=" + pin + " example.com",
			"kdig @::1 -p 8443 +tls-pin=" + pin + " +https example.com", "kdig @127.0.0.1 -p 853 +tls-pin=" + pin + " +quic example.com",
		}},
		{"over one", made, encrypted{tls: at.tls}, []string{pin, "kdig @127.0.0.1 -p 853 +tls-pin=" + pin + " example.com"}},
		{"without any", made, encrypted{}, nil},
		{"from a file", file, at, nil},
		{"none", nil, at, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			writeCertificate(&b, c.list, c.at)
			var got []string
			for line := range strings.Lines(b.String()) {
				if rest, ok := strings.CutPrefix(line, "    "); ok {
					got = append(got, strings.TrimSpace(rest))
				}
			}
			if !slices.Equal(got, c.want) || (c.want == nil) != (b.Len() == 0) {
				t.Errorf("got:\n%s", &b)
			}
		})
	}
}

func TestCheckOfCertificates(t *testing.T) {
	directory := t.TempDir()
	call(t, exitGood, "dev-cert", "--dir", directory)
	cert := filepath.Join(directory, "cert.pem")
	for _, c := range []struct{ name, text, want string }{
		{"no such file", "[tls]\ncert_file = 'none.pem'\nkey_file = 'none.pem'\n", "none.pem: no such file"},
		{"a key that does not fit", "[[certificate]]\ncert_file = '" + cert + "'\nkey_file = '" + filepath.Join(directory, "ca-key.pem") + "'\n", "ca-key.pem does not go with " + cert},
		{"half of a pair", "[tls]\ncert_file = '" + cert + "'\n", "2:1: tls.cert_file: goes with tls.key_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := file(t, c.text)
			for _, args := range [][]string{{"check", path}, {"serve", "--config", path}} {
				_, stderr := call(t, exitUsage, args...)
				expect(t, stderr, c.want)
			}
		})
	}
}
