package transports

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/siphash"
	"tacit/internal/wire"
)

func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	octets, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

// The examples of RFC 9018 appendix A, octet by octet: what is sent, and what is given for it.
func TestCookieVectors(t *testing.T) {
	const first, old, rolled = "e5e973e5a6b2a43f48e7dc849e37bfcf", "dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"
	for _, c := range []struct {
		name            string
		current, former string
		client          string
		at              int64
		sent, want      string
		crumb           crumb
	}{
		{
			"A.1: learning a new server cookie", first, "", "198.51.100.100", 1559731985,
			"2464c4abcf10c957", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", unproven,
		},
		{
			"A.2: the same client learns a renewed one", first, "", "198.51.100.100", 1559734385,
			"2464c4abcf10c957010000005cf79f111f8130c3eee29480", "2464c4abcf10c957010000005cf7a871d4a564a1442aca77", atItsAddress,
		},
		{
			"A.3: reserved octets that are not zero, of almost two hours ago", first, "", "203.0.113.203", 1559734700,
			"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e", unproven,
		},
		{
			"A.4: IPv6, and a secret that was rolled over", rolled, old, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961,
			"22681ab97d52c298010000005cf7c57926556bd0934c72f8", "22681ab97d52c298010000005cf7c609a6bb79d16625507a", atItsAddress,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(c.at, 0)
			s := &secrets{since: now.Add(-time.Second), current: siphash.Key(fromHex(t, c.current)), hasFormer: c.former != ""}
			if s.hasFormer {
				s.former = siphash.Key(fromHex(t, c.former))
			}
			b := &bakery{}
			b.secrets.Store(s)
			var got [cookieSize]byte
			addr := netip.MustParseAddr(c.client)
			if crumb := b.answer(&got, fromHex(t, c.sent), addr, now); crumb != c.crumb {
				t.Error("taken as", crumb)
			}
			if hex.EncodeToString(got[:]) != c.want {
				t.Errorf("given %x, want %s", got, c.want)
			}
		})
	}
}

// RFC 9018 section 4.3: what is taken for good, for how long, and when there is a new one; section 5: secrets roll over.
func TestCookieLives(t *testing.T) {
	noon := time.Unix(1_800_000_000, 0)
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	change := func(octet int) func([]byte) []byte {
		return func(c []byte) []byte { c[octet] ^= 1; return c }
	}
	for _, c := range []struct {
		name   string
		after  time.Duration
		from   netip.Addr
		change func([]byte) []byte
		want   crumb
		same   bool
	}{
		{"at once", 0, here, nil, atItsAddress, true},
		{"below half an hour", freshFor - time.Second, here, nil, atItsAddress, true},
		{"half an hour: a new one", freshFor, here, nil, atItsAddress, false},
		{"an hour", cookieLife, here, nil, atItsAddress, false},
		{"more than an hour", cookieLife + time.Second, here, nil, unproven, false},
		{"a little ahead of the clock", -mayBeAhead, here, nil, atItsAddress, false},
		{"far ahead of the clock", -mayBeAhead - time.Second, here, nil, unproven, false},
		{"from another address", 0, there, nil, unproven, false},
		{"another client cookie", 0, here, change(0), unproven, false},
		{"another version", 0, here, change(clientPart), unproven, false},
		{"other reserved octets", 0, here, change(clientPart + 1), unproven, false},
		{"another time", 0, here, change(cookieStamp + 3), unproven, false},
		{"another hash", 0, here, change(cookieSize - 1), unproven, false},
		{"the client cookie only", 0, here, func(c []byte) []byte { return c[:clientPart] }, unproven, false},
		{"somebody else's server cookie", 0, here, func(c []byte) []byte { return append(c, 1, 2, 3) }, unproven, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bakery{}
			var first, second [cookieSize]byte
			b.answer(&first, []byte("clientco"), here, noon)
			b.secrets.Load().since = noon.Add(-10 * time.Hour) // no roll-over, and a clock that may be set back
			sent := slices.Clone(first[:])
			if c.change != nil {
				sent = c.change(sent)
			}
			if got := b.answer(&second, sent, c.from, noon.Add(c.after)); got != c.want {
				t.Errorf("taken as %d, want %d", got, c.want)
			}
			if (string(second[:]) == string(sent)) != c.same || string(second[:clientPart]) != string(sent[:clientPart]) {
				t.Errorf("given %x for %x", second, sent)
			}
		})
	}
}

// Row D12: a cookie is worth nothing on the third day, nor under a secret of two days ago whatever its timestamp says; the secret of
// yesterday is forgotten after an hour.
func TestCookieOfDayOneIsReplacedOnDayThree(t *testing.T) {
	const day = 24 * time.Hour
	b := &bakery{}
	day1 := time.Unix(1_800_000_000, 0)
	addr := netip.MustParseAddr("192.0.2.1")
	bake := func(sent []byte, at time.Time) (c [cookieSize]byte, what crumb) {
		what = b.answer(&c, sent, addr, at)
		return c, what
	}
	first, _ := bake([]byte("clientco"), day1)
	secret := b.secrets.Load().current
	late, _ := bake([]byte("clientco"), day1.Add(day-time.Minute))
	if _, what := bake(late[:], day1.Add(day+time.Minute)); what != atItsAddress {
		t.Error("what was given two minutes ago, under yesterday's secret, is not good")
	}
	if s := b.secrets.Load(); s.current == secret || s.former != secret {
		t.Error("the secret is not another one after a day")
	}
	bake([]byte("clientco"), day1.Add(day+2*time.Hour))
	if s := b.secrets.Load(); s.hasFormer || s.former == secret {
		t.Error("the secret of yesterday is still there")
	}
	day3 := day1.Add(2*day + time.Hour)
	again, what := bake(first[:], day3)
	if what != unproven || again == first {
		t.Error("the cookie of day 1 is good on day 3")
	}
	if _, what := bake(again[:], day3); what != atItsAddress {
		t.Error("the one given in its place is not")
	}
	forged := first
	(&secrets{current: secret}).bake(&forged, addr, day3)
	if _, what := bake(forged[:], day3); what != unproven {
		t.Error("the secret of day 1 is good on day 3")
	}
	if b.secrets.Load().current == secret {
		t.Error("it is still the secret")
	}
}

// cookieOf returns the cookie in a message, in hexadecimal.
func cookieOf(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

func withCookie(c string) func(*dns.Msg) {
	return edns(1232, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: c})
}

// Each way to an answer gives the cookie to who has sent one, known, resolved or refused; and never where nobody can forge an address.
func TestCookiesAreGiven(t *testing.T) {
	const client = "2464c4abcf10c957"
	known := func(dst []byte, q *wire.Query) (wire.Answer, bool) {
		return wire.Answer{Packet: append(dst, address(q.Question())...)}, q.FoldedName()[1] == 'k'
	}
	f := newFront(Options{})
	f.responder, f.admitter = script{recall: known}, everybody{}
	exchange := func(f *front, query []byte, over Transport) (m *dns.Msg) {
		f.exchange(context.Background(), query, client1.Addr(), link{transport: over}, func(answer []byte) { m = read(t, answer) })
		return m
	}
	for _, c := range []struct {
		name  string
		query []byte
		over  Transport
		rcode int
		given bool
	}{
		{"known", ask(1, "known.example.", withCookie(client)), UDP, dns.RcodeSuccess, true},
		{"resolved", ask(1, "unknown.example.", withCookie(client)), UDP, dns.RcodeSuccess, true},
		{"ANY", ask(1, "known.example.", withCookie(client), qtype(dns.TypeANY)), UDP, dns.RcodeSuccess, true},
		{"refused", ask(1, "known.example.", withCookie(client), qtype(dns.TypeMAILB)), UDP, dns.RcodeRefused, true},
		{"a wrong server cookie: as without one", ask(1, "known.example.", withCookie(client+"0100000000000000ffffffffffffffff")), UDP, dns.RcodeSuccess, true},
		{"TCP", ask(1, "known.example.", withCookie(client)), TCP, dns.RcodeSuccess, true},
		{"DoT", ask(1, "known.example.", withCookie(client)), TLS, dns.RcodeSuccess, false},
		{"DoH", ask(1, "known.example.", withCookie(client)), HTTPS, dns.RcodeSuccess, false},
		{"HTTP/3", ask(1, "known.example.", withCookie(client)), HTTP3, dns.RcodeSuccess, false},
		{"DoQ, resolved", ask(0, "unknown.example.", withCookie(client)), QUIC, dns.RcodeSuccess, false},
		{"none was sent", ask(1, "known.example.", edns(1232)), UDP, dns.RcodeSuccess, false},
		{"RFC 7873 section 5.2.2: malformed", ask(1, "known.example.", withCookie(client+"01")), UDP, dns.RcodeFormatError, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := exchange(f, c.query, c.over)
			got := cookieOf(m)
			if m.Rcode&0xf != c.rcode || (got != "") != c.given || c.given && (len(got) != 2*cookieSize || got[:len(client)] != client) {
				t.Errorf("cookie %q in %v", got, m)
			}
			if !c.given {
				return
			}
			if again := cookieOf(exchange(f, ask(2, "known.example.", withCookie(got)), UDP)); again != got {
				t.Errorf("for %s, %s is given", got, again)
			}
		})
	}
	off := newFront(Options{NoCookies: true})
	off.responder, off.admitter = f.responder, f.admitter
	if got := cookieOf(exchange(off, ask(1, "known.example.", withCookie(client)), UDP)); got != "" {
		t.Errorf("turned off, and %s is given", got)
	}
}

// A cookie is part of what has to fit.
func TestCookieCountsForTruncation(t *testing.T) {
	query := func(size uint16) []byte {
		return ask(1, "www.example.", edns(size, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "2464c4abcf10c957"}))
	}
	f := newFront(Options{})
	f.responder = script{resolve: func(_ context.Context, q wire.Question) wire.Answer { return wire.Answer{Packet: records(q, 6)} }}
	f.admitter = everybody{}
	size := len(records(parsed(t, query(1232)).Question(), 6)) + wire.OPTLength + 4 + cookieSize
	for _, c := range []struct {
		size      int
		truncated bool
	}{{size, false}, {size - 1, true}} {
		f.exchange(context.Background(), query(uint16(c.size)), client1.Addr(), link{transport: UDP}, func(answer []byte) {
			if m := read(t, answer); m.Truncated != c.truncated || cookieOf(m) == "" || len(answer) > c.size {
				t.Errorf("%d octets where %d fit: %v", len(answer), c.size, m)
			}
		})
	}
}

// Who has shown by a cookie to be at its address does not wait in the queue of those who may be forged.
func TestCookiesOpenTheOtherQueue(t *testing.T) {
	f := newFront(Options{Limits: Limits{WaitingPerNetwork: 1, WaitingPerNetworkTCP: 2}})
	f.admitter, f.responder = everybody{}, script{}
	wait := func(cookie string) (job *job, given string) {
		v := &visit{answer: make([]byte, 0, maxUDPQuery)}
		msg := ask(1, "www.example.", withCookie(cookie))
		if _, o := f.receive(v, msg, client1.Addr(), link{transport: UDP}); o != missed {
			t.Fatal(o)
		}
		return f.newJob(v, msg, client1.Addr(), link{transport: UDP}), hex.EncodeToString(v.cookie[:])
	}
	first, cookie := wait("2464c4abcf10c957")
	second, _ := wait("2464c4abcf10c957")
	third, _ := wait(cookie)
	if first == nil || second != nil || third == nil {
		t.Error("waiting: ", first != nil, second != nil, third != nil)
	}
	first.end()
	third.end()
}

// All of the way of a question with a cookie whose answer is known, in batches as they come.
func TestCookieHitsDoNotAllocate(t *testing.T) {
	u, b, received := hits()
	for i := range received {
		received[i].octets = ask(1, "www.example.", withCookie("2464c4abcf10c957010000005cf79f111f8130c3eee29480"))
	}
	u.treat(b, received)
	if n := testing.AllocsPerRun(100, func() { u.treat(b, received) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUDPHitWithCookie(b *testing.B) {
	u, batch, received := hits()
	var good [cookieSize]byte
	u.front.quota.bakery.answer(&good, []byte("clientco"), client1.Addr(), u.front.now())
	for i := range received {
		received[i].octets = ask(1, "www.example.", withCookie(hex.EncodeToString(good[:])))
	}
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(received) {
		u.treat(batch, received)
	}
}
