package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/netutil"
)

// A Monitor serves metrics, health and the privacy statement over HTTP, to look at and nothing else.
type Monitor struct {
	listener net.Listener
	server   *http.Server
}

// MonitorOptions say what a Monitor shows. Snapshots and Ready are needed.
type MonitorOptions struct {
	Snapshots *Snapshots
	Ready     func() bool // whether clients are served
	// Page gives what is to be shown at other paths. Nil: nothing.
	Page func(path string) (mediaType string, body []byte, ok bool)
	// Panicked is told of each request that has panicked, while its stack is still there. Nil: nobody is.
	Panicked func()
}

// maxWatchers bounds the connections of a Monitor.
const maxWatchers = 32

// ListenMonitor opens the address.
func ListenMonitor(ctx context.Context, at netip.AddrPort, o MonitorOptions) (*Monitor, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	if o.Page == nil {
		o.Page = func(string) (string, []byte, bool) { return "", nil, false }
	}
	return &Monitor{listener: netutil.LimitListener(listener, maxWatchers), server: &http.Server{
		Handler:           &watch{o},
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: readTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it says what clients sent
	}}, nil
}

// Addr is where it listens.
func (m *Monitor) Addr() netip.AddrPort { return m.listener.Addr().(*net.TCPAddr).AddrPort() }

// Serve answers until Shutdown.
func (m *Monitor) Serve() error {
	if err := m.server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Shutdown stops listening and lets requests end until ctx is done.
func (m *Monitor) Shutdown(ctx context.Context) error {
	if m.server.Shutdown(ctx) != nil { // requests still run, and nobody waits for them any longer
		return m.server.Close()
	}
	return nil
}

// A watch answers the requests of a Monitor.
type watch struct{ MonitorOptions }

func (w *watch) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil {
			w.Panicked()
			panic(http.ErrAbortHandler)
		}
	}()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		to.Header().Set("Allow", "GET, HEAD")
		show(to, http.StatusMethodNotAllowed, plainText, nil)
		return
	}
	switch r.URL.Path {
	case "/metrics":
		f := prometheus
		if strings.Contains(r.Header.Get("Accept"), "application/openmetrics-text") {
			f = openMetrics
		}
		show(to, http.StatusOK, mediaTypes[f], []byte(w.Snapshots.text(f)))
	case "/livez", "/healthz":
		show(to, http.StatusOK, plainText, []byte("ok\n"))
	case "/readyz":
		if w.Ready() {
			show(to, http.StatusOK, plainText, []byte("ok\n"))
			return
		}
		show(to, http.StatusServiceUnavailable, plainText, []byte("not ready\n"))
	default:
		mediaType, body, ok := w.Page(r.URL.Path)
		if !ok {
			show(to, http.StatusNotFound, plainText, nil)
			return
		}
		show(to, http.StatusOK, mediaType, body)
	}
}

const plainText = "text/plain; charset=utf-8"

// show writes an answer with the three headers that the clients of DNS get.
func show(to http.ResponseWriter, code int, mediaType string, body []byte) {
	h := to.Header()
	h["Date"] = nil
	h["Content-Type"], h["Content-Length"], h["Cache-Control"] = []string{mediaType}, []string{strconv.Itoa(len(body))}, []string{"no-store"}
	to.WriteHeader(code)
	_, _ = to.Write(body) // who does not wait for it has lost it
}
