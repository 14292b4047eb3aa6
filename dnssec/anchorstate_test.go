package dnssec

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

func TestParseTrustAnchorRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", errAnchorForm},
		{"no owner", "20326 8 2", errAnchorForm},
		{"another type", ". IN A 192.0.2.1", errAnchorForm},
		{"another class", ". CH DS 20326 8 2 " + strings.Repeat("00", 32), errAnchorForm},
		{"two records", ". DS 1 8 200 00\n. DS 2 8 200 00", errAnchorForm},
		{"a directive", "$INCLUDE anchors", errAnchorForm},
		{"no digest", ". DS 20326 8 2", errAnchorForm},
		{"no key", ". DNSKEY 257 3 8", errAnchorForm},
		{"no zone key", ". DNSKEY 1 3 8 AAAA", errAnchorKey},
		{"another protocol", ". DNSKEY 257 4 8 AAAA", errAnchorKey},
		{"a revoked key", ". DNSKEY 385 3 8 AAAA", errAnchorRevoked},
		{"no base64", ". DNSKEY 257 3 8 ****", errAnchorForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ParseTrustAnchor(c.text); err != c.want { //nolint:errorlint // constants
				t.Errorf("%+v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestParseTrustAnchorTakes(t *testing.T) {
	want := ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
	for _, text := range []string{
		want,
		". 172800 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D ; KSK-2017",
		".\tIN DS ( 20326 8 2\n E06D44B80B8F1D39A95C0B0D7C65D084 58E880409BBC683457104237C7F8EC8D )",
	} {
		a, err := ParseTrustAnchor(text)
		if err != nil || a.text() != want {
			t.Errorf("%q: %q, %v", text, a.text(), err)
		}
	}
}

func TestStateIsRefused(t *testing.T) {
	keys := newRing("example.", "AB")
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(t, 'A', dns.TypeDNSKEY)}})
	a.Observe(dayZero, budget(), keys.set(t, dayZero, "A b"))
	good := string(a.AppendState(nil))
	if _, err := ReadState([]byte(good)); err != nil {
		t.Fatal(err)
	}
	seal := func(text string) string {
		body, _, _ := strings.Cut(text, stateChecksum)
		return body + sealOf(body)
	}
	if seal(good) != good {
		t.Fatal("the test's own checksum is wrong")
	}
	replace := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("no %q in\n%s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "trust anchor state: not of version 1"},
		{"another version", seal(replace("version 1", "version 2")), "trust anchor state: not of version 1"},
		{"another file", "; autotrust trust anchor file\n", "trust anchor state: not of version 1"},
		{"edited", replace("pending", "valid"), "the checksum does not fit"},
		{"cut", good[:len(good)-70], "the checksum does not fit"},
		{"cut in the checksum", good[:len(good)-2], "the checksum does not fit"},
		{"only a version", stateVersion, "the checksum does not fit"},
		{"with a tail", good + "\n", "the checksum does not fit"},
		{"no such state", seal(replace("pending", "trusted")), "line 3: not a key and its state"},
		{"the state that is never written", seal(replace("pending", "start")), "line 3: not a key and its state"},
		{"no such time", seal(replace("2026-01-31", "2026-02-31")), "line 3: not a key and its state"},
		{"a pending key without an end", seal(replace("2026-01-31T00:00:00Z", "-")), "line 3: not a key and its state"},
		{"no such source", seal(replace("learnt", "guessed")), "line 3: not a key and its state"},
		{"not a record", seal(replace("DNSKEY", "DNSKEYS")), "line 3: not a key and its state"},
		{"too few columns", seal(replace("# ", "valid\n# ")), "line 2: not a key and its state"},
		{"twice", seal(replace("# ", strings.Split(good, "\n")[2]+"\n# ")), "line 4: a key for the second time"},
		{"too long", stateVersion + strings.Repeat("#\n", maxStateSize), "trust anchor state: not of version 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ReadState([]byte(c.text))
			if err == nil || !strings.HasSuffix(err.Error(), c.want) || s.anchors != nil {
				t.Errorf("%v, %v, want %q", s, err, c.want)
			}
		})
	}
}

func FuzzReadState(f *testing.F) {
	keys := newRing("example.", "ABC")
	a := NewAnchors(AnchorOptions{Trusted: []TrustAnchor{keys.anchor(f, 'A', dns.TypeDS), keys.anchor(f, 'C', dns.TypeDS)}})
	f.Add(a.AppendState(nil))
	a.Observe(dayZero, budget(), keys.set(f, dayZero, "A! b C"))
	f.Add(a.AppendState(nil))
	f.Add(NewAnchors(AnchorOptions{}).AppendState(nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadState(text)
		if err != nil {
			body, _, _ := strings.Cut(string(text), stateChecksum)
			if s, err = ReadState([]byte(body + sealOf(body))); err != nil {
				return
			}
		}
		for zone, list := range s.anchors { // what was read can be written and read again
			for i := range list {
				if list[i].state == Start || list[i].record.Zone != zone {
					t.Fatalf("%+v", list[i])
				}
			}
			points := map[wire.Name]*point{zone: {zone: zone, anchors: list}}
			b := &Anchors{}
			b.points.Store(&points)
			written := b.AppendState(nil)
			again, err := ReadState(written)
			if err != nil {
				t.Fatalf("%v in\n%s", err, written)
			}
			points = map[wire.Name]*point{zone: {zone: zone, anchors: again.anchors[zone]}}
			if rewritten := b.AppendState(nil); string(rewritten) != string(written) {
				t.Fatalf("%s\nbecame\n%s", written, rewritten)
			}
		}
	})
}

func sealOf(body string) string {
	return fmt.Sprintf("%s%x\n", stateChecksum, sha256.Sum256([]byte(body)))
}
