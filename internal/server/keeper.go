package server

import (
	"context"
	"errors"
	"fmt"
	"os"

	"tacit/config"
	"tacit/internal/wire"
	"tacit/transports"
	"tacit/zone"
)

// newKeeper makes what speaks with those who transfer and change zones; nil where there are no keys, and so nobody who could.
func newKeeper(c *config.Config, env Env, z *zones, before *parts) (*zone.Keeper, error) {
	keys, err := readKeys(c)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	o := zone.KeeperOptions{
		Zones: z.Store, Keys: keys, Secondaries: c.Secondaries, Grants: c.Grants,
		Network: env.Network, Log: env.Log, Panicked: env.panics.report,
	}
	if before == nil {
		return zone.NewKeeper(&o, nil), nil
	}
	return zone.NewKeeper(&o, before.zoneKeeper), nil
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
func (s *Server) Hear(ctx context.Context, msg []byte, over transports.Transport, send func(reply []byte) error) {
	if k := s.current.Load().zoneKeeper; k != nil {
		k.Hear(ctx, zone.Request{Octets: msg, Stream: over != transports.UDP}, send)
	}
}
