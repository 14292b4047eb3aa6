package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unique"
	"unsafe"
)

// Limits of a name in wire form (RFC 1035 section 2.3.4).
const (
	MaxNameLength  = 255 // octets, the length octets and the root label included
	MaxLabelLength = 63  // octets
)

// A Name is a domain name: absolute, lower-cased (RFC 4343) and interned, so that two names are equal exactly when
// they compare equal with ==. The zero Name is the root. A Name prints as [name] whatever the verb or the
// nesting; only Reveal gives its text.
type Name struct{ handle unique.Handle[string] }

// Root is the root of the name space.
var Root Name

// Reasons why bytes or text are not a name.
var (
	ErrNameTooLong  = errors.New("name longer than 255 octets")
	ErrLabelTooLong = errors.New("label longer than 63 octets")
	ErrEmptyLabel   = errors.New("empty label inside a name")
	ErrNameCut      = errors.New("name ends before its root label")
	ErrEscape       = errors.New("escape is not \\DDD or \\X")
)

// NameFromWire makes a Name of the uncompressed name at the start of b. Letters are folded to lower case.
func NameFromWire(b []byte) (Name, error) {
	var buf [MaxNameLength]byte
	n, err := foldName(buf[:], b)
	if err != nil {
		return Root, err
	}
	return intern(buf[:n]), nil
}

// MustName is ParseName for text that the program itself holds; it panics on a name that is none.
func MustName(text string) Name {
	n, err := ParseName(text)
	if err != nil {
		panic("wire: constant is not a domain name: " + err.Error())
	}
	return n
}

// ParseName makes a Name of its presentation form (RFC 1035 section 5.1). The name is taken as absolute, with or
// without the final dot.
func ParseName(text string) (Name, error) {
	if text == "." {
		return Root, nil
	}
	var buf [MaxNameLength]byte
	start, end := 0, 1 // the current label's length octet, and the end of what is written
	for i := 0; i < len(text); {
		if text[i] == '.' {
			if err := closeLabel(buf[:], start, end); err != nil {
				return Root, err
			}
			start, i = end, i+1
			end++
			continue
		}
		c, width, err := unescape(text[i:])
		if err != nil {
			return Root, err
		}
		if end >= MaxNameLength-1 {
			return Root, ErrNameTooLong
		}
		buf[end], end, i = lower(c), end+1, i+width
	}
	if end-start > 1 { // no final dot
		if err := closeLabel(buf[:], start, end); err != nil {
			return Root, err
		}
		end++
	}
	if end == 1 {
		return Root, ErrEmptyLabel
	}
	buf[end-1] = 0
	return intern(buf[:end]), nil
}

// Is reports whether ParseName makes n of text, for less: it interns nothing.
func (n Name) Is(text string) bool {
	if n == Root {
		return text == "."
	}
	for w := n.wire(); w[0] != 0; w = w[1+w[0]:] {
		for i := range w[0] {
			if text == "" || text[0] == '.' {
				return false
			}
			c, width, err := unescape(text)
			if err != nil || lower(c) != w[1+i] {
				return false
			}
			text = text[width:]
		}
		if text == "" {
			return w[1+w[0]] == 0
		}
		if text[0] != '.' {
			return false
		}
		text = text[1:]
	}
	return text == ""
}

func closeLabel(buf []byte, start, end int) error {
	switch size := end - start - 1; {
	case size == 0:
		return ErrEmptyLabel
	case size > MaxLabelLength:
		return ErrLabelTooLong
	case end >= MaxNameLength:
		return ErrNameTooLong
	default:
		buf[start] = byte(size)
		return nil
	}
}

// unescape reads one octet of a label's presentation form and says how many bytes of text it took.
func unescape(text string) (c byte, width int, err error) {
	if text[0] != '\\' {
		return text[0], 1, nil
	}
	if len(text) < 2 {
		return 0, 0, ErrEscape
	}
	if !isDigit(text[1]) {
		return text[1], 2, nil
	}
	if len(text) < 4 || !isDigit(text[2]) || !isDigit(text[3]) {
		return 0, 0, ErrEscape
	}
	value := int(text[1]-'0')*100 + int(text[2]-'0')*10 + int(text[3]-'0')
	if value > 255 {
		return 0, 0, ErrEscape
	}
	return byte(value), 4, nil
}

// Reveal returns the presentation form, with the final dot. It is the only way to a name's text: what it returns
// may go into messages and to the operator's own terminal, never into a log, an error or a metric.
func (n Name) Reveal() string {
	w := n.wire()
	if len(w) == 1 {
		return "."
	}
	var b strings.Builder
	b.Grow(len(w) + 8)
	for w[0] != 0 {
		size := int(w[0])
		for i := 1; i <= size; i++ {
			writeEscaped(&b, w[i])
		}
		b.WriteByte('.')
		w = w[1+size:]
	}
	return b.String()
}

func writeEscaped(b *strings.Builder, c byte) {
	switch {
	case strings.IndexByte(`."\();@$ `, c) >= 0:
		b.WriteByte('\\')
		b.WriteByte(c)
	case c < '!' || c > '~':
		fmt.Fprintf(b, "\\%03d", c)
	default:
		b.WriteByte(c)
	}
}

// Append appends the uncompressed wire form.
func (n Name) Append(dst []byte) []byte { return append(dst, n.wire()...) }

// Len returns the length of the wire form in octets, 1 to 255.
func (n Name) Len() int { return len(n.wire()) }

// IsRoot reports whether n is the root.
func (n Name) IsRoot() bool { return n == Root }

// Labels counts the labels, the root label not included (RFC 4034 section 3.1.3 counts so, too).
func (n Name) Labels() int {
	count := 0
	for w := n.wire(); w[0] != 0; w = w[1+w[0]:] {
		count++
	}
	return count
}

// Parent returns the name without its first label; the parent of the root is the root.
func (n Name) Parent() Name {
	if n == Root {
		return Root
	}
	w := n.wire()
	return internString(w[1+w[0]:])
}

// Suffix returns the name made of the last labels labels: Suffix(1) of a.example.com is com.
func (n Name) Suffix(labels int) Name {
	w := n.wire()
	for skip := n.Labels() - labels; skip > 0; skip-- {
		w = w[1+w[0]:]
	}
	return internString(w)
}

// FirstLabel returns the octets of the first label, empty for the root.
func (n Name) FirstLabel() string {
	w := n.wire()
	return w[1 : 1+w[0]]
}

// Within reports whether n is zone or lies below it.
func (n Name) Within(zone Name) bool {
	if n == zone || zone == Root {
		return true
	}
	w, z := n.wire(), zone.wire()
	for len(w) > len(z) {
		w = w[1+w[0]:]
	}
	return w == z
}

// Below reports whether n lies strictly below zone.
func (n Name) Below(zone Name) bool { return n != zone && n.Within(zone) }

// Prepend returns label.n, the label given as raw octets.
func (n Name) Prepend(label string) (Name, error) {
	switch {
	case label == "":
		return Root, ErrEmptyLabel
	case len(label) > MaxLabelLength:
		return Root, ErrLabelTooLong
	case 1+len(label)+n.Len() > MaxNameLength:
		return Root, ErrNameTooLong
	}
	var buf [MaxNameLength]byte
	b := append(buf[:0], byte(len(label)))
	for i := range len(label) {
		b = append(b, lower(label[i]))
	}
	return intern(append(b, n.wire()...)), nil
}

// Substitute returns n with the suffix from, within which it must lie, replaced by to: the synthesis of DNAME
// (RFC 6672 section 2.2). The error is ErrNameTooLong.
func (n Name) Substitute(from, to Name) (Name, error) {
	prefix := n.wire()[:n.Len()-from.Len()]
	if len(prefix)+to.Len() > MaxNameLength {
		return Root, ErrNameTooLong
	}
	var buf [MaxNameLength]byte
	return intern(append(append(buf[:0], prefix...), to.wire()...)), nil
}

// Compare orders names canonically (RFC 4034 section 6.1): by labels from the right, as octets.
func (n Name) Compare(other Name) int {
	var a, b [MaxNameLength / 2]byte
	x, y := n.wire(), other.wire()
	i, j := labelOffsets(a[:], x), labelOffsets(b[:], y)
	for i > 0 && j > 0 {
		i, j = i-1, j-1
		p, q := x[a[i]+1:][:x[a[i]]], y[b[j]+1:][:y[b[j]]]
		if c := strings.Compare(p, q); c != 0 {
			return c
		}
	}
	return i - j
}

func labelOffsets(dst []byte, w string) int {
	count := 0
	for off := 0; w[off] != 0; off += 1 + int(w[off]) {
		dst[count] = byte(off)
		count++
	}
	return count
}

const redacted = "[name]"

// String returns [name].
func (n Name) String() string { return redacted }

// GoString returns [name].
func (n Name) GoString() string { return redacted }

// Format writes [name] for every verb.
func (n Name) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is [name].
func (n Name) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [name].
func (n Name) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (n Name) wire() string {
	if n == Root {
		return "\x00"
	}
	return n.handle.Value()
}

// intern takes a lower-case wire form. unique.Make copies what it keeps, so b may be a buffer.
func intern(b []byte) Name { return internString(unsafe.String(unsafe.SliceData(b), len(b))) }

func internString(w string) Name {
	if w == "\x00" {
		return Root
	}
	return Name{unique.Make(w)}
}

// foldName copies the uncompressed name at the start of src to dst in lower case and returns its length.
func foldName(dst, src []byte) (int, error) {
	n, err := nameLength(src)
	if err != nil {
		return 0, err
	}
	fold(dst[:n], src[:n])
	return n, nil
}

// nameLength returns the length of the uncompressed name at the start of src.
func nameLength(src []byte) (int, error) {
	for off := 0; ; {
		if off >= len(src) {
			return 0, ErrNameCut
		}
		size := int(src[off])
		switch {
		case size > MaxLabelLength:
			return 0, ErrLabelTooLong // a pointer, too: there is nothing that it could point back to
		case off+1+size >= MaxNameLength && size > 0:
			return 0, ErrNameTooLong
		case off+1+size > len(src):
			return 0, ErrNameCut
		case size == 0:
			return off + 1, nil
		}
		off += 1 + size
	}
}

// fold copies a name in lower case, eight octets at a time. The lengths of labels are less than any letter and stay as they
// are.
func fold(dst, src []byte) {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for len(src) >= 8 {
		w := binary.LittleEndian.Uint64(src)
		low := w &^ top
		fromA, aboveZ := low+each*(0x80-'A'), low+each*(0x80-'Z'-1) // top bits: at least A, more than Z
		binary.LittleEndian.PutUint64(dst, w|(fromA&^aboveZ&^w&top)>>2)
		dst, src = dst[8:], src[8:]
	}
	for i, c := range src {
		dst[i] = lower(c)
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
