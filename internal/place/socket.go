package place

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Why a socket is not opened.
var (
	ErrInUse    = errors.New("another program answers on the socket")
	ErrNoSocket = errors.New("there is a file that is no socket in the place of the socket")
)

// A Listener is a Unix socket. The file system says who may use it.
type Listener struct {
	net.Listener
	path  string
	file  fs.FileInfo // of the socket that is ours
	close func() error
}

const probeTime = time.Second

// Listen opens a socket with a mode. One that was left behind is replaced, if nobody answers on it.
func Listen(ctx context.Context, path string, mode fs.FileMode) (*Listener, error) {
	path, err := filepath.Abs(path) // also so that a leading @ does not mean a socket without a file, which anybody may open
	if err != nil {
		return nil, err
	}
	if err := check(ctx, path); err != nil {
		return nil, err
	}
	listener, err := listenAlone(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	l := &Listener{Listener: listener, path: path, file: file}
	l.close = sync.OnceValue(l.end) // whoever serves on it may close it, too
	return l, nil
}

// check looks at what is in the place of the socket.
func check(ctx context.Context, path string) error {
	file, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case file.Mode().Type() != fs.ModeSocket:
		return ErrNoSocket
	}
	dialer := net.Dialer{Timeout: probeTime}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil // left behind
	}
	_ = conn.Close() // it has said what we wanted to know
	return ErrInUse
}

// listenAlone opens a socket in a directory that is closed to others, and puts it into its place when its mode is set: a
// socket that is opened in place is everybody's for a moment, as the umask has it.
func listenAlone(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	directory, err := os.MkdirTemp(filepath.Dir(path), ".socket-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	hidden := filepath.Join(directory, "s")
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "unix", hidden)
	if err != nil {
		return nil, err
	}
	if l, ok := listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // it would look for the name that the socket was born with
	}
	if err = os.Chmod(hidden, mode); err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// Close stops listening and removes the socket, unless another has taken its place. A second call does nothing.
func (l *Listener) Close() error { return l.close() }

func (l *Listener) end() error {
	err := l.Listener.Close()
	if file, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(file, l.file) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}
