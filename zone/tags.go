package zone

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"tacit/internal/wire"
)

// Tags are what the comment behind a record says of it beyond what master files know: Cloudflare's export form, and some of our
// own, in one list, as in "; the web server cf_tags=team:web,cf-proxied:true".
type tags struct {
	comment            string // what stands before the list
	proxied            bool
	unproxied          bool // it is said that it is not proxied
	flatten            bool
	ipv4Only, ipv6Only bool
	id                 string   // by which the management API knows the record
	others             []string // name:value, as they were written
}

const tagList = "cf_tags="

// Names of tags.
const (
	tagProxied  = "cf-proxied"
	tagFlatten  = "cf-flatten-cname"
	tagIPv4Only = "tacit-ipv4-only"
	tagIPv6Only = "tacit-ipv6-only"
	tagID       = "tacit-id"
)

// parseTags reads a comment. A list begins at the last "cf_tags=", so that a comment may speak of one.
func parseTags(comment string) (t tags, err error) {
	text := strings.TrimSpace(strings.TrimLeft(comment, ";"))
	before, list, found := cutLast(text, tagList)
	if !found {
		t.comment = text
		return t, nil
	}
	t.comment = strings.TrimSpace(before)
	for list != "" {
		var item string
		if item, list, err = nextTag(list); err != nil {
			return t, err
		}
		if err := t.take(item); err != nil {
			return t, err
		}
	}
	return t, nil
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// nextTag splits the first item off; commas inside a JSON string are part of it.
func nextTag(list string) (item, rest string, err error) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '\\' && quoted:
			i++
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return strings.TrimSpace(list[:i]), list[i+1:], nil
		}
	}
	if quoted {
		return "", "", problemText("a tag's string has no end")
	}
	return strings.TrimSpace(list), "", nil
}

func (t *tags) take(item string) error {
	name, value, _ := strings.Cut(item, ":")
	set := func(field *bool) error {
		switch strings.ToLower(value) {
		case "true", "":
			*field = true
		case "false":
			*field = false
		default:
			return problemText(fmt.Sprintf("%s is neither true nor false", strings.ToLower(name)))
		}
		return nil
	}
	switch strings.ToLower(name) {
	case "":
		return nil
	case tagProxied:
		err := set(&t.proxied)
		t.unproxied = !t.proxied
		return err
	case tagFlatten:
		return set(&t.flatten)
	case tagIPv4Only:
		return set(&t.ipv4Only)
	case tagIPv6Only:
		return set(&t.ipv6Only)
	case tagID:
		t.id = value
	default:
		t.others = append(t.others, item)
	}
	return nil
}

// text is the comment that parseTags reads as t. One that speaks of a list itself has an empty one behind it.
func (t *tags) text() string {
	items := slices.Clone(t.others)
	if t.unproxied || t.proxied {
		items = append(items, fmt.Sprintf("%s:%t", tagProxied, t.proxied))
	}
	for _, flag := range []struct {
		is   bool
		name string
	}{{t.flatten, tagFlatten}, {t.ipv4Only, tagIPv4Only}, {t.ipv6Only, tagIPv6Only}} {
		if flag.is {
			items = append(items, flag.name)
		}
	}
	if t.id != "" {
		items = append(items, tagID+":"+t.id)
	}
	if len(items) == 0 && !strings.Contains(t.comment, tagList) {
		return t.comment
	}
	return strings.TrimSpace(t.comment + " " + tagList + strings.Join(items, ","))
}

// equal reports whether two comments say the same.
func (t *tags) equal(o *tags) bool {
	a, b := *t, *o
	a.others, b.others = nil, nil
	return reflect.DeepEqual(a, b) && slices.Equal(t.others, o.others)
}

// marks are the tags as an assembly keeps them.
func (t *tags) marks() (m recordMark) {
	for _, b := range []struct {
		is   bool
		mark recordMark
	}{{t.proxied, recordProxied}, {t.flatten, recordFlatten}, {t.ipv4Only, recordIPv4Only}, {t.ipv6Only, recordIPv6Only}} {
		if b.is {
			m |= b.mark
		}
	}
	return m
}

// proxiable reports whether records of a type can be proxied.
func proxiable(t wire.Type) bool {
	return t == wire.TypeA || t == wire.TypeAAAA || t == wire.TypeCNAME
}
