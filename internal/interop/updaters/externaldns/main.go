// Command externaldns has external-dns's provider for RFC 2136 do what the controller around it does: read the zone by AXFR, and create,
// change and delete the records of a service, with the TXT record by which it knows them again.
//
//	externaldns HOST ZONE KEY SECRET create|update|delete NAME ADDRESSES...
//
// Addresses are separated by commas. For update, they are the old and the new ones.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/plan"
	"sigs.k8s.io/external-dns/provider"
	"sigs.k8s.io/external-dns/provider/rfc2136"
)

func main() {
	if len(os.Args) < 8 {
		fmt.Fprintln(os.Stderr, "usage: externaldns HOST ZONE KEY SECRET create|update|delete NAME ADDRESSES...")
		os.Exit(2)
	}
	if err := apply(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func apply(host, zone, key, secret string, what []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p, err := rfc2136.NewRfc2136Provider([]string{host}, 53, []string{zone}, false, key, secret, "hmac-sha256", true,
		endpoint.NewDomainFilter([]string{zone}), false, 0, false, false, "", "", "", 50, rfc2136.TLSConfig{}, "", nil)
	if err != nil {
		return err
	}
	if err := list(ctx, p); err != nil {
		return err
	}
	name, addresses := what[1], what[2:]
	owner := endpoint.NewEndpoint("a-"+name, endpoint.RecordTypeTXT, `"heritage=external-dns,external-dns/owner=test"`)
	address := func(i int) *endpoint.Endpoint {
		return endpoint.NewEndpointWithTTL(name, endpoint.RecordTypeA, 300, strings.Split(addresses[i], ",")...)
	}
	switch {
	case what[0] == "create":
		return p.ApplyChanges(ctx, &plan.Changes{Create: []*endpoint.Endpoint{address(0), owner}})
	case what[0] == "delete":
		return p.ApplyChanges(ctx, &plan.Changes{Delete: []*endpoint.Endpoint{address(0), owner}})
	case len(addresses) == 2:
		return p.ApplyChanges(ctx, &plan.Changes{UpdateOld: []*endpoint.Endpoint{address(0)}, UpdateNew: []*endpoint.Endpoint{address(1)}})
	default:
		return errors.New("an update has addresses before and after")
	}
}

// list prints what the provider sees in the zone.
func list(ctx context.Context, p provider.Provider) error {
	there, err := p.Records(ctx)
	for _, e := range there {
		fmt.Println("sees", e.DNSName, e.RecordType, e.Targets)
	}
	if err == nil && len(there) == 0 {
		err = errors.New("the zone is empty")
	}
	return err
}
