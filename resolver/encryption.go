package resolver

import (
	"net/netip"
	"slices"

	"tacit/internal/wire"
	"tacit/upstream"
)

// An encryption says which servers are asked over encrypted transports.
type encryption struct {
	sought  bool // ... where they can be (RFC 9539)
	zones   []wire.Name
	servers []netip.Addr
}

// demands reports whether a server of a zone must not be asked in clear.
func (e *encryption) demands(zone wire.Name, a netip.Addr) bool {
	return slices.ContainsFunc(e.zones, zone.Within) || slices.Contains(e.servers, a.Unmap())
}

// covered says how a server is to be asked about a zone. One that the configuration names says by itself which transport it
// speaks; one at an address that no public server has is left in peace, unless such may be name servers.
func (r *Resolver) covered(zone wire.Name, s upstream.Server, found bool) upstream.Server {
	switch a := s.Addr.Addr(); {
	case s.Transport.Encrypted():
	case r.encryption.demands(zone, a):
		s.Encryption = upstream.Strict
	case found && r.encryption.sought && (r.allowSpecial || isPublic(a)):
		s.Encryption = upstream.Opportunistic
	}
	return s
}
