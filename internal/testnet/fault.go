package testnet

import (
	"net/netip"
	"slices"
	"syscall"
)

// A fault is what the network does wrong on the way to a range of addresses.
type fault struct {
	where netip.Prefix
	kind  faultKind
	errno syscall.Errno
}

type faultKind uint8

const (
	noFault faultKind = iota
	unreachable
	blackHole
)

// Unreachable makes a prefix (or a single address) unreachable. ENETUNREACH and EHOSTUNREACH are returned by the dial
// or write itself, as on a machine without a route. ECONNREFUSED comes back after the round trip: to a dial over TCP,
// to a read over UDP (an ICMP message).
func (n *Internet) Unreachable(prefix string, errno syscall.Errno) {
	n.addFault(fault{where: parsePrefix(prefix), kind: unreachable, errno: errno})
}

// BlackHole lets everything that is sent to a prefix vanish, the worst kind of dead IPv6.
func (n *Internet) BlackHole(prefix string) {
	n.addFault(fault{where: parsePrefix(prefix), kind: blackHole})
}

// Reachable ends Unreachable and BlackHole for a prefix.
func (n *Internet) Reachable(prefix string) { n.addFault(fault{where: parsePrefix(prefix)}) }

func (n *Internet) addFault(f fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
}

// faultAt returns the fault that was declared last.
func (n *Internet) faultAt(a netip.Addr) fault {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range slices.Backward(n.faults) {
		if f.where.Contains(a) {
			return f
		}
	}
	return fault{}
}

// immediate reports whether the machine itself knows that there is no way.
func (f fault) immediate() bool {
	return f.kind == unreachable && f.errno != syscall.ECONNREFUSED
}

func (f fault) refuses() bool { return f.kind == unreachable && f.errno == syscall.ECONNREFUSED }

func parsePrefix(s string) netip.Prefix {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.MustParsePrefix(s).Masked()
}
