//go:build leak

package leak

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// A plan is who asks what, made from a seed: two runs plant the same.
type plan struct {
	seed    uint64
	random  *rand.Rand
	clients []*client
	unused  []*client // of the same shape, used by nobody: what is found of them is chance
	byName  map[string]*client
}

// A class is a group of names that meet the same fate.
type class string

// A way is a transport between a client and tacit.
type way string

const (
	udp     way = "UDP"
	tcp     way = "TCP"
	dot     way = "DoT"
	doh1    way = "DoH, HTTP/1.1"
	doh2    way = "DoH, HTTP/2"
	doh3    way = "DoH, HTTP/3"
	doq     way = "DoQ"
	garbage way = "TLS garbage"
)

var (
	allWays   = []way{udp, tcp, dot, doh1, doh2, doh3, doq}
	encrypted = []way{dot, doh1, doh2, doh3, doq}
)

// A client is one marked name, asked from one marked address in a marked way.
type client struct {
	class   class
	marker  string // the label that exists nowhere else
	name    string // that is asked, in lower case
	asked   string // in the client's letter case
	address netip.Addr
	way     way
	qtype   uint16
	rcodes  []int // that are as planned; nil: no answer is

	id             uint16
	port           uint16 // once it has asked
	prefix         netip.Addr
	cookie, option []byte
	header         string // in the header of its requests over HTTP
	cd, ad, do     bool
	raw            func(packed []byte) []byte // what becomes of the message on the way; nil: nothing
}

// batch says how many names of a class there are and what they look like; %s is the marker.
type batch struct {
	class  class
	count  int
	name   string
	rcodes []int
	ways   []way // nil: all in turn
}

var (
	good     = []int{dns.RcodeSuccess}
	absent   = []int{dns.RcodeNameError}
	failed   = []int{dns.RcodeServerFailure}
	rejected = []int{dns.RcodeRefused}
)

// workload is what is asked before anything is measured.
var workload = []batch{
	{"plain", 60, "%s.plain.com.", good, nil},
	{"deep", 20, "%s.a.b.c.plain.com.", good, nil},
	{"odd", 30, "%s.plain.com.", good, nil},
	{"plaindept", 20, "%s.dept.plain.com.", good, nil},
	{"signed", 60, "%s.signed.com.", good, nil},
	{"signeddept", 20, "%s.dept.signed.com.", good, nil},
	{"absent", 20, "%s.plain.com.", absent, nil},
	{"absentsigned", 20, "%s.signed.com.", absent, nil},
	{"mistyped", 50, "%s.org.", absent, nil},
	{"junk", 50, "printer.%s.lan-%d.", absent, nil},
	{"special", 27, "%s.", []int{dns.RcodeNameError, dns.RcodeSuccess}, nil},
	{"dead", 14, "%s.dead.com.", failed, nil},
	{"lame", 14, "%s.lame.com.", failed, nil},
	{"formerr", 14, "%s.formerr.com.", failed, nil},
	{"servfail", 14, "%s.servfail.com.", failed, nil},
	{"loop", 14, "%s.loop.com.", failed, nil},
	{"bogus", 20, "%s.bogus.com.", failed, nil},
	{"crypt", 60, "%s.crypt.net.", good, nil},
	{"refused", 20, "%s.plain.com.", rejected, nil},
	{"malformed", 42, "%s.plain.com.", []int{dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers, dns.RcodeRefused}, []way{udp, tcp, dot, doh2}},
	{"garbage", 10, "%s.plain.com.", nil, []way{garbage}},
}

// specials are zones that no question about may leave tacit (RFC 6761 and its successors). test. is left to whoever has a root of
// his own, as there is one here.
var specials = []string{
	"onion.", "local.", "alt.", "internal.", "home.arpa.", "10.in-addr.arpa.", "service.arpa.", "invalid.", "d.f.ip6.arpa.",
}

// oddTypes are asked at names that have an address only.
var oddTypes = []uint16{dns.TypeTXT, dns.TypeMX, dns.TypeSRV, dns.TypeHTTPS, dns.TypeCAA, dns.TypeNAPTR, 65400}

// newPlan plants what all audits have, and more.
func newPlan(seed uint64, more ...batch) *plan {
	p := &plan{seed: seed, random: rand.New(rand.NewPCG(seed, 1)), byName: make(map[string]*client)}
	for _, b := range workload {
		p.add(b)
	}
	p.add(batch{"sizes", 60, "%s.sizes.com.", good, encrypted})
	p.add(batch{"snooped", 20, "%s.snooped.com.", good, nil})
	p.add(batch{"fresh", 100, "%s.snooped.com.", good, []way{udp}})
	for _, b := range more {
		p.add(b)
	}
	for _, c := range p.clients {
		twin := *c
		p.mark(&twin)
		p.unused = append(p.unused, &twin)
	}
	return p
}

func (p *plan) add(b batch) {
	ways := b.ways
	if ways == nil {
		ways = allWays
	}
	for i := range b.count {
		c := &client{class: b.class, way: ways[i%len(ways)], qtype: dns.TypeA, rcodes: b.rcodes}
		p.mark(c)
		c.name = strings.Replace(b.name, "%s", c.marker, 1)
		switch b.class {
		case "junk":
			c.name = fmt.Sprintf(b.name, c.marker, i)
		case "special":
			c.name = c.marker + "." + specials[i%len(specials)]
		case "odd":
			c.qtype = oddTypes[i%len(oddTypes)]
		case "sizes":
			c.qtype = dns.TypeTXT
		case "malformed":
			c.raw = malformations[i%len(malformations)]
		case "bogus", "mistyped": // who wants what was not checked is not told what follows from what was
			c.cd = false
		case "panicclients": // see internal/server, tampering_leaktest.go
			octets := c.address.As16()
			c.address = netip.AddrFrom4([4]byte{10, 99, octets[14] | 0x80, octets[15] | 0x80})
		}
		c.asked = p.inCase(c.name)
		p.clients = append(p.clients, c)
		p.byName[c.marker] = c
	}
}

// mark gives a client all that exists nowhere else.
func (p *plan) mark(c *client) {
	const letters = "abcdefghijklmnopqrstuvwxyz" // no digits, which have no case
	first := 26
	if c.class == "mistyped" {
		first = 13 // before ns1: in one span of NSEC
	}
	text := []byte{letters[p.random.IntN(first)]}
	for len(text) < 32 {
		text = append(text, letters[p.random.IntN(26)])
	}
	c.marker, c.header, c.address = string(text[:16]), string(text[16:]), p.address(c.class == "refused")
	c.id = uint16(p.random.Uint32())
	c.prefix = netip.AddrFrom4([4]byte{100, byte(64 + p.random.IntN(64)), byte(p.random.IntN(256)), 0})
	c.cookie, c.option = p.octets(8), p.octets(16)
	c.cd, c.ad, c.do = p.random.IntN(4) == 0, p.random.IntN(2) == 0, p.random.IntN(2) == 0
}

// address is one of IPv6 for each third client. All octets of the others have three digits, so that the text of none is in
// that of another.
func (p *plan) address(refused bool) netip.Addr {
	octet := func() byte { return byte(100 + p.random.IntN(155)) }
	switch {
	case refused:
		return netip.AddrFrom4([4]byte{198, 18, octet(), octet()})
	case p.random.IntN(3) == 0:
		a := [16]byte{0xfd}
		copy(a[1:], p.octets(15))
		a[8] |= 0x10 // no run of zeros, and no leading one
		return netip.AddrFrom16(a)
	default:
		return netip.AddrFrom4([4]byte{10, octet(), octet(), octet()})
	}
}

func (p *plan) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.random.Uint32())
	}
	return b
}

// inCase writes a name in a pattern of letter case.
func (p *plan) inCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && p.random.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// of returns the clients of these classes.
func (p *plan) of(classes ...class) []*client {
	var list []*client
	for _, c := range p.clients {
		for _, wanted := range classes {
			if c.class == wanted {
				list = append(list, c)
			}
		}
	}
	return list
}

// ttl is that of all marked records. That of delegations is longer: tacit keeps nothing of a zone longer than its delegation.
const ttl = 1800

// records are an address for each name of these classes.
func (p *plan) records(classes ...class) string {
	var b strings.Builder
	for _, c := range p.of(classes...) {
		fmt.Fprintf(&b, "%s %d IN A 203.0.113.%d\n", c.name, ttl, 1+p.random.IntN(250))
	}
	return b.String()
}

// loops are two aliases each that lead to each other.
func (p *plan) loops(of class) string {
	var b strings.Builder
	for _, c := range p.of(of) {
		fmt.Fprintf(&b, "%[1]s 300 IN CNAME x.%[1]s\nx.%[1]s 300 IN CNAME %[1]s\n", c.name)
	}
	return b.String()
}

// sizes are texts of as many lengths as there are names.
func (p *plan) sizes(of class) string {
	var b strings.Builder
	for i, c := range p.of(of) {
		fmt.Fprintf(&b, "%s 300 IN TXT \"%s\"\n", c.name, strings.Repeat("t", 10+4*i))
	}
	return b.String()
}

// message is what the client sends, before raw.
func (c *client) message() *dns.Msg {
	m := new(dns.Msg).SetQuestion(c.asked, c.qtype)
	m.Id, m.CheckingDisabled, m.AuthenticatedData = c.id, c.cd, c.ad
	if c.way == doq { // RFC 9250 section 4.2.1
		m.Id = 0
	}
	o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	o.SetUDPSize(1232)
	o.SetDo(c.do)
	o.Option = []dns.EDNS0{
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: c.prefix.AsSlice()},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: fmt.Sprintf("%x", c.cookie)},
		&dns.EDNS0_LOCAL{Code: 65001, Data: c.option},
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID},
	}
	m.Extra = []dns.RR{o}
	return m
}

// malformations are what goes wrong with messages, one for each way to be wrong.
var malformations = []func(packed []byte) []byte{
	func(p []byte) []byte { return p[:len(p)-9] },                   // cut in the OPT record
	func(p []byte) []byte { return p[:12+20] },                      // cut in the name
	func(p []byte) []byte { p[2] |= 2 << 3; return p },              // opcode STATUS
	func(p []byte) []byte { p[2] |= 6 << 3; return p },              // opcode DSO
	func(p []byte) []byte { p[5] = 2; return p },                    // two questions announced
	func(p []byte) []byte { p[2] |= 0x80; return p },                // a response
	func(p []byte) []byte { return append(p, 1, 2, 3, 4, 5, 6, 7) }, // more than was announced
}
