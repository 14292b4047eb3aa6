package server

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/certificate"
	"tacit/config"
	"tacit/internal/wire"
)

var issued = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func fixedClock(now time.Time) func() time.Time { return func() time.Time { return now } }

// certified is a configuration with a certificate for a name; text goes before it.
func certified(t *testing.T, name, text string) (*config.Config, certificate.Local) {
	t.Helper()
	directory := t.TempDir()
	l, err := certificate.MakeLocal(certificate.LocalOptions{Directory: directory, Names: []string{name}, Now: fixedClock(issued)})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "tacit.toml")
	if err := os.WriteFile(path, []byte(text+"cert_file = 'cert.pem'\nkey_file = 'key.pem'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c, l
}

func TestCertificatesOfTheConfiguration(t *testing.T) {
	c, first := certified(t, "first.test", "[tls]\n")
	_, second := certified(t, "second.test", "[tls]\n")
	c.Certificates = []config.Certificate{{CertFile: second.CertFile, KeyFile: second.KeyFile}}
	s, err := newCertificates(c, Env{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"": "first.test", "second.test": "second.test"} {
		shown, err := s.Certificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || !slices.Equal(shown.Leaf.DNSNames, []string{want}) {
			t.Errorf("%q: %v, %v", name, shown.Leaf.DNSNames, err)
		}
	}
	if list := s.Status(issued); len(list) != 2 || list[0].File != first.CertFile || list[0].Made() {
		t.Errorf("%+v", list)
	}
	// One in [[certificate]] alone is the first as well.
	c.TLS.Certificate = config.Certificate{}
	if got := pairs(c); len(got) != 1 || got[0] != second.Pair {
		t.Errorf("%v", got)
	}
}

func TestReloadMayKeepCertificates(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *config.Config)
		want   bool
	}{
		{"nothing", func(*config.Config) {}, true},
		{"another part", func(c *config.Config) { c.Cache.MaxTTL = time.Hour }, true},
		{"a pair", func(c *config.Config) { c.TLS.CertFile = "other.pem" }, false},
		{"one more pair", func(c *config.Config) { c.Certificates = make([]config.Certificate, 1) }, false},
		{"an ACME name", func(c *config.Config) { c.TLS.ACME.Names = []string{"dns.test"} }, false},
		{"an address", func(c *config.Config) { c.Listen.QUIC = c.Listen.TCP }, false},
		{"the name", func(c *config.Config) { c.Listen.Name = wire.MustName("dns.test") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := config.Default()
			if c.change(changed); showTheSame(config.Default(), changed) != c.want {
				t.Errorf("not %v", c.want)
			}
		})
	}
}

func TestWithoutFilesACertificateIsMade(t *testing.T) {
	s, err := newCertificates(config.Default(), Env{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	list := s.Status(time.Now())
	if len(list) != 1 || !list[0].Made() || !slices.Contains(list[0].Names, "localhost") || !slices.Contains(list[0].Names, "::1") {
		t.Errorf("%+v", list)
	}
}

func TestSelfSignedIsForThisMachine(t *testing.T) {
	parse := netip.MustParseAddr
	interfaces := []netip.Addr{parse("192.0.2.1"), parse("2001:db8::1")}
	loopback := []string{"127.0.0.1", "::1"}
	for _, c := range []struct {
		name      string
		listening []netip.Addr
		want      []string
	}{
		{"loopback", []netip.Addr{parse("127.0.0.1")}, loopback},
		{"nothing", nil, loopback},
		{"an address", []netip.Addr{parse("192.0.2.7")}, []string{"127.0.0.1", "192.0.2.7", "::1"}},
		{"an address of a link", []netip.Addr{parse("fe80::1%eth0")}, []string{"127.0.0.1", "::1", "fe80::1"}},
		{"all of IPv4", []netip.Addr{parse("0.0.0.0")}, []string{"127.0.0.1", "192.0.2.1", "::1"}},
		{"all of both", []netip.Addr{parse("0.0.0.0"), parse("::")}, []string{"127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, a := range hostAddresses(c.listening, interfaces) {
				got = append(got, a.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	if got := hostAddresses([]netip.Addr{parse("0.0.0.0")}, consecutive(100)); len(got) != maxOwnAddresses {
		t.Errorf("%d addresses", len(got))
	}
}

func TestSelfSignedHasTheNamesOfThisMachine(t *testing.T) {
	for _, c := range []struct {
		name, listen, host string
		want               []string
	}{
		{"a machine", "", "Box.Test", []string{"localhost", "box.test"}},
		{"without a name", "", "", []string{"localhost"}},
		{"with a name that is none", "", "a b", []string{"localhost"}},
		{"announced under another", "DNS.Example", "box", []string{"dns.example", "localhost", "box"}},
		{"announced under its own", "box.test", "box.test", []string{"box.test", "localhost"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := config.Default()
			if c.listen != "" {
				conf.Listen.Name = wire.MustName(c.listen)
			}
			if got := hostNames(conf, c.host); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func consecutive(n int) []netip.Addr {
	list := []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	for len(list) < n {
		list = append(list, list[len(list)-1].Next())
	}
	return list
}

func TestCheckCertificates(t *testing.T) {
	for _, c := range []struct {
		name             string
		days             int
		warning, problem string
	}{
		{"good", 10, "", ""},
		{"a third left", 61, "cert.pem: expires on 2026-04-02", ""},
		{"expired", 91, "", "cert.pem: expired on 2026-04-02"},
		{"not yet", -1, "", "cert.pem: is not valid before 2026-01-02"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, _ := certified(t, "dns.test", "[tls]\n")
			warnings, err := CheckCertificates(conf, issued.AddDate(0, 0, c.days))
			if got := strings.Join(warnings, "\n"); (c.warning == "") != (got == "") || !strings.HasSuffix(got, c.warning) {
				t.Errorf("warnings %q", got)
			}
			if (err == nil) != (c.problem == "") || err != nil && !strings.HasSuffix(err.Error(), c.problem) {
				t.Errorf("%v", err)
			}
			if err := Check(conf); err != nil {
				t.Error(err) // time is not what keeps tacit from starting
			}
		})
	}
}

func TestCheckFindsCertificatesThatCannotBeUsed(t *testing.T) {
	c, l := certified(t, "dns.test", "[tls]\n")
	if err := os.Remove(l.KeyFile); err != nil {
		t.Fatal(err)
	}
	_, other := certified(t, "other.test", "[tls]\n")
	c.Certificates = []config.Certificate{{CertFile: other.CertFile, KeyFile: other.AuthorityKey}}
	err := Check(c)
	if err == nil || !strings.Contains(err.Error(), l.KeyFile) || !strings.Contains(err.Error(), other.AuthorityKey+" does not go with "+other.CertFile) {
		t.Errorf("not all of them: %v", err)
	}
	if _, err := newCertificates(c, Env{}.withDefaults()); err == nil {
		t.Error("they are used")
	}
	if warnings, err := CheckCertificates(c, issued); len(warnings) > 0 || err != nil {
		t.Errorf("said twice: %v, %v", warnings, err)
	}
}

func TestPlaceOfACMEKeys(t *testing.T) {
	open, state := t.TempDir(), t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, cache, state, path, problem string }{
		{"a service", "", state + ":/elsewhere", filepath.Join(state, "acme"), ""},
		{"named", state, "", state, ""},
		{"nowhere", "", "", "", "tls.acme_cache: is empty"},
		{"open to others", open, "", open, "tls.acme_cache: " + open + ": others than its owner"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", c.state)
			conf := config.Default()
			conf.TLS.ACME.Names, conf.TLS.ACME.Cache = []string{"dns.test"}, c.cache
			if c.cache == state {
				if err := os.Chmod(state, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			err := Check(conf)
			if acmeCache(conf) != c.path || (err == nil) != (c.problem == "") || err != nil && !strings.HasPrefix(err.Error(), c.problem) {
				t.Errorf("%q, %v", acmeCache(conf), err)
			}
			if _, again := newCertificates(conf, Env{}.withDefaults()); (again == nil) != (err == nil) {
				t.Errorf("checked %v, made %v", err, again)
			}
		})
	}
}
