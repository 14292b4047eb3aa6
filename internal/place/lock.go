package place

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// ErrLocked says that another program writes into a directory, and has not come to an end in time.
var ErrLocked = errors.New("another program is writing into the directory")

const lockAgain = 5 * time.Millisecond

// Lock keeps other programs that use it from writing the file at path until unlock is called. It is a lock of the file's directory,
// so that nothing is left behind, and ends with the process. Waiting for it ends with ctx. On systems without flock, it
// keeps nobody.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for {
		taken, err := tryLock(d)
		switch {
		case err != nil:
			return nil, errors.Join(err, d.Close())
		case taken:
			return func() { _ = d.Close() }, nil // it was opened for nothing else
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ErrLocked, d.Close())
		case <-time.After(lockAgain):
		}
	}
}

var leftover = regexp.MustCompile(`^-\d+$`)

// Sweep removes what writers of a file that were killed have left beside it. It is for who holds the lock.
func Sweep(path string) {
	directory, base := filepath.Dir(path), filepath.Base(path)
	entries, _ := os.ReadDir(directory) // what cannot be listed cannot be written either
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), "."+base); ok && leftover.MatchString(rest) {
			_ = os.Remove(filepath.Join(directory, e.Name())) // the next one tries again
		}
	}
}
