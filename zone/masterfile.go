package zone

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A MasterFile is a zone file (RFC 1035 section 5) that is edited: records are added, replaced and deleted, and Text gives the file
// back with comments, order and all other lines as they were. It holds the origins of proxied records, and prints none. It is
// not safe for concurrent use.
type MasterFile struct{ *cover }

// A cover is there because fmt follows one pointer, by a verb that does not fit, and no second one.
type cover struct{ sheet *sheet }

// A sheet is the text of a MasterFile in pieces.
type sheet struct {
	file   string
	origin wire.Name
	text   []byte // as it was read
	rows   []*row // in the file's order
	tail   []byte // behind the last row that was read
	byName map[wire.Name][]*row
	edited bool
	minTTL uint32 // of what is added; 0: the usual one
}

// A row is a record with its text. One that was written as $GENERATE stands for several.
type row struct {
	before []byte // comments, directives and empty lines in front
	text   []byte
	rrs    []dns.RR
	tags   tags
	line   int  // 0: it is new
	gone   bool // it is left out
}

// ReadMasterFile reads a zone file; file is how it is called in problems. What cannot be read cannot be edited: then there are
// problems and no MasterFile.
func ReadMasterFile(file string, text []byte, origin wire.Name) (*MasterFile, Problems) {
	s := &sheet{file: file, origin: origin, text: text, byName: map[wire.Name][]*row{}}
	end := 0
	problems := scan(file, text, origin, func(r *scanned) bool {
		if last := len(s.rows) - 1; last >= 0 && r.end == end {
			s.rows[last].rrs = append(s.rows[last].rrs, r.rr)
			s.index(s.rows[last])
			return true
		}
		s.rows = append(s.rows, &row{
			before: text[end:r.start:r.start], text: text[r.start:r.end:r.end], rrs: []dns.RR{r.rr}, tags: r.tags, line: r.line,
		})
		s.index(s.rows[len(s.rows)-1])
		end = r.end
		return true
	})
	if problems.Grave() {
		return nil, problems
	}
	s.tail = text[end:len(text):len(text)]
	return &MasterFile{&cover{s}}, nil
}

// index makes the last record of a row be found by its name. A name that is none has been reported by who serves it.
func (s *sheet) index(r *row) {
	name, err := wire.ParseName(r.rrs[len(r.rrs)-1].Header().Name)
	if err != nil {
		return
	}
	if known := s.byName[name]; len(known) == 0 || known[len(known)-1] != r {
		s.byName[name] = append(known, r)
	}
}

// Origin returns the name of the apex.
func (m *MasterFile) Origin() wire.Name { return m.sheet.origin }

// Settings returns what the file says of the zone as a whole.
func (m *MasterFile) Settings() Settings {
	settings, _ := readSettings(m.sheet.file, *m.sheet.head(), Settings{})
	return settings
}

// Records returns the records, in the order of the file.
func (m *MasterFile) Records() []Record {
	list := make([]Record, 0, len(m.sheet.rows))
	for _, r := range m.sheet.rows {
		if !r.gone {
			for _, rr := range r.rrs {
				list = append(list, r.record(rr))
			}
		}
	}
	return list
}

// At returns the records of a name and type; type ANY is all.
func (m *MasterFile) At(name wire.Name, kind wire.Type) []Record {
	var list []Record
	for _, r := range m.sheet.byName[name] {
		for _, rr := range r.rrs {
			record := r.record(rr)
			if !r.gone && record.Name == name && (kind == wire.TypeANY || record.Type == kind) {
				list = append(list, record)
			}
		}
	}
	return list
}

// Text gives the file back. If it was edited, the serial of its SOA record, if there is one, is a later one (RFC 1982), by the
// time now if that is later.
func (m *MasterFile) Text(now time.Time) ([]byte, error) {
	s := m.sheet
	if !s.edited {
		return s.text, nil
	}
	if err := s.renew(now); err != nil {
		return nil, err
	}
	s.keepOwners()
	for range maxPins {
		text := s.render()
		switch r, err := s.verify(text); {
		case err != nil:
			return nil, err
		case r == nil:
			return text, nil
		default:
			r.pinTTL()
		}
	}
	return nil, errEntangled
}

// maxPins bounds how many records are given the TTL that they have by another one, which goes or changes.
const maxPins = 1000

// render puts the pieces together. What is new comes last, where it changes nothing for the records that mean the owner or the TTL of
// the one before.
func (s *sheet) render() []byte {
	text, fresh := make([]byte, 0, len(s.text)+256), []byte(nil)
	for _, r := range s.rows {
		text = append(text, r.before...)
		switch {
		case r.gone:
		case r.line == 0:
			fresh = append(fresh, r.text...)
		default:
			text = append(text, r.text...)
		}
	}
	text = append(text, s.tail...)
	if len(fresh) > 0 && len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return append(text, fresh...)
}

// verify reads what was rendered, and returns the first row that has another TTL than it should.
func (s *sheet) verify(text []byte) (other *row, err error) {
	left := slices.DeleteFunc(slices.Clone(s.rows), func(r *row) bool { return r.gone })
	at := 0
	problems := scan(s.file, text, s.origin, func(got *scanned) bool {
		if len(left) == 0 {
			err = errEntangled
			return false
		}
		r := left[0]
		want := r.rrs[at]
		sameTTL := got.rr.Header().Ttl == want.Header().Ttl
		switch {
		case !sameRecord(got.rr, want) || !got.tags.equal(&r.tags) || !sameTTL && len(r.rrs) > 1:
			err = errEntangled
		case !sameTTL:
			other = r
		}
		if at++; at == len(r.rrs) {
			left, at = left[1:], 0
		}
		return err == nil && other == nil
	})
	if err == nil && other == nil && (len(left) > 0 || problems.Grave()) {
		err = errEntangled
	}
	return other, err
}

// sameRecord compares all but the TTL.
func sameRecord(a, b dns.RR) bool {
	return a.Header().Class == b.Header().Class && strings.EqualFold(a.Header().Name, b.Header().Name) && dns.IsDuplicate(a, b)
}

// keepOwners gives the records that mean the owner of the one before the one that they had.
func (s *sheet) keepOwners() {
	owner := ""
	for _, r := range s.rows {
		if r.gone || r.isGenerated() || r.line == 0 {
			continue
		}
		own := r.rrs[0].Header().Name
		if len(r.text) > 0 && isBlank(r.text[0]) && own != owner {
			r.text = slices.Concat([]byte(own), r.text)
		}
		owner = own
	}
}

func (r *row) isGenerated() bool { return hasDirective(r.text, "$GENERATE") }

// pinTTL writes the TTL that a record has into its text.
func (r *row) pinTTL() {
	at := r.ownerEnd()
	ttl := fmt.Appendf(nil, " %d", r.rrs[0].Header().Ttl)
	if at == 0 { // there are blanks, and then no owner
		at = len(r.text) - len(bytes.TrimLeft(r.text, " \t"))
		ttl = append(ttl[1:], ' ')
	}
	r.text = slices.Concat(r.text[:at], ttl, r.text[at:])
}

// ownerEnd returns where the owner in a record's text ends, 0 when it is that of the record before.
func (r *row) ownerEnd() int {
	at := 0
	for at < len(r.text) && !isBlank(r.text[at]) {
		if r.text[at] == '\\' {
			at++
		}
		at++
	}
	return min(at, len(r.text))
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// renew gives the SOA record of the apex its next serial.
func (s *sheet) renew(now time.Time) error {
	for _, r := range s.byName[s.origin] {
		soa, ok := r.rrs[0].(*dns.SOA)
		if !ok || r.gone {
			continue
		}
		start, end, ok := r.serial()
		if !ok || r.isGenerated() {
			return errSerial
		}
		next := dns.Copy(soa).(*dns.SOA)
		next.Serial = nextSerial(soa.Serial, now)
		r.text = slices.Concat(r.text[:start], fmt.Append(nil, next.Serial), r.text[end:])
		r.rrs = []dns.RR{next}
	}
	return nil
}

// nextSerial is the time, or one more than old, whichever is later (RFC 1982 section 3).
func nextSerial(old uint32, now time.Time) uint32 {
	if t := uint32(now.Unix()); isLater(t, old) {
		return t
	}
	return old + 1
}

// serial returns where the serial stands in the text of a SOA record: the third word behind the type.
func (r *row) serial() (start, end int, ok bool) {
	behind := -1
	for start, end = r.word(r.ownerEnd()); start < end; start, end = r.word(end) {
		if behind >= 0 {
			behind++
		} else if bytes.EqualFold(r.text[start:end], []byte("SOA")) {
			behind = 0
		}
		if behind == 3 {
			return start, end, true
		}
	}
	return 0, 0, false
}

// word returns the next word of a record's text from an octet on, past blanks, line ends, parentheses and comments. At the end it is
// empty.
func (r *row) word(from int) (start, end int) {
	for start = from; start < len(r.text) && strings.IndexByte(" \t\r\n();", r.text[start]) >= 0; start++ {
		if r.text[start] == ';' {
			for start < len(r.text)-1 && r.text[start] != '\n' {
				start++
			}
		}
	}
	for end = start; end < len(r.text) && strings.IndexByte(" \t\r\n();", r.text[end]) < 0; end++ {
		if r.text[end] == '\\' && end+1 < len(r.text) {
			end++
		}
	}
	return start, end
}
