package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tacit/internal/wire"
)

// A Control listens on a unix socket for the commands of the operator. The file system says who may use it: the
// socket is its owner's alone (mode 0600), and there is neither a password nor a TCP port.
type Control struct {
	listener net.Listener
	path     string
	file     fs.FileInfo // of the socket that is ours
	server   *http.Server
}

// Options say where a Control listens, and what it controls. All but Log are needed.
type Options struct {
	Path       string
	Cache      Cache
	Exceptions Exceptions
	Process    Process
	// Log hears of what goes wrong in a command. Nil: nothing is logged.
	Log *slog.Logger
}

// A Cache can forget. When its functions return, nothing that was learned before is given for the names.
type Cache interface {
	Flush(name wire.Name)
	FlushSubtree(name wire.Name)
}

// Exceptions are the zones that are not validated (RFC 7646). The changes that they refuse are an Error where the
// command is at fault.
type Exceptions interface {
	List() []Exception
	Add(zone wire.Name, lifetime time.Duration, reason string) error
	Remove(zone wire.Name) error
}

// A Process is the running tacit.
type Process interface {
	Status() Status
	Reload(ctx context.Context) error
}

// ErrInUse says that somebody answers on the socket already.
var ErrInUse = errors.New("another tacit answers on the control socket")

var errNoSocket = errors.New("there is a file that is no socket in the place of the control socket")

// Time-outs. A reload or a flush takes less than a second; a client is a command on the same machine.
const (
	headerTime = 5 * time.Second
	readTime   = 10 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 30 * time.Second
	probeTime  = time.Second

	maxHeader = 8 << 10
	maxBody   = 64 << 10
)

// Listen opens the socket. One that was left behind is replaced, if nobody answers on it.
func Listen(ctx context.Context, o Options) (*Control, error) {
	path, err := filepath.Abs(o.Path) // also so that a leading @ does not mean a socket without a file, which anybody may open
	if err != nil {
		return nil, err
	}
	if err := checkPlace(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	listener, err := listenAlone(ctx, path)
	if err != nil {
		return nil, err
	}
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Control{listener: listener, path: path, file: file, server: &http.Server{
		Handler:           newHandler(o),
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it says what clients sent
	}}, nil
}

// checkPlace looks at what is in the place of the socket.
func checkPlace(ctx context.Context, path string) error {
	file, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case file.Mode().Type() != fs.ModeSocket:
		return errNoSocket
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
func listenAlone(ctx context.Context, path string) (net.Listener, error) {
	directory, err := os.MkdirTemp(filepath.Dir(path), ".control-")
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
	if err = os.Chmod(hidden, 0o600); err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// Serve answers commands until Shutdown.
func (c *Control) Serve() error {
	if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Close stops listening and removes the socket. Commands that have come go on.
func (c *Control) Close() error {
	err := c.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if file, statErr := os.Lstat(c.path); statErr == nil && os.SameFile(file, c.file) {
		err = errors.Join(err, os.Remove(c.path))
	}
	return err
}

// Shutdown does what Close does, and lets commands end until ctx is done.
func (c *Control) Shutdown(ctx context.Context) error {
	err := c.Close()
	if c.server.Shutdown(ctx) != nil { // commands still run, and nobody waits for them any longer
		err = errors.Join(err, c.server.Close())
	}
	return err
}
