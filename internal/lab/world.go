package lab

import (
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// newWorld builds the lab's internet. Each zone is there for one thing that it shows; see lessons.
func newWorld(port uint16) *testnet.World {
	w := testnet.New(testnet.Options{
		Port: port, TLDs: []string{"com.", "org.", "example."}, Addresses: loopback, Latency: 8 * time.Millisecond,
	})
	w.Zone("example.com.", `
		www      IN A     192.0.2.80
		www      IN AAAA  2001:db8::80
		shop     IN CNAME www.store.example.
		@        IN MX    10 mail
		mail     IN A     192.0.2.25`)
	w.Zone("example.org.", `
		www      IN A     198.51.100.80
		library  IN A     198.51.100.81`)
	w.Zone("store.example.", `
		www      IN A     203.0.113.80`)
	w.ZoneAt("moved.example.", `
		@        IN DNAME example.org.`, w.At("example.org."))
	w.Zone("wild.example.", `
		*        IN TXT   "whatever you ask for"
		tame     IN TXT   "only this"`)
	w.Zone("half.example.", `
		www      IN A     203.0.113.5`)
	w.NameServer("half.example.", testnet.Failing(dns.RcodeRefused))
	w.Zone("big.example.", bigText())
	w.Zone("broken.example.", ``, testnet.Failing(dns.RcodeRefused))
	w.NameServer("broken.example.", testnet.Failing(dns.RcodeServerFailure))
	w.Zone("deep.example.", `
		www      IN A     203.0.113.6`)
	w.Zone("cellar.deep.example.", `
		a.b.c    IN A     203.0.113.7`)
	w.Zone("hosting.example.", ``)
	w.ZoneAt("glueless.example.", `
		www      IN A     203.0.113.8`, w.Server("ns.hosting.example."))
	w.Zone("slow.example.", `
		www      IN A     203.0.113.9`, testnet.Slow(300*time.Millisecond))
	w.Sign(testnet.Signing{Split: true}, ".", "com.", "org.")
	w.Sign(testnet.Signing{Denial: testnet.NSEC3, OptOut: true}, "example.")
	w.Sign(testnet.Signing{}, "example.com.", "example.org.", "moved.example.", "wild.example.")
	breakZones(w)
	return w
}

// breakZones adds signed zones that are broken, one way each. They share a server, which does not mind.
func breakZones(w *testnet.World) {
	for origin, flaw := range map[string]testnet.Flaw{
		"expired.example.":  testnet.Expired(),
		"early.example.":    testnet.NotYetValid(),
		"stranger.example.": testnet.WrongKey(),
		"altered.example.":  testnet.AlteredRDATA().At("www.altered.example.", dns.TypeA),
		"bare.example.":     testnet.MissingRRSIG().At("www.bare.example.", dns.TypeA),
		"unproven.example.": testnet.MissingNSEC(),
		"replaced.example.": testnet.DSMismatch(),
		"short.example.":    testnet.LabelsTooSmall().At("www.short.example.", dns.TypeA),
		"outside.example.":  testnet.NextNameOutside(),
		"replayed.example.": testnet.WildcardReplayed(),
	} {
		w.ZoneAt(origin, "www IN A 192.0.2.66\n* IN A 192.0.2.67", w.At("wild.example."))
		w.Sign(testnet.Signing{Split: true, Flaws: []testnet.Flaw{flaw}}, origin)
	}
	w.ZoneAt("costly.example.", "www IN A 192.0.2.66", w.At("wild.example."))
	w.Sign(testnet.Signing{Denial: testnet.NSEC3, Iterations: 2500}, "costly.example.")
}

// bigText is a TXT RRset of 4 kB.
func bigText() string {
	var b strings.Builder
	for _, letter := range "abcdefghijklmnopqrst" {
		b.WriteString("@ IN TXT \"" + strings.Repeat(string(letter), 200) + "\"\n")
	}
	return b.String()
}

// loopback gives the root 127.53.0.1, the TLDs 127.53.0.2 and up, and all others what follows.
func loopback(n int) (v4, v6 netip.Addr) {
	return netip.AddrFrom4([4]byte{127, 53, 0, byte(n + 1)}), netip.Addr{}
}
