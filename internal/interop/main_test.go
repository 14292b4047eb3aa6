//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"tacit/internal/apart"
)

// insideVariable is set in the process that runs inside the namespaces, binaryVariable names the tacit to test.
const (
	insideVariable = "TACIT_INTEROP_INSIDE"
	binaryVariable = "TACIT_BIN"
)

// TestMain runs the tests a second time, inside new network, process and mount namespaces: nothing there reaches a real
// network, port 53 is free, and when the inner process ends the kernel ends every server with it.
func TestMain(m *testing.M) {
	if os.Getenv(insideVariable) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "interop:", err)
			os.Exit(1)
		}
		goleak.VerifyTestMain(m)
		return
	}
	code, err := runInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 1
	}
	os.Exit(code)
}

// runInside checks what is needed, builds tacit while there is still a network, and runs this program again.
func runInside() (code int, err error) {
	if err := checkMachine(); err != nil {
		return 0, err
	}
	binary := os.Getenv(binaryVariable)
	if binary == "" {
		dir, err := os.MkdirTemp("", "tacit-interop-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "tacit")
		if err := apart.Build(binary, ""); err != nil {
			return 0, err
		}
	}
	if !filepath.IsAbs(binary) {
		return 0, fmt.Errorf("%s must be an absolute path", binaryVariable)
	}
	if _, err := os.Stat(binary); err != nil {
		return 0, fmt.Errorf("%s: %w", binaryVariable, err)
	}
	return apart.Repeat(os.Stdout, os.Stderr, insideVariable+"=1", binaryVariable+"="+binary)
}

// programs are what the run needs, with the Debian package that has it.
var programs = map[string]string{
	"nsd": "nsd", "knotd": "knot", "keymgr": "knot", "kzonesign": "knot-dnssecutils", "unbound": "unbound", "ip": "iproute2",
	"dnssec-keygen": "bind9-utils", "dnssec-signzone": "bind9-utils", "delv": "bind9-dnsutils",
	"dig": "bind9-dnsutils", "nsupdate": "bind9-dnsutils", "knsupdate": "knot-dnsutils", "kdig": "knot-dnsutils", "curl": "curl", "h2load": "nghttp2-client", "nghttp": "nghttp2-client",
	"gtlsclient": "ngtcp2-client", "node": "nodejs",
	"stubby": "stubby", "dnsdist": "dnsdist", "dnsmasq": "dnsmasq-base",
	"chromium": "chromium", "firefox-esr": "firefox-esr", "certutil": "libnss3-tools",
	"certbot": "certbot",
}

// checkMachine fails, rather than skips, when the run is not possible: a run that tests nothing must not look like success.
func checkMachine() error {
	missing, err := apart.Check(programs)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(os.Getenv(managersVariable), "cloudflare")); err != nil {
		missing = append(missing, "Cloudflare's clients (built by make interop, see "+managersVariable+")")
	}
	for _, program := range []string{"lego", "libdns", "externaldns"} {
		if _, err := os.Stat(filepath.Join(os.Getenv(updatersVariable), program)); err != nil {
			missing = append(missing, program+" (built by make interop, see "+updatersVariable+")")
		}
	}
	if _, err := os.Stat(filepath.Join(os.Getenv(obliviousVariable), "stranger")); err != nil {
		missing = append(missing, "those who speak Oblivious DoH (built by make interop, see "+obliviousVariable+")")
	}
	if _, err := os.Stat(os.Getenv(pebbleVariable)); err != nil {
		missing = append(missing, "Pebble (built by make interop, see "+pebbleVariable+")")
	}
	if _, err := os.Stat(os.Getenv(h2specVariable)); err != nil {
		missing = append(missing, "h2spec (built by make interop, see "+h2specVariable+")")
	}
	if _, err := os.Stat(filepath.Join(os.Getenv(resolvedVariable), resolvedProgram)); err != nil {
		missing = append(missing, "systemd-resolved (unpacked by make interop, see "+resolvedVariable+")")
	}
	return apart.Missing(missing)
}

// strayResolver is the resolver of whoever asks the system for one: nobody is there, and who asks is seen.
const strayResolver = "192.0.2.53"

// furnish makes the process file system that of this namespace, and the system's resolver one that does not answer.
func furnish() error {
	if err := apart.MountProc(); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "tacit-interop-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // the mount keeps it
	defer file.Close()
	if _, err := file.WriteString("nameserver " + strayResolver + "\n"); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := syscall.Mount(file.Name(), "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount resolv.conf: %w", err)
	}
	return nil
}
