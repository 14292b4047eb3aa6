package management

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Each filter of a list, alone and with others: match joins them, and tag_match those that are about tags.
func TestFilters(t *testing.T) {
	text := func(s string) *string { return &s }
	records := []recordForm{
		{Name: "www.example.com", Type: "A", Content: "192.0.2.1", Proxied: true, Comment: text("The Web"), Tags: []string{"team:Web", "site:berlin"}},
		{Name: "ftp.example.com", Type: "A", Content: "198.51.100.1", Tags: []string{"team:files", "old:"}},
		{Name: "www.example.com", Type: "TXT", Content: `"v=spf1 -all"`, Comment: text("mail"), Tags: []string{"Team:mail", "site:bern"}},
		{Name: "example.com", Type: "MX", Content: "mail.example.com"},
	}
	for query, want := range map[string]string{
		"": "0123", "type=a": "01", "name=WWW.Example.com.": "02", "name.exact=example.com": "3", "name.contains=ww": "02",
		"name.startswith=ftp": "1", "name.endswith=www.example.com": "02", "name.endswith=.example.com.": "012",
		"content=192.0.2.1": "0", "content=v%3Dspf1+-all": "2", "content=%22v%3Dspf1+-all%22": "2", "content=mail.example.com.": "3",
		"content.exact=198.51.100.1": "1", "content.contains=spf": "2", "content.startswith=198.": "1", "content.endswith=.1": "01",
		"proxied=true": "0", "proxied=0": "123", "search=berlin": "0", "search=WEB": "0", "search=spf1": "2", "search=ftp.": "1",
		"comment=the+web": "0", "comment.contains=we": "0", "comment.startswith=ma": "2", "comment.endswith=il": "2", "comment.exact=mail": "2",
		"comment.present=": "02", "comment.absent=true": "13",
		"tag=team:web": "0", "tag.exact=TEAM:web": "0", "tag=team:we": "", "tag=team": "", "tag=old:": "1", "tag=old": "1",
		"tag.contains=team:i": "12", "tag.contains=site:e": "02", "tag.startswith=site:ber": "02", "tag.endswith=site:n": "02", "tag.endswith=site:lin": "0",
		"tag.present=site": "02", "tag.present=OLD": "1", "tag.absent=site": "13", "tag.absent=team": "3",
		"tag.present=team&tag.absent=site":                                       "1",
		"tag=team:web&tag=team:mail":                                             "",
		"tag=team:web&tag=team:mail&tag_match=all":                               "",
		"tag=team:web&tag=team:mail&tag_match=any":                               "02",
		"tag=team:web&tag.absent=team&tag_match=any":                             "03",
		"tag=team:web&tag.present=old&match=any":                                 "",
		"tag=team:web&tag=team:mail&type=MX&match=any":                           "3",
		"tag=team:web&tag=site:berlin&type=MX&match=any":                         "03",
		"tag=team:web&tag=team:mail&type=TXT&tag_match=any":                      "2",
		"tag=team:web&tag=team:files&type=TXT&proxied=1&tag_match=any&match=any": "012",
		"tag_match=any": "0123", "match=any": "0123", "type=A&proxied=false": "1", "type=TXT&proxied=true&match=any": "02",
		"name=www.example.com&name=ftp.example.com": "", "unknown=x&unknown.contains=x": "0123",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFilter(values)
		if err != nil {
			t.Errorf("%q: %v", query, err)
			continue
		}
		got := ""
		for i := range records {
			if f.takes(&records[i]) {
				got += string(rune('0' + i))
			}
		}
		if got != want {
			t.Errorf("%q takes %q, want %q", query, got, want)
		}
	}
}

// A filter that is not understood is refused: without it, the list would have more than was asked for.
func TestFiltersThatAreNone(t *testing.T) {
	for _, query := range []string{
		"match=some", "tag_match=none", "proxied=perhaps", "proxied.exact=true", "search.contains=x", "name.present=x", "name.regex=x",
		"content.absent=x", "tag.regex=x", "comment.like=x",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newFilter(values); !errors.Is(err, errFilter) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// What the description says of lists is true.
func TestDescribedFiltersAreKnown(t *testing.T) {
	for _, parameter := range recordFilters {
		name, how, _ := strings.Cut(parameter, ".")
		if c, err := newCondition(name, how, "true"); c == nil || err != nil {
			t.Errorf("%s: %v", parameter, err)
		}
	}
	for _, order := range schemasOf["order"]["enum"].([]string) {
		f, err := newFilter(url.Values{"order": {order}, "direction": {"desc"}})
		if err != nil {
			t.Fatal(err)
		}
		first := recordForm{Name: "a", Type: "A", Content: "1", TTL: 60}
		second := recordForm{Name: "b", Type: "AAAA", Content: "2", TTL: 300, Proxied: true}
		list := []recordForm{first, second}
		f.sort(list)
		if !slices.EqualFunc(list, []recordForm{second, first}, func(a, b recordForm) bool { return a.Name == b.Name }) {
			t.Errorf("order=%s does not sort", order)
		}
	}
}
