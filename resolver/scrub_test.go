package resolver

import (
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// FuzzScrub feeds replies that unpack to scrub and classify: whatever a server sends, nothing outside its zone is kept,
// the answer starts at the question and goes from alias to alias, and a referral leads down.
func FuzzScrub(f *testing.F) {
	for _, c := range classifications {
		m := message(f, c.message)
		m.Question = []dns.Question{{Name: "www.shop.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, "www.shop.example.", uint16(dns.TypeA), byte(1))
		f.Add(packet, "www.shop.example.", uint16(dns.TypeCNAME), byte(2))
		f.Add(packet, "x.d.shop.example.", uint16(dns.TypeRRSIG), byte(3))
	}
	f.Fuzz(func(t *testing.T, packet []byte, name string, kind uint16, up byte) {
		msg := new(dns.Msg)
		q, err := wire.ParseName(name)
		if err != nil || msg.Unpack(packet) != nil {
			return
		}
		zone := q
		for range up % 8 {
			zone = zone.Parent()
		}
		r, ok := scrub(msg, wire.Question{Name: q, Type: wire.Type(kind)}, zone)
		checkResponse(t, &r, zone, ok)
		if ok {
			j := classify(&r, q, wire.Type(kind), zone)
			checkJudgement(t, j, &r, q, zone)
		}
	})
}

func checkResponse(t *testing.T, r *response, zone wire.Name, sound bool) {
	for _, sets := range [][]wire.RRset{r.answer, r.authority} {
		for i := range sets {
			if !sets[i].Name.Within(zone) {
				t.Error("a set outside the zone is kept")
			}
			if findSet(sets, sets[i].Name, sets[i].Type) != &sets[i] {
				t.Error("one RRset in two")
			}
			if n := sets[i].Data.Count(); n == 0 || sound && n > maxRecords || sets[i].Sigs.Count() > maxSignatures {
				t.Errorf("%d records, %d signatures in one set", n, sets[i].Sigs.Count())
			}
			if sets[i].TTL > 1<<31-1 {
				t.Error("a TTL with its highest bit set")
			}
		}
	}
	for server, addresses := range r.glue {
		if !server.Within(zone) || len(addresses) > maxGlue {
			t.Errorf("%d addresses of a server, within the zone: %v", len(addresses), server.Within(zone))
		}
	}
}

func checkJudgement(t *testing.T, j *judgement, r *response, q, zone wire.Name) {
	if len(j.records) > 2*(len(r.answer)+1) {
		t.Errorf("%d records from %d sets", len(j.records), len(r.answer))
	}
	at := q
	for i := range j.records {
		set := &j.records[i]
		if !set.Name.Within(zone) {
			t.Error("the chain leaves the zone")
		}
		switch {
		case set.Type == wire.TypeDNAME && at.Below(set.Name):
			continue // the CNAME that it stands for is next
		case set.Name != at:
			t.Error("the chain does not start at the question, or is broken")
		case set.Type == wire.TypeCNAME && (i+1 < len(j.records) || j.outcome != answer):
			at, _ = targetOf(set)
		}
	}
	if j.usable() && j.target != at && j.outcome != answer {
		t.Errorf("%v: the target is not the end of the chain", j.outcome)
	}
	if j.outcome == referral && (!j.cut.Below(zone) || !j.target.Within(j.cut)) {
		t.Error("a referral that does not lead down")
	}
	if j.soa != nil && (!j.soa.Name.Within(zone) || !j.target.Within(j.soa.Name)) {
		t.Error("a SOA of another zone")
	}
}
