package zone

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

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
