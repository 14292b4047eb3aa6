package certificate

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func localAt(directory string, now time.Time, names ...string) LocalOptions {
	o := LocalOptions{Directory: directory, Now: func() time.Time { return now }}
	for _, name := range names {
		if a, err := netip.ParseAddr(name); err == nil {
			o.Addresses = append(o.Addresses, a)
		} else {
			o.Names = append(o.Names, name)
		}
	}
	return o
}

func mustMakeLocal(t *testing.T, o LocalOptions) Local {
	t.Helper()
	l, err := MakeLocal(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		t.Fatalf("%s is not one certificate", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify checks a certificate as a client does that has imported the authority.
func verify(leaf, authority *x509.Certificate, name string, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
	return err
}

func TestLocalIsGoodForItsNames(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		good []string
		bad  string
	}{
		{"none", nil, []string{"localhost", "127.0.0.1", "::1"}, "dns.test"},
		{"a name", []string{"dns.test"}, []string{"dns.test"}, "localhost"},
		{"an address", []string{"192.0.2.1"}, []string{"192.0.2.1"}, "192.0.2.2"},
		{"an asterisk", []string{"*.dns.test", "2001:db8::1"}, []string{"a.dns.test", "2001:db8::1"}, "dns.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mustMakeLocal(t, localAt(filepath.Join(t.TempDir(), "new"), noon, c.args...))
			leaf, authority := readCertificate(t, l.CertFile), readCertificate(t, l.Authority)
			for _, name := range c.good {
				if err := verify(leaf, authority, name, noon); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if verify(leaf, authority, c.bad, noon) == nil {
				t.Errorf("good for %s", c.bad)
			}
			if leaf.Subject.CommonName != "" {
				t.Error("GnuTLS takes a common name for a host name, which the authority may not sign for")
			}
			if !l.Fresh || l.Replaced || leaf.PublicKeyAlgorithm != x509.ECDSA || !l.Until.Equal(leaf.NotAfter) || leaf.NotAfter.Sub(noon) != 90*day {
				t.Errorf("%+v until %v", l, leaf.NotAfter)
			}
			if _, err := New(Options{Pairs: []Pair{l.Pair}}); err != nil {
				t.Error(err)
			}
			expectModes(t, l)
		})
	}
}

func expectModes(t *testing.T, l Local) {
	t.Helper()
	for path, want := range map[string]fs.FileMode{l.Authority: 0o644, l.AuthorityKey: 0o600, l.CertFile: 0o644, l.KeyFile: 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode(), want)
		}
	}
	files, err := os.ReadDir(filepath.Dir(l.CertFile))
	if err != nil || len(files) != 4 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// RFC 5280 section 4.2.1.10: what an authority may sign for. With its key nobody can pretend to be another site.
func TestLocalAuthorityIsConstrained(t *testing.T) {
	o := localAt(t.TempDir(), noon, "dns.test", "192.0.2.1")
	l := mustMakeLocal(t, o)
	authority, err := l.readSigner(noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		subject string
		good    bool
	}{
		{"dns.test", true},
		{"below.dns.test", true},
		{"localhost", true},
		{"127.0.0.1", true},
		{"::1", true},
		{"192.0.2.1", true},
		{"www.example", false},
		{"test", false},
		{"192.0.2.2", false},
		{"2001:db8::1", false},
	} {
		key := ecdsaKey(t)
		x := localAt("", noon, c.subject)
		leaf, err := sign(leafTemplate(x.Names, x.Addresses, noon), authority.certificate, key.Public(), authority.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(leaf, authority.certificate, c.subject, noon); (err == nil) != c.good {
			t.Errorf("%s: %v", c.subject, err)
		}
	}
	if !authority.certificate.PermittedDNSDomainsCritical || !authority.certificate.MaxPathLenZero {
		t.Error("the constraints may be overlooked, or given to another authority")
	}
}

func TestLocalAuthorityIsKept(t *testing.T) {
	directory := t.TempDir()
	first := mustMakeLocal(t, localAt(directory, noon, "dns.test", "192.0.2.1"))
	authority, leaf := readCertificate(t, first.Authority), readCertificate(t, first.CertFile)
	again := mustMakeLocal(t, localAt(directory, noon.Add(80*day), "b.dns.test"))
	if again.Fresh || !again.Replaced || !readCertificate(t, again.Authority).Equal(authority) {
		t.Errorf("%+v: another authority", again)
	}
	next := readCertificate(t, again.CertFile)
	if next.Equal(leaf) || verify(next, authority, "b.dns.test", noon.Add(100*day)) != nil {
		t.Error("the certificate was not made anew")
	}
	// Near its end an authority signs for what is left of its own life.
	late := mustMakeLocal(t, localAt(directory, authority.NotAfter.Add(-day), "dns.test"))
	if !late.Until.Equal(authority.NotAfter) {
		t.Errorf("until %v, the authority until %v", late.Until, authority.NotAfter)
	}
}

func TestLocalOverwritesNothingElse(t *testing.T) {
	stranger := kit{names: []string{"dns.test"}}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, l Local)
		now     time.Time
		args    []string
		want    string
	}{
		{"a certificate of somebody else", func(t *testing.T, l Local) {
			cert, key := stranger.texts(t)
			put(t, l.CertFile, cert)
			put(t, l.KeyFile, key)
		}, noon, nil, "was not made by the authority"},
		{"a key that does not fit", func(t *testing.T, l Local) {
			_, key := stranger.texts(t)
			put(t, l.KeyFile, key)
		}, noon, nil, "was not made by the authority"},
		{"a key without a certificate", func(_ *testing.T, l Local) { _ = os.Remove(l.CertFile) }, noon, nil, "was not made by the authority"},
		{"an authority without its key", func(_ *testing.T, l Local) { _ = os.Remove(l.AuthorityKey) }, noon, nil, "one of ca.pem and ca-key.pem"},
		{"another's key for the authority", func(t *testing.T, l Local) {
			_, key := stranger.texts(t)
			put(t, l.AuthorityKey, key)
		}, noon, nil, "ca.pem with ca-key.pem"},
		{"a certificate that is no authority", func(t *testing.T, l Local) {
			cert, key := stranger.texts(t)
			put(t, l.Authority, cert)
			put(t, l.AuthorityKey, key)
		}, noon, nil, "not an authority that was made here"},
		{"an authority that has expired", func(*testing.T, Local) {}, noon.Add(731 * day), nil, "ca.pem: expired"},
		{"a name that the authority may not sign for", func(*testing.T, Local) {}, noon, []string{"other.test"}, "may not sign for all of these"},
		{"too many names", func(*testing.T, Local) {}, noon, slices.Repeat([]string{"a.dns.test"}, 101), "at most 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			l := mustMakeLocal(t, localAt(directory, noon, "dns.test"))
			c.prepare(t, l)
			before := contents(t, directory)
			args := c.args
			if args == nil {
				args = []string{"dns.test"}
			}
			_, err := MakeLocal(localAt(directory, c.now, args...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if contents(t, directory) != before {
				t.Error("files were changed")
			}
		})
	}
}

// A certificate is not written into a directory where one without an authority lies.
func TestLocalIsRefusedBesideOthers(t *testing.T) {
	p := kit{names: []string{"dns.test"}}.write(t)
	directory := filepath.Dir(p.CertFile)
	before := contents(t, directory)
	if _, err := MakeLocal(localAt(directory, noon)); err == nil || contents(t, directory) != before {
		t.Errorf("%v", err)
	}
}

func contents(t *testing.T, directory string) string {
	t.Helper()
	files, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(directory, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(f.Name() + "\n" + string(text))
	}
	return b.String()
}
