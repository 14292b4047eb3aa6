package zone

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

const withSecrets = `$TTL 60
blog    A     192.0.2.177   ; cf_tags=cf-proxied:true
blog    AAAA  2001:db8::77  ; cf_tags=cf-proxied:true
blog    TXT   "what is said at a proxied name"
www     CNAME secret-origin.example.net. ; cf_tags=cf-proxied:true
mixed   A     192.0.2.178
mixed   A     192.0.2.179   ; cf_tags=cf-proxied:true
*.w     A     192.0.2.180   ; cf_tags=cf-proxied:true
@       A     192.0.2.181   ; cf_tags=cf-proxied:true
ent.x   A     192.0.2.182   ; cf_tags=cf-proxied:true
only4   AAAA  2001:db8::78  ; cf_tags=cf-proxied:true,tacit-ipv4-only
to      CNAME blog
open    A     192.0.2.99
`

// hiddenOrigins are what the origins look like in messages and in text.
func hiddenOrigins() (octets [][]byte, text []string) {
	for _, a := range []string{"192.0.2.177", "2001:db8::77", "192.0.2.178", "192.0.2.179", "192.0.2.180", "192.0.2.181", "192.0.2.182", "2001:db8::78"} {
		octets, text = append(octets, netip.MustParseAddr(a).AsSlice()), append(text, a)
	}
	return append(octets, []byte("secret-origin")), append(text, "secret-origin")
}

// What a Zone holds does not tell an origin, wherever one looks in it, nor does it print one.
func TestZoneHoldsNoOrigin(t *testing.T) {
	z := built(t, "example.", withSecrets, edged)
	var memory bytes.Buffer
	gather(&memory, reflect.ValueOf(z), map[uintptr]bool{})
	octets, texts := hiddenOrigins()
	for i := range octets {
		if bytes.Contains(memory.Bytes(), octets[i]) {
			t.Errorf("%s is in the zone", texts[i])
		}
	}
	if !bytes.Contains(memory.Bytes(), []byte{192, 0, 2, 99}) {
		t.Error("the search does not find what is not proxied either")
	}
}

// Below a zone cut nothing is proxied; but what is no glue is told to nobody, and not kept.
func TestZoneHoldsNoOriginThatIsNoGlue(t *testing.T) {
	z := built(t, "example.", `
sub     NS    ns.sub
ns.sub  A     192.0.2.53 ; cf_tags=cf-proxied:true
www.sub A     192.0.2.177 ; cf_tags=cf-proxied:true
sub     A     192.0.2.178 ; cf_tags=cf-proxied:true
c.sub   CNAME secret-origin.example.net. ; cf_tags=cf-proxied:true
`, edged)
	var memory bytes.Buffer
	gather(&memory, reflect.ValueOf(z), map[uintptr]bool{})
	for _, hidden := range []string{"\xc0\x00\x02\xb1", "\xc0\x00\x02\xb2", "secret-origin"} {
		if bytes.Contains(memory.Bytes(), []byte(hidden)) {
			t.Errorf("%q is in the zone", hidden)
		}
	}
	if got := find(z, "x.www.sub.example. A"); got != "delegated; sub.example.; NS 300 ns.sub.example.; glue ns.sub.example." {
		t.Error(got)
	}
}

// gather writes all octets and strings that can be reached from a value.
func gather(b *bytes.Buffer, v reflect.Value, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			gather(b, v.Elem(), seen)
		}
	case reflect.Interface:
		gather(b, v.Elem(), seen)
	case reflect.Struct:
		for _, field := range v.Fields() {
			gather(b, field, seen)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b.Write(v.Bytes()[:v.Cap()])
			return
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			gather(b, v.Index(i), seen)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			gather(b, it.Key(), seen)
			gather(b, it.Value(), seen)
		}
	case reflect.String:
		b.WriteString(v.String())
	default:
	}
}

// Whatever is asked at whatever name, nothing that is found tells an origin.
func TestFindingsHoldNoOrigin(t *testing.T) {
	z := built(t, "example.", withSecrets, edged)
	var said strings.Builder
	for _, name := range []string{
		"example.", "blog.example.", "www.example.", "mixed.example.", "any.w.example.", "*.w.example.", "ent.x.example.", "x.example.",
		"only4.example.", "to.example.", "open.example.", "no.example.", "below.blog.example.",
	} {
		for kind := range dns.TypeToString {
			f := z.Find(wire.MustName(name), wire.Type(kind))
			fmt.Fprintln(&said, f.text())
		}
	}
	_, texts := hiddenOrigins()
	for _, text := range texts {
		if strings.Contains(said.String(), text) {
			t.Errorf("%s is told", text)
		}
	}
	if !strings.Contains(said.String(), "192.0.2.99") {
		t.Error("the search does not find what is not proxied either")
	}
}

// Problems may be logged: their words hold nothing of a record, whatever is wrong with it.
func TestProblemsHoldNoOrigin(t *testing.T) {
	_, problems := tryBuild("example.", strings.ReplaceAll(withSecrets, "192.0.2.", "192.0.2.0.")+"blog A 127.0.0.177 ; cf_tags=cf-proxied:true\nx MX 10 secret-origin.example.net. ; cf_tags=cf-proxied:true", edged)
	if len(problems) < 7 {
		t.Fatal(problems)
	}
	for _, secret := range []string{"192.", "127.", ".177", "secret"} {
		if strings.Contains(problems.Error(), secret) {
			t.Errorf("%s is in the problems: %v", secret, problems)
		}
	}
}
