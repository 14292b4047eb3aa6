// Command tacit is a recursive DNS resolver that keeps nothing about who asked. It parses flags, turns signals into
// calls and errors into exit codes; what it starts is put together by internal/server.
//
// Limitations: the commands that talk to a running tacit reach one on this machine only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"tacit/config"
)

//go:generate go run . man ../../docs/man

// Exit codes.
const (
	exitGood    = 0
	exitRunTime = 1 // tacit was told right, and could not do it
	exitUsage   = 2 // the command line or the configuration is at fault
)

func main() {
	hideMemory()
	// Libraries log by the standard logger, at the bidding of environment variables, what they have on the wire.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if reportVariable != "" && os.Getenv(reportVariable) != "" {
		reportCrash(os.Stdin, os.Stderr)
		return
	}
	stderr := os.Stderr
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "lab") { // what has clients
		stderr = guardCrashes(stderr)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitGood
	}
	if f, ok := errors.AsType[*failure](err); ok {
		report(stderr, f.err.Error())
		return exitRunTime
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		reportProblems(stderr, problems)
		return exitUsage
	}
	report(stderr, err.Error())
	if _, ok := errors.AsType[*configError](err); !ok {
		report(stderr, "see "+command.CommandPath()+" --help")
	}
	return exitUsage
}

// A failure is an error of the run time.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// fail marks an error as one of the run time.
func fail(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err}
}

// A configError is an error of the configuration that has no place in the file.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }

func (e *configError) Unwrap() error { return e.err }

// load finds, reads and checks the configuration.
func load(path string) (*config.Config, error) {
	c, err := config.Load(config.Find(path))
	if err != nil {
		return nil, &configError{err}
	}
	return c, nil
}

// report writes to the standard error, which nobody can do anything about when it fails.
func report(w io.Writer, text string) { _, _ = fmt.Fprintln(w, "tacit:", text) }

func reportProblems(w io.Writer, problems config.Problems) {
	for _, p := range problems {
		_, _ = fmt.Fprintln(w, p.Marked())
	}
}
