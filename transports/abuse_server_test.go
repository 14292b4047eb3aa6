//go:build abuse && linux

package transports

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tacit/internal/wire"
)

// An abuseServer is a Server in a process of its own, so that what it holds can be told from what its clients hold.
type abuseServer struct {
	abuseGreeting
	trusted *x509.CertPool
	process *exec.Cmd
	mu      sync.Mutex // one command at a time
	say     io.WriteCloser
	hear    *json.Decoder
}

// An abuseGreeting is what the process says first.
type abuseGreeting struct {
	Addrs       [transportCount]netip.AddrPort
	Both        netip.AddrPort // DoQ and HTTP/3 on one socket
	Certificate []byte
}

// abuseFigures are what a process holds.
type abuseFigures struct {
	Goroutines, Descriptors int
	Resident, Peak          int // KiB
	Heap, StackMemory       int // of it, KiB in use
	Connections             [transportCount]int64
	Shed                    [transportCount]uint64
	Half                    int64 // QUIC handshakes in progress
	Greetings               int
	Stacks                  string `json:",omitempty"`
}

const abuseVariable = "TACIT_ABUSE_SERVER"

// The test binary is the server, too: so it runs the code under test, and no other.
func init() {
	if os.Getenv(abuseVariable) == "" {
		return
	}
	runtime.MemProfileRate = 0 // what a profile holds is not what clients hold
	if err := abuseServe(os.Stdin, json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// abuseResponder knows every name but those that begin with s, which take a while.
var abuseResponder = script{
	recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
		return wire.Answer{Packet: append(dst, address(q.Question())...)}, q.FoldedName()[1] != 's'
	},
	resolve: slowly(300 * time.Millisecond).resolve,
}

// abuseServe serves until its input ends. Each line of it is a command.
func abuseServe(in io.Reader, out *json.Encoder) error {
	certificate, _, err := abuseCertificate()
	if err != nil {
		return err
	}
	var limits Limits
	if err := json.Unmarshal([]byte(os.Getenv(abuseVariable)), &limits); err != nil {
		return err
	}
	s, err := abuseListen(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }, limits)
	if err != nil {
		return err
	}
	served := make(chan struct{})
	go func() {
		s.Serve(abuseResponder, everybody{})
		close(served)
	}()
	hello := abuseGreeting{Certificate: certificate.Leaf.Raw}
	for t := range transportCount {
		hello.Addrs[t] = s.Addrs(t)[0]
	}
	hello.Both = s.Addrs(QUIC)[1]
	if err := out.Encode(hello); err != nil {
		return err
	}
	for commands := bufio.NewScanner(in); commands.Scan(); {
		if err := out.Encode(abuseMeasure(s, commands.Text())); err != nil {
			return err
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		return err
	}
	<-served
	return nil
}

// abuseListen listens on loopback for all transports, each on a port that the system chooses.
func abuseListen(certificates Certificates, limits Limits) (*Server, error) {
	here := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	o := Options{UDP: here, TCP: here, TLS: here, HTTPS: here, HTTP3: here, QUIC: here, Certificates: certificates, Limits: limits}
	s, err := Listen(context.Background(), o)
	if err != nil {
		return nil, err
	}
	return s, s.openQUIC(context.Background(), &o, here[0], HTTP3, QUIC)
}

// abuseMeasure says what the process holds: at this moment (peek), after what can be freed is (settle), or after it was made
// to believe that all connections have just been used (touch).
func abuseMeasure(s *Server, command string) (f abuseFigures) {
	switch command {
	case "settle":
		runtime.GC() // twice: what a sync.Pool holds is freed by the second
		debug.FreeOSMemory()
	case "reset":
		_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak begins anew
	case "touch":
		s.conns.mu.Lock()
		for c := range s.conns.open {
			c.touch()
		}
		s.conns.mu.Unlock()
	case "stacks":
		var b bytes.Buffer
		stacks := make([]byte, 1<<20)
		b.Write(stacks[:runtime.Stack(stacks, true)])
		f.Stacks = b.String()
	}
	f.Goroutines = runtime.NumGoroutine()
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.Descriptors = len(open) - 1 // one is the directory's
	}
	f.Resident, f.Peak = abuseStatus("VmRSS"), abuseStatus("VmHWM")
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	f.Heap, f.StackMemory = int(memory.HeapInuse>>10), int(memory.StackInuse>>10)
	for t := range transportCount {
		f.Connections[t], f.Shed[t] = s.Counters(t).Connections.Load(), s.Counters(t).Shed.Load()
	}
	for _, l := range s.quic {
		f.Half += l.half.Load()
	}
	s.conns.mu.Lock()
	f.Greetings = s.conns.greetings
	s.conns.mu.Unlock()
	return f
}

// abuseStatus reads a number of KiB of /proc/self/status.
func abuseStatus(field string) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(text), "\n"+field+":")
	line, _, _ := strings.Cut(rest, "kB\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return -1
	}
	return n
}

// startAbused starts the process with the limits that are the default.
func startAbused(t *testing.T) *abuseServer {
	t.Helper()
	return startAbusedWith(t, Limits{})
}

// startAbusedWith starts the process, and ends it after the test.
func startAbusedWith(t *testing.T, limits Limits) *abuseServer {
	t.Helper()
	told, err := json.Marshal(limits)
	if err != nil {
		t.Fatal(err)
	}
	a := &abuseServer{process: exec.CommandContext(t.Context(), os.Args[0])}
	a.process.Env = append(os.Environ(), abuseVariable+"="+string(told))
	a.process.Stderr = os.Stderr
	out, err := a.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if a.say, err = a.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	a.process.Cancel = func() error { return a.say.Close() } // it ends in good order
	a.process.WaitDelay = 10 * time.Second
	if err := a.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.say.Close()
		_ = a.process.Wait()
		if !a.process.ProcessState.Success() {
			t.Error("the server: ", a.process.ProcessState)
		}
	})
	a.hear = json.NewDecoder(out)
	if err := a.hear.Decode(&a.abuseGreeting); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	a.trusted = x509.NewCertPool()
	a.trusted.AddCert(leaf)
	return a
}

// figures has the process measure itself.
func (a *abuseServer) figures(t *testing.T, command string) (f abuseFigures) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := io.WriteString(a.say, command+"\n"); err != nil {
		t.Error(err)
	}
	if err := a.hear.Decode(&f); err != nil {
		t.Error(err)
	}
	return f
}

// A tolerance of 5 % is what the figures may differ by; where they are small, there is none.
func (f abuseFigures) isBack(start abuseFigures) bool {
	within := func(now, then int) bool { return 100*now <= 105*then }
	return within(f.Goroutines, start.Goroutines) && within(f.Descriptors, start.Descriptors) &&
		within(f.Resident, start.Resident) && f.isIdle()
}

func (f abuseFigures) isIdle() bool {
	return f.Half == 0 && f.Greetings == 0 && f.Connections == [transportCount]int64{}
}

// abuseBackWithin is how long the server may take to forget: HTTP/3's timers are the last, 10 s after a connection is closed.
const abuseBackWithin = 15 * time.Second

// begin waits until the process holds nothing for clients that have warmed it up.
func (a *abuseServer) begin(t *testing.T) (start abuseFigures) {
	t.Helper()
	for begin := time.Now(); !a.figures(t, "settle").isIdle(); time.Sleep(250 * time.Millisecond) {
		if time.Since(begin) > abuseBackWithin {
			t.Fatalf("it is not idle: %+v", a.figures(t, "peek"))
		}
	}
	a.figures(t, "reset")
	return a.figures(t, "settle")
}

// back waits until the process holds no more than at the start.
func (a *abuseServer) back(t *testing.T, start abuseFigures) (end abuseFigures, ok bool) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < abuseBackWithin; time.Sleep(250 * time.Millisecond) {
		if end = a.figures(t, "settle"); end.isBack(start) {
			return end, true
		}
	}
	return end, false
}

// abuseRounds is how often abuse is tried: what the runtime keeps for itself (stacks, spans) finds its level in the first
// rounds, and what is lost is lost in each.
const abuseRounds = 3

// rounds abuses the server until a round leaves it as it was when that round began, and adds a row to the table.
func (a *abuseServer) rounds(t *testing.T, table *abuseTable, name string, connections int, abuse func()) {
	t.Helper()
	for round := 1; ; round++ {
		start, begin := a.begin(t), time.Now()
		abuse()
		took := time.Since(begin)
		peak := a.figures(t, "peek").Peak
		end, ok := a.back(t, start)
		table.row(name, connections, start, end, peak, took)
		if ok || t.Failed() {
			return
		}
		if round == abuseRounds {
			t.Errorf("not back: %+v, at the start %+v", end, start)
			if end.Goroutines > start.Goroutines {
				t.Log(a.figures(t, "stacks").Stacks)
			}
			return
		}
		t.Logf("round %d: %d KiB, at the start %d", round, end.Resident, start.Resident)
	}
}

// An abuseTable is how the figures are printed.
type abuseTable struct{ strings.Builder }

func (r *abuseTable) row(name string, connections int, start, end abuseFigures, peak int, took time.Duration) {
	if r.Len() == 0 {
		fmt.Fprintf(r, "\n%-22s %11s %15s %15s %19s %9s %7s\n", "what", "connections", "goroutines", "descriptors", "resident KiB", "peak KiB", "took")
	}
	fmt.Fprintf(r, "%-22s %11d %7d %7d %7d %7d %9d %9d %9d %6.1fs\n", name, connections,
		start.Goroutines, end.Goroutines, start.Descriptors, end.Descriptors, start.Resident, end.Resident, peak, took.Seconds())
}
