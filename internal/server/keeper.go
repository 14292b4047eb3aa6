package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"tacit/config"
	"tacit/internal/privacy"
	"tacit/internal/wire"
	"tacit/transports"
	"tacit/upstream"
	"tacit/zone"
)

// newKeeper makes what speaks with those who transfer and change zones; nil where there are no keys and no primaries, and so nobody who
// could.
func newKeeper(c *config.Config, env Env, z *zones, before *parts) (*zone.Keeper, error) {
	keys, err := readKeys(c)
	if err != nil || len(keys) == 0 && len(c.Zones.Replicas) == 0 {
		return nil, err
	}
	copies, err := replicas(c, env, keys)
	if err != nil {
		return nil, err
	}
	o := zone.KeeperOptions{
		Zones: z.Store, Keys: keys, Secondaries: c.Secondaries, Grants: c.Grants,
		Replicas: copies, Refreshed: func(r zone.Refresh) { tellRefresh(env, r) },
		Network: env.Network, Log: env.Log, Panicked: env.panics.report,
	}
	if before == nil {
		return zone.NewKeeper(&o, nil), nil
	}
	return zone.NewKeeper(&o, before.zoneKeeper), nil
}

// replicas joins zones with their primaries.
func replicas(c *config.Config, env Env, keys []*zone.SharedKey) ([]zone.Replica, error) {
	var list []zone.Replica
	for _, r := range c.Zones.Replicas {
		roots, err := readRoots("zone.ca_file", r.CAFile)
		if err != nil {
			return nil, err
		}
		replica := zone.Replica{Origin: r.Zone}
		if r.Signed {
			replica.Key = keys[slices.IndexFunc(keys, func(k *zone.SharedKey) bool { return k.Name() == r.Key })]
		}
		for _, u := range r.Primaries {
			p := zone.Primary{Addr: u.Addr, Network: env.Network}
			if u.Transport == upstream.TLS {
				p.Network = upstream.Secured{Network: env.Network, Peer: upstreamServer(&u, roots).Peer, Now: env.Now}
			}
			replica.Primaries = append(replica.Primaries, p)
		}
		list = append(list, replica)
	}
	return list, nil
}

// tellRefresh logs what has become of a copy. Its name stands in the configuration.
func tellRefresh(env Env, r zone.Refresh) {
	name := privacy.Public(r.Origin.Reveal())
	switch {
	case r.Err == nil:
		env.Log.Info("a zone is as its primary has it", "zone", name, "serial", r.Serial)
	case r.Expired:
		env.Log.Error("a zone has expired and is not answered for: no primary has confirmed it", "zone", name, "reason", r.Err)
	default:
		env.Log.Warn("a zone could not be had from its primaries", "zone", name, "reason", r.Err)
	}
}

// checkReplicas finds out whether the files that transfers from primaries need are there.
func checkReplicas(c *config.Config) error {
	var errs []error
	for _, r := range c.Zones.Replicas {
		_, err := readRoots("zone.ca_file", r.CAFile)
		errs = append(errs, err)
	}
	for _, f := range c.Zones.Files {
		if !f.Replica {
			continue
		}
		if d, err := os.Stat(filepath.Dir(f.Path)); err != nil {
			errs = append(errs, fmt.Errorf("zone.file: %w", err))
		} else if !d.IsDir() {
			errs = append(errs, fmt.Errorf("zone.file: %s: %w", f.Path, syscall.ENOTDIR))
		}
	}
	return errors.Join(errs...)
}

var errOpenSecret = errors.New("everybody may read it, or its group write to it, and it holds a secret: chmod 600")

func readKeys(c *config.Config) ([]*zone.SharedKey, error) {
	var list []*zone.SharedKey
	for _, k := range c.Keys {
		key, err := readKey(&k)
		if err != nil {
			return nil, fmt.Errorf("key.secret_file: %s: %w", k.SecretFile, err)
		}
		list = append(list, key)
	}
	return list, nil
}

func readKey(k *config.Key) (*zone.SharedKey, error) {
	secret, err := readSecret(k.SecretFile)
	if err != nil {
		return nil, err
	}
	return zone.NewSharedKey(k.Name, k.Algorithm, secret)
}

// readSecret reads a file that others must not read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o027 != 0 {
		return nil, errOpenSecret
	}
	return os.ReadFile(path)
}

func checkKeys(c *config.Config) error {
	_, err := readKeys(c)
	return err
}

// keep has the parts keep their zones.
func (p *parts) keep(k *zone.Keeper) {
	if p.zoneKeeper = k; k == nil {
		return
	}
	renew := p.zones.changed
	p.zones.changed = func(moved []wire.Name) {
		renew(moved)
		k.Changed()
	}
}

var _ transports.Keeper = (*Server)(nil)

// Keeps reports whether the current configuration lets anybody transfer or change zones.
func (s *Server) Keeps() bool { return s.current.Load().zoneKeeper != nil }

// Hear has the Keeper of the current configuration hear a message.
func (s *Server) Hear(ctx context.Context, msg []byte, over transports.Transport, from func(netip.Addr) bool, send func(reply []byte) error) {
	if k := s.current.Load().zoneKeeper; k != nil {
		k.Hear(ctx, zone.Request{Octets: msg, Stream: over != transports.UDP, From: from}, send)
	}
}
