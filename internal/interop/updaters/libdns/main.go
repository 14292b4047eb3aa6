// Command libdns has libdns's provider for RFC 2136, by which Caddy proves names, add, set and delete a TXT record, and reads the zone
// after that.
//
//	libdns HOST ZONE KEY SECRET append|set|delete NAME TEXT
//
// The name is relative to the zone.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/libdns/libdns"
	"github.com/libdns/rfc2136"
)

func main() {
	if len(os.Args) != 8 {
		fmt.Fprintln(os.Stderr, "usage: libdns HOST ZONE KEY SECRET append|set|delete NAME TEXT")
		os.Exit(2)
	}
	p := &rfc2136.Provider{Server: net.JoinHostPort(os.Args[1], "53"), KeyName: os.Args[3], Key: os.Args[4], KeyAlg: "hmac-sha256"}
	if err := change(p, os.Args[2], os.Args[5], os.Args[6], os.Args[7]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func change(p *rfc2136.Provider, zone, verb, name, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	do := map[string]func(context.Context, string, []libdns.Record) ([]libdns.Record, error){
		"append": p.AppendRecords, "set": p.SetRecords, "delete": p.DeleteRecords,
	}[verb]
	if do == nil {
		return fmt.Errorf("%s is none of append, set and delete", verb)
	}
	if _, err := do(ctx, zone, []libdns.Record{libdns.TXT{Name: name, Text: text, TTL: time.Minute}}); err != nil {
		return err
	}
	there, err := p.GetRecords(ctx, zone)
	for _, r := range there {
		fmt.Println("sees", r.RR().Name, r.RR().Type, r.RR().Data)
	}
	return err
}
