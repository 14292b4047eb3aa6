package resolver

import "tacit/internal/wire"

// step takes one step from name through sets, towards the records of a kind, and says what it came to: the answer; an
// alias to target; tooLong; or noData, when sets hold nothing at the name. A DNAME above the name goes first: nothing
// else below it counts, not even the CNAME that its server synthesised, whose letter case is ours (RFC 6672 section
// 3.1).
func step(sets []wire.RRset, name wire.Name, kind wire.Type) (taken []wire.RRset, target wire.Name, result outcome) {
	if dname := findDNAME(sets, name); dname != nil {
		return substitute(dname, name, kind)
	}
	if set := findSet(sets, name, kind); set != nil {
		return []wire.RRset{*set}, name, answer
	}
	if cname := findSet(sets, name, wire.TypeCNAME); cname != nil {
		if target, ok := targetOf(cname); ok {
			return []wire.RRset{*cname}, target, alias
		}
	}
	return nil, name, noData
}

func findDNAME(sets []wire.RRset, name wire.Name) *wire.RRset {
	for i := range sets {
		if sets[i].Type == wire.TypeDNAME && name.Below(sets[i].Name) {
			return &sets[i]
		}
	}
	return nil
}

// substitute applies a DNAME to a name below it. Who asks for the CNAME that it stands for has an answer.
func substitute(dname *wire.RRset, name wire.Name, kind wire.Type) (taken []wire.RRset, target wire.Name, result outcome) {
	to, ok := targetOf(dname)
	if !ok {
		return nil, name, noData
	}
	target, err := name.Substitute(dname.Name, to)
	if err != nil {
		return []wire.RRset{*dname}, name, tooLong
	}
	cname := wire.RRset{
		Name: name, Type: wire.TypeCNAME, TTL: dname.TTL, // RFC 6672 section 3.1: the TTL of the DNAME
		Data: wire.Rdatas(nil).Add(target.Append(nil)),
	}
	result = alias
	if kind == wire.TypeCNAME {
		result = answer
	}
	return []wire.RRset{*dname, cname}, target, result
}

// contradicted reports whether sets hold, at the name of a CNAME that was synthesised, another one than the DNAME
// stands for: nobody who serves the zone says so (RFC 6672 section 5.3.1).
func contradicted(sets []wire.RRset, synthesised *wire.RRset) bool {
	sent := findSet(sets, synthesised.Name, wire.TypeCNAME)
	if sent == nil {
		return false
	}
	want, _ := targetOf(synthesised)
	got, ok := targetOf(sent)
	return !ok || got != want
}

// targetOf returns the name in the one record of a CNAME or DNAME set. More than one is against RFC 2181 section 10.1 and
// RFC 6672 section 2.4; the first is taken.
func targetOf(set *wire.RRset) (wire.Name, bool) {
	rdata, _ := set.Data.Next()
	name, err := wire.NameFromWire(rdata)
	return name, err == nil
}
