//go:build leak

package leak

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// The search finds a name and an address in every form in which they may stand somewhere, and nothing else.
func TestSearchFindsEveryForm(t *testing.T) {
	p := newPlan(7)
	s := newSearcher(p.clients, p.unused)
	four, six := p.clients[0], p.clients[0]
	for _, c := range p.clients {
		if c.address.Is4() {
			four = c
		} else {
			six = c
		}
	}
	for _, c := range []*client{four, six} {
		raw := c.address.AsSlice()
		for form, octets := range map[string][]byte{
			"text": []byte(c.address.String()), "capitals": []byte(strings.ToUpper(c.address.String())), "octets": raw,
			"netip.Addr": inMemory(c.address), "hexadecimal": []byte(hex.EncodeToString(raw)),
			"printed by fmt": fmt.Appendf(nil, "%x", raw), "with a port": fmt.Appendf(nil, "[%v]:53", c.address),
		} {
			f := newFound()
			f.look(s, append(append([]byte("before"), octets...), "behind"...))
			if len(f.addresses) != 1 || !f.addresses[c] || len(f.names) != 0 {
				t.Errorf("%s of %v: %d addresses, %d names", form, c.address, len(f.addresses), len(f.names))
			}
		}
		for form, octets := range map[string]string{
			"text": c.name, "letter case": c.asked, "capitals": strings.ToUpper(c.name), "wire form": "\x10" + c.marker + "\x03com\x00",
			"hexadecimal": hex.EncodeToString([]byte(c.marker)),
		} {
			f := newFound()
			f.look(s, []byte(octets))
			if len(f.names) != 1 || !f.names[c] || len(f.addresses) != 0 {
				t.Errorf("%s of a name: %d names, %d addresses", form, len(f.names), len(f.addresses))
			}
		}
		f := newFound()
		f.look(s, fmt.Appendf(nil, "%v%s%s", c.address, strings.Repeat(" ", near/2), c.name))
		if len(f.pairs) != 1 {
			t.Error("a pair is not found")
		}
		f = newFound()
		f.look(s, fmt.Appendf(nil, "%v%s%s", c.address, strings.Repeat(" ", near), c.name))
		if len(f.pairs) != 0 {
			t.Error("what is far apart is taken for a pair")
		}
	}
}
