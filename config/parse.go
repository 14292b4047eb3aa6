package config

import (
	"errors"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tacit/internal/wire"
)

// What is wrong with a value. The value itself is not repeated: the place is known, and an error holds no name or
// address.
var (
	errListen   = errors.New("is not an address and port such as 127.0.0.1:5335, [::1]:53, or :53 for all addresses")
	errServer   = errors.New("is not an address such as 192.0.2.53, 192.0.2.53:5335 or [2001:db8::53]:53")
	errPrefix   = errors.New("is not a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address")
	errName     = errors.New("is not a domain name")
	errSize     = errors.New(`is not a size such as "256MiB", "1GiB" or "1000000"`)
	errDuration = errors.New(`is not a time such as "30s", "90m" or "24h"`)
	errTime     = errors.New(`is not a time of RFC 3339 such as "2026-01-31T12:00:00Z"`)
	errHost     = errors.New("is not a host name such as dns.example.net")
	errMDNS     = errors.New("is a name of multicast DNS, which no certificate and no resolver can have (RFC 6762)")
	errProtocol = errors.New("is not a protocol of ALPN such as h2, of at most 255 octets")
	errInfoURL  = errors.New("is not a URL such as https://dns.example.net/about, of at most 247 characters (RFC 9606 section 5)")
)

// parseProtocol reads a protocol of ALPN (RFC 7301 section 3.1).
func parseProtocol(s string) (string, error) {
	if s == "" || len(s) > math.MaxUint8 {
		return "", errProtocol
	}
	return s, nil
}

// one sets a single text.
func one[T any](k *checker, v value, parse func(string) (T, error)) T {
	parsed, err := parse(v.text)
	if err != nil {
		k.fail(v.at, "%v", err)
	}
	return parsed
}

// all sets a list.
func all[T any](k *checker, v value, parse func(string) (T, error)) []T {
	parsed := make([]T, len(v.elements))
	for i, e := range v.elements {
		parsed[i] = one(k, e, parse)
	}
	return parsed
}

// some sets a list that must not be empty.
func some[T any](k *checker, v value, parse func(string) (T, error)) []T {
	if len(v.elements) == 0 {
		k.fail(v.at, "is empty")
	}
	return all(k, v, parse)
}

// allListen sets a list of listen addresses. A port alone stands for the wildcards of both families.
func allListen(k *checker, v value) []netip.AddrPort {
	var listed []netip.AddrPort
	for _, e := range v.elements {
		a := one(k, e, parseListen)
		if strings.HasPrefix(e.text, ":") {
			listed = append(listed, netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()))
		}
		if a.Port() != 0 && slices.Contains(listed, a) {
			k.fail(e.at, "is listed twice")
		}
		listed = append(listed, a)
	}
	return listed
}

func parsePlain(s string) (string, error) {
	if filepath.IsAbs(s) {
		return s, nil
	}
	a, err := parseListen(s)
	if err != nil || strings.HasPrefix(s, ":") {
		return "", errPlain
	}
	return a.String(), nil
}

var errPlain = errors.New("is neither an address and a port, 127.0.0.1:8080, nor the absolute path of a socket")

func parseListen(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		s = "[::]" + s
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, errListen
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 53), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, errServer
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, errPrefix
	}
	if p.Masked() != p {
		return p, errors.New("has bits set behind its length")
	}
	if p.Addr().Is4In6() { // clients are compared unmapped; a shorter prefix than /96 has bits set behind its length
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

func parseName(s string) (wire.Name, error) {
	n, err := wire.ParseName(s)
	if err != nil {
		return n, errName
	}
	return n, nil
}

type zoneOrAddress struct {
	zone    wire.Name
	address netip.Addr
}

var errZoneOrAddress = errors.New("is neither a zone, such as example.com., nor an address, such as 192.0.2.53")

// parseZoneOrAddress takes no name for a zone that may be meant to be an address.
func parseZoneOrAddress(s string) (zoneOrAddress, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return zoneOrAddress{address: a.Unmap()}, nil
	}
	name, err := parseName(s)
	if strings.ContainsAny(s, ":/") || strings.TrimRight(s, "0123456789.") == "" && s != "." {
		err = errZoneOrAddress
	}
	return zoneOrAddress{zone: name}, err
}

// parseHost takes the empty text as the absence of a name.
func parseHost(s string) (wire.Name, error) {
	if s == "" {
		return wire.Root, nil
	}
	n, err := wire.ParseName(s)
	switch {
	case err != nil || !wire.IsHostName(s):
		return n, errHost
	case n.Within(multicast):
		return n, errMDNS
	}
	return n, nil
}

var multicast = wire.MustName("local.") // RFC 6762 section 3

// parseInfoURL asks for what fits a character-string of RESINFO behind its key.
func parseInfoURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(s) > 255-len("infourl=") {
		return "", errInfoURL
	}
	return s, nil
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

const minCacheSize = 1 << 20 // below, one large answer would empty a whole shard

func parseSize(s string) (int64, error) {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(s, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/unit.bytes {
			return 0, errSize
		}
		if n*unit.bytes < minCacheSize {
			return 0, errors.New("is less than 1MiB")
		}
		return n * unit.bytes, nil
	}
	return 0, errSize
}

// maxTTL is the largest that fits the field, as RFC 8767 section 4 reads RFC 2181 section 8.
const maxTTL = (1<<31 - 1) * time.Second

func parseTTL(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || d < 0:
		return 0, errDuration
	case d > maxTTL:
		return 0, errors.New("is longer than a TTL can say")
	case d%time.Second != 0:
		return 0, errors.New("is not a whole number of seconds")
	}
	return d, nil
}

// parseLeastTTL leaves 1 to what it means in zone files, and to the API: Auto.
func parseLeastTTL(s string) (time.Duration, error) {
	d, err := parseTTL(s)
	if err == nil && (d < 2*time.Second || d > 24*time.Hour) {
		err = errors.New("is not from 2s to 24h")
	}
	return d, err
}

// parseTime takes the empty text as the clock of the machine.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, errTime
	}
	return t, nil
}

func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return a, errors.New("is not an address such as 203.0.113.10 or 2001:db8::10")
	}
	return a, nil
}
