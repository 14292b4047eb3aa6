package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Check makes a Config of what the file says. The error is Problems, all of them.
func (f *File) Check() (*Config, error) {
	k := checker{file: f, config: &Config{File: f.Name}, values: map[string]value{}}
	k.takeDefaults()
	for _, s := range f.sections {
		k.takeSection(s)
	}
	if len(k.problems) == 0 {
		k.checkTogether()
	}
	if len(k.problems) == 0 {
		k.weaken()
		k.config.Digest = k.digest()
	}
	if len(k.problems) > 0 {
		slices.SortStableFunc(k.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, k.problems
	}
	return k.config, nil
}

// A checker turns settings into a Config and collects what is wrong with them.
type checker struct {
	file     *File
	config   *Config
	problems Problems
	path     string           // of the option that is being set
	places   map[string]Place // of the options that the file sets
	given    map[string]bool  // options of the repeated table that is being read
	values   map[string]value // in effect, of all options; of repeated tables the last
	repeated []string         // settings of repeated tables, in their order
}

func (k *checker) fail(at Place, format string, args ...any) {
	k.problems = append(k.problems, k.file.problem(at, k.path, fmt.Sprintf(format, args...)))
}

func (k *checker) takeDefaults() {
	for i := range options {
		if o := &options[i]; !findGroup(o.table).repeated {
			k.path = o.path()
			v := parseStandard(o)
			o.set(k, v)
			k.remember(o, v)
		}
	}
	k.places = map[string]Place{}
}

// parseStandard reads the default of an option, which is TOML as in the file.
func parseStandard(o *option) value {
	f, err := Read("", []byte("standard = "+o.standard))
	if err != nil {
		panic("config: default of " + o.path() + ": " + err.Error())
	}
	return f.sections[0].settings[0].value
}

func (k *checker) takeSection(s section) {
	k.path = s.name
	if s.name == "" {
		for _, setting := range s.settings {
			k.takeSetting(s.name, setting)
		}
		return
	}
	g := findGroup(s.name)
	if g == nil {
		k.fail(s.at, "unknown table%s", suggest(s.name, groupNames(), wholeUnlikeness))
		return
	}
	if g.repeated != s.repeated {
		k.fail(s.at, "write %s", g.header())
		return
	}
	if g.repeated {
		g.begin(k.config)
		k.given = map[string]bool{}
	}
	for _, setting := range s.settings {
		k.takeSetting(s.name, setting)
	}
	if g.repeated {
		k.endElement(g, s.at)
	}
}

// endElement asks for what one of several tables of the same name must have.
func (k *checker) endElement(g *group, at Place) {
	before := len(k.problems)
	for _, o := range g.members() {
		if o.required() && !k.given[o.path()] {
			k.path = g.name
			k.fail(at, "has no %s", o.key)
		}
	}
	if before == len(k.problems) && g.end != nil {
		k.path, k.places[g.name] = g.name, at
		g.end(k)
	}
}

func (k *checker) takeSetting(prefix string, s setting) {
	path := s.key
	if prefix != "" {
		path = prefix + "." + s.key
	}
	k.path = path
	g := findGroup(path)
	switch {
	case g != nil && g.repeated && s.value.kind == listKind:
		for _, e := range s.value.elements {
			k.takeSection(section{name: path, repeated: e.kind == tableKind, at: e.at, settings: e.inner})
		}
	case s.value.kind == tableKind:
		k.takeSection(section{name: path, at: s.at, settings: s.value.inner})
	case g != nil:
		k.fail(s.at, "is a table: write %s", g.header())
	default:
		k.takeOption(prefix, s)
	}
}

func (k *checker) takeOption(prefix string, s setting) {
	o := findOption(k.path)
	if o == nil {
		k.fail(s.at, "unknown key%s", suggest(k.path, optionPaths(), keyUnlikeness))
		return
	}
	if g := findGroup(o.table); g.repeated && prefix != g.name {
		k.fail(s.at, "stands in %s", g.header())
		return
	}
	if misfit := s.value.misfit(o.kind); misfit != nil {
		k.fail(misfit.at, "takes %s", o.kind)
		return
	}
	k.places[k.path] = s.at
	if k.given != nil {
		k.given[k.path] = true
	}
	if o.words != nil && !slices.Contains(o.words, s.value.text) {
		k.fail(s.value.at, "takes %s", listWords(o.words))
		return
	}
	o.set(k, s.value)
	k.remember(o, s.value)
}

// misfit is the value, or the element of the list, that is not of the kind it should be.
func (v *value) misfit(want kind) *value {
	if v.kind != want {
		return v
	}
	if i := slices.IndexFunc(v.elements, func(e value) bool { return e.kind != textKind }); i >= 0 {
		return &v.elements[i]
	}
	return nil
}

func (v value) equals(other value) bool {
	return v.kind == other.kind && v.text == other.text && v.flag == other.flag && v.number == other.number &&
		slices.EqualFunc(v.elements, other.elements, value.equals)
}

// checkTogether looks at options that are good one by one.
func (k *checker) checkTogether() {
	c := k.config
	k.checkListeners()
	k.checkODoH()
	if !c.Recursion.IPv4 && !c.Recursion.IPv6 {
		k.failAt("recursion.ipv6", "and recursion.ipv4 are both false: nobody could be asked")
	}
	if c.Cache.MinTTL > c.Cache.MaxTTL {
		k.failAt("cache.min_ttl", "is more than cache.max_ttl")
	}
	if c.TLS.CertFile != "" && c.TLS.KeyFile == "" {
		k.failAt("tls.cert_file", "goes with tls.key_file, which is not given")
	}
	if c.TLS.KeyFile != "" && c.TLS.CertFile == "" {
		k.failAt("tls.key_file", "goes with tls.cert_file, which is not given")
	}
}

// checkListeners finds that there are none, and those that would be in each other's way.
func (k *checker) checkListeners() {
	l := &k.config.Listen
	if len(l.UDP)+len(l.TCP)+len(l.TLS)+len(l.HTTPS)+len(l.QUIC)+len(l.HTTP) == 0 {
		k.failAt("listen.udp", "and all other listeners are empty: nobody could ask")
	}
	var http []netip.AddrPort
	for _, text := range l.HTTP {
		if a, err := netip.ParseAddrPort(text); err == nil {
			http = append(http, a)
		}
	}
	k.refuseShared(listeners{"listen.tcp", l.TCP}, listeners{"listen.tls", l.TLS}, listeners{"listen.https", l.HTTPS},
		listeners{"listen.http", http}, listeners{"tls.acme_http", k.config.TLS.ACME.HTTP},
		listeners{"admin.listen", k.config.Admin.listening()})
	k.refuseShared(listeners{"listen.udp", l.UDP}, listeners{"listen.https", l.HTTPS})
	k.refuseShared(listeners{"listen.udp", l.UDP}, listeners{"listen.quic", l.QUIC}) // which may share with HTTP/3
}

// Listeners are the addresses of an option.
type listeners struct {
	path  string
	addrs []netip.AddrPort
}

// refuseShared complains about an address of TCP, or of UDP, that two options have: whose clients would come?
func (k *checker) refuseShared(all ...listeners) {
	taken := map[netip.AddrPort]string{}
	for _, l := range all {
		for _, a := range l.addrs {
			if other := taken[a]; other != "" && a.Port() != 0 {
				k.failAt(l.path, "has an address and port that "+other+" has, too")
			}
		}
		for _, a := range l.addrs {
			taken[a] = l.path
		}
	}
}

// failAt complains about an option where the file sets it.
func (k *checker) failAt(path, text string) {
	k.path = path
	k.fail(k.places[path], "%s", text)
}
