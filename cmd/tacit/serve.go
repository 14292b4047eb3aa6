package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tacit/config"
	"tacit/internal/server"
)

func newServe() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Resolve for clients",
		Long: "Serve answers clients until it is told to end. Without a configuration it listens on 127.0.0.1 port 5335 over UDP\n" +
			"and TCP, and resolves from the root down.\n\n" +
			"SIGHUP reads the configuration again; if it has a mistake, what was running stays. SIGTERM and SIGINT stop\n" +
			"listening, give clients that wait their answers for at most 5 seconds, and end tacit.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, path) },
	}
	addConfigFlag(c, &path)
	return c
}

func serve(cmd *cobra.Command, path string) error {
	collectLess()
	c, err := load(path)
	if err != nil {
		return err
	}
	if err := server.Check(c); err != nil {
		return &configError{err}
	}
	sent := catchSignals()
	defer sent.stop()
	s, err := start(cmd, c, server.Env{})
	if err != nil {
		return err
	}
	writeWelcome(cmd.OutOrStdout(), s, c)
	return runUntil(cmd.Context(), sent, s, c.File)
}

// garbageShare is the garbage, in percent of what is in use, at which memory is collected. Caches are not part of it, so what
// is in use is a few MiB, 20 with a thousand questions on their way: to collect it each time that it has doubled, as Go does, is a
// tenth of the work then. Beyond this share, memory that is touched for the first time costs as much as collecting.
const garbageShare = 400

// collectLess lets garbage grow to garbageShare, unless the environment says otherwise.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbageShare)
	}
}

// start starts a server that logs to the standard error.
func start(cmd *cobra.Command, c *config.Config, env server.Env) (*server.Server, error) {
	env.Log, env.Level = server.NewLog(func(level slog.Leveler) slog.Handler {
		return slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})
	})
	s, err := server.New(cmd.Context(), c, env)
	if err != nil {
		return nil, fail(errors.New(server.Explain(err)))
	}
	return s, nil
}

// drainTime is how long a server may take to end.
const drainTime = 5 * time.Second

// tellingSignals end tacit like the others. Left alone, Go would print the stacks of all goroutines at them with the
// arguments of each call in hexadecimal, and an address can be one. Service managers send SIGABRT to who misses a watchdog.
var tellingSignals = []os.Signal{syscall.SIGQUIT, syscall.SIGABRT}

// Signals that were sent to this process, caught from before anybody can know that it is there.
type signals struct{ reload, end chan os.Signal }

func catchSignals() *signals {
	s := &signals{reload: make(chan os.Signal, 1), end: make(chan os.Signal, 1)}
	signal.Notify(s.reload, syscall.SIGHUP)
	signal.Notify(s.end, syscall.SIGTERM, os.Interrupt)
	signal.Notify(s.end, tellingSignals...)
	return s
}

func (s *signals) stop() {
	signal.Stop(s.reload)
	signal.Stop(s.end)
}

// runUntil serves until a signal or the end of ctx. A second signal does not wait for the drain.
func runUntil(ctx context.Context, sent *signals, s *server.Server, path string) error {
	clean, stop := context.WithCancel(ctx)
	var cleaning sync.WaitGroup
	cleaning.Go(func() { s.KeepClean(clean) })
	defer cleaning.Wait()
	defer stop()
	for {
		select {
		case <-sent.reload:
			_ = s.ReloadFile(ctx, path) // it has been logged
			continue
		case <-sent.end:
		case <-ctx.Done():
		}
		signal.Stop(sent.end)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		_ = s.Shutdown(ctx) // clients that had to go without an answer are no failure of ours
		s.Forget()
		return nil
	}
}

func writeWelcome(w io.Writer, s *server.Server, c *config.Config) {
	udp, tcp := s.Addrs()
	source := "the built-in configuration"
	if c.File != "" {
		source = c.File
	}
	if plain := slices.Concat(udp, tcp); len(plain) > 0 {
		at := askAt(plain[0], firstTool())
		_, _ = fmt.Fprintf(w, `tacit listens on %s, with %s.
Try, in another terminal:
    %s example.com
    %s example.com MX +tcp
    %s trace example.com
`, describeAddrs(udp, tcp), source, at, at, programName())
	} else {
		_, _ = fmt.Fprintf(w, "tacit listens without plain DNS, with %s.\n", source)
	}
	writeEncrypted(w, s)
	_, _ = fmt.Fprintln(w, "Ctrl-C ends it.")
}

// writeEncrypted names the encrypted transports, and how to ask them with a certificate that nobody else vouches for.
func writeEncrypted(w io.Writer, s *server.Server) {
	at := encryptedOf(s.Endpoints())
	if at.isEmpty() {
		return
	}
	_, _ = fmt.Fprintf(w, "%s. Settings for clients: %s client\n", at, programName())
	writeCertificate(w, s.Certificates(), at)
}

// describeAddrs lists addresses with their transports: 127.0.0.1:53 (UDP and TCP), [::1]:53 (TCP).
func describeAddrs(udp, tcp []netip.AddrPort) string {
	var parts []string
	for _, a := range udp {
		if slices.Contains(tcp, a) {
			parts = append(parts, a.String()+" (UDP and TCP)")
		} else {
			parts = append(parts, a.String()+" (UDP)")
		}
	}
	for _, a := range tcp {
		if !slices.Contains(udp, a) {
			parts = append(parts, a.String()+" (TCP)")
		}
	}
	return strings.Join(parts, ", ")
}

// askAt is how to ask a server at a listen address from this machine.
func askAt(a netip.AddrPort, tool string) string {
	host := a.Addr()
	switch host {
	case netip.IPv4Unspecified():
		host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		host = netip.IPv6Loopback()
	}
	line := tool + " @" + host.String()
	if a.Port() != 53 {
		line += fmt.Sprintf(" -p %d", a.Port())
	}
	return line
}
