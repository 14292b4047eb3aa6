package server

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"tacit/config"
	"tacit/dnssec"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/resolver"
	"tacit/zone"
)

// newRootCopy starts to keep a copy of the root zone, nil where none is of use: what cannot be verified is not kept,
// test networks have roots of their own, and who forwards everything asks no root server.
func newRootCopy(c *config.Config, env Env, v *validation) *zone.Root {
	if !copiesRoot(c) || v == nil {
		return nil
	}
	return zone.NewRoot(zone.RootOptions{
		Network: env.Network, Servers: rootServers(c), Now: env.Now, Log: env.Log, Panicked: env.panics.report,
		Verify: func(ctx context.Context, now time.Time, sets []wire.RRset) (time.Time, error) {
			return dnssec.VerifyZone(ctx, now, work.New(work.DefaultLimits), dnssec.Options{
				Anchors: v.keeper, VerifySHA1: c.DNSSEC.VerifySHA1, SignatureTime: c.DNSSEC.ValidationTime,
			}, wire.Root, sets)
		},
	})
}

// copiesRoot reports whether a copy of the root zone is kept, if it can be had.
func copiesRoot(c *config.Config) bool {
	return c.Recursion.LocalRoot && c.DNSSEC.Validate && c.Recursion.RootHints == "" && !slices.ContainsFunc(servedZones(c), wire.Name.IsRoot)
}

// rootServers are the addresses of the root servers that can be asked.
func rootServers(c *config.Config) []netip.AddrPort {
	var servers []netip.AddrPort
	for _, hint := range resolver.BuiltinHints() {
		for _, a := range hint.Addresses {
			if a.Is4() && c.Recursion.IPv4 || a.Is6() && c.Recursion.IPv6 {
				servers = append(servers, netip.AddrPortFrom(a, c.Recursion.Port))
			}
		}
	}
	return servers
}
