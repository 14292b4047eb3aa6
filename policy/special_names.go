package policy

import "tacit/internal/wire"

// A specialName is a row of the table below.
type specialName struct {
	name string
	// first and last, when last is not 0, stand for the names first.name to last.name.
	first, last int
	kind        kind
	reference   string
	// parent is set where a DS question with DO set is the parent's to answer.
	parent bool
	data   []specialData
}

// specialData is a record set inside a special-use zone.
type specialData struct {
	owner string
	kind  wire.Type
	rdata []string // in wire form
}

// A kind is how a special-use zone answers.
type kind uint8

const (
	// empty is a zone with nothing but SOA and NS at its apex (RFC 6303 section 3), and its data where it has some.
	empty kind = iota
	// absent is a zone that does not even exist: NXDOMAIN from the apex on. That NXDOMAIN includes SOA questions for
	// local. is what keeps multicast DNS working: hosts take any other answer for a unicast zone of that name.
	absent
	// hollow is a zone in which each name exists and none has data.
	hollow
	// loopback is a zone in which each name has the loopback addresses.
	loopback
)

const (
	hexZeros31 = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
	loopback6  = "1." + hexZeros31 + ".ip6.arpa."
)

// specialNames are the rows of two IANA registries, Special-Use Domain Names and Locally-Served DNS Zones, that a
// resolver treats in a way of its own. Not here are example., example.com., example.net. and example.org., which
// resolvers do not recognize as special (RFC 6761 section 6.5, item 4), and corp., home. and mail., which ICANN does
// not delegate but which nobody has reserved.
var specialNames = []specialName{
	{
		name: "localhost.", kind: loopback, reference: "RFC 6761 section 6.3",
		data: []specialData{
			{"localhost.", wire.TypeA, []string{"\x7f\x00\x00\x01"}},
			{"localhost.", wire.TypeAAAA, []string{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"}},
		},
	},
	{name: "invalid.", kind: absent, reference: "RFC 6761 section 6.4"},
	{name: "test.", kind: absent, reference: "RFC 6761 section 6.2"},
	{name: "local.", kind: absent, reference: "RFC 6762 section 22.1"},
	{name: "onion.", kind: absent, reference: "RFC 7686 section 2"},
	{name: "alt.", kind: absent, reference: "RFC 9476 section 2"},
	{name: "internal.", kind: absent, reference: "ICANN board resolution of 29 July 2024"},

	{name: "home.arpa.", reference: "RFC 8375 section 4", parent: true},
	{name: "service.arpa.", reference: "RFC 9665 section 8.4", parent: true},
	{name: "resolver.arpa.", kind: hollow, reference: "RFC 9462 section 4"},
	{name: "6tisch.arpa.", kind: absent, reference: "RFC 9031 section 11"},
	{name: "eap-noob.arpa.", kind: absent, reference: "RFC 9140 section 5.6"},
	{name: "eap.arpa.", kind: absent, reference: "RFC 9965"},
	{
		name: "ipv4only.arpa.", reference: "RFC 8880 section 7.1",
		data: []specialData{{"ipv4only.arpa.", wire.TypeA, []string{"\xc0\x00\x00\xaa", "\xc0\x00\x00\xab"}}},
	},
	{
		name: "170.0.0.192.in-addr.arpa.", reference: "RFC 8880 section 7.2",
		data: []specialData{{"170.0.0.192.in-addr.arpa.", wire.TypePTR, []string{"\x08ipv4only\x04arpa\x00"}}},
	},
	{
		name: "171.0.0.192.in-addr.arpa.", reference: "RFC 8880 section 7.2",
		data: []specialData{{"171.0.0.192.in-addr.arpa.", wire.TypePTR, []string{"\x08ipv4only\x04arpa\x00"}}},
	},

	{name: "10.in-addr.arpa.", reference: "RFC 6303 section 4.1"},
	{name: "172.in-addr.arpa.", first: 16, last: 31, reference: "RFC 6303 section 4.1"},
	{name: "168.192.in-addr.arpa.", reference: "RFC 6303 section 4.1"},
	{name: "0.in-addr.arpa.", reference: "RFC 6303 section 4.2"},
	{
		name: "127.in-addr.arpa.", reference: "RFC 6303 section 4.2",
		data: []specialData{{"1.0.0.127.in-addr.arpa.", wire.TypePTR, []string{"\x09localhost\x00"}}}, // RFC 1912 section 4.1
	},
	{name: "254.169.in-addr.arpa.", reference: "RFC 6303 section 4.2"},
	{name: "2.0.192.in-addr.arpa.", reference: "RFC 6303 section 4.2"},
	{name: "100.51.198.in-addr.arpa.", reference: "RFC 6303 section 4.2"},
	{name: "113.0.203.in-addr.arpa.", reference: "RFC 6303 section 4.2"},
	{name: "255.255.255.255.in-addr.arpa.", reference: "RFC 6303 section 4.2"},
	{name: "100.in-addr.arpa.", first: 64, last: 127, reference: "RFC 7793"},

	{name: "0." + hexZeros31 + ".ip6.arpa.", reference: "RFC 6303 section 4.3"},
	{
		name: loopback6, reference: "RFC 6303 section 4.3",
		data: []specialData{{loopback6, wire.TypePTR, []string{"\x09localhost\x00"}}},
	},
	{name: "d.f.ip6.arpa.", reference: "RFC 6303 section 4.4"},
	{name: "8.e.f.ip6.arpa.", reference: "RFC 6303 section 4.5"},
	{name: "9.e.f.ip6.arpa.", reference: "RFC 6303 section 4.5"},
	{name: "a.e.f.ip6.arpa.", reference: "RFC 6303 section 4.5"},
	{name: "b.e.f.ip6.arpa.", reference: "RFC 6303 section 4.5"},
	{name: "8.b.d.0.1.0.0.2.ip6.arpa.", reference: "RFC 6303 section 4.6"},
}
