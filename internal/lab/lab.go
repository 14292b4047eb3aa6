package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tacit/config"
	"tacit/internal/testnet"
)

// A Lab is the small internet and the configuration for a tacit that resolves from it.
type Lab struct {
	world     *testnet.World
	directory string // of the configuration and the root hints
	config    *config.Config
	now       func() time.Time

	closers []func() error
	running sync.WaitGroup
}

// Options say where a Lab is. The zero value is good.
type Options struct {
	// Listen is where tacit is to listen. The zero value: 127.0.0.1:5335.
	Listen netip.AddrPort
	// TLS is where it is to speak DNS over TLS, and over QUIC. The zero value: 127.0.0.1:8853.
	TLS netip.AddrPort
	// HTTPS is where it is to speak DNS over HTTPS. The zero value: 127.0.0.1:8443.
	HTTPS netip.AddrPort
	// Port is where all name servers of the lab listen, each on an address of its own. 0: 5300.
	Port uint16
	// Now tells the time for the servers' own records of what they saw. Nil: time.Now.
	Now func() time.Time
}

const defaultPort = 5300

// Where the encrypted transports are: ports that need no privilege.
var (
	defaultTLS   = netip.MustParseAddrPort("127.0.0.1:8853")
	defaultHTTPS = netip.MustParseAddrPort("127.0.0.1:8443")
)

func (o Options) withDefaults() Options {
	for _, x := range []struct {
		at       *netip.AddrPort
		standard netip.AddrPort
	}{{&o.Listen, config.Default().Listen.UDP[0]}, {&o.TLS, defaultTLS}, {&o.HTTPS, defaultHTTPS}} {
		if !x.at.IsValid() {
			*x.at = x.standard
		}
	}
	if o.Port == 0 {
		o.Port = defaultPort
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the lab stands where the machine would
	}
	return o
}

// New makes the internet, in memory, and writes the configuration to a directory that Close removes.
func New(o Options) (*Lab, error) {
	o = o.withDefaults()
	directory, err := os.MkdirTemp("", "tacit-lab-")
	if err != nil {
		return nil, err
	}
	l := &Lab{world: newWorld(o.Port), directory: directory, now: o.Now}
	l.closers = append(l.closers, func() error { return os.RemoveAll(directory) })
	if err := l.writeConfig(o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Network is the lab's internet in memory, which works without sockets.
func (l *Lab) Network() *testnet.Internet { return l.world.Internet }

// Config is the configuration for a tacit in front of the lab.
func (l *Lab) Config() *config.Config { return l.config }

// Close stops the name servers and removes the configuration.
func (l *Lab) Close() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c())
	}
	l.closers = nil
	l.running.Wait()
	return errors.Join(errs...)
}

const configText = `# tacit in front of its lab: go run ./cmd/tacit lab
[listen]
udp = ["%[1]v"]
tcp = ["%[1]v"]
tls = ["%[4]v"]
https = ["%[5]v"]
quic = ["%[4]v"]

[recursion]
root_hints = "root.hints"
port = %[2]d
ipv6 = false
allow_special_addresses = true
encrypt = "off"

[dnssec]
trust_anchors = ['%[3]s']

[[zone]]
name = "example.net."
file = "example.net.zone"

[edge]
addresses = ["203.0.113.10", "2001:db8::10"]
alpn = ["h2"]
`

// zoneText is a zone that tacit itself serves.
const zoneText = `; example.net, served by tacit. A record that is proxied is answered with the addresses of the edge.
blog  A      192.0.2.1  ; cf_tags=cf-proxied:true
shop  A      192.0.2.2
www   CNAME  blog
`

func (l *Lab) writeConfig(o Options) error {
	path := filepath.Join(l.directory, "tacit.toml")
	err := errors.Join(
		os.WriteFile(path, fmt.Appendf(nil, configText, o.Listen, o.Port, l.world.Anchor(), o.TLS, o.HTTPS), 0o600),
		os.WriteFile(filepath.Join(l.directory, "root.hints"), []byte(l.world.Hints()), 0o600),
		os.WriteFile(filepath.Join(l.directory, "example.net.zone"), []byte(zoneText), 0o600),
	)
	if err != nil {
		return err
	}
	l.config, err = config.Load(path)
	return err
}
