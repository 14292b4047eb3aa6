package zone

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Keys of the tests. The second one exists and is given nothing.
var (
	secondaryKey = mustKey("secondary.test.", "hmac-sha256", "one secret that is long enough.")
	updaterKey   = mustKey("updater.test.", "hmac-sha512", "another secret that is long enough")
	strangerKey  = mustKey("stranger.test.", "hmac-sha384", "a third secret that is long enough")
	forgedKey    = mustKey("secondary.test.", "hmac-sha256", "not the secret that is known here")
)

func mustKey(name, algorithm, secret string) *SharedKey {
	k, err := NewSharedKey(wire.MustName(name), algorithm, []byte(base64.StdEncoding.EncodeToString([]byte(secret))+"\n"))
	if err != nil {
		panic(err)
	}
	return k
}

// A keeping is a Keeper over files of a test.
type keeping struct {
	testing.TB
	*Keeper
	store     *Store
	directory string
	now       time.Time
}

// keep serves zones, given by name.
func keep(t testing.TB, zones map[string]string, change ...func(*KeeperOptions)) *keeping {
	k := &keeping{TB: t, directory: t.TempDir(), now: someDay}
	for name, text := range zones {
		k.write(name, text)
	}
	options := edgedOnly
	options.Keys = NewKeys(t.TempDir())
	k.store = Open(&StoreOptions{
		Options: options, Directory: k.directory, Now: func() time.Time { return k.now },
		Changed: func() { k.Changed() },
	}, nil)
	o := KeeperOptions{
		Zones: k.store, Keys: []*SharedKey{secondaryKey, updaterKey, strangerKey},
		Secondaries: []Secondary{{Key: secondaryKey.Name(), Zones: []wire.Name{wire.Root}}},
	}
	for _, c := range change {
		c(&o)
	}
	k.Keeper = NewKeeper(&o, nil)
	k.Start(context.Background())
	t.Cleanup(k.Close)
	return k
}

// edgedOnly leads to the edge, and leaves SOA and NS to the files.
var edgedOnly = Options{Edge: edged.Edge}

// write puts a zone file into its place, as an editor does.
func (k *keeping) write(name, text string) {
	k.Helper()
	path := filepath.Join(k.directory, strings.TrimSuffix(name, ".")+zoneSuffix)
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		k.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		k.Fatal(err)
	}
	if k.store != nil {
		k.store.Look()
	}
}

// A peer speaks with a Keeper.
type peer struct {
	key      *SharedKey // nil: it does not sign
	datagram bool
	skew     time.Duration
	octets   []byte // all that it was sent
}

// ask sends a message, and returns the reply, whose signatures it has verified.
func (p *peer) ask(k *keeping, m *dns.Msg) []*dns.Msg {
	k.Helper()
	packed, mac := p.pack(k, m)
	var reply []*dns.Msg
	k.Hear(context.Background(), Request{Octets: packed, Stream: !p.datagram}, func(octets []byte) error {
		p.octets = append(p.octets, octets...)
		got := new(dns.Msg)
		if err := got.Unpack(octets); err != nil {
			k.Fatalf("reply does not parse: %v", err)
		}
		if p.key != nil && got.Rcode != dns.RcodeNotAuth {
			next := got.IsTsig()
			if next == nil {
				k.Fatalf("message %d of the reply is not signed: %v", len(reply)+1, got)
			}
			if err := dns.TsigVerifyWithProvider(slices.Clone(octets), keyring{p.key.name: p.key}, mac, len(reply) > 0); err != nil {
				k.Fatalf("message %d of the reply: %v", len(reply)+1, err)
			}
			mac = next.MAC
		}
		reply = append(reply, got)
		return nil
	})
	return reply
}

func (p *peer) pack(k *keeping, m *dns.Msg) (packed []byte, mac string) {
	k.Helper()
	if p.key == nil {
		packed, err := m.Pack()
		if err != nil {
			k.Fatal(err)
		}
		return packed, ""
	}
	m.SetTsig(p.key.name.Reveal(), p.key.algorithm, fudge, time.Now().Add(p.skew).Unix())
	packed, mac, err := dns.TsigGenerateWithProvider(m, keyring{p.key.name: p.key}, "", false)
	if err != nil {
		k.Fatal(err)
	}
	return packed, mac
}

func axfr(zone string) *dns.Msg { return new(dns.Msg).SetAxfr(zone) }

func ixfr(zone string, serial uint32) *dns.Msg {
	m := new(dns.Msg).SetIxfr(zone, serial, ".", ".")
	m.Id = dns.Id()
	return m
}

// brief is a transfer in lines: owner, type, TTL and RDATA, of SOA records the serial only.
func brief(reply []*dns.Msg) string {
	var lines []string
	for _, m := range reply {
		for _, rr := range m.Answer {
			f := strings.Fields(rr.String())
			line := strings.Join(slices.Concat(f[:1], f[3:4], f[1:2], f[4:]), " ")
			if soa, ok := rr.(*dns.SOA); ok {
				line = fmt.Sprint("SOA ", soa.Serial)
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func expectText(t testing.TB, got, want string) {
	t.Helper()
	if got, want = strings.TrimSpace(got), strings.TrimSpace(want); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

const soa7 = "@ 3600 SOA ns.example.com. x. 7 10000 2400 604800 1800\n@ 3600 NS ns.example.com.\n"

func soaAt(serial int) string {
	return strings.Replace(soa7, "x. 7 ", fmt.Sprintf("x. %d ", serial), 1)
}

// Deny by default: who may do what is said by keys alone (RFC 8945 section 5.2, RFC 5936 section 5).
func TestNobodyTransfersWithoutAKey(t *testing.T) {
	zones := map[string]string{"example.com.": soa7 + "a A 198.51.100.1\n", "broken.test.": "a A 198.51.100\n", "signed.test.": "; tacit: signed\na A 198.51.100.1\n"}
	only := func(o *KeeperOptions) {
		o.Secondaries[0].Zones = []wire.Name{wire.MustName("test."), wire.MustName("example.com.")}
	}
	k := keep(t, zones, only)
	narrow := keep(t, zones, func(o *KeeperOptions) { o.Secondaries[0].Zones = []wire.Name{wire.MustName("other.test.")} })
	for _, c := range []struct {
		name  string
		to    *keeping
		peer  peer
		ask   *dns.Msg
		rcode int
		tsig  int // its error; -1: no TSIG record
	}{
		{"the right key", k, peer{key: secondaryKey}, axfr("example.com."), dns.RcodeSuccess, 0},
		{"no key", k, peer{}, axfr("example.com."), dns.RcodeRefused, -1},
		{"no key, IXFR", k, peer{}, ixfr("example.com.", 6), dns.RcodeRefused, -1},
		{"no key, a zone that is not there", k, peer{}, axfr("absent.test."), dns.RcodeRefused, -1},
		{"a key that is not known", k, peer{key: mustKey("x.test.", "hmac-sha256", "0123456789abcdef")}, axfr("example.com."), dns.RcodeNotAuth, dns.RcodeBadKey},
		{"a key of another algorithm", k, peer{key: mustKey("secondary.test.", "hmac-sha512", "0123456789abcdef")}, axfr("example.com."), dns.RcodeNotAuth, dns.RcodeBadKey},
		{"another secret", k, peer{key: forgedKey}, axfr("example.com."), dns.RcodeNotAuth, dns.RcodeBadSig},
		{"a clock that is slow", k, peer{key: secondaryKey, skew: -time.Hour}, axfr("example.com."), dns.RcodeNotAuth, dns.RcodeBadTime},
		{"a clock that is fast", k, peer{key: secondaryKey, skew: time.Hour}, axfr("example.com."), dns.RcodeNotAuth, dns.RcodeBadTime},
		{"a key without rights", k, peer{key: strangerKey}, axfr("example.com."), dns.RcodeRefused, 0},
		{"a key with rights elsewhere", narrow, peer{key: secondaryKey}, axfr("example.com."), dns.RcodeRefused, 0},
		{"a zone that is not there", k, peer{key: secondaryKey}, axfr("absent.test."), dns.RcodeNotAuth, 0},
		{"a name in a zone", k, peer{key: secondaryKey}, axfr("a.example.com."), dns.RcodeNotAuth, 0},
		{"a zone that cannot be read", k, peer{key: secondaryKey}, axfr("broken.test."), dns.RcodeServerFailure, 0},
		{"a zone that is signed", k, peer{key: secondaryKey}, axfr("signed.test."), dns.RcodeRefused, 0},
		{"AXFR over UDP", k, peer{key: secondaryKey, datagram: true}, axfr("example.com."), dns.RcodeRefused, 0},
		{"IXFR that does not say since when", k, peer{key: secondaryKey}, new(dns.Msg).SetQuestion("example.com.", dns.TypeIXFR), dns.RcodeFormatError, 0},
		{"NOTIFY", k, peer{key: secondaryKey}, new(dns.Msg).SetNotify("example.com."), dns.RcodeNotAuth, 0},
		{"two questions", k, peer{}, twice(axfr("example.com.")), dns.RcodeFormatError, -1},
		{"another class", k, peer{key: secondaryKey}, chaos(axfr("example.com.")), dns.RcodeNotAuth, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := c.peer.ask(c.to, c.ask)
			if len(reply) != 1 || reply[0].Rcode != c.rcode || reply[0].Id != c.ask.Id || !reply[0].Response {
				t.Fatalf("got %v", reply)
			}
			if c.rcode != dns.RcodeSuccess && len(reply[0].Answer)+len(reply[0].Ns) > 0 {
				t.Errorf("it says something: %v", reply[0])
			}
			sig := reply[0].IsTsig()
			switch {
			case sig == nil && c.tsig < 0:
			case sig == nil || int(sig.Error) != c.tsig:
				t.Errorf("TSIG %v, want the error %d", sig, c.tsig)
			case (c.tsig == dns.RcodeBadKey || c.tsig == dns.RcodeBadSig) && sig.MACSize > 0:
				t.Error("signed for somebody that is not known")
			case c.tsig == dns.RcodeBadTime && (sig.MACSize == 0 || sig.OtherLen != timeLength):
				t.Errorf("the server's time is not said, or not signed: %v", sig)
			}
		})
	}
}

func twice(m *dns.Msg) *dns.Msg {
	m.Question = append(m.Question, m.Question[0])
	return m
}

func chaos(m *dns.Msg) *dns.Msg {
	m.Question[0].Qclass = dns.ClassCHAOS
	return m
}

// RFC 8945 section 5.1: a TSIG record that is not the last one makes the message malformed; and so does what cannot be read.
func TestMalformedMessages(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7})
	p := peer{key: secondaryKey}
	stray, _ := p.pack(k, axfr("example.com."))
	stray = append(stray, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0) // an OPT record
	stray[11]++
	for name, octets := range map[string][]byte{
		"a record behind the TSIG record": stray,
		"a question without an end":       axfrOctets(t)[:20],
		"a header and counts":             append([]byte{1, 2, 0x28, 0}, bytes.Repeat([]byte{0xff}, 8)...),
	} {
		var reply []byte
		k.Hear(context.Background(), Request{Octets: slices.Clone(octets), Stream: true}, func(r []byte) error {
			reply = slices.Clone(r)
			return nil
		})
		if len(reply) < 12 || reply[0] != octets[0] || reply[1] != octets[1] || reply[2]&0x80 == 0 || reply[3]&0xf != dns.RcodeFormatError {
			t.Errorf("%s: %x", name, reply)
		}
	}
	k.Hear(context.Background(), Request{Octets: []byte{1, 2, 3}}, func([]byte) error {
		t.Error("an answer to no header")
		return nil
	})
}

func axfrOctets(t *testing.T) []byte {
	t.Helper()
	packed, err := axfr("example.com.").Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// RFC 5936 section 2.2: all records, the SOA record first and last. What is given is what is answered.
func TestTransferIsWhatIsAnswered(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7 + `
@       300 CNAME www.example.net. ; flattened, beside other types
blog    300 A     192.0.2.1   ; cf_tags=cf-proxied:true
hidden  300 CNAME origin.test. ; cf_tags=cf-proxied:true
shop    300 A     198.51.100.2
www     200 CNAME shop
deep    300 CNAME www
alias   300 CNAME blog
out     300 CNAME www.example.net.
flat    300 CNAME www.example.net. ; cf_tags=cf-flatten-cname
wide    300 CNAME www.example.net. ; cf_tags=cf-flatten-cname
wide    300 TXT   "beside"
*.w     300 CNAME shop
empty   300 CNAME nothing
sub     300 NS    ns.sub
sub     300 DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub  300 A     198.51.100.9
ns.sub  300 TXT   "below the cut"
x.sub   300 A     192.0.2.2 ; cf_tags=cf-proxied:true
`})
	p := peer{key: secondaryKey}
	expectText(t, brief(p.ask(k, axfr("example.com."))), `
SOA 7
example.com. NS 3600 ns.example.com.
alias.example.com. A 300 203.0.113.10
alias.example.com. AAAA 300 2001:db8::10
blog.example.com. A 300 203.0.113.10
blog.example.com. AAAA 300 2001:db8::10
blog.example.com. HTTPS 300 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"
deep.example.com. A 200 198.51.100.2
flat.example.com. CNAME 300 www.example.net.
hidden.example.com. A 300 203.0.113.10
hidden.example.com. AAAA 300 2001:db8::10
hidden.example.com. HTTPS 300 1 . alpn="h3,h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"
out.example.com. CNAME 300 www.example.net.
shop.example.com. A 300 198.51.100.2
sub.example.com. NS 300 ns.sub.example.com.
sub.example.com. DS 300 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub.example.com. A 300 198.51.100.9
*.w.example.com. A 300 198.51.100.2
wide.example.com. TXT 300 "beside"
www.example.com. A 200 198.51.100.2
SOA 7`)
	for what, hidden := range map[string][]byte{
		"the origin": {192, 0, 2, 1}, "an origin below a cut": {192, 0, 2, 2}, "a proxied target": []byte("\x06origin\x04test"),
	} {
		if bytes.Contains(p.octets, hidden) {
			t.Errorf("%s is in the transfer", what)
		}
	}
	if !bytes.Contains(p.octets, []byte{198, 51, 100, 2}) {
		t.Error("the search is blind")
	}
}

// RFC 8945 section 5.3.1: each message of a long transfer is signed, over the one before; RFC 5936 section 2.2.1: the question is in
// the first.
func TestLongTransfer(t *testing.T) {
	var text strings.Builder
	text.WriteString(soa7)
	const records = 5000
	for i := range records {
		fmt.Fprintf(&text, "n%d 300 TXT \"%s\"\n", i, strings.Repeat("x", i%200))
	}
	k := keep(t, map[string]string{"example.com.": text.String()})
	p := peer{key: secondaryKey}
	m := axfr("example.com.")
	m.SetEdns0(4096, false)
	reply := p.ask(k, m)
	count := 0
	for i, m := range reply {
		count += len(m.Answer)
		if (len(m.Question) == 1) != (i == 0) || m.IsEdns0() == nil || !m.Authoritative {
			t.Errorf("message %d: %v", i, m.MsgHdr)
		}
	}
	if want := records + 1 + 2; count != want || len(reply) < 20 {
		t.Errorf("%d records in %d messages, want %d", count, len(reply), want)
	}
}

// A secondary that has gone is not sent the rest, and neither is one that takes too long.
func TestTransferEndsWhenNobodyListens(t *testing.T) {
	var text strings.Builder
	text.WriteString(soa7)
	for i := range 5000 {
		fmt.Fprintf(&text, "n%d TXT \"x\"\n", i)
	}
	k := keep(t, map[string]string{"example.com.": text.String()})
	p := peer{key: secondaryKey}
	for name, end := range map[string]func(cancel func()) error{
		"it is gone":       func(func()) error { return os.ErrClosed },
		"its time is over": func(cancel func()) error { cancel(); return nil },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		packed, _ := p.pack(k, axfr("example.com."))
		sent := 0
		k.Hear(ctx, Request{Octets: packed, Stream: true}, func([]byte) error {
			sent++
			return end(cancel)
		})
		if cancel(); sent != 1 {
			t.Errorf("%s: %d messages sent", name, sent)
		}
	}
}

// RFC 1995 sections 2 to 4.
func TestIncrementalTransfer(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7 + "a 300 A 198.51.100.1\na 300 A 198.51.100.2\nb 300 A 198.51.100.3\n"})
	k.write("example.com.", soaAt(8)+"a 300 A 198.51.100.1\na 300 A 198.51.100.4\nb 300 A 198.51.100.3\nc 300 CNAME a\n")
	k.write("example.com.", soaAt(20)+"a 300 A 198.51.100.1\na 300 A 198.51.100.4\nb 60 A 198.51.100.3\n")
	whole := "SOA 20\nexample.com. NS 3600 ns.example.com.\na.example.com. A 300 198.51.100.1\na.example.com. A 300 198.51.100.4\n" +
		"b.example.com. A 60 198.51.100.3\nSOA 20"
	last := "SOA 8\nb.example.com. A 300 198.51.100.3\nc.example.com. A 300 198.51.100.1\nc.example.com. A 300 198.51.100.4\n" +
		"SOA 20\nb.example.com. A 60 198.51.100.3\n"
	for _, c := range []struct {
		name  string
		since uint32
		peer  peer
		want  string
	}{
		{"from the version before", 8, peer{}, "SOA 20\n" + last + "SOA 20"},
		{"from the one before that", 7, peer{}, "SOA 20\nSOA 7\na.example.com. A 300 198.51.100.2\nSOA 8\n" +
			"a.example.com. A 300 198.51.100.4\nc.example.com. A 300 198.51.100.1\nc.example.com. A 300 198.51.100.4\n" + last + "SOA 20"},
		{"nothing is new", 20, peer{}, "SOA 20"},
		{"it knows a later version", 21, peer{}, "SOA 20"},
		{"a version that is not known", 9, peer{}, whole},
		{"a version before all that are known", 1, peer{}, whole},
		{"over UDP", 8, peer{datagram: true}, "SOA 20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.peer.key = secondaryKey
			expectText(t, brief(c.peer.ask(k, ixfr("example.com.", c.since))), c.want)
		})
	}
}

// A change of the edge is a change of each name that is proxied, and of what is flattened to one.
func TestIncrementalTransferOfAProxiedZone(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7 + "a 300 A 192.0.2.1 ; cf_tags=cf-proxied:true,tacit-ipv4-only\nb 300 CNAME a\n"})
	k.write("example.com.", soaAt(8)+"a 300 A 192.0.2.1\nb 300 CNAME a\n")
	k.write("example.com.", soaAt(9)+"a 300 A 192.0.2.9 ; cf_tags=cf-proxied:true,tacit-ipv4-only\nb 300 CNAME a\n")
	p := peer{key: secondaryKey}
	got := brief(p.ask(k, ixfr("example.com.", 8)))
	expectText(t, strings.ReplaceAll(got, " alpn=\"h3,h2\" ipv4hint=\"203.0.113.10\"", ""), `
SOA 9
SOA 8
a.example.com. A 300 192.0.2.1
b.example.com. A 300 192.0.2.1
SOA 9
a.example.com. A 300 203.0.113.10
a.example.com. HTTPS 300 1 .
b.example.com. A 300 203.0.113.10
SOA 9`)
	if bytes.Contains(p.octets, []byte{192, 0, 2, 9}) {
		t.Error("the origin is in the transfer")
	}
}

// The journal has a bound; what does not fit is transferred as a whole.
func TestJournalIsBounded(t *testing.T) {
	large := func(of string, count int) *Zone {
		text := soa7
		for i := range count {
			text += fmt.Sprintf("n%d 300 TXT \"%s\"\n", i, strings.Repeat(of, 200))
		}
		return built(t, "example.com.", text, edgedOnly)
	}
	origin := wire.MustName("example.com.")
	pair := [2]*Zone{large("a", 1500), large("b", 1500)}
	var j journal
	for i := range 40 {
		before, after := *pair[i%2], *pair[(i+1)%2]
		before.serial, after.serial = uint32(i), uint32(i+1)
		j.note(&before, &after)
	}
	size := 0
	for _, d := range j.list {
		size += d.size
	}
	if size != j.size || size > maxJournal || size < maxJournal/2 {
		t.Errorf("the journal has %d octets, and says %d", size, j.size)
	}
	if j.since(origin, 39, 40) == nil || j.since(origin, 0, 40) != nil {
		t.Error("the newest is gone, or the oldest is not")
	}
	before, after := *pair[0], *large("c", 6000)
	before.serial, after.serial = 40, 41
	j.note(&before, &after)
	if len(j.list) != 0 || j.size != 0 {
		t.Error("a difference above the bound is kept, or those before it, which lead nowhere")
	}
}

// What has changed while the configuration was read again is known, too.
func TestKeeperTakesUpWhatTheLastOneKnew(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7})
	k.write("example.com.", soaAt(8)+"a 300 A 198.51.100.1\n")
	options := k.options
	options.Zones = Open(&k.store.options, k.store)
	k.Keeper = NewKeeper(&options, k.Keeper)
	k.store = options.Zones
	k.write("example.com.", soaAt(9))
	p := peer{key: secondaryKey}
	expectText(t, brief(p.ask(k, ixfr("example.com.", 7))), "SOA 9\nSOA 7\nSOA 8\na.example.com. A 300 198.51.100.1\n"+
		"SOA 8\na.example.com. A 300 198.51.100.1\nSOA 9\nSOA 9")
}

// Those who keep copies and those who change zones ask for the SOA record before they do.
func TestSignedQuestionsForTheSOARecord(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7 + "a.b 300 A 198.51.100.1\nc 300 CNAME a.b\nsub NS ns.test.\n"})
	p := peer{key: strangerKey, datagram: true}
	for question, want := range map[string]string{
		"example.com.":         "NOERROR aa answer 1 authority 0",
		"a.b.example.com.":     "NOERROR aa answer 0 authority 1",
		"b.example.com.":       "NOERROR aa answer 0 authority 1",
		"no.example.com.":      "NXDOMAIN aa answer 0 authority 1",
		"c.example.com.":       "NOERROR aa answer 0 authority 1",
		"x.sub.example.com.":   "NOERROR answer 0 authority 1",
		"www.elsewhere.test.":  "REFUSED answer 0 authority 0",
		"_acme.a.example.com.": "NXDOMAIN aa answer 0 authority 1",
	} {
		m := p.ask(k, new(dns.Msg).SetQuestion(question, dns.TypeSOA))[0]
		aa := ""
		if m.Authoritative {
			aa = " aa"
		}
		if got := fmt.Sprintf("%s%s answer %d authority %d", dns.RcodeToString[m.Rcode], aa, len(m.Answer), len(m.Ns)); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

func TestSharedKeyPrintsNoSecret(t *testing.T) {
	octets := []byte("a secret that nobody shall see..")
	text := base64.StdEncoding.EncodeToString(octets)
	key, err := NewSharedKey(wire.MustName("k.test."), "hmac-sha256", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{key, *key, []*SharedKey{key}, []SharedKey{*key}, keyring{key.name: key}, KeeperOptions{Keys: []*SharedKey{key}}} {
			got := fmt.Sprintf(verb, v)
			for _, secret := range []string{text, string(octets), fmt.Sprintf("%x", octets), fmt.Sprintf("%X", octets), fmt.Sprintf("%d", octets)[1:20]} {
				if strings.Contains(got, secret) {
					t.Errorf("%s of %T prints the secret", verb, v)
				}
			}
		}
	}
	if f, ok := reflect.TypeFor[SharedKey]().FieldByName("mac"); !ok || f.Type.Kind() != reflect.Func {
		t.Error("the secret is in something else than a closure")
	}
}

func TestKeysThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ algorithm, secret string }{
		"HMAC-MD5":       {"hmac-md5", "MDEyMzQ1Njc4OWFiY2RlZg=="},
		"HMAC-SHA1":      {"hmac-sha1", "MDEyMzQ1Njc4OWFiY2RlZg=="},
		"not base64":     {"hmac-sha256", "!!!"},
		"nothing":        {"hmac-sha256", ""},
		"easily guessed": {"hmac-sha256", "MTIz"},
	} {
		if _, err := NewSharedKey(wire.MustName("k.test."), c.algorithm, []byte(c.secret)); err == nil {
			t.Errorf("%s is a key", name)
		}
	}
}

var loopbackSecondary = netip.MustParseAddrPort("192.0.2.53:53")
