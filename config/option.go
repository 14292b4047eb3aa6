package config

import "slices"

// An option is one key of the file: everything that is known of it stands here, and the manual, the example and the
// schema are made from it.
type option struct {
	table string
	key   string
	kind  kind
	form  string   // what its text, or each text of its list, looks like
	words []string // all values that it takes, where they are few

	// standard is the default as TOML. An option without one must be given.
	standard string
	about    string // sentences for the manual

	// set checks a value of the option's kind and puts it into the configuration.
	set func(k *checker, v value)
}

func (o *option) path() string {
	if o.table == "" {
		return o.key
	}
	return o.table + "." + o.key
}

func (o *option) required() bool { return o.standard == "" }

func findOption(path string) *option {
	i := slices.IndexFunc(options, func(o option) bool { return o.path() == path })
	if i < 0 {
		return nil
	}
	return &options[i]
}

// A group is a table of options.
type group struct {
	name  string
	about string

	// Of groups that may be given several times, as [[name]].
	repeated bool
	begin    func(c *Config)
	end      func(k *checker)
}

func (g *group) header() string {
	if g.repeated {
		return "[[" + g.name + "]]"
	}
	return "[" + g.name + "]"
}

// isTop reports whether the options stand above the first table.
func (g *group) isTop() bool { return g.name == "" }

func findGroup(name string) *group {
	i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
	if i < 0 {
		return nil
	}
	return &groups[i]
}

// members are the options of a group.
func (g *group) members() []option {
	return slices.DeleteFunc(slices.Clone(options), func(o option) bool { return o.table != g.name })
}
