package zone

import (
	"fmt"
	"strings"
)

// A Problem is something that is wrong in a zone file. Its text holds nothing of the record, so it may be logged; Detail may hold
// what the record leads to, and is for the operator's own terminal.
type Problem struct {
	File    string
	Line    int // 0: the file as a whole
	Text    string
	Detail  Content
	Code    int  // of the management API; 0: none
	Warning bool // the zone is served all the same
}

func (p *Problem) Error() string {
	kind := ""
	if p.Warning {
		kind = "warning: "
	}
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s%s", p.File, kind, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s%s", p.File, p.Line, kind, p.Text)
}

// Problems are the problems of one file, in the order of its lines.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Grave reports whether one of them keeps the zone from being served.
func (p Problems) Grave() bool {
	for i := range p {
		if !p[i].Warning {
			return true
		}
	}
	return false
}

// maxProblems bounds what is listed of one file.
const maxProblems = 100

// A problemText is what is wrong, in constant words.
type problemText string

func (t problemText) Error() string { return string(t) }
