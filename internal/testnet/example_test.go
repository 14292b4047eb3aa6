package testnet_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// A script: build zones, resolve (here: by hand, with a raw client), look at what the servers saw, then at the answer.
// In a test it would stand in a synctest bubble and take no time.
func Example() {
	w := testnet.New(testnet.Options{Seed: 1})
	w.Zone("shop.example.", `
		www    A     203.0.113.80
		alias  CNAME www
	`, testnet.Truncating())

	ask := func(transport testnet.Transport, s *testnet.Server) *dns.Msg {
		conn, err := w.DialContext(context.Background(), string(transport), s.Addresses()[0].String())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		q := new(dns.Msg).SetQuestion("Alias.Shop.example.", dns.TypeA)
		r, _, err := new(dns.Client).ExchangeWithConn(q, &dns.Conn{Conn: conn})
		if err != nil {
			panic(err)
		}
		return r
	}
	ask(testnet.UDP, w.At("."))
	ask(testnet.UDP, w.At("example."))
	ask(testnet.UDP, w.At("shop.example."))
	answer := ask(testnet.TCP, w.At("shop.example."))

	fmt.Println(strings.Join(w.Seen().Script(), "\n"))
	fmt.Println("the root learned", w.SeenAt(".").MaxLabels(), "labels,", w.SeenAt(".")[0].Name)
	for _, rr := range answer.Answer {
		fmt.Println(strings.ReplaceAll(rr.String(), "\t", " "))
	}
	// Output:
	// a.root-servers.example. udp alias.shop.example. A
	// ns1.example. udp alias.shop.example. A
	// ns1.shop.example. udp alias.shop.example. A
	// ns1.shop.example. tcp alias.shop.example. A
	// the root learned 3 labels, Alias.Shop.example.
	// Alias.Shop.example. 3600 IN CNAME www.shop.example.
	// www.shop.example. 3600 IN A 203.0.113.80
}

// A signed script: a chain of trust from the root, a zone that is broken in one way, and a rollover of the root's key.
func Example_signed() {
	w := testnet.New(testnet.Options{Seed: 1})
	w.Zone("shop.example.", "www A 203.0.113.80")
	w.Zone("old.example.", "www A 203.0.113.81")
	w.Sign(testnet.Signing{Split: true}, ".")
	w.Sign(testnet.Signing{Denial: testnet.NSEC3, OptOut: true}, "example.")
	w.Sign(testnet.Signing{Algorithm: dns.ED25519}, "shop.example.")
	w.Spoil("shop.example.", testnet.Expired().At("www.shop.example.", dns.TypeA))

	ask := func(origin, name string, qtype uint16) {
		q := new(dns.Msg).SetQuestion(name, qtype).SetEdns0(testnet.UDPSize, true)
		r := w.Data(origin).Answer(q)
		var types []string
		for _, rr := range append(r.Answer, r.Ns...) {
			types = append(types, dns.TypeToString[rr.Header().Rrtype])
		}
		fmt.Println(name, strings.Join(types, " "))
	}
	ask(".", "www.shop.example.", dns.TypeA)
	ask("example.", "www.shop.example.", dns.TypeA)
	ask("example.", "www.old.example.", dns.TypeA)
	ask("shop.example.", "www.shop.example.", dns.TypeA)

	anchor := strings.Fields(w.Anchor())
	next := w.Data(".").AddKey(testnet.KSK, 0)
	w.Data(".").Keys()[0].Revoke()
	ask(".", ".", dns.TypeDNSKEY)
	fmt.Println(anchor[:4], len(w.Data(".").Keys()), next.DNSKEY().Flags)
	// Output:
	// www.shop.example. NS DS RRSIG
	// www.shop.example. NS DS RRSIG
	// www.old.example. NS NSEC3 RRSIG NSEC3 RRSIG
	// www.shop.example. A RRSIG
	// . DNSKEY DNSKEY DNSKEY RRSIG RRSIG
	// [. IN DS 51775] 3 257
}
