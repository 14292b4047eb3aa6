//go:build interop

package interop

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/miekg/dns"
)

// A client is a program of another make that asks tacit over one transport.
type client struct {
	number    byte
	program   string
	transport string
	door      *door
	visit     func(t *testing.T, v *visit) (said string)
	blind     bool                   // looks at no certificate, or there is none
	want      func(c *client) string // in what the client said; the answer's address if nil
	complaint string                 // what a forwarder logs that refuses a certificate and tells its own clients nothing
}

// A visit is one attempt of a client.
type visit struct {
	client    *client
	dir       string
	server    netip.AddrPort
	name      string // that the certificate has to have
	authority string // file
}

// visitTimeout is for a whole visit; a client that is refused may try again and again.
const visitTimeout = 20 * time.Second

// newClients are all but the browsers. Each asks for a name of its own, and gets an address that no other does.
func newClients() []*client {
	all := []*client{
		{program: "kdig", transport: "DoT", door: tlsDoor, visit: kdig("+tls")},
		{program: "kdig", transport: "DoH POST", door: httpsDoor, visit: kdig("+https")},
		{program: "kdig", transport: "DoH GET", door: httpsDoor, visit: kdig("+https-get")},
		{program: "kdig", transport: "DoQ", door: quicDoor, visit: kdig("+quic")},
		{program: "dig", transport: "DoT", door: tlsDoor, visit: dig("+tls")},
		{program: "dig", transport: "DoH POST", door: httpsDoor, visit: dig("+https")},
		{program: "dig", transport: "DoH GET", door: httpsDoor, visit: dig("+https-get")},
		{program: "curl", transport: "DoH HTTP/1.1 GET", door: httpsDoor, visit: curl("1.1", "--http1.1", "--get")},
		{program: "curl", transport: "DoH HTTP/1.1 POST", door: httpsDoor, visit: curl("1.1", "--http1.1")},
		{program: "curl", transport: "DoH without ALPN", door: httpsDoor, visit: curl("1.1", "--no-alpn")},
		{program: "curl", transport: "DoH HTTP/2 GET", door: httpsDoor, visit: curl("2", "--http2", "--get")},
		{program: "curl", transport: "DoH HTTP/2 POST", door: httpsDoor, visit: curl("2", "--http2")},
		{program: "curl", transport: "DoH JSON", door: httpsDoor, visit: curlJSON},
		{program: "curl --doh-url", transport: "DoH HTTP/2", door: httpsDoor, visit: curlThrough, want: pageText},
		{program: "h2load", transport: "DoH HTTP/2", door: httpsDoor, visit: h2load, blind: true, want: allSucceeded},
		{program: "nghttp", transport: "DoH HTTP/2 GET", door: httpsDoor, visit: nghttp(false), blind: true},
		{program: "nghttp", transport: "DoH HTTP/2 POST", door: httpsDoor, visit: nghttp(true), blind: true},
		{program: "gtlsclient", transport: "DoH HTTP/3", door: httpsDoor, visit: ngtcp2, blind: true},
		{program: "gtlsclient", transport: "DoH HTTP/3 again", door: httpsDoor, visit: ngtcp2Again, blind: true},
		{program: "stubby", transport: "DoT", door: tlsDoor, visit: stubby},
		{program: "unbound", transport: "DoT", door: tlsDoor, visit: forwardingUnbound},
		{program: "dnsdist", transport: "DoT", door: tlsDoor, visit: dnsdist("")},
		{program: "dnsdist", transport: "DoH HTTP/2", door: httpsDoor, visit: dnsdist(`dohPath="/dns-query", `)},
		{program: "systemd-resolved", transport: "DoT", door: tlsDoor, visit: resolved, complaint: "certificate verify failed"},
		{program: "dnsmasq", transport: "UDP", door: plainDoor, visit: dnsmasq, blind: true},
	}
	for i, c := range all {
		c.number = byte(i + 1)
	}
	return all
}

// TestClients has each client ask tacit three times: as it should, expecting another name, and trusting another
// authority. The last two it has to refuse.
func TestClients(t *testing.T) {
	f := openFront(t)
	servePages(t)
	checkNameless(t)
	table := make([]string, len(f.clients))
	t.Run("client", func(t *testing.T) {
		for i, c := range f.clients {
			t.Run(c.label(), func(t *testing.T) {
				t.Parallel()
				table[i] = c.test(t, f)
			})
		}
	})
	counts := f.queries(t)
	f.end(t)
	for _, transport := range []string{"udp", "tls", "https", "http3", "quic"} {
		if counts[transport] == 0 && !slices.Contains(table, "") { // which is empty where -run has left a client out
			t.Errorf("no query came over %s", transport)
		}
	}
	t.Logf("queries by transport: %v", counts)
	t.Logf("\n%s", tabulate("client\ttransport\tanswered\twrong name\twrong authority", table))
}

// checkNameless shows that the addresses that are not in the certificate answer whoever does not mind: who refuses them does
// so because of the name.
func checkNameless(t *testing.T) {
	t.Helper()
	for transport, d := range map[string]*door{"+tls": tlsDoor, "+https": httpsDoor, "+quic": quicDoor} {
		v := &visit{dir: t.TempDir(), server: d.nameless}
		said := v.run(t, "kdig", "@"+v.server.Addr().String(), "-p", fmt.Sprint(v.server.Port()), transport, "page."+askedZone, "A")
		if !strings.Contains(said, webAddress) {
			t.Errorf("kdig %s at %s: no answer:\n%s", transport, v.server, said)
		}
	}
}

// test makes the visits and returns a line of the table.
func (c *client) test(t *testing.T, f *front) string {
	right := &visit{client: c, dir: t.TempDir(), server: c.door.named, name: frontName, authority: f.own.file}
	line := fmt.Sprintf("%s\t%s\t%s", c.program, c.transport, right.expect(t, answered))
	if c.blind {
		return line + "\tnot looked at\tnot looked at"
	}
	misnamed, untrusted := *right, *right
	misnamed.dir, misnamed.server, misnamed.name = t.TempDir(), c.door.nameless, wrongName
	untrusted.dir, untrusted.authority = t.TempDir(), f.other.file
	return line + "\t" + misnamed.expect(t, refused) + "\t" + untrusted.expect(t, refused)
}

// expectation is how a visit is to end.
type expectation string

const (
	answered expectation = "yes"
	refused  expectation = "refused"
)

// expect makes the visit, and returns what is to stand in the table for it.
func (v *visit) expect(t *testing.T, e expectation) string {
	t.Helper()
	want := v.client.answer().String()
	if v.client.want != nil {
		want = v.client.want(v.client)
	}
	said := v.client.visit(t, v)
	if strings.Contains(said, want) != (e == answered) {
		t.Errorf("%s at %s, expecting %s and trusting %s: not %s:\n%s",
			v.client.label(), v.server, v.name, filepath.Base(v.authority), e, said)
		return "NOT " + string(e)
	}
	return string(e)
}

func (c *client) label() string { return c.program + " " + c.transport }

func (c *client) question() string { return fmt.Sprintf("client%d.%s", c.number, askedZone) }

// answer is the address of the name that this client asks for.
func (c *client) answer() netip.Addr {
	if c.want != nil {
		return netip.MustParseAddr(webAddress)
	}
	return netip.AddrFrom4([4]byte{203, 0, 113, 100 + c.number})
}

// run runs a program to its end and returns what it said, on whatever way.
func (v *visit) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := v.command(t, program, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%s: %v\n", out, program, err)
	}
	return string(out)
}

// command has until the end of the visit.
func (v *visit) command(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), visitTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = v.dir, append(os.Environ(), "HOME="+v.dir)
	endAsGroup(cmd)
	return cmd
}

// endAsGroup makes the end of a command's time the end of all its children, and does not wait for a pipe that one of
// them holds.
func endAsGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
}

func kdig(transport string) func(*testing.T, *visit) string {
	return func(t *testing.T, v *visit) string {
		// +tls-ca means DoT by itself: what follows it decides.
		return v.run(t, "kdig", "@"+v.server.Addr().String(), "-p", fmt.Sprint(v.server.Port()), "+tls-ca="+v.authority,
			"+tls-hostname="+v.name, transport, "+timeout=5", "+retry=0", v.client.question(), "A")
	}
}

func dig(transport string) func(*testing.T, *visit) string {
	return func(t *testing.T, v *visit) string {
		return v.run(t, "dig", "@"+v.server.Addr().String(), "-p", fmt.Sprint(v.server.Port()), "+tls-ca="+v.authority,
			"+tls-hostname="+v.name, transport, "+time=5", "+tries=1", v.client.question(), "A")
	}
}

// curl sends a message of ours and has to report the version of HTTP.
func curl(version string, options ...string) func(*testing.T, *visit) string {
	return func(t *testing.T, v *visit) string {
		args := append([]string{
			"-sS", "--max-time", "10", "--cacert", v.authority, "-H", "accept: application/dns-message",
			"-o", "answer", "-w", "version %{http_version}, %{http_code}, %{content_type}\n",
		}, options...)
		if slices.Contains(options, "--get") {
			args = append(args, "-d", "dns="+base64.RawURLEncoding.EncodeToString(v.message(t)))
		} else {
			args = append(args, "-H", "content-type: application/dns-message", "--data-binary", "@"+v.messageFile(t))
		}
		said := v.run(t, "curl", append(args, v.url())...)
		if !strings.Contains(said, "version "+version+", 200, application/dns-message\n") {
			return said
		}
		return said + readMessage(filepath.Join(v.dir, "answer"))
	}
}

func curlJSON(t *testing.T, v *visit) string {
	return v.run(t, "curl", "-sS", "--max-time", "10", "--cacert", v.authority, "-H", "accept: application/dns-json",
		v.url()+"?type=A&name="+v.client.question())
}

// curlThrough resolves the name of a web server on its own way to it; for that curl knows HTTP/2 only.
func curlThrough(t *testing.T, v *visit) string {
	return v.run(t, "curl", "-sS", "--max-time", "10", "--cacert", v.authority, "--doh-url", v.url(),
		fmt.Sprintf("http://%s:%d/", strings.TrimSuffix(v.client.question(), "."), webPort))
}

const loadRequests = 500

func h2load(t *testing.T, v *visit) string {
	return v.run(t, "h2load", "-n", fmt.Sprint(loadRequests), "-c", "5", "-m", "20", "-d", v.messageFile(t),
		"-H", "content-type: application/dns-message", v.url())
}

// nghttp writes the body, which is a message, to its standard output.
func nghttp(post bool) func(*testing.T, *visit) string {
	return func(t *testing.T, v *visit) string {
		args := []string{"--no-dep", v.url() + "?dns=" + base64.RawURLEncoding.EncodeToString(v.message(t))}
		if post {
			args = []string{"--no-dep", "-d", v.messageFile(t), "-H", "content-type: application/dns-message", v.url()}
		}
		packed, err := v.command(t, "nghttp", args...).Output()
		if err != nil {
			return err.Error()
		}
		return messageText(packed)
	}
}

func allSucceeded(*client) string {
	return fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", loadRequests)
}

// ngtcp2 runs the example client of that library. It can send no content type, so that only GET is left.
func ngtcp2(t *testing.T, v *visit) string { return v.ngtcp2(t, "first") }

// ngtcp2Again comes a second time, with all that a client can keep: session, transport parameters, and a token in place of
// the proof of its address (RFC 9000 section 8.1.3). tacit gives no session to keep; with what there is it must get on.
func ngtcp2Again(t *testing.T, v *visit) string {
	kept := []string{"--session-file=session", "--tp-file=parameters", "--token-file=token"}
	if first := v.ngtcp2(t, "first", kept...); !strings.Contains(first, v.client.answer().String()) {
		return "first visit: " + first
	}
	return v.ngtcp2(t, "second", kept...)
}

func (v *visit) ngtcp2(t *testing.T, label string, options ...string) string {
	t.Helper()
	makeDirectory(t, filepath.Join(v.dir, label))
	query := "dns-query?dns=" + base64.RawURLEncoding.EncodeToString(v.message(t))
	args := append([]string{"-q", "--exit-on-all-streams-close", "--timeout=5s", "--download=" + label}, options...)
	args = append(args, v.server.Addr().String(), fmt.Sprint(v.server.Port()), fmt.Sprintf("https://%s/%s", v.server, query))
	said := v.run(t, "gtlsclient", args...)
	return said + readMessage(filepath.Join(v.dir, label, query))
}

func (v *visit) url() string { return fmt.Sprintf("https://%s/dns-query", v.server) }

// message is a query as RFC 8484 section 4.1 wants it: with ID zero, for the sake of HTTP's caches.
func (v *visit) message(t *testing.T) []byte {
	t.Helper()
	query := new(dns.Msg).SetQuestion(v.client.question(), dns.TypeA)
	query.Id = 0
	packed, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func (v *visit) messageFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(v.dir, "query")
	writeFile(t, path, string(v.message(t)))
	return path
}

// readMessage prints the message in a file, or says why there is none.
func readMessage(path string) string {
	packed, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return messageText(packed)
}

func messageText(packed []byte) string {
	var m dns.Msg
	if err := m.Unpack(packed); err != nil {
		return err.Error()
	}
	return m.String()
}

// tabulate aligns the columns of lines.
func tabulate(head string, lines []string) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	for _, line := range slices.DeleteFunc(lines, func(line string) bool { return line == "" }) {
		fmt.Fprintln(table, line)
	}
	if err := table.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}
