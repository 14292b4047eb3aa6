package lab

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"

	"tacit/internal/server"
)

// A Lesson is one question to ask the tacit in front of the lab, and what comes of it. A test asks every one of them.
type Lesson struct {
	Shows   string
	Name    string
	Type    string
	Class   string // empty: IN
	Options string // of kdig and dig alike
	Over    Transport

	// What is promised.
	Rcode   string
	Answer  []string // "TYPE data", in any order; several kB of data are only counted
	Records int      // of the answer section
	EDE     uint16   // 0: none
	Stream  bool     // the client has to come back over TCP
	Silent  bool     // no name server is asked
	Secure  bool     // the flag AD says that the answer was validated
}

// A Transport is how a lesson is asked; the zero value is plain DNS.
type Transport uint8

// Transports.
const (
	Plain Transport = iota
	TLS
	HTTPS
	QUIC
)

// A Front is where the tacit in front of the lab listens.
type Front struct {
	Plain, TLS, HTTPS, QUIC netip.AddrPort
	Pin                     string // of the key behind the encrypted ones, see certificate.Pin
}

// FrontOf is where a server listens that runs with the lab's configuration.
func FrontOf(s *server.Server) *Front {
	var f Front
	for _, e := range s.Endpoints() {
		switch e.Transport {
		case "udp":
			f.Plain = e.Addr
		case "tls":
			f.TLS = e.Addr
		case "https":
			f.HTTPS = e.Addr
		case "quic":
			f.QUIC = e.Addr
		}
	}
	for _, c := range s.Certificates() {
		f.Pin = c.Pin
	}
	return &f
}

func (f *Front) at(t Transport) netip.AddrPort {
	return [...]netip.AddrPort{Plain: f.Plain, TLS: f.TLS, HTTPS: f.HTTPS, QUIC: f.QUIC}[t]
}

var lessons = []Lesson{
	{
		Shows: "A plain answer: the root, com and example.com are asked in turn, and each learns one label more.",
		Name:  "www.example.com", Type: "A", Rcode: "NOERROR", Answer: []string{"A 192.0.2.80"},
	},
	{
		Shows: "The same again comes from memory; the TTL counts down.",
		Name:  "www.example.com", Type: "A", Rcode: "NOERROR", Answer: []string{"A 192.0.2.80"}, Silent: true,
	},
	{
		Shows: "A CNAME that leads from com into example: what com's servers say of the target does not count, it is asked for again.",
		Name:  "shop.example.com", Type: "A", Rcode: "NOERROR", Answer: []string{"CNAME www.store.example.", "A 203.0.113.80"},
	},
	{
		Shows: "A DNAME: all of moved.example is now below example.org (RFC 6672).",
		Name:  "library.moved.example", Type: "A", Rcode: "NOERROR",
		Answer: []string{"DNAME example.org.", "CNAME library.example.org.", "A 198.51.100.81"},
	},
	{
		Shows: "A wildcard (RFC 4592): any name there has this record.",
		Name:  "anything.at.all.wild.example", Type: "TXT", Rcode: "NOERROR", Answer: []string{`TXT "whatever you ask for"`},
	},
	{
		Shows: "A name that does not exist.",
		Name:  "nowhere.example.com", Type: "A", Rcode: "NXDOMAIN",
	},
	{
		Shows: "Nothing can exist below it, so this one costs no query at all (RFC 8020).",
		Name:  "cellar.nowhere.example.com", Type: "AAAA", Rcode: "NXDOMAIN", Silent: true,
	},
	{
		Shows: "A name that has no such type. The signed proof that nowhere.example.com does not exist said so, too: no server is asked (RFC 8198).",
		Name:  "mail.example.com", Type: "AAAA", Rcode: "NOERROR", Silent: true,
	},
	{
		Shows: "One of the two servers of this zone is lame and says REFUSED; the other one answers.",
		Name:  "www.half.example", Type: "A", Rcode: "NOERROR", Answer: []string{"A 203.0.113.5"},
	},
	{
		Shows: "A zone whose servers are known by name only: their address is looked up first.",
		Name:  "www.glueless.example", Type: "A", Rcode: "NOERROR", Answer: []string{"A 203.0.113.8"},
	},
	{
		Shows: "Two zone cuts below the TLD, and empty names on the way.",
		Name:  "a.b.c.cellar.deep.example", Type: "A", Rcode: "NOERROR", Answer: []string{"A 203.0.113.7"},
	},
	{
		Shows: "An answer of 4 kB does not fit a datagram: the client is told so and comes back over TCP.",
		Name:  "big.example", Type: "TXT", Rcode: "NOERROR", Records: 20, Stream: true,
	},
	{
		Shows: "A zone of which every server is lame: SERVFAIL, and an extended error that says why (RFC 8914).",
		Name:  "www.broken.example", Type: "A", Options: "+edns", Rcode: "SERVFAIL", EDE: 22,
	},
	{
		Shows: "A name of the local network (RFC 6762) does not leave the house, and no server learns of your printer.",
		Name:  "printer.local", Type: "A", Options: "+edns", Rcode: "NXDOMAIN", Silent: true,
	},
	{
		Shows: "Nobody is told which program this is.",
		Name:  "version.bind", Type: "TXT", Class: "CH", Rcode: "REFUSED", Silent: true,
	},
	{
		Shows: "A signed name: the flag ad says that a chain of signatures leads to it from the lab's own trust anchor (RFC 4035).",
		Name:  "www.example.org", Type: "A", Options: "+adflag", Rcode: "NOERROR", Answer: []string{"A 198.51.100.80"}, Secure: true,
	},
	{
		Shows: "That a name does not exist is signed, too.",
		Name:  "nowhere.example.org", Type: "A", Options: "+adflag", Rcode: "NXDOMAIN", Secure: true,
	},
	{
		Shows: "An unsigned zone: the zone above proves that it is not signed, and nothing is promised.",
		Name:  "www.half.example", Type: "AAAA", Options: "+adflag", Rcode: "NOERROR",
	},
	broken("Zones that are broken, one way each; the extended error says how. Here the signatures have expired.", "www.expired.example", 7),
	broken("Signatures that are not valid yet.", "www.early.example", 8),
	broken("Signed with a key that the zone does not publish.", "www.stranger.example", 9),
	broken("An address that was altered after signing.", "www.altered.example", 6),
	broken("No signature, where the zone above says that there must be one.", "www.bare.example", 10),
	broken("A name that is said not to exist, without the NSEC that would prove it.", "nowhere.below.unproven.example", 12),
	broken("Keys that the zone above does not vouch for.", "www.replaced.example", 9),
	broken("A signature made for fewer labels than its signer has.", "www.short.example", 6),
	broken("An NSEC whose next name lies outside the zone.", "nowhere.www.outside.example", 12),
	broken("A wildcard's answer for a name that exists.", "www.replayed.example", 12),
	{
		Shows: "The same with checking disabled: whoever asks so wants to see for himself.",
		Name:  "www.expired.example", Type: "A", Options: "+cdflag", Rcode: "NOERROR", Answer: []string{"A 192.0.2.66"}, Silent: true,
	},
	{
		Shows: "2,500 iterations of NSEC3 are more than a denial is worth: insecure, not bogus (RFC 9276).",
		Name:  "nowhere.costly.example", Type: "A", Options: "+edns", Rcode: "NXDOMAIN", EDE: 27,
	},
	{
		Shows: "A slow server; ask twice to see what remembering is good for.",
		Name:  "www.slow.example", Type: "A", Rcode: "NOERROR", Answer: []string{"A 203.0.113.9"},
	},
	{
		Shows: "A zone that tacit serves itself: blog is proxied, so its address is the edge's, and its own is nowhere to be seen.",
		Name:  "blog.example.net", Type: "A", Rcode: "NOERROR", Answer: []string{"A 203.0.113.10"}, Silent: true,
	},
	{
		Shows: "The edge has IPv6, too, whatever blog has.",
		Name:  "blog.example.net", Type: "AAAA", Rcode: "NOERROR", Answer: []string{"AAAA 2001:db8::10"}, Silent: true,
	},
	{
		Shows: "And its HTTPS record says what the edge speaks (RFC 9460).",
		Name:  "blog.example.net", Type: "HTTPS", Rcode: "NOERROR", Silent: true,
		Answer: []string{`HTTPS 1 . alpn="h2" ipv4hint="203.0.113.10" ipv6hint="2001:db8::10"`},
	},
	{
		Shows: "shop is not proxied: DNS only.",
		Name:  "shop.example.net", Type: "A", Rcode: "NOERROR", Answer: []string{"A 192.0.2.2"}, Silent: true,
	},
	again("The first name again, over TLS, from the same memory. kdig asks nobody whose key has another hash than this pin.", TLS),
	again("Over HTTPS. The answer is padded to 468 octets, as all that are encrypted, so that its length says nothing.", HTTPS),
	again("And over QUIC.", QUIC),
}

// again is the first lesson over another transport.
func again(shows string, over Transport) Lesson {
	return Lesson{
		Shows: shows, Over: over,
		Name: "www.example.com", Type: "A", Rcode: "NOERROR", Answer: []string{"A 192.0.2.80"}, Silent: true,
	}
}

func broken(shows, name string, code uint16) Lesson {
	return Lesson{Shows: shows, Name: name, Type: "A", Options: "+edns", Rcode: "SERVFAIL", EDE: code}
}

// Lessons returns what the lab has to show, in an order in which it works.
func (l *Lab) Lessons() []Lesson { return lessons }

// Command is the lesson as a line for a shell; tool is kdig or dig. Only kdig knows pins, and +tls-pin turns it to DNS over TLS,
// so that another transport has to come after it.
func (x *Lesson) Command(tool string, f *Front) string {
	if x.Over != Plain {
		tool = "kdig"
	}
	at := f.at(x.Over)
	line := tool + " @" + at.Addr().String() + " -p " + strconv.Itoa(int(at.Port()))
	switch x.Over {
	case TLS:
		line += " +tls-pin=" + f.Pin
	case HTTPS:
		line += " +tls-pin=" + f.Pin + " +https"
	case QUIC:
		line += " +tls-pin=" + f.Pin + " +quic"
	case Plain:
	}
	line += " " + x.Name
	if x.Class != "" {
		line += " " + x.Class
	}
	line += " " + x.Type
	if x.Options != "" {
		line += " " + x.Options
	}
	return line
}

// WriteGuide writes the lines to copy and what they show. Program is how this program was called.
func (l *Lab) WriteGuide(w io.Writer, f *Front, tool, program string) error {
	_, err := fmt.Fprintf(w, "tacit listens on %v, in front of a small internet: root, three TLDs and two dozen zones, all in this process.\n"+
		"Try these in another terminal, in this order; dig takes the same arguments as kdig. Ctrl-C ends the lab.\n", f.Plain)
	for _, x := range lessons {
		if err == nil {
			_, err = fmt.Fprintf(w, "\n# %s\n%s\n", x.Shows, x.Command(tool, f))
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "\n# Every step of a resolution: who was asked, and what each server learned.\n%s trace --lab www.example.com\n", program)
	}
	return err
}

// WriteRootLine writes how to ask the lab's own root server, which answers only when Listen succeeded.
func (l *Lab) WriteRootLine(w io.Writer, tool string) error {
	root := l.Root()
	_, err := fmt.Fprintf(w, "\n# The lab's root server itself: a referral.\n%s @%v -p %d +norec www.example.com A\n", tool, root.Addr(), root.Port())
	return err
}
