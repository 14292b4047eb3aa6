package discovery

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

func at(texts ...string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, t := range texts {
		list = append(list, netip.MustParseAddrPort(t))
	}
	return list
}

// home is a service with everything, on default ports but for HTTPS.
func home() *Service {
	return &Service{
		Name: wire.MustName("dns.home.example."),
		UDP:  at("192.0.2.53:53", "[2001:db8::53]:53"), TCP: at("192.0.2.53:53", "[2001:db8::53]:53"),
		TLS: at("192.0.2.53:853", "[2001:db8::53]:853"), QUIC: at("192.0.2.53:853", "[2001:db8::53]:853"),
		HTTPS: at("192.0.2.53:8443", "[2001:db8::53]:8443"), HTTP3: at("192.0.2.53:8443", "[2001:db8::53]:8443"),
		Proof: Proof{
			Trust: Authority, Names: []string{"dns.home.example"}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.53")},
		},
		Info: Info{Minimises: true, Validates: true, Errors: []wire.EDE{0, 3, 4, 5, 22}, URL: "https://dns.home.example/about"},
	}
}

// parse reads RRsets with another implementation, by way of a message.
func parse(t *testing.T, sets ...wire.RRset) []string {
	t.Helper()
	var b wire.Builder
	b.Begin(nil, wire.Question{Type: wire.TypeANY, Class: wire.ClassIN}, wire.NoError, 0)
	for i := range sets {
		if err := b.Add(wire.AnswerSection, &sets[i], sets[i].TTL, false); err != nil {
			t.Fatal(err)
		}
	}
	var m dns.Msg
	if err := m.Unpack(b.Message()); err != nil {
		t.Fatalf("% x: %v", b.Message(), err)
	}
	var texts []string
	for _, rr := range m.Answer {
		texts = append(texts, strings.Join(strings.Fields(rr.String()), " "))
	}
	return texts
}

func answersOf(t *testing.T, s *Service) []string {
	t.Helper()
	var texts []string
	for _, a := range s.Answers() {
		texts = append(texts, parse(t, a.Set)...)
	}
	return texts
}

func TestAnswers(t *testing.T) {
	const hints = `ipv4hint="192.0.2.53" ipv6hint="2001:db8::53"`
	web := `3 dns.home.example. alpn="h2,h3" port="8443" ` + hints + ` dohpath="/dns-query{?dns}"`
	info := `3600 IN RESINFO "qnamemin" "exterr=0,3-5,22" "infourl=https://dns.home.example/about"`
	want := []string{
		"resolver.arpa. " + info,
		"dns.home.example. " + info,
		"dns.home.example. 3600 IN A 192.0.2.53",
		"dns.home.example. 3600 IN AAAA 2001:db8::53",
		`_dns.resolver.arpa. 3600 IN SVCB 1 dns.home.example. alpn="doq" ` + hints,
		`_dns.resolver.arpa. 3600 IN SVCB 2 dns.home.example. alpn="dot" ` + hints,
		`_dns.resolver.arpa. 3600 IN SVCB ` + web,
		`_dns.dns.home.example. 3600 IN SVCB 1 dns.home.example. alpn="doq" ` + hints,
		`_dns.dns.home.example. 3600 IN SVCB 2 dns.home.example. alpn="dot" ` + hints,
		`_dns.dns.home.example. 3600 IN SVCB ` + web,
	}
	if got := answersOf(t, home()); !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// RFC 9462 section 4: the addresses of the designated resolver should be in the additional section.
func TestAnswersCarryAddresses(t *testing.T) {
	count := 0
	for _, a := range home().Answers() {
		if a.Set.Type != wire.TypeSVCB {
			continue
		}
		count++
		if got := parse(t, a.Additional...); len(got) != 2 || !strings.HasPrefix(got[0], "dns.home.example. 3600 IN A ") {
			t.Errorf("additional: %v", got)
		}
	}
	if count != 2 {
		t.Errorf("%d SVCB record sets", count)
	}
}

// Where there are SVCB records depends on what a client could verify.
func TestDesignation(t *testing.T) {
	const atReserved, atName = "_dns.resolver.arpa.", "_dns.dns.home.example."
	for _, c := range []struct {
		clause string
		change func(s *Service)
		want   []string
	}{
		{"section 4.2: the certificate holds an address of the unencrypted resolver", func(*Service) {}, []string{atReserved, atName}},
		{"section 4.2: it holds none", func(s *Service) { s.Proof.Addresses = nil }, []string{atName}},
		{"section 4.2: it holds another one", func(s *Service) {
			s.Proof.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.54")}
		}, []string{atName}},
		{"nobody stands behind it", func(s *Service) { s.Proof.Trust = SelfSigned }, nil},
		{"no certificate is known", func(s *Service) { s.Proof = Proof{} }, nil},
		{"the certificate is another's", func(s *Service) { s.Proof.Names = []string{"dns.other.example"} }, nil},
		{"the certificate has a wildcard", func(s *Service) { s.Proof.Names = []string{"*.home.example"} }, []string{atReserved, atName}},
		{"the wildcard is too high", func(s *Service) { s.Proof.Names = []string{"*.example"} }, nil},
		{"section 4: the TargetName is a name, and there is none", func(s *Service) { s.Name = wire.Root }, nil},
		{"section 4: no designated resolvers", func(s *Service) { s.TLS, s.HTTPS, s.HTTP3, s.QUIC = nil, nil, nil, nil }, nil},
		{"no unencrypted resolver", func(s *Service) { s.UDP, s.TCP = nil, nil }, []string{atName}},
	} {
		t.Run(c.clause, func(t *testing.T) {
			s := home()
			c.change(s)
			var got []string
			for _, a := range s.Answers() {
				if a.Set.Type == wire.TypeSVCB {
					got = append(got, a.Set.Name.Reveal())
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestDesignationsFollowListeners(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Service
		want []string
	}{
		{"default ports are left out (RFC 9461 section 4.2)", Service{TLS: at("192.0.2.1:853"), HTTPS: at("192.0.2.1:443")}, []string{
			`1 dns.home.example. alpn="dot" ipv4hint="192.0.2.1"`,
			`2 dns.home.example. alpn="h2" ipv4hint="192.0.2.1" dohpath="/dns-query{?dns}"`,
		}},
		{"DNS over TLS on the port of HTTPS", Service{TLS: at("192.0.2.1:443")}, []string{
			`1 dns.home.example. alpn="dot" port="443" ipv4hint="192.0.2.1"`,
		}},
		{"one address on two ports", Service{TLS: at("192.0.2.1:853", "192.0.2.1:8853", "192.0.2.2:853")}, []string{
			`1 dns.home.example. alpn="dot" ipv4hint="192.0.2.1,192.0.2.2"`,
			`2 dns.home.example. alpn="dot" port="8853" ipv4hint="192.0.2.1"`,
		}},
		{"HTTP/3 alone", Service{HTTP3: at("[2001:db8::1]:443")}, []string{
			`1 dns.home.example. alpn="h3" ipv6hint="2001:db8::1" dohpath="/dns-query{?dns}"`,
		}},
		{"another path", Service{HTTPS: at("192.0.2.1:443"), Path: "/q"}, []string{
			`1 dns.home.example. alpn="h2" ipv4hint="192.0.2.1" dohpath="/q{?dns}"`,
		}},
		{"loopback beside others", Service{TLS: at("127.0.0.1:853", "192.0.2.1:853")}, []string{
			`1 dns.home.example. alpn="dot" ipv4hint="192.0.2.1"`,
		}},
		{"loopback alone", Service{TLS: at("127.0.0.1:853")}, []string{`1 dns.home.example. alpn="dot" ipv4hint="127.0.0.1"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.s.Name = wire.MustName("dns.home.example.")
			var got []string
			for _, text := range parse(t, c.s.designatedAt(designated)) {
				got = append(got, strings.TrimPrefix(text, "_dns.resolver.arpa. 3600 IN SVCB "))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// RFC 9460 section 2.2: SvcParamKeys appear in strictly increasing order.
func TestParamsAscend(t *testing.T) {
	s := home()
	for _, d := range s.designations() {
		last := -1
		for b := encode(sorted(d.params(), d.hints())); len(b) > 0; {
			k, size := int(b[0])<<8|int(b[1]), int(b[2])<<8|int(b[3])
			if k <= last {
				t.Errorf("key %d after %d", k, last)
			}
			last, b = k, b[4+size:]
		}
	}
}

// What is written for a zone file is what is answered.
func TestWriteRecords(t *testing.T) {
	odd := home()
	odd.Info.URL = `https://dns.home.example/a"b\c`
	for _, s := range []*Service{home(), odd, {}, {UDP: at("127.0.0.1:53")}} {
		var b bytes.Buffer
		if err := s.WriteRecords(&b); err != nil {
			t.Fatal(err)
		}
		var got []string
		zone := dns.NewZoneParser(&b, "", "")
		for rr, ok := zone.Next(); ok; rr, ok = zone.Next() {
			got = append(got, strings.Join(strings.Fields(rr.String()), " "))
		}
		want := answersOf(t, s)
		slices.Sort(got)
		slices.Sort(want)
		if err := zone.Err(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// RFC 9606 section 5: a comma-separated list of codes and ranges.
func TestRanges(t *testing.T) {
	for _, c := range []struct {
		codes []wire.EDE
		want  string
	}{
		{[]wire.EDE{7}, "7"},
		{[]wire.EDE{7, 6, 6, 5}, "5-7"},
		{[]wire.EDE{0, 1, 3, 5, 6, 29}, "0-1,3,5-6,29"},
	} {
		if got := ranges(c.codes); got != c.want {
			t.Errorf("%v: got %s, want %s", c.codes, got, c.want)
		}
	}
}
