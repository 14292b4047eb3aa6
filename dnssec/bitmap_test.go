package dnssec

import (
	"testing"

	"tacit/internal/wire"
)

// RFC 4034 section 4.3: the example's bitmap has A, MX, RRSIG, NSEC and TYPE1234.
var exampleBitmap = Bitmap{
	0x00, 0x06, 0x40, 0x01, 0x00, 0x00, 0x00, 0x03,
	0x04, 0x1b, 26: 0x00, 36: 0x20,
}

func TestBitmapOfTheRFC(t *testing.T) {
	if !exampleBitmap.valid() {
		t.Fatal("the example is not valid")
	}
	present := map[wire.Type]bool{wire.TypeA: true, wire.TypeMX: true, wire.TypeRRSIG: true, wire.TypeNSEC: true, 1234: true}
	for kind := range 1 << 16 {
		if got := exampleBitmap.Has(wire.Type(kind)); got != present[wire.Type(kind)] {
			t.Errorf("type %d: %v", kind, got)
		}
	}
}

// RFC 4034 section 4.1.2: each block is a window number, a length from 1 to 32, and as many octets; blocks are present
// in increasing numerical order.
func TestBitmapForm(t *testing.T) {
	for name, c := range map[string]struct {
		bitmap Bitmap
		want   bool
	}{
		"no types, as for an empty non-terminal": {Bitmap{}, true},
		"one block":                              {Bitmap{0, 1, 0x40}, true},
		"two blocks":                             {Bitmap{0, 1, 0x40, 1, 1, 0x40}, true},
		"32 octets":                              {append(Bitmap{255, 32}, make([]byte, 32)...), true},
		"trailing zero octet, harmless":          {Bitmap{0, 2, 0x40, 0}, true},
		"33 octets":                              {append(Bitmap{0, 33}, make([]byte, 33)...), false},
		"no octets":                              {Bitmap{0, 0}, false},
		"window without length":                  {Bitmap{0, 1, 0x40, 1}, false},
		"window cut":                             {Bitmap{0, 2, 0x40}, false},
		"window twice":                           {Bitmap{0, 1, 0x40, 0, 1, 0x20}, false},
		"windows descend":                        {Bitmap{1, 1, 0x40, 0, 1, 0x40}, false},
	} {
		if got := c.bitmap.valid(); got != c.want {
			t.Errorf("%s: valid is %v", name, got)
		}
	}
}

func TestBitmapLacks(t *testing.T) {
	const (
		a, ns, cname, soa, dname = wire.TypeA, wire.TypeNS, wire.TypeCNAME, wire.TypeSOA, wire.TypeDNAME
		ds, rrsig, nsec, any     = wire.TypeDS, wire.TypeRRSIG, wire.TypeNSEC, wire.TypeANY
	)
	for name, c := range map[string]struct {
		present []wire.Type
		t       wire.Type
		want    bool
	}{
		"absent":                                  {[]wire.Type{wire.TypeMX, rrsig, nsec}, a, true},
		"present":                                 {[]wire.Type{a, rrsig, nsec}, a, false},
		"RFC 6840 4.3: a CNAME is there":          {[]wire.Type{cname, rrsig, nsec}, a, false},
		"RFC 6840 4.1: ancestor delegation":       {[]wire.Type{ns, ds, rrsig, nsec}, a, false},
		"RFC 6840 4.1: its NSEC is the child's":   {[]wire.Type{ns}, nsec, false},
		"RFC 6840 4.1: except DS":                 {[]wire.Type{ns, rrsig, nsec}, ds, true},
		"signed delegation":                       {[]wire.Type{ns, ds, rrsig, nsec}, ds, false},
		"RFC 6840 4.4: the apex and DS":           {[]wire.Type{ns, soa, rrsig, nsec}, ds, false},
		"the apex and another type":               {[]wire.Type{ns, soa, rrsig, nsec}, a, true},
		"a DNAME denies nothing at its own owner": {[]wire.Type{dname, rrsig, nsec}, a, true},
		"ANY with data":                           {[]wire.Type{a, rrsig, nsec}, any, false},
		"ANY with data of another window":         {[]wire.Type{rrsig, nsec, 300}, any, false},
		"ANY at an empty non-terminal":            {[]wire.Type{}, any, true},
		"ANY where only DNSSEC's own types are":   {[]wire.Type{rrsig, nsec, wire.TypeNXNAME}, any, true},
	} {
		if got := bitmapOf(c.present...).lacks(c.t); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// bitmapOf packs types, which ascend.
func bitmapOf(types ...wire.Type) Bitmap {
	b := Bitmap{}
	for at, window := -1, -1; len(types) > 0; types = types[1:] {
		t := types[0]
		if window != int(t>>8) {
			window, at = int(t>>8), len(b)
			b = append(b, byte(window), 0)
		}
		for int(b[at+1]) <= int(t>>3)&31 {
			b = append(b, 0)
			b[at+1]++
		}
		b[len(b)-1] |= 0x80 >> (t & 7)
	}
	return b
}
