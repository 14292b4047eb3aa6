package dnssec

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A TrustAnchor is a DS or DNSKEY record that is trusted because the operator says so.
type TrustAnchor struct {
	Zone  wire.Name
	Type  wire.Type // DS or DNSKEY
	RDATA string    // wire form
}

// Why a text is no trust anchor.
var (
	errAnchorForm    = errors.New(`is not a DS or DNSKEY record such as ". IN DS 20326 8 2 E06D..."`)
	errAnchorKey     = errors.New("is not the key of a zone: its flags are 257 or 256, its protocol is 3")
	errAnchorRevoked = errors.New("is a revoked key")
)

// ParseTrustAnchor reads a record in presentation form (RFC 4034 sections 2.2 and 5.3); TTL and class may be left out.
func ParseTrustAnchor(text string) (TrustAnchor, error) {
	record, err := parseRecord(text)
	if err != nil {
		return TrustAnchor{}, err
	}
	buf := make([]byte, dns.Len(record)+1)
	end, err := dns.PackRR(record, buf, 0, nil, false)
	if err != nil {
		return TrustAnchor{}, errAnchorForm
	}
	zone, err := wire.NameFromWire(buf)
	if err != nil {
		return TrustAnchor{}, errAnchorForm
	}
	const fixed = 10 // type, class, TTL and length (RFC 1035 section 3.2.1)
	t := TrustAnchor{Zone: zone, Type: wire.Type(record.Header().Rrtype), RDATA: string(buf[zone.Len()+fixed : end])}
	return t, t.check()
}

// parseRecord takes exactly one record, and no directive: $INCLUDE would open a file.
func parseRecord(text string) (dns.RR, error) {
	zp := dns.NewZoneParser(strings.NewReader(text+"\n"), ".", "")
	zp.SetDefaultTTL(0)
	record, ok := zp.Next()
	if !ok || record.Header().Class != dns.ClassINET {
		return nil, errAnchorForm
	}
	if t := record.Header().Rrtype; t != dns.TypeDS && t != dns.TypeDNSKEY {
		return nil, errAnchorForm
	}
	if _, more := zp.Next(); more || zp.Err() != nil {
		return nil, errAnchorForm
	}
	return record, nil
}

// check refuses what could never be trusted. An algorithm or digest type that is not supported is no mistake: the anchor is
// then as good as none.
func (t *TrustAnchor) check() error {
	rdata := []byte(t.RDATA)
	if t.Type == wire.TypeDS {
		if _, ok := ParseDS(rdata); !ok {
			return errAnchorForm
		}
		return nil
	}
	switch k, ok := ParseKey(rdata); {
	case !ok:
		return errAnchorForm
	case !k.IsZoneKey():
		return errAnchorKey
	case k.IsRevoked(): // RFC 5011 section 2.1
		return errAnchorRevoked
	}
	return nil
}

// IsVain reports whether no key can ever match the anchor, because its digest is not as long as its type asks for. Its
// zone is bogus then: what was meant is not known, and to believe without it would be worse.
func (t *TrustAnchor) IsVain() bool {
	if t.Type != wire.TypeDS {
		return false
	}
	ds, _ := ParseDS([]byte(t.RDATA))
	size := digestSizes[ds.DigestType]
	return size != 0 && size != len(ds.Digest)
}

var digestSizes = map[uint8]int{digestSHA1: 20, digestSHA256: 32, digestSHA384: 48}

// text is the presentation form without TTL and class. It is for files of the operator's own.
func (t *TrustAnchor) text() string {
	rdata := []byte(t.RDATA)
	if t.Type == wire.TypeDS {
		ds, _ := ParseDS(rdata)
		return fmt.Sprintf("%s DS %d %d %d %s", t.Zone.Reveal(), ds.Tag, ds.Algorithm, ds.DigestType,
			strings.ToUpper(hex.EncodeToString(ds.Digest)))
	}
	k, _ := ParseKey(rdata)
	return fmt.Sprintf("%s DNSKEY %d %d %d %s", t.Zone.Reveal(), k.Flags, k.Protocol, k.Algorithm,
		base64.StdEncoding.EncodeToString(k.PublicKey))
}

// RootAnchors returns the root's trust anchors, KSK-2017 (20326) and KSK-2024 (38696), as IANA publishes them (RFC 9718).
func RootAnchors() []TrustAnchor {
	anchors := make([]TrustAnchor, len(rootAnchors))
	for i, text := range rootAnchors {
		var err error
		if anchors[i], err = ParseTrustAnchor(text); err != nil {
			panic("dnssec: built-in trust anchor: " + err.Error())
		}
	}
	return anchors
}

// rootAnchors holds each key and its digest; they were taken from different files, and a test holds them together.
var rootAnchors = []string{
	". DNSKEY 257 3 8 " +
		"AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kv" +
		"ArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+e" +
		"oZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwN" +
		"R1AkUTV74bU=",
	". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". DNSKEY 257 3 8 " +
		"AwEAAa96jeuknZlaeSrvyAJj6ZHv28hhOKkx3rLGXVaC6rXTsDc449/cidltpkyGwCJNnOAlFNKF2jBosZBU5eeHspaQWOmOElZsjICMQMC3aeHb" +
		"GiShvZsx4wMYSjH8e7Vrhbu6irwCzVBApESjbUdpWWmEnhathWu1jo+siFUiRAAxm9qyJNg/wOZqqzL/dL/q8PkcRU5oUKEpUge71M3ej2/7CPqp" +
		"dVwuMoTvoB+ZOT4YeGyxMvHmbrxlFzGOHOijtzN+u1TQNatX2XBuzZNQ1K+s2CXkPIZo7s6JgZyvaBevYtxPvYLw4z9mR7K2vaF18UYH9Z9GNUUe" +
		"ayffKC73PYc=",
	". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
}
