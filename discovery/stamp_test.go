package discovery

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

// Stamps that other implementations of draft-denis-dns-stamps-02 make and read.
func TestStampVectors(t *testing.T) {
	digest := unhex(t, "c3846bf24b9e93ca64274c0ec67c1ecc5e024ffcacd2d74019350e81fe546ae4")
	const all = propertyDNSSEC | propertyNoLog | propertyNoFilter
	for _, c := range []struct {
		name, want string
		stamp      stamp
	}{
		{
			"DNS over HTTPS", "sdns://AgcAAAAAAAAACTEyNy4wLjAuMSDDhGvyS56TymQnTA7GfB7MXgJP_KzS10AZNQ6B_lRq5AtleGFtcGxlLmNvbQovZG5zLXF1ZXJ5",
			stamp{stampHTTPS, all, "127.0.0.1", [][]byte{digest}, "example.com", "/dns-query"},
		},
		{
			"DNS over TLS", "sdns://AwcAAAAAAAAACTEyNy4wLjAuMSDDhGvyS56TymQnTA7GfB7MXgJP_KzS10AZNQ6B_lRq5A9kbnMuZXhhbXBsZS5jb20",
			stamp{stampTLS, all, "127.0.0.1", [][]byte{digest}, "dns.example.com", ""},
		},
		{
			"DNS over QUIC", "sdns://BAcAAAAAAAAACTEyNy4wLjAuMSDDhGvyS56TymQnTA7GfB7MXgJP_KzS10AZNQ6B_lRq5A9kbnMuZXhhbXBsZS5jb20",
			stamp{stampQUIC, all, "127.0.0.1", [][]byte{digest}, "dns.example.com", ""},
		},
		{
			"plain DNS", "sdns://AAcAAAAAAAAADjEyNy4wLjAuMTo1MzM1",
			stamp{stampPlain, all, "127.0.0.1:5335", nil, "", ""},
		},
	} {
		if got := c.stamp.String(); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Sets of hashes: all but the last have the top bit of their length set.
func TestStampHashes(t *testing.T) {
	s := stamp{hashes: [][]byte{{1, 2}, {3}}}
	if got := s.appendHashes(nil); !slices.Equal(got, []byte{0x82, 1, 2, 1, 3}) {
		t.Errorf("got % x", got)
	}
	s.hashes = nil
	if got := s.appendHashes(nil); !slices.Equal(got, []byte{0}) {
		t.Errorf("without: % x", got)
	}
}

// fields takes a stamp apart, behind its first nine octets.
func fields(t *testing.T, text string) (head []byte, parts []string) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "sdns://"))
	if err != nil || len(b) < 9 {
		t.Fatalf("%s: %v", text, err)
	}
	for rest := b[9:]; len(rest) > 0; {
		size := int(rest[0])
		parts = append(parts, string(rest[1:1+size]))
		rest = rest[1+size:]
	}
	return b[:9], parts
}

func TestStampsOfService(t *testing.T) {
	s := home()
	s.UDP = at("[2001:db8::53]:53")
	s.TLS, s.QUIC = at("192.0.2.53:853"), at("192.0.2.53:8853")
	s.HTTPS = at("192.0.2.53:8443")
	unnamed := *s
	unnamed.Name = wire.Root
	unnamed.TLS, unnamed.QUIC, unnamed.HTTPS = nil, nil, at("[2001:db8::53]:443")
	for _, c := range []struct {
		name string
		s    *Service
		want [][]string
	}{
		{"with a name", s, [][]string{
			{"[2001:db8::53]"},
			{"192.0.2.53", "", "dns.home.example"},
			{"192.0.2.53:8443", "", "dns.home.example:8443", "/dns-query"},
			{"192.0.2.53:8853", "", "dns.home.example:8853"},
		}},
		{"without", &unnamed, [][]string{{"[2001:db8::53]"}, {"[2001:db8::53]", "", "[2001:db8::53]", "/dns-query"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stamps := c.s.Stamps()
			if len(stamps) != len(c.want) {
				t.Fatalf("%d stamps", len(stamps))
			}
			for i, one := range stamps {
				head, parts := fields(t, one.Text)
				if !slices.Equal(parts, c.want[i]) || head[1] != 7 {
					t.Errorf("%s: %q, want %q; properties %d", one.Transport, parts, c.want[i], head[1])
				}
			}
		})
	}
}

// A length is one octet: a name that is as long as names can be fits alone, and not with a port.
func TestStampsOfLongNames(t *testing.T) {
	label := strings.Repeat("a", 63)
	name := wire.MustName(strings.Join([]string{label, label, label, label[:61]}, "."))
	for address, want := range map[string]int{"192.0.2.1:443": 1, "192.0.2.1:8443": 0} {
		s := Service{Name: name, HTTPS: at(address)}
		if got := s.Stamps(); len(got) != want {
			t.Errorf("%s: %d stamps", address, len(got))
		}
	}
}
