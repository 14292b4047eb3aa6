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
	tests   []func(*recordForm) bool
	any     bool // one test is enough
	order   string
	reverse bool
}

// comparisons are what may stand behind the dot of a parameter, as in name.startswith.
var comparisons = map[string]func(value, want string) bool{
	"":           func(value, want string) bool { return value == want },
	"exact":      func(value, want string) bool { return value == want },
	"contains":   strings.Contains,
	"startswith": strings.HasPrefix,
	"endswith":   strings.HasSuffix,
}

// newFilter reads the parameters of a list of records. Those that are not known do not count.
func newFilter(query url.Values) (*filter, error) {
	f := &filter{order: query.Get("order"), reverse: query.Get("direction") == "desc"}
	switch query.Get("match") {
	case "", "all":
	case "any":
		f.any = true
	default:
		return nil, errFilter
	}
	for parameter, values := range query {
		if err := f.add(parameter, values[0]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *filter) add(parameter, want string) error {
	name, how, _ := strings.Cut(parameter, ".")
	compare := comparisons[how]
	if compare == nil {
		return nil
	}
	test := func(of func(*recordForm) string, want string) {
		want = strings.ToLower(want)
		f.tests = append(f.tests, func(r *recordForm) bool { return compare(strings.ToLower(of(r)), want) })
	}
	switch name {
	case "name":
		test(func(r *recordForm) string { return r.Name }, strings.TrimSuffix(want, "."))
	case "content":
		test(func(r *recordForm) string { return plain(r.Content) }, plain(want))
	case "type":
		test(func(r *recordForm) string { return r.Type }, want)
	case "comment":
		test(func(r *recordForm) string { return deref(r.Comment) }, want)
	case "tag":
		f.tests = append(f.tests, func(r *recordForm) bool { return slices.Contains(r.Tags, want) })
	case "proxied":
		proxied, err := strconv.ParseBool(want)
		if err != nil {
			return errFilter
		}
		f.tests = append(f.tests, func(r *recordForm) bool { return r.Proxied == proxied })
	case "search":
		want = strings.ToLower(want)
		f.tests = append(f.tests, func(r *recordForm) bool {
			return strings.Contains(strings.ToLower(r.Name+"\n"+r.Content+"\n"+deref(r.Comment)+"\n"+strings.Join(r.Tags, "\n")), want)
		})
	}
	return nil
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

func (f *filter) takes(r *recordForm) bool {
	if len(f.tests) == 0 {
		return true
	}
	for _, test := range f.tests {
		if test(r) == f.any {
			return f.any
		}
	}
	return !f.any
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
