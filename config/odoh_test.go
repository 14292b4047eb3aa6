package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"tacit/upstream"
)

const (
	targetText = "https://192.0.2.7/dns-query#odoh.example"
	listening  = "[listen]\nhttps = ['192.0.2.1:443']\nname = 'dns.example'\n"
)

func TestODoH(t *testing.T) {
	c := mustCheck(t, listening+"[odoh]\ntarget = true\nproxy = true\nproxy_targets = ['"+targetText+"', 'https://[2001:db8::7]:8443/q']\nproxy_ca_file = '/ca'\n")
	want := ODoH{Target: true, Proxy: true, CAFile: "/ca", Targets: []Upstream{
		{Transport: upstream.HTTPS, Addr: at("192.0.2.7:443"), Name: "odoh.example", Path: "/dns-query"},
		{Transport: upstream.HTTPS, Addr: at("[2001:db8::7]:8443"), Path: "/q"},
	}}
	if !reflect.DeepEqual(c.ODoH, want) {
		t.Errorf("%+v", c.ODoH)
	}
	if d := Default(); d.ODoH.Target || d.ODoH.Proxy {
		t.Error("a role is played by default")
	}
}

func TestForwardsThroughAProxy(t *testing.T) {
	c := mustCheck(t, "[[forward]]\nzone = '.'\nupstreams = ['odoh://192.0.2.7/dns-query#odoh.example']\nproxy = 'https://192.0.2.8/proxy#relay.example'\nca_file = '/ca'\n")
	f := c.Forwards[0]
	if f.Upstreams[0].Transport != upstream.Oblivious || f.Upstreams[0].Addr != at("192.0.2.7:443") || f.Proxy.Path != "/proxy" || f.Proxy.Name != "relay.example" {
		t.Errorf("%+v", f)
	}
}

// A role that nobody could make use of, and one that sees both who asks and what, are mistakes.
func TestODoHRefuses(t *testing.T) {
	forward := func(target, proxy string) string {
		return "[[forward]]\nzone = '.'\nupstreams = ['" + target + "']\nproxy = '" + proxy + "'\n"
	}
	proxying := func(target string) string {
		return listening + "[odoh]\nproxy = true\nproxy_targets = ['" + target + "']\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"a target that nobody reaches", "[odoh]\ntarget = true\n", "odoh.target: is true, but there is neither listen.https nor listen.http"},
		{"a proxy that nobody reaches", "[odoh]\nproxy = true\nproxy_targets = ['" + targetText + "']\n", "odoh.proxy: is true, but there is neither"},
		{"a proxy that goes nowhere", listening + "[odoh]\nproxy = true\n", "odoh.proxy: is true, but odoh.proxy_targets has nobody to go to"},
		{"a proxy to itself, by address", proxying("https://192.0.2.1/dns-query#odoh.example"), "odoh.proxy_targets: has this tacit itself"},
		{"a proxy to itself, by name", proxying("https://192.0.2.7/dns-query#DNS.example"), "odoh.proxy_targets: has this tacit itself"},
		{"a target that is a name", proxying("https://odoh.example/dns-query"), "names a host"},
		{"a target over TLS", proxying("tls://192.0.2.7"), "is not https://address/path"},
		{"an empty target", proxying(""), "odoh.proxy_targets: has one that is empty"},
		{"an upstream without a proxy", "[[forward]]\nzone = '.'\nupstreams = ['odoh://192.0.2.7/dns-query']\n", "has an upstream odoh://, but no proxy"},
		{"a proxy without an upstream", forward("https://192.0.2.7/dns-query", "https://192.0.2.8/proxy"), "has a proxy, but no upstream odoh://"},
		{"one address for both", forward("odoh://192.0.2.7/dns-query", "https://192.0.2.7:8443/proxy"), "has a proxy that is the upstream, too"},
		{"one name for both", forward("odoh://192.0.2.7/dns-query#odoh.example", "https://192.0.2.8/proxy#ODoH.example"), "has a proxy that is the upstream, too"},
		{"a proxy over QUIC", forward("odoh://192.0.2.7/dns-query", "quic://192.0.2.8"), "is not https://address/path"},
		{"an upstream without a path", forward("odoh://192.0.2.7", "https://192.0.2.8/proxy"), "has no path"},
		{"a primary", "[[zone]]\nname = 'zone.example'\nfile = 'z'\nprimaries = ['odoh://192.0.2.7/dns-query']\n", "is of no transport for zones"},
	} {
		f, err := Read("tacit.toml", []byte(c.text))
		if err == nil {
			_, err = f.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	mustCheck(t, forward("odoh://127.0.0.1:8443/dns-query", "https://127.0.0.1:9443/dns-query")) // two on one machine, to try it out
	if _, err := parseOblivious("192.0.2.7"); !errors.Is(err, errOblivious) {
		t.Errorf("in clear: %v", err)
	}
}

func FuzzParseOblivious(f *testing.F) {
	f.Add(targetText)
	f.Add("odoh://[2001:db8::7]:1/x#a.example,sha256/")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseOblivious(s)
		if err == nil && s != "" && (u.Transport != upstream.HTTPS || !u.Addr.IsValid() || u.Path == "") {
			t.Errorf("%q is read as %+v", s, u)
		}
	})
}
