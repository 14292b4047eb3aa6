package server

import (
	"strconv"
	"strings"

	"tacit/internal/wire"
)

// typeNames are those that an operator is likely to ask for; all others go by TYPE and number (RFC 3597 section 5).
var typeNames = map[wire.Type]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC", 33: "SRV",
	35: "NAPTR", 39: "DNAME", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM",
	52: "TLSA", 53: "SMIMEA", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 64: "SVCB",
	65: "HTTPS", 99: "SPF", 256: "URI", 257: "CAA", 261: "RESINFO",
}

func typeText(t wire.Type) string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return "TYPE" + strconv.Itoa(int(t))
}

func parseType(text string) (wire.Type, bool) {
	text = strings.ToUpper(text)
	for t, name := range typeNames {
		if name == text {
			return t, true
		}
	}
	number, ok := strings.CutPrefix(text, "TYPE")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 16)
	return wire.Type(n), err == nil
}
