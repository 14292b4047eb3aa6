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
