package zone

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A small root. Delegations: example is signed, test is not and has its servers elsewhere; invalid belongs to the root.
const rootText = `
	.                  86400  SOA  ns1.root.test. nobody.invalid. SERIAL 1800 900 604800 86400
	.                  518400 NS   ns1.root.test.
	.                  518400 NS   ns2.root.test.
	ns1.root.test.     3600   A    192.0.2.1
	ns1.root.test.     3600   AAAA 2001:db8::1
	ns2.root.test.     3600   A    192.0.2.2
	example.           172800 NS   ns.example.
	example.           172800 NS   ns1.root.test.
	example.           86400  DS   4711 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
	ns.example.        172800 A    192.0.2.53
	test.              172800 NS   ns.example.
	leaf.ent.invalid.  300    TXT  "below an empty non-terminal"
	invalid.           300    TXT  "not delegated"
`

// A signedRoot is one version of the root zone with its signatures and digest, made with miekg/dns and the few lines below.
type signedRoot struct {
	records []dns.RR // without the SOA at the end
}

// rootKey signs all of them.
var rootKey = sync.OnceValues(func() (*dns.DNSKEY, crypto.Signer) {
	k := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: ".", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 172800},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := k.Generate(256)
	if err != nil {
		panic(err)
	}
	return k, private.(crypto.Signer)
})

// A version says what a version of the root is.
type version struct {
	serial   string
	extra    string        // further records
	ends     time.Duration // of the signatures, from now; 0: 13 days
	noDigest bool
	digestOf string // serial in the ZONEMD record
	twice    bool   // two ZONEMD records of one kind
}

func makeRoot(v version) *signedRoot {
	text := strings.ReplaceAll(rootText, "SERIAL", v.serial) + v.extra
	records := parse(text)
	key, _ := rootKey()
	records = append(records, key)
	if v.ends == 0 {
		v.ends = 13 * 24 * time.Hour
	}
	if v.digestOf == "" {
		v.digestOf = v.serial
	}
	records = append(records, chain(records, !v.noDigest)...)
	records = append(records, sign(records, v.ends)...)
	if v.noDigest {
		return &signedRoot{records}
	}
	digests := parse(". 86400 ZONEMD " + v.digestOf + " 1 1 " + digest(records))
	if v.twice {
		digests = append(digests, parse(". 86400 ZONEMD "+v.digestOf+" 1 1 "+strings.Repeat("ab", 48))...)
	}
	records = append(records, digests...)
	return &signedRoot{append(records, sign(digests, v.ends)...)}
}

func parse(text string) []dns.RR {
	zp := dns.NewZoneParser(strings.NewReader(strings.ReplaceAll(text, "\n\t", "\n")), ".", "")
	var records []dns.RR
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		records = append(records, rr)
	}
	if zp.Err() != nil {
		panic(zp.Err())
	}
	return records
}

// cuts are the names of delegations; what lies below is glue.
func cuts(records []dns.RR) (list []string) {
	for _, rr := range records {
		if rr.Header().Rrtype == dns.TypeNS && rr.Header().Name != "." && !slices.Contains(list, rr.Header().Name) {
			list = append(list, rr.Header().Name)
		}
	}
	return list
}

func isGlue(records []dns.RR, name string) bool {
	return slices.ContainsFunc(cuts(records), func(cut string) bool { return name != cut && dns.IsSubDomain(cut, name) })
}

// chain makes the NSEC records (RFC 4034 section 4).
func chain(records []dns.RR, withDigest bool) []dns.RR {
	types := map[string][]uint16{}
	for _, rr := range records {
		if name := rr.Header().Name; !isGlue(records, name) && !slices.Contains(types[name], rr.Header().Rrtype) {
			types[name] = append(types[name], rr.Header().Rrtype)
		}
	}
	var owners []string
	for name := range types {
		owners = append(owners, name)
	}
	slices.SortFunc(owners, func(a, b string) int { return strings.Compare(canonical(a), canonical(b)) })
	var list []dns.RR
	for i, name := range owners {
		kinds := append(types[name], dns.TypeNSEC, dns.TypeRRSIG)
		if name == "." && withDigest {
			kinds = append(kinds, dns.TypeZONEMD)
		}
		slices.Sort(kinds)
		list = append(list, &dns.NSEC{
			Hdr:        dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: 86400},
			NextDomain: owners[(i+1)%len(owners)], TypeBitMap: kinds,
		})
	}
	return list
}

// canonical sorts as the canonical order does.
func canonical(name string) string {
	labels := dns.SplitDomainName(name)
	slices.Reverse(labels)
	return strings.Join(labels, "\x00")
}

func sign(records []dns.RR, ends time.Duration) []dns.RR {
	type set struct {
		name string
		kind uint16
	}
	sets := map[set][]dns.RR{}
	delegations := cuts(records)
	for _, rr := range records {
		h := rr.Header()
		if !isGlue(records, h.Name) && (h.Rrtype != dns.TypeNS || !slices.Contains(delegations, h.Name)) {
			sets[set{h.Name, h.Rrtype}] = append(sets[set{h.Name, h.Rrtype}], rr)
		}
	}
	record, private := rootKey()
	var list []dns.RR
	for _, rrs := range sets {
		sig := &dns.RRSIG{
			Hdr:       dns.RR_Header{Ttl: rrs[0].Header().Ttl},
			Algorithm: record.Algorithm, KeyTag: record.KeyTag(), SignerName: ".",
			Inception: uint32(time.Now().Add(-time.Hour).Unix()), Expiration: uint32(time.Now().Add(ends).Unix()),
		}
		if err := sig.Sign(private, rrs); err != nil {
			panic(err)
		}
		list = append(list, sig)
	}
	return list
}

// digest is RFC 8976 section 3.3 over records that are in lower case and have no ZONEMD among them.
func digest(records []dns.RR) string {
	var lines []string // owner, type, RDATA: what is sorted; then the record
	for _, rr := range records {
		buf := make([]byte, 4096)
		end, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			panic(err)
		}
		owner, _, _ := dns.UnpackDomainName(buf, 0)
		at := len(dns.Fqdn(owner)) + 1
		if owner == "." {
			at = 1
		}
		order := canonical(owner) + "\x00\x00" + string(buf[at:at+2]) + string(buf[at+10:end])
		lines = append(lines, string(binary.BigEndian.AppendUint16(nil, uint16(len(order))))+order+string(buf[:end]))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	h := sha512.New384()
	for _, line := range lines {
		h.Write([]byte(line[2+int(line[0])<<8+int(line[1]):]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// without returns the root without the records that drop names.
func (s *signedRoot) without(drop func(dns.RR) bool) *signedRoot {
	return &signedRoot{slices.DeleteFunc(slices.Clone(s.records), drop)}
}

// An anchor is the root key, trusted.
type anchor struct{}

func (anchor) At(zone wire.Name) bool { return zone.IsRoot() }

func (anchor) Trusts(_ wire.Name, k *dnssec.Key) bool {
	record, _ := rootKey()
	return bytes.Equal(k.RDATA, rdata(record))
}

func rdata(rr dns.RR) []byte {
	buf := make([]byte, dns.Len(rr)+300)
	end, err := dns.PackRR(dns.Copy(rr), buf, 0, nil, false) // which it writes to
	if err != nil {
		panic(err)
	}
	name, err := wire.NameFromWire(buf)
	if err != nil {
		panic(err)
	}
	return buf[name.Len()+10 : end]
}

func verify(ctx context.Context, now time.Time, sets []wire.RRset) (time.Time, error) {
	return dnssec.VerifyZone(ctx, now, work.New(work.DefaultLimits), dnssec.Options{Anchors: anchor{}}, wire.Root, sets)
}

// A primary serves the root over TCP in memory, in its own way.
type primary struct {
	mu    sync.Mutex
	zone  *signedRoot
	way   way
	asked []uint16 // types
}

// A way is how a primary answers a request for a transfer.
type way uint8

const (
	honest way = iota
	refusing
	cutting // closes the connection in the middle
	endless
	silent
	unreachable
	misnumbering // another ID
	changing     // the SOA record at the end is another one
	trailing     // something comes after the end
	headless     // does not begin with the SOA record
	bulky        // large records without end
	boasting     // gives a serial that the zone does not have
)

func (p *primary) set(zone *signedRoot, w way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone, p.way = zone, w
}

// seen returns how often a type was asked for.
func (p *primary) seen(t uint16) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for _, asked := range p.asked {
		if asked == t {
			count++
		}
	}
	return count
}

func (p *primary) serve(conn net.Conn) {
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	for {
		q, err := c.ReadMsg()
		if err != nil {
			return
		}
		p.mu.Lock()
		zone, w := p.zone, p.way
		p.asked = append(p.asked, q.Question[0].Qtype)
		p.mu.Unlock()
		if w == silent {
			continue
		}
		for m := range replies(q, zone, w) {
			if c.WriteMsg(m) != nil {
				return
			}
		}
		if w == cutting {
			return
		}
	}
}

// replies yields the messages of a reply, ten records in each.
func replies(q *dns.Msg, zone *signedRoot, w way) func(func(*dns.Msg) bool) {
	message := func(records ...dns.RR) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative, m.Compress = true, true
		for _, rr := range records { // primaries share them, and packing writes to them
			m.Answer = append(m.Answer, dns.Copy(rr))
		}
		if w == misnumbering {
			m.Id++
		}
		return m
	}
	soa := zone.records[0]
	return func(yield func(*dns.Msg) bool) {
		switch {
		case w == refusing:
			m := message()
			m.Rcode = dns.RcodeRefused
			yield(m)
			return
		case q.Question[0].Qtype == dns.TypeSOA && w == boasting:
			newer := dns.Copy(soa).(*dns.SOA)
			newer.Serial += 10
			yield(message(newer))
			return
		case q.Question[0].Qtype == dns.TypeSOA:
			yield(message(soa))
			return
		case w == headless:
			yield(message(zone.records[1:]...))
			return
		}
		last := soa
		if w == changing {
			last = dns.Copy(soa)
			last.(*dns.SOA).Serial++
		}
		for part := range slices.Chunk(zone.records, 10) {
			if !yield(message(part...)) || w == cutting {
				return
			}
		}
		for w == bulky {
			text := make([]string, 200)
			for i := range text {
				text[i] = strings.Repeat("x", 255)
			}
			if !yield(message(&dns.TXT{Hdr: dns.RR_Header{Name: "invalid.", Rrtype: dns.TypeTXT, Class: 1}, Txt: text})) {
				return
			}
		}
		for w == endless {
			if !yield(message(zone.records[1:]...)) {
				return
			}
		}
		if w == trailing {
			yield(message(last, zone.records[1]))
			return
		}
		yield(message(last))
	}
}

// A network leads to primaries.
type network map[string]*primary

func (n network) DialContext(_ context.Context, kind, address string) (net.Conn, error) {
	p := n[address]
	if kind != "tcp" || p == nil {
		return nil, errors.New("no such place")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.way == unreachable {
		return nil, errors.New("no way there")
	}
	here, there := net.Pipe()
	go p.serve(there)
	return here, nil
}

// A stage is a Root and the primaries that it knows.
type stage struct {
	*testing.T
	root      *Root
	primaries []*primary
	skew      time.Duration // of the clock that Root is given
}

// onStage runs a script with as many primaries as there are ways, each with the same root.
func onStage(t *testing.T, v version, script func(s *stage), ways ...way) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t}
		zone, net := makeRoot(v), network{}
		var servers []netip.AddrPort
		for i, w := range ways {
			p := &primary{zone: zone, way: w}
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 53)
			s.primaries, servers, net[a.String()] = append(s.primaries, p), append(servers, a), p
		}
		s.root = NewRoot(RootOptions{Network: net, Servers: servers, Verify: verify, Now: func() time.Time { return time.Now().Add(s.skew) }})
		defer s.root.Close()
		synctest.Wait()
		script(s)
	})
}

// pass lets time go by and what begins then come to its end.
func (s *stage) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *stage) copied() *Copy { return s.root.Current(time.Now().Add(s.skew)) }

// checkCopy compares the serial of the copy in use; 0: none.
func (s *stage) checkCopy(serial uint32) {
	s.Helper()
	var got uint32
	if c := s.copied(); c != nil {
		got = c.Serial()
	}
	if got != serial {
		s.Errorf("serial %d in use, want %d; %+v", got, serial, s.root.Stats())
	}
}

// assembled returns an assembly of records.
func assembled(t testing.TB, records []dns.RR) *assembly {
	t.Helper()
	a := new(assembly)
	for _, rr := range records {
		h := rr.Header()
		if err := a.add(&record{wire.MustName(h.Name), wire.Type(h.Rrtype), h.Ttl, rdata(rr)}); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// transferred returns a copy without a Root.
func transferred(t testing.TB, zone *signedRoot) *Copy {
	t.Helper()
	c, err := assembled(t, zone.records).finish()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
