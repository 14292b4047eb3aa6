//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The clients of this file are servers themselves: each runs before tacit and is asked over UDP.

// insistence is how long a forwarder is asked again after it has answered, but not as was hoped: it may have to find
// out first that tacit is there.
const insistence = 3 * time.Second

// lastLocal counts the addresses that were given to forwarders.
var lastLocal atomic.Uint32

// local is an address for one forwarder; none is used twice, so that nothing can come from an earlier one.
func local() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 3, byte(lastLocal.Add(1))}), dnsPort)
}

// forward starts a forwarder, asks it, stops it, and returns its last answer.
func (v *visit) forward(t *testing.T, at netip.AddrPort, program string, args ...string) string {
	t.Helper()
	p := start(t, v.dir, v.client.program, program, args...)
	reply := p.insist(t, at, v.client)
	if reply != nil && len(reply.Answer) > 0 {
		checkBurst(t, at)
		checkLarge(t, at)
	}
	p.end(t)
	return fmt.Sprintf("%v\n%s", reply, p.tail())
}

// insist asks until the answer comes, or has not come for a while although the forwarder is at work. What it returns is
// nil if the forwarder is one that does not even say no.
func (p *process) insist(t *testing.T, at netip.AddrPort, c *client) *dns.Msg {
	t.Helper()
	deadline, last := time.Now().Add(visitTimeout), (*dns.Msg)(nil)
	for atWork := false; time.Now().Before(deadline); {
		reply := p.ask(t, at, c)
		if reply != nil {
			last = reply
		}
		if last != nil && len(last.Answer) > 0 {
			return last
		}
		if !atWork && (last != nil || p.wrote(c.complaint)) {
			atWork, deadline = true, time.Now().Add(insistence)
		}
	}
	if last == nil && !p.wrote(c.complaint) {
		t.Fatalf("%s says nothing within %s\n%s", p.name, visitTimeout, p.tail())
	}
	return last
}

// ask puts one question, and waits a little before it says that there was no answer with a record.
func (p *process) ask(t *testing.T, at netip.AddrPort, c *client) *dns.Msg {
	t.Helper()
	query := new(dns.Msg).SetQuestion(c.question(), dns.TypeA)
	udp := &dns.Client{Timeout: insistence}
	reply, _, err := udp.ExchangeContext(t.Context(), query, at.String())
	if err == nil && len(reply.Answer) > 0 {
		return reply
	}
	select {
	case <-time.After(pollInterval):
	case <-p.done:
		t.Fatalf("%s ended at once: %v\n%s", p.name, p.err, p.tail())
	}
	return reply
}

// Names beside those of the clients: any name below burstZone has the address of the web server, and largeName has more
// text than fits into a datagram.
const (
	burstZone   = "burst." + askedZone
	burstSize   = 60
	largeName   = "large." + askedZone
	largeOctets = 4000 // octets
)

// checkBurst asks for many names at once, so that the forwarder has many questions on its way to tacit.
func checkBurst(t *testing.T, at netip.AddrPort) {
	t.Helper()
	eachOf(burstSize/2, burstSize, func(i int) {
		query := new(dns.Msg).SetQuestion(fmt.Sprintf("%s-%d.%s", strings.ReplaceAll(at.Addr().String(), ".", "-"), i, burstZone), dns.TypeA)
		udp := &dns.Client{Timeout: replyTimeout}
		reply, _, err := udp.ExchangeContext(t.Context(), query, at.String())
		if err != nil || len(reply.Answer) != 1 || !strings.HasSuffix(reply.Answer[0].String(), webAddress) {
			t.Errorf("question %d of a burst: %v, %v", i, reply, err)
		}
	})
}

// checkLarge asks for an answer of several kilobytes over TCP.
func checkLarge(t *testing.T, at netip.AddrPort) {
	t.Helper()
	tcp := &dns.Client{Net: "tcp", Timeout: replyTimeout}
	reply, _, err := tcp.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(largeName, dns.TypeTXT), at.String())
	if err != nil || reply.Len() < largeOctets {
		t.Errorf("a large answer: %v, %v", reply, err)
	}
}

// wrote reports whether a text is in what the process has written so far.
func (p *process) wrote(text string) bool {
	log, err := os.ReadFile(p.log)
	return err == nil && text != "" && strings.Contains(string(log), text)
}

func stubby(t *testing.T, v *visit) string {
	at := local()
	config := filepath.Join(v.dir, "stubby.yml")
	writeFile(t, config, fmt.Sprintf(`resolution_type: GETDNS_RESOLUTION_STUB
dns_transport_list: [ GETDNS_TRANSPORT_TLS ]
tls_authentication: GETDNS_AUTHENTICATION_REQUIRED
tls_ca_file: %q
tls_query_padding_blocksize: 128
tls_connection_retries: 2
tls_backoff_time: 1
idle_timeout: 9000
appdata_dir: %q
listen_addresses: [ %s@%d ]
upstream_recursive_servers:
  - address_data: %s
    tls_port: %d
    tls_auth_name: %q
`, v.authority, v.dir, at.Addr(), at.Port(), v.server.Addr(), v.server.Port(), v.name))
	return v.forward(t, at, "stubby", "-C", config)
}

func forwardingUnbound(t *testing.T, v *visit) string {
	at := local()
	config := filepath.Join(v.dir, "unbound.conf")
	writeFile(t, config, fmt.Sprintf(`server:
 interface: %s@%d
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 use-syslog: no
 do-daemonize: no
 num-threads: 1
 module-config: "iterator"
 do-not-query-localhost: no
 tls-cert-bundle: %q
forward-zone:
 name: "."
 forward-tls-upstream: yes
 forward-addr: %s@%d#%s
remote-control:
 control-enable: no
`, at.Addr(), at.Port(), v.dir, v.authority, v.server.Addr(), v.server.Port(), v.name))
	return v.forward(t, at, "unbound", "-d", "-c", config)
}

// dnsdist is the load balancer of a larger site; the option makes it speak DoH.
func dnsdist(option string) func(*testing.T, *visit) string {
	return func(t *testing.T, v *visit) string {
		at := local()
		config := filepath.Join(v.dir, "dnsdist.conf")
		writeFile(t, config, fmt.Sprintf(`setLocal("%s")
setSecurityPollSuffix("")
setServFailWhenNoServer(true)
newServer({address="%s", tls="openssl", %scaStore="%s", subjectName="%s", validateCertificates=true,
 checkName="%s", checkInterval=1})
`, at, v.server, option, v.authority, v.name, askedZone))
		return v.forward(t, at, "dnsdist", "--supervised", "--disable-syslog", "-C", config)
	}
}

// dnsmasq is what most home routers run.
func dnsmasq(t *testing.T, v *visit) string {
	at := local()
	return v.forward(t, at, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
		"--pid-file", "--log-facility=-", "--bind-interfaces", "--listen-address="+at.Addr().String(),
		fmt.Sprintf("--server=%s#%d", v.server.Addr(), v.server.Port()))
}
