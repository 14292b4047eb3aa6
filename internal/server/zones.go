package server

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"tacit/admin"
	"tacit/config"
	"tacit/internal/privacy"
	"tacit/internal/wire"
	"tacit/policy"
	"tacit/zone"
)

// Zones are the zones that a configuration serves, and the special-use names, which depend on them.
type zones struct {
	*zone.Store
	rules   func(served []wire.Name) *policy.SpecialUse
	current atomic.Pointer[policy.SpecialUse]
	stated  atomic.Pointer[saying]  // what is said of the privacy statement
	changed func(moved []wire.Name) // hears which zones have come or gone, if any
	served  []wire.Name             // as they were told last
	keys    *zone.Keys
	keyPath string
}

// newZones opens the zones of a configuration; before, which may be nil, are those of the last one.
func newZones(c *config.Config, env Env, before *zones, own []policy.Own) *zones {
	z := &zones{rules: func(served []wire.Name) *policy.SpecialUse {
		return policy.NewSpecialUse(append(ownNames(c), served...), own...)
	}}
	var old *zone.Store
	z.keyPath = keyPath(c)
	if before != nil {
		old = before.Store
	}
	if before != nil && before.keyPath == z.keyPath {
		z.keys = before.keys // or all zones would be built anew
	} else {
		z.keys = zone.NewKeys(z.keyPath)
	}
	z.Store = zone.Open(&zone.StoreOptions{
		Options: zoneOptions(c, z.keys), Files: c.Zones.Files, Directory: c.Zones.Directory,
		Now: env.Now, Told: func(path string, p zone.Problems) { tellProblems(env, path, p) }, Changed: z.renew, Panicked: env.panics.report,
	}, old)
	z.served = z.Zones().Origins()
	z.current.Store(z.rules(z.served))
	return z
}

// keyDirectoryName is the name of the keys' directory in the one that a service manager gives.
const keyDirectoryName = "zone-keys"

// keyPath returns the directory of the keys of signed zones, or nothing.
func keyPath(c *config.Config) string {
	if c.Zones.KeyFiles != "" {
		return c.Zones.KeyFiles
	}
	return inDirectory("STATE_DIRECTORY", keyDirectoryName)
}

// ZoneKeys are the keys of signed zones, for reading.
func ZoneKeys(c *config.Config) *zone.Keys { return zone.ReadKeys(keyPath(c)) }

// zoneOptions adds to what the configuration says of zones where tacit itself can be reached, and the keys.
func zoneOptions(c *config.Config, keys *zone.Keys) zone.Options {
	o := c.Zones.Options
	o.Keys = keys
	var clear []netip.AddrPort
	for _, text := range c.Listen.HTTP {
		if at, err := netip.ParseAddrPort(text); err == nil { // or it is a path
			clear = append(clear, at)
		}
	}
	for _, list := range [][]netip.AddrPort{c.Listen.UDP, c.Listen.TCP, c.Listen.TLS, c.Listen.HTTPS, c.Listen.QUIC, clear} {
		for _, a := range list {
			if addr := a.Addr().Unmap(); !addr.IsUnspecified() && !slices.Contains(o.Edge.Listening, addr) {
				o.Edge.Listening = append(o.Edge.Listening, addr)
			}
		}
	}
	return o
}

// ZoneOptions say how the zones of a configuration are made of their files, for who checks and edits them.
func ZoneOptions(c *config.Config) zone.Options { return zoneOptions(c, nil) }

// Answer answers for special-use names, but for those that are served here.
func (z *zones) Answer(q wire.Question, now time.Time) (wire.Answer, bool) {
	if s := z.stated.Load(); s != nil && q.Name == whereStated {
		return s.rules.Answer(q, now)
	}
	return z.current.Load().Answer(q, now)
}

// A saying is what is said of the privacy statement, as an answer.
type saying struct {
	rules *policy.SpecialUse
	data  string
}

// say says where the privacy statement is, and its hash.
func (z *zones) say(own policy.Own) {
	data := string(own.Set.Data)
	if before := z.stated.Load(); before != nil && before.data == data {
		return
	}
	z.stated.Store(&saying{policy.NewSpecialUse(nil, own), data})
	z.changed(nil)
}

// describe counts what is served.
func (z *zones) describe() *admin.Zones {
	var d admin.Zones
	d.Served, d.Records, d.Bytes = z.Zones().Count()
	mistaken := map[string]bool{}
	for _, p := range z.Problems() {
		if p.Warning {
			continue
		}
		mistaken[p.File] = true
		if d.Problem == "" {
			d.Problem = p.Error()
		}
	}
	d.Mistaken = len(mistaken)
	return &d
}

// renew is called when the zones have changed.
func (z *zones) renew() {
	before := z.served
	z.served = z.Zones().Origins()
	z.current.Store(z.rules(z.served))
	z.changed(append(without(before, z.served), without(z.served, before)...))
}

// without returns what of one list is not in the other.
func without(list, other []wire.Name) []wire.Name {
	in := make(map[wire.Name]bool, len(other))
	for _, name := range other {
		in[name] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(name wire.Name) bool { return in[name] })
}

// tellProblems logs what is wrong with a zone file. The words are constants, and the file is the operator's.
func tellProblems(env Env, path string, problems zone.Problems) {
	if len(problems) == 0 {
		return
	}
	first := problems[0]
	for _, p := range problems {
		if !p.Warning {
			first = p
			break
		}
	}
	log := env.Log.Warn
	if problems.Grave() {
		log = env.Log.Error
	}
	log("a zone file has problems", "file", privacy.Public(path), "problem", privacy.Public(first.Error()), "more", len(problems)-1)
}

// broken returns what is wrong with the zones that the configuration names one by one. At the start there is no version of them
// that was good, and without one their names would fail. Primaries give another.
func (z *zones) broken(c *config.Config) error {
	var list zone.Problems
	for _, p := range z.Problems() {
		if !p.Warning && slices.ContainsFunc(c.Zones.Files, func(f zone.File) bool { return f.Path == p.File && !f.Replica }) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// CheckZones finds what is wrong with the zones of a configuration: what keeps them from being served, and warnings.
func CheckZones(c *config.Config) (zone.Problems, error) {
	if c.Zones.Directory != "" {
		if _, err := os.ReadDir(c.Zones.Directory); err != nil {
			return nil, fmt.Errorf("zones.directory: %w", err)
		}
	}
	problems := zone.Open(&zone.StoreOptions{
		Options: zoneOptions(c, ZoneKeys(c)), Files: c.Zones.Files, Directory: c.Zones.Directory, Now: Env{}.withDefaults().Now,
	}, nil).Problems()
	return append(problems, hiddenZones(c)...), nil
}

// hiddenZones finds zones that secondaries cannot have, because their catalogs are called so.
func hiddenZones(c *config.Config) (problems zone.Problems) {
	for _, f := range zone.List(c.Zones.Files, c.Zones.Directory) {
		if slices.ContainsFunc(c.Secondaries, func(s zone.Secondary) bool { return s.Catalog == f.Origin && !f.Origin.IsRoot() }) {
			problems = append(problems, zone.Problem{
				File: f.Path, Text: "the zone is called like the catalog of a [[secondary]], and in no catalog", Warning: true,
			})
		}
	}
	return problems
}
