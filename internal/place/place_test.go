package place_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tacit/internal/place"
)

// names lists what is in a directory.
func names(t *testing.T, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestReplace(t *testing.T) {
	for _, c := range []struct {
		name  string
		lay   func(t *testing.T, path string) // what is there before
		mode  fs.FileMode
		fails bool
	}{
		{"a new file", func(*testing.T, string) {}, 0o644, false},
		{"a new secret", func(*testing.T, string) {}, 0o600, false},
		{"in place of a file that is shorter", func(t *testing.T, path string) { write(t, path, "o", 0o600) }, 0o644, false},
		{"in place of a file that is open to more", func(t *testing.T, path string) { write(t, path, "old and longer", 0o644) }, 0o600, false},
		{"not in place of a directory", func(t *testing.T, path string) {
			if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, 0o600, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			path := filepath.Join(directory, "file")
			c.lay(t, path)
			err := place.Replace(path, []byte("new"), c.mode)
			if got := names(t, directory); !slices.Equal(got, []string{"file"}) {
				t.Errorf("left behind: %q", got)
			}
			if c.fails != (err != nil) {
				t.Fatal(err)
			}
			if c.fails {
				return
			}
			text, err := os.ReadFile(path)
			if err != nil || string(text) != "new" {
				t.Errorf("%q, %v", text, err)
			}
			if file, err := os.Stat(path); err != nil || file.Mode() != c.mode {
				t.Errorf("%v, %v", file.Mode(), err)
			}
		})
	}
}

// Who has the old file open reads it to its end, whatever is put into its place meanwhile.
func TestReplaceLeavesTheOldFileWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old", 0o600)
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := place.Replace(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4)
	if n, _ := old.Read(text); string(text[:n]) != "old" {
		t.Errorf("%q", text[:n])
	}
}

func TestReplaceWithoutItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "file")
	if err := place.Replace(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// listen opens a socket without the package.
func listen(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestListen(t *testing.T) {
	for _, c := range []struct {
		name string
		lay  func(t *testing.T, path string) // what is there before
		want error
	}{
		{"nothing is there", func(*testing.T, string) {}, nil},
		{"a socket that was left behind", func(t *testing.T, path string) { _ = listen(t, path).Close() }, nil},
		{"a socket on which somebody answers", func(t *testing.T, path string) { listen(t, path) }, place.ErrInUse},
		{"a file", func(t *testing.T, path string) { write(t, path, "text", 0o600) }, place.ErrNoSocket},
		{"a link to a file", func(t *testing.T, path string) {
			if err := os.Symlink(os.DevNull, path); err != nil {
				t.Fatal(err)
			}
		}, place.ErrNoSocket},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			path := filepath.Join(directory, "s")
			c.lay(t, path)
			before := names(t, directory)
			l, err := place.Listen(t.Context(), path, 0o660)
			if !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if err != nil {
				if got := names(t, directory); !slices.Equal(got, before) {
					t.Errorf("left behind: %q", got)
				}
				return
			}
			used(t, l, path)
			if got := names(t, directory); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
		})
	}
}

// used connects to a listener and closes it.
func used(t *testing.T, l *place.Listener, path string) {
	t.Helper()
	if file, err := os.Lstat(path); err != nil || file.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("%v, %v", file.Mode(), err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	for range 2 { // the second time is for who serves on it
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Who has taken the place of a socket keeps it when the old one is closed.
func TestCloseLeavesTheNextSocketAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := place.Listen(t.Context(), path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := place.Listen(t.Context(), path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	used(t, second, path)
	if _, err := os.Lstat(path); err == nil {
		t.Error("the second left its socket behind")
	}
}
