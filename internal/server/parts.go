package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"sync"

	"tacit/cache"
	"tacit/config"
	"tacit/internal/wire"
	"tacit/policy"
	"tacit/resolver"
	"tacit/upstream"
	"tacit/zone"
)

// parts are what one configuration makes. A reload replaces them together.
type parts struct {
	config      *config.Config
	client      *upstream.Client
	resolver    *resolver.Resolver
	access      *policy.Access
	zones       *zones
	zoneKeeper  *zone.Keeper // nil without
	*validation              // nil without
	root        *zone.Root   // nil without
	roles       roles
	following   sync.WaitGroup
	stop        context.CancelFunc
}

func (p *parts) close() error {
	p.stop()
	p.following.Wait()
	if p.zoneKeeper != nil {
		p.zoneKeeper.Close()
	}
	p.resolver.Close()
	if p.root != nil {
		p.root.Close()
	}
	return p.client.Close()
}

func (s *Server) build(c *config.Config, memory *cache.Cache, shown *credentials) (*parts, error) {
	var before *validation
	var served *zones
	if old := s.current.Load(); old != nil {
		before, served = old.validation, old.zones
	}
	z := newZones(c, s.env, served, ownAnswers(Describe(c, shown.list(s.env.Now()))))
	k, err := newKeeper(c, s.env, z, s.current.Load())
	if err != nil {
		return nil, err
	}
	v := newValidation(c, s.env, z, before)
	p, err := build(c, s.env, memory, s.memory, z, v, newRootCopy(c, s.env, v))
	if err != nil {
		return nil, err
	}
	p.keep(k)
	if p.roles, err = newRoles(c, s.env, s.current.Load(), p.client); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// follow keeps zones and trust anchors up to date for as long as the parts are in use.
func (p *parts) follow(env Env) {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	if p.zoneKeeper != nil {
		p.zoneKeeper.Start(ctx)
	}
	if p.roles.target != nil {
		p.following.Go(func() { p.roles.target.Follow(ctx, env.Now) })
	}
	if p.config.Zones.Any() {
		p.following.Go(func() { p.zones.Follow(ctx) })
	}
	if p.validation != nil && !p.config.DNSSEC.StaticAnchors {
		p.following.Go(func() { p.followAnchors(ctx, p.resolver, env) })
	}
}

// build makes parts; env has its defaults.
func build(c *config.Config, env Env, remembered *cache.Cache, servers *upstream.Memory, z *zones, v *validation, root *zone.Root) (*parts, error) {
	access, err := policy.NewAccess(policy.AccessOptions{Allow: c.Access.Allow, Refuse: c.Access.Refuse})
	if err != nil {
		return nil, err
	}
	hints, err := readHints(c.Recursion.RootHints)
	if err != nil {
		return nil, err
	}
	forwarded, err := forwards(c)
	if err != nil {
		return nil, err
	}
	client := upstream.New(upstream.Options{
		Network: env.Network, Memory: servers, Now: env.Now,
		CaseRandomisationOff: !c.Recursion.CaseRandomisation, Panicked: env.panics.report,
	})
	o := resolver.Options{
		Exchanger: client, Memory: servers, Cache: remembered,
		Rules: z, Zones: z.Zones, Hints: hints,
		Port: c.Recursion.Port, NoIPv4: !c.Recursion.IPv4, NoIPv6: !c.Recursion.IPv6,
		Minimise:              minimisations[c.Recursion.Minimisation],
		AllowSpecialAddresses: c.Recursion.AllowSpecialAddresses,
		Encrypt:               c.Recursion.Encrypt, EncryptedZones: c.Recursion.EncryptedZones, EncryptedServers: c.Recursion.EncryptedServers,
		Forwards: forwarded, Stubs: stubs(c),
		Validator: v.judge(), NoAggressive: !c.DNSSEC.Aggressive, NoStale: !c.Cache.ServeStale, NoPrefetch: !c.Cache.Prefetch,
		Now: env.Now, Panicked: env.panics.report,
	}
	if root != nil {
		o.Root = root
	}
	p := &parts{
		config: c, client: client, access: access, zones: z, resolver: resolver.New(o), validation: v, root: root, stop: func() {},
	}
	z.changed = func(moved []wire.Name) {
		if len(moved) > maxMoved {
			moved = []wire.Name{wire.Root}
		}
		for _, origin := range moved {
			p.resolver.Reconsider(origin)
		}
		remembered.Renew()
	}
	return p, nil
}

// maxMoved is how many zones may come or go before it is cheaper to forget everything than what lies below each.
const maxMoved = 20

var minimisations = map[config.Minimisation]resolver.Minimisation{
	config.Strict: resolver.Strict, config.Relaxed: resolver.Relaxed, config.Off: resolver.Off,
}

func newCache(c *config.Config) *cache.Cache {
	return cache.New(cache.Options{
		Size: c.Cache.Size, MinTTL: c.Cache.MinTTL, MaxTTL: c.Cache.MaxTTL, NoPrefetch: !c.Cache.Prefetch, PacketsOff: !c.Cache.Packets,
		BlurTTLs: c.Cache.BlurTTLs,
	})
}

// learnsTheSame reports whether what one configuration has remembered is good for the other: resolver keeps what a stub or
// forward says apart by the position of the zone among them.
func learnsTheSame(a, b *config.Config) bool {
	return a.Cache == b.Cache && reflect.DeepEqual(a.DNSSEC, b.DNSSEC) && a.Recursion.RootHints == b.Recursion.RootHints && a.Recursion.Port == b.Recursion.Port &&
		reflect.DeepEqual(a.Forwards, b.Forwards) && reflect.DeepEqual(a.Stubs, b.Stubs) && reflect.DeepEqual(a.Zones, b.Zones)
}

// Check finds out what config cannot: whether the files that a configuration names are there and can be understood.
func Check(c *config.Config) error {
	_, hints := readHints(c.Recursion.RootHints)
	_, roots := forwards(c)
	_, tokens := readTokens(c)
	_, targets := targetRoots(c)
	return errors.Join(hints, roots, tokens, targets, checkPairs(c), checkCache(c), checkKeys(c), checkReplicas(c))
}

var errVainAnchor = errors.New("dnssec.trust_anchors: a digest is not as long as its type asks for: no key can match it")

// CheckAnchors finds trust anchors that will make all of their zone bogus: tacit serves with them, and withholds its
// answers.
func CheckAnchors(c *config.Config) error {
	for _, t := range c.DNSSEC.TrustAnchors {
		if t.IsVain() {
			return errVainAnchor
		}
	}
	return nil
}

// readHints returns nil for the built-in ones.
func readHints(path string) ([]resolver.Hint, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("recursion.root_hints: %w", err)
	}
	hints, err := resolver.ParseHints(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("recursion.root_hints: %s: %w", path, err)
	}
	return hints, nil
}

// ownNames are the names that are the operator's, although they have a special use elsewhere: zones served, and below a
// root of one's own that which is reserved for testing (RFC 6761 section 6.2 lets users do with it as they please).
func ownNames(c *config.Config) []wire.Name {
	names := servedZones(c)
	if c.Recursion.RootHints != "" {
		names = append(names, wire.MustName("test."))
	}
	return names
}

// servedZones are those in which a special-use name is the operator's own.
func servedZones(c *config.Config) []wire.Name {
	var zones []wire.Name
	for _, f := range c.Forwards {
		zones = append(zones, f.Zone)
	}
	for _, s := range c.Stubs {
		zones = append(zones, s.Zone)
	}
	return zones
}

func forwards(c *config.Config) ([]resolver.Forward, error) {
	var list []resolver.Forward
	for _, f := range c.Forwards {
		roots, err := readRoots("forward.ca_file", f.CAFile)
		if err != nil {
			return nil, err
		}
		forward := resolver.Forward{Zone: f.Zone, First: f.First}
		for _, u := range f.Upstreams {
			forward.Servers = append(forward.Servers, upstreamThrough(&f, &u, roots))
		}
		list = append(list, forward)
	}
	return list, nil
}

func upstreamServer(u *config.Upstream, roots *x509.CertPool) upstream.Server {
	return upstreamThrough(&config.Forward{}, u, roots)
}

// upstreamThrough is an upstream of a forward, whose proxy takes to it what is sealed.
func upstreamThrough(f *config.Forward, u *config.Upstream, roots *x509.CertPool) upstream.Server {
	s := upstream.Server{Addr: u.Addr, Transport: u.Transport}
	if !u.Transport.Encrypted() {
		return s
	}
	identity := upstream.Identity{Name: u.Name, Pins: u.Pins, Roots: roots, Path: u.Path}
	if u.IsOblivious() {
		identity.Proxy = upstreamServer(&f.Proxy, roots)
	}
	s.Peer = upstream.NewPeer(identity)
	return s
}

var errNoCertificate = errors.New("no certificate in PEM")

// readRoots returns nil for the system's.
func readRoots(option, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s: %w", option, path, errNoCertificate)
	}
	return roots, nil
}

func stubs(c *config.Config) []resolver.Stub {
	var list []resolver.Stub
	for _, s := range c.Stubs {
		list = append(list, resolver.Stub{Zone: s.Zone, Servers: servers(s.Servers)})
	}
	return list
}

func servers(addresses []netip.AddrPort) []upstream.Server {
	var list []upstream.Server
	for _, a := range addresses {
		list = append(list, upstream.Server{Addr: a})
	}
	return list
}
