//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"tacit/internal/apart"
)

// A covert world has a root, a TLD and a zone below it on servers of NSD that speak TLS, one zone on a tacit that speaks QUIC and TLS,
// and one on a knotd that can be asked in clear alone (RFC 9539).
type covertWorld struct {
	dir     string
	tacit   *process
	control map[string]string // of nsd-control, by the address of the server
}

const (
	covertHost  = "127.0.5.1"
	covertRoot  = "127.0.5.2"
	covertTop   = "127.0.5.3"
	covertNSD   = "127.0.5.4"
	covertTacit = "127.0.5.5"
	covertKnot  = "127.0.5.6"

	// covertMark is in the name of every zone and server, and in every name that is asked for below them.
	covertMark = "qmarkq"
)

func openCovert(t *testing.T) *covertWorld {
	t.Helper()
	new(world).addAddressesToLoopback(t)
	w := &covertWorld{dir: t.TempDir(), control: map[string]string{}}
	zone := func(file, text string) string {
		path := filepath.Join(w.dir, file)
		writeFile(t, path, "$TTL 300\n@ SOA ns."+covertMark+". hostmaster."+covertMark+". 1 3600 600 86400 60\n"+text)
		return path
	}
	below := "@ NS ns\n* A 198.51.100.7\nns A "
	w.startNSD(t, covertRoot, ".", zone("root", "@ NS ns."+covertMark+".\nns."+covertMark+". A "+covertRoot+"\n"+covertMark+". NS ns.top."+covertMark+".\nns.top."+covertMark+". A "+covertTop+"\n"))
	delegations := "@ NS ns.top\nns.top A " + covertTop + "\n"
	for label, address := range map[string]string{"nsd": covertNSD, "tacit": covertTacit, "knot": covertKnot} {
		delegations += fmt.Sprintf("%[1]s NS ns.%[1]s\nns.%[1]s A %[2]s\n", label, address)
	}
	w.startNSD(t, covertTop, covertMark+".", zone("top", delegations))
	w.startNSD(t, covertNSD, "nsd."+covertMark+".", zone("below.nsd", below+covertNSD+"\n"))
	w.startTacit(t, zone("below.tacit", below+covertTacit+"\n"))
	w.startKnot(t, zone("below.knot", below+covertKnot+"\n"))
	own := w.own(t, covertHost)
	writeFile(t, filepath.Join(own, "root.hints"), ". 300 NS ns."+covertMark+".\nns."+covertMark+". 300 A "+covertRoot+"\n")
	writeFile(t, filepath.Join(own, "tacit.toml"), fmt.Sprintf(`[listen]
udp = ["%[1]s:53"]
tcp = ["%[1]s:53"]
[recursion]
root_hints = "root.hints"
allow_special_addresses = true
[dnssec]
validate = false
[admin]
control = %[2]q
`, covertHost, controlSocket))
	w.tacit = start(t, own, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	m := new(dns.Msg).SetQuestion(".", dns.TypeNS)
	m.RecursionDesired = false
	w.tacit.awaitAnswer(t, netip.MustParseAddrPort(covertHost+":53"), m, func(*dns.Msg) bool { return true })
	return w
}

// own makes a directory for a server.
func (w *covertWorld) own(t *testing.T, address string) string {
	t.Helper()
	own := filepath.Join(w.dir, address)
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	return own
}

func (w *covertWorld) startNSD(t *testing.T, address, apex, file string) {
	t.Helper()
	own := w.own(t, address)
	c := newAuthority(t, own, "nobody").issue(t, own, "nobody.example")
	w.control[address] = filepath.Join(own, "nsd.conf")
	writeFile(t, w.control[address], fmt.Sprintf(`server:
 ip-address: %[2]s@53
 ip-address: %[2]s@853
 tls-service-key: %[3]s
 tls-service-pem: %[4]s
 tls-port: 853
 username: ""
 chroot: ""
 database: ""
 server-count: 1
 rrl-ratelimit: 0
 pidfile: %[1]s/pid
 zonelistfile: %[1]s/zones
 xfrdfile: %[1]s/xfrd
 xfrdir: %[1]s
 zonesdir: %[1]s
remote-control:
 control-enable: yes
 control-interface: %[1]s/control
zone:
 name: "%[5]s"
 zonefile: %[6]s
`, own, address, c.key, c.certificate, apex, file))
	p := start(t, own, "nsd", "nsd", "-d", "-c", "nsd.conf")
	awaitSerial(t, p, address, apex, 1)
}

func (w *covertWorld) startTacit(t *testing.T, file string) {
	t.Helper()
	own := w.own(t, covertTacit)
	writeFile(t, filepath.Join(own, "tacit.toml"), fmt.Sprintf(`[listen]
udp = ["%[1]s:53"]
tcp = ["%[1]s:53"]
tls = ["%[1]s:853"]
quic = ["%[1]s:853"]
[[zone]]
name = "tacit.%[2]s."
file = %[3]q
[admin]
control = %[4]q
`, covertTacit, covertMark, file, controlSocket))
	p := start(t, own, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	awaitSerial(t, p, covertTacit, "tacit."+covertMark+".", 1)
}

func (w *covertWorld) startKnot(t *testing.T, file string) {
	t.Helper()
	own := w.own(t, covertKnot)
	writeFile(t, filepath.Join(own, "knot.conf"), fmt.Sprintf("server:\n  rundir: %[1]s\n  listen: %[2]s@53\ncontrol:\n  listen: knot.sock\n"+
		"log:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: %[1]s\nzone:\n  - domain: knot.%[3]s.\n    file: %[4]s\n", own, covertKnot, covertMark, file))
	p := start(t, own, "knotd", "knotd", "-c", "knot.conf")
	awaitSerial(t, p, covertKnot, "knot."+covertMark+".", 1)
}

// ask puts one question for a new name in a zone, and returns how long the answer took.
func (w *covertWorld) ask(t *testing.T, label string, number int) time.Duration {
	t.Helper()
	m := new(dns.Msg).SetQuestion(fmt.Sprintf("x%d.%s.%s.", number, label, covertMark), dns.TypeA)
	begin := time.Now()
	r, err := dns.Exchange(m, covertHost+":53")
	if err != nil || len(r.Answer) != 1 {
		t.Fatalf("%s %d: %v, %v", label, number, r, err)
	}
	return time.Since(begin)
}

// statistics are what NSD says that it was asked, by transport.
func (w *covertWorld) statistics(t *testing.T, address string) map[string]int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nsd-control", "-c", w.control[address], "stats_noreset").CombinedOutput()
	if err != nil {
		t.Fatalf("nsd-control: %v\n%s", err, out)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			counts[key], _ = strconv.Atoi(value)
		}
	}
	return counts
}

// sent is what tacit says that it has asked, by transport.
func (w *covertWorld) sent(t *testing.T) (counts map[string]int, all int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, os.Getenv(binaryVariable), "status", "--json", "--control", filepath.Join(w.dir, covertHost, controlSocket)).Output()
	if err != nil {
		t.Fatal("tacit status:", err)
	}
	var status struct {
		Upstream struct {
			Queries []struct {
				Transport string
				Queries   int
			}
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatal(err)
	}
	counts = map[string]int{}
	for _, q := range status.Upstream.Queries {
		counts[q.Transport] = q.Queries
		all += q.Queries
	}
	return counts, all
}

// Warm, at least 95 % of what tacit asks of servers that can be asked encrypted is, over QUIC where there is QUIC; who watches reads no
// name, and who can be asked in clear alone is asked as ever.
func TestAuthoritativeServersAreAskedEncrypted(t *testing.T) {
	w := openCovert(t)
	labels := []string{"nsd", "tacit", "knot"}
	for _, label := range labels {
		w.ask(t, label, 0)
	}
	time.Sleep(5 * time.Second) // until all that was tried has ended
	watched := watch(t)
	const questions = 300
	before, allBefore := w.sent(t)
	nsdBefore := w.statistics(t, covertNSD)
	var slowest time.Duration
	for i := range questions {
		slowest = max(slowest, w.ask(t, "nsd", i+1), w.ask(t, "tacit", i+1))
	}
	after, allAfter := w.sent(t)
	nsdAfter := w.statistics(t, covertNSD)
	inTLS, inClear := nsdAfter["num.tls"]-nsdBefore["num.tls"], nsdAfter["num.udp"]-nsdBefore["num.udp"]+nsdAfter["num.tcp"]-nsdBefore["num.tcp"]
	hidden, all := after["TLS"]+after["QUIC"]-before["TLS"]-before["QUIC"], allAfter-allBefore
	t.Logf("%d of %d queries were encrypted, %d over TLS and %d over QUIC; NSD counts %d over TLS and %d in clear; the slowest answer took %v",
		hidden, all, after["TLS"]-before["TLS"], after["QUIC"]-before["QUIC"], inTLS, inClear, slowest)
	if hidden*100 < 95*all || all < 2*questions {
		t.Errorf("%d of %d queries were encrypted", hidden, all)
	}
	if inTLS*100 < 95*questions || inClear*100 > 5*questions {
		t.Errorf("NSD counts %d over TLS and %d in clear", inTLS, inClear)
	}
	if got := after["QUIC"] - before["QUIC"]; got*100 < 95*questions {
		t.Errorf("%d over QUIC", got)
	}
	seen := watched.take()
	t.Logf("a watcher saw %d packets to and from port 853, %d with a name in them, %d hellos over TCP, %d with SNI, and names in %d packets elsewhere",
		seen.packets, seen.named, seen.hellos, seen.sni, seen.inClear)
	if seen.packets < 2*questions || seen.named > 0 || seen.hellos == 0 || seen.sni > 0 || seen.inClear*100 > 5*questions {
		t.Errorf("seen: %+v", seen)
	}
	for i := range questions {
		w.ask(t, "knot", i+1)
	}
	if last, all := w.sent(t); last["UDP"]-after["UDP"] < questions || all-allAfter > questions+questions/20 {
		t.Errorf("what can be asked in clear alone was asked by %v, before %v", last, after)
	}
	w.checkStrict(t)
	if seen = watched.take(); seen.inClear < questions {
		t.Errorf("the watcher is blind: names in %d packets in clear", seen.inClear) // the control
	}
}

// What must be encrypted is, or is not answered; tacit trace shows it.
func (w *covertWorld) checkStrict(t *testing.T) {
	t.Helper()
	own := filepath.Join(w.dir, covertHost)
	writeFile(t, filepath.Join(own, "strict.toml"), fmt.Sprintf(`[recursion]
root_hints = "root.hints"
allow_special_addresses = true
encrypt_strict = ["nsd.%[1]s.", %[2]q, "knot.%[1]s."]
[dnssec]
validate = false
`, covertMark, covertTacit))
	for label, want := range map[string][]string{
		"nsd":   {"NOERROR", "(ns.nsd." + covertMark + ". " + covertNSD + ":853, TLS,"},
		"tacit": {"NOERROR", "(ns.tacit." + covertMark + ". " + covertTacit + ":853, "},
		"knot":  {"SERVFAIL", "no server of the zone can be asked encrypted, as it must be"},
	} {
		name := "strict." + label + "." + covertMark + "."
		cmd := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), "trace", "--config", filepath.Join(own, "strict.toml"), name, "A")
		out, err := cmd.CombinedOutput() // its exit code says whether there was an answer
		for _, text := range want {
			if !strings.Contains(string(out), text) {
				t.Errorf("%s: no %q, error %v, in\n%s", name, text, err, out)
			}
		}
	}
}

// A watched is what a packet socket shows of the way to servers.
type watched struct {
	mu sync.Mutex
	sights
}

type sights struct{ packets, named, hellos, sni, inClear int }

// watch looks at all packets to and from servers until the test ends.
func watch(t *testing.T) *watched {
	t.Helper()
	fd, err := apart.PacketSocket()
	if err != nil {
		t.Fatal("packet socket:", err)
	}
	w, done, ended := &watched{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1<<16)
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if link, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && link.Pkttype == unix.PACKET_OUTGOING {
				w.note(buf[:n])
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
		if err := errors.Join(unix.Close(fd)); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watched) take() sights {
	time.Sleep(time.Second) // until the socket is read
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sights
	w.sights = sights{}
	return s
}

func (w *watched) note(packet []byte) {
	src, dst, protocol, payload, ok := splitIP(packet)
	client := netip.MustParseAddr(covertHost)
	if !ok || len(payload) < 8 || src == client || dst == client {
		return // what the test asks of tacit
	}
	from, to := binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	named := bytes.Contains(bytes.ToLower(payload), []byte(covertMark))
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case from == 853 || to == 853:
		w.packets++
		if named {
			w.named++
		}
		if data := payload[min(len(payload), int(payload[min(12, len(payload)-1)]>>4)*4):]; protocol == protocolTCP && len(data) > 43 && data[0] == 22 && data[5] == 1 {
			w.hellos++
			if hasSNI(data[9:]) {
				w.sni++
			}
		}
	case named:
		w.inClear++
	}
}

// hasSNI reads a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3).
func hasSNI(hello []byte) bool {
	rest := hello[34:]
	rest = rest[1+int(rest[0]):]
	rest = rest[2+int(binary.BigEndian.Uint16(rest)):]
	rest = rest[1+int(rest[0]):]
	rest = rest[2:]
	for len(rest) >= 4 {
		if binary.BigEndian.Uint16(rest) == 0 {
			return true
		}
		rest = rest[min(len(rest), 4+int(binary.BigEndian.Uint16(rest[2:]))):]
	}
	return false
}
