package place

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes a file that is the old or the new one whenever the machine stops.
func Replace(path string, text []byte, mode fs.FileMode) error {
	return put(path, text, func(f *os.File) error { return f.Chmod(mode) })
}

// put writes a file beside its place, dresses it, and puts it there.
func put(path string, text []byte, dress func(*os.File) error) (err error) {
	directory := filepath.Dir(path)
	f, err := os.CreateTemp(directory, "."+filepath.Base(path)+"-*") // its mode is 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, dress(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirectory(directory)
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = d.Sync() // not every file system can; the file itself is safe
	return d.Close()
}
