package server

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/admin"
	"tacit/internal/crowds"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/statement"
	"tacit/upstream"
)

// askFrom asks from an address in each of so many networks of this machine: 127.0.0.1, 127.0.1.1 and so on.
func askFrom(t *testing.T, at netip.AddrPort, networks int, name string) {
	t.Helper()
	for i := range networks {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		c := dns.Client{Timeout: 8 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, byte(i>>8), byte(i), 1)}}}
		if _, _, err := c.ExchangeContext(t.Context(), m, at.String()); err != nil {
			t.Fatal(err)
		}
	}
}

// Privacy.md section 5.2: the registrable domain is shown for 20 client networks that have met the same failure, and only there.
func TestZonesThatFailForACrowdAreShown(t *testing.T) {
	x := newSetting(t)
	x.Spoil("zone.example.", testnet.Expired())
	s, log := x.start(t, monitored)
	udp, _ := s.Addrs()
	failing := func() admin.Failing { return operator{s}.Status().Failing }

	askFrom(t, udp[0], 19, "www.zone.example.")
	askFrom(t, udp[0], 19, "new.zone.example.")
	if f := failing(); f.From != 20 || len(f.Zones) != 0 || f.Others != 38 {
		t.Errorf("19 networks: %+v", f)
	}
	askFrom(t, udp[0], 100, "www.zone.example.") // some share a bit of 256
	f := failing()
	if len(f.Zones) != 1 || f.Others != 0 {
		t.Fatalf("100 networks: %+v", f)
	}
	if z := f.Zones[0]; z.Zone != "zone.example" || z.Cause != "signature_expired" || z.Answers != 138 || z.Networks < 20 || z.Networks > 100 {
		t.Errorf("%+v", z)
	}
	s.snapshots.Publish(s.samples())
	_, text := fetch(t, "http://"+s.Monitoring().String()+"/metrics")
	if !strings.Contains(text, "signature_expired") {
		t.Error("the metrics do not count the failures")
	}
	for name, where := range map[string]string{"metrics": text, "log": log.String(), "statement": string(operator{s}.Statement())} {
		if strings.Contains(where, "zone.example") {
			t.Errorf("the %s has the zone", name)
		}
	}
	operator{s}.Flush(wire.MustName("www.zone.example."))
	if f := failing(); len(f.Zones) != 0 || f.Others != 0 {
		t.Errorf("after a flush: %+v", f)
	}
}

// What is answered, or fails for want of a place to wait, is no failure of a zone.
func TestOnlyFailuresOfZonesCount(t *testing.T) {
	s, _ := newSetting(t).start(t, common+listenAnywhere)
	udp, _ := s.Addrs()
	askFrom(t, udp[0], 40, "www.zone.example.")
	askFrom(t, udp[0], 40, "missing.zone.example.")
	if f := (operator{s}).Status().Failing; len(f.Zones) != 0 || f.Others != 0 || f.Zones == nil {
		t.Errorf("%+v", f)
	}
}

// Of a cause that many domains fail for, none is named: what is wrong then is here. Ten may all be at fault themselves.
func TestWhatFailsForOneCauseIsNotNamed(t *testing.T) {
	table, now := crowds.NewTable(crowds.Options{AtLeast: failingFrom}), time.Now()
	fail := func(domain string, cause wire.EDE) {
		for i := range 100 {
			table.Note(table.Network(netip.AddrFrom4([4]byte{127, 0, byte(i), 1}), now), wire.MustName(domain).Append(nil), uint8(cause))
		}
	}
	fail("zone.test.", wire.EDEBogus)
	for i := range 10 {
		fail(fmt.Sprintf("z%d.example.", i), wire.EDESignatureNotYetValid)
	}
	if f := describeFailing(table, now); len(f.Zones) != 11 || len(f.Widespread) != 0 || f.Widespread == nil {
		t.Errorf("ten: %+v", f)
	}
	fail("z10.example.", wire.EDESignatureNotYetValid)
	f := describeFailing(table, now)
	if len(f.Zones) != 1 || f.Zones[0].Zone != "zone.test" || f.Others != 0 {
		t.Errorf("eleven: %+v", f)
	}
	if want := (admin.WidespreadCause{Cause: "signature_not_yet_valid", Domains: 11, Answers: 1100}); len(f.Widespread) != 1 || f.Widespread[0] != want {
		t.Errorf("eleven: %+v, want %+v", f.Widespread, want)
	}
}

// A forwarder that fails accuses nobody who is behind it.
func TestForwardersAreNoZones(t *testing.T) {
	x := newSetting(t)
	dead := x.Server("dead.example.", testnet.Failing(dns.RcodeServerFailure))
	s, _ := x.start(t, common+listenAnywhere+"[[forward]]\nzone = 'zone.example'\nupstreams = ['"+dead.Addresses()[0].Addr().String()+"']\n")
	udp, _ := s.Addrs()
	askFrom(t, udp[0], 40, "www.zone.example.")
	if f := (operator{s}).Status().Failing; len(f.Zones) != 0 || f.Others != 0 {
		t.Errorf("%+v", f)
	}
}

const popular = "accept_privacy_loss = ['stats.top']\n" + monitored + "[stats]\ntop = true\n"

// Privacy.md section 5.3: popular domains are shown for 50 client networks, by the command status and nowhere else.
func TestPopularDomainsAreShown(t *testing.T) {
	s, log := newSetting(t).start(t, popular)
	udp, _ := s.Addrs()
	askFrom(t, udp[0], 45, "new.zone.example.")
	askFrom(t, udp[0], 45, "mail.other.example.")
	askFrom(t, udp[0], 500, "www.zone.example.") // answered from memory but for the first
	shown := func() *admin.Popular { return operator{s}.Status().Popular }
	if p := shown(); p == nil || !p.At.IsZero() || len(p.Zones) != 0 || p.Budget != 1 || p.From != 50 {
		t.Errorf("before the hour is over: %+v", p)
	}
	s.turnCrowds(time.Now().Add(time.Hour))
	p := shown()
	if len(p.Zones) != 1 || p.Zones[0].Zone != "zone.example" || p.Zones[0].Networks < 50 || p.At.IsZero() || p.Exhausted || p.Budget >= 1 {
		t.Fatalf("%+v", p)
	}
	s.snapshots.Publish(s.samples())
	_, text := fetch(t, "http://"+s.Monitoring().String()+"/metrics")
	if !strings.Contains(text, fmt.Sprintf("\ntacit_popularity_budget %v\n", p.Budget)) {
		t.Errorf("the metrics do not have %v left", p.Budget)
	}
	for name, where := range map[string]string{"metrics": text, "log": log.String(), "statement": string(operator{s}.Statement())} {
		if strings.Contains(where, "zone.example") {
			t.Errorf("the %s has the domain", name)
		}
	}
	operator{s}.Flush(wire.MustName("other.example."))
	if p := shown(); len(p.Zones) != 0 || !p.At.IsZero() || p.Budget >= 1 {
		t.Errorf("after a flush: %+v", p)
	}
}

func TestPopularityIsOptIn(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, monitored)
	stated := func() bool { return s.stater.current.Load().Practice.Places[statement.PopularZones].On }
	for _, on := range []bool{false, true, false} {
		text := monitored
		if on {
			text = popular
		}
		x.write(t, text)
		if err := s.ReloadFile(t.Context(), x.path); err != nil {
			t.Fatal(err)
		}
		if got := (operator{s}).Status().Popular != nil; got != on || stated() != on || s.popular.IsOn() != on {
			t.Errorf("%v in the status, %v in the statement, want %v", got, stated(), on)
		}
	}
}

// The hour ends although nobody asks any more.
func TestHoursAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSetting(t)
		c := x.load(t, common+listenAnywhere)
		s := &Server{
			env: Env{Network: x.World}.withDefaults(), memory: upstream.NewMemory(upstream.MemoryOptions{}), cache: newCache(c),
			stopping: make(chan struct{}), exceptions: newExceptions(), failing: crowds.NewTable(crowds.Options{AtLeast: failingFrom}),
		}
		p, err := s.build(c, s.cache, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.current.Store(p)
		s.popular.Enable(true)
		s.retired.Go(s.followStatement)
		for i := range 1000 {
			s.popular.Note(netip.AddrFrom4([4]byte{127, byte(i >> 8), byte(i), 1}), time.Now(), []byte("\x04zone\x07example\x00"))
		}
		time.Sleep(59 * time.Minute)
		if r, _ := s.popular.Released(); !r.At.IsZero() {
			t.Errorf("before the hour is over: %+v", r)
		}
		time.Sleep(3 * time.Minute)
		if r, _ := s.popular.Released(); r.At.IsZero() || len(r.Domains) != 1 {
			t.Errorf("after the hour: %+v", r)
		}
		time.Sleep(61 * time.Minute)
		if r, _ := s.popular.Released(); len(r.Domains) != 0 {
			t.Errorf("after another hour, in which nobody asked: %+v", r)
		}
		close(s.stopping)
		s.retired.Wait()
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
}
