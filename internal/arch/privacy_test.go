package arch

import (
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var provenBy = regexp.MustCompile("`(Test[A-Za-z0-9]+)` \\(([a-z0-9/]+)\\)")

// Each row of docs/privacy.md, none left out, names a test that is there.
func TestPrivacyPageNamesItsTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/privacy.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); len(cells) == 4 && cells[0] != "| row" {
			rows = append(rows, strings.TrimPrefix(cells[0], "| "))
			tests := provenBy.FindAllStringSubmatch(cells[2], -1)
			if len(tests) == 0 {
				t.Errorf("%s names no test", cells[0])
			}
			for _, x := range tests {
				if !slices.Contains(testsIn(tacit(t), x[2]), x[1]) {
					t.Errorf("%s: there is no %s in %s", cells[0], x[1], x[2])
				}
			}
		}
	}
	var want []string
	for _, part := range []struct {
		letter string
		count  int
	}{{"U", 15}, {"D", 14}, {"R", 10}} {
		for i := range part.count {
			want = append(want, fmt.Sprint(part.letter, i+1))
		}
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the page has the rows %v", rows)
	}
}

func testsIn(sources []source, room string) (names []string) {
	for _, s := range sources {
		if !strings.HasSuffix(s.path, "_test.go") || s.room() != room {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}
