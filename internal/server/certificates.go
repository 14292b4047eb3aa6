package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"tacit/certificate"
	"tacit/config"
	"tacit/internal/wire"
)

// newCertificates makes what is shown to clients of the encrypted transports. Whoever calls it follows it, too.
func newCertificates(c *config.Config, env Env) (*certificate.Store, error) {
	if err := checkCache(c); err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // without one the certificate has a name less
	a := c.TLS.ACME
	s, err := certificate.New(certificate.Options{
		Pairs: pairs(c), Names: hostNames(c, host), Addresses: hostAddresses(listening(c), interfaceAddresses()),
		Now: env.Now, Log: env.Log, Panicked: env.panics.report,
		ACME: certificate.ACME{Names: a.Names, Directory: a.Directory, Mail: a.Mail, Cache: acmeCache(c), HTTP01: len(a.HTTP) > 0},
	})
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return s, nil
}

// showTheSame reports whether a reload may keep the certificates, and with them the pin of a self-signed one. Files that have
// changed are followed anyway.
func showTheSame(a, b *config.Config) bool {
	return reflect.DeepEqual(a.TLS, b.TLS) && slices.Equal(a.Certificates, b.Certificates) &&
		a.Listen.Name == b.Listen.Name && slices.Equal(listening(a), listening(b))
}

// pairs has the one of [tls] first.
func pairs(c *config.Config) []certificate.Pair {
	var list []certificate.Pair
	for _, p := range slices.Concat([]config.Certificate{c.TLS.Certificate}, c.Certificates) {
		if p.CertFile != "" {
			list = append(list, certificate.Pair{CertFile: p.CertFile, KeyFile: p.KeyFile})
		}
	}
	return list
}

// acmeCacheName is the directory's name in the one that a service manager gives.
const acmeCacheName = "acme"

// acmeCache returns the directory of ACME, or nothing.
func acmeCache(c *config.Config) string {
	if c.TLS.ACME.Cache != "" {
		return c.TLS.ACME.Cache
	}
	return inDirectory("STATE_DIRECTORY", acmeCacheName)
}

var errNoACMECache = errors.New("tls.acme_cache: is empty, and there is no STATE_DIRECTORY: the keys of tls.acme_names need a place")

func checkCache(c *config.Config) error {
	path := acmeCache(c)
	switch {
	case len(c.TLS.ACME.Names) == 0:
		return nil
	case path == "":
		return errNoACMECache
	}
	if err := certificate.CheckCache(path); err != nil {
		return fmt.Errorf("tls.acme_cache: %w", err)
	}
	return nil
}

// checkPairs finds files that cannot be used.
func checkPairs(c *config.Config) error {
	var errs []error
	for _, p := range pairs(c) {
		if _, err := p.Load(); err != nil {
			errs = append(errs, fmt.Errorf("certificate: %w", err))
		}
	}
	return errors.Join(errs...)
}

// ReadCertificates says how those are that a configuration names, where their files can be read.
func ReadCertificates(c *config.Config, now time.Time) []certificate.Status {
	var list []certificate.Status
	for _, p := range pairs(c) {
		if loaded, err := p.Load(); err == nil {
			list = append(list, certificate.Describe(loaded.Leaf, now))
		}
	}
	return list
}

// CheckCertificates finds certificates that no client will believe because of their time, and warns of those that will not be
// believed for long: tacit serves with them.
func CheckCertificates(c *config.Config, now time.Time) (warnings []string, err error) {
	var errs []error
	for _, p := range pairs(c) {
		loaded, err := p.Load()
		if err != nil {
			continue // Check has said so
		}
		switch s := certificate.Describe(loaded.Leaf, now); s.State {
		case certificate.Expired:
			errs = append(errs, fmt.Errorf("certificate: %s: expired on %s", p.CertFile, dayOf(s.NotAfter)))
		case certificate.Early:
			errs = append(errs, fmt.Errorf("certificate: %s: is not valid before %s", p.CertFile, dayOf(s.NotBefore)))
		case certificate.Soon:
			warnings = append(warnings, fmt.Sprintf("certificate: %s: expires on %s", p.CertFile, dayOf(s.NotAfter)))
		case certificate.Good, certificate.Awaited:
		}
	}
	return warnings, errors.Join(errs...)
}

func dayOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// listening are the addresses that clients may connect to.
func listening(c *config.Config) []netip.Addr {
	var list []netip.Addr
	for _, a := range slices.Concat(c.Listen.UDP, c.Listen.TCP, c.Listen.TLS, c.Listen.HTTPS, c.Listen.QUIC) {
		list = append(list, a.Addr())
	}
	return list
}

// hostNames are what a self-signed certificate is for: this machine, as whoever asks it may call it. The first is the one under
// which it is announced.
func hostNames(c *config.Config, host string) []string {
	var names []string
	if !c.Listen.Name.IsRoot() {
		names = append(names, strings.ToLower(strings.TrimSuffix(c.Listen.Name.Reveal(), ".")))
	}
	for _, name := range []string{"localhost", strings.ToLower(host)} {
		if wire.IsHostName(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// hostAddresses are the addresses for the same.
func hostAddresses(listening, interfaces []netip.Addr) []netip.Addr {
	addresses := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	for _, a := range listening {
		if a.IsUnspecified() {
			addresses = append(addresses, sameFamily(a, interfaces)...)
			continue
		}
		addresses = append(addresses, a.WithZone(""))
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	return addresses[:min(len(addresses), maxOwnAddresses)]
}

// maxOwnAddresses keeps the certificate small on a machine with a great many: it is sent in every handshake.
const maxOwnAddresses = 32

func sameFamily(a netip.Addr, list []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(b netip.Addr) bool { return a.Is4() != b.Is4() })
}

// interfaceAddresses are those of this machine that clients elsewhere can connect to.
func interfaceAddresses() []netip.Addr {
	found, _ := net.InterfaceAddrs() // without them the certificate is for fewer addresses
	var list []netip.Addr
	for _, n := range found {
		prefix, err := netip.ParsePrefix(n.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			list = append(list, prefix.Addr().Unmap())
		}
	}
	return list
}
