package dnssec

import (
	"errors"
	"testing"
	"time"

	"tacit/internal/wire"
)

// Keys, digests and signatures that RFCs print. All of them were made by programs that share no code with this one.
func TestPublishedSignatures(t *testing.T) {
	for _, c := range []struct{ clause, key, ds, record, signature string }{
		{
			"RFC 5702 section 6.1: RSA/SHA-256, 512 bits",
			"example.net. DNSKEY 256 3 8 AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Qs8PkxUdp6p/DlUmObdk=",
			"", "www.example.net. A 192.0.2.91",
			"www.example.net. RRSIG A 8 3 3600 20300101000000 20000101000000 9033 example.net. kRCOH6u7l0QGy9qpC9l1sLncJcOKFLJ7GhiUOibu4teYp5VE9RncriShZNz85mwlMgNEacFYK/lPtPiVYP4bwg==",
		},
		{
			"RFC 5702 section 6.2: RSA/SHA-512",
			"example.net. DNSKEY 256 3 10 AwEAAdHoNTOW+et86KuJOWRDp1pndvwb6Y83nSVXXyLA3DLroROUkN6X0O6pnWnjJQujX/AyhqFDxj13tOnD9u/1kTg7cV6rklMrZDtJCQ5PCl/D7QNPsgVsMu1J2Q8gpMpztNFLpPBz1bWXjDtaR7ZQBlZ3PFY12ZTSncorffcGmhOL",
			"", "www.example.net. A 192.0.2.91",
			"www.example.net. RRSIG A 10 3 3600 20300101000000 20000101000000 3740 example.net. tsb4wnjRUDnB1BUi+t6TMTXThjVnG+eCkWqjvvjhzQL1d0YRoOe0CbxrVDYd0xDtsuJRaeUw1ep94PzEWzr0iGYgZBWm/zpq+9fOuagYJRfDqfReKBzMweOLDiNa8iP5g9vMhpuv6OPlvpXwm9Sa9ZXIbNl1MBGk0fthPgxdDLw=",
		},
		{
			"RFC 6605 section 6.1: ECDSA P-256",
			"example.net. DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
			"example.net. DS 55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
			"www.example.net. A 192.0.2.1",
			"www.example.net. RRSIG A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
		},
		{
			"RFC 6605 section 6.2: ECDSA P-384",
			"example.net. DNSKEY 257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
			"example.net. DS 10771 14 4 72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6",
			"www.example.net. A 192.0.2.1",
			"www.example.net. RRSIG A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
		},
		{
			"RFC 8080 section 6.1, erratum 4935: Ed25519",
			"example.com. DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
			"example.com. DS 3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
			"example.com. MX 10 mail.example.com.",
			"example.com. RRSIG MX 15 2 3600 1440021600 1438207200 3613 example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
		},
		{
			"RFC 8080 section 6.1, erratum 4935: Ed25519, second key",
			"example.com. DNSKEY 257 3 15 zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
			"example.com. DS 35217 15 2 401781b934e392de492ec77ae2e15d70f6575a1c0bc59c5275c04ebe80c6614c",
			"example.com. MX 10 mail.example.com.",
			"example.com. RRSIG MX 15 2 3600 1440021600 1438207200 35217 example.com. zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==",
		},
		{
			"RFC 4035 appendix B.6: RSA/SHA-1, expanded from *.w.example",
			"example. DNSKEY 256 3 5 AQOy1bZVvpPqhg4j7EJoM9rI3ZmyEx2OzDBVrZy/lvI5CQePxXHZS4i8dANH4DX3tbHol61ek8EFMcsGXxKciJFHyhl94C+NwILQdzsUlSFovBZsyl/NX6yEbtw/xN9ZNcrbYvgjjZ/UVPZIySFNsgEYvh0z2542lzMKR4Dh8uZffQ==",
			"", "a.z.w.example. MX 1 ai.example.",
			"a.z.w.example. RRSIG MX 5 2 3600 20040509183619 20040409183619 38519 example. OMK8rAZlepfzLWW75Dxd63jy2wswESzxDKG2f9AMN1CytCd10cYISAxfAdvXSZ7xujKAtPbctvOQ2ofO7AZJ+d01EeeQTVBPq4/6KCWhqe2XTjnkVLNvvhnc0u28aoSsG0+4InvkkOHknKxw4kX18MMR34i8lC36SR5xBni8vHI=",
		},
	} {
		t.Run(c.clause, func(t *testing.T) {
			record := rr(t, c.key)
			key, set, sig := keyOf(t, record), setOf(t, rr(t, c.record)), signatureOf(t, rr(t, c.signature))
			if err := sig.Fits(set); err != nil {
				t.Error(err)
			}
			if err := sig.Verify(set, &key); err != nil {
				t.Error(err)
			}
			if err := sig.ValidAt(time.Unix(int64(sig.Inception), 0)); err != nil {
				t.Error(err)
			}
			set.Data[2] ^= 1
			if err := sig.Verify(set, &key); !errors.Is(err, errBadSignature) {
				t.Errorf("altered RDATA: %v", err)
			}
			if c.ds == "" {
				return
			}
			ds, ok := ParseDS(rdataOf(t, rr(t, c.ds)))
			if !ok || !ds.Matches(wire.MustName(record.Header().Name), &key) {
				t.Error("the DS does not match its key")
			}
		})
	}
}

// The trust anchors that IANA publishes for the root.
func TestRootTrustAnchors(t *testing.T) {
	for _, c := range []struct {
		name, key, ds string
		tag           uint16
	}{
		{
			"KSK-2017",
			". DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=",
			". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
			20326,
		},
		{
			"KSK-2024",
			". DNSKEY 257 3 8 AwEAAa96jeuknZlaeSrvyAJj6ZHv28hhOKkx3rLGXVaC6rXTsDc449/cidltpkyGwCJNnOAlFNKF2jBosZBU5eeHspaQWOmOElZsjICMQMC3aeHbGiShvZsx4wMYSjH8e7Vrhbu6irwCzVBApESjbUdpWWmEnhathWu1jo+siFUiRAAxm9qyJNg/wOZqqzL/dL/q8PkcRU5oUKEpUge71M3ej2/7CPqpdVwuMoTvoB+ZOT4YeGyxMvHmbrxlFzGOHOijtzN+u1TQNatX2XBuzZNQ1K+s2CXkPIZo7s6JgZyvaBevYtxPvYLw4z9mR7K2vaF18UYH9Z9GNUUeayffKC73PYc=",
			". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
			38696,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := keyOf(t, rr(t, c.key))
			if key.Tag != c.tag || !key.IsZoneKey() || !key.IsSEP() || key.IsRevoked() {
				t.Errorf("tag %d, flags %d", key.Tag, key.Flags)
			}
			ds, ok := ParseDS(rdataOf(t, rr(t, c.ds)))
			if !ok || !ds.Matches(wire.Root, &key) {
				t.Error("the DS does not match its key")
			}
			if ds.Matches(wire.MustName("example"), &key) {
				t.Error("the DS matches the key of another zone")
			}
			if _, _, ok := parseRSA(key.PublicKey); !ok {
				t.Error("the public key is not taken")
			}
		})
	}
}
