package arch

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The origin of a proxied record leaves zone.Content by its method RevealOrigin only. These files may call it; each has its reason.
var mayReveal = map[string]string{
	"zone/content.go":            "it is declared there",
	"zone/masterrecord.go":       "reads what an editor gives, and writes it into the file",
	"zone/edit.go":               "writes a record into the file",
	"zone/exchange.go":           "writes an export, which is the operator's",
	"cmd/tacit/zone.go":          "shows the operator's own terminal what a problem is about",
	"internal/server/manager.go": "gives it to the management API, whose clients have a token",
	"cmd/tacit/zone_show.go":     "shows it to the operator's own terminal",
}

// What answers is made of a draft and knows nothing of where it came from. These files have no word for what holds origins.
var (
	answering     = []string{"zone/zone.go", "zone/zones.go", "zone/contents.go", "zone/edge.go", "zone/key.go"}
	answeringRoom = []string{"resolver", "transports", "cache", "policy", "upstream"}
	originHolders = []string{"Content", "MasterFile", "Record", "ReadMasterFile", "draft", "scanned", "sheet", "row", "dns.A", "dns.AAAA", "dns.CNAME"}
	fileHolders   = []string{"Content", "MasterFile", "Record", "ReadMasterFile", "Edit", "Create", "Source", "Build", "Leaks"}
)

const revealing = "RevealOrigin"

func TestOriginsAreRevealedInFewFiles(t *testing.T) {
	sources := tacit(t)
	report(t, revealed(sources))
	for path := range mayReveal {
		if !slices.ContainsFunc(sources, func(s source) bool { return s.path == path && mentions(s, revealing) }) {
			t.Errorf("%s: is listed, and reveals no origin", path)
		}
	}
	for _, path := range answering {
		if !slices.ContainsFunc(sources, func(s source) bool { return s.path == path }) {
			t.Errorf("%s: is listed, and does not exist", path)
		}
	}
}

// revealed lists where an origin could get out.
func revealed(sources []source) []string {
	var complaints []string
	for _, s := range shipped(sources) {
		if _, may := mayReveal[s.path]; !may && mentions(s, revealing) {
			complaints = append(complaints, fmt.Sprintf("%s: reveals an origin", s.path))
		}
		if s.room() == "zone" && s.path != "zone/content.go" && mentions(s, "unique.Make") {
			complaints = append(complaints, fmt.Sprintf("%s: makes a Content past NewContent", s.path))
		}
		if slices.Contains(answering, s.path) {
			for _, name := range originHolders {
				if mentions(s, name) {
					complaints = append(complaints, fmt.Sprintf("%s: answers, and knows of %s", s.path, name))
				}
			}
		}
		if local := s.localName(module + "/zone"); local != "" && slices.Contains(answeringRoom, s.room()) {
			for _, name := range fileHolders {
				if mentions(s, local+"."+name) {
					complaints = append(complaints, fmt.Sprintf("%s: answers, and knows of zone.%s", s.path, name))
				}
			}
		}
	}
	return complaints
}

// mentions reports whether a file uses a name, or a name of a package or value when it has a dot.
func mentions(s source, name string) bool {
	of, member, qualified := strings.Cut(name, ".")
	found := false
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			found = found || qualified && ok && x.Name == of && n.Sel.Name == member
		case *ast.Ident:
			found = found || !qualified && n.Name == name
		}
		return !found
	})
	return found
}

func TestRevealingIsSeen(t *testing.T) {
	for _, c := range []struct {
		name, path, text string
		want             []string
	}{
		{"a call", "zone/zone.go", "package zone\nfunc f() { c.RevealOrigin() }\n", []string{"zone/zone.go: reveals an origin"}},
		{"a method value", "internal/server/log.go", "package server\nvar f = c.RevealOrigin\n", []string{"internal/server/log.go: reveals an origin"}},
		{"an interface", "transports/a.go", "package transports\ntype r interface{ RevealOrigin() string }\n", []string{"transports/a.go: reveals an origin"}},
		{"where it is meant", "zone/edit.go", "package zone\nfunc f() { c.RevealOrigin() }\n", nil},
		{"in a test", "zone/zone_test.go", "package zone\nfunc f() { c.RevealOrigin() }\n", nil},
		{"an answering file with a draft", "zone/edge.go", "package zone\nfunc f(d *draft) {}\n", []string{"zone/edge.go: answers, and knows of draft"}},
		{"a resolver that reads files", "resolver/a.go", "package resolver\nimport \"tacit/zone\"\nvar f = zone.ReadMasterFile\n", []string{
			"resolver/a.go: answers, and knows of zone.ReadMasterFile",
		}},
		{"a resolver that finds", "resolver/a.go", "package resolver\nimport \"tacit/zone\"\nvar f *zone.Zones\n", nil},
		{"another name", "zone/zone.go", "package zone\nfunc f() { c.Reveal() }\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := revealed(parseText(t, fstest.MapFS{c.path: file("%s", c.text)})); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if len(mayReveal) > 8 {
		t.Errorf("too many files reveal origins: %q", slices.Sorted(maps.Keys(mayReveal)))
	}
}
