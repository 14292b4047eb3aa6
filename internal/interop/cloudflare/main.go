// Command cloudflare manages a zone with Cloudflare's own Go client, whose base URL leads to tacit. It is a module of its own,
// since the client is large. It prints each step that has gone well; the zone is left with what the last ones made.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zones"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: cloudflare URL TOKEN ZONE")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A client manages one zone.
type client struct {
	*cloudflare.Client
	name, zone string
}

func run(ctx context.Context, url, token, name string) error {
	c := &client{Client: cloudflare.NewClient(option.WithBaseURL(url), option.WithAPIToken(token), option.WithMaxRetries(0)), name: name}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"verify", c.verify},
		{"zones", c.findZone},
		{"list", c.list},
		{"records", c.manage},
		{"batch", c.batch},
		{"import", c.importRecords},
		{"export", c.export},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println("ok", step.name)
	}
	return nil
}

func (c *client) verify(ctx context.Context) error {
	r, err := c.User.Tokens.Verify(ctx)
	if err == nil && r.Status != "active" {
		err = fmt.Errorf("the token is %s", r.Status)
	}
	return err
}

func (c *client) findZone(ctx context.Context) error {
	pages := c.Zones.ListAutoPaging(ctx, zones.ZoneListParams{Name: cloudflare.F(c.name)})
	for pages.Next() {
		c.zone = pages.Current().ID
	}
	if c.zone == "" && pages.Err() == nil {
		return fmt.Errorf("no zone %s", c.name)
	}
	return pages.Err()
}

func (c *client) records(ctx context.Context) (map[string]dns.RecordResponse, error) {
	list := map[string]dns.RecordResponse{}
	pages := c.DNS.Records.ListAutoPaging(ctx, dns.RecordListParams{ZoneID: cloudflare.F(c.zone), PerPage: cloudflare.F(2.0)})
	for pages.Next() {
		r := pages.Current()
		list[r.Name+" "+string(r.Type)] = r
	}
	return list, pages.Err()
}

func (c *client) list(ctx context.Context) error {
	list, err := c.records(ctx)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("the zone is empty")
	}
	return err
}

func address(name, content string, proxied bool) dns.ARecordParam {
	return dns.ARecordParam{
		Name: cloudflare.F(name), Type: cloudflare.F(dns.ARecordTypeA), Content: cloudflare.F(content),
		TTL: cloudflare.F(dns.TTL1), Proxied: cloudflare.F(proxied), Comment: cloudflare.F("made by a client"),
	}
}

// manage takes one record through its life.
func (c *client) manage(ctx context.Context) error {
	zone := cloudflare.F(c.zone)
	name := "one." + c.name
	made, err := c.DNS.Records.New(ctx, dns.RecordNewParams{ZoneID: zone, Body: address(name, "192.0.2.10", true)})
	if err != nil {
		return err
	}
	edited, err := c.DNS.Records.Edit(ctx, made.ID, dns.RecordEditParams{ZoneID: zone, Body: address(name, "192.0.2.11", true)})
	if err != nil {
		return err
	}
	updated, err := c.DNS.Records.Update(ctx, made.ID, dns.RecordUpdateParams{ZoneID: zone, Body: address(name, "192.0.2.12", false)})
	if err != nil {
		return err
	}
	got, err := c.DNS.Records.Get(ctx, made.ID, dns.RecordGetParams{ZoneID: zone})
	if err != nil {
		return err
	}
	if edited.Content != "192.0.2.11" || !edited.Proxied || updated.ID != made.ID || got.Content != "192.0.2.12" || got.Proxied || got.Comment == "" {
		return fmt.Errorf("%+v, then %+v", edited, got)
	}
	_, err = c.DNS.Records.Delete(ctx, made.ID, dns.RecordDeleteParams{ZoneID: zone})
	return err
}

// batch makes three records, and then deletes one, changes one, and adds one.
func (c *client) batch(ctx context.Context) error {
	zone := cloudflare.F(c.zone)
	_, err := c.DNS.Records.Batch(ctx, dns.RecordBatchParams{ZoneID: zone, Posts: cloudflare.F([]dns.RecordBatchParamsPostUnion{
		address("gone."+c.name, "192.0.2.20", false), address("stays."+c.name, "192.0.2.21", false), address("put."+c.name, "192.0.2.22", false),
		dns.MXRecordParam{
			Name: cloudflare.F(c.name), Type: cloudflare.F(dns.MXRecordTypeMX), Content: cloudflare.F("mail." + c.name),
			Priority: cloudflare.F(10.0), TTL: cloudflare.F(dns.TTL(300)),
		},
		dns.TXTRecordParam{
			Name: cloudflare.F("_acme-challenge." + c.name), Type: cloudflare.F(dns.TXTRecordTypeTXT), Content: cloudflare.F(`"a challenge"`),
			TTL: cloudflare.F(dns.TTL(120)),
		},
	})})
	if err != nil {
		return err
	}
	list, err := c.records(ctx)
	if err != nil {
		return err
	}
	id := func(name string) string { return list[name+"."+c.name+" A"].ID }
	_, err = c.DNS.Records.Batch(ctx, dns.RecordBatchParams{
		ZoneID:  zone,
		Deletes: cloudflare.F([]dns.RecordBatchParamsDelete{{ID: cloudflare.F(id("gone"))}}),
		Patches: cloudflare.F([]dns.BatchPatchUnionParam{dns.BatchPatchARecordParam{ID: cloudflare.F(id("stays")), ARecordParam: address("stays."+c.name, "192.0.2.23", true)}}),
		Puts:    cloudflare.F([]dns.BatchPutUnionParam{dns.BatchPutARecordParam{ID: cloudflare.F(id("put")), ARecordParam: address("put."+c.name, "192.0.2.24", false)}}),
		Posts:   cloudflare.F([]dns.RecordBatchParamsPostUnion{address("post."+c.name, "192.0.2.25", false)}),
	})
	return err
}

func (c *client) importRecords(ctx context.Context) error {
	r, err := c.DNS.Records.Import(ctx, dns.RecordImportParams{
		ZoneID: cloudflare.F(c.zone), Proxied: cloudflare.F("true"),
		File: cloudflare.F("in." + c.name + ". 1 IN A 192.0.2.30\nout." + c.name + ". 1 IN A 192.0.2.31 ; cf_tags=cf-proxied:false\n"),
	})
	if err == nil && (r.RecsAdded != 2 || r.TotalRecordsParsed != 2) {
		err = fmt.Errorf("%+v", r)
	}
	return err
}

func (c *client) export(ctx context.Context) error {
	text, err := c.DNS.Records.Export(ctx, dns.RecordExportParams{ZoneID: cloudflare.F(c.zone)})
	if err != nil {
		return err
	}
	for _, want := range []string{
		"stays." + c.name + ".\t1\tIN\tA\t192.0.2.23 ; made by a client cf_tags=cf-proxied:true\n",
		"in." + c.name + ".\t1\tIN\tA\t192.0.2.30 ; cf_tags=cf-proxied:true\n",
		c.name + ".\t300\tIN\tMX\t10 mail." + c.name + ".\n",
	} {
		if !strings.Contains(*text, want) {
			return fmt.Errorf("no %q in %s", want, *text)
		}
	}
	return nil
}
