package server

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/zone"
)

// A beside is a world with loopback beside it, where other servers are.
type beside struct{ *testnet.World }

func (b beside) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasPrefix(address, "127.0.0.1:") {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return b.World.DialContext(ctx, network, address)
}

// Lines are what was logged.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

// startBeside starts a server that reaches loopback.
func (x *setting) startBeside(t *testing.T, text string) (*Server, lines) {
	t.Helper()
	b := make(lines, 100)
	log, level := NewLog(func(l slog.Leveler) slog.Handler { return slog.NewTextHandler(b, &slog.HandlerOptions{Level: l}) })
	s, err := New(t.Context(), x.load(t, text), Env{Network: beside{x.World}, Log: log, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s, b
}

// eventually waits until the server has an address for a name.
func eventually(t *testing.T, s *Server, name, octets string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		a, _ := s.Resolve(t.Context(), wire.Question{Name: wire.MustName(name), Type: wire.TypeA, Class: wire.ClassIN})
		if strings.HasSuffix(string(a.Packet), octets) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not there: %q", name, a.Packet)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// One tacit is the primary of another: the zone comes, a change is told and follows, and a file that nobody else has to write is served
// from the start.
func TestReplicaOfATacit(t *testing.T) {
	x, y := newSetting(t), newSetting(t)
	x.lay(t, 0o600, someSecret)
	write(t, y.file("k.key"), someSecret)
	primary, _ := x.startBeside(t, common+listenAnywhere+keeping)
	_, tcp := primary.Addrs()
	text := common + listenAnywhere + "[[key]]\nname = 'k.test.'\nsecret_file = 'k.key'\n[[zone]]\nname = 'kept.example'\nfile = 'copy'\nkey = 'k.test.'\nprimaries = ['" + tcp[0].String() + "']\n"
	s, _ := y.startBeside(t, text)
	eventually(t, s, "shop.kept.example.", "\xc6\x33\x64\x02")
	eventually(t, s, "blog.kept.example.", "\xcb\x00\x71\x0a") // what is proxied there is the edge's here
	if copied, err := os.ReadFile(y.file("copy")); err != nil || bytes.Contains(copied, []byte("192.0.2.1")) {
		t.Errorf("the copy: %s %v", copied, err)
	}
	udp, _ := s.Addrs()
	x.write(t, common+listenAnywhere+strings.Replace(keeping, "[[secondary]]", "[[secondary]]\nnotify = ['"+udp[0].String()+"']", 1))
	if err := primary.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	write(t, x.file("kept.zone"), "@ SOA ns x 8 1 1 1 1\n@ NS ns\nshop A 198.51.100.3\n")
	primary.current.Load().zones.Look()
	eventually(t, s, "shop.kept.example.", "\xc6\x33\x64\x03")
	if err := s.ReloadFile(t.Context(), y.path); err != nil { // and another Keeper goes on
		t.Fatal(err)
	}
	write(t, x.file("kept.zone"), "@ SOA ns x 9 1 1 1 1\n@ NS ns\nshop A 198.51.100.4\n")
	primary.current.Load().zones.Look()
	eventually(t, s, "shop.kept.example.", "\xc6\x33\x64\x04")
	if err := primary.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ = y.startBeside(t, text)
	expect(t, s, "shop.kept.example.", "NOERROR 198.51.100.4")
}

// A zone that has not come yet fails, with the extended error Invalid Data (RFC 8914 section 4.25), and keeps tacit from nothing; nor
// does a bad file of it.
func TestReplicaThatIsNotThere(t *testing.T) {
	for name, text := range map[string]string{"no file": "", "a bad file": "www A 192.0.2.444\n", "one without SOA": "www A 192.0.2.4\n"} {
		t.Run(name, func(t *testing.T) {
			x := newSetting(t)
			if text != "" {
				write(t, x.file("copy"), text)
			}
			config := common + listenAnywhere + "[[zone]]\nname = 'zone.example'\nfile = 'copy'\nprimaries = ['127.0.0.1:9']\n"
			if err := Check(x.load(t, config)); err != nil {
				t.Error(err)
			}
			s, log := x.startBeside(t, config)
			a, _ := s.Resolve(t.Context(), wire.Question{Name: wire.MustName("www.zone.example."), Type: wire.TypeA, Class: wire.ClassIN})
			if len(a.Errors) != 1 || a.Errors[0].Code != wire.EDEInvalidData || wire.Rcode(a.Packet[3]&0xf) != wire.Rcode(dns.RcodeServerFailure) {
				t.Errorf("%+v", a)
			}
			if n := x.Count("zone.example."); n != 0 {
				t.Errorf("%d packets about names that are served here", n)
			}
			for said := ""; !strings.Contains(said, "zone=zone.example. reason=\"connection fails or ends early\""); {
				if said = <-log; strings.Contains(said, "127.0.0.1") {
					t.Errorf("the log: %s", said)
				}
			}
		})
	}
}

// What transfers need has to be there when the configuration is checked.
func TestCheckOfReplicas(t *testing.T) {
	x := newSetting(t)
	for text, want := range map[string]string{
		"file = 'nowhere/copy'\nprimaries = ['192.0.2.1']\n":                            "zone.file: ",
		"file = 'copy'\nprimaries = ['tls://192.0.2.1#ns.test']\nca_file = 'nowhere'\n": "zone.ca_file: ",
	} {
		err := Check(x.load(t, "[[zone]]\nname = 'zone.example'\n"+text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The management API shows a copy, and changes none.
func TestManagerLeavesReplicasAlone(t *testing.T) {
	x := newSetting(t)
	write(t, x.file("copy"), "@ SOA ns x 7 3600 600 86400 300\n@ NS ns\nns A 192.0.2.1\n")
	s, _ := x.startBeside(t, common+listenAnywhere+"[[zone]]\nname = 'zone.example'\nfile = 'copy'\nprimaries = ['127.0.0.1:9']\n")
	k := manager{s}
	list, err := k.Zones()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := k.DeleteZone(list[0].ID); err == nil || !strings.Contains(err.Error(), "copy of its primaries'") {
		t.Error(err)
	}
	if f := s.current.Load().zones.Files(); len(f) != 1 || f[0].Settings.Status != zone.Active {
		t.Errorf("%+v", f)
	}
}
