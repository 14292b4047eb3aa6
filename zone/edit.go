package zone

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Add adds a record behind all others. Errors are of type *Refusal where the record is at fault.
func (m *MasterFile) Add(r Record) error {
	switch {
	case r.Proxied:
		r.TTL = autoTTL
	case r.TTL == 0:
		r.TTL = autoTTL
	case !m.sheet.takes(r.TTL):
		return m.sheet.refuseTTL()
	}
	return m.sheet.add(&r)
}

// LeastTTL is the least TTL of what is added.
func (m *MasterFile) LeastTTL() uint32 { return m.sheet.leastTTL() }

func (s *sheet) leastTTL() uint32 { return cmp.Or(s.minTTL, minTTL) }

func (s *sheet) takes(ttl uint32) bool { return ttl == autoTTL || s.leastTTL() <= ttl && ttl <= maxTTL }

func (s *sheet) refuseTTL() error {
	return &Refusal{codeTTL, fmt.Sprintf("the TTL must be between %d and %d seconds, or 1 for Auto", s.leastTTL(), maxTTL)}
}

// add adds a record whatever its TTL.
func (s *sheet) add(r *Record) error {
	rr, err := s.check(r, nil)
	if err != nil {
		return err
	}
	fresh := &row{rrs: []dns.RR{rr}, tags: r.tags()}
	fresh.text = append(fresh.compose(""), '\n')
	s.rows = append(s.rows, fresh)
	s.index(fresh)
	s.edited = true
	return nil
}

// Replace puts a record in the place of another. The comment and the TTL are those of the new one.
func (m *MasterFile) Replace(old, r Record) error {
	s := m.sheet
	was, err := s.find(&old)
	if err != nil {
		return err
	}
	now := was.at.row.record(was.at.rr)
	switch {
	case r.Proxied && (now.Proxied || r.TTL == now.TTL): // its TTL means nothing, and stays for when it is not proxied any more
		r.TTL = was.at.rr.Header().Ttl
	case r.Proxied:
		r.TTL = autoTTL
	case r.TTL == 0 && now.TTL != 0:
		r.TTL = autoTTL
	case r.TTL != now.TTL && !s.takes(r.TTL):
		return s.refuseTTL()
	}
	rr, err := s.check(&r, was.at.row)
	if err != nil {
		return err
	}
	if r.Name != now.Name || r.Type != now.Type {
		was.at.row.gone = true
		return s.add(&r)
	}
	t := r.tags()
	t.unproxied = was.at.row.tags.unproxied && !t.proxied
	was.at.row.rewrite(rr, &t)
	s.edited = true
	return nil
}

// Delete takes a record away.
func (m *MasterFile) Delete(r Record) error {
	was, err := m.sheet.find(&r)
	if err != nil {
		return err
	}
	was.at.row.gone, m.sheet.edited = true, true
	return nil
}

// SetProxied sets or clears the mark of the address and CNAME records of a name. Their TTLs stay in the file for when they are not
// proxied any more.
func (m *MasterFile) SetProxied(name wire.Name, proxied bool) error {
	all := m.At(name, wire.TypeANY)
	code := codeMissing
	for _, r := range all {
		code = codeNotProxiable
		if r.at.row.isGenerated() {
			return errGenerated
		}
	}
	for _, r := range all {
		if !proxiable(r.Type) {
			continue
		}
		code = -1
		if r.Proxied != proxied {
			t := r.at.row.tags
			t.proxied, t.unproxied = proxied, false
			r.at.row.rewrite(r.at.rr, &t)
			m.sheet.edited = true
		}
	}
	if code >= 0 {
		return refuse(code)
	}
	return nil
}

// Find returns the record that has a name, type and content.
func (m *MasterFile) Find(name wire.Name, kind wire.Type, content Content) (Record, error) {
	found, err := m.sheet.find(&Record{Name: name, Type: kind, Content: content})
	if err != nil {
		return Record{}, err
	}
	return *found, nil
}

// find returns a record that Records has given, or else one that has the same name, type and content.
func (s *sheet) find(r *Record) (*Record, error) {
	candidates := s.byName[r.Name]
	var rr dns.RR
	switch {
	case r.at != nil:
		candidates, rr = []*row{r.at.row}, r.at.rr
	case r.Content == (Content{}):
		return nil, refuse(codeMissing)
	default:
		var err error
		if rr, err = r.parse(s.origin); err != nil {
			return nil, err
		}
	}
	for _, c := range candidates {
		i := slices.IndexFunc(c.rrs, func(o dns.RR) bool { return !c.gone && sameRecord(o, rr) })
		switch {
		case i < 0:
		case c.isGenerated():
			return nil, errGenerated
		default:
			found := c.record(c.rrs[i])
			return &found, nil
		}
	}
	return nil, refuse(codeMissing)
}

// check makes sure that a record can stand in the file, in the place of one row or of none, and beside all others.
func (s *sheet) check(r *Record, except *row) (dns.RR, error) {
	rr, err := r.parse(s.origin)
	if err != nil {
		return nil, err
	}
	if err := r.checkComment(); err != nil {
		return nil, err
	}
	if r.Proxied && !proxiable(r.Type) {
		return nil, refuse(codeNotProxiable)
	}
	t := r.tags()
	combined, servers := len(contentOf(rr).RevealOrigin()), 0
	for _, other := range s.byName[r.Name] {
		if other.gone || other == except {
			continue
		}
		for _, beside := range other.rrs {
			if err := conflict(rr, &t, beside, &other.tags); err != nil {
				return nil, err
			}
			if beside.Header().Rrtype == uint16(r.Type) && sameOwner(beside, rr) {
				combined += len(contentOf(beside).RevealOrigin())
				servers++
			}
		}
	}
	if combined > maxCombinedContent {
		return nil, refuse(codeCombined)
	}
	if r.Type == wire.TypeNS && r.Name != s.origin && servers >= maxServers {
		return nil, errServers
	}
	return rr, nil
}

func sameOwner(a, b dns.RR) bool { return strings.EqualFold(a.Header().Name, b.Header().Name) }

// conflict says why a record cannot stand beside another one.
func conflict(rr dns.RR, t *tags, beside dns.RR, of *tags) error {
	kind, other := wire.Type(rr.Header().Rrtype), wire.Type(beside.Header().Rrtype)
	named := *of
	named.unproxied, named.id = t.unproxied, t.id
	switch {
	case !sameOwner(rr, beside):
		return nil
	case sameRecord(rr, beside) && rr.Header().Ttl == beside.Header().Ttl && named.equal(t):
		return refuse(codeIdentical)
	case sameRecord(rr, beside):
		return refuse(codeExists)
	case kind == wire.TypeCNAME && proxiable(other):
		return refuse(codeCNAMEBeside)
	case other == wire.TypeCNAME && proxiable(kind):
		return refuse(codeBesideCNAME)
	default:
		return nil
	}
}

// rewrite gives a row another record of its name and type, and another comment. As much of the text stays as can.
func (r *row) rewrite(rr dns.RR, t *tags) {
	old, sameTags := r.rrs[0], r.tags.equal(t)
	sameTTL, same := old.Header().Ttl == rr.Header().Ttl, dns.IsDuplicate(old, rr)
	r.rrs, r.tags = []dns.RR{rr}, *t
	if sameTTL && same && sameTags {
		return
	}
	body, comment, end, simple := splitLine(r.text)
	head := r.headEnd(wire.Type(rr.Header().Rrtype))
	switch {
	case !simple || !sameTTL || head == 0 && !same:
		r.text = append(r.compose(r.ownerText()), end...)
		return
	case !same:
		rest := bytes.TrimRight(body[head:], " \t")
		gap := body[head+len(rest):]
		body = slices.Concat(body[:head], []byte(contentOf(rr).RevealOrigin()), gap)
	}
	if !sameTags {
		comment = nil
		if text := t.text(); text != "" {
			comment = []byte("; " + text)
		}
	}
	switch {
	case len(comment) == 0:
		body = bytes.TrimRight(body, " \t")
	case !isBlank(body[len(body)-1]):
		body = append(slices.Clip(body), ' ')
	}
	r.text = slices.Concat(body, comment, end)
}

// compose writes a record on a line, without its end.
func (r *row) compose(owner string) []byte {
	rr := r.rrs[0]
	h := rr.Header()
	if owner == "" {
		owner = h.Name + "\t"
	}
	text := fmt.Appendf(nil, "%s%d\tIN\t%s\t%s", owner, h.Ttl, TypeText(wire.Type(h.Rrtype)), contentOf(rr).RevealOrigin())
	if comment := r.tags.text(); comment != "" {
		text = append(text, " ; "+comment...)
	}
	return text
}

// ownerText is how the owner of a record is written, with a blank behind it.
func (r *row) ownerText() string {
	if end := r.ownerEnd(); end > 0 {
		return string(r.text[:end]) + "\t"
	}
	return string(r.text[:len(r.text)-len(bytes.TrimLeft(r.text, " \t"))])
}

// headEnd returns where the RDATA of a record begins in a line, 0 when that is not easily said.
func (r *row) headEnd(kind wire.Type) int {
	body, _, _, simple := splitLine(r.text)
	if !simple || bytes.ContainsAny(body, "()") {
		return 0
	}
	_, end := 0, r.ownerEnd()
	for range 3 { // TTL, class, type
		start := 0
		start, end = r.word(end)
		if strings.EqualFold(string(r.text[start:end]), TypeText(kind)) && end < len(body) {
			rest, _ := r.word(end)
			return rest
		}
	}
	return 0
}

// head is the text in front of the first record, where settings stand.
func (s *sheet) head() *[]byte {
	if len(s.rows) > 0 && s.rows[0].line != 0 {
		return &s.rows[0].before
	}
	return &s.tail
}

var errSettingWord = errors.New("takes the name of a setting and its value")

// Set changes a setting of the zone as a whole, given as it stands in the file, as in status=pending.
func (m *MasterFile) Set(setting string) error {
	if err := new(Settings).set(setting); err != nil {
		return err
	}
	if strings.ContainsAny(setting, " \t\r\n") {
		return errSettingWord
	}
	name, _, _ := strings.Cut(setting, "=")
	m.sheet.putSetting(name, setting)
	return nil
}

// Unset takes a setting away, so that it is the usual one.
func (m *MasterFile) Unset(name string) { m.sheet.putSetting(name, "") }

// putSetting puts a word into the place of the setting of its name; an empty one takes it away.
func (s *sheet) putSetting(name, word string) {
	head := s.head()
	isIt := func(w string) bool { before, _, _ := strings.Cut(w, "="); return before == name }
	var text []byte
	there, known := false, bytes.Contains(*head, []byte(name)) && slices.ContainsFunc(settingWords(*head), isIt)
	top := true
	for line := range bytes.Lines(*head) {
		words, is := settingLine(line)
		trimmed := bytes.TrimSpace(line)
		if top = top && (len(trimmed) == 0 || trimmed[0] == ';'); !top || !is {
			text = append(text, line...)
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(words), isIt)
		if word != "" && !there && (!known || len(kept) < len(words)) {
			there = true
			kept = append(kept, word)
		}
		switch {
		case slices.Equal(kept, words):
			text = append(text, line...)
		case len(kept) > 0:
			text = append(text, "; "+settingsMark+" "+strings.Join(kept, " ")+"\n"...)
		}
	}
	if word != "" && !there {
		text = append([]byte("; "+settingsMark+" "+word+"\n"), text...)
	}
	s.edited = s.edited || !bytes.Equal(text, *head)
	*head = text
}

// settingLine returns the words of a line with settings.
func settingLine(line []byte) (words []string, ok bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(string(line)), ";")), settingsMark)
	if !ok {
		return nil, false
	}
	return strings.Fields(text), true
}

// settingWords returns those of all lines in front of the first record and the first directive.
func settingWords(head []byte) (words []string) {
	for line := range bytes.Lines(head) {
		trimmed := bytes.TrimSpace(line)
		if len(trimmed) > 0 && trimmed[0] != ';' {
			break
		}
		if more, ok := settingLine(line); ok {
			words = append(words, more...)
		}
	}
	return words
}
