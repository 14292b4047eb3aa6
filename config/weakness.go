package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Weakness is an option with a value that gives up privacy.
type Weakness struct {
	Key      string // of the option
	Value    string // as TOML; of several tables, in the last
	About    string // what is given up
	Accepted bool   // accept_privacy_loss names the key
	Given    bool   // the file has the value, and not the default
}

// A weakening says when an option gives up privacy. Whether such a value is refused until accept_privacy_loss names the key, or is
// only shown, is decided once: ARCHITECTURE.md has the rule.
type weakening struct {
	key     string
	refused bool
	about   string // behind the key, a sentence without its end
	weak    func(c *Config, v value) bool
}

var weakenings = []weakening{
	{
		key: "listen.http", refused: true, about: "questions and clients' addresses cross a network in clear, from the reverse proxy to tacit",
		weak: func(c *Config, _ value) bool { return slices.ContainsFunc(c.Listen.HTTP, isInTheOpen) },
	},
	{
		key: "tls.min_version", refused: true, about: "in TLS 1.2, whoever watches a handshake reads which certificate is shown",
		weak: isText("1.2"),
	},
	{
		key: "admin.listen", refused: true, about: "counts of what clients do can be read from other machines, and on the way to them",
		weak: func(c *Config, _ value) bool { return c.Admin.Listen.IsValid() && !c.Admin.Listen.Addr().IsLoopback() },
	},
	{
		key: "stats.top", refused: true, about: "domains that many client networks ask for are counted, and shown to the operator",
		weak: func(_ *Config, v value) bool { return v.flag },
	},
	{
		key: "recursion.qname_minimisation", about: "servers on the way can be shown more of a name than they must know",
		weak: func(_ *Config, v value) bool { return v.text != string(Strict) },
	},
	{key: "recursion.local_root", about: "root servers learn of top-level names that are asked for", weak: isFalse},
	{
		key: "recursion.case_randomisation", about: "a forged reply, which may lead clients astray, has less to guess", weak: isFalse,
	},
	{key: "recursion.encrypt", about: "whoever watches tacit's network reads what it asks authoritative servers", weak: isText("off")},
	{key: "dnssec.validate", about: "forged answers, which may lead clients astray, are not found out", weak: isFalse},
	{key: "dnssec.aggressive_nsec", about: "mistyped names leave although it is known that they do not exist", weak: isFalse},
	{
		key: "listen.alt_svc", about: "each answer over HTTPS has a header more, at which it is told from those of other resolvers",
		weak: func(_ *Config, v value) bool { return v.flag },
	},
	{key: "cache.ttl_blur", about: "the TTL of an answer tells when somebody else has asked", weak: isFalse},
	{
		key: "forward.upstreams", about: "questions go in clear to a forwarder, with whole names",
		weak: func(c *Config, _ value) bool {
			return slices.ContainsFunc(c.Forwards, func(f Forward) bool {
				return slices.ContainsFunc(f.Upstreams, func(u Upstream) bool { return !u.Transport.Encrypted() })
			})
		},
	},
	{
		key: "forward.first", about: "questions meant for an encrypted upstream go out in clear when it fails",
		weak: func(c *Config, _ value) bool { return slices.ContainsFunc(c.Forwards, fallsToClear) },
	},
}

func isFalse(_ *Config, v value) bool { return !v.flag }

func isText(text string) func(*Config, value) bool {
	return func(_ *Config, v value) bool { return v.text == text }
}

// isInTheOpen reports whether others can watch what comes to a listener.
func isInTheOpen(listen string) bool {
	a, err := netip.ParseAddrPort(listen)
	return err == nil && !a.Addr().IsLoopback()
}

func fallsToClear(f Forward) bool {
	return f.First && slices.ContainsFunc(f.Upstreams, func(u Upstream) bool { return u.Transport.Encrypted() })
}

// weaken lists what gives up privacy, and refuses what has to be accepted first.
func (k *checker) weaken() {
	var lacking []string
	for _, w := range weakenings {
		v := k.values[w.key]
		if !w.weak(k.config, v) {
			continue
		}
		accepted := slices.Contains(k.config.Accepted, w.key)
		k.config.Weaknesses = append(k.config.Weaknesses, Weakness{
			Key: w.key, Value: v.toml(), About: w.about, Accepted: accepted, Given: !isDefault(w.key, v),
		})
		if w.refused && !accepted {
			lacking = append(lacking, w.key)
		}
	}
	line := acceptKey + " = " + listOf(slices.Concat(k.config.Accepted, lacking)).toml()
	for _, key := range lacking {
		i := slices.IndexFunc(weakenings, func(w weakening) bool { return w.key == key })
		k.failAt(key, "gives up privacy: "+weakenings[i].about+"; who wants that all the same writes above the first table: "+line)
	}
}

func isDefault(key string, v value) bool {
	o := findOption(key)
	return !o.required() && v.equals(parseStandard(o))
}

const acceptKey = "accept_privacy_loss"

var errNotWeak = fmt.Errorf("names a key that gives up no privacy; those that do are %s", weakKeys())

func weakKeys() string {
	var keys []string
	for _, w := range weakenings {
		keys = append(keys, w.key)
	}
	return strings.Join(keys, ", ")
}

func parseWeakening(key string) (string, error) {
	if !slices.ContainsFunc(weakenings, func(w weakening) bool { return w.key == key }) {
		return "", errNotWeak
	}
	return key, nil
}

// remember keeps the value that an option has in effect.
func (k *checker) remember(o *option, v value) {
	key := o.path()
	if findGroup(o.table).repeated {
		k.repeated = append(k.repeated, key+" = "+v.toml())
	}
	k.values[key] = v
}

// digest keeps all values in effect, and makes a hash of them, in whatever order the file has them. Tables that are repeated keep theirs.
func (k *checker) digest() string {
	h := sha256.New()
	k.config.values = map[string]string{}
	for i := range options {
		if o := &options[i]; !findGroup(o.table).repeated {
			text := k.values[o.path()].toml()
			k.config.values[o.path()] = text
			_, _ = fmt.Fprintf(h, "%s = %s\n", o.path(), text)
		}
	}
	for _, line := range k.repeated {
		_, _ = fmt.Fprintln(h, line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Value is what an option that stands in one table only has in effect, as in the file but without quotes.
func (c *Config) Value(key string) string {
	if text, err := strconv.Unquote(c.values[key]); err == nil {
		return text
	}
	return c.values[key]
}

func listOf(texts []string) value {
	v := value{kind: listKind}
	for _, t := range texts {
		v.elements = append(v.elements, value{kind: textKind, text: t})
	}
	return v
}

// toml is the value as it stands in a file.
func (v value) toml() string {
	switch v.kind {
	case textKind:
		return strconv.Quote(v.text)
	case boolKind:
		return strconv.FormatBool(v.flag)
	case numberKind:
		return strconv.FormatInt(v.number, 10)
	case listKind:
		elements := make([]string, len(v.elements))
		for i, e := range v.elements {
			elements[i] = e.toml()
		}
		return "[" + strings.Join(elements, ", ") + "]"
	default:
		return ""
	}
}
