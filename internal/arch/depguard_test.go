package arch

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the depguard rules into .golangci.yml")

const (
	lintFile   = "../../.golangci.yml"
	rulesBegin = "        # begin import table: generated from internal/arch/table_test.go by go generate ./internal/arch\n"
	rulesEnd   = "        # end import table\n"
)

// The linter shows a forbidden import in the editor, the test above in every run; both must mean the same table.
func TestDepguardFollowsTheTable(t *testing.T) {
	text, err := os.ReadFile(lintFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), rulesBegin)
	rules, after, ended := strings.Cut(rest, rulesEnd)
	if !begun || !ended {
		t.Fatal(".golangci.yml has lost the marks of its import table")
	}
	want := depguardRules()
	if rules == want {
		return
	}
	if !*update {
		t.Fatal("the depguard rules in .golangci.yml differ from the import table: run go generate ./internal/arch")
	}
	if err := os.WriteFile(lintFile, []byte(before+rulesBegin+want+rulesEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// depguardRules writes the table as depguard reads it, one rule for each room.
func depguardRules() string {
	var b strings.Builder
	for _, r := range rooms {
		r.writeDepguard(&b)
	}
	return b.String()
}

// writeDepguard writes one rule. A name ending in $ stands for that package alone, any other for all that begin so; in
// lax mode the longer match wins, so that what a row allows is an exception to the refusal of all of tacit.
func (r room) writeDepguard(b *strings.Builder) {
	fmt.Fprintf(b, "        %s:\n", strings.ReplaceAll(r.path, "/", "-"))
	fmt.Fprintf(b, "          files: [\"${config-path}/%s/*.go\", \"!$test\"]\n", r.path)
	mode, allow := "lax", []string(nil)
	if r.standard {
		mode, allow = "strict", []string{"$gostd"}
	}
	for _, p := range r.may {
		allow = append(allow, module+"/"+p+"$")
	}
	fmt.Fprintf(b, "          list-mode: %s\n", mode)
	if len(allow) > 0 {
		fmt.Fprintf(b, "          allow:\n")
	}
	for _, p := range allow {
		fmt.Fprintf(b, "            - %s\n", p)
	}
	fmt.Fprintf(b, "          deny:\n")
	for _, d := range r.denied() {
		fmt.Fprintf(b, "            - pkg: %s\n              desc: %q\n", d.pkg, d.why)
	}
}

type denial struct{ pkg, why string }

func (r room) denied() []denial {
	denials := []denial{
		{"log$", r.refuse("log")},
		{module + "/", r.row()},
	}
	if r.unpredictable {
		denials = append(denials, denial{"math/rand", r.refuse("math/rand")})
	}
	for _, c := range r.confinedElsewhere() {
		denials = append(denials, denial{c.module, r.refuse(c.module)})
	}
	return denials
}
