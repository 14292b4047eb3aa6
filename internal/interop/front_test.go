//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A front is tacit with all of its transports, and what clients need to know about it.
type front struct {
	dir        string
	world      *world
	clients    []*client
	tacit      *resolver
	process    *process
	own, other *authority // the one that vouches for tacit, and one that does not
	passages   atomic.Uint32
}

// A door is one transport at addresses of its own. Nothing else listens there, so that no client can fall back to
// another transport unseen.
type door struct {
	keys  []string // of the listeners in the table listen
	named netip.AddrPort
	// nameless reaches the same listener, but is not in the certificate.
	nameless netip.AddrPort
}

var (
	plainDoor = newDoor(1, 53, "udp", "tcp")
	tlsDoor   = newDoor(2, 853, "tls")
	httpsDoor = newDoor(3, 443, "https")
	quicDoor  = newDoor(4, 853, "quic")
)

const (
	frontName  = "resolver.example" // in the certificate
	wrongName  = "nobody.example"   // not in it
	askedZone  = "ask.example."
	webAddress = "203.0.113.80"
	// passageCount is how many addresses the certificate has for passages.
	passageCount = 32
)

func newDoor(number byte, port uint16, keys ...string) *door {
	return &door{
		keys:     keys,
		named:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, number}), port),
		nameless: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 2, number}), port),
	}
}

// openFront serves a small world and starts tacit before it.
func openFront(t *testing.T) *front {
	t.Helper()
	f := newFront(t)
	f.start(t, f.tacit)
	return f
}

// newFront is a front whose tacit does not run yet.
func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{dir: t.TempDir(), clients: newClients()}
	f.build()
	f.world.serve(t, f.dir)
	writeFile(t, filepath.Join(f.dir, "root.hints"), f.world.hints())
	f.own, f.other = newAuthority(t, f.dir, "own"), newAuthority(t, f.dir, "other")
	names := []string{frontName}
	for _, d := range []*door{tlsDoor, httpsDoor, quicDoor} {
		names = append(names, d.named.Addr().String())
	}
	for n := range passageCount {
		names = append(names, passageAddress(uint32(n+1), inCertificate).String())
	}
	f.tacit = f.resolver(f.own.issue(t, f.dir, names...))
	return f
}

func (f *front) start(t *testing.T, tacit *resolver) {
	t.Helper()
	f.process = tacit.start(t, f.dir)
}

// build makes a root, a TLD and the zone of the names that are asked for.
func (f *front) build() {
	w := &world{zones: make(map[name]*zone)}
	s := w.addInstance("all", nsd, 1)
	w.roots = []*host{s.addHost("a.rootns.", bothFamilies)}
	w.addZone(".", plainZone, w.roots, nil)
	w.addZone("example.", plainZone, []*host{s.addHost("ns.nic.example.", bothFamilies)}, nil)
	z := w.addZone(askedZone, plainZone, []*host{s.addHost("ns."+askedZone, bothFamilies)}, nil)
	for _, c := range f.clients {
		z.add("%s 3600 IN A %s", c.question(), c.answer())
	}
	z.add("page.%s 3600 IN A %s", askedZone, webAddress)
	z.add("*.%s 3600 IN A %s", burstZone, webAddress)
	for i := range largeOctets / 200 {
		z.add("%s 3600 IN TXT \"%03d%s\"", largeName, i, strings.Repeat("x", 197))
	}
	w.middle = []netip.Addr{netip.MustParseAddr(webAddress)}
	f.world = w
}

// resolver is tacit behind all doors.
func (f *front) resolver(c credential) *resolver {
	listen := make(map[string][]string)
	for _, d := range []*door{plainDoor, tlsDoor, httpsDoor, quicDoor} {
		for _, key := range d.keys {
			listen[key] = append(listen[key], fmt.Sprintf("%q, %q", d.named, d.nameless))
		}
	}
	var b strings.Builder
	fmt.Fprintln(&b, "[listen]")
	for _, key := range []string{"udp", "tcp", "tls", "https", "quic"} {
		fmt.Fprintf(&b, "%s = [%s]\n", key, strings.Join(listen[key], ", "))
	}
	fmt.Fprintln(&b, "\n[log]\nlevel = \"debug\"")
	fmt.Fprintf(&b, "\n[admin]\ncontrol = %q\n", controlSocket)
	fmt.Fprintf(&b, "\n[tls]\ncert_file = %q\nkey_file = %q\n", c.certificate, c.key)
	return &resolver{
		name: "tacit", addr: plainDoor.named, program: os.Getenv(binaryVariable),
		args: []string{"serve", "--config", "tacit.toml"}, file: "tacit.toml", config: b.String() + tacitConfig + "validate = false\n",
	}
}

// clientAddress is where all clients here come from.
const clientAddress = "127.0.0.1"

// end stops tacit, and fails when it has written about who asked, or for what, even at the level debug.
func (f *front) end(t *testing.T) {
	t.Helper()
	f.process.end(t)
	for _, told := range []string{strings.TrimSuffix(askedZone, "."), clientAddress} {
		if f.process.wrote(told) {
			t.Errorf("tacit has written of %s:\n%s", told, f.process.tail())
		}
	}
}

// queries says how many came over each transport, as tacit counts them.
func (f *front) queries(t *testing.T) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for name, c := range count(t, f.dir) {
		counts[name] = c.Queries
	}
	return counts
}
