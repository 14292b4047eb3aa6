package resolver

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

//go:embed root.hints
var rootHints string

// ErrNoHints is returned for root hints that name no server with an address.
var ErrNoHints = errors.New("no root server with an address")

// maxHintRecords bounds a file that only looks like hints: the real one has 39 records, and one line with $GENERATE
// stands for 65,535.
const maxHintRecords = 4096

// ParseHints reads root hints in zone-file form (RFC 9609 section 2): NS records of the root and the addresses of the
// servers that they name.
func ParseHints(r io.Reader) ([]Hint, error) {
	zp := dns.NewZoneParser(r, ".", "")
	zp.SetDefaultTTL(3600000) // nobody reads it, but files leave it out
	records := 0
	var order []wire.Name
	addresses := map[wire.Name][]netip.Addr{}
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		if records++; records > maxHintRecords {
			return nil, ErrNoHints
		}
		switch rr := rr.(type) {
		case *dns.NS:
			name, err := wire.ParseName(rr.Ns)
			if err != nil || rr.Hdr.Name != "." {
				return nil, fmt.Errorf("NS record of another zone than the root, or of no name")
			}
			order = append(order, name)
		case *dns.A, *dns.AAAA:
			name, err := wire.ParseName(rr.Header().Name)
			if err != nil {
				return nil, err
			}
			addr, err := address(rr)
			if err != nil {
				return nil, err
			}
			addresses[name] = append(addresses[name], addr)
		}
	}
	if err := zp.Err(); err != nil {
		return nil, err
	}
	var hints []Hint
	for _, name := range order {
		if len(addresses[name]) > 0 {
			hints = append(hints, Hint{name, addresses[name]})
		}
	}
	if len(hints) == 0 {
		return nil, ErrNoHints
	}
	return hints, nil
}

// BuiltinHints returns the root servers that IANA publishes.
func BuiltinHints() []Hint {
	hints, err := ParseHints(strings.NewReader(rootHints))
	if err != nil {
		panic("resolver: built-in root hints: " + err.Error())
	}
	return hints
}

// address returns the address in an A or AAAA record.
func address(rr dns.RR) (netip.Addr, error) {
	var octets []byte
	switch rr := rr.(type) {
	case *dns.A:
		octets = rr.A.To4()
	case *dns.AAAA:
		octets = rr.AAAA.To16()
	}
	addr, ok := netip.AddrFromSlice(octets)
	if !ok {
		return netip.Addr{}, errors.New("address record without an address")
	}
	return addr, nil
}
