//go:build interop

package interop

import (
	"cmp"
	"crypto"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A signing says how a zone is signed and how its parent vouches for it.
type signing struct {
	algorithms []uint8
	denial     denial
	signer     signer
	single     bool // one key does the work of KSK and ZSK
	iterations int
	salt       string   // hexadecimal
	dates      []string // options of dnssec-signzone, in place of a validity from an hour ago for 30 days
	digests    []uint8  // of the DS RRs at the parent; none of them leaves an island of security
	forgedDS   bool     // the digests are those of other keys
	keys       []*key
	spoil      func(*signedZone) error // edits the signed zone, to break it
}

// denial is how a zone says that something is not there.
type denial uint8

const (
	nsec denial = iota
	nsec3
	nsec3OptOut
)

func (d denial) String() string { return []string{"NSEC", "NSEC3", "NSEC3 opt-out"}[d] }

type signer uint8

const (
	bindSigner signer = iota
	knotSigner
)

func (s signer) String() string { return []string{"dnssec-signzone", "kzonesign"}[s] }

// A key is a key pair as dnssec-keygen wrote it. Zones share keys: a key's owner is no part of its key tag, and each
// zone has files of its own.
type key struct {
	record  *dns.DNSKEY
	private string
}

// A keyRing has the keys of one algorithm.
type keyRing struct{ ksk, zsk, spare *key }

type keyRings map[uint8]*keyRing

// allAlgorithms are those of RFC 8624 that a signer of today still knows.
var allAlgorithms = []uint8{
	dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512,
	dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519, dns.ED448,
}

// makeKeys makes three keys of each algorithm.
func makeKeys(t *testing.T, algorithms []uint8) keyRings {
	t.Helper()
	dir, rings := t.TempDir(), make(keyRings)
	rounds := make([]*keyRing, len(algorithms))
	eachOf(2, len(algorithms), func(i int) {
		ring := &keyRing{}
		for _, k := range []struct {
			to   **key
			args []string
		}{{&ring.ksk, []string{"-f", "KSK"}}, {&ring.zsk, nil}, {&ring.spare, nil}} {
			var err error
			if *k.to, err = makeKey(dir, algorithms[i], k.args...); err != nil {
				t.Errorf("make a key of algorithm %d: %v", algorithms[i], err)
			}
		}
		rounds[i] = ring
	})
	if t.Failed() {
		t.FailNow()
	}
	for i, a := range algorithms {
		rings[a] = rounds[i]
	}
	return rings
}

func makeKey(dir string, algorithm uint8, args ...string) (*key, error) {
	args = append(args, "-q", "-K", dir, "-a", fmt.Sprint(algorithm))
	if isRSA(algorithm) {
		args = append(args, "-b", "2048")
	}
	out, err := exec.Command("dnssec-keygen", append(args, "key.")...).Output()
	if err != nil {
		return nil, err
	}
	base := filepath.Join(dir, strings.TrimSpace(string(out)))
	public, err := os.ReadFile(base + ".key")
	if err != nil {
		return nil, err
	}
	private, err := os.ReadFile(base + ".private")
	if err != nil {
		return nil, err
	}
	rr, err := dns.NewRR(string(public))
	if err != nil {
		return nil, err
	}
	record, ok := rr.(*dns.DNSKEY)
	if !ok {
		return nil, fmt.Errorf("%s.key has no DNSKEY", base)
	}
	record.Hdr.Ttl = 3600
	return &key{record, string(private)}, nil
}

func isRSA(algorithm uint8) bool { return algorithm <= dns.RSASHA512 }

// of is the key's DNSKEY at apex.
func (k *key) of(apex name) *dns.DNSKEY {
	record := dns.Copy(k.record).(*dns.DNSKEY)
	record.Hdr.Name = apex.String()
	return record
}

// signWith signs an RRset, in Go, as the key of the zone at apex.
func (k *key) signWith(apex name, rrset []dns.RR) (*dns.RRSIG, error) {
	private, err := k.record.NewPrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	sig := &dns.RRSIG{
		Hdr:        dns.RR_Header{Name: rrset[0].Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: rrset[0].Header().Ttl},
		Algorithm:  k.record.Algorithm,
		Expiration: uint32(now.AddDate(0, 0, 14).Unix()), Inception: uint32(now.AddDate(0, 0, -1).Unix()),
		KeyTag: k.record.KeyTag(), SignerName: apex.String(),
	}
	return sig, sig.Sign(private.(crypto.Signer), rrset)
}

// sign makes z a signed zone: its keys, and the DS RRs at the parent.
func (w *world) sign(z *zone, rings keyRings, s *signing) {
	z.signing = s
	for _, a := range s.algorithms {
		s.keys = append(s.keys, rings[a].ksk)
		if !s.single {
			s.keys = append(s.keys, rings[a].zsk)
		}
		for _, d := range s.digests {
			w.zoneOf(z.apex.parent()).add("%s", delegationSigner(rings[a].ksk.of(z.apex), d, s.forgedDS))
		}
	}
	for _, k := range s.keys {
		z.add("%s", k.of(z.apex))
	}
}

// delegationSigner is the DS of a key. A digest that the library does not know is made up, and so is one to be forged.
func delegationSigner(k *dns.DNSKEY, digest uint8, forged bool) *dns.DS {
	ds := k.ToDS(digest)
	if ds == nil {
		ds = k.ToDS(dns.SHA256)
		ds.DigestType = digest
	}
	if forged {
		last := len(ds.Digest) - 1
		ds.Digest = ds.Digest[:last] + map[bool]string{true: "1", false: "0"}[ds.Digest[last] == '0']
	}
	return ds
}

// signZones signs in place the files of those zones that are to be signed.
func signZones(t *testing.T, dir string, zones []*zone) {
	t.Helper()
	signed := slices.DeleteFunc(slices.Clone(zones), func(z *zone) bool { return z.signing == nil })
	eachOf(2, len(signed), func(i int) {
		z := signed[i]
		if err := z.sign(dir); err != nil {
			t.Errorf("sign %s: %v", z.apex, err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

func (z *zone) sign(dir string) error {
	own := filepath.Join(dir, "sign."+z.file())
	if err := os.Mkdir(own, 0o700); err != nil {
		return err
	}
	bases, err := z.writeKeys(own)
	if err != nil {
		return err
	}
	plain, signed := filepath.Join(dir, z.file()), filepath.Join(own, "signed")
	if z.signing.signer == bindSigner {
		err = z.signWithBIND(own, plain, signed, bases)
	} else {
		err = z.signWithKnot(own, plain, signed, bases)
	}
	if err != nil {
		return err
	}
	if z.signing.spoil != nil {
		if err := z.spoilFile(signed); err != nil {
			return err
		}
	}
	return os.Rename(signed, plain)
}

// writeKeys writes the key files under the names that BIND gives them.
func (z *zone) writeKeys(own string) (bases []string, err error) {
	for _, k := range z.signing.keys {
		record := k.of(z.apex)
		base := filepath.Join(own, fmt.Sprintf("K%s+%03d+%05d", z.apex, record.Algorithm, record.KeyTag()))
		err := cmp.Or(
			os.WriteFile(base+".key", []byte(record.String()+"\n"), 0o600),
			os.WriteFile(base+".private", []byte(k.private), 0o600))
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	return bases, nil
}

func (z *zone) signWithBIND(own, plain, signed string, bases []string) error {
	s := z.signing
	args := []string{"-q", "-P", "-n", "1", "-d", own, "-o", z.apex.String(), "-f", signed}
	if s.single {
		args = append(args, "-z")
	} else {
		args = append(args, "-x")
	}
	if s.denial != nsec {
		args = append(args, "-3", cmp.Or(s.salt, "-"), "-H", fmt.Sprint(s.iterations))
	}
	if s.denial == nsec3OptOut {
		args = append(args, "-A")
	}
	args = append(append(append(args, s.dates...), plain), bases...)
	return command("dnssec-signzone", args...)
}

func (z *zone) signWithKnot(own, plain, signed string, bases []string) error {
	s := z.signing
	config := fmt.Sprintf("server:\n  rundir: %[1]s\ndatabase:\n  storage: %[1]s\nlog:\n  - target: stderr\n    any: warning\n"+
		"policy:\n  - id: p\n    manual: on\n    cds-cdnskey-publish: none\n    single-type-signing: %[2]s\n    nsec3: %[3]s\n"+
		"    nsec3-opt-out: %[4]s\n    nsec3-iterations: %[5]d\n    nsec3-salt-length: %[6]d\n"+
		"zone:\n  - domain: \"%[7]s\"\n    file: %[8]s\n    zonefile-load: whole\n    journal-content: none\n"+
		"    dnssec-signing: on\n    dnssec-policy: p\n",
		own, onOff(s.single), onOff(s.denial != nsec), onOff(s.denial == nsec3OptOut), s.iterations, len(s.salt)/2, z.apex, plain)
	file, out := filepath.Join(own, "knot.conf"), filepath.Join(own, "out")
	if err := cmp.Or(os.WriteFile(file, []byte(config), 0o600), os.Mkdir(out, 0o700)); err != nil {
		return err
	}
	for _, base := range bases {
		if err := command("keymgr", "-c", file, z.apex.String(), "import-bind", base+".key"); err != nil {
			return err
		}
	}
	if err := command("kzonesign", "-c", file, "-o", out, z.apex.String()); err != nil {
		return err
	}
	made, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(made) != 1 {
		return fmt.Errorf("kzonesign wrote %d files, %w", len(made), err)
	}
	return os.Rename(made[0], signed)
}

func onOff(b bool) string { return map[bool]string{true: "on", false: "off"}[b] }

func command(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// A signedZone is the contents of a signed zone, to be edited.
type signedZone struct {
	*zone
	rrs []dns.RR
}

// spoilFile reads a signed zone file, has it edited, and writes it back.
func (z *zone) spoilFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	s := &signedZone{zone: z}
	parser := dns.NewZoneParser(file, z.apex.String(), path)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		s.rrs = append(s.rrs, rr)
	}
	if err := parser.Err(); err != nil {
		return err
	}
	if err := z.signing.spoil(s); err != nil {
		return err
	}
	var b strings.Builder
	for _, rr := range s.rrs {
		fmt.Fprintln(&b, rr)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}
