package zone

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// signing is edged with keys in a directory of the test's own.
func signingOptions(t testing.TB) Options {
	t.Helper()
	o := edged
	o.Keys = NewKeys(filepath.Join(t.TempDir(), "keys"))
	return o
}

const signedSeed = "; tacit: signed flatten=apex\n$TTL 600\n" + `
blog    A     192.0.2.1 ; cf_tags=cf-proxied:true
shop    A     192.0.2.2
shop    A     192.0.2.1
shop    TXT   "Text"
mail    MX    10 Mail.Example.COM.
*.wild  MX    10 mail
a.ent   SRV   1 2 3 Shop
alias   CNAME Shop
flat    CNAME shop ; cf_tags=cf-flatten-cname
moved   DNAME wild
open    NS    ns.open
ns.open A     192.0.2.53
closed  NS    ns.open
closed  DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000001
`

// parsed returns the records of a set, or its signatures, as the library has them.
func parsed(t *testing.T, name wire.Name, kind wire.Type, ttl uint32, data wire.Rdatas) []dns.RR {
	t.Helper()
	var list []dns.RR
	for rdata := range data.All() {
		h := dns.RR_Header{Name: name.Reveal(), Rrtype: uint16(kind), Class: dns.ClassINET, Ttl: ttl, Rdlength: uint16(len(rdata))}
		rr, _, err := dns.UnpackRRWithHeader(h, rdata, 0)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rr)
	}
	return list
}

func keyOf(t *testing.T, z *Zone) *dns.DNSKEY {
	t.Helper()
	f := z.Find(z.origin, wire.TypeDNSKEY)
	if f.Outcome != Answered {
		t.Fatal("no DNSKEY")
	}
	return parsed(t, z.origin, wire.TypeDNSKEY, f.Sets[0].TTL, f.Sets[0].Data)[0].(*dns.DNSKEY)
}

// verified signs a set and has the library verify it.
func verified(t *testing.T, z *Zone, set *wire.RRset, now time.Time) *dns.RRSIG {
	t.Helper()
	sigs, _, err := z.Signer().Sign(set, now)
	if err != nil {
		t.Fatal(err)
	}
	sig := parsed(t, set.Name, wire.TypeRRSIG, set.TTL, sigs)[0].(*dns.RRSIG)
	if err := sig.Verify(keyOf(t, z), parsed(t, set.Name, set.Type, set.TTL, set.Data)); err != nil {
		t.Errorf("%s %s: %v", set.Name.Reveal(), dns.Type(set.Type), err)
	}
	if !sig.ValidityPeriod(now) {
		t.Errorf("%s %s is not good now", set.Name.Reveal(), dns.Type(set.Type))
	}
	return sig
}

// RFC 4034 section 3.1.8.1: the library, which did not sign, verifies what was signed.
func TestSignaturesVerify(t *testing.T) {
	z := built(t, "example.com.", signedSeed, signingOptions(t))
	for question, labels := range map[string]uint8{
		"example.com. SOA": 2, "example.com. NS": 2, "example.com. DNSKEY": 2, "example.com. CDS": 2, "example.com. CDNSKEY": 2,
		"blog.example.com. A": 3, "blog.example.com. AAAA": 3, "blog.example.com. HTTPS": 3,
		"shop.example.com. A": 3, "shop.example.com. TXT": 3, "mail.example.com. MX": 3, "a.ent.example.com. SRV": 4,
		"alias.example.com. A": 3, "moved.example.com. DNAME": 3, "closed.example.com. DS": 3, "alias.example.com. NSEC": 3,
		// What comes from a wildcard is signed as that of the name; the wildcard itself counts no label for its star.
		"x.wild.example.com. MX": 4, "x.y.wild.example.com. MX": 5, "*.wild.example.com. MX": 3,
	} {
		fields := strings.Fields(question)
		f := z.Find(wire.MustName(fields[0]), wire.Type(dns.StringToType[fields[1]]))
		if len(f.Sets) == 0 {
			t.Errorf("%s: %s", question, f.text())
			continue
		}
		sig := verified(t, z, &f.Sets[0], someDay)
		if sig.Labels != labels || sig.SignerName != "example.com." || sig.Algorithm != dns.ECDSAP256SHA256 || sig.OrigTtl != f.Sets[0].TTL {
			t.Errorf("%s: %v", question, sig)
		}
	}
}

// RFC 9824 section 3: what a compact denial looks like, octet by octet.
func TestCompactDenial(t *testing.T) {
	z := built(t, "example.com.", signedSeed, signingOptions(t))
	for question, want := range map[string]string{
		"no.example.com. A":           "RRSIG NSEC NXNAME", // section 3.2
		"x.no.example.com. A":         "RRSIG NSEC NXNAME",
		"x.shop.example.com. A":       "RRSIG NSEC NXNAME",
		"ent.example.com. A":          "RRSIG NSEC", // section 3.3
		"wild.example.com. MX":        "RRSIG NSEC",
		"shop.example.com. AAAA":      "A TXT RRSIG NSEC", // section 3.1
		"blog.example.com. TXT":       "A AAAA RRSIG NSEC HTTPS",
		"blog.example.com. CNAME":     "A AAAA RRSIG NSEC HTTPS",
		"x.wild.example.com. A":       "MX RRSIG NSEC",
		"*.wild.example.com. A":       "MX RRSIG NSEC",
		"x.y.wild.example.com. TXT":   "MX RRSIG NSEC",
		"flat.example.com. TXT":       "A AAAA RRSIG NSEC",
		"flat.example.com. A":         "AAAA RRSIG NSEC", // where the target has none
		"flat.example.com. AAAA":      "A RRSIG NSEC",
		"alias.example.com. NSEC":     "CNAME RRSIG NSEC",
		"open.example.com. DS":        "NS RRSIG NSEC", // RFC 4035 section 3.1.4: none of what the child has
		"closed.example.com. NSEC":    "NS DS RRSIG NSEC",
		"example.com. TXT":            "NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY",
		`\000.shop.example.com. A`:    "RRSIG NSEC NXNAME",
		`x\.y\001\255.example.com. A`: "RRSIG NSEC NXNAME",
	} {
		fields := strings.Fields(question)
		set := z.Deny(wire.MustName(fields[0]), wire.Type(dns.StringToType[fields[1]]))
		got := strings.TrimSpace(strings.ReplaceAll(parsed(t, set.Name, set.Type, set.TTL, set.Data)[0].String(), "\t", " "))
		name := set.Name.Reveal()
		if want := fmt.Sprintf("%s 1800 IN NSEC \\000.%s %s", name, name, want); got != want {
			t.Errorf("%s:\n got %s\nwant %s", question, got, want)
		}
		verified(t, z, &set, someDay)
	}
}

// RFC 4471 section 3.1.2: the next name of a name that takes no label more, and that there is no name in between.
func TestTheNextNameOfLongNames(t *testing.T) {
	z := &Zone{origin: wire.MustName("example.com.")}
	label := func(c string, n int) string { return strings.Repeat(c, n) + "." }
	rest := label("b", 63) + label("c", 63) + label("d", 49) + z.origin.Reveal()
	room := 255 - wire.MustName(rest).Len()
	for clause, c := range map[string]struct{ name, want string }{
		"a label in front":              {"a." + rest, `\000.a.` + rest},
		"an octet more":                 {label("a", room-2) + rest, strings.Repeat("a", room-2) + `\000.` + rest},
		"a higher octet":                {label("a", room-1) + rest, strings.Repeat("a", room-2) + "b." + rest},
		"a higher octet, past capitals": {strings.Repeat("a", room-2) + "@." + rest, strings.Repeat("a", room-2) + "[." + rest},
		"a shorter label":               {strings.Repeat("a", room-2) + `\255.` + rest, strings.Repeat("a", room-3) + "b." + rest},
		"a name without the last label": {strings.Repeat(`\255`, room-1) + "." + rest, strings.Replace(rest, "b.", "c.", 1)},
		"one of 254 octets":             {label("a", room-2) + rest, strings.Repeat("a", room-2) + `\000.` + rest},
	} {
		name, err := wire.ParseName(c.name)
		if err != nil {
			t.Fatal(clause, err)
		}
		next := z.after(name)
		if c.want != "" && next.Reveal() != c.want {
			t.Errorf("%s: %s", clause, next.Reveal())
		}
		if next.Compare(name) <= 0 {
			t.Errorf("%s: not behind", clause)
		}
	}
}

// A signature stays as it is for a day, is good for hours before and days behind, and names are not all signed anew at once.
func TestSignaturesStayForADay(t *testing.T) {
	z := built(t, "example.com.", signedSeed, signingOptions(t))
	starts := map[time.Time]bool{}
	for i := range 100 {
		set := z.Deny(wire.MustName(fmt.Sprintf("n%d.example.com.", i)), wire.TypeA)
		first, until, err := z.Signer().Sign(&set, someDay)
		if err != nil || !until.After(someDay) || until.Sub(someDay) > renewEvery {
			t.Fatal(err, until)
		}
		starts[until] = true
		z.signer.made = new(signatures) // what was forgotten is made again as it was
		last, _, _ := z.Signer().Sign(&set, until.Add(-time.Second))
		next, again, _ := z.Signer().Sign(&set, until)
		if string(first) != string(last) || string(next) == string(last) || again.Sub(until) != renewEvery {
			t.Error("not the same for a day, or for longer")
		}
		sig := verified(t, z, &set, until.Add(-time.Second))
		if left := time.Unix(int64(sig.Expiration), 0).Sub(until); left != goodBehind {
			t.Error("good behind for ", left)
		}
		if early := until.Add(-renewEvery).Sub(time.Unix(int64(sig.Inception), 0)); early != goodBefore {
			t.Error("good before for ", early)
		}
	}
	if len(starts) < 90 {
		t.Errorf("100 names are signed anew at %d moments", len(starts))
	}
}

// A flood of names pushes out neither what is used nor the bound.
func TestSignaturesAreBounded(t *testing.T) {
	s := new(signatures)
	hot := [32]byte{1}
	s.put(hot, [64]byte{2})
	for i := range 5 * maxSignatures {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		s.put([32]byte{0, byte(r.Uint32()), byte(i), byte(i >> 8), byte(i >> 16)}, [64]byte{})
		if i%1000 == 0 {
			if _, ok := s.get(hot); !ok {
				t.Fatal("what is used is forgotten")
			}
		}
	}
	if len(s.young) > maxSignatures || len(s.old) > maxSignatures {
		t.Error(len(s.young), len(s.old))
	}
}

// RFC 7344, RFC 8078 section 4: what the parent is asked to do.
func TestWhatTheParentIsAskedFor(t *testing.T) {
	o := signingOptions(t)
	for word, withdrawing := range map[string]bool{"signed": false, "signed=active": false, "signed=pending": false, "signed=pending-disabled": true, "signed=disabled": true} {
		z := built(t, "example.com.", "; tacit: "+word+"\n@ A 192.0.2.1\n", o)
		key := keyOf(t, z)
		ds, err := o.Keys.DS(z.origin)
		if err != nil {
			t.Fatal(err)
		}
		want, err := dns.NewRR(ds)
		if err != nil {
			t.Fatal(err)
		}
		if made := key.ToDS(dns.SHA256); key.Flags != 257 || made.KeyTag != want.(*dns.DS).KeyTag || !strings.EqualFold(made.Digest, want.(*dns.DS).Digest) {
			t.Error(ds)
		}
		cds, cdnskey := find(z, "example.com. CDS"), find(z, "example.com. CDNSKEY")
		if withdrawing && (cds != "answer; CDS 3600 0 0 0 00" || cdnskey != "answer; CDNSKEY 3600 0 3 0 AA==") {
			t.Error(word, cds, cdnskey)
		}
		if !withdrawing && (!strings.Contains(ds, strings.TrimPrefix(cds, "answer; CDS 3600 ")) || !strings.HasSuffix(cdnskey, key.PublicKey)) {
			t.Error(word, cds, cdnskey)
		}
	}
}

// What a zone file says of keys is left out where tacit signs, and stays where it does not.
func TestKeysOfOthers(t *testing.T) {
	const text = "@ DNSKEY 257 3 13 AAAA\n@ A 192.0.2.1\n"
	z, problems := tryBuild("example.com.", "; tacit: signed\n"+text, signingOptions(t))
	if len(problems) != 2 || problems.Grave() || keyOf(t, z).PublicKey == "AAAA" {
		t.Error(problems)
	}
	z, problems = tryBuild("example.com.", "; tacit: signed=deleted\n"+text, signingOptions(t))
	if len(problems) != 0 || keyOf(t, z).PublicKey != "AAAA" || z.Signed() {
		t.Error(problems)
	}
}

// A key is made once, for its owner's eyes only, and found again; what is in its file is nowhere else.
func TestKeysAreKept(t *testing.T) {
	o := signingOptions(t)
	z, problems := tryBuild("example.com.", signedSeed, o)
	if len(problems) == 0 || !problems[0].Warning || !strings.Contains(problems[0].Text, "tacit zone ds") {
		t.Error(problems)
	}
	again, problems := tryBuild("example.com.", signedSeed, o)
	if len(problems) != 0 || !again.equal(&z.contents) {
		t.Error("another key, or another problem: ", problems)
	}
	path := filepath.Join(o.Keys.directory, "example.com.private")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatal(info, err)
	}
	directory, err := os.Stat(o.Keys.directory)
	if err != nil || directory.Mode().Perm() != 0o700 {
		t.Error(directory, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(strings.TrimSpace(string(text)), keyValue)
	octets, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(octets) != 32 {
		t.Fatal(err, len(octets))
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), octets)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %v %+v", z, z, z.signer, z.signer, *z.signer)
	for _, form := range []string{secret, fmt.Sprintf("%x", octets), fmt.Sprint(octets), private.D.String()} { //nolint:staticcheck // what must not be printed
		if strings.Contains(printed, form) || strings.Contains(printed, strings.Trim(form, "[]")) {
			t.Error("the key prints itself")
		}
	}
}

// RFC 2317 names have slashes, which file names have not; the root has no name at all.
func TestKeyFiles(t *testing.T) {
	k := NewKeys("keys")
	for name, want := range map[string]string{
		"example.com.": "keys/example.com.private", ".": "keys/@.private", "0/25.2.0.192.in-addr.arpa.": `keys/0\04725.2.0.192.in-addr.arpa.private`,
	} {
		if got := k.path(wire.MustName(name)); got != want {
			t.Error(got)
		}
	}
}

// Nothing of a zone that is to be signed is said without its signature.
func TestNoKeyNoAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		lay  func(t *testing.T, path string)
		keys func(directory string) *Keys
		want string // in a problem; empty: there is none
	}{
		{"no place for keys", nil, func(string) *Keys { return NewKeys("") }, "zones.keys"},
		{"nobody brought keys", nil, func(string) *Keys { return nil }, ""},
		{"looking on, no key is made", nil, ReadKeys, ""},
		{"not a key", func(t *testing.T, path string) { layKey(t, path, "PrivateKey: c2VjcmV0") }, NewKeys, "example.com.private holds no private key"},
		{"not of this algorithm", func(t *testing.T, path string) {
			layKey(t, path, keyFormat+"\nAlgorithm: 15 (ED25519)\n"+keyValue+"AAAA\n")
		}, NewKeys, "example.com.private holds no private key"},
		{"not readable", func(t *testing.T, path string) {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, NewKeys, "example.com.private cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			directory := t.TempDir()
			if c.lay != nil {
				c.lay(t, filepath.Join(directory, "example.com.private"))
			}
			o := edged
			o.Keys = c.keys(directory)
			z, problems := tryBuild("example.com.", signedSeed, o)
			if c.want != "" {
				if z != nil || !problems.Grave() || !strings.Contains(problems.Error(), c.want) || strings.Contains(problems.Error(), "c2VjcmV0") {
					t.Error(problems)
				}
				return
			}
			if got := find(z, "shop.example.com. A"); got != "withheld" || problems.Grave() {
				t.Error(got, problems)
			}
			if entries, _ := os.ReadDir(directory); len(entries) > 0 {
				t.Error("a key was made")
			}
		})
	}
	if _, err := NewKeys(t.TempDir()).DS(wire.MustName("example.com.")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A key of BIND is taken as it is.
func TestKeyOfBIND(t *testing.T) {
	made := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET}, Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256}
	private, err := made.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	o := signingOptions(t)
	if err := os.Mkdir(o.Keys.directory, 0o700); err != nil {
		t.Fatal(err)
	}
	layKey(t, filepath.Join(o.Keys.directory, "example.com.private"), made.PrivateKeyString(private)+"Created: 20261101000000\n")
	z := built(t, "example.com.", signedSeed, o)
	if key := keyOf(t, z); key.PublicKey != made.PublicKey || z.signer.tag != made.KeyTag() {
		t.Error(key, made)
	}
}

func BenchmarkSign(b *testing.B) {
	z := built(b, "example.com.", signedSeed, signingOptions(b))
	set := z.Find(wire.MustName("shop.example.com."), wire.TypeA).Sets[0]
	b.Run("anew", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			clear(z.signer.made.young)
			if _, _, err := z.Signer().Sign(&set, someDay); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := z.Signer().Sign(&set, someDay); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("denial", func(b *testing.B) {
		b.ReportAllocs()
		name := wire.MustName("no.example.com.")
		for b.Loop() {
			z.Deny(name, wire.TypeA)
		}
	})
}

// A Store takes up that a zone is signed, and another key; with one that has become bad it goes on with the last, and without any
// good one it says nothing.
func TestStoreOfSignedZones(t *testing.T) {
	directory := t.TempDir()
	path, keyFile := filepath.Join(directory, "example.com.zone"), filepath.Join(directory, "example.com.private")
	o := StoreOptions{Directory: directory, Now: func() time.Time { return someDay }}
	o.Keys = NewKeys(directory)
	changes := 0
	lay := func(text string) {
		layKey(t, path, text)
		changes++
		if err := os.Chtimes(path, someDay, someDay.Add(time.Duration(changes)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(s *Store) (*Zone, string) {
		s.Look()
		f, z := s.Zones().Find(wire.MustName("shop.example.com."), wire.TypeA)
		return z, f.text()
	}
	lay("shop 600 A 192.0.2.2\n")
	s := Open(&o, nil)
	unsigned, _ := ask(s)
	lay("; tacit: signed\nshop 600 A 192.0.2.2\n")
	signed, text := ask(s)
	if unsigned.Signed() || !signed.Signed() || text != "answer; A 600 192.0.2.2" || !isLater(signed.Serial(), unsigned.Serial()) {
		t.Error(text, s.Problems())
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	lay("; tacit: signed\nshop 600 A 192.0.2.3\n")
	rekeyed, _ := ask(s)
	if !rekeyed.Signed() || rekeyed.signer.tag == signed.signer.tag && string(rekeyed.signer.dnskey) == string(signed.signer.dnskey) {
		t.Error("another key is not taken up")
	}
	layKey(t, keyFile, "spoilt")
	lay("; tacit: signed\nshop 600 A 192.0.2.4\n")
	if kept, text := ask(s); kept != rekeyed || text != "answer; A 600 192.0.2.3" || !s.Problems().Grave() {
		t.Error(text, s.Problems())
	}
	if _, text := ask(Open(&o, nil)); text != "withheld" {
		t.Error(text)
	}
	if again := Open(&o, s); again.files[File{Origin: wire.MustName("example.com."), Path: path}].zone != rekeyed {
		t.Error("the same options build all zones anew")
	}
}

func setTime(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func layKey(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
