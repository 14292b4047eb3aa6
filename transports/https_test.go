package transports

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"testing"
)

// A Unix socket that was left behind is replaced; one on which somebody answers is not, nor is what is no socket.
func TestUnixSocketThatIsThere(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		used bool
	}{
		{"none", func(*testing.T, string) {}, false},
		{"left behind", func(t *testing.T, path string) {
			listener := mustListenUnix(t, path)
			listener.SetUnlinkOnClose(false)
			_ = listener.Close()
		}, false},
		{"in use", func(t *testing.T, path string) {
			listener := mustListenUnix(t, path)
			t.Cleanup(func() { _ = listener.Close() })
		}, true},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir() + "/doh"
			c.make(t, path)
			before, _ := os.Lstat(path)
			s, err := Listen(t.Context(), Options{Plain: []string{path}})
			now, found := os.Lstat(path)
			if c.used {
				if e, ok := errors.AsType[*ListenError](err); !ok || !e.InUse() || found != nil || !os.SameFile(before, now) {
					t.Error(err, found)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.closeAll()
			if found != nil || now.Mode() != fs.ModeSocket|0o660 { // for our own user and group
				t.Error(now, found)
			}
		})
	}
}

func mustListenUnix(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
