package dnssec

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Whatever a server calls a key, reading and using it ends, and no signature that nobody made verifies.
func FuzzParseKey(f *testing.F) {
	for _, a := range algorithms {
		s := signerFor(f, a.number, a.bits)
		f.Add(s.key.RDATA, signRaw(f, s, []byte("data")))
	}
	long := newBareRSA(f, 512, big.NewInt(65537))
	f.Add(long.key(f, 8).RDATA, make([]byte, 64))
	f.Add([]byte{1, 0, 3, 8, 0, 0, 1, 3, 0xff}, []byte{0})
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, rdata, sig []byte) {
		k, ok := ParseKey(rdata)
		if ok != (len(rdata) > 4) {
			t.Fatalf("%d octets: parsed %v", len(rdata), ok)
		}
		if !ok {
			return
		}
		if !bytes.Equal(k.RDATA, rdata) || !bytes.Equal(k.PublicKey, rdata[4:]) {
			t.Error("the key is not the RDATA")
		}
		// The tag of RSAMD5 is made in another way, and it is not supported. The library has no tag of a key that is longer.
		if k.Algorithm != dns.RSAMD5 && len(rdata) <= dns.DefaultMsgSize {
			if theirs := unpack(t, dns.TypeDNSKEY, rdata); theirs != nil && theirs.(*dns.DNSKEY).KeyTag() != k.Tag {
				t.Errorf("tag %d, want %d", k.Tag, theirs.(*dns.DNSKEY).KeyTag())
			}
		}
		if k.verify([]byte("what nobody signed"), sig) == nil {
			t.Error("verifies")
		}
	})
}

func FuzzParseDS(f *testing.F) {
	s := signerFor(f, 13, 256)
	for _, digest := range []uint8{1, 2, 4} {
		f.Add(rdataOf(f, s.record.ToDS(digest)), s.key.RDATA)
	}
	f.Add([]byte{0, 0, 8}, []byte{1})
	f.Fuzz(func(t *testing.T, rdata, key []byte) {
		d, ok := ParseDS(rdata)
		k, isKey := ParseKey(key)
		if !ok || !isKey {
			return
		}
		if !d.Matches(wire.MustName("example"), &k) {
			return
		}
		theirs := unpack(t, dns.TypeDNSKEY, key)
		if theirs == nil {
			return
		}
		theirs.Header().Name = "example."
		want := theirs.(*dns.DNSKEY).ToDS(d.DigestType)
		if want == nil || !bytes.Equal(rdataOf(t, want), rdata) {
			t.Error("matches, though its digest is another")
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	s := signerFor(f, 15, 256)
	record := rr(f, "host.example. MX 10 Mail.Example.")
	sig := &dns.RRSIG{Algorithm: 15, KeyTag: s.record.KeyTag(), SignerName: "example.", Inception: 1, Expiration: 2}
	if err := sig.Sign(s.private, []dns.RR{record}); err != nil {
		f.Fatal(err)
	}
	good := rdataOf(f, sig)
	f.Add(good, int64(1_700_000_000))
	f.Add(good[:len(good)-64], int64(-1))
	f.Add([]byte("\x00\x01\x0d\x02\x00\x00\x0e\x10\x65\x53\x6f\x00\x65\x53\x6e\x00\x04\xd2\xc0\x00"), int64(1<<32))
	set := setOf(f, record)
	f.Fuzz(func(t *testing.T, rdata []byte, now int64) {
		sig, ok := ParseSignature(rdata)
		if !ok {
			return
		}
		if theirs := unpack(t, dns.TypeRRSIG, rdata); theirs != nil {
			compareSignature(t, &sig, theirs.(*dns.RRSIG))
		}
		made := bytes.Equal(rdata[:18], good[:18]) && bytes.Equal(sig.Sig, good[len(good)-64:])
		if sig.Verify(set, &s.key) == nil && !made {
			t.Error("verifies, though it is not the signature that was made")
		}
		if sig.ValidAt(time.Unix(now, 0)) == nil && int32(sig.Expiration-sig.Inception) < 0 {
			t.Error("valid, though it ends before it begins")
		}
		if sig.Fits(set) == nil && !set.Name.Within(sig.Signer) {
			t.Error("fits, though its signer is elsewhere")
		}
		if wildcard, ok := sig.Wildcard(set.Name); ok && !set.Name.Below(wildcard.Parent()) {
			t.Error("expanded from a wildcard elsewhere")
		}
	})
}

func compareSignature(t *testing.T, ours *Signature, theirs *dns.RRSIG) {
	t.Helper()
	if uint16(ours.Covered) != theirs.TypeCovered || ours.Algorithm != theirs.Algorithm || ours.Labels != theirs.Labels ||
		ours.OriginalTTL != theirs.OrigTtl || ours.Expiration != theirs.Expiration || ours.Inception != theirs.Inception ||
		ours.Tag != theirs.KeyTag || !bytes.Equal(ours.Sig, unbase64(t, theirs.Signature)) {
		t.Errorf("%+v, want %+v", ours, theirs)
	}
}

// Canonical form changes the case of letters and nothing else, and canonical form is its own canonical form.
func FuzzCanonical(f *testing.F) {
	for _, texts := range signedSets {
		for _, record := range rrs(f, texts...) {
			f.Add(record.Header().Rrtype, rdataOf(f, record), []byte("\x01A\x00"))
		}
	}
	for kind := range 70 {
		f.Add(uint16(kind), []byte("\x40ABCDEFGHIJKLMNOPQ\x01A\x00\x01B\x00"), []byte{})
	}
	f.Fuzz(func(t *testing.T, kind uint16, one, other []byte) {
		if len(one) > 65535 || len(other) > 65535 {
			return
		}
		first := wire.AppendCanonical(nil, wire.Type(kind), one)
		if !bytes.Equal(lowered(first), lowered(one)) {
			t.Fatalf("%q became %q", one, first)
		}
		if again := wire.AppendCanonical(nil, wire.Type(kind), first); !bytes.Equal(again, first) {
			t.Errorf("%q became %q the second time", first, again)
		}
		set := wire.RRset{Type: wire.Type(kind), Data: wire.Rdatas(nil).Add(one).Add(other).Add(one)}
		var s scratch
		s.sort(&set)
		if n := len(s.records); n < 1 || n > 2 || n == 2 && bytes.Compare(s.records[0], s.records[1]) >= 0 {
			t.Errorf("order %q", s.records)
		}
		checkCanonical(t, kind, one, first)
	})
}

// lowered folds the letters of ASCII everywhere.
func lowered(b []byte) []byte {
	b = bytes.Clone(b)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// checkCanonical asks miekg/dns about the types that it brings into canonical form.
func checkCanonical(t *testing.T, kind uint16, rdata, got []byte) {
	t.Helper()
	record := unpack(t, kind, rdata)
	if record == nil {
		return
	}
	var names []*string
	switch r := record.(type) {
	case *dns.NS:
		names = []*string{&r.Ns}
	case *dns.MX:
		names = []*string{&r.Mx}
	case *dns.SRV:
		names = []*string{&r.Target}
	case *dns.NAPTR:
		names = []*string{&r.Replacement}
	case *dns.RP:
		names = []*string{&r.Mbox, &r.Txt}
	case *dns.SOA:
		names = []*string{&r.Ns, &r.Mbox}
	default:
		return
	}
	for _, name := range names {
		if *name == "" { // the RDATA ends in front of it, which miekg/dns takes
			return
		}
		*name = dns.CanonicalName(*name)
	}
	if want := rdataOf(t, record); !bytes.Equal(got, want) {
		t.Errorf("type %d: %q, want %q", kind, got, want)
	}
}

// unpack reads RDATA with miekg/dns; nil when it does not, or when it reads something else than what stands there
// (compression pointers, which RDATA here does not have).
func unpack(t *testing.T, kind uint16, rdata []byte) dns.RR {
	t.Helper()
	if len(rdata) == 0 || len(rdata) > 60000 {
		return nil
	}
	header := dns.RR_Header{Name: ".", Rrtype: kind, Class: dns.ClassINET, Rdlength: uint16(len(rdata))}
	record, _, err := dns.UnpackRRWithHeader(header, rdata, 0)
	if err != nil {
		return nil
	}
	buf := make([]byte, dns.Len(record)+len(rdata)+64)
	end, err := dns.PackRR(record, buf, 0, nil, false)
	if err != nil || !bytes.Equal(buf[11:end], rdata) {
		return nil
	}
	return record
}
