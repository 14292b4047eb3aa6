package zone

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

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
	set := &altered{kind: wire.TypeTXT}
	for i := range maxAltered + 2 {
		if text := strconv.Itoa(i); set.change(append([]byte{byte(len(text))}, text...), 300, false) != (i <= maxAltered) {
			t.Fatalf("record %d of a set", i)
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
