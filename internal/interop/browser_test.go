//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A browsing is a browser without any resolver but tacit on its way to a page.
type browsing struct {
	browser  string
	protocol protocol
	// prepare makes the profile and returns what the browser is to be started with.
	prepare func(t *testing.T, b *browsing) (args []string)
	// sign of HTTP/2 in the browser's own log of its connections; HTTP/3 needs none, the passage carries nothing else.
	sign string

	dir       string // profile, and home
	passage   *passage
	authority string
	url       string
	seen      <-chan struct{}
	outcome   expectation
}

// protocol is the version of HTTP that DoH is spoken over.
type protocol string

const (
	http2 protocol = "HTTP/2"
	http3 protocol = "HTTP/3"
)

const (
	// pageTimeout is for a page to be seen, or for a browser to come to the passage at least.
	pageTimeout = 45 * time.Second
	// patience is how long a browser that got as far as the passage is watched. When all is well, it is there in one second.
	patience = 6 * time.Second
)

func newBrowsings() []*browsing {
	return []*browsing{
		{browser: "chromium", prepare: chromium, protocol: http2, sign: `"next_proto":"h2"`},
		{browser: "chromium", prepare: chromium, protocol: http3},
		{browser: "firefox-esr", prepare: firefox, protocol: http2, sign: "Http2Session"},
		{browser: "firefox-esr", prepare: firefox, protocol: http3},
	}
}

// TestBrowsers has two browsers show a page whose name they can resolve through tacit alone, and not show it when the
// certificate is not vouched for, or tacit is not there.
func TestBrowsers(t *testing.T) {
	f := openFront(t)
	w := servePages(t)
	c := startCapture(t)
	good, misnamed, untrusted, alone := newBrowsings(), newBrowsings(), newBrowsings(), newBrowsings()
	before := f.queries(t)
	t.Run("with tacit", func(t *testing.T) {
		for i := range good {
			good[i].start(t, f, w, f.own, inCertificate, answered)
			misnamed[i].start(t, f, w, f.own, notInCertificate, refused)
			untrusted[i].start(t, f, w, f.other, inCertificate, refused)
		}
	})
	checkProtocols(t, before, f.queries(t))
	f.end(t)
	t.Run("without tacit", func(t *testing.T) {
		for _, b := range alone {
			b.start(t, f, w, f.own, inCertificate, refused)
		}
	})
	f.checkPlainQueries(t, c)
	lines := make([]string, len(good))
	for i, b := range good {
		lines[i] = fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s",
			b.browser, b.protocol, b.outcome, misnamed[i].outcome, untrusted[i].outcome, alone[i].outcome)
	}
	t.Logf("\n%s", tabulate("browser\tDoH over\tpage\twrong name\twrong authority\ttacit stopped", lines))
}

// checkProtocols fails unless all queries of the browsers came over both kinds of DoH, and nothing else. Which browser used
// which follows from its passage.
func checkProtocols(t *testing.T, before, after map[string]int) {
	t.Helper()
	for _, transport := range []string{"udp", "tcp", "tls", "https", "http3", "quic"} {
		doh := transport == "https" || transport == "http3"
		if came := after[transport] - before[transport]; (came > 0) != doh {
			t.Errorf("%d queries over %s", came, transport)
		}
	}
	t.Logf("queries by transport: before %v, after %v", before, after)
}

// checkPlainQueries fails when anybody asked the system's resolver, or anybody but tacit asked for the page's name. What
// Chromium asks for is more: it tries whether 8.8.8.8 can be reached, whatever it was told.
func (f *front) checkPlainQueries(t *testing.T, c *capture) {
	t.Helper()
	servers, zone := f.world.servers(), mustName(askedZone)
	seen, _ := c.take(t) // what is odd are the browsers' own errands
	for _, s := range seen {
		if s.server.String() == strayResolver || servers[s.server] == nil && s.name.isAtOrBelow(zone) {
			t.Errorf("a plain query for %s left for %s", s.name, s.server)
		}
	}
	if len(seen) == 0 {
		t.Error("tacit asked nobody: the capture does not work")
	}
}

// start makes a parallel test of b.
func (b *browsing) start(t *testing.T, f *front, w *web, a *authority, n naming, e expectation) {
	label := fmt.Sprintf("%s %s, %s, %s", b.browser, b.protocol, filepath.Base(a.file), n)
	t.Run(label, func(t *testing.T) {
		t.Parallel()
		network := map[protocol]string{http2: "tcp", http3: "udp"}[b.protocol]
		token := strings.NewReplacer("/", "-", ",", "").Replace(t.Name())
		b.dir, b.passage, b.authority = t.TempDir(), f.openPassage(t, network, n), a.file
		b.url = fmt.Sprintf("http://page.%s:%d/%s", strings.TrimSuffix(askedZone, "."), webPort, token)
		b.seen = w.expect(token)
		b.outcome = b.run(t, e)
	})
}

// run starts the browser, waits for the page, and ends it.
func (b *browsing) run(t *testing.T, e expectation) expectation {
	t.Helper()
	p := start(t, b.dir, b.browser, b.browser, append(b.prepare(t, b), b.url)...)
	defer p.kill()
	began := time.Now()
	select {
	case <-b.passage.knocked:
	case <-time.After(pageTimeout):
		t.Fatalf("%s did not come to the passage within %s\n%s", b.browser, pageTimeout, p.tail())
	}
	came := time.Now()
	wait := map[expectation]time.Duration{answered: pageTimeout, refused: patience}[e]
	got := refused
	select {
	case <-b.seen:
		got = answered
	case <-time.After(wait):
	}
	t.Logf("at the passage after %s, then %s after %s", came.Sub(began).Round(time.Millisecond), got, time.Since(came).Round(time.Millisecond))
	if got != e {
		t.Errorf("the page: %s, want %s\n%s", got, e, p.tail())
	}
	if got == answered {
		b.checkVersion(t, p)
	}
	return got
}

// checkVersion looks for the sign of the version of HTTP in what the browser has logged when it ends, as both do by themselves
// when they have shown their page.
func (b *browsing) checkVersion(t *testing.T, p *process) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		t.Errorf("%s did not end within %s", b.browser, stopTimeout)
	}
	log, err := os.ReadFile(b.log())
	if err != nil || !strings.Contains(string(log), b.sign) {
		t.Errorf("no %s in the log of %s, of %d octets, %v", b.sign, b.browser, len(log), err)
	}
}

// log is a file; Firefox would append this ending to any other name.
func (b *browsing) log() string { return filepath.Join(b.dir, "connections.moz_log") }

// kill ends a process and its children without asking: some browsers take their time.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// chromium asks only the resolver of its Local State, and trusts what its NSS database has.
func chromium(t *testing.T, b *browsing) []string {
	profile := filepath.Join(b.dir, "profile")
	makeDirectory(t, profile)
	writeFile(t, filepath.Join(profile, "Local State"), fmt.Sprintf(
		`{"dns_over_https":{"mode":"secure","templates":"https://%s/dns-query"}}`, b.passage.at))
	b.trust(t, filepath.Join(b.dir, ".pki", "nssdb"))
	args := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-breakpad", "--user-data-dir=" + profile, "--dump-dom", "--log-net-log=" + b.log(),
		// Version 156 asks the system's resolver for it now and then, whatever DoH it was told.
		"--host-resolver-rules=MAP connectivitycheck.gstatic.com ~NOTFOUND",
	}
	if b.protocol == http3 {
		return append(args, "--enable-quic", "--origin-to-force-quic-on="+b.passage.at.String())
	}
	return append(args, "--disable-quic")
}

// firefox asks only the resolver of its preferences (mode 3), and trusts what its profile has.
func firefox(t *testing.T, b *browsing) []string {
	profile := filepath.Join(b.dir, "profile")
	makeDirectory(t, profile)
	preferences := fmt.Sprintf(`user_pref("network.trr.mode", 3);
user_pref("network.trr.uri", "https://%s/dns-query");
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.update.enabled", false);
`, b.passage.at)
	if b.protocol == http3 {
		preferences += `user_pref("network.trr.force_http3_first", true);
user_pref("network.http.http3.disable_when_third_party_roots_found", false);
user_pref("network.http.http3.force-quic-on-loopback", true);
`
	} else {
		preferences += `user_pref("network.http.http3.enable", false);
`
	}
	writeFile(t, filepath.Join(profile, "user.js"), preferences)
	b.trust(t, profile)
	return []string{
		"--headless", "--no-remote", "--profile", profile, "--screenshot", filepath.Join(b.dir, "page.png"), "--window-size=800,400",
		"-MOZ_LOG=nsHttp:3", "-MOZ_LOG_FILE=" + b.log(),
	}
}

// trust makes a database of certificates with the authority in it.
func (b *browsing) trust(t *testing.T, database string) {
	t.Helper()
	makeDirectory(t, database)
	for _, args := range [][]string{
		{"-N", "--empty-password"},
		{"-A", "-t", "C,,", "-n", "authority", "-i", b.authority},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), visitTimeout)
		out, err := exec.CommandContext(ctx, "certutil", append([]string{"-d", "sql:" + database}, args...)...).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
}

func makeDirectory(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}
