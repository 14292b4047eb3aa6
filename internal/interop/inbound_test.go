//go:build interop

package interop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An inbound is tacit with zones that are had from knotd and NSD: over TCP with TSIG, and over TLS, which NSD speaks itself and knotd
// behind a terminator of Go's.
type inbound struct {
	dir        string
	authority  *authority
	tacit      *process
	knotd, nsd *process
	terminated *terminator
}

const (
	inboundHost  = "127.0.4.1"
	knotPrimary  = "127.0.4.2"
	nsdPrimary   = "127.0.4.3"
	terminatedAt = "127.0.4.4"
	nsdName      = "nsd.primary.example"
	knotName     = "knot.primary.example"
)

// The zones, and who has them.
var inboundZones = map[string]string{
	"fromknot.example.": knotPrimary, "fromnsd.example.": nsdPrimary, "tlsnsd.example.": nsdPrimary, "tlsknot.example.": knotPrimary,
	"big.example.": nsdPrimary,
}

// inboundText has what a copy could get wrong: other cases, names and texts that have to be escaped, types of any kind, wildcards, cuts,
// TTLs of 1.
const inboundText = `@ 3600 SOA ns hostmaster SERIAL 10000 2400 604800 1800
@ 3600 NS ns
@ 3600 NS ns.elsewhere.invalid.
@ 300 MX 10 Mail
@ 300 CAA 0 issue "ca.invalid; x=y"
ns 3600 A 127.0.4.9
Mail 1 A 198.51.100.21
mail 1 AAAA 2001:db8::21
www 300 CNAME mail
out 300 CNAME www.elsewhere.invalid.
text 300 TXT "a;b \"c\" \\ \009" "" "d"
a\.b\032c 300 TXT "odd"
svc 300 HTTPS 1 . alpn=h2,h3 ipv4hint=198.51.100.21
_sip._udp 300 SRV 1 2 5060 mail
naptr 300 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:x@example!" .
sshfp 300 SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
loc 300 LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
rp 300 RP hostmaster text
unknown 300 TYPE65280 \# 5 0102030405
*.wild 300 TXT "wild"
a.b.empty 300 A 198.51.100.22
old 300 DNAME new
sub 300 NS ns.sub
sub 300 DS 1 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB
ns.sub 300 A 198.51.100.23
`

func inboundTextAt(serial string) string { return strings.Replace(inboundText, "SERIAL", serial, 1) }

// bigRecords are as many as need some hundred messages.
const bigRecords = 150_000

func openInbound(t *testing.T) *inbound {
	t.Helper()
	new(world).addAddressesToLoopback(t)
	in := &inbound{dir: t.TempDir()}
	in.authority = newAuthority(t, in.dir, "authority")
	for _, own := range []string{"knot", "nsd"} {
		if err := os.Mkdir(in.path(own), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, in.path("primary.key"), secondarySecret)
	for zone := range inboundZones {
		text := inboundTextAt("7")
		if zone == "big.example." {
			var more strings.Builder
			for i := range bigRecords {
				fmt.Fprintf(&more, "host%d 300 A 198.51.%d.%d\n", i, i>>8&0xff, i&0xff)
			}
			text += more.String()
		}
		in.write(t, zone, text)
	}
	in.startKnot(t)
	in.startNSD(t)
	in.terminated = terminate(t, in.authority.issue(t, in.path("knot"), knotName), knotPrimary+":53")
	writeFile(t, in.path("tacit.toml"), in.config())
	in.tacit = start(t, in.dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	return in
}

func (in *inbound) path(name ...string) string {
	return filepath.Join(append([]string{in.dir}, name...)...)
}

// write puts a zone file where its primary reads it.
func (in *inbound) write(t *testing.T, zone, text string) {
	t.Helper()
	path := in.path(map[string]string{knotPrimary: "knot", nsdPrimary: "nsd"}[inboundZones[zone]], zone+"zone")
	writeFile(t, path+"~", text)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

func (in *inbound) config() string {
	text := `[listen]
udp = ["127.0.4.1:53"]
tcp = ["127.0.4.1:53"]
[recursion]
local_root = false
[dnssec]
validate = false
[[key]]
name = "secondary.example."
secret_file = "primary.key"
`
	for zone, c := range map[string]string{
		"fromknot.example.": `primaries = ["127.0.4.66", "127.0.4.2"]
key = "secondary.example."`,
		"fromnsd.example.": `primaries = ["127.0.4.3"]
key = "secondary.example."`,
		"big.example.": `primaries = ["127.0.4.3"]
key = "secondary.example."`,
		"tlsnsd.example.": `primaries = ["tls://127.0.4.3#` + nsdName + `"]
ca_file = "authority.pem"
key = "secondary.example."`,
		"tlsknot.example.": `primaries = ["tls://127.0.4.4#` + knotName + `"]
ca_file = "authority.pem"`,
	} {
		text += fmt.Sprintf("[[zone]]\nname = %q\nfile = %q\n%s\n", zone, zone+"copy", c)
	}
	return text
}

func (in *inbound) startKnot(t *testing.T) {
	t.Helper()
	own := in.path("knot")
	text := fmt.Sprintf(`server:
  rundir: %[1]s
  listen: %[4]s@53
control:
  listen: knot.sock
log:
  - target: stderr
    any: info
database:
  storage: %[1]s
key:
  - id: %[2]s
    algorithm: hmac-sha256
    secret: %[3]s
remote:
  - id: tacit
    address: %[5]s@53
    key: %[2]s
  - id: plain
    address: %[5]s@53
    via: %[6]s
acl:
  - id: signed
    key: %[2]s
    action: transfer
  - id: terminated
    address: %[6]s
    action: transfer
zone:
`, own, secondaryName, secondarySecret, knotPrimary, inboundHost, terminatedAt)
	for zone, who := range map[string]string{"fromknot.example.": "notify: tacit\n    acl: signed", "tlsknot.example.": "notify: plain\n    acl: terminated"} {
		text += fmt.Sprintf("  - domain: %s\n    storage: %s\n    file: %szone\n    zonefile-load: difference\n    journal-content: changes\n    %s\n", zone, own, zone, who)
	}
	writeFile(t, in.path("knot", "knot.conf"), text)
	in.knotd = start(t, own, "knotd", "knotd", "-c", "knot.conf")
	awaitSerial(t, in.knotd, knotPrimary, "fromknot.example.", 7)
}

func (in *inbound) startNSD(t *testing.T) {
	t.Helper()
	own := in.path("nsd")
	c := in.authority.issue(t, own, nsdName)
	text := fmt.Sprintf(`server:
 ip-address: %[4]s@53
 ip-address: %[4]s@853
 tls-service-key: %[5]s
 tls-service-pem: %[6]s
 tls-port: 853
 username: ""
 chroot: ""
 database: ""
 server-count: 1
 verbosity: 3
 pidfile: %[1]s/pid
 zonelistfile: %[1]s/zones
 xfrdfile: %[1]s/xfrd
 xfrdir: %[1]s
 zonesdir: %[1]s
remote-control:
 control-enable: no
key:
 name: %[2]s
 algorithm: hmac-sha256
 secret: "%[3]s"
`, own, secondaryName, secondarySecret, nsdPrimary, c.key, c.certificate)
	for _, zone := range []string{"fromnsd.example.", "tlsnsd.example.", "big.example."} {
		text += fmt.Sprintf("zone:\n name: %[1]s\n zonefile: %[1]szone\n store-ixfr: yes\n create-ixfr: yes\n notify: %[2]s@53 %[3]s\n provide-xfr: 127.0.0.0/8 %[3]s\n",
			zone, inboundHost, secondaryName)
	}
	writeFile(t, in.path("nsd", "nsd.conf"), text)
	in.nsd = start(t, own, "nsd", "nsd", "-d", "-c", "nsd.conf")
	awaitSerial(t, in.nsd, nsdPrimary, "fromnsd.example.", 7)
}

// awaitSerial waits until a server has a version of a zone, or a later one.
func awaitSerial(t *testing.T, server *process, host, zone string, serial uint32) {
	t.Helper()
	server.awaitAnswer(t, netip.MustParseAddrPort(host+":53"), new(dns.Msg).SetQuestion(zone, dns.TypeSOA), func(reply *dns.Msg) bool {
		if !reply.Authoritative || len(reply.Answer) != 1 {
			return false
		}
		soa, ok := reply.Answer[0].(*dns.SOA)
		return ok && soa.Serial >= serial
	})
}

// A terminator takes TLS off what comes to it and hands it on, and counts connections.
type terminator struct {
	mu       sync.Mutex
	accepted int
	refused  int
}

func terminate(t *testing.T, c credential, to string) *terminator {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.certificate, c.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", terminatedAt+":853")
	if err != nil {
		t.Fatal(err)
	}
	p := new(terminator)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, NextProtos: []string{"dot"}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.carry(tls.Server(conn, config), to) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return p
}

func (p *terminator) carry(conn *tls.Conn, to string) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(visitTimeout))
	err := conn.Handshake()
	p.mu.Lock()
	p.accepted++
	if err != nil || conn.ConnectionState().NegotiatedProtocol != "dot" {
		p.refused++
	}
	p.mu.Unlock()
	if err != nil {
		return
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(terminatedAt)}} // by which knotd knows who it is
	onward, err := from.Dial("tcp", to)
	if err != nil {
		return
	}
	defer onward.Close()
	_ = onward.SetDeadline(time.Now().Add(visitTimeout))
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(onward, conn)
		_ = onward.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(conn, onward)
	_ = conn.CloseWrite()
	both.Wait()
}

// TestInbound has tacit answer as the primaries of its zones do, take what changes there, and go on without them.
func TestInbound(t *testing.T) {
	in := openInbound(t)
	for zone := range inboundZones {
		awaitSerial(t, in.tacit, inboundHost, zone, 7)
	}
	for zone, host := range inboundZones {
		in.compare(t, zone, host)
	}
	in.expectLog(t, in.knotd, "fromknot.example.] AXFR, outgoing", "tlsknot.example.] AXFR, outgoing")
	t.Run("changes", in.testChanges)
	t.Run("read only", in.testReadOnly)
	t.Run("without primaries", in.testWithoutPrimaries)
}

// inboundChange replaces one record and adds one, in a later version.
func inboundChange(text, serial string) string {
	return strings.NewReplacer("hostmaster 7 ", "hostmaster "+serial+" ", "A 198.51.100.21", "A 198.51.100.31").Replace(text) + "new 300 TXT \"new\"\n"
}

const secondsToFollow = 6 * time.Second

func (in *inbound) testChanges(t *testing.T) {
	began := time.Now()
	for zone := range inboundZones {
		if zone != "big.example." {
			in.write(t, zone, inboundChange(inboundTextAt("7"), "8"))
		}
	}
	for _, p := range []*process{in.knotd, in.nsd} {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	for zone := range inboundZones {
		if zone != "big.example." {
			awaitSerial(t, in.tacit, inboundHost, zone, 8)
			t.Logf("%s is followed after %s", zone, time.Since(began).Round(time.Millisecond))
		}
	}
	if took := time.Since(began); took > secondsToFollow {
		t.Errorf("changes are there after %s", took)
	}
	for zone, host := range inboundZones {
		in.compare(t, zone, host)
	}
	in.expectLog(t, in.knotd, "fromknot.example.] IXFR, outgoing", "tlsknot.example.] IXFR, outgoing")
	if text, err := os.ReadFile(in.nsd.log); err != nil || strings.Count(string(text), "axfr for fromnsd.example.") != 1 || strings.Count(string(text), "ixfr for fromnsd.example.") != 1 {
		t.Errorf("NSD has not given the change piece by piece: %v\n%s", err, text)
	}
	in.terminated.mu.Lock()
	defer in.terminated.mu.Unlock()
	if in.terminated.accepted < 2 || in.terminated.refused > 0 {
		t.Errorf("%d connections over TLS, %d refused", in.terminated.accepted, in.terminated.refused)
	}
}

func (in *inbound) testReadOnly(t *testing.T) {
	p := &primary{dir: in.dir}
	said := p.run(t, "", os.Getenv(binaryVariable), "zone", "set", "fromknot.example", "x", "A", "192.0.2.1", "--config", "tacit.toml")
	if !strings.Contains(said, "is a copy of its primaries'") {
		t.Errorf("zone set: %s", said)
	}
	if said := p.run(t, "", os.Getenv(binaryVariable), "check", "tacit.toml"); strings.Contains(said, "error") {
		t.Errorf("check: %s", said)
	}
}

// testWithoutPrimaries ends the primaries, and starts tacit anew.
func (in *inbound) testWithoutPrimaries(t *testing.T) {
	expected := map[string][]string{}
	for zone := range inboundZones {
		expected[zone] = in.answers(t, inboundHost, zone)
	}
	for _, p := range []*process{in.knotd, in.nsd} {
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	same := func(when string) {
		for zone := range inboundZones {
			if got := in.answers(t, inboundHost, zone); !slices.Equal(got, expected[zone]) {
				t.Errorf("%s, %s has become\n%s", when, zone, strings.Join(got, "\n"))
			}
		}
	}
	same("without primaries")
	if err := in.tacit.stop(); err != nil {
		t.Fatal(err)
	}
	in.tacit = start(t, in.dir, "tacit-again", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	awaitSerial(t, in.tacit, inboundHost, "big.example.", 7)
	same("after a restart")
}

// questions are about every name of the zone, and some that are not there.
func (in *inbound) questions(zone string) (list []dns.Question) {
	names := []string{"", "nowhere", "x.wild", "y.x.wild", "wild", "b.empty", "empty", "x.sub", "x.old", "new", "host77", "MAIL"}
	for line := range strings.Lines(inboundText) {
		names = append(names, strings.TrimSuffix(strings.Fields(line)[0], "@"))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		owner := zone
		if name != "" {
			owner = name + "." + zone
		}
		for _, kind := range []uint16{
			dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeSOA, dns.TypeMX, dns.TypeTXT, dns.TypeCNAME, dns.TypeCAA, dns.TypeHTTPS, dns.TypeSRV,
			dns.TypeNAPTR, dns.TypeSSHFP, dns.TypeLOC, dns.TypeRP, 65280, dns.TypeDNAME, dns.TypeDS,
		} {
			list = append(list, dns.Question{Name: owner, Qtype: kind, Qclass: dns.ClassINET})
		}
	}
	return list
}

// answers are what a server says of a zone: RCODE, AA and the records of the answer.
func (in *inbound) answers(t *testing.T, host, zone string) (list []string) {
	t.Helper()
	conn, err := dns.DialTimeout("udp", host+":53", visitTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := &dns.Client{Timeout: visitTimeout}
	for _, q := range in.questions(zone) {
		m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}, Question: []dns.Question{q}}
		m.SetEdns0(4096, false)
		reply, _, err := client.ExchangeWithConn(m, conn)
		if err != nil { // who reloads may miss a datagram
			reply, _, err = client.ExchangeWithConn(m, conn)
		}
		if err != nil {
			t.Fatalf("%s %s: %v", q.Name, dns.Type(q.Qtype), err)
		}
		var records []string
		for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
			if ns := rr.Header().Rrtype == dns.TypeNS; ns && reply.Authoritative && len(reply.Answer) > 0 && q.Qtype != dns.TypeNS {
				continue // NSD says of answers whose zone they are from
			}
			records = append(records, strings.ToLower(rr.String()))
		}
		slices.Sort(records)
		list = append(list, fmt.Sprintf("%s %s: %s aa=%v\n\t%s", q.Name, dns.Type(q.Qtype), dns.RcodeToString[reply.Rcode], reply.Authoritative, strings.Join(records, "\n\t")))
	}
	return list
}

// compare asks tacit and a primary the same.
func (in *inbound) compare(t *testing.T, zone, host string) {
	t.Helper()
	ours, theirs := in.answers(t, inboundHost, zone), in.answers(t, host, zone)
	differ := 0
	for i := range ours {
		if ours[i] != theirs[i] {
			if differ++; differ <= 5 {
				t.Errorf("tacit: %s\n%s: %s", ours[i], host, theirs[i])
			}
		}
	}
	t.Logf("%s: %d questions, %d answered otherwise than by %s", zone, len(ours), differ, host)
}

func (in *inbound) expectLog(t *testing.T, p *process, says ...string) {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range says {
		if !strings.Contains(string(text), words) {
			t.Errorf("%s does not say %q:\n%s", p.name, words, text)
		}
	}
}

// TestInboundRefusesStrangers has a primary that cannot prove who it is, and one whose key is another.
func TestInboundRefusesStrangers(t *testing.T) {
	in := &inbound{dir: t.TempDir()}
	new(world).addAddressesToLoopback(t)
	in.authority = newAuthority(t, in.dir, "authority")
	other := newAuthority(t, in.dir, "other")
	for _, own := range []string{"knot", "nsd"} {
		if err := os.Mkdir(in.path(own), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for zone := range inboundZones {
		in.write(t, zone, inboundTextAt("7"))
	}
	in.startKnot(t)
	in.startNSD(t)
	in.terminated = terminate(t, other.issue(t, in.path("knot"), knotName), knotPrimary+":53")
	writeFile(t, in.path("primary.key"), unknownSecret)
	writeFile(t, in.path("tacit.toml"), in.config())
	in.tacit = start(t, in.dir, "tacit", os.Getenv(binaryVariable), "serve", "--config", "tacit.toml")
	for zone, reason := range map[string]string{
		"tlsknot.example.":  "server does not prove by its certificate or key who it is",
		"fromknot.example.": "server does not know the key, or its secret is another one",
		"fromnsd.example.":  "server does not know the key, or its secret is another one",
	} {
		in.tacit.awaitAnswer(t, netip.MustParseAddrPort(inboundHost+":53"), new(dns.Msg).SetQuestion(zone, dns.TypeSOA), func(reply *dns.Msg) bool {
			text, err := os.ReadFile(in.tacit.log)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			return reply.Rcode == dns.RcodeServerFailure && strings.Contains(string(text), "zone="+zone+" reason=\""+reason+"\"")
		})
	}
	text, err := os.ReadFile(in.tacit.log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "127.0.4.2") || strings.Contains(string(text), "127.0.4.3") {
		t.Errorf("the log has addresses:\n%s", text)
	}
}
