package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/certificate"
	"tacit/config"
	"tacit/internal/odoh"
	"tacit/transports"
	"tacit/upstream"
)

// A chain is three of us: a client whose questions go through a proxy to a target, which knows the world.
type chain struct {
	*testing.T
	*setting
	shown certificate.Local

	target, proxy, client          *Server
	targetLog, proxyLog, clientLog *bytes.Buffer
}

const loopbackHTTPS = "[listen]\nudp = ['127.0.0.1:0']\ntcp = ['127.0.0.1:0']\nhttps = ['127.0.0.1:0']\n"

func newChain(t *testing.T, targetText string) *chain {
	t.Helper()
	x := &chain{T: t, setting: newSetting(t)}
	var err error
	if x.shown, err = certificate.MakeLocal(certificate.LocalOptions{Directory: t.TempDir(), Names: []string{"target.example", "proxy.example"}}); err != nil {
		t.Fatal(err)
	}
	x.target, x.targetLog = x.run(x.World, common+loopbackHTTPS+x.certificate()+"[odoh]\ntarget = true\n"+targetText)
	x.proxy, x.proxyLog = x.run(nil, loopbackHTTPS+x.certificate()+x.proxying())
	x.client, x.clientLog = x.run(nil, listenAnywhere+fmt.Sprintf(
		"[[forward]]\nzone = '.'\nupstreams = ['odoh://%s/dns-query#target.example']\nproxy = 'https://%s/dns-query#proxy.example'\nca_file = '%s'\n",
		httpsOf(x.target), httpsOf(x.proxy), x.shown.Authority))
	return x
}

func (x *chain) certificate() string {
	return fmt.Sprintf("[tls]\ncert_file = '%s'\nkey_file = '%s'\n[log]\nlevel = 'debug'\n", x.shown.CertFile, x.shown.KeyFile)
}

func (x *chain) proxying() string {
	return fmt.Sprintf("[odoh]\nproxy = true\nproxy_targets = ['https://%s/dns-query#target.example', 'https://127.0.0.1:1/dns-query#gone.example']\nproxy_ca_file = '%s'\n",
		httpsOf(x.target), x.shown.Authority)
}

// run starts one of them; without a network it is the machine's.
func (x *chain) run(network upstream.Network, text string) (*Server, *bytes.Buffer) {
	x.Helper()
	var b bytes.Buffer
	log, level := NewLog(func(l slog.Leveler) slog.Handler { return slog.NewTextHandler(&b, &slog.HandlerOptions{Level: l}) })
	s, err := New(x.Context(), x.load(x.T, text), Env{Network: network, Log: log, Level: level})
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			x.Error(err)
		}
	})
	return s, &b
}

func httpsOf(s *Server) netip.AddrPort {
	for _, e := range s.Endpoints() {
		if e.Transport == transports.HTTPS.String() {
			return e.Addr
		}
	}
	return netip.AddrPort{}
}

// web is a client of HTTPS that trusts the authority of the chain.
func (x *chain) web(name string) *http.Client {
	x.Helper()
	text, err := os.ReadFile(x.shown.Authority)
	if err != nil {
		x.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	h := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true}
	x.Cleanup(h.CloseIdleConnections)
	return &http.Client{Transport: h, Timeout: 8 * time.Second}
}

func (x *chain) config() odoh.Config {
	x.Helper()
	response, err := x.web("target.example").Get("https://" + httpsOf(x.target).String() + odoh.ConfigsPath)
	if err != nil {
		x.Fatal(err)
	}
	defer response.Body.Close()
	octets, err := io.ReadAll(response.Body)
	if err != nil {
		x.Fatal(err)
	}
	c, err := odoh.ParseConfigs(octets)
	if err != nil {
		x.Fatal(err)
	}
	return c
}

func (x *chain) post(s *Server, name, query string, sealed []byte) (status int, told string) {
	x.Helper()
	response, err := x.web(name).Post("https://"+httpsOf(s).String()+transports.Path+query, odoh.MediaType, bytes.NewReader(sealed))
	if err != nil {
		x.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header.Get("Proxy-Status")
}

// Reference row D11: all three roles in one round trip, and no name in the logs of any of them.
func TestObliviousChain(t *testing.T) {
	x := newChain(t, "")
	udp, _ := x.client.Addrs()
	for range 3 {
		expectAddress(t, ask(t, "udp", udp[0], "www.zone.example."), "203.0.113.1")
	}
	expectAddress(t, ask(t, "udp", udp[0], "new.zone.example."), "203.0.113.2")
	if r := ask(t, "udp", udp[0], "none.zone.example."); r.Rcode != dns.RcodeNameError {
		t.Errorf("no such name: %s", dns.RcodeToString[r.Rcode])
	}
	for _, s := range []*Server{x.client, x.proxy, x.target} { // so that all is said
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for who, log := range map[string]*bytes.Buffer{"target": x.targetLog, "proxy": x.proxyLog, "client": x.clientLog} {
		for _, hidden := range []string{"zone.example", "www", "target.example"} {
			if strings.Contains(log.String(), hidden) {
				t.Errorf("%s logs %s: %s", who, hidden, log)
			}
		}
	}
}

// What the proxy does not go to, and what it says then (RFC 9230 section 4.3, RFC 9209).
func TestProxyGoesToListedTargetsOnly(t *testing.T) {
	x := newChain(t, "")
	c := x.config()
	sealed, _, err := c.Seal([]byte("no message"))
	if err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf("targethost=target.example:%d", httpsOf(x.target).Port())
	for _, c := range []struct {
		query  string
		status int
		told   string
	}{
		{target + "&targetpath=/dns-query", 400, "received-status=400"}, // by the target, who has opened it
		{strings.ToUpper(target[11:]), 400, "error=http_request_error"},
		{target + "&targetpath=/DNS-query", 403, "error=http_request_denied"},
		{target + "&targetpath=/dns-query/", 403, "error=http_request_denied"},
		{"targethost=target.example&targetpath=/dns-query", 403, "error=http_request_denied"},
		{"targethost=" + httpsOf(x.target).String() + "&targetpath=/dns-query", 403, "error=http_request_denied"},
		{"targethost=proxy.example&targetpath=/dns-query", 403, "error=http_request_denied"},
		{"targethost=" + httpsOf(x.proxy).String() + "&targetpath=/dns-query", 403, "error=http_request_denied"},
		{"targethost=localhost&targetpath=/dns-query", 403, "error=http_request_denied"},
		{"targethost=gone.example:1&targetpath=/dns-query", 502, "error=connection_refused"},
	} {
		if status, told := x.post(x.proxy, "proxy.example", "?"+c.query, sealed); status != c.status || told != "odoh-proxy; "+c.told {
			t.Errorf("%s: %d %q, want %d %q", c.query, status, told, c.status, c.told)
		}
	}
	if status, _ := x.post(x.target, "target.example", "?"+target+"&targetpath=/dns-query", sealed); status != http.StatusForbidden {
		t.Errorf("the target takes messages on: %d", status)
	}
}

// A target that takes a connection and says nothing does not hold a client's place for longer than an answer may take.
func TestProxyDoesNotWaitForSilentTargets(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	x := newChain(t, "")
	text := strings.Replace(x.proxying(), "https://127.0.0.1:1/", "https://"+silent.Addr().String()+"/", 1)
	if err := x.proxy.Reload(t.Context(), x.load(t, loopbackHTTPS+x.certificate()+text)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, port, _ := strings.Cut(silent.Addr().String(), ":")
	status, told := x.post(x.proxy, "proxy.example", "?targethost=gone.example:"+port+"&targetpath=/dns-query", []byte{1})
	if took := time.Since(began); status != http.StatusGatewayTimeout || told != "odoh-proxy; error=http_response_timeout" || took > 6*time.Second {
		t.Errorf("%d %q after %v", status, told, took)
	}
}

// The target's client is the proxy: its address is what the access rules are about.
func TestTargetRefusesProxiesThatAreNotServed(t *testing.T) {
	x := newChain(t, "[access]\nrefuse = ['127.0.0.0/8']\n")
	c := x.config() // the key is for everybody
	sealed, _, err := c.Seal([]byte("no message"))
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := x.post(x.target, "target.example", "", sealed); status != http.StatusForbidden {
		t.Errorf("directly: %d", status)
	}
	query := fmt.Sprintf("?targethost=target.example:%d&targetpath=/dns-query", httpsOf(x.target).Port())
	if status, told := x.post(x.proxy, "proxy.example", query, sealed); status != http.StatusForbidden || told != "odoh-proxy; received-status=403" {
		t.Errorf("through the proxy: %d %q", status, told)
	}
}

// A reload keeps the key, as clients hold on to it, and can end a role.
func TestReloadOfRoles(t *testing.T) {
	x := newChain(t, "")
	before := x.target.current.Load().roles.target
	reload := func(s *Server, text string) {
		t.Helper()
		if err := s.Reload(t.Context(), x.load(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	reload(x.target, common+loopbackHTTPS+x.certificate()+"[odoh]\ntarget = true\n[access]\nrefuse = ['192.0.2.0/24']\n")
	if after := x.target.current.Load().roles.target; after == nil || after != before {
		t.Error("a reload made another key")
	}
	reload(x.target, common+loopbackHTTPS+x.certificate())
	if status, _ := x.post(x.target, "target.example", "", []byte{1}); status != http.StatusUnsupportedMediaType {
		t.Errorf("a role that is over: %d", status)
	}
	reload(x.proxy, loopbackHTTPS+x.certificate())
	if status, _ := x.post(x.proxy, "proxy.example", "?targethost=target.example&targetpath=/dns-query", []byte{1}); status != http.StatusUnsupportedMediaType {
		t.Errorf("a proxy that is none any more: %d", status)
	}
}

// Reference row D11: the proxy refuses itself as a target, also where it listens on all addresses.
func TestProxyIsNotItsOwnTarget(t *testing.T) {
	text := "[listen]\nhttps = [':8443']\n[odoh]\nproxy = true\nproxy_targets = ['https://127.0.0.1:8443/dns-query']\n"
	path := filepath.Join(t.TempDir(), "tacit.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(c); !errors.Is(err, errOwnTarget) {
		t.Errorf("got %v", err)
	}
	if _, err := newRelay(c, nil); !errors.Is(err, errOwnTarget) {
		t.Errorf("made with %v", err)
	}
}

// Each way in which a target cannot be asked has a name in RFC 9209.
func TestFaultsAreNamed(t *testing.T) {
	for outcome := upstream.Timeout; outcome <= upstream.Unauthenticated; outcome++ {
		f := faultOf(&upstream.Error{Outcome: outcome})
		if f.Status < 500 || f.Error == "" {
			t.Errorf("%v: %+v", outcome, f)
		}
	}
	if f := faultOf(errOwnTarget); f.Status != http.StatusInternalServerError {
		t.Errorf("%+v", f)
	}
}
