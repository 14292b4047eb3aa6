package testnet_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// walk follows referrals from the root, by glue, as a reader would by hand.
func walk(t *testing.T, w *testnet.World, name string, qtype uint16) *dns.Msg {
	t.Helper()
	s := w.At(".")
	for range 10 {
		r := ask(t, w, s, query(name, qtype))
		if r.Authoritative || len(r.Ns) == 0 || r.Ns[0].Header().Rrtype != dns.TypeNS {
			return r
		}
		if s = w.At(r.Ns[0].Header().Name); s.Name() != r.Ns[0].(*dns.NS).Ns {
			t.Fatalf("referral to %v, want %s", r.Ns[0], s.Name())
		}
	}
	t.Fatal("too many referrals")
	return nil
}

func TestWorldDelegates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		w.Zone("shop.example.", "www A 203.0.113.80")
		w.Zone("deep.below.shop.example.", "www A 203.0.113.81")
		compare(t, "answer", walk(t, w, "www.shop.example.", dns.TypeA).Answer,
			[]string{"www.shop.example. 3600 A 203.0.113.80"})
		compare(t, "answer", walk(t, w, "www.deep.below.shop.example.", dns.TypeA).Answer,
			[]string{"www.deep.below.shop.example. 3600 A 203.0.113.81"})
		if r := walk(t, w, "below.shop.example.", dns.TypeA); r.Rcode != dns.RcodeSuccess {
			t.Errorf("empty non-terminal above a zone: %v", r)
		}
		if got := w.Count("."); got != 3 {
			t.Errorf("root saw %d packets, want 3", got)
		}
		if got := w.SeenAt(".").MaxLabels(); got != 5 {
			t.Errorf("root learned %d labels of www.deep.below.shop.example., want 5", got)
		}
	})
}

func TestWorldGlue(t *testing.T) {
	w := testnet.New(testnet.Options{})
	w.Zone("hosting.test.", "")
	ns := w.Server("ns.hosting.test.")
	w.ZoneAt("shop.example.", "www A 203.0.113.80", ns)
	w.NameServer("shop.example.", testnet.IPv6Only())
	w.Zone("four.example.", "", testnet.IPv4Only())

	r := w.Data("example.").Answer(plainQuery("www.shop.example.", dns.TypeA))
	compare(t, "authority", r.Ns, []string{"shop.example. 3600 NS ns.hosting.test.", "shop.example. 3600 NS ns2.shop.example."})
	if len(r.Extra) != 1 || r.Extra[0].Header().Rrtype != dns.TypeAAAA {
		t.Errorf("glue %v, want one AAAA of ns2", r.Extra)
	}
	r = w.Data("example.").Answer(plainQuery("four.example.", dns.TypeA))
	if len(r.Extra) != 1 || r.Extra[0].Header().Rrtype != dns.TypeA {
		t.Errorf("glue %v, want one A", r.Extra)
	}
	r = w.Data("hosting.test.").Answer(plainQuery("ns.hosting.test.", dns.TypeA))
	if len(r.Answer) != 1 || r.Answer[0].(*dns.A).A.String() != ns.Addresses()[0].Addr().String() {
		t.Errorf("address of ns.hosting.test.: %v", r.Answer)
	}
	// Both sides of the zone cut name the same servers.
	child := w.Data("shop.example.").Records("shop.example.", dns.TypeNS)
	compare(t, "child's NS", child, []string{"shop.example. 3600 NS ns.hosting.test.", "shop.example. 3600 NS ns2.shop.example."})
}

// NS records in the text are taken as they are, whoever serves the zone.
func TestWorldTakesWrittenDelegations(t *testing.T) {
	w := testnet.New(testnet.Options{})
	w.Zone("shop.example.", "@ NS ns.away.test.\n@ NS ns.shop.example.\nns A 192.0.2.200")
	r := w.Data("example.").Answer(plainQuery("shop.example.", dns.TypeA))
	compare(t, "authority", r.Ns, []string{"shop.example. 3600 NS ns.away.test.", "shop.example. 3600 NS ns.shop.example."})
	compare(t, "additional", r.Extra, []string{"ns.shop.example. 3600 A 192.0.2.200"})
}

func TestWorldHints(t *testing.T) {
	w := testnet.New(testnet.Options{})
	w.NameServer(".", testnet.IPv4Only())
	p := dns.NewZoneParser(strings.NewReader(w.Hints()), ".", "")
	var types []uint16
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		types = append(types, rr.Header().Rrtype)
	}
	if p.Err() != nil || !slices.Equal(types, []uint16{dns.TypeNS, dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeA}) {
		t.Errorf("%v %v in\n%s", types, p.Err(), w.Hints())
	}
	// RFC 9609 section 4.1: the priming answer names the same servers, with addresses.
	r := w.Data(".").Answer(plainQuery(".", dns.TypeNS))
	if len(r.Answer) != 2 || len(r.Extra) != 3 || !r.Authoritative {
		t.Errorf("priming: %v", r)
	}
	// The root server's name resolves in its own zone, too.
	if r := w.Data("example.").Answer(plainQuery("a.root-servers.example.", dns.TypeA)); len(r.Answer) != 1 {
		t.Errorf("address of the root server: %v", r)
	}
}

func TestWorldOptions(t *testing.T) {
	w := testnet.New(testnet.Options{
		Port: 5300, TLDs: []string{"example."},
		Addresses: func(n int) (v4, v6 netip.Addr) { return netip.AddrFrom4([4]byte{127, 0, 0, byte(n + 2)}), netip.Addr{} },
	})
	var got []string
	for _, s := range w.Servers() {
		for _, a := range s.Addresses() {
			got = append(got, s.Name()+" "+a.String())
		}
	}
	if want := []string{"a.root-servers.example. 127.0.0.2:5300", "ns1.example. 127.0.0.3:5300"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWorldsAreLargeEnough(t *testing.T) {
	w := testnet.New(testnet.Options{})
	for i := range 600 {
		w.Server(string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example.")
	}
	documentation := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}
	for _, s := range w.Servers() {
		for _, a := range s.Addresses() {
			if !slices.ContainsFunc(documentation, func(p netip.Prefix) bool { return p.Contains(a.Addr()) }) {
				t.Fatalf("%s at %v", s.Name(), a)
			}
		}
	}
	if got := len(w.Servers()); got != 604 {
		t.Errorf("%d servers, want 604", got)
	}
}

func TestWorldPanics(t *testing.T) {
	for name, f := range map[string]func(w *testnet.World){
		"a zone declared twice": func(w *testnet.World) { w.Zone("Example.", "") },
		"no such zone":          func(w *testnet.World) { w.At("nowhere.test.") },
		"broken text":           func(w *testnet.World) { w.Zone("shop.example.", "www A x") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(testnet.New(testnet.Options{}))
		}()
	}
}

func TestSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "www A 203.0.113.80")
		q := query("wWw.Shop.example.", dns.TypeAAAA)
		q.IsEdns0().SetDo()
		q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}}
		q.CheckingDisabled, q.AuthenticatedData = true, true
		ask(t, w, s, q)
		if _, err := exchange(w, testnet.TCP, w.At("."), plainQuery(".", dns.TypeNS)); err != nil {
			t.Fatal(err)
		}

		p := s.Seen()[0]
		if p.Name != "wWw.Shop.example." || p.Type != dns.TypeAAAA || p.Class != dns.ClassINET || p.ID != q.Id {
			t.Errorf("question %v", p)
		}
		if p.RD || !p.CD || !p.AD || !p.DO || !p.EDNS || p.UDPSize != 1232 || len(p.Options) != 1 {
			t.Errorf("flags and EDNS %+v", p)
		}
		if p.From.Addr() != testnet.ClientIPv4 || p.To != s.Addresses()[0] || p.Labels() != 3 {
			t.Errorf("from %v to %v", p.From, p.To)
		}

		log := w.Seen()
		want := []string{"ns1.shop.example. udp www.shop.example. AAAA", "a.root-servers.example. tcp . NS"}
		if got := log.Script(); !slices.Equal(got, want) {
			t.Errorf("script %q, want %q", got, want)
		}
		if len(log.Over(testnet.TCP)) != 1 || len(log.Asking("WWW.shop.example.", 0)) != 1 || len(log.Asking(".", dns.TypeA)) != 0 {
			t.Errorf("filters of %v", log)
		}
		if log.MaxLabels() != 3 || !slices.Equal(log.Questions(), []string{"www.shop.example. AAAA", ". NS"}) {
			t.Errorf("%d labels, questions %q", log.MaxLabels(), log.Questions())
		}
		w.Reset()
		if len(w.Seen()) != 0 || s.Count() != 0 {
			t.Error("Reset kept something")
		}
	})
}
