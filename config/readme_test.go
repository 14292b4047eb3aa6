package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var tomlBlock = regexp.MustCompile("(?ms)^```toml\n(.*?)^```$")

// Each file that a page shows is one that tacit takes.
func TestExamplesOfThePagesAreGood(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range tomlBlock.FindAllSubmatch(text, -1) {
			examples++
			f, err := Read(page, block[1])
			if err == nil {
				_, err = f.Check()
			}
			if err != nil {
				t.Errorf("%v\nin:\n%s", err, block[1])
			}
		}
	}
	if examples == 0 {
		t.Error("found no example")
	}
}
