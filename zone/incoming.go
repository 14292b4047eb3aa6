package zone

import (
	"bytes"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// An incoming is what comes in a transfer: a whole zone (RFC 5936 section 2.2), or what has changed in one since a version that is
// known here (RFC 1995 section 4). It is told record by record.
type incoming struct {
	origin string // in lower case
	since  uint32
	known  bool // since is a version that may be gone on from

	phase   phase
	soa     *dns.SOA // of the version that comes
	at      uint32   // what the changes have led to
	records int
	text    []byte // of a whole zone
	changes []change
	writer  recordWriter
}

// A phase is what comes next.
type phase uint8

const (
	beginning phase = iota // the SOA record of the version that comes
	begun                  // what says whether it comes whole
	whole                  // records of the zone
	removing               // records that are gone, behind the SOA record of the version that had them
	adding                 // records that have come, behind that of the version that has them
	over
)

// A change is one record that has gone or come.
type change struct {
	rr   dns.RR
	gone bool
}

// Limits of what comes in.
const (
	maxIncoming        = 128 << 20 // octets of a transfer
	maxIncomingRecords = 2_000_000
	maxIncomingChanges = 200_000 // who has missed more takes the zone
	maxAltered         = 4096    // records of an RRset that changes: no message holds more (RFC 1035 section 4.2.2)
)

// Why what comes in is none of the zone's.
const (
	errNoBegin   transferError = "transfer does not begin with the SOA record of the zone"
	errForeign   transferError = "transfer has a record that lies outside the zone"
	errSequence  transferError = "transfer has versions that do not follow each other"
	errTrailing  transferError = "transfer goes on behind its end"
	errMany      transferError = "transfer has more records than are taken"
	errSigned    transferError = "zone is signed by its primary, which is not served from a copy yet"
	errUnwritten transferError = "transfer has a record that no zone file can hold"
	errMismatch  transferError = "transfer has changes that do not fit the version that is known here"
)

func newIncoming(origin wire.Name) *incoming {
	text, _, _ := dns.UnpackDomainName(origin.Append(nil), 0) // as the library writes it
	return &incoming{origin: dns.CanonicalName(text)}
}

// take takes the next record.
func (in *incoming) take(rr dns.RR) error {
	h := rr.Header()
	if in.records++; in.records > maxIncomingRecords {
		return errMany
	}
	soa, _ := rr.(*dns.SOA)
	apex := strings.EqualFold(h.Name, in.origin)
	switch {
	case h.Class != dns.ClassINET, soa != nil && !apex, !apex && !dns.IsSubDomain(in.origin, h.Name):
		return errForeign
	case isMadeBySigning(wire.Type(h.Rrtype)): // all others are found wrong as those of a file are
		return errSigned
	case in.phase == over:
		return errTrailing
	case soa != nil:
		return in.turn(soa)
	case in.phase == beginning:
		return errNoBegin
	case in.phase == begun:
		in.phase = whole
		if err := in.write(in.soa); err != nil {
			return err
		}
		return in.write(rr)
	case in.phase == whole:
		return in.write(rr)
	case len(in.changes) == maxIncomingChanges:
		return errMany
	default:
		in.changes = append(in.changes, change{rr, in.phase == removing})
		return nil
	}
}

// turn goes from phase to phase, at an SOA record.
func (in *incoming) turn(soa *dns.SOA) error {
	last := in.soa != nil && dns.IsDuplicate(in.soa, soa)
	switch in.phase {
	case beginning:
		in.phase, in.soa = begun, soa
	case begun:
		switch {
		case in.known && soa.Serial == in.since && !last:
			in.phase, in.at = removing, soa.Serial
		case last: // a zone of nothing else
			in.phase = over
			return in.write(soa)
		default:
			return errEnd
		}
	case whole:
		if in.phase = over; !last {
			return errEnd
		}
	case removing:
		if in.phase = adding; !isLater(soa.Serial, in.at) || isLater(soa.Serial, in.soa.Serial) {
			return errSequence
		}
		in.at = soa.Serial
	case adding:
		switch {
		case soa.Serial != in.at:
			return errSequence
		case last:
			in.phase = over
		default:
			in.phase = removing
		}
	case over: // which take has seen
	}
	return nil
}

// isNews reports whether what has come so far is more than the SOA record that says that there is nothing new (RFC 1995 section 2).
func (in *incoming) isNews() bool {
	return !in.known || in.phase != begun || isLater(in.soa.Serial, in.since)
}

func (in *incoming) write(rr dns.RR) (err error) {
	in.text, err = in.writer.append(in.text, rr)
	return err
}

// A recordWriter writes records as a zone file has them, each so that it is read as the one that came.
type recordWriter struct{ wrote, reads []byte }

func (w *recordWriter) append(dst []byte, rr dns.RR) ([]byte, error) {
	size := len(w.pack(rr))
	if size == 0 {
		return dst, errUnwritten
	}
	text := rr.String()
	if _, unknown := rr.(*dns.RFC3597); unknown || !w.is(text, size) {
		generic := new(dns.RFC3597)
		if generic.ToRFC3597(rr) != nil {
			return dst, errUnwritten
		}
		if text = generic.String(); !w.is(text, size) { // RFC 3597 section 5, which all types can be written in
			return dst, errUnwritten
		}
	}
	return append(append(dst, text...), '\n'), nil
}

// is reports whether a text is read as the record whose octets were written last.
func (w *recordWriter) is(text string, size int) bool {
	rr, err := dns.NewRR(text)
	if err != nil || rr == nil || isBare(rr) {
		return false
	}
	end, err := dns.PackRR(rr, w.reads, 0, nil, false)
	return err == nil && bytes.Equal(w.wrote[:size], w.reads[:end])
}

// An altered is an RRset that changes are made in.
type altered struct {
	key   key
	kind  wire.Type
	ttl   uint32
	rdata [][]byte
	put   bool // it has been written
}

// apply makes the text of the version that comes out of the one that is known.
func (in *incoming) apply(base *Zone) ([]byte, error) {
	sets := map[string]*altered{}
	var order []*altered
	for _, c := range in.changes {
		packed := in.writer.pack(c.rr)
		if packed == nil {
			return nil, errUnwritten
		}
		owner, rest := splitName(packed)
		labels, ok := within(owner, base.origin)
		if !ok {
			return nil, errForeign
		}
		k, kind := appendKeyOf(nil, labels), wire.Type(c.rr.Header().Rrtype)
		id := string(k) + string([]byte{byte(kind >> 8), byte(kind)})
		if sets[id] == nil {
			sets[id] = base.alter(k, kind)
			order = append(order, sets[id])
		}
		const header = 2 + 2 + 4 + 2
		if !sets[id].change(bytes.Clone(rest[header:]), c.rr.Header().Ttl, c.gone) {
			return nil, errMismatch
		}
	}
	return in.rewrite(base, sets, order)
}

// pack returns the octets of a record, which are good until the next; nil where there are none.
func (w *recordWriter) pack(rr dns.RR) []byte {
	if w.wrote == nil {
		w.wrote, w.reads = make([]byte, maxPacked), make([]byte, maxPacked)
	}
	end, err := dns.PackRR(rr, w.wrote, 0, nil, false)
	if err != nil {
		return nil
	}
	return w.wrote[:end]
}

// alter takes an RRset out of a zone; it is empty where there is none.
func (z *Zone) alter(k key, kind wire.Type) *altered {
	a := &altered{key: k, kind: kind}
	i, found := z.search(k)
	if !found {
		return a
	}
	if s := z.set(i, kind); s != nil {
		a.ttl = s.ttl()
		for rdata := range s.data().All() {
			a.rdata = append(a.rdata, rdata)
		}
	}
	return a
}

// change takes a record out or puts one in, and reports whether that could be done. To put in what is there is none of RFC 1995's
// differences, but it is what NSD 4.6 makes for a zone's apex, and leads to the same.
func (a *altered) change(rdata []byte, ttl uint32, gone bool) bool {
	if len(a.rdata) > maxAltered { // each change costs as much as the set has
		return false
	}
	canonical := wire.AppendCanonical(nil, a.kind, rdata)
	at := slices.IndexFunc(a.rdata, func(o []byte) bool { return bytes.Equal(wire.AppendCanonical(nil, a.kind, o), canonical) })
	switch {
	case gone && at >= 0:
		a.rdata = slices.Delete(slices.Clone(a.rdata), at, at+1)
	case gone:
		return false
	case at < 0:
		a.rdata, a.ttl = append(slices.Clip(a.rdata), rdata), ttl
	default:
		a.ttl = ttl
	}
	return true
}

// rewrite writes a zone with its RRsets as they have been altered.
func (in *incoming) rewrite(base *Zone, sets map[string]*altered, order []*altered) ([]byte, error) {
	in.text = make([]byte, 0, 2*base.size())
	if err := in.write(in.soa); err != nil {
		return nil, err
	}
	for i := range base.len() {
		k := base.key(i)
		name := base.nameOf(k)
		for s := range base.all(i) {
			set := s.rrset(name)
			if a := sets[string(k)+string([]byte{byte(set.Type >> 8), byte(set.Type)})]; a != nil {
				set, a.put = a.rrset(name), true
			}
			if set.Type == wire.TypeSOA {
				continue
			}
			if err := in.writeSet(&set); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range order {
		if a.put {
			continue
		}
		set := a.rrset(base.nameOf(a.key))
		if err := in.writeSet(&set); err != nil {
			return nil, err
		}
	}
	return in.text, nil
}

func (a *altered) rrset(name wire.Name) wire.RRset {
	set := wire.RRset{Name: name, Type: a.kind, TTL: a.ttl}
	for _, rdata := range a.rdata {
		set.Data = set.Data.Add(rdata)
	}
	return set
}

func (in *incoming) writeSet(set *wire.RRset) error {
	for _, rr := range appendSet(nil, set) {
		if err := in.write(rr); err != nil {
			return err
		}
	}
	return nil
}
