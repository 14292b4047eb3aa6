package management

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A filter says which records of a list are wanted, and in which order.
type filter struct {
	takes   condition
	order   string
	reverse bool
}

// A condition is whether a record is wanted.
type condition func(*recordForm) bool

// newFilter reads the parameters of a list of records. Those that are not known do not count. Conditions on tags are joined to one by
// tag_match, which match joins with the others.
func newFilter(query url.Values) (*filter, error) {
	one, err := isAny(query, "match")
	if err != nil {
		return nil, err
	}
	oneTag, err := isAny(query, "tag_match")
	if err != nil {
		return nil, err
	}
	var conditions, tags []condition
	for parameter, values := range query {
		name, how, _ := strings.Cut(parameter, ".")
		for _, want := range values {
			c, err := newCondition(name, how, strings.ToLower(want))
			switch {
			case err != nil:
				return nil, err
			case c == nil:
			case name == "tag":
				tags = append(tags, c)
			default:
				conditions = append(conditions, c)
			}
		}
	}
	if len(tags) > 0 {
		conditions = append(conditions, join(tags, oneTag))
	}
	return &filter{takes: join(conditions, one), order: query.Get("order"), reverse: query.Get("direction") == "desc"}, nil
}

// isAny reads a parameter that says whether one condition is enough.
func isAny(query url.Values, parameter string) (bool, error) {
	switch query.Get(parameter) {
	case "", "all":
		return false, nil
	case "any":
		return true, nil
	default:
		return false, errFilter
	}
}

// join makes a condition of many, of which one is enough, or all are needed. Without any, every record is wanted.
func join(conditions []condition, enough bool) condition {
	return func(r *recordForm) bool {
		for _, c := range conditions {
			if c(r) == enough {
				return enough
			}
		}
		return !enough || len(conditions) == 0
	}
}

// Comparisons are what may stand behind the dot of a parameter, as in name.startswith.
var comparisons = map[string]func(value, want string) bool{
	"":           func(value, want string) bool { return value == want },
	"exact":      func(value, want string) bool { return value == want },
	"contains":   strings.Contains,
	"startswith": strings.HasPrefix,
	"endswith":   strings.HasSuffix,
}

// Attributes are what comparisons are about.
var attributes = map[string]func(*recordForm) string{
	"name":    func(r *recordForm) string { return r.Name },
	"content": func(r *recordForm) string { return plain(r.Content) },
	"type":    func(r *recordForm) string { return r.Type },
	"comment": func(r *recordForm) string { return deref(r.Comment) },
}

// newCondition makes a condition of a parameter, whose value is in lower case: nil if the parameter is none. A comparison that is not
// known is refused, since without it there would be more in the list than was asked for.
func newCondition(name, how, want string) (condition, error) {
	of, compare := attributes[name], comparisons[how]
	switch {
	case name == "tag":
		return newTagCondition(how, want)
	case name == "proxied" && how == "":
		proxied, err := strconv.ParseBool(want)
		if err != nil {
			return nil, errFilter
		}
		return func(r *recordForm) bool { return r.Proxied == proxied }, nil
	case name == "search" && how == "":
		return func(r *recordForm) bool {
			return strings.Contains(strings.ToLower(r.Name+"\n"+r.Content+"\n"+deref(r.Comment)+"\n"+strings.Join(r.Tags, "\n")), want)
		}, nil
	case name == "proxied", name == "search":
		return nil, errFilter
	case of == nil:
		return nil, nil
	case name == "comment" && how == "present":
		return func(r *recordForm) bool { return r.Comment != nil }, nil
	case name == "comment" && how == "absent":
		return func(r *recordForm) bool { return r.Comment == nil }, nil
	case compare == nil:
		return nil, errFilter
	case name == "name":
		want = strings.TrimSuffix(want, ".")
	case name == "content":
		want = plain(want)
	}
	return func(r *recordForm) bool { return compare(strings.ToLower(of(r)), want) }, nil
}

// newTagCondition is about tags: for name:value, that there is one of this name whose value compares, and for a name, that there is
// one, or none.
func newTagCondition(how, want string) (condition, error) {
	has := func(test func(name, value string) bool) condition {
		return func(r *recordForm) bool {
			return slices.ContainsFunc(r.Tags, func(tag string) bool {
				name, value, _ := strings.Cut(strings.ToLower(tag), ":")
				return test(name, value)
			})
		}
	}
	present := has(func(name, _ string) bool { return name == want })
	compare := comparisons[how]
	switch {
	case how == "present":
		return present, nil
	case how == "absent":
		return func(r *recordForm) bool { return !present(r) }, nil
	case compare == nil:
		return nil, errFilter
	}
	wanted, text, _ := strings.Cut(want, ":")
	return has(func(name, value string) bool { return name == wanted && compare(value, text) }), nil
}

// plain is a content without what clients write or leave out as they please: quotes, and the final dot.
func plain(content string) string {
	return strings.TrimSuffix(strings.ReplaceAll(content, `"`, ""), ".")
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (f *filter) sort(list []recordForm) {
	by := map[string]func(a, b *recordForm) int{
		"name":    func(a, b *recordForm) int { return cmp.Compare(a.Name, b.Name) },
		"type":    func(a, b *recordForm) int { return cmp.Compare(a.Type, b.Type) },
		"content": func(a, b *recordForm) int { return cmp.Compare(a.Content, b.Content) },
		"ttl":     func(a, b *recordForm) int { return cmp.Compare(a.TTL, b.TTL) },
		"proxied": func(a, b *recordForm) int {
			return cmp.Compare(strconv.FormatBool(a.Proxied), strconv.FormatBool(b.Proxied))
		},
	}[f.order]
	if by == nil {
		return
	}
	slices.SortStableFunc(list, func(a, b recordForm) int {
		if f.reverse {
			a, b = b, a
		}
		return by(&a, &b)
	})
}
