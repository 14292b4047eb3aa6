package dnssec

import (
	"cmp"
	"context"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// Zones of RFC 8976 appendix A.1, A.2 and A.3, with their digests.
const (
	simpleZone = `
		example.     86400 SOA    ns1 admin 2018031900 1800 900 604800 86400
		             86400 NS     ns1
		             86400 NS     ns2
		             86400 ZONEMD 2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c
		ns1          3600  A      203.0.113.63
		ns2          3600  AAAA   2001:db8::63`
	complexZone = `
		example.     86400 SOA    ns1 admin 2018031900 1800 900 604800 86400
		             86400 NS     ns1
		             86400 NS     ns2
		             86400 ZONEMD 2018031900 1 1 a3b69bad980a3504e1cffcb0fd6397f93848071c93151f552ae2f6b1711d4bd2d8b39808226d7b9db71e34b72077f8fe
		ns1          3600  A      203.0.113.63
		NS2          3600  AAAA   2001:db8::63
		occluded.sub 7200  TXT    "I'm occluded but must be digested"
		sub          7200  NS     ns1
		duplicate    300   TXT    "I must be digested just once"
		duplicate    300   TXT    "I must be digested just once"
		foo.test.    555   TXT    "out-of-zone data must be excluded"
		UPPERCASE    3600  TXT    "canonicalize uppercase owner names"
		*            777   PTR    dont-forget-about-wildcards
		mail         3600  MX     20 MAIL1
		mail         3600  MX     10 Mail2.Example.
		sortme       3600  AAAA   2001:db8::5:61
		sortme       3600  AAAA   2001:db8::3:62
		sortme       3600  AAAA   2001:db8::4:63
		sortme       3600  AAAA   2001:db8::1:65
		sortme       3600  AAAA   2001:db8::2:64
		non-apex     900   ZONEMD 2018031900 1 1 616c6c6f776564206275742069676e6f7265642e20616c6c6f776564206275742069676e6f7265642e20616c6c6f7765`
	multipleZone = `
		example.     86400 SOA    ns1 admin 2018031900 1800 900 604800 86400
		example.     86400 NS     ns1
		example.     86400 NS     ns2
		example.     86400 ZONEMD 2018031900 1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306
		example.     86400 ZONEMD 2018031900 1 2 08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a4e114d884e66f176eab121cb02db7d652e0cc4827e7a3204f166b47e5613fd27
		example.     86400 ZONEMD 2018031900 1 240 e2d523f654b9422a96c5a8f44607bbee
		example.     86400 ZONEMD 2018031900 241 1 e1846540e33a9e4189792d18d5d131f605fc283e
		ns1          3600  A      203.0.113.63
		ns2          86400 TXT    "This example has multiple digests"
		ns2          3600  AAAA   2001:db8::63`
)

func zoneRecords(t testing.TB, text string) []dns.RR {
	t.Helper()
	zp := dns.NewZoneParser(strings.NewReader(strings.ReplaceAll(text, "\n\t\t", "\n")), "example.", "")
	var records []dns.RR
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		records = append(records, rr)
	}
	if zp.Err() != nil {
		t.Fatal(zp.Err())
	}
	return records
}

// zoneSets orders records into RRsets, and hangs signatures on what they cover.
func zoneSets(t testing.TB, records []dns.RR) []wire.RRset {
	t.Helper()
	var sets []wire.RRset
	find := func(name string, kind uint16, ttl uint32) *wire.RRset {
		for i := range sets {
			if sets[i].Name == wire.MustName(name) && sets[i].Type == wire.Type(kind) {
				return &sets[i]
			}
		}
		sets = append(sets, wire.RRset{Name: wire.MustName(name), Type: wire.Type(kind), TTL: ttl})
		return &sets[len(sets)-1]
	}
	for _, rr := range records {
		h := rr.Header()
		if sig, ok := rr.(*dns.RRSIG); ok {
			set := find(h.Name, sig.TypeCovered, h.Ttl)
			set.Sigs = set.Sigs.Add(rdataOf(t, rr))
			continue
		}
		set := find(h.Name, h.Rrtype, h.Ttl)
		set.Data = set.Data.Add(rdataOf(t, rr))
	}
	slices.SortFunc(sets, func(a, b wire.RRset) int {
		return cmp.Or(a.Name.Compare(b.Name), cmp.Compare(a.Type, b.Type))
	})
	return sets
}

func checkZone(t testing.TB, sets []wire.RRset) error {
	t.Helper()
	a := apexOf(wire.MustName("example."), sets)
	return checkDigest(a.zone, sets, a.find(wire.TypeSOA), a.find(typeZONEMD))
}

func TestZoneDigest(t *testing.T) {
	replace := func(text, from, to string) string {
		changed := strings.ReplaceAll(text, from, to)
		if changed == text {
			t.Fatalf("%q does not occur", from)
		}
		return changed
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"appendix A.1: a simple zone", simpleZone, nil},
		{"appendix A.2: a complex zone", complexZone, nil},
		{"appendix A.3: several digests", multipleZone, nil},
		{"SHA-512 alone", replace(multipleZone, "2018031900 1 1 ", "2018031900 1 3 "), nil},
		{"SHA-512 matches, SHA-384 does not: section 4, one is enough", replace(multipleZone, " 1 1 62", " 1 1 72"), nil},
		{"SHA-384 matches, SHA-512 does not", replace(multipleZone, " 1 2 08", " 1 2 18"), nil},
		{"neither matches", replace(replace(multipleZone, " 1 2 08", " 1 2 18"), " 1 1 62", " 1 1 72"), errZoneDigest},
		{"an address", replace(simpleZone, "203.0.113.63", "203.0.113.64"), errZoneDigest},
		{"a TTL", replace(simpleZone, "3600  AAAA", "3601  AAAA"), errZoneDigest},
		{"a record more", simpleZone + "\n\t\tns3 60 A 203.0.113.66", errZoneDigest},
		{"a record outside the zone more: section 3.3.2", simpleZone + "\n\t\tns3.test. 60 A 203.0.113.66", nil},
		{"a record twice: section 3.3.2", simpleZone + "\n\t\tns1 3600 A 203.0.113.63", nil},
		{"section 4: a digest of another serial", replace(simpleZone, "ZONEMD 2018031900", "ZONEMD 2018031901"), errNoZoneDigest},
		{"section 4: another serial", replace(simpleZone, "admin 2018031900", "admin 2018031901"), errNoZoneDigest},
		{"section 4: an unknown scheme", replace(simpleZone, "2018031900 1 1", "2018031900 240 1"), errNoZoneDigest},
		{"section 4: an unknown hash algorithm", replace(simpleZone, "2018031900 1 1", "2018031900 1 240"), errNoZoneDigest},
		{
			"section 4: two digests by the same scheme and algorithm",
			simpleZone + "\n\t\texample. 86400 ZONEMD 2018031900 1 1 " + strings.Repeat("00", 48), errNoZoneDigest,
		},
		{"section 2.2.4: a digest of 11 octets", replace(simpleZone, "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c", "c68090d90a7aed716bc459"), errNoZoneDigest},
		{"a digest that is cut", replace(simpleZone, "98b8e730044c", ""), errZoneDigest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := checkZone(t, zoneSets(t, zoneRecords(t, c.text))); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// zoneKeys is an Anchored of one zone.
type zoneKeys struct {
	zone wire.Name
	key  *Key
}

func (z zoneKeys) At(zone wire.Name) bool { return zone == z.zone }

func (z zoneKeys) Trusts(zone wire.Name, k *Key) bool {
	return zone == z.zone && slices.Equal(k.RDATA, z.key.RDATA)
}

// Times of the signatures of signedZone.
var (
	signedAt   = time.Unix(1_700_000_000, 0)
	signedUpTo = signedAt.Add(10 * 24 * time.Hour)
	glueUpTo   = signedAt.Add(7 * 24 * time.Hour) // of one of them
)

// signedZone is the simple zone with keys and signatures.
func signedZone(t *testing.T, s *signer) []wire.RRset {
	t.Helper()
	records := slices.DeleteFunc(zoneRecords(t, simpleZone), func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeZONEMD })
	sets := zoneSets(t, append(records, s.record))
	for i := range sets {
		signSet(t, s, &sets[i])
	}
	apex := wire.MustName("example.")
	h := sha512.New384()
	digestZone(h, apex, sets)
	digest := wire.RRset{Name: apex, Type: typeZONEMD, TTL: 86400}
	digest.Data = digest.Data.Add(append(binary.BigEndian.AppendUint32(nil, 2018031900), append([]byte{1, 1}, h.Sum(nil)...)...))
	signSet(t, s, &digest)
	at := 0
	for sets[at].Name == apex {
		at++
	}
	return slices.Insert(sets, at, digest)
}

func signSet(t *testing.T, s *signer, set *wire.RRset) {
	t.Helper()
	var records []dns.RR
	for data := set.Data; len(data) > 0; {
		var rdata []byte
		rdata, data = data.Next()
		h := dns.RR_Header{
			Name: set.Name.Reveal(), Rrtype: uint16(set.Type), Class: dns.ClassINET, Ttl: set.TTL, Rdlength: uint16(len(rdata)),
		}
		rr, _, err := dns.UnpackRRWithHeader(h, rdata, 0)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rr)
	}
	sig := &dns.RRSIG{
		Algorithm: s.record.Algorithm, KeyTag: s.record.KeyTag(), SignerName: s.record.Hdr.Name,
		Inception: uint32(signedAt.Unix()), Expiration: uint32(signedUpTo.Unix()),
	}
	if set.Type == wire.TypeAAAA {
		sig.Expiration = uint32(glueUpTo.Unix())
	}
	if err := sig.Sign(s.private, records); err != nil {
		t.Fatal(err)
	}
	set.Sigs = set.Sigs.Add(rdataOf(t, sig))
}

func TestVerifyZone(t *testing.T) {
	s := signerFor(t, 13, 256)
	other := newSigner(t, "example.", 13, 256)
	apex := wire.MustName("example.")
	at := func(sets []wire.RRset, name string, kind wire.Type) *wire.RRset {
		for i := range sets {
			if sets[i].Name == wire.MustName(name) && sets[i].Type == kind {
				return &sets[i]
			}
		}
		t.Fatal("no such set")
		return nil
	}
	for _, c := range []struct {
		name   string
		change func(sets []wire.RRset) []wire.RRset
		tune   func(o *Options, limits *work.Limits)
		now    time.Time
		want   error
	}{
		{name: "as it was signed"},
		{name: "the keys not signed", change: func(sets []wire.RRset) []wire.RRset {
			at(sets, "example.", wire.TypeDNSKEY).Sigs = nil
			return sets
		}, want: errZoneNotSecure},
		{name: "the digest not signed", change: func(sets []wire.RRset) []wire.RRset {
			at(sets, "example.", typeZONEMD).Sigs = nil
			return sets
		}, want: errZoneNotSecure},
		{name: "the servers not signed", change: func(sets []wire.RRset) []wire.RRset {
			at(sets, "example.", wire.TypeNS).Sigs = nil
			return sets
		}, want: errZoneNotSecure},
		{name: "without a digest", change: func(sets []wire.RRset) []wire.RRset {
			return slices.DeleteFunc(sets, func(s wire.RRset) bool { return s.Type == typeZONEMD })
		}, want: errZoneApex},
		{name: "an address below", change: func(sets []wire.RRset) []wire.RRset {
			at(sets, "ns1.example.", wire.TypeA).Data[5]++
			return sets
		}, want: errZoneDigest},
		{name: "a signature below", change: func(sets []wire.RRset) []wire.RRset {
			at(sets, "ns1.example.", wire.TypeA).Sigs[30]++
			return sets
		}, want: errZoneDigest},
		{name: "out of order", change: func(sets []wire.RRset) []wire.RRset {
			slices.Reverse(sets)
			return sets
		}, want: errZoneOrder},
		{name: "one type twice", change: func(sets []wire.RRset) []wire.RRset {
			return append(sets, sets[len(sets)-1])
		}, want: errZoneOrder},
		{name: "nothing", change: func([]wire.RRset) []wire.RRset { return nil }, want: errZoneApex},
		{name: "another key is trusted", tune: func(o *Options, _ *work.Limits) {
			o.Anchors = zoneKeys{apex, &other.key}
		}, want: errZoneNotSecure},
		{name: "no anchor at the zone", tune: func(o *Options, _ *work.Limits) {
			o.Anchors = zoneKeys{wire.MustName("test."), &s.key}
		}, want: errZoneNotSecure},
		{name: "a negative trust anchor changes nothing", tune: func(o *Options, _ *work.Limits) {
			o.Excepted = func(wire.Name, time.Time) bool { return true }
		}},
		{name: "after the signatures", now: signedUpTo.Add(48 * time.Hour), want: errZoneNotSecure},
		{name: "before the signatures", now: signedAt.Add(-48 * time.Hour), want: errZoneNotSecure},
		{name: "a budget that ends", tune: func(_ *Options, l *work.Limits) { l[work.Signature] = 3 }, want: &work.Exceeded{Kind: work.Signature}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sets := signedZone(t, s)
			if c.change != nil {
				sets = c.change(sets)
			}
			o, limits := Options{Anchors: zoneKeys{apex, &s.key}}, work.DefaultLimits
			if c.tune != nil {
				c.tune(&o, &limits)
			}
			now := c.now
			if now.IsZero() {
				now = signedAt.Add(time.Hour)
			}
			until, err := VerifyZone(context.Background(), now, work.New(limits), o, apex, sets)
			if exceeded := new(work.Exceeded); errors.As(c.want, &exceeded) {
				if got := new(work.Exceeded); !errors.As(err, &got) || *got != *exceeded {
					t.Errorf("got %v, want %v", err, c.want)
				}
				return
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && !until.Equal(glueUpTo) {
				t.Errorf("lasts until %v, want %v", until, glueUpTo)
			}
		})
	}
}

// dnssec.validation_time is the clock of signatures, and of nothing else: what is left of them is left from now on.
func TestVerifyZoneAtAFixedTime(t *testing.T) {
	s := signerFor(t, 13, 256)
	apex := wire.MustName("example.")
	now := time.Unix(1_900_000_000, 0)
	o := Options{Anchors: zoneKeys{apex, &s.key}, SignatureTime: signedAt.Add(time.Hour)}
	until, err := VerifyZone(context.Background(), now, work.New(work.DefaultLimits), o, apex, signedZone(t, s))
	if want := now.Add(7*24*time.Hour - time.Hour); err != nil || !until.Equal(want) {
		t.Errorf("lasts until %v, want %v; %v", until, want, err)
	}
}

// A digest of the size of the root zone's.
func BenchmarkZoneDigest(b *testing.B) {
	var sets []wire.RRset
	for i := range 10_000 {
		set := wire.RRset{Name: wire.MustName(fmt.Sprintf("n%d.example.", i)), Type: wire.TypeDS, TTL: 86400}
		set.Data, set.Sigs = set.Data.Add(make([]byte, 36)), set.Sigs.Add(make([]byte, 275))
		sets = append(sets, set)
	}
	b.ReportAllocs()
	for b.Loop() {
		digestZone(sha512.New384(), wire.MustName("example."), sets)
	}
}
