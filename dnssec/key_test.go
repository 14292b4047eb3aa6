package dnssec

import (
	"slices"
	"testing"

	"tacit/internal/wire"
)

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		clause, rdata            string
		ok, zone, entry, revoked bool
	}{
		{"RFC 4034 section 2.1.1: bit 7 is the Zone Key flag", "0100 03 0d aa", true, true, false, false},
		{"RFC 4034 section 2.1.1: bit 15 is the Secure Entry Point flag", "0101 03 0d aa", true, true, true, false},
		{"RFC 4034 section 2.1.1: bit 7 clear: not a zone key", "0001 03 0d aa", true, false, true, false},
		{"RFC 4034 section 2.1.2: protocol 2", "0101 02 0d aa", true, false, true, false},
		{"RFC 5011 section 7: bit 8 is the REVOKE flag", "0181 03 0d aa", true, true, true, true},
		{"unknown flags are ignored", "fe7e 03 0d aa", true, false, false, false},
		{"no public key", "0101 03 0d", false, false, false, false},
		{"cut in the flags", "01", false, false, false, false},
		{"empty", "", false, false, false, false},
	} {
		t.Run(c.clause, func(t *testing.T) {
			rdata := unhex(t, c.rdata)
			k, ok := ParseKey(rdata)
			if ok != c.ok {
				t.Fatalf("parsed: %v", ok)
			}
			if k.IsZoneKey() != c.zone || k.IsSEP() != c.entry || k.IsRevoked() != c.revoked {
				t.Errorf("zone %v, entry %v, revoked %v", k.IsZoneKey(), k.IsSEP(), k.IsRevoked())
			}
			if ok && (string(k.RDATA) != string(rdata) || string(k.PublicKey) != "\xaa" || k.Algorithm != 13) {
				t.Errorf("key %+v", k)
			}
		})
	}
}

func TestKeyTag(t *testing.T) {
	// RFC 4034 section 5.4
	text := "dskey.example.com. DNSKEY 256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZ" +
		"DRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw=="
	key := keyOf(t, rr(t, text))
	if key.Tag != 60485 {
		t.Errorf("tag %d, want 60485", key.Tag)
	}
	ds, _ := ParseDS(rdataOf(t, rr(t, "dskey.example.com. DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118")))
	if !ds.Matches(wire.MustName("DSKEY.example.com"), &key) {
		t.Error("the DS of the same section does not match")
	}
	// The longest RDATA, all ones: the sum must not overflow.
	long := make([]byte, 65535)
	for i := range long {
		long[i] = 0xff
	}
	if got, want := keyTag(long), uint16(0xff00); got != want {
		t.Errorf("tag of 65,535 ones %#x, want %#x", got, want)
	}
	for _, a := range algorithms {
		s := signerFor(t, a.number, a.bits)
		if s.key.Tag != s.record.KeyTag() {
			t.Errorf("%s: tag %d, want %d", a.name, s.key.Tag, s.record.KeyTag())
		}
	}
}

func TestDSMatches(t *testing.T) {
	s := signerFor(t, 13, 256)
	owner := wire.MustName("example")
	for _, c := range []struct {
		clause string
		digest uint8
		change func(*DS)
		want   bool
	}{
		{"RFC 4034 appendix A.2: SHA-1", 1, func(*DS) {}, true},
		{"RFC 4509: SHA-256", 2, func(*DS) {}, true},
		{"RFC 6605 section 2: SHA-384", 4, func(*DS) {}, true},
		{"RFC 4034 section 5.2: key tag of another key", 2, func(d *DS) { d.Tag++ }, false},
		{"RFC 4034 section 5.2: algorithm of another key", 2, func(d *DS) { d.Algorithm++ }, false},
		{"digest altered at its end", 2, func(d *DS) { d.Digest[31] ^= 1 }, false},
		{"digest altered at its start", 4, func(d *DS) { d.Digest[0] ^= 0x80 }, false},
		{"RFC 6840 section 5.2 leaves no room for shortened digests", 2, func(d *DS) { d.Digest = d.Digest[:20] }, false},
		{"digest with something behind it", 1, func(d *DS) { d.Digest = append(d.Digest, 0) }, false},
		{"digest of another type", 1, func(d *DS) { d.DigestType = 2 }, false},
		{"GOST", 2, func(d *DS) { d.DigestType = 3 }, false},
	} {
		t.Run(c.clause, func(t *testing.T) {
			d, ok := ParseDS(rdataOf(t, s.record.ToDS(c.digest)))
			if !ok {
				t.Fatal("not a DS")
			}
			c.change(&d)
			if got := d.Matches(owner, &s.key); got != c.want {
				t.Errorf("matches: %v", got)
			}
		})
	}
	for _, short := range []string{"", "ec", "ec450d", "ec450d02"} {
		if _, ok := ParseDS(unhex(t, short)); ok {
			t.Errorf("%d octets are taken for a DS", len(short)/2)
		}
	}
}

func TestSupported(t *testing.T) {
	algorithms := []int{5, 7, 8, 10, 13, 14, 15}
	digests := []int{1, 2, 4}
	for n := range 256 {
		if got, want := SupportedAlgorithm(uint8(n)), slices.Contains(algorithms, n); got != want {
			t.Errorf("algorithm %d: %v", n, got)
		}
		if got, want := UsesSHA1(uint8(n)), n == 5 || n == 7; got != want {
			t.Errorf("algorithm %d with SHA-1: %v", n, got)
		}
		if got, want := SupportedDigest(uint8(n)), slices.Contains(digests, n); got != want {
			t.Errorf("digest type %d: %v", n, got)
		}
	}
}
