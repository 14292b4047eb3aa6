package dnssec

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// RRsets of many types, with names in mixed case where there are names, under one owner. miekg/dns, which signs
// them, brings them into canonical form on its own.
var signedSets = [][]string{
	{"@ A 192.0.2.3", "@ A 192.0.2.1", "@ A 192.0.2.20", "@ A 192.0.2.2"},
	{"Host.Sub A 192.0.2.3"},
	{"host AAAA 2001:db8::2", "host AAAA 2001:db8::1"},
	{"@ NS B.Ns.Example.", "@ NS a.NS.eXample.", "@ NS ns.TEST."},
	{"alias CNAME Target.TEST."},
	{"old DNAME New.Example."},
	{"@ SOA Ns.Example. Host\\.Master.Example. 1 2 3 4 5"},
	{"@ MX 10 Mail.Example.", "@ MX 10 B.Example.", "@ MX 5 Z.Example.", "@ MX 256 a.example."},
	{"1 PTR Host.Example."},
	{"@ TXT \"Mixed Case Stays\"", "@ TXT \"b\" \"A\"", "@ TXT \"\"", "@ TXT \"aa\""},
	{"_x._tcp SRV 1 2 443 Host.Example.", "_x._tcp SRV 0 5 443 A.Example."},
	{"n NAPTR 100 50 \"S\" \"Z3950+I2L\" \"!Reg!Exp!\" _z3950._TCP.Example.", "n NAPTR 1 5 \"\" \"\" \"\" ."},
	{"r RP Mail.Box.Example. Text.Example."},
	{"f AFSDB 1 Server.Example.", "f AFSDB 2 server.example."},
	{"k KX 10 Exchange.Example."},
	{"p PX 10 Map822.Example. MapX400.Example."},
	{"m MINFO Errors.Example. Owner.Example."},
	{"t RT 10 Relay.Example."},
	{"mb MB Host.Example."},
	{"mg MG Member.Example."},
	{"mr MR New.Example."},
	{"h HINFO \"Mixed\" \"Case\""},
	{"s HTTPS 1 Svc.Example. alpn=h2", "s HTTPS 2 svc2.Example."},
	{"v SVCB 0 Alias.Example."},
	{"b.example. NSEC Next.Example. A RRSIG NSEC"},
	{"0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 1 12 aabbccdd 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG"},
	{"sub DS 60485 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16"},
	{"@ CAA 0 issue \"CA.Example\""},
	{"l LP 10 Locator.Example."},
	{"u TYPE65534 \\# 9 034162630441424300"}, // RFC 3597: what may look like names
	{"*.wild MX 10 Mail.Example.", "*.wild MX 20 Mail.Example."},
	{"\\000\\255.Odd TXT \"owner of odd octets\""},
}

func TestVerify(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.name, func(t *testing.T) {
			s := signerFor(t, a.number, a.bits)
			for i, texts := range signedSets {
				records := rrs(t, texts...)
				sig := s.sign(t, records...)
				for seed := range uint64(3) {
					set := setOf(t, shuffled(uint64(i)*10+seed, records)...)
					if err := sig.Fits(set); err != nil {
						t.Errorf("%s: %v", texts[0], err)
					}
					if err := sig.Verify(set, &s.key); err != nil {
						t.Errorf("%s, order %d: %v", texts[0], seed, err)
					}
				}
			}
		})
	}
}

// Every octet of the RRset and of the RRSIG record is under the signature.
func TestVerifyRefusesAlteredRecords(t *testing.T) {
	s := signerFor(t, 15, 256)
	for _, texts := range signedSets {
		set, sig := setOf(t, rrs(t, texts...)...), s.sign(t, rrs(t, texts...)...)
		for i := range rdataOctets(set.Data) {
			other := *set
			other.Data = alteredRdata(set.Data, i)
			if sig.Verify(&other, &s.key) == nil {
				t.Errorf("%s: octet %d of the RDATA altered: verifies", texts[0], i)
			}
		}
	}
	sig := &dns.RRSIG{
		Algorithm: 15, KeyTag: s.record.KeyTag(), SignerName: "example.", Inception: 1_700_000_000, Expiration: 1_800_000_000,
	}
	records := rrs(t, "host.example. A 192.0.2.1")
	if err := sig.Sign(s.private, records); err != nil {
		t.Fatal(err)
	}
	set, rdata := setOf(t, records...), rdataOf(t, sig)
	for i := range rdata {
		if forged, ok := ParseSignature(altered(rdata, i, 0x01)); ok && forged.Verify(set, &s.key) == nil {
			t.Errorf("octet %d of the RRSIG altered: verifies", i)
		}
	}
}

func rdataOctets(data wire.Rdatas) int { return len(data) - 2*data.Count() }

// alteredRdata flips the lowest bit of the ith octet, the lengths not counted.
func alteredRdata(data wire.Rdatas, i int) wire.Rdatas {
	var changed wire.Rdatas
	for rest := data; len(rest) > 0; {
		var rdata []byte
		rdata, rest = rest.Next()
		if 0 <= i && i < len(rdata) {
			rdata = altered(rdata, i, 0x01)
		}
		i -= len(rdata)
		changed = changed.Add(rdata)
	}
	return changed
}

func TestVerifyRefuses(t *testing.T) {
	s := signerFor(t, 15, 256)
	texts := []string{"a.host.example. A 192.0.2.1", "a.host.example. A 192.0.2.2"}
	for _, c := range []struct {
		clause string
		change func(*wire.RRset, *Signature, *Key)
		want   error
	}{
		{"nothing", func(*wire.RRset, *Signature, *Key) {}, nil},
		{"RFC 4035 section 5.3.3: the received TTL does not count", func(r *wire.RRset, _ *Signature, _ *Key) { r.TTL = 1 << 30 }, nil},
		{"a record more", func(r *wire.RRset, _ *Signature, _ *Key) { r.Data = r.Data.Add([]byte{192, 0, 2, 3}) }, errBadSignature},
		{"a record less", func(r *wire.RRset, _ *Signature, _ *Key) { _, r.Data = r.Data.Next() }, errBadSignature},
		{"no record", func(r *wire.RRset, _ *Signature, _ *Key) { r.Data = nil }, errBadSignature},
		{"another owner", func(r *wire.RRset, _ *Signature, _ *Key) { r.Name = wire.MustName("b.host.example") }, errBadSignature},
		{"another type", func(r *wire.RRset, _ *Signature, _ *Key) { r.Type = wire.TypeTXT }, errBadSignature},
		{"another original TTL", func(_ *wire.RRset, sig *Signature, _ *Key) { sig.OriginalTTL++ }, errBadSignature},
		{"another signer", func(_ *wire.RRset, sig *Signature, _ *Key) { sig.Signer = wire.Root }, errBadSignature},
		{"Labels as if expanded from a wildcard", func(_ *wire.RRset, sig *Signature, _ *Key) { sig.Labels = 2 }, errBadSignature},
		{"RFC 4035 section 5.3.1: key tag", func(_ *wire.RRset, _ *Signature, k *Key) { k.Tag++ }, errWrongKey},
		{"RFC 4035 section 5.3.1: algorithm", func(_ *wire.RRset, _ *Signature, k *Key) { k.Algorithm = 13 }, errWrongKey},
		{"RFC 4035 section 5.3.1: Zone Key flag", func(_ *wire.RRset, _ *Signature, k *Key) { k.Flags = 1 }, errNotAZoneKey},
		{"RFC 4034 section 2.1.2: protocol", func(_ *wire.RRset, _ *Signature, k *Key) { k.Protocol = 2 }, errNotAZoneKey},
		{"key of half its length", func(_ *wire.RRset, _ *Signature, k *Key) { k.PublicKey = k.PublicKey[:16] }, errMalformedKey},
	} {
		t.Run(c.clause, func(t *testing.T) {
			set, sig, key := setOf(t, rrs(t, texts...)...), s.sign(t, rrs(t, texts...)...), s.key
			c.change(set, &sig, &key)
			if err := sig.Verify(set, &key); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// RFC 4035 section 5.3.2: Labels says under which name the zone signed.
func TestVerifyWildcards(t *testing.T) {
	s := signerFor(t, 13, 256)
	sig := s.sign(t, rrs(t, "*.w.example. MX 1 Ai.example.")...)
	for _, c := range []struct {
		owner string
		want  error
	}{
		{"a.w.example.", nil},
		{"A.b.C.w.example.", nil},
		{"*.w.example.", nil},
		{"*.a.w.example.", nil},
		{"a.x.example.", errBadSignature},
		{"w.example.", errBadSignature},
		{"a.w.test.", errBadSignature},
	} {
		if err := sig.Verify(setOf(t, rr(t, c.owner+" MX 1 ai.example.")), &s.key); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.owner, err, c.want)
		}
	}
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		clause, owner string
		labels        uint8
		want          string
	}{
		{"as many labels as the owner: not expanded", "a.example.", 2, ""},
		{"RFC 4034 section 3.1.3: one label less", "a.example.", 1, "*.example."},
		{"several labels less", "a.b.c.example.", 2, "*.c.example."},
		{"RFC 4034 section 3.1.3: the asterisk is not counted", "*.example.", 1, ""},
		{"an asterisk may be expanded, too", "*.a.example.", 1, "*.example."},
		{"the root's wildcard", "example.", 0, "*."},
		{"the root's wildcard itself", "*.", 0, ""},
		{"the root", ".", 0, ""},
		{"more labels than the owner", "a.example.", 3, ""},
		{"the most that Labels can say", "a.example.", 255, ""},
	} {
		t.Run(c.clause, func(t *testing.T) {
			got, ok := (&Signature{Labels: c.labels}).Wildcard(wire.MustName(c.owner))
			if ok != (c.want != "") {
				t.Fatalf("expanded: %v", ok)
			}
			if ok && got.Reveal() != wire.MustName(c.want).Reveal() {
				t.Errorf("from %s, want %s", got.Reveal(), c.want)
			}
		})
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		clause, owner string
		kind          wire.Type
		covered       wire.Type
		signer        string
		labels        uint8
		want          error
	}{
		{"zone apex", "example.", wire.TypeSOA, wire.TypeSOA, "example.", 1, nil},
		{"below the apex", "a.b.example.", wire.TypeA, wire.TypeA, "example.", 3, nil},
		{"the root", ".", wire.TypeNS, wire.TypeNS, ".", 0, nil},
		{"RFC 4035 section 5.3.1: the type covered", "example.", wire.TypeA, wire.TypeAAAA, "example.", 1, errWrongType},
		{"RFC 4035 section 5.3.1: the signer is the zone", "a.example.", wire.TypeA, wire.TypeA, "test.", 2, errWrongSigner},
		{"a signer beside", "ab.example.", wire.TypeA, wire.TypeA, "b.example.", 2, errWrongSigner},
		{"a signer below", "example.", wire.TypeA, wire.TypeA, "a.example.", 1, errWrongSigner},
		{"RFC 4035 section 2.4: the parent signs the DS", "a.example.", wire.TypeDS, wire.TypeDS, "example.", 2, nil},
		{"RFC 4035 section 2.4: the child does not", "a.example.", wire.TypeDS, wire.TypeDS, "a.example.", 2, errWrongSigner},
		{"the child signs the DNSKEY", "a.example.", wire.TypeDNSKEY, wire.TypeDNSKEY, "a.example.", 2, nil},
		{"RFC 4035 section 5.3.1: Labels above the owner's", "a.example.", wire.TypeA, wire.TypeA, "example.", 3, errWrongLabels},
		{"a wildcard of the zone", "a.b.example.", wire.TypeA, wire.TypeA, "example.", 1, nil},
		{"CVE-2026-44690: a wildcard above the zone", "a.b.example.", wire.TypeA, wire.TypeA, "example.", 0, errWrongLabels},
		{"RFC 4034 section 3.1.3: the wildcard itself", "*.example.", wire.TypeA, wire.TypeA, "example.", 1, nil},
		{"a wildcard of the root", "a.", wire.TypeA, wire.TypeA, ".", 0, nil},
	} {
		t.Run(c.clause, func(t *testing.T) {
			s := Signature{Covered: c.covered, Signer: wire.MustName(c.signer), Labels: c.labels}
			set := wire.RRset{Name: wire.MustName(c.owner), Type: c.kind}
			if err := s.Fits(&set); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// RFC 4034 section 3.1.5: the times are compared by serial number arithmetic.
func TestValidAt(t *testing.T) {
	const (
		hour = 3600
		day  = 24 * hour
		wrap = 1 << 32 // 2106-02-07T06:28:16Z
	)
	for _, c := range []struct {
		clause                     string
		inception, expiration, now int64 // seconds since 1970, before they are cut to 32 bits
		want                       error
	}{
		{"within", 1000 * day, 1030 * day, 1010 * day, nil},
		{"at inception", 1000 * day, 1030 * day, 1000 * day, nil},
		{"at expiration", 1000 * day, 1030 * day, 1030 * day, nil},
		{"a tenth of 10 hours would be one hour", 1000 * day, 1000*day + 10*hour, 1000*day + 11*hour, nil},
		{"the hour is over", 1000 * day, 1000*day + 10*hour, 1000*day + 11*hour + 1, errExpired},
		{"a tenth of five days", 1000 * day, 1005 * day, 1005*day + 12*hour, nil},
		{"the tenth is over", 1000 * day, 1005 * day, 1005*day + 12*hour + 1, errExpired},
		{"a day at most", 1000 * day, 1030 * day, 1031 * day, nil},
		{"the day is over", 1000 * day, 1030 * day, 1031*day + 1, errExpired},
		{"an hour at least, for a signature of a minute", 1000 * day, 1000*day + 60, 1000*day + 60 + hour, nil},
		{"the hour after a minute is over", 1000 * day, 1000*day + 60, 1000*day + 61 + hour, errExpired},
		{"a tenth too early", 1000 * day, 1005 * day, 1000*day - 12*hour, nil},
		{"more than a tenth too early", 1000 * day, 1005 * day, 1000*day - 12*hour - 1, errNotYetValid},
		{"a year too early", 1000 * day, 1030 * day, 635 * day, errNotYetValid},
		{"years too late", 1000 * day, 1030 * day, 9000 * day, errExpired},
		{"valid for one moment", 1000 * day, 1000 * day, 1000 * day, nil},
		{"expires before its inception", 1000 * day, 999 * day, 1000 * day, errInverted},
		{"across the wrap, before it", wrap - day, wrap + day, wrap - 1, nil},
		{"across the wrap, at it", wrap - day, wrap + day, wrap, nil},
		{"across the wrap, behind it", wrap - day, wrap + day, wrap + 1, nil},
		{"across the wrap, expired", wrap - 10*day, wrap + 10*day, wrap + 12*day, errExpired},
		{"across the wrap, not yet valid", wrap - 10*day, wrap + 10*day, wrap - 12*day, errNotYetValid},
		{"before the wrap, seen from behind it", wrap - 30*day, wrap - 10*day, wrap + day, errExpired},
		{"behind the wrap, seen from before it", wrap + 10*day, wrap + 30*day, wrap - day, errNotYetValid},
		{"in the second era", wrap + 1000*day, wrap + 1030*day, wrap + 1010*day, nil},
		{"made before 1970", -10 * day, 10 * day, 0, nil},
		{"made and read before 1970", -10 * day, -5 * day, -6 * day, nil},
		{"expired before 1970", -30 * day, -10 * day, 5 * day, errExpired},
		{"after 1970, read before", 10 * day, 30 * day, -5 * day, errNotYetValid},
		{"across 2038", 1<<31 - day, 1<<31 + day, 1 << 31, nil},
		{"the longest validity", 0, 1<<31 - 1, 1 << 30, nil},
		{"RFC 1982 section 3.2: 2^31 has no order", 0, 1 << 31, 1 << 30, errInverted},
		{"2^31 after inception", 1000 * day, 1030 * day, 1000*day + 1<<31, errNotYetValid},
	} {
		t.Run(c.clause, func(t *testing.T) {
			s := Signature{Inception: uint32(c.inception), Expiration: uint32(c.expiration)}
			if err := s.ValidAt(time.Unix(c.now, 0)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestParseSignature(t *testing.T) {
	const fixed = "0001 0d 02 00000e10 65536f00 65536e00 04d2"
	for _, c := range []struct {
		clause, rdata string
		ok            bool
	}{
		{"RFC 4034 section 3.1", fixed + "07 6578616d706c65 00 aabb", true},
		{"signer in capitals", fixed + "07 4558414d504c45 00 aabb", true},
		{"no signature", fixed + "07 6578616d706c65 00", false},
		{"signer cut", fixed + "07 6578616d70", false},
		{"signer without its root label", fixed + "07 6578616d706c65", false},
		{"RFC 4034 section 3.1.7: no compression", fixed + "c00c aabb", false},
		{"no signer", fixed, false},
		{"cut in the fixed part", "0001 0d 02", false},
		{"empty", "", false},
	} {
		t.Run(c.clause, func(t *testing.T) {
			s, ok := ParseSignature(unhex(t, c.rdata))
			if ok != c.ok {
				t.Fatalf("parsed: %v", ok)
			}
			if !ok {
				return
			}
			got := fmt.Sprint(s.Covered, s.Algorithm, s.Labels, s.OriginalTTL, s.Expiration, s.Inception, s.Tag)
			if got != "1 13 2 3600 1699966720 1699966464 1234" || string(s.Sig) != "\xaa\xbb" ||
				s.Signer != wire.MustName("example") {
				t.Errorf("%s, signer %s", got, s.Signer.Reveal())
			}
		})
	}
}

// RFC 6840 section 5.1: the signer's name is signed in lower case, however it was sent.
func TestVerifyFoldsTheSigner(t *testing.T) {
	s := signerFor(t, 15, 256)
	record := rr(t, "host.example. A 192.0.2.1")
	sig := &dns.RRSIG{
		Algorithm: 15, KeyTag: s.record.KeyTag(), SignerName: "example.", Inception: 1_700_000_000, Expiration: 1_800_000_000,
	}
	if err := sig.Sign(s.private, []dns.RR{record}); err != nil {
		t.Fatal(err)
	}
	sig.SignerName = "eXamPLE."
	parsed := signatureOf(t, sig)
	if err := parsed.Verify(setOf(t, record), &s.key); err != nil {
		t.Error(err)
	}
}
