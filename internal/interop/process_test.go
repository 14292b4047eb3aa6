//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A process is a server that a test started.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // set before done is closed
}

// Deadlines for starting and stopping one server.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 50 * time.Millisecond
)

// start runs a program with its output in a file under dir; the end of the test stops it.
func start(t *testing.T, dir, label, program string, args ...string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, label+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{name: label, cmd: exec.Command(program, args...), log: log.Name(), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", label, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// stop ends the process and waits for it; to stop it again changes nothing.
func (p *process) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
	}
	// The group is the process and its own children (NSD has some).
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, stopTimeout)
}

// awaitAnswer waits until the server at addr answers the query over UDP, in whatever way accept wants.
func (p *process) awaitAnswer(t *testing.T, addr netip.AddrPort, query *dns.Msg, accept func(*dns.Msg) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	client := &dns.Client{Timeout: time.Second}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if reply, _, err := client.ExchangeContext(ctx, query, addr.String()); err == nil && accept(reply) {
			return
		}
		select {
		case <-ticker.C:
		case <-p.done:
			t.Fatalf("%s ended at once: %v\n%s", p.name, p.err, p.tail())
		case <-ctx.Done():
			t.Fatalf("%s does not answer after %s\n%s", p.name, startTimeout, p.tail())
		}
	}
}

// tail is the end of the process's output.
func (p *process) tail() string {
	const size = 2000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-size):])
}
