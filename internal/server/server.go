package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tacit/admin"
	"tacit/cache"
	"tacit/config"
	"tacit/internal/crowds"
	"tacit/internal/privacy"
	"tacit/internal/wire"
	"tacit/management"
	"tacit/resolver"
	"tacit/transports"
	"tacit/upstream"
)

// A Server is a running tacit.
type Server struct {
	env     Env
	memory  *upstream.Memory
	quota   transports.Quota // of all listeners together
	current atomic.Pointer[parts]
	shown   atomic.Pointer[credentials] // nil without encrypted transports

	started    time.Time
	exceptions exceptions
	snapshots  admin.Snapshots
	publishing sync.Once
	leaving    atomic.Bool
	stater     stater
	watch      transports.Watch
	sessions   debugSessions
	failing    *crowds.Table
	popular    crowds.Popularity

	mu        sync.Mutex // of all below: start, reload, the commands of the operator, and shutdown exclude each other
	cache     *cache.Cache
	control   *admin.Control // nil without
	managed   *management.Server
	monitor   *admin.Monitor // nil without
	listeners map[endpoint]*transports.Server
	retired   sync.WaitGroup // listeners and parts on their way out
	stopping  chan struct{}
	stopped   bool
}

// Env is all that tacit takes from its machine. The zero value of each field is the machine's own.
type Env struct {
	Now     func() time.Time
	Network upstream.Network
	Log     *slog.Logger   // nil: nothing is logged
	Level   *slog.LevelVar // of Log; set from the configuration unless nil

	panics *panics // made with the defaults
}

func (e Env) withDefaults() Env {
	if e.Now == nil {
		e.Now = time.Now
	}
	e.Now = adjustClock(e.Now)
	if e.Network == nil {
		e.Network = upstream.System{}
	}
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	e.panics = &panics{log: e.Log}
	return e
}

// New builds all parts and opens all sockets, and serves at once. The error is a *transports.ListenError when an address
// cannot be had.
func New(ctx context.Context, c *config.Config, env Env) (*Server, error) {
	s := &Server{
		env: env.withDefaults(), memory: upstream.NewMemory(upstream.MemoryOptions{}), cache: newCache(c),
		listeners: map[endpoint]*transports.Server{}, stopping: make(chan struct{}), exceptions: newExceptions(),
		failing: crowds.NewTable(crowds.Options{AtLeast: failingFrom}),
	}
	s.started = s.env.Now()
	shown, err := s.obtain(c)
	if err != nil {
		return nil, err
	}
	p, err := s.build(c, s.cache, shown)
	if err != nil {
		return nil, err
	}
	if err := p.zones.broken(c); err != nil {
		return nil, errors.Join(err, p.close())
	}
	opened, err := s.openAll(ctx, c)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	s.current.Store(p)
	s.popular.Enable(c.Stats.Top)
	s.show(shown)
	p.follow(s.env)
	s.restate()
	s.take(opened)
	s.setLevel(c)
	s.retired.Go(s.followExceptions)
	s.retired.Go(s.followStatement)
	return s, nil
}

// Reload replaces the configuration as a whole, or not at all. Listeners that stay are not touched, and what was
// learned from other servers is kept as long as the new configuration would have learned the same.
func (s *Server) Reload(ctx context.Context, c *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	old := s.current.Load()
	if !listensTheSame(old.config, c) {
		return errRestart
	}
	memory := s.cache
	if !learnsTheSame(old.config, c) {
		memory = newCache(c)
	}
	shown, err := s.obtain(c)
	if err != nil {
		return err
	}
	p, err := s.build(c, memory, shown)
	if err != nil {
		return err
	}
	opened, err := s.openAll(ctx, c)
	if err != nil {
		return errors.Join(err, p.close())
	}
	s.current.Store(p)
	s.popular.Enable(c.Stats.Top)
	s.show(shown)
	p.follow(s.env)
	s.restate()
	s.cache = memory
	memory.Renew()
	s.take(opened)
	s.retireListeners(ctx, endpoints(c))
	s.retire(old)
	s.setLevel(c)
	return nil
}

var (
	errStopped = errors.New("tacit is shutting down")
	errRestart = errors.New("listen.proxies, listen.http_proxies, tls.min_version, whether there are tls.acme_names, and what shares a UDP port with listen.https change with a restart only")
)

// Shutdown stops listening, lets clients that wait have their answers for at most 5 s or until ctx is done, and ends
// all parts.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.leaving.Store(true)
	ended := s.endControl()
	s.setManagement(nil, nil, management.Limits{})
	results := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { results <- l.Shutdown(ctx) }()
	}
	errs := []error{ended}
	for range s.listeners {
		errs = append(errs, <-results)
	}
	s.setMonitor(nil)
	close(s.stopping)
	s.show(nil)
	s.retired.Wait()
	return errors.Join(append(errs, s.current.Load().close())...)
}

// An opening is what a configuration listens on; what it has in common with the one before is the same.
type opening struct {
	listeners map[endpoint]*transports.Server
	control   *admin.Control     // nil without
	managed   *management.Server // nil without
	tokens    management.Tokens  // of managed
	limits    management.Limits  // of them
	monitor   *admin.Monitor     // nil without
}

// openAll opens what c listens on: all, or nothing.
func (s *Server) openAll(ctx context.Context, c *config.Config) (o opening, err error) {
	if o.control, err = s.openControl(ctx, c); err != nil {
		return o, err
	}
	o.limits = management.Limits{Requests: c.Management.MaxRequests, Exchanges: c.Management.MaxExchanges, Batch: c.Management.MaxBatch}
	if o.managed, o.tokens, err = s.openManagement(ctx, c); err == nil {
		o.monitor, err = s.openMonitor(ctx, c)
	}
	if err == nil {
		o.listeners, err = s.open(ctx, c)
	}
	if err == nil {
		return o, nil
	}
	if o.control != nil && o.control != s.control {
		err = errors.Join(err, o.control.Shutdown(ctx))
	}
	if o.managed != nil && o.managed != s.managed {
		err = errors.Join(err, o.managed.Shutdown(ctx))
	}
	if o.monitor != nil && o.monitor != s.monitor {
		err = errors.Join(err, o.monitor.Shutdown(ctx))
	}
	return o, err
}

// take serves what was opened.
func (s *Server) take(o opening) {
	s.serve(o.listeners)
	s.setControl(o.control)
	s.setManagement(o.managed, o.tokens, o.limits)
	s.setMonitor(o.monitor)
}

// isWithoutIPv6 recognises the IPv6 half of a port that was given alone on a machine that has no IPv6.
func isWithoutIPv6(a netip.AddrPort, err error) bool {
	return a.Addr() == netip.IPv6Unspecified() && isNoFamily(err)
}

func (s *Server) serve(opened map[endpoint]*transports.Server) {
	maps.Copy(s.listeners, opened)
	for _, l := range opened {
		s.retired.Go(func() { l.Serve(s, s) })
	}
}

// retireListeners closes those that are not wanted any more, in the background.
func (s *Server) retireListeners(ctx context.Context, wanted []endpoint) {
	ctx = context.WithoutCancel(ctx)
	for e, l := range s.listeners {
		if slices.Contains(wanted, e) {
			continue
		}
		delete(s.listeners, e)
		s.retired.Go(func() {
			if err := l.Shutdown(ctx); err != nil {
				s.env.Log.Warn("a listener was closed while clients were waiting")
			}
		})
	}
}

// retire closes parts once the resolutions that they have begun must be over.
func (s *Server) retire(p *parts) {
	p.stop() // what follows files and keys does so for others from now on
	s.retired.Go(func() {
		end := time.NewTimer(retireAfter)
		defer end.Stop()
		select {
		case <-end.C:
		case <-s.stopping:
		}
		_ = p.close() // nobody waits for it any more
	})
}

// retireAfter is longer than any client waits.
const retireAfter = 30 * time.Second

func (s *Server) setLevel(c *config.Config) {
	if s.env.Level != nil {
		s.env.Level.Set(c.Log.Level)
	}
}

var (
	_ transports.Responder = (*Server)(nil)
	_ transports.Admitter  = (*Server)(nil)
)

// Recall asks the resolver of the current configuration.
func (s *Server) Recall(dst []byte, q *wire.Query, now time.Time) (wire.Answer, bool) {
	return s.current.Load().resolver.Recall(dst, q, now)
}

// Resolve asks the resolver of the current configuration.
func (s *Server) Resolve(ctx context.Context, q wire.Question) (wire.Answer, transports.Failure) {
	s.tamperWithQuestion(q)
	a, failed := s.current.Load().resolver.Resolve(ctx, q)
	return a, transports.Failure{Stage: stageOf(failed.Step), Accuses: failed.Accuses}
}

// stageOf is what the clients' side calls a step of the resolver.
func stageOf(step resolver.Step) transports.Stage {
	if i := slices.Index(steps, step); i >= 0 {
		return transports.Admission + transports.Stage(i)
	}
	return transports.Front // nothing failed
}

var steps = resolver.Steps()

// Admit asks the access list of the current configuration.
func (s *Server) Admit(addr netip.Addr, now time.Time) (wire.View, bool) {
	s.tamperWithClient(addr)
	return s.current.Load().access.Admit(addr, now)
}

// NewLog returns a logger whose lines hold nothing of clients and names, and its level.
func NewLog(next func(slog.Leveler) slog.Handler) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	return slog.New(privacy.NewHandler(next(level))), level
}
