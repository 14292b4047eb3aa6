package zone

import (
	"fmt"
	"strings"

	"tacit/internal/wire"
)

// An Import says how records of another master file are taken in.
type Import struct {
	File    string // how it is called in problems
	Text    []byte
	Proxied bool // of the address and CNAME records of which the file does not say it
}

// Imported says what an import has done.
type Imported struct{ Added, Known int }

// MaxImport is how large a file that is imported may be, as for Cloudflare.
const MaxImport = 256 << 10

// Import adds the records of another master file of the zone: all of them, or none where there are problems. SOA and NS records
// of the apex are left out, as are those that are there already, and IDs.
func (m *MasterFile) Import(from Import, o *Options) (done Imported, problems Problems) {
	src := &Source{File: from.File, Text: from.Text, Origin: m.sheet.origin}
	if _, _, problems = Build(src, src.Changed, o); problems.Grave() {
		return done, problems
	}
	problems = nil
	again := scan(from.File, from.Text, src.Origin, func(s *scanned) bool {
		r := (&row{tags: s.tags, line: s.line}).record(s.rr)
		if isMadeBySigning(r.Type) || r.Name == src.Origin && (r.Type == wire.TypeSOA || r.Type == wire.TypeNS) {
			return true
		}
		r.ID, r.at = "", nil
		if !s.tags.proxied && !s.tags.unproxied && proxiable(r.Type) {
			r.Proxied = from.Proxied
		}
		if r.Proxied {
			r.TTL = autoTTL
		}
		switch err := m.sheet.add(&r); {
		case err == nil:
			done.Added++
		case isKnown(err):
			done.Known++
		default:
			problems = append(problems, importProblem(from.File, s.line, err))
		}
		return len(problems) < maxProblems
	})
	return done, append(problems, again...)
}

func isKnown(err error) bool {
	r, ok := err.(*Refusal) //nolint:errorlint // it was made by check
	return ok && (r.Code == codeExists || r.Code == codeIdentical)
}

func importProblem(file string, line int, err error) Problem {
	p := Problem{File: file, Line: line, Text: err.Error()}
	if r, ok := err.(*Refusal); ok { //nolint:errorlint // it was made by check
		p.Code, p.Text = r.Code, r.Text
	}
	return p
}

// Export writes the records in the form that Cloudflare exports and imports: one on each line, whole names, TTL 1 for Auto, and in
// the comment what else there is to say. IDs and the settings of the zone are not among it.
func (m *MasterFile) Export() []byte {
	var b strings.Builder
	for _, r := range m.sheet.rows {
		for _, rr := range r.rrs {
			record := r.record(rr)
			if r.gone || isMadeBySigning(record.Type) {
				continue
			}
			t := r.tags
			t.id, t.unproxied = "", proxiable(record.Type) && !t.proxied
			fmt.Fprintf(&b, "%s\t%d\tIN\t%s\t%s", rr.Header().Name, record.TTL, TypeText(record.Type), contentOf(rr).RevealOrigin())
			if comment := t.text(); comment != "" {
				b.WriteString(" ; " + comment)
			}
			b.WriteByte('\n')
		}
	}
	return []byte(b.String())
}
