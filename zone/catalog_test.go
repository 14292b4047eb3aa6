package zone

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

const catalogName = "catalog.test."

// atStart is the serial of a catalog that was made on someDay.
var atStart = someDay.Unix() + 1

// Labels of members: half of the SHA-256 of the name in wire form, found by sha256sum.
const (
	labelCom = "902e9c464fa43fcab109d1a6b95ddf83"
	labelNet = "5aaf3ac400ef27d36b68cca88a18f7bc"
	labelSub = "a60c24e2cc44a28d7cff7bc61d58960b"
)

func ptr(label, zone string) string {
	return fmt.Sprintf("%s.zones.%s PTR 0 %s\n", label, catalogName, zone)
}

// withCatalog gives the secondary of a test a catalog.
func withCatalog(o *KeeperOptions) { o.Secondaries[0].Catalog = wire.MustName(catalogName) }

// listing is what a catalog says in a transfer.
func listing(serial int64, members ...string) string {
	soa := fmt.Sprintf("SOA %d\n", serial)
	return soa + catalogName + " NS 0 invalid.\nversion." + catalogName + " TXT 0 \"2\"\n" + strings.Join(members, "") + soa
}

func (k *keeping) remove(name string) {
	k.Helper()
	if err := os.Remove(filepath.Join(k.directory, strings.TrimSuffix(name, ".")+zoneSuffix)); err != nil {
		k.Fatal(err)
	}
	k.store.Look()
}

// transfer returns what a catalog says to its secondary.
func (k *keeping) transfer() string {
	k.Helper()
	p := peer{key: secondaryKey}
	return brief(p.ask(k, axfr(catalogName)))
}

// RFC 9432 sections 4.1 to 4.3: a catalog has a SOA record, the NS record invalid., its version, and a PTR record for each member.
func TestCatalog(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7, "example.net.": soa7, "sub.example.com.": soa7}, withCatalog)
	expectText(t, k.transfer(), listing(atStart, ptr(labelNet, "example.net."), ptr(labelCom, "example.com."), ptr(labelSub, "sub.example.com.")))
	p := peer{key: secondaryKey}
	soa := p.ask(k, new(dns.Msg).SetQuestion(catalogName, dns.TypeSOA))[0]
	want := fmt.Sprintf("%s\t0\tIN\tSOA\tinvalid. invalid. %d 3600 600 2147483647 0", catalogName, atStart)
	if !soa.Authoritative || len(soa.Answer) != 1 || soa.Answer[0].String() != want {
		t.Errorf("got %v, want %s", soa, want)
	}
}

// Whom a member's transfer would be refused gets no such member. One that is bad now stays: a slip of the pen must not cost the copies.
func TestCatalogHasWhatCanBeTransferred(t *testing.T) {
	zones := map[string]string{
		"example.com.": soa7, "sub.example.com.": soa7, "example.net.": soa7, "paused.test.": "; tacit: paused\n" + soa7,
		"broken.example.com.": "a A 198.51.100\n", "signed.example.com.": "; tacit: signed\na A 198.51.100.1\n",
		"initial.example.com.": "; tacit: status=initializing\n" + soa7, catalogName: soa7,
	}
	k := keep(t, zones, func(o *KeeperOptions) {
		withCatalog(o)
		o.Secondaries[0].Zones = []wire.Name{wire.MustName("example.com."), wire.MustName("catalog.test.")}
		o.Secondaries = append(o.Secondaries, Secondary{
			Key: updaterKey.Name(), Zones: []wire.Name{wire.MustName("example.net.")}, Catalog: wire.MustName("other.test."),
		})
	})
	broken := wire.MustName("broken.example.com.")
	bad := ptr(memberLabel(broken), broken.Reveal())
	expectText(t, k.transfer(), listing(atStart, ptr(labelCom, "example.com."), bad, ptr(labelSub, "sub.example.com.")))
	p := peer{key: updaterKey}
	got := strings.ReplaceAll(brief(p.ask(k, axfr("other.test."))), "other.test.", catalogName)
	expectText(t, got, listing(atStart, ptr(labelNet, "example.net.")))
	k.write("signed.example.com.", soa7)
	k.write("example.com.", "; tacit: signed\n"+soa7)
	k.write("sub.example.com.", "not a zone") // the last good version goes on
	expectText(t, k.transfer(), listing(atStart+2, bad, ptr(labelSub, "sub.example.com."),
		ptr(memberLabel(wire.MustName("signed.example.com.")), "signed.example.com.")))
}

// RFC 9432 section 7: a catalog tells which zones there are, and only its secondary is told.
func TestCatalogIsForItsSecondary(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7}, func(o *KeeperOptions) {
		withCatalog(o)
		o.Secondaries = append(o.Secondaries, Secondary{Key: updaterKey.Name(), Zones: []wire.Name{wire.Root}, Catalog: wire.MustName("other.test.")})
		o.Grants = []Grant{{Key: updaterKey.Name(), Zones: []wire.Name{wire.Root}, Names: NewGrant().Names, Types: []wire.Type{wire.TypeANY}}}
	})
	soa := func(name string) *dns.Msg { return new(dns.Msg).SetQuestion(name, dns.TypeSOA) }
	update := new(dns.Msg).SetUpdate(catalogName)
	update.Insert([]dns.RR{&dns.PTR{Hdr: dns.RR_Header{Name: "x.zones." + catalogName, Rrtype: dns.TypePTR, Class: dns.ClassINET}, Ptr: "x.test."}})
	for _, c := range []struct {
		name  string
		peer  peer
		ask   *dns.Msg
		rcode int
		count int // of answers
	}{
		{"AXFR", peer{key: secondaryKey}, axfr(catalogName), dns.RcodeSuccess, 5},
		{"AXFR, no key", peer{}, axfr(catalogName), dns.RcodeRefused, 0},
		{"AXFR, a key without rights", peer{key: strangerKey}, axfr(catalogName), dns.RcodeRefused, 0},
		{"AXFR, another secret", peer{key: forgedKey}, axfr(catalogName), dns.RcodeNotAuth, 0},
		{"AXFR, the key of another catalog", peer{key: updaterKey}, axfr(catalogName), dns.RcodeNotAuth, 0},
		{"AXFR of what is not there, by the same", peer{key: updaterKey}, axfr("absent.test."), dns.RcodeNotAuth, 0},
		{"AXFR over UDP", peer{key: secondaryKey, datagram: true}, axfr(catalogName), dns.RcodeRefused, 0},
		{"AXFR of a member's node", peer{key: secondaryKey}, axfr("zones." + catalogName), dns.RcodeNotAuth, 0},
		{"IXFR", peer{key: secondaryKey}, ixfr(catalogName, 1), dns.RcodeSuccess, 5},
		{"IXFR over UDP", peer{key: secondaryKey, datagram: true}, ixfr(catalogName, 1), dns.RcodeSuccess, 1},
		{"IXFR, no key", peer{}, ixfr(catalogName, 1), dns.RcodeRefused, 0},
		{"IXFR, the key of another catalog", peer{key: updaterKey}, ixfr(catalogName, 1), dns.RcodeNotAuth, 0},
		{"SOA", peer{key: secondaryKey, datagram: true}, soa(catalogName), dns.RcodeSuccess, 1},
		{"SOA, no key", peer{}, soa(catalogName), dns.RcodeRefused, 0},
		{"SOA, a key without rights", peer{key: strangerKey}, soa(catalogName), dns.RcodeRefused, 0},
		{"SOA, another secret", peer{key: forgedKey}, soa(catalogName), dns.RcodeNotAuth, 0},
		{"SOA, the key of another catalog", peer{key: updaterKey}, soa(catalogName), dns.RcodeRefused, 0},
		{"SOA, below the catalog", peer{key: secondaryKey}, soa("version." + catalogName), dns.RcodeRefused, 0},
		{"UPDATE", peer{key: updaterKey}, update, dns.RcodeNotAuth, 0},
		{"NOTIFY", peer{key: secondaryKey}, new(dns.Msg).SetNotify(catalogName), dns.RcodeNotAuth, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply := c.peer.ask(k, c.ask)
			if len(reply) != 1 || reply[0].Rcode != c.rcode || len(reply[0].Answer) != c.count || len(reply[0].Ns) > 0 {
				t.Errorf("got %v", reply)
			}
			if c.count != 5 && bytes.Contains(c.peer.octets, []byte("\x07example\x03com")) {
				t.Error("it tells of a member")
			}
		})
	}
}

// RFC 9432 section 4.1, RFC 1982: whenever a member comes or goes, the serial rises, and otherwise it stays; after a restart, and a
// reload, too. Section 5.6: a label stays as long as its zone.
func TestCatalogSerialRises(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7}, withCatalog)
	com, net := ptr(labelCom, "example.com."), ptr(labelNet, "example.net.")
	at := someDay.Unix()
	expect := func(what string, want string) {
		t.Helper()
		if got := k.transfer(); got != strings.TrimSpace(want) {
			t.Errorf("%s: got:\n%s\nwant:\n%s", what, got, want)
		}
	}
	k.now = k.now.Add(time.Hour)
	k.write("example.com.", soaAt(8))
	expect("a member has changed", listing(atStart, com))
	k.write("example.net.", soa7)
	expect("a zone has come", listing(at+3600, net, com))
	k.remove("example.net.")
	expect("it has gone within the second", listing(at+3601, com))
	k.write("example.net.", soa7)
	expect("and come back", listing(at+3602, net, com))
	options := k.options
	k.Keeper = NewKeeper(&options, k.Keeper)
	k.Start(context.Background())
	expect("a reload", listing(at+3602, net, com))
	options.Secondaries = []Secondary{{Key: secondaryKey.Name(), Zones: []wire.Name{wire.MustName("net.")}, Catalog: wire.MustName(catalogName)}}
	k.Keeper = NewKeeper(&options, k.Keeper)
	k.Start(context.Background())
	expect("a reload that takes rights away", listing(at+3603, net))
	k.now = someDay.Add(time.Hour + 3*time.Second)
	k.Keeper = NewKeeper(&options, nil)
	k.Start(context.Background())
	expect("a restart within the second", listing(at+3604, net))
}

// RFC 9432 section 6: what empties a catalog takes zones from all who follow it. A directory that cannot be listed for a while does not.
func TestCatalogOutlivesItsDirectory(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7}, withCatalog)
	var told []string
	k.store.options.Told = func(path string, p Problems) { told = append(told, path+" "+p.Error()) }
	want := listing(atStart, ptr(labelCom, "example.com."))
	away := k.directory + "-away"
	if err := os.Rename(k.directory, away); err != nil {
		t.Fatal(err)
	}
	k.store.Look()
	k.store.Look()
	expectText(t, k.transfer(), want)
	if len(told) != 1 || !strings.Contains(told[0], "cannot be listed") || len(k.store.Problems()) != 1 {
		t.Errorf("told of %q, and of %v", told, k.store.Problems())
	}
	if err := os.Rename(away, k.directory); err != nil {
		t.Fatal(err)
	}
	k.store.Look()
	expectText(t, k.transfer(), want)
	if len(told) != 1 || k.store.Problems() != nil {
		t.Errorf("told of %q, and of %v", told, k.store.Problems())
	}
	k.remove("example.com.")
	expectText(t, k.transfer(), listing(atStart+1))
}

// RFC 1995: the difference between two versions of a catalog is the members that have come and gone.
func TestIncrementalTransferOfACatalog(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": soa7}, withCatalog)
	at := atStart
	k.write("example.net.", soa7)
	k.remove("example.com.")
	came, went := ptr(labelNet, "example.net."), ptr(labelCom, "example.com.")
	soa := func(serial int64) string { return fmt.Sprintf("SOA %d\n", serial) }
	p := peer{key: secondaryKey}
	expectText(t, brief(p.ask(k, ixfr(catalogName, uint32(at)))), soa(at+2)+soa(at)+soa(at+1)+came+soa(at+1)+went+soa(at+2)+soa(at+2))
	expectText(t, brief(p.ask(k, ixfr(catalogName, uint32(at+1)))), soa(at+2)+soa(at+1)+went+soa(at+2)+soa(at+2))
	expectText(t, brief(p.ask(k, ixfr(catalogName, uint32(at+2)))), soa(at+2))
	expectText(t, brief(p.ask(k, ixfr(catalogName, 5))), listing(at+2, came)) // from before a restart
}

// A secondary is told of its catalog before its members. RFC 9432 section 6: a notice for a zone may reach it before it has the zone.
func TestCatalogIsToldFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &told{conns: make(chan net.Conn)}
		k := keep(t, map[string]string{}, withCatalog, func(o *KeeperOptions) {
			o.Network, o.Log = s, slog.New(slog.NewTextHandler(&log, nil))
			o.Secondaries[0].Notify = []netip.AddrPort{loopbackSecondary}
		})
		if m := s.hear(t, accept); m.Question[0].Name != catalogName || int64(serialIn1(m)) != atStart {
			t.Errorf("at the start: %v", m)
		}
		k.write("example.com.", soa7)
		if m := s.hear(t, accept); m.Question[0].Name != catalogName || int64(serialIn1(m)) != atStart+1 {
			t.Errorf("first: %v", m)
		}
		unknown := func(m *dns.Msg, _ *signature) []byte {
			packed, _ := new(dns.Msg).SetRcode(m, dns.RcodeNotAuth).Pack()
			return packed
		}
		if m := s.hear(t, unknown); m.Question[0].Name != "example.com." {
			t.Errorf("then: %v", m)
		}
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("the log: %s", log.Bytes())
		}
		k.remove("example.com.")
		s.hear(t, unknown) // the catalog, which it should know
		synctest.Wait()
		if !bytes.Contains(log.Bytes(), []byte("does not want to be told")) || bytes.Contains(log.Bytes(), []byte("catalog")) {
			t.Errorf("the log: %s", log.Bytes())
		}
		select {
		case <-s.conns:
			t.Error("told of what has gone")
		case <-time.After(time.Hour):
		}
		k.Close()
	})
}

func TestParseCatalog(t *testing.T) {
	label := strings.Repeat("x", 63) + "."
	long := label + label + label
	for text, ok := range map[string]bool{
		"": true, "catalog.test": true, "Catalog.Test.": true, ".": false, "a..b": false,
		long + strings.Repeat("y", 22) + ".": true, long + strings.Repeat("y", 23) + ".": false,
	} {
		name, err := ParseCatalog(text)
		if (err == nil) != ok || !ok && !name.IsRoot() {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && !name.IsRoot() {
			z := newCatalog(name, []wire.Name{name}, 1)
			if count := len(z.nodes) - 1; count != 3 || z.nameOf(z.key(2)).Len() > wire.MaxNameLength {
				t.Errorf("%q: %d nodes", text, count)
			}
		}
	}
}
