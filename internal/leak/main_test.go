//go:build leak

package leak

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tacit/internal/apart"
)

// insideVariable is set in the process that runs inside the namespaces, and the others name the binaries.
const (
	insideVariable = "TACIT_LEAK_INSIDE"
	binaryVariable = "TACIT_BIN"
	panicsVariable = "TACIT_LEAK_PANICS" // built with the tag leaktest
	leakyVariable  = "TACIT_LEAK_LEAKY"  // built with the tag leaky
)

// TestMain runs the tests a second time, inside new network, process and mount namespaces: nothing there reaches a real network,
// any address is free, and when the inner process ends the kernel ends every tacit with it.
func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "leak:", err)
			os.Exit(1)
		}
		goleak.VerifyTestMain(m)
		return
	}
	code, err := runInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "leak:", err)
		code = 1
	}
	os.Exit(code)
}

// runInside checks what is needed, builds what is missing while there is still a network, and runs this program again.
func runInside() (code int, err error) {
	missing, err := apart.Check(programs)
	if err != nil {
		return 0, err
	}
	if err := apart.Missing(missing); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tacit-leak-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	environment := []string{insideVariable + "=1"}
	for variable, tag := range map[string]string{binaryVariable: "", panicsVariable: "leaktest", leakyVariable: "leaky"} {
		binary := os.Getenv(variable)
		if binary == "" {
			binary = filepath.Join(dir, "tacit"+tag)
			if err := apart.Build(binary, tag); err != nil {
				return 0, err
			}
		}
		if !filepath.IsAbs(binary) {
			return 0, fmt.Errorf("%s must be an absolute path", variable)
		}
		if _, err := os.Stat(binary); err != nil {
			return 0, fmt.Errorf("%s: %w", variable, err)
		}
		environment = append(environment, variable+"="+binary)
	}
	return apart.Repeat(os.Stdout, os.Stderr, environment...)
}

// programs are what the run needs, with the Debian package that has it.
var programs = map[string]string{"ip": "iproute2", "strace": "strace"}

// furnish makes the process file system that of this namespace, and lets any address be used here: the marked clients' networks
// and all else lead to the loopback interface.
func furnish() error {
	if err := apart.MountProc(); err != nil {
		return err
	}
	for _, option := range []string{"ipv4/ip_nonlocal_bind", "ipv6/ip_nonlocal_bind"} {
		if err := os.WriteFile("/proc/sys/net/"+option, []byte("1"), 0o600); err != nil {
			return err
		}
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader("link set lo up\naddr add 10.0.0.1/8 dev lo\naddr add fd00::1/128 dev lo\n" +
		"route add local fd00::/8 dev lo\nroute add local 198.18.0.0/15 dev lo\n" +
		"route replace 0.0.0.0/0 dev lo\nroute replace ::/0 dev lo\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}
