package zone

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A Source is a zone file.
type Source struct {
	File    string // how it is called in problems
	Text    []byte
	Origin  wire.Name
	Changed time.Time
	After   uint32 // a serial that has been served, with other contents; 0: none has
	Replica bool   // it was had from a primary, and stands as it is there unless its settings say otherwise

	plain bool // nor do they
}

// Build makes the Zone of a file. It is nil where the problems are grave, and where the settings in the file say that the zone is
// not served at now.
func Build(src *Source, now time.Time, o *Options) (*Zone, Settings, Problems) {
	var settings Settings
	var problems Problems
	if src.Replica {
		own := *o
		own.Nameservers = nil
		o, settings.Flattening = &own, FlattenNothing
	}
	if !src.plain {
		settings, problems = readSettings(src.File, src.Text, settings)
	}
	d := draft{source: src, options: o, settings: settings, problems: problems}
	d.entries = make([]entry, 0, bytes.Count(src.Text, []byte{'\n'})+2) // most files have a record in a line
	d.octets = make([]byte, 0, len(src.Text)/2)
	d.problems = append(d.problems, scan(src.File, src.Text, src.Origin, d.take)...)
	z := d.finish()
	slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	if d.problems.Grave() || !settings.served(src.Changed, now) {
		return nil, settings, d.problems
	}
	return z, settings, d.problems
}

// A draft is a zone on its way from a file, record by record and in any order. It holds the origins of proxied records, and goes
// when the Zone is made.
type draft struct {
	source   *Source
	options  *Options
	settings Settings
	problems Problems
	grave    int // of them
	warnings int

	entries []entry
	octets  []byte // their keys and RDATA
	packed  []byte

	zone    *Zone
	soa     *entry
	cut     key             // the names at and below it belong to other servers
	glue    map[string]bool // keys of the servers of delegations; nil: nobody has asked
	sets    []made          // of the name at hand
	edge    edgeSets
	nowhere bool      // that there is no edge has been said
	target  wire.Name // the origin of the names that are served: the file's, or for a partial zone one below the suffix
}

// An entry is one record of a draft.
type entry struct {
	key, rdata             uint32
	keyLength, rdataLength uint16
	kind                   wire.Type
	marks                  recordMark
	ttl                    uint32
	line                   int32
}

// Marks of a record.
type recordMark uint8

const (
	recordProxied recordMark = 1 << iota
	recordFlatten
	recordIPv4Only
	recordIPv6Only
)

func (d *draft) key(e *entry) key      { return d.octets[e.key:][:e.keyLength] }
func (d *draft) rdata(e *entry) []byte { return d.octets[e.rdata:][:e.rdataLength] }

// TTLs. 1 means Auto in zone files, as in the Cloudflare API.
const (
	autoTTL       = 1
	automaticTTL  = 300
	nameserverTTL = 86400
)

// Why a record is not served. The codes are those of the management API.
const (
	errClass   problemText = "is of another class than IN"
	errOutside problemText = "lies outside the zone"
	errMeta    problemText = "is of a type that no zone has"
	errNoRData problemText = "has no RDATA"
	errBroken  problemText = "cannot be put into a message"
	errHuge    problemText = "zone is too large"
	errBare    problemText = "the copy has no SOA record, or no NS records of its own"
	errTTL     problemText = "has a TTL of more than 2147483647" // RFC 2181 section 8
)

// maxPacked is more than any record takes: an owner, and 65,535 octets of RDATA.
const maxPacked = 1 << 17

// Codes of the management API.
const (
	codeName         = 9000
	codeTarget       = 9003
	codeNotProxiable = 9004
	codeCNAMEBeside  = 81053
	codeBesideCNAME  = 81054
	codeExists       = 81057
	codeIdentical    = 81058
)

// take takes one record.
func (d *draft) take(s *scanned) bool {
	if err := d.add(s); err != nil {
		d.report(s.line, err.Error(), 0)
	}
	return d.grave < maxProblems
}

func (d *draft) add(s *scanned) error {
	h := s.rr.Header()
	kind := wire.Type(h.Rrtype)
	switch {
	case h.Class != dns.ClassINET:
		return errClass
	case kind.IsMeta():
		return errMeta
	case isMadeBySigning(kind) && d.source.Replica:
		return errSigned
	case isMadeBySigning(kind), d.settings.Signing != Unsigned && isMadeByKeys(kind):
		d.warn(s.line, dns.Type(kind).String()+" records are made by who signs, and are left out")
		return nil
	case len(d.octets) > 1<<31:
		return errHuge
	case h.Ttl > math.MaxInt32:
		return errTTL
	}
	if d.packed == nil {
		d.packed = make([]byte, 4096)
	}
	end, err := dns.PackRR(s.rr, d.packed, 0, nil, false)
	for err != nil && len(d.packed) < maxPacked {
		d.packed = make([]byte, 2*len(d.packed))
		end, err = dns.PackRR(s.rr, d.packed, 0, nil, false)
	}
	if err != nil {
		return errBroken
	}
	return d.addPacked(s, kind, d.packed[:end])
}

// addPacked takes a record in wire form.
func (d *draft) addPacked(s *scanned, kind wire.Type, packed []byte) error {
	owner, rest := splitName(packed)
	labels, ok := within(owner, d.source.Origin)
	if !ok {
		return errOutside
	}
	const header = 2 + 2 + 4 + 2
	e := entry{kind: kind, ttl: s.rr.Header().Ttl, marks: s.tags.marks(), line: int32(s.line)}
	if e.marks&recordProxied != 0 && !proxiable(kind) {
		d.report(s.line, "records of type "+dns.Type(kind).String()+" cannot be proxied", codeNotProxiable)
		return nil
	}
	if d.source.plain {
		e.marks = 0
	}
	if e.ttl == autoTTL && !d.source.Replica {
		e.ttl = automaticTTL
	}
	e.key = uint32(len(d.octets))
	d.octets = appendKeyOf(d.octets, labels)
	e.keyLength = uint16(len(d.octets) - int(e.key))
	e.rdata, e.rdataLength = uint32(len(d.octets)), uint16(len(rest)-header)
	if e.rdataLength == 0 && kind != 10 { // only NULL may be empty (RFC 1035 section 3.3.10)
		return errNoRData
	}
	d.octets = append(d.octets, rest[header:]...)
	d.entries = append(d.entries, e)
	return nil
}

// splitName splits a name in wire form off, and puts it into lower case: its letters are those of ASCII (RFC 4343), whatever else its
// octets may mean to somebody. A length is no letter.
func splitName(b []byte) (name, rest []byte) {
	end := 0
	for b[end] != 0 {
		end += 1 + int(b[end])
	}
	for i, c := range b[:end] {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b[:end+1], b[end+1:]
}

// within returns the labels of a name in wire form that lie below those of origin.
func within(name []byte, origin wire.Name) (labels []byte, ok bool) {
	var buf [wire.MaxNameLength]byte
	zone := origin.Append(buf[:0])
	off := 0
	for len(name)-off > len(zone) {
		off += 1 + int(name[off])
	}
	return name[:off], bytes.Equal(name[off:], zone)
}

// isMadeBySigning reports whether records of a type come from a signer and do not belong into what is to be signed.
func isMadeBySigning(t wire.Type) bool {
	const nsec3param = 51
	return t == wire.TypeRRSIG || t == wire.TypeNSEC || t == wire.TypeNSEC3 || t == nsec3param
}

// isMadeByKeys reports whether records of a type come from the keys that a zone is signed with.
func isMadeByKeys(t wire.Type) bool { return t == wire.TypeDNSKEY || t == typeCDS || t == typeCDNSKEY }

func (d *draft) report(line int, text string, code int) {
	d.grave++
	d.problems = append(d.problems, Problem{File: d.source.File, Line: line, Text: text, Code: code})
}

// warn says what keeps nothing from being served: so it may stop being said.
func (d *draft) warn(line int, text string) {
	if d.warnings++; d.warnings > maxProblems {
		return
	}
	d.problems = append(d.problems, Problem{File: d.source.File, Line: line, Text: text, Warning: true})
}

// finish makes the zone, name by name.
func (d *draft) finish() *Zone {
	d.target = d.source.Origin
	if d.settings.Status == Moved {
		d.warn(0, "the zone has moved: records that are proxied are served as if they were not")
	}
	if d.settings.Partial {
		d.target = d.below(d.options.Edge.PartialSuffix)
	}
	d.completeOwners()
	byKey := func(a, b entry) int {
		return cmp.Or(bytes.Compare(d.key(&a), d.key(&b)), cmp.Compare(a.kind, b.kind))
	}
	if !slices.IsSortedFunc(d.entries, byKey) {
		slices.SortStableFunc(d.entries, byKey)
	}
	d.zone = &Zone{origin: d.target}
	d.takeKey()
	d.reserve()
	d.edge = newEdgeSets(d.options, &d.settings)
	d.apex()
	for rest := d.entries; len(rest) > 0 && d.grave < maxProblems; {
		end := 1
		for end < len(rest) && bytes.Equal(d.key(&rest[end]), d.key(&rest[0])) {
			end++
		}
		d.name(rest[:end])
		rest = rest[end:]
	}
	d.zone.end()
	return d.zone
}

// completeOwners takes the doubled origin off the owners of a file whose SOA record stands at ORIGIN.ORIGIN: they were
// written without their final dots, as Cloudflare's export has the SOA record and at times others.
func (d *draft) completeOwners() {
	var buf [wire.MaxNameLength]byte
	labels := d.source.Origin.Append(buf[:0])
	doubled := appendKeyOf(nil, labels[:len(labels)-1])
	at := slices.IndexFunc(d.entries, func(e entry) bool { return e.kind == wire.TypeSOA && bytes.Equal(d.key(&e), doubled) })
	if at < 0 || len(doubled) == 0 {
		return
	}
	d.warn(int(d.entries[at].line), "is an SOA record whose owner has no final dot: it is taken for that of the apex")
	for i := range d.entries {
		if e := &d.entries[i]; bytes.HasPrefix(d.key(e), doubled) {
			e.key += uint32(len(doubled))
			e.keyLength -= uint16(len(doubled))
		}
	}
}

// takeKey readies what signs the zone. Without it the zone is not answered for: those who know that it is signed would believe
// nothing of it.
func (d *draft) takeKey() {
	if d.settings.Signing == Unsigned {
		return
	}
	d.zone.withheld = true
	if d.options.Keys == nil {
		return
	}
	signer, fresh, err := d.options.Keys.signer(d.target)
	switch {
	case err != nil:
		p := Problem{File: d.source.File, Text: err.Error()}
		if cause := errors.Unwrap(err); cause != nil {
			p.Detail = NewContent(cause.Error())
		}
		d.problems = append(d.problems, p)
	case signer != nil:
		d.zone.signer, d.zone.withheld = signer, false
	}
	if fresh && err == nil {
		d.warn(0, "a key was made for this zone: tacit zone ds prints the DS record for its parent")
	}
}

// reserve makes room for what the entries come to. Names that are proxied may need a little more.
func (d *draft) reserve() {
	var last *entry
	nodes, keys, sets := 2, 0, 4*setHeader
	for i := range d.entries {
		e := &d.entries[i]
		switch {
		case last == nil || !bytes.Equal(d.key(last), d.key(e)):
			nodes++
			keys += int(e.keyLength)
			sets += setHeader
		case last.kind != e.kind:
			sets += setHeader
		}
		sets += 2 + int(e.rdataLength)
		last = e
	}
	d.zone.reserve(nodes, keys, sets)
}

// below returns the name under which a partial zone is served.
func (d *draft) below(suffix wire.Name) wire.Name {
	if suffix.IsRoot() {
		d.report(0, "the zone is partial, and there is no edge.partial_suffix", 0)
		return d.source.Origin
	}
	name, err := d.source.Origin.Substitute(wire.Root, suffix)
	if err != nil {
		d.report(0, "the names of this partial zone are too long", codeName)
	}
	return name
}

// A made is an RRset as it will be answered.
type made struct {
	kind wire.Type
	mark byte
	ttl  uint32
	data wire.Rdatas
}

// name makes the RRsets of one name of its records, which are sorted by type.
func (d *draft) name(records []entry) {
	k := d.key(&records[0])
	shadowed := d.cut != nil && bytes.HasPrefix(k, d.cut)
	if !shadowed {
		d.checkNeighbours(k, records)
		shadowed = len(k) > 0 && slices.ContainsFunc(records, func(e entry) bool { return e.kind == wire.TypeNS })
	}
	d.sets = d.sets[:0]
	proxied := recordMark(0)
	for rest := records; len(rest) > 0; {
		end := 1
		for end < len(rest) && rest[end].kind == rest[0].kind {
			proxied |= rest[end].marks
			end++
		}
		proxied |= rest[0].marks
		d.set(k, rest[:end])
		rest = rest[end:]
	}
	d.checkAlias(records)
	d.checkOrigins(records)
	if shadowed && proxied&recordProxied != 0 && !d.isGlue(k) { // nobody is told, so nobody needs to know
		d.sets = slices.DeleteFunc(d.sets, func(m made) bool { return proxiable(m.kind) })
	}
	if proxied&recordProxied != 0 && d.settings.leads() && !shadowed {
		if d.edge.isNowhere() && !d.nowhere {
			d.nowhere = true
			d.warn(int(records[0].line), "is at a name that is proxied, and there are no edge.addresses: it has none")
		}
		d.sets = d.edge.replace(d.sets, proxied)
	}
	if len(k) == 0 {
		d.sets = d.atApex(d.sets)
	}
	d.store(k)
}

// isGlue reports whether a name is that of a server to which something is delegated.
func (d *draft) isGlue(k key) bool {
	if d.glue == nil {
		d.glue = map[string]bool{}
		for i := range d.entries {
			if e := &d.entries[i]; e.kind == wire.TypeNS && e.keyLength > 0 {
				if server, err := wire.NameFromWire(d.rdata(e)); err == nil && server.Within(d.source.Origin) {
					d.glue[string(appendKey(nil, server, d.source.Origin))] = true
				}
			}
		}
	}
	return d.glue[string(k)]
}

// store puts the sets of a name into the zone.
func (d *draft) store(k key) {
	slices.SortStableFunc(d.sets, func(a, b made) int { return cmp.Compare(a.kind, b.kind) })
	d.zone.begin(k)
	for i := range d.sets {
		m := &d.sets[i]
		d.zone.add(m)
		d.zone.records += m.data.Count()
		if m.kind == wire.TypeDNAME || m.kind == wire.TypeNS && len(k) > 0 {
			d.zone.cuts = true
		}
		if m.kind == wire.TypeNS && len(k) > 0 && (d.cut == nil || !bytes.HasPrefix(k, d.cut)) {
			d.cut = slices.Clone(k)
		}
	}
}

// maxInSet is more than the records of one name and type that fit into a message.
const maxInSet = math.MaxUint16 / 13

// set makes one RRset. Its TTL is the least (RFC 2181 section 5.2).
func (d *draft) set(k key, records []entry) {
	if records[0].kind == 0 || len(k) == 0 && (records[0].kind == wire.TypeSOA || records[0].kind == wire.TypeNS && !d.keepsNS(records)) {
		return
	}
	m := made{kind: records[0].kind, ttl: records[0].ttl}
	if len(records) > maxInSet {
		d.report(int(records[maxInSet].line), "is one of more records of its name and type than a message holds", 0)
		return
	}
	for i := range records {
		e := &records[i]
		if slices.ContainsFunc(records[:i], func(o entry) bool { return bytes.Equal(d.rdata(&o), d.rdata(e)) }) {
			d.warn(int(e.line), "stands there twice")
			continue
		}
		if e.ttl != m.ttl {
			d.warn(int(e.line), "has another TTL than the records beside it; the least is given")
			m.ttl = min(m.ttl, e.ttl)
		}
		m.data = m.data.Add(d.rdata(e))
	}
	if m.kind == wire.TypeCNAME {
		d.alias(k, &m, records[0].marks)
	}
	if len(m.data) > maxSetLength {
		d.report(int(records[0].line), "is of an RRset that no message holds", 0)
	}
	d.sets = append(d.sets, m)
}

// maxSetLength leaves room for a header, a question, and owners.
const maxSetLength = 60_000

// alias decides whether a CNAME is flattened. In a partial zone, it leads to where its target is served.
func (d *draft) alias(k key, m *made, marks recordMark) {
	rdata, _ := m.data.Next()
	target, err := wire.NameFromWire(rdata)
	if err != nil {
		return // it was made of a name
	}
	inside := target.Within(d.source.Origin)
	if len(k) == 0 || marks&recordFlatten != 0 || d.settings.Flattening == FlattenAll || inside && d.settings.Flattening == FlattenInZone {
		m.mark = markFlattened
	}
	if inside && d.settings.Partial && d.has(target) {
		if moved, err := target.Substitute(wire.Root, d.options.Edge.PartialSuffix); err == nil {
			m.data = wire.Rdatas(nil).Add(moved.Append(nil))
		}
	}
}

func (d *draft) has(name wire.Name) bool {
	k := appendKey(nil, name, d.source.Origin)
	_, found := slices.BinarySearchFunc(d.entries, k, func(e entry, k key) int { return bytes.Compare(d.key(&e), k) })
	return found
}

// apex finds the SOA record, and makes the one that is served.
func (d *draft) apex() {
	own := false
	for i := range d.entries {
		e := &d.entries[i]
		if e.kind == wire.TypeSOA && e.keyLength > 0 {
			d.report(int(e.line), "is an SOA record, and not at the apex", 0)
		}
		if e.kind == wire.TypeSOA && e.keyLength == 0 {
			if d.soa != nil {
				d.report(int(e.line), "is the second SOA record", 0)
			}
			d.soa = e
		}
		own = own || e.keyLength == 0
	}
	if d.source.Replica {
		d.checkCopy()
	}
	if !own { // so that name is called for the apex
		d.entries = slices.Insert(d.entries, 0, entry{})
	}
	d.zone.serial = uint32(d.source.Changed.Unix())
	if d.soa != nil {
		d.zone.serial = binary.BigEndian.Uint32(serialIn(d.rdata(d.soa)))
	}
	if after := d.source.After; after != 0 && !isLater(d.zone.serial, after) {
		d.zone.serial = after + 1
		if isLater(uint32(d.source.Changed.Unix()), after) {
			d.zone.serial = uint32(d.source.Changed.Unix())
		}
	}
	if d.soa != nil {
		binary.BigEndian.PutUint32(serialIn(d.rdata(d.soa)), d.zone.serial)
	}
}

// checkCopy finds a copy without what makes a zone: here, a zone of our own is given it.
func (d *draft) checkCopy() {
	servers := slices.ContainsFunc(d.entries, func(e entry) bool { return e.keyLength == 0 && e.kind == wire.TypeNS })
	if d.soa == nil || !servers {
		d.report(0, errBare.Error(), 0)
	}
}

// serialIn returns where the serial stands in the RDATA of a SOA record.
func serialIn(rdata []byte) []byte { return rdata[len(rdata)-20:][:4] }

// isLater compares serials (RFC 1982 section 3.2).
func isLater(a, b uint32) bool { return a != b && int32(a-b) > 0 }

// checkNeighbours finds records that cannot stand at one name.
func (d *draft) checkNeighbours(k key, records []entry) {
	var has [256]bool
	var others int
	line := func(kind wire.Type) int32 {
		return records[slices.IndexFunc(records, func(e entry) bool { return e.kind == kind })].line
	}
	for i := range records {
		e := &records[i]
		if e.kind < 256 {
			has[e.kind] = true
		}
		single := e.kind == wire.TypeCNAME || e.kind == wire.TypeDNAME
		if single && i > 0 && records[i-1].kind == e.kind && !bytes.Equal(d.rdata(e), d.rdata(&records[i-1])) {
			d.report(int(e.line), "is the second "+dns.Type(e.kind).String()+" record of its name", codeBesideCNAME)
		}
		switch e.kind {
		case wire.TypeCNAME, wire.TypeA, wire.TypeAAAA, wire.TypeNS, wire.TypeDS:
		default:
			others++
		}
	}
	switch {
	case has[wire.TypeCNAME] && (has[wire.TypeA] || has[wire.TypeAAAA]):
		d.report(int(line(wire.TypeCNAME)), "is a CNAME beside addresses", codeCNAMEBeside)
	case has[wire.TypeCNAME] && has[wire.TypeDNAME]:
		d.report(int(line(wire.TypeCNAME)), "is a CNAME beside a DNAME", 0)
	case len(k) > 0 && has[wire.TypeNS] && (others > 0 || has[wire.TypeCNAME]):
		d.report(int(line(wire.TypeNS)), "delegates a name that has other records", 0)
	case k.isWildcard() && has[wire.TypeNS]:
		d.report(int(line(wire.TypeNS)), "delegates a wildcard", 0) // RFC 4592 section 4.2: no meaning has been agreed on
	case len(k) > 0 && has[wire.TypeNS] && d.settings.Partial:
		d.report(int(line(wire.TypeNS)), "delegates a name of a partial zone", 0) // whose delegations are elsewhere
	case has[wire.TypeDS] && !has[wire.TypeNS]:
		d.warn(int(line(wire.TypeDS)), "is a DS record without a delegation")
	}
}

// checkAlias finds what is hidden by a CNAME record that is given as one (RFC 2181 section 10.1): only some who ask would see it.
func (d *draft) checkAlias(records []entry) {
	other := slices.IndexFunc(records, func(e entry) bool { return !proxiable(e.kind) })
	if other >= 0 && slices.ContainsFunc(d.sets, func(m made) bool { return m.kind == wire.TypeCNAME && m.mark != markFlattened }) {
		d.warn(int(records[other].line), "stands beside a CNAME record that is not flattened: who follows that does not see it")
	}
}

// checkOrigins finds addresses to which nobody should be proxied: requests would go round, or into the machine itself.
func (d *draft) checkOrigins(records []entry) {
	for i := range records {
		e := &records[i]
		if e.marks&recordProxied == 0 {
			continue
		}
		if e.kind == wire.TypeCNAME {
			if target, err := wire.NameFromWire(d.rdata(e)); err == nil && verifies(target) {
				d.warn(int(e.line), "is proxied, and leads to a service that will not find here what it verifies: it should not be")
			}
			continue
		}
		if a, ok := netip.AddrFromSlice(d.rdata(e)); ok && !d.options.mayBeOrigin(a, &d.settings) {
			d.report(int(e.line), "cannot be proxied: its address is loopback, link-local, multicast or unspecified, the edge's, or tacit's own", codeTarget)
		}
	}
}

func (o *Options) mayBeOrigin(a netip.Addr, s *Settings) bool {
	for _, p := range o.Edge.OriginAllow {
		if p.Contains(a) {
			return true
		}
	}
	switch {
	case a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified(), netip.PrefixFrom(netip.IPv4Unspecified(), 8).Contains(a):
		return false
	}
	return !slices.Contains(o.Edge.Addresses, a) && !slices.Contains(s.Edge, a) && !slices.Contains(o.Edge.Listening, a)
}

// keepsNS reports whether the NS records of the file are served.
func (d *draft) keepsNS(records []entry) bool {
	if len(d.options.Nameservers) == 0 || d.settings.MultiProvider {
		return true
	}
	d.warn(int(records[0].line), "is an NS record of the apex, where those of the configuration are given (multi-provider gives both)")
	return false
}

// Timers of a SOA record that is made here.
const (
	soaRefresh = 10000
	soaRetry   = 2400
	soaExpire  = 604800
	soaMinimum = 1800
	soaTTL     = 3600
)

// atApex adds the NS and SOA records that the file does not have.
func (d *draft) atApex(sets []made) []made {
	at := slices.IndexFunc(sets, func(m made) bool { return m.kind == wire.TypeNS })
	if at < 0 {
		at = len(sets)
		sets = append(sets, made{kind: wire.TypeNS, ttl: nameserverTTL})
	}
	for _, name := range d.options.Nameservers {
		sets[at].data = sets[at].data.Add(name.Append(nil))
	}
	if len(sets[at].data) == 0 { // as in the zones of RFC 6303 section 3
		sets[at].data = sets[at].data.Add(d.target.Append(nil))
	}
	m := made{kind: wire.TypeSOA, ttl: soaTTL}
	switch {
	case d.soa != nil && len(d.options.Nameservers) == 0:
		m.ttl, m.data = d.soa.ttl, m.data.Add(d.rdata(d.soa))
	default:
		m.data = m.data.Add(d.makeSOA(sets[at].data))
	}
	sets = append(sets, m)
	if d.zone.signer != nil {
		sets = append(sets, d.zone.signer.keySets(d.settings.Signing == Withdrawing)...)
	}
	d.zone.soa = wire.RRset{Name: d.target, Type: wire.TypeSOA, TTL: min(m.ttl, negativeTTL(m.data)), Data: m.data}
	return sets
}

func (d *draft) makeSOA(servers wire.Rdatas) []byte {
	first, _ := servers.Next()
	rdata := slices.Clone(first)
	mailbox, err := d.target.Prepend("hostmaster")
	if err != nil {
		mailbox = d.target
	}
	rdata = mailbox.Append(rdata)
	for _, v := range []uint32{d.zone.serial, soaRefresh, soaRetry, soaExpire, soaMinimum} {
		rdata = binary.BigEndian.AppendUint32(rdata, v)
	}
	return rdata
}

// negativeTTL is the last field of a SOA record (RFC 2308 section 4).
func negativeTTL(soa wire.Rdatas) uint32 {
	rdata, _ := soa.Next()
	return binary.BigEndian.Uint32(rdata[len(rdata)-4:])
}
