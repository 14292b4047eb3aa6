//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// serve puts the whole world on the loopback interface of the namespace.
func (w *world) serve(t *testing.T, dir string) {
	t.Helper()
	w.addAddressesToLoopback(t)
	writeZones(t, dir, w.order)
	signZones(t, dir, w.order)
	for _, addr := range w.silent {
		listenSilently(t, addr)
	}
	processes := make([]*process, len(w.instances))
	for i, s := range w.instances {
		processes[i] = s.start(t, dir)
	}
	for i, s := range w.instances {
		s.awaitZones(t, processes[i])
	}
}

// addAddressesToLoopback gives lo every address of the plan, and a default route, so that a query to any other address
// is seen too instead of failing in the resolver's kernel call. All of it ends with the namespace.
func (w *world) addAddressesToLoopback(t *testing.T) {
	t.Helper()
	var batch strings.Builder
	fmt.Fprintln(&batch, "link set lo up")
	for _, addr := range w.addresses() {
		fmt.Fprintf(&batch, "addr replace %s/%d dev lo\n", addr, addr.BitLen())
	}
	fmt.Fprintln(&batch, "route replace 0.0.0.0/0 dev lo")
	fmt.Fprintln(&batch, "route replace ::/0 dev lo")
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}

// addresses is the plan: every address that a query may go to.
func (w *world) addresses() []netip.Addr {
	var out []netip.Addr
	for _, s := range w.instances {
		out = append(append(out, s.v4...), s.v6...)
	}
	return append(append(out, w.silent...), w.middle...)
}

func writeZones(t *testing.T, dir string, zones []*zone) {
	t.Helper()
	for _, z := range zones {
		writeFile(t, filepath.Join(dir, z.file()), z.text())
	}
}

// file is the base name of the zone file.
func (z *zone) file() string { return "zone." + strings.TrimSuffix("root."+z.apex.String(), ".") }

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listenSilently takes queries and answers none. Without a socket the kernel would answer for it (port unreachable).
func listenSilently(t *testing.T, addr netip.Addr) {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 53)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}

// start runs the instance's program.
func (s *instance) start(t *testing.T, dir string) *process {
	t.Helper()
	own := filepath.Join(dir, s.name)
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(own, "server.conf")
	if s.software == nsd {
		writeFile(t, config, s.nsdConfig(dir, own))
		return start(t, own, s.name, "nsd", "-d", "-c", config)
	}
	writeFile(t, config, s.knotConfig(dir, own))
	return start(t, own, s.name, "knotd", "-c", config)
}

// nsdConfig turns response rate limiting off: it would take two resolvers on one machine for an attack.
func (s *instance) nsdConfig(dir, own string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n username: \"\"\n chroot: \"\"\n database: \"\"\n server-count: 1\n rrl-ratelimit: 0\n"+
		" ipv4-edns-size: 1232\n ipv6-edns-size: 1232\n pidfile: %[1]s/pid\n zonelistfile: %[1]s/zones\n xfrdfile: %[1]s/xfrd\n"+
		" xfrdir: %[1]s\n zonesdir: %[1]s\n", own)
	for _, addr := range s.addresses() {
		fmt.Fprintf(&b, " ip-address: %s\n", addr)
	}
	b.WriteString("remote-control:\n control-enable: no\n")
	for _, z := range s.zones {
		fmt.Fprintf(&b, "zone:\n name: \"%s\"\n zonefile: %s\n", z.apex, filepath.Join(dir, z.file()))
	}
	return b.String()
}

func (s *instance) knotConfig(dir, own string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  rundir: %[1]s\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"+
		"  udp-max-payload: 1232\n  listen: [ %[2]s ]\ncontrol:\n  listen: knot.sock\nlog:\n  - target: stderr\n    any: warning\n"+
		"database:\n  storage: %[1]s\ntemplate:\n  - id: default\n    zonefile-sync: -1\n    journal-content: none\nzone:\n",
		own, s.knotAddresses())
	for _, z := range s.zones {
		fmt.Fprintf(&b, "  - domain: \"%s\"\n    file: %s\n", z.apex, filepath.Join(dir, z.file()))
	}
	return b.String()
}

func (s *instance) knotAddresses() string {
	var out []string
	for _, addr := range s.addresses() {
		out = append(out, fmt.Sprintf("\"%s@53\"", addr))
	}
	return strings.Join(out, ", ")
}

func (s *instance) addresses() []netip.Addr {
	return append(append([]netip.Addr(nil), s.v4...), s.v6...)
}

// awaitZones waits until the instance answers with authority for all of its zones.
func (s *instance) awaitZones(t *testing.T, p *process) {
	t.Helper()
	for _, z := range s.zones {
		query := new(dns.Msg).SetQuestion(z.apex.String(), dns.TypeSOA)
		p.awaitAnswer(t, netip.AddrPortFrom(s.v4[0], 53), query, func(reply *dns.Msg) bool {
			return reply.Authoritative && len(reply.Answer) == 1
		})
	}
}

// A resolver is a recursive resolver to be asked.
type resolver struct {
	name    string
	addr    netip.AddrPort
	program string
	args    []string
	file    string // name of its configuration file
	config  string

	rounds     int  // how often everything is asked
	packetsOff bool // no finished answers
}

// start writes the configuration, runs the resolver and waits until it answers. The query for that has RD clear and
// so makes no resolver look anything up.
func (r *resolver) start(t *testing.T, dir string) *process {
	t.Helper()
	writeFile(t, filepath.Join(dir, r.file), r.config)
	p := start(t, dir, r.name, r.program, r.args...)
	query := new(dns.Msg).SetQuestion(".", dns.TypeNS)
	query.RecursionDesired = false
	p.awaitAnswer(t, r.addr, query, func(*dns.Msg) bool { return true })
	return p
}

// hints are the root hints in zone-file format.
func (w *world) hints() string {
	var b bytes.Buffer
	for _, h := range w.roots {
		fmt.Fprintf(&b, ". 3600000 IN NS %s\n%s\n", h.name, strings.Join(h.lines(), "\n"))
	}
	return b.String()
}

// tacit is the resolver under test; its minimisation is to be strict. The lines go into its table of DNSSEC.
func tacit(binary string, lines ...string) *resolver {
	config := "[listen]\nudp = [\"127.0.0.1:5335\"]\ntcp = [\"127.0.0.1:5335\"]\n\n[admin]\ncontrol = \"" + controlSocket + "\"\n" + tacitConfig
	return &resolver{
		name: "tacit", addr: netip.MustParseAddrPort("127.0.0.1:5335"),
		program: binary, args: []string{"serve", "--config", "tacit.toml"}, file: "tacit.toml",
		config: config + strings.Join(lines, "\n") + "\n", rounds: tacitRounds,
	}
}

// tacitRounds are found, put together from RRsets, and finished answers.
const tacitRounds = 3

// bothWays are tacit as it is, and without finished answers.
func bothWays(r *resolver) []*resolver {
	off := *r
	off.name, off.packetsOff = r.name+" without packets", true
	off.config = strings.Replace(r.config, "[cache]\n", "[cache]\npackets = false\n", 1)
	return []*resolver{r, &off}
}

// tacitConfig is what follows the listeners. Its last table is open, for more lines.
const tacitConfig = `
[recursion]
root_hints = "root.hints"
ipv4 = true
ipv6 = true
local_root = false
encrypt = "off"
allow_special_addresses = true
qname_minimisation = "strict"

[cache]
ttl_blur = false

[dnssec]
`

// unbound is the other opinion; lines are added to its server clause, and of two that say the same the later one wins.
func unbound(label string, lines ...string) *resolver {
	config := `server:
 interface: 127.0.0.1
 port: 5336
 username: ""
 chroot: ""
 directory: "."
 pidfile: ""
 use-syslog: no
 do-daemonize: no
 num-threads: 1
 module-config: "iterator"
 root-hints: "root.hints"
 access-control: 127.0.0.0/8 allow
 do-not-query-localhost: no
 unblock-lan-zones: yes
 edns-buffer-size: 1232
`
	for _, line := range lines {
		config += " " + line + "\n"
	}
	return &resolver{
		name: label, addr: netip.MustParseAddrPort("127.0.0.1:5336"),
		program: "unbound", args: []string{"-d", "-c", "unbound.conf"}, file: "unbound.conf", rounds: 1,
		config: config + "remote-control:\n control-enable: no\n",
	}
}
