package zone

import (
	"context"
	"errors"
	"net"
	"net/netip"
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

// message makes a message of a transfer.
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

// says is what the zone answers, or the outcome.
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

func last[E any](list []E) E { return list[len(list)-1] }
