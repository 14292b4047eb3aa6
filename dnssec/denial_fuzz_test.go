package dnssec

import (
	"testing"

	"tacit/internal/wire"
	"tacit/internal/work"
)

func FuzzBitmap(f *testing.F) {
	f.Add([]byte(exampleBitmap))
	f.Add([]byte{0, 1, 0x40, 0, 1, 0x40})
	f.Add([]byte{255, 32})
	f.Fuzz(func(t *testing.T, b []byte) {
		bitmap := Bitmap(b)
		var present []wire.Type
		for kind := range 1 << 16 {
			if bitmap.Has(wire.Type(kind)) {
				present = append(present, wire.Type(kind))
			}
		}
		bare := bitmap.isBare()
		if !bitmap.valid() {
			return
		}
		again := bitmapOf(present...)
		if len(again) > len(b) || !again.valid() {
			t.Fatalf("%x holds more than %x", again, b)
		}
		for _, kind := range present {
			if kind != wire.TypeRRSIG && kind != wire.TypeNSEC && kind != wire.TypeNXNAME && bare {
				t.Fatalf("type %d is none of DNSSEC's own", kind)
			}
		}
	})
}

func FuzzParseNSEC(f *testing.F) {
	for _, set := range textSets(f, "example", nsecZone...) {
		f.Add(set.Name.Append(nil), []byte(set.Data[2:]), []byte("\x01x\x01y\x07example\x00"))
	}
	f.Fuzz(func(t *testing.T, owner, rdata, asked []byte) {
		set, name, ok := fuzzSet(wire.TypeNSEC, owner, rdata, asked)
		if !ok {
			return
		}
		n, ok := ParseNSEC(&set)
		if !ok {
			return
		}
		if n.Covers(name) && (n.Matches(name) || name == n.Next) {
			t.Fatal("covers one of its own names")
		}
		if n.Denies(name) && (n.ProvesEmpty(name) || !n.Covers(name) || n.Owner.Within(name) || n.Next.Within(name)) {
			t.Fatal("denies what exists")
		}
		askAll(t, &set, name)
	})
}

func FuzzParseNSEC3(f *testing.F) {
	for name := range nsec3Zone {
		set := nsec3Of(f, name)[0]
		f.Add(set.Name.Append(nil), []byte(set.Data[2:]), []byte("\x01x\x01y\x07example\x00"))
	}
	f.Fuzz(func(t *testing.T, owner, rdata, asked []byte) {
		set, name, ok := fuzzSet(wire.TypeNSEC3, owner, rdata, asked)
		if !ok {
			return
		}
		n, ok := ParseNSEC3(&set)
		if !ok {
			return
		}
		if hashText(n.Hash) != set.Name.FirstLabel() || n.Zone != set.Name.Parent() {
			t.Fatal("owner does not read back")
		}
		if n.Covers(n.Hash) || n.Covers(n.Next) || !n.Matches(n.Hash) || !n.Types.valid() || len(n.Salt) > maxSalt {
			t.Fatal("record contradicts itself")
		}
		askAll(t, &set, name)
	})
}

func fuzzSet(kind wire.Type, owner, rdata, asked []byte) (set wire.RRset, name wire.Name, ok bool) {
	at, err := wire.NameFromWire(owner)
	name, err2 := wire.NameFromWire(asked)
	if err != nil || err2 != nil || len(rdata) > 65535 {
		return set, name, false
	}
	return wire.RRset{Name: at, Type: kind, Data: wire.Rdatas(nil).Add(rdata)}, name, true
}

// askAll takes every name above the record's as the zone. No name is proven both to be there and not to be.
func askAll(t *testing.T, set *wire.RRset, name wire.Name) {
	for zone := set.Name; ; zone = zone.Parent() {
		set.Sigs = wire.Rdatas(nil).Add(sigRdata(set, zone, set.Name))
		budget := work.New(work.DefaultLimits)
		d := NewDenial(zone, []wire.RRset{*set}, budget)
		noName, noData, noDS := d.NoName(name), d.NoData(name, wire.TypeTXT), d.NoDS(name)
		d.NoCloserMatch(name, wildcardOf(zone))
		if noName == Proven && noData == Proven && !d.SaysNoName(name) {
			t.Fatal("no name and no data")
		}
		if noName == Proven && (noDS == InsecureCut || noDS == OptOutSpan) {
			t.Fatal("no name and a cut")
		}
		if len(d.hashes) > maxHashedNames {
			t.Fatal("too many hashes")
		}
		if zone.IsRoot() {
			return
		}
	}
}
