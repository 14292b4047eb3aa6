package dnssec

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// RFC 5155 appendix A: the hashes of the example zone, salt aabbccdd, 12 iterations.
var appendixHashes = map[string]string{
	"example":       "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
	"a.example":     "35mthgpgcu1qg68fab165klnsnk3dpvl",
	"ai.example":    "gjeqe526plbf1g8mklp59enfd789njgi",
	"ns1.example":   "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
	"ns2.example":   "q04jkcevqvmu85r014c7dkba38o0ji5r",
	"w.example":     "k8udemvp1j2f7eg6jebps17vp3n8i58h",
	"*.w.example":   "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
	"x.w.example":   "b4um86eghhds6nea196smvmlo4ors995",
	"y.w.example":   "ji6neoaepv8b5o6k4ev33abha8ht9fgc",
	"x.y.w.example": "2vptu5timamqttgl4luu9kg21e0aor3s",
	"xx.example":    "t644ebqk9bibcna874givr6joj62mlhv",
	"2t7b4g4vsa5smi47k61mv5bv1a22bojr.example": "kohar7mbb8dc2ce8a9qvl8hon4k53uhi",
}

var appendixParams = NSEC3Params{Iterations: 12, Salt: []byte{0xaa, 0xbb, 0xcc, 0xdd}}

func TestNSEC3HashOfTheRFC(t *testing.T) {
	for name, want := range appendixHashes {
		budget := work.New(work.DefaultLimits)
		got, err := appendixParams.Hash(budget, wire.MustName(name))
		if err != nil || hashText(got) != want {
			t.Errorf("%s: %s, want %s (%v)", name, hashText(got), want, err)
		}
		if spent := budget.Spent(work.NSEC3Hash); spent != 13 {
			t.Errorf("%s: %d blocks paid for, want 13", name, spent)
		}
	}
}

// The price is what SHA-1 really does: one block per 64 octets, nine of which it needs itself.
func TestNSEC3HashPaysPerBlock(t *testing.T) {
	long := wire.MustName("example")
	for long.Len() < 200 {
		long, _ = long.Prepend("0123456789")
	}
	for name, c := range map[string]struct {
		params NSEC3Params
		name   wire.Name
		want   int32
	}{
		"RFC 9276 3.1: no iterations, no salt": {NSEC3Params{}, wire.MustName("a.example"), 1},
		"iterations come on top":               {NSEC3Params{Iterations: 50}, wire.MustName("a.example"), 51},
		"a salt that fills the block":          {NSEC3Params{Iterations: 10, Salt: make([]byte, 35)}, wire.Root, 11},
		"a salt that overflows it":             {NSEC3Params{Iterations: 10, Salt: make([]byte, 36)}, wire.Root, 21},
		"a long name, once":                    {NSEC3Params{Iterations: 10}, long, 14}, // 207 octets: 4 blocks
	} {
		budget := work.New(work.DefaultLimits)
		if _, err := c.params.Hash(budget, c.name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := budget.Spent(work.NSEC3Hash); got != c.want {
			t.Errorf("%s: %d blocks, want %d", name, got, c.want)
		}
	}
	var exceeded *work.Exceeded
	budget := work.New(work.DefaultLimits)
	if _, err := (&NSEC3Params{Iterations: 2500, Salt: make([]byte, 64)}).Hash(budget, long); !errors.As(err, &exceeded) {
		t.Errorf("5,000 blocks out of 3,000: %v", err)
	}
	if spent := budget.Spent(work.NSEC3Hash); spent != 0 {
		t.Errorf("%d blocks paid for nothing", spent)
	}
}

func TestNSEC3HashEqualsMiekgs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := NSEC3Params{
			Iterations: rapid.Uint16Range(0, 60).Draw(t, "iterations"),
			Salt:       rapid.SliceOfN(rapid.Byte(), 0, 255).Draw(t, "salt"),
		}
		name := wire.MustName("example")
		for _, label := range rapid.SliceOfN(rapid.StringMatching("[a-z0-9*-]{1,40}"), 0, 5).Draw(t, "labels") {
			name, _ = name.Prepend(label)
		}
		hash, err := params.Hash(work.New(work.DefaultLimits), name)
		if err != nil {
			t.Fatal(err)
		}
		want := dns.HashName(name.Reveal(), dns.SHA1, params.Iterations, hex.EncodeToString(params.Salt))
		if got := hashText(hash); got != strings.ToLower(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
		var back NSEC3Hash
		if !back.parseLabel(hashText(hash)) || back != hash {
			t.Fatal("label does not read back")
		}
	})
}

func TestParseNSEC3(t *testing.T) {
	const owner = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example"
	whole := func(change func(r []byte) []byte) []byte {
		r := []byte{1, 1, 0, 12, 4, 0xaa, 0xbb, 0xcc, 0xdd, 20}
		r = append(append(r, bytes.Repeat([]byte{7}, 20)...), 0, 1, 0x40)
		if change != nil {
			return change(r)
		}
		return r
	}
	set := func(at int, value byte) func([]byte) []byte {
		return func(r []byte) []byte { r[at] = value; return r }
	}
	for name, c := range map[string]struct {
		owner string
		rdata []byte
		want  bool
	}{
		"whole":                                {owner, whole(nil), true},
		"no opt-out":                           {owner, whole(set(1, 0)), true},
		"no types":                             {owner, whole(func(r []byte) []byte { return r[:30] }), true},
		"many iterations are the denial's":     {owner, whole(set(2, 0xff)), true},
		"upper case":                           {"0P9MHAVEQVM6T7VBL5LOP2U3T2RP3TOM.EXAMPLE", whole(nil), true},
		"RFC 5155 8.1: unknown hash algorithm": {owner, whole(set(0, 2)), false},
		"RFC 5155 8.2: unknown flag":           {owner, whole(set(1, 2)), false},
		"RFC 5155 8.2: unknown flag, opt-out":  {owner, whole(set(1, 3)), false},
		"hash of another length":               {owner, whole(set(9, 19)), false},
		"next hash cut":                        {owner, whole(func(r []byte) []byte { return r[:29] }), false},
		"salt beyond the end":                  {owner, whole(set(4, 60)), false},
		"salt of 65 octets":                    {owner, append(append([]byte{1, 0, 0, 0, 65}, make([]byte, 65)...), append([]byte{20}, make([]byte, 20)...)...), false},
		"salt of 64 octets":                    {owner, append(append([]byte{1, 0, 0, 0, 64}, make([]byte, 64)...), append([]byte{20}, make([]byte, 20)...)...), true},
		"nothing":                              {owner, nil, false},
		"header cut":                           {owner, whole(nil)[:4], false},
		"bitmap cut":                           {owner, whole(nil)[:32], false},
		"label of another length":              {"p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example", whole(nil), false},
		"label that is no base32hex":           {"wp9mhaveqvm6t7vbl5lop2u3t2rp3tom.example", whole(nil), false},
		"the root":                             {".", whole(nil), false},
	} {
		rrset := wire.RRset{Name: wire.MustName(c.owner), Type: wire.TypeNSEC3, Data: wire.Rdatas(nil).Add(c.rdata)}
		n, ok := ParseNSEC3(&rrset)
		if ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
		if ok && (n.Zone != wire.MustName("example") || hashText(n.Hash) != strings.ToLower(c.owner[:32])) {
			t.Errorf("%s: hash or zone differ", name)
		}
	}
	twice := wire.RRset{Name: wire.MustName(owner), Type: wire.TypeNSEC3, Data: wire.Rdatas(nil).Add(whole(nil)).Add(whole(nil))}
	if _, ok := ParseNSEC3(&twice); ok {
		t.Error("two records at one hash were read as one")
	}
	n, _ := ParseNSEC3(&wire.RRset{Name: wire.MustName(owner), Type: wire.TypeNSEC3, Data: wire.Rdatas(nil).Add(whole(nil))})
	if !n.OptOut || !n.Equal(&appendixParams) || n.Next[19] != 7 || !n.Types.Has(wire.TypeA) {
		t.Error("fields differ")
	}
}

// RFC 5155 section 1.3: an NSEC3 covers a name whose hash falls between its hash and the next one; the last wraps.
func TestNSEC3Covers(t *testing.T) {
	for name, c := range map[string]struct {
		hash, next, asked byte
		want              bool
	}{
		"between":                      {2, 6, 4, true},
		"its own":                      {2, 6, 2, false},
		"the next":                     {2, 6, 6, false},
		"before":                       {2, 6, 1, false},
		"after":                        {2, 6, 7, false},
		"last, after":                  {6, 2, 7, true},
		"last, before the first":       {6, 2, 1, true},
		"last, the first":              {6, 2, 2, false},
		"last, its own":                {6, 2, 6, false},
		"last, between first and last": {6, 2, 4, false},
		"alone, its own":               {4, 4, 4, false},
		"alone, after":                 {4, 4, 5, true},
		"alone, before":                {4, 4, 3, true},
	} {
		n := NSEC3{Hash: NSEC3Hash{19: c.hash}, Next: NSEC3Hash{19: c.next}}
		if got := n.Covers(NSEC3Hash{19: c.asked}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := n.Matches(NSEC3Hash{19: c.asked}); got != (c.asked == c.hash) {
			t.Errorf("%s: matches is %v", name, got)
		}
	}
}

func hashText(h NSEC3Hash) string {
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:]))
}
