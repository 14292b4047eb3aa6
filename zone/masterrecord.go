package zone

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A Record is a record as a master file has it, with what the comment behind it says.
type Record struct {
	Name    wire.Name
	Type    wire.Type
	TTL     uint32 // 1: Auto, which all that is proxied has; 0: the same, in what is added
	Content Content

	Proxied            bool
	Flatten            bool // a CNAME that is given as addresses
	IPv4Only, IPv6Only bool // of a proxied name
	Comment            string
	Tags               []string // name or name:value
	ID                 string   // by which the management API knows it

	Line int // on which it was read; 0: it is new
	at   *position
}

// A position is where a record was read. It is behind a pointer as a MasterFile's cover is.
type position struct {
	row *row
	rr  dns.RR
}

// record makes a Record of one of a row.
func (r *row) record(rr dns.RR) Record {
	h := rr.Header()
	name, _ := wire.ParseName(h.Name) // the library has taken it for one
	record := Record{
		Name: name, Type: wire.Type(h.Rrtype), TTL: h.Ttl, Content: contentOf(rr), Proxied: r.tags.proxied, Flatten: r.tags.flatten,
		IPv4Only: r.tags.ipv4Only, IPv6Only: r.tags.ipv6Only, Comment: r.tags.comment, Tags: r.tags.others, ID: r.tags.id,
		Line: r.line, at: &position{r, rr},
	}
	if record.Proxied {
		record.TTL = autoTTL
	}
	return record
}

func contentOf(rr dns.RR) Content {
	if unknown, ok := rr.(*dns.RFC3597); ok { // which prints its class and type in another form
		return NewContent(fmt.Sprintf(`\# %d %s`, len(unknown.Rdata)/2, unknown.Rdata))
	}
	return NewContent(strings.TrimPrefix(rr.String(), rr.Header().String()))
}

// tags are the comment of a record.
func (r *Record) tags() tags {
	return tags{
		comment: r.Comment, proxied: r.Proxied, flatten: r.Flatten, ipv4Only: r.IPv4Only, ipv6Only: r.IPv6Only, id: r.ID, others: r.Tags,
	}
}

// ParseNameIn makes a name of what an operator or a client of the management API writes: @ is the apex, what ends in a dot or in the
// zone's name is whole, and anything else is relative to the zone.
func ParseNameIn(text string, origin wire.Name) (wire.Name, error) {
	if text == "@" {
		return origin, nil
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"();$@`, c) }) {
		return wire.Root, refuse(codeName)
	}
	name, err := wire.ParseName(text)
	if err != nil {
		return wire.Root, refuse(codeName)
	}
	if !name.Within(origin) && !strings.HasSuffix(text, ".") {
		if name, err = name.Substitute(wire.Root, origin); err != nil {
			return wire.Root, refuse(codeName)
		}
	}
	if !name.Within(origin) {
		return wire.Root, refuse(codeName)
	}
	return name, nil
}

// ParseType reads the name of an RR type that a zone can hold.
func ParseType(text string) (wire.Type, error) {
	text = strings.ToUpper(text)
	kind, ok := dns.StringToType[text]
	if !ok {
		if _, err := fmt.Sscanf(text+"\n", "TYPE%d\n", &kind); err != nil {
			return 0, errUnknownType
		}
	}
	if t := wire.Type(kind); !t.IsMeta() && !isMadeBySigning(t) {
		return t, nil
	}
	return 0, errUnknownType
}

// TypeText returns the name of an RR type.
func TypeText(t wire.Type) string { return dns.Type(t).String() }

// parse makes the library's record of one that is added.
func (r *Record) parse(origin wire.Name) (dns.RR, error) {
	if !r.Name.Within(origin) {
		return nil, refuse(codeName)
	}
	if t, err := ParseType(TypeText(r.Type)); err != nil || t != r.Type {
		return nil, errUnknownType
	}
	content := strings.TrimSpace(r.Content.RevealOrigin())
	switch a, err := netip.ParseAddr(content); {
	case r.Type == wire.TypeA && (err != nil || !a.Is4()), r.Type == wire.TypeAAAA && (err != nil || !a.Is6() || a.Zone() != ""):
		return nil, refuse(codeAddress)
	case content == "@" && (r.Type == wire.TypeCNAME || r.Type == wire.TypeNS || r.Type == wire.TypePTR || r.Type == wire.TypeDNAME):
		content = origin.Reveal()
	case r.Type == wire.TypeTXT && !strings.HasPrefix(content, `"`):
		content = quote(content)
	}
	rr, err := parseContent(r.Name, r.Type, r.TTL, content)
	if err != nil {
		return nil, err
	}
	if wireLength(rr) > maxContentOctets {
		return nil, refuse(codeTooLong)
	}
	return rr, nil
}

// parseContent reads RDATA in which names are absolute, with or without the final dot.
func parseContent(name wire.Name, kind wire.Type, ttl uint32, content string) (dns.RR, error) {
	if content == "" || strings.ContainsAny(content, "\r\n\x00") {
		return nil, refuse(codeContent)
	}
	text := fmt.Sprintf("%s %d IN %s %s\n", name.Reveal(), ttl, TypeText(kind), content)
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	rr, ok := p.Next()
	if !ok || p.Comment() != "" || wire.Type(rr.Header().Rrtype) != kind || wireLength(rr) == 0 && kind != typeNULL {
		return nil, refuse(codeContent)
	}
	if _, more := p.Next(); more || p.Err() != nil {
		return nil, refuse(codeContent)
	}
	return rr, nil
}

const typeNULL wire.Type = 10

// wireLength returns how many octets the RDATA takes, or more than any may where it cannot be packed.
func wireLength(rr dns.RR) int {
	buf := make([]byte, dns.Len(rr)+64) // a little more, where the library counts escapes otherwise
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return maxPacked
	}
	_, rest := splitName(buf[:end])
	return len(rest) - (2 + 2 + 4 + 2)
}

// quote makes character strings of text (RFC 1035 section 5.1).
func quote(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		part := text[:min(len(text), 255)]
		text = text[len(part):]
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(part))
		b.WriteByte('"')
	}
	return b.String()
}

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(:.*)?$`)

// checkComment makes sure that what stands behind a record stays there, and is read as it was meant.
func (r *Record) checkComment() error {
	for _, text := range append([]string{r.Comment, r.ID}, r.Tags...) {
		if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return errComment
		}
	}
	for _, tag := range r.Tags {
		if !tagPattern.MatchString(tag) {
			return errComment
		}
	}
	t := r.tags()
	read, err := parseTags("; " + t.text())
	if err != nil || !read.equal(&t) {
		return errComment
	}
	return nil
}
