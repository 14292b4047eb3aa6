//go:build leak

package leak

import (
	"fmt"
	"strings"
	"testing"
)

// A table is what an audit came to.
type table struct{ rows []row }

// A row is one figure and its bar.
type row struct {
	key      string // by which the control names it
	what     string
	measured string
	bar      string
	verdict  verdict
}

type verdict string

const (
	met     verdict = "ok"
	missed  verdict = "NOT MET"
	nearing verdict = "REMAINS"
)

func (t *table) add(key, what, measured, bar string, good bool) {
	v := missed
	if good {
		v = met
	}
	t.rows = append(t.rows, row{key, what, measured, bar, v})
}

// atMost adds a figure that may not be larger, of so many that were tried; 0 for no such number.
func (t *table) atMost(key, what string, got, bar, of int) {
	t.add(key, what, count(got, of), fmt.Sprintf("<= %d", bar), got <= bar)
}

func (t *table) atLeast(key, what string, got, bar, of int) {
	t.add(key, what, count(got, of), fmt.Sprintf(">= %d", bar), got >= bar)
}

func count(got, of int) string {
	if of == 0 {
		return fmt.Sprint(got)
	}
	return fmt.Sprintf("%d of %d", got, of)
}

// towards adds a figure that should be no larger than aim, and is not there yet: what is above gate fails.
func (t *table) towards(key, what string, got, aim, gate, of int) {
	v := nearing
	switch {
	case got <= aim:
		v = met
	case got > gate:
		v = missed
	}
	t.rows = append(t.rows, row{key, what, count(got, of), fmt.Sprintf("<= %d, today <= %d", aim, gate), v})
}

func (t *table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %-18s | %-78s | %14s | %-28s | %-7s |\n", "row", "what", "measured", "bar", "")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %-18s | %-78s | %14s | %-28s | %-7s |\n", r.key, r.what, r.measured, r.bar, r.verdict)
	}
	return b.String()
}

// judge fails the test for each row that is not met.
func (t *table) judge(test *testing.T) {
	test.Helper()
	for _, r := range t.rows {
		if r.verdict == missed {
			test.Errorf("%s: %s: %s, want %s", r.key, r.what, r.measured, r.bar)
		}
	}
}

// verdictOf is how a row was judged; empty if there is none.
func (t *table) verdictOf(key string) verdict {
	for _, r := range t.rows {
		if r.key == key {
			return r.verdict
		}
	}
	return ""
}
