package resolver

import (
	"bytes"
	"net/netip"
	"sync"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A response is what is left of a reply after scrub: RRsets that the server of the zone may speak for, and nothing
// else. No decision is taken from the message itself.
type response struct {
	rcode         wire.Rcode
	authoritative bool // AA
	recursive     bool // RA
	away          bool // an NS RRset outside the zone: the server sends the asker back to where it came from, or astray
	answer        []wire.RRset
	authority     []wire.RRset
	glue          map[wire.Name][]netip.Addr
}

// maxRecords bounds the records of one RRset: real ones stay below, and a larger one costs every later reader.
const maxRecords = 256

// scrub believes less: of a reply by a server of zone it keeps records of class IN at or below zone, grouped into RRsets,
// and of the additional section only addresses. The second result is false when an RRset is too large to be honest.
func scrub(msg *dns.Msg, question wire.Question, zone wire.Name) (response, bool) {
	r := response{
		rcode:         wire.Rcode(msg.Rcode),
		authoritative: msg.Authoritative,
		recursive:     msg.RecursionAvailable,
	}
	s := scrubber{zone: zone, asked: question.Name, keepSigs: question.Type == wire.TypeRRSIG, room: rooms.Get().(*room)}
	s.buf = s.room[:]
	defer s.room.end()
	r.answer = s.sets(msg.Answer)
	r.authority = s.sets(msg.Ns)
	r.away = pointsAway(msg.Ns, zone)
	for _, rr := range msg.Extra {
		s.takeGlue(&r, rr)
	}
	return r, !s.oversized
}

func pointsAway(records []dns.RR, zone wire.Name) bool {
	for _, rr := range records {
		if ns, ok := rr.(*dns.NS); ok {
			if owner, err := wire.ParseName(ns.Hdr.Name); err == nil && !owner.Within(zone) {
				return true
			}
		}
	}
	return false
}

type scrubber struct {
	zone      wire.Name
	asked     wire.Name // the owner of most records
	keepSigs  bool      // RRSIGs were asked for: they are an RRset of their own
	oversized bool
	lastText  string // the owner that was read last
	lastName  wire.Name
	room      *room
	buf       []byte // of the room, or larger
}

// A room is where RDATA are laid out, one at a time.
type room [2048]byte

var rooms = sync.Pool{New: func() any { return new(room) }}

func (r *room) end() {
	clear(r[:])
	rooms.Put(r)
}

// sets groups records into RRsets, in the order in which they first appear, and hangs signatures on what they cover.
func (s *scrubber) sets(records []dns.RR) []wire.RRset {
	var sets []wire.RRset
	var signatures []*dns.RRSIG
	for _, rr := range records {
		if sig, ok := rr.(*dns.RRSIG); ok && !s.keepSigs {
			signatures = append(signatures, sig)
			continue
		}
		sets = s.add(sets, rr)
	}
	for _, sig := range signatures {
		s.attach(sets, sig)
	}
	return sets
}

func (s *scrubber) add(sets []wire.RRset, rr dns.RR) []wire.RRset {
	h := rr.Header()
	name, ok := s.owner(h)
	if !ok {
		return sets
	}
	rdata, ok := s.rdata(rr, name)
	if !ok {
		return sets
	}
	set := findSet(sets, name, wire.Type(h.Rrtype))
	if set == nil {
		sets = append(sets, wire.RRset{Name: name, Type: wire.Type(h.Rrtype), TTL: readTTL(h.Ttl)})
		set = &sets[len(sets)-1]
	}
	set.TTL = min(set.TTL, readTTL(h.Ttl)) // RFC 2181 section 5.2: TTLs of one set are one
	if count, known := holds(set.Data, rdata); !known {
		s.oversized = s.oversized || count >= maxRecords
		set.Data = set.Data.Add(rdata)
	}
	return sets
}

// attach hangs a signature on the set that it covers; one that covers nothing here is dropped.
func (s *scrubber) attach(sets []wire.RRset, sig *dns.RRSIG) {
	name, ok := s.owner(&sig.Hdr)
	if !ok {
		return
	}
	set := findSet(sets, name, wire.Type(sig.TypeCovered))
	if set == nil || set.Sigs.Count() >= maxSignatures {
		return
	}
	if rdata, ok := s.rdata(sig, name); ok {
		set.Sigs = set.Sigs.Add(rdata)
	}
}

// maxSignatures bounds the signatures kept of one RRset.
const maxSignatures = 8

// owner returns the name that a record belongs to, if this server may speak for it.
func (s *scrubber) owner(h *dns.RR_Header) (wire.Name, bool) {
	if h.Class != dns.ClassINET {
		return wire.Root, false
	}
	if h.Name != s.lastText || s.lastText == "" { // one name's records stand together
		name := s.asked
		if !name.Is(h.Name) {
			var err error
			if name, err = wire.ParseName(h.Name); err != nil {
				return wire.Root, false
			}
		}
		s.lastText, s.lastName = h.Name, name
	}
	return s.lastName, s.lastName.Within(s.zone)
}

// rdata returns a record's RDATA without compression, good until the next call.
func (s *scrubber) rdata(rr dns.RR, owner wire.Name) ([]byte, bool) {
	for {
		end, err := dns.PackRR(rr, s.buf, 0, nil, false)
		if err == nil {
			return s.buf[owner.Len()+10 : end], true
		}
		if len(s.buf) > dns.MaxMsgSize {
			return nil, false
		}
		s.buf = make([]byte, 2*dns.MaxMsgSize)
	}
}

// takeGlue keeps an address from the additional section, for the servers of a referral only. Records outside the zone
// have gone the way of all others: the referring server may not speak for them (RFC 9471 asks for in-domain glue).
func (s *scrubber) takeGlue(r *response, rr dns.RR) {
	switch rr.(type) {
	case *dns.A, *dns.AAAA:
	default:
		return
	}
	name, ok := s.owner(rr.Header())
	if !ok {
		return
	}
	addr, err := address(rr)
	if err != nil {
		return
	}
	if r.glue == nil {
		r.glue = map[wire.Name][]netip.Addr{}
	}
	if len(r.glue[name]) < maxGlue {
		r.glue[name] = append(r.glue[name], addr)
	}
}

// maxGlue bounds the addresses taken for one name of a server.
const maxGlue = 6

// readTTL reads a TTL as RFC 2181 section 8 has it: one with the top bit set is zero.
func readTTL(ttl uint32) uint32 {
	if ttl > 1<<31-1 {
		return 0
	}
	return ttl
}

func findSet(sets []wire.RRset, name wire.Name, kind wire.Type) *wire.RRset {
	for i := range sets {
		if sets[i].Name == name && sets[i].Type == kind {
			return &sets[i]
		}
	}
	return nil
}

// holds counts the records and says whether rdata is one of them: equal records are one (RFC 2181 section 5).
func holds(data wire.Rdatas, rdata []byte) (count int, known bool) {
	for have := range data.All() {
		if bytes.Equal(have, rdata) {
			return count, true
		}
		count++
	}
	return count, false
}
