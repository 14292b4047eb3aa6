package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/admin"
	"tacit/internal/place"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

// controlled is a configuration with a control socket in a directory whose path is short enough for one.
func controlled(t *testing.T) (text, path string) {
	t.Helper()
	directory, err := os.MkdirTemp("", "tacit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	path = filepath.Join(directory, "control.sock")
	return common + listenAnywhere + "[admin]\ncontrol = '" + path + "'\n", path
}

// question asks with DO, so that extended errors and signatures come, too.
func question(t *testing.T, at netip.AddrPort, name string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.SetEdns0(1232, true)
	c := dns.Client{Timeout: 8 * time.Second}
	r, _, err := c.ExchangeContext(t.Context(), m, at.String())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// outline is the RCODE of an answer and its extended errors.
func outline(r *dns.Msg) string {
	text := dns.RcodeToString[r.Rcode]
	for _, o := range r.IsEdns0().Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			text += fmt.Sprintf(" EDE %d", e.InfoCode)
		}
	}
	if r.AuthenticatedData {
		text += " AD"
	}
	return text
}

func expectOutline(t *testing.T, at netip.AddrPort, when, want string) {
	t.Helper()
	if got := outline(question(t, at, "www.zone.example.")); got != want {
		t.Errorf("%s: %s, want %s", when, got, want)
	}
}

// RFC 7646 section 2: a negative trust anchor has effect at once, and so has its end.
func TestExceptionAtRunTime(t *testing.T) {
	x := newSetting(t)
	x.Spoil("zone.example.", testnet.Expired())
	text, path := controlled(t)
	s, log := x.start(t, text)
	udp, _ := s.Addrs()
	client, ctx := admin.NewClient(path), t.Context()

	expectOutline(t, udp[0], "before", "SERVFAIL EDE 7")
	expectOutline(t, udp[0], "from memory", "SERVFAIL EDE 13 EDE 7")
	if err := client.AddException(ctx, "zone.example", time.Hour, "signatures expired"); err != nil {
		t.Fatal(err)
	}
	expectOutline(t, udp[0], "excepted", "NOERROR EDE 33")
	expectOutline(t, udp[0], "excepted, from memory", "NOERROR EDE 33")
	expectOutline(t, udp[0], "excepted, a finished answer", "NOERROR EDE 33")

	for _, reload := range []func() error{
		func() error { return client.Reload(ctx) },
		func() error { return s.ReloadFile(ctx, x.path) }, // as SIGHUP does
	} {
		if err := reload(); err != nil {
			t.Fatal(err)
		}
		expectOutline(t, udp[0], "after a reload", "NOERROR EDE 33")
	}
	list, err := client.Exceptions(ctx)
	if err != nil || len(list) != 1 || list[0].Zone != "zone.example." || list[0].Reason != "signatures expired" || list[0].Until.Before(time.Now()) {
		t.Errorf("%v, %v", list, err)
	}
	if err := client.RemoveException(ctx, "zone.example"); err != nil {
		t.Fatal(err)
	}
	expectOutline(t, udp[0], "validated again", "SERVFAIL EDE 7")
	if !strings.Contains(log.String(), "not validated for a time") || !strings.Contains(log.String(), "validated again") {
		t.Errorf("log %s", log)
	}
}

// Whatever is wrong, and by whatever way a question comes to the zone: nothing of what was concluded before is left.
func TestExceptionCoversEachFlaw(t *testing.T) {
	for name, flaw := range map[string]testnet.Flaw{
		"expired": testnet.Expired(), "other key": testnet.WrongKey(), "no signatures": testnet.MissingRRSIG(),
		"keys not signed": testnet.UnsignedDNSKEY(), "other DS": testnet.DSMismatch(), "altered": testnet.BadSignature(),
	} {
		t.Run(name, func(t *testing.T) {
			x := newSetting(t)
			x.Zone("alias.example.", "www IN CNAME www.zone.example.")
			x.Sign(testnet.Signing{}, "alias.example.")
			x.Spoil("zone.example.", flaw)
			text, path := controlled(t)
			s, _ := x.start(t, text)
			udp, _ := s.Addrs()
			client, ctx := admin.NewClient(path), t.Context()
			expectRcodes := func(when string, want int) {
				t.Helper()
				for _, name := range []string{"www.zone.example.", "www.alias.example."} {
					if r := question(t, udp[0], name); r.Rcode != want || r.AuthenticatedData {
						t.Errorf("%s, %s: %s, want %s", when, name, outline(r), dns.RcodeToString[want])
					}
				}
			}
			expectRcodes("before", dns.RcodeServerFailure)
			if err := client.AddException(ctx, "zone.example", time.Hour, "x"); err != nil {
				t.Fatal(err)
			}
			expectRcodes("excepted", dns.RcodeSuccess)
			if err := client.RemoveException(ctx, "zone.example"); err != nil {
				t.Fatal(err)
			}
			expectRcodes("validated again", dns.RcodeServerFailure)
		})
	}
}

func TestExceptionEnds(t *testing.T) {
	x := newSetting(t)
	x.Spoil("zone.example.", testnet.Expired())
	text, path := controlled(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s, err := New(t.Context(), x.load(t, text), Env{Network: x.World, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	udp, _ := s.Addrs()
	if err := admin.NewClient(path).AddException(t.Context(), "zone.example", time.Minute, "x"); err != nil {
		t.Fatal(err)
	}
	expectOutline(t, udp[0], "excepted", "NOERROR EDE 33")
	ahead.Store(int64(time.Minute))
	s.endExceptions()
	expectOutline(t, udp[0], "after the end", "SERVFAIL EDE 7")
}

// The end comes by itself, and what was concluded meanwhile goes with it.
func TestExceptionsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSetting(t)
		x.Spoil("zone.example.", testnet.Expired())
		c := x.load(t, common+listenAnywhere)
		s := &Server{
			env: Env{Network: x.World}.withDefaults(), memory: upstream.NewMemory(upstream.MemoryOptions{}), cache: newCache(c),
			stopping: make(chan struct{}), exceptions: newExceptions(),
		}
		p, err := s.build(c, s.cache, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.current.Store(p)
		s.retired.Go(s.followExceptions)
		zone := wire.MustName("zone.example.")
		q := wire.Question{Name: wire.MustName("www.zone.example."), Type: wire.TypeA, Class: wire.ClassIN}
		for _, step := range []struct {
			name string
			do   func() error
			want int
		}{
			{"before", func() error { return nil }, dns.RcodeServerFailure},
			{"excepted", func() error { return operator{s}.Add(zone, 150*time.Second, "x") }, dns.RcodeSuccess},
			{"longer", func() error { return operator{s}.Add(zone, 300*time.Second, "x") }, dns.RcodeSuccess},
			{"just before the end", func() error { <-time.After(299 * time.Second); return nil }, dns.RcodeSuccess},
			{"after the end", func() error { <-time.After(2 * time.Second); return nil }, dns.RcodeServerFailure},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if a, _ := s.Resolve(t.Context(), q); int(a.Packet[3]&15) != step.want {
				t.Errorf("%s: %s, want %s", step.name, dns.RcodeToString[int(a.Packet[3]&15)], dns.RcodeToString[step.want])
			}
		}
		if len(s.exceptions.zones) != 0 {
			t.Error("still watched after the end")
		}
		close(s.stopping)
		s.retired.Wait()
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestExceptionsThatAreRefused(t *testing.T) {
	x := newSetting(t)
	text, path := controlled(t)
	s, _ := x.start(t, text)
	client := admin.NewClient(path)
	fixed := strings.Replace(text, common, common+"[dnssec]\nnegative_trust_anchors = ['fixed.example']\n", 1)
	if err := os.WriteFile(x.path, []byte(fixed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, zone, reason string
		lifetime           time.Duration
		want               string
		misuse             bool
	}{
		{"too long", "zone.example", "x", 8 * 24 * time.Hour, "at most 7 days", true},
		{"no reason", "zone.example", "", time.Hour, "reason is empty", true},
		{"configured", "fixed.example", "x", time.Hour, "which does not end", false},
	} {
		err := client.AddException(t.Context(), c.zone, c.lifetime, c.reason)
		if e, ok := errors.AsType[*admin.Error](err); !ok || !strings.Contains(e.Text, c.want) || e.Misuse != c.misuse {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := client.RemoveException(t.Context(), "zone.example"); err == nil || err.Error() != errNoException.Error() {
		t.Errorf("remove: %v", err)
	}
	off := strings.Replace(text, common, common+"[dnssec]\nvalidate = false\n", 1)
	if err := os.WriteFile(x.path, []byte(off), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"add":    client.AddException(t.Context(), "zone.example", time.Hour, "x"),
		"remove": client.RemoveException(t.Context(), "zone.example"),
	} {
		if err == nil || err.Error() != errNotValidated.Error() {
			t.Errorf("%s without validation: %v", name, err)
		}
	}
	if list, err := client.Exceptions(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if err := client.FlushAll(t.Context()); err != nil {
		t.Errorf("flush without validation: %v", err)
	}
	if err := client.Flush(t.Context(), "www.zone.example", false); err != nil {
		t.Errorf("flush without validation: %v", err)
	}
}

func TestFlush(t *testing.T) {
	const www, other, mail = "www.zone.example.", "new.zone.example.", "www.example."
	x := newSetting(t)
	x.Zone("other.example.", "@ IN A 203.0.113.9")
	text, path := controlled(t)
	s, _ := x.start(t, text)
	udp, _ := s.Addrs()
	client, ctx := admin.NewClient(path), t.Context()
	names := []string{www, other, "other.example."}
	for _, c := range []struct {
		name  string
		flush func() error
		asked string // the names that have to be asked for again
	}{
		{"nothing", func() error { return nil }, ""},
		{"a name", func() error { return client.Flush(ctx, www, false) }, www},
		{"a name that is not known", func() error { return client.Flush(ctx, mail, false) }, ""},
		{"a zone without what is below it", func() error { return client.Flush(ctx, "zone.example", false) }, ""},
		{"a subtree", func() error { return client.Flush(ctx, "zone.example", true) }, www + other},
		{"everything", func() error { return client.FlushAll(ctx) }, www + other + "other.example."},
	} {
		for _, name := range names {
			question(t, udp[0], name)
		}
		if err := c.flush(); err != nil {
			t.Fatal(err)
		}
		var asked string
		for _, name := range names {
			before := len(x.SeenAt("zone.example.").Asking(name, dns.TypeA)) + len(x.SeenAt("other.example.").Asking(name, dns.TypeA))
			question(t, udp[0], name)
			if len(x.SeenAt("zone.example.").Asking(name, dns.TypeA))+len(x.SeenAt("other.example.").Asking(name, dns.TypeA)) > before {
				asked += name
			}
		}
		if asked != c.asked {
			t.Errorf("%s: %q asked again, want %q", c.name, asked, c.asked)
		}
	}
}

// The status says nothing about who asked for what.
func TestStatusHoldsNoNamesAndNoClients(t *testing.T) {
	x := newSetting(t)
	text, path := controlled(t)
	s, _ := x.start(t, text)
	udp, _ := s.Addrs()
	for _, name := range []string{"www.zone.example.", "www.zone.example.", "www.zone.example.", "marked1.zone.example.", "marked2.example.", "marked3."} {
		question(t, udp[0], name)
	}
	client := admin.NewClient(path)
	if err := client.AddException(t.Context(), "own.example", time.Hour, "why"); err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	all := string(b)
	for _, secret := range []string{"www", "marked", "zone.example", "127.0.0.1", "203.0.113", "192.0.2"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q in %s", secret, all)
		}
	}
	for _, want := range []string{`"own.example."`, `"reason":"why"`, `"state":"valid"`, `"config":"` + x.path, `"root":null`} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %s", want, all)
		}
	}
	if u := status.Transports[0]; u.Name != "udp" || u.Queries != 6 || u.Recalled != 1 || u.Listeners != 1 {
		t.Errorf("%+v", u)
	}
	if m := status.Cache[1]; m.Name != "rrsets" || m.Entries == 0 || m.Bytes == 0 || m.Capacity < m.Bytes {
		t.Errorf("%+v", m)
	}
}

func TestControlSocketComesAndGoes(t *testing.T) {
	x := newSetting(t)
	first, path1 := controlled(t)
	second, path2 := controlled(t)
	s, _ := x.start(t, first)
	x.write(t, second)
	if err := admin.NewClient(path1).Reload(t.Context()); err != nil {
		t.Fatalf("the reload that moves the socket is not answered: %v", err)
	}
	if _, err := admin.NewClient(path2).Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.write(t, "[listen]\nupd = []\n")
	err := admin.NewClient(path2).Reload(t.Context())
	if e, ok := errors.AsType[*admin.Error](err); !ok || !e.Misuse || !strings.Contains(e.Text, "tacit.toml:2:1: listen.upd: unknown key") {
		t.Errorf("a mistake in the file: %v", err)
	}
	x.write(t, common+listenAnywhere)
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.NewClient(path2).Status(t.Context()); !errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("the socket is still there: %v", err)
	}
	x.write(t, second)
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

// A reload that fails leaves no socket behind, and a server does not start where another one listens.
func TestControlSocketFailsAsAWhole(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+listenAnywhere)
	_, tcp := s.Addrs()
	text, path := controlled(t)
	x.write(t, strings.Replace(text, `tcp = ["127.0.0.1:0"]`, `tcp = ["127.0.0.1:0", "`+tcp[0].String()+`"]`, 1))
	if err := s.ReloadFile(t.Context(), x.path); err == nil {
		t.Error("an address that is taken was accepted")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket was left behind: %v", err)
	}
	x.start(t, text)
	if _, err := New(t.Context(), x.load(t, text), Env{Network: x.World}); !errors.Is(err, place.ErrInUse) {
		t.Errorf("%v, want %v", err, place.ErrInUse)
	}
}

func TestControlPath(t *testing.T) {
	x := newSetting(t)
	plain, set := x.load(t, common), x.load(t, common+"[admin]\ncontrol = 'c.sock'\n")
	t.Setenv("RUNTIME_DIRECTORY", "")
	if path := controlPath(plain); path != "" {
		t.Errorf("%q without a service manager", path)
	}
	t.Setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
	if path := controlPath(plain); path != "/run/a/control.sock" {
		t.Errorf("%q", path)
	}
	if path, want := FindControl(set), filepath.Join(filepath.Dir(x.path), "c.sock"); path != want {
		t.Errorf("%q, want %q", path, want)
	}
}

// cache.packets = false has every question take the whole path.
func TestWithoutPackets(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+listenAnywhere+"[cache]\npackets = false\n")
	udp, _ := s.Addrs()
	for range 4 {
		expectAddress(t, ask(t, "udp", udp[0], "www.zone.example."), "203.0.113.1")
	}
	if c := s.cache.Stats(); c.Packets.Entries != 0 || c.Packets.Hits != 0 || c.RRsets.Entries == 0 {
		t.Errorf("%+v", c)
	}
	x.write(t, common+listenAnywhere)
	before := s.cache
	if err := s.ReloadFile(t.Context(), x.path); err != nil || s.cache == before {
		t.Errorf("the cache without packets is still there (%v)", err)
	}
}
