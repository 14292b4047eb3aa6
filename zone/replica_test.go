package zone

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A giver is a primary in memory: it answers questions about one zone by what reply makes of them.
type giver struct {
	mu     sync.Mutex
	key    *SharedKey // nil: it does not sign
	gap    int        // messages between two signatures
	open   bool       // the last message has none
	twist  func(octets []byte) []byte
	down   bool
	reply  func(q *dns.Msg) []*dns.Msg
	asked  []string
	dialed int
}

func (g *giver) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dialed++
	if g.down || network != "tcp" || address != primaryAddress.String() {
		return nil, errors.New("no way to " + address)
	}
	here, there := net.Pipe()
	go g.serve(there)
	return here, nil
}

var primaryAddress = netip.MustParseAddrPort("192.0.2.53:53")

func (g *giver) serve(conn net.Conn) {
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	for {
		octets := make([]byte, 1<<16)
		n, err := c.Read(octets)
		if err != nil {
			return
		}
		q := new(dns.Msg)
		if err := q.Unpack(octets[:n]); err != nil {
			panic(err)
		}
		g.mu.Lock()
		g.asked = append(g.asked, dns.TypeToString[q.Question[0].Qtype])
		list, key, gap, twist := g.reply(q), g.key, g.gap, g.twist
		end := len(list) - 1
		if g.open && end > 0 {
			end++
		}
		g.mu.Unlock()
		mac := ""
		if t := q.IsTsig(); t != nil {
			mac = t.MAC
		}
		s := &signing1{key: key, mac: mac, gap: gap}
		for i, m := range list {
			if m == nil { // it falls silent
				continue
			}
			octets := s.pack(m, i == end)
			if twist != nil {
				octets = twist(octets)
			}
			if _, err := c.Write(octets); err != nil {
				return
			}
		}
		if len(list) == 0 {
			return
		}
	}
}

// A signing1 signs messages of a reply, but for some in between (RFC 8945 section 5.3.1).
type signing1 struct {
	key     *SharedKey
	mac     string
	gap     int
	begun   bool
	since   int
	pending []byte
}

func (s *signing1) pack(m *dns.Msg, last bool) []byte {
	if s.key == nil || s.begun && !last && s.since < s.gap {
		octets, err := m.Pack()
		if err != nil {
			panic(err)
		}
		s.since++
		s.pending = append(s.pending, octets...)
		return octets
	}
	m.SetTsig(s.key.name.Reveal(), s.key.algorithm, fudge, time.Now().Unix())
	octets, mac, err := dns.TsigGenerateWithProvider(m, s, s.mac, s.begun)
	if err != nil {
		panic(err)
	}
	s.mac, s.begun, s.since, s.pending = mac, true, 0, nil
	return octets
}

func (s *signing1) Generate(msg []byte, _ *dns.TSIG) ([]byte, error) {
	h := s.key.mac()
	at := 0
	if s.mac != "" {
		at = 2 + len(s.mac)/2
	}
	for _, part := range [][]byte{msg[:at], s.pending, msg[at:]} {
		h.Write(part)
	}
	return h.Sum(nil), nil
}

func (s *signing1) Verify([]byte, *dns.TSIG) error { return dns.ErrSig }

// readRecords reads records, without their zone's name.
func readRecords(text string) (list []dns.RR) {
	p := dns.NewZoneParser(strings.NewReader(text), "example.com.", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		list = append(list, rr)
	}
	if err := p.Err(); err != nil {
		panic(err)
	}
	return list
}

// A reading is a message of a transfer.
func message(q *dns.Msg, list ...dns.RR) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.Compress = true, true
	for _, rr := range list {
		m.Answer = append(m.Answer, dns.Copy(rr))
	}
	return m
}

func soaLine(serial string) string {
	return "@ 3600 SOA ns hostmaster " + serial + " 3600 600 86400 300\n"
}

const (
	zoneBody  = "@ 3600 NS ns\nns 3600 A 192.0.2.1\nwww 300 A 192.0.2.2\n"
	laterBody = "@ 3600 NS ns\nns 3600 A 192.0.2.1\nwww 300 A 192.0.2.3\nnew 1 TXT \"a;b\"\n"
)

// gives answers as a primary with one version does; without differences it gives the whole zone.
func gives(serial, body string, differences map[uint32]string) func(*dns.Msg) []*dns.Msg {
	soa := readRecords(soaLine(serial))[0]
	all := append([]dns.RR{soa}, readRecords(body)...)
	return func(q *dns.Msg) []*dns.Msg {
		if q.Question[0].Name != "example.com." {
			return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeNotAuth)}
		}
		switch q.Question[0].Qtype {
		case dns.TypeSOA:
			return []*dns.Msg{message(q, soa)}
		case dns.TypeIXFR:
			if text, ok := differences[q.Ns[0].(*dns.SOA).Serial]; ok {
				return []*dns.Msg{message(q, append(append([]dns.RR{soa}, readRecords(text)...), soa)...)}
			}
		}
		var list []*dns.Msg
		for part := range slices.Chunk(append(slices.Clone(all), soa), 2) {
			list = append(list, message(q, part...))
		}
		return list
	}
}

// A copying is a Keeper with a zone that is had from a giver, in a bubble.
type copying struct {
	*testing.T
	*Keeper
	store  *Store
	giver  *giver
	path   string
	events []Refresh
}

// copies keeps a zone that is had from g, and from the others.
func copies(t *testing.T, g *giver, key *SharedKey, directory string, others ...*giver) *copying {
	t.Helper()
	primaries := []Primary{{primaryAddress, g}}
	for _, other := range others {
		primaries = append(primaries, Primary{primaryAddress, other})
	}
	c := &copying{T: t, giver: g, path: filepath.Join(directory, "example.com")}
	c.store = Open(&StoreOptions{
		Files: []File{{Origin: wire.MustName("example.com."), Path: c.path, Replica: true}}, Now: time.Now,
		Changed: func() { c.Changed() },
	}, nil)
	c.Keeper = NewKeeper(&KeeperOptions{
		Zones: c.store, Keys: []*SharedKey{secondaryKey, updaterKey}, Network: g,
		Replicas:    []Replica{{Origin: wire.MustName("example.com."), Primaries: primaries, Key: key}},
		Secondaries: []Secondary{{Key: updaterKey.Name(), Zones: []wire.Name{wire.Root}}},
		Refreshed:   func(r Refresh) { c.events = append(c.events, r) },
		Panicked:    func() { t.Error("panic") },
	}, nil)
	c.Start(context.Background())
	synctest.Wait()
	return c
}

// pass lets time go by.
func (c *copying) pass(d time.Duration) {
	time.Sleep(d)
	c.store.Look()
	synctest.Wait()
}

// says is what the zone answers for A records of www, or the outcome.
func (c *copying) says(name string, kind wire.Type) string {
	f, own := c.zones().Find(wire.MustName(name), kind)
	switch {
	case own == nil:
		return "none"
	case f.Outcome != Answered:
		return map[Outcome]string{NoName: "no name", NoData: "no data", Expired: "expired", Withheld: "withheld", Alias: "alias"}[f.Outcome]
	}
	var text []string
	for i := range f.Sets {
		for _, rr := range appendSet(nil, &f.Sets[i]) {
			text = append(text, strings.Join(strings.Fields(rr.String())[1:], " "))
		}
	}
	return strings.Join(text, ", ")
}

func (c *copying) expect(name string, kind wire.Type, want string) {
	c.Helper()
	if got := c.says(name, kind); got != want {
		c.Errorf("%s: %s, want %s; %+v", name, got, want, c.events)
	}
}

// asks returns what the giver was asked since it was looked at last.
func (c *copying) asks() string {
	c.giver.mu.Lock()
	defer c.giver.mu.Unlock()
	text := strings.Join(c.giver.asked, " ")
	c.giver.asked = nil
	return text
}

// cut makes the giver be out of reach, or not.
func (c *copying) cut(down bool) {
	c.giver.mu.Lock()
	defer c.giver.mu.Unlock()
	c.giver.down = down
}

func (c *copying) dials() int {
	c.giver.mu.Lock()
	defer c.giver.mu.Unlock()
	return c.giver.dialed
}

func (c *copying) give(reply func(*dns.Msg) []*dns.Msg) {
	c.giver.mu.Lock()
	defer c.giver.mu.Unlock()
	c.giver.reply = reply
}

const www = "www.example.com."

// RFC 5936 section 2.2, RFC 1995 section 4: the zone comes whole, and then what has changed in it.
func TestReplicaIsTransferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := copies(t, &giver{reply: gives("7", zoneBody, nil)}, nil, t.TempDir())
		defer c.Close()
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
		c.expect("example.com.", wire.TypeSOA, "3600 IN SOA ns.example.com. hostmaster.example.com. 7 3600 600 86400 300")
		if got := c.asks(); got != "SOA AXFR" {
			t.Error("asked:", got)
		}
		c.pass(59 * time.Minute) // REFRESH is an hour
		if got := c.asks(); got != "" {
			t.Error("asked before REFRESH:", got)
		}
		c.give(gives("9", laterBody, map[uint32]string{
			7: soaLine("7") + "www 300 A 192.0.2.2\n" + soaLine("8") + "www 300 A 192.0.2.4\n" +
				soaLine("8") + "www 300 A 192.0.2.4\n" + soaLine("9") + "WWW 300 A 192.0.2.3\nns 3600 A 192.0.2.1\nnew 1 TXT \"a;b\"\n",
		}))
		c.pass(2 * time.Minute)
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.3")
		c.expect("new.example.com.", 16, `1 IN TXT "a;b"`)
		if got := c.asks(); got != "SOA IXFR" {
			t.Error("asked:", got)
		}
		p := &peer{key: updaterKey}
		k := &keeping{TB: t, Keeper: c.Keeper}
		if m := p.ask(k, new(dns.Msg).SetIxfr("example.com.", 7, ".", "."))[0]; len(m.Answer) != 7 { // it is passed on in the same way
			t.Error("passed on:", m)
		}
		if len(c.events) != 2 || c.events[0].Serial != 7 || c.events[1].Serial != 9 {
			t.Errorf("%+v", c.events)
		}
		info, err := os.Stat(c.path)
		if err != nil || info.Mode() != NewFileMode || time.Since(info.ModTime()) > 2*time.Minute {
			t.Error(info, err)
		}
	})
}

// RFC 1034 section 4.3.5: REFRESH, then RETRY, then EXPIRE, after which there is no answer; and then the zone comes back.
func TestReplicaExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		g := &giver{reply: gives("7", zoneBody, nil)}
		c := copies(t, g, nil, directory)
		c.pass(30 * time.Minute)
		c.cut(true)
		c.pass(23*time.Hour + 29*time.Minute)
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
		if n := c.dials() - 1; n < 130 || n > 140 { // once an hour has passed, every ten minutes
			t.Errorf("%d attempts", n)
		}
		c.Close()

		c = copies(t, g, nil, directory) // a restart does not make the copy any younger
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
		c.pass(2 * time.Minute)
		c.expect(www, wire.TypeA, "expired")
		c.pass(time.Hour)
		if n := len(c.events); n != 2 || !c.events[1].Expired || c.events[1].Err != errNetwork { //nolint:errorlint // the same
			t.Errorf("%+v", c.events)
		}
		c.cut(false)
		c.give(gives("3", zoneBody, nil)) // what has expired does not keep an older one out
		c.pass(time.Hour)
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
		c.expect("example.com.", wire.TypeSOA, "3600 IN SOA ns.example.com. hostmaster.example.com. 3 3600 600 86400 300")
		c.Close()
	})
}

// A primary that confirms the copy makes it younger, in the file too.
func TestReplicaIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		g := &giver{reply: gives("7", zoneBody, nil)}
		c := copies(t, g, nil, directory)
		before := c.zones().exactly(wire.MustName("example.com."))
		for range 30 {
			c.pass(time.Hour)
		}
		if got := c.asks(); strings.Count(got, "AXFR") != 1 || strings.Count(got, "SOA") != 31 {
			t.Error("asked:", got)
		}
		if c.zones().exactly(wire.MustName("example.com.")) != before {
			t.Error("the zone was made anew")
		}
		c.Close()
		c.cut(true)
		c = copies(t, g, nil, directory)
		defer c.Close()
		c.pass(22 * time.Hour)
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
	})
}

// Where one primary cannot be had, another one is asked, and goes on to be; after a notice, one that knows more is looked for.
func TestReplicaOfSeveralPrimaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &giver{down: true, reply: gives("7", zoneBody, nil)}, &giver{reply: gives("7", zoneBody, nil)}
		c := copies(t, first, nil, t.TempDir(), second)
		defer c.Close()
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
		c.cut(false)
		c.pass(3*time.Hour + time.Minute)
		if got := c.asks(); got != "" {
			t.Error("the one that was away was asked:", got)
		}
		c.give(gives("8", laterBody, nil))
		c.tellIt(notify(8), nil, func(a netip.Addr) bool { return a == primaryAddress.Addr() })
		synctest.Wait()
		c.expect(www, wire.TypeA, "300 IN A 192.0.2.3")
	})
}

// A zone that has never come is nobody else's, and is asked for again, less and less often.
func TestReplicaThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &giver{down: true}
		c := copies(t, g, nil, t.TempDir())
		defer c.Close()
		c.expect(www, wire.TypeA, "expired")
		c.pass(24 * time.Hour)
		if n := c.dials(); n < 24 || n > 40 {
			t.Errorf("%d attempts", n)
		}
		if len(c.events) != 1 || len(c.store.Problems()) != 0 {
			t.Errorf("%+v, %v", c.events, c.store.Problems())
		}
	})
}

func last[E any](list []E) E { return list[len(list)-1] }

// changed makes a reply of a good one.
func changed(from func(*dns.Msg) []*dns.Msg, kind uint16, change func(list []*dns.Msg) []*dns.Msg) func(*dns.Msg) []*dns.Msg {
	return func(q *dns.Msg) []*dns.Msg {
		list := from(q)
		if q.Question[0].Qtype == kind {
			list = change(list)
		}
		return list
	}
}

// Whatever is wrong with a transfer, the version that is there stays, and its file.
func TestBrokenTransfersChangeNothing(t *testing.T) {
	good := gives("8", laterBody, nil)
	body := func(more string) func(*dns.Msg) []*dns.Msg { return gives("8", laterBody+more, nil) }
	first := func(change func(m *dns.Msg)) func([]*dns.Msg) []*dns.Msg {
		return func(list []*dns.Msg) []*dns.Msg {
			change(list[0])
			return list
		}
	}
	both := func(change func(list []*dns.Msg) []*dns.Msg) func(*dns.Msg) []*dns.Msg {
		return changed(changed(good, dns.TypeAXFR, change), dns.TypeIXFR, change)
	}
	for name, c := range map[string]struct {
		reply func(*dns.Msg) []*dns.Msg
		want  error
	}{
		"it ends early":   {both(func(l []*dns.Msg) []*dns.Msg { return append(l[:1:1], nil) }), errNetwork},
		"it is cut off":   {both(func([]*dns.Msg) []*dns.Msg { return nil }), errNetwork},
		"an older serial": {gives("6", laterBody, nil), errOlder},
		"an older zone than it says": {func(q *dns.Msg) []*dns.Msg { // replayed, perhaps
			if q.Question[0].Qtype == dns.TypeSOA {
				return good(q)
			}
			return gives("6", laterBody, nil)(q)
		}, errOlder},
		"an owner outside":         {body("www.example.net. 300 A 192.0.2.66\n"), errForeign},
		"another class":            {body("x 300 CH TXT x\n"), errForeign},
		"another SOA at the end":   {both(func(l []*dns.Msg) []*dns.Msg { last(last(l).Answer).(*dns.SOA).Serial++; return l }), errEnd},
		"more behind the end":      {both(func(l []*dns.Msg) []*dns.Msg { m := last(l); m.Answer = append(m.Answer, m.Answer[0]); return l }), errTrailing},
		"no SOA at the beginning":  {both(first(func(m *dns.Msg) { m.Answer = m.Answer[1:] })), errNoBegin},
		"a signed zone":            {body("www 300 RRSIG A 13 3 300 20300101000000 20000101000000 1 @ AAAA\n"), errSigned},
		"another ID":               {both(first(func(m *dns.Msg) { m.Id++ })), errMuddled},
		"a question":               {both(first(func(m *dns.Msg) { m.Response = false })), errMuddled},
		"another question":         {both(first(func(m *dns.Msg) { m.Question[0].Name = "example.net." })), errMuddled},
		"truncated":                {both(first(func(m *dns.Msg) { m.Truncated = true })), errMuddled},
		"nothing":                  {both(first(func(m *dns.Msg) { m.Answer = nil })), errMuddled},
		"refused":                  {both(first(func(m *dns.Msg) { m.Answer, m.Rcode = nil, dns.RcodeRefused })), errUnhelpful},
		"not its zone":             {both(first(func(m *dns.Msg) { m.Answer, m.Rcode = nil, dns.RcodeNotAuth })), errNotAuth},
		"an answer from a cache":   {changed(good, dns.TypeSOA, first(func(m *dns.Msg) { m.Authoritative = false })), errNotAuth},
		"no servers of its own":    {gives("8", "www 300 A 192.0.2.3\n", nil), unfitError(errBare)},
		"a CNAME beside addresses": {body("www 300 CNAME x\n"), unfitError("a record is a CNAME beside addresses")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := copies(t, &giver{reply: gives("7", zoneBody, nil)}, nil, t.TempDir())
				defer k.Close()
				before, err := os.ReadFile(k.path)
				if err != nil {
					t.Fatal(err)
				}
				k.give(c.reply)
				k.pass(time.Hour + time.Minute)
				k.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
				if got := k.events[len(k.events)-1].Err; !errors.Is(got, c.want) {
					t.Errorf("reason: %v", got)
				}
				if after, err := os.ReadFile(k.path); err != nil || !bytes.Equal(before, after) {
					t.Errorf("the file has become\n%s", after)
				}
				if k.asks(); errors.Is(c.want, errOlder) && name == "an older serial" {
					k.pass(10 * time.Minute)
					if got := k.asks(); got != "SOA" {
						t.Error("asked:", got)
					}
				}
				k.give(good)
				k.pass(time.Hour)
				k.expect(www, wire.TypeA, "300 IN A 192.0.2.3")
			})
		})
	}
}

// RFC 1995: where the differences do not lead from the version here to the one there, or there are none, the whole zone is taken.
func TestReplicaFallsBackToTheWholeZone(t *testing.T) {
	for name, c := range map[string]string{
		"gone what was not there": soaLine("7") + "other 300 A 192.0.2.2\n" + soaLine("9"),
		"a version left out":      soaLine("7") + soaLine("8") + soaLine("7") + soaLine("9"),
		"versions that go back":   soaLine("7") + soaLine("6"),
		"a version beyond":        soaLine("7") + soaLine("10"),
		"an owner outside":        soaLine("7") + soaLine("9") + "www.example.net. 300 A 192.0.2.2\n",
		"no end":                  soaLine("7") + soaLine("8"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := copies(t, &giver{reply: gives("7", zoneBody, nil)}, nil, t.TempDir())
				defer k.Close()
				k.asks()
				k.give(gives("9", laterBody, map[uint32]string{7: c}))
				k.pass(time.Hour + time.Minute)
				k.expect(www, wire.TypeA, "300 IN A 192.0.2.3")
				if got := k.asks(); got != "SOA IXFR SOA AXFR" {
					t.Error("asked:", got)
				}
			})
		})
	}
	refuse := func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeNotImplemented)} }
	for name, reply := range map[string]func(q *dns.Msg) []*dns.Msg{
		"it is not implemented":                 refuse,
		"one SOA record only, and an old one":   func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{message(q, readRecords(soaLine("7"))...)} },
		"one SOA record only, and then nothing": func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{message(q, readRecords(soaLine("9"))...)} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := copies(t, &giver{reply: gives("7", zoneBody, nil)}, nil, t.TempDir())
				defer k.Close()
				good := gives("9", laterBody, nil)
				k.give(func(q *dns.Msg) []*dns.Msg {
					if q.Question[0].Qtype == dns.TypeIXFR {
						return reply(q)
					}
					return good(q)
				})
				k.pass(time.Hour + time.Minute)
				k.expect(www, wire.TypeA, "300 IN A 192.0.2.3")
			})
		})
	}
}

// RFC 8945 section 5.3.1: the first and the last message are signed, and at least every hundredth.
func TestReplicaVerifiesSignatures(t *testing.T) {
	long := zoneBody
	for i := range 500 {
		long += "n" + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}) + " 300 A 192.0.2.9\n"
	}
	for name, c := range map[string]struct {
		key   *SharedKey
		gap   int
		reply func(*dns.Msg) []*dns.Msg
		want  error
	}{
		"all messages":                  {secondaryKey, 0, gives("7", long, nil), nil},
		"one of a hundred":              {secondaryKey, 99, gives("7", long, nil), nil},
		"one of a hundred and one":      {secondaryKey, 100, gives("7", long, nil), errUnsigned},
		"none":                          {nil, 0, gives("7", long, nil), errUnsigned},
		"another key":                   {updaterKey, 0, gives("7", long, nil), errSignature},
		"the same name, another secret": {forgedKey, 0, gives("7", long, nil), errSignature},
		"refused, without a signature":  {nil, 0, func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeRefused)} }, errUnhelpful},
		"refused, with a signature":     {secondaryKey, 0, func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetRcode(q, dns.RcodeRefused)} }, errUnhelpful},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := copies(t, &giver{reply: c.reply, key: c.key, gap: c.gap}, secondaryKey, t.TempDir())
				defer k.Close()
				want := "300 IN A 192.0.2.2"
				if c.want != nil {
					want = "expired"
				}
				k.expect(www, wire.TypeA, want)
				if got := k.events[0].Err; !errors.Is(got, c.want) {
					t.Errorf("reason: %v", got)
				}
			})
		})
	}
}

// RFC 8945 sections 5.1 and 5.3.1: the last message is signed, and there is one signature, behind all else.
func TestReplicaWantsSignaturesInTheirPlace(t *testing.T) {
	behind := func(rr dns.RR) func([]byte) []byte {
		return func(octets []byte) []byte {
			more := make([]byte, 512)
			end, err := dns.PackRR(rr, more, 0, nil, false)
			if err != nil {
				panic(err)
			}
			octets[11]++ // ARCOUNT
			return append(octets, more[:end]...)
		}
	}
	twice := behind(&dns.TSIG{
		Hdr: dns.RR_Header{Name: secondaryKey.name.Reveal(), Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: secondaryKey.algorithm,
		Fudge: fudge, MACSize: 1, MAC: "00",
	})
	for name, c := range map[string]struct {
		giver *giver
		want  error
	}{
		"the last has none":     {&giver{gap: 99, open: true}, errUnsigned},
		"a record behind it":    {&giver{twist: behind(readRecords("x 300 TXT x\n")[0])}, errMuddled},
		"another one behind it": {&giver{twist: twice}, errMuddled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.giver.key, c.giver.reply = secondaryKey, gives("7", zoneBody, nil)
				k := copies(t, c.giver, secondaryKey, t.TempDir())
				defer k.Close()
				k.expect(www, wire.TypeA, "expired")
				if got := k.events[0].Err; !errors.Is(got, c.want) {
					t.Errorf("reason: %v", got)
				}
			})
		})
	}
}

// RFC 1995 section 4: each difference begins where the one before it has ended, and goes forwards (RFC 1982).
func TestIncomingFollowsVersions(t *testing.T) {
	whole := func(serials ...string) (text string) {
		for _, s := range serials {
			text += soaLine(s)
		}
		return text
	}
	for name, c := range map[string]struct {
		since uint32
		text  string
		want  error
		end   phase
	}{
		"one difference":              {7, whole("9", "7", "9", "9"), nil, over},
		"two":                         {7, whole("9", "7", "8", "8", "9", "9"), nil, over},
		"over the end of the numbers": {4294967295, whole("3", "4294967295", "1", "1", "3", "3"), nil, over},
		"no more than is known":       {9, whole("9"), nil, begun},
		"a gap":                       {7, whole("9", "7", "8", "7"), errSequence, adding},
		"backwards":                   {7, whole("9", "7", "6"), errSequence, adding},
		"standing still":              {7, whole("9", "7", "7"), errSequence, adding},
		"too far":                     {7, whole("9", "7", "10"), errSequence, adding},
		"on and on":                   {7, whole("9", "7", "9", "9", "9"), errTrailing, over},
		"from another version":        {7, whole("9", "6"), errEnd, begun},
	} {
		t.Run(name, func(t *testing.T) {
			in := newIncoming(wire.MustName("example.com."))
			in.since, in.known = c.since, true
			var err error
			for _, rr := range readRecords(c.text) {
				if err = in.take(rr); err != nil {
					break
				}
			}
			if !errors.Is(err, c.want) || in.phase != c.end {
				t.Errorf("%v, phase %d", err, in.phase)
			}
		})
	}
}

// What is changed on the way, left out, or sent again is found by the next signature.
func TestSequenceFindsWhatWasChanged(t *testing.T) {
	q := new(dns.Msg).SetAxfr("example.com.")
	keys := keyring{secondaryKey.name: secondaryKey}
	signed := func() (list [][]byte) {
		s := &signing1{key: secondaryKey, mac: "00ff", gap: 2}
		for i := range 7 {
			list = append(list, s.pack(message(q, readRecords(soaLine(string(rune('1'+i))))...), i == 6))
		}
		return list
	}
	for name, c := range map[string]struct {
		change func(list [][]byte) [][]byte
		want   error
	}{
		"nothing":                {func(l [][]byte) [][]byte { return l }, nil},
		"an octet":               {func(l [][]byte) [][]byte { l[1][len(l[1])-1] ^= 1; return l }, errSignature},
		"a message left out":     {func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }, errSignature},
		"a message twice":        {func(l [][]byte) [][]byte { return slices.Insert(l, 2, bytes.Clone(l[1])) }, errSignature},
		"two in the other order": {func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }, errSignature},
		"the first again":        {func(l [][]byte) [][]byte { return slices.Insert(l, 1, bytes.Clone(l[0])) }, errSignature},
		"signed ones left out":   {func(l [][]byte) [][]byte { return slices.Delete(l, 3, 4) }, errSignature},
		"the first not signed":   {func(l [][]byte) [][]byte { return l[1:] }, errUnsigned},
		"of another conversation": {func(l [][]byte) [][]byte {
			l[0] = (&signing1{key: secondaryKey, mac: "00fe"}).pack(message(q), false)
			return l
		}, errSignature},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sequence{keys: keys, mac: "00ff"}
			var err error
			for _, octets := range c.change(signed()) {
				m := new(dns.Msg)
				if err = m.Unpack(octets); err != nil {
					break
				}
				if err = s.link(m, octets); err != nil {
					break
				}
			}
			if !errors.Is(err, c.want) || err == nil && !s.ended() {
				t.Errorf("%v, ended %v", err, s.ended())
			}
		})
	}
}

// A transfer that does not come to an end is left, whoever sends it.
func TestIncomingIsBounded(t *testing.T) {
	soa, txt := readRecords(soaLine("9"))[0], readRecords("x 300 TXT x\n")[0]
	for name, in := range map[string]*incoming{
		"records": {origin: "example.com.", phase: whole, soa: soa.(*dns.SOA), records: maxIncomingRecords},
		"changes": {origin: "example.com.", phase: adding, soa: soa.(*dns.SOA), changes: make([]change, maxIncomingChanges)},
	} {
		if err := in.take(txt); !errors.Is(err, errMany) {
			t.Errorf("%s: %v", name, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		g := &giver{twist: func(octets []byte) []byte {
			time.Sleep(idleTime - time.Second)
			return octets
		}}
		g.reply = func(q *dns.Msg) (list []*dns.Msg) {
			if q.Question[0].Qtype == dns.TypeSOA {
				return []*dns.Msg{message(q, soa)}
			}
			list = append(list, message(q, soa))
			for range 1000 {
				list = append(list, message(q, txt))
			}
			return list
		}
		began := time.Now()
		k := copies(t, g, nil, t.TempDir())
		k.pass(refreshTime)
		k.Close()
		time.Sleep(idleTime) // until the giver sees it
		if len(k.events) != 1 || !errors.Is(k.events[0].Err, errNetwork) || time.Since(began) > refreshTime+time.Minute {
			t.Errorf("%+v after %s", k.events, time.Since(began))
		}
	})
}

func notify(serial uint32) *dns.Msg {
	m := new(dns.Msg).SetNotify("example.com.")
	if serial > 0 {
		m.Answer = readRecords(strings.Replace(soaLine("SERIAL"), "SERIAL", "1", 1))
		m.Answer[0].(*dns.SOA).Serial = serial
	}
	return m
}

// RFC 1996 section 3.10: a NOTIFY is heard from a primary only.
func TestNotifyIsHeardFromPrimaries(t *testing.T) {
	primary := func(a netip.Addr) bool { return a == primaryAddress.Addr() }
	stranger := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.66") }
	for name, c := range map[string]struct {
		key, signs *SharedKey
		from       func(netip.Addr) bool
		serial     uint32
		zone       string
		rcode      int
		asked      bool
	}{
		"from the primary":                    {nil, nil, primary, 0, "", dns.RcodeSuccess, true},
		"of a later serial":                   {nil, nil, primary, 8, "", dns.RcodeSuccess, true},
		"of the serial that is known":         {nil, nil, primary, 7, "", dns.RcodeSuccess, false},
		"from a stranger":                     {nil, nil, stranger, 8, "", dns.RcodeRefused, false},
		"from nobody knows whom":              {nil, nil, nil, 8, "", dns.RcodeRefused, false},
		"from a stranger, with some key":      {nil, updaterKey, stranger, 8, "", dns.RcodeRefused, false},
		"signed":                              {secondaryKey, secondaryKey, stranger, 8, "", dns.RcodeSuccess, true},
		"from the primary, not signed":        {secondaryKey, nil, primary, 8, "", dns.RcodeRefused, false},
		"from the primary, with another key":  {secondaryKey, updaterKey, primary, 8, "", dns.RcodeRefused, false},
		"from the primary, with a forged key": {secondaryKey, forgedKey, primary, 8, "", dns.RcodeNotAuth, false},
		"of a zone that is none, not signed":  {nil, nil, primary, 8, "example.net.", dns.RcodeRefused, false},
		"of a zone that is none, signed":      {nil, secondaryKey, primary, 8, "example.net.", dns.RcodeNotAuth, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := copies(t, &giver{reply: gives("7", zoneBody, nil), key: c.key}, c.key, t.TempDir())
				defer k.Close()
				k.asks()
				k.pass(time.Minute)
				m := notify(c.serial)
				if c.zone != "" {
					m.Question[0].Name = c.zone
				}
				if got := k.tellIt(m, c.signs, c.from); got != c.rcode {
					t.Error(dns.RcodeToString[got])
				}
				synctest.Wait()
				if got := k.asks(); (got == "SOA") != c.asked {
					t.Error("asked:", got)
				}
			})
		})
	}
}

// tellIt says a message, and returns the RCODE of the reply.
func (c *copying) tellIt(m *dns.Msg, key *SharedKey, from func(netip.Addr) bool) int {
	packed, _ := (&peer{key: key}).pack(&keeping{TB: c.T}, m)
	rcode := -1
	c.Hear(c.Context(), Request{Octets: packed, From: from}, func(reply []byte) error {
		r := new(dns.Msg)
		if err := r.Unpack(reply); err != nil {
			c.Fatal(err)
		}
		rcode = r.Rcode
		return nil
	})
	return rcode
}

// However often somebody says so, the primary is asked once in a while; what is said meanwhile is not lost.
func TestNotifyIsHeardOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := copies(t, &giver{reply: gives("7", zoneBody, nil)}, nil, t.TempDir())
		defer k.Close()
		k.asks()
		from := func(a netip.Addr) bool { return a == primaryAddress.Addr() }
		for range 600 {
			k.tellIt(notify(0), nil, from)
			k.pass(100 * time.Millisecond)
		}
		if n := strings.Count(k.asks(), "SOA"); n < 11 || n > 13 {
			t.Errorf("asked %d times in a minute", n)
		}
		k.pass(time.Minute)
		k.give(gives("8", laterBody, nil))
		k.tellIt(notify(8), nil, from)
		synctest.Wait()
		k.expect(www, wire.TypeA, "300 IN A 192.0.2.3")
		k.give(gives("9", zoneBody, nil))
		k.tellIt(notify(9), nil, from)
		k.pass(quiet)
		k.expect(www, wire.TypeA, "300 IN A 192.0.2.2")
	})
}

// What is had from a primary is changed there only; its settings are the operator's.
func TestReplicaIsReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		path := filepath.Join(directory, "example.com")
		old := "; mine\n; tacit: paused\n;tacit: flatten=apex\n" + soaLine("1") + zoneBody
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		c := copies(t, &giver{reply: gives("7", laterBody+"alias 300 CNAME www\n", nil)}, nil, directory)
		defer c.Close()
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "; tacit: paused\n;tacit: flatten=apex\n"+copyHead+"example.com.\t3600\tIN\tSOA") {
			t.Errorf("%s %v", text, err)
		}
		at := c.store.list()[0]
		err = Edit(t.Context(), at, time.Now(), &Options{}, func(*MasterFile) error { t.Error("edited"); return nil })
		if !errors.Is(err, errReplica) {
			t.Error(err)
		}
		if err = Create(t.Context(), at, time.Now(), &Options{}, func(*MasterFile) error { return nil }); !errors.Is(err, errReplica) {
			t.Error(err)
		}
		c.options.Grants = []Grant{{Key: updaterKey.Name(), Zones: []wire.Name{wire.Root}}}
		m := new(dns.Msg).SetUpdate("example.com.")
		m.Insert(readRecords("x 300 TXT x\n"))
		if got := c.tellIt(m, updaterKey, nil); got != dns.RcodeRefused {
			t.Error(dns.RcodeToString[got])
		}
	})
}

// A copy is answered as it is at its primary: nothing is flattened, no TTL means Auto, and SOA and NS are its own.
func TestReplicaIsAnsweredAsItIs(t *testing.T) {
	body := laterBody + "alias 300 CNAME www\nsecure 300 DS 1 13 2 " + strings.Repeat("ab", 32) + "\nsecure 300 NS ns.example.net.\n*.wild 300 TYPE65280 \\# 3 010203\n"
	o := Options{Nameservers: []wire.Name{wire.MustName("ns.example.net.")}, Edge: edged.Edge}
	z, settings, problems := Build(&Source{Text: []byte("$ORIGIN example.com.\n" + soaLine("7") + body), Origin: wire.MustName("example.com."), Replica: true}, someDay, &o)
	if len(problems) > 0 || settings.Flattening != FlattenNothing {
		t.Fatal(settings, problems)
	}
	for _, c := range []struct {
		name string
		kind wire.Type
		want Outcome
		ttl  uint32
	}{
		{"alias.example.com.", wire.TypeA, Alias, 300},
		{"new.example.com.", 16, Answered, 1},
		{"x.wild.example.com.", 65280, Answered, 300},
		{"example.com.", wire.TypeNS, Answered, 3600},
		{"example.com.", wire.TypeSOA, Answered, 3600},
	} {
		f := z.Find(wire.MustName(c.name), c.kind)
		if f.Outcome != c.want || f.Sets[0].TTL != c.ttl || f.Sets[0].Data.Count() != 1 {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

// FuzzIncoming takes messages of a transfer. What comes out of them can be read as a zone file, with the serial that was promised, or is
// refused.
func FuzzIncoming(f *testing.F) {
	origin := wire.MustName("example.com.")
	for _, reply := range []func(*dns.Msg) []*dns.Msg{
		gives("8", laterBody, nil), gives("8", laterBody, map[uint32]string{7: soaLine("7") + "www 300 A 192.0.2.2\n" + soaLine("8") + laterBody}),
	} {
		for _, q := range []*dns.Msg{new(dns.Msg).SetAxfr("example.com."), new(dns.Msg).SetIxfr("example.com.", 7, ".", ".")} {
			all := message(q)
			for _, m := range reply(q) {
				all.Answer = append(all.Answer, m.Answer...)
			}
			octets, err := all.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(octets, true)
			f.Add(octets, false)
		}
	}
	read := func(text []byte) (*Zone, Problems) {
		z, _, problems := Build(&Source{Text: text, Origin: origin, Replica: true, plain: true}, someDay, &Options{})
		return z, problems
	}
	base, problems := read([]byte("$ORIGIN example.com.\n" + soaLine("7") + zoneBody))
	if problems.Grave() {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, octets []byte, known bool) {
		m := new(dns.Msg)
		if m.Unpack(octets) != nil {
			return
		}
		in := newIncoming(origin)
		in.since, in.known = 7, known
		for _, rr := range m.Answer {
			if in.take(rr) != nil {
				return
			}
		}
		if in.phase != over {
			return
		}
		text := in.text
		if text == nil {
			var err error
			if text, err = in.apply(base); err != nil {
				return
			}
		}
		z, problems := read(text)
		if problems.Grave() {
			for _, p := range problems {
				if strings.HasPrefix(p.Text, "bad") || strings.Contains(p.Text, "outside") {
					t.Fatalf("%v in\n%s", p, text)
				}
			}
			return
		}
		if z.serial != in.soa.Serial {
			t.Fatalf("serial %d, want %d", z.serial, in.soa.Serial)
		}
	})
}
