package resolver

import (
	"context"
	"net/netip"

	"tacit/cache"
	"tacit/internal/wire"
)

// prime asks the servers of the hints for the root's own servers (RFC 9609 section 3). The answer's lease is its NS
// TTL; the hints are only ever used to get it.
func (s *resolution) prime(ctx context.Context) (cut, error) {
	hints := cut{zone: wire.Root}
	for _, h := range s.hints {
		hints.servers = append(hints.servers, cache.NameServer{Name: h.Name, Addresses: h.Addresses})
	}
	k := cache.Key{Name: wire.Root, Type: wire.TypeNS}
	if _, failed := s.cache.Failures.Get(k, s.now()); failed {
		return hints, nil
	}
	j, err := s.ask(ctx, &hints, wire.Root, wire.TypeNS)
	if final(err) {
		return cut{}, fail(stepPrime, wire.EDENoReachableAuthority, err)
	}
	if err == nil && j.outcome != answer {
		err = &Error{Step: stepPrime, EDE: wire.EDEInvalidData, Err: errMalformed}
	}
	if err != nil { // the hints have to do for a while
		s.keepFailure(k, err)
		return hints, nil
	}
	now, ns := s.now(), j.records[len(j.records)-1]
	root := cache.Delegation{Zone: wire.Root, Servers: s.rootServers(&ns, j)}
	root, _ = s.cache.Delegations.Put(root, cache.Delegation{}, ns.TTL, now, s.generation)
	return cut{zone: wire.Root, servers: root.Servers}, nil
}

// rootServers joins the names of the answer with the addresses that came with it; a server that came without keeps
// those of its hint.
func (s *resolution) rootServers(ns *wire.RRset, j *judgement) []cache.NameServer {
	var servers []cache.NameServer
	for rdata := range ns.Data.All() {
		name, err := wire.NameFromWire(rdata)
		if err != nil {
			continue
		}
		addresses := j.glue[name]
		if len(addresses) == 0 {
			addresses = s.hintFor(name)
		}
		servers = append(servers, cache.NameServer{Name: name, Addresses: addresses})
	}
	return servers
}

func (r *Resolver) hintFor(name wire.Name) []netip.Addr {
	for _, h := range r.hints {
		if h.Name == name {
			return h.Addresses
		}
	}
	return nil
}
