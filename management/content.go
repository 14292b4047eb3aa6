package management

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A field is one part of the presentation form of RDATA, as the API calls it in the member data of a record.
type field struct {
	name string
	kind fieldKind
}

type fieldKind uint8

const (
	number fieldKind = iota
	word             // octets in hexadecimal or base64, mnemonics
	domain           // a name, which the API writes without its final dot
	quoted           // a character-string
	rest             // all that follows
)

// layouts are the types whose content has parts.
var layouts = map[string][]field{
	"CNAME":  {{"target", domain}},
	"NS":     {{"target", domain}},
	"PTR":    {{"target", domain}},
	"DNAME":  {{"target", domain}},
	"MX":     {{"priority", number}, {"target", domain}},
	"SRV":    {{"priority", number}, {"weight", number}, {"port", number}, {"target", domain}},
	"URI":    {{"priority", number}, {"weight", number}, {"target", quoted}},
	"CAA":    {{"flags", number}, {"tag", word}, {"value", quoted}},
	"HTTPS":  {{"priority", number}, {"target", domain}, {"value", rest}},
	"SVCB":   {{"priority", number}, {"target", domain}, {"value", rest}},
	"TLSA":   {{"usage", number}, {"selector", number}, {"matching_type", number}, {"certificate", rest}},
	"SMIMEA": {{"usage", number}, {"selector", number}, {"matching_type", number}, {"certificate", rest}},
	"SSHFP":  {{"algorithm", number}, {"type", number}, {"fingerprint", rest}},
	"DS":     {{"key_tag", number}, {"algorithm", number}, {"digest_type", number}, {"digest", rest}},
	"DNSKEY": {{"flags", number}, {"protocol", number}, {"algorithm", number}, {"public_key", rest}},
	"CERT":   {{"type", number}, {"key_tag", number}, {"algorithm", number}, {"certificate", rest}},
	"NAPTR": {
		{"order", number}, {"preference", number}, {"flags", quoted}, {"service", quoted}, {"regex", quoted}, {"replacement", domain},
	},
}

// hasPriority are the types whose priority is a member of the record, and not part of its content.
func hasPriority(kind string) bool { return kind == "MX" || kind == "SRV" || kind == "URI" }

// split cuts the presentation form of RDATA into its words; a quoted string is one, with its quotes.
func split(text string) (words []string) {
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		end, inside := 0, false
		for end < len(text) && (inside || text[end] != ' ' && text[end] != '\t') {
			switch text[end] {
			case '\\':
				end++
			case '"':
				inside = !inside
			}
			end++
		}
		end = min(end, len(text))
		words, text = append(words, text[:end]), text[end:]
	}
	return words
}

// fields assigns words to the parts of a type; ok is false where they do not fit.
func fields(kind string, words []string) (parts []string, ok bool) {
	layout := layouts[kind]
	for i, f := range layout {
		switch {
		case f.kind == rest:
			return append(parts, strings.Join(words[min(i, len(words)):], " ")), len(words) >= i
		case i >= len(words):
			return nil, false
		}
		parts = append(parts, words[i])
	}
	return parts, len(words) == len(layout)
}

// shown turns the presentation form of RDATA into what the API gives: content, priority and data.
func shown(r *Record) (content string, priority *uint16, data map[string]any) {
	layout := layouts[r.Type]
	parts, ok := fields(r.Type, split(r.Content))
	if layout == nil || !ok {
		return r.Content, nil, nil
	}
	data = map[string]any{}
	words := make([]string, len(parts))
	for i, f := range layout {
		text := parts[i]
		switch f.kind {
		case number:
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil { // a mnemonic
				data[f.name] = text
				break
			}
			data[f.name] = n
		case domain:
			if text != "." {
				text = strings.TrimSuffix(text, ".")
			}
			data[f.name] = text
		case quoted:
			data[f.name] = unquote(text)
		case word, rest:
			data[f.name] = text
		}
		words[i] = text
	}
	if hasPriority(r.Type) {
		if n, err := strconv.ParseUint(words[0], 10, 16); err == nil {
			p := uint16(n)
			priority, words = &p, words[1:]
		}
	}
	if len(layout) <= 2 {
		data = nil // content and priority say it all
	}
	return strings.TrimSpace(strings.Join(words, " ")), priority, data
}

// presented turns what a client has sent into the presentation form of RDATA.
func presented(kind, content string, priority *uint16, data map[string]json.RawMessage) (string, error) {
	layout := layouts[kind]
	if len(data) > 0 && layout != nil {
		return fromData(layout, priority, data)
	}
	switch {
	case kind == "TXT" || kind == "SPF":
		return quoteAll(content), nil
	case layout == nil:
		return content, nil
	}
	words := split(content)
	if hasPriority(kind) && len(words) < len(layout) {
		if priority == nil {
			return "", errPriority
		}
		words = append([]string{strconv.Itoa(int(*priority))}, words...)
	}
	for i, f := range layout {
		if i < len(words) && f.kind == domain {
			words[i] = absolute(words[i])
		}
	}
	return strings.Join(words, " "), nil
}

func fromData(layout []field, priority *uint16, data map[string]json.RawMessage) (string, error) {
	words := make([]string, 0, len(layout))
	for _, f := range layout {
		raw, ok := data[f.name]
		if !ok && f.name == "priority" && priority != nil {
			raw, ok = json.RawMessage(strconv.Itoa(int(*priority))), true
		}
		text, err := scalar(raw)
		if !ok && f.kind != rest || err != nil {
			return "", errData
		}
		switch f.kind {
		case number:
			if n, err := strconv.ParseUint(text, 10, 32); err != nil || n > math.MaxUint16 {
				return "", errData
			}
		case domain:
			text = absolute(text)
		case quoted:
			text = quote(text)
		case word, rest:
		}
		words = append(words, text)
	}
	return strings.TrimSpace(strings.Join(words, " ")), nil
}

// scalar reads a string or a number; some clients send numbers as strings.
func scalar(raw json.RawMessage) (string, error) {
	var text string
	if len(raw) > 0 && raw[0] == '"' {
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var n json.Number
	if len(raw) == 0 {
		return "", nil
	}
	err := json.Unmarshal(raw, &n)
	return n.String(), err
}

// absolute writes the final dot that the API leaves out.
func absolute(name string) string {
	if strings.HasSuffix(name, ".") && !strings.HasSuffix(name, `\.`) {
		return name
	}
	return name + "."
}

// maxString is how long a character-string can be (RFC 1035 section 3.3).
const maxString = 255

// quoteAll makes the character-strings of a TXT record: of quoted ones as they are, of anything else as many as it takes.
func quoteAll(content string) string {
	words := split(content)
	if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return len(w) < 2 || w[0] != '"' || w[len(w)-1] != '"' }) {
		return strings.Join(words, " ")
	}
	var list []string
	for {
		end := min(maxString, len(content))
		list, content = append(list, quote(content[:end])), content[end:]
		if content == "" {
			return strings.Join(list, " ")
		}
	}
}

// quote writes a character-string; octets that are no printable ASCII are written in decimal (RFC 1035 section 5.1).
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteString(`\` + string([]byte{'0' + c/100, '0' + c/10%10, '0' + c%10}))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// unquote takes the quotes of a character-string away, and what they needed.
func unquote(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`)
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if i+4 <= len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(text[i])
	}
	return b.String()
}
