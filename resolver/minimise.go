package resolver

import "tacit/internal/wire"

// Steps of minimisation (RFC 9156 section 2.3): so many shortened questions at most, the first of them one label longer
// each, the rest sharing out what is left.
const (
	maxMinimiseCount = 10
	minimiseOneLabel = 4
)

// A minimiser decides how much of a name the next server is shown (RFC 9156). Shortened names are asked with type A,
// which hides the type and upsets the fewest servers (section 2.1).
type minimiser struct {
	mode  Minimisation
	name  wire.Name
	kind  wire.Type
	asked int  // shortened questions so far
	known int  // labels of the longest shortened name that is known to exist
	asNS  bool // the servers of this zone fail on type A: they are asked for NS, the type of the first RFC (7816)
}

// next returns what to ask the servers of zone: a shortened name, or at last the question itself, whole.
func (m *minimiser) next(zone wire.Name) (shown wire.Name, kind wire.Type, whole bool) {
	total, base := m.name.Labels(), max(m.known, zone.Labels())
	if m.mode == Off || m.asked >= maxMinimiseCount {
		return m.name, m.kind, true
	}
	labels := 1
	if m.asked >= minimiseOneLabel {
		steps := maxMinimiseCount - m.asked
		labels = max(1, (total-base)/steps) // the remainder is for the last steps
	}
	if base+labels >= total {
		return m.name, m.kind, true
	}
	kind = wire.TypeA
	if m.asNS {
		kind = wire.TypeNS
	}
	return m.name.Suffix(base + labels), kind, false
}

// exists notes that the shortened name that was asked last exists in the zone, whatever its server said of it.
func (m *minimiser) exists(shown wire.Name) {
	m.asked++
	m.known = shown.Labels()
}

// relax answers a failure on a shortened name: first by another type, which shows no more than before, then by showing
// the whole name from now on.
func (m *minimiser) relax() {
	if m.asNS {
		m.giveUp()
	}
	m.asNS = true
}

// giveUp shows the whole name from now on.
func (m *minimiser) giveUp() { m.mode = Off }

// enter begins anew with the servers of another zone.
func (m *minimiser) enter() { m.asNS = false }
