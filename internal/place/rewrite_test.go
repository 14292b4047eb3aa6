package place_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tacit/internal/place"
)

func TestRewriteKeepsTheMode(t *testing.T) {
	directory := t.TempDir()
	path, link := filepath.Join(directory, "file"), filepath.Join(directory, "link")
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	check := func(want os.FileMode, text string) {
		t.Helper()
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != want {
			t.Fatalf("%v, %v", info.Mode(), err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%q", got)
		}
	}
	if err := place.Rewrite(path, []byte("new"), 0o640); err != nil {
		t.Fatal(err)
	}
	check(0o640, "new")
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := place.Rewrite(link, []byte("newer"), 0o640); err != nil {
		t.Fatal(err)
	}
	check(0o604, "newer")
	if got := names(t, directory); !slices.Equal(got, []string{"file", "link"}) {
		t.Errorf("left behind: %q", got)
	}
}

func TestLockIsForOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	unlock, err := place.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := place.Lock(ctx, path); !errors.Is(err, place.ErrLocked) {
		t.Error(err)
	}
	unlock()
	again, err := place.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestSweepTakesWhatWasLeft(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"file", ".file-123", ".file-x", ".files-1", ".file"} {
		write(t, filepath.Join(directory, name), "", 0o600)
	}
	place.Sweep(filepath.Join(directory, "file"))
	if got := names(t, directory); !slices.Equal(got, []string{".file", ".file-x", ".files-1", "file"}) {
		t.Errorf("%q", got)
	}
}
