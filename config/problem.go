package config

import (
	"fmt"
	"strings"
)

// A Place is a position in a file, counted from 1; columns count bytes. The zero Place is no place.
type Place struct{ Line, Column int }

// A Problem is one mistake in a file.
type Problem struct {
	File string
	Place
	Key  string // with its table, empty when the file is not TOML
	Text string
	Line string // the line of the file, for a marker below it
}

func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		fmt.Fprintf(&b, "%s:", p.File)
	}
	if p.Place != (Place{}) {
		fmt.Fprintf(&b, "%d:%d:", p.Place.Line, p.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Marked is the problem with its line of the file and a marker below the place.
func (p Problem) Marked() string {
	if p.Line == "" {
		return p.Error()
	}
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, p.Line[:min(p.Column-1, len(p.Line))])
	return fmt.Sprintf("%s\n    %s\n    %s^", p.Error(), p.Line, indent)
}

// Problems are all mistakes of a file, in its order.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}
