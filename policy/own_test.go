package policy

import (
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// set makes a record set of records in presentation form.
func set(t *testing.T, records ...string) wire.RRset {
	t.Helper()
	var s wire.RRset
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 512)
		end, err := dns.PackRR(rr, b, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		h := rr.Header()
		s.Name, s.Type, s.TTL = wire.MustName(h.Name), wire.Type(h.Rrtype), h.Ttl
		s.Data = s.Data.Add(b[end-int(h.Rdlength) : end])
	}
	return s
}

// ownOf is what a resolver at name says of itself.
func ownOf(t *testing.T, name string) []Own {
	t.Helper()
	address := set(t, name+" 600 A 192.0.2.53")
	return []Own{
		{set(t, "_dns.resolver.arpa. 600 SVCB 1 "+name+" alpn=dot"), []wire.RRset{address}},
		{set(t, "resolver.arpa. 600 RESINFO qnamemin"), nil},
		{set(t, "_dns."+name+" 600 SVCB 1 "+name+" alpn=dot"), []wire.RRset{address}},
		{set(t, name+" 600 RESINFO qnamemin"), nil},
		{address, nil},
	}
}

const (
	svcb    = `SVCB 1 dns.net.example. alpn="dot"`
	resinfo = `RESINFO "qnamemin"`
)

func TestResolverTellsOfItself(t *testing.T) {
	const (
		ddr       = "RFC 9462 section 4: one or more designated resolvers are returned as SVCB records"
		noOther   = "RFC 9462 section 4: resolver.arpa holds nothing else"
		info      = "RFC 9606 section 3: the resolver answers for resolver.arpa and its own name"
		elsewhere = "the rest of the zone is its owner's"
	)
	rows := []row{
		{ddr, "_dns.resolver.arpa.", "SVCB", svcb},
		{ddr, "_DNS.Resolver.ARPA.", "SVCB", svcb},
		{ddr, "_dns.resolver.arpa.", "ANY", svcb},
		{noOther, "_dns.resolver.arpa.", "A", noData},
		{noOther, "_dns.resolver.arpa.", "HTTPS", noData},
		{noOther, "_dns.resolver.arpa.", "DS", noData},
		{noOther, "a._dns.resolver.arpa.", "SVCB", noData},
		{noOther, "resolver.arpa.", "SVCB", noData},
		{noOther, "_853._dns.resolver.arpa.", "SVCB", noData},
		{info, "resolver.arpa.", "RESINFO", resinfo},
		{info, "dns.net.example.", "RESINFO", resinfo},
		{"RFC 9461 section 2", "_dns.dns.net.example.", "SVCB", svcb},
		{elsewhere, "dns.net.example.", "A", leaves},
		{elsewhere, "dns.net.example.", "ANY", leaves},
		{elsewhere, "_dns.dns.net.example.", "TXT", leaves},
		{elsewhere, "net.example.", "RESINFO", leaves},
		{elsewhere, "a._dns.dns.net.example.", "SVCB", leaves},
	}
	t.Run("alone", func(t *testing.T) { check(t, NewSpecialUse(nil, ownOf(t, "dns.net.example.")...), rows) })
	t.Run("everything forwarded", func(t *testing.T) {
		check(t, NewSpecialUse([]wire.Name{wire.Root}, ownOf(t, "dns.net.example.")...), rows)
	})
	t.Run("its zone served in another way", func(t *testing.T) {
		check(t, NewSpecialUse([]wire.Name{wire.MustName("net.example.")}, ownOf(t, "dns.net.example.")...), rows)
	})
}

// RFC 9462 section 4: no designated resolvers, no data.
func TestNothingToTell(t *testing.T) {
	s := NewSpecialUse(nil)
	for _, kind := range []string{"SVCB", "A", "ANY"} {
		if got := answer(t, s, "_dns.resolver.arpa.", kind); got != noData {
			t.Errorf("%s: got %s", kind, got)
		}
	}
}

// Whoever has a resolver's name below a special-use one has nobody else to ask for its addresses.
func TestOwnNameThatIsSpecial(t *testing.T) {
	const clause = "the zone is held here and nowhere else"
	check(t, NewSpecialUse(nil, ownOf(t, "dns.home.arpa.")...), []row{
		{clause, "dns.home.arpa.", "A", "A 192.0.2.53"},
		{clause, "dns.home.arpa.", "AAAA", noData},
		{clause, "dns.home.arpa.", "RESINFO", resinfo},
		{"RFC 2308 section 2.2: a name with other data exists", "_dns.dns.home.arpa.", "A", noData},
		{clause, "other.home.arpa.", "A", nxdomain},
		{clause, "home.arpa.", "NS", "NS home.arpa."},
	})
	check(t, NewSpecialUse([]wire.Name{wire.MustName("home.arpa.")}, ownOf(t, "dns.home.arpa.")...), []row{
		{"named by the operator", "dns.home.arpa.", "A", leaves},
		{"named by the operator", "dns.home.arpa.", "RESINFO", resinfo},
	})
}

// RFC 9462 section 4: the addresses of the designated resolver should come along.
func TestOwnAnswerIsWhole(t *testing.T) {
	s := NewSpecialUse(nil, ownOf(t, "dns.net.example.")...)
	m, a, ok := ask(t, s, "_dns.resolver.arpa.", "SVCB")
	if !ok || section(m.Extra) != "A 192.0.2.53" {
		t.Errorf("additional section:\n%v", m)
	}
	if m.Answer[0].Header().Ttl != 600 || a.Expires.Sub(epoch).Seconds() != 600 || !a.Fixed || !m.Authoritative {
		t.Errorf("expires %v, fixed %v\n%v", a.Expires, a.Fixed, m)
	}
}

func TestOwnAnswersDoNotDependOnFlags(t *testing.T) {
	s := NewSpecialUse([]wire.Name{wire.Root}, ownOf(t, "dns.net.example.")...)
	for _, q := range []wire.Question{{}, {CD: true}, {DO: true}, {CD: true, DO: true}, {NoRecursion: true}} {
		q.Name, q.Type, q.Class = wire.MustName("_dns.resolver.arpa."), wire.TypeSVCB, wire.ClassIN
		a, ok := s.Answer(q, epoch)
		var m dns.Msg
		if err := m.Unpack(a.Packet); !ok || err != nil || section(m.Answer) != svcb {
			t.Errorf("%+v: %v %v\n%v", q, ok, err, &m)
		}
	}
}
