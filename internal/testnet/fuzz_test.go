package testnet_test

import (
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

// Whatever arrives, a server with every behaviour answers packets that are not longer than allowed, or nothing.
func FuzzHandle(f *testing.F) {
	for _, q := range []*dns.Msg{
		query("www.shop.example.", dns.TypeA), plainQuery("x.old.shop.example.", dns.TypeANY), plainQuery(".", dns.TypeDS),
	} {
		packet, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Add([]byte{})
	f.Add([]byte("ID\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff"))
	s := testnet.NewServer("ns1.shop.example.", testnet.WrongCase(), testnet.NXDOMAINOnEmptyNonTerminal(),
		testnet.Cookies("secret"), testnet.Forging(testnet.ForgedID, testnet.ForgedCase, testnet.NoQuestion, testnet.Garbage))
	s.Host(testnet.MustZone("shop.example.", shop))
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, transport := range []testnet.Transport{testnet.UDP, testnet.TCP} {
			for _, r := range s.Handle(testnet.Arrival{Transport: transport, Packet: packet}) {
				if len(r.Packet) > dns.MaxMsgSize || transport == testnet.UDP && len(r.Packet) > testnet.UDPSize {
					t.Errorf("%d bytes over %s", len(r.Packet), transport)
				}
			}
		}
		s.Reset()
	})
}
