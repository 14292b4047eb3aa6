package discovery

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tacit/internal/wire"
)

// unhex reads octets with blanks and lines between them.
func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Octets written out by hand, from RFC 9463 and RFC 9460 section 2.2. The name is dns.example, 13 octets.
const (
	adn    = "03 646e73 07 6578616d706c65 00"
	v4     = "c0000235"                         // 192.0.2.53
	v6     = "20010db8000000000000000000000053" // 2001:db8::53
	doqdot = "0001 0008 03 646f71 03 646f74"    // alpn=doq,dot
	h2h3   = "0001 0006 02 6832 02 6833"        // alpn=h2,h3
	port   = "0003 0002 20fb"                   // port=8443
	path   = "0007 0010 2f646e732d71756572797b3f646e737d"
)

func small() *Service {
	s := home()
	s.Name = wire.MustName("dns.example.")
	return s
}

func same(t *testing.T, what string, got []byte, err error, want string) {
	t.Helper()
	if w := unhex(t, want); err != nil || string(got) != string(w) {
		t.Errorf("%s: %v\n got % x\nwant % x", what, err, got, w)
	}
}

// RFC 9463 section 5.1: each instance behind its length; ADN and addresses have lengths of one octet.
func TestDHCPv4(t *testing.T) {
	got, err := small().DHCPv4()
	same(t, "option 162", got, err, `
		0021 0001 0d `+adn+` 04 `+v4+doqdot+`
		0039 0002 0d `+adn+` 04 `+v4+h2h3+port+path)
}

// RFC 9463 section 4.1: an option for each instance; lengths of two octets.
func TestDHCPv6(t *testing.T) {
	got, err := small().DHCPv6()
	if len(got) != 2 {
		t.Fatalf("%d options: %v", len(got), err)
	}
	same(t, "first option 144", got[0], err, "0001 000d "+adn+" 0010 "+v6+doqdot)
	same(t, "second option 144", got[1], err, "0002 000d "+adn+" 0010 "+v6+h2h3+port+path)
}

// RFC 9463 section 6.1: type, length in units of 8 octets, lifetime, a length before the SvcParams, padding of zeros.
func TestRouterAdvertisement(t *testing.T) {
	got, err := small().RouterAdvertisement(30 * time.Minute)
	if len(got) != 2 {
		t.Fatalf("%d options: %v", len(got), err)
	}
	same(t, "first option 144", got[0], err, "90 07 0001 00000708 000d "+adn+" 0010 "+v6+" 000c "+doqdot+strings.Repeat("00", 56-55))
	same(t, "second option 144", got[1], err, "90 0a 0002 00000708 000d "+adn+" 0010 "+v6+" 0024 "+h2h3+port+path+strings.Repeat("00", 80-79))
}

func TestAllOnDefaultPortsIsOneInstance(t *testing.T) {
	s := small()
	s.HTTPS, s.HTTP3 = at("192.0.2.53:443"), nil
	s.TLS, s.QUIC = at("192.0.2.53:853"), at("192.0.2.53:853")
	got, err := s.DHCPv4()
	same(t, "option 162", got, err, "0038 0001 0d "+adn+" 04 "+v4+" 0001 000b 03 646f71 03 646f74 02 6832 "+path)
	if v6, err := s.DHCPv6(); v6 != nil || err != nil {
		t.Errorf("without an IPv6 address: % x, %v", v6, err)
	}
}

func TestNothingToAnnounce(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *Service)
		want   error
	}{
		{"no name", func(s *Service) { s.Name = wire.Root }, errNoName},
		{"nothing encrypted", func(s *Service) { *s = Service{Name: s.Name, UDP: s.UDP} }, errNoEncrypted},
		{"loopback only", func(s *Service) {
			*s = Service{Name: s.Name, TLS: at("127.0.0.1:853", "[::1]:853")}
		}, errNoDistant},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := small()
			c.change(s)
			_, err4 := s.DHCPv4()
			_, err6 := s.DHCPv6()
			_, errRA := s.RouterAdvertisement(time.Hour)
			_, errWrt := s.odhcpd()
			for _, err := range []error{err4, err6, errRA, errWrt} {
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
	s := small()
	s.Name = wire.MustName(strings.Repeat("a.", 120) + "example.")
	if _, err := s.DHCPv4(); !errors.Is(err, errTooLong) {
		t.Errorf("got %v, want %v", err, errTooLong)
	}
}

func TestOdhcpd(t *testing.T) {
	got, err := small().odhcpd()
	want := []string{
		"1 dns.example 192.0.2.53,2001:db8::53 alpn=doq,dot",
		"2 dns.example 192.0.2.53,2001:db8::53 alpn=h2,h3 port=8443 dohpath=/dns-query{?dns}",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}
