package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tacit/upstream"
)

var (
	pinA = upstream.Pin(bytes.Repeat([]byte{0xa5}, 32))
	pinB = upstream.Pin(bytes.Repeat([]byte{0xff}, 32))
)

var at = netip.MustParseAddrPort

func pinText(p upstream.Pin) string { return "sha256/" + base64.StdEncoding.EncodeToString(p[:]) }

func TestParseUpstream(t *testing.T) {
	for _, c := range []struct {
		text string
		want Upstream
	}{
		{"192.0.2.53", Upstream{Addr: at("192.0.2.53:53")}},
		{"[2001:db8::53]:5335", Upstream{Addr: at("[2001:db8::53]:5335")}},
		{"tls://192.0.2.53", Upstream{Transport: upstream.TLS, Addr: at("192.0.2.53:853")}},
		{"TLS://192.0.2.53:8853", Upstream{Transport: upstream.TLS, Addr: at("192.0.2.53:8853")}},
		{"tls://[2001:db8::53]", Upstream{Transport: upstream.TLS, Addr: at("[2001:db8::53]:853")}},
		{"quic://192.0.2.53#DNS.example.", Upstream{Transport: upstream.QUIC, Addr: at("192.0.2.53:853"), Name: "dns.example"}},
		{
			"https://[2001:db8::53]:8443/dns-query#dns.example",
			Upstream{Transport: upstream.HTTPS, Addr: at("[2001:db8::53]:8443"), Name: "dns.example", Path: "/dns-query"},
		},
		{"https://192.0.2.53/a/b", Upstream{Transport: upstream.HTTPS, Addr: at("192.0.2.53:443"), Path: "/a/b"}},
		{"tls://192.0.2.53#" + pinText(pinA), Upstream{Transport: upstream.TLS, Addr: at("192.0.2.53:853"), Pins: []upstream.Pin{pinA}}},
		{
			"tls://192.0.2.53#" + pinText(pinA) + ",dns.example," + pinText(pinB),
			Upstream{Transport: upstream.TLS, Addr: at("192.0.2.53:853"), Name: "dns.example", Pins: []upstream.Pin{pinA, pinB}},
		},
		{"tls://[::ffff:192.0.2.53]:853", Upstream{Transport: upstream.TLS, Addr: at("192.0.2.53:853")}},
	} {
		if got, err := parseUpstream(c.text); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v", c.text, got, err)
		}
	}
}

func TestParseUpstreamRefuses(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"", errServer},
		{"dns.example", errServer},
		{"192.0.2.53#dns.example", errServer},
		{"udp://192.0.2.53", errScheme},
		{"://192.0.2.53", errScheme},
		{"tls://dns.example", errHostName},
		{"tls://dns.example:853", errHostName},
		{"https://dns.example/dns-query", errHostName},
		{"quic://dns1.example#dns1.example", errHostName},
		{"tls://", errUpstream},
		{"tls://192.0.2.256", errUpstream},
		{"tls://192.0.2.53:0", errUpstream},
		{"tls://192.0.2.53:", errUpstream},
		{"tls://[192.0.2.53]", errUpstream},
		{"tls://[2001:db8::53", errUpstream},
		{"tls://name@192.0.2.53", errUpstream},
		{"tls://2001:db8::53", errBrackets},
		{"tls://192.0.2.53/", errVainPath},
		{"quic://192.0.2.53/dns-query", errVainPath},
		{"https://192.0.2.53", errNoPath},
		{"https://192.0.2.53/", errNoPath},
		{"https://192.0.2.53/dns-query{?dns}", errPath},
		{"https://192.0.2.53/dns-query?dns=", errPath},
		{"https://192.0.2.53/a%2fb", errPath},
		{"https://192.0.2.53//dns-query", errPath},
		{"https://192.0.2.53/dns query", errPath},
		{"tls://192.0.2.53#", errIdentity},
		{"tls://192.0.2.53#192.0.2.53", errIdentity},
		{"tls://192.0.2.53#2001:db8::53", errIdentity},
		{"tls://192.0.2.53#dns.example,", errIdentity},
		{"tls://192.0.2.53#dns_example", errIdentity},
		{"tls://192.0.2.53#-dns.example", errIdentity},
		{"tls://192.0.2.53#a.example, b.example", errIdentity},
		{"tls://192.0.2.53#sha1/" + strings.Repeat("A", 28), errIdentity},
		{"tls://192.0.2.53#sha256/AAAA", errIdentity},
		{"tls://192.0.2.53#" + strings.TrimSuffix(pinText(pinA), "="), errIdentity},
		{"tls://192.0.2.53#a.example,b.example", errTwoNames},
	} {
		if got, err := parseUpstream(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v", c.text, got, err)
		}
	}
}

// A mistake in an upstream is shown where it is, and what is said of it holds nothing of it.
func TestUpstreamProblems(t *testing.T) {
	expectProblems(t, "[[forward]]\nzone = '.'\nupstreams = ['tls://192.0.2.1', 'tls://dns.example']",
		"test.toml:3:33: forward.upstreams: "+errHostName.Error())
	expectProblems(t, "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.1', 'tls://192.0.2.1#"+pinText(pinA)+"']\nca_file = 'ca.pem'",
		"test.toml:1:3: forward: has a ca_file, but no upstream whose certificate it could vouch for")
	c := mustCheck(t, "[[forward]]\nzone = '.'\nupstreams = ['tls://192.0.2.1']\nca_file = 'ca.pem'")
	if got := c.Forwards[0].CAFile; got != "/etc/tacit/ca.pem" {
		t.Errorf("ca_file %q", got)
	}
}

// upstreamErrors is all that is said of upstreams: nothing of the text that is wrong is in it.
var upstreamErrors = []error{
	errServer, errScheme, errHostName, errUpstream, errBrackets, errNoPath, errPath, errVainPath, errIdentity, errTwoNames,
}

// Whatever a text holds, what is accepted can be connected to, and says of itself nothing but names and keys.
func FuzzUpstream(f *testing.F) {
	for _, text := range []string{
		"192.0.2.53", "tls://[2001:db8::53]:853#dns.example", "https://192.0.2.53/dns-query#" + pinText(pinA) + ",a.example",
		"quic://[fe80::1%a]#,", "tls://a:1/#sha256/", "https://[::]/%", "https://192.0",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseUpstream(text)
		if err != nil {
			if !slices.Contains(upstreamErrors, err) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if !u.Addr.IsValid() || u.Addr.Port() == 0 || u.Transport.Encrypted() != strings.Contains(text, "://") {
			t.Errorf("%q: %+v", text, u)
		}
		if (u.Path != "") != (u.Transport == upstream.HTTPS) || u.Path != "" && u.Path[0] != '/' {
			t.Errorf("%q: path %q", text, u.Path)
		}
		if u.Name != strings.ToLower(u.Name) || strings.HasSuffix(u.Name, ".") {
			t.Errorf("%q: name %q", text, u.Name)
		}
		if _, err := netip.ParseAddr(u.Name); err == nil {
			t.Errorf("%q: an address for a name", text)
		}
	})
}
