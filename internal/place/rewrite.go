package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Rewrite writes a file that is the old or the new one whenever the machine stops, as Replace does, and keeps the mode and the owner
// of the one that is there. A new file gets a mode and, where root writes it, the owner of its directory, since the one who
// reads it is another.
func Rewrite(path string, text []byte, mode fs.FileMode) error {
	path = Follow(path)
	like, err := os.Stat(path)
	switch {
	case err == nil:
		mode = like.Mode().Perm()
	case errors.Is(err, fs.ErrNotExist):
		like, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	return put(path, text, func(f *os.File) error { return errors.Join(own(f, like), f.Chmod(mode)) })
}

// Follow returns where a path leads, so that a link stays one.
func Follow(path string) string {
	if at, err := filepath.EvalSymlinks(path); err == nil {
		return at
	}
	return path
}
