package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The test binary is tacit, too, where this variable names a configuration: so it can crash.
const crashVariable = "TACIT_CRASH_SERVE"

// explodeVariable has it end by itself, in one of the ways of explosions.
const explodeVariable = "TACIT_CRASH_BY"

func init() {
	if os.Getenv(reportVariable) != "" {
		main()
		os.Exit(0)
	}
	if way := os.Getenv(explodeVariable); way != "" {
		guardCrashes(os.Stderr)
		fmt.Println("Ctrl-C")
		explosions[way](crashMarker, netip.MustParseAddr(crashAddress))
	}
	if path := os.Getenv(crashVariable); path != "" {
		os.Args = []string{"tacit", "serve", "--config", path}
		main()
	}
}

// crashOrigins are in a zone, in which their names are proxied.
func crashOrigins() (zone string, list []string) {
	for i := range 20 {
		v4, v6 := fmt.Sprintf("198.51.100.%d", 100+i), fmt.Sprintf("2001:db8:5ec::%x", 100+i)
		zone += fmt.Sprintf("a%[1]d A %[2]s ; cf_tags=cf-proxied:true\na%[1]d AAAA %[3]s ; cf_tags=cf-proxied:true\n", i, v4, v6)
		for _, text := range []string{v4, v6} {
			octets := netip.MustParseAddr(text).AsSlice()
			list = append(list, text, string(octets), hex.EncodeToString(octets[max(0, len(octets)-8):]))
		}
	}
	return zone, list
}

// A tacit that crashes leaves no core, and says nothing of what it holds, however much of that is asked for; another program leaves
// one.
func TestCrashesTellNothing(t *testing.T) {
	zone, origins := crashOrigins()
	for _, c := range []struct {
		traceback string // of the Go runtime; for "crash" it takes 5 s
		signal    syscall.Signal
	}{{"crash", syscall.SIGSEGV}, {"all", syscall.SIGSEGV}, {"system", syscall.SIGTRAP}, {"single", syscall.SIGILL}} {
		t.Run(c.traceback, func(t *testing.T) {
			directory := t.TempDir()
			overwrite(t, filepath.Join(directory, "home.zone"), zone)
			path := filepath.Join(directory, "tacit.toml")
			overwrite(t, path, "[listen]\nudp = ['"+freePort(t).String()+"']\ntcp = []\n[[zone]]\nname = 'home.test'\nfile = 'home.zone'\n[edge]\naddresses = ['203.0.113.10']\n")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			said := crash(t, directory, c.signal, `exec "$0"`, self, crashVariable+"="+path, "GOTRACEBACK="+c.traceback)
			if !strings.Contains(said, "crashed by a ") || strings.Contains(said, "0x") {
				t.Fatalf("it did not crash: %s", said)
			}
			for _, origin := range origins {
				if strings.Contains(said, origin) {
					t.Errorf("%q is told:\n%s", origin, said)
				}
			}
			if cores := coresIn(t, directory); len(cores) > 0 {
				t.Error("a core is left")
			}
		})
	}
	if !leavesCores(t) {
		t.Log("this machine keeps cores elsewhere, or none: that the search would find one is not shown")
		return
	}
	directory := t.TempDir()
	crash(t, directory, syscall.SIGSEGV, `echo Ctrl-C; while :; do :; done`, "", "HELD=198.51.100.100") // in exec, it would leave none
	if cores := coresIn(t, directory); len(cores) != 1 || !bytes.Contains(cores[0], []byte("198.51.100.100")) {
		t.Errorf("the search for cores is blind: %d are found", len(cores))
	}
}

const (
	crashMarker  = "q7xvcrash.example"
	crashAddress = "198.51.100.77"
)

// Explosions are the ways in which a program in Go ends against its will.
var explosions = map[string]func(name string, addr netip.Addr){
	"a panic in main":      explode,
	"a panic elsewhere":    func(name string, addr netip.Addr) { go explode(name, addr); select {} },
	"a panic with a panic": func(name string, addr netip.Addr) { defer explode(name, addr); explode(name, addr) },
	"an error of the runtime": func(name string, addr netip.Addr) {
		list := []netip.Addr{addr}
		list[len(name)] = addr
	},
	"what nobody can recover from": func(name string, addr netip.Addr) {
		shared := map[string]netip.Addr{}
		go func() {
			for {
				shared[name] = addr
			}
		}()
		for {
			shared[name] = addr
		}
	},
}

//go:noinline
func explode(name string, addr netip.Addr) { panic(name + " " + addr.String()) }

// However a program ends that has clients: what is said of it is where the code was, with no value and no address in it.
func TestCrashReportHoldsCodePositionsOnly(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for way := range explosions {
		for _, traceback := range []string{"none", "all", "system"} {
			t.Run(way+" with "+traceback, func(t *testing.T) {
				said := crash(t, t.TempDir(), 0, `exec "$0"`, self, explodeVariable+"="+way, "GOTRACEBACK="+traceback)
				for _, value := range []string{"q7xv", crashAddress, hex.EncodeToString([]byte{198, 51, 100, 77}), "0x", "goroutine ", ".go:"} {
					if strings.Contains(said, value) {
						t.Errorf("%q is told: %s", value, said)
					}
				}
				if !strings.HasPrefix(said, "tacit: crashed by a ") {
					t.Errorf("it says %q", said)
				}
				if !regexp.MustCompile(`tacit/cmd/tacit\.\S+:\d+`).MatchString(said) {
					t.Errorf("no position is told: %s", said)
				}
			})
		}
	}
}

// crash starts a program in a directory, with as many cores as can be had, ends it by a signal, unless it is 0, once it is there, and returns what it
// has said on its standard error.
func crash(t *testing.T, directory string, signal syscall.Signal, program, argument string, environment ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -H -c unlimited 2>/dev/null; ulimit -c "$(ulimit -H -c)"; `+program, argument)
	cmd.Dir, cmd.Env = directory, append(os.Environ(), environment...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	if err := cmd.Process.Signal(signal); err != nil && signal != 0 {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was ended by a signal
	return said.String()
}

// leavesCores reports whether programs that crash here leave a core in their directory (core(5)).
func leavesCores(t *testing.T) bool {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	return bytes.HasPrefix(pattern, []byte("core")) && limit.Max > 0
}

func coresIn(t *testing.T, directory string) (cores [][]byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "core*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		octets, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cores = append(cores, octets)
	}
	return cores
}
