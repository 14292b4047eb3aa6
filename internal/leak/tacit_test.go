//go:build leak

package leak

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A tacit is the process under audit, in a directory of its own, and under the eyes of strace, which notes all files that it opens
// for writing, those that are gone again included.
type tacit struct {
	binary, dir string
	trace       string // what strace wrote
	cmd         *exec.Cmd
	done        chan struct{} // closed when it has ended
}

// Settings are what differs between audits.
type settings struct {
	binary string
	level  string
	top    string   // before the tables
	lines  []string // of the table recursion
	dnssec string   // of the table dnssec
	plan   []batch  // asked for beside what all audits ask for
}

const startTimeout = 20 * time.Second

// configText is a resolver as its users run it. What is below its directories is what it may write.
const configText = `%s[listen]
udp = ["10.0.0.1:53", "[fd00::1]:53"]
tcp = ["10.0.0.1:53", "[fd00::1]:53"]
tls = ["10.0.0.1:853", "[fd00::1]:853"]
https = ["10.0.0.1:443", "[fd00::1]:443"]
quic = ["10.0.0.1:853", "[fd00::1]:853"]

[log]
level = "%s"

[admin]
control = "%s/run/control.sock"
listen = "127.0.0.1:9153"

[dnssec]
trust_anchors = ['%s']
%s
[recursion]
root_hints = "root.hints"
allow_special_addresses = true
`

func (w *world) config(dir string, o settings) string {
	return fmt.Sprintf(configText, o.top, o.level, dir, w.Anchor(), o.dnssec) + strings.Join(o.lines, "\n") + "\n"
}

// start runs tacit until the test ends.
func (w *world) start(t *testing.T, o settings) *tacit {
	t.Helper()
	x := &tacit{binary: o.binary, dir: t.TempDir(), done: make(chan struct{})}
	x.trace = filepath.Join(t.TempDir(), "strace")
	for _, sub := range []string{"state", "run", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(x.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	x.write(t, "tacit.toml", w.config(x.dir, o))
	x.write(t, "root.hints", w.Hints())
	out, err := os.Create(filepath.Join(x.dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	errs, err := os.Create(filepath.Join(x.dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	// -D: strace is the grandchild, so that the child is tacit.
	x.cmd = exec.Command("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e",
		"trace=open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,memfd_create,mknod,mknodat,connect", "-o", x.trace,
		o.binary, "serve", "--config", filepath.Join(x.dir, "tacit.toml"))
	x.cmd.Dir, x.cmd.Stdout, x.cmd.Stderr = filepath.Join(x.dir, "home"), out, errs
	x.cmd.Env = append(os.Environ(), "HOME="+x.dir+"/home", "TMPDIR="+x.dir+"/tmp", "STATE_DIRECTORY="+x.dir+"/state", "RUNTIME_DIRECTORY="+x.dir+"/run")
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = x.cmd.Wait() // how it ended is seen in its output
		close(x.done)
	}()
	t.Cleanup(func() { x.stop(t, syscall.SIGTERM) })
	x.await(t)
	return x
}

func (x *tacit) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// await waits until tacit answers. The query for that has RD clear and makes it look nothing up.
func (x *tacit) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	query := new(dns.Msg).SetQuestion(".", dns.TypeNS)
	query.RecursionDesired = false
	for {
		if _, _, err := (&dns.Client{Timeout: time.Second}).ExchangeContext(ctx, query, front4.String()+":53"); err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-x.done:
			t.Fatalf("tacit ended at once\n%s", x.output(t))
		case <-ctx.Done():
			t.Fatalf("tacit does not answer\n%s", x.output(t))
		}
	}
}

func (x *tacit) output(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{"stdout", "stderr"} {
		text, err := os.ReadFile(filepath.Join(x.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}

// stop ends tacit by a signal, and waits; to stop it again changes nothing.
func (x *tacit) stop(t *testing.T, by syscall.Signal) {
	t.Helper()
	_ = x.cmd.Process.Signal(by) // it may have ended
	select {
	case <-x.done:
	case <-time.After(15 * time.Second):
		_ = x.cmd.Process.Kill()
		<-x.done
		t.Error("tacit did not end in time")
	}
}

// command runs one of tacit's commands, and returns all that it prints.
func (x *tacit) command(t *testing.T, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, x.binary, args...)
	cmd.Dir = filepath.Join(x.dir, "home")
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out
}

func (x *tacit) control(t *testing.T, args ...string) []byte {
	t.Helper()
	return x.command(t, append(args, "--config", filepath.Join(x.dir, "tacit.toml"))...)
}

// files returns what tacit wrote into its directories, and how many files of others it opened for writing, or could not be found
// again, except devices that keep nothing.
func (x *tacit) files(t *testing.T) (contents []byte, list, strays []string) {
	t.Helper()
	own := map[string]bool{"tacit.toml": true, "root.hints": true, "stdout": true, "stderr": true}
	err := filepath.WalkDir(x.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Dir(path) == x.dir && own[entry.Name()] {
			return err
		}
		text, err := os.ReadFile(path)
		contents, list = append(contents, text...), append(list, strings.TrimPrefix(path, x.dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return contents, list, x.strays(t)
}

var (
	openedToWrite = regexp.MustCompile(`(?:open|openat|openat2|creat)\((?:[^"]*, )?"([^"]*)", .*(?:O_WRONLY|O_RDWR|O_CREAT).* = \d+`)
	created       = regexp.MustCompile(`(?:creat|memfd_create|mknod|mknodat|symlink|symlinkat)\(.* = \d+`)
	renamed       = regexp.MustCompile(`(?:rename|renameat|renameat2|link|linkat)\((?:[^"]*, )?"([^"]*)", (?:[^"]*, )?"([^"]*)".* = 0`)
)

// whole puts together the lines of calls during which strace saw another thread.
func whole(text []byte) []byte {
	var out []byte
	begun := map[string]string{}
	for line := range strings.Lines(string(text)) {
		pid, _, _ := strings.Cut(line, " ")
		if start, _, ok := strings.Cut(line, " <unfinished ...>"); ok {
			begun[pid] = start
			continue
		}
		if _, rest, ok := strings.Cut(line, " resumed>"); ok && strings.Contains(line, "<... ") {
			line = begun[pid] + rest
		}
		out = append(out, line...)
	}
	return out
}

// strays lists files that tacit opened for writing and that are gone, unless they became another one by a new name.
func (x *tacit) strays(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile(x.trace)
	if err != nil {
		t.Fatal(err)
	}
	text = whole(text)
	kept := map[string]bool{}
	for _, m := range renamed.FindAllSubmatch(text, -1) {
		kept[string(m[1])] = true
	}
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		line := scanner.Text()
		m := openedToWrite.FindStringSubmatch(line)
		switch {
		case m == nil && !created.MatchString(line):
		case m == nil:
			list = append(list, line)
		case kept[m[1]] || m[1] == os.DevNull:
		case !strings.HasPrefix(m[1], x.dir+"/"):
			list = append(list, line)
		default:
			if _, err := os.Stat(m[1]); err != nil {
				list = append(list, line)
			}
		}
	}
	return list
}

// unixConnections counts connections to sockets that are files, which is how programs reach syslog.
func (x *tacit) unixConnections(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(x.trace)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("sa_family=AF_INET")) {
		t.Error("strace saw no connection at all")
	}
	return bytes.Count(text, []byte("sa_family=AF_UNIX"))
}

// memory searches all that the process may write to: heap, stacks, data, and what it has mapped.
func (x *tacit) memory(t *testing.T, s *searcher) *found {
	t.Helper()
	pid := strconv.Itoa(x.cmd.Process.Pid)
	maps, err := os.ReadFile("/proc/" + pid + "/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	f := newFound()
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.Contains(fields[1], "w") || strings.HasPrefix(fields[len(fields)-1], "[v") {
			continue
		}
		var from, to uint64
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		searchRange(f, s, mem, from, to)
	}
	return f
}

const (
	page      = 4 << 10
	chunkSize = 16 << 20
)

// searchRange reads a mapping piece by piece; the pieces overlap, so that nothing is cut. What cannot be read was never written.
func searchRange(f *found, s *searcher, mem *os.File, from, to uint64) {
	buf := make([]byte, chunkSize)
	for from < to {
		n, err := mem.ReadAt(buf[:min(chunkSize, to-from)], int64(from))
		f.look(s, buf[:n])
		switch {
		case err != nil && n == 0:
			from += page
		case from+uint64(n) >= to:
			return
		default:
			from += uint64(n) - min(uint64(n)/2, page)
		}
	}
}
