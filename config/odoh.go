package config

import (
	"errors"
	"slices"
	"strings"

	"tacit/internal/wire"
	"tacit/upstream"
)

// ODoH is the table [odoh].
type ODoH struct {
	Target, Proxy bool
	Targets       []Upstream // over HTTPS
	CAFile        string     // a path, made absolute against the configuration's own; empty: the system's roots
}

var errOblivious = errors.New("is not https://address/path: Oblivious DoH is carried by HTTPS")

// parseOblivious reads where a proxy or a target of Oblivious DoH is; empty: nowhere.
func parseOblivious(s string) (Upstream, error) {
	if s == "" {
		return Upstream{}, nil
	}
	u, err := parseUpstream(s)
	if err == nil && u.Transport != upstream.HTTPS {
		err = errOblivious
	}
	return u, err
}

// IsOblivious reports whether the upstream is a target of Oblivious DoH.
func (u *Upstream) IsOblivious() bool { return u.Transport == upstream.Oblivious }

// checkProxy finds a forward whose questions could not be sealed, or would be for nothing.
func (k *checker) checkProxy(f *Forward) {
	targets := slices.DeleteFunc(slices.Clone(f.Upstreams), func(u Upstream) bool { return !u.IsOblivious() })
	switch has := f.Proxy.Addr.IsValid(); {
	case !has && len(targets) > 0:
		k.fail(k.places[k.path], "has an upstream odoh://, but no proxy that takes questions there")
	case has && len(targets) == 0:
		k.fail(k.places[k.path], "has a proxy, but no upstream odoh://")
	case slices.ContainsFunc(targets, func(u Upstream) bool { return u.isSame(&f.Proxy) }):
		k.fail(k.places[k.path], "has a proxy that is the upstream, too: it would see who asks and what")
	}
}

// isSame reports whether two are one machine, as far as their names and addresses tell. Ports of the loopback interface are for
// trying things out.
func (u *Upstream) isSame(other *Upstream) bool {
	return u.Addr == other.Addr || u.Name != "" && u.Name == other.Name || u.Addr.Addr() == other.Addr.Addr() && !u.Addr.Addr().IsLoopback()
}

// checkODoH finds roles that nobody could make use of, and a proxy that is its own target.
func (k *checker) checkODoH() {
	c := k.config
	played := "odoh.target"
	if c.ODoH.Proxy {
		played = "odoh.proxy"
	}
	if (c.ODoH.Target || c.ODoH.Proxy) && len(c.Listen.HTTPS)+len(c.Listen.HTTP) == 0 {
		k.failAt(played, "is true, but there is neither listen.https nor listen.http")
	}
	if c.ODoH.Proxy && len(c.ODoH.Targets) == 0 {
		k.failAt("odoh.proxy", "is true, but odoh.proxy_targets has nobody to go to")
	}
	if slices.ContainsFunc(c.ODoH.Targets, func(u Upstream) bool { return !u.Addr.IsValid() }) {
		k.failAt("odoh.proxy_targets", "has one that is empty")
	}
	if slices.ContainsFunc(c.ODoH.Targets, c.isSelf) {
		k.failAt("odoh.proxy_targets", "has this tacit itself: it would see who asks and what")
	}
}

// isSelf reports whether a target of the proxy is this tacit, as far as the configuration tells.
func (c *Config) isSelf(u Upstream) bool {
	return slices.Contains(c.Listen.HTTPS, u.Addr) || slices.Contains(c.TLS.ACME.Names, u.Name) || u.Name != "" && isNamed(c.Listen.Name, u.Name)
}

func isNamed(name wire.Name, text string) bool {
	return !name.IsRoot() && strings.EqualFold(strings.TrimSuffix(name.Reveal(), "."), text)
}
