package transports

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A client that asks for whoami.tacit. is told how its question has come, and where from; with TTL 0, and no one else hears of it.
func TestWhoami(t *testing.T) {
	d := openDoor(t, Options{Validates: func() bool { return true }}, alternating)
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}}
	cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}
	for _, w := range d.ways(t) {
		t.Run(w.name, func(t *testing.T) {
			m := read(t, w.ask(t, ask(0, "WhoAmI.tacit.", qtype(dns.TypeTXT), edns(1232, subnet, cookie, &dns.EDNS0_PADDING{Padding: make([]byte, 8)}))))
			told := strings.Join(texts(t, m), " ")
			for _, want := range []string{"encryption=TLS 1.3", "edns=yes", "padded=yes", "client-subnet=yes", "cookie=yes", "do=no", "ad=no", "cd=no", "resolver-validates=yes"} {
				if !strings.Contains(told, want) {
					t.Errorf("%s is not in %s", want, told)
				}
			}
			told = strings.Join(texts(t, read(t, w.ask(t, ask(0, "whoami.tacit.", qtype(dns.TypeTXT))))), " ")
			if !strings.Contains(told, "edns=no padded=no client-subnet=no cookie=no") {
				t.Error(told)
			}
			m = read(t, w.ask(t, ask(0, "whoami.tacit.", qtype(dns.TypeA))))
			if len(m.Answer) != 1 || !m.Answer[0].(*dns.A).A.IsLoopback() || m.Answer[0].Header().Ttl != 0 {
				t.Error(m)
			}
			if m := read(t, w.ask(t, ask(0, "whoami.tacit.", qtype(dns.TypeAAAA)))); len(m.Answer) != 0 || m.Rcode != dns.RcodeSuccess {
				t.Error(m)
			}
		})
	}
}

// Over UDP, and only who is served.
func TestWhoamiOverUDP(t *testing.T) {
	f := newFront(Options{})
	f.admitter = everybody{}
	var v visit
	query := ask(7, "whoami.tacit.", qtype(dns.TypeTXT), func(m *dns.Msg) { m.AuthenticatedData, m.CheckingDisabled = true, true })
	packet, o := f.receive(&v, query, netip.MustParseAddr("2001:db8::7"), link{})
	if told := strings.Join(texts(t, read(t, packet)), " "); o != answered || !strings.HasPrefix(told, "transport=udp encryption=none edns=no") || !strings.HasSuffix(told, "ad=yes cd=yes") {
		t.Error(told)
	}
	packet, _ = f.receive(&v, ask(7, "whoami.tacit.", qtype(dns.TypeAAAA)), netip.MustParseAddr("2001:db8::7"), link{})
	if m := read(t, packet); len(m.Answer) != 1 || m.Answer[0].(*dns.AAAA).AAAA.String() != "2001:db8::7" {
		t.Error(m)
	}
}

func texts(t *testing.T, m *dns.Msg) (list []string) {
	t.Helper()
	for _, rr := range m.Answer {
		if rr.Header().Ttl != 0 {
			t.Errorf("it may be kept: %v", rr)
		}
		list = append(list, strings.Join(rr.(*dns.TXT).Txt, ""))
	}
	return list
}
