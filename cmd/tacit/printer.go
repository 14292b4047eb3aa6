package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"tacit/internal/server"
)

// A printer shows a resolution to a person, a line for each step.
type printer struct {
	w     io.Writer
	color bool
	errs  []error
}

// Colours (ECMA-48 select graphic rendition).
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *printer) paint(code, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *printer) printf(format string, args ...any) {
	_, err := fmt.Fprintf(p.w, format, args...)
	p.errs = append(p.errs, err)
}

func (p *printer) step(s server.Step) {
	at := p.paint(faint, fmt.Sprintf("%8.1f ms", s.Milliseconds))
	indent := strings.Repeat("    ", s.Depth)
	switch s.Kind {
	case "asked":
		p.printf("%s  %s%s\n", at, indent, p.asked(s))
	case "cut":
		p.printf("%s  %szone cut at %s\n", at, indent, p.paint(bold, s.Zone))
	case "alias":
		p.printf("%s  %salias, on to %s\n", at, indent, p.paint(bold, s.Name))
	case "copy":
		p.printf("%s  %sthe copy of the root zone was asked for %s %s: %s\n", at, indent, p.paint(bold, s.Name), s.Type, s.Outcome)
	case "validated":
		p.printf("%s  %s%s %s: %s\n", at, indent, p.paint(bold, s.Name), s.Type, p.paint(p.trust(s.Outcome), s.Outcome))
	case "known":
		p.printf("%s  %sknown already: %s %s, %s\n", at, indent, p.paint(bold, s.Name), s.Type, s.Outcome)
	}
	if s.Detail != "" {
		p.printf("%s  %s%s\n", strings.Repeat(" ", 11), indent, p.paint(yellow, s.Detail))
	}
}

// asked tells one query: the zone, what its server was shown, what came of it, and which server that was.
func (p *printer) asked(s server.Step) string {
	outcome := green
	switch {
	case s.Detail != "":
		outcome = red
	case s.Outcome == "referral":
		outcome = cyan
	}
	server := fmt.Sprintf("%s %s, %s", s.Server, s.Address, s.Transport)
	if s.Server == "." { // it was given by its address
		server = fmt.Sprintf("%s, %s", s.Address, s.Transport)
	}
	if s.RTT > 0 {
		server += fmt.Sprintf(", %.1f ms", s.RTT)
	}
	return fmt.Sprintf("%s asked for %s %s: %s  %s", s.Zone, p.paint(bold, s.Name), s.Type, p.paint(outcome, s.Outcome),
		p.paint(faint, "("+server+")"))
}

func (p *printer) end(s server.Summary) error {
	verdict := green
	if s.Rcode != "NOERROR" && s.Rcode != "NXDOMAIN" {
		verdict = red
	}
	p.printf("\n%s, %s in the answer, after %.1f ms: %s to %s%s\n", p.paint(verdict, s.Rcode), count(s.Records, "record", "records"),
		s.Milliseconds, count(s.Queries, "query", "queries"), count(s.Servers, "server", "servers"), hidden(s.Encrypted))
	for _, e := range s.Errors {
		p.printf("%s\n", p.paint(yellow, e))
	}
	if len(s.Levels) > 0 {
		p.printf("\nWhat the servers of each zone learned:\n")
		p.errs = append(p.errs, p.levels(s.Levels))
	}
	if len(s.Chain) > 0 {
		p.printf("\nChain of trust:\n")
		p.chain(s.Chain)
	}
	return errors.Join(p.errs...)
}

// trust gives each status its colour.
func (p *printer) trust(status string) string {
	switch status {
	case "secure":
		return green
	case "insecure":
		return yellow
	default:
		return red
	}
}

// chain draws the chain of trust as a tree: each zone hangs from the one that vouches for it.
func (p *printer) chain(links []server.Link) {
	for i, l := range links {
		branch := ""
		if i > 0 {
			branch = strings.Repeat("   ", i-1) + "└─ "
		}
		p.printf("%s%s %s%s\n", branch, p.paint(bold, l.Zone), p.paint(p.trust(l.Status), l.Status), p.paint(faint, keys(l.Keys)))
		if l.Detail != "" {
			p.printf("%s%s\n", strings.Repeat("   ", i+1), p.paint(yellow, l.Detail))
		}
	}
}

func keys(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "  " + strings.Join(list, ", ")
}

func (p *printer) levels(levels []server.Level) error {
	t := newTable(p.w)
	t.row("zone", "servers", "queries", "labels shown")
	for _, l := range levels {
		t.row(l.Zone, l.Servers, l.Queries, fmt.Sprintf("%d of %d", l.Labels, l.Of))
	}
	return t.Flush()
}

// hidden says how many queries travelled encrypted, if any did.
func hidden(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them encrypted", n)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
