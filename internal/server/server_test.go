package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/config"
	"tacit/internal/testnet"
	"tacit/transports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A setting is a world and a directory with a configuration for a tacit in front of it.
type setting struct {
	*testnet.World
	path string
}

const common = `
[recursion]
root_hints = "root.hints"
ipv6 = false
`

const listenAnywhere = `
[listen]
udp = ["127.0.0.1:0"]
tcp = ["127.0.0.1:0"]
`

func newSetting(t *testing.T) *setting {
	t.Helper()
	w := testnet.New(testnet.Options{Latency: time.Millisecond})
	w.Zone("zone.example.", `
		www IN A   203.0.113.1
		new IN A   203.0.113.2`)
	w.Sign(testnet.Signing{}, ".", "example.", "zone.example.")
	x := &setting{World: w, path: filepath.Join(t.TempDir(), "tacit.toml")}
	if err := os.WriteFile(filepath.Join(filepath.Dir(x.path), "root.hints"), []byte(w.Hints()), 0o600); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *setting) write(t *testing.T, text string) {
	t.Helper()
	text += "[dnssec]\ntrust_anchors = ['" + x.Anchor() + "']\n"
	if err := os.WriteFile(x.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (x *setting) load(t *testing.T, text string) *config.Config {
	t.Helper()
	x.write(t, text)
	c, err := config.Load(x.path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts a server; what it logs goes to the buffer.
func (x *setting) start(t *testing.T, text string) (*Server, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	log, level := NewLog(func(l slog.Leveler) slog.Handler {
		return slog.NewTextHandler(&b, &slog.HandlerOptions{Level: l})
	})
	s, err := New(t.Context(), x.load(t, text), Env{Network: x.World, Log: log, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, &b
}

func TestAnswersOverBothTransports(t *testing.T) {
	s, _ := newSetting(t).start(t, common+listenAnywhere)
	udp, tcp := s.Addrs()
	if len(udp) != 1 || len(tcp) != 1 {
		t.Fatalf("listens on %v and %v", udp, tcp)
	}
	for range 3 { // found, from RRsets, and finished answers
		for network, at := range map[string]netip.AddrPort{"udp": udp[0], "tcp": tcp[0]} {
			expectAddress(t, ask(t, network, at, "www.zone.example."), "203.0.113.1")
		}
	}
}

func TestAccessList(t *testing.T) {
	s, _ := newSetting(t).start(t, common+listenAnywhere+"[access]\nrefuse = ['127.0.0.0/8']\n")
	udp, _ := s.Addrs()
	if r := ask(t, "udp", udp[0], "www.zone.example."); r.Rcode != dns.RcodeRefused {
		t.Errorf("%s for a refused client", dns.RcodeToString[r.Rcode])
	}
}

func TestReloadKeepsListenersAndCache(t *testing.T) {
	x := newSetting(t)
	s, log := x.start(t, common+listenAnywhere)
	udp, tcp := s.Addrs()
	connection := mustDial(t, tcp[0])
	ask(t, "udp", udp[0], "www.zone.example.")
	asked := x.Count("zone.example.")

	x.write(t, common+listenAnywhere+"[access]\nrefuse = ['192.0.2.0/24']\n[log]\nlevel = 'debug'\n")
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	if u, v := s.Addrs(); u[0] != udp[0] || v[0] != tcp[0] {
		t.Errorf("listens on %v and %v, was %v and %v", u, v, udp, tcp)
	}
	if err := connection.WriteMsg(new(dns.Msg).SetQuestion("www.zone.example.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	r, err := connection.ReadMsg()
	if err != nil {
		t.Fatalf("the connection was lost: %v", err)
	}
	expectAddress(t, r, "203.0.113.1")
	if n := x.Count("zone.example."); n != asked {
		t.Errorf("%d packets after the reload: the cache was lost", n-asked)
	}
	if !strings.Contains(log.String(), "configuration reloaded") || s.env.Level.Level() != slog.LevelDebug {
		t.Errorf("level %v, log %s", s.env.Level.Level(), log)
	}
}

func TestReloadAppliesWhatChanged(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+listenAnywhere)
	udp, _ := s.Addrs()
	ask(t, "udp", udp[0], "www.zone.example.")
	for name, c := range map[string]struct{ text, want string }{
		"access":  {"[access]\nrefuse = ['127.0.0.0/8']\n", "REFUSED"},
		"forward": {"[[forward]]\nzone = 'zone.example'\nupstreams = ['192.0.2.250']\n", "SERVFAIL"}, // nobody is there
	} {
		x.write(t, common+listenAnywhere+c.text+"[cache]\nserve_stale = false\n")
		if err := s.ReloadFile(t.Context(), x.path); err != nil {
			t.Fatal(err)
		}
		if r := ask(t, "udp", udp[0], "www.zone.example."); dns.RcodeToString[r.Rcode] != c.want {
			t.Errorf("%s: %s, want %s", name, dns.RcodeToString[r.Rcode], c.want)
		}
	}
}

func TestReloadMovesListeners(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+"[listen]\nudp = ['127.0.0.1:0']\ntcp = []\n")
	x.write(t, common+"[listen]\nudp = []\ntcp = ['127.0.0.1:0']\n")
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	udp, tcp := s.Addrs()
	if len(udp) != 0 || len(tcp) != 1 {
		t.Fatalf("listens on %v and %v", udp, tcp)
	}
	expectAddress(t, ask(t, "tcp", tcp[0], "www.zone.example."), "203.0.113.1")
}

// A broken file keeps the old configuration, and one line says where it is broken.
func TestReloadRefusesAsAWhole(t *testing.T) {
	x := newSetting(t)
	s, log := x.start(t, common+listenAnywhere)
	udp, tcp := s.Addrs()
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", common + "[access]\nrefuse = ['127.0.0.0/8']\n[listen]\nupd = []\n[log]\nlevel = 1\n", "tacit.toml:8:1: listen.upd: unknown key; the nearest is listen.udp"},
		{"no such hints", "[recursion]\nroot_hints = 'none'\n[access]\nrefuse = ['127.0.0.0/8']\n", "recursion.root_hints: open "},
		{"no such authority", common + "[[forward]]\nzone = 'corp.example'\nupstreams = ['tls://192.0.2.1']\nca_file = 'none.pem'\n", "forward.ca_file: open "},
		{"no certificate", common + "[[forward]]\nzone = 'corp.example'\nupstreams = ['tls://192.0.2.1']\nca_file = 'root.hints'\n", "root.hints: no certificate in PEM"},
		{"taken address", common + "[access]\nrefuse = ['127.0.0.0/8']\n[listen]\nudp = []\ntcp = ['127.0.0.1:0', '" + tcp[0].String() + "']\n", "listen on tcp: address already in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log.Reset()
			x.write(t, c.text)
			if err := s.ReloadFile(t.Context(), x.path); err == nil {
				t.Fatal("a broken configuration was accepted")
			}
			if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), c.want) {
				t.Errorf("%d lines: %s; want one with %s", lines, log, c.want)
			}
			expectAddress(t, ask(t, "udp", udp[0], "www.zone.example."), "203.0.113.1")
			if u, v := s.Addrs(); len(u) != 1 || len(v) != 1 {
				t.Errorf("listens on %v and %v", u, v)
			}
		})
	}
}

func TestShutdown(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+listenAnywhere)
	_, tcp := s.Addrs()
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := dns.DialTimeout("tcp", tcp[0].String(), time.Second); err == nil {
		t.Errorf("still listening: %v", c.Close())
	}
	if err := s.ReloadFile(t.Context(), x.path); !errors.Is(err, errStopped) {
		t.Errorf("reload after the end: %v", err)
	}
}

func TestNewFailsAsAWhole(t *testing.T) {
	x := newSetting(t)
	first, _ := x.start(t, common+listenAnywhere)
	_, tcp := first.Addrs()
	_, err := New(t.Context(), x.load(t, common+"[listen]\ntcp = ['127.0.0.1:0', '"+tcp[0].String()+"']\nudp = []\n"), Env{Network: x.World})
	if le, ok := errors.AsType[*transports.ListenError](err); !ok || le.Addr != tcp[0] || !le.InUse() {
		t.Fatalf("got %v, want the address in use", err)
	}
	if _, err := New(t.Context(), x.load(t, "[recursion]\nroot_hints = 'none'\n"), Env{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no such file", err)
	}
}

func TestDefaultAccessIsThatOfPolicy(t *testing.T) {
	c := config.Default()
	p, err := build(c, Env{}.withDefaults(), newCache(c), nil, newZones(c, Env{}.withDefaults(), nil, nil), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	for addr, want := range map[string]bool{"127.0.0.1": true, "10.1.2.3": true, "fe80::1": true, "192.0.2.1": false, "2001:db8::1": false} {
		if _, ok := p.access.Admit(netip.MustParseAddr(addr), time.Time{}); ok != want {
			t.Errorf("%s admitted: %v, want %v", addr, ok, want)
		}
	}
}

func ask(t *testing.T, network string, at netip.AddrPort, name string) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 8 * time.Second}
	r, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA), at.String())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustDial(t *testing.T, at netip.AddrPort) *dns.Conn {
	t.Helper()
	c, err := dns.DialTimeout("tcp", at.String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(8 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func expectAddress(t *testing.T, r *dns.Msg, want string) {
	t.Helper()
	if len(r.Answer) != 1 {
		t.Fatalf("%s with %d records, want %s", dns.RcodeToString[r.Rcode], len(r.Answer), want)
	}
	if a, ok := r.Answer[0].(*dns.A); !ok || a.A.String() != want {
		t.Errorf("%v, want %s", r.Answer[0], want)
	}
}
