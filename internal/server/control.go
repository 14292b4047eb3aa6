package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tacit/admin"
	"tacit/cache"
	"tacit/config"
	"tacit/dnssec"
	"tacit/internal/wire"
)

// An operator does what the commands on the control socket ask for.
type operator struct{ server *Server }

var (
	_ admin.Cache      = operator{}
	_ admin.Exceptions = operator{}
	_ admin.Process    = operator{}
	_ admin.Debugger   = operator{}
)

var errNotValidated = errors.New("nothing is validated: dnssec.validate is false")

// Flush forgets what is known of a name, zone cut and all.
func (o operator) Flush(name wire.Name) {
	o.flush(func(p *parts, c *cache.Cache) {
		if v := p.judge(); v != nil {
			v.Forget(func(other wire.Name) bool { return other == name })
		}
		c.Flush(name)
	})
}

// FlushSubtree forgets what is known of a name and of all below it.
func (o operator) FlushSubtree(name wire.Name) {
	o.flush(func(p *parts, _ *cache.Cache) { p.resolver.Reconsider(name) })
}

func (o operator) flush(forget func(*parts, *cache.Cache)) {
	s := o.server
	s.mu.Lock()
	forget(s.current.Load(), s.cache)
	s.forgetCrowds()
	s.mu.Unlock()
	s.env.Log.Info("the cache was flushed")
	wipeMemory()
}

// List lists the zones that are not validated.
func (o operator) List() []admin.Exception {
	p := o.server.current.Load()
	list := []admin.Exception{}
	if p.validation == nil {
		return list
	}
	for _, a := range p.negative.List(o.server.env.Now()) {
		list = append(list, admin.Exception{Zone: a.Zone.Reveal(), Until: a.Until, Reason: a.Reason})
	}
	return list
}

// Add has a zone not validated for a time, from now on.
func (o operator) Add(zone wire.Name, lifetime time.Duration, reason string) error {
	s := o.server
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current.Load()
	if p.validation == nil {
		return errNotValidated
	}
	err := p.negative.Add(s.env.Now(), zone, lifetime, reason)
	if errors.Is(err, dnssec.ErrNegativeTime) || errors.Is(err, dnssec.ErrNegativeReason) {
		return admin.Misuse(err)
	}
	if err != nil {
		return err
	}
	s.exceptions.watch(zone)
	p.resolver.Reconsider(zone)
	s.env.Log.Warn("a zone is not validated for a time; tacit nta list shows it", "lifetime", lifetime)
	return nil
}

var errNoException = errors.New("no negative trust anchor was set at run time for that zone")

// Remove has a zone validated again.
func (o operator) Remove(zone wire.Name) error {
	s := o.server
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current.Load()
	if p.validation == nil {
		return errNotValidated
	}
	if !p.negative.Remove(s.env.Now(), zone) {
		return errNoException
	}
	s.exceptions.changed() // and forgotten there
	p.resolver.Reconsider(zone)
	s.env.Log.Info("a zone is validated again")
	return nil
}

// Reload reads the file of the running configuration again.
func (o operator) Reload(ctx context.Context) error {
	err := o.server.ReloadFile(ctx, o.server.current.Load().config.File)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return admin.Misuse(problems)
	}
	return err
}

// exceptions are the zones that were excepted from validation at run time, and whose end is still to come: what was
// concluded without validation ends with the exception.
type exceptions struct {
	mu    sync.Mutex
	zones map[wire.Name]bool
	wake  chan struct{}
}

func newExceptions() exceptions {
	return exceptions{zones: map[wire.Name]bool{}, wake: make(chan struct{}, 1)}
}

func (e *exceptions) watch(zone wire.Name) {
	e.mu.Lock()
	e.zones[zone] = true
	e.mu.Unlock()
	e.changed()
}

func (e *exceptions) changed() {
	select {
	case e.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// exceptionRounds is how often it is looked at the clock, which may be set, whether an exception has ended.
const exceptionRounds = time.Minute

// followExceptions ends exceptions in time, until the server stops.
func (s *Server) followExceptions() {
	for {
		var end <-chan time.Time
		wait, more := s.endExceptions()
		if more {
			end = time.After(wait)
		}
		select {
		case <-s.stopping:
			return
		case <-s.exceptions.wake:
		case <-end:
		}
	}
}

// endExceptions forgets what was concluded in the zones whose exception has ended. It returns how long to wait for the
// next, if there are any.
func (s *Server) endExceptions() (wait time.Duration, more bool) {
	s.exceptions.mu.Lock()
	defer s.exceptions.mu.Unlock()
	p, now := s.current.Load(), s.env.Now()
	var list []dnssec.NegativeAnchor
	if p.validation != nil {
		list = p.negative.List(now)
	}
	wait = exceptionRounds
	for zone := range s.exceptions.zones {
		i := slices.IndexFunc(list, func(a dnssec.NegativeAnchor) bool { return a.Zone == zone && !a.Until.IsZero() })
		if i < 0 {
			p.resolver.Reconsider(zone)
			delete(s.exceptions.zones, zone)
			continue
		}
		wait = min(wait, list[i].Until.Sub(now))
	}
	return wait, len(s.exceptions.zones) > 0
}

// controlFileName is the socket's name in the directory that a service manager gives.
const controlFileName = "control.sock"

// controlDirectory is where a service manager puts the files of tacit while it runs, as seen by a command.
const controlDirectory = "/run/tacit"

// controlPath returns the socket on which a server with a configuration listens, or nothing.
func controlPath(c *config.Config) string {
	if c.Admin.Control != "" {
		return c.Admin.Control
	}
	return inDirectory("RUNTIME_DIRECTORY", controlFileName)
}

// inDirectory is the path of a file in a directory that a service manager has named in the environment, or nothing.
func inDirectory(variable, file string) string {
	directory, _, _ := strings.Cut(os.Getenv(variable), ":") // systemd.exec(5): several are separated by colons
	if directory == "" {
		return ""
	}
	return filepath.Join(directory, file)
}

// FindControl returns the socket on which the commands of an operator find a server with a configuration, or nothing.
func FindControl(c *config.Config) string {
	if path := controlPath(c); path != "" {
		return path
	}
	path := filepath.Join(controlDirectory, controlFileName)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// openControl opens the socket of a configuration, unless it is open already; nil where there is to be none.
func (s *Server) openControl(ctx context.Context, c *config.Config) (*admin.Control, error) {
	path := controlPath(c)
	if path == "" {
		return nil, nil
	}
	if old := s.current.Load(); old != nil && s.control != nil && controlPath(old.config) == path {
		return s.control, nil
	}
	o := operator{s}
	control, err := admin.Listen(ctx, admin.Options{Path: path, Cache: o, Exceptions: o, Process: o, Statement: o.Statement, Debugger: o, Panicked: s.env.panics.report})
	if err != nil {
		return nil, fmt.Errorf("admin.control: %w", err)
	}
	return control, nil
}

// setControl serves the commands on one socket instead of another; either may be nil, and they may be the same.
func (s *Server) setControl(control *admin.Control) {
	old := s.control
	if old == control {
		return
	}
	s.control = control
	if control != nil {
		s.retired.Go(func() {
			if err := control.Serve(); err != nil {
				s.env.Log.Error("the control socket has stopped", "error", err)
			}
		})
	}
	if old != nil {
		if err := old.Close(); err != nil {
			s.env.Log.Warn("the control socket was not removed")
		}
		s.retired.Go(func() { s.retireControl(old) })
	}
}

// retireControl lets commands end that came over a socket, such as the reload that did away with it, as long as the server
// runs.
func (s *Server) retireControl(old *admin.Control) {
	ctx, cancel := context.WithTimeout(context.Background(), retireAfter)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-s.stopping:
		case <-ctx.Done():
		}
	}()
	_ = old.Shutdown(ctx) // who still waits has lost the server
}

// endControl ends all commands at once: those that wait would wait for the end of the server, and it for them.
func (s *Server) endControl() error {
	if s.control == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.control.Shutdown(ctx)
}
