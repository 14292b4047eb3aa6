package resolver

import (
	"net/netip"

	"tacit/cache"
	"tacit/internal/wire"
)

// An outcome is what a reply is, in the field's words.
type outcome uint8

const (
	malformed outcome = iota // no use can be made of it
	answer                   // the records asked for, at the end of any aliases
	noData                   // the name exists and has no such records (RFC 2308 section 2.2)
	noName                   // the name does not exist (NXDOMAIN)
	alias                    // aliases that lead to a name this server does not speak for
	referral                 // the servers of a zone further down
	tooLong                  // a DNAME whose substitution is no name (YXDOMAIN, RFC 6672 section 2.2)
	lame                     // the server does not serve the zone that it was asked for
	failing                  // the server says that it cannot answer
)

var outcomeWords = [...]string{
	"malformed reply", "answer", "no data", "no such name", "alias", "referral", "alias too long", "lame server", "failing server",
}

func (o outcome) String() string { return outcomeWords[o] }

// A judgement is what classify makes of a response.
type judgement struct {
	outcome outcome
	rank    cache.Rank

	// doubtful replies are taken only when no other server of the zone has a better one: they come from a server that
	// recursed instead of knowing, or that sent an empty message.
	doubtful bool

	records []wire.RRset // the aliases in order, then the answer
	target  wire.Name    // the name at the end of the aliases; the question's name when there are none
	soa     *wire.RRset  // of noData and noName, nil when the server sent none (RFC 2308 section 5)

	glue map[wire.Name][]netip.Addr // of priming: the addresses that came along

	forged bool // a CNAME came that the DNAME beside it does not stand for

	proof []wire.RRset // NSEC and NSEC3 RRsets of the authority section, for the validator

	// Of a referral.
	cut     wire.Name
	ds      *wire.RRset
	servers []cache.NameServer
	ttl     uint32
}

// usable reports whether the reply settles the question as asked.
func (j *judgement) usable() bool {
	switch j.outcome {
	case answer, noData, noName, alias, referral, tooLong:
		return true
	default:
		return false
	}
}

// classify judges a scrubbed response to the question (name, kind) by a server of zone.
func classify(r *response, name wire.Name, kind wire.Type, zone wire.Name) *judgement {
	j := &judgement{target: name, rank: cache.Answer, glue: r.glue, proof: proofsIn(r.authority)}
	if r.authoritative {
		j.rank = cache.AnswerAA
	}
	switch r.rcode {
	case wire.NoError, wire.NXDomain, yxDomain:
	case wire.FormErr:
		return &judgement{outcome: malformed}
	case wire.Refused:
		return &judgement{outcome: lame}
	default:
		return &judgement{outcome: failing}
	}
	if !j.followAliases(r, kind, zone) {
		j.judgeAbsence(r, zone)
	}
	empty := len(j.records) == 0 && j.soa == nil && j.outcome != referral
	j.doubtful = !r.authoritative && j.outcome != referral && (r.recursive || empty)
	return j
}

const yxDomain wire.Rcode = 6

// followAliases walks from the name asked to its answer, through aliases that this server speaks for, and reports
// whether that settled the outcome. Records that the walk does not touch are never looked at again.
func (j *judgement) followAliases(r *response, kind wire.Type, zone wire.Name) (settled bool) {
	for range len(r.answer) + 1 {
		sets, target, outcome := step(r.answer, j.target, kind)
		j.records = append(j.records, sets...)
		if len(sets) > 1 && contradicted(r.answer, &sets[1]) {
			j.forged = true
		}
		if outcome != alias {
			j.outcome = outcome
			return outcome != noData
		}
		j.target = target
		if !target.Within(zone) || findSet(j.records, target, wire.TypeCNAME) != nil { // in a loop, whoever follows it counts
			break
		}
	}
	j.outcome = alias
	return true
}

// judgeAbsence decides what a response without the records asked for says of the name at the end of the aliases.
func (j *judgement) judgeAbsence(r *response, zone wire.Name) {
	j.soa = findCovering(r.authority, wire.TypeSOA, j.target, zone)
	ns := findCovering(r.authority, wire.TypeNS, j.target, zone)
	switch {
	case r.rcode == wire.NXDomain && (j.soa != nil || len(j.records) == 0):
		j.outcome = noName // a NS RRset that comes along is nobody's business
	case j.soa != nil:
		j.outcome = noData
	case len(j.records) > 0:
		j.outcome = alias
	case ns != nil && ns.Name != zone:
		j.refer(r, ns)
	case r.away:
		j.outcome = lame
	case r.authoritative || len(r.authority) == 0:
		j.outcome = noData
	default:
		j.outcome = lame
	}
}

// refer makes j a referral to the zone that owns ns.
func (j *judgement) refer(r *response, ns *wire.RRset) {
	j.outcome, j.cut, j.ttl = referral, ns.Name, ns.TTL
	j.ds = findSet(r.authority, ns.Name, wire.TypeDS)
	for rdata := range ns.Data.All() {
		server, err := wire.NameFromWire(rdata)
		if err == nil {
			j.servers = append(j.servers, cache.NameServer{Name: server, Addresses: r.glue[server]})
		}
	}
}

// proofsIn returns the sets that deny something, up to a number that no honest denial passes.
func proofsIn(sets []wire.RRset) []wire.RRset {
	var proofs []wire.RRset
	for i := range sets {
		if t := sets[i].Type; (t == wire.TypeNSEC || t == wire.TypeNSEC3) && len(sets[i].Sigs) > 0 && len(proofs) < maxProofs {
			proofs = append(proofs, sets[i])
		}
	}
	return proofs
}

const maxProofs = 8

// findCovering returns the first set of a type whose owner is name or above it, and at or below zone.
func findCovering(sets []wire.RRset, kind wire.Type, name, zone wire.Name) *wire.RRset {
	for i := range sets {
		if sets[i].Type == kind && name.Within(sets[i].Name) && sets[i].Name.Within(zone) {
			return &sets[i]
		}
	}
	return nil
}

// acceptForwarded takes the word of a server that was asked to recurse: it need not be authoritative, and it does not
// refer.
func (j *judgement) acceptForwarded() {
	j.doubtful = false
	if j.outcome == referral {
		*j = judgement{outcome: lame}
	}
}

// stopAt ends the aliases before the first name that somebody else is to be asked about.
func (j *judgement) stopAt(foreign func(wire.Name) bool) {
	for i := range j.records {
		name := j.records[i].Name
		if j.records[i].Type == wire.TypeDNAME && i+1 < len(j.records) {
			name = j.records[i+1].Name // a DNAME speaks for a name below its own
		}
		if i > 0 && foreign(name) {
			j.records, j.target, j.outcome, j.soa = j.records[:i], name, alias, nil
			return
		}
	}
	denied := j.outcome == noData || j.outcome == noName
	if denied && len(j.records) > 0 && foreign(j.target) {
		j.outcome, j.soa = alias, nil
	}
}
