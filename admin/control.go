package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"tacit/internal/place"
	"tacit/internal/wire"
)

// A Control listens on a unix socket for the commands of the operator. The file system says who may use it: the
// socket is its owner's alone (mode 0600), and there is neither a password nor a TCP port.
type Control struct {
	listener net.Listener
	server   *http.Server
}

// Options say where a Control listens, and what it controls. All but Panicked are needed.
type Options struct {
	Path       string
	Cache      Cache
	Exceptions Exceptions
	Process    Process
	// Statement is the privacy statement in JSON.
	Statement func() []byte
	// Debugger shows what becomes of one name. Nil: nothing does.
	Debugger Debugger
	// Panicked is told of each command that has panicked, while its stack is still there. Nil: nobody is.
	Panicked func()
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

// A Debugger shows one operator for a time what becomes of questions for one name.
type Debugger interface {
	// Debug calls tell for each event, until the time is over or ctx is done, which it is when the terminal has gone away.
	Debug(ctx context.Context, name wire.Name, lifetime time.Duration, reason string, tell func(DebugEvent) error) error
}

// A DebugEvent is a question for the name, or an answer to one.
type DebugEvent struct {
	After     time.Duration `json:"after"`            // the beginning of the session
	Client    string        `json:"client,omitempty"` // c1, c2 and so on in a question; new ones in each session
	Transport string        `json:"transport"`
	Type      string        `json:"type"`
	DO        bool          `json:"do"`
	CD        bool          `json:"cd"`
	Rcode     string        `json:"rcode,omitempty"` // in an answer
	Errors    []string      `json:"errors,omitempty"`
}

// Time-outs. A reload or a flush takes less than a second; a client is a command on the same machine.
const (
	headerTime = 5 * time.Second
	readTime   = 10 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 30 * time.Second

	maxHeader = 8 << 10
	maxBody   = 64 << 10
)

// Listen opens the socket.
func Listen(ctx context.Context, o Options) (*Control, error) {
	listener, err := place.Listen(ctx, o.Path, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	return &Control{listener: listener, server: &http.Server{
		Handler:           newHandler(o),
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it says what clients sent
	}}, nil
}

// Serve answers commands until Shutdown.
func (c *Control) Serve() error {
	if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Close stops listening and removes the socket. Commands that have come go on.
func (c *Control) Close() error { return c.listener.Close() }

// Shutdown does what Close does, and lets commands end until ctx is done.
func (c *Control) Shutdown(ctx context.Context) error {
	err := c.Close()
	if c.server.Shutdown(ctx) != nil { // commands still run, and nobody waits for them any longer
		err = errors.Join(err, c.server.Close())
	}
	return err
}
