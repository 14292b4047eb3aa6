package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A source is one parsed Go file. Build constraints are not looked at: a rule holds for every platform and tag at once.
type source struct {
	path      string // from the root of the module, with slashes
	set       *token.FileSet
	file      *ast.File
	test      bool
	generated bool
}

// room is the package's path from the root of the module.
func (s source) room() string { return path.Dir(s.path) }

func (s source) lines() int { return s.set.File(s.file.FileStart).LineCount() }

// bodyLines counts the lines between the braces, as funlen does.
func (s source) bodyLines(f *ast.FuncDecl) int {
	if f.Body == nil {
		return 0
	}
	return s.set.Position(f.Body.Rbrace).Line - s.set.Position(f.Body.Lbrace).Line - 1
}

// localName is the name under which the file knows an imported package, empty if it does not import it.
func (s source) localName(imported string) string {
	for _, spec := range s.file.Imports {
		if importPath(spec) != imported {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return p
}

var repository = sync.OnceValues(func() ([]source, error) { return parse(os.DirFS("../..")) })

// tacit returns every Go file of this repository.
func tacit(t *testing.T) []source {
	t.Helper()
	sources, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 4 {
		t.Fatalf("found %d Go files: this is not the root of the module", len(sources))
	}
	return sources
}

// parse reads every Go file below the root, except where the go command does not look either.
func parse(root fs.FS) ([]source, error) {
	var sources []source
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			if base != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || isModule(root, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(base) != ".go" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return nil
		}
		s, err := parseFile(root, name)
		sources = append(sources, s)
		return err
	})
	return sources, err
}

// isModule reports whether a directory is a module of its own.
func isModule(root fs.FS, name string) bool {
	_, err := fs.Stat(root, path.Join(name, "go.mod"))
	return err == nil
}

func parseFile(root fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return source{}, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{
		path: name, set: set, file: file,
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
	}, nil
}

// shipped leaves out the test files.
func shipped(sources []source) []source {
	return slices.DeleteFunc(slices.Clone(sources), func(s source) bool { return s.test })
}

// report fails the test once per complaint.
func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}
