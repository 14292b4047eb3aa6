package zone

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"

	"tacit/internal/wire"
)

// Catalogs are zones, by name, each of which lists the zones that a secondary may have (RFC 9432, version 2). A server that follows it
// serves them without being told of each; what leaves the list, it drops. A zone that is not transferred is not listed: nobody
// could get it. One whose file is bad is, so that a slip of the pen does not cost the copies. A catalog is no zone of the Store: only who has the key of its secondary is answered from it (section 7).
type catalogs map[wire.Name]*Zone

// newCatalog makes a catalog of the names of zones. It has no properties of them, and so no groups.
func newCatalog(origin wire.Name, list []wire.Name, serial uint32) *Zone {
	z := &Zone{origin: origin, serial: serial, records: len(list) + 3}
	soa := catalogSOA(serial)
	z.soa = wire.RRset{Name: origin, Type: wire.TypeSOA, Data: soa}
	z.begin(nil)
	z.add(&made{kind: wire.TypeNS, data: wire.Rdatas(nil).Add(invalid.Append(nil))}) // section 4.1
	z.add(&made{kind: wire.TypeSOA, data: soa})
	z.begin(appendLabel(nil, []byte("version")))
	z.add(&made{kind: wire.TypeTXT, data: wire.Rdatas(nil).Add([]byte("\x012"))}) // section 4.3.1
	zones := appendLabel(nil, []byte(membersLabel))
	for _, m := range membersOf(list) {
		z.begin(appendLabel(slices.Clone(zones), []byte(m.label)))
		z.add(&made{kind: wire.TypePTR, data: wire.Rdatas(nil).Add(m.zone.Append(nil))}) // section 4.2
	}
	z.end()
	return z
}

var invalid = wire.MustName("invalid.")

// membersLabel stands above the labels of all members.
const membersLabel = "zones"

// Timers of a catalog. One that has expired loses its meaning (RFC 9432 section 5.1): it does so as late as it can.
const (
	catalogRefresh = 3600
	catalogRetry   = 600
	catalogExpire  = 1<<31 - 1
)

func catalogSOA(serial uint32) wire.Rdatas {
	rdata := invalid.Append(invalid.Append(nil))
	for _, v := range []uint32{serial, catalogRefresh, catalogRetry, catalogExpire, 0} {
		rdata = binary.BigEndian.AppendUint32(rdata, v)
	}
	return wire.Rdatas(nil).Add(rdata)
}

// A member is a zone in a catalog.
type member struct {
	label string
	zone  wire.Name
}

// membersOf gives zones their labels, and puts them in the canonical order of these.
func membersOf(list []wire.Name) []member {
	members := make([]member, len(list))
	for i, zone := range list {
		members[i] = member{memberLabel(zone), zone}
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.label, b.label) })
	return members
}

// memberLabel returns the label of a zone: a hash of its name and of nothing else. Another label would have who follows the catalog
// drop the zone and begin anew (RFC 9432 sections 5.4 and 5.6), so it has to outlive restarts without being kept anywhere. It
// is not keyed: the name stands beside it.
func memberLabel(zone wire.Name) string {
	sum := sha256.Sum256(zone.Append(nil))
	return hex.EncodeToString(sum[:memberHash])
}

const memberHash = 16 // octets of it: names whose hashes are the same are not found

var errCatalog = errors.New("cannot be the name of a catalog: it is none, the root, or too long")

// ParseCatalog reads the name of a catalog, which leaves room for the labels of its members. No text gives none, the root.
func ParseCatalog(text string) (wire.Name, error) {
	if text == "" {
		return wire.Root, nil
	}
	name, err := wire.ParseName(text)
	if err != nil || name.IsRoot() {
		return wire.Root, errCatalog
	}
	below, err := name.Prepend(membersLabel)
	if err == nil {
		_, err = below.Prepend(memberLabel(name))
	}
	if err != nil {
		return wire.Root, errCatalog
	}
	return name, nil
}

func (s *Secondary) hasCatalog() bool { return !s.Catalog.IsRoot() }

// renewCatalogs makes those catalogs anew whose members are others now, and has their secondaries told.
func (k *Keeper) renewCatalogs(zones *Zones) {
	before := k.catalogs
	k.catalogs = catalogs{}
	for i := range k.options.Secondaries {
		s := &k.options.Secondaries[i]
		if !s.hasCatalog() {
			continue
		}
		old := before[s.Catalog]
		next := k.renewCatalog(s.Catalog, old, k.membersFor(s, zones))
		k.catalogs[s.Catalog] = next
		if next != old {
			k.tellCatalog(s)
		}
	}
}

// renewCatalog returns a catalog of a list, which is the old one where that has the same. The serial of the first, for which there is
// no old one, is the next second: later than any from before a restart, even one that takes no second.
func (k *Keeper) renewCatalog(origin wire.Name, old *Zone, list []wire.Name) *Zone {
	now := k.options.Zones.options.Now()
	if old == nil {
		return newCatalog(origin, list, nextSerial(uint32(now.Unix()), now))
	}
	if again := newCatalog(origin, list, old.serial); again.equal(&old.contents) {
		return old
	}
	next := newCatalog(origin, list, nextSerial(old.serial, now))
	k.journal.note(old, next)
	return next
}

// membersFor returns the zones that a secondary can have. One that is called like a catalog could not be told from it.
func (k *Keeper) membersFor(s *Secondary, zones *Zones) []wire.Name {
	var list []wire.Name
	for _, z := range zones.byOrigin {
		if (z.isGiven() || z.isUnread()) && s.has(z.origin) && !k.isCatalog(z.origin) {
			list = append(list, z.origin)
		}
	}
	return list
}

func (k *Keeper) isCatalog(name wire.Name) bool {
	return slices.ContainsFunc(k.options.Secondaries, func(s Secondary) bool { return s.hasCatalog() && s.Catalog == name })
}

// tellCatalog has a secondary told that its catalog is another one.
func (k *Keeper) tellCatalog(s *Secondary) {
	for _, n := range k.notices {
		if n.secondary == s {
			n.add(s.Catalog)
		}
	}
}

// catalog returns the catalog of a name, nil unless the key is that of its secondary: for all others, there is none.
func (k *Keeper) catalog(name, key wire.Name) *Zone {
	if !slices.ContainsFunc(k.options.Secondaries, func(s Secondary) bool { return s.hasCatalog() && s.Catalog == name && s.Key == key }) {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.catalogs[name]
}
