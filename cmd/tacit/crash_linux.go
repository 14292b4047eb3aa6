package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// reportVariable makes a tacit the reporter of another one, which writes to its standard input what it has to say when it crashes.
const reportVariable = "TACIT_REPORT_CRASH"

// guardCrashes keeps what the Go runtime says of a crash from the standard error: the value of a panic, and the arguments of all calls
// in hexadecimal, which may be names and addresses. No setting leaves them out, and of what the runtime itself finds wrong nobody
// can recover. So it goes to another process, and that one says which code it was. It returns the standard error for all
// others.
func guardCrashes(stderr *os.File) *os.File {
	kept, err := unix.FcntlInt(stderr.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return stderr
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return stderr
	}
	defer nowhere.Close()
	others := os.NewFile(uintptr(kept), stderr.Name())
	startReporter(others) // without one a crash says nothing at all
	if unix.Dup3(int(nowhere.Fd()), int(stderr.Fd()), 0) != nil {
		return stderr
	}
	return others
}

func startReporter(stderr *os.File) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return
	}
	defer reader.Close()
	defer writer.Close()      // the runtime has its own
	cmd := exec.Command(self) //nolint:gosec // the program that runs
	cmd.Env, cmd.Stdin, cmd.Stderr = []string{reportVariable + "=1"}, reader, stderr
	if cmd.Start() != nil {
		return
	}
	_ = cmd.Process.Release()    // it ends when this process has ended
	debug.SetTraceback("single") // less would leave out the positions
	_ = debug.SetCrashOutput(writer, debug.CrashOptions{})
}

// reportCrash says where another tacit has crashed, if it has. What ends that one by a signal does not end this one before.
func reportCrash(in io.Reader, out io.Writer) {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	r := readCrash(in)
	_, _ = io.Copy(io.Discard, in)
	if r.cause == "" && len(r.positions) > 0 {
		r.cause = "fatal error" // the runtime gives its words for some to the standard error only
	}
	if r.cause != "" {
		_, _ = fmt.Fprintf(out, "tacit: crashed by a %s: a mistake in tacit %s. Positions: %s\n", r.cause, buildID(), strings.Join(r.positions, " "))
	}
}

// A crashed is what may be said of one.
type crashed struct {
	cause     string
	positions []string // function:line, innermost first
}

const maxPositions = 64

var (
	// constantText is what the runtime's own words look like; values that it adds have digits or quotes.
	constantText = regexp.MustCompile(`^[a-zA-Z ,!-]{1,60}$`)
	calledLine   = regexp.MustCompile(`^([\w./*()\[\]~-]+)\(.*\)$`)
	createdLine  = regexp.MustCompile(`^created by ([\w./*()\[\]~-]+)( in goroutine \d+)?$`)
	placeLine    = regexp.MustCompile(`^\t.*\.(?:go|s):(\d+)( .*)?$`)
)

// readCrash reads the text of a crash up to the end of the first goroutine, which is the one that has crashed.
func readCrash(in io.Reader) (c crashed) {
	var function string
	started := false
	for lines := bufio.NewScanner(io.LimitReader(in, 1<<20)); lines.Scan() && len(c.positions) < maxPositions; {
		line := lines.Text()
		if c.cause == "" {
			c.cause = causeOf(line)
		}
		switch called, created, place := calledLine.FindStringSubmatch(line), createdLine.FindStringSubmatch(line), placeLine.FindStringSubmatch(line); {
		case strings.HasPrefix(line, "goroutine "):
			if started {
				return c
			}
			started = true
		case !started:
		case place != nil && function != "":
			c.positions, function = append(c.positions, function+":"+place[1]), ""
		case created != nil:
			function = created[1]
		case called != nil:
			function = called[1]
		}
	}
	return c
}

func causeOf(line string) string {
	if text, ok := strings.CutPrefix(line, "fatal error: "); ok {
		if constantText.MatchString(text) {
			return "fatal error (" + text + ")"
		}
		return "fatal error"
	}
	switch {
	case strings.HasPrefix(line, "panic: "):
		return "panic"
	case strings.HasPrefix(line, "SIG"), strings.HasPrefix(line, "[signal "):
		return "signal"
	}
	return ""
}

// buildID says which code the positions are in.
func buildID() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of an unknown build"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return info.Main.Version + " " + s.Value
		}
	}
	return info.Main.Version
}
