package arch

import (
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fence    = regexp.MustCompile("(?ms)^```.*?^```$")
	code     = regexp.MustCompile("`([^`\n]+)`")
	link     = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	codeMap  = regexp.MustCompile("(?m)^### `([^`]+)`$")
	standing = "**Invariant:** "
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(text), "")
}

// What ARCHITECTURE.md has in backticks is a file, a package, or a name in a package.
func TestArchitecturePageNamesWhatExists(t *testing.T) {
	names := declared(tacit(t))
	spans := code.FindAllStringSubmatch(page(t, "ARCHITECTURE.md"), -1)
	if len(spans) < 100 {
		t.Fatalf("found %d names", len(spans))
	}
	for _, span := range spans {
		name := span[1]
		_, err := os.Stat(filepath.Join("../..", name))
		inPackage := strings.HasPrefix(name, "package.") // how the page explains its own notation
		if err != nil && !names[name] && !inPackage {
			t.Errorf("%s: no such file, package or name in a package", name)
		}
	}
}

// Each room that is built has an entry in the code map, with what it never breaks.
func TestArchitecturePageHasAllRooms(t *testing.T) {
	text := page(t, "ARCHITECTURE.md")
	entries := map[string]string{}
	starts := codeMap.FindAllStringSubmatchIndex(text, -1)
	for _, at := range starts {
		entry, _, _ := strings.Cut(text[at[1]:], "\n#")
		entries[text[at[2]:at[3]]] = entry
	}
	shipping := shipped(tacit(t))
	for _, r := range rooms {
		built := slices.ContainsFunc(shipping, func(s source) bool { return s.room() == r.path })
		entry, listed := entries[r.path]
		switch {
		case built != listed:
			t.Errorf("%s: built %v, in the code map %v", r.path, built, listed)
		case built && strings.Count(entry, standing) != 1:
			t.Errorf("%s: %d invariants, want 1", r.path, strings.Count(entry, standing))
		}
	}
	if len(starts) != len(entries) || len(entries) > len(rooms) {
		t.Errorf("%d entries in the code map for %d rooms", len(starts), len(rooms))
	}
}

// Links between the pages lead somewhere.
func TestLinksOfThePagesLead(t *testing.T) {
	headings := regexp.MustCompile(`(?m)^#+ (.*)$`)
	pages, err := fs.Glob(os.DirFS("../.."), "*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, from := range pages {
		for _, m := range link.FindAllStringSubmatch(page(t, from), -1) {
			to, anchor := m[1], m[2]
			if strings.Contains(to, "://") {
				continue
			}
			if to == "" {
				to = from
			}
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s: link to %s: no such file", from, to)
				continue
			}
			found := anchor == ""
			if !found {
				for _, h := range headings.FindAllStringSubmatch(page(t, to), -1) {
					found = found || anchorOf(h[1]) == anchor
				}
			}
			if !found {
				t.Errorf("%s: link to %s%s: no such heading", from, to, anchor)
			}
		}
	}
}

var unanchored = regexp.MustCompile(`[^a-z0-9 _-]`)

// anchorOf makes of a heading what GitHub and others make of it.
func anchorOf(heading string) string {
	return "#" + strings.ReplaceAll(unanchored.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// declared lists what the packages declare: package.Name, and package.Type.Member for fields and methods.
func declared(sources []source) map[string]bool {
	names := map[string]bool{}
	for _, s := range shipped(sources) {
		prefix := path.Base(s.room()) + "."
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[prefix+receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				declareSpecs(names, prefix, d.Specs)
			}
		}
	}
	return names
}

// receiver returns the type of a method with a dot behind it, nothing for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	var name string
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name + "."
		}
		return true
	})
	return name
}

func declareSpecs(names map[string]bool, prefix string, specs []ast.Spec) {
	for _, spec := range specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, id := range spec.Names {
				names[prefix+id.Name] = true
			}
		case *ast.TypeSpec:
			names[prefix+spec.Name.Name] = true
			for _, member := range members(spec.Type) {
				names[prefix+spec.Name.Name+"."+member] = true
			}
		}
	}
}

// members returns the fields of a struct and the methods of an interface.
func members(of ast.Expr) []string {
	var list *ast.FieldList
	switch of := of.(type) {
	case *ast.StructType:
		list = of.Fields
	case *ast.InterfaceType:
		list = of.Methods
	default:
		return nil
	}
	var names []string
	for _, field := range list.List {
		for _, id := range field.Names {
			names = append(names, id.Name)
		}
	}
	return names
}
