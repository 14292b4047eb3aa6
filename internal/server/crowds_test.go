package server

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/admin"
	"tacit/internal/testnet"
	"tacit/internal/wire"
)

// askFrom asks from an address in each of so many networks of this machine: 127.0.0.1, 127.0.1.1 and so on.
func askFrom(t *testing.T, at netip.AddrPort, networks int, name string) {
	t.Helper()
	for i := range networks {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		c := dns.Client{Timeout: 8 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, byte(i), 1)}}}
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
