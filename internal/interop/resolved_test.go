//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// resolvedVariable names the directory in which Debian's packages systemd-resolved and libsystemd-shared were unpacked.
// Installed they would take over the machine's resolver.
const (
	resolvedVariable = "TACIT_INTEROP_RESOLVED"
	resolvedProgram  = "lib/systemd/systemd-resolved"
)

// resolvedAddress is where systemd-resolved answers, and cannot be told otherwise.
var resolvedAddress = netip.MustParseAddrPort("127.0.0.53:53")

// resolvedScript gives systemd-resolved the files that it insists on, in a mount namespace of its own, and becomes it.
const resolvedScript = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d
install -m 644 resolved.conf /run/systemd/resolved.conf.d/
grep -v ^systemd-resolve: /etc/passwd >passwd
echo 'systemd-resolve:x:990:990::/:/usr/sbin/nologin' >>passwd
grep -v ^systemd-resolve: /etc/group >group
echo 'systemd-resolve:x:990:' >>group
chmod 644 passwd group
mount --bind passwd /etc/passwd
mount --bind group /etc/group
chown -R systemd-resolve:systemd-resolve /run/systemd/resolve
install -m 644 authority.pem /run/authority.pem
export LD_LIBRARY_PATH=$(echo "$1"/usr/lib/*/systemd) SSL_CERT_FILE=/run/authority.pem SYSTEMD_LOG_LEVEL=debug
exec "$1/` + resolvedProgram + `"
`

// resolved asks through the stub of most Linux systems, in strict mode.
func resolved(t *testing.T, v *visit) string {
	addLink(t)
	defer removeLink(t)
	writeFile(t, filepath.Join(v.dir, "resolved.conf"), fmt.Sprintf("[Resolve]\nDNS=%s:%d#%s\nFallbackDNS=\nDomains=~.\nDNSOverTLS=yes\n"+
		"DNSSEC=no\nLLMNR=no\nMulticastDNS=no\nCache=no\n", v.server.Addr(), v.server.Port(), v.name))
	certificate, err := os.ReadFile(v.authority)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(v.dir, "authority.pem"), string(certificate))
	return v.forward(t, resolvedAddress, "unshare", "--mount", "sh", "-c", resolvedScript, "sh", os.Getenv(resolvedVariable))
}

// addLink makes a link that looks like a network: without any, systemd-resolved takes itself for offline.
func addLink(t *testing.T) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader("link add uplink type veth peer name downlink\nlink set downlink up\nlink set uplink up\n" +
		"addr add 198.51.100.1/24 dev uplink\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}

func removeLink(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "del", "uplink").CombinedOutput(); err != nil {
		t.Errorf("ip: %v\n%s", err, out)
	}
}
