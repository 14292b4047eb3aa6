package zone

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A scanned is one record as a zone file has it.
type scanned struct {
	rr         dns.RR
	line       int // on which it begins
	start, end int // where its text is; records made by $GENERATE have the same
	tags       tags
}

// A cursor hands a zone file to the library octet by octet, so that it is known where each record ends.
type cursor struct {
	text []byte
	at   int
}

func (c *cursor) Read([]byte) (int, error) { return 0, io.ErrNoProgress } // the library reads octets where it can

func (c *cursor) ReadByte() (byte, error) {
	if c.at == len(c.text) {
		return 0, io.EOF
	}
	c.at++
	return c.text[c.at-1], nil
}

// A scanner reads the records of a zone file (RFC 1035 section 5), past what is wrong in it.
type scanner struct {
	file     string
	origin   wire.Name
	text     []byte
	problems Problems

	line, counted int    // the line at the octet counted
	last          dns.RR // whose owner and TTL the next record may mean
	directives    []byte // $ORIGIN and $TTL, as they were met
	generated     int    // records of which the text has been read for another one
	ttl           uint32 // of a record that does not say its own
	fixed         bool   // by $TTL; otherwise it is that of the record before
}

// maxGenerated bounds what $GENERATE makes: each line of some 30 octets can ask for 65,536 records.
const maxGenerated = 1 << 18

const errGeneratedTooMany problemText = "makes too many records by $GENERATE: a file has 262144 of them at most"

// scan calls visit with each record, in order, until it says no.
func scan(file string, text []byte, origin wire.Name, visit func(*scanned) bool) Problems {
	s := scanner{file: file, origin: origin, text: text, line: 1, ttl: autoTTL}
	for from := 0; from < len(text) && len(s.problems) < maxProblems; {
		end, done := s.pass(from, visit)
		if done {
			break
		}
		from = end
	}
	return s.problems
}

// pass reads on from an octet on until something is wrong, and returns where the line behind that begins.
func (s *scanner) pass(from int, visit func(*scanned) bool) (end int, done bool) {
	c := &cursor{text: s.text, at: from}
	p := dns.NewZoneParser(&resumed{cursor: c, before: s.context()}, s.origin.Reveal(), "")
	p.SetDefaultTTL(autoTTL)
	p.Next() // what the context ends with
	record := scanned{end: c.at}
	for {
		rr, ok := p.Next()
		if c.at != record.end {
			record.start, record.end = s.begin(record.end, c.at), c.at
			record.line = s.lineAt(record.start)
		} else if s.generated++; ok && s.generated > maxGenerated {
			s.problem(record.line, errGeneratedTooMany.Error(), "")
			return c.at, true
		}
		if !ok {
			if p.Err() == nil {
				return c.at, true
			}
			s.report(record.line, p.Err())
			return s.nextLine(c.at), false
		}
		var err error
		if record.tags, err = parseTags(commentOf(p.Comment(), s.text[record.start:record.end])); err != nil {
			s.problem(record.line, err.Error(), "")
		}
		record.rr, s.last = rr, rr
		s.settleTTL(rr, s.text[record.start:record.end])
		if isBare(rr) {
			s.problem(record.line, errNoRData.Error(), "")
			continue
		}
		if !visit(&record) {
			return c.at, true
		}
	}
}

// begin returns where the record's own text begins in what was read for it: behind empty lines, comments and directives, the last
// of which are noted.
func (s *scanner) begin(from, to int) int {
	for from < to {
		end := to
		if i := bytes.IndexByte(s.text[from:to], '\n'); i >= 0 {
			end = from + i + 1
		}
		line := bytes.TrimSpace(s.text[from:end])
		switch {
		case len(line) == 0, line[0] == ';':
		case hasDirective(line, "$ORIGIN"), hasDirective(line, "$TTL"):
			s.directives = append(append(s.directives, line...), '\n')
			s.noteTTL(line)
		default:
			return from
		}
		from = end
	}
	return from
}

// noteTTL takes up what a $TTL directive says.
func (s *scanner) noteTTL(line []byte) {
	if !hasDirective(line, "$TTL") {
		return
	}
	p := dns.NewZoneParser(strings.NewReader(string(line)+"\n. TXT -\n"), ".", "")
	if rr, ok := p.Next(); ok {
		s.ttl, s.fixed = rr.Header().Ttl, true
	}
}

// settleTTL gives a record that is made by $GENERATE the TTL that it would have on a line of its own (RFC 2308 section 4). The library
// gives it an hour.
func (s *scanner) settleTTL(rr dns.RR, text []byte) {
	switch {
	case !hasDirective(text, "$GENERATE"):
		if !s.fixed {
			s.ttl = rr.Header().Ttl
		}
	case !statesTTL(text):
		rr.Header().Ttl = s.ttl
	}
}

// statesTTL reports whether the line of a $GENERATE has a TTL: behind range and owner, and before or behind the class.
func statesTTL(line []byte) bool {
	for i, word := range bytes.Fields(line) {
		if i > 2 && '0' <= word[0] && word[0] <= '9' {
			return true
		}
		if i > 2 && !bytes.EqualFold(word, []byte("IN")) {
			return false
		}
	}
	return false
}

func hasDirective(line []byte, directive string) bool {
	at := len(directive)
	return len(line) > at && isBlank(line[at]) && bytes.EqualFold(line[:at], []byte(directive))
}

// context is text that brings a new parser to where the last one was.
func (s *scanner) context() string {
	last := ". 1 TXT -"
	if s.last != nil {
		h := s.last.Header()
		last = fmt.Sprintf("%s %d TXT -", h.Name, h.Ttl)
	}
	return string(s.directives) + last + "\n"
}

// A resumed is a cursor with something in front.
type resumed struct {
	*cursor
	before string
}

func (r *resumed) ReadByte() (byte, error) {
	if r.before == "" {
		return r.cursor.ReadByte()
	}
	c := r.before[0]
	r.before = r.before[1:]
	return c, nil
}

func (s *scanner) lineAt(at int) int {
	s.line += bytes.Count(s.text[s.counted:at], []byte{'\n'})
	s.counted = at
	return s.line
}

func (s *scanner) nextLine(at int) int {
	if at > 0 && s.text[at-1] == '\n' {
		return at
	}
	if i := bytes.IndexByte(s.text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(s.text)
}

// report adds what the library says. Its words are constants, but for what it quotes.
func (s *scanner) report(line int, err error) {
	text := strings.TrimPrefix(err.Error(), "dns: ")
	text, _, _ = strings.Cut(text, " at line: ")
	constant, quoted, found := strings.Cut(text, ": \"")
	if found {
		quoted = "\"" + quoted
	}
	s.problem(line, constant, quoted)
}

func (s *scanner) problem(line int, text, detail string) {
	s.problems = append(s.problems, Problem{File: s.file, Line: line, Text: text, Detail: NewContent(detail)})
}

// commentOf returns the comment of a record. The library puts a blank before each semicolon in it.
func commentOf(read string, text []byte) string {
	if strings.Count(read, ";") < 2 {
		return read
	}
	if _, comment, _, simple := splitLine(text); simple && len(comment) > 0 {
		return string(comment)
	}
	return read
}

// splitLine takes the text of a record apart: the record, its comment, and the line end. It is not simple when it has several lines.
func splitLine(text []byte) (body, comment, end []byte, simple bool) {
	body = bytes.TrimRight(text, "\r\n")
	end = text[len(body):]
	if bytes.IndexByte(body, '\n') >= 0 {
		return nil, nil, end, false
	}
	quoted := false
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == '\\':
			i++
		case body[i] == '"':
			quoted = !quoted
		case body[i] == ';' && !quoted:
			return body[:i:i], body[i:], end, true
		}
	}
	return body, nil, end, true
}

// isBare reports whether a record has a type and nothing behind it, as in the updates of RFC 2136. The library gives it with empty
// fields, of which it would make RDATA.
func isBare(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A == nil
	case *dns.AAAA:
		return rr.AAAA == nil
	case *dns.TXT:
		return rr.Txt == nil
	case *dns.NS:
		return rr.Ns == ""
	case *dns.CNAME:
		return rr.Target == ""
	case *dns.PTR:
		return rr.Ptr == ""
	case *dns.NULL, *dns.RFC3597, *dns.EUI48, *dns.EUI64, *dns.UID, *dns.GID: // these may be empty, or nothing but zeros
		return false
	}
	kind, known := dns.TypeToRR[rr.Header().Rrtype]
	if !known {
		return false
	}
	empty := kind()
	*empty.Header() = *rr.Header()
	return reflect.DeepEqual(rr, empty)
}
