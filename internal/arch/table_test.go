package arch

import (
	"slices"
	"strings"
)

const module = "tacit"

// A room is one row of the import table: a package and the packages of tacit that it may import.
type room struct {
	path string
	may  []string
	// standard rooms import nothing from outside the standard library, so that whoever audits what happens to a name or
	// an address need read no further.
	standard bool
	// unpredictable rooms choose values that an attacker must not guess (query IDs, source ports, letter case, cookies):
	// crypto/rand or nothing (RFC 5452 section 9.2).
	unpredictable bool
}

// Siblings never import each other; internal/server joins them.
var siblings = []string{"cache", "dnssec", "zone", "policy", "upstream"}

// The clients' side is in three rooms: transports carry messages, certificate has what proves who answers, discovery
// tells clients where the transports are.
var clientSide = []string{"transports", "certificate", "discovery"}

var foundations = []string{"internal/wire", "internal/privacy", "internal/work", "internal/place", "internal/odoh", "internal/siphash", "internal/crowds"}

var rooms = []room{
	{path: "cmd/tacit", may: []string{"config", "admin", "certificate", "discovery", "zone", "statement", "internal/server", "internal/lab", "internal/wire"}},
	{path: "config", may: slices.Concat(clientSide, []string{"resolver", "admin"}, siblings, foundations)},
	{path: "transports", may: []string{"internal/wire", "internal/privacy", "internal/place", "internal/odoh", "internal/siphash", "internal/crowds"}, unpredictable: true},
	{path: "certificate", may: []string{"internal/privacy", "internal/place"}, unpredictable: true},
	{path: "management"},
	{path: "statement", standard: true},
	{path: "discovery", may: []string{"internal/wire"}},
	{path: "resolver", may: slices.Concat(siblings, []string{"internal/wire", "internal/work"}), unpredictable: true},
	{path: "cache", may: []string{"internal/wire", "internal/siphash"}},
	{path: "upstream", may: []string{"internal/wire", "internal/work", "internal/odoh"}, unpredictable: true},
	{path: "dnssec", may: []string{"internal/wire", "internal/work"}},
	{path: "zone", may: []string{"internal/wire", "internal/place"}},
	{path: "policy", may: []string{"internal/wire", "internal/privacy"}},
	{path: "admin", may: []string{"internal/wire", "internal/place"}},
	{path: "internal/wire", standard: true},
	{path: "internal/privacy", standard: true},
	{path: "internal/work", standard: true},
	{path: "internal/place", standard: true},
	{path: "internal/odoh", standard: true, unpredictable: true},
	{path: "internal/siphash", standard: true, unpredictable: true},
	{path: "internal/crowds", may: []string{"internal/privacy", "internal/siphash"}, unpredictable: true},
	{path: "internal/server", may: slices.Concat([]string{"config", "resolver", "admin"}, clientSide, siblings, foundations, []string{"management", "statement"})},
	{path: "internal/testnet", may: []string{"internal/wire", "dnssec"}},
	{path: "internal/apart"},
	{path: "internal/lab", may: []string{"config", "internal/server", "internal/testnet"}},
	{path: "internal/interop"},
	{path: "internal/leak"},
	{path: "internal/arch"},
}

// A confinement names the rooms that know a module, so that replacing the module is work in those rooms only.
type confinement struct {
	module string
	rooms  []string
}

var confinements = []confinement{
	{"github.com/miekg/dns", []string{
		"dnssec", "zone", "upstream", "resolver", "transports", "internal/testnet", "internal/lab", "internal/interop",
	}}, // docs/adr/0001
	{"github.com/quic-go/quic-go", []string{"transports", "upstream", "internal/interop"}}, // docs/adr/0008
	{"github.com/pires/go-proxyproto", []string{"transports"}},                             // docs/adr/0008
	{"golang.org/x/crypto", []string{"certificate"}},                                       // docs/adr/0008
	{"golang.org/x/net/publicsuffix", []string{"internal/crowds"}},
	{"github.com/pelletier/go-toml/v2", []string{"config"}}, // docs/adr/0002
	{"github.com/spf13/cobra", []string{"cmd/tacit"}},       // docs/adr/0002
}

func findRoom(path string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return r.path == path })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// refuse says why the room may not import the package, or nothing.
func (r room) refuse(imported string) string {
	switch {
	case imported == "log":
		return "log/slog with the redacting handler is the only way to log"
	case imported == module || within(imported, module):
		if slices.Contains(r.may, strings.TrimPrefix(imported, module+"/")) {
			return ""
		}
		return r.row()
	case r.unpredictable && (imported == "math/rand" || imported == "math/rand/v2"):
		return "its values go on the wire and must come from crypto/rand"
	case isStandard(imported):
		return ""
	case r.standard:
		return "this room imports the standard library only"
	}
	for _, c := range r.confinedElsewhere() {
		if imported == c.module || within(imported, c.module) {
			return c.module + " belongs to " + strings.Join(c.rooms, ", ")
		}
	}
	return ""
}

// row is the room's row of the table as a sentence.
func (r room) row() string {
	if len(r.may) == 0 {
		return "the row of " + r.path + " allows nothing of tacit"
	}
	return "the row of " + r.path + " allows " + strings.Join(r.may, ", ")
}

func (r room) confinedElsewhere() []confinement {
	return slices.DeleteFunc(slices.Clone(confinements), func(c confinement) bool { return slices.Contains(c.rooms, r.path) })
}

func within(imported, parent string) bool { return strings.HasPrefix(imported, parent+"/") }

// isStandard follows the go command: only paths from outside the standard library have a dot in their first element.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && first != module
}
