package zone

import "tacit/internal/wire"

// Zones are all zones that are served at a moment. They do not change; nil are none.
type Zones struct{ byOrigin map[string]*Zone } // in wire form, so that a look-up interns no name

// NewZones puts zones together.
func NewZones(list ...*Zone) *Zones {
	z := &Zones{byOrigin: make(map[string]*Zone, len(list))}
	for _, one := range list {
		z.byOrigin[string(one.origin.Append(nil))] = one
	}
	return z
}

// Origins returns the names of the zones, in no order.
func (z *Zones) Origins() []wire.Name {
	if z == nil {
		return nil
	}
	list := make([]wire.Name, 0, len(z.byOrigin))
	for _, one := range z.byOrigin {
		list = append(list, one.origin)
	}
	return list
}

// Count returns how many zones there are, their records, and the octets that these take.
func (z *Zones) Count() (served, records, octets int) {
	for _, one := range z.byOrigin {
		if !one.withheld {
			served, records, octets = served+1, records+one.records, octets+one.size()
		}
	}
	return served, records, octets
}

// Covering returns the zone with the longest name at or above name, nil when there is none.
func (z *Zones) Covering(name wire.Name) *Zone {
	if z == nil || len(z.byOrigin) == 0 {
		return nil
	}
	var buf [wire.MaxNameLength]byte
	return z.covering(name.Append(buf[:0]))
}

func (z *Zones) covering(name []byte) *Zone {
	for off := 0; ; off += 1 + int(name[off]) {
		if found, ok := z.byOrigin[string(name[off:])]; ok || name[off] == 0 {
			return found
		}
	}
}

// Find answers from the zone that a name and type belong to; own is nil when none is served here. The DS RRset of a zone belongs
// to its parent (RFC 4035 section 3.1.4.1), if that is served here, too; if not, the zone itself says that there is none.
func (z *Zones) Find(name wire.Name, kind wire.Type) (f Finding, own *Zone) {
	if own = z.Covering(name); own == nil {
		return Finding{}, nil
	}
	if kind == wire.TypeDS && name == own.origin && !name.IsRoot() {
		if parent := z.Covering(name.Parent()); parent != nil {
			own = parent
		}
	}
	return own.Find(name, kind), own
}
