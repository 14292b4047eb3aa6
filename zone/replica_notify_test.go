package zone

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

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
