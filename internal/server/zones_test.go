package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/config"
	"tacit/internal/wire"
	"tacit/zone"
)

const servedHere = common + listenAnywhere + `
[[zone]]
name = "home.test."
file = "home.zone"
[zones]
directory = "zones"
keys = "keys"
[edge]
addresses = ["203.0.113.10"]
`

// newHome is a setting with a zone file and a directory of them.
func newHome(t *testing.T) *setting {
	t.Helper()
	x := newSetting(t)
	if err := os.Mkdir(x.file("zones"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, x.file("home.zone"), "www A 192.0.2.1 ; cf_tags=cf-proxied:true\nftp A 192.0.2.2\n")
	write(t, x.file("zones/more.test.zone"), "www A 192.0.2.3\n")
	return x
}

func (x *setting) file(name string) string { return filepath.Join(filepath.Dir(x.path), name) }

// expect asks the running server itself, and compares RCODE and addresses.
func expect(t *testing.T, s *Server, name, want string) {
	t.Helper()
	a, _ := s.Resolve(t.Context(), wire.Question{Name: wire.MustName(name), Type: wire.TypeA, Class: wire.ClassIN})
	m := new(dns.Msg)
	if err := m.Unpack(a.Packet); err != nil {
		t.Fatal(err)
	}
	got := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		got = append(got, strings.Fields(rr.String())[4])
	}
	if strings.Join(got, " ") != want {
		t.Errorf("%s: %s, want %s", name, strings.Join(got, " "), want)
	}
}

// What changes in zone files is served from then on, finished answers or not; what is bad keeps the last good version.
func TestZonesAreFollowed(t *testing.T) {
	x := newHome(t)
	s, log := x.start(t, servedHere)
	look := func() { s.current.Load().zones.Look() }
	check := func(questions ...string) {
		t.Helper()
		for range 3 {
			for i := 0; i < len(questions); i += 2 {
				expect(t, s, questions[i], questions[i+1])
			}
		}
	}
	check("www.home.test.", "NOERROR 203.0.113.10", "ftp.home.test.", "NOERROR 192.0.2.2", "www.more.test.", "NOERROR 192.0.2.3",
		"www.zone.example.", "NOERROR 203.0.113.1")

	write(t, x.file("zones/more.test.zone"), "www A 192.0.2.33\n")
	write(t, x.file("zones/zone.example.zone"), "www A 192.0.2.4\n")
	look()
	check("www.more.test.", "NOERROR 192.0.2.33", "www.zone.example.", "NOERROR 192.0.2.4", "new.zone.example.", "NXDOMAIN")

	write(t, x.file("zones/more.test.zone"), "www A 192.0.2.444\n")
	look()
	check("www.more.test.", "NOERROR 192.0.2.33")
	if text := log.String(); !strings.Contains(text, "more.test.zone:1: bad A A") || strings.Contains(text, "192.0") {
		t.Errorf("the log: %s", text)
	}

	if err := errors.Join(os.Remove(x.file("zones/zone.example.zone")), os.Remove(x.file("zones/more.test.zone"))); err != nil {
		t.Fatal(err)
	}
	look()
	check("www.zone.example.", "NOERROR 203.0.113.1", "new.zone.example.", "NOERROR 203.0.113.2", "www.more.test.", "NXDOMAIN")
}

// A zone in the directory that never was good is nobody else's either; one that the configuration names keeps tacit from
// starting, but not from going on.
func TestBadZones(t *testing.T) {
	x := newHome(t)
	write(t, x.file("zones/zone.example.zone"), "www A 192.0.2.444\n")
	s, _ := x.start(t, servedHere)
	expect(t, s, "www.zone.example.", "SERVFAIL")
	if n := x.Count("zone.example."); n != 0 {
		t.Errorf("%d packets about names that are served here", n)
	}
	write(t, x.file("home.zone"), "www MX 1\n")
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "ftp.home.test.", "NOERROR 192.0.2.2")
	_, err := New(t.Context(), s.current.Load().config, Env{Network: x.World})
	if problems, ok := errors.AsType[zone.Problems](err); !ok || problems[0].Line != 1 {
		t.Error(err)
	}
}

// The status counts zones, and says where a mistake is, but not what it is about.
func TestStatusCountsZones(t *testing.T) {
	x := newHome(t)
	write(t, x.file("zones/bad.test.zone"), "www A 192.0.2.444\n")
	s, _ := x.start(t, servedHere)
	z := operator{s}.Status().Zones
	if z == nil || z.Served != 2 || z.Records != 3+2*2 || z.Bytes == 0 || z.Mistaken != 1 || z.Problem != x.file("zones/bad.test.zone")+":1: bad A A" {
		t.Errorf("%+v", z)
	}
}

// What another configuration leads to the edge is known at once.
func TestReloadMovesTheEdge(t *testing.T) {
	x := newHome(t)
	s, _ := x.start(t, servedHere)
	expect(t, s, "www.home.test.", "NOERROR 203.0.113.10")
	x.write(t, strings.Replace(servedHere, "203.0.113.10", "203.0.113.20", 1))
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "www.home.test.", "NOERROR 203.0.113.20")
}

// Where tacit listens is no origin.
func TestListenersAreNoOrigins(t *testing.T) {
	x := newHome(t)
	write(t, x.file("home.zone"), "www A 192.0.2.9 ; cf_tags=cf-proxied:true\n")
	for _, listen := range []string{`udp = ["192.0.2.9:53"]`, `tls = ["192.0.2.9:853"]`, `http = ["/run/tacit.sock", "192.0.2.9:80"]`} {
		c := x.load(t, "accept_privacy_loss = ['listen.http']\n"+strings.Replace(servedHere, `udp = ["127.0.0.1:0"]`, listen, 1))
		problems, err := CheckZones(c)
		if err != nil || !problems.Grave() || problems[0].Code != 9003 {
			t.Error(listen, problems, err)
		}
	}
}

// A directory that is not there is a mistake.
func TestZoneDirectoryIsThere(t *testing.T) {
	c := config.Default()
	c.Zones.Directory = filepath.Join(t.TempDir(), "nowhere")
	if _, err := CheckZones(c); err == nil || !strings.Contains(err.Error(), "zones.directory") {
		t.Error(err)
	}
}

// Files are followed without being told.
func TestZonesAreFollowedInTime(t *testing.T) {
	x := newHome(t)
	s, _ := x.start(t, servedHere)
	write(t, x.file("home.zone"), "ftp A 192.0.2.22\n")
	deadline := time.Now().Add(10 * time.Second)
	for {
		a, _ := s.Resolve(t.Context(), wire.Question{Name: wire.MustName("ftp.home.test."), Type: wire.TypeA, Class: wire.ClassIN})
		if strings.HasSuffix(string(a.Packet), "\xc0\x00\x02\x16") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the change is not served")
		}
		<-time.After(20 * time.Millisecond)
	}
}
