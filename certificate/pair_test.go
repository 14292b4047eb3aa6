package certificate

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPairErrorsNameTheFile(t *testing.T) {
	good, other := kit{names: []string{"a.test"}}.write(t), kit{names: []string{"b.test"}}.write(t)
	at := func(text string) string {
		path := filepath.Join(t.TempDir(), "file.pem")
		put(t, path, []byte(text))
		return path
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	nameless := kit{}.write(t)
	none, empty, large := filepath.Join(t.TempDir(), "none.pem"), at(""), at(strings.Repeat("x", maxFile+1))
	damaged := at("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	for _, c := range []struct {
		name string
		pair Pair
		want []string
	}{
		{"no certificate file", Pair{none, good.KeyFile}, []string{none, "no such file"}},
		{"no key file", Pair{good.CertFile, none}, []string{none, "no such file"}},
		{"an empty certificate", Pair{empty, good.KeyFile}, []string{empty, "holds no certificate in PEM"}},
		{"an empty key", Pair{good.CertFile, empty}, []string{empty, "holds no private key in PEM"}},
		{"the other way round", Pair{good.KeyFile, good.CertFile}, []string{good.KeyFile, "holds no certificate in PEM"}},
		{"a damaged certificate", Pair{damaged, good.KeyFile}, []string{damaged, "malformed"}},
		{"a key that does not fit", Pair{good.CertFile, other.KeyFile}, []string{other.KeyFile + " does not go with " + good.CertFile}},
		{"no name", nameless, []string{nameless.CertFile, "subjectAltName"}},
		{"a directory", Pair{filepath.Dir(good.CertFile), good.KeyFile}, []string{"is not a regular file"}},
		{"a pipe that nobody writes to", Pair{pipe, good.KeyFile}, []string{pipe, "is not a regular file"}},
		{"a large file", Pair{large, good.KeyFile}, []string{large, "is larger than"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(Options{Pairs: []Pair{good, c.pair}})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
		})
	}
}

// A step of a script: what becomes of the files, and what is shown after the look that follows.
type step struct {
	name string
	do   func()
	want string
}

func TestReload(t *testing.T) {
	cert1, key1 := kit{names: []string{"one.test"}}.texts(t)
	cert2, key2 := kit{names: []string{"two.test"}}.texts(t)
	cert3, key3 := kit{names: []string{"three.test"}}.texts(t)
	nothing := func() {}
	for _, c := range []struct {
		name  string
		steps func(p Pair) []step
		warns int
	}{
		{"a good pair", func(p Pair) []step {
			return []step{
				{"nothing has changed", nothing, "one.test"},
				{"both are new", func() { put(t, p.CertFile, cert2); put(t, p.KeyFile, key2) }, "one.test"},
				{"and the same at the next look", nothing, "two.test"},
			}
		}, 0},
		{"certificate first, key later", func(p Pair) []step {
			return []step{
				{"the certificate", func() { put(t, p.CertFile, cert2) }, "one.test"},
				{"the key", func() { put(t, p.KeyFile, key2) }, "one.test"},
				{"settled", nothing, "two.test"},
			}
		}, 0},
		{"a key that does not fit", func(p Pair) []step {
			return []step{
				{"the certificate alone", func() { put(t, p.CertFile, cert2) }, "one.test"},
				{"told", nothing, "one.test"},
				{"told once", nothing, "one.test"},
				{"the key at last", func() { put(t, p.KeyFile, key2) }, "one.test"},
				{"settled", nothing, "two.test"},
			}
		}, 1},
		{"half-written", func(p Pair) []step {
			return []step{
				{"half", func() { put(t, p.CertFile, cert2[:len(cert2)/2]); put(t, p.KeyFile, key2[:40]) }, "one.test"},
				{"whole", func() { put(t, p.CertFile, cert2); put(t, p.KeyFile, key2) }, "one.test"},
				{"settled", nothing, "two.test"},
			}
		}, 0},
		{"gone, and there again", func(p Pair) []step {
			return []step{
				{"gone", func() { _ = os.Remove(p.KeyFile) }, "one.test"},
				{"told", nothing, "one.test"},
				{"there", func() { put(t, p.KeyFile, key1) }, "one.test"},
				{"gone again", func() { _ = os.Remove(p.KeyFile) }, "one.test"},
				{"told again: it is another time", nothing, "one.test"},
			}
		}, 2},
		{"bad, then bad in another way", func(p Pair) []step {
			return []step{
				{"bad", func() { put(t, p.CertFile, cert2) }, "one.test"},
				{"told", nothing, "one.test"},
				{"worse", func() { put(t, p.CertFile, cert3) }, "one.test"},
				{"told", nothing, "one.test"},
				{"good", func() { put(t, p.KeyFile, key3) }, "one.test"},
				{"settled", nothing, "three.test"},
			}
		}, 2},
		{"as good as the old one in size and time", func(p Pair) []step {
			return []step{
				{"with the old time", func() {
					before, err := os.Stat(p.CertFile)
					if err != nil {
						t.Fatal(err)
					}
					put(t, p.CertFile, cert2)
					put(t, p.KeyFile, key2)
					if err := os.Chtimes(p.CertFile, before.ModTime(), before.ModTime()); err != nil {
						t.Fatal(err)
					}
				}, "one.test"},
				{"settled", nothing, "two.test"},
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			p := Pair{filepath.Join(directory, "cert.pem"), filepath.Join(directory, "key.pem")}
			put(t, p.CertFile, cert1)
			put(t, p.KeyFile, key1)
			runScript(t, p, c.steps(p), c.warns)
		})
	}
}

func runScript(t *testing.T, p Pair, steps []step, warns int) {
	t.Helper()
	log, written := newLog()
	s := mustNew(t, Options{Pairs: []Pair{p}, Log: log})
	for _, x := range steps {
		x.do()
		s.look(t.Context(), noon)
		if got := shown(t, s, &tls.ClientHelloInfo{}); got != x.want {
			t.Errorf("%s: shown %s, want %s", x.name, got, x.want)
		}
	}
	if got := strings.Count(written.String(), "level=WARN"); got != warns {
		t.Errorf("%d warnings, want %d:\n%s", got, warns, written)
	}
	if warns > 0 && !strings.Contains(written.String(), p.CertFile) {
		t.Errorf("the warning does not name the file:\n%s", written)
	}
}

// certbot keeps each pair in files of its own, and lets symbolic links lead to the latest.
func TestReloadFollowsLinks(t *testing.T) {
	directory := t.TempDir()
	live := Pair{filepath.Join(directory, "fullchain.pem"), filepath.Join(directory, "privkey.pem")}
	lead := func(to Pair) {
		for link, target := range map[string]string{live.CertFile: to.CertFile, live.KeyFile: to.KeyFile} {
			if err := os.Symlink(target, link+".new"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(link+".new", link); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, second := kit{names: []string{"one.test"}}.write(t), kit{names: []string{"two.test"}}.write(t)
	lead(first)
	runScript(t, live, []step{
		{"nothing has changed", func() {}, "one.test"},
		{"the links lead elsewhere", func() { lead(second) }, "one.test"},
		{"settled", func() {}, "two.test"},
	}, 0)
}
