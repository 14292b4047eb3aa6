package wire_test

import (
	"strings"
	"testing"

	"tacit/internal/wire"
)

// RFC 1123 section 2.1: letters, digits and hyphens, a digit may be the first; RFC 3696 section 2: the last label is no number.
func TestHostNames(t *testing.T) {
	label := strings.Repeat("a", wire.MaxLabelLength)
	for _, c := range []struct {
		text string
		want bool
	}{
		{"dns.example", true},
		{"dns.example.", true},
		{"DNS.Example", true},
		{"localhost", true},
		{"3com.example", true},
		{"xn--bcher-kva.example", true},
		{"1.2.3.a4", true},
		{label + ".example", true},
		{"", false},
		{".", false},
		{"..", false},
		{"dns..example", false},
		{"dns.example..", false},
		{".example", false},
		{"-dns.example", false},
		{"dns-.example", false},
		{"dns.-", false},
		{"_dns.example", false},
		{"*.example", false},
		{`d\110s.example`, false},
		{"d ns.example", false},
		{"dns.exämple", false},
		{"192.0.2.53", false},
		{"dns.example.53", false},
		{"2001:db8::53", false},
		{"a" + label + ".example", false},
		{strings.Repeat(label+".", 4) + "example", false},
	} {
		if got := wire.IsHostName(c.text); got != c.want {
			t.Errorf("%q: %v", c.text, got)
		}
	}
}
