package zone

import (
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A Grant lets whoever has a key change records.
type Grant struct {
	Key   wire.Name
	Zones []wire.Name // at and below these names
	Names []Pattern
	Types []wire.Type // ANY: all
	// Proxied marks the addresses and CNAMEs that are added at a name that has none. Where a name has some, they are what those are.
	Proxied bool
}

// NewGrant returns a Grant for all names, and TXT records.
func NewGrant() Grant { return Grant{Names: []Pattern{{anyLabels}}, Types: []wire.Type{wire.TypeTXT}} }

// mayChange reports whether a record of a zone may be changed: of any type where kind is ANY.
func (g *Grant) mayChange(name, zone wire.Name, kind wire.Type) bool {
	if kind != wire.TypeANY && !isChangeable(kind) || !slices.Contains(g.Types, wire.TypeANY) && !slices.Contains(g.Types, kind) {
		return false
	}
	labels := labelsBelow(zone, name)
	return slices.ContainsFunc(g.Names, func(p Pattern) bool { return p.matches(labels) })
}

// hides reports whether a record of a zone, added at a name that is neither proxied nor has addresses, is to be proxied.
func hides(grants []Grant, name, zone wire.Name, kind wire.Type) bool {
	return proxiable(kind) && slices.ContainsFunc(grants, func(g Grant) bool { return g.Proxied && g.mayChange(name, zone, kind) })
}

// labelsBelow returns the labels of a name that lie below those of the zone.
func labelsBelow(zone, name wire.Name) []string {
	var labels []string
	for ; name != zone; name = name.Parent() {
		labels = append(labels, name.FirstLabel())
	}
	return labels
}

// A Pattern is a name in a zone, in which the label * stands for any number of labels.
type Pattern []string

const (
	anyLabels  = "*"
	apexLabel  = "@"
	allTypes   = "ANY"
	labelLimit = 127
)

var (
	errPattern = errors.New("is not a name in a zone, such as www, _acme-challenge.* or @")
	errRRType  = errors.New("is not an RR type that can be changed, such as TXT, or ANY for all")
)

// ParsePattern reads a Pattern.
func ParsePattern(text string) (Pattern, error) {
	if text == apexLabel {
		return Pattern{}, nil
	}
	labels := strings.Split(strings.ToLower(text), ".")
	for _, label := range labels {
		if label == "" || len(label) > wire.MaxLabelLength || label != anyLabels && strings.ContainsAny(label, `*@\`) {
			return nil, errPattern
		}
	}
	if len(labels) > labelLimit {
		return nil, errPattern
	}
	return labels, nil
}

// matches compares from the left; behind each * is tried whether the rest fits, and only the last one can be wrong.
func (p Pattern) matches(labels []string) bool {
	star, from := -1, 0 // where the last * stands, and where what it stands for ends
	i, j := 0, 0
	for j < len(labels) {
		switch {
		case i < len(p) && p[i] == anyLabels:
			star, from = i, j
			i++
		case i < len(p) && p[i] == labels[j]:
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyLabels {
		i++
	}
	return i == len(p)
}

// ParseChangeable reads an RR type that can be changed.
func ParseChangeable(text string) (wire.Type, error) {
	text = strings.ToUpper(text)
	if text == allTypes {
		return wire.TypeANY, nil
	}
	kind := wire.Type(dns.StringToType[text])
	if number, found := strings.CutPrefix(text, "TYPE"); found && kind == 0 {
		for _, c := range number {
			if c < '0' || c > '9' || kind > 6552 {
				return 0, errRRType
			}
			kind = kind*10 + wire.Type(c-'0')
		}
	}
	if !isChangeable(kind) {
		return 0, errRRType
	}
	return kind, nil
}

// isChangeable reports whether records of a type can be changed from outside.
func isChangeable(kind wire.Type) bool {
	return !kind.IsMeta() && kind != wire.TypeSOA && !isMadeBySigning(kind)
}
