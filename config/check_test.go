package config

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/dnssec"
	"tacit/internal/wire"
)

func TestDefaults(t *testing.T) {
	c := Default()
	home := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5335")}
	if !slices.Equal(c.Listen.UDP, home) || !slices.Equal(c.Listen.TCP, home) {
		t.Errorf("listens on %v and %v", c.Listen.UDP, c.Listen.TCP)
	}
	want := Recursion{Minimisation: Strict, IPv4: true, IPv6: true, Port: 53, LocalRoot: true, CaseRandomisation: true, Encrypt: true}
	if !reflect.DeepEqual(c.Recursion, want) {
		t.Errorf("recursion %+v, want %+v", c.Recursion, want)
	}
	if want := (Cache{Size: 256 << 20, MaxTTL: 24 * time.Hour, ServeStale: true, Prefetch: true, Packets: true, BlurTTLs: true}); c.Cache != want {
		t.Errorf("cache %+v, want %+v", c.Cache, want)
	}
	if c.TLS.CertFile != "" || len(c.TLS.ACME.Names)+len(c.Certificates) > 0 {
		t.Errorf("tls %+v, certificates %+v", c.TLS, c.Certificates)
	}
	if c.Log.Level != slog.LevelInfo || c.Forwards != nil || c.Stubs != nil {
		t.Errorf("log %v, forwards %v, stubs %v", c.Log.Level, c.Forwards, c.Stubs)
	}
}

// The default serves loopback, private (RFC 1918, RFC 4193) and link-local (RFC 3927, RFC 4291) clients and no others.
func TestDefaultAccess(t *testing.T) {
	allow := Default().Access.Allow
	for _, c := range []struct {
		addr string
		want bool
	}{
		{"127.0.0.1", true},
		{"::1", true},
		{"10.255.0.1", true},
		{"172.16.0.1", true},
		{"172.31.255.255", true},
		{"192.168.1.1", true},
		{"169.254.1.1", true},
		{"fd00::1", true},
		{"fe80::1", true},
		{"172.32.0.1", false},
		{"192.0.2.1", false},
		{"2001:db8::1", false},
		{"100.64.0.1", false},
		{"::2", false},
	} {
		a := netip.MustParseAddr(c.addr)
		if got := slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(a) }); got != c.want {
			t.Errorf("%s: allowed %v, want %v", c.addr, got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	address := netip.MustParseAddrPort
	for _, c := range []struct {
		name, text string
		get        func(*Config) any
		want       any
	}{
		{"listen", "[listen]\nudp = ['[::1]:53', '192.0.2.1:0']", func(c *Config) any { return c.Listen.UDP }, []netip.AddrPort{address("[::1]:53"), address("192.0.2.1:0")}},
		{"listen on all", "[listen]\ntcp = [':53']", func(c *Config) any { return c.Listen.TCP }, []netip.AddrPort{address("0.0.0.0:53"), address("[::]:53")}},
		{"mapped address", "[listen]\ntcp = ['[::ffff:127.0.0.1]:53']", func(c *Config) any { return c.Listen.TCP }, []netip.AddrPort{address("127.0.0.1:53")}},
		{"listen, dotted", "listen.udp = []", func(c *Config) any { return c.Listen.UDP }, []netip.AddrPort(nil)},
		{"listen, inline", "listen = { udp = ['127.0.0.1:53'] }", func(c *Config) any { return c.Listen.UDP }, []netip.AddrPort{address("127.0.0.1:53")}},
		{"name", "[listen]\nname = 'DNS.Net.Example'", func(c *Config) any { return c.Listen.Name }, wire.MustName("dns.net.example.")},
		{"no name", "[listen]\nname = ''", func(c *Config) any { return c.Listen.Name }, wire.Root},
		{
			"page about it", "[listen]\ninfo_url = 'https://dns.net.example/about'",
			func(c *Config) any { return c.Listen.InfoURL }, "https://dns.net.example/about",
		},
		{"refuse, mapped", "[access]\nrefuse = ['::ffff:192.0.2.0/120', '::ffff:192.0.2.1']", func(c *Config) any { return c.Access.Refuse }, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.1/32")}},
		{"without plain DNS", "listen.udp = []\nlisten.tcp = []\nlisten.tls = ['127.0.0.1:853']\nlisten.quic = ['127.0.0.1:853']\nlisten.https = ['127.0.0.1:443']", func(c *Config) any { return len(c.Listen.UDP) }, 0},
		{"refuse", "[access]\nrefuse = ['192.0.2.0/24', '2001:db8::1']", func(c *Config) any { return c.Access.Refuse }, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}},
		{"hints beside the file", "[recursion]\nroot_hints = 'root.hints'", func(c *Config) any { return c.Recursion.RootHints }, "/etc/tacit/root.hints"},
		{"hints elsewhere", "[recursion]\nroot_hints = '/srv/root.hints'", func(c *Config) any { return c.Recursion.RootHints }, "/srv/root.hints"},
		{"minimisation", "[recursion]\nqname_minimisation = 'relaxed'", func(c *Config) any { return c.Recursion.Minimisation }, Relaxed},
		{"anchor file beside the file", "[dnssec]\nanchor_file = 'anchors'", func(c *Config) any { return c.DNSSEC.AnchorFile }, "/etc/tacit/anchors"},
		{"anchors that stay", "[dnssec]\nanchor_updates = 'static'", func(c *Config) any { return c.DNSSEC.StaticAnchors }, true},
		{"anchors that follow", "", func(c *Config) any { return c.DNSSEC.StaticAnchors }, false},
		{
			"anchors", "[dnssec]\ntrust_anchors = ['Test. 3600 IN DS 1 13 200 0A']", func(c *Config) any { return c.DNSSEC.TrustAnchors },
			[]dnssec.TrustAnchor{{Zone: wire.MustName("test"), Type: wire.TypeDS, RDATA: "\x00\x01\x0d\xc8\x0a"}},
		},
		{"negative anchors", "[dnssec]\nnegative_trust_anchors = ['Test']", func(c *Config) any { return c.DNSSEC.NegativeTrustAnchors }, []wire.Name{wire.MustName("test")}},
		{"encryption", "[recursion]\nencrypt = 'off'", func(c *Config) any { return c.Recursion.Encrypt }, false},
		{"encryption that is left at its default", "[recursion]\nencrypt = 'opportunistic'", func(c *Config) any { return c.Recursion.Encrypt }, true},
		{"strict encryption of a zone", "[recursion]\nencrypt_strict = ['example.com', '192.0.2.53']", func(c *Config) any { return c.Recursion.EncryptedZones }, []wire.Name{wire.MustName("example.com.")}},
		{"strict encryption to a server", "[recursion]\nencrypt_strict = ['example.com', '::ffff:192.0.2.53']", func(c *Config) any { return c.Recursion.EncryptedServers }, []netip.Addr{netip.MustParseAddr("192.0.2.53")}},
		{"port", "[recursion]\nport = 5_300", func(c *Config) any { return c.Recursion.Port }, uint16(5300)},
		{"size", "[cache]\nsize = '64MiB'", func(c *Config) any { return c.Cache.Size }, int64(64 << 20)},
		{"size of bytes", "[cache]\nsize = '2000000'", func(c *Config) any { return c.Cache.Size }, int64(2000000)},
		{"size of kB", "[cache]\nsize = '2000 kB'", func(c *Config) any { return c.Cache.Size }, int64(2000000)},
		{"time", "[cache]\nmin_ttl = '1m30s'", func(c *Config) any { return c.Cache.MinTTL }, 90 * time.Second},
		{"certificate beside the file", "[tls]\ncert_file = 'a.pem'\nkey_file = '/k/a.pem'", func(c *Config) any { return c.TLS.Certificate }, Certificate{"/etc/tacit/a.pem", "/k/a.pem"}},
		{
			"more certificates", "[[certificate]]\ncert_file = 'b.pem'\nkey_file = 'b-key.pem'\n[[certificate]]\ncert_file = '/c.pem'\nkey_file = '/c-key.pem'",
			func(c *Config) any { return c.Certificates },
			[]Certificate{{"/etc/tacit/b.pem", "/etc/tacit/b-key.pem"}, {"/c.pem", "/c-key.pem"}},
		},
		{"TLS 1.3", "", func(c *Config) any { return c.TLS.MinVersion }, uint16(tls.VersionTLS13)},
		{"TLS 1.2", "accept_privacy_loss = ['tls.min_version']\n[tls]\nmin_version = '1.2'", func(c *Config) any { return c.TLS.MinVersion }, uint16(tls.VersionTLS12)},
		{
			"ACME", "[tls]\nacme_names = ['DNS.Example.', 'b.example']\nacme_mail = 'hostmaster@example.com'\nacme_cache = 'acme'\n" +
				"acme_http = ':80'\nacme_directory = 'https://acme.test/dir'",
			func(c *Config) any { return c.TLS.ACME },
			ACME{[]string{"dns.example", "b.example"}, "https://acme.test/dir", "hostmaster@example.com", "/etc/tacit/acme", []netip.AddrPort{address("0.0.0.0:80"), address("[::]:80")}},
		},
		{"level", "[log]\nlevel = 'debug'", func(c *Config) any { return c.Log.Level }, slog.LevelDebug},
		{
			"forward", "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.53', '[2001:db8::53]:5353']\nfirst = true",
			func(c *Config) any { return c.Forwards },
			[]Forward{{Zone: wire.Root, Upstreams: []Upstream{{Addr: address("192.0.2.53:53")}, {Addr: address("[2001:db8::53]:5353")}}, First: true}},
		},
		{
			"stubs", "[[stub]]\nzone = 'Corp.Example'\nservers = ['192.0.2.1']\n[[stub]]\nzone = 'test.'\nservers = ['192.0.2.2']",
			func(c *Config) any { return c.Stubs },
			[]Stub{{wire.MustName("corp.example"), []netip.AddrPort{address("192.0.2.1:53")}}, {wire.MustName("test"), []netip.AddrPort{address("192.0.2.2:53")}}},
		},
		{
			"stubs, inline", "stub = [{ zone = 'test.', servers = ['192.0.2.2'] }]",
			func(c *Config) any { return c.Stubs },
			[]Stub{{wire.MustName("test"), []netip.AddrPort{address("192.0.2.2:53")}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.get(mustCheck(t, c.text)); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A configuration in which a part stays off is good, whatever else its options say.
func TestValuesWithoutEffectAreAccepted(t *testing.T) {
	mustCheck(t, `
		[listen]
		tls = []
		[recursion]
		encrypt = "off"
		local_root = false
		[dnssec]
		validate = false
		trust_anchors = [". IN DS 20326 200 200 E06D", "example. 3600 IN DNSKEY 257 3 8 AwEAAa=="]
		negative_trust_anchors = ["example.com."]
		aggressive_nsec = false
		sha1 = "verify"
		validation_time = "2026-01-31T12:00:00Z"
		[cache]
		ttl_blur = false
		[edge]
		addresses = []
		[admin]
		listen = ""
		control = ""`)
}

// expectProblems compares the whole list.
func expectProblems(t *testing.T, text string, want ...string) {
	t.Helper()
	_, err := readAndCheck(text)
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("got %v, want Problems", err)
	}
	if got := strings.Split(problems.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", problems.Error(), strings.Join(want, "\n"))
	}
}

func mustCheck(t *testing.T, text string) *Config {
	t.Helper()
	c, err := readAndCheck(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readAndCheck(text string) (*Config, error) {
	f, err := Read("/etc/tacit/test.toml", []byte(text))
	if err != nil {
		return nil, err
	}
	c, err := f.Check()
	if problems, ok := errors.AsType[Problems](err); ok {
		for i := range problems {
			problems[i].File = "test.toml"
		}
	}
	return c, err
}
