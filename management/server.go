package management

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"
)

// A Server serves the API over HTTP on one address.
type Server struct {
	listener net.Listener
	server   *http.Server
	handler  *handler
}

// Limits of what clients may take.
const (
	headerTime     = 5 * time.Second
	readTime       = 30 * time.Second
	writeTime      = 60 * time.Second
	idleTime       = 60 * time.Second
	maxHeader      = 16 << 10
	maxConnections = 64
)

// Listen opens the address.
func Listen(ctx context.Context, at netip.AddrPort, o Options) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	h := newHandler(o)
	return &Server{listener: netutil.LimitListener(listener, maxConnections), handler: h, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it says what clients sent
	}}, nil
}

// Addr is where it listens.
func (s *Server) Addr() netip.AddrPort { return s.listener.Addr().(*net.TCPAddr).AddrPort() }

// Allow says who may do what from now on, and how much of it. Before the first call nobody may do anything.
func (s *Server) Allow(t Tokens, l Limits) { s.handler.access.Store(&access{t, l}) }

// Serve answers requests until Shutdown.
func (s *Server) Serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Close stops listening. Requests that have come go on.
func (s *Server) Close() error { return s.listener.Close() }

// Shutdown does what Close does, and lets requests end until ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.server.Shutdown(ctx) != nil { // requests still run, and nobody waits for them any longer
		return s.server.Close()
	}
	return nil
}
